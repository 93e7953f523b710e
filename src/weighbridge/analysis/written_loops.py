"""Loops of a computation graph, put together again and written as `Loop` of ONNX.

In the graph the steps of a loop stand in one list with all others. Here those that depend on what
goes round become a body; its other steps come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Loop
from weighbridge.analysis.written_pen import Operand, Pen
from weighbridge.analysis.written_types import TYPES, Unwritable
from weighbridge.formats import onnx_written as wire

DEPTH: Final = 8
"""How many loops may stand within each other."""


class Turning(Struct, frozen=True):
    """A loop with the steps of its body."""

    loop: Loop
    body: tuple[Unit, ...]


Unit: TypeAlias = int | Turning
"""The number of an operation, or a loop."""
Write = Callable[[Pen, Sequence[Unit]], None]


class Nest:
    """Puts the loops of a graph together."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.begins = {b: loop for loop in graph.loops for b in loop.begins}
        self.leaves = {v: loop for loop in graph.loops for v in loop.leaves}

    def units(self, numbers: Sequence[int], depth: int = 0) -> tuple[Unit, ...]:
        """Operations in order, those of each loop within it. Raises `Unwritable`."""
        if depth > DEPTH:
            raise Unwritable(f"more than {DEPTH} loops within each other")
        made: list[Unit] = []
        place = 0
        while place < len(numbers):
            loop = self._begun(numbers[place])
            if loop is None:
                made.append(numbers[place])
                place += 1
                continue
            end = place
            while end < len(numbers) and self._left(numbers[end]) is not loop:
                end += 1
            within = [n for n in numbers[place:end] if self._begun(n) is not loop]
            asked = set(numbers[place:end]).difference(within)
            made += self._apart(self._only(loop, asked), self.units(within, depth + 1))
            place = end
        return tuple(made)

    def _only(self, loop: Loop, asked: set[int]) -> Loop:
        """A loop of what is asked of it."""
        if loop.test == ABSENT or not len(loop.begins) == len(loop.hands_on) == len(loop.leaves):
            raise Unwritable("a loop of which it is not known how often it runs")
        rows = [
            row
            for row in zip(loop.begins, loop.hands_on, loop.leaves, strict=True)
            if self.graph.values[row[0]].producer in asked
        ]
        begins, hands_on, leaves = zip(*rows, strict=True)
        return Loop(begins, hands_on, leaves, loop.test)

    def _begun(self, number: int) -> Loop | None:
        operation = self.graph.operations[number]
        return self.begins.get(operation.outputs[0]) if operation.op == "Carried" else None

    def _left(self, number: int) -> Loop | None:
        operation = self.graph.operations[number]
        return self.leaves.get(operation.outputs[0]) if operation.op == "Repeated" else None

    def _apart(self, loop: Loop, units: Iterable[Unit]) -> Iterator[Unit]:
        """What does not depend on what goes round, and then the loop."""
        turning = set(loop.begins)
        body: list[Unit] = []
        for unit in units:
            if turning.isdisjoint(reads(self.graph, unit)):
                yield unit
            else:
                turning.update(gives(self.graph, unit))
                body.append(unit)
        yield Turning(loop, tuple(body))


def reads(graph: ComputationGraph, unit: Unit) -> Iterator[int]:
    """What a step is given, or the steps of a loop."""
    if isinstance(unit, int):
        yield from graph.operations[unit].inputs
    else:
        yield from map(start_of(graph), unit.loop.begins)
        yield from (v for part in unit.body for v in reads(graph, part))
        yield from (*unit.loop.hands_on, unit.loop.test)


def gives(graph: ComputationGraph, unit: Unit) -> Iterator[int]:
    """What a step gives, or the steps of a loop."""
    if isinstance(unit, int):
        yield from graph.operations[unit].outputs
    else:
        yield from (*unit.loop.begins, *unit.loop.leaves)
        yield from (v for part in unit.body for v in gives(graph, part))


def start_of(graph: ComputationGraph) -> Callable[[int], int]:
    """Says what a value that goes round is at first."""
    return lambda begins: graph.operations[graph.values[begins].producer].inputs[0]


def write_loop(pen: Pen, unit: Turning, write: Write) -> None:
    """Write a loop; `write` writes the steps of its body. Raises `Unwritable`."""
    graph, loop = pen.graph, unit.loop
    starts = {b: pen.operand(start_of(graph)(b)) for b in loop.begins}
    back = dict(zip(loop.begins, loop.hands_on, strict=True))
    turning = [b for b in loop.begins if not _stays(graph, b, back[b])]
    for begins in loop.begins:
        pen.stands_for(begins, starts[begins])
    asked = _needed(graph, unit.body, [loop.test])
    first = _truth(pen, asked, loop.test, write)
    outer, pen.nodes = pen.nodes, []
    given = [wire.declared(pen.unused("turn"), TYPES["int64"][0], ()),
             wire.declared(pen.unused("on"), TYPES["bool"][0], ())]  # fmt: skip
    for begins in turning:
        type = starts[begins].type
        if type not in TYPES:
            raise Unwritable(f"what goes round is of the type {type or 'that nothing says'}")
        pen.forget([begins])
        given.append(wire.declared(pen.begin(begins, type), TYPES[type][0]))
    write(pen, _needed(graph, unit.body, [back[b] for b in turning]))
    handed = [pen.cast(pen.operand(back[b]), starts[b].type) for b in turning]
    handed = [pen.node("Identity", [h]) for h in handed]  # each is given once, and none is given
    for begins, value in zip(turning, handed, strict=True):
        pen.stands_for(begins, value)
    again = _truth(pen, asked, loop.test, write)
    results = [wire.declared(o.name) for o in (again, *handed)]
    body = wire.graph(pen.nodes, [], given, results)
    pen.nodes = outer
    pen.forget(v for part in unit.body for v in gives(graph, part))
    pen.forget(loop.begins)
    ends = dict(zip(loop.begins, loop.leaves, strict=True))
    pen.loop(first, [starts[b] for b in turning], [ends[b] for b in turning], body)
    for begins in loop.begins:
        if begins not in turning:
            pen.copy(ends[begins], starts[begins])


def _stays(graph: ComputationGraph, begins: int, value: int) -> bool:
    """Whether a value is handed on as it came."""
    while value not in (begins, ABSENT):
        producer = graph.values[value].producer
        if producer == ABSENT or graph.operations[producer].op != "Identity":
            return False
        value = graph.operations[producer].inputs[0]
    return value == begins


def _needed(graph: ComputationGraph, units: Sequence[Unit], values: Sequence[int]) -> list[Unit]:
    """The steps of a body that values depend on."""
    wanted = set(values)
    found: list[Unit] = []
    for unit in reversed(units):
        if not wanted.isdisjoint(gives(graph, unit)):
            found.append(unit)
            wanted.update(reads(graph, unit))
    return found[::-1]


def _truth(pen: Pen, asked: Sequence[Unit], test: int, write: Write) -> Operand:
    """Whether there is another turn, of what stands for the values that go round."""
    known = {v for unit in asked for v in gives(pen.graph, unit)}
    pen.forget(known)
    write(pen, asked)
    said = pen.cast(pen.operand(test), "bool")
    made = pen.node("Reshape", [said, pen.plain(())])
    pen.forget(known)
    return made
