"""The computation graph of a TensorFlow Lite model, in operators of ONNX.

A quantised tensor stands for the numbers that it means: small constants are dequantised, large
ones have a `DequantizeLinear` behind them. That a result is held within its range is a `Clip` where
that cuts off what its operator computes (`analysis/tflite_ranges.py`), else nothing. What is called
once before anything else fills variables; a variable that the model changes later on is an input,
because it says what happened before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Constant,
    Loop,
    Numbers,
    Shape,
    Steps,
)
from weighbridge.analysis.exact_operators import EXACT, IN_STEPS
from weighbridge.analysis.tensorflow_writer import SMALL
from weighbridge.analysis.tflite_operators import CUSTOM, RULES, Spelling
from weighbridge.analysis.tflite_ranges import Range, cut_off, range_of
from weighbridge.core.document import Malformed
from weighbridge.formats.tflite import Operator, Subgraph, Tensor, Tflite


def graph_of(model: Tflite) -> ComputationGraph:
    """The graph that the model runs: its first subgraph and every other that none calls."""
    made = _Builder(model, frozenset())
    made.build()
    if made.assigned:  # now that it is known which variables change, they are inputs
        made = _Builder(model, frozenset(made.assigned))
        made.build()
    return made.w.graph


class _Builder(Spelling):
    def __init__(self, model: Tflite, states: frozenset[str]) -> None:
        super().__init__()
        self.model, self.states = model, states
        self.variables: dict[str, int] = {}
        self.handles: dict[int, str] = {}
        self.assigned: set[str] = set()
        self.loading = False
        """Whether what is laid out is called once, before anything else."""
        self.kept: dict[tuple[int, str, str, tuple[int, ...]], int] = {}

    def build(self) -> None:
        called = {c for g in self.model.subgraphs for o in g.operators for c in o.calls}
        for number, graph in enumerate(self.model.subgraphs):
            if number and number in called:
                continue
            given: list[int] = []
            for i in graph.inputs:
                tensor = _at(graph.tensors, i)
                if tensor is not None:
                    given.append(self.w.input(tensor.name, _type(tensor), _shape(tensor)))
                    self.w.graph.values[given[-1]].steps = self.steps(tensor)
                else:
                    given.append(ABSENT)
            self.w.graph.outputs += [v for v in self.run(graph, given) if v != ABSENT]

    def run(self, graph: Subgraph, given: Sequence[int]) -> list[int]:
        """Lay out a subgraph; the values of its outputs."""
        values: dict[int, int] = dict(zip(graph.inputs, given, strict=False))
        for operator in graph.operators:
            if not self.w.goes_on():
                break
            self.operator(graph, operator, values)
        return [self.read(graph, i, values) for i in graph.outputs]

    def read(self, graph: Subgraph, number: int, values: dict[int, int]) -> int:
        """The value of a tensor."""
        if number < 0:
            return ABSENT
        found = values.get(number)
        if found is None:
            tensor = _at(graph.tensors, number)
            found = self.tensor(tensor) if tensor is not None else self.w.graph.value("")
            values[number] = found
        return found

    def tensor(self, tensor: Tensor) -> int:
        """A tensor that no operator gives: a constant, or what starts as nothing."""
        size = self.size(tensor)
        if not size and not tensor.external:
            return self.w.graph.value(tensor.name, _type(tensor), _shape(tensor))
        key = (tensor.buffer, tensor.name, tensor.type, tensor.shape)
        if key in self.kept:
            return self.kept[key]
        shape = tuple(max(0, d) for d in tensor.shape)
        type = tensor.type.lower()
        start = self.model.buffers[tensor.buffer].start if size else 0
        stored = Constant(type, shape, self.model.blob, (start, start + size) if size else None)
        if tensor.sparse or not size:
            stored = Constant(type, shape)
        if not _quantised(tensor):
            made = self.w.constant(tensor.name, stored)
        elif (numbers := self.dequantised(tensor, stored)) is not None:
            made = self.w.constant(tensor.name, Constant("float32", shape, held=numbers))
        else:
            scale = self.w.constant("scale", Constant("float32", (tensor.scales[1],),
                                    self.model.blob, _extent(tensor.scales, 4)))  # fmt: skip
            whole = self.w.constant(tensor.name, stored)
            zeros = self.listed(tensor.zeros, "q")
            shift = [self.w.held(type, zeros, (len(zeros),))] if any(zeros) else []
            outer, self.w.rough = self.w.rough, ""
            if len(zeros) not in (0, tensor.scales[1]):
                self.w.roughly("a tensor whose zeros are not known")
            made = self.w.op("DequantizeLinear", whole, scale, *shift, axis=tensor.axis)
            self.w.rough = outer
            self.w.declare(made, "float32", shape)
        self.kept[key] = made
        return made

    def size(self, tensor: Tensor) -> int:
        buffers = self.model.buffers
        return buffers[tensor.buffer].size if 0 < tensor.buffer < len(buffers) else 0

    def dequantised(self, tensor: Tensor, stored: Constant) -> Numbers | None:
        """What the numbers of a small tensor mean."""
        numbers = stored.numbers(SMALL)
        count = tensor.scales[1]
        if numbers is None or count > SMALL or tensor.zeros[1] not in (0, count):
            return None
        scales, zeros = self.listed(tensor.scales, "f"), self.listed(tensor.zeros, "q")
        zeros = zeros or (0.0,) * count
        shape = stored.shape
        if count == 1:
            return tuple((n - zeros[0]) * scales[0] for n in numbers)
        if not 0 <= tensor.axis < len(shape) or shape[tensor.axis] != count:
            return None
        below = 1
        for d in shape[tensor.axis + 1 :]:
            below *= d
        return tuple(
            (n - zeros[i // below % count]) * scales[i // below % count]
            for i, n in enumerate(numbers)
        )

    def listed(self, place: tuple[int, int], code: str) -> Numbers:
        start, count = place
        width = struct.calcsize(code)
        try:
            data = self.model.blob.read(start, count * width)
        except (Malformed, OSError):
            data = b""
        return struct.unpack(f"<{count}{code}", data.ljust(count * width, b"\0"))

    # Operators ---------------------------------------------------------------------------------

    def operator(self, graph: Subgraph, operator: Operator, values: dict[int, int]) -> None:
        w = self.w
        tensors = [_at(graph.tensors, i) for i in operator.outputs]
        w.label = next((t.name for t in tensors if t is not None and t.name), operator.name)
        inputs = [self.read(graph, i, values) for i in operator.inputs]
        self.result = tensors[0] if tensors else None
        name = operator.name.partition(" ")[0]
        rule: _Rule | None = (
            CUSTOM.get(operator.name)
            if operator.custom
            else (_STEERING.get(name) or RULES.get(name))
        )
        made: Sequence[int] | None = None
        before = len(w.graph.operations)
        w.rough = "" if name in EXACT["tflite"] and not operator.custom else name
        whole = name not in _MOVING and any(t is not None and _quantised(t) for t in tensors)
        if whole and (name not in IN_STEPS or not all(map(self.is_held, tensors))):
            w.rough = f"{name} in whole numbers"
        if rule is not None:
            try:
                made = rule(self, operator, inputs)
            except (IndexError, TypeError, ValueError, KeyError):
                del w.graph.operations[before:]  # fewer inputs than it has, or of wrong kinds
        if made is None:
            w.label = operator.name
            made = w.ops(f"tflite::{operator.name}", inputs, len(operator.outputs))
        for number, tensor, value in zip(operator.outputs, tensors, made, strict=False):
            if tensor is None:
                continue
            if value in inputs:
                value = w.op("Identity", value)
            if number == operator.outputs[0] and _quantised(tensor):
                value = self.held_within(graph, operator, inputs, tensor, value)
            w.declare(value, _type(tensor), _shape(tensor))
            if whole:
                w.graph.values[value].steps = self.steps(tensor)
            values[number] = value
        w.rough = ""

    def held_within(
        self, graph: Subgraph, operator: Operator, inputs: list[int], tensor: Tensor, value: int
    ) -> int:
        """A result as its range holds it."""
        result = self.range(tensor)
        numbers = [self.w.numbers(v) for v in inputs[:2]]
        ranges = [self.range(_at(graph.tensors, i)) for i in operator.inputs[:2]]
        if result is None or not cut_off(operator, ranges, numbers, result):
            return value
        return self.w.clip(value, *result)

    def steps(self, tensor: Tensor) -> Steps | None:
        """The numbers that a quantised tensor holds; None where it is not, or not as a whole."""
        type = tensor.type.lower()
        if type not in ("int8", "uint8", "int16") or self.range(tensor) is None:
            return None
        zeros = self.listed(tensor.zeros, "q")
        return Steps(self.listed(tensor.scales, "f")[0], int(zeros[0]) if zeros else 0, type)

    def is_held(self, tensor: Tensor | None) -> bool:
        """Whether it is known which numbers a result can hold."""
        return tensor is None or not _quantised(tensor) or self.steps(tensor) is not None

    def range(self, tensor: Tensor | None) -> Range | None:
        if tensor is None or tensor.scales[1] != 1 or tensor.zeros[1] > 1:
            return None
        scales, zeros = self.listed(tensor.scales, "f"), self.listed(tensor.zeros, "q")
        return range_of(tensor, scales, zeros)

    def body(self, number: int, given: Sequence[int], label: str) -> list[int]:
        """What a subgraph makes of values."""
        graph = _at(self.model.subgraphs, number)
        if graph is None or not self.w.goes_on():
            return []
        outer = self.w.origin
        self.w.origin = (*outer, label)
        made = self.run(graph, given)
        self.w.origin = outer
        return made


_MOVING: Final = frozenset({
    "GATHER", "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "SLICE", "STRIDED_SLICE", "SPLIT",
    "SPLIT_V", "UNPACK", "TILE", "GATHER_ND", "BROADCAST_TO", "EMBEDDING_LOOKUP",
})  # fmt: skip
"""What gives numbers on as they are: quantised ones mean the same before and after."""
_Rule = Callable[[_Builder, Operator, list[int]], "Sequence[int] | None"]


def _at(items: Sequence[Any], number: int) -> Any:
    return items[number] if 0 <= number < len(items) else None


def _quantised(tensor: Tensor) -> bool:
    return tensor.scales[1] > 0 and tensor.type.startswith(("INT", "UINT"))


def _type(tensor: Tensor) -> str:
    return "float32" if _quantised(tensor) else tensor.type.lower()


def _shape(tensor: Tensor) -> Shape | None:
    sizes = tensor.signature if len(tensor.signature) == len(tensor.shape) else tensor.shape
    return tuple(d if d >= 0 else f"{tensor.name}.{i}" for i, d in enumerate(sizes))


def _extent(place: tuple[int, int], width: int) -> tuple[int, int]:
    return place[0], place[0] + place[1] * width


def _if(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    label, results = b.w.label, i[:1]
    for number, branch in zip(o.calls, ("then", "else"), strict=False):
        results += _filled(b.body(number, i[1:], f"{label} {branch}"), len(o.outputs), b)
    b.w.label = label
    return b.w.ops("If", results, len(o.outputs))


def _while(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    label = b.w.label
    given = [b.w.op("Carried", v) for v in i]
    for value, start in zip(given, i, strict=True):
        b.w.declare(value, b.w.type(start), None)
    test = b.body(o.calls[0], given, f"{label} condition")[:1]
    left = _filled(b.body(o.calls[1], given, f"{label} body"), len(i), b)
    b.w.label = label
    turns = test or [ABSENT]
    made = [b.w.op("Repeated", last, v, *turns) for v, last in zip(i, left, strict=True)]
    b.w.graph.loops.append(Loop(tuple(given), tuple(left), tuple(made), turns[0]))
    return made


def _filled(values: list[int], count: int, b: _Builder) -> list[int]:
    """Exactly so many values."""
    return [*values, *(b.w.graph.value("") for _ in range(count - len(values)))][:count]


def _call(b: _Builder, o: Operator, i: list[int]) -> list[int] | None:
    if not o.calls:
        return None
    return _filled(b.body(o.calls[-1], i, b.w.label), len(o.outputs), b)


def _call_once(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    outer, b.loading = b.loading, True
    b.body(o.calls[0], [], "once")
    b.loading = outer
    return []


def _handle(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    name = f"{o.attributes['container']}/{o.attributes['shared_name']}"
    made = b.w.graph.value(name, "resource", ())
    b.handles[made] = name
    return [made]


def _read_variable(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    name = b.handles.get(i[0], "")
    if name not in b.variables:
        if name in b.states and b.result is not None:
            b.variables[name] = b.w.input(name, _type(b.result), _shape(b.result))
        else:
            b.variables[name] = b.w.graph.value(name)
    return [b.w.op("Identity", b.variables[name])]


def _assign_variable(b: _Builder, o: Operator, i: list[int]) -> list[int]:
    name = b.handles.get(i[0], "")
    if not b.loading:
        b.assigned.add(name)
    elif name in b.states:
        return []  # it changes later on, and what it is then is not known
    b.variables[name] = i[1]
    return []


_STEERING: Final[dict[str, _Rule]] = {
    "IF": _if, "WHILE": _while, "CALL": _call, "STABLEHLO_COMPOSITE": _call,
    "CALL_ONCE": _call_once, "VAR_HANDLE": _handle, "READ_VARIABLE": _read_variable,
    "ASSIGN_VARIABLE": _assign_variable,
}  # fmt: skip
"""What has state, or runs other subgraphs."""
