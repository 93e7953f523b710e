"""Check `r-promise`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.rdata import RData
from weighbridge.intel.r_calls import effect


@check("r-promise", control="payload-scan", reads=RData)
def r_promise(data: RData) -> Iterator[Finding]:
    """The object is a promise: R evaluates an expression of the file when the object is used.

    ## Why it matters
    `readRDS` and `load` take promises from a file as they stand. The first use of the variable
    evaluates the expression with the rights of whoever loads the model, until R 4.4.0 without any
    other step (CVE-2024-27322).

    ## What to do
    Do not load a file whose promise acts. Ask the publisher for plain data, and use R 4.4.0 or
    newer, which refuses promises in `readRDS`.

    ## Limits
    What a promise calls is judged by a list of names; one that calls none of them is still a
    review, since no library saves a model so.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2024-27322
    - https://cwe.mitre.org/data/definitions/502.html
    """
    acting = {c.name: c for c in data.calls if c.within == "promise" and effect(c.name)}
    for promise in data.promises:
        does = [f"{name} {effect(name)}" for name in acting if f"{name}(" in promise.text]
        told = "evaluated when the object is used" if promise.bound else "evaluated on demand"
        yield Finding(
            message=f"an expression in this file is {told}"
            + (f": {', '.join(sorted(does)[:4])}" if does else ""),
            at=data.at(promise.offset),
            action=Action.BLOCK if does else Action.REVIEW,
            symbol=min(does, default="promise"),
            evidence=(Text("The expression", promise.text, "r"),),
        )
