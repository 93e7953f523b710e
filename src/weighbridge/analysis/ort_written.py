"""A model in ONNX Runtime's own format written as the ONNX model that it is by another notation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weighbridge.analysis.written_types import Unwritable
from weighbridge.core.document import Malformed
from weighbridge.formats import onnx_written as wire
from weighbridge.formats.onnx import TYPES, Graph, Node, Port, Tensor, Text
from weighbridge.formats.ort import Ort

TEXT: Final = 64 << 10
"""How long a text among a node's attributes may be, in bytes."""


def written(model: Ort, room: int) -> bytes:
    """The model in ONNX's notation, with at most `room` bytes of numbers. Raises `Unwritable`."""
    return _Writer(model, room).model_message()


class _Writer:
    def __init__(self, model: Ort, room: int) -> None:
        self.model, self.room = model, room

    def model_message(self) -> bytes:
        return wire.model(self.graph(self.model.graph), dict(self.model.opsets))

    def graph(self, graph: Graph) -> wire.GraphMessage:
        """A graph or a body."""
        if graph.sparse:
            raise Unwritable("a tensor that is mostly zero")
        return wire.graph(
            [self.node(n) for n in graph.nodes],
            [self.tensor(t) for t in graph.tensors],
            [_declared(p) for p in graph.inputs],
            [_declared(p) for p in graph.outputs],
        )

    def node(self, node: Node) -> bytes:
        attributes = self.attributes(node)
        return wire.node(node.op, node.inputs, node.outputs, node.name, attributes, node.domain)

    def attributes(self, node: Node) -> Mapping[str, Any]:
        made: dict[str, Any] = {}
        for name, value in node.attributes.items():
            if isinstance(value, Text):
                if value.place[1] - value.place[0] > TEXT:
                    raise Unwritable(f"{node.op[:60]} has a long text: {name[:60]}")
                made[name] = self.model.text(value, TEXT)
            elif isinstance(value, Tensor):
                made[name] = wire.Message(self.tensor(value))
            elif isinstance(value, Graph):
                made[name] = self.graph(value)
            elif isinstance(value, tuple) and all(isinstance(v, Graph) for v in value) and value:
                made[name] = tuple(self.graph(v) for v in value)
            elif isinstance(value, int | float | tuple):
                made[name] = value
            else:
                raise Unwritable(f"{node.op[:60]} has an argument that is not read: {name[:60]}")
        return made

    def tensor(self, tensor: Tensor) -> bytes:
        """A tensor with its bytes."""
        bits = TYPES.get(tensor.type, ("", 0))[1]
        size = (max(0, tensor.elements) * bits + 7) // 8
        if not bits or min(tensor.shape, default=0) < 0 or tensor.external is not None:
            raise Unwritable("numbers that it needs are not here")
        start, end = tensor.raw or (0, 0)
        self.room -= size
        if end - start != size or self.room < 0:
            raise Unwritable("its numbers are more than may be tried, or fewer than they should be")
        try:
            data = self.model.blob.read(start, size)
        except (Malformed, OSError) as error:
            raise Unwritable("numbers that it needs cannot be read") from error
        return wire.tensor(tensor.name, tensor.type, tensor.shape, data)


def _declared(port: Port) -> bytes:
    named = None if port.shape is None else [
        d if isinstance(d, int) and d >= 0 else str(d) or f"{port.name}.{i}"
        for i, d in enumerate(port.shape)
    ]  # fmt: skip
    return wire.declared(port.name, port.type, named)
