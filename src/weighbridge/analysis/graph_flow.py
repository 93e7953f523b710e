"""Where information from an input goes around what a model has learned, and acts as a switch.

Every value is given what is known of the way from the inputs to it, in one pass over the graph:
whether it comes from an input without passing a learned operator (it is *raw*), whether it has
passed a *narrow* place (few numbers, where the input has many), whether it has been compared or
saturated, and whether it has passed a learned operator (it is on the *trunk*). A raw value that is
narrow and can only say few things is a *gate*. What matters is whether a gate gets back at the
data: at a learned operator, at the trunk or at an output.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Operation
from weighbridge.analysis.graph_kinds import (
    COMPARING,
    LINEAR,
    LOOKUPS,
    MEETING,
    OPAQUE_INSIDE,
    PLACES,
    RANDOM,
    WINDOWS,
)
from weighbridge.analysis.graph_lengths import decides, length_of, way_of_length
from weighbridge.analysis.graph_meetings import (
    holds_something,
    meets,
    picked,
    size_of_switch,
    trained_among,
)
from weighbridge.analysis.graph_switches import (
    WHOLE_TYPES,
    becomes_gate,
    counted_from_the_end,
    holds_content,
    is_generation,
    is_index_among_places,
    is_learned,
    way_through,
)
from weighbridge.analysis.graph_ways import NARROW, SCALAR, Facts, Flow, Meeting, Way

__all__ = ["Flow", "Meeting", "Way", "analyse"]

ROUNDS: Final = 4
"""How often the bodies of loops are followed: what they hand on is not known before."""


def analyse(graph: ComputationGraph) -> Flow:
    """One pass over the operations, in their order; more where loops hand on what they found."""
    return _Pass(graph).run()


class _Pass:
    def __init__(self, graph: ComputationGraph) -> None:
        self.facts = Facts(graph)

    def run(self) -> Flow:
        for number, value in enumerate(self.facts.graph.values):
            self.facts.whole[number] = value.type.startswith(("int", "uint", "bool"))
            self.facts.constant[number] = value.constant is not None or (
                value.producer == ABSENT and number not in self.facts.graph.inputs
            )
        for number in self.facts.graph.inputs:
            size = self.facts.size(number)
            self.facts.ways[number] = Way.RAW | (Way.SETTING if size <= 1 else Way(0))
            self.facts.source[number] = size
        for _ in range(ROUNDS):
            self.facts.explained.clear()
            self.facts.learned.clear()
            before = [self.facts.ways[left] for left in self.facts.back.values()]
            for number, operation in enumerate(self.facts.graph.operations):
                self._step(number, operation)
            if before == [self.facts.ways[left] for left in self.facts.back.values()]:
                break
        for output in self.facts.graph.outputs:
            met = self.facts.pending[output]
            if met is not None and self.facts.ways[output] & Way.TRUNK:
                self.facts.meetings.setdefault(met.operation, met)
        found = tuple(self.facts.meetings[k] for k in sorted(self.facts.meetings))
        return Flow(
            self.facts.ways, self.facts.made, found, self.facts.explained, len(self.facts.learned)
        )

    def _step(self, number: int, operation: Operation) -> None:
        if operation.op == "Carried" and set(operation.outputs) & self.facts.back.keys():
            left = self.facts.back[operation.outputs[0]]
            if not self._stays(operation.outputs[0], left):
                operation = replace(operation, inputs=(*operation.inputs, left))
        inputs = [i for i in operation.inputs if i != ABSENT]
        self._types(operation)
        if operation.op in OPAQUE_INSIDE:
            way = length_of(self.facts, operation)
            source = math.inf if way & Way.RAW else 0.0
            self._give(operation, way, source, ABSENT, False)
            return
        if not inputs:
            is_random = operation.op in RANDOM
            way = Way.RAW if is_random else Way(0)
            self._give(operation, way, math.inf, ABSENT, not is_random)
            return
        moved = [i for i in inputs if self.facts.ways[i] & (Way.RAW | Way.TRUNK)]
        if not moved:
            still = all(self.facts.constant[i] for i in inputs)
            self._give(operation, way_of_length(self.facts, operation), 0.0, ABSENT, still)
            return
        switch = decides(self.facts, operation, moved)
        if switch != ABSENT:
            said = f"the length of an input decides ({operation.op})"
            made_by = self.facts.graph.values[switch].producer
            self.facts.meetings[number] = Meeting(number, made_by, switch, moved[0], said)
        trunk = [i for i in moved if self.facts.ways[i] & Way.TRUNK]
        raw = [i for i in moved if not self.facts.ways[i] & Way.TRUNK]
        if trunk:
            self._on_trunk(number, operation, trunk, raw)
        elif is_learned(self.facts, operation, raw):
            self.facts.learned.append(number)
            for value in raw:
                if self.facts.ways[value] & (Way.GATE | Way.ADDED | Way.CONTENT):
                    self._enters(number, value)
            self._give(operation, Way.TRUNK, 0.0, ABSENT, False)
        else:
            self._on_raw(number, operation, raw)

    def _stays(self, begins: int, left: int) -> bool:
        """Whether a body hands on what it was given: weights that a loop carries stay weights."""
        for _ in range(8):
            if left in (begins, ABSENT):
                return left == begins
            producer = self.facts.graph.values[left].producer
            if producer == ABSENT or self.facts.graph.operations[producer].op != "Identity":
                return False
            left = self.facts.graph.operations[producer].inputs[0]
        return False

    def _types(self, operation: Operation) -> None:
        op, inputs = operation.op, operation.inputs
        if op == "Cast":
            whole = operation.attributes.get("to") in (*WHOLE_TYPES, 9)
        elif op in COMPARING or op in PLACES:
            whole = True
        else:
            at = 1 if op in ("Where", "If") else 0
            whole = len(inputs) > at and inputs[at] != ABSENT and self.facts.whole[inputs[at]]
        for output in operation.outputs:
            if output != ABSENT:
                self.facts.whole[output] = whole

    def _give(
        self,
        operation: Operation,
        way: Way,
        source: float,
        gate: int,
        constant: bool,
        pending: Meeting | None = None,
    ) -> None:
        for output in operation.outputs:
            if output != ABSENT:
                self.facts.ways[output], self.facts.source[output] = way, source
                self.facts.gates[output], self.facts.constant[output] = gate, constant
                self.facts.pending[output] = pending

    def _enters(self, number: int, value: int) -> None:
        """A switch, or data that a switch has changed, is given to a learned operator."""
        met = self.facts.pending[value]
        if met is None and not self.facts.ways[value] & Way.GATE:
            kind = "what is learned is given content where the input has certain values"
            met = Meeting(number, self.facts.graph.values[value].producer, value, ABSENT, kind)
        if met is None:
            kind = "a switch taken from the input is given to what is learned"
            met = Meeting(number, self.facts.gates[value], value, ABSENT, kind)
        self.facts.meetings.setdefault(met.operation, met)

    def _on_raw(self, number: int, operation: Operation, raw: list[int]) -> None:
        op = operation.op
        way = Way(0)
        for value in raw:
            way |= self.facts.ways[value]
        if not all(self.facts.ways[v] & Way.SETTING for v in raw):
            way &= ~Way.SETTING
        source = max(self.facts.source[v] for v in raw)
        gate = next((self.facts.gates[v] for v in raw if self.facts.gates[v] != ABSENT), ABSENT)
        pending = next(
            (self.facts.pending[v] for v in raw if self.facts.pending[v] is not None), None
        )
        output = operation.outputs[0] if operation.outputs else ABSENT
        size = self.facts.size(output) if output != ABSENT else math.inf
        if op == "Step" or self._keeps_places(operation):  # all of it is looked at, part by part
            source = min(source, size)
        elif op == "Repeated":
            source = max(source, self.facts.given)
        fewest = (size <= NARROW and size <= source / 2) or all(
            self.facts.ways[v] & Way.THIN for v in raw
        )
        setting = bool(way & Way.SETTING) and size <= 2
        gated = [v for v in raw if self.facts.ways[v] & (Way.GATE | Way.ADDED)]

        place = counted_from_the_end(self.facts, operation)
        if place != ABSENT:
            way, gate = self.facts.ways[place], self.facts.gates[place]
            self._give(operation, way, source, gate, False, pending)
            return
        if gated:
            if is_index_among_places(self.facts, operation, raw):
                way &= ~(Way.GATE | Way.COMPARED | Way.SATURATED)
                self._give(operation, way | Way.COUNT, source, ABSENT, False)
                return
            data = next((v for v in raw if v not in gated and not self.facts.narrow(v)), ABSENT)
            if data == ABSENT and op in ("Where", "If") and holds_content(self.facts, operation):
                data = gated[0]
            if pending is None and data != ABSENT and op in MEETING:
                said = f"a switch taken from the input changes the input itself ({op})"
                pending = Meeting(number, gate, gated[0], data, said)
                way |= Way.ADDED
            self._give(operation, way, source, gate, False, pending)
            return

        way = way_through(self.facts, operation, raw, way & ~Way.THIN, fewest)
        if becomes_gate(self.facts, operation, raw, way, fewest, setting):
            way |= Way.GATE
            gate = number
        if fewest:
            way |= Way.THIN
        self._give(operation, way, source, gate, False, pending)

    def _keeps_places(self, operation: Operation) -> bool:
        """Whether a pooling leaves several places: what was a map is a coarser one."""
        if operation.op not in WINDOWS:
            return False
        shape = self.facts.made.shapes[operation.outputs[0]] if operation.outputs else None
        if shape is None:
            return False
        places = [d for d in shape[2:] if isinstance(d, int)]
        return math.prod(places) >= SCALAR and len(places) == len(shape) - 2

    def _on_trunk(
        self, number: int, operation: Operation, trunk: list[int], raw: list[int]
    ) -> None:
        op = operation.op
        pending = next(
            (self.facts.pending[v] for v in trunk if self.facts.pending[v] is not None), None
        )
        for value in raw:
            met = meets(self.facts, number, operation, value, trunk)
            if met is not None:
                self.facts.meetings.setdefault(met.operation, met)
        way, gate = Way.TRUNK, ABSENT
        gate = next((self.facts.gates[v] for v in trunk if self.facts.ways[v] & Way.PICKED), ABSENT)
        if gate != ABSENT:
            others = [v for v in (*trunk, *raw) if not self.facts.ways[v] & Way.PICKED]
            switch_size = size_of_switch(self.facts, trunk)
            wide = [
                v
                for v in others
                if not self.facts.ways[v] & Way.THIN or self.facts.size(v) > 2 * switch_size
            ]
            turns = op == "Repeated" and operation.inputs[-1] != ABSENT
            turns = turns and bool(self.facts.ways[operation.inputs[-1]] & Way.PICKED)
            turns = turns and not is_generation(self.facts, number, operation)
            acts = op in MEETING or op in LOOKUPS or op == "Slice" or turns
            if wide and acts and op not in ("Concat", "Carried"):
                switch = next(v for v in trunk if self.facts.ways[v] & Way.PICKED)
                said = f"a switch taken from one narrow place of the trunk acts on it ({op})"
                self.facts.meetings.setdefault(number, Meeting(number, gate, switch, wide[0], said))
                gate = ABSENT
            elif op in ("Where", "If") and holds_content(self.facts, operation):
                switch = next(v for v in trunk if self.facts.ways[v] & Way.PICKED)
                said = f"a switch taken from one narrow place of the trunk chooses content ({op})"
                self.facts.meetings.setdefault(
                    number, Meeting(number, gate, switch, trunk[0], said)
                )
                gate = ABSENT
        if gate == ABSENT and not raw:
            made = picked(self.facts, operation, trunk)
            gate = number if made & Way.PICKED else ABSENT
            way |= made & ~Way.PICKED
        if gate != ABSENT:
            way |= Way.PICKED
        if op in ("Concat", "Where", "ScatterND", "ScatterElements", "Scatter", "If", "Pad"):
            if any(
                i != ABSENT and i not in trunk and holds_something(self.facts, i)
                for i in operation.inputs
            ):
                way |= Way.MIXED
        elif op not in LINEAR:
            way |= self.facts.ways[trunk[0]] & Way.MIXED
        if op in LINEAR and trained_among(self.facts, operation):
            self.facts.learned.append(number)
        self._give(operation, way, 0.0, gate, False, pending)
        if op == "DynamicQuantizeLinear":  # a scale is made of the extremes, whatever they are
            for output in operation.outputs[1:]:
                self.facts.ways[output] = Way.TRUNK
