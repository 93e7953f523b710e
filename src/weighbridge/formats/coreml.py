"""Core ML: models as Protocol Buffers, and the file that an ML program keeps its weights in.

Schemas: `Model.proto`, `NeuralNetwork.proto`, `MIL.proto` and siblings of coremltools
(https://apple.github.io/coremltools/mlmodel/); weights: `MILBlob/Blob/StorageFormat.hpp` there.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, GraphDocument, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Piece, Reference
from weighbridge.formats.coreml_layers import CUSTOM, NETWORK
from weighbridge.formats.forward import Metered
from weighbridge.formats.payload import EMBEDDED, is_code
from weighbridge.formats.protobuf import BYTES, VARINT, Kind, Message, Schema, Wire, many, one

HANDED_OUT: Final = 1_000
NOTEWORTHY: Final = 256
VERSION_LIMIT: Final = 64
MODEL_PATH: Final = "@model_path/"

KINDS: Final = {
    200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
    301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
    402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier",
    404: "kNearestNeighborsClassifier", 500: "neuralNetwork", 501: "itemSimilarityRecommender",
    502: "mlProgram", 555: "customModel", 556: "linkedModel", 560: "classConfidenceThresholding",
    600: "oneHotEncoder", 601: "imputer", 602: "featureVectorizer", 603: "dictVectorizer",
    604: "scaler", 606: "categoricalMapping", 607: "normalizer", 609: "arrayFeatureExtractor",
    610: "nonMaximumSuppression", 900: "identity", 2000: "textClassifier", 2001: "wordTagger",
    2002: "visionFeaturePrint", 2003: "soundAnalysisPreprocessing", 2004: "gazetteer",
    2005: "wordEmbedding", 2006: "audioFeaturePrint", 3000: "serializedModel",
}  # fmt: skip
"""What a model can be, by the number of its field."""
_OPAQUE: Final = frozenset(
    {"textClassifier", "wordTagger", "gazetteer", "wordEmbedding", "serializedModel"}
)
"""Kinds whose content is in a form that Apple has not published."""

_ENTRY: Final = Schema("UserDefinedEntry", {1: one("key", Kind.TEXT), 2: one("value", Kind.TEXT)})
_METADATA: Final = Schema("Metadata", {
    1: one("description", Kind.TEXT), 2: one("version", Kind.TEXT), 3: one("author", Kind.TEXT),
    4: one("license", Kind.TEXT), 100: many("user", _ENTRY),
})  # fmt: skip
_ARRAY: Final = Schema("ArrayFeatureType", {1: many("shape", Kind.INT), 2: one("type", Kind.INT)})
_IMAGE: Final = Schema("ImageFeatureType", {
    1: one("width", Kind.INT), 2: one("height", Kind.INT), 3: one("colours", Kind.INT),
})  # fmt: skip
_FEATURE_TYPE: Final = Schema("FeatureType", {4: one("image", _IMAGE), 5: one("array", _ARRAY)})
_FEATURE: Final = Schema(
    "FeatureDescription", {1: one("name", Kind.TEXT), 3: one("type", _FEATURE_TYPE)}
)
_DESCRIPTION: Final = Schema("ModelDescription", {
    1: many("input", _FEATURE), 10: many("output", _FEATURE), 100: one("metadata", _METADATA),
})  # fmt: skip
_FILE: Final = Schema("BlobFileValue", {1: one("name", Kind.TEXT), 2: one("offset", Kind.UNSIGNED)})
_SIZE: Final = Schema("ConstantDimension", {1: one("size", Kind.INT)})
_DIMENSION: Final = Schema("Dimension", {1: one("constant", _SIZE)})
_TENSOR_TYPE: Final = Schema(
    "TensorType", {1: one("type", Kind.INT), 3: many("dimension", _DIMENSION)}
)
_TYPE: Final = Schema("ValueType")
_TUPLE_TYPE: Final = Schema("TupleType", {1: many("types", _TYPE)})
_STATE_TYPE: Final = Schema("StateType", {1: one("wrapped", _TYPE)})
_TYPE.fields |= {
    1: one("tensor", _TENSOR_TYPE), 3: one("tuple", _TUPLE_TYPE), 5: one("state", _STATE_TYPE),
}  # fmt: skip
_NAMED: Final = Schema("NamedValueType", {1: one("name", Kind.TEXT), 2: one("type", _TYPE)})
_TENSOR: Final = Schema("TensorValue", {
    number: one(name, Kind.RANGE) for number, name in
    enumerate(("floats", "ints", "bools", "strings", "longs", "doubles", "bytes"), 1)
})  # fmt: skip
_VALUE: Final = Schema("Value", {2: one("type", _TYPE), 5: one("file", _FILE)})
_IMMEDIATE: Final = Schema("ImmediateValue", {1: one("tensor", _TENSOR)})
_PAIR: Final = Schema("KeyValuePair", {1: one("key", _VALUE), 2: one("value", _VALUE)})
_IMMEDIATE.fields |= {
    2: one("tuple", Schema("TupleValue", {1: many("values", _VALUE)})),
    3: one("list", Schema("ListValue", {1: many("values", _VALUE)})),
    4: one("dictionary", Schema("DictionaryValue", {1: many("pairs", _PAIR)})),
}
_VALUE.fields[3] = one("immediate", _IMMEDIATE)
_BINDING: Final = Schema("Binding", {1: one("name", Kind.TEXT), 2: one("value", _VALUE)})
_ARGUMENT: Final = Schema("Argument", {1: many("binding", _BINDING)})
_INPUT: Final = Schema("InputsEntry", {1: one("key", Kind.TEXT), 2: one("value", _ARGUMENT)})
_ATTRIBUTE: Final = Schema("AttributesEntry", {1: one("key", Kind.TEXT), 2: one("value", _VALUE)})
_BLOCK: Final = Schema("Block")
_OPERATION: Final = Schema("Operation", {
    1: one("type", Kind.TEXT), 2: many("input", _INPUT), 3: many("output", _NAMED),
    4: many("block", _BLOCK),
    5: many("attribute", _ATTRIBUTE),
})  # fmt: skip
_BLOCK.fields |= {
    1: many("input", _NAMED), 2: many("output", Kind.TEXT), 3: many("operation", _OPERATION),
    4: many("attribute", _ATTRIBUTE),
}  # fmt: skip
_SPECIAL: Final = Schema("BlockEntry", {1: one("key", Kind.TEXT), 2: one("value", _BLOCK)})
_FUNCTION: Final = Schema(
    "Function",
    {1: many("input", _NAMED), 3: many("block", _SPECIAL), 4: many("attribute", _ATTRIBUTE)},
)
_FUNCTIONS: Final = Schema("Entry", {1: one("key", Kind.TEXT), 2: one("value", _FUNCTION)})
_PROGRAM: Final = Schema("Program", {
    2: many("function", _FUNCTIONS), 3: one("doc", Kind.TEXT), 4: many("attribute", _ATTRIBUTE),
})  # fmt: skip
_TEXT_PARAMETER: Final = Schema("StringParameter", {1: one("default", Kind.TEXT)})
_LINKED_FILE: Final = Schema(
    "LinkedModelFile", {1: one("name", _TEXT_PARAMETER), 2: one("path", _TEXT_PARAMETER)}
)
_LINKED: Final = Schema("LinkedModel", {1: one("file", _LINKED_FILE)})
_MODEL: Final = Schema("Model")
_PIPELINE: Final = Schema("Pipeline", {1: many("model", _MODEL)})
_WRAPPED: Final = Schema("PipelineClassifier", {1: one("pipeline", _PIPELINE)})
_MODEL.fields |= {
    1: one("version", Kind.INT), 2: one("description", _DESCRIPTION),
    **{number: one(name, Kind.RANGE) for number, name in KINDS.items()},
    200: one("pipelineClassifier", _WRAPPED), 201: one("pipelineRegressor", _WRAPPED),
    202: one("pipeline", _PIPELINE), 303: one("neuralNetworkRegressor", NETWORK),
    403: one("neuralNetworkClassifier", NETWORK), 500: one("neuralNetwork", NETWORK),
    502: one("mlProgram", _PROGRAM), 555: one("customModel", CUSTOM),
    556: one("linkedModel", _LINKED),
}  # fmt: skip


class Custom(Struct, frozen=True):
    """A layer or model whose code is a class of the app: its name, where it is used, and its
    parameters as text."""

    class_name: str
    where: str
    parameters: tuple[tuple[str, str], ...]


class Weights(Struct, frozen=True):
    """A value in another file: its name as written, and where it begins there in bytes."""

    file: str
    offset: int
    what: str


class CoreMl(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The model. `kinds` names what it and the models in it are, `operations` counts those of ML
    programs, `linked` are files and search paths of other models. `model` is the message
    (`Model.proto`)."""

    blob: Blob
    model: Message
    version: int
    kinds: tuple[str, ...]
    operations: Mapping[str, int]
    custom: tuple[Custom, ...]
    linked: tuple[tuple[str, str], ...]
    weights: tuple[Weights, ...]
    texts: tuple[tuple[str, str], ...]

    def refers(self) -> Iterator[Reference]:
        """The values in other files."""
        for value in self.weights:
            path = value.file.removeprefix(MODEL_PATH)
            yield Reference(at=self.where, path=path, start=value.offset, what=value.what)

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts of the metadata and of parameters that could be something of their own."""
        told = [(f"metadata {k[:60]}", v) for k, v in self.texts]
        told += [(f"{c.where[:60]}.{k[:40]}", v) for c in self.custom for k, v in c.parameters]
        left = HANDED_OUT
        for name, text in told:
            data = text.encode("utf-8", "surrogateescape")
            if len(data) >= NOTEWORTHY or is_code(data):
                left -= 1
                if left < 0:
                    why = f"more than {HANDED_OUT:,} texts; the rest were not looked at"
                    yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)
                    return
                yield Held(name, data, EMBEDDED)


class _Reading:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.operations: Counter[str] = Counter()
        self.custom: list[Custom] = []
        self.linked: list[tuple[str, str]] = []
        self.weights: list[Weights] = []
        self.texts: list[tuple[str, str]] = []

    def model(self, message: Message) -> None:
        metadata = message.get("description", {}).get("metadata", {})
        for key in ("description", "version", "author", "license"):
            self.texts.append((key, metadata.get(key, "")))
        self.texts += [(e.get("key", ""), e.get("value", "")) for e in metadata.get("user", ())]
        for kind in KINDS.values():
            if kind not in message:
                continue
            self.kinds.append(kind)
            inner = message[kind]
            if kind.startswith("pipeline"):
                pipeline = inner.get("pipeline", {}) if kind != "pipeline" else inner
                for model in pipeline.get("model", ()):
                    self.model(model)
            elif kind.startswith("neuralNetwork"):
                self.network(inner)
            elif kind == "mlProgram":
                self.texts.append(("doc", inner.get("doc", "")))
                self.attributes(inner, "program")
                for function in inner.get("function", ()):
                    value = function.get("value", {})
                    self.attributes(value, function.get("key", ""))
                    for block in value.get("block", ()):
                        self.block(block.get("value", {}))
            elif kind == "customModel":
                self.add_custom(inner, "model")
            elif kind == "linkedModel":
                file = inner.get("file", {})
                name, path = (file.get(k, {}).get("default", "") for k in ("name", "path"))
                self.linked.append((name, path))

    def network(self, message: Message) -> None:
        for layer in message.get("layer", ()):
            if "custom" in layer:
                self.add_custom(layer["custom"], layer.get("name", ""))
            for key in ("branch", "loop"):
                for inner in layer.get(key, {}).values():
                    if isinstance(inner, dict):
                        self.network(inner)

    def add_custom(self, message: Message, where: str) -> None:
        parameters = tuple(
            (p.get("key", ""), p.get("value", {}).get("string", ""))
            for p in message.get("parameter", ())
        )
        self.custom.append(Custom(message.get("class", ""), where, parameters))

    def block(self, message: Message) -> None:
        self.attributes(message, "block")
        for operation in message.get("operation", ()):
            kind = operation.get("type", "")
            self.operations[kind] += 1
            self.attributes(operation, kind)
            for given in operation.get("input", ()):
                for binding in given.get("value", {}).get("binding", ()):
                    self.value(binding.get("value", {}), f"{kind}.{given.get('key', '')}")
            for block in operation.get("block", ()):
                self.block(block)

    def attributes(self, message: Message, what: str) -> None:
        for attribute in message.get("attribute", ()):
            self.value(attribute.get("value", {}), f"{what}.{attribute.get('key', '')}")

    def value(self, message: Message, what: str) -> None:
        if "file" in message:
            file = message["file"]
            self.weights.append(Weights(file.get("name", ""), file.get("offset", 0), what[:120]))
        immediate = message.get("immediate", {})
        for key in ("tuple", "list"):
            for inner in immediate.get(key, {}).get("values", ()):
                self.value(inner, what)
        for pair in immediate.get("dictionary", {}).get("pairs", ()):
            for key in ("key", "value"):
                self.value(pair.get(key, {}), what)


_TOP: Final = {1: VARINT, 2: BYTES, 10: VARINT} | dict.fromkeys(KINDS, BYTES)


def _sniff(sample: Sample) -> bool:
    """A version, a description, and one of the kinds that a model can be; nothing else. A file
    that was cut off within its last field is still a model."""
    if sample.head[:1] not in (b"\x08", b"\x12"):
        return False
    wire, kind = Wire(sample.blob), False
    seen: set[int] = set()
    try:
        for number, how, start, _ in wire.fields(0, wire.size):
            if _TOP.get(number) != how or len(seen) > 100:
                return False
            if number == 1 and not 0 < start < VERSION_LIMIT:
                return False
            seen.add(number)
            kind = kind or number in KINDS
    except Malformed as error:
        head = sample.blob.read(error.offset or 0, 3)
        number = (head[0] & 0x7F | head[1] << 7) >> 3 if len(head) == 3 else 0
        return {1, 2} <= seen and number in KINDS and head[0] & 7 == BYTES
    return kind and {1, 2} <= seen


def _parse(blob: Blob, where: Location, limits: Limits) -> CoreMl:
    metered = Metered(blob)
    try:
        message = Wire(metered).decode(_MODEL)
    except struct.error as error:
        raise Malformed(f"a number cannot be read ({error})") from None
    reading = _Reading()
    reading.model(message)
    if not reading.kinds:
        raise Malformed("a model of no kind that is known")
    gaps = tuple(
        Gap(kind=GapKind.UNSUPPORTED, message=f"{kind}: its form is not published", at=where)
        for kind in sorted(_OPAQUE.intersection(reading.kinds))
    )
    return CoreMl(
        where=where,
        size=blob.size,
        seen=min(blob.size, metered.read_bytes),
        gaps=gaps,
        blob=blob,
        model=message,
        version=message.get("version", 0),
        kinds=tuple(reading.kinds),
        operations=reading.operations,
        custom=tuple(reading.custom),
        linked=tuple(reading.linked),
        weights=tuple(reading.weights),
        texts=tuple(reading.texts),
    )


COREML = Format(
    name="coreml",
    title="Core ML model",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"\x08\x12",
    parse=_parse,
    document=CoreMl,
    limits="Kinds, custom layers, operations and references; weights within it are passed over.",
)

HEADER: Final = 64
SENTINEL: Final = 0xDEADBEEF
BLOBS_LIMIT: Final = 1_000_000


class CoreMlWeights(Document, frozen=True, kw_only=True, eq=False):
    """The blobs of an ML program: where each stands, `(start, size)` in bytes."""

    blob: Blob
    blobs: tuple[tuple[int, int], ...]
    leftover: tuple[tuple[int, int], ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """The bytes that no blob accounts for."""
        for start, size in self.leftover:
            name = f"bytes in no weight, from byte {start}"
            yield Piece(name, self.blob, start, size, "leftover")


def _sniff_weights(sample: Sample) -> bool:
    head = sample.head
    if len(head) < 2 * HEADER or any(head[8:HEADER]):
        return False
    count, version = struct.unpack_from("<II", head)
    (sentinel,) = struct.unpack_from("<I", head, HEADER)
    return 0 < int(count) <= BLOBS_LIMIT and (version, sentinel) == (2, SENTINEL)


def _parse_weights(blob: Blob, where: Location, limits: Limits) -> CoreMlWeights:
    count = int.from_bytes(blob.read(0, 4), "little")
    if count > BLOBS_LIMIT:
        raise Malformed(f"{count:,} weights", 0)
    at, end = HEADER, HEADER
    blobs: list[tuple[int, int]] = []
    leftover: list[tuple[int, int]] = []
    for _ in range(count):
        entry = blob.read(at, HEADER)
        if len(entry) < HEADER:
            raise Malformed("it ends too soon", at)
        sentinel, _, size, start = struct.unpack_from("<IIQQ", entry)
        if sentinel != SENTINEL or start < at + HEADER or start + size > blob.size:
            raise Malformed("a weight is not where its entry says", at)
        if start > at + HEADER:
            leftover.append((at + HEADER, start - at - HEADER))
        blobs.append((start, size))
        end = start + size
        at = end + -end % HEADER
    if at < blob.size:
        leftover.append((at, blob.size - at))
    return CoreMlWeights(
        where=where, size=blob.size, seen=min(blob.size, HEADER * (count + 1)), blob=blob,
        blobs=tuple(blobs), leftover=tuple(leftover),
    )  # fmt: skip


COREML_WEIGHTS = Format(
    name="coreml-weights",
    title="Weights of a Core ML program",
    loading=Loading.DATA,
    sniff=_sniff_weights,
    parse=_parse_weights,
    document=CoreMlWeights,
    limits="The weights' bytes are not read.",
)
