"""What the index of packages says of what is to be installed, where it was asked."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from weighbridge.analysis.dependencies import Dependencies, Wanted, dependencies, shown
from weighbridge.analysis.ownership import PART, ownership
from weighbridge.core.check import Audit
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind, Related
from weighbridge.core.listing import Key, ListedFile, Listing
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import read_whole
from weighbridge.formats.default_index import is_default_index
from weighbridge.intel.advisories.osv import canonical, normalised

METADATA_LIMIT: Final = 1 << 20
PLACES: Final = 500
"""How many further places of one requirement are named."""
_TAG: Final = regex(r"^Tag:\s*(\S+)\s*$", re.MULTILINE)
_FOLDER: Final = regex(r"(?:.*/)?([^/]+)-([^/-]+)\.dist-info/RECORD")


class Installed(Struct, frozen=True, array_like=True):
    """A package of an installed environment: its record, name, version, the tags of the wheel that
    it came from, and why it cannot be held against an index (empty: it can)."""

    record: str
    name: str
    version: str
    tags: tuple[str, ...] = ()
    why: str = ""


class Wishes(Struct, frozen=True):
    """What is to be asked: projects by their index, and installed packages whose wheels are."""

    projects: tuple[Key, ...] = ()
    installed: tuple[Installed, ...] = ()


class Answered(Struct, frozen=True):
    """A requirement and what its index says of the project."""

    wanted: Wanted
    listing: Listing
    index: str

    @property
    def version(self) -> str:
        """The version that is asked for as listings write it, empty where none is."""
        return canonical(self.wanted.version) if self.wanted.version else ""

    @property
    def told(self) -> str:
        """The project and the version, or the bounds, that are asked for."""
        wanted = self.wanted
        return f"{wanted.key} {wanted.version or wanted.specifier}".strip()[:200]

    @property
    def files(self) -> tuple[ListedFile, ...]:
        """The files of that version."""
        return self.listing.of(self.version) if self.version else ()


def wishes(audit: Audit, indexes: tuple[str, ...]) -> Wishes:
    """What is to be asked of which index; of no other than those that may be asked."""
    projects = {
        (index, one.key)
        for one in dependencies(audit).wanted
        if (index := index_of(one, indexes)) is not None
    }
    projects |= {(indexes[0], name) for path in _wheels(audit) if (name := wheel_name(path))}
    installed = tuple(_installed(audit))
    projects |= {(indexes[0], one.name) for one in installed if not one.why}
    return Wishes(tuple(sorted(projects)), installed)


def index_of(wanted: Wanted, indexes: tuple[str, ...]) -> str | None:
    """The index that a requirement is taken from, of those that may be asked; None where it is
    taken from elsewhere, or is no package of Python's."""
    if not wanted.key or wanted.said.url or wanted.assumed or wanted.said.ecosystem != "PyPI":
        return None
    if not wanted.index or is_default_index(wanted.index):
        return indexes[0]
    return next((i for i in indexes if _place(i) == _place(wanted.index)), None)


def _place(address: str) -> tuple[str | None, ...]:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return (None,)
    return (parts.scheme, parts.hostname, str(port or ""), parts.path.rstrip("/"))


def _wheels(audit: Audit) -> Iterator[str]:
    yield from (file.path for file in audit.files if file.path.lower().endswith(".whl"))


def wheel_name(path: str) -> str:
    """The normalised name of the project that a wheel is of, by the name of its file; empty where
    that is no wheel's."""
    try:
        return str(parse_wheel_filename(path.rpartition("/")[2].rpartition(":")[2])[0])
    except (InvalidWheelFilename, ValueError):
        return ""


def _installed(audit: Audit) -> Iterator[Installed]:
    """The packages of the environment that was handed over, by their records."""
    if PART not in audit.joined:
        return
    found = ownership(audit.blobs, [f.path for f in audit.files if f.path.startswith(f"{PART}:")])
    for record in sorted(found.records):
        named = _FOLDER.fullmatch(record.removeprefix(f"{PART}:"))
        vendored = record in found.owned and found.owned[record].sha256
        if named is None or vendored:  # what another package brings is that one's to vouch for
            continue
        folder = record.removesuffix("RECORD")
        installer = _text(audit, f"{folder}INSTALLER").strip().lower()
        why = ""
        if f"{folder}direct_url.json" in audit.blobs:
            why = "it was installed from an address"
        elif installer not in ("pip", "uv", "poetry", "pdm"):
            why = f"it was put there by {installer[:40] or 'nobody who says so'}"
        tags = tuple(sorted(_TAG.findall(_text(audit, f"{folder}WHEEL"))))[:200]
        yield Installed(record, normalised(named[1])[:200], canonical(named[2]), tags, why)


def _text(audit: Audit, path: str) -> str:
    blob = audit.blobs.get(path)
    if blob is None or blob.size > METADATA_LIMIT:
        return ""
    try:
        return read_whole(blob).decode("utf-8", "replace")
    except (OSError, Malformed):
        return ""


def wheel_of(installed: Installed, listing: Listing) -> ListedFile | None:
    """The wheel that an installed package seems to come from: the one of its version that is for
    the same machines; None where none or several are."""
    matching = []
    for file in listing.of(installed.version):
        try:
            tags = parse_wheel_filename(file.name)[3]
        except (InvalidWheelFilename, ValueError):
            continue
        if tuple(sorted(map(str, tags))) == installed.tags:
            matching.append(file)
    return matching[0] if len(matching) == 1 else None


def answered(audit: Audit, found: Dependencies | None = None) -> Iterator[Answered]:
    """The requirements whose projects an index speaks of."""
    asked = audit.index
    if asked is None:
        return
    for one in (found or dependencies(audit)).wanted:
        index = index_of(one, asked.indexes)
        listing = None if index is None else asked.listings.get((index, one.key))
        if index is not None and listing is not None:
            yield Answered(one, listing, index)


def together(those: Iterable[Answered]) -> Iterator[tuple[Answered, tuple[Related, ...]]]:
    """Each version of each project once, with the further places that ask for it."""
    groups: dict[tuple[str, str, str], list[Answered]] = defaultdict(list)
    for one in those:
        groups[one.index, one.wanted.key, one.version].append(one)
    for group in groups.values():
        first = group[0].wanted.at
        others = dict.fromkeys(one.wanted.at for one in group if one.wanted.at != first)
        yield group[0], tuple(Related("also asked for here", at) for at in list(others)[:PLACES])


def moment(written: str) -> datetime | None:
    """A time in ISO 8601, or None where it is none."""
    try:
        made = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        return None
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)


def unanswered(audit: Audit, found: Dependencies) -> Iterator[Gap]:
    """What was asked and not answered, and what was not asked for, file by file."""
    asked = audit.index
    if asked is None:
        return
    reasons: dict[tuple[str, GapKind], Counter[str]] = defaultdict(Counter)
    names: dict[tuple[str, GapKind, str], str] = {}
    for one in found.wanted:
        if one.said.ecosystem != "PyPI" or not one.key or one.said.url:
            continue
        index = index_of(one, asked.indexes)
        if index is None:
            kind = GapKind.NOT_GIVEN
            why = f"{shown(one.index)} is another index, which may not be asked (--index)"
        elif (index, one.key) in asked.listings:
            continue
        else:
            kind = GapKind.OFFLINE
            why = asked.failed.get((index, one.key), "it was not asked")
        reasons[one.at.path, kind][why] += 1
        names.setdefault((one.at.path, kind, why), one.told)
    for (path, kind), counted in sorted(reasons.items()):
        for why, count in sorted(counted.items()):
            many = f"{count:,} packages ({names[path, kind, why]}, …)" if count > 1 else (
                names[path, kind, why]
            )  # fmt: skip
            message = f"what the index knows of {many} was not learned: {why}"
            yield Gap(kind=kind, message=message, at=Location(path))
