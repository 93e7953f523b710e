"""Where bytes come from, as the rest of the house sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from msgspec import Struct

from weighbridge.core.finding import Gap
from weighbridge.core.location import Location


@runtime_checkable
class Blob(Protocol):
    """A run of bytes with random access: a file, an archive member, a decoded payload."""

    @property
    def path(self) -> str:
        """Its name within the tree that it came from, `/` between the parts."""

    @property
    def size(self) -> int:
        """Its length in bytes (a compressed stream may have to be read through to know it)."""

    @property
    def role(self) -> str:
        """What its container says it is (`tensor-storage`), or the empty string."""

    def read(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset`; fewer only at the end.

        Raises `Malformed` where the bytes cannot be had (a broken compressed stream), `OSError`
        where the file cannot be read.
        """


def read_whole(blob: Blob) -> bytes:
    """All bytes of a small blob. A file is closed again: a question that goes through all files of
    a target may have only a few open. Raises what `blob.read` raises."""
    try:
        return blob.read(0, blob.size)
    finally:
        close = getattr(blob, "close", None)
        if close is not None:
            close()


@runtime_checkable
class Tree(Protocol):
    """Something that has members: a folder, an archive, a repository on a hub."""

    def walk(self) -> Iterator[Blob | Gap]:
        """Its members in a stable order; a `Gap` where a member cannot be had."""


@runtime_checkable
class Siblings(Protocol):
    """A tree whose members can be had by name: what a blob stands among."""

    def sibling(self, path: str) -> Blob | None:
        """The member at a path of the tree; None where there is none that may be read."""


def beside(blob: Blob, path: str) -> Blob | None:
    """What stands at `path`, relative to the folder that a blob is in and within the same tree;
    None where that is not to be had (nothing there, outside the tree, on another machine)."""
    while isinstance(blob, Roled | Vouched):
        blob = blob.whole
    siblings = getattr(blob, "siblings", None)
    if siblings is None or path.startswith("/") or "\0" in path:
        return None
    parts = blob.path.split("/")[:-1]
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    found: Blob | None = siblings.sibling("/".join(parts))
    return found


class Held(Struct, frozen=True, eq=False):
    """A blob whose bytes are already in memory; `siblings` is what it stands among, where known."""

    path: str
    data: bytes
    role: str = ""
    siblings: Siblings | None = None

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        return self.data[offset : offset + n]


class Piece(Struct, frozen=True, eq=False):
    """A blob that is a range of another one, read on demand; `siblings` is what it stands among,
    where known."""

    path: str
    whole: Blob
    start: int
    size: int
    role: str = ""
    siblings: Siblings | None = None

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        n = min(n, self.size - offset)
        return self.whole.read(self.start + offset, n) if n > 0 else b""


class Over(Struct, frozen=True, eq=False):
    """A blob that is another one, with something more said of it."""

    whole: Blob

    @property
    def path(self) -> str:
        """See `Blob.path`."""
        return self.whole.path

    @property
    def size(self) -> int:
        """See `Blob.size`."""
        return self.whole.size

    @property
    def role(self) -> str:
        """See `Blob.role`."""
        return self.whole.role

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        return self.whole.read(offset, n)

    def close(self) -> None:
        """Close the file if it is open."""
        close = getattr(self.whole, "close", None)
        if close is not None:
            close()


class Roled(Over, frozen=True, eq=False):
    """A blob with what its container says it is."""

    role: str


class Link(Struct, frozen=True, kw_only=True):
    """A symbolic link of the target that is not followed: where it stands, what it says (`target`,
    as it is written), and the place that it comes to, which lies outside the target."""

    path: str
    target: str
    place: str


class Reference(Struct, frozen=True, kw_only=True):
    """Another file, or a part of it, that an artifact is read together with.

    `at` is what refers, `path` the other file as it is written there (relative to the folder of
    the artifact's own file), `start` and `size` the part in bytes (`size` None: to the end), `what`
    names what is there. `kind` says what it is to the artifact: `tensors`; `code`, which loading
    it imports; `candidate`, code that is imported if it is there.
    """

    at: Location
    path: str
    start: int = 0
    size: int | None = None
    what: str = ""
    kind: str = "tensors"


class Vouched(Over, frozen=True, eq=False):
    """A file that its package vouches for: it is examined only where its sha256 is not the one that
    is named here (empty: none is named, and its package vouches for what it was made from).
    `plain`: where it is, nothing of it is read."""

    sha256: str
    plain: bool = False


class Copy(Over, frozen=True, eq=False):
    """The same file under another name: it is examined under its own, and listed here too."""

    path: str
