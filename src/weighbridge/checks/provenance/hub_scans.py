"""Check `hub-scans`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.origin import Scan

SHOWN: Final = 50
ACCUSING: Final = frozenset({"unsafe", "infected", "malicious", "suspicious", "caution"})


@check("hub-scans", control="payload-scan", reads=Audit)
def hub_scans(audit: Audit) -> Iterator[Finding]:
    """What the scanners of the Hub said of these files, beside what was found here.

    ## Why it matters
    Five scanners look at what is uploaded to the Hub, and its own client drops the verdicts of
    three. An accusation is a reason to look; a clean bill is none to stop, since each of them has
    been evaded.

    ## What to do
    Read what was found here about the files that are accused. Where nothing was, ask what the
    scanner has seen.

    ## Limits
    Their verdicts are quoted as they stand on the day of the audit, with their dates. They change
    no verdict of ours for the better.

    ## References
    - https://huggingface.co/docs/hub/security-malware
    """
    origin = audit.origin
    if origin is None or not origin.scans:
        return
    by_path: dict[str, list[Scan]] = {}
    for scan in origin.scans:
        if scan.status.casefold() in ACCUSING:
            by_path.setdefault(scan.path, []).append(scan)
    for path, scans in sorted(by_path.items()):
        names = ", ".join(sorted({s.scanner for s in scans}))
        yield Finding(
            message=f"{names} accuse{'s' if len(scans) == 1 else ''} this file on the Hub",
            at=Location(path),
            action=Action.REVIEW,
            symbol=path,
            evidence=(_table(scans),),
        )
    counts = Counter(f"{s.scanner}: {s.status}" for s in origin.scans)
    told = "; ".join(f"{what} ({n:,})" for what, n in sorted(counts.items()))
    yield Finding(
        message=f"the Hub's scanners say: {told}"[:400],
        at=Location("."),
        action=Action.NOTE,
        symbol="scanners",
        evidence=(_table(list(origin.scans)),),
    )


def _table(scans: list[Scan]) -> Table:
    rows = tuple((s.path, s.scanner, s.status, s.message, s.date or "") for s in scans[:SHOWN])
    more = f" (the first {SHOWN} of {len(scans):,})" if len(scans) > SHOWN else ""
    return Table(f"What they said{more}", ("file", "scanner", "status", "message", "date"), rows)
