"""Universal Binary JSON, as XGBoost writes its models in it.

Specification: https://ubjson.org (draft 12) with its typed and counted containers. Arrays of
numbers of one type stay where they are.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.forward import Forward

DEPTH_LIMIT: Final = 200
NUMBERS_HELD: Final = 32 << 20
"""Bytes of one array of numbers that are read at once."""
_NUMBERS: Final = {"i": "b", "U": "B", "I": "h", "l": "i", "L": "q", "d": "f", "D": "d"}
_CONSTANTS: Final = {"Z": None, "T": True, "F": False}
_VALUES: Final = frozenset("ZTFiUIlLdDCSH[{")


class Numbers(Struct, frozen=True):
    """An array of numbers of one type (`code` as in `struct`), from byte `start` on."""

    blob: Blob
    code: str
    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def values(self) -> array[Any]:
        """The numbers. Raises `Malformed` where they are more than can be held."""
        made: array[Any] = array(self.code)
        size = self.count * made.itemsize
        if size > NUMBERS_HELD:
            raise Malformed(f"an array of {size:,} bytes", self.start)
        made.frombytes(self.blob.read(self.start, size))
        if sys.byteorder == "little":
            made.byteswap()
        return made


class Ubjson(Document, frozen=True, kw_only=True, eq=False):
    """The value, as JSON's; long arrays of numbers are `Numbers`. `end` is where it ends."""

    value: Any
    blob: Blob
    end: int

    def walk(self) -> Iterator[Blob | Gap]:
        """What follows the value."""
        if self.end < self.size:
            size = self.size - self.end
            yield Piece("bytes behind the value", self.blob, self.end, size, "leftover")


def _sniff(sample: Sample) -> bool:
    """An object whose first key is written with its length and is followed by a value. A length
    within the letters would be plain text."""
    head = sample.head
    if head[:1] != b"{":
        return False
    width = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}.get(head[1:2], 0)
    length = int.from_bytes(head[2 : 2 + width], "big")
    if not width or not 0 < length < 256 or (width == 1 and length >= 32):
        return False
    key, value = head[2 + width : 2 + width + length], head[2 + width + length :][:1]
    printable = key.isascii() and key.decode("ascii").isprintable()
    return printable and value.decode("latin-1") in _VALUES


class _Reader:
    def __init__(self, blob: Blob) -> None:
        self.bytes = Forward(blob)
        self.blob = blob

    def marker(self) -> str:
        while (mark := self.bytes.take(1)) == b"N":  # does nothing, may stand anywhere
            self.bytes.spend()
        return mark.decode("latin-1")

    def length(self) -> int:
        mark = self.marker()
        if mark not in "iUIlL":
            raise Malformed("a length is no number", self.bytes.at - 1)
        n = self.bytes.number(f">{_NUMBERS[mark]}")
        if n < 0:
            raise Malformed("a negative length", self.bytes.at)
        return n

    def text(self) -> str:
        return self.bytes.text(self.length())

    def value(self, mark: str, depth: int) -> Any:
        self.bytes.spend()
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark in _NUMBERS:
            code = f">{_NUMBERS[mark]}"
            return struct.unpack(code, self.bytes.take(struct.calcsize(code)))[0]
        if mark == "C":
            return self.bytes.text(1)
        if mark in "SH":
            return self.text()
        if depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", self.bytes.at)
        if mark == "[":
            return self.array(depth)
        if mark == "{":
            return self.object(depth)
        raise Malformed("no value begins with this byte", self.bytes.at - 1)

    def head(self) -> tuple[str, int | None, str]:
        """The type of all elements, their number, and the marker that follows if neither is
        said."""
        kind, mark = "", self.marker()
        if mark == "$":
            kind, mark = self.marker(), self.marker()
            if mark != "#":
                raise Malformed("a type without a number of elements", self.bytes.at - 1)
        if mark == "#":
            return kind, self.length(), ""
        return kind, None, mark

    def array(self, depth: int) -> Any:
        kind, count, mark = self.head()
        if count is None:
            made = []
            while mark != "]":
                made.append(self.value(mark, depth + 1))
                mark = self.marker()
            return made
        if kind in _NUMBERS:
            code = _NUMBERS[kind]
            start, _ = self.bytes.skip(count * struct.calcsize(f">{code}"))
            return Numbers(self.blob, code, start, count)
        self.bytes.spend(count)
        return [self.value(kind or self.marker(), depth + 1) for _ in range(count)]

    def object(self, depth: int) -> dict[str, Any]:
        kind, count, mark = self.head()
        made: dict[str, Any] = {}
        if count is not None:
            for _ in range(count):
                key = self.text()
                made[key] = self.value(kind or self.marker(), depth + 1)
            return made
        while mark != "}":
            if mark not in "iUIlL":
                raise Malformed("a key without a length", self.bytes.at - 1)
            n = self.bytes.number(f">{_NUMBERS[mark]}")
            if n < 0:
                raise Malformed("a negative length", self.bytes.at)
            key = self.bytes.text(n)
            made[key] = self.value(self.marker(), depth + 1)
            mark = self.marker()
        return made


def _parse(blob: Blob, where: Location, limits: Limits) -> Ubjson:
    reader = _Reader(blob)
    value = reader.value(reader.marker(), 0)
    end = reader.bytes.at
    gaps: tuple[Gap, ...] = ()
    if end < blob.size:
        why = f"{blob.size - end:,} bytes follow the value"
        gaps = (Gap(kind=GapKind.MALFORMED, message=why, at=where),)
    return Ubjson(
        where=where, size=blob.size, seen=reader.bytes.seen, gaps=gaps, value=value, blob=blob,
        end=end,
    )  # fmt: skip


UBJSON = Format(
    name="ubjson",
    title="Universal Binary JSON (XGBoost)",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"{",
    parse=_parse,
    document=Ubjson,
    limits="At most 2 million values; arrays of numbers of one type are read where a check asks.",
)
