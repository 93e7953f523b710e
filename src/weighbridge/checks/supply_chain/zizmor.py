"""Check `zizmor`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import ToolFinding, ToolRun
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.location import Location

REVIEWED: Final = frozenset((
    "hardcoded-container-credentials", "insecure-commands", "known-vulnerable-actions",
    "impostor-commit", "typosquat-uses", "unredacted-secrets", "unsound-contains",
    "overprovisioned-secrets", "insecure-url-scheme",
))  # fmt: skip
"""What is for review. All others are notes: either our own engine judges the same by who reaches
it and what is to be had, or it is a matter of habit, or we do not know it."""


SHOWN: Final = 100


@check("zizmor", control="workflows", reads=Audit)
def zizmor(audit: Audit) -> Iterator[Finding | Gap]:
    """zizmor, an analyser of workflows, has something to say as well.

    ## Why it matters
    A second reader with other rules sees what the first one misses: credentials in the definition
    of a container, conditions that do not guard what they seem to.

    ## What to do
    Read what it says of the place; its documentation has a page for every name.

    ## Limits
    Only with the extra `ci` (zizmor 1.32), and offline: what it would ask GitHub about (commits
    that do not belong to a repository, known advisories) is left out. It sees each file alone. Its
    severities change between versions and are shown, never used: a table of ours says what is for
    review, and what the table does not name is a note.

    ## References
    - https://docs.zizmor.sh/audits/
    """
    for run in audit.facts:
        if isinstance(run, ToolRun) and run.tool == "zizmor":
            yield from _of(run)


def _of(run: ToolRun) -> Iterator[Finding | Gap]:
    if run.absent:
        yield Finding(message=run.absent, at=Location("."), action=Action.NOTE, symbol="absent")
        return
    for path, why in run.failed:
        yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(path))
    grouped: defaultdict[tuple[str, str], list[ToolFinding]] = defaultdict(list)
    for said in run.findings:
        reviewed = said.id in REVIEWED
        grouped[said.id, said.at.path if reviewed else ""].append(said)
    for (id, _), those in sorted(grouped.items()):
        those.sort(key=lambda f: (f.at.path, f.at.line or 0))
        rows = tuple((f"{f.at.path}:{f.at.line}", f.job, f.text, f.severity) for f in those[:SHOWN])
        places = f"{len(those):,} places" if len(those) > 1 else "1 place"
        yield Finding(
            message=f"zizmor: {id} ({places}): {those[0].text}",
            at=those[0].at,
            action=Action.REVIEW if id in REVIEWED else Action.NOTE,
            symbol=f"zizmor: {id}",
            confidence=Confidence.LIKELY,
            evidence=(
                Table(
                    f"zizmor {run.version}, sha256 {run.digest[:16]}…",
                    ("place", "job", "what it says", "its severity"),
                    rows,
                ),
            ),
        )
