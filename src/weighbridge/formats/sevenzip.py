"""7z, read by its own header (7zFormat.txt of the LZMA SDK).

Coders: copy, LZMA, LZMA2, deflate, bzip2, delta and the branch filters of liblzma. Encrypted
folders are gaps, and so are PPMd, BCJ2 and other coders.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.stream import OPENERS, Inflated, Plain

MAGIC: Final = b"7z\xbc\xaf\x27\x1c"
HEADER_LIMIT: Final = 32 << 20
COUNT_LIMIT: Final = 100_000

_LZMA, _LZMA2, _COPY = b"\x03\x01\x01", b"\x21", b"\x00"
_AES: Final = b"\x06\xf1\x07\x01"
_FILTERS: Final = {
    b"\x03": lzma.FILTER_DELTA, b"\x04": lzma.FILTER_X86, b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x05": lzma.FILTER_POWERPC, b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x07": lzma.FILTER_ARM, b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x08": lzma.FILTER_ARMTHUMB, b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x09": lzma.FILTER_SPARC, b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}  # fmt: skip
_WHOLE: Final = {b"\x04\x01\x08": "deflate", b"\x04\x02\x02": "bzip2"}


class Coder(Struct, frozen=True):
    """A step of a folder: its method id and properties."""

    method: bytes
    properties: bytes


class Packed(Struct, frozen=True):
    """A 7z folder: one compressed run of bytes that holds several members."""

    coders: tuple[Coder, ...]
    offset: int
    packed: int
    size: int


class Entry(Struct, frozen=True):
    """A member: which folder it lies in, and where within it."""

    name: str
    folder: int
    offset: int
    size: int


class SevenZip(Document, frozen=True, kw_only=True, eq=False):
    """The members and the folders that hold them."""

    blob: Blob
    folders: tuple[Packed, ...]
    entries: tuple[Entry, ...]
    limits: Limits

    def walk(self) -> Iterator[Blob | Gap]:
        """Every member; those of a folder share one forward reading of it."""
        opened: dict[int, Blob | Gap] = {}
        for entry in self.entries:
            if entry.folder not in opened:
                folder = self.folders[entry.folder]
                opened[entry.folder] = _open(self.blob, folder, self.where, self.limits)
            source = opened[entry.folder]
            if isinstance(source, Gap):
                yield Gap(kind=source.kind, message=source.message, at=self.where.into(entry.name))
            else:
                yield Piece(entry.name, source, entry.offset, entry.size)


def _open(blob: Blob, folder: Packed, where: Location, limits: Limits) -> Blob | Gap:
    methods = [c.method for c in folder.coders]
    if _AES in methods:
        return Gap(kind=GapKind.ENCRYPTED, message="the member is encrypted", at=where)
    opener = _decoder(folder)
    if opener is None:
        names = ", ".join(m.hex() for m in methods)
        why = f"the compression method ({names}) is not read"
        return Gap(kind=GapKind.UNSUPPORTED, message=why, at=where)
    packed = Piece("", blob, folder.offset, folder.packed)
    return Inflated("", packed, opener, limits.ratio, folder.size)


def _decoder(folder: Packed) -> Callable[[], Any] | None:
    coders = [c for c in folder.coders if c.method != _COPY]
    if not coders:
        return Plain
    if len(coders) == 1 and coders[0].method in _WHOLE:
        return OPENERS[_WHOLE[coders[0].method]]
    filters: list[dict[str, Any]] = []
    for coder in coders:
        if coder.method == _LZMA and len(coder.properties) >= 5:
            first, dictionary = struct.unpack_from("<BI", coder.properties)
            if first >= 9 * 5 * 5 or dictionary > 256 << 20:
                return None
            filters.append({
                "id": lzma.FILTER_LZMA1, "lc": first % 9, "lp": first // 9 % 5,
                "pb": first // 45, "dict_size": max(dictionary, 4096),
            })  # fmt: skip
        elif coder.method == _LZMA2 and coder.properties:
            bits = coder.properties[0]
            size = (2 | bits & 1) << (bits // 2 + 11) if bits < 40 else 0
            if not 0 < size <= 256 << 20:
                return None
            filters.append({"id": lzma.FILTER_LZMA2, "dict_size": size})
        elif coder.method in _FILTERS:
            made: dict[str, Any] = {"id": _FILTERS[coder.method]}
            if made["id"] == lzma.FILTER_DELTA and coder.properties:
                made["dist"] = coder.properties[0] + 1
            filters.append(made)
        else:
            return None
    # liblzma wants the compressor last; 7z lists it in either place.
    filters.sort(key=lambda f: f["id"] in (lzma.FILTER_LZMA1, lzma.FILTER_LZMA2))
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)


class _Header:
    """Reads the property list of a header."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise Malformed("the header is cut off", self.at)
        self.at += n
        return self.data[self.at - n : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A number of one to nine bytes; the first says how many."""
        first = self.byte()
        mask, value = 0x80, 0
        for i in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * i)
            value |= self.byte() << (8 * i)
            mask >>= 1
        return value

    def count(self) -> int:
        value = self.number()
        if value > COUNT_LIMIT:
            raise Malformed(f"{value:,} entries are too many", self.at)
        return value

    def bits(self, n: int) -> list[bool]:
        raw = self.take((n + 7) // 8)
        return [bool(raw[i // 8] & 0x80 >> i % 8) for i in range(n)]

    def defined(self, n: int) -> list[bool]:
        return [True] * n if self.byte() else self.bits(n)

    def digests(self, n: int) -> None:
        for there in self.defined(n):
            if there:
                self.take(4)

    def streams(self) -> tuple[list[Packed], list[tuple[int, ...]]]:
        """Pack, unpack and substream information: folders, and the sizes of their members."""
        position, packed = 0, [0]
        coders: list[list[Coder]] = []
        sizes: list[int] = []
        members: list[tuple[int, ...]] | None = None
        links: list[int] = []
        while (kind := self.byte()) != 0x00:
            if kind == 0x06:
                position = self.number() + 32
                n = self.count()
                while (inner := self.byte()) != 0x00:
                    if inner == 0x09:
                        packed = [self.number() for _ in range(n)]
                    elif inner == 0x0A:
                        self.digests(n)
                    else:
                        raise Malformed(f"pack property {inner} is not known", self.at)
            elif kind == 0x07:
                coders, sizes, links = self.folders()
            elif kind == 0x08:
                members = self.substreams(sizes)
            else:
                raise Malformed(f"stream property {kind} is not known", self.at)
        folders: list[Packed] = []
        stream = 0
        for steps, size, inputs in zip(coders, sizes, links, strict=True):
            length = sum(packed[stream : stream + inputs])
            folders.append(Packed(tuple(steps), position, length, size))
            position += length
            stream += inputs
        return folders, members if members is not None else [(s,) for s in sizes]

    def folders(self) -> tuple[list[list[Coder]], list[int], list[int]]:
        if self.byte() != 0x0B:
            raise Malformed("the folders are missing", self.at)
        n = self.count()
        if self.byte():
            raise Malformed("folders in another stream are not read", self.at)
        coders: list[list[Coder]] = []
        outputs: list[int] = []
        links: list[int] = []
        for _ in range(n):
            steps, ins, outs = [], 0, 0
            for _ in range(min(self.count(), 32)):
                flags = self.byte()
                method = self.take(flags & 0x0F)
                i, o = (self.count(), self.count()) if flags & 0x10 else (1, 1)
                ins, outs = ins + i, outs + o
                properties = self.take(self.count()) if flags & 0x20 else b""
                steps.append(Coder(method, properties))
            for _ in range(outs - 1):
                self.number(), self.number()
            streams = ins - (outs - 1)
            if streams > 1:
                for _ in range(streams):
                    self.number()
            coders.append(steps)
            outputs.append(outs)
            links.append(streams)
        if self.byte() != 0x0C:
            raise Malformed("the unpacked sizes are missing", self.at)
        sizes = [max([self.number() for _ in range(outs)], default=0) for outs in outputs]
        while (kind := self.byte()) != 0x00:
            if kind != 0x0A:
                raise Malformed(f"folder property {kind} is not known", self.at)
            self.digests(n)
        return coders, sizes, links

    def substreams(self, sizes: list[int]) -> list[tuple[int, ...]]:
        counts = [1] * len(sizes)
        members: list[tuple[int, ...]] | None = None
        kind = self.byte()
        if kind == 0x0D:
            counts = [self.count() for _ in sizes]
            kind = self.byte()
        if kind == 0x09:
            members = []
            for n, size in zip(counts, sizes, strict=True):
                known = [self.number() for _ in range(n - 1)]
                last = [size - sum(known)] if n else []
                members.append((*known, *last))
            kind = self.byte()
        if members is None:
            members = [(s,) if n else () for n, s in zip(counts, sizes, strict=True)]
        while kind != 0x00:
            if kind == 0x0A:
                self.digests(sum(n for n in counts))
            else:
                raise Malformed(f"substream property {kind} is not known", self.at)
            kind = self.byte()
        return members

    def files(self) -> tuple[list[str], list[bool]]:
        """The names, and which of them have no bytes."""
        n = self.count()
        names: list[str] = []
        empty = [False] * n
        while (kind := self.byte()) != 0x00:
            inner = _Header(self.take(self.number()))
            if kind == 0x11:
                inner.byte()
                text = inner.data[inner.at :].decode("utf-16-le", "surrogatepass")
                names = text.split("\0")[:n]
            elif kind == 0x0E:
                empty = inner.bits(n)
        return names + ["?"] * (n - len(names)), empty


def _parse(blob: Blob, where: Location, limits: Limits) -> SevenZip:
    start = blob.read(0, 32)
    if len(start) < 32 or start[:6] != MAGIC:
        raise Malformed("no 7z signature header", 0)
    offset, size, crc = struct.unpack_from("<QQI", start, 12)
    if not size:
        return SevenZip(where=where, size=blob.size, seen=32, blob=blob, folders=(), entries=(),
                        limits=limits)  # fmt: skip
    if size > HEADER_LIMIT or 32 + offset + size > blob.size:
        raise Malformed("the header lies outside the file or is too large", 12)
    data = blob.read(32 + offset, size)
    if zlib.crc32(data) != crc:
        raise Malformed("the header's checksum is wrong", 32 + offset)
    try:
        while data[:1] == b"\x17":
            packed = _Header(data[1:]).streams()[0]
            if not packed or packed[0].size > HEADER_LIMIT or len(data) > HEADER_LIMIT:
                raise Malformed("the packed header is too large", 32 + offset)
            opened = _open(blob, packed[0], where, limits)
            if isinstance(opened, Gap):
                return SevenZip(
                    where=where, size=blob.size, seen=32 + size, blob=blob, folders=(),
                    entries=(), limits=limits,
                    gaps=(Gap(kind=opened.kind, message="the list of members: " + opened.message,
                              at=where),),
                )  # fmt: skip
            inner = opened.read(0, packed[0].size)
            if inner == data:
                raise Malformed("the header packs itself", 32 + offset)
            data = inner
        return _document(data, blob, where, limits, 32 + size)
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"the header does not hold together ({error})", None) from None


def _document(data: bytes, blob: Blob, where: Location, limits: Limits, seen: int) -> SevenZip:
    header = _Header(data)
    if header.byte() != 0x01:
        raise Malformed("the header is of no known kind", 0)
    folders: list[Packed] = []
    members: list[tuple[int, ...]] = []
    names: list[str] = []
    empty: list[bool] = []
    while (kind := header.byte()) != 0x00:
        if kind == 0x04:
            folders, members = header.streams()
        elif kind == 0x05:
            names, empty = header.files()
        else:
            raise Malformed(f"header property {kind} is not read", header.at)
    places = [(f, i) for f, sizes in enumerate(members) for i in range(len(sizes))]
    entries: list[Entry] = []
    full = (name for name, hollow in zip(names, empty, strict=True) if not hollow)
    for (folder, i), name in zip(places, full, strict=False):
        before = sum(members[folder][:i])
        length = members[folder][i]
        if length < 0 or before + length > folders[folder].size:
            raise Malformed("a member lies outside its folder", None)
        entries.append(Entry(name, folder, before, length))
    return SevenZip(where=where, size=blob.size, seen=seen, blob=blob, folders=tuple(folders),
                    entries=tuple(entries), limits=limits)  # fmt: skip


def _sniff(sample: Sample) -> bool:
    return sample.head.startswith(MAGIC)


SEVEN_ZIP = Format(
    name="7z",
    title="7z archive",
    loading=Loading.CONTAINER,
    sniff=_sniff,
    first=MAGIC[:1],
    parse=_parse,
    document=SevenZip,
    limits="PPMd, BCJ2 and encrypted folders are gaps.",
)

__all__ = ["SEVEN_ZIP", "SevenZip"]
