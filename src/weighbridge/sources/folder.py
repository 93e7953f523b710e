"""A folder or a single file on this machine, as a tree of blobs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Link, Siblings
from weighbridge.sources.records import gap

ENTRIES: Final = 1_000_000
"""How many directory entries are walked."""


class File(Struct):
    """A regular file. It is opened at the first read and closed with `close()`."""

    path: str
    place: str
    size: int
    role: str = ""
    siblings: Siblings | None = None
    _descriptor: int = -1

    def descriptor(self) -> int:
        """The open file. Raises `OSError`, also where the path is no regular file any more."""
        if self._descriptor < 0:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
            opened = os.open(self.place, flags)
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                os.close(opened)
                raise OSError(0, "it is no regular file any more")
            self._descriptor = opened
        return self._descriptor

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`. Raises `Malformed` where the file has become shorter."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        data = os.pread(self.descriptor(), n, offset)
        while len(data) < n:
            more = os.pread(self.descriptor(), n - len(data), offset + len(data))
            if not more:
                raise Malformed("the file became shorter while it was read", offset + len(data))
            data += more
        return data

    def close(self) -> None:
        """Close the file if it is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Glimpsed(File):
    """A file that another is read together with: open only while it is read, for a model may have
    thousands of them."""

    def read(self, offset: int, n: int) -> bytes:
        """See `File.read`."""
        try:
            return File.read(self, offset, n)
        finally:
            self.close()


class Folder(Struct):
    """A local target: a folder, or one file of it where `only` names it.

    Nothing but regular files is ever opened. A symbolic link is followed only to a file inside the
    target, or where `allowed` says of the file that it leads to that it belongs to it; `beside` are
    the folders that such files are in. One to a folder of the target is left out: what lies there
    is read there. A store that keeps records of what it holds has its own
    `origin`, `skipped` (what it has read as records and hands out as no files) and `gaps`.
    `left_out` and `links` (those that leave) fill while `walk()` runs.
    """

    root: Path
    only: str | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    origin: Origin | None = None
    transfer: Transfer | None = None
    links: list[Link] = field(default_factory=list)
    allowed: Callable[[Path], bool] | None = None
    beside: tuple[Path, ...] = ()
    skipped: Callable[[str], bool] | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def kind(self) -> str:
        """`folder` or `file`, or what store it is of."""
        if self.origin is not None:
            return self.origin.kind
        return "file" if self.only else "folder"

    @property
    def readable(self) -> tuple[Path, ...]:
        """What has to be readable for the audit: the root, and the store that it links into."""
        if self.only:
            place = self.root / self.only
            return tuple(dict.fromkeys((place, place.resolve())))
        return (self.root, *self.beside)

    def walk(self) -> Iterator[Blob | Gap]:
        """Every file, sorted by path; a gap for what is not followed or cannot be read."""
        yield from self.gaps
        if self.only:
            yield self._file(self.only, str((self.root / self.only).resolve()))
            return
        left = ENTRIES
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.root / folder) as scan:
                    entries = sorted(scan, key=lambda e: e.name)
            except OSError as error:
                yield gap(GapKind.UNREADABLE, error.strerror or "cannot be listed", folder or ".")
                continue
            inner: list[str] = []
            for entry in entries:
                left -= 1
                if left < 0:
                    why = f"more than {ENTRIES:,} entries; the rest was not looked at"
                    yield gap(GapKind.TOO_LARGE, why, folder or ".")
                    return
                path = f"{folder}/{entry.name}" if folder else entry.name
                if self.skipped is not None and self.skipped(path):
                    continue
                in_git = path.startswith(".git/")
                if in_git and not _acts_in_git(path, entry.is_dir(follow_symlinks=False)):
                    continue
                if entry.is_symlink():
                    if (found := self._link(path, entry)) is not None:
                        yield found
                elif entry.is_dir(follow_symlinks=False):
                    if path == ".git":
                        why = "the version control's own store, but for its settings and hooks"
                        self.left_out.append(LeftOut(path=path, why=why))
                    inner.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield self._file(path, entry.path)
                else:
                    why = "neither a file nor a folder (a device, pipe or socket); not opened"
                    yield gap(GapKind.UNREADABLE, why, path)
            waiting += reversed(inner)

    def _file(self, path: str, place: str) -> Blob | Gap:
        try:
            found = os.stat(place)
        except OSError as error:
            return gap(GapKind.UNREADABLE, error.strerror or "cannot be read", path)
        if not stat.S_ISREG(found.st_mode):
            return gap(GapKind.UNREADABLE, "not a regular file; not opened", path)
        return File(path, place, found.st_size, siblings=None if self.only else self)

    def sibling(self, path: str) -> Blob | None:
        """See `Siblings`."""
        entry = self.root / path
        try:
            place = entry.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        inside = place.is_relative_to(self.root.resolve())
        if not inside and (self.allowed is None or not self.allowed(place)):
            return None
        found = self._file(path, str(place))
        return Glimpsed(path, found.place, found.size) if isinstance(found, File) else None

    def _link(self, path: str, entry: os.DirEntry[str]) -> Blob | Gap | None:
        target = os.readlink(entry.path)
        try:
            place = Path(entry.path).resolve()
        except (OSError, RuntimeError) as error:
            why = f"a symbolic link that leads nowhere ({type(error).__name__})"
            return gap(GapKind.UNREADABLE, why, path)
        inside = place.is_relative_to(self.root.resolve())
        if not inside and self.allowed is not None:
            inside = self.allowed(place)
        if not inside:
            self.links.append(Link(path=path, target=_text(target), place=_text(str(place))))
            why = "a symbolic link that leaves the folder; not followed"
            return gap(GapKind.UNREADABLE, why, path)
        if not place.exists():
            why = "a symbolic link that leads nowhere (FileNotFoundError)"
            return gap(GapKind.UNREADABLE, why, path)
        if place.is_dir():
            return self._again(path, place)
        return self._file(path, str(place))

    def _again(self, path: str, place: Path) -> Gap | None:
        """A link to a folder: nothing is lost where the walk comes by that folder as well."""
        root = self.root.resolve()
        inside = place.relative_to(root).as_posix() if place.is_relative_to(root) else ".git"
        if inside.split("/")[0] == ".git" or self.skipped is not None:
            return gap(GapKind.UNREADABLE, "a symbolic link to a folder; not followed", path)
        why = f"a symbolic link to {_text(inside)}, where its files were read"
        self.left_out.append(LeftOut(path=path, why=why))
        return None


_GIT_DATA: Final = frozenset({"objects", "refs", "logs", "lfs", "info", "worktrees"})


def _acts_in_git(path: str, folder: bool) -> bool:
    """Whether something in `.git` can make git run a command, or is a folder of such files."""
    _, *parts = path.split("/")
    if folder:
        inside = parts[0] == "modules" and not _GIT_DATA.intersection(parts)
        return inside or parts == ["hooks"]
    hook = parts[-2:-1] == ["hooks"] and not parts[-1].endswith(".sample")
    return hook or parts[-1] in ("config", "config.worktree")


def _text(path: str) -> str:
    """A path as text that every report can hold: names need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def open_target(path: Path) -> Folder:
    """The target at a path. Raises `OSError` where there is none, or none that can be audited."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        with os.scandir(path):
            return Folder(path)
    if stat.S_ISREG(mode):
        with path.open("rb"):
            return Folder(path.parent, path.name)
    raise OSError(0, "it is neither a file nor a folder")
