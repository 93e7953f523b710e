"""Check `pickle-state-change`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.pickle_calls import state_changes, tree
from weighbridge.core.check import check
from weighbridge.core.evidence import CallTree
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.pickle import Pickle


@check("pickle-state-change", control="payload-scan", reads=Pickle)
def state_change(pickle: Pickle) -> Iterator[Finding]:
    """Loading this pickle overwrites part of something that it imported.

    ## Why it matters
    BUILD and SETITEM normally fill an object that the pickle has just made. Applied to an
    imported module, class or mapping they replace functions of the running interpreter: the next
    ordinary call then runs the attacker's choice.

    ## What to do
    Do not load the file; no library writes such pickles.

    ## Limits
    Changes made by code that the pickle calls are seen as calls, not as changes.

    ## References
    - https://docs.python.org/3/library/pickletools.html
    - https://cwe.mitre.org/data/definitions/915.html
    """
    seen: set[str] = set()
    for call, target in state_changes(pickle):
        if target.dotted in seen:
            continue
        seen.add(target.dotted)
        yield Finding(
            message=f"loading this file overwrites parts of {target.dotted} ({call.how})",
            at=pickle.at(call.offset),
            action=Action.BLOCK,
            symbol=target.dotted,
            evidence=(CallTree("What is written", root=tree(call, "changes the interpreter")),),
        )
