"""ExecuTorch's tensors beside a program (`.ptd`): names, layouts, and segments behind them.

Schema: `extension/flat_tensor/serialize/flat_tensor.fbs` of pytorch/executorch (identifier `FT01`);
a header at byte 8 (`FH01`) says where the segments begin. Segments are never read as tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.executorch import TYPES, Extent
from weighbridge.formats.flatbuffer import Flatbuffer, has_identifier

IDENTIFIER: Final = b"FT01"
HEADER: Final = b"FH01"


class Named(Struct, frozen=True):
    """A blob under a key; `type` and `shape` only if it is a tensor."""

    key: str
    data: Extent
    type: str
    shape: tuple[int, ...]


class FlatTensor(Document, frozen=True, kw_only=True, eq=False):
    """The blobs of the file, by their keys."""

    blob: Blob
    named: tuple[Named, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """The blobs that are no tensor's: what a backend asks for by a key."""
        for entry in self.named:
            if not entry.type and entry.data.size:
                name = f"data {entry.key[:60]!r}"
                yield Piece(name, self.blob, entry.data.start, entry.data.size, "executorch-data")


def _sniff(sample: Sample) -> bool:
    return has_identifier(sample, IDENTIFIER)


def _parse(blob: Blob, where: Location, limits: Limits) -> FlatTensor:
    head = blob.read(8, 40)
    base = int.from_bytes(head[24:32], "little") if head[:4] == HEADER else 0
    if head[:4] == HEADER:
        tables, segments_size = (int.from_bytes(head[n : n + 8], "little") for n in (16, 32))
        start = int.from_bytes(head[8:16], "little")
        if start + tables > blob.size or base + segments_size > blob.size:
            raise Malformed("the header places parts behind the end of the file", 8)
    root = Flatbuffer(blob).root()
    segments = []
    for table in root.tables(1):
        start, size = base + table.number(0, "Q"), table.number(1, "Q")
        if start + size > blob.size:
            raise Malformed(f"a segment of {size:,} bytes leads out of the file", start)
        segments.append(Extent(start, size))
    named = []
    for table in root.tables(2):
        index, layout = table.number(1, "I"), table.table(2)
        if index >= len(segments):
            raise Malformed(f"segment {index:,} of {len(segments):,} is used")
        kind = TYPES.get(layout.number(0, "b"), "unknown") if layout is not None else ""
        shape = layout.numbers(1, "i") if layout is not None else ()
        named.append(Named(table.text(0), segments[index], kind, shape))
    return FlatTensor(
        where=where,
        size=blob.size,
        seen=max(0, blob.size - sum(s.size for s in segments)),
        blob=blob,
        named=tuple(named),
    )


FLAT_TENSOR = Format(
    name="flat-tensor",
    title="ExecuTorch tensors",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=FlatTensor,
    limits="Tensors are placed and not compared with their shapes.",
)
