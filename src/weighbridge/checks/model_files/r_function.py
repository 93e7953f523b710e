"""Check `r-function`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.rdata import RData
from weighbridge.intel.r_calls import PLAIN, effect

SHOWN: Final = 20


@check("r-function", control="payload-scan", reads=RData)
def r_function(data: RData) -> Iterator[Finding]:
    """A function in the file starts programs, connects, or changes files.

    ## Why it matters
    Models of R carry functions (a link function, a method of their own) that `predict` calls. One
    that starts a program or connects does so with the rights of whoever predicts.

    ## What to do
    Read the calls that are shown. A model needs none of them to predict.

    ## Limits
    Functions that packages commonly use (`eval`, `cat`, native routines) are not accused here;
    compiled functions are known by the names that they refer to.

    ## References
    - https://cran.r-project.org/doc/manuals/r-release/R-ints.html
    - https://cwe.mitre.org/data/definitions/94.html
    """
    seen: set[str] = set()
    for call in data.calls:
        does = effect(call.name)
        if call.within != "function" or not does or call.name in PLAIN or call.name in seen:
            continue
        seen.add(call.name)
        if len(seen) <= SHOWN:
            yield Finding(
                message=f"a function in this file calls {call.name}, which {does}",
                at=data.at(call.offset),
                action=Action.REVIEW,
                symbol=call.name,
                evidence=(Text("The call", call.text, "r"),),
            )
    for name in data.names:
        if effect(name) and name not in PLAIN and name not in seen:
            seen.add(name)
            yield Finding(
                message=f"a compiled function in this file refers to {name}, which {effect(name)}",
                at=data.at(),
                action=Action.REVIEW,
                symbol=name,
                confidence=Confidence.LIKELY,
            )
