"""Protocol Buffers that are written as text or JSON, turned into the wire format by schema.

Sources: https://protobuf.dev/reference/protobuf/textformat-spec/ and
https://protobuf.dev/programming-guides/json/. What a schema does not name is left out, so that one
reader (`formats/protobuf.py`) serves all three.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.regex import regex
from weighbridge.formats.protobuf import DEPTH_LIMIT, Field, Kind, Schema

_TOKEN: Final = regex(
    rb"(?:\s|#[^\n]*)*"
    rb"(?:(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    rb"|(?P<word>[-+]?[A-Za-z0-9_.][\w.+-]*)"
    rb"|(?P<mark>[][{}<>:,;/-])|(?P<end>\Z))",
    re.DOTALL,
)
_ESCAPE: Final = regex(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PLAIN: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f",
                 b"v": b"\v"}  # fmt: skip
_BYTES: Final = frozenset({Kind.TEXT, Kind.DATA, Kind.RANGE})
_CLOSE: Final = {b"{": b"}", b"<": b">"}


def from_text(
    schema: Schema, data: bytes, enums: Mapping[str, int], fuller: Mapping[Schema, Schema]
) -> bytes:
    """A message in text format as wire format. `enums` are the numbers that names stand for,
    `fuller` schemas are used in place of others. Raises `Malformed`."""
    return _Text(data, enums, fuller).message(schema, b"", 0)


def from_json(
    schema: Schema, value: Any, enums: Mapping[str, int], fuller: Mapping[Schema, Schema]
) -> bytes:
    """A decoded JSON value as wire format, like `from_text`."""
    return _Json(enums, fuller).message(schema, value, 0)


def varint(value: int) -> bytes:
    """A number as the wire has it; negative ones in 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def wrapped(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def _number(number: int, kind: Kind, value: float) -> bytes:
    if kind in (Kind.FLOAT, Kind.DOUBLE):
        try:
            packed = struct.pack("<f" if kind is Kind.FLOAT else "<d", value)
        except OverflowError:
            packed = struct.pack("<f", math.copysign(math.inf, value))
        return varint(number << 3 | (5 if kind is Kind.FLOAT else 1)) + packed
    if kind is Kind.FIXED or not math.isfinite(value):
        return b""
    return varint(number << 3) + varint(int(value))


def _numbered(word: str, kind: Kind, enums: Mapping[str, int], at: int | None) -> float:
    """What a number, a truth value or a name comes to."""
    text = word.removeprefix("-")
    sign = -1 if word.startswith("-") else 1
    if kind is Kind.BOOL and text in ("true", "True", "t", "false", "False", "f"):
        return text[0] in "tT"
    if kind in (Kind.FLOAT, Kind.DOUBLE):
        try:
            return sign * float(text.rstrip("fF") if text[:1].isdigit() else text)
        except ValueError:
            raise Malformed(f"{word[:40]!r} is no number", at) from None
    if text.removesuffix("_REF") in enums:
        return enums[text.removesuffix("_REF")] + 100 * text.endswith("_REF")
    try:
        octal = len(text) > 1 and text[0] == "0" and text.isdigit()
        value = sign * int(text, 8 if octal else 0)
    except ValueError:
        raise Malformed(f"{word[:40]!r} is no number and no known name", at) from None
    if abs(value) >> 64:
        raise Malformed(f"{word[:40]!r} is no number of 64 bits", at)
    return value


class _Text(Struct):
    """A reader of text format."""

    data: bytes
    enums: Mapping[str, int]
    fuller: Mapping[Schema, Schema]
    at: int = 0
    back: tuple[str, bytes] | None = None
    known: dict[Schema, dict[str, tuple[int, Field]]] = field(default_factory=dict)

    def message(self, schema: Schema | None, until: bytes, depth: int) -> bytes:
        """The fields up to a mark (none: the end). Without a schema they are passed over."""
        if depth > DEPTH_LIMIT:
            raise Malformed(f"messages nested more than {DEPTH_LIMIT} deep", self.at)
        schema = self.fuller.get(schema, schema) if schema else None
        known = self._known(schema) if schema else {}
        made = bytearray()
        while True:
            kind, token = self._take()
            if kind == "mark" and token in (b",", b";"):
                continue
            if (kind == "mark" and token == until) or (kind == "end" and not until):
                return bytes(made)
            if kind == "mark" and token == b"[":
                self._until_bracket()
                number, meant = 0, None
            elif kind == "word":
                number, meant = known.get(token.decode("latin-1"), (0, None))
            else:
                raise Malformed("a name of a field is missing", self.at)
            made += self._field(number, meant, depth)

    def _known(self, schema: Schema) -> dict[str, tuple[int, Field]]:
        if schema not in self.known:
            self.known[schema] = {f.name: (n, f) for n, f in schema.fields.items()}
        return self.known[schema]

    def _field(self, number: int, wanted: Field | None, depth: int) -> bytes:
        kind, token = self._take()
        if kind == "mark" and token == b":":
            kind, token = self._take()
        elif token not in _CLOSE:
            raise Malformed("a colon is missing", self.at)
        if token != b"[" or kind != "mark":
            return self._value(number, wanted, kind, token, depth)
        made = bytearray()
        while True:
            kind, token = self._take()
            if kind == "mark" and token == b"]":
                return bytes(made)
            if kind != "mark" or token != b",":
                made += self._value(number, wanted, kind, token, depth)

    def _value(
        self, number: int, meant: Field | None, kind: str, token: bytes, depth: int
    ) -> bytes:
        wanted = meant.kind if meant else None
        if kind == "mark" and token in _CLOSE:
            inner = wanted if isinstance(wanted, Schema) else None
            made = self.message(inner, _CLOSE[token], depth + 1)
            return wrapped(number, made) if inner else b""
        if kind == "string":
            text = bytearray(_unquoted(token))
            kind, token = self._take()
            while kind == "string":
                text += _unquoted(token)
                kind, token = self._take()
            self.back = kind, token
            return wrapped(number, bytes(text)) if wanted in _BYTES else b""
        if kind == "mark" and token == b"-":
            kind, token = self._take()
            token = b"-" + token
        if kind != "word":
            raise Malformed("a value is missing", self.at)
        if wanted is None or isinstance(wanted, Schema) or wanted in _BYTES:
            return b""
        value = _numbered(token.decode("latin-1"), wanted, self.enums, self.at)
        return _number(number, wanted, value)

    def _take(self) -> tuple[str, bytes]:
        if self.back is not None:
            taken, self.back = self.back, None
            return taken
        found = _TOKEN.match(self.data, self.at)
        if found is None or found.lastgroup is None:
            raise Malformed("it is no text format of Protocol Buffers", self.at)
        self.at = found.end()
        return found.lastgroup, found[found.lastgroup]

    def _until_bracket(self) -> None:
        """The name of an extension or of a type."""
        while True:
            kind, token = self._take()
            if kind == "end":
                raise Malformed("a bracket does not close", self.at)
            if kind == "mark" and token == b"]":
                return


def _unquoted(token: bytes) -> bytes:
    inner = token[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if b"\\" in inner else inner


def _unescaped(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short, long, other = found.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    if short or long:
        point = int(short or long, 16)
        return chr(point).encode("utf-8", "surrogatepass") if point < 0x110000 else b"?"
    return _PLAIN.get(other, other)


class _Json(Struct):
    """A reader of the JSON mapping."""

    enums: Mapping[str, int]
    fuller: Mapping[Schema, Schema]

    def message(self, schema: Schema, value: Any, depth: int) -> bytes:
        """An object as a message."""
        if depth > DEPTH_LIMIT:
            raise Malformed(f"messages nested more than {DEPTH_LIMIT} deep")
        if not isinstance(value, dict):
            raise Malformed(f"a {schema.name} is no object")
        schema = self.fuller.get(schema, schema)
        made = bytearray()
        for number, meant in schema.fields.items():
            for name in dict.fromkeys((meant.name, _camel(meant.name))):
                for item in _items(meant, value.get(name)):
                    made += self._value(number, meant, item, depth)
        return bytes(made)

    def _value(self, number: int, field: Field, value: Any, depth: int) -> bytes:
        kind = field.kind
        if isinstance(kind, Schema):
            return wrapped(number, self.message(kind, value, depth + 1))
        if kind is Kind.TEXT:
            return wrapped(number, str(value).encode("utf-8", "surrogatepass"))
        if kind in _BYTES:
            return wrapped(number, _decoded(value))
        if isinstance(value, bool | float) or (isinstance(value, int) and not abs(value) >> 64):
            return _number(number, kind, value)
        if not isinstance(value, str):
            raise Malformed(f"the field {field.name} is no number")
        return _number(number, kind, _numbered(value, kind, self.enums, None))


def _items(field: Field, value: Any) -> Iterator[Any]:
    """The values of a field: maps are objects, repeated fields lists."""
    if value is None:
        return
    is_map = isinstance(field.kind, Schema) and field.kind.name.endswith(" entry")
    if is_map and isinstance(value, dict):
        for key, inner in value.items():
            yield {"key": key, "value": inner}
    elif field.many and isinstance(value, list):
        yield from value
    else:
        yield value


def _decoded(value: Any) -> bytes:
    """Bytes: base64, or (as TensorFlow.js allows) a list of their numbers."""
    if isinstance(value, list):
        return bytes(v & 0xFF for v in value if isinstance(v, int))
    if not isinstance(value, str):
        raise Malformed("bytes are no text")
    data = value.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        raise Malformed("bytes are no base64") from None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
