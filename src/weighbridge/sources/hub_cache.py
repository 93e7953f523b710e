"""What the Hub's client left on this machine: its cache, a repository or a revision in it, and a
download into a folder.

Layout (huggingface_hub 2.4): `<cache>/models--org--name/` holds `snapshots/<commit>/…` (links),
`blobs/<etag>` (what they lead to; the etag is the sha256 of large files and git's name of small
ones), `refs/<name>` (a commit) and `trees/<commit>.json` (every file of that commit with its
digest). A blob may itself lead to `<cache>/blobs/<xx>/<xet hash>`, which repositories share. A
download into a folder keeps `.cache/huggingface/download/<path>.metadata` and `trees/`.

All of it is the word of whoever can write there: the digests prove that nothing was damaged or
exchanged since the download, not that the Hub said so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Declared, Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Copy
from weighbridge.sources.folder import File, Folder
from weighbridge.sources.records import (
    GIT,
    SHA256,
    decode,
    gap,
    line,
    mapping,
    number,
    read,
    text,
)
from weighbridge.sources.remote import SourceError

TREE_LIMIT: Final = 64 << 20
REFERENCES: Final = 10_000
DECLARED: Final = 500_000
"""How many files of all revisions together are declared."""
NAMED: Final = 100
"""How many unfinished downloads are named one by one."""
_TAG: Final = b"Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag"
SHARED_MARKER: Final = ".huggingface-shared-blobs"
_REPOSITORY: Final = re.compile(r"(models|datasets|spaces)--(.+)")
_SORTS: Final = {"models": "model", "datasets": "dataset", "spaces": "space"}
_SHARED_LINE: Final = re.compile(r"(?:(?:models|datasets|spaces)--[^/\n]+/blobs/[^/\n]+\n)*")


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the Hub's client keeps its cache."""
    home = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{home}/huggingface"
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(named or f"{home}/hub")).expanduser()


@dataclass
class Repository:
    """`models--org--name` in a cache, and what its records say."""

    place: Path

    def __post_init__(self) -> None:
        found = _REPOSITORY.fullmatch(self.place.name)
        assert found is not None
        self.sort, self.id = _SORTS[found[1]], found[2].replace("--", "/")

    @cached_property
    def commits(self) -> tuple[str, ...]:
        """The revisions that are here, sorted."""
        try:
            with os.scandir(self.place / "snapshots") as scan:
                return tuple(sorted(e.name for e in scan if e.is_dir(follow_symlinks=False)))
        except OSError:
            return ()

    @cached_property
    def references(self) -> tuple[dict[str, str], list[Gap]]:
        """The commit that each branch, tag or request was resolved to; gaps at relative paths."""
        found: dict[str, str] = {}
        gaps: list[Gap] = []
        for name in _files(self.place / "refs", REFERENCES):
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
        here = {p: _blob_name(root / p) for p in _files(root, DECLARED)}
        try:
            tree = _tree(self.place / "trees" / f"{commit}.json")
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
        names = _files(self.place / "blobs", DECLARED)
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
            return _is_empty(place)
        if folder == "trees":
            try:
                return _tree(place) is not None and GIT.fullmatch(place.stem) is not None
            except SourceError:
                return False
        return False


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision in the cache: what is declared of the files that are here (paths within it), the
    files of the commit that were never asked for, and what is wrong (paths within the repository).
    """

    declared: tuple[Declared, ...]
    absent: tuple[str, ...]
    gaps: tuple[Gap, ...]


def _files(folder: Path, limit: int) -> list[str]:
    """The files and links below a folder, sorted; at most so many."""
    found: list[str] = []
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
    return tuple(_named(path, name) for path, name in here.items())


def _named(path: str, name: str) -> Declared:
    sha256 = name if SHA256.fullmatch(name) else None
    return Declared(path=path, sha256=sha256, git=name if GIT.fullmatch(name) else None)


def _tree(place: Path) -> dict[str, Declared] | None:
    """A recorded listing of a commit, or None where none was kept. Raises `SourceError`."""
    if not os.path.lexists(place):
        return None
    name = f"{place.parent.name}/{place.name}"
    value = decode(read(place, TREE_LIMIT), name)
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


def _is_empty(place: Path) -> bool:
    try:
        return place.is_file() and not place.is_symlink() and not place.stat().st_size
    except OSError:
        return False


def find_snapshot(path: Path) -> Folder | None:
    """A revision in a cache, a folder or a file in one, or None where the path is none of these."""
    for absolute in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):
        parts = absolute.parts
        for n in range(len(parts) - 3, 0, -1):
            if parts[n + 1] == "snapshots" and _REPOSITORY.fullmatch(parts[n]):
                repository = Repository(Path(*parts[: n + 1]).resolve())
                return _snapshot(repository, parts[n + 2], "/".join(parts[n + 3 :]), path)
    return None


def _snapshot(repository: Repository, commit: str, inside: str, path: Path) -> Folder:
    revision = repository.revision(commit)
    only = None if path.is_dir() else path.name
    prefix = inside if only is None else inside.rpartition("/")[0]
    prefix = f"{prefix}/" if prefix else ""
    declared = tuple(
        msgspec.structs.replace(d, path=d.path.removeprefix(prefix))
        for d in revision.declared
        if d.path.startswith(prefix) and (only is None or d.path == prefix + only)
    )
    names = [n for n, c in repository.references[0].items() if c == commit]
    folder = Folder(
        path if only is None else path.parent,
        only,
        origin=_origin(repository, str(path), commit, declared, names),
        allowed=repository.allows,
        beside=repository.blob_folders,
        gaps=tuple(_within(revision.gaps, f"snapshots/{commit}/{prefix}") if only is None else ()),
    )
    if revision.absent and not prefix and only is None:
        folder.left_out.append(_absent(revision, "."))
    return folder


def _within(gaps: tuple[Gap, ...], prefix: str) -> Iterator[Gap]:
    """The gaps of a revision as those of a folder in it; what concerns all of it stays."""
    for found in gaps:
        path = found.at.path
        if path.startswith("snapshots/"):
            if path.startswith(prefix):
                yield gap(found.kind, found.message, path.removeprefix(prefix))
        else:
            yield gap(found.kind, f"{path}: {found.message}", ".")


def _absent(revision: Revision, path: str) -> LeftOut:
    listed = ", ".join(revision.absent[:5])
    more = f" and {len(revision.absent) - 5:,} more" if len(revision.absent) > 5 else ""
    return LeftOut(path=path, why=f"not downloaded: {listed[:1_000]}{more}")


def _origin(
    repository: Repository,
    asked: str,
    commit: str | None,
    files: tuple[Declared, ...],
    names: list[str],
) -> Origin:
    unknown = {}
    if commit is not None and not GIT.fullmatch(commit):
        commit, unknown = None, {"commit": "the folder's name is no commit"}
    elif commit is None:
        revisions = ", ".join(repository.commits[:20])
        unknown = {"commit": f"the cache holds {len(repository.commits):,} revisions: {revisions}"}
    return Origin(
        kind="hub-cache",
        where=str(repository.place.parent),
        asked=asked,
        id=repository.id,
        sort=repository.sort,
        requested=min(names) if names else None,
        commit=commit,
        files=files,
        unknown=unknown,
    )


# -- a repository, or the whole cache --------------------------------------------------------------


@dataclass
class HubCache:
    """Every revision of one repository, or of every repository in a cache.

    `prefixes` are the folders of the repositories relative to `root` (one that is empty: the root
    is the repository). A blob that several revisions share is examined once.
    """

    root: Path
    repositories: dict[str, Repository]
    asked: str
    left_out: list[LeftOut] = field(default_factory=list)
    kind: str = "hub-cache"
    transfer: Transfer | None = None

    def __post_init__(self) -> None:
        self._gaps: list[Gap] = []
        declared: list[Declared] = []
        for prefix, repository in self.repositories.items():
            self._gaps += [_under(prefix, g) for g in repository.references[1]]
            for commit in repository.commits:
                revision = repository.revision(commit)
                self._gaps += [_under(prefix, g) for g in revision.gaps]
                inside = f"{prefix}snapshots/{commit}"
                declared += [
                    msgspec.structs.replace(d, path=f"{inside}/{d.path}") for d in revision.declared
                ]
                if revision.absent:
                    self.left_out.append(_absent(revision, inside))
        self._declared = {d.path: d for d in declared[:DECLARED]}
        if len(declared) > DECLARED:
            why = f"more than {DECLARED:,} files; what the records say of the rest was left out"
            self._gaps.append(gap(GapKind.TOO_LARGE, why, "."))

    @property
    def readable(self) -> tuple[Path, ...]:
        """The cache, or the repository and what it shares with others."""
        alone = self.repositories.get("")
        return (self.root, *alone.blob_folders) if alone else (self.root,)

    @cached_property
    def origin(self) -> Origin:
        """The repository and its commit, if it is one; what is recorded of every file."""
        files = tuple(self._declared.values()) + self._orphans_declared
        alone = self.repositories.get("")
        if alone is None:
            many = f"a cache of {len(self.repositories):,} repositories"
            return Origin(
                kind=self.kind,
                where=str(self.root),
                asked=self.asked,
                id=self.root.name,
                sort="cache",
                files=files,
                unknown={"id": many, "commit": many},
            )
        commit = alone.commits[0] if len(alone.commits) == 1 else None
        names = [n for n, c in alone.references[0].items() if c == commit]
        return _origin(alone, self.asked, commit, files, names)

    def walk(self) -> Iterator[Blob | Gap]:
        """Every file of every revision, then the blobs that no revision names."""
        yield from self._gaps
        alone = self.repositories.get("")
        folder = Folder(self.root, allowed=alone.allows if alone else None, skipped=self._skipped)
        first: dict[tuple[str, str, str | None], Blob] = {}
        used: set[str] = set()
        for met in folder.walk():
            if not isinstance(met, File):
                yield met
                continue
            used.add(met.place)
            declared = self._declared.get(met.path)
            says = (declared.sha256 or declared.git) if declared else None
            key = (met.place, met.path.rpartition("/")[2], says)
            known = first.setdefault(key, met)
            yield met if known is met else Copy(met.path, known)
        yield from self._orphans(used)
        why = "the cache's own records (refs, trees, locks): read as such, not as files"
        self.left_out.append(LeftOut(path=".", why=why))

    def _skipped(self, path: str) -> bool:
        prefix, repository = self._owner(path)
        if repository is not None:
            return repository.is_record(path[len(prefix) :])
        if path.startswith(".locks/"):
            return _is_empty(self.root / path)
        if path == "CACHEDIR.TAG":
            return is_cache_tag(self.root / path)
        shared = path.startswith("blobs/") and is_shared_store(self.root / "blobs")
        return shared and _is_shared_record(self.root / path, self.root)

    def _owner(self, path: str) -> tuple[str, Repository | None]:
        """The repository that a path is in, and the folder of it with its slash."""
        prefix = "" if "" in self.repositories else f"{path.partition('/')[0]}/"
        return prefix, self.repositories.get(prefix)

    @cached_property
    def _unnamed(self) -> tuple[str, ...]:
        """Every blob by its path."""
        found = []
        for prefix, repository in self.repositories.items():
            names = _files(repository.place / "blobs", DECLARED)
            found += [f"{prefix}blobs/{n}" for n in names if not n.endswith(".incomplete")]
        if "" not in self.repositories and is_shared_store(self.root / "blobs"):
            names = _files(self.root / "blobs", DECLARED)
            found += [f"blobs/{n}" for n in names if SHA256.fullmatch(n.rpartition("/")[2])]
        return tuple(sorted(found))

    @cached_property
    def _orphans_declared(self) -> tuple[Declared, ...]:
        """What the name of a blob says of it; the names of shared ones are of another kind."""
        return tuple(
            d
            for p in self._unnamed
            if not p.startswith("blobs/") or "" in self.repositories
            if (d := _named(p, p.rpartition("/")[2])).sha256 or d.git
        )

    def _orphans(self, used: set[str]) -> Iterator[Blob | Gap]:
        for path in self._unnamed:
            place = self.root / path
            try:
                real = place.resolve(strict=True)
                size = real.stat().st_size
            except (OSError, RuntimeError):
                yield gap(GapKind.UNREADABLE, "a blob that leads nowhere", path)
                continue
            if str(real) in used:
                continue
            _, owner = self._owner(path)
            if real.is_relative_to(self.root.resolve()) or (owner and owner.allows(real)):
                why = "no revision names this blob: it was examined without its file name"
                self.left_out.append(LeftOut(path=path, why=why))
                used.add(str(real))
                yield File(path, str(real), size)
            else:
                why = "a symbolic link that leaves the cache; not followed"
                yield gap(GapKind.UNREADABLE, why, path)
        for prefix, repository in self.repositories.items():
            why = "a download that was not finished; no revision names it"
            for name in repository.unfinished[:NAMED]:
                yield gap(GapKind.UNREADABLE, why, f"{prefix}blobs/{name}")
            if (more := len(repository.unfinished) - NAMED) > 0:
                yield gap(GapKind.UNREADABLE, f"{more:,} more downloads", f"{prefix}blobs")


def _under(prefix: str, found: Gap) -> Gap:
    return gap(found.kind, found.message, prefix + found.at.path)


def _is_shared_record(place: Path, cache: Path) -> bool:
    """A shared blob (handed out by the names that lead to it), or a record of that store."""
    if place.is_dir():
        return False
    if place.name == SHARED_MARKER or _is_shared(place, cache):
        return True
    if place.name.endswith((".lock", ".soft")):
        return _is_empty(place)
    if not place.name.endswith(".refs"):
        return False
    try:
        return _SHARED_LINE.fullmatch(read(place, 1 << 20).decode("latin-1")) is not None
    except SourceError:
        return False


def is_repository(path: Path) -> bool:
    """Whether a folder is a repository in a cache."""
    return bool(_REPOSITORY.fullmatch(path.resolve().name)) and (path / "snapshots").is_dir()


def is_cache(path: Path) -> bool:
    """Whether a folder is a cache: one of its folders is a repository."""
    try:
        with os.scandir(path) as scan:
            names = [e.name for e in scan if _REPOSITORY.fullmatch(e.name)]
    except OSError:
        return False
    return any((path / n / "snapshots").is_dir() for n in sorted(names)[:1_000])


def open_repository(path: Path) -> HubCache:
    """The repository in a cache at this path."""
    place = path.resolve()
    return HubCache(place, {"": Repository(place)}, str(path))


def open_cache(path: Path) -> HubCache:
    """The whole cache at this path. Raises `OSError` where there is none."""
    place = path.resolve()
    with os.scandir(place) as scan:
        names = sorted(
            e.name
            for e in scan
            if _REPOSITORY.fullmatch(e.name) and e.is_dir(follow_symlinks=False)
        )
    if not names:
        raise SourceError("there is no repository in this cache")
    return HubCache(place, {f"{n}/": Repository(place / n) for n in names}, str(path))


# -- a download into a folder ----------------------------------------------------------------------

_RECORDS: Final = ".cache/huggingface/"


def is_download(path: Path) -> bool:
    """Whether a folder was filled by a download that kept its records."""
    return (path / _RECORDS / "download").is_dir()


def open_download(path: Path) -> Folder:
    """A folder that a repository was downloaded into, with what was recorded of its files."""
    records = path / _RECORDS
    trees: dict[str, dict[str, Declared] | None] = {}
    declared: list[Declared] = []
    gaps: list[Gap] = []
    commits: set[str] = set()
    read_as_records: set[str] = set()
    gone: list[str] = []
    for name in _files(records / "download", DECLARED):
        place, here = records / "download" / name, f"{_RECORDS}download/{name}"
        if name.endswith(".incomplete"):
            gaps.append(gap(GapKind.UNREADABLE, "a download that was not finished", here))
            read_as_records.add(here)
        elif name.endswith(".lock") and _is_empty(place):
            read_as_records.add(here)
        elif name.endswith(".metadata"):
            target = name.removesuffix(".metadata")
            try:
                commit, etag = _metadata(place)
                if commit not in trees:
                    trees[commit] = _tree(records / "trees" / f"{commit}.json")
                    read_as_records.add(f"{_RECORDS}trees/{commit}.json")
            except SourceError as error:
                gaps.append(gap(GapKind.MALFORMED, error.why, here))
                continue
            read_as_records.add(here)
            if not (path / target).is_file():
                gone.append(target)
                continue
            commits.add(commit)
            listed = (trees[commit] or {}).get(target)
            named = _named(target, etag)
            declared.append(listed or named)
            if listed is not None and _contradict(listed, named):
                why = "the records of its download contradict each other: two digests"
                gaps.append(gap(GapKind.MALFORMED, why, target))
    if is_cache_tag(records / "CACHEDIR.TAG"):
        read_as_records.add(f"{_RECORDS}CACHEDIR.TAG")
    with suppress(SourceError):
        if read(records / ".gitignore", 8).strip() == b"*":
            read_as_records.add(f"{_RECORDS}.gitignore")
    why = "the records of the download: read as such, not as files"
    left_out = [LeftOut(path=_RECORDS.rstrip("/"), why=why)]
    if gone:
        listed_gone = ", ".join(sorted(gone)[:5])[:1_000]
        left_out.append(LeftOut(path=".", why=f"downloaded, and not here any more: {listed_gone}"))
    unknown = {"id": "a download into a folder does not record which repository it is of"}
    if len(commits) != 1:
        unknown["commit"] = f"its files were downloaded at {len(commits):,} commits"
    return Folder(
        path,
        left_out=left_out,
        origin=Origin(
            kind="hub-folder",
            where=str(path),
            asked=str(path),
            id=path.resolve().name,
            commit=min(commits) if len(commits) == 1 else None,
            files=tuple(declared),
            unknown=unknown,
        ),
        skipped=read_as_records.__contains__,
        gaps=tuple(gaps),
    )


def _metadata(place: Path) -> tuple[str, str]:
    """Commit and etag of a file that was downloaded. Raises `SourceError`."""
    lines = line(place).split("\n")
    if len(lines) != 3 or not GIT.fullmatch(lines[0].strip()):
        raise SourceError(f"{place.name}: no record of a download")
    return lines[0].strip(), lines[1].strip()


def _contradict(one: Declared, other: Declared) -> bool:
    pairs = ((one.sha256, other.sha256), (one.git, other.git))
    return any(a is not None and b is not None and a != b for a, b in pairs)
