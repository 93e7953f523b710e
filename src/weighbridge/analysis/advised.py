"""What the advisories say of one requirement."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from weighbridge.analysis.dependencies import Wanted
from weighbridge.intel.advisories.index import Index, Known, Merged, merged
from weighbridge.intel.advisories.osv import Reach, Standing, fixes, judge, reach


class Hold(StrEnum):
    """How far an advisory holds for a requirement."""

    AFFECTED = "affected"
    """The one version that it asks for is affected."""
    ONLY = "only"
    """It allows affected versions, and none that mends them."""
    MAY = "may"
    """It allows affected versions, and later ones that mend them."""
    WITHDRAWN = "withdrawn"
    """It would hold, and has been withdrawn."""
    UNDECIDED = "undecided"
    """It cannot be compared with."""


class Advised(Struct, frozen=True):
    """A weakness (or a hostile package) that is known, and how far it holds for a requirement."""

    wanted: Wanted
    merged: Merged
    hold: Hold

    def fixed(self, entry: Known) -> tuple[str, ...]:
        """The versions above the wanted one that mend it, by one entry."""
        return fixes(entry.said, self.wanted.version)


def hostile(wanted: Wanted, index: Index) -> Iterator[Advised]:
    """What says that the package itself is hostile."""
    entries = index.of(wanted.key)
    if any(entry.malicious for entry in entries):
        yield from (a for a in _advised(wanted, entries) if a.merged.malicious)


def weaknesses(wanted: Wanted, index: Index) -> Iterator[Advised]:
    """What is known of a requirement beside that, each weakness once."""
    yield from (a for a in _advised(wanted, index.of(wanted.key)) if not a.merged.malicious)


def _advised(wanted: Wanted, entries: tuple[Known, ...]) -> Iterator[Advised]:
    if not wanted.key or (wanted.said.url and wanted.version is None):
        return
    holding: dict[Hold, list[Known]] = {}
    for known in entries:
        hold = _hold(wanted, known)
        if hold is not None:
            holding.setdefault(hold, []).append(known)
    told: set[str] = set()
    for hold in (h for h in Hold if h in holding):
        for one in merged(holding[hold]):
            if told.isdisjoint(one.ids):  # said already, and more firmly, under another name
                told.update(one.ids)
                yield Advised(wanted, one, hold)


def _hold(wanted: Wanted, known: Known) -> Hold | None:
    if wanted.version is not None:
        standing = judge(wanted.version, known.said)
        hold = {Standing.AFFECTED: Hold.AFFECTED, Standing.UNDECIDED: Hold.UNDECIDED}.get(standing)
    else:
        try:
            reached = reach(wanted.specifier, known.said)
        except ValueError:
            return Hold.UNDECIDED
        hold = {Reach.ONLY: Hold.ONLY, Reach.MAY: Hold.MAY}.get(reached)
    return Hold.WITHDRAWN if hold is not None and known.withdrawn else hold
