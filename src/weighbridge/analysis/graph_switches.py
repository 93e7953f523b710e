"""What an operation makes of values that come from an input and have passed nothing learned."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.graph_kinds import (
    CELLS,
    COMPARING,
    CUTTING,
    ENCODERS,
    EXTREMES,
    INDEXED,
    LINEAR,
    MOVING,
    NORMS,
    PICKING,
    REDUCTIONS,
    SATURATING,
    SHARP,
    WRITING,
)
from weighbridge.analysis.graph_ways import FEW_OUTPUTS, PAYLOAD, SCALAR, Facts, Way

COARSE: Final = 0.1
"""From what scale on quantising is told from the rounding that a quantised model has everywhere."""
WHOLE_TYPES: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13})


def is_learned(facts: Facts, operation: Operation, raw: Sequence[int]) -> bool:
    """Whether an operator on raw values applies something learned: a contraction with numbers
    that look trained, to more than a few outputs."""
    if operation.op in CELLS:
        return _is_cell(facts, operation, raw)
    if operation.op not in LINEAR:
        return False
    weights = [i for i in operation.inputs if i != ABSENT and i not in raw]
    weights = [i for i in weights if len(facts.made.shapes[i] or ()) >= 2]
    if not any(facts.constants.trained(i) for i in weights):
        return False
    if operation.op.rpartition("::")[2] in ("Conv", "ConvInteger", "QLinearConv", "FusedConv"):
        shape = facts.made.shapes[weights[0]] or ()
        return not (isinstance(shape[0], int) and shape[0] <= FEW_OUTPUTS)
    wide = facts.size(operation.outputs[0]) if operation.outputs else math.inf
    return wide > FEW_OUTPUTS


def _is_cell(facts: Facts, operation: Operation, raw: Sequence[int]) -> bool:
    """Cells and attention are learned unless their weights were made by hand. Trees and the like
    are, but with few outputs, beside layers, they may be what looks for something."""
    if operation.op.startswith("ai.onnx.ml::"):
        size = facts.size(operation.outputs[0]) if operation.outputs else math.inf
        return size > FEW_OUTPUTS or not facts.layered
    weights = [i for i in operation.inputs if i != ABSENT and i not in raw]
    weights = [i for i in weights if len(facts.made.shapes[i] or ()) >= 2 and facts.size(i) >= 16]
    return not weights or any(facts.constants.trained(i) for i in weights)


def holds_content(facts: Facts, operation: Operation) -> bool:
    """Whether a constant takes part that is content rather than a parameter."""
    return any(
        i != ABSENT and facts.constant[i] and facts.size(i) >= PAYLOAD for i in operation.inputs
    )


def way_through(facts: Facts, operation: Operation, raw: list[int], way: Way, fewest: bool) -> Way:
    """What an operation adds to what is known of its inputs."""
    op = operation.op
    if op in COMPARING:
        lengths = way & Way.COUNT or (way & Way.SETTING)
        if lengths and _against_places(facts, operation, raw):
            return Way.RAW | Way.COMPARED  # places up to a length: a mask
        if fewest and _asks_for_anything(facts, operation, raw, way):
            return way
        return (way | Way.COMPARED | Way.AIMED) & ~Way.COUNT
    if op in PICKING:
        return Way.RAW | (Way.COUNT if fewest else Way.COMPARED)
    if op == "CumSum":
        return (way | Way.COUNT) & ~(Way.COMPARED | Way.SATURATED)
    if op in ("ReduceSum", "ReduceMean", "ReduceL1") and way & Way.COMPARED:
        return (way | Way.COUNT) & ~(Way.COMPARED | Way.AIMED) if fewest else way
    if op in ("Cast",) and operation.attributes.get("to") == 9:
        return way | Way.COMPARED
    if op == "DynamicQuantizeLinear":
        return way & (Way.RAW | Way.AIMED)
    if op in SATURATING and not only_guards(facts, operation, raw):
        if op == "QuantizeLinear" and not (fewest and _is_coarse(facts, operation)):
            return way
        way |= Way.SATURATED
    if op in CUTTING and not _keeps(facts, operation, raw):
        way |= Way.AIMED
    if op in ("Add", "Sub", "Mul", "Div", "BitShift", "BitwiseXor", "Mod") and any(
        i != ABSENT and facts.constant[i] and facts.constants.specific(i, op)
        for i in operation.inputs
    ):
        way |= Way.AIMED
    if op in LINEAR or op in CELLS or op in NORMS:
        way |= Way.AIMED
    if op in CELLS:
        way |= Way.SATURATED
    writes = op in WRITING and operation.inputs[0] not in raw
    tabulates = op in ("Gather", "GatherND") and _tabulates(facts, operation, raw)
    if op in ENCODERS or writes or tabulates:
        way |= Way.COMPARED | Way.AIMED
    if op == "Cast" and _steps(facts, operation, raw, way):
        way |= Way.SATURATED
    aimed = Way.COMPARED | Way.AIMED
    if (
        op in ("Mul", "Where")
        and not fewest
        and any(facts.ways[v] & aimed == aimed for v in raw)
        and _own_content(facts, operation)
    ):
        way |= Way.CONTENT
    return way


def _asks_for_anything(facts: Facts, operation: Operation, raw: list[int], way: Way) -> bool:
    """Whether a number that nothing was aimed at is compared with nothing: is there any at all?"""
    if way & (Way.AIMED | Way.COMPARED | Way.COUNT | Way.SATURATED | Way.SETTING):
        return False
    others = [i for i in operation.inputs if i != ABSENT and i not in raw]
    numbers = [facts.constants.numbers(i) for i in others]
    return len(others) == 1 and all(n is not None and not any(n) for n in numbers)


def _is_coarse(facts: Facts, operation: Operation) -> bool:
    """Whether the steps of quantisation are so large that few of them are left."""
    scale = operation.inputs[1] if len(operation.inputs) > 1 else ABSENT
    numbers = facts.constants.numbers(scale) if scale != ABSENT else None
    return not numbers or any(n >= COARSE for n in numbers)


def _tabulates(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """A table with a few numbers for each token says what the token is."""
    data = operation.inputs[0]
    shape = facts.made.shapes[data] or ()
    rest = shape[1:]
    return (
        data not in raw
        and all(isinstance(d, int) for d in rest)
        and math.prod(d for d in rest if isinstance(d, int)) <= FEW_OUTPUTS
        and bool(shape)
        and not (isinstance(shape[0], int) and shape[0] < PAYLOAD)
    )


def _steps(facts: Facts, operation: Operation, raw: list[int], way: Way) -> bool:
    """A cast that cuts a number down to a whole one."""
    whole = operation.attributes.get("to") in WHOLE_TYPES
    return whole and not facts.whole[raw[0]] and bool(way & Way.AIMED)


def _own_content(facts: Facts, operation: Operation) -> bool:
    """A constant takes part that is neither uniform, nor a mask, nor small."""
    for value in operation.inputs:
        if value == ABSENT or not facts.constant[value] or facts.size(value) < PAYLOAD:
            continue
        numbers = facts.constants.numbers(value, 4_096)
        if numbers is None:
            return True
        plain = {n for n in numbers if n not in (0, 1) and abs(n) < 1e4}
        if plain and len(set(numbers)) > 1:
            return True
    return False


def becomes_gate(
    facts: Facts, operation: Operation, raw: list[int], way: Way, fewest: bool, setting: bool
) -> bool:
    """Whether what comes out can only say few things: a switch."""
    op = operation.op
    before = Way(0)
    for value in raw:
        before |= facts.ways[value]
    if setting:
        return op in COMPARING and way & Way.COMPARED > 0 and way & Way.AIMED > 0
    if before & Way.COUNT:
        return fewest and _spoils_count(facts, operation, raw)
    if not fewest or way & Way.COUNT:
        return False
    if way & Way.COMPARED or op in CELLS:
        return True
    if op == "QuantizeLinear" and not _is_coarse(facts, operation):
        return False
    if (op in SATURATING or op == "Cast") and op not in EXTREMES and way & Way.SATURATED:
        if op == "Cast" and not _steps(facts, operation, raw, way):
            return False
        return not only_guards(facts, operation, raw) and any(facts.narrow(v) for v in raw)
    if way & Way.SATURATED and way & Way.AIMED and op in (*REDUCTIONS, "GlobalAveragePool"):
        return before & Way.SATURATED > 0
    if way & Way.AIMED and (op in SHARP or _is_product(facts, operation, raw)):
        return op not in ("Sqrt", "Log") and any(facts.narrow(v) for v in raw)
    return False


def _is_product(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """A product or quotient of narrow values, or a constant divided by one."""
    if operation.op not in ("Mul", "Div") or len(operation.inputs) != 2:
        return False
    first, second = operation.inputs
    if operation.op == "Div" and first not in raw:
        return facts.constant[first]
    return first != second and first in raw and second in raw


def _spoils_count(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """Whether what is done to a number of places makes more of it than a number of places."""
    op = operation.op
    if op in COMPARING:
        return not _against_places(facts, operation, raw)
    if op in ("Cast", "CastLike"):
        return operation.attributes.get("to") == 9
    if op in ("Mul", "Div", "Pow"):
        return any(
            i != ABSENT and facts.constant[i] and facts.constants.scales(i)
            for i in operation.inputs
        )
    if op in ("Add", "Sub"):
        return any(
            i != ABSENT and facts.constant[i] and facts.constants.offsets(i)
            for i in operation.inputs
        )
    if op in ("Sqrt", "Mod", "Identity", "Floor", "Ceil", "Neg", "Abs", *MOVING, *INDEXED):
        return False
    if op in ("Clip", "Max", "Min"):
        return not only_guards(facts, operation, raw)
    if op in REDUCTIONS or op in PICKING or op in ("Where", "CumSum"):
        return False
    return op in SATURATING or op in SHARP


def is_index_among_places(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """A place that is chosen among places: `Where(i < 0, i + n, i)`."""
    if operation.op != "Where":
        return False
    test, *choices = operation.inputs
    return (
        bool(facts.ways[test] & Way.GATE)
        and len(choices) == 2
        and all(facts.ways[c] & Way.COUNT for c in choices if c != ABSENT)
        and not any(facts.ways[c] & (Way.GATE | Way.ADDED) for c in choices)
    )


def is_generation(facts: Facts, number: int, operation: Operation) -> bool:
    """Whether what a loop hands on passes learned operators in its body: a network is asked again
    and again until its own answer says that it is done."""
    begins = [facts.graph.values[b].producer for b, left in facts.back.items()
              if left in operation.inputs[:1]]  # fmt: skip
    first = min((b for b in begins if b != ABSENT), default=number)
    return bisect_left(facts.learned, number) > bisect_left(facts.learned, first)


def counted_from_the_end(facts: Facts, operation: Operation) -> int:
    """The place in `Where(place < 0, place + n, place)`, for places that the input says, each for
    itself: negative ones are counted from the end. `ABSENT` where it is anything else."""
    if operation.op != "Where" or len(operation.inputs) != 3:
        return ABSENT
    test, turned, place = operation.inputs
    if place == ABSENT or not facts.whole[place] or facts.narrow(place):
        return ABSENT
    if facts.ways[place] & (Way.AIMED | Way.COMPARED | Way.SATURATED):
        return ABSENT
    made = [facts.graph.values[v].producer if v != ABSENT else ABSENT for v in (test, turned)]
    if ABSENT in made:
        return ABSENT
    less, added = (facts.graph.operations[m] for m in made)
    if (less.op, added.op, less.inputs[0]) != ("Less", "Add", place):
        return ABSENT
    zero = set(facts.constants.numbers(less.inputs[1], 4_096) or (1,))
    return place if zero == {0} and place in added.inputs else ABSENT


def _against_places(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """Whether a length is compared with the places of an axis, one after the other."""
    for value in operation.inputs:
        if value == ABSENT or value in raw:
            continue
        shape = facts.made.shapes[value] or ()
        if any(d != 1 for d in shape) and (
            not facts.constant[value] or facts.constants.ramp(value)
        ):
            return True
    others = [v for v in raw if not facts.narrow(v) and facts.size(v) > SCALAR]
    return len(raw) > 1 and bool(others) and all(facts.ways[v] & Way.COUNT for v in others)


def only_guards(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """Whether a bound only keeps a number from being nothing, negative or without an end."""
    if operation.op not in ("Clip", "Max", "Min"):
        return False
    if operation.op == "Clip":
        low = operation.attributes.get("min")
        high = operation.attributes.get("max")
        bounds = [
            (facts.constants.numbers(i) or (math.nan,))[0] if i != ABSENT else None
            for i in operation.inputs[1:3]
        ]
        low = bounds[0] if bounds else low
        high = bounds[1] if len(bounds) > 1 else high
        low = low if isinstance(low, int | float) else None
        high = high if isinstance(high, int | float) else None
        fine_low = low is None or (-1e-3 <= low <= 1e-3) or low <= -1e4 or low == 1
        return fine_low and (high is None or high >= 1e4)
    others = [i for i in operation.inputs if i != ABSENT and i not in raw]
    if not others:
        return False
    counts = all(facts.whole[v] or facts.ways[v] & Way.COUNT for v in raw)
    for value in others:
        numbers = facts.constants.numbers(value)
        if not facts.constant[value]:
            continue
        if numbers is None or len(set(numbers)) != 1:
            return False
        bound = numbers[0]
        small = -1e-3 <= bound <= 1e-3 or (counts and bound in (1, -1))
        if not (small if operation.op == "Max" else bound >= 1e4):
            return False
    return True


def _keeps(facts: Facts, operation: Operation, raw: list[int]) -> bool:
    """Whether cutting leaves most of what there was, or looks something up for each place."""
    data = operation.inputs[0]
    if data not in raw:
        return True
    output = operation.outputs[0] if operation.outputs else ABSENT
    return output == ABSENT or facts.size(output) > facts.size(data) / 2
