"""PaddlePaddle: a program as Protocol Buffers, and parameters one after the other.

Schema: `framework.proto` of Paddle; parameters: `SerializeToStream` in its `lod_tensor.cc`. The
programs that Paddle 3 writes are JSON and are read as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Piece
from weighbridge.formats.forward import Forward, Metered
from weighbridge.formats.payload import EMBEDDED, is_code
from weighbridge.formats.protobuf import Kind, Schema, Wire, many, one

TENSORS_LIMIT: Final = 200_000
HANDED_OUT: Final = 1_000
NOTEWORTHY: Final = 256

_ATTRIBUTE: Final = Schema("Attr", {
    1: one("name", Kind.TEXT), 3: one("i", Kind.INT), 5: one("s", Kind.TEXT),
    8: many("strings", Kind.TEXT), 13: one("l", Kind.INT),
})  # fmt: skip
_OP: Final = Schema("OpDesc", {3: one("type", Kind.TEXT), 4: many("attribute", _ATTRIBUTE)})
_BLOCK: Final = Schema("BlockDesc", {1: one("index", Kind.INT), 4: many("op", _OP)})
_PROGRAM: Final = Schema("ProgramDesc", {1: many("block", _BLOCK)})
_DESCRIPTION: Final = Schema("TensorDesc", {1: one("type", Kind.INT), 2: many("dims", Kind.INT)})

TYPES: Final = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 19: 8, 20: 1, 21: 1, 22: 2, 23: 8,
                24: 16, 32: 1, 33: 1}  # fmt: skip
"""Types of tensors by number: bytes of an element."""


class Op(Struct, frozen=True):
    """A step of the program, with those of its attributes that are text or a whole number."""

    type: str
    block: int
    attributes: tuple[tuple[str, str], ...]


class PaddleProgram(Document, frozen=True, kw_only=True, eq=False):
    """The operators of all blocks, in order."""

    ops: tuple[Op, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts of attributes that could be something of their own."""
        left = HANDED_OUT
        for op in self.ops:
            for key, text in op.attributes:
                if len(text) < NOTEWORTHY and not is_code(text[:4096].encode("utf-8", "replace")):
                    continue
                left -= 1
                if left < 0:
                    why = f"more than {HANDED_OUT:,} texts; the rest were not looked at"
                    yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)
                    return
                data = text.encode("utf-8", "surrogateescape")
                yield Held(f"{op.type[:60]}.{key[:40]}", data, EMBEDDED)


_FIRST_BLOCK: Final = regex(rb"\x0a[\x80-\xff]{0,4}[\x00-\x7f]\x08\x00\x10\xff{9}\x01")
"""Block 0, whose parent is -1."""


def _parse_program(blob: Blob, where: Location, limits: Limits) -> PaddleProgram:
    metered = Metered(blob)
    blocks = Wire(metered).decode(_PROGRAM).get("block", [])
    ops = tuple(
        Op(
            type=op.get("type", ""),
            block=block.get("index", 0),
            attributes=tuple(
                (a.get("name", ""), text)
                for a in op.get("attribute", ())
                for text in (*a.get("strings", ()), *(str(a[k]) for k in ("s", "i", "l") if k in a))
            ),
        )
        for block in blocks
        for op in block.get("op", ())
    )
    if not blocks:
        raise Malformed("a program without blocks")
    return PaddleProgram(
        where=where, size=blob.size, seen=min(blob.size, metered.read_bytes), ops=ops
    )


PADDLE_PROGRAM = Format(
    name="paddle-program",
    title="PaddlePaddle program",
    loading=Loading.DATA,
    sniff=lambda sample: bool(_FIRST_BLOCK.match(sample.head)),
    first=b"\x0a",
    parse=_parse_program,
    document=PaddleProgram,
    limits="Operators and their attributes; variables are not looked at.",
)


class PaddleTensor(Struct, frozen=True):
    """A parameter: number of its type, shape, and where its bytes stand, `(start, end)`."""

    type: int
    shape: tuple[int, ...]
    place: tuple[int, int]


class PaddleParameters(Document, frozen=True, kw_only=True, eq=False):
    """The tensors in order; their names are in the program. `end` is where the last one ends."""

    blob: Blob
    tensors: tuple[PaddleTensor, ...]
    end: int

    def walk(self) -> Iterator[Blob | Gap]:
        """What follows the last tensor that could be read."""
        if self.end < self.size:
            size = self.size - self.end
            yield Piece("bytes behind the tensors", self.blob, self.end, size, "leftover")


def _sniff_parameters(sample: Sample) -> bool:
    """A tensor: versions and nesting of zero, then a description that begins with a type."""
    head = sample.head
    length = int.from_bytes(head[16:20], "little")
    return len(head) > 24 and not any(head[:16]) and 2 <= length < 200 and head[20] == 8


def _tensor(reader: Forward) -> PaddleTensor:
    version, levels = reader.number("<I"), reader.number("<Q")
    if version or levels > 8:
        raise Malformed("no tensor begins here", reader.at)
    for _ in range(levels):
        reader.skip(reader.number("<Q"))
    if reader.number("<I"):
        raise Malformed("a tensor of an unknown version", reader.at)
    start, end = reader.skip(reader.number("<i"))
    said = Wire(reader.blob).decode(_DESCRIPTION, start, end)
    width, shape = TYPES.get(said.get("type", -1)), tuple(said.get("dims", ()))
    if width is None or min(shape, default=0) < 0:
        raise Malformed("a tensor of an unknown type or shape", start)
    size = width
    for n in shape:
        size *= n
    return PaddleTensor(said["type"], shape, reader.skip(size))


def _parse_parameters(blob: Blob, where: Location, limits: Limits) -> PaddleParameters:
    reader = Forward(blob)
    tensors: list[PaddleTensor] = []
    gaps: tuple[Gap, ...] = ()
    end = 0
    while reader.at < blob.size and len(tensors) < TENSORS_LIMIT:
        try:
            tensors.append(_tensor(reader))
        except Malformed as error:
            if not tensors:
                raise
            gaps = (Gap(kind=GapKind.MALFORMED, message=str(error), at=where),)
            break
        end = reader.at
    else:
        if reader.at < blob.size:
            why = f"more than {TENSORS_LIMIT:,} tensors; the rest were not looked at"
            gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    lazy = sum(b - a for a, b in (t.place for t in tensors))
    return PaddleParameters(
        where=where, size=blob.size, seen=max(0, end - lazy), gaps=gaps, blob=blob,
        tensors=tuple(tensors), end=end,
    )  # fmt: skip


PADDLE_PARAMETERS = Format(
    name="paddle-parameters",
    title="PaddlePaddle parameters",
    loading=Loading.DATA,
    sniff=_sniff_parameters,
    first=b"\x00",
    parse=_parse_parameters,
    document=PaddleParameters,
    limits="Tensor bytes are not read; names are in the program.",
)
