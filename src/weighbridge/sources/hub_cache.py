"""The Hub's cache on this machine: all of it, one repository of it, or one revision.

What its records mean stands in `hub_records`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec
from msgspec import Struct, field

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Declared, Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Copy, Link
from weighbridge.sources.folder import File, Folder
from weighbridge.sources.hub_records import (
    DECLARED,
    NAMED,
    REPOSITORY,
    Repository,
    Revision,
    files_below,
    is_cache_tag,
    is_empty,
    is_shared_record,
    is_shared_store,
    named,
)
from weighbridge.sources.records import GIT, SHA256, gap
from weighbridge.sources.remote import SourceError


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the Hub's client keeps its cache."""
    home = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{home}/huggingface"
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(named or f"{home}/hub")).expanduser()


def find_snapshot(path: Path) -> Folder | None:
    """A revision in a cache, a folder or a file in one, or None where the path is none of these."""
    for absolute in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):
        parts = absolute.parts
        for n in range(len(parts) - 3, 0, -1):
            if parts[n + 1] == "snapshots" and REPOSITORY.fullmatch(parts[n]):
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


class HubCache(Struct, dict=True):
    """Every revision of one repository, or of every repository in a cache.

    `prefixes` are the folders of the repositories relative to `root` (one that is empty: the root
    is the repository). A blob that several revisions share is examined once.
    """

    root: Path
    repositories: dict[str, Repository]
    asked: str
    left_out: list[LeftOut] = field(default_factory=list)
    links: tuple[Link, ...] = ()
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
            yield met if known is met else Copy(known, met.path)
        yield from self._orphans(used)
        why = "the cache's own records (refs, trees, locks): read as such, not as files"
        self.left_out.append(LeftOut(path=".", why=why))

    def _skipped(self, path: str) -> bool:
        prefix, repository = self._owner(path)
        if repository is not None:
            return repository.is_record(path[len(prefix) :])
        if path.startswith(".locks/"):
            return is_empty(self.root / path)
        if path == "CACHEDIR.TAG":
            return is_cache_tag(self.root / path)
        shared = path.startswith("blobs/") and is_shared_store(self.root / "blobs")
        return shared and is_shared_record(self.root / path, self.root)

    def _owner(self, path: str) -> tuple[str, Repository | None]:
        """The repository that a path is in, and the folder of it with its slash."""
        prefix = "" if "" in self.repositories else f"{path.partition('/')[0]}/"
        return prefix, self.repositories.get(prefix)

    @cached_property
    def _unnamed(self) -> tuple[str, ...]:
        """Every blob by its path."""
        found = []
        for prefix, repository in self.repositories.items():
            names = files_below(repository.place / "blobs", DECLARED)
            found += [f"{prefix}blobs/{n}" for n in names if not n.endswith(".incomplete")]
        if "" not in self.repositories and is_shared_store(self.root / "blobs"):
            names = files_below(self.root / "blobs", DECLARED)
            found += [f"blobs/{n}" for n in names if SHA256.fullmatch(n.rpartition("/")[2])]
        return tuple(sorted(found))

    @cached_property
    def _orphans_declared(self) -> tuple[Declared, ...]:
        """What the name of a blob says of it; the names of shared ones are of another kind."""
        return tuple(
            d
            for p in self._unnamed
            if not p.startswith("blobs/") or "" in self.repositories
            if (d := named(p, p.rpartition("/")[2])).sha256 or d.git
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


def is_repository(path: Path) -> bool:
    """Whether a folder is a repository in a cache."""
    return bool(REPOSITORY.fullmatch(path.resolve().name)) and (path / "snapshots").is_dir()


def is_cache(path: Path) -> bool:
    """Whether a folder is a cache: one of its folders is a repository."""
    try:
        with os.scandir(path) as scan:
            names = [e.name for e in scan if REPOSITORY.fullmatch(e.name)]
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
            e.name for e in scan if REPOSITORY.fullmatch(e.name) and e.is_dir(follow_symlinks=False)
        )
    if not names:
        raise SourceError("there is no repository in this cache")
    return HubCache(place, {f"{n}/": Repository(place / n) for n in names}, str(path))
