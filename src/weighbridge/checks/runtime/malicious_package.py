"""Check `malicious-package`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from weighbridge.analysis.advised import Advised, Hold, hostile
from weighbridge.analysis.dependencies import dependencies
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.advisories.index import Index, NoIndex


@check("malicious-package", control="dependencies", reads=Audit)
def malicious_package(audit: Audit) -> Iterator[Finding]:
    """A package is asked for that is known to be hostile.

    ## Why it matters
    Installing a package runs its code. Names that are one letter off, releases of a stolen
    account and packages made for one victim are published as advisories of their own (`MAL-…`)
    once they are found.

    ## What to do
    Take the requirement out. Where it has been installed, treat the machine and every secret that
    it held as lost.

    ## Limits
    As good as the advisories that `weighbridge update` fetched; without them the check
    `affected-version` says that nothing was looked up. A hostile package is known only once
    somebody has found it.

    ## References
    - https://github.com/ossf/malicious-packages
    - https://cwe.mitre.org/data/definitions/506.html
    """
    if audit.advisories is None:
        return
    wanted = dependencies(audit).wanted
    try:
        with Index(Path(audit.advisories)) as index:
            said = [a for w in wanted for a in hostile(w, index)]
    except NoIndex:
        return  # `affected-version` says so
    for one in said:
        yield _finding(one)


def _finding(one: Advised) -> Finding:
    wanted, merged = one.wanted, one.merged
    certain = one.hold in (Hold.AFFECTED, Hold.ONLY) and not wanted.assumed
    says = {
        Hold.MAY: "may resolve to a hostile release",
        Hold.WITHDRAWN: "was once called hostile, which has been withdrawn",
        Hold.UNDECIDED: "bears the name of a hostile package, and its version cannot be compared",
    }.get(one.hold, "is known to be hostile")
    soft = Action.NOTE if one.hold is Hold.WITHDRAWN else Action.REVIEW
    rows = tuple((e.id, e.modified[:10], e.summary[:200]) for e in merged.entries)
    return Finding(
        message=f"{wanted.told} {says} ({merged.ids[0]})",
        at=wanted.at,
        action=Action.BLOCK if certain else soft,
        symbol=f"{wanted.key} {merged.ids[0]}",
        confidence=Confidence.LIKELY if wanted.assumed else Confidence.CONFIRMED,
        evidence=(Table("Advisories", ("name", "changed", "what"), rows),),
    )
