"""One layer of a Core ML network: what it is set to, its inputs and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weighbridge.analysis.computation_graph import ABSENT, Constant, Shape
from weighbridge.analysis.graph_writer import Writer
from weighbridge.core.tree import Blob
from weighbridge.formats.coreml_layers import PARAMETERS
from weighbridge.formats.protobuf import Message, Wire


class Layer:
    """A layer: what it is set to, its inputs, and the shapes that the file declares of its outputs.
    Raises `Malformed` where what it is set to cannot be read."""

    def __init__(
        self, w: Writer, blob: Blob, kind: str, place: tuple[int, int],
        inputs: Sequence[int], shapes: Sequence[Shape | None],
    ) -> None:  # fmt: skip
        self.w, self.blob, self.kind, self.inputs, self.shapes = w, blob, kind, inputs, shapes
        schema = PARAMETERS.get(kind)
        self.set: Message = {} if schema is None else Wire(blob).decode(schema, *place)

    @property
    def first(self) -> Shape | None:
        """The declared shape of the first output."""
        return self.shapes[0] if self.shapes else None

    @property
    def x(self) -> int:
        """The first input. Raises `IndexError`."""
        return self.inputs[0]

    def op(self, op: str, *inputs: int, **attributes: Any) -> tuple[int, ...]:
        """The operation that gives the layer's only output."""
        return (self.w.op(op, *inputs, shape=self.first, **attributes),)

    def row(self, key: str) -> tuple[int, ...]:
        """Whole numbers that the layer is set to."""
        return tuple(self.set.get(key, ()))

    def one(self, key: str, default: int = 0) -> int:
        """A whole number."""
        return int(self.set.get(key, default))

    def real(self, key: str, default: float = 0.0) -> float:
        """A number."""
        return float(self.set.get(key, default))

    def weights(self, key: str, *shape: int, of: Message | None = None) -> int:
        """Weights in a shape; `ABSENT` where there are none."""
        message = (self.set if of is None else of).get(key)
        if message is None or any(size < 0 for size in shape):
            return ABSENT
        name = f"{self.w.label}.{key}"
        for field, type in (("floats", "float32"), ("halves", "float16"), ("signed", "int8")):
            if field in message:
                held = Constant(type, shape, self.blob, message[field])
                return self.w.constant(name, held)
        said = message.get("quantised", {})
        linear = said.get("linear")
        if "raw" not in message or said.get("bits") != 8 or linear is None:
            return self.w.constant(name, Constant("float32", shape))  # in another form
        number = self.w.constant(name, Constant("uint8", shape, self.blob, message["raw"]))
        spread = (-1, *(1,) * (len(shape) - 1))
        for op, values in (("Mul", linear.get("scale", [1.0])), ("Add", linear.get("bias", [0.0]))):
            row = self.w.numbers(values, "float32")
            number = self.w.op(op, number, self.w.op("Reshape", row, self.w.numbers(spread)))
        return number

    def is_flat(self, inputs: int) -> bool:
        """Whether the last two axes are height and width of one, and the channels before them."""
        shape = self.w.shape(self.x)
        if shape is None:
            return False
        return len(shape) >= 3 and shape[-2:] == (1, 1) and not (inputs == 1 and len(shape) == 3)
