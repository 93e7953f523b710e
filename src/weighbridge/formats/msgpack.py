"""MessagePack, as Flax and msgpack-numpy write parameters in it; arrays' bytes stay where they are.

Specification: https://github.com/msgpack/msgpack/blob/master/spec.md. Flax puts an array in an
extension of type 1: a list of shape, name of the type, and bytes (`flax.serialization`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Piece
from weighbridge.formats.forward import Forward
from weighbridge.formats.payload import payloads

DEPTH_LIMIT: Final = 100
KEY_LIMIT: Final = 4 << 10
SNIFFED: Final = 20_000
"""How many values must fit before a file counts as MessagePack (all, where there are fewer)."""
LOOKED_AT: Final = 20_000
"""How many texts and byte strings of one file are asked whether they are something of their own."""
SHORTEST: Final = 20
HEAD: Final = 4 << 10
HELD: Final = 4 << 20
HANDED_OUT: Final = 1_000
FLAWS_KEPT: Final = 100
ARRAY, COMPLEX, SCALAR, TIMESTAMP = 1, 2, 3, -1

BITS: Final = {
    "bool": 8, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32,
    "int64": 64, "uint64": 64, "float16": 16, "bfloat16": 16, "float32": 32, "float64": 64,
    "complex64": 64, "complex128": 128, "float8_e4m3fn": 8, "float8_e5m2": 8, "float8_e4m3": 8,
    "float8_e4m3b11fnuz": 8, "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "float8_e3m4": 8,
    "float8_e8m0fnu": 8, "int4": 8, "uint4": 8, "int2": 8, "uint2": 8, "float4_e2m1fn": 8,
}  # fmt: skip
"""Types of arrays: bits of an element as NumPy keeps it."""


class Array(Struct, frozen=True):
    """An array; `place` is where its bytes stand, `(start, end)`."""

    name: str
    type: str
    shape: tuple[int, ...]
    place: tuple[int, int]


class Msgpack(Document, frozen=True, kw_only=True, eq=False):
    """What it holds: arrays, `strings` (texts and bytes, where they stand), `extensions` of types
    that are not known (type, name, place), `flaws` of arrays that do not fit."""

    blob: Blob
    arrays: tuple[Array, ...]
    strings: tuple[tuple[str, int, int], ...]
    extensions: tuple[tuple[int, str, tuple[int, int]], ...]
    flaws: tuple[str, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """Strings that are something of their own, and extensions that are not known."""
        left = HANDED_OUT
        for code, name, (start, end) in self.extensions[:HANDED_OUT]:
            title = f"{name[:80]} (extension {code})"
            yield Piece(title, self.blob, start, end - start, "msgpack-extension")
        for name, start, end in self.strings:
            size = end - start
            for payload in payloads(self.blob.read(start, min(size, HEAD)), start):
                left -= 1
                if not payload.concealed:
                    yield Piece(name[:80], self.blob, start, size, payload.role)
                    continue
                for whole in payloads(self.blob.read(start, min(size, HELD)), start):
                    yield Held(f"{name[:80]} ({whole.how})", whole.data, whole.role)
            if left <= 0:
                why = f"more than {HANDED_OUT:,} strings that are something of their own"
                yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)
                return


_INT: Final = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i",
               0xD3: "q"}  # fmt: skip
_LENGTHS: Final = {
    0xC4: ("bin", "B"), 0xC5: ("bin", "H"), 0xC6: ("bin", "I"), 0xC7: ("ext", "B"),
    0xC8: ("ext", "H"), 0xC9: ("ext", "I"), 0xD9: ("str", "B"), 0xDA: ("str", "H"),
    0xDB: ("str", "I"), 0xDC: ("array", "H"), 0xDD: ("array", "I"), 0xDE: ("map", "H"),
    0xDF: ("map", "I"),
}  # fmt: skip


class _Walk(Struct):
    """Goes through the values; keeps what the document tells."""

    bytes: Forward
    left: int = 1 << 60
    arrays: list[Array] = field(default_factory=list)
    strings: list[tuple[str, int, int]] = field(default_factory=list)
    extensions: list[tuple[int, str, tuple[int, int]]] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)
    unseen: int = 0

    def next(self) -> tuple[str, Any]:
        """The kind of the next value and its number or length."""
        self.bytes.spend()
        self.left -= 1
        (byte,) = self.bytes.take(1)
        if byte < 0x80 or byte >= 0xE0:
            return "int", byte if byte < 0x80 else byte - 256
        if byte < 0xC0:
            kind = "map" if byte < 0x90 else "array" if byte < 0xA0 else "str"
            return kind, byte & (0x1F if byte >= 0xA0 else 0x0F)
        if byte in _INT:
            return "int", self.bytes.number(">" + _INT[byte])
        if byte in _LENGTHS:
            kind, code = _LENGTHS[byte]
            return kind, self.bytes.number(">" + code)
        if 0xD4 <= byte <= 0xD8:
            return "ext", 1 << (byte - 0xD4)
        if byte in (0xCA, 0xCB):
            self.bytes.take(4 if byte == 0xCA else 8)
            return "float", None
        if byte in (0xC0, 0xC2, 0xC3):
            return "constant", byte
        raise Malformed("no value begins with the byte c1", self.bytes.at - 1)

    def key(self) -> str:
        kind, n = self.next()
        if kind in ("str", "bin"):
            if n > KEY_LIMIT:
                raise Malformed(f"a key of {n:,} bytes", self.bytes.at)
            return self.bytes.text(n)
        if kind == "int":
            return str(n)
        raise Malformed("a key that is no text", self.bytes.at)

    def value(self, name: str, depth: int) -> None:
        if self.left < 0:
            return
        if depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", self.bytes.at)
        kind, n = self.next()
        if kind == "map":
            for _ in range(n):
                if self.left < 0:
                    return
                key = self.key()
                self.value(f"{name}/{key}"[-200:].lstrip("/"), depth + 1)
        elif kind == "array":
            for _ in range(n):
                if self.left < 0:
                    return
                self.value(name, depth + 1)
        elif kind in ("str", "bin"):
            start, end = self.bytes.skip(n)
            if n >= SHORTEST and len(self.strings) < LOOKED_AT:
                self.strings.append((name, start, end))
            elif n >= SHORTEST:
                self.unseen += 1
        elif kind == "ext":
            self.extension(name, n)

    def extension(self, name: str, n: int) -> None:
        code = self.bytes.number(">b")
        start, end = self.bytes.skip(n)
        after = self.bytes.at
        if code in (ARRAY, SCALAR):
            self.bytes.at = start
            try:
                self.array(name, end)
            except Malformed:
                self.extensions.append((code, name, (start, end)))
            self.bytes.at = after
        elif code not in (COMPLEX, TIMESTAMP) or n > 32:
            self.extensions.append((code, name, (start, end)))

    def array(self, name: str, end: int) -> None:
        """Shape, name of the type, bytes; they fill the extension."""
        kind, parts = self.next()
        shaped, rank = self.next()
        if (kind, parts, shaped) != ("array", 3, "array") or rank > 64:
            raise Malformed("no array", self.bytes.at)
        shape = []
        for _ in range(rank):
            said, size = self.next()
            if said != "int" or size < 0:
                raise Malformed("no shape", self.bytes.at)
            shape.append(size)
        type_ = self.key()
        said, n = self.next()
        place = self.bytes.skip(n) if said in ("bin", "str") else (0, -1)
        if place[1] != end:
            raise Malformed("no array", self.bytes.at)
        self.arrays.append(Array(name, type_, tuple(shape), place))
        elements = 1
        for size in shape:
            elements *= size
        bits = BITS.get(type_)
        if len(self.flaws) >= FLAWS_KEPT:
            return
        if bits is None:
            self.flaws.append(f"{name[:80]}: an array of the unknown type {type_[:40]!r}")
        elif elements * bits != n * 8:
            self.flaws.append(f"{name[:80]}: {type_} × {shape[:8]} is not {n:,} bytes")


def _sniff(sample: Sample) -> bool:
    """A map, and what follows fits: all of it, or as many values as are asked for."""
    first = sample.head[:1]
    if not (b"\x81" <= first <= b"\x8f" or first in (b"\xde", b"\xdf")):
        return False
    walk = _Walk(Forward(sample.blob), left=SNIFFED)
    try:
        walk.value("", 0)
    except (Malformed, struct.error):
        return False
    return walk.left < 0 or walk.bytes.at == sample.blob.size


def _parse(blob: Blob, where: Location, limits: Limits) -> Msgpack:
    walk = _Walk(Forward(blob))
    walk.value("", 0)
    gaps = []
    if walk.bytes.at < blob.size:
        raise Malformed("bytes follow the value", walk.bytes.at)
    if walk.unseen:
        why = f"{walk.unseen:,} more strings were not looked at"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    for code in sorted({code for code, _, _ in walk.extensions}):
        named = [name for c, name, _ in walk.extensions if c == code]
        why = (
            f"{len(named):,} values of the extension type {code} (the first: {named[0][:80]!r}): "
            "only the program that wrote them can read them"
        )
        gaps.append(Gap(kind=GapKind.UNSUPPORTED, message=why, at=where))
    lazy = sum(a.place[1] - a.place[0] for a in walk.arrays)
    return Msgpack(
        where=where,
        size=blob.size,
        seen=min(walk.bytes.seen, max(0, blob.size - lazy)),
        gaps=tuple(gaps),
        blob=blob,
        arrays=tuple(walk.arrays),
        strings=tuple(walk.strings),
        extensions=tuple(walk.extensions),
        flaws=tuple(walk.flaws),
    )


MSGPACK = Format(
    name="msgpack",
    title="MessagePack (Flax parameters)",
    loading=Loading.DATA,
    sniff=_sniff,
    first=bytes(range(0x81, 0x90)) + b"\xde\xdf",
    parse=_parse,
    document=Msgpack,
    limits="A map at the top, at most 2 million values; arrays' bytes stay lazy.",
)
