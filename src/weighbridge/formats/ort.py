"""ONNX Runtime's own format: an ONNX model as a flatbuffer.

Schema: `ort.fbs` of ONNX Runtime (onnxruntime/core/flatbuffers/schema), versions 1 to 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.flatbuffer import Flatbuffer, Table, has_identifier
from weighbridge.formats.forward import Metered
from weighbridge.formats.payload import EMBEDDED, is_code

IDENTIFIER: Final = b"ORTM"
DEPTH_LIMIT: Final = 50
NOTEWORTHY: Final = 256


@dataclass(frozen=True, slots=True)
class OrtNode:
    """A step of the computation, with those of its attributes that are text or a whole number."""

    name: str
    op: str
    domain: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ort(Document):
    """The nodes of all graphs and bodies."""

    version: str
    nodes: tuple[OrtNode, ...]
    texts: tuple[tuple[str, str], ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts that could be something of their own."""
        for name, text in self.texts:
            data = text.encode("utf-8", "surrogateescape")
            if len(data) >= NOTEWORTHY or is_code(data):
                yield Held(name[:80], data, EMBEDDED)


def _nodes(graph: Table, depth: int) -> Iterator[OrtNode]:
    if depth > DEPTH_LIMIT:
        raise Malformed(f"bodies nested more than {DEPTH_LIMIT} deep")
    for node in graph.tables(2):
        attributes: list[tuple[str, str]] = []
        bodies: list[Table] = []
        for attribute in node.tables(10):
            name = attribute.text(0)
            for text in (attribute.text(5), *attribute.texts(10)):
                if text:
                    attributes.append((name, text))
            if attribute.place(4) is not None:
                attributes.append((name, str(attribute.number(4, "q"))))
            body = attribute.table(7)
            bodies += [*attribute.tables(12), *([body] if body is not None else [])]
        yield OrtNode(node.text(0), node.text(5), node.text(2), tuple(attributes))
        for body in bodies:
            yield from _nodes(body, depth + 1)


def _parse(blob: Blob, where: Location, limits: Limits) -> Ort:
    metered = Metered(blob)
    session = Flatbuffer(metered).root()
    model = session.table(1)
    graph = model.table(7) if model is not None else None
    if model is None or graph is None:
        raise Malformed("a model without a graph")
    nodes = tuple(_nodes(graph, 0))
    texts = [("description", model.text(6)), ("description of the graph", model.text(8))]
    texts += [(f"metadata {t.text(0)}", t.text(1)) for t in model.tables(9)]
    texts += [(f"{n.name or n.op}.{k}", v) for n in nodes for k, v in n.attributes]
    return Ort(
        where=where, size=blob.size, seen=min(blob.size, metered.read_bytes),
        version=session.text(0), nodes=nodes, texts=tuple(texts),
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
    limits="Nodes, bodies and texts; tensors are not looked at.",
)
