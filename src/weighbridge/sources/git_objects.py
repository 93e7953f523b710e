"""Git's object store, read without git: commits and trees, from loose objects and packs.

No program is run, because a repository's own configuration can name programs for git to run.
Formats: gitformat-pack(5) (packs, their index of version 2, deltas), gitrepository-layout(5).
Every object is held against its name, so what is read is what the commit names.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from weighbridge.sources.records import GIT, line, plain, read
from weighbridge.sources.remote import SourceError

OBJECT_LIMIT: Final = 32 << 20
"""The largest object that is read, in bytes."""
BUDGET: Final = 1 << 30
"""How many bytes are decompressed in all."""
CHAIN: Final = 512
"""How many deltas may stand on each other (git makes 50, at the most 4,095)."""
PACKS: Final = 500
KEPT: Final = 32 << 20
"""How many bytes of objects that deltas stand on are kept."""
_PIECE: Final = 16 << 10
_TYPES: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA: Final = 6
_NAMED_DELTA: Final = 7
_MISSING: Final = "is not here (a partial or shallow clone, or one that borrows from another)"


class Pack(Struct, dict=True):
    """A pack and its index. `count` is how many objects it says it holds."""

    place: Path

    def __post_init__(self) -> None:
        self.index = _open(self.place.with_suffix(".idx"))
        try:
            self._read_index()
            self.data = _open(self.place)
        except SourceError:
            os.close(self.index)
            raise

    def _read_index(self) -> None:
        head = os.pread(self.index, 8 + 1024, 0)
        if len(head) != 1032 or head[:8] != b"\xfftOc\0\0\0\x02":
            raise SourceError(f"{self.place.name}: an index of an unknown version")
        self.fanout = struct.unpack(">256I", head[8:])
        self.count = self.fanout[-1]
        size = os.fstat(self.index).st_size
        if list(self.fanout) != sorted(self.fanout) or 1032 + 28 * self.count + 40 > size:
            raise SourceError(f"{self.place.name}: its index is broken")

    def find(self, name: bytes) -> int | None:
        """Where an object stands in the pack, or None."""
        low = self.fanout[name[0] - 1] if name[0] else 0
        high = self.fanout[name[0]]
        while low < high:
            middle = (low + high) // 2
            found = os.pread(self.index, 20, 1032 + 20 * middle)
            if found == name:
                return self._offset(middle)
            low, high = (middle + 1, high) if found < name else (low, middle)
        return None

    def _offset(self, number: int) -> int:
        table = 1032 + 24 * self.count
        offset = int.from_bytes(os.pread(self.index, 4, table + 4 * number), "big")
        if offset & 0x8000_0000:
            place = table + 4 * self.count + 8 * (offset & 0x7FFF_FFFF)
            offset = int.from_bytes(os.pread(self.index, 8, place), "big")
        return offset

    def head(self, offset: int) -> tuple[int, int, int]:
        """The type of an entry, its size, and where what follows begins."""
        data = os.pread(self.data, 16, offset)
        kind, size, shift, at = 0, 0, 4, 0
        while True:
            if at >= len(data) or at > 9:
                raise SourceError(f"{self.place.name}: an entry is cut off")
            byte = data[at]
            if at:
                size |= (byte & 0x7F) << shift
                shift += 7
            else:
                kind, size = byte >> 4 & 7, byte & 15
            at += 1
            if not byte & 0x80:
                return kind, size, offset + at

    def distance(self, at: int) -> tuple[int, int]:
        """How far back the object stands that a delta is of, and where the delta begins."""
        data = os.pread(self.data, 10, at)
        value = 0
        for number, byte in enumerate(data):
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value, at + number + 1
            value += 1
        raise SourceError(f"{self.place.name}: an entry is cut off")

    def close(self) -> None:
        """Close both files."""
        os.close(self.index)
        os.close(self.data)


def _open(place: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(place, flags)
    except OSError as error:
        raise SourceError(f"{place.name}: {error.strerror}") from None


class Objects(Struct, dict=True):
    """The objects and references of a repository. `folder` is its `.git`. Close it after use."""

    folder: Path
    left: int = BUDGET
    _kept: dict[tuple[str, int], tuple[str, bytes]] = field(default_factory=dict)
    _kept_bytes: int = 0

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.packs: list[Pack] = []
        self.problems: list[str] = []
        packs = self.folder / "objects" / "pack"
        if packs.resolve() != packs:
            self.problems.append("its objects are behind a link")
            return
        with suppress(OSError):
            names = sorted(n for n in os.listdir(packs) if n.endswith(".pack"))
            if len(names) > PACKS:
                self.problems.append(f"only {PACKS} of its {len(names):,} packs were opened")
            for name in names[:PACKS]:
                try:
                    self.packs.append(Pack(packs / name))
                except SourceError as error:
                    self.problems.append(error.why)

    def close(self) -> None:
        """Close the packs."""
        for pack in self.packs:
            pack.close()

    # -- references -----------------------------------------------------------------------------

    def head(self) -> tuple[str | None, str]:
        """The branch that is checked out (None: no branch) and its commit. Raises `SourceError`."""
        said = line(self.folder / "HEAD")
        name = None
        for _ in range(5):
            if GIT.fullmatch(said):
                branch = name.removeprefix("refs/heads/") if name else None
                return branch, said
            label, _, target = said.partition(":")
            target = target.strip()
            if label != "ref" or not target.startswith("refs/") or not plain(target):
                break
            name = name or target
            said = self._reference(target)
        raise SourceError("HEAD names no commit that this reader knows")

    def _reference(self, name: str) -> str:
        place = self.folder / name
        if os.path.lexists(place):
            if place.parent.resolve() != place.parent:
                raise SourceError(f"{name[:200]} is behind a link")
            return line(place)
        with suppress(SourceError):
            for row in read(self.folder / "packed-refs", 64 << 20).split(b"\n"):
                if row[41:] == name.encode() and row[40:41] == b" ":
                    return row[:40].decode("ascii", "replace")
        raise SourceError(f"{name[:200]} names no commit yet")

    # -- objects --------------------------------------------------------------------------------

    def get(self, name: str, kind: str) -> bytes:
        """An object by its name. Raises `SourceError` where it is not here, is of another kind, is
        too large, or is not what its name says."""
        found, data = self._packed(name) or self._loose(name)
        if found != kind:
            raise SourceError(f"the object {name} is no {kind}")
        whole = f"{kind} {len(data)}\0".encode() + data
        if hashlib.sha1(whole, usedforsecurity=False).hexdigest() != name:
            raise SourceError(f"the object {name} is not what its name says")
        return data

    def size(self, name: str) -> int | None:
        """The size of an object, or None where it is not here. Raises `SourceError`."""
        for pack in self.packs:
            offset = pack.find(bytes.fromhex(name))
            if offset is not None:
                kind, size, at = pack.head(offset)
                if kind in (_OFFSET_DELTA, _NAMED_DELTA):
                    at = pack.distance(at)[1] if kind == _OFFSET_DELTA else at + 20
                    begins = self._inflate_pack(pack, at, 20, whole=False)
                    return _sizes(begins)[1]
                return size
        place = self._loose_place(name)
        if not os.path.lexists(place):
            return None
        return _loose_head(self._inflate(_read_some(place, _PIECE), 64, whole=False))[1]

    def _loose_place(self, name: str) -> Path:
        place = self.folder / "objects" / name[:2] / name[2:]
        if place.parent.is_symlink() or place.parents[1].is_symlink():
            raise SourceError(f"the object {name} is behind a link")
        return place

    def _loose(self, name: str) -> tuple[str, bytes]:
        place = self._loose_place(name)
        if not os.path.lexists(place):
            why = f"; {self.problems[0]}" if self.problems else ""
            raise SourceError(f"the object {name} {_MISSING}{why}")
        packed = read(place, OBJECT_LIMIT + (1 << 20))
        kind, size, start = _loose_head(self._inflate(packed, 64, whole=False))
        if size > OBJECT_LIMIT:
            raise SourceError(f"an object of more than {OBJECT_LIMIT:,} bytes")
        return kind, self._inflate(packed, start + size)[start:]

    def _packed(self, name: str) -> tuple[str, bytes] | None:
        for pack in self.packs:
            offset = pack.find(bytes.fromhex(name))
            if offset is not None:
                return self._at(pack, offset)
        return None

    def _at(self, pack: Pack, offset: int) -> tuple[str, bytes]:
        """The object at a place of a pack: deltas are gathered down to what they stand on, then
        applied one by one."""
        deltas: list[tuple[int, int, int]] = []
        while (kept := self._kept.get((pack.place.name, offset))) is None:
            kind, size, at = pack.head(offset)
            if size > OBJECT_LIMIT:
                raise SourceError(f"an object of more than {OBJECT_LIMIT:,} bytes")
            if kind in _TYPES:
                kept = _TYPES[kind], self._inflate_pack(pack, at, size)
                break
            deltas.append((offset, at, size))
            if len(deltas) > CHAIN:
                raise SourceError(f"{pack.place.name}: more than {CHAIN} deltas on each other")
            if kind == _OFFSET_DELTA:
                back, at = pack.distance(at)
                if not 0 < back <= offset:
                    raise SourceError(f"{pack.place.name}: a delta of nothing")
                deltas[-1] = (offset, at, size)
                offset -= back
            elif kind == _NAMED_DELTA:
                base = pack.find(os.pread(pack.data, 20, at).ljust(20, b"\0"))
                if base is None:
                    raise SourceError(f"{pack.place.name}: a delta of an object that is not here")
                deltas[-1] = (offset, at + 20, size)
                offset = base
            else:
                raise SourceError(f"{pack.place.name}: an entry of an unknown type")
        name, data = kept
        self._keep(pack, offset, name, data)
        for place, at, size in reversed(deltas):
            data = _applied(data, self._inflate_pack(pack, at, size))
            self._spend(len(data))
            self._keep(pack, place, name, data)
        return name, data

    def _keep(self, pack: Pack, offset: int, kind: str, data: bytes) -> None:
        if len(data) > KEPT // 8:
            return
        if self._kept_bytes + len(data) > KEPT:
            self._kept.clear()
            self._kept_bytes = 0
        if (pack.place.name, offset) not in self._kept:
            self._kept[pack.place.name, offset] = kind, data
            self._kept_bytes += len(data)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise SourceError(f"more than {BUDGET:,} bytes of objects")

    def _inflate(self, packed: bytes, size: int, whole: bool = True) -> bytes:
        """So many bytes of a compressed stream (fewer where it is not the whole)."""
        self._spend(size)
        try:
            data = zlib.decompressobj().decompress(packed, size + 1)
        except zlib.error as error:
            raise SourceError(f"a broken object ({error})") from None
        if whole and len(data) != size:
            raise SourceError("an object of another size than it says")
        return data[:size]

    def _inflate_pack(self, pack: Pack, at: int, size: int, whole: bool = True) -> bytes:
        self._spend(size)
        stream = zlib.decompressobj()
        made = bytearray()
        try:
            while len(made) <= size and not stream.eof:
                packed = os.pread(pack.data, _PIECE, at)
                if not packed:
                    break
                at += len(packed)
                made += stream.decompress(packed, size + 1 - len(made))
                if not whole and len(made) >= size:
                    break
        except zlib.error as error:
            raise SourceError(f"{pack.place.name}: a broken entry ({error})") from None
        if whole and len(made) != size:
            raise SourceError(f"{pack.place.name}: an entry of another size than it says")
        return bytes(made[:size])


def _read_some(place: Path, n: int) -> bytes:
    opened = _open(place)
    try:
        return os.pread(opened, n, 0)
    finally:
        os.close(opened)


def _loose_head(data: bytes) -> tuple[str, int, int]:
    """Type and size of a loose object, and where its content begins."""
    head, end, _ = data.partition(b"\0")
    kind, space, size = head.partition(b" ")
    if not (end and space and size.isdigit() and len(size) < 16 and kind.isalpha()):
        raise SourceError("a loose object that does not begin as one")
    return kind.decode(), int(size), len(head) + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if not byte & 0x80:
            return value, at
    raise SourceError("a delta that is cut off")


def _sizes(delta: bytes) -> tuple[int, int, int]:
    """The size of what a delta is of, the size of what it makes, and where its steps begin."""
    source, at = _number(delta, 0)
    made, at = _number(delta, at)
    return source, made, at


def _applied(base: bytes, delta: bytes) -> bytes:
    """What a delta makes of the object that it is of."""
    source, size, at = _sizes(delta)
    if source != len(base) or size > OBJECT_LIMIT:
        raise SourceError("a delta of another object, or of one that is too large")
    made = bytearray()
    while at < len(delta):
        step = delta[at]
        at += 1
        if step & 0x80:
            offset = length = 0
            for bit in range(4):
                if step >> bit & 1:
                    offset |= (delta[at] if at < len(delta) else 0) << 8 * bit
                    at += 1
            for bit in range(3):
                if step >> 4 + bit & 1:
                    length |= (delta[at] if at < len(delta) else 0) << 8 * bit
                    at += 1
            length = length or 0x10000
            if offset + length > len(base):
                raise SourceError("a delta that reaches beyond what it is of")
            made += base[offset : offset + length]
        elif step:
            made += delta[at : at + step]
            at += step
        else:
            raise SourceError("a delta with an unknown step")
        if len(made) > size:
            break
    if len(made) != size or at > len(delta):
        raise SourceError("a delta that makes something of another size")
    return bytes(made)


class Entry(Struct, frozen=True):
    """A line of a tree: what kind of thing it is, its path, and its object's name."""

    mode: int
    path: str
    name: str


def entries(tree: bytes, folder: str) -> Iterator[Entry]:
    """The lines of a tree. Raises `SourceError`."""
    at = 0
    while at < len(tree):
        space = tree.find(b" ", at, at + 8)
        end = tree.find(b"\0", at)
        digits = tree[at:space]
        if space < 0 or end < space or not digits.isdigit() or end + 21 > len(tree):
            raise SourceError("a broken tree")
        path = tree[space + 1 : end].decode("utf-8", "surrogateescape")
        try:
            mode = int(digits, 8)
        except ValueError:
            raise SourceError("a broken tree") from None
        yield Entry(mode, f"{folder}{path}", tree[end + 1 : end + 21].hex())
        at = end + 21
