"""TensorFlow's checkpoints: the index of a tensor bundle, and the text that names the newest one.

Layout: `tensorflow/core/util/tensor_bundle/` on the sorted tables of
`tensorflow/core/lib/io/format.cc` (LevelDB's): blocks of keys and values, an index of the blocks,
48 bytes at the end. The tensors themselves lie in `<prefix>.data-00000-of-00001` and are referred
to, never opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Reference
from weighbridge.formats import tensorflow_schema as schema
from weighbridge.formats.protobuf import Wire
from weighbridge.formats.tensorflow import Shape, Type

MAGIC: Final = 0xDB4775248B80FB57.to_bytes(8, "little")
FOOTER: Final = 48
BLOCK_LIMIT: Final = 64 << 20
ENTRIES_LIMIT: Final = 2_000_000
STATE_LIMIT: Final = 4 << 20


class Saved(Struct, frozen=True):
    """A tensor of a checkpoint: where it begins in its shard and how long it is, in bytes. One that
    was saved in slices is listed without bytes of its own, and its slices beside it."""

    name: str
    type: Type
    shape: Shape
    shard: int
    offset: int
    size: int


class Checkpoint(Document, frozen=True, kw_only=True, eq=False):
    """An index. `prefix` is the name that the shards begin with, `shards` their number;
    `big_endian` says how the tensors' numbers are written."""

    prefix: str
    shards: int
    big_endian: bool
    tensors: tuple[Saved, ...]

    def refers(self) -> Iterator[Reference]:
        """The parts of the shards that the tensors are in."""
        for tensor in self.tensors:
            yield Reference(
                at=self.where,
                path=f"{self.prefix}.data-{tensor.shard:05d}-of-{self.shards:05d}",
                start=tensor.offset,
                size=tensor.size,
                what=tensor.name,
            )


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins. Raises `Malformed`."""
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            break
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise Malformed("a number in the table does not end")


def _block(blob: Blob, offset: int, size: int) -> bytes:
    """The content of a block. Raises `Malformed`, also where it is compressed."""
    if size > BLOCK_LIMIT or offset + size + 5 > blob.size:
        raise Malformed("a block of the table lies outside the file", min(offset, blob.size))
    data = blob.read(offset, size + 1)
    if len(data) < size + 1:
        raise Malformed("a block of the table is cut off", offset)
    if data[-1]:
        raise Malformed("a block of the table is compressed, which TensorFlow does not do", offset)
    return data[:-1]


def _entries(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; `at` is where it stands in the file."""
    restarts = int.from_bytes(data[-4:], "little")
    end = len(data) - 4 - 4 * restarts
    if len(data) < 4 or end < 0:
        raise Malformed("a block of the table is too short", at)
    position, key = 0, b""
    while position < end:
        shared, position = varint(data, position)
        fresh, position = varint(data, position)
        length, position = varint(data, position)
        if shared > len(key) or position + fresh + length > end or len(key) > 1 << 16:
            raise Malformed("an entry of the table is longer than its block", at + position)
        key = key[:shared] + data[position : position + fresh]
        position += fresh
        yield key, data[position : position + length]
        position += length


def _table(blob: Blob) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a sorted table."""
    footer = blob.read(blob.size - FOOTER, FOOTER)
    if len(footer) < FOOTER or not footer.endswith(MAGIC):
        raise Malformed("the table has no end", blob.size)
    position = 0
    for _ in range(2):  # what the index of the index says is not needed
        _, position = varint(footer, position)
    start, position = varint(footer, position)
    size, _ = varint(footer, position)
    left = blob.size + BLOCK_LIMIT
    for _, handle in _entries(_block(blob, start, size), start):
        offset, position = varint(handle, 0)
        length, _ = varint(handle, position)
        left -= length
        if left < 0:
            raise Malformed("the blocks of the table overlap", offset)
        yield from _entries(_block(blob, offset, length), offset)


def _parse(blob: Blob, where: Location, limits: Limits) -> Checkpoint:
    shards, big_endian = 1, False
    tensors: list[Saved] = []
    for number, (key, value) in enumerate(_table(blob)):
        if number > ENTRIES_LIMIT:
            raise Malformed(f"more than {ENTRIES_LIMIT:,} tensors")
        wire = Wire(Held("", value))
        if not key:
            header = wire.decode(schema.BUNDLE_HEADER)
            shards, big_endian = header.get("num_shards", 0), header.get("endianness") == 1
            if not 0 < shards < 100_000:
                raise Malformed("an impossible number of shards")
            continue
        entry = wire.decode(schema.BUNDLE_ENTRY)
        if entry.get("slices"):
            continue
        shape = entry.get("shape", {})
        place = (entry.get("shard_id", 0), entry.get("offset", 0), entry.get("size", 0))
        if min(place) < 0 or place[0] >= shards:
            raise Malformed(f"the tensor {_shown(key)[:80]!r} has an impossible place")
        sizes = tuple(d.get("size", 0) for d in shape.get("dim", ()))
        tensors.append(Saved(_shown(key), Type(entry.get("dtype", 0)), Shape(sizes), *place))
    name = blob.path.rpartition("/")[2]
    return Checkpoint(
        where=where,
        size=blob.size,
        seen=blob.size,
        prefix=name.removesuffix(".index"),
        shards=shards,
        big_endian=big_endian,
        tensors=tuple(tensors),
    )


def _shown(key: bytes) -> str:
    """A name; those of slices hold binary numbers."""
    return key.decode("utf-8", "backslashreplace")


def _sniff(sample: Sample) -> bool:
    """A sorted table whose first key is empty, as that of the header is."""
    return sample.blob.size >= FOOTER and sample.head[:2] == b"\0\0" and sample.tail.endswith(MAGIC)


CHECKPOINT = Format(
    name="tensorflow-checkpoint",
    title="TensorFlow checkpoint (index)",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"\0",
    parse=_parse,
    document=Checkpoint,
    limits="Names, types, shapes and places; checksums are not computed.",
)


class CheckpointState(Document, frozen=True, kw_only=True, eq=False):
    """The file `checkpoint`: the paths of the checkpoints of a folder, the newest one first."""

    paths: tuple[str, ...]


_PATH: Final = regex(
    rb'^(?:all_)?model_checkpoint_paths?\s*:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE
)
_BEGINS: Final = regex(rb'\s*(?:all_)?model_checkpoint_paths?\s*:\s*"')


def _parse_state(blob: Blob, where: Location, limits: Limits) -> CheckpointState:
    data = blob.read(0, min(blob.size, STATE_LIMIT))
    paths = [m[1].decode("utf-8", "backslashreplace") for m in _PATH.finditer(data)]
    gaps: tuple[Gap, ...] = ()
    if blob.size > STATE_LIMIT:
        why = f"only the first {STATE_LIMIT:,} bytes were read"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    seen = len(data)
    return CheckpointState(
        where=where, size=blob.size, seen=seen, gaps=gaps, paths=tuple(dict.fromkeys(paths))
    )


CHECKPOINT_STATE = Format(
    name="tensorflow-checkpoint-state",
    title="TensorFlow checkpoint state",
    loading=Loading.DATA,
    sniff=lambda sample: _BEGINS.match(sample.head) is not None,
    first=b" \t\r\nma",
    parse=_parse_state,
    document=CheckpointState,
    limits="The paths of checkpoints are read.",
)
