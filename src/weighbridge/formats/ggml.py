"""The binary models that GGUF replaced: `ggml`, `ggmf`, `ggjt`, and `ggla` for adapters.

They say neither which network they hold nor how long their parts are; each program had a layout
of its own (https://github.com/ggml-org/llama.cpp before August 2023, `convert-*-to-ggml.py` in
https://github.com/ggml-org/ggml and whisper.cpp). So the layouts that are known are tried, and
the one that accounts for every byte is the one. Tensor bytes are never read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.gguf import BLOCKS, Tensor

MAGICS: Final = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt", b"algg": "ggla"}
"""The first four bytes (a number, least byte first) and what they spell."""
TENSORS_LIMIT: Final = 65_536
VOCABULARY_LIMIT: Final = 1 << 20
WORD_LIMIT: Final = 1 << 16
NAME_LIMIT: Final = 512
PARAMETERS_LIMIT: Final = 1 << 24
"""No count in a header is larger; behind another magic these would be any four bytes."""

_OLDER: Final = {2: (32, 20), 3: (32, 24), 6: (32, 22), 7: (32, 24), 8: (32, 36), 9: (32, 40)}
"""Elements and bytes of the blocks that had 32-bit scales until May 2023."""


class Layout(NamedTuple):
    """How one program arranged its models: how many parameters, whether mel filters follow,
    whether the vocabulary says its length again and has scores, whether tensors are aligned."""

    program: str
    magics: tuple[str, ...]
    parameters: int
    filters: bool = False
    counted: bool = False
    scores: bool = False
    alignment: int = 1


LAYOUTS: Final = (
    Layout("llama.cpp", ("ggjt",), 7, scores=True, alignment=32),
    Layout("llama.cpp", ("ggmf",), 7, scores=True),
    Layout("whisper.cpp", ("ggml",), 11, filters=True, counted=True),
    Layout("gpt-2", ("ggml",), 6, counted=True),
    Layout("gpt-j", ("ggml",), 7, counted=True),
    Layout("gpt-neox", ("ggml",), 8, counted=True),
    Layout("llama.cpp", ("ggml",), 7),
    Layout("adapter", ("ggla",), 2, alignment=32),
)


class Ggml(Document, frozen=True, kw_only=True, eq=False):
    """The header. `kind` is what the magic spells, `layout` the program whose layout accounts for
    the whole file (empty: none that is known); `tensors` are placed from the file's beginning."""

    kind: str
    version: int
    layout: str
    parameters: tuple[int, ...]
    tensors: tuple[Tensor, ...]


def _header(head: bytes) -> tuple[str, int, int] | None:
    """What the magic spells, the version, and where the parameters begin."""
    kind = MAGICS.get(head[:4], "")
    if not kind or len(head) < 12:
        return None
    if kind == "ggml":
        return kind, 0, 4
    version = int.from_bytes(head[4:8], "little")
    return (kind, version, 8) if 1 <= version <= 9 else None


def _sniff(sample: Sample) -> bool:
    header = _header(sample.head)
    if header is None:
        return False
    first = int.from_bytes(sample.head[header[2] : header[2] + 4], "little")
    return 0 < first <= PARAMETERS_LIMIT


def _parse(blob: Blob, where: Location, limits: Limits) -> Ggml:
    header = _header(blob.read(0, 12))
    if header is None:
        raise Malformed("no header of a ggml file", 0)
    kind, version, start = header
    for layout in LAYOUTS:
        for blocks in ({}, _OLDER) if kind in layout.magics else ():
            reader = _Reader(blob, start)
            try:
                parameters, tensors = _try(reader, layout, blocks)
            except Malformed:
                continue
            return Ggml(
                where=where,
                size=blob.size,
                seen=blob.size - sum(t.size or 0 for t in tensors),
                kind=kind,
                version=version,
                layout=layout.program,
                parameters=parameters,
                tensors=tensors,
            )
    why = f"{kind}: the layout is of a program that is not known; its tensors were not found"
    return Ggml(
        where=where,
        size=blob.size,
        seen=min(12, blob.size),
        gaps=(Gap(kind=GapKind.UNSUPPORTED, message=why, at=where),),
        kind=kind,
        version=version,
        layout="",
        parameters=(),
        tensors=(),
    )


class _Reader:
    """Reads forward through a window; raises `Malformed` at the end of the bytes."""

    def __init__(self, blob: Blob, at: int) -> None:
        self.blob, self.at, self.end = blob, at, blob.size
        self.start, self.window = 0, b""

    def take(self, n: int) -> bytes:
        begin = self.at - self.start
        if begin < 0 or begin + n > len(self.window):
            self.start, begin = self.at, 0
            self.window = self.blob.read(self.at, max(n, 64 << 10))
            if len(self.window) < n:
                raise Malformed("it ends too soon", self.end)
        self.at += n
        return self.window[begin : begin + n]

    def count(self, limit: int) -> int:
        (n,) = struct.unpack("<i", self.take(4))
        if not 0 <= n <= limit:
            raise Malformed(f"a count of {n:,}", self.at)
        return int(n)

    def skip(self, n: int) -> None:
        self.at += n
        if self.at > self.end:
            raise Malformed("it ends too soon", self.end)


def _try(
    reader: _Reader, layout: Layout, blocks: dict[int, tuple[int, int]]
) -> tuple[tuple[int, ...], tuple[Tensor, ...]]:
    """Read the whole file by a layout. Raises `Malformed` where it does not fit."""
    parameters = tuple(reader.count(PARAMETERS_LIMIT) for _ in range(layout.parameters))
    if layout.filters:
        rows, columns = reader.count(1 << 16), reader.count(1 << 16)
        reader.skip(rows * columns * 4)
    if layout.program != "adapter":
        words = reader.count(VOCABULARY_LIMIT) if layout.counted else parameters[0]
        if words != parameters[0] and not layout.filters:
            raise Malformed("two lengths of the vocabulary", reader.at)
        for _ in range(words):
            reader.skip(reader.count(WORD_LIMIT) + (4 if layout.scores else 0))
    tensors = tuple(_tensors(reader, layout.alignment, blocks))
    if not tensors:
        raise Malformed("no tensor", reader.at)
    return parameters, tensors


def _tensors(
    reader: _Reader, alignment: int, blocks: dict[int, tuple[int, int]]
) -> Iterator[Tensor]:
    for _ in range(TENSORS_LIMIT):
        if reader.at == reader.end:
            return
        dimensions, length, kind = reader.count(4), reader.count(NAME_LIMIT), reader.count(255)
        shape = tuple(reader.count((1 << 31) - 1) for _ in range(dimensions))
        name = reader.take(length).decode("utf-8", "surrogateescape")
        known = BLOCKS.get(kind)
        if known is None or not name.isprintable():
            raise Malformed("no tensor", reader.at)
        label, block, width = known
        block, width = blocks.get(kind, (block, width))
        elements = 1
        for n in shape:
            elements *= n
        reader.skip(-reader.at % alignment)
        size = elements // block * width
        yield Tensor(name, label, shape, reader.at, size)
        reader.skip(size)
    raise Malformed("too many tensors", reader.at)


GGML = Format(
    name="ggml",
    title="GGML model (before GGUF)",
    loading=Loading.DATA,
    sniff=_sniff,
    first=bytes(sorted(m[0] for m in MAGICS)),
    parse=_parse,
    document=Ggml,
    limits="Layouts of llama.cpp, whisper.cpp, gpt-2, gpt-j and gpt-neox; others are a gap.",
)
