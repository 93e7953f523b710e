"""An advisory in OSV's form, and whether it speaks of a version.

Schema and the algorithm of evaluation: https://ossf.github.io/osv-schema/. Versions are compared as
their ecosystem does: by PEP 440, or as dpkg and apk do. What is no version is compared as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Final

from msgspec import Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from weighbridge.core.regex import regex
from weighbridge.intel.advisories import system_versions

_PLAIN: Final = regex(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8}))*")
_RUNS: Final = regex(r"[-_.]+")
_RANK: Final = {"introduced": 2, "fixed": 0, "last_affected": 1, "limit": 0}
VERSION_LIMIT: Final = 200
"""Characters; a longer version is compared as text."""


class Package(Struct, frozen=True):
    """Which package an advisory speaks of."""

    ecosystem: str = ""
    name: str = ""


class RawRange(Struct, frozen=True):
    """A range as it is written; an event has one key."""

    type: str = ""
    events: tuple[dict[str, str], ...] = ()


class RawAffected(Struct, frozen=True):
    """What is said of one package."""

    package: Package | None = None
    versions: tuple[str, ...] | None = None
    ranges: tuple[RawRange, ...] | None = None
    ecosystem_specific: Any = None
    database_specific: Any = None


class Score(Struct, frozen=True):
    """A rating, as a vector of CVSS."""

    type: str = ""
    score: str = ""


class Advisory(Struct, frozen=True):
    """What is read of an advisory; the whole is kept beside it."""

    id: str
    modified: str
    withdrawn: str | None = None
    aliases: tuple[str, ...] | None = None
    summary: str | None = None
    details: str | None = None
    severity: tuple[Score, ...] | None = None
    affected: tuple[RawAffected, ...] | None = None
    database_specific: Any = None


class Affected(Struct, frozen=True, array_like=True):
    """What an advisory says of one package, as it is kept: its canonical versions in one text, a
    line for each (most are never looked at, and a text is read at once), and for each range its
    events as pairs of a kind and a version, sorted."""

    listed: str = ""
    ranges: tuple[tuple[tuple[str, str], ...], ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that it lists."""
        return tuple(self.listed.split("\n")[1:-1])

    def lists(self, version: str) -> bool:
        """Whether it lists a version, given in its canonical spelling."""
        return f"\n{version}\n" in self.listed


class Standing(StrEnum):
    """What an advisory says of a version."""

    AFFECTED = "affected"
    CLEAR = "clear"
    UNDECIDED = "undecided"
    """It names the package, and not in a way that this version can be compared with."""


@lru_cache(maxsize=100_000)
def normalised(name: str) -> str:
    """A package's name by PEP 503: what differs only in case, `-`, `_` and `.` is the same."""
    return _RUNS.sub("-", name).lower()


@lru_cache(maxsize=200_000)
def canonical(version: str) -> str:
    """The one spelling of a version (`1.0.0` and `v1` are `1`); what is no version stays."""
    if _PLAIN.fullmatch(version):
        while version.endswith(".0"):
            version = version[:-2]
        return version
    parsed = parse(version)
    return " ".join(version.split()) if parsed is None else canonicalize_version(parsed)


@lru_cache(maxsize=50_000)
def parse(version: str) -> Version | None:
    """A version of PEP 440, or None."""
    if len(version) > VERSION_LIMIT:
        return None
    try:
        return Version(version)
    except (InvalidVersion, ValueError):  # ValueError: a number of more digits than Python takes
        return None


PYTHON: Final = "PyPI"
_ORDERS: Final[dict[str, Callable[[str], Any]]] = {
    PYTHON: parse,
    "Debian": system_versions.debian,
    "Ubuntu": system_versions.debian,
    "Alpine": system_versions.alpine,
}
ECOSYSTEMS: Final = frozenset(_ORDERS)
"""The ecosystems whose versions can be compared; a release is named after a colon (`Debian:12`)."""


def base_of(ecosystem: str) -> str:
    """An ecosystem without its release."""
    return ecosystem.partition(":")[0]


def order_of(ecosystem: str) -> Callable[[str], Any]:
    """What makes of a version something that sorts, or None where it is no version there."""
    return _ORDERS[base_of(ecosystem)]


def name_in(name: str, ecosystem: str) -> str:
    """A package's name as its ecosystem compares names."""
    return normalised(name) if base_of(ecosystem) == PYTHON else name


def read_affected(said: RawAffected, ecosystem: str = PYTHON) -> Affected:
    """What is kept of what an advisory says of a package. Ranges of commits are left out; so are
    the versions of a system's package that are spelled out beside its ranges."""
    order = order_of(ecosystem)
    ranges = []
    for raw in said.ranges or ():
        if raw.type == "GIT":
            continue
        events = [(kind, v) for event in raw.events for kind, v in event.items() if kind in _RANK]
        if events:
            ranges.append(tuple(sorted(events, key=partial(_event_order, order))))
    if base_of(ecosystem) != PYTHON:
        listed = "" if ranges else "".join(f"{v}\n" for v in said.versions or ())
        return Affected(f"\n{listed}" if listed else "", tuple(ranges))
    versions = "\n".join(dict.fromkeys(map(canonical, said.versions or ())))
    return Affected(f"\n{versions}\n" if versions else "", tuple(ranges))


def _event_order(order: Callable[[str], Any], event: tuple[str, str]) -> tuple[object, ...]:
    kind, version = event
    if kind == "introduced" and version == "0":
        return (0,)
    parsed = order(version)
    if parsed is None:
        return (2, version, _RANK[kind])
    return (1, parsed, _RANK[kind])


def spellings(version: str) -> tuple[str, ...]:
    """The versions that a version is judged as: itself, and a build of one's own (`2.0.0+cu118`)
    also as the public version that it is a build of."""
    parsed = parse(version)
    if parsed is None:
        return (version,)
    return (str(parsed),) if parsed.local is None else (str(parsed), parsed.public)


def judge(version: str, said: Affected, ecosystem: str = PYTHON) -> Standing:
    """Whether an advisory speaks of a version. One that is listed is affected, whatever the
    ranges say."""
    order = order_of(ecosystem)
    if base_of(ecosystem) != PYTHON:
        return _judge(version, version, said, order)
    standings = [_judge(s, canonical(s), said, order) for s in spellings(version)]
    for standing in (Standing.AFFECTED, Standing.UNDECIDED):
        if standing in standings:
            return standing
    return Standing.CLEAR


def _judge(version: str, listed: str, said: Affected, order: Callable[[str], Any]) -> Standing:
    if said.lists(listed):
        return Standing.AFFECTED
    standings = [_in_range(order(version), events, order) for events in said.ranges]
    if Standing.AFFECTED in standings:
        return Standing.AFFECTED
    undecided = Standing.UNDECIDED in standings or not (standings or said.listed)
    if undecided and not said.listed:
        return Standing.UNDECIDED
    return Standing.CLEAR


def _in_range(
    version: Any, events: tuple[tuple[str, str], ...], order: Callable[[str], Any]
) -> Standing:
    kinds = {kind for kind, _ in events}
    if version is None:
        everything = ("introduced", "0") in events and kinds == {"introduced"}
        return Standing.AFFECTED if everything else Standing.UNDECIDED
    inside, within = False, "limit" not in kinds
    for kind, text in events:
        if kind == "limit":
            bound = order(text)
            if text != "*" and bound is None:
                return Standing.UNDECIDED
            within = within or bound is None or version < bound
            continue
        if kind == "introduced" and text == "0":
            inside = True
            continue
        place = order(text)
        if place is None:
            return Standing.UNDECIDED
        if kind == "introduced" and version >= place:
            inside = True
        elif (kind == "fixed" and version >= place) or (
            kind == "last_affected" and version > place
        ):
            inside = False
    return Standing.AFFECTED if inside and within else Standing.CLEAR


def fixes(said: Affected, version: str | None = None, ecosystem: str = PYTHON) -> tuple[str, ...]:
    """The versions that mend it, in order; above `version` only, where one is given."""
    order = order_of(ecosystem)
    parsed = None if version is None else order(version)
    found = {v for events in said.ranges for kind, v in events if kind == "fixed"}
    known = [(p, v) for v in found if (p := order(v)) is not None and (not parsed or p > parsed)]
    return tuple(v for _, v in sorted(known))


class Reach(StrEnum):
    """What a range of versions may resolve to."""

    ONLY = "only"
    """Affected versions are allowed, and none that mends them."""
    MAY = "may"
    """Affected versions are allowed, and later ones that mend them."""
    NEVER = "never"


def reach(specifier: str, said: Affected) -> Reach:
    """What an open requirement may resolve to, of what an advisory says.

    What it allows is tried on the versions that the advisory names: those it lists, and the ends
    of its ranges. Raises `ValueError` where the specifier is none.
    """
    try:
        allowed = SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise ValueError(str(error)) from None
    named = list(said.versions)
    for events in said.ranges:
        named += [v for kind, v in events if kind in ("introduced", "last_affected")]
    everything = any(
        not {"fixed", "last_affected", "limit"} & {kind for kind, _ in events}
        for events in said.ranges
    )
    mended = fixes(said)
    hit = any(judge(v, said) is Standing.AFFECTED for v in _allowed(allowed, named))
    if not hit and everything:
        # Nothing ends it: what the requirement names itself lies inside as well.
        bounds = [s.version.removesuffix(".*") for s in allowed]
        hit = any(judge(v, said) is Standing.AFFECTED for v in bounds) or not bounds
    if not hit:
        return Reach.NEVER
    free = any(kind == "last_affected" for events in said.ranges for kind, _ in events)
    later = any(True for _ in _allowed(allowed, mended)) or (free and not _bounded(allowed))
    return Reach.MAY if later else Reach.ONLY


def _allowed(specifiers: SpecifierSet, versions: Iterable[str]) -> Iterable[str]:
    for version in versions:
        parsed = parse(version)
        if parsed is not None and specifiers.contains(parsed, prereleases=True):
            yield version


def _bounded(specifiers: SpecifierSet) -> bool:
    return any(s.operator in ("<", "<=", "==", "===", "~=") for s in specifiers)
