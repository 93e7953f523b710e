"""A computation graph written as an ONNX model, so that ONNX Runtime can run what another format
holds.

Only what its outputs need is written, and only where it computes the same numbers as the original:
an operation that stands for something roughly, that nothing is known of, or that has no rule
(`analysis/written_operators.py`) ends it. Numbers are copied from where they lie, within a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Operation, Shape
from weighbridge.analysis.graph_shapes import infer
from weighbridge.analysis.written_loops import Unit, units, write_loop
from weighbridge.analysis.written_operators import RULES
from weighbridge.analysis.written_pen import Pen
from weighbridge.analysis.written_types import TYPES, Unwritable
from weighbridge.formats import onnx_written as wire

__all__ = ["Unwritable", "written"]

OPERATIONS: Final = 40_000
"""How many operations are written."""
OPSET: Final = 21
_MOVED: Final = frozenset(
    {"Identity", "Reshape", "Unsqueeze", "Squeeze", "Slice", "Where", "Clip", "Transpose", "Expand",
     "Concat", "Max", "Min"}
)  # fmt: skip


def written(graph: ComputationGraph, room: int) -> bytes:
    """The graph as an ONNX model, with at most `room` bytes of numbers. Raises `Unwritable`."""
    if graph.left_out:
        raise Unwritable(f"a part of it is not followed: {graph.left_out[0]}")
    pen = Pen(graph, infer(graph), room)
    inputs = []
    for value in graph.inputs:
        entry = graph.values[value]
        type = entry.type or ("int64" if _is_index(graph, value) else "float32")
        if type not in TYPES:
            raise Unwritable(f"its input {entry.name[:60]} is of the type {type}")
        if entry.shape is None:
            raise Unwritable(f"nothing says of which shape its input {entry.name[:60]} is")
        name = pen.begin(value, type)
        inputs.append(wire.declared(name, TYPES[type][0], _sizes(entry.shape)))
    _write_all(pen, units(graph, list(_needed(graph))))
    outputs = list(_outputs(pen))
    if not outputs:
        raise Unwritable("nothing is known of what it gives")
    return wire.model(wire.graph(pen.nodes, pen.tensors, inputs, outputs), {"": OPSET})


def _sizes(shape: Shape) -> Shape:
    return tuple(d if isinstance(d, int) else d[:60] for d in shape)


def _write_all(pen: Pen, steps: Sequence[Unit]) -> None:
    for unit in steps:
        if isinstance(unit, int):
            _write(pen, pen.graph.operations[unit])
        else:
            write_loop(pen, unit, _write_all)


def _write(pen: Pen, operation: Operation) -> None:
    if operation.op in ("Repeated", "Step") and pen.knows(operation.outputs[0]):
        return  # its loop was written, or counts it
    rule = RULES.get(operation.op)
    if operation.rough or rule is None:
        name = operation.rough or operation.op
        raise Unwritable(f"this operator cannot be run here: {name[:60]}")
    pen.label = operation.name[:120]
    try:
        rule(pen, operation, pen.operands(operation))
    except Unwritable as error:
        raise Unwritable(f"{error} ({operation.op} {operation.name[-60:]})") from error


def _needed(graph: ComputationGraph) -> Iterator[int]:
    """The operations that the outputs depend on, in order."""
    more: dict[int, tuple[int, ...]] = {}
    for loop in graph.loops:
        more |= {b: (h,) for b, h in zip(loop.begins, loop.hands_on, strict=False)}
        for left, begins in zip(loop.leaves, loop.begins, strict=False):
            more[left] = (begins, loop.test, loop.turns)
    found: set[int] = set()
    waiting = [v for v in graph.outputs if v != ABSENT]
    while waiting:
        producer = graph.values[waiting.pop()].producer
        if producer != ABSENT and producer not in found:
            found.add(producer)
            operation = graph.operations[producer]
            also = [m for v in operation.outputs for m in more.get(v, ())]
            waiting += [i for i in (*operation.inputs, *also) if i != ABSENT]
    if len(found) > OPERATIONS:
        raise Unwritable(f"it has more than {OPERATIONS:,} operations")
    yield from sorted(found)


def _outputs(pen: Pen) -> Iterator[bytes]:
    """What the model gives, each once, and never what it is given."""
    seen: set[int] = set()
    for value in pen.graph.outputs:
        if value == ABSENT or value in seen or pen.graph.values[value].producer == ABSENT:
            continue
        if not pen.knows(value):
            continue  # it stands in the body of a loop, and nothing outside has it
        seen.add(value)
        yield wire.declared(pen.name(value))


def _is_index(graph: ComputationGraph, value: int) -> bool:
    """Whether something is looked up by an input whose type nothing says."""
    moved = {value}
    for operation in graph.operations:
        if operation.op == "Gather" and len(operation.inputs) > 1 and operation.inputs[1] in moved:
            return True
        if operation.op in _MOVED and moved.intersection(operation.inputs):
            moved.update(operation.outputs)
    return False
