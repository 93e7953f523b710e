"""Two computation graphs, operation by operation: what is in one and not in the other.

Names are not looked at, nor are weights: an operation is described by its operator, its attributes,
the single numbers that it reads, and those around it, two steps far. What only moves a value
(`Identity`, `Dropout`) or gives numbers that follow from shapes and constants is not an operation
here, so that folding constants makes no difference. Linear in the size of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Operation
from weighbridge.analysis.graph_shapes import Shapes, infer
from weighbridge.core.evidence import Edge, Node, Subgraph

STEPS: Final = 2
"""How far around an operation the description reaches."""
DRAWN: Final = 60
_NOTHING: Final = frozenset({"Identity", "Dropout"})
_FLOATS: Final = frozenset({1, 10, 11, 16})
_EITHER_WAY: Final = frozenset({"Add", "Mul", "And", "Or", "Xor", "Max", "Min", "Sum", "Equal"})
_MOOT: Final = frozenset({"allowzero", "seed", "training_mode"})
"""Attributes that make no difference to what is computed when a model runs."""


class Aligned(Struct, frozen=True):
    """`extra` are operations of the graph that the reference does not have, in order, `around`
    those that only stand beside them; `lacking` counts the operators that the reference has more
    of. `compared` are those of the graph, `expected` those of the reference."""

    extra: tuple[int, ...]
    around: tuple[int, ...]
    lacking: Counter[str]
    compared: int
    expected: int

    @property
    def alike(self) -> float:
        """The share of the reference that the graph has as well, with what is around it: adding to
        a graph does not lessen it."""
        found = self.compared - len(self.extra) - len(self.around)
        return found / self.expected if self.expected else 0.0


def align(graph: ComputationGraph, reference: ComputationGraph) -> Aligned:
    """What of `graph` is not in `reference`."""
    ours, theirs = Outline(graph, infer(graph)), Outline(reference, infer(reference))
    here, there = ours.described(), theirs.described()
    plain = Counter(labels[0] for labels in there.values())
    whole = Counter(labels[-1] for labels in there.values())
    extra: list[int] = []
    around: list[int] = []
    left: list[int] = []
    for number, labels in here.items():
        if whole[labels[-1]]:
            whole[labels[-1]] -= 1
            plain[labels[0]] -= 1
        else:
            left.append(number)
    for number in left:
        label = here[number][0]
        if plain[label] > 0:
            plain[label] -= 1
            around.append(number)
        else:
            extra.append(number)
    lacking: Counter[str] = Counter()
    for label, count in plain.items():
        if count > 0:
            lacking[theirs.operators[label]] += count
    return Aligned(tuple(extra), tuple(around), lacking, len(here), len(there))


def drawn(
    graph: ComputationGraph,
    found: Aligned,
    title: str = "What the reference does not have (accused)",
) -> Subgraph:
    """What was found and what stands right beside it."""
    accused = dict.fromkeys(found.extra[:DRAWN] or found.around[:DRAWN], "accused")
    chosen = dict(accused)
    for number in accused:
        for value in graph.operations[number].inputs:
            producer = graph.values[value].producer if value != ABSENT else ABSENT
            if producer != ABSENT:
                chosen.setdefault(producer, "")
    nodes, edges = [], []
    for number in sorted(chosen):
        operation = graph.operations[number]
        label = f"{operation.op} {operation.name[-40:]}"
        nodes.append(Node(f"o{number}", label, chosen[number]))
        for value in operation.inputs:
            producer = graph.values[value].producer if value != ABSENT else ABSENT
            if producer in chosen:
                role = "accused" if number in accused else ""
                edges.append(Edge(f"o{producer}", f"o{number}", "", role))
    ids = {node.id for node in nodes[:150]}
    return Subgraph(
        title,
        tuple(nodes[:150]),
        tuple(e for e in edges if e.source in ids and e.target in ids),
    )


class Outline:
    """A graph without what makes no difference."""

    def __init__(self, graph: ComputationGraph, made: Shapes) -> None:
        self.graph, self.made = graph, made
        self.operators: dict[Hashable, str] = {}
        self.same = self._same()

    def _same(self) -> list[int]:
        """For each value the one that it is under another name."""
        same = list(range(len(self.graph.values)))
        for operation in self.graph.operations:
            if _moves(operation) and ABSENT not in (operation.inputs[0], operation.outputs[0]):
                same[operation.outputs[0]] = same[operation.inputs[0]]
        return same

    def described(self) -> dict[int, tuple[Hashable, ...]]:
        """The descriptions of every operation that counts, the narrowest first."""
        counted = [n for n in self._reached() if self._counts(self.graph.operations[n])]
        kept = set(counted)
        before: dict[int, list[int]] = {n: [] for n in counted}
        after: dict[int, list[int]] = {n: [] for n in counted}
        labels: dict[int, list[Hashable]] = {}
        for number in counted:
            operation = self.graph.operations[number]
            for value in operation.inputs:
                producer = self.graph.values[self.same[value]].producer if value != ABSENT else -1
                if producer in kept:
                    before[number].append(producer)
                    after[producer].append(number)
            label = self._label(operation)
            self.operators[label] = operation.op
            labels[number] = [label]
        for _ in range(STEPS):
            now = {n: labels[n][-1] for n in counted}
            for n in counted:
                inputs = [now[p] for p in before[n]]
                if self.graph.operations[n].op in _EITHER_WAY:
                    inputs.sort(key=hash)
                users = sorted(map(hash, (now[a] for a in after[n])))
                labels[n].append(hash((now[n], tuple(inputs), tuple(users))))
        return {n: tuple(found) for n, found in labels.items()}

    def _reached(self) -> list[int]:
        """The operations that an output comes from, in order."""
        seen: set[int] = set()
        waiting = [self.graph.values[v].producer for v in self.graph.outputs]
        while waiting:
            number = waiting.pop()
            if number == ABSENT or number in seen:
                continue
            seen.add(number)
            for value in self.graph.operations[number].inputs:
                if value != ABSENT:
                    waiting.append(self.graph.values[value].producer)
        return sorted(seen)

    def _counts(self, operation: Operation) -> bool:
        if _moves(operation) or not operation.outputs:
            return False
        return not _fixed(self.made, operation.outputs[0])

    def _label(self, operation: Operation) -> Hashable:
        attributes = tuple(
            sorted((k, repr(v)) for k, v in operation.attributes.items() if k not in _MOOT)
        )
        inputs = [self._read(value) for value in operation.inputs]
        while inputs and inputs[-1] == "absent":
            inputs.pop()
        if operation.op in _EITHER_WAY:
            inputs.sort(key=repr)
        return (operation.op, attributes, tuple(inputs))

    def _read(self, value: int) -> Any:
        """What of an input describes an operation: single numbers, the rank of what is larger."""
        if value == ABSENT:
            return "absent"
        value = self.same[value]
        known = self.made.known.get(value)
        if known is not None and len(known) == 1 and not isinstance(known[0], str):
            return ("number", f"{known[0]:.5g}")
        entry = self.graph.values[value]
        if entry.constant is not None or _fixed(self.made, value):
            return ("numbers", len(self.made.shapes[value] or ()))
        return "value"


def _moves(operation: Operation) -> bool:
    """Whether a value only gets another name, or another precision."""
    precise = operation.op == "Cast" and operation.attributes.get("to") in _FLOATS
    return (operation.op in _NOTHING or precise) and bool(operation.inputs and operation.outputs)


def _fixed(made: Shapes, value: int) -> bool:
    known = made.known.get(value)
    return known is not None and not any(isinstance(k, str) for k in known)
