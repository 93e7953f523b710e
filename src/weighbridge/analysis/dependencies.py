"""What is to be installed, over all the files of a target: files that name others are followed,
constraints and locks are applied. Nothing is resolved that no file resolves."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.analysis.image_installs import installs as image_installs
from weighbridge.analysis.image_layers import installed_now
from weighbridge.analysis.repository import is_aside
from weighbridge.analysis.shell_requirements import SYSTEMS
from weighbridge.core.check import Audit, Domain
from weighbridge.core.document import Malformed
from weighbridge.core.fact import (
    ImageBuild,
    ImageReferences,
    IncludedFile,
    Installs,
    Requirement,
    Settings,
)
from weighbridge.core.finding import Action, Gap, GapKind
from weighbridge.core.location import Location, joined, within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.requirements import SIZE_LIMIT, installs, read_lines
from weighbridge.intel.advisories.osv import normalised
from weighbridge.intel.engines import listed as engines
from weighbridge.intel.packages import listed as packages

FILES: Final = 2_000
"""How many files that are named by others are read."""
LOOKED_UP: Final = frozenset({"PyPI", "conda"})
"""The ecosystems whose packages advisories are kept for."""
_LOWER: Final = {Action.BLOCK: Action.REVIEW, Action.REVIEW: Action.NOTE, Action.NOTE: Action.NOTE}
_CI_FOLDER: Final = regex(
    r"(?:.*/)?(?:\.github|\.gitlab|\.circleci|\.buildkite|\.azure[\w-]*|\.jenkins|\.?ci)/"
)
_ASIDE_GROUPS: Final = frozenset({
    "dev", "develop", "development", "test", "tests", "testing", "doc", "docs", "documentation",
    "lint", "linting", "format", "typing", "type", "types", "mypy", "style", "quality", "ci",
    "examples", "benchmark", "benchmarks", "release",
})  # fmt: skip
"""Extras and groups that are asked for by those who work on a project."""
_RUN_ELSEWHERE: Final = frozenset({"image", "script", "ci", "notebook"})
"""Places whose commands name files from a folder that is not told."""


class Wanted(Struct, frozen=True):
    """A requirement as it is judged.

    `key` is the name that advisories know it by (normalised; empty where it has none), `assumed`
    whether that is only taken to be the same package. `specifier` and `version` have the
    constraints applied. `index` is the index that it is taken from, where one is named in place of
    the default one; `beside`: other places are asked as well.
    """

    said: Requirement
    at: Location
    place: str
    key: str
    specifier: str
    version: str | None
    assumed: bool = False
    aside: bool = False
    index: str = ""
    beside: bool = False

    @property
    def told(self) -> str:
        """Name and version, for a reader."""
        name = (self.said.name or shown(self.said.url))[:80]
        return f"{name} {self.version[:60]}" if self.version else f"{name}{self.specifier[:80]}"


class Dependencies(Struct, frozen=True):
    """All that is wanted, the files that say so, and what of them could not be read."""

    wanted: tuple[Wanted, ...]
    files: tuple[Installs, ...]
    gaps: tuple[Gap, ...]


@lru_cache(maxsize=1)
def dependencies(audit: Audit) -> Dependencies:
    """What the files of a target have installed. A dozen checks ask this of the same audit."""
    reading = _Reading(installs_of(audit), audit.blobs)
    gaps = [
        _gap(GapKind.NOT_GIVEN if f.place in _RUN_ELSEWHERE else GapKind.MALFORMED, why, f.at)
        for f in reading.files
        for why in f.unread
    ]
    gaps += [gap for fact in reading.files for gap in _of_systems(fact)]
    return Dependencies(
        tuple(_wanted(reading, audit)), tuple(reading.files), (*gaps, *reading.gaps)
    )


def installs_of(audit: Audit) -> list[Installs]:
    """What the files of a target say is to be installed, each by itself: without what an upper
    layer of an image hides, with what the builds of images install."""
    said = installed_now((f for f in audit.facts if isinstance(f, Installs)), audit)
    builds = (image_installs(fact) for fact in audit.facts if isinstance(fact, ImageBuild))
    return said + [made for made in builds if made is not None]


def lies_aside(fact: Installs | ImageReferences | ImageBuild, audit: Audit) -> bool:
    """Whether what a file asks for serves CI, or tests, examples and documentation of a repository
    of source code: there it is judged one step lower."""
    path = fact.at.path
    if not isinstance(fact, ImageBuild) and fact.place == "ci":
        return True
    inner = within(path)[1]
    return audit.domain(path) is Domain.SOURCE and (
        is_aside(inner) or _CI_FOLDER.match(inner) is not None
    )


def weighed(action: Action, aside: bool) -> Action:
    """An action, one step lower for what lies aside."""
    return _LOWER[action] if aside else action


def _of_systems(fact: Installs) -> Iterator[Gap]:
    """What is installed from elsewhere than Python's packages. What a system has installed, the
    check `affected-system-package` answers."""
    others = Counter(
        (r.ecosystem, bool(r.source) and r.ecosystem in SYSTEMS)
        for r in fact.requirements
        if r.ecosystem not in LOOKED_UP and not is_judged(fact, r)
    )
    for (ecosystem, released), count in sorted(others.items()):
        if released:
            what = "which versions it will have is told when it is built"
        elif ecosystem in SYSTEMS:
            what = "of which release is not told"
        else:
            what = "no advisories of those are kept"
        why = f"{count:,} packages of {ecosystem} are named here: {what}"
        yield _gap(GapKind.NOT_GIVEN, why, fact.at)


def is_judged(fact: Installs, said: Requirement) -> bool:
    """Whether a system's package is held against the advisories of its release: it is installed, or
    its version and the release that it is of are told."""
    return said.ecosystem in SYSTEMS and (
        fact.place == "installed" or bool(said.source and said.version)
    )


def _gap(kind: GapKind, why: str, at: Location) -> Gap:
    return Gap(kind=kind, message=why, at=Location(at.path, at.inside))


class _Reading:
    """The files that say what is to be installed, those that they name among them. `groups` joins
    the files that pip reads together, so that a constraint of one holds for all."""

    def __init__(self, said: list[Installs], blobs: Mapping[str, Blob]) -> None:
        self.blobs = blobs
        self.files: list[Installs] = []
        self.gaps: list[Gap] = []
        self.groups: dict[str, str] = {}
        self.bounding: set[str] = set()
        self.asking: set[str] = set()
        self.known = {fact.at.path for fact in said}
        waiting = list(reversed(said))
        while waiting:
            fact = waiting.pop()
            self.files.append(fact)
            for named in fact.files:
                found = self._include(fact, named)
                if found is not None:
                    self.known.add(found.at.path)
                    waiting.append(found)

    def _include(self, fact: Installs, named: IncludedFile) -> Installs | None:
        at, told = fact.at, f"line {named.line:,} names {named.path[:120]}"
        if "://" in named.path:
            self.gaps.append(_gap(GapKind.UNSUPPORTED, f"{told}, an address: not read", at))
            return None
        if at.inside and not (fact.place == "notebook" and len(at.inside) == 1):
            self.gaps.append(_gap(GapKind.UNSUPPORTED, f"{told}, inside an archive: not read", at))
            return None
        path = self._place(fact, named.path)
        if path is None:
            why = f"{told}, which lies outside of the target: not read"
            self.gaps.append(_gap(GapKind.UNSUPPORTED, why, at))
            return None
        (self.bounding if named.constraint else self.asking).add(path)
        self.groups[self.group(path)] = self.group(at.path)
        if path in self.known:
            return None
        blob = self.blobs.get(path)
        if blob is None:
            why = f"{told}, which is not there"
            self.gaps.append(_gap(GapKind.UNREADABLE, why, at))
            return None
        if len(self.files) >= FILES or blob.size > SIZE_LIMIT:
            self.gaps.append(_gap(GapKind.TOO_LARGE, f"{told}, which is too much to read", at))
            return None
        try:
            text = blob.read(0, blob.size).decode("utf-8-sig", "replace")
        except (OSError, Malformed) as error:
            self.gaps.append(_gap(GapKind.UNREADABLE, f"{told}: {error}", at))
            return None
        return installs(Location(path), "requirements", tuple(read_lines(text)))

    def _place(self, fact: Installs, named: str) -> str | None:
        """Where a file that is named lies. The build of an image, and scripts, take files from a
        folder that they do not name: the one that their own file is in, or one above."""
        path = _beside(fact.at.path, named)
        if fact.place not in _RUN_ELSEWHERE or path in self.blobs or path in self.known:
            return path
        above = [fact.at.path]
        while "/" in above[-1]:
            above.append(above[-1].rpartition("/")[0])
        places = (_beside(place, named) for place in above)
        return next((p for p in places if p in self.blobs or p in self.known), path)

    def group(self, path: str) -> str:
        """The file that stands for all that are read together with this one."""
        while (parent := self.groups.get(path, path)) != path:
            path = parent
        return path


def _beside(path: str, other: str) -> str | None:
    """Where a file that is named by one at `path` lies, or None where that is outside of the part
    of the target that it belongs to."""
    part, inner = within(path)
    found = posixpath.normpath(posixpath.join(posixpath.dirname(inner), other.replace("\\", "/")))
    if posixpath.isabs(found) or found.partition("/")[0] == "..":
        return None
    return joined(part, found)


def _wanted(reading: _Reading, audit: Audit) -> Iterator[Wanted]:
    bounds: dict[tuple[str, str], list[Requirement]] = defaultdict(list)
    locked: set[tuple[str, str]] = set()
    for fact in reading.files:
        folder = posixpath.dirname(fact.at.path)
        for requirement in fact.requirements:
            key = normalised(requirement.name)
            if _bounds(reading, fact):
                bounds[reading.group(fact.at.path), key].append(requirement)
            elif fact.place == "lock":
                locked.add((folder, key))
    places = _places(reading)
    for fact in reading.files:
        if _bounds(reading, fact):
            continue
        folder, group = posixpath.dirname(fact.at.path), reading.group(fact.at.path)
        aside = lies_aside(fact, audit)
        for requirement in fact.requirements:
            key = normalised(requirement.name)
            if requirement.ecosystem not in LOOKED_UP:
                continue
            if fact.place in ("project", "conda") and not requirement.version and (
                (folder, key) in locked
            ):  # fmt: skip
                continue
            made = _judged(fact, requirement, bounds[group, key], aside)
            index, beside = places.get(group, places.get("", ("", False)))
            yield replace(made, index=requirement.source or index, beside=beside)


def _places(reading: _Reading) -> dict[str, tuple[str, bool]]:
    """For each group of files the index that is named in place of the default one, and whether
    other places are asked as well. Settings by themselves (`pip.conf`) hold for every group, and
    stand under the empty name."""
    named: dict[str, str] = {}
    beside: dict[str, bool] = defaultdict(bool)
    for fact in reading.files:
        group = "" if not fact.requirements and not fact.files else reading.group(fact.at.path)
        for index in fact.indexes:
            if index.kind == "index":
                named[group] = index.said
            beside[group] |= index.kind in ("extra", "find-links", "no-index", "strategy")
    groups = {"", *named, *beside}
    return {
        g: (named.get(g) or named.get("", ""), beside.get(g, False) or beside.get("", False))
        for g in groups
    }


def _bounds(reading: _Reading, fact: Installs) -> bool:
    """Whether a file only bounds versions: it is named so, and by nothing as requirements."""
    path = fact.at.path
    return path not in reading.asking and (path in reading.bounding or fact.place == "constraints")


def _judged(fact: Installs, said: Requirement, bounds: list[Requirement], aside: bool) -> Wanted:
    key, assumed = normalised(said.name), False
    if said.ecosystem == "conda":
        mapped = packages().conda.get(said.name.lower())
        key, assumed = (key, True) if mapped is None else (mapped, False)
    made = Wanted(
        said=said,
        at=msgspec.structs.replace(fact.at, line=said.line or None),
        place=fact.place,
        key=key,
        specifier=said.specifier,
        version=said.version,
        assumed=assumed,
        aside=aside or said.group.lower() in _ASIDE_GROUPS,
    )
    if said.url:
        return made
    for bound in bounds:
        joined = ",".join(s for s in (made.specifier, bound.specifier) if s)
        made = replace(made, specifier=joined, version=made.version or bound.version)
    return made


def shown(target: str) -> str:
    """An address for a reader, without the login in it."""
    head, found, rest = target.partition("://")
    place, slash, path = rest.partition("/")
    return f"{head}{found}{place.rpartition('@')[2]}{slash}{path}"[:160] if found else target[:160]


def loads(key: str, audit: Audit) -> str:
    """What of this model a package loads, by the name of a format; empty where it loads nothing."""
    formats = engines().loaders.get(key, ())
    present = {name for artifact in audit.artifacts for name in artifact.formats}
    present |= {fact.kind for fact in audit.facts if isinstance(fact, Settings)}
    met = next((name for name in formats if name in present), "")
    return "its configuration" if met in ("config", "adapter") else met


def role(key: str, audit: Audit) -> str:
    """What a package is to this model, in words: what loads it, what serves it, or nothing."""
    if met := loads(key, audit):
        return f"it loads this model: {met}"
    return "it serves models" if key in engines().engines else ""
