"""Zip, read twice: as its central directory lists it, and as a loader meets the local headers.

Structure: APPNOTE.TXT 6.3.10, sections 4.3 to 4.5. A member is never hidden by its flags.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from msgspec import Struct, field

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import TensorEntry, Weights
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import TAIL, Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.stream import OPENERS, Inflated
from weighbridge.formats.torch_tensors import ROOT, arrays, torch_tensors
from weighbridge.formats.torch_tensors import Member as Placed

END: Final = b"PK\x05\x06"
END64: Final = b"PK\x06\x06"
LOCATOR64: Final = b"PK\x06\x07"
LOCAL: Final = b"PK\x03\x04"
CENTRAL: Final = b"PK\x01\x02"
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
METHODS: Final = {
    0: "stored",
    8: "deflate",
    12: "bzip2",
    14: "zip-lzma",
    93: "zstd",
    20: "zstd",
    95: "xz",
}
ENCRYPTED, DESCRIPTOR, STRONG = 0x1, 0x8, 0x40
CHECKED: Final = 8 << 20
"""The checksum of a stored member up to this size is verified; tensors are left alone."""
GLIMPSED: Final = 16 << 20
"""Up to how many bytes a compressed member is read together with another."""
DIRECTORY_LIMIT: Final = 64 << 20
MEMBERS_LIMIT: Final = 200_000
LINK: Final = 0o120000
RATIO: Final = 2_000
"""How many bytes one byte of a member that is read by itself may become."""


class Member(Struct, frozen=True):
    """A member as one of the two readings states it. Sizes and offsets in bytes."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    header: int
    data: int
    link: bool = False


class Discrepancy(Struct, frozen=True):
    """Where two readers of this archive would disagree, or a reader would be surprised.

    `hides`: a loader can get other bytes than a reader of the directory sees.
    """

    kind: str
    member: str
    message: str
    offset: int
    hides: bool


class Zip(Document, frozen=True, kw_only=True, eq=False):
    """The members of the directory, those that only the local headers show, and what differs."""

    blob: Blob
    members: tuple[Member, ...]
    hidden: tuple[Member, ...]
    discrepancies: tuple[Discrepancy, ...]
    leftover: tuple[tuple[int, int], ...]
    limits: Limits
    _by_name: dict[str, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update((member.name, member) for member in self.members)

    def walk(self) -> Iterator[Blob | Gap]:
        """Every member, hidden ones too, and the bytes that are in none."""
        seen: set[str] = set()
        for member in self.members:
            name = member.name
            if name.endswith("/") and not member.size:
                continue
            if name in seen:
                name = f"{name} (again at {member.header:,})"
            seen.add(name)
            yield self._open(member, name)
        for member in self.hidden:
            yield self._open(member, f"{member.name} (not in the directory)")
        for start, stop in self.leftover:
            name = f"bytes in no member, from byte {start}"
            yield Piece(name, self.blob, start, stop - start, "leftover")

    def facts(self) -> Iterator[Weights]:
        """The tensors of a torch archive or an npz, with the places of their bytes."""
        opened: dict[str, Placed] = {}
        for member in self.members:
            blob = self._open(member, member.name)
            if not isinstance(blob, Gap) and member.name not in opened:
                opened[member.name] = Placed(blob, None if member.method else member.data)
        roots = [found[1] for name in opened if (found := ROOT.fullmatch(name))]
        tensors: list[TensorEntry] = []
        with suppress(Malformed):
            for root in roots[:1]:
                tensors += torch_tensors(opened, root)
            if not roots:
                tensors += arrays(opened)
        if tensors:
            kind = "torch" if roots else "npz"
            yield Weights(at=self.where, format=kind, tensors=tuple(tensors))

    def sibling(self, path: str) -> Blob | None:
        """See `Siblings`; of several members of one name the last, as loaders take it. A large one
        that is compressed is not for reading here and there."""
        member = self._by_name.get(path)
        if member is not None and member.method and member.size > GLIMPSED:
            return None
        opened = self._open(member, path) if member is not None else None
        return None if isinstance(opened, Gap) else opened

    def _open(self, member: Member, name: str) -> Blob | Gap:
        at = self.where.into(name)
        method = METHODS.get(member.method)
        if method is None:
            why = f"compression method {member.method} is not read"
            return Gap(kind=GapKind.UNSUPPORTED, message=why, at=at)
        if method == "stored":
            size = min(member.packed, member.size)
            opened: Blob = Piece(name, self.blob, member.data, size, siblings=self)
        else:
            packed = Piece(name, self.blob, member.data, member.packed)
            opened = Inflated(
                name, packed, OPENERS[method], self.limits.ratio, member.size, siblings=self
            )
        if member.flags & (ENCRYPTED | STRONG) and not self._is_plain(opened, member):
            return Gap(kind=GapKind.ENCRYPTED, message="the member is encrypted", at=at)
        return opened

    def _is_plain(self, opened: Blob, member: Member) -> bool:
        """Whether a member is readable although its flags say that it is encrypted."""
        if member.size > CHECKED:
            return False
        try:
            data = opened.read(0, member.size)
        except Malformed:
            return False
        return zlib.crc32(data) == member.crc or data[:2] in (b"\x80\x02", b"\x80\x04", b"PK")


def _sniff(sample: Sample) -> bool:
    if sample.head.startswith((LOCAL, END)):
        return True
    at = sample.tail.rfind(END)
    if at < 0 or len(sample.tail) - at < _END.size:
        return False
    _, disk, _, here, count, size, offset, comment = _END.unpack_from(sample.tail, at)
    return bool(
        disk in (0, 0xFFFF)
        and here == count
        and size >= count * _CENTRAL.size
        and at + _END.size + comment == len(sample.tail)
        and offset <= sample.blob.size
    )


def _parse(blob: Blob, where: Location, limits: Limits) -> Zip:
    reader = _Reader(blob)
    reader.read()
    return Zip(
        where=where,
        size=blob.size,
        seen=min(reader.seen, blob.size),
        gaps=tuple(Gap(kind=kind, message=message, at=where) for kind, message in reader.gaps),
        blob=blob,
        members=tuple(reader.members),
        hidden=tuple(reader.hidden),
        discrepancies=tuple(reader.discrepancies),
        leftover=tuple(reader.leftover[:1000]),
        limits=limits,
    )


class _Reader:
    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.members: list[Member] = []
        self.hidden: list[Member] = []
        self.discrepancies: list[Discrepancy] = []
        self.leftover: list[tuple[int, int]] = []
        self.gaps: list[tuple[GapKind, str]] = []
        self.seen = 0

    def note(self, kind: str, member: str, message: str, offset: int, *, hides: bool) -> None:
        if len(self.discrepancies) < 1000:
            self.discrepancies.append(Discrepancy(kind, member, message, offset, hides))

    def get(self, offset: int, n: int) -> bytes:
        self.seen += n
        return self.blob.read(offset, n)

    def read(self) -> None:
        directory = self.listed()
        if directory is not None:
            self.local_headers(directory)
            return
        self.stream(0, self.blob.size, "the archive has no directory")
        if not self.hidden:
            raise Malformed("no end record and no member", None)

    def listed(self) -> int | None:
        """Read the directory; returns where it begins, or None where there is none."""
        size = self.blob.size
        start = max(0, size - TAIL)
        tail = self.get(start, TAIL)
        at = tail.rfind(END)
        if at < 0 or len(tail) - at < _END.size:
            return None
        _, _, _, _, count, length, offset, comment = _END.unpack_from(tail, at)
        end = start + at
        after = size - (end + _END.size + comment)
        if after > 0:
            message = f"{after:,} bytes follow the archive"
            self.note("appended", "", message, size - after, hides=False)
            self.leftover.append((size - after, size))
        count, length, offset, end = self.end64(end, count, length, offset)
        directory: int = end - length
        prefix = directory - offset
        if prefix < 0 or length > DIRECTORY_LIMIT:
            raise Malformed("the directory lies outside the file or is too large", end)
        if prefix > 0 and self.get(offset, 4) == CENTRAL:
            if self.get(directory, 4) != CENTRAL:
                prefix, directory = 0, offset
            else:
                message = f"two directories: one at byte {offset:,}, one before the end record"
                self.note("two-directories", "", message, offset, hides=True)
        if prefix and self.get(4, 4) != b"TFL3":  # files packed behind a TensorFlow Lite model
            message = f"{prefix:,} bytes stand before the archive"
            self.note("prefix", "", message, 0, hides=False)
        self.directory(self.get(directory, length), directory, count, prefix)
        return directory

    def end64(self, end: int, count: int, length: int, offset: int) -> tuple[int, int, int, int]:
        """What the end record says for large archives, where there is one: readers prefer it, also
        where the other could say the same."""
        plain = count, length, offset
        locator = self.get(end - 20, 20) if end >= 20 else b""
        if locator[:4] != LOCATOR64:
            return *plain, end
        (at,) = struct.unpack_from("<Q", locator, 8)
        record = self.get(at, 56)
        if record[:4] != END64:
            at = end - 20 - 56
            record = self.get(max(at, 0), 56)
        if record[:4] != END64 or len(record) < 56:
            if 0xFFFFFFFF in plain or count == 0xFFFF:
                raise Malformed("the zip64 end record is not where its locator says", end)
            return *plain, end
        large = struct.unpack_from("<QQQ", record, 32)
        said = zip(plain, large, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True)
        if any(one not in (other, none) for one, other, none in said):
            message = "the two end records place the directory differently"
            self.note("two-directories", "", message, end, hides=True)
        return *large, at

    def directory(self, data: bytes, start: int, count: int, prefix: int) -> None:
        at = 0
        names: dict[str, str] = {}
        while at + _CENTRAL.size <= len(data) and data[at : at + 4] == CENTRAL:
            if len(self.members) >= MEMBERS_LIMIT:
                message = f"more than {MEMBERS_LIMIT:,} members are listed"
                self.gaps.append((GapKind.TOO_LARGE, message))
                return
            (_, made, _, flags, method, _, _, crc, packed, size, named, extra, comment, _, _,
             external, header) = _CENTRAL.unpack_from(data, at)  # fmt: skip
            body = at + _CENTRAL.size
            name = data[body : body + named].decode("utf-8", "surrogateescape")
            more = data[body + named : body + named + extra]
            if 0xFFFFFFFF in (size, packed, header):
                size, packed, header = _zip64(more, size, packed, header)
            link = made >> 8 == 3 and (external >> 16) & 0o170000 == LINK
            header += prefix
            self.members.append(Member(name, method, flags, crc, packed, size, header, 0, link))
            folded = name.casefold()
            if folded in names:
                same = names[folded] == name
                kind = "duplicate" if same else "case-variant"
                message = f"{name!r} is listed twice" + ("" if same else " but for its case")
                self.note(kind, name, message, start + at, hides=True)
            names[folded] = name
            at = body + named + extra + comment
        if len(self.members) != count and len(self.members) != count & 0xFFFF:
            message = f"the end record counts {count:,} members, {len(self.members):,} are listed"
            self.note("count", "", message, start, hides=False)

    def local_headers(self, directory: int) -> None:
        """Hold each listed member against its local header, and look for members between them."""
        placed: list[Member] = []
        for member in sorted(self.members, key=lambda m: m.header):
            placed.append(self.local(member))
        spans = sorted((m.header, m.data + m.packed, m) for m in placed if m.data)
        reached = None
        for begin, end, member in spans:
            if reached is not None and begin < reached:
                message = f"{member.name!r} overlaps the member before it"
                self.note("overlap", member.name, message, begin, hides=False)
            elif reached is not None and begin > reached:
                self.between(reached, begin)
            elif reached is None and begin > 0:
                self.between(0, begin)
            reached = max(reached or 0, end)
        if reached is not None and reached < directory:
            self.between(reached, directory)
        by_header = {(m.header, m.name): m for m in placed}
        self.members = [by_header[m.header, m.name] for m in self.members]

    def local(self, member: Member) -> Member:
        raw = self.get(member.header, _LOCAL.size + len(member.name.encode("utf-8", "replace")))
        if raw[:4] != LOCAL or len(raw) < _LOCAL.size:
            message = f"no local header where the directory places {member.name!r}"
            self.note("no-local-header", member.name, message, member.header, hides=True)
            return member
        _, _, flags, method, _, _, crc, packed, size, named, extra = _LOCAL.unpack_from(raw)
        name_bytes = raw[_LOCAL.size : _LOCAL.size + named]
        if len(name_bytes) < named:
            name_bytes += self.get(member.header + len(raw), named - len(name_bytes))
        name = name_bytes.decode("utf-8", "surrogateescape")
        data = member.header + _LOCAL.size + named + extra
        placed = Member(
            member.name, member.method, member.flags | flags, member.crc, member.packed,
            member.size, member.header, data, member.link,
        )  # fmt: skip
        at = member.header
        if name != member.name:
            message = f"the directory says {member.name!r}, the local header {name!r}"
            self.note("name", member.name, message, at, hides=True)
            other = Member(name, method, flags, crc, member.packed, member.size, at, data)
            self.hidden.append(other)
        if method != member.method:
            message = f"{member.name!r}: the directory and the local header name other methods"
            self.note("method", member.name, message, at, hides=True)
            self.hidden.append(
                Member(name, method, flags, crc, member.packed, member.size, at, data)
            )
        flagged = (flags ^ member.flags) & (ENCRYPTED | STRONG)
        if flagged:
            message = f"{member.name!r}: only one of directory and local header says encrypted"
            self.note("flags", member.name, message, at, hides=False)
        stated = not flags & DESCRIPTOR and 0xFFFFFFFF not in (packed, size)
        if stated and (packed, size) != (member.packed, member.size):
            message = f"{member.name!r}: the local header states other sizes"
            self.note("size", member.name, message, at, hides=True)
        elif stated and crc != member.crc:
            message = f"{member.name!r}: the local header states another checksum"
            self.note("crc", member.name, message, at, hides=False)
        elif method == 0 and 0 < member.size <= CHECKED and not flags & ENCRYPTED:
            body = self.get(data, min(member.size, 1 << 16)) if member.size <= 1 << 16 else None
            if body is not None and zlib.crc32(body) != member.crc:
                message = f"{member.name!r}: the checksum does not match the content"
                self.note("crc", member.name, message, at, hides=False)
        return placed

    def between(self, start: int, stop: int) -> None:
        """Bytes between two members: a data descriptor, padding, or something hidden."""
        if stop - start <= 24:
            return
        head = self.get(start, min(stop - start, 1 << 16))
        found = head.find(LOCAL)
        if found >= 0:
            self.stream(start + found, stop, "a member is not in the directory")
        elif head.strip(b"\0") and start > 0:
            message = f"{stop - start:,} bytes between two members belong to none"
            self.note("between", "", message, start, hides=False)
        if head.strip(b"\0") or stop - start > len(head):
            self.leftover.append((start, stop))

    def stream(self, start: int, stop: int, why: str) -> None:
        """Follow local headers from `start`, as a loader does that reads the file as a stream."""
        at = start
        while at + _LOCAL.size <= stop and len(self.hidden) < 1000:
            raw = self.get(at, _LOCAL.size)
            if raw[:4] != LOCAL:
                return
            _, _, flags, method, _, _, crc, packed, size, named, extra = _LOCAL.unpack_from(raw)
            name = self.get(at + _LOCAL.size, named).decode("utf-8", "surrogateescape")
            data = at + _LOCAL.size + named + extra
            if flags & DESCRIPTOR and not packed:
                packed, size = self.measure(method, data, stop)
            self.hidden.append(Member(name, method, flags, crc, packed, size, at, data))
            self.note("hidden", name, f"{name!r}: {why}", at, hides=True)
            at = data + packed

    def measure(self, method: int, data: int, stop: int) -> tuple[int, int]:
        """Where a member ends whose local header does not say: its stream tells, if it has one."""
        name = METHODS.get(method, "stored")
        if name == "stored":
            return stop - data, stop - data
        piece = Piece("", self.blob, data, stop - data)
        opened = Inflated("", piece, OPENERS[name], 2_000)
        try:
            size = opened.size
            return opened.consumed, size
        except Malformed:
            return stop - data, stop - data


def _zip64(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """The values that did not fit, from the zip64 extra field (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = list(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            size = values.pop(0) if size == 0xFFFFFFFF and values else size
            packed = values.pop(0) if packed == 0xFFFFFFFF and values else packed
            header = values.pop(0) if header == 0xFFFFFFFF and values else header
            break
        at += 4 + length
    return size, packed, header


def read_member(blob: Blob, wanted: Callable[[str], bool], limit: int) -> bytes | None:
    """The content of the first member whose name is wanted, None where there is none; for archives
    of which little is to be read: the directory and that member alone are.

    Raises `Malformed`, also where the member has more than `limit` bytes.
    """
    reader = _Reader(blob)
    try:
        if reader.listed() is None:
            raise Malformed("the archive has no directory", None)
        member = next((m for m in reader.members if wanted(m.name)), None)
        if member is None:
            return None
        placed = reader.local(member)
    except struct.error as error:
        raise Malformed(f"a record is cut off ({error})", None) from None
    method = METHODS.get(placed.method)
    if method is None or placed.flags & (ENCRYPTED | STRONG) or member.size > limit:
        raise Malformed(f"the member {member.name[:200]!r} cannot be read", member.header)
    packed = Piece(member.name, blob, placed.data, member.packed)
    opened: Blob = packed
    if method != "stored":
        opened = Inflated(member.name, packed, OPENERS[method], RATIO, member.size)
    data = opened.read(0, member.size)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise Malformed(f"the member {member.name[:200]!r} is damaged", member.header)
    return data


def _safe_parse(blob: Blob, where: Location, limits: Limits) -> Zip:
    try:
        return _parse(blob, where, limits)
    except struct.error as error:
        raise Malformed(f"a record is cut off ({error})", None) from None


ZIP = Format(
    name="zip",
    title="Zip archive",
    loading=Loading.CONTAINER,
    sniff=_sniff,
    parse=_safe_parse,
    document=Zip,
    limits=(
        "Checksums are verified for stored members up to 64 KiB. Archives in several parts and "
        "encrypted members are not read; the latter are gaps."
    ),
)


def opened(blob: Blob, where: Location) -> Blob:
    """What stands at a place within a file: the file itself, or a member of zip archives. Raises
    `Malformed` where it cannot be had."""
    for name in where.inside:
        archive = _parse(blob, where, Limits())
        found = archive.sibling(name)
        if found is None:
            raise Malformed(f"{name} cannot be read again")
        blob = found
    return blob


__all__ = ["ZIP", "Discrepancy", "Member", "Zip", "read_member"]
