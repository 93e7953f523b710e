"""Check `pickle-acting-call`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.pickle_calls import display, tree
from weighbridge.analysis.pickle_names import reached
from weighbridge.core.check import check
from weighbridge.core.evidence import CallTree
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.pickle import Pickle
from weighbridge.intel.names import Standing

EFFECTS = {
    "execute": "runs commands or code",
    "import": "imports modules by name",
    "read": "reads files or secrets",
    "write": "writes files",
    "connect": "connects to the network",
    "mutate": "changes the running interpreter",
}


@check("pickle-acting-call", control="payload-scan", reads=Pickle)
def acting_call(pickle: Pickle) -> Iterator[Finding]:
    """Loading this pickle reaches a name that executes, reads, writes or connects.

    ## Why it matters
    Unpickling imports every name and applies every call before your code sees an object. A call
    of `os.system` in the file runs on the machine that loads it, with that machine's rights.

    ## What to do
    Do not load the file. Ask the publisher for safetensors, and report the repository. If it has
    been loaded already, treat the machine and its credentials as compromised.

    ## Limits
    The names come from reviewed lists of the standard library and of common packages. A name that
    is on none of them is reported by `pickle-unknown-name` instead.

    ## References
    - https://docs.python.org/3/library/pickle.html#restricting-globals
    - https://cwe.mitre.org/data/definitions/502.html
    - https://atlas.mitre.org/techniques/AML.T0011.000
    """
    for found in reached(pickle, Standing.ACTING):
        name = found.target.dotted
        effect = EFFECTS.get(found.name.why, found.name.why)
        verb = "calls" if found.called else "imports"
        shown = ""
        if found.first.args and not found.first.reached:
            shown = "(" + ", ".join(display(a) for a in found.first.args[:3]) + ")"
        times = f", {len(found.uses):,} times" if len(found.uses) > 1 else ""
        how = " (a name put together while loading)" if found.first.reached else ""
        yield Finding(
            message=f"loading this file {verb} {name}{shown}{how}, which {effect}{times}",
            at=pickle.at(found.first.source.offset),
            action=Action.BLOCK,
            symbol=name,
            evidence=(CallTree("What runs on load", root=tree(found.first.source, effect)),),
        )
