"""ONNX: graphs of operators, functions, and tensors whose bytes stay where they are.

Schema: `onnx.proto3` of the ONNX specification, IR version 3 to 13. Models above 2 GB keep their
tensors in other files; those are referred to and never opened here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.core.document import Document, GraphDocument, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Piece, Reference
from weighbridge.formats.payload import EMBEDDED, is_code
from weighbridge.formats.protobuf import BYTES, VARINT, Kind, Message, Schema, Wire, many, one

TOP_FIELDS: Final = 100_000
"""How many fields of the outermost message are skipped over to recognise it."""
HANDED_OUT: Final = 1_000
"""How many texts of one model are handed out to be looked at by themselves."""
TEXT_SIZE: Final = 4 << 20
NOTEWORTHY: Final = 256
"""From how many bytes on a text in the model is looked at by itself, in bytes."""

TYPES: Final[dict[int, tuple[str, int]]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16),
    6: ("int32", 32), 7: ("int64", 64), 8: ("string", 0), 9: ("bool", 8), 10: ("float16", 16),
    11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64), 14: ("complex64", 64),
    15: ("complex128", 128), 16: ("bfloat16", 16), 17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8), 20: ("float8e5m2fnuz", 8), 21: ("uint4", 4),
    22: ("int4", 4), 23: ("float4e2m1", 4), 24: ("float8e8m0", 8), 25: ("uint2", 2),
    26: ("int2", 2),
}  # fmt: skip
"""Tensor types: name and bits of an element (0: not fixed)."""

_PAIR: Final = Schema(
    "StringStringEntryProto", {1: one("key", Kind.TEXT), 2: one("value", Kind.TEXT)}
)
_TENSOR: Final = Schema("TensorProto", {
    1: many("dims", Kind.INT), 2: one("data_type", Kind.INT), 8: one("name", Kind.TEXT),
    9: one("raw_data", Kind.RANGE), 13: many("external_data", _PAIR),
    14: one("data_location", Kind.INT),
})  # fmt: skip
_SPARSE: Final = Schema("SparseTensorProto", {
    1: one("values", _TENSOR), 2: one("indices", _TENSOR), 3: many("dims", Kind.INT),
})  # fmt: skip
_DIMENSION: Final = Schema("Dimension", {1: one("value", Kind.INT), 2: one("name", Kind.TEXT)})
_SHAPE: Final = Schema("TensorShapeProto", {1: many("dim", _DIMENSION)})
_TENSOR_TYPE: Final = Schema("Tensor", {1: one("elem_type", Kind.INT), 2: one("shape", _SHAPE)})
_TYPE: Final = Schema("TypeProto", {1: one("tensor", _TENSOR_TYPE), 8: one("sparse", _TENSOR_TYPE)})
_NESTED: Final = Schema("Sequence", {1: one("elem_type", _TYPE)})
_TYPE.fields |= {4: one("sequence", _NESTED), 9: one("optional", _NESTED)}
_VALUE: Final = Schema("ValueInfoProto", {1: one("name", Kind.TEXT), 2: one("type", _TYPE)})
_GRAPH: Final = Schema("GraphProto")
_ATTRIBUTE: Final = Schema("AttributeProto", {
    1: one("name", Kind.TEXT), 2: one("f", Kind.FLOAT), 3: one("i", Kind.INT),
    4: one("s", Kind.RANGE), 5: one("t", _TENSOR), 6: one("g", _GRAPH),
    7: many("floats", Kind.FLOAT), 8: many("ints", Kind.INT), 9: many("strings", Kind.RANGE),
    10: many("tensors", _TENSOR), 11: many("graphs", _GRAPH), 20: one("type", Kind.INT),
    21: one("reference", Kind.TEXT), 22: one("sparse_tensor", _SPARSE),
    23: many("sparse_tensors", _SPARSE),
})  # fmt: skip
_NODE: Final = Schema("NodeProto", {
    1: many("input", Kind.TEXT), 2: many("output", Kind.TEXT), 3: one("name", Kind.TEXT),
    4: one("op_type", Kind.TEXT), 5: many("attribute", _ATTRIBUTE), 7: one("domain", Kind.TEXT),
    8: one("overload", Kind.TEXT), 9: many("metadata", _PAIR),
})  # fmt: skip
_GRAPH.fields |= {
    1: many("node", _NODE), 2: one("name", Kind.TEXT), 5: many("initializer", _TENSOR),
    10: one("doc", Kind.RANGE), 11: many("input", _VALUE), 12: many("output", _VALUE),
    13: many("value_info", _VALUE), 15: many("sparse_initializer", _SPARSE),
    16: many("metadata", _PAIR),
}  # fmt: skip
_OPSET: Final = Schema(
    "OperatorSetIdProto", {1: one("domain", Kind.TEXT), 2: one("version", Kind.INT)}
)
_FUNCTION: Final = Schema("FunctionProto", {
    1: one("name", Kind.TEXT), 4: many("input", Kind.TEXT), 5: many("output", Kind.TEXT),
    6: many("attribute", Kind.TEXT), 7: many("node", _NODE), 9: many("opset", _OPSET),
    10: one("domain", Kind.TEXT), 11: many("defaults", _ATTRIBUTE), 13: one("overload", Kind.TEXT),
})  # fmt: skip
_TRAINING: Final = Schema(
    "TrainingInfoProto", {1: one("initialization", _GRAPH), 2: one("algorithm", _GRAPH)}
)
_MODEL: Final = Schema("ModelProto", {
    1: one("ir_version", Kind.INT), 2: one("producer", Kind.TEXT),
    3: one("producer_version", Kind.TEXT), 4: one("domain", Kind.TEXT), 6: one("doc", Kind.RANGE),
    7: one("graph", _GRAPH), 8: many("opset", _OPSET), 14: many("metadata", _PAIR),
    20: many("training", _TRAINING), 25: many("function", _FUNCTION),
})  # fmt: skip
_TOP: Final = {1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES,
               14: BYTES, 20: BYTES, 25: BYTES, 26: BYTES}  # fmt: skip
_FIRST: Final = bytes(number << 3 | wire for number, wire in _TOP.items() if number < 16)


class External(Struct, frozen=True):
    """Where another file holds a tensor's bytes: `location` as written, `offset` and `length` in
    bytes (None: to the end), or as text where they are no numbers."""

    location: str
    offset: int | str
    length: int | str | None


class Tensor(Struct, frozen=True):
    """A tensor. `place` is its message in the file, `raw` its bytes there where they stand as
    such, both `(start, end)` in bytes."""

    name: str
    type: int
    shape: tuple[int, ...]
    place: tuple[int, int]
    raw: tuple[int, int] | None
    external: External | None

    @property
    def elements(self) -> int:
        """How many numbers it holds, by its shape."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class Sparse(Struct, frozen=True):
    """A tensor that is mostly zero: what is not, and where."""

    values: Tensor
    indices: Tensor
    shape: tuple[int, ...]


class Text(Struct, frozen=True):
    """A string attribute; `(start, end)` in bytes of the file."""

    place: tuple[int, int]


class Node(Struct, frozen=True):
    """A step of the computation. Names of values are empty where one is left out; `references`
    are attributes that take the value of the function's own attribute."""

    name: str
    op: str
    domain: str
    overload: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    references: Mapping[str, str]

    def graphs(self) -> Iterator[Graph]:
        """The bodies that it runs (If, Loop, Scan and the like)."""
        for value in self.attributes.values():
            for one_value in value if isinstance(value, tuple) else (value,):
                if isinstance(one_value, Graph):
                    yield one_value


class Port(Struct, frozen=True):
    """An input, an output or a value in between: its element type (0: none) and its dimensions,
    numbers or names; None where its rank is not said."""

    name: str
    type: int
    shape: tuple[int | str, ...] | None


class Graph(Struct, frozen=True):
    """A graph or a body."""

    name: str
    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    sparse: tuple[Sparse, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    values: tuple[Port, ...]


class Function(Struct, frozen=True):
    """An operator that the model itself defines. `defaults` are attributes with a value."""

    domain: str
    name: str
    overload: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...]
    defaults: Mapping[str, Any]
    nodes: tuple[Node, ...]
    opsets: Mapping[str, int]


class Onnx(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The model. `training` are the graphs of its training information."""

    blob: Blob
    ir_version: int
    producer: str
    opsets: Mapping[str, int]
    graph: Graph
    functions: tuple[Function, ...]
    training: tuple[Graph, ...]
    metadata: tuple[tuple[str, str], ...]
    docs: tuple[tuple[int, int], ...]

    def graphs(self) -> Iterator[Graph]:
        """Every graph with its nested bodies, those of functions too."""
        waiting = [self.graph, *self.training]
        waiting += [body for f in self.functions for node in f.nodes for body in node.graphs()]
        while waiting:
            graph = waiting.pop()
            yield graph
            waiting += [body for node in graph.nodes for body in node.graphs()]

    def nodes(self) -> Iterator[Node]:
        """Every node of every graph, body and function."""
        for graph in self.graphs():
            yield from graph.nodes
        for function in self.functions:
            yield from function.nodes

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor: initializers and those that stand in attributes."""
        for graph in self.graphs():
            yield from graph.tensors
            for sparse in graph.sparse:
                yield from (sparse.values, sparse.indices)
        holders = [node.attributes for node in self.nodes()]
        for attributes in (*holders, *(f.defaults for f in self.functions)):
            for value in attributes.values():
                for item in value if isinstance(value, tuple) else (value,):
                    if isinstance(item, Tensor):
                        yield item
                    elif isinstance(item, Sparse):
                        yield from (item.values, item.indices)

    def refers(self) -> Iterator[Reference]:
        """The parts of other files that its tensors are in."""
        for tensor in self.tensors():
            outside = tensor.external
            if outside is not None:
                start, size = outside.offset, outside.length
                yield Reference(
                    at=self.where,
                    path=outside.location,
                    start=start if isinstance(start, int) else 0,
                    size=size if isinstance(size, int) else None,
                    what=tensor.name,
                )

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts that could be something of their own: metadata, descriptions, strings of nodes."""
        left = HANDED_OUT
        for name, text in self.metadata:
            data = text.encode("utf-8", "surrogateescape")
            if left and (len(data) >= NOTEWORTHY or is_code(data)):
                left -= 1
                yield Held(f"metadata {name[:60]}", data, EMBEDDED)
        for start, end in self.docs:
            if left and end - start >= NOTEWORTHY:
                left -= 1
                yield Piece("description", self.blob, start, end - start, EMBEDDED)
        for node in self.nodes():
            for key, value in node.attributes.items():
                for item in value if isinstance(value, tuple) else (value,):
                    if isinstance(item, Text):
                        start, end = item.place
                        if end - start >= NOTEWORTHY and left:
                            left -= 1
                            name = f"{(node.name or node.op)[:60]}.{key[:40]}"
                            yield Piece(name, self.blob, start, end - start, EMBEDDED)
        if not left:
            why = f"more than {HANDED_OUT:,} texts; the rest were not looked at"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)

    def text(self, text: Text, limit: int = 2_000) -> str:
        """A string attribute, shortened to `limit` bytes."""
        start, end = text.place
        return self.blob.read(start, min(end - start, limit)).decode("utf-8", "backslashreplace")


_NUMBER: Final = regex(r"\d{1,19}")


def _count(text: str) -> int | str:
    return int(text) if _NUMBER.fullmatch(text) else text[:80]


def _tensor(message: Message) -> Tensor:
    pairs = {p.get("key", ""): p.get("value", "") for p in message.get("external_data", ())}
    outside = None
    if message.get("data_location") == 1 or pairs:
        length = pairs.get("length")
        outside = External(
            pairs.get("location", ""),
            _count(pairs.get("offset", "0")),
            _count(length) if length is not None else None,
        )
    return Tensor(
        name=message.get("name", ""),
        type=message.get("data_type", 0),
        shape=tuple(message.get("dims", ())),
        place=message[""],
        raw=message.get("raw_data"),
        external=outside,
    )


def _sparse(message: Message) -> Sparse:
    nothing: Message = {"": message[""]}
    return Sparse(
        _tensor(message.get("values", nothing)),
        _tensor(message.get("indices", nothing)),
        tuple(message.get("dims", ())),
    )


def _port(message: Message) -> Port:
    kind = message.get("type", {})
    tensor = kind.get("tensor") or kind.get("sparse") or {}
    shape = tensor.get("shape")
    dims = None
    if shape is not None:
        dims = tuple(d.get("value", d.get("name", "")) for d in shape.get("dim", ()))
    return Port(message.get("name", ""), tensor.get("elem_type", 0), dims)


_BY_TYPE: Final = {
    1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors",
    10: "graphs", 11: "sparse_tensor", 12: "sparse_tensors",
}  # fmt: skip
_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "g": lambda v: _graph(v),
    "t": lambda v: _tensor(v),
    "graphs": lambda v: tuple(map(_graph, v)),
    "tensors": lambda v: tuple(map(_tensor, v)),
    "sparse_tensor": lambda v: _sparse(v),
    "sparse_tensors": lambda v: tuple(map(_sparse, v)),
    "strings": lambda v: tuple(map(Text, v)),
    "ints": tuple,
    "floats": tuple,
    "s": Text,
    "f": lambda v: v,
    "i": lambda v: v,
}
_EMPTY: Final[dict[int, Any]] = {1: 0.0, 2: 0, 3: Text((0, 0))}


def _attribute(message: Message) -> Any:
    """The value that its type names; where it names none, the first that is there."""
    kind = message.get("type", 0)
    said = _BY_TYPE.get(kind, "")
    for field in (said,) if said else _READ:
        if field in message:
            return _READ[field](message[field])
    return _EMPTY.get(kind, ())


def _attributes(messages: list[Message]) -> dict[str, Any]:
    return {m.get("name", ""): _attribute(m) for m in messages if not m.get("reference")}


def _node(message: Message) -> Node:
    attributes = message.get("attribute", [])
    return Node(
        name=message.get("name", ""),
        op=message.get("op_type", ""),
        domain=message.get("domain", ""),
        overload=message.get("overload", ""),
        inputs=tuple(message.get("input", ())),
        outputs=tuple(message.get("output", ())),
        attributes=_attributes(attributes),
        references={m.get("name", ""): m["reference"] for m in attributes if m.get("reference")},
    )


def _graph(message: Message) -> Graph:
    return Graph(
        name=message.get("name", ""),
        nodes=tuple(_node(n) for n in message.get("node", ())),
        tensors=tuple(_tensor(t) for t in message.get("initializer", ())),
        sparse=tuple(_sparse(t) for t in message.get("sparse_initializer", ())),
        inputs=tuple(_port(p) for p in message.get("input", ())),
        outputs=tuple(_port(p) for p in message.get("output", ())),
        values=tuple(_port(p) for p in message.get("value_info", ())),
    )


def _opsets(messages: list[Message]) -> dict[str, int]:
    return {m.get("domain", ""): m.get("version", 0) for m in messages}


def _function(message: Message) -> Function:
    return Function(
        domain=message.get("domain", ""),
        name=message.get("name", ""),
        overload=message.get("overload", ""),
        inputs=tuple(message.get("input", ())),
        outputs=tuple(message.get("output", ())),
        attributes=tuple(message.get("attribute", ())),
        defaults=_attributes(message.get("defaults", [])),
        nodes=tuple(_node(n) for n in message.get("node", ())),
        opsets=_opsets(message.get("opset", [])),
    )


def _sniff(sample: Sample) -> bool:
    """The outermost message has only fields that a model has, each with its wire type, and a graph
    whose first field is one of a graph's. A file that was cut off is still a model."""
    wire, whole = Wire(sample.blob), False
    try:
        for count, (number, kind, start, end) in enumerate(wire.fields(0, wire.size)):
            if _TOP.get(number) != kind or count > TOP_FIELDS:
                return False
            if number in (7, 25) and end > start:
                inner = wire.read(start, 1)[0]
                fields = _GRAPH.fields if number == 7 else _FUNCTION.fields
                if inner >> 3 not in fields and inner >> 3 not in (8, 14):
                    return False
                whole = True
            elif number == 1 and not 0 < start < 1 << 16:
                return False
    except Malformed as error:
        return whole or _cut_off(sample, error)
    return whole


def _cut_off(sample: Sample, error: Malformed) -> bool:
    """Whether what is missing is the end of a graph that begins as one does."""
    offset = error.offset or 0
    head = sample.head[offset : offset + 16]
    if not offset or head[:1] != b"\x3a" or sample.head[:1] != b"\x08":
        return False
    rest = head[1:].lstrip(bytes(range(0x80, 0x100)))[1:]
    return bool(rest) and rest[0] in (0x0A, 0x12, 0x2A, 0x5A, 0x62)


def _parse(blob: Blob, where: Location, limits: Limits) -> Onnx:
    try:
        model = Wire(blob).decode(_MODEL)
    except struct.error as error:
        raise Malformed(f"a number cannot be read ({error})") from None
    graphs = [model.get("graph", {"": (0, 0)})]
    functions = model.get("function", [])
    if "graph" not in model and not functions:
        raise Malformed("a model without a graph")
    training = [
        t[name] for t in model.get("training", ()) for name in ("initialization", "algorithm")
        if name in t
    ]  # fmt: skip
    made = Onnx(
        where=where,
        size=blob.size,
        seen=0,
        blob=blob,
        ir_version=model.get("ir_version", 0),
        producer=f"{model.get('producer', '')} {model.get('producer_version', '')}".strip()[:200],
        opsets=_opsets(model.get("opset", [])),
        graph=_graph(graphs[0]),
        functions=tuple(_function(f) for f in functions),
        training=tuple(_graph(g) for g in training),
        metadata=tuple((p.get("key", ""), p.get("value", "")) for p in _pairs(model, graphs[0])),
        docs=tuple(m["doc"] for m in (model, graphs[0]) if "doc" in m),
    )
    lazy = sum(t.raw[1] - t.raw[0] for t in made.tensors() if t.raw)
    return replace(made, seen=max(0, blob.size - lazy))


def _pairs(*messages: Message) -> Iterator[Message]:
    for message in messages:
        yield from message.get("metadata", ())


ONNX = Format(
    name="onnx",
    title="ONNX model",
    loading=Loading.DATA,
    sniff=_sniff,
    first=_FIRST,
    parse=_parse,
    document=Onnx,
    limits="Graphs, bodies, functions; tensors' bytes stay lazy. At most 12 million fields.",
)


class OnnxTensor(Document, frozen=True, kw_only=True, eq=False):
    """A tensor in a file of its own, as test data are kept."""

    tensor: Tensor


_TENSOR_WIRES: Final = {1: VARINT, 2: VARINT, 4: BYTES, 5: BYTES, 6: BYTES, 7: BYTES, 8: BYTES,
                        9: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 16: BYTES}  # fmt: skip
_VALUES: Final = frozenset({4, 5, 6, 7, 9, 10, 11})


def _sniff_tensor(sample: Sample) -> bool:
    """Nothing but the fields of a tensor: a type, and as many bytes as type and shape ask for."""
    wire = Wire(sample.blob)
    elements, kind, size, raw = 1, 0, 0, False
    try:
        for count, (number, how, start, end) in enumerate(wire.fields(0, wire.size)):
            packed = number == 1 and how == BYTES
            if (_TENSOR_WIRES.get(number) != how and not packed) or count > TOP_FIELDS:
                return False
            if number == 1 and not packed:
                elements *= start
            elif number == 2:
                kind = start
            elif number in _VALUES:
                size, raw = size + end - start, raw or number == 9
    except Malformed:
        return False
    bits = TYPES.get(kind, ("", 0))[1]
    return kind in TYPES and bool(size) and (not raw or (elements * bits + 7) // 8 == size)


def _parse_tensor(blob: Blob, where: Location, limits: Limits) -> OnnxTensor:
    tensor = _tensor(Wire(blob).decode(_TENSOR))
    seen = blob.size - (tensor.raw[1] - tensor.raw[0] if tensor.raw else 0)
    return OnnxTensor(where=where, size=blob.size, seen=seen, tensor=tensor)


ONNX_TENSOR = Format(
    name="onnx-tensor",
    title="ONNX tensor",
    loading=Loading.DATA,
    sniff=_sniff_tensor,
    first=b"\x08\x0a\x10",
    parse=_parse_tensor,
    document=OnnxTensor,
    limits="A tensor in a file of its own; its bytes stay lazy.",
)
