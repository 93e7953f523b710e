"""Reading a flatbuffer with bounds: every offset is checked, every step is counted.

Layout: https://flatbuffers.dev/internals/. Offsets only lead forward, so nothing here can go in a
circle; but many offsets may lead to the same place, so what is read in all has a budget. Which
field means what is the schema's matter, and that of the format that uses this.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Malformed
from weighbridge.core.format import Sample
from weighbridge.core.tree import Blob

PAGE: Final = 16 << 10
PAGES_HELD: Final = 512
PAGES_LIMIT: Final = 65_536
"""How many pages are read in all: a gigabyte."""
STEPS: Final = 4_000_000
"""The budget: four for a table, one for a number in a vector, one for 16 bytes of text."""
TEXT_LIMIT: Final = 1 << 20
WIDTHS: Final = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8,
                 "d": 8}  # fmt: skip


def has_identifier(sample: Sample, identifier: bytes) -> bool:
    """Whether a blob begins with an offset to a root table and then a file identifier."""
    head = sample.head
    root = int.from_bytes(head[:4], "little")
    return head[4:8] == identifier and 8 <= root < 1 << 31


class Flatbuffer:
    """A flatbuffer in a blob, read a page at a time: buffers within it cost nothing."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.size = blob, blob.size
        self._pages: dict[int, bytes] = {}
        self._read = 0
        self._steps = STEPS

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.number(0, "I"))

    def spend(self, steps: int) -> None:
        """Take from the budget; `Malformed` when it is used up."""
        self._steps -= steps
        if self._steps < 0:
            raise Malformed("more tables and numbers than any real file has")

    def read(self, at: int, n: int) -> bytes:
        """Exactly `n` bytes; `Malformed` where they are not there."""
        if at < 0 or at + n > self.size:
            raise Malformed("an offset leads out of the file", max(at, 0))
        if not n:
            return b""
        first, last = at // PAGE, (at + n - 1) // PAGE
        data = b"".join(self._page(i) for i in range(first, last + 1))
        begin = at - first * PAGE
        if len(data) < begin + n:
            raise Malformed("the file is shorter than it was", at)
        return data[begin : begin + n]

    def _page(self, index: int) -> bytes:
        page = self._pages.get(index)
        if page is None:
            self._read += 1
            if self._read > PAGES_LIMIT:
                raise Malformed("its tables lie scattered over too many places")
            if len(self._pages) >= PAGES_HELD:
                self._pages.clear()
            page = self._pages[index] = self.blob.read(index * PAGE, PAGE)
        return page

    def number(self, at: int, code: str) -> int:
        """A whole number; `code` is one of `struct`."""
        (value,) = struct.unpack("<" + code, self.read(at, WIDTHS[code]))
        return int(value)

    def follow(self, at: int) -> int:
        """Where the offset that stands here leads to."""
        offset = self.number(at, "I")
        if not offset or at + offset > self.size - 4:
            raise Malformed("an offset leads out of the file", at)
        return at + offset


class Table:
    """A table; its fields are known by their number in the schema, the first is 0."""

    __slots__ = ("_fields", "at", "buffer")

    def __init__(self, buffer: Flatbuffer, at: int) -> None:
        buffer.spend(4)
        self.buffer, self.at = buffer, at
        fields = at - buffer.number(at, "i")
        length = buffer.number(fields, "H")
        if length < 4 or length % 2:
            raise Malformed("a table without a list of its fields", at)
        self._fields = struct.unpack(f"<{length // 2 - 2}H", buffer.read(fields + 4, length - 4))

    def place(self, field: int) -> int | None:
        """Where a field stands, or None where it has its default."""
        offset = self._fields[field] if field < len(self._fields) else 0
        return self.at + offset if offset else None

    def number(self, field: int, code: str, default: int = 0) -> int:
        """A whole number."""
        at = self.place(field)
        return default if at is None else self.buffer.number(at, code)

    def table(self, field: int) -> Table | None:
        """A table, or None where there is none."""
        at = self.place(field)
        return None if at is None else Table(self.buffer, self.buffer.follow(at))

    def text(self, field: int) -> str:
        """A string; bytes that are not UTF-8 are kept as lone surrogates."""
        at = self.place(field)
        return "" if at is None else self._text(self.buffer.follow(at))

    def _text(self, at: int) -> str:
        length = self.buffer.number(at, "I")
        if length > TEXT_LIMIT:
            raise Malformed(f"a string of {length:,} bytes", at)
        self.buffer.spend(1 + length // 16)
        return self.buffer.read(at + 4, length).decode("utf-8", "surrogateescape")

    def extent(self, field: int, width: int = 1) -> tuple[int, int] | None:
        """Where a vector's elements begin and how many there are, none of them read. `width`: the
        bytes of one."""
        at = self.place(field)
        if at is None:
            return None
        at = self.buffer.follow(at)
        count = self.buffer.number(at, "I")
        if at + 4 + count * width > self.buffer.size:
            raise Malformed(f"a vector of {count:,} elements leads out of the file", at)
        return at + 4, count

    def numbers(self, field: int, code: str) -> tuple[int, ...]:
        """A vector of whole numbers."""
        width = WIDTHS[code]
        start, count = self.extent(field, width) or (0, 0)
        self.buffer.spend(count)
        return struct.unpack(f"<{count}{code}", self.buffer.read(start, count * width))

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        for at in self._targets(field):
            yield Table(self.buffer, at)

    def texts(self, field: int) -> tuple[str, ...]:
        """A vector of strings."""
        return tuple(self._text(at) for at in self._targets(field))

    def _targets(self, field: int) -> Iterator[int]:
        start, count = self.extent(field, 4) or (0, 0)
        for at in range(start, start + 4 * count, 4):
            yield self.buffer.follow(at)
