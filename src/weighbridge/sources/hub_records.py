"""What the Hub's client records of a repository on this machine.

Layout (huggingface_hub 2.4): `<cache>/models--org--name/` holds `snapshots/<commit>/…` (links),
`blobs/<etag>` (what they lead to; the etag is the sha256 of large files and git's name of small
ones), `refs/<name>` (a commit) and `trees/<commit>.json` (every file of that commit with its
digest). A blob may itself lead to `<cache>/blobs/<xx>/<xet hash>`, which repositories share.

All of it is the word of whoever can write there: the digests prove that nothing was damaged or
exchanged since the download, not that the Hub said so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Declared
from weighbridge.core.regex import regex
from weighbridge.sources.records import (
    GIT,
    SHA256,
    decode,
    gap,
    line,
    mapping,
    number,
    read,
    read_inside,
    text,
)
from weighbridge.sources.remote import SourceError

TREE_LIMIT: Final = 64 << 20
REFERENCES: Final = 10_000
DECLARED: Final = 500_000
"""How many files of all revisions together are declared."""
NAMED: Final = 100
"""How many unfinished downloads are named one by one."""
SHARED_MARKER: Final = ".huggingface-shared-blobs"
REPOSITORY: Final = regex(r"(models|datasets|spaces)--(.+)")
_TAG: Final = b"Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag"
_SORTS: Final = {"models": "model", "datasets": "dataset", "spaces": "space"}
_SHARED_LINE: Final = regex(r"(?:(?:models|datasets|spaces)--[^/\n]+/blobs/[^/\n]+\n)*")


class Repository(Struct, dict=True):
    """`models--org--name` in a cache, and what its records say."""

    place: Path

    def __post_init__(self) -> None:
        found = REPOSITORY.fullmatch(self.place.name)
        assert found is not None
        self.sort, self.id = _SORTS[found[1]], found[2].replace("--", "/")

    @cached_property
    def commits(self) -> tuple[str, ...]:
        """The revisions that are here, sorted."""
        try:
            if (self.place / "snapshots").is_symlink():
                return ()
            with os.scandir(self.place / "snapshots") as scan:
                return tuple(sorted(e.name for e in scan if e.is_dir(follow_symlinks=False)))
        except OSError:
            return ()

    @cached_property
    def references(self) -> tuple[dict[str, str], list[Gap]]:
        """The commit that each branch, tag or request was resolved to; gaps at relative paths."""
        found: dict[str, str] = {}
        gaps: list[Gap] = []
        for name in files_below(self.place / "refs", REFERENCES):
            try:
                commit = line(self.place / "refs" / name)
            except SourceError as error:
                gaps.append(gap(GapKind.MALFORMED, error.why, f"refs/{name}"))
                continue
            if not GIT.fullmatch(commit):
                gaps.append(gap(GapKind.MALFORMED, "it names no commit", f"refs/{name}"))
                continue
            found[name] = commit
            if commit not in self.commits:
                why = f"it names the commit {commit}, which is not in the cache"
                gaps.append(gap(GapKind.UNREADABLE, why, f"refs/{name}"))
        return found, gaps

    def allows(self, place: Path) -> bool:
        """Whether a link of a snapshot may lead to this file (resolved): a blob of the same
        repository, or one that repositories of this cache share."""
        return place.parent == self.place / "blobs" or _is_shared(place, self.place.parent)

    @property
    def blob_folders(self) -> tuple[Path, ...]:
        """The folders that links lead to."""
        own, shared = self.place / "blobs", self.place.parent / "blobs"
        folders = (own, shared) if is_shared_store(shared) else (own,)
        return tuple(f for f in folders if f.is_dir() and not f.is_symlink())

    def revision(self, commit: str) -> Revision:
        """What is recorded of one revision."""
        root = self.place / "snapshots" / commit
        here = {p: _blob_name(root / p) for p in files_below(root, DECLARED)}
        try:
            tree = listing(self.place, f"trees/{commit}.json")
        except SourceError as error:
            problem = gap(GapKind.MALFORMED, error.why, f"trees/{commit}.json")
            return Revision(_by_name(here), (), (problem,))
        if tree is None:
            return Revision(_by_name(here), (), ())
        declared = tuple(d for p, d in sorted(tree.items()) if p in here)
        absent = [d for p, d in sorted(tree.items()) if p not in here]
        begun = {n.partition(".")[0] for n in self.unfinished}
        lost = [d for d in absent if (d.sha256 or d.git) in begun]
        gaps = tuple(
            gap(GapKind.UNREADABLE, "its download was not finished", f"snapshots/{commit}/{d.path}")
            for d in lost[:NAMED]
        )
        return Revision(declared, tuple(d.path for d in absent if d not in lost), gaps)

    @cached_property
    def unfinished(self) -> tuple[str, ...]:
        """The blobs whose download was not finished."""
        names = files_below(self.place / "blobs", DECLARED)
        return tuple(n for n in names if n.endswith(".incomplete"))

    def is_record(self, path: str) -> bool:
        """Whether something in its folder is one of the cache's own records, read as such, or a
        blob, which is handed out under the names that snapshots give to it."""
        folder, _, rest = path.partition("/")
        place = self.place / path
        if not rest:
            return False
        if folder == "blobs":
            return True
        if folder == "refs":
            return rest in self.references[0]
        if folder == ".no_exist":
            return is_empty(place)
        if folder == "trees":
            try:
                return (
                    listing(self.place, path) is not None and GIT.fullmatch(place.stem) is not None
                )
            except SourceError:
                return False
        return False


class Revision(Struct, frozen=True):
    """A revision in the cache: what is declared of the files that are here (paths within it), the
    files of the commit that were never asked for, and what is wrong (paths within the repository).
    """

    declared: tuple[Declared, ...]
    absent: tuple[str, ...]
    gaps: tuple[Gap, ...]


def files_below(folder: Path, limit: int) -> list[str]:
    """The files and links below a folder, sorted; at most so many."""
    found: list[str] = []
    if folder.is_symlink():
        return found
    for place, folders, names in os.walk(folder):
        folders.sort()
        inside = os.path.relpath(place, folder)
        for name in (*names, *(f for f in folders if os.path.islink(os.path.join(place, f)))):
            found.append(name if inside == "." else f"{inside}/{name}")
        if len(found) > limit:
            break
    return sorted(found)[:limit]


def _blob_name(place: Path) -> str:
    try:
        return os.path.basename(os.readlink(place))
    except OSError:
        return ""


def _by_name(here: Mapping[str, str]) -> tuple[Declared, ...]:
    """Where no listing is kept: what the names of the blobs say."""
    return tuple(named(path, name) for path, name in here.items())


def named(path: str, name: str) -> Declared:
    """What the name of a blob says of its content: a sha256, git's name for it, or nothing."""
    sha256 = name if SHA256.fullmatch(name) else None
    return Declared(path=path, sha256=sha256, git=name if GIT.fullmatch(name) else None)


def listing(root: Path, name: str) -> dict[str, Declared] | None:
    """A recorded listing of a commit, or None where none was kept. Raises `SourceError`."""
    if not os.path.lexists(root / name):
        return None
    value = decode(read_inside(root, name, TREE_LIMIT), name)
    if value.get("format_version") != 1:
        raise SourceError(f"{name}: a listing of an unknown version")
    found = {}
    for path, facts in mapping(value.get("files")).items():
        facts = mapping(facts)
        sha256, git = text(facts.get("lfs_sha256")), text(facts.get("blob_id"))
        size = number(facts.get("size" if sha256 is None else "lfs_size"))
        if not (sha256 is None or SHA256.fullmatch(sha256)) or not (git and GIT.fullmatch(git)):
            raise SourceError(f"{name}: {path[:200]!r} has no digest there")
        found[path] = Declared(
            path=path, size=size, sha256=sha256, git=None if sha256 is not None else git
        )
    return found


def _is_shared(place: Path, cache: Path) -> bool:
    """Whether a file is in the store that the repositories of a cache share."""
    store = cache / "blobs"
    return (
        place.parent.parent == store
        and SHA256.fullmatch(place.name) is not None
        and place.name.startswith(place.parent.name)
        and len(place.parent.name) == 2
        and is_shared_store(store)
    )


def is_shared_store(store: Path) -> bool:
    """Whether a folder is what the Hub's client marked as its store of shared blobs."""
    try:
        return not store.is_symlink() and read(store / SHARED_MARKER, 16) == b"1\n"
    except SourceError:
        return False


def is_cache_tag(place: Path) -> bool:
    """Whether a file is the mark of a cache that backups leave out (bford.info/cachedir)."""
    try:
        return read(place, 1 << 10).startswith(_TAG)
    except SourceError:
        return False


def is_empty(place: Path) -> bool:
    """Whether there is a file without bytes: a lock, or what is known not to exist."""
    try:
        return place.is_file() and not place.is_symlink() and not place.stat().st_size
    except OSError:
        return False


def is_shared_record(place: Path, cache: Path) -> bool:
    """A shared blob (handed out by the names that lead to it), or a record of that store."""
    if place.is_dir():
        return False
    if place.name == SHARED_MARKER or _is_shared(place, cache):
        return True
    if place.name.endswith((".lock", ".soft")):
        return is_empty(place)
    if not place.name.endswith(".refs"):
        return False
    try:
        return _SHARED_LINE.fullmatch(read(place, 1 << 20).decode("latin-1")) is not None
    except SourceError:
        return False
