"""SentencePiece: the vocabulary and the normalizer of a tokenizer, as `tokenizer.model` holds them.

Schema: `sentencepiece_model.proto` of https://github.com/google/sentencepiece (proto2).
"""

from __future__ import annotations

from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.protobuf import BYTES, FIXED32, VARINT, Kind, Schema, Wire, many, one

PIECES_LIMIT: Final = 1 << 20
"""Vocabularies have a few hundred thousand."""
CHARSMAP_LIMIT: Final = 16 << 20
"""In bytes; the one that the library ships takes 240 thousand."""
KINDS: Final = {1: "normal", 2: "unknown", 3: "control", 4: "user-defined", 5: "unused", 6: "byte"}

_PIECE: Final = Schema("SentencePiece", {1: one("piece", Kind.TEXT), 3: one("type", Kind.INT)})
_TRAINER: Final = Schema("TrainerSpec", {3: one("model_type", Kind.INT)})
_NORMALIZER: Final = Schema("NormalizerSpec", {
    1: one("name", Kind.TEXT), 2: one("charsmap", Kind.RANGE), 6: one("rules", Kind.RANGE),
})  # fmt: skip
_MODEL: Final = Schema("ModelProto", {
    1: many("pieces", _PIECE), 2: one("trainer", _TRAINER), 3: one("normalizer", _NORMALIZER),
    5: one("denormalizer", _NORMALIZER),
})  # fmt: skip
_PIECE_WIRES: Final = {1: BYTES, 2: FIXED32, 3: VARINT}


class SentencePiece(Document, frozen=True, kw_only=True, eq=False):
    """`pieces` are the text and the kind of each entry, by its number; `maps` the compiled
    character maps that text goes through, by what they are (`normalizer`, `denormalizer`)."""

    pieces: tuple[tuple[str, str], ...]
    maps: tuple[tuple[str, bytes], ...]


def _sniff(sample: Sample) -> bool:
    """The first entries are pieces, each a text and a score."""
    head = sample.head
    if head[:1] != b"\x0a":
        return False
    blob = Held("head", head)
    wire, found = Wire(blob), 0
    try:
        for number, kind, start, end in wire.fields(0, len(head)):
            if number != 1 or kind != BYTES:
                break
            inner = [(n, k) for n, k, _, _ in wire.fields(start, end)]
            if [n for n, _ in inner[:2]] != [1, 2] or any(
                _PIECE_WIRES.get(n) != k for n, k in inner
            ):
                return False
            found += 1
    except Malformed:
        pass  # the head ends in the middle of one
    return found >= 3


def _parse(blob: Blob, where: Location, limits: Limits) -> SentencePiece:
    model = Wire(blob).decode(_MODEL)
    pieces = model.get("pieces", [])
    if len(pieces) > PIECES_LIMIT:
        raise Malformed(f"a vocabulary of {len(pieces):,} pieces")
    maps = []
    for name in ("normalizer", "denormalizer"):
        start, end = model.get(name, {}).get("charsmap", (0, 0))
        if end - start > CHARSMAP_LIMIT:
            raise Malformed(f"a character map of {end - start:,} bytes", start)
        if end > start:
            maps.append((name, blob.read(start, end - start)))
    return SentencePiece(
        where=where,
        size=blob.size,
        seen=blob.size,
        pieces=tuple((p.get("piece", ""), KINDS.get(p.get("type", 1), "unknown")) for p in pieces),
        maps=tuple(maps),
    )


SENTENCEPIECE = Format(
    name="sentencepiece",
    title="SentencePiece model",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"\x0a",
    parse=_parse,
    document=SentencePiece,
    limits="Pieces and character maps; scores and the trainer's settings are not read.",
)
