"""Check `package-attestation`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from weighbridge.analysis.listed import Answered, answered, moment, together
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.core.location import Location
from weighbridge.intel.advisories.osv import parse

SHOWN: Final = 500


@check("package-attestation", control="dependencies", reads=Audit)
def package_attestation(audit: Audit) -> Iterator[Finding]:
    """What is attested of where releases were built.

    ## Why it matters
    An attestation says which workflow of which repository built a file. A project that publishes so
    needs no password that could be stolen; a release of it without one was uploaded in another way,
    as by somebody who has got hold of an account.

    ## What to do
    Look for the release in the project's repository: a tag, a build, a line in the change log. Take
    the release before it until that is settled.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`) and tells of attestations (PEP
    740). That there is one is what the index says: it is neither fetched nor verified here. A
    project that changed how it publishes is told once.

    ## References
    - https://peps.python.org/pep-0740/
    - https://packaging.python.org/en/latest/specifications/index-hosted-attestations/
    """
    rows: list[tuple[str, str]] = []
    first: Location | None = None
    for one, related in together(answered(audit)):
        said = [file.attested for file in one.files]
        if not said or None in said:
            continue
        first = first or one.wanted.at
        rows.append((one.wanted.told, "yes" if all(said) else "in part" if any(said) else "no"))
        before = None if any(said) else _before(one)
        if before is None:
            continue
        yield Finding(
            message=f"{one.wanted.told} has no attestation of its origin, and {before}, the "
            "release before it, has",
            at=one.wanted.at,
            action=Action.REVIEW,
            symbol=one.told,
            confidence=Confidence.LIKELY,
            related=related,
        )
    if rows and first is not None:
        have = sum(said != "no" for _, said in rows)
        yield Finding(
            message=f"{have:,} of {len(rows):,} releases that are asked for have an attestation of "
            "their origin, which was not verified here",
            at=Location(first.path, first.inside),
            action=Action.NOTE,
            symbol="attestations",
            evidence=(Table("Attestations", ("release", "attested"), tuple(rows[:SHOWN])),),
        )


def _before(one: Answered) -> str | None:
    """The version before this one, if it is attested: the same by time and by number, so that a
    repair of an older series is not taken for a break."""
    own, version = one.files, parse(one.version)
    times = [t for file in own if (t := moment(file.uploaded)) is not None]
    if version is None or not times:
        return None
    uploaded = min(times)
    earlier: dict[str, tuple[datetime, bool]] = {}
    for file in one.listing.files:
        when = moment(file.uploaded)
        if file.version in ("", one.version) or when is None or when >= uploaded:
            continue
        known = earlier.get(file.version, (when, False))
        earlier[file.version] = (min(known[0], when), known[1] or file.attested is True)
    if not earlier:
        return None
    last = max(earlier, key=lambda v: earlier[v][0])
    lower = [p for v in earlier if (p := parse(v)) is not None and p < version]
    same = lower and str(max(lower)) == last
    return last if same and earlier[last][1] else None
