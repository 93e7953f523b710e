"""The packages of systems that were unpacked (a root file system, the layers of an image), and by
which release's advisories they are to be judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.dependencies import installs_of, is_judged, lies_aside
from weighbridge.core.check import Audit
from weighbridge.core.fact import Installs, OperatingSystem, Requirement
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex
from weighbridge.intel.images import release as numbered

_PLACE: Final = regex(
    r"(?:var/lib/dpkg/status|(?:usr/)?lib/apk/db/installed|(?:etc|usr/lib)/os-release)$"
)
_UBUNTU: Final = regex(r"(\d\d)\.(\d\d)")
_ALPINE: Final = regex(r"(\d+)\.(\d+)(?:\.\d+)?(?:_alpha\d+)?")


class SystemPackage(Struct, frozen=True):
    """An installed package; `key` and `version` are the name and version of what it was built from,
    which advisories speak of. `assumed`: what it was built from is not told, and taken to be called
    as it is."""

    said: Requirement
    key: str
    version: str
    assumed: bool = False


class System(Struct, frozen=True):
    """The list of packages of one system. `ecosystem` is the release as advisories call it
    (`Debian:12`), empty where `why` says that it is not known. `aside`: it serves tests or
    examples."""

    at: Location
    name: str
    ecosystem: str
    packages: tuple[SystemPackage, ...]
    why: str = ""
    aside: bool = False


def systems(audit: Audit) -> Iterator[System]:
    """The systems whose lists of packages are in a target, each with its release: the one that its
    own root names, or, where its root names none, the only one that the target names. What a bill
    of materials lists and what a build asks for in one version is of the release that is named with
    it."""
    releases = [fact for fact in audit.facts if isinstance(fact, OperatingSystem)]
    named = {_root(fact.at): fact for fact in releases}
    for fact in installs_of(audit):
        those = [r for r in fact.requirements if r.version and is_judged(fact, r)]
        if not those:
            continue
        if fact.place != "installed":
            yield from _listed(fact, those, lies_aside(fact, audit))
            continue
        release = named.get(_root(fact.at))
        near = {(r.id, r.version): r for r in releases if _part(r.at) == _part(fact.at)}
        if release is None and len(near) == 1:
            release = next(iter(near.values()))
        ecosystem, why = _ecosystem(release)
        yield System(
            at=fact.at,
            name=release.name if release is not None else those[0].ecosystem,
            ecosystem=ecosystem,
            packages=tuple(_package(r) for r in those),
            why=why,
        )


def _listed(fact: Installs, those: list[Requirement], aside: bool) -> Iterator[System]:
    """What a file lists with the release that it is of."""
    groups: dict[str, list[Requirement]] = defaultdict(list)
    for requirement in those:
        groups[requirement.source].append(requirement)
    for source, listed in sorted(groups.items()):
        id, _, version = source.partition("-")
        number = numbered(id, version)
        release = OperatingSystem(
            at=fact.at, id=id, version=number, name=f"{id.capitalize()} {number}".strip()[:80]
        )
        ecosystem, why = _ecosystem(release)
        packages = tuple(_package(r, assumed=not r.built_from[0]) for r in listed)
        yield System(fact.at, release.name, ecosystem, packages, why, aside)


def _package(said: Requirement, assumed: bool = False) -> SystemPackage:
    name, version = said.built_from
    return SystemPackage(said, name or said.name, version or said.version or "", assumed)


def _root(at: Location) -> tuple[str, ...]:
    """Where the root lies that a file is of."""
    *outer, last = (at.path, *at.inside)
    return (*outer, _PLACE.sub("", last.removeprefix("./")))


def _part(at: Location) -> str:
    return within(at.path)[0]


def _ecosystem(release: OperatingSystem | None) -> tuple[str, str]:
    """The release as advisories call it, or why that is not known."""
    if release is None:
        return "", "which release of which system it is, is not said (no os-release)"
    id, version = release.id, release.version
    if id == "debian":
        whole = version.partition(".")[0]
        return (f"Debian:{whole}", "") if whole.isdecimal() else ("", _unnumbered(release))
    if id == "ubuntu" and (read := _UBUNTU.fullmatch(version)):
        long = int(read[1]) % 2 == 0 and read[2] == "04"
        return f"Ubuntu:{version}" + (":LTS" if long else ""), ""
    if id == "alpine" and (read := _ALPINE.fullmatch(version)):
        return f"Alpine:v{read[1]}.{read[2]}", ""
    if id in ("debian", "ubuntu", "alpine"):
        return "", _unnumbered(release)
    return "", f"no advisories of {release.name} are kept"


def _unnumbered(release: OperatingSystem) -> str:
    return f"{release.name} names no release that advisories know"
