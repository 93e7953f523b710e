"""What stands in a TensorFlow model rather than being computed: constants, variables, inputs and
lookup tables, as values of its graph."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from weighbridge.analysis.computation_graph import (
    ABSENT,
    NOT_HERE,
    Constant,
    Numbers,
    Operation,
    Shape,
)
from weighbridge.analysis.graph_folding import FOLDED
from weighbridge.analysis.graph_writer import ONNX_TYPES
from weighbridge.analysis.tensorflow_variables import Variables
from weighbridge.analysis.tensorflow_writer import SMALL, Writer
from weighbridge.core.document import Malformed
from weighbridge.formats import tensorflow as tf
from weighbridge.formats import tensorflow_schema as schema
from weighbridge.formats.protobuf import Wire
from weighbridge.formats.tensorflow import Node, TensorFlow


class Variable(Struct, frozen=True):
    """A variable, and its key in the checkpoint (empty where it has none)."""

    name: str
    type: str
    shape: Shape | None
    key: str


class Stored:
    """Makes values of what stands in a model, in the graph that `w` writes; `states` are the
    variables that the model changes."""

    def __init__(self, document: TensorFlow, saved: Variables, states: frozenset[str]) -> None:
        self.document, self.saved, self.states, self.w = document, saved, states, Writer()
        self.handles: dict[int, Variable] = {}
        """Values that stand for a variable."""
        self.variables: dict[str, int] = {}
        self.tables: dict[str, int] = {}
        """What lookup tables hold, by the tables' names: their values, or `ABSENT` for the numbers
        of the lines of a file."""
        self.tensors: dict[tuple[int, int], int] = {}

    def placeholder(self, node: Node, attributes: Mapping[str, Any], place: int) -> int:
        """An input, by what the graph says of its type and shape."""
        said = attributes.get("shape")
        shapes = as_tuple(attributes.get("_output_shapes"))
        if place < len(shapes):
            said = shapes[place]
        shape = shape_of(said, node.name) if isinstance(said, tf.Shape) else None
        return self.w.input(node.name, str(attributes.get("dtype", "")), shape)

    def read(self, handle: int) -> int:
        """A variable's value."""
        known = self.handles.get(handle)
        if known is None:
            return handle
        name, shape = known.name, known.shape
        if name not in self.variables:
            if name in self.states:
                made = self.w.input(name, known.type, shape)
            elif shape is not None and all(isinstance(d, int) for d in shape):
                sizes = tuple(d for d in shape if isinstance(d, int))
                constant = self.saved.constant(known.key, known.type, sizes)
                if constant.place is None and constant.elements <= FOLDED:
                    self.w.leave_out(NOT_HERE)
                made = self.w.constant(name, constant)
            else:
                made = self.w.graph.value(name, known.type, shape)
            self.variables[name] = made
        return self.variables[name]

    def drifts(self, op: str, inputs: Sequence[int]) -> bool:
        """Whether a variable is given a moving average of itself: `v -= (v - new) * share`, or
        `v = v * rest + new * share`."""
        made = self.producer(inputs[1]) if len(inputs) > 1 else None
        own = self.read(inputs[0])
        if made is None:
            return False
        if op in ("AssignSubVariableOp", "AssignSub"):
            shares = [self.w.numbers(v, 1) for v in made.inputs]
            changes = [self.producer(v) for v in made.inputs]
            return made.op == "Mul" and any(
                share is not None and 0 < share[0] <= 0.5 and change is not None
                and change.op == "Sub" and self.origin(change.inputs[0]) == own
                for share, change in zip(shares, reversed(changes), strict=True)
            )  # fmt: skip
        parts = [self.producer(v) for v in made.inputs] if made.op == "Add" else []
        rests = [
            rest[0] for part in parts if part is not None and part.op == "Mul"
            and own in map(self.origin, part.inputs)
            for v in part.inputs if (rest := self.w.numbers(v, 1))
        ]  # fmt: skip
        return op in ("AssignVariableOp", "Assign") and any(0.5 <= r < 1 for r in rests)

    def origin(self, value: int) -> int:
        """What a value is, past operations that hand it on."""
        graph = self.w.graph
        while value != ABSENT and graph.values[value].producer != ABSENT:
            made = graph.operations[graph.values[value].producer]
            if made.op not in ("Identity", "Cast") or not made.inputs:
                break
            value = made.inputs[0]
        return value

    def producer(self, value: int) -> Operation | None:
        """The operation that a value comes from, past those that hand it on."""
        value = self.origin(value)
        place = self.w.graph.values[value].producer if value != ABSENT else ABSENT
        return self.w.graph.operations[place] if place != ABSENT else None

    def tensor(self, name: str, tensor: tf.Tensor) -> int:
        """A constant; one that stands in a function which is called twice is made once."""
        if tensor.place in self.tensors:
            return self.tensors[tensor.place]
        shape = tuple(max(0, d) for d in tensor.shape.sizes or ())
        type = tensor.type.name
        if tensor.raw is not None:
            constant = Constant(type, shape, self.document.blob, tensor.raw)
        else:
            constant = Constant(type, shape, held=self.held(tensor, shape))
            unknown = constant.held is None and type in ONNX_TYPES
            if unknown and self.document.elsewhere and constant.elements <= FOLDED:
                self.w.leave_out(NOT_HERE)
        made = self.tensors[tensor.place] = self.w.constant(name, constant)
        return made

    def held(self, tensor: tf.Tensor, shape: tuple[int, ...]) -> Numbers | None:
        """Numbers that stand one by one; where they are fewer than there should be, the last one
        is meant for the rest."""
        start, end = tensor.place
        type = tensor.type.name
        if end - start > SMALL * 16:
            return None
        try:
            message = Wire(self.document.blob).decode(schema.WRITTEN_TENSOR, start, end)
        except (Malformed, struct.error):
            return None
        names = ("float_val", "double_val", "int_val", "int64_val", "bool_val", "half_val",
                 "uint32_val", "uint64_val")  # fmt: skip
        found = next((tuple(message[n]) for n in names if message.get(n)), None)
        if found is None and not self.document.elsewhere and type not in ("string", "resource"):
            found = (0,)
        if found is None:
            return None
        if "half_val" in message:
            found = _halves(found, type)
        elements = 1
        for size in shape:
            elements *= size
        return (*found, *found[-1:] * (elements - len(found))) if elements <= SMALL else found

    def looked_up(self, table: int, keys: int, otherwise: int) -> list[int] | None:
        """What a table says of keys. One that numbers them is a vocabulary: it says as much of a
        key as the key itself. Any other compares them with those that it has."""
        w, values = self.w, self.tables.get(self.w.graph.values[table].name)
        w.rough = "a lookup table"
        if values is None:
            return None
        if values == ABSENT:
            return [w.cast(keys, "int64")]
        numbers = w.whole(values)
        rest = w.whole(otherwise) or ()
        if numbers is None:
            return None
        first = min(numbers, default=0)
        one_by_one = sorted(numbers) == list(range(first, first + len(numbers)))
        if len(numbers) > 1 and one_by_one and not set(rest) & set(numbers):
            return [w.cast(keys, "int64")]
        found = w.compare("Equal", keys, w.graph.value("keys", "string", ()))
        return [w.op("Where", found, w.held("int64", numbers[:1]), otherwise)]


def shape_of(shape: tf.Shape, name: str) -> Shape | None:
    """A shape; open sizes are named after `name`."""
    if shape.sizes is None:
        return None
    return tuple(d if d >= 0 else f"{name}.{i}" for i, d in enumerate(shape.sizes))


def as_tuple(value: Any) -> tuple[Any, ...]:
    """A value that should be a list; nothing where it is none."""
    return value if isinstance(value, tuple) else ()


def _halves(bits: Numbers, type: str) -> Numbers:
    whole = [int(b) & 0xFFFF for b in bits]
    if type == "bfloat16":
        return struct.unpack(f"<{len(whole)}f", struct.pack(f"<{len(whole)}I",
                             *(b << 16 for b in whole)))  # fmt: skip
    return struct.unpack(f"<{len(whole)}e", struct.pack(f"<{len(whole)}H", *whole))
