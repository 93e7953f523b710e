"""The packages in one layer of an image: their records, and what is not as those say."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.core.document import Malformed
from weighbridge.core.fact import LayerPackages
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.regex import regex
from weighbridge.core.tree import Piece
from weighbridge.formats.installed import RECORD_LIMIT, read_record
from weighbridge.formats.tar import FILE, HARD_LINK, SYMBOLIC_LINK, Tar, TarMember, from_root
from weighbridge.formats.text import encodable

COMPARED: Final = 2 << 30
"""How many bytes of one layer are hashed."""
ROWS: Final = 100_000
"""How many files the records of one layer may list."""
FILES: Final = 100_000
"""How many files of one layer that no record in it vouches for are told."""
LINKS: Final = 8
SCRIPT: Final = 64 << 10
"""Bytes up to which a program is a script that a package may have installed."""
CHUNK: Final = 1 << 20
_FOLDER: Final = regex(r"(?:.*/)?(?:site|dist)-packages/.+")
_PROGRAM: Final = regex(r"(?:.*/)?bin/[^/]+")
_RECORD: Final = regex(r"((?:.*/)?(?:site|dist)-packages)/[^/]+\.dist-info/RECORD")


def layer_packages(archive: Tar) -> Iterator[LayerPackages]:
    """What a tar archive holds of packages, if it holds any. The last of several members of one
    name is the one that stays when they are unpacked."""
    held: dict[str, TarMember] = {}
    for member in archive.members:
        if member.type in FILE or member.type in (HARD_LINK, SYMBOLIC_LINK):
            held[from_root(member.name)] = member
    if any(_FOLDER.fullmatch(path) for path in held):
        yield _Reading(archive, held).fact()


class _Reading:
    def __init__(self, archive: Tar, held: Mapping[str, TarMember]) -> None:
        self.archive = archive
        self.held = held
        self.gaps: list[Gap] = []
        self.rows = 0
        self.left = COMPARED

    def fact(self) -> LayerPackages:
        records = {path: self._record(path, found[1])
                   for path in self.held if (found := _RECORD.fullmatch(path))}  # fmt: skip
        listed: dict[str, set[bytes]] = {}
        for rows in records.values():
            for path, digest in rows.items():
                listed.setdefault(path, set()).add(digest)
        files: dict[str, bytes] = {}
        for path, member in sorted(self.held.items(), key=lambda item: item[1].offset):
            if path in records or path.endswith(".pyc"):
                continue
            if path not in listed and not self._may_belong(path, member):
                continue
            digest = self._digest(path)
            if self.left < 0 or len(files) == FILES:
                why = f"more than {COMPARED:,} bytes or {FILES:,} files of packages in one layer: "
                self._gap(GapKind.TOO_LARGE, why + "the rest was not compared", path)
                break
            if listed.get(path, ()) != {digest}:
                files[encodable(path)] = digest
        return LayerPackages(
            at=self.archive.where,
            records={
                encodable(r): {encodable(p): d for p, d in rows.items()}
                for r, rows in records.items()
            },
            files=files,
            absent=tuple(encodable(path) for path in listed if path not in self.held),
            gaps=tuple(self.gaps),
        )

    def _record(self, path: str, folder: str) -> dict[str, bytes]:
        """The files that a RECORD lists with a sha256."""
        found: dict[str, bytes] = {}
        try:
            member = self._followed(path)
            if member is None:
                raise Malformed("a RECORD that is a link out of its layer")
            if member.size > RECORD_LIMIT:
                raise Malformed(f"a RECORD of more than {RECORD_LIMIT:,} bytes")
            text = self._piece(member).read(0, member.size).decode("utf-8", "replace")
            for row in read_record(text):
                if row.weak or row.algorithm != "sha256":
                    continue
                if self.rows == ROWS:
                    why = f"the records of one layer list more than {ROWS:,} files"
                    self._gap(GapKind.TOO_LARGE, why, path)
                    break
                self.rows += 1
                found[from_root(posixpath.join(folder, row.path))] = bytes.fromhex(row.digest)
        except Malformed as error:
            self._gap(GapKind.MALFORMED, error.why, path)
        return found

    def _gap(self, kind: GapKind, why: str, path: str) -> None:
        at = self.archive.where.into(encodable(path))
        self.gaps.append(Gap(kind=kind, message=why, at=at))

    def _may_belong(self, path: str, member: TarMember) -> bool:
        """Whether a record in another layer may list a file."""
        if _FOLDER.fullmatch(path):
            return True
        script = member.type in FILE and 2 < member.size <= SCRIPT and _PROGRAM.fullmatch(path)
        return bool(script) and self._piece(member).read(0, 2) == b"#!"

    def _digest(self, path: str) -> bytes:
        """The sha256 of a file; empty where it is a link that leads out of the layer."""
        member = self._followed(path)
        if member is None:
            return b""
        self.left -= member.size
        if self.left < 0:
            return b""
        piece, digest = self._piece(member), hashlib.sha256()
        for offset in range(0, piece.size, CHUNK):
            digest.update(piece.read(offset, CHUNK))
        return digest.digest()

    def _piece(self, member: TarMember) -> Piece:
        return Piece(member.name, self.archive.blob, member.offset, member.size)

    def _followed(self, path: str) -> TarMember | None:
        """The file at a path, at the end of its links; None where that is not in this layer."""
        for _ in range(LINKS):
            member = self.held.get(path)
            if member is None or member.type in FILE:
                return member
            beside = "" if member.type == HARD_LINK else posixpath.dirname(path)
            path = from_root(posixpath.join("/", beside, member.link))
        return None
