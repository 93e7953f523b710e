"""HDF5: its groups, links, attributes and how each dataset is stored. No dataset byte is read.

Format: HDF5 File Format Specification, versions 3.0 and 4.0 (support.hdfgroup.org, H5.format),
superblock 0 to 3. Filters are never run and no other file is opened: what such a thing would bring
is a `Gap` or is stated in the document. Checksums are not verified, so that nothing is missed that
a laxer reader would take.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.payload import payloads

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
KERAS_CONFIG: Final = "keras-config"
"""The role of an attribute that Keras rebuilds a model from."""
CONFIGS: Final = regex(r"(?:model|training|layer|optimizer|loss)_config\d*|config")
OBJECTS_LIMIT: Final = 200_000
LINKS_LIMIT: Final = 1_000_000
READ_LIMIT: Final = 256 << 20
"""Bytes of metadata that are read in all."""
HEADER_LIMIT: Final = 16 << 20
"""Bytes of one object header with its continuations."""
TEXT_LIMIT: Final = 32 << 20
"""Bytes of attribute values that are kept in all."""
DEPTH_LIMIT: Final = 64
GAPS_KEPT: Final = 50
ENTRIES_KEPT: Final = 10_000
_PAGE: Final = 16 << 10
_PAGES: Final = 256

FILTERS: Final = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit",
                  6: "scaleoffset"}  # fmt: skip
"""The filters of the library itself; any other is a plug-in that the reader's machine must have."""


class Attribute(Struct, frozen=True):
    """An attribute of the object at `path`. `values` are those of strings and opaque bytes, as they
    stand; of other types there are none. `offset` is where the attribute's message begins."""

    path: str
    name: str
    values: tuple[bytes, ...]
    offset: int


class Link(Struct, frozen=True):
    """A link that is not a hard one. `kind` is `soft`, `external` or `user-defined`; `file` is the
    file that an external one leads into, `target` the path in it."""

    path: str
    kind: str
    file: str
    target: str


class Dataset(Struct, frozen=True):
    """How a dataset is stored: its declared size in bytes (None where the type is not known), the
    ids of its filters, and the other files that its bytes are taken from."""

    path: str
    layout: str
    declared: int | None
    filters: tuple[tuple[int, str], ...]
    external: tuple[str, ...]
    virtual: tuple[str, ...]


class Hdf5(Document, frozen=True, kw_only=True, eq=False):
    """What the file's metadata say. `groups` counts them; `driver` is the name of a file driver
    that spreads the file over others, or the empty string."""

    version: int
    attributes: tuple[Attribute, ...]
    links: tuple[Link, ...]
    datasets: tuple[Dataset, ...]
    groups: int
    driver: str

    def walk(self) -> Iterator[Blob | Gap]:
        """The configurations that Keras rebuilds objects from, and payloads in other attributes."""
        parts: dict[tuple[str, str], list[bytes]] = {}
        for attribute in self.attributes:
            if CONFIGS.fullmatch(attribute.name):
                name = attribute.name.rstrip("0123456789")
                parts.setdefault((attribute.path, name), []).extend(attribute.values)
                continue
            for value in attribute.values:
                for payload in payloads(value, attribute.offset) if len(value) >= 22 else ():
                    name = f"{_joined(attribute.path, attribute.name)}, {payload.how}"
                    yield Held(name, payload.data, payload.role)
        for (path, name), values in parts.items():
            yield Held(_joined(path, name), b"".join(values), KERAS_CONFIG)


def _joined(path: str, name: str) -> str:
    return f"{path.strip('/')}@{name}" if path.strip("/") else name


def _starts(sample: Sample) -> Iterator[int]:
    """Where a superblock may be: at 0, or behind a user block of 512 bytes or a doubling of it."""
    yield 0
    at = 512
    named = sample.blob.path.lower().endswith((".h5", ".hdf5", ".keras", ".hdf"))
    while at + 8 <= (sample.blob.size if named else len(sample.head)):
        yield at
        at *= 2


def _sniff(sample: Sample) -> bool:
    return any(
        (sample.head[at : at + 8] or sample.blob.read(at, 8)) == SIGNATURE
        for at in _starts(sample)
    )  # fmt: skip


def _parse(blob: Blob, where: Location, limits: Limits) -> Hdf5:
    base = next((at for at in _starts(Sample(blob)) if blob.read(at, 8) == SIGNATURE), None)
    if base is None:
        raise Malformed("there is no superblock", 0)
    reading = _Reading(_File(blob, base), where)
    reading.everything()
    return Hdf5(
        where=where,
        size=blob.size,
        seen=min(reading.file.seen, blob.size),
        gaps=tuple(reading.gaps),
        version=reading.version,
        attributes=tuple(reading.attributes),
        links=tuple(reading.links),
        datasets=tuple(reading.datasets),
        groups=reading.groups,
        driver=reading.driver,
    )


class _Spent(Exception):
    """A budget of the whole file is used up."""


class _File:
    """Reads by address, through a few cached pages. `offsets` and `lengths` are the widths of
    addresses and lengths in bytes."""

    def __init__(self, blob: Blob, base: int) -> None:
        self.blob, self.base = blob, base
        self.offsets = self.lengths = 8
        self.seen = self.asked = 0
        self.pages: OrderedDict[int, bytes] = OrderedDict()

    def read(self, address: int, n: int) -> bytes:
        start = self.base + address
        if n < 0 or start + n > self.blob.size:
            raise Malformed(f"{n:,} bytes are not there", min(start, 1 << 62))
        self.asked += n + 16
        if self.asked > READ_LIMIT or self.seen > READ_LIMIT:
            raise _Spent
        if n > _PAGE:
            self.seen += n
            return self.blob.read(start, n)
        page, within = divmod(start, _PAGE)
        data = self._page(page)[within : within + n]
        return data if len(data) == n else data + self._page(page + 1)[: n - len(data)]

    def _page(self, page: int) -> bytes:
        data = self.pages.get(page)
        if data is None:
            data = self.pages[page] = self.blob.read(page * _PAGE, _PAGE)
            self.seen += len(data)
            if len(self.pages) > _PAGES:
                self.pages.popitem(last=False)
        else:
            self.pages.move_to_end(page)
        return data

    def cursor(self, address: int, n: int) -> _Cursor:
        return _Cursor(self, self.read(address, n), self.base + address)

    def expect(self, address: int, magic: bytes, n: int) -> _Cursor:
        """A structure of `n` bytes that begins with a signature."""
        cursor = self.cursor(address, n)
        if cursor.take(len(magic)) != magic:
            raise Malformed(f"there is no {magic.decode()}", self.base + address)
        return cursor


class _Cursor:
    """Takes little-endian fields one after the other; raises `Malformed` at the end."""

    def __init__(self, file: _File, data: bytes, origin: int, at: int = 0) -> None:
        self.file, self.data, self.origin, self.at = file, data, origin, at

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise Malformed("a structure ends too early", self.origin + self.at)
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def length(self) -> int:
        return self.number(self.file.lengths)

    def address(self) -> int | None:
        """An address, or None where it is undefined."""
        value = self.number(self.file.offsets)
        return None if value == (1 << 8 * self.file.offsets) - 1 else value

    def place(self) -> int:
        """An address that must be defined."""
        value = self.address()
        if value is None:
            raise Malformed("an address is undefined", self.origin + self.at)
        return value

    def align(self, to: int = 8) -> None:
        self.at += -self.at % to

    def text(self) -> bytes:
        """Up to the next NUL, or the end."""
        end = self.data.find(b"\0", self.at)
        end = len(self.data) if end < 0 else end
        found = self.data[self.at : end]
        self.at = end + 1
        return found

    def left(self) -> int:
        return len(self.data) - self.at


class _Message(Struct, frozen=True):
    kind: int
    shared: bool
    data: bytes
    origin: int


class _Type(Struct):
    kind: int
    size: int
    text: bool = False
    """Whether it is a variable-length string."""


_NIL, _SPACE, _LINK_INFO, _TYPE, _LINK, _EXTERNAL, _LAYOUT = 0, 1, 2, 3, 6, 7, 8
_PIPELINE, _ATTRIBUTE, _TABLE, _CONTINUED, _SYMBOLS, _DRIVER, _ATTRIBUTES = (
    11, 12, 15, 16, 17, 20, 21)  # fmt: skip
_STRING, _OPAQUE, _VARIABLE = 3, 5, 9


class _Reading:
    def __init__(self, file: _File, where: Location) -> None:
        self.file, self.where = file, where
        self.version = self.groups = 0
        self.driver = ""
        self.gaps: list[Gap] = []
        self.attributes: list[Attribute] = []
        self.links: list[Link] = []
        self.datasets: list[Dataset] = []
        self.pending: list[tuple[int, str, int]] = []
        self.visited: set[int] = set()
        self.kept = self.entries = 0
        self.heaps: dict[int, dict[int, tuple[int, int]]] = {}

    def gap(self, kind: GapKind, message: str) -> None:
        if len(self.gaps) < GAPS_KEPT:
            self.gaps.append(Gap(kind=kind, message=message, at=self.where))

    def guarded(self, what: str, action: Callable[[], None]) -> None:
        """Run a part of the reading: what is broken in it leaves the rest alone."""
        try:
            action()
        except Malformed as error:
            self.gap(GapKind.MALFORMED, f"{what[:200]} could not be read: {error}")

    def everything(self) -> None:
        root = self.superblock()
        self.pending.append((root, "/", 0))
        try:
            while self.pending:
                address, path, depth = self.pending.pop()
                if address in self.visited:
                    continue
                self.visited.add(address)
                if len(self.visited) > OBJECTS_LIMIT:
                    raise _Spent
                if len(self.visited) == 1:
                    self.visit(address, path, depth)  # without its root the file is not HDF5
                else:
                    self.guarded(path, partial(self.visit, address, path, depth))
        except _Spent:
            why = "its metadata are larger than what is read of one file; the rest was not read"
            self.gap(GapKind.TOO_LARGE, why)

    def superblock(self) -> int:
        """Read it; returns the address of the root group's object header."""
        file = self.file
        head = file.cursor(0, min(112, file.blob.size - file.base))
        head.take(8)
        self.version = head.number(1)
        if self.version > 3:
            raise Malformed(f"superblock version {self.version} is not known", file.base + 8)
        if self.version < 2:
            head.take(4)
        file.offsets, file.lengths = head.number(1), head.number(1)
        if file.offsets not in (2, 4, 8) or file.lengths not in (2, 4, 8):
            why = f"addresses of {file.offsets} and lengths of {file.lengths} bytes are not read"
            raise Malformed(why, file.base)
        if self.version < 2:
            head.take(1 + 2 + 2 + 4 + (4 if self.version == 1 else 0))
            head.address(), head.address(), head.address()
            driver = head.address()
            if driver is not None:
                self.guarded("the driver information", lambda: self.drive(driver))
            head.length()  # the name of the root, in its symbol table entry
            return head.place()
        head.take(1)
        head.address()
        extension = head.address()
        head.address()
        root = head.place()
        if extension is not None:
            self.guarded("the superblock extension", lambda: self.extension(extension))
        return root

    def drive(self, address: int) -> None:
        self.driver = self.file.read(address + 8, 8).rstrip(b"\0").decode("latin-1")

    def extension(self, address: int) -> None:
        for message in self.messages(address):
            if message.kind == _DRIVER:
                self.driver = message.data[1:9].rstrip(b"\0").decode("latin-1")

    # Object headers

    def messages(self, address: int) -> list[_Message]:
        """All messages of an object header, version 1 or 2, with its continuations."""
        prefix = self.file.read(address, 4)
        found: list[_Message] = []
        second = prefix == b"OHDR"
        if second:
            head = self.file.cursor(
                address, min(34, self.file.blob.size - self.file.base - address)
            )
            head.take(5)
            flags = head.number(1)
            head.take((16 if flags & 32 else 0) + (4 if flags & 16 else 0))
            size = head.number(1 << (flags & 3))
            blocks = [(address + head.at, size)]
            ordered = bool(flags & 4)
        elif prefix[0] == 1 and not prefix[1]:
            blocks = [(address + 16, int.from_bytes(self.file.read(address + 8, 4), "little"))]
            ordered = False
        else:
            raise Malformed("there is no object header", self.file.base + address)
        seen: set[int] = set()
        total = 0
        while blocks:
            start, size = blocks.pop(0)
            total += size
            if start in seen or total > HEADER_LIMIT:
                raise Malformed("an object header runs in a circle or has no end", None)
            seen.add(start)
            cursor = self.file.cursor(start, size)
            if second and len(seen) > 1 and cursor.take(4) != b"OCHK":
                raise Malformed("there is no OCHK", self.file.base + start)
            for message in self.block(cursor, second, ordered, len(seen) > 1):
                if message.kind == _CONTINUED:
                    more = _Cursor(self.file, message.data, message.origin)
                    blocks.append((more.place(), more.length()))
                elif message.kind != _NIL:
                    found.append(message)
        return found

    def block(self, cursor: _Cursor, second: bool, ordered: bool, last: bool) -> Iterator[_Message]:
        prefix = (6 if ordered else 4) if second else 8
        stop = len(cursor.data) - (4 if second and last else 0)
        while cursor.at + prefix <= stop:
            if second:
                kind, size, flags = cursor.number(1), cursor.number(2), cursor.number(1)
                cursor.take(2 if ordered else 0)
            else:
                kind, size, flags = cursor.number(2), cursor.number(2), cursor.number(1)
                cursor.take(3)
            origin = cursor.origin + cursor.at
            yield _Message(kind, bool(flags & 2), cursor.take(size), origin)

    def resolved(self, message: _Message) -> _Message:
        """The message itself, where the header only says where it is kept."""
        if not message.shared:
            return message
        cursor = _Cursor(self.file, message.data, message.origin)
        version, kind = cursor.number(1), cursor.number(1)
        if version == 3 and kind == 1:
            raise Malformed("a message is kept in the shared message table", message.origin)
        cursor.take(6 if version == 1 else 0)
        for other in self.messages(cursor.place()):
            if other.kind == message.kind and not other.shared:
                return other
        raise Malformed("a shared message is not where it should be", message.origin)

    def visit(self, address: int, path: str, depth: int) -> None:
        messages = self.messages(address)
        kinds = {m.kind for m in messages}
        if _LAYOUT in kinds:
            self.guarded(path, lambda: self.dataset(messages, path))
        if kinds & {_SYMBOLS, _LINK_INFO, _LINK}:
            self.groups += 1
        for message in messages:
            cursor = _Cursor(self.file, message.data, message.origin)
            if message.kind == _ATTRIBUTE:
                self.guarded(f"an attribute of {path}", partial(self.attribute, message, path))
            elif message.kind == _SYMBOLS:
                self.guarded(path, partial(self.symbols, cursor, path, depth))
            elif message.kind == _LINK:
                self.guarded(path, partial(self.link, cursor, path, depth))
            elif message.kind == _LINK_INFO:
                self.guarded(path, partial(self.dense_links, cursor, path, depth))
            elif message.kind == _ATTRIBUTES:
                self.guarded(path, partial(self.dense_attributes, cursor, path))

    # Groups

    def child(self, address: int, path: str, name: str, depth: int) -> None:
        if depth >= DEPTH_LIMIT:
            raise Malformed(f"groups are nested more than {DEPTH_LIMIT} deep", None)
        self.count()
        self.pending.append((address, f"{path.rstrip('/')}/{name}", depth + 1))

    def count(self) -> None:
        self.entries += 1
        if self.entries > LINKS_LIMIT:
            raise _Spent

    def pointer(self, kind: str, path: str, name: str, file: bytes, target: bytes) -> None:
        self.count()
        if len(self.links) >= ENTRIES_KEPT:
            raise Malformed(f"more than {ENTRIES_KEPT:,} links are not kept", None)
        whole = f"{path.rstrip('/')}/{name}"
        self.links.append(Link(whole, kind, _text(file), _text(target)))

    def symbols(self, cursor: _Cursor, path: str, depth: int) -> None:
        """The members of an old group: a B-tree of symbol nodes, names in a local heap."""
        tree, heap = cursor.place(), cursor.place()
        names = self.local_heap(heap)
        pending, seen = [tree], set[int]()
        while pending:
            address = pending.pop()
            if address in seen:
                raise Malformed("a B-tree runs in a circle", self.file.base + address)
            seen.add(address)
            if self.file.read(address, 4) == b"SNOD":
                self.symbol_node(address, names, path, depth)
                continue
            size = 8 + 2 * self.file.offsets
            node = self.file.expect(address, b"TREE", size)
            kind, _, used = node.number(1), node.number(1), node.number(2)
            if kind != 0:
                raise Malformed("a group's B-tree is none of groups", self.file.base + address)
            width = self.file.lengths + self.file.offsets
            entries = self.file.cursor(address + size, used * width)
            for _ in range(used):
                entries.length()
                pending.append(entries.place())
                self.count()

    def local_heap(self, address: int) -> bytes:
        heap = self.file.expect(address, b"HEAP", 8 + 2 * self.file.lengths + self.file.offsets)
        heap.take(4)
        size = heap.length()
        heap.length()
        if size > HEADER_LIMIT:
            raise Malformed(f"a local heap of {size:,} bytes", self.file.base + address)
        return self.file.read(heap.place(), size)

    def symbol_node(self, address: int, names: bytes, path: str, depth: int) -> None:
        count = self.file.expect(address, b"SNOD", 8)
        count.take(2)
        used = count.number(2)
        size = self.file.lengths + self.file.offsets + 24
        nodes = self.file.cursor(address + 8, used * size)
        for _ in range(used):
            offset, header, cached = nodes.length(), nodes.address(), nodes.number(4)
            nodes.take(4)
            scratch = nodes.take(16)
            name = _text(_until_nul(names, offset))
            if cached == 2:
                target = _until_nul(names, int.from_bytes(scratch[:4], "little"))
                self.pointer("soft", path, name, b"", target)
            elif header is not None:
                self.child(header, path, name, depth)

    def link(self, cursor: _Cursor, path: str, depth: int) -> None:
        cursor.take(1)
        flags = cursor.number(1)
        kind = cursor.number(1) if flags & 8 else 0
        cursor.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = _text(cursor.take(cursor.number(1 << (flags & 3))))
        if kind == 0:
            self.child(cursor.place(), path, name, depth)
            return
        value = cursor.take(cursor.number(2))
        if kind == 1:
            self.pointer("soft", path, name, b"", value)
        elif kind == 64:
            inner = _Cursor(self.file, value, cursor.origin, 1)
            self.pointer("external", path, name, inner.text(), inner.text())
        else:
            self.pointer("user-defined", path, name, b"", value)

    def dense_links(self, cursor: _Cursor, path: str, depth: int) -> None:
        cursor.take(1)
        flags = cursor.number(1)
        cursor.take(8 if flags & 1 else 0)
        heap, tree = cursor.address(), cursor.address()
        if heap is None or tree is None:
            return
        fractal = _FractalHeap(self.file, heap)
        for record in self.records(tree):
            skipped = {5: 4, 6: 8}.get(record[0])
            if skipped is None:
                raise Malformed("an index of links has other records", self.file.base + tree)
            data, origin = fractal.get(record[1][skipped:])
            self.link(_Cursor(self.file, data, origin), path, depth)

    def dense_attributes(self, cursor: _Cursor, path: str) -> None:
        cursor.take(1)
        flags = cursor.number(1)
        cursor.take(2 if flags & 1 else 0)
        heap, tree = cursor.address(), cursor.address()
        if heap is None or tree is None:
            return
        fractal = _FractalHeap(self.file, heap)
        for kind, record in self.records(tree):
            if kind not in (8, 9):
                raise Malformed("an index of attributes has other records", self.file.base + tree)
            if len(record) > 8 and record[8] & 2:
                raise Malformed("an attribute is kept in the shared message table", None)
            data, origin = fractal.get(record[:8])
            message = _Message(_ATTRIBUTE, False, data, origin)
            self.guarded(f"an attribute of {path}", partial(self.attribute, message, path))

    def records(self, address: int) -> Iterator[tuple[int, bytes]]:
        """The records of a version 2 B-tree, each with the tree's type."""
        head = self.file.expect(address, b"BTHD", 16 + self.file.offsets + 2 + self.file.lengths)
        head.take(1)
        kind, node, width, depth = head.number(1), head.number(4), head.number(2), head.number(2)
        head.take(2)
        root, count = head.address(), head.number(2)
        if root is None:
            return
        if not width or node < 10 + width or depth > 16:
            raise Malformed("a B-tree cannot be like this", self.file.base + address)
        # How wide the counts in the pointers are follows from how many records fit.
        most = [(node - 10) // width]
        below = [most[0]]
        narrow = _bytes_for(most[0])
        pointers = [0]
        for level in range(1, depth + 1):
            pointers.append(
                self.file.offsets + narrow + (_bytes_for(below[-1]) if level > 1 else 0)
            )
            most.append(max(0, (node - 10 - pointers[level]) // (width + pointers[level])))
            below.append((most[level] + 1) * below[-1] + most[level])
        pending, seen = [(root, count, depth)], set[int]()
        while pending:
            place, used, level = pending.pop()
            if place in seen:
                raise Malformed("a B-tree runs in a circle", self.file.base + place)
            seen.add(place)
            size = 6 + used * width + ((used + 1) * pointers[level] if level else 0)
            cursor = self.file.expect(place, b"BTIN" if level else b"BTLF", size)
            cursor.take(2)
            for _ in range(used):
                self.count()
                yield kind, cursor.take(width)
            for _ in range(used + 1 if level else 0):
                start = cursor.at
                child, inner = cursor.place(), cursor.number(narrow)
                cursor.at = start + pointers[level]
                pending.append((child, inner, level - 1))

    # Attributes

    def attribute(self, message: _Message, path: str) -> None:
        message = self.resolved(message)
        cursor = _Cursor(self.file, message.data, message.origin)
        version, flags = cursor.number(1), cursor.number(1)
        if not 1 <= version <= 3:
            raise Malformed(f"version {version} of an attribute is not known", message.origin)
        widths = [cursor.number(2) for _ in range(3)]
        cursor.take(1 if version == 3 else 0)
        parts = []
        for width in widths:
            parts.append((cursor.take(width), cursor.origin + cursor.at - width))
            if version == 1:
                cursor.align()
        name = _text(_until_nul(parts[0][0], 0))
        made = self.type(_Message(_TYPE, version > 1 and bool(flags & 1), *parts[1]))
        shape = self.shape(_Message(_SPACE, version > 1 and bool(flags & 2), *parts[2]))
        count = 1
        for n in shape or ():
            count *= n
        if shape is None or (made.kind not in (_STRING, _OPAQUE) and not made.text):
            values: tuple[bytes, ...] = ()
        elif count * made.size > cursor.left() or count * made.size < 0:
            raise Malformed(f"the value of {name[:80]!r} is not there", message.origin)
        else:
            values = tuple(self.values(cursor, made, count))
        if len(self.attributes) >= ENTRIES_KEPT and not CONFIGS.fullmatch(name):
            return
        self.attributes.append(Attribute(path, name, values, message.origin))

    def values(self, cursor: _Cursor, made: _Type, count: int) -> Iterator[bytes]:
        for _ in range(count if made.size else 0):
            raw = cursor.take(made.size)
            if made.text:
                inner = _Cursor(self.file, raw, cursor.origin)
                length, heap, index = inner.number(4), inner.address(), inner.number(4)
                raw = self.global_heap(heap, index)[:length] if heap and length else b""
            elif made.kind == _STRING:
                raw = raw.rstrip(b"\0")
            self.kept += len(raw) + 16
            if self.kept > TEXT_LIMIT:
                raise _Spent
            yield raw

    def global_heap(self, address: int, index: int) -> bytes:
        objects = self.heaps.get(address)
        if objects is None:
            prefix = 8 + self.file.lengths
            head = self.file.expect(address, b"GCOL", prefix)
            head.take(4)
            size = head.length()
            if size > READ_LIMIT:
                raise Malformed(f"a global heap of {size:,} bytes", self.file.base + address)
            objects, at = {}, prefix
            while at + prefix <= size:
                self.count()
                entry = self.file.cursor(address + at, prefix)
                number = entry.number(2)
                entry.take(6)
                length = entry.length()
                if not number:
                    break
                objects[number] = (address + at + prefix, length)
                at += prefix + length + -length % 8
            self.heaps[address] = objects
        if index not in objects:
            raise Malformed("an object of a global heap is missing", self.file.base + address)
        place, length = objects[index]
        if length > TEXT_LIMIT:
            raise Malformed(f"a text of {length:,} bytes", self.file.base + place)
        return self.file.read(place, length)

    def type(self, message: _Message) -> _Type:
        message = self.resolved(message)
        cursor = _Cursor(self.file, message.data, message.origin)
        head, bits, size = cursor.number(1), cursor.number(3), cursor.number(4)
        kind = head & 15
        return _Type(kind, size, kind == _VARIABLE and bits & 15 == 1)

    def shape(self, message: _Message) -> tuple[int, ...] | None:
        """The dimensions; none for a scalar, None for a null dataspace."""
        message = self.resolved(message)
        cursor = _Cursor(self.file, message.data, message.origin)
        version, rank, _ = cursor.number(1), cursor.number(1), cursor.number(1)
        if rank > 32:
            raise Malformed(f"a dataspace of {rank} dimensions", message.origin)
        if version == 2:
            if cursor.number(1) == 2:
                return None
        else:
            cursor.take(5)
        return tuple(cursor.length() for _ in range(rank))

    # Datasets

    def dataset(self, messages: list[_Message], path: str) -> None:
        layout, declared = "", None
        filters: list[tuple[int, str]] = []
        external: list[str] = []
        virtual: list[str] = []
        shape: tuple[int, ...] | None = None
        made: _Type | None = None

        def look(message: _Message) -> None:
            nonlocal shape, made, layout
            if message.kind == _SPACE:
                shape = self.shape(message)
            elif message.kind == _TYPE:
                made = self.type(message)
            elif message.kind == _PIPELINE:
                filters.extend(self.pipeline(self.resolved(message)))
            elif message.kind == _EXTERNAL:
                external.extend(self.external(message))
            elif message.kind == _LAYOUT:
                layout, heap = self.layout(message)
                if heap is not None:
                    self.sources(*heap, path, virtual)

        for message in messages:
            self.guarded(path, partial(look, message))
        if shape is not None and made is not None:
            declared = made.size
            for n in shape:
                declared *= n
        if len(self.datasets) < ENTRIES_KEPT or external or virtual or filters:
            self.datasets.append(
                Dataset(path, layout, declared, tuple(filters), tuple(external), tuple(virtual))
            )

    def layout(self, message: _Message) -> tuple[str, tuple[int, int] | None]:
        """The storage class, and where the sources of a virtual dataset stand."""
        cursor = _Cursor(self.file, message.data, message.origin)
        version = cursor.number(1)
        if version not in (1, 2, 3, 4, 5):
            raise Malformed(f"version {version} of a layout is not known", message.origin)
        if version < 3:
            cursor.take(1)
        kind = cursor.number(1)
        names = ("compact", "contiguous", "chunked", "virtual")
        if kind >= len(names):
            raise Malformed(f"a layout of class {kind} is not known", message.origin)
        if kind == 3:
            heap = cursor.address()
            return "virtual", None if heap is None else (heap, cursor.number(4))
        return names[kind], None

    def pipeline(self, message: _Message) -> Iterator[tuple[int, str]]:
        cursor = _Cursor(self.file, message.data, message.origin)
        version, count = cursor.number(1), cursor.number(1)
        cursor.take(6 if version == 1 else 0)
        for _ in range(count):
            number = cursor.number(2)
            length = cursor.number(2) if version == 1 or number >= 256 else 0
            cursor.take(2)
            values = cursor.number(2)
            name = _text(_until_nul(cursor.take(length), 0))
            if version == 1:
                cursor.take(-length % 8)
            cursor.take(4 * values + (4 if version == 1 and values % 2 else 0))
            yield number, name or FILTERS.get(number, "")

    def external(self, message: _Message) -> Iterator[str]:
        """The names of the files that hold a dataset's bytes."""
        cursor = _Cursor(self.file, message.data, message.origin)
        cursor.take(6)
        used = cursor.number(2)
        names = self.local_heap(cursor.place())
        for _ in range(used):
            offset = cursor.length()
            cursor.length(), cursor.length()
            yield _text(_until_nul(names, offset))

    def sources(self, heap: int, index: int, path: str, found: list[str]) -> None:
        """Add the files that a virtual dataset is put together from; `.` is this file."""
        data = self.global_heap(heap, index)
        cursor = _Cursor(self.file, data, self.file.base + heap)
        version = cursor.number(1)
        if version > 1:
            raise Malformed(f"version {version} of virtual sources is not known", None)
        count = cursor.length()
        for number in range(count):
            self.count()
            flags = cursor.number(1) if version else 0
            if flags & ~7:
                raise Malformed("a source of a virtual dataset has unknown flags", None)
            # A name that an earlier entry has is written as the number of that entry.
            if flags & 1:
                cursor.length()
            else:
                name = "." if flags & 4 else _text(cursor.text())
                if name not in found[-1:]:
                    found.append(name)
            if flags & 2:
                cursor.length()
            else:
                cursor.text()
            if number + 1 < count and not (_selection(cursor) and _selection(cursor)):
                why = f"{path}: the further sources of this virtual dataset were not read"
                self.gap(GapKind.UNSUPPORTED, why)
                break


def _selection(cursor: _Cursor) -> bool:
    """Skip a serialised selection; whether its kind is known."""
    kind, version = cursor.number(4), cursor.number(4)
    if kind in (0, 3):
        cursor.take(8)
    elif version == 1:
        cursor.take(4)
        cursor.take(cursor.number(4))
    elif kind == 2 and version == 2:
        cursor.take(1)
        cursor.take(cursor.number(4))
    elif kind == 2 and version == 3:
        flags, width, rank = cursor.number(1), cursor.number(1), cursor.number(4)
        blocks = 4 if flags & 1 else 2 * cursor.number(width)
        cursor.take(blocks * rank * width)
    else:
        return False
    return True


class _FractalHeap:
    """Where dense links and attributes are kept: blocks in a table that doubles row by row."""

    def __init__(self, file: _File, address: int) -> None:
        self.file = file
        o, n = file.offsets, file.lengths
        head = file.expect(address, b"FRHP", 26 + 3 * o + 12 * n)
        head.take(1)
        self.id_size, filtered = head.number(2), head.number(2)
        if filtered:
            raise Malformed("a heap is compressed", file.base + address)
        self.checked = bool(head.number(1) & 2)
        limit = head.number(4)
        head.length()
        self.huge = head.address()
        head.length(), head.address()
        head.take(8 * n)
        self.width, self.start, self.direct = head.number(2), head.length(), head.length()
        bits = head.number(2)
        head.take(2)
        self.root, self.rows = head.address(), head.number(2)
        powers = all(v and not v & (v - 1) for v in (self.width, self.start, self.direct))
        if not powers or self.direct < self.start or not 8 <= bits <= 64:
            raise Malformed("a heap cannot be like this", file.base + address)
        self.offset_size = (bits + 7) // 8
        deepest = (self.direct.bit_length() - 1 + 7) // 8
        self.length_size = min(deepest, _bytes_for(limit))
        self.direct_rows = self.direct.bit_length() - self.start.bit_length() + 2

    def get(self, identifier: bytes) -> tuple[bytes, int]:
        """An object by its heap id, and where it stands in the file."""
        cursor = _Cursor(self.file, identifier[: self.id_size], 0)
        kind = cursor.number(1) >> 4 & 3
        if kind == 2:
            raw = cursor.data[0] & 15
            if self.id_size - 1 > 16:
                return cursor.take((raw << 8 | cursor.number(1)) + 1), 0
            return cursor.take(raw + 1), 0
        if kind == 1:
            address, length = self.huge_object(cursor)
        elif kind == 0:
            offset, length = cursor.number(self.offset_size), cursor.number(self.length_size)
            address = self.managed(offset, length)
        else:
            raise Malformed("an object of a heap is of no known kind", None)
        if length > HEADER_LIMIT:
            raise Malformed(f"an object of {length:,} bytes in a heap", None)
        return self.file.read(address, length), self.file.base + address

    def huge_object(self, cursor: _Cursor) -> tuple[int, int]:
        file = self.file
        if file.offsets + file.lengths <= self.id_size - 1:
            return cursor.place(), cursor.length()
        wanted = cursor.number(min(file.lengths, self.id_size - 1))
        if self.huge is None:
            raise Malformed("a heap has no index of its huge objects", None)
        records = _Reading(file, Location("")).records(self.huge)
        for kind, record in records:
            entry = _Cursor(file, record, 0)
            address, length = entry.place(), entry.length()
            if kind == 1 and entry.length() == wanted:
                return address, length
        raise Malformed("a huge object of a heap is missing", None)

    def managed(self, offset: int, length: int) -> int:
        """The address of an object that lies in a direct block."""
        if self.root is None:
            raise Malformed("a heap has no blocks", None)
        block, rows = self.root, self.rows
        if not rows:
            if offset + length > self.start:
                raise Malformed("an object lies outside of its heap", None)
            return block + offset
        for _ in range(64):
            # The row that the offset falls into: rows 0 and 1 have blocks of the starting size.
            row = max(0, (offset // (self.start * self.width)).bit_length())
            size = self.start << max(0, row - 1)
            begin = 0 if row == 0 else self.start * self.width << (row - 1)
            column = (offset - begin) // size
            if row >= rows:
                raise Malformed("an object lies outside of its heap", None)
            number = row * self.width + column
            prefix = 5 + self.file.offsets + self.offset_size
            self.file.expect(block, b"FHIB", prefix)
            entry = self.file.cursor(block + prefix + number * self.file.offsets, self.file.offsets)
            block = entry.place()
            offset -= begin + column * size
            if row < self.direct_rows:
                if offset + length > size:
                    raise Malformed("an object lies outside of its block", None)
                return block + offset
            # An indirect block of this size has as many rows as are needed to cover it.
            rows = size.bit_length() - (self.start * self.width).bit_length() + 1
        raise Malformed("a heap is nested too deeply", None)


def _bytes_for(limit: int) -> int:
    """How many bytes hold numbers up to a limit."""
    return max(1, (limit.bit_length() + 7) // 8)


def _until_nul(data: bytes, at: int) -> bytes:
    end = data.find(b"\0", at)
    return data[at : end if end >= 0 else len(data)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


HDF5 = Format(
    name="hdf5",
    title="HDF5 file (Keras weights and models)",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Hdf5,
    limits="Values of datasets are not read. Compressed heaps and the shared message table are "
    "not read, which is a gap. A user block above 4 KiB is looked behind where the name says HDF5.",
)
