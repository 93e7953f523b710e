"""Protocol Buffers' wire format, read by schema: only what a schema names is decoded.

Source: https://protobuf.dev/programming-guides/encoding/. Bytes that a schema calls `RANGE` are
left where they are, so that gigabytes of weights cost a few reads. Like the real parsers, a
singular message that stands twice is merged, of a singular scalar the last one counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob

DEPTH_LIMIT: Final = 100
"""What the real parsers allow by default."""
FIELDS_LIMIT: Final = 12_000_000
NUMBERS_LIMIT: Final = 4_000_000
TEXT_LIMIT: Final = 64 << 20
"""Bytes of all strings together that are kept."""
_SMALL: Final = 4 << 10
_LARGE: Final = 1 << 20

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Kind(Enum):
    """How a field's value is understood."""

    INT = "int"
    """int32, int64 or enum: two's complement in 64 bits."""
    UNSIGNED = "unsigned"
    BOOL = "bool"
    FLOAT = "float"
    DOUBLE = "double"
    FIXED = "fixed"
    """fixed32 and fixed64."""
    TEXT = "text"
    """A string; bytes that are no UTF-8 are written as `\\xff`, so that it can be shown."""
    DATA = "data"
    """Bytes that are kept."""
    RANGE = "range"
    """Bytes that stay in the file: `(start, end)`, offsets in bytes."""


class Field(Struct, frozen=True):
    """A field of a schema: its name, its kind or message, and whether it repeats."""

    name: str
    kind: Kind | Schema
    many: bool = False


class Schema:
    """A message: its fields by number. Fields may be added later, for messages in themselves."""

    def __init__(self, name: str, fields: Mapping[int, Field] | None = None) -> None:
        self.name = name
        self.fields: dict[int, Field] = dict(fields or {})


Message = dict[str, Any]
"""Values by the names of their fields; a field that does not stand in the file is absent, one that
repeats is a list. `""` holds where the message stands: `(start, end)`."""


def one(name: str, kind: Kind | Schema) -> Field:
    """A singular field."""
    return Field(name, kind)


def many(name: str, kind: Kind | Schema) -> Field:
    """A repeated field (maps too: repeated messages of `key` and `value`)."""
    return Field(name, kind, many=True)


class Wire:
    """A blob in wire format, read through a window that grows while reading goes straight on."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.size = blob, blob.size
        self._window, self._base, self._next = b"", 0, _SMALL
        self._fields = self._numbers = self._text = 0

    def decode(self, schema: Schema, start: int = 0, end: int | None = None) -> Message:
        """The message in a range of the file. Raises `Malformed`."""
        made: Message = {}
        self._decode(schema, start, self.size if end is None else end, made, 0)
        return made

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """The fields of one message: number, wire type, and the value, or where it begins and ends
        (bytes). Raises `Malformed`."""
        at = start
        while at < end:
            self._fields += 1
            if self._fields > FIELDS_LIMIT:
                raise Malformed(f"more than {FIELDS_LIMIT:,} fields", at)
            here = at
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            if not 0 < number < 1 << 29:
                raise Malformed("a field has an impossible number", here)
            if wire == VARINT:
                value, at = self._varint(at, end)
                yield number, wire, value, 0
            elif wire == BYTES:
                length, at = self._varint(at, end)
                if length > end - at:
                    raise Malformed("a field is longer than its message", here)
                yield number, wire, at, at + length
                at += length
            elif wire in (FIXED32, FIXED64):
                width = 4 if wire == FIXED32 else 8
                if width > end - at:
                    raise Malformed("it ends in the middle of a field", here)
                yield number, wire, int.from_bytes(self.read(at, width), "little"), 0
                at += width
            else:
                raise Malformed(f"a field of the wire type {wire}", here)

    def read(self, at: int, n: int) -> bytes:
        """Bytes of the file. Raises `Malformed` where they are not all there."""
        begin = at - self._base
        if begin >= 0 and begin + n <= len(self._window):
            return self._window[begin : begin + n]
        if n > _LARGE:
            data = self.blob.read(at, n)
        else:
            straight = 0 <= begin <= len(self._window) + _SMALL
            self._next = min(self._next * 4, _LARGE) if straight else _SMALL
            self._window, self._base = self.blob.read(at, max(n, self._next)), at
            data = self._window[:n]
        if len(data) < n:
            raise Malformed("it ends in the middle of a field", at)
        return data

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        begin = at - self._base
        if not 0 <= begin <= len(self._window) - 10:
            self.read(at, min(10, end - at) or 1)
            begin = at - self._base
        window = self._window
        try:
            value = window[begin]
            if value < 0x80 and at < end:
                return value, at + 1
            value &= 0x7F
            for i in range(1, 10):
                byte = window[begin + i]
                value |= (byte & 0x7F) << (7 * i)
                if byte < 0x80 and at + i < end:
                    return value & 0xFFFFFFFFFFFFFFFF, at + i + 1
        except IndexError:
            pass
        raise Malformed("a number does not end", at)

    def _decode(self, schema: Schema, start: int, end: int, made: Message, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise Malformed(f"messages nested more than {DEPTH_LIMIT} deep", start)
        known = schema.fields
        made.setdefault("", (start, end))
        for number, wire, a, b in self.fields(start, end):
            field = known.get(number)
            if field is None:
                continue
            kind = field.kind
            if isinstance(kind, Schema):
                if wire != BYTES:
                    continue  # as real parsers do: an unknown field
                if field.many:
                    inner: Message = {}
                    made.setdefault(field.name, []).append(inner)
                else:
                    inner = made.setdefault(field.name, {})
                self._decode(kind, a, b, inner, depth + 1)
            elif wire == BYTES and kind not in _IN_BYTES:
                if field.many:
                    made.setdefault(field.name, []).extend(self._packed(kind, a, b))
            elif (wire == BYTES) == (kind in _IN_BYTES):
                value = self._value(kind, wire, a, b)
                if field.many:
                    made.setdefault(field.name, []).append(value)
                else:
                    made[field.name] = value

    def _value(self, kind: Kind, wire: int, a: int, b: int) -> Any:
        if kind is Kind.RANGE:
            return a, b
        if kind in (Kind.TEXT, Kind.DATA):
            self._text += b - a
            if self._text > TEXT_LIMIT:
                raise Malformed(f"more than {TEXT_LIMIT:,} bytes of text", a)
            data = self.read(a, b - a) if b > a else b""
            return data.decode("utf-8", "backslashreplace") if kind is Kind.TEXT else data
        self._numbers += 1
        if self._numbers > NUMBERS_LIMIT:
            raise Malformed(f"more than {NUMBERS_LIMIT:,} numbers", a)
        if wire == VARINT:
            if kind is Kind.BOOL:
                return a != 0
            return a - (1 << 64) if kind is Kind.INT and a >> 63 else a
        if kind is Kind.FLOAT and wire == FIXED32:
            return struct.unpack("<f", a.to_bytes(4, "little"))[0]
        if kind is Kind.DOUBLE and wire == FIXED64:
            return struct.unpack("<d", a.to_bytes(8, "little"))[0]
        return a

    def _packed(self, kind: Kind, start: int, end: int) -> Iterator[Any]:
        """Numbers one after the other in a single field."""
        if kind in (Kind.FLOAT, Kind.DOUBLE):
            code, width = ("f", 4) if kind is Kind.FLOAT else ("d", 8)
            count = (end - start) // width
            self._numbers += count
            if self._numbers > NUMBERS_LIMIT:
                raise Malformed(f"more than {NUMBERS_LIMIT:,} numbers", start)
            if count:
                yield from struct.unpack(f"<{count}{code}", self.read(start, count * width))
            return
        at = start
        while at < end:
            value, at = self._varint(at, end)
            yield self._value(kind, VARINT, value, 0)


_IN_BYTES: Final = frozenset({Kind.TEXT, Kind.DATA, Kind.RANGE})
