"""GGUF: a header, key-value pairs, tensor entries, the tensors' bytes.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 1 to 3, either byte
order. Tensor bytes are never read; long arrays (the vocabulary) are walked over, not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held

MAGIC: Final = b"GGUF"
PAIRS_LIMIT: Final = 65_536
TENSORS_LIMIT: Final = 262_144
ARRAY_LIMIT: Final = 16 << 20
"""Elements of one array; vocabularies have a few hundred thousand."""
ARRAY_KEPT: Final = 64
NESTING: Final = 4
TEXT_LIMIT: Final = 16 << 20
HEADER_LIMIT: Final = 256 << 20
"""In bytes; real headers are a few megabytes, nearly all of it the vocabulary."""
FLAWS_KEPT: Final = 100
WINDOW: Final = 1 << 20
CHAT_TEMPLATE: Final = "chat-template"

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
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""ggml types: name, elements in a block, bytes of a block."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's entry. `offset` in bytes from where the data begin; `size` in bytes, or None
    where the type is not known."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that the format forbids and that did not stop us from reading on.

    `overflow`: sizes that wrap around in a reader that computes with 64 bits.
    """

    message: str
    offset: int
    overflow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gguf(Document):
    """The header. `pairs` holds scalars, strings and the first elements of arrays; `data` is the
    offset where tensor bytes begin."""

    version: int
    pairs: dict[str, Any]
    tensors: tuple[Tensor, ...]
    flaws: tuple[Flaw, ...]
    data: int

    def walk(self) -> Iterator[Blob | Gap]:
        """The chat templates: each is judged like one of a file of its own."""
        for key, value in self.pairs.items():
            texts = value if isinstance(value, list) else [value]
            if "chat_template" in key and not key.endswith("chat_templates"):
                for text in texts:
                    if isinstance(text, str):
                        data = text.encode("utf-8", "surrogateescape")
                        yield Held(key, data, CHAT_TEMPLATE)


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

    def reach(self, n: int) -> None:
        """Raise where the next `n` bytes are not there, or are too many."""
        if self.at + n > self.blob.size:
            raise Malformed("it ends in the middle of the header", self.blob.size)
        if self.at + n > HEADER_LIMIT:
            raise Malformed(f"the header is longer than {HEADER_LIMIT:,} bytes", self.at)


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
    count = "I" if version == 1 else "Q"
    tensor_count, pair_count = reader.number(count), reader.number(count)
    if pair_count > PAIRS_LIMIT or tensor_count > TENSORS_LIMIT:
        raise Malformed(f"a header of {pair_count:,} keys and {tensor_count:,} tensors", 8)
    reading = _Reading(reader, count)
    pairs: dict[str, Any] = {}
    for _ in range(pair_count):
        at = reader.at
        key = reading.text()
        value = reading.value(reader.number("I"), 0)
        if key in pairs:
            reading.note(f"the key {key[:80]!r} stands twice in the header", at)
        pairs[key] = value
    alignment = pairs.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        reading.note("general.alignment is not a power of two", 0)
        alignment = 32
    tensors = [reading.tensor() for _ in range(tensor_count)]
    data = reader.at + -reader.at % alignment
    reading.place(tensors, data, alignment, blob.size)
    return Gguf(
        where=where,
        size=blob.size,
        seen=reader.at,
        gaps=tuple(Gap(kind=GapKind.TOO_LARGE, message=m, at=where) for m in reading.missed),
        version=version,
        pairs=pairs,
        tensors=tuple(tensors),
        flaws=tuple(reading.flaws),
        data=data,
    )


class _Reading:
    def __init__(self, reader: _Reader, count: str) -> None:
        self.reader, self.count = reader, count
        self.flaws: list[Flaw] = []
        self.missed: list[str] = []

    def note(self, message: str, offset: int, *, overflow: bool = False) -> None:
        if len(self.flaws) < FLAWS_KEPT:
            self.flaws.append(Flaw(message, offset, overflow))

    def text(self) -> str:
        at = self.reader.at
        length = self.reader.number(self.count)
        if length > TEXT_LIMIT:
            raise Malformed(f"a string of {length:,} bytes", at)
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
        if length > ARRAY_LIMIT:
            raise Malformed(f"an array of {length:,} elements", at)
        if inner in _SCALARS:
            width = struct.calcsize("=" + _SCALARS[inner])
            kept = [self.value(inner, depth) for _ in range(min(length, ARRAY_KEPT))]
            self.reader.skip(width * (length - len(kept)))
            return kept
        kept = []
        for index in range(length):
            if inner == _STRING and index >= ARRAY_KEPT:
                self.reader.skip(self.reader.number(self.count))
                continue
            item = self.value(inner, depth + 1)
            if index < ARRAY_KEPT:
                kept.append(item)
        return kept

    def tensor(self) -> Tensor:
        at = self.reader.at
        name = self.text()
        dimensions = self.reader.number("I")
        if dimensions > 4:
            self.note(f"tensor {name[:80]!r} has {dimensions} dimensions, four are allowed", at)
            if dimensions > 64:
                raise Malformed(f"a tensor of {dimensions:,} dimensions", at)
        shape = tuple(self.reader.number(self.count) for _ in range(dimensions))
        kind, offset = self.reader.number("I"), self.reader.number("Q")
        elements = 1
        for n in shape:
            elements *= n
        known = BLOCKS.get(kind)
        if known is None:
            self.note(f"tensor {name[:80]!r} has the unknown type {kind}", at)
            return Tensor(name, str(kind), shape, offset, None)
        label, block, width = known
        if shape and shape[0] % block:
            self.note(f"tensor {name[:80]!r}: rows of {shape[0]:,} are no whole {label} blocks", at)
        size = elements // block * width
        if elements >= 1 << 63 or size >= 1 << 63 or offset + size >= 1 << 64:
            message = f"tensor {name[:80]!r}: its size overflows 64 bits"
            self.note(message, at, overflow=True)
        return Tensor(name, label, shape, offset, size)

    def place(self, tensors: list[Tensor], data: int, alignment: int, end: int) -> None:
        """Hold the tensors' places against each other and against the end of the file."""
        seen: set[str] = set()
        reached, before = 0, ""
        for tensor in sorted(tensors, key=lambda t: t.offset):
            name = tensor.name[:80]
            if tensor.name in seen:
                self.note(f"two tensors are called {name!r}", 0)
            seen.add(tensor.name)
            if tensor.offset % alignment:
                self.note(f"tensor {name!r} is not aligned to {alignment} bytes", data)
            if tensor.offset < reached:
                self.note(f"tensor {name!r} begins inside {before!r}", data + tensor.offset)
            elif before and tensor.offset - reached >= alignment:
                hole = tensor.offset - reached
                self.note(f"{hole:,} bytes before tensor {name!r} are in none", data + reached)
            size = tensor.size or 0
            if data + tensor.offset + size > end:
                beyond = data + tensor.offset + size - end
                self.note(f"tensor {name!r} ends {beyond:,} bytes behind the file", data)
            reached, before = tensor.offset + size, name
        known = all(t.size is not None for t in tensors)
        if known and tensors and end - data - reached > alignment:
            extra = end - data - reached
            self.note(f"{extra:,} bytes follow the last tensor", data + reached)


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
