"""Pictures and sound beside a model: recognised by their signatures, held to be data."""

from __future__ import annotations

from weighbridge.core.document import Document, Malformed
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"OggS", b"fLaC", b"ID3")


SHORTEST = 26
"""In bytes: the smallest GIF. Anything shorter only pretends."""


class Media(Document, frozen=True, kw_only=True, eq=False):
    """A picture or a sound. No model loader opens it."""


def _sniff(sample: Sample) -> bool:
    head = sample.head
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE"))


def _parse(blob: Blob, where: Location, limits: Limits) -> Media:
    if blob.size < SHORTEST:
        raise Malformed("a signature without a picture or sound behind it", 0)
    return Media(where=where, size=blob.size, seen=min(blob.size, 12))


MEDIA = Format(
    name="media",
    title="Picture or sound",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Media,
    limits="Recognised by its signature; what follows it is not read.",
)
