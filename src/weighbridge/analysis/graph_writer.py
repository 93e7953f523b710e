"""Writing a computation graph step by step, for the fronts of formats whose operators must be spelt
out: what is known of shapes is at hand while the graph grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    NOT_HERE,
    ComputationGraph,
    Constant,
    Loop,
    Operation,
    Shape,
)
from weighbridge.analysis.graph_dimensions import Known
from weighbridge.analysis.graph_folding import FOLDED
from weighbridge.analysis.graph_shapes import Shapes, begin, follow
from weighbridge.analysis.written_types import Unwritable, is_whole, promoted

OPERATIONS: Final = 200_000
"""How many operations, calls and bodies are laid out; a model with more is not analysed whole."""
DEPTH: Final = 60
TOO_MUCH: Final = f"more than {OPERATIONS:,} operations, or nested more than {DEPTH} deep"
ONNX_TYPES: Final = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
}  # fmt: skip
"""The numbers of ONNX's element types, as `Cast` has them."""
_TRUTHS: Final = frozenset(
    {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor",
     "IsNaN", "IsInf"}
)  # fmt: skip
_MEETING: Final = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "Where"})
_OF_FLOATS: Final = frozenset(
    {"Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Erf", "Sin", "Cos", "Reciprocal", "Softmax"}
)  # fmt: skip
_PLACES: Final = frozenset({"ArgMax", "ArgMin", "Shape", "Size", "NonZero"})


class Full(Exception):
    """The graph has come to its bound."""


class Writer:
    """A graph that grows. `label` and `origin` are what the next operations are called and where
    they stand, `rough` what they stand for only roughly, empty where they compute the same;
    `steps` counts everything that is laid out."""

    def __init__(self) -> None:
        self.graph, self.made = ComputationGraph(), Shapes([])
        self.label, self.origin, self.rough = "", tuple[str, ...](), ""
        self.steps = 0
        self._numbers: dict[tuple[Any, ...], int] = {}

    def finished(self, lay_out: Callable[[], None]) -> ComputationGraph:
        """The graph, after it was laid out as far as there is room."""
        try:
            lay_out()
        except Full:
            self.leave_out(TOO_MUCH)
        return self.graph

    def step(self) -> None:
        """Count something that is laid out. Raises `Full`."""
        self.steps += 1
        if self.steps > OPERATIONS:
            raise Full

    def leave_out(self, what: str) -> None:
        """Say once what of the model is not in the graph."""
        if what not in self.graph.left_out:
            self.graph.left_out.append(what)

    def input(self, name: str, type: str = "", shape: Shape | None = None) -> int:
        """A new input of the model."""
        number = self.graph.value(name, type, shape)
        self.graph.inputs.append(number)
        return number

    def op(self, op: str, *inputs: int, shape: Shape | None = None, **attributes: Any) -> int:
        """The next operation with one output; `shape` is what is declared of that."""
        return self.ops(op, 1, *inputs, shapes=[shape], **attributes)[0]

    def ops(
        self,
        op: str,
        count: int,
        *inputs: int,
        shapes: Sequence[Shape | None] = (),
        **attributes: Any,
    ) -> tuple[int, ...]:
        """The next operation with `count` outputs."""
        self.step()
        type = self._type(op, inputs, attributes)
        outputs = tuple(
            self.graph.value(
                f"{self.label}_{len(self.graph.values)}",
                type,
                shapes[i] if i < len(shapes) else None,
            )
            for i in range(count)
        )
        operation = Operation(
            op, self.label or op, inputs, outputs, attributes, self.origin, self.rough
        )
        self.graph.add(operation)
        begin(self.made, self.graph)
        follow(self.made, self.graph, operation)
        return outputs

    def _type(self, op: str, inputs: tuple[int, ...], attributes: dict[str, Any]) -> str:
        if op == "Cast":
            return next((n for n, k in ONNX_TYPES.items() if k == attributes.get("to")), "")
        if op in _TRUTHS:
            return "bool"
        if op in _PLACES:
            return "int64"
        given = [i for i in inputs[op in ("Where", "If") :] if i != ABSENT]
        first = self.type(given[0]) if given else ""
        if op in _OF_FLOATS and (is_whole(first) or first == "bool"):
            return "float32"
        if op not in _MEETING:
            return first
        types = [self.type(i) for i in given]
        if not all(types):
            return ""
        if op == "Div" and attributes.get("rounding") == "none" and all(map(is_whole, types)):
            return "float32"
        try:
            return promoted(zip(types, map(self._loose, given), strict=True))
        except Unwritable:
            return first

    def _loose(self, value: int) -> int:
        """The rank of a value; below zero for a plain number of the code."""
        entry = self.graph.values[value]
        if entry.constant is not None and not entry.name and not entry.constant.shape:
            return -1
        rank = self.rank(value)
        return 1 if rank is None else rank

    def loops(self, handed_on: Iterable[tuple[int, int]]) -> None:
        """Say what a loop hands on: what its body begins with, and what it leaves in its place;
        of one that is known whole `Loop` says more."""
        pairs = list(handed_on)
        self.graph.loops.append(Loop(tuple(b for b, _ in pairs), tuple(h for _, h in pairs)))

    def constant(self, name: str, constant: Constant) -> int:
        """A constant of the model; small ones whose numbers are not to be had are told."""
        plain = constant.place is None and constant.held is None and constant.type in ONNX_TYPES
        if plain and constant.elements <= FOLDED:
            self.leave_out(NOT_HERE)
        return self.graph.constant(name, constant)

    def numbers(self, values: Sequence[float], type: str = "int64", whole: bool = True) -> int:
        """A constant that the format writes among an operator's arguments: a row of numbers, or
        one number where `whole` is false."""
        key = (type, whole, *(repr(v) for v in values))
        if key not in self._numbers:
            shape = (len(values),) if whole else ()
            held = Constant(type, shape, held=tuple(values))
            self._numbers[key] = self.graph.constant("", held)
        return self._numbers[key]

    def number(self, value: float, type: str = "") -> int:
        """A single number."""
        kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else ""
        return self.numbers((value,), type or kind or "float32", whole=False)

    def shape(self, value: int) -> Shape | None:
        """What is known of a value's shape."""
        begin(self.made, self.graph)
        return self.made.shapes[value]

    def rank(self, value: int) -> int | None:
        """How many dimensions a value has, where that is known."""
        shape = self.shape(value)
        return None if shape is None else len(shape)

    def known(self, value: int) -> Known | None:
        """A value's numbers, where they follow from shapes and constants."""
        begin(self.made, self.graph)
        return self.made.known.get(value)

    def type(self, value: int) -> str:
        """The element type of a value, empty where it is not known."""
        return self.graph.values[value].type

    def is_whole(self, value: int) -> bool:
        """Whether a value has whole numbers."""
        return self.type(value).startswith(("int", "uint"))

    def cast(self, value: int, type: str) -> int:
        """The value in another element type; itself where it has that."""
        number = ONNX_TYPES.get(type)
        if number is None or self.type(value) == type:
            return value
        return self.op("Cast", value, to=number)

    def truth(self, value: int) -> int:
        """The value as truth values."""
        return self.cast(value, "bool")

    def axis(self, value: int, axis: int) -> int:
        """An axis counted from the front, where the rank is known."""
        rank = self.rank(value)
        return axis + rank if axis < 0 and rank is not None else axis

    def unsqueeze(self, value: int, *axes: int) -> int:
        """With axes of length one put in."""
        return self.op("Unsqueeze", value, self.numbers(axes))

    def squeeze(self, value: int, *axes: int) -> int:
        """Without axes of length one."""
        return self.op("Squeeze", value, self.numbers(axes))

    def transpose(self, value: int, perm: Sequence[int]) -> int:
        """With its axes in another order; an order that says nothing where it is not known."""
        return self.op("Transpose", value, perm=tuple(perm) or (0,))

    def swap(self, value: int, first: int, second: int) -> int:
        """With two axes exchanged."""
        rank = self.rank(value)
        if rank is None:
            return self.transpose(value, ())
        order = list(range(rank))
        if not (-rank <= first < rank and -rank <= second < rank):
            return self.transpose(value, ())
        order[first], order[second] = order[second], order[first]
        return self.transpose(value, order)

    def cut(self, value: int, axis: int, start: int, end: int, step: int = 1) -> int:
        """A part of an axis."""
        parts = [self.numbers((n,)) for n in (start, end, axis, step)]
        return self.op("Slice", value, *parts)
