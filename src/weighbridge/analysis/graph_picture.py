"""The part of a computation graph between the inputs, a switch and what it acts on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph
from weighbridge.analysis.graph_flow import Flow, Meeting, Way
from weighbridge.core.evidence import Edge, Node, Subgraph, Table

OVERRIDE = 40
"""How many operations of the way around are drawn."""
LEARNED = 16
CONSTANTS = 40
NUMBERS = 24
SOUGHT = 20_000
"""How many operations are looked at for the shortest way through what is learned."""


def picture(graph: ComputationGraph, flow: Flow, meeting: Meeting) -> Subgraph:
    """The way around (accused) and the shortest learned way, from the inputs to where they meet;
    at most 150 nodes."""
    around = _around(graph, flow, meeting)
    learned = _learned(graph, meeting, set(around))
    last = meeting.operation
    chosen = {**dict.fromkeys(learned, ""), **dict.fromkeys(around, "accused"), last: "accused"}
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for number, role in chosen.items():
        nodes[f"o{number}"] = Node(f"o{number}", _label(graph, number), role)
    for number in sorted(chosen):
        for value in graph.operations[number].inputs:
            if value == ABSENT:
                continue
            entry = graph.values[value]
            source = f"o{entry.producer}" if entry.producer != ABSENT else f"v{value}"
            accused = chosen[number] == "accused" and value != meeting.data
            if entry.producer == ABSENT and (entry.constant is None or accused):
                shown = numbers_of(graph, value, 6) if entry.constant is not None else ""
                label = f"{entry.name} = {shown}" if shown else entry.name or "input"
                role = "accused" if accused and entry.constant is not None else ""
                nodes.setdefault(source, Node(source, label[:80], role))
            if source in nodes:
                edges.append(Edge(source, f"o{number}", "", "accused" if accused else ""))
    kept = tuple(nodes.values())[:150]
    ids = {node.id for node in kept}
    shown_edges = tuple(e for e in edges if e.source in ids and e.target in ids)
    return Subgraph("The switch (accused) and the learned path", kept, shown_edges)


def constants(graph: ComputationGraph, flow: Flow, meeting: Meeting) -> Table:
    """The numbers that take part in the way around."""
    rows: list[tuple[str, str, str]] = []
    for number in [*_around(graph, flow, meeting), meeting.operation]:
        operation = graph.operations[number]
        for value in operation.inputs:
            if value != ABSENT and graph.values[value].constant is not None:
                shape = "×".join(map(str, graph.values[value].shape or ())) or "one number"
                row = (_label(graph, number), shape, numbers_of(graph, value, NUMBERS))
                if row not in rows and len(rows) < CONSTANTS:
                    rows.append(row)
    return Table("Constants that take part", ("operation", "shape", "numbers"), tuple(rows))


def numbers_of(graph: ComputationGraph, value: int, count: int) -> str:
    """The first numbers of a constant, as text."""
    constant = graph.values[value].constant
    if constant is None:
        return ""
    numbers = constant.numbers(4_096)
    if numbers is None:
        numbers = constant.sample()[:count]
    if not numbers:
        return f"{constant.elements:,} numbers that are not here"
    more = f" … {constant.elements:,} in all" if constant.elements > count else ""
    return ", ".join(f"{n:.6g}" for n in numbers[:count]) + more


def _label(graph: ComputationGraph, number: int) -> str:
    operation = graph.operations[number]
    within = f" in {operation.origin[-1][:30]}" if operation.origin else ""
    return f"{operation.op} {operation.name[-40:]}{within}"


def _around(graph: ComputationGraph, flow: Flow, meeting: Meeting) -> list[int]:
    """The operations of the way around, from where it ends back towards the inputs: those that
    made the switch first."""
    wanted = Way.TRUNK if flow.ways[meeting.switch] & Way.TRUNK else Way.RAW
    found = _back(graph, meeting.switch, lambda v: bool(flow.ways[v] & wanted))
    return [number for number, _ in zip(found, range(OVERRIDE), strict=False)]


def _back(graph: ComputationGraph, start: int, follow: Callable[[int], bool]) -> Iterator[int]:
    waiting, seen = deque([start]), {start}
    while waiting:
        producer = graph.values[waiting.popleft()].producer
        if producer == ABSENT:
            continue
        yield producer
        for value in graph.operations[producer].inputs:
            if value != ABSENT and value not in seen and follow(value):
                seen.add(value)
                waiting.append(value)


def _learned(graph: ComputationGraph, meeting: Meeting, around: set[int]) -> list[int]:
    """The shortest way from where they meet back to an input, its two ends if it is long."""
    if meeting.data == ABSENT:
        return []
    came: dict[int, int] = {meeting.data: ABSENT}
    waiting = deque([meeting.data])
    inputs = set(graph.inputs)
    end = ABSENT
    for _ in range(SOUGHT):
        if not waiting:
            break
        value = waiting.popleft()
        if value in inputs:
            end = value
            break
        producer = graph.values[value].producer
        if producer == ABSENT or producer in around:
            continue
        for source in graph.operations[producer].inputs:
            if source != ABSENT and source not in came:
                came[source] = value
                waiting.append(source)
    way: list[int] = []
    while end != ABSENT:
        producer = graph.values[end].producer
        if producer != ABSENT:
            way.append(producer)
        end = came[end]
    if len(way) > LEARNED:
        way = way[: LEARNED // 2] + way[-LEARNED // 2 :]
    return way
