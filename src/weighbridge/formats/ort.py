"""ONNX Runtime's own format: an ONNX model as a flatbuffer.

Schema: `ort.fbs` of ONNX Runtime (onnxruntime/core/flatbuffers/schema), versions 1 to 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.flatbuffer import Flatbuffer, Table, has_identifier
from weighbridge.formats.forward import Metered
from weighbridge.formats.onnx import (
    External,
    Function,
    Graph,
    Node,
    Port,
    Sparse,
    Tensor,
    Text,
)
from weighbridge.formats.payload import EMBEDDED, is_code

IDENTIFIER: Final = b"ORTM"
DEPTH_LIMIT: Final = 50
NOTEWORTHY: Final = 256


class OrtNode(Struct, frozen=True):
    """A step of the computation, with those of its attributes that are text or a whole number."""

    name: str
    op: str
    domain: str
    attributes: tuple[tuple[str, str], ...]


class Ort(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The model: its graph in the terms of ONNX, the nodes of all graphs and bodies, and the
    versions of the operators by domain."""

    blob: Blob
    version: str
    graph: Graph
    nodes: tuple[OrtNode, ...]
    texts: tuple[tuple[str, str], ...]
    opsets: tuple[tuple[str, int], ...] = ()
    functions: tuple[Function, ...] = ()
    """What is a function in ONNX was inlined when the file was made."""

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts that could be something of their own."""
        for name, text in self.texts:
            data = text.encode("utf-8", "surrogateescape")
            if len(data) >= NOTEWORTHY or is_code(data):
                yield Held(name[:80], data, EMBEDDED)

    def text(self, text: Text, limit: int = 2_000) -> str:
        """A string attribute, shortened to `limit` bytes."""
        start, end = text.place
        return self.blob.read(start, min(end - start, limit)).decode("utf-8", "backslashreplace")


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[OrtNode] = []

    def graph(self, table: Table, depth: int = 0) -> Graph:
        if depth > DEPTH_LIMIT:
            raise Malformed(f"bodies nested more than {DEPTH_LIMIT} deep")
        ports = {p.name: p for p in map(_port, table.tables(1))}
        inputs, outputs = (
            tuple(ports.get(name, Port(name, 0, None)) for name in table.texts(field))
            for field in (5, 6)
        )
        return Graph(
            name="", nodes=tuple([self.node(n, depth) for n in table.tables(2)]),
            tensors=tuple(map(_tensor, table.tables(0))), sparse=tuple(_sparse(table)),
            inputs=inputs, outputs=outputs, values=tuple(ports.values()),
        )  # fmt: skip

    def node(self, table: Table, depth: int) -> Node:
        name, op, domain = table.text(0), table.text(5), table.text(2)
        told: list[tuple[str, str]] = []
        place = len(self.nodes)
        made: dict[str, Any] = {}
        for attribute in table.tables(10):
            key = attribute.text(0)
            told += [(key, t) for t in (attribute.text(5), *attribute.texts(10)) if t]
            if attribute.place(4) is not None:
                told.append((key, str(attribute.number(4, "q"))))
            made[key] = self.value(attribute, depth)
        self.nodes.insert(place, OrtNode(name, op, domain, tuple(told)))
        return Node(name, op, domain, "", table.texts(8), table.texts(9), made, {})

    def value(self, attribute: Table, depth: int) -> Any:
        """What an attribute says, by its type: a number, a text, a tensor, bodies. A body counts
        wherever it stands."""
        body = attribute.table(7)
        bodies = tuple([self.graph(g, depth + 1) for g in attribute.tables(12)])
        if body is not None:
            return self.graph(body, depth + 1)
        if bodies:
            return bodies
        kind = attribute.number(2, "i")
        if kind == _FLOAT:
            at = attribute.place(3)
            packed = bytes(4) if at is None else attribute.buffer.read(at, 4)
            return struct.unpack("<f", packed)[0]
        if kind == _INT:
            return attribute.number(4, "q")
        if kind == _STRING:
            start, count = attribute.extent(5) or (0, 0)
            return Text((start, start + count))
        if kind == _TENSOR:
            tensor = attribute.table(6)
            return None if tensor is None else _tensor(tensor)
        if kind in (_FLOATS, _INTS):
            return attribute.numbers(*((8, "f") if kind == _FLOATS else (9, "q")))
        return None


_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7


def _port(table: Table) -> Port:
    name, said = table.text(0), table.table(2)
    if said is None or said.number(1, "B") != 1:
        return Port(name, 0, None)
    tensor = said.table(2)
    if tensor is None:
        return Port(name, 0, None)
    shape = tensor.table(1)
    dims = None if shape is None else tuple([_dimension(d) for d in shape.tables(0)])
    return Port(name, tensor.number(0, "i"), dims)


def _dimension(table: Table) -> int | str:
    value = table.table(0)
    if value is None:
        return ""
    return value.number(1, "q") if value.number(0, "b") == 1 else value.text(2)


def _tensor(table: Table) -> Tensor:
    """A tensor; numbers that are in a file of their own are not looked for."""
    found = table.extent(4)
    raw = None if found is None else (found[0], found[0] + found[1])
    outside = External("", 0, None) if table.number(6, "q", -1) >= 0 else None
    return Tensor(
        table.text(0), table.number(3, "i"), table.numbers(2, "q"), (table.at, table.at), raw,
        outside,
    )  # fmt: skip


def _sparse(graph: Table) -> Iterator[Sparse]:
    for table in graph.tables(7):
        values, indices = table.table(0), table.table(1)
        if values is not None and indices is not None:
            yield Sparse(_tensor(values), _tensor(indices), table.numbers(2, "q"))


def _parse(blob: Blob, where: Location, limits: Limits) -> Ort:
    metered = Metered(blob)
    session = Flatbuffer(metered).root()
    model = session.table(1)
    table = model.table(7) if model is not None else None
    if model is None or table is None:
        raise Malformed("a model without a graph")
    reader = _Reader()
    graph = reader.graph(table)
    texts = [("description", model.text(6)), ("description of the graph", model.text(8))]
    texts += [(f"metadata {t.text(0)}", t.text(1)) for t in model.tables(9)]
    texts += [(f"{n.name or n.op}.{k}", v) for n in reader.nodes for k, v in n.attributes]
    opsets = tuple((t.text(0), t.number(1, "q")) for t in model.tables(1))
    return Ort(
        where=where, size=blob.size, seen=min(blob.size, metered.read_bytes), blob=blob,
        version=session.text(0), graph=graph, nodes=tuple(reader.nodes), texts=tuple(texts),
        opsets=opsets,
    )  # fmt: skip


def _sniff(sample: Sample) -> bool:
    return has_identifier(sample, IDENTIFIER)


ORT = Format(
    name="ort",
    title="ONNX Runtime model",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Ort,
    limits="Graphs, bodies and texts; tensors' bytes stay lazy.",
)
