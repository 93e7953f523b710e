"""MXNet's parameters: a list of arrays with their names. Its graphs are JSON and read as such.

Layout: `NDArray::Save` and `NDArray::Load` of Apache MXNet 1.x (src/ndarray/ndarray.cc).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.forward import Forward

MAGIC: Final = (0x112).to_bytes(8, "little") + bytes(8)
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
TYPES: Final = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}
"""Types of arrays by number: bytes of an element."""
SPARSE: Final = {1: 1, 2: 2}
"""Sparse kinds by number (rows, compressed rows): how many arrays of indices they have."""
RANK_LIMIT: Final = 64
ARRAYS_LIMIT: Final = 1_000_000


class MxnetArray(Struct, frozen=True):
    """An array: its name (empty where none is said), shape, and where its bytes stand."""

    name: str
    shape: tuple[int, ...]
    place: tuple[int, int]


class MxnetParameters(Document, frozen=True, kw_only=True, eq=False):
    """The arrays. `end` is where the list ends."""

    blob: Blob
    arrays: tuple[MxnetArray, ...]
    end: int

    def walk(self) -> Iterator[Blob | Gap]:
        """What follows the list."""
        if self.end < self.size:
            size = self.size - self.end
            yield Piece("bytes behind the arrays", self.blob, self.end, size, "leftover")


def _shape(reader: Forward, rank: int, code: str = "<q") -> tuple[int, ...]:
    if rank > RANK_LIMIT:
        raise Malformed(f"an array of {rank:,} dimensions", reader.at)
    shape = tuple(reader.number(code) for _ in range(max(rank, 0)))
    if min(shape, default=0) < 0:
        raise Malformed("a negative dimension", reader.at)
    return shape


def _bytes(reader: Forward, shape: tuple[int, ...], kind: int) -> int:
    size = TYPES.get(kind, 0)
    if not size:
        raise Malformed(f"an array of the unknown type {kind}", reader.at)
    for n in shape:
        size *= n
    return size


def _array(reader: Forward) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Shape and place of the next array."""
    magic = reader.number("<I")
    stored = None
    indices = 0
    if magic in (V2, V3):
        kind = reader.number("<i")
        indices = SPARSE.get(kind, 0)
        if indices:
            stored = _shape(reader, reader.number("<i"))
        shape = _shape(reader, reader.number("<i"))
    elif magic == V1:
        shape = _shape(reader, reader.number("<I"))
    else:  # before 0.11 the rank stood here, and dimensions were shorter
        shape = _shape(reader, magic, "<I")
    if not shape and magic != V3:
        return shape, (reader.at, reader.at)
    reader.skip(8)
    kind = reader.number("<i")
    extra = []
    for _ in range(indices):
        index = reader.number("<i")
        extra.append((index, _shape(reader, reader.number("<i"))))
    place = reader.skip(_bytes(reader, shape if stored is None else stored, kind))
    for index, dims in extra:
        reader.skip(_bytes(reader, dims, index))
    return shape, place


def _parse(blob: Blob, where: Location, limits: Limits) -> MxnetParameters:
    reader = Forward(blob, len(MAGIC))
    count = reader.number("<Q")
    if count > ARRAYS_LIMIT:
        raise Malformed(f"{count:,} arrays", len(MAGIC))
    found = [_array(reader) for _ in range(count)]
    names = reader.number("<Q")
    if names not in (0, count):
        raise Malformed(f"{names:,} names for {count:,} arrays", reader.at)
    listed = [reader.text(reader.number("<Q")) for _ in range(names)] or [""] * count
    gaps: tuple[Gap, ...] = ()
    if reader.at < blob.size:
        why = f"{blob.size - reader.at:,} bytes follow the arrays"
        gaps = (Gap(kind=GapKind.MALFORMED, message=why, at=where),)
    return MxnetParameters(
        where=where,
        size=blob.size,
        seen=min(blob.size, len(MAGIC) + reader.seen),
        gaps=gaps,
        blob=blob,
        arrays=tuple(MxnetArray(n, *f) for n, f in zip(listed, found, strict=True)),
        end=reader.at,
    )


def _sniff(sample: Sample) -> bool:
    return sample.head.startswith(MAGIC) and len(sample.head) >= 24


MXNET = Format(
    name="mxnet-parameters",
    title="MXNet parameters",
    loading=Loading.DATA,
    sniff=_sniff,
    first=MAGIC[:1],
    parse=_parse,
    document=MxnetParameters,
    limits="Array bytes are not read.",
)
