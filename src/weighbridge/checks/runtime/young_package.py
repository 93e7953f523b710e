"""Check `young-package`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from weighbridge.analysis.listed import Answered, answered, moment, together
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.packages import listed

PROJECT: Final = timedelta(days=30)
"""A project whose first file is younger is young."""
RELEASE: Final = timedelta(days=7)
"""So is a release."""


@check("young-package", control="dependencies", reads=Audit)
def young_package(audit: Audit) -> Iterator[Finding]:
    """A package or a release is asked for that has been on its index for a few days only.

    ## Why it matters
    Hostile packages and hostile releases of stolen accounts are mostly found within days; who waits
    has not installed them. A name that appears now and is already in a requirement is what
    registering names that language models make up looks like.

    ## What to do
    A new project: look up who publishes it and whether it is what was meant. A new release: take
    the one before it, or wait (uv: `exclude-newer`, pip: `--uploaded-prior-to`).

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`) and tells times of uploads. The
    first file that is still there counts as the beginning of a project; one whose older releases
    were deleted looks younger than it is.

    ## References
    - https://peps.python.org/pep-0700/
    - https://cwe.mitre.org/data/definitions/1357.html
    """
    now = moment(audit.index.day) if audit.index is not None else None
    if now is None:
        return
    known = frozenset(listed().popular)
    for one, related in together(answered(audit)):
        first = _first(one, "")
        release = _first(one, one.version) if one.version else None
        wanted = one.wanted
        if first is not None and now - first < PROJECT and wanted.key not in known:
            said, action, begun = "is a project that is", Action.REVIEW, first
        elif release is not None and now - release < RELEASE:
            said, action, begun = "is a release that is", Action.NOTE, release
        else:
            continue
        days = max(0, (now - begun).days)
        age = f"{days:,} days old" if days != 1 else "one day old"
        yield Finding(
            message=f"{wanted.told} {said} {age}: its first file was uploaded on "
            f"{begun.date().isoformat()}",
            at=wanted.at,
            action=action,
            symbol=one.told,
            confidence=Confidence.LIKELY,
            related=related,
            evidence=(_table(one, begun),),
        )


def _first(one: Answered, version: str) -> datetime | None:
    """When the first file of a version, or of all, was uploaded; None where a time is missing."""
    files = one.listing.of(version) if version else one.listing.files
    times = [moment(file.uploaded) for file in files]
    known = [time for time in times if time is not None]
    return min(known) if known and len(known) == len(times) else None


def _table(one: Answered, begun: datetime) -> Table:
    first = next((f for f in one.listing.files if moment(f.uploaded) == begun), None)
    rows = (("first file", first.name if first else ""), ("uploaded", begun.isoformat()),
            ("files in all", f"{len(one.listing.files):,}"))  # fmt: skip
    return Table(f"What {one.index} says", ("what", "said"), rows)
