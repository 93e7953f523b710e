"""Single compressed streams: gzip (RFC 1952), zlib (RFC 1950), bzip2, xz, lzma, zstd, lz4."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.ocdbt import is_data_file
from weighbridge.formats.stream import OPENERS, Inflated

SUFFIXES = (".gz", ".gzip", ".z", ".zlib", ".bz2", ".xz", ".lzma", ".zst", ".lz4", ".tgz")


class Compressed(Document, frozen=True, kw_only=True, eq=False):
    """A stream with one member: what it expands to."""

    member: Inflated

    def walk(self) -> Iterator[Blob | Gap]:
        """The one member."""
        yield self.member


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)] + (".tar" if suffix == ".tgz" else "")
    return "data"


def _expands(kind: str, head: bytes) -> bool:
    """Whether the beginning of a stream really expands: a short magic number is no proof."""
    member = Inflated("", Held("", head), OPENERS[kind], 2_000)
    try:
        return bool(member.read(0, 1))
    except Malformed:
        return False


def _format(kind: str, title: str, first: bytes, sniff: Callable[[bytes], bool]) -> Format:
    def parse(blob: Blob, where: Location, limits: Limits) -> Compressed:
        joined = kind in ("gzip", "bzip2", "xz", "zstd", "lz4")
        opened = Inflated(_name(blob.path), blob, OPENERS[kind], limits.ratio, joined=joined)
        opened.read(0, 1)
        return Compressed(where=where, size=blob.size, seen=blob.size, member=opened)

    def recognise(sample: Sample) -> bool:
        if kind == "zstd" and is_data_file(sample.blob.path):
            return False  # arrays one after the other, each a stream of its own
        return sniff(sample.head) and (kind != "zlib" or _expands(kind, sample.head))

    return Format(
        name=kind,
        title=title,
        loading=Loading.CONTAINER,
        sniff=recognise,
        first=first,
        parse=parse,
        document=Compressed,
        limits="Bytes behind the end of the stream are not looked at.",
    )


def _is_zlib(head: bytes) -> bool:
    return (
        len(head) > 2
        and head[0] & 0x0F == 8
        and head[0] >> 4 <= 7
        and (head[0] * 256 + head[1]) % 31 == 0
        and not head[1] & 0x20
    )


def _is_lzma(head: bytes) -> bool:
    """The .lzma header: properties, a dictionary size that is a power of two, a size."""
    if len(head) < 14 or head[0] != 0x5D:
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    size = int.from_bytes(head[5:13], "little")
    plausible = dictionary >= 1 << 12 and dictionary & (dictionary - 1) == 0
    return plausible and (size == (1 << 64) - 1 or size < 1 << 40)


GZIP = _format("gzip", "gzip stream", b"\x1f", lambda head: head.startswith(b"\x1f\x8b\x08"))
ZLIB = _format("zlib", "zlib stream", bytes(range(0x08, 0x80, 0x10)), _is_zlib)
BZIP2 = _format("bzip2", "bzip2 stream", b"B", lambda h: h[:3] == b"BZh" and h[4:10] == b"1AY&SY")
XZ = _format("xz", "xz stream", b"\xfd", lambda head: head.startswith(b"\xfd7zXZ\0"))
LZMA = _format("lzma", "lzma stream", b"\x5d", _is_lzma)
ZSTD = _format(
    "zstd", "Zstandard stream", b"\x28", lambda head: head.startswith(b"\x28\xb5\x2f\xfd")
)
LZ4 = _format("lz4", "LZ4 frame", b"\x04", lambda head: head.startswith(b"\x04\x22\x4d\x18"))
