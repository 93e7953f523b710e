"""What a switch does to the values that a model has learned to make."""

from __future__ import annotations

import math

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.graph_kinds import (
    CELLS,
    COMPARING,
    CUTTING,
    INDEXED,
    LINEAR,
    MEETING,
    POOLS,
    REDUCTIONS,
    STEEP,
)
from weighbridge.analysis.graph_switches import only_guards
from weighbridge.analysis.graph_ways import NARROW, PAYLOAD, SCALAR, Facts, Meeting, Way


def picked(facts: Facts, operation: Operation, trunk: list[int]) -> Way:
    """Whether a few numbers of the trunk, which no layer made, become a switch here."""
    op = operation.op
    output = operation.outputs[0] if operation.outputs else ABSENT
    size = facts.size(output) if output != ABSENT else math.inf
    biggest = max(facts.size(v) for v in trunk)
    if op in LINEAR or op in CELLS or size > NARROW or (len(trunk) > 1 and biggest > NARROW):
        return Way(0)
    before = Way(0)
    for value in trunk:
        before |= facts.ways[value] & (Way.THIN | Way.AIMED | Way.COMPARED)
    way = before
    if biggest > 4 * size and (op in CUTTING or op in REDUCTIONS or op in POOLS):
        way |= Way.THIN
    if (
        op in COMPARING
        and _against_a_number(facts, operation, trunk)
        and not (_asks_for_any(facts, operation))
    ):
        way |= Way.COMPARED if before & Way.THIN or size <= SCALAR else Way(0)
    if op in ("Add", "Sub") and before & Way.THIN and _against_a_number(facts, operation, trunk):
        offsets = [i for i in operation.inputs if i != ABSENT and i not in trunk]
        if any(facts.constants.specific(i, op) for i in offsets):
            way |= Way.AIMED
    if size <= SCALAR:
        steep = op in STEEP and not only_guards(facts, operation, trunk)
        if way & Way.COMPARED or (way & Way.THIN and way & Way.AIMED and steep):
            way |= Way.PICKED
    return way


def trained_among(facts: Facts, operation: Operation) -> bool:
    """Whether a matrix of the model takes part."""
    return any(
        i != ABSENT and facts.constant[i] and len(facts.made.shapes[i] or ()) >= 2
        for i in operation.inputs
    )


def holds_something(facts: Facts, value: int) -> bool:
    """Whether a value is content: the input's, or more than one number of the model's."""
    return bool(facts.ways[value] & Way.RAW) or (facts.constant[value] and facts.size(value) > 1)


def size_of_switch(facts: Facts, trunk: list[int]) -> float:
    """How many numbers the switch among some values has."""
    return max(facts.size(v) for v in trunk if facts.ways[v] & Way.PICKED)


def _asks_for_any(facts: Facts, operation: Operation) -> bool:
    """Whether a whole number, a sum of such, is more than nothing: is there any at all?"""
    summed, bound = operation.inputs[:2] if len(operation.inputs) == 2 else (ABSENT, ABSENT)
    if operation.op != "Greater" or ABSENT in (summed, bound) or not facts.whole[summed]:
        return False
    producer = facts.graph.values[summed].producer
    sums = producer != ABSENT and facts.graph.operations[producer].op == "ReduceSum"
    numbers = facts.constants.numbers(bound)
    return sums and numbers is not None and not any(numbers)


def _against_a_number(facts: Facts, operation: Operation, trunk: list[int]) -> bool:
    others = [i for i in operation.inputs if i != ABSENT and i not in trunk]
    return bool(others) and all(facts.constant[i] for i in others)


def meets(
    facts: Facts, number: int, operation: Operation, value: int, trunk: list[int]
) -> Meeting | None:
    """What it is that a raw value does to the trunk; None where it is explained."""
    way, op = facts.ways[value], operation.op
    gate = facts.gates[value]
    data = max(trunk, key=facts.size)
    if way & (Way.GATE | Way.ADDED):
        met = facts.pending[value]
        if met is not None:
            return met
        if way & Way.SETTING and _chooses_parts(facts, operation, trunk):
            facts.explain("a declared switch chooses between learned parts")
            return None
        return Meeting(number, gate, value, data, f"a switch from the input meets the trunk ({op})")
    if way & Way.COUNT and facts.narrow(value):
        if op == "Concat":
            facts.explain("a count beside other features")
        elif op == "Div" and operation.inputs[1] == value:
            facts.explain("division by a count")
        elif op in INDEXED and not facts.ways[operation.inputs[0]] & Way.MIXED:
            facts.explain("selection of a place by a count or an index")
        elif op in MEETING or op in INDEXED:
            said = f"a number of places in the input meets the trunk ({op})"
            return Meeting(number, number, value, data, said)
        return None
    if way & Way.CONTENT or (way & Way.COMPARED and _inserts(facts, operation, value, trunk)):
        said = f"where the input has certain values, content of its own is put in ({op})"
        return Meeting(number, number, value, data, said)
    facts.explain("a mask" if way & Way.COMPARED else "values of the input")
    return None


def _chooses_parts(facts: Facts, operation: Operation, trunk: list[int]) -> bool:
    choices = [i for i in operation.inputs[1:] if i != ABSENT]
    return operation.op in ("If", "Where") and all(i in trunk for i in choices)


def _inserts(facts: Facts, operation: Operation, value: int, trunk: list[int]) -> bool:
    """Whether a mask puts content of the model's own among the trunk's."""
    if operation.op != "Where" or operation.inputs[0] != value:
        return False
    choices = operation.inputs[1:]
    for choice in choices:
        if choice not in trunk and facts.constant[choice]:
            numbers = facts.constants.numbers(choice, 4_096)
            if numbers is None:
                if facts.size(choice) >= PAYLOAD:
                    return True
            elif len(set(numbers)) >= 4:
                return True
    return False
