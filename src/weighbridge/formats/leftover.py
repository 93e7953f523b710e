"""Bytes that no part of a container accounts for: holes between its parts, bytes behind its end.

A container hands such a region out with the role `leftover`. It is searched for programs and
scripts whose header is confirmed, at any offset; whole tensors never are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Document
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.native import MAGICS, program_at

ROLE: Final = "leftover"
SCANNED: Final = 64 << 20
FOUND_KEPT: Final = 100
_CHUNK: Final = 1 << 20
_OVERLAP: Final = 128
_START: Final = regex(
    b"|".join(re.escape(m) for m in MAGICS)
    + rb"|#! ?/(?:usr/)?(?:local/)?bin/(?:env +)?[a-z][\w.+-]{1,30}(?: -\w+)?\r?\n"
)


class Leftover(Document, frozen=True, kw_only=True, eq=False):
    """Where programs and scripts begin in it."""

    blob: Blob
    starts: tuple[int, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """What begins at each of these places, up to the end."""
        for start in self.starts:
            size = self.blob.size - start
            yield Piece(f"at byte {start}", self.blob, start, size, "embedded")


def _sniff(sample: Sample) -> bool:
    return sample.blob.role == ROLE


def _parse(blob: Blob, where: Location, limits: Limits) -> Leftover:
    starts: list[int] = []
    size = min(blob.size, SCANNED)
    offset = 0
    while offset < size and len(starts) < FOUND_KEPT:
        data = blob.read(offset, _CHUNK + _OVERLAP)
        for found in _START.finditer(data):
            start = offset + found.start()
            confirmed = found[0].startswith(b"#!") or program_at(blob, start) is not None
            if start and found.start() < _CHUNK and confirmed and start not in starts[-1:]:
                starts.append(start)
        offset += _CHUNK
    gaps: tuple[Gap, ...] = ()
    if offset < blob.size:
        why = f"only the first {min(offset, size):,} of {blob.size:,} bytes were searched"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    return Leftover(
        where=where,
        size=blob.size,
        seen=min(offset, blob.size),
        gaps=gaps,
        blob=blob,
        starts=tuple(starts[:FOUND_KEPT]),
    )


LEFTOVER = Format(
    name="leftover",
    title="Bytes that belong to no part of their container",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Leftover,
    limits="Searched for programs and scripts by their headers, up to 64 MiB.",
)
