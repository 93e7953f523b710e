"""Tar: ustar, GNU and pax (POSIX.1-2017 `pax`, GNU tar manual, "Basic Tar Format")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Whiteouts
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.text import encodable

BLOCK: Final = 512
MEMBERS_LIMIT: Final = 200_000
NAME_LIMIT: Final = 1 << 20
FILE, HARD_LINK, SYMBOLIC_LINK = (b"0", b"\0", b"7"), b"1", b"2"
LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL, SPARSE = b"L", b"K", b"x", b"g", b"S"
DEVICES: Final = (b"3", b"4", b"6")


class TarMember(Struct, frozen=True):
    """A member: its type letter, where its data stand, what a link points to."""

    name: str
    type: bytes
    offset: int
    size: int
    link: str


class Tar(Document, frozen=True, kw_only=True, eq=False):
    """The members in order."""

    blob: Blob
    members: tuple[TarMember, ...]

    def facts(self) -> Iterator[Whiteouts]:
        """What it takes away of the layers below it, where it is one of an image (OCI image-spec,
        layer.md, "Whiteouts")."""
        removed: list[str] = []
        opaque: list[str] = []
        for member in self.members:
            if "/.wh." in f"/{member.name}":
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                if name == ".wh..wh..opq":
                    opaque.append(folder)
                elif name.startswith(".wh.") and not name.startswith(".wh..wh."):
                    removed.append(f"{folder}/{name[4:]}" if folder else name[4:])
        if removed or opaque:
            yield Whiteouts(
                at=self.where,
                removed=tuple(map(encodable, removed)),
                opaque=tuple(map(encodable, opaque)),
            )

    def walk(self) -> Iterator[Blob | Gap]:
        """The regular files; a sparse one is a gap."""
        seen: set[str] = set()
        for member in self.members:
            name = member.name
            if name in seen:
                name = f"{name} (again at {member.offset:,})"
            seen.add(name)
            if member.type == SPARSE:
                why = "a sparse member is not read"
                yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=self.where.into(name))
            elif member.type in FILE:
                yield Piece(name, self.blob, member.offset, member.size)


def _number(field: bytes) -> int:
    if field[:1] and field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise Malformed("a number in a tar header is none", None) from None


def _checked(header: bytes) -> bool:
    if len(header) < BLOCK:
        return False
    try:
        stated = _number(header[148:156])
    except Malformed:
        return False
    return stated == sum(header[:148]) + 8 * 32 + sum(header[156:BLOCK])


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _sniff(sample: Sample) -> bool:
    head = sample.head
    return len(head) >= BLOCK and head[0] != 0 and _checked(head[:BLOCK])


def _pax(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or len(length) > 8 or not 0 < int(length) <= len(data):
            break
        record = data[len(length) + 1 : int(length) - 1]
        key, _, value = record.partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return found


def _parse(blob: Blob, where: Location, limits: Limits) -> Tar:
    members: list[TarMember] = []
    gaps: list[Gap] = []
    offset = seen = 0
    size = blob.size
    name = link = ""
    pax: dict[str, str] = {}
    while offset + BLOCK <= size:
        header = blob.read(offset, BLOCK)
        seen += BLOCK
        if not header.strip(b"\0"):
            break
        if not _checked(header):
            if not members:
                raise Malformed("the header's checksum is wrong", offset)
            why = "a header's checksum is wrong; what follows was not read"
            at = Location(where.path, where.inside, offset)
            gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=at))
            break
        length = _number(header[124:136])
        kind = header[156:157]
        data = offset + BLOCK
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL):
            body = blob.read(data, min(length, NAME_LIMIT))
            seen += len(body)
            if kind == LONG_NAME:
                name = _text(body)
            elif kind == LONG_LINK:
                link = _text(body)
            else:
                pax.update(_pax(body))
        else:
            prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
            short = _text(header[:100])
            name = pax.get("path") or name or (f"{prefix}/{short}" if prefix else short)
            link = pax.get("linkpath") or link or _text(header[157:257])
            if pax.get("size", "").isdigit() and len(pax["size"]) < 20:
                length = int(pax["size"])
            kind = SPARSE if any(k.startswith("GNU.sparse") for k in pax) else kind
            members.append(TarMember(name, kind, data, length, link))
            name = link = ""
            pax = {}
            if len(members) >= MEMBERS_LIMIT:
                why = f"more than {MEMBERS_LIMIT:,} members"
                gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
                break
        if kind in (HARD_LINK, SYMBOLIC_LINK, *DEVICES, b"5"):
            length = 0
        if data + length > size:
            why = f"the member ends {data + length - size:,} bytes behind the archive"
            at = Location(where.path, where.inside, offset)
            gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=at))
            break
        offset = data + (length + BLOCK - 1) // BLOCK * BLOCK
    return Tar(
        where=where, size=size, seen=min(seen, size), gaps=tuple(gaps), blob=blob,
        members=tuple(members),
    )  # fmt: skip


TAR = Format(
    name="tar",
    title="Tar archive",
    loading=Loading.CONTAINER,
    sniff=_sniff,
    parse=_parse,
    document=Tar,
    limits="Sparse members are gaps.",
)
