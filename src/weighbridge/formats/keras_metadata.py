"""What Keras and TensorFlow lay beside a SavedModel: `keras_metadata.pb` and `fingerprint.pb`.

Sources: `keras/protobuf/saved_metadata.proto`, `tensorflow/core/protobuf/fingerprint.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.protobuf import BYTES, VARINT, Wire
from weighbridge.formats.tensorflow import Place, keras_configurations
from weighbridge.formats.tensorflow_schema import FINGERPRINT, KERAS_METADATA

_IDENTIFIER: Final = regex(rb"_tf_keras_\w{1,60}")
_SNIFFED: Final = 1_000


class KerasMetadata(Document, frozen=True, kw_only=True, eq=False):
    """The configuration of each Keras object of a SavedModel: its path among the objects, and
    where its JSON text stands, in bytes."""

    blob: Blob
    objects: tuple[tuple[str, Place], ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """The configurations, as one JSON text."""
        yield from keras_configurations(self.blob, self.where, list(self.objects))


def _sniff(sample: Sample) -> bool:
    """An object whose identifier is one of Keras's."""
    wire = Wire(sample.blob)
    left = _SNIFFED
    try:
        for number, kind, start, end in wire.fields(0, wire.size):
            if number != 1 or kind != BYTES:
                continue
            for inner, how, a, b in wire.fields(start, end):
                if inner == 4 and how == BYTES and b - a < 80:
                    return bool(_IDENTIFIER.fullmatch(wire.read(a, b - a)))
                left -= 1
                if not left:
                    return False
    except Malformed:
        return False
    return False


def _parse(blob: Blob, where: Location, limits: Limits) -> KerasMetadata:
    nodes = Wire(blob).decode(KERAS_METADATA).get("nodes", [])
    return KerasMetadata(
        where=where,
        size=blob.size,
        seen=blob.size,
        blob=blob,
        objects=tuple((n.get("node_path", ""), n["metadata"]) for n in nodes if "metadata" in n),
    )


KERAS_METADATA_FORMAT = Format(
    name="keras-metadata",
    title="Keras metadata of a SavedModel",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"\x08\x0a\x12",
    parse=_parse,
    document=KerasMetadata,
    limits="Configurations are judged as those of any Keras model.",
)


class Fingerprint(Document, frozen=True, kw_only=True, eq=False):
    """Hashes of a SavedModel, by name, as numbers of 64 bits."""

    hashes: tuple[tuple[str, int], ...]
    uuid: str


_WIRES: Final = {1: VARINT, 2: VARINT, 3: VARINT, 4: VARINT, 5: VARINT, 6: BYTES, 7: BYTES}
_LARGEST: Final = 300


def _sniff_fingerprint(sample: Sample) -> bool:
    """Nothing but its fields, among them at least three hashes that look like such."""
    if not 20 <= sample.blob.size <= _LARGEST:
        return False
    large = 0
    try:
        for number, kind, value, _ in Wire(sample.blob).fields(0, sample.blob.size):
            if _WIRES.get(number) != kind:
                return False
            large += number <= 5 and value >> 32 > 0
    except Malformed:
        return False
    return large >= 3


def _parse_fingerprint(blob: Blob, where: Location, limits: Limits) -> Fingerprint:
    message = Wire(blob).decode(FINGERPRINT)
    hashes = tuple((k, v) for k, v in message.items() if isinstance(v, int))
    uuid = message.get("uuid", "")
    return Fingerprint(where=where, size=blob.size, seen=blob.size, hashes=hashes, uuid=uuid)


FINGERPRINT_FORMAT = Format(
    name="saved-model-fingerprint",
    title="Fingerprint of a SavedModel",
    loading=Loading.DATA,
    sniff=_sniff_fingerprint,
    first=b"\x08\x10\x18\x20\x28",
    parse=_parse_fingerprint,
    document=Fingerprint,
    limits="The hashes are read and not computed anew: they are no signature.",
)
