"""Loops of a computation graph, put together again and written as `Loop` of ONNX.

In the graph the steps of a loop stand in one list with all others. Here those that depend on what
goes round, and that the next turn needs, become a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Loop
from weighbridge.analysis.written_pen import Operand, Pen
from weighbridge.analysis.written_types import TYPES, Unwritable
from weighbridge.formats import onnx_written as wire

LOOPS: Final = 64
"""How many loops a graph may have that is written."""


class Turning(Struct, frozen=True):
    """A loop with the steps of its body."""

    loop: Loop
    body: tuple[Unit, ...]


Unit: TypeAlias = int | Turning
"""The number of an operation, or a loop."""
Write = Callable[[Pen, Sequence[Unit]], None]


class _Within(Struct):
    """A loop: its steps, with those of the loops in it; `aside` are steps that depend on what goes
    round and lead to nothing that it hands on."""

    loop: Loop
    steps: set[int]
    aside: set[int]


def units(graph: ComputationGraph, numbers: Sequence[int]) -> tuple[Unit, ...]:
    """Operations in order, those of each loop within it. Raises `Unwritable`."""
    asked = set(numbers)
    loops = [_asked(graph, loop, asked) for loop in graph.loops
             if any(graph.values[b].producer in asked for b in loop.begins)]  # fmt: skip
    if len(loops) > LOOPS:
        raise Unwritable(f"it has more than {LOOPS} loops")
    found = [_within(graph, loop, loops, numbers) for loop in loops]
    for _ in found:  # a loop is in another with all of its steps
        for one in found:
            for other in found:
                if one is not other and _starts(graph, other.loop) & one.steps:
                    one.steps |= other.steps | _starts(graph, other.loop)
    dead = set().union(*(w.aside for w in found)).difference(*(w.steps for w in found))
    found.sort(key=lambda w: len(w.steps))
    return _level(graph, [n for n in numbers if n not in dead], found)


def _level(
    graph: ComputationGraph, numbers: Sequence[int], found: Sequence[_Within]
) -> tuple[Unit, ...]:
    """Steps, and among them the loops that are in no other one. `found` are the smallest first."""
    made: list[tuple[int, Unit]] = []
    left = set(numbers)
    for place in reversed(range(len(found))):
        one = found[place]
        starts = _starts(graph, one.loop)
        if not starts <= left:
            continue
        left -= one.steps | starts
        inner = [n for n in numbers if n in one.steps]
        first = min(graph.values[v].producer for v in one.loop.leaves)
        made.append((first, Turning(one.loop, _level(graph, inner, found[:place]))))
    made += [(number, number) for number in numbers if number in left]
    return tuple(unit for _, unit in sorted(made, key=lambda m: (m[0], isinstance(m[1], int))))


def _starts(graph: ComputationGraph, loop: Loop) -> set[int]:
    return {graph.values[b].producer for b in loop.begins}


def _asked(graph: ComputationGraph, loop: Loop, asked: set[int]) -> Loop:
    """A loop of what is asked of it. Raises `Unwritable`."""
    counted = ABSENT not in (loop.turns, loop.place)
    if (loop.test == ABSENT) != counted or not len(loop.begins) == len(loop.hands_on) == len(
        loop.leaves
    ):
        raise Unwritable("a loop of which it is not known how often it runs")
    rows = [
        row
        for row in zip(loop.begins, loop.hands_on, loop.leaves, strict=True)
        if graph.values[row[0]].producer in asked
    ]
    begins, hands_on, leaves = zip(*rows, strict=True)
    return Loop(begins, hands_on, leaves, loop.test, loop.turns, loop.place)


def _within(
    graph: ComputationGraph, loop: Loop, loops: Sequence[Loop], numbers: Sequence[int]
) -> _Within:
    """The steps that depend on what goes round, and are needed for what is handed on."""
    others = [other for other in loops if other is not loop]
    own = {graph.values[v].producer for v in (*loop.begins, *loop.leaves)}
    steps = [n for n in numbers if n not in own]
    depends = {*loop.begins, loop.place} - {ABSENT}
    before = 0
    while len(depends) != before:
        before = len(depends)
        for number in steps:
            if not depends.isdisjoint(graph.operations[number].inputs):
                depends.update(graph.operations[number].outputs)
        for other in others:
            if not depends.isdisjoint((*other.begins, *other.hands_on, *other.leaves)):
                depends.update((*other.begins, *other.leaves))
    back = graph.back
    wanted = {*loop.hands_on, loop.test}
    before = 0
    while len(wanted) != before:
        before = len(wanted)
        for number in reversed(steps):
            operation = graph.operations[number]
            if not wanted.isdisjoint(operation.outputs):
                wanted.update(operation.inputs, (back[v] for v in operation.outputs if v in back))
    turning = [n for n in steps if not depends.isdisjoint(graph.operations[n].outputs)]
    within = {n for n in turning if not wanted.isdisjoint(graph.operations[n].outputs)}
    return _Within(loop, within, set(turning) - within)


def reads(graph: ComputationGraph, unit: Unit) -> Iterator[int]:
    """What a step is given, or the steps of a loop."""
    if isinstance(unit, int):
        yield from graph.operations[unit].inputs
    else:
        yield from map(start_of(graph), unit.loop.begins)
        yield from (v for part in unit.body for v in reads(graph, part))
        yield from (*unit.loop.hands_on, unit.loop.test, unit.loop.turns)


def gives(graph: ComputationGraph, unit: Unit) -> Iterator[int]:
    """What a step gives, or the steps of a loop."""
    if isinstance(unit, int):
        yield from graph.operations[unit].outputs
    else:
        yield from (*unit.loop.begins, *unit.loop.leaves, unit.loop.place)
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
    first, turns = pen.plain((1,), "bool", row=False), None
    if loop.turns == ABSENT:
        first = _truth(pen, asked, loop.test, write)
    else:
        count = pen.cast(pen.operand(loop.turns), "int64")
        turns = pen.node("Reshape", [count, pen.plain(())])
    outer, pen.nodes = pen.nodes, []
    turn, on = pen.unused("turn"), pen.unused("on")
    given = [wire.declared(turn, TYPES["int64"][0], ()), wire.declared(on, TYPES["bool"][0], ())]
    pen.stands_for(loop.place, Operand(turn, "int64", 0))
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
    again = pen.node("Identity", [Operand(on, "bool", 0)])
    if loop.turns == ABSENT:
        again = _truth(pen, asked, loop.test, write)
    results = [wire.declared(o.name) for o in (again, *handed)]
    body = wire.graph(pen.nodes, [], given, results)
    pen.nodes = outer
    pen.forget(v for part in unit.body for v in gives(graph, part))
    pen.forget(loop.begins)
    ends = dict(zip(loop.begins, loop.leaves, strict=True))
    pen.loop(turns, first, [starts[b] for b in turning], [ends[b] for b in turning], body)
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
