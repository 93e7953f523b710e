"""Which value of a graph is the state of a switch, where it can be held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph
from weighbridge.analysis.graph_flow import Flow, Meeting
from weighbridge.analysis.graph_shapes import elements
from weighbridge.analysis.graph_ways import NARROW, Way


class Switch(Struct, frozen=True):
    """A switch as the trial knows it: the place where it acts, and the value that is its state."""

    label: str
    value: str
    meeting: Meeting


def switches_of(
    graph: ComputationGraph, flow: Flow, names: set[str], meetings: Sequence[Meeting]
) -> list[Switch]:
    """The narrowest value between where each switch is made and where it acts; of those that the
    file has at its top, where they can be held. Where it has none there (the switch is a part of
    one fused operator, or of one body), the nearest that it is made of."""
    batch = frozenset(
        s[0] for i in graph.inputs if (s := graph.values[i].shape) and isinstance(s[0], str)
    )
    there = _at_the_top(graph, names)
    found: dict[str, Switch] = {}
    for meeting in meetings:
        way = [v for v in _between(graph, meeting) if v in there]
        way = way or _nearest(graph, flow, meeting, there, batch)
        sizes = [(elements(flow.shapes.shapes[v], batch), -place, v) for place, v in enumerate(way)]
        if not sizes:
            continue
        value = graph.values[min(sizes)[2]].name
        operation = graph.operations[meeting.operation]
        found.setdefault(value, Switch(f"{operation.op} {operation.name}"[-120:], value, meeting))
    return list(found.values())


def _at_the_top(graph: ComputationGraph, names: set[str]) -> set[int]:
    """The values that the file has at its top. Those between the operations that a fused operator
    is spelt out in and those of bodies are not there; a name that more than one value bears could
    be either."""
    borne = Counter(value.name for value in graph.values)
    return {
        output
        for operation in graph.operations
        if not operation.origin
        for output in operation.outputs
        if output != ABSENT and (name := graph.values[output].name) in names and borne[name] == 1
    }


def _nearest(
    graph: ComputationGraph,
    flow: Flow,
    meeting: Meeting,
    there: set[int],
    batch: frozenset[str],
) -> list[int]:
    """The nearest values at the top that a switch is made of: narrow ones that are not of the
    trunk, so that holding them holds the switch and not the rest. What loops hand on is followed
    too."""
    found: list[int] = []
    back = graph.back
    level = seen = {meeting.switch}
    while level and not found:
        before: set[int] = set()
        for value in level:
            producer = graph.values[value].producer
            if producer != ABSENT:
                before.update(graph.operations[producer].inputs)
            if value in back:
                before.add(back[value])
        level = before - seen - {ABSENT}
        seen = seen | level
        found = [
            v
            for v in sorted(level & there)
            if flow.ways[v] & (Way.RAW | Way.LENGTH)
            and not flow.ways[v] & Way.TRUNK
            and elements(flow.shapes.shapes[v], batch) <= NARROW
        ]
    return found


def _between(graph: ComputationGraph, meeting: Meeting) -> list[int]:
    """The values from the operation that makes the switch to the one that acts, in order."""
    gate = meeting.gate if meeting.gate != ABSENT else meeting.operation
    start = set(graph.operations[gate].outputs) - {ABSENT}
    reached = set(start)
    for number in range(gate + 1, meeting.operation):
        operation = graph.operations[number]
        if reached & set(operation.inputs):
            reached.update(o for o in operation.outputs if o != ABSENT)
    back, waiting = {meeting.switch}, [meeting.switch]
    while waiting:
        producer = graph.values[waiting.pop()].producer
        if producer == ABSENT:
            continue
        for value in graph.operations[producer].inputs:
            if value != ABSENT and value not in back:
                back.add(value)
                waiting.append(value)
    return sorted((reached & back) | {meeting.switch})
