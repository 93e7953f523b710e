"""GGUF: a header, key-value pairs, tensor entries, the tensors' bytes.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 1 to 3, either byte
order. Tensor bytes are never read; long arrays (the vocabulary) are walked over, not kept. The
types and their blocks are those of ggml; a few that it had for a time are kept, since files that
were published with them still are about.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Settings, TensorEntry, Weights
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.text import encodable, plain

MAGIC: Final = b"GGUF"
PAIRS_LIMIT: Final = 65_536
TENSORS_LIMIT: Final = 65_536
ITEMS_LIMIT: Final = 8 << 20
"""Strings and arrays within arrays, in all; vocabularies have a few hundred thousand."""
ARRAY_KEPT: Final = 64
VALUES_KEPT: Final = 1 << 18
NESTING: Final = 4
TEXT_LIMIT: Final = 16 << 20
TEXT_KEPT: Final = 24 << 20
"""Bytes of all strings that are kept; the templates and licences of real files have some 100 KB."""
NAME_LIMIT: Final = 128
"""In bytes, with the zero that ends it: ggml has room for 64 (`GGML_MAX_NAME`), its builds for
picture models for 128."""
HEADER_LIMIT: Final = 256 << 20
"""In bytes; real headers are a few megabytes, nearly all of it the vocabulary."""
FLAWS_KEPT: Final = 100
WINDOW: Final = 256 << 10
CHAT_TEMPLATE: Final = "chat-template"
OVERFLOW: Final = "overflow"

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q",
                   11: "q", 12: "d"}  # fmt: skip
_STRING: Final = 8
_ARRAY: Final = 9

BLOCKS: Final[dict[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 31: ("Q4_0_4_4", 32, 18), 32: ("Q4_0_4_8", 32, 18),
    33: ("Q4_0_8_8", 32, 18), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    36: ("IQ4_NL_4_4", 32, 18), 37: ("IQ4_NL_4_8", 32, 18), 38: ("IQ4_NL_8_8", 32, 18),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""ggml types: name, elements in a block, bytes of a block."""


class Tensor(Struct, frozen=True):
    """A tensor's entry. `offset` in bytes from where the data begin; `size` in bytes, or None
    where the type is not known."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int | None


class Flaw(Struct, frozen=True):
    """Something that the format forbids.

    `kind` names the rule that is broken; `overflow` is for sizes that wrap around in a reader that
    computes with 64 bits.
    """

    kind: str
    message: str
    offset: int


class Gguf(Document, frozen=True, kw_only=True, eq=False):
    """The header. `pairs` holds scalars, strings and the first elements of arrays, the first of
    two that share a key; `templates` are the key and the text of every chat template; `data` is
    the offset where tensor bytes begin."""

    version: int
    pairs: dict[str, Any]
    templates: tuple[tuple[str, str], ...]
    tensors: tuple[Tensor, ...]
    flaws: tuple[Flaw, ...]
    data: int
    big_endian: bool = False

    @property
    def kind(self) -> str:
        """What the file is by its own word: `model`, `adapter`, `mmproj`, `imatrix` …"""
        kind = self.pairs.get("general.type", "model")
        return kind if isinstance(kind, str) else "model"

    @property
    def architecture(self) -> str:
        """Which network the tensors are for, or the empty string."""
        named = self.pairs.get("general.architecture", "")
        return named if isinstance(named, str) else ""

    def facts(self) -> Iterator[Settings | Weights]:
        """The keys with a single value, and the tensors with the places of their bytes (ggml
        writes a shape with the fastest dimension first); one whose numbers overflow is left
        out, and numbers in the other byte order have no place that could be read."""
        scalars = {k: v for k, v in self.pairs.items() if isinstance(v, str | int | float | bool)}
        yield Settings(at=self.where, kind="gguf", values=plain(scalars, PAIRS_LIMIT))
        yield Weights(
            at=self.where,
            format="gguf",
            tensors=tuple(
                TensorEntry(
                    encodable(t.name),
                    t.type,
                    t.shape[::-1],
                    -1 if self.big_endian else self.data + t.offset,
                    t.size or 0,
                )
                for t in self.tensors
                if max(*t.shape, self.data + t.offset + (t.size or 0), 0) < 1 << 63
            ),
        )

    def walk(self) -> Iterator[Blob | Gap]:
        """The chat templates: each is judged like one of a file of its own."""
        for key, text in self.templates:
            yield Held(key, text.encode("utf-8", "surrogateescape"), CHAT_TEMPLATE)


class _Overflow(Exception):
    """A length or a count that wraps around in a reader that computes with 64 bits."""

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(why)
        self.why, self.offset = why, offset


class _Reader:
    """Reads forward through a window; raises `Malformed` at the end of the bytes."""

    def __init__(self, blob: Blob, order: str) -> None:
        self.blob, self.order = blob, order
        self.start, self.window, self.at = 0, b"", 0

    def take(self, n: int) -> bytes:
        begin = self.at - self.start
        if begin < 0 or begin + n > len(self.window):
            self.reach(n)
            self.start, begin = self.at, 0
            self.window = self.blob.read(self.at, max(n, WINDOW))
            if len(self.window) < n:
                raise Malformed("it ends in the middle of the header", self.blob.size)
        self.at += n
        return self.window[begin : begin + n]

    def number(self, code: str) -> Any:
        return struct.unpack(self.order + code, self.take(struct.calcsize("=" + code)))[0]

    def skip(self, n: int) -> None:
        self.reach(n)
        self.at += n

    def skip_texts(self, count: int, code: str) -> None:
        """Walk over strings, each behind its length: a vocabulary."""
        length = struct.Struct(self.order + code)
        for _ in range(count):
            begin = self.at - self.start
            if 0 <= begin <= len(self.window) - length.size:
                (n,) = length.unpack_from(self.window, begin)
                self.at += length.size
            else:
                n = self.number(code)
            if n > TEXT_LIMIT:
                raise _too_long(n, self.at - length.size)
            self.at += n
        self.reach(0)

    def reach(self, n: int) -> None:
        """Raise where the next `n` bytes are not there, or are too many."""
        if self.at + n > self.blob.size:
            raise Malformed("it ends in the middle of the header", self.blob.size)
        if self.at + n > HEADER_LIMIT:
            raise Malformed(f"the header is longer than {HEADER_LIMIT:,} bytes", self.at)


def _too_long(length: int, at: int) -> Exception:
    """What to raise for a string of an impossible length; one that is -1 in 64 bits becomes 0 when
    room for the final zero is added, and has been an attack."""
    if length >= 1 << 63:
        return _Overflow(f"the length of a string overflows 64 bits ({length:,})", at)
    return Malformed(f"a string of {length:,} bytes", at)


def _sniff(sample: Sample) -> bool:
    head = sample.head
    if not head.startswith(MAGIC) or len(head) < 8:
        return False
    return 1 <= min(int.from_bytes(head[4:8], o) for o in ("little", "big")) <= 16


def _parse(blob: Blob, where: Location, limits: Limits) -> Gguf:
    order = "<" if blob.read(4, 4)[:1] != b"\0" else ">"
    reader = _Reader(blob, order)
    reader.take(4)
    version = reader.number("I")
    if not 1 <= version <= 3:
        raise Malformed(f"version {version} of GGUF is not known", 4)
    reading = _Reading(reader, "I" if version == 1 else "Q")
    try:
        reading.header(blob.size)
    except _Overflow as error:
        reading.note(OVERFLOW, error.why, error.offset)
        why = f"the header could not be read to its end: {error.why}"
        reading.gaps.append((GapKind.MALFORMED, why))
    return Gguf(
        where=where,
        size=blob.size,
        seen=min(reader.at, blob.size),
        gaps=tuple(Gap(kind=kind, message=why, at=where) for kind, why in reading.gaps),
        version=version,
        pairs=reading.pairs,
        templates=tuple(reading.templates),
        tensors=tuple(reading.tensors),
        flaws=tuple(reading.flaws),
        data=reading.data,
        big_endian=order == ">",
    )


class _Reading:
    """What was read so far, and the budgets."""

    def __init__(self, reader: _Reader, count: str) -> None:
        self.reader, self.count = reader, count
        self.pairs: dict[str, Any] = {}
        self.templates: list[tuple[str, str]] = []
        self.tensors: list[Tensor] = []
        self.flaws: list[Flaw] = []
        self.gaps: list[tuple[GapKind, str]] = []
        self.unknown: Counter[int] = Counter()
        self.items = self.values = self.kept = self.data = 0

    def note(self, kind: str, message: str, offset: int) -> None:
        if len(self.flaws) < FLAWS_KEPT or kind == OVERFLOW:
            self.flaws.append(Flaw(kind, message, offset))

    def header(self, size: int) -> None:
        """Read all of it. Raises `Malformed`, and `_Overflow` where a number is an attack."""
        tensors, pairs = self.reader.number(self.count), self.reader.number(self.count)
        for what, n, limit in (("tensors", tensors, TENSORS_LIMIT), ("keys", pairs, PAIRS_LIMIT)):
            if n >= 1 << 56:  # times the size of an entry in memory
                raise _Overflow(f"the number of {what} overflows 64 bits ({n:,})", 8)
            if n > limit:
                raise Malformed(f"a header of {n:,} {what}", 8)
        for _ in range(pairs):
            self.pair()
        alignment = self.pairs.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            self.note("alignment", "general.alignment is not a power of two", 0)
            alignment = 32
        self.split()
        for _ in range(tensors):
            self.tensor()
        self.data = self.reader.at + -self.reader.at % alignment
        self.place(alignment, size)
        if self.unknown:
            types = ", ".join(f"{kind} ({n:,} ×)" for kind, n in self.unknown.most_common(8))
            why = f"tensors of types that are not known: {types}; their sizes were not checked"
            self.gaps.append((GapKind.UNSUPPORTED, why))

    def pair(self) -> None:
        at = self.reader.at
        key = self.text()
        value = self.value(self.reader.number("I"), 0)
        if key in self.pairs:
            self.note("twice", f"the key {key[:80]!r} stands twice in the header", at)
        if "chat_template" in key:
            texts = value if isinstance(value, list) else [value]
            if not key.endswith("chat_templates"):  # those are the names of the others
                self.templates += [(key, t) for t in texts if isinstance(t, str)]
        self.pairs.setdefault(key, value)

    def split(self) -> None:
        """A model in several files says in each which one it is."""
        number, count = self.pairs.get("split.no", 0), self.pairs.get("split.count", 0)
        if not isinstance(number, int) or not isinstance(count, int) or number >= count > 0:
            self.note("split", f"part {number!r} of {count!r} parts does not exist", 0)

    def text(self) -> str:
        at = self.reader.at
        length = self.reader.number(self.count)
        if length > TEXT_LIMIT:
            raise _too_long(length, at)
        self.kept += length
        if self.kept > TEXT_KEPT:
            raise Malformed(f"strings of more than {TEXT_KEPT:,} bytes", at)
        return self.reader.take(length).decode("utf-8", "surrogateescape")

    def value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self.reader.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth >= NESTING:
            raise Malformed(f"a value of type {kind} does not exist", self.reader.at)
        at = self.reader.at
        inner, length = self.reader.number("I"), self.reader.number(self.count)
        width = struct.calcsize("=" + _SCALARS[inner]) if inner in _SCALARS else 8
        if length * width >= 1 << 64:
            raise _Overflow(f"the size of an array overflows 64 bits ({length:,} elements)", at)
        kept = min(length, ARRAY_KEPT)
        self.values += kept
        if inner not in _SCALARS:
            self.items += length
        if self.items > ITEMS_LIMIT or self.values > VALUES_KEPT:
            raise Malformed(f"an array of {length:,} elements, more than any vocabulary has", at)
        made = [self.value(inner, depth + 1) for _ in range(kept)]
        if inner in _SCALARS:
            self.reader.skip(width * (length - kept))
        elif inner == _STRING:
            self.reader.skip_texts(length - kept, self.count)
        else:
            for _ in range(length - kept):
                self.value(inner, depth + 1)
        return made

    def tensor(self) -> None:
        at = self.reader.at
        name = self.text()
        shown = name[:80]
        if len(name.encode("utf-8", "surrogateescape")) >= NAME_LIMIT:
            self.note(
                "name", f"the name of tensor {shown!r} is longer than {NAME_LIMIT - 1} bytes", at
            )
        dimensions = self.reader.number("I")
        if dimensions > 4:
            self.note(
                "dimensions", f"tensor {shown!r} has {dimensions} dimensions, four are allowed", at
            )
            if dimensions > 64:
                raise Malformed(f"a tensor of {dimensions:,} dimensions", at)
        shape = tuple(self.reader.number(self.count) for _ in range(dimensions))
        kind, offset = self.reader.number("I"), self.reader.number("Q")
        elements = 1
        for n in shape:
            elements *= n
        known = BLOCKS.get(kind)
        label, block, width = known or (str(kind), 1, 1)
        if known is None:
            self.unknown[kind] += 1
        elif shape and shape[0] % block:
            self.note(
                "blocks", f"tensor {shown!r}: rows of {shape[0]:,} are no whole {label} blocks", at
            )
        size = elements // block * width
        if elements >= 1 << 63 or size >= 1 << 63 or offset + size >= 1 << 64:
            self.note(OVERFLOW, f"tensor {shown!r}: its size overflows 64 bits", at)
        self.tensors.append(Tensor(name, label, shape, offset, size if known else None))

    def place(self, alignment: int, end: int) -> None:
        """Hold the tensors' places against each other and against the end of the file."""
        data = self.data
        names = Counter(t.name for t in self.tensors)
        for name in [n for n, count in names.items() if count > 1]:
            self.note("name", f"two tensors are called {name[:80]!r}", 0)
        reached: int | None = 0
        before = ""
        for tensor in sorted(self.tensors, key=lambda t: (t.offset, t.size or 0)):
            name, size = tensor.name[:80], tensor.size
            if tensor.offset % alignment:
                self.note("alignment", f"tensor {name!r} is not aligned to {alignment} bytes", data)
            if reached is not None and tensor.offset < reached:
                self.note(
                    "overlap", f"tensor {name!r} begins inside {before!r}", data + tensor.offset
                )
            elif reached is not None and tensor.offset - reached >= alignment:
                hole = tensor.offset - reached
                self.note(
                    "hole", f"{hole:,} bytes before tensor {name!r} are in none", data + reached
                )
            if data + tensor.offset + (size or 0) > end:
                beyond = data + tensor.offset + (size or 0) - end
                self.note("beyond", f"tensor {name!r} ends {beyond:,} bytes behind the file", data)
            reached = None if size is None else max(reached or 0, tensor.offset + size)
            before = name
        if reached is not None and end - data - reached > alignment:
            extra = end - data - reached
            what = "the last tensor" if self.tensors else "the header"
            self.note("trailing", f"{extra:,} bytes follow {what}", data + reached)


GGUF = Format(
    name="gguf",
    title="GGUF model",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"G",
    parse=_parse,
    document=Gguf,
    limits="Tensor bytes are not read; of arrays the first 64 elements are kept.",
)
