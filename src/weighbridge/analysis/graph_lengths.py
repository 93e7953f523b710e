"""Lengths of the input: known only when the model runs, and a way to tell one input from another.

Graphs compute with lengths everywhere: reshapes, masks, positions. What they do not do is compare
one with a number and then change data by the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.graph_kinds import COMPARING, MOVING, SATURATING, UNEVEN
from weighbridge.analysis.graph_ways import SCALAR, Facts, Way

_DECIDED = Way.COMPARED | Way.SATURATED
_PLACES = frozenset(
    {"Range", "ConstantOfShape", "Expand", "Trilu", "OneHot", "EyeLike", "CumSum", "NonZero"}
)
_SIZING = frozenset({"Identity", "Cast", "Resize", "Slice", "Pad", "Squeeze", "Unsqueeze"})
RESIZED: Final = 16
"""How many operations lie at most between data and what it is after it was resized."""
_CHANGING = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Where", "If", "Gather", "Repeated"}
)


def length_of(facts: Facts, operation: Operation) -> Way:
    """What `Shape` or `Size` gives: a length, if the model's input says it; a count, where it is
    of a list whose length depends on the numbers of an input."""
    value = operation.inputs[0] if operation.inputs else ABSENT
    if value != ABSENT and facts.ways[value] & Way.RAW and _is_uneven(facts, value):
        return Way.RAW | Way.COUNT | Way.THIN
    moved = any(
        i != ABSENT and facts.ways[i] & (Way.RAW | Way.TRUNK | Way.LENGTH) for i in operation.inputs
    )
    return Way.LENGTH if moved and not _is_fixed(facts, operation) else Way(0)


def way_of_length(facts: Facts, operation: Operation) -> Way:
    """What an operation makes of lengths and constants."""
    op, inputs = operation.op, [i for i in operation.inputs if i != ABSENT]
    way = Way(0)
    for value in inputs:
        way |= facts.ways[value] & (Way.LENGTH | _DECIDED)
    if not way & Way.LENGTH or _is_fixed(facts, operation):
        return Way(0)
    output = operation.outputs[0] if operation.outputs else ABSENT
    small = output != ABSENT and facts.size(output) <= SCALAR
    if not way & _DECIDED:
        if op in _PLACES or not small:
            return Way(0)
        against = [i for i in inputs if not facts.ways[i] & Way.LENGTH]
        aimed = any(abs(n) > 1 for i in against for n in facts.constants.numbers(i) or ())
        if op in COMPARING and aimed:
            way |= Way.COMPARED
        elif op in SATURATING and aimed and op not in ("Max", "Min", "Clip"):
            way |= Way.SATURATED
    return way


def decides(facts: Facts, operation: Operation, moved: list[int]) -> int:
    """The answer to a comparison of a length that changes data here; `ABSENT` if there is none."""
    if operation.op not in _CHANGING:
        return ABSENT
    turns = operation.op == "Repeated"  # how often it runs stands last
    for value in operation.inputs[-1:] if turns else operation.inputs:
        if value == ABSENT or not facts.ways[value] & Way.LENGTH:
            continue
        if facts.ways[value] & _DECIDED:
            if operation.op in ("If", "Where") and _is_resizing(facts, operation.inputs[1:]):
                continue
            others = [i for i in operation.inputs if i not in (ABSENT, value)]
            if operation.op != "Where" or any(i not in moved for i in others):
                return value
    return ABSENT


def _is_resizing(facts: Facts, choices: Sequence[int]) -> bool:
    """Whether all choices are the same data, brought to another size or not."""
    ways: list[set[int]] = []
    for value in choices:
        way = {value}
        while value != ABSENT and (producer := facts.graph.values[value].producer) != ABSENT:
            made = facts.graph.operations[producer]
            if made.op not in _SIZING or not made.inputs or len(way) > RESIZED:
                break
            value = made.inputs[0]
            way.add(value)
        ways.append(way)
    return len(ways) > 1 and bool(set.intersection(*ways) - {ABSENT})


def _is_uneven(facts: Facts, value: int) -> bool:
    for _ in range(8):
        producer = facts.graph.values[value].producer
        if producer == ABSENT:
            return False
        operation = facts.graph.operations[producer]
        if operation.op in UNEVEN:
            return True
        if operation.op not in MOVING or not operation.inputs or operation.inputs[0] == ABSENT:
            return False
        value = operation.inputs[0]
    return False


def _is_fixed(facts: Facts, operation: Operation) -> bool:
    """Whether the numbers are the same for every input."""
    known = facts.made.known.get(operation.outputs[0]) if operation.outputs else None
    return known is not None and not any(isinstance(k, str) for k in known)
