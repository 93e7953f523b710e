"""OCDBT, the store that Orbax keeps checkpoints in: a manifest, and files with arrays and nodes.

Specification: https://google.github.io/tensorstore/kvstore/ocdbt/index.html, "Storage format".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Piece, Reference
from weighbridge.formats.forward import Forward
from weighbridge.formats.stream import OPENERS, Inflated

MANIFEST: Final = bytes.fromhex("0cdb3a2a")
NODE: Final = bytes.fromhex("0cdb20de")
HEADER: Final = 12
ZSTD: Final = b"\x28\xb5\x2f\xfd"
CHECKSUM: Final = 4
BEGINNING: Final = 64 << 10
MANIFEST_LIMIT: Final = 64 << 20
FILES_LIMIT: Final = 100_000
_DATA_FILE: Final = regex(r"(?:.*/)?d/[0-9a-f]{32}")


class OcdbtManifest(Document, frozen=True, kw_only=True, eq=False):
    """The manifest: `files` hold the roots of its versions, relative to its own folder."""

    files: tuple[str, ...]

    def refers(self) -> tuple[Reference, ...]:
        """The files that hold the roots."""
        return tuple(Reference(at=self.where, path=p, what="root of a version") for p in self.files)


def _varint(reader: Forward) -> int:
    value = shift = 0
    while True:
        (byte,) = reader.take(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > 63:
            raise Malformed("a number does not end", reader.at)


def _content(blob: Blob, limits: Limits) -> Forward:
    """What follows the header, decompressed."""
    if blob.size > MANIFEST_LIMIT:
        raise Malformed(f"a manifest of {blob.size:,} bytes", 0)
    reader = Forward(blob, HEADER)
    if int.from_bytes(blob.read(4, 8), "little") != blob.size:
        raise Malformed("its length is not the file's", 4)
    if _varint(reader):
        raise Malformed("a version that is not known", HEADER)
    compressed = _varint(reader)
    rest = Piece("", blob, reader.at, blob.size - CHECKSUM - reader.at)
    if compressed > 1:
        raise Malformed("a compression that is not known", reader.at)
    if not compressed:
        return Forward(Held("", rest.read(0, rest.size)))
    inflated = Inflated("", rest, OPENERS["zstd"], limits.ratio)
    return Forward(Held("", inflated.read(0, MANIFEST_LIMIT)))


def _files(reader: Forward) -> tuple[str, ...]:
    """The table of files: each shares the beginning of its path with the one before."""
    count = _varint(reader)
    if count > FILES_LIMIT:
        raise Malformed(f"{count:,} files", reader.at)
    shared = [0, *(_varint(reader) for _ in range(count - 1))]
    lengths = [_varint(reader) for _ in range(count)]
    for _ in range(count):
        _varint(reader)  # how much of the path is the base
    paths: list[str] = []
    before = b""
    for prefix, length in zip(shared, lengths, strict=False):
        before = before[:prefix] + reader.take(length)
        paths.append(before.decode("utf-8", "surrogateescape"))
    return tuple(paths)


def _parse(blob: Blob, where: Location, limits: Limits) -> OcdbtManifest:
    reader = _content(blob, limits)
    reader.take(16)  # the store's own number
    kind = _varint(reader)
    _varint(reader), _varint(reader)  # limits of values and nodes
    reader.take(1)
    if _varint(reader):
        reader.take(4)  # the level of compression
    files = _files(reader) if kind == 0 else ()
    return OcdbtManifest(where=where, size=blob.size, seen=blob.size, files=files)


OCDBT_MANIFEST = Format(
    name="ocdbt-manifest",
    title="OCDBT manifest (Orbax)",
    loading=Loading.DATA,
    sniff=lambda sample: sample.head.startswith(MANIFEST),
    first=MANIFEST[:1],
    parse=_parse,
    document=OcdbtManifest,
    limits="The files that hold the roots of versions; what was committed when is not read.",
)


class OcdbtData(Document, frozen=True, kw_only=True, eq=False):
    """Arrays, each compressed by itself, and nodes. `beginning` is how the first array begins."""

    beginning: bytes

    def walk(self) -> Iterator[Blob | Gap]:
        """The beginning of the first array, in case that it is something else."""
        if self.beginning:
            yield Held("beginning of the first array", self.beginning, "tensor-storage")


def is_data_file(path: str) -> bool:
    """Whether a path is one that only the data files of such a store have."""
    return bool(_DATA_FILE.fullmatch(path))


def _sniff_data(sample: Sample) -> bool:
    return is_data_file(sample.blob.path) or sample.head.startswith(NODE)


def _parse_data(blob: Blob, where: Location, limits: Limits) -> OcdbtData:
    beginning = b""
    if blob.read(0, len(ZSTD)) == ZSTD:
        with suppress(Malformed):
            beginning = Inflated("", blob, OPENERS["zstd"], limits.ratio).read(0, BEGINNING)
    return OcdbtData(where=where, size=blob.size, seen=0, beginning=beginning)


OCDBT_DATA = Format(
    name="ocdbt-data",
    title="Data file of an OCDBT store (Orbax)",
    loading=Loading.DATA,
    sniff=_sniff_data,
    parse=_parse_data,
    document=OcdbtData,
    limits="Arrays and nodes one after the other; but for the beginning, its bytes are not read.",
)
