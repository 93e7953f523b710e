"""Check `pickle-unknown-name`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.pickle_calls import tree
from weighbridge.analysis.pickle_names import reached
from weighbridge.core.check import check
from weighbridge.core.evidence import CallTree
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.pickle import Pickle
from weighbridge.intel.names import Standing


@check("pickle-unknown-name", control="payload-scan", reads=Pickle)
def unknown_name(pickle: Pickle) -> Iterator[Finding]:
    """Loading this pickle needs a name that nobody has reviewed.

    ## Why it matters
    Importing a module runs its top level, and calling a name does whatever that code does. The
    lists of names that models need hold the common libraries; this one is on none of them. Most
    often it is the author's own class, whose source you then need in order to load the file.

    ## What to do
    Find the package that the name comes from and read what it does, or ask for safetensors. When
    you have reviewed it, waive it by this symbol, with an owner and an expiry.

    ## Limits
    The name says nothing about which version of the package is installed where you load it.

    ## References
    - https://docs.python.org/3/library/pickle.html#what-can-be-pickled-and-unpickled
    - https://cwe.mitre.org/data/definitions/502.html
    """
    for found in reached(pickle, Standing.UNKNOWN):
        name = found.target.dotted
        verb = "calls" if found.called else "imports"
        yield Finding(
            message=f"loading this file {verb} {name}, which is on no list of names models need",
            at=pickle.at(found.first.source.offset),
            action=Action.REVIEW,
            symbol=name,
            confidence=Confidence.LIKELY,
            evidence=(CallTree("Where it is used", root=tree(found.first.source, "not reviewed")),),
        )
