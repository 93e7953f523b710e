"""Check `look-alike-package`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.dependencies import dependencies
from weighbridge.analysis.look_alike import Names
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.packages import listed


@check("look-alike-package", control="dependencies", reads=Audit)
def look_alike_package(audit: Audit) -> Iterator[Finding]:
    """A package is asked for whose name can be taken for a well-known one.

    ## Why it matters
    Names one letter off, with a digit in place of a letter or with `-gpu` put on are registered in
    wait for a slip of the hand, or of a language model; installing such a package runs its code.

    ## What to do
    Look the package up: who publishes it, since when, and whether it is what was meant. If it is
    right, waive the finding with a reason.

    ## Limits
    Held against about 2,000 names that many install. Names of less than five characters are left
    alone, so are names that look like a well-known one and are themselves widely used. About one
    of 230 names that nobody knows is accused wrongly.

    ## References
    - https://attack.mitre.org/techniques/T1195/001/
    - https://cwe.mitre.org/data/definitions/1357.html
    """
    wanted = [w for w in dependencies(audit).wanted if w.key and not w.assumed]
    if not wanted:
        return
    known = listed()
    names = Names(known.popular)
    told: set[str] = set()
    for one in wanted:
        if one.key in told or one.key in known.established or one.said.ecosystem != "PyPI":
            continue
        told.add(one.key)
        like = names.like(one.key)
        if like is not None:
            yield Finding(
                message=f"{one.said.name[:80]} can be taken for {like.target} ({like.how})",
                at=one.at,
                action=Action.REVIEW,
                symbol=one.key,
                confidence=Confidence.LIKELY,
                evidence=(
                    Comparison("The names", "a well-known package", like.target, "asked for",
                               one.said.name[:200]),
                ),
            )  # fmt: skip
