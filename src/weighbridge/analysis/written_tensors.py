"""Operators that move numbers, or make them of sizes, as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.written_pen import LOOSE, Pen
from weighbridge.analysis.written_rules import (
    Given,
    Rule,
    chosen,
    floating,
    kept_attributes,
    needed,
    same,
)
from weighbridge.analysis.written_types import TYPES, Unwritable, category

TO_END: Final = 2**63 - 1
"""A place after the last one."""

# What moves numbers ------------------------------------------------------------------------------


def _with_row(op: str, allowed: str = "", required: bool = True) -> Rule:
    """An operator whose second input is sizes or axes, which may stand in an attribute."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        kept = kept_attributes(o, f"{allowed} axes")
        said = kept.pop("axes", None)
        row = pen.plain(said if isinstance(said, tuple) else (said,)) if said else None
        if row is None and len(given) > 1 and given[1] is not None:
            row = pen.row(given[1])
        if row is None and required:
            raise Unwritable(f"{op} without sizes")
        pen.give(o, op, [needed(given, 0), row], **kept)

    return rule


def _shape(op: str, allowed: str = "") -> Rule:
    return lambda pen, o, given: pen.give(
        o, op, [needed(given, 0)], "int64", **kept_attributes(o, allowed)
    )


def _transpose(pen: Pen, o: Operation, given: Given) -> None:
    first = needed(given, 0)
    order = kept_attributes(o, "perm").get("perm", ())
    if first.rank is not None and sorted(order) != list(range(max(first.rank, 0))):
        raise Unwritable("axes in an order that is not known")
    pen.give(o, "Transpose", [first], perm=tuple(order))


def _concat(pen: Pen, o: Operation, given: Given) -> None:
    shapes = [pen.made.shapes[i] for i in o.inputs if i != ABSENT]
    empty = [shape == (0,) for shape in shapes]  # which torch puts beside anything
    empty = empty if any(len(shape or ()) > 1 for shape in shapes) else [False] * len(shapes)
    operands = pen.alike([needed(given, i) for i, none in enumerate(empty) if not none])
    if not operands:
        raise Unwritable("an operator is given too little")
    pen.give(o, "Concat", operands, **kept_attributes(o, "axis"))


def _split(pen: Pen, o: Operation, given: Given) -> None:
    kept = kept_attributes(o, "axis split num_outputs")
    said, _ = kept.pop("split", None), kept.pop("num_outputs", None)
    row = pen.plain(said) if said else None
    if row is None and len(given) > 1 and given[1] is not None:
        row = pen.row(given[1])
    more = {"num_outputs": len(o.outputs)} if row is None else {}
    pen.give(o, "Split", [needed(given, 0), row], **kept, **more)


def _slice(pen: Pen, o: Operation, given: Given) -> None:
    """A cut between bounds; of so many, where it is `sized`, and minus one is all that follow."""
    sized = kept_attributes(o, "sized").get("sized", 0)
    if len(given) < 3:
        raise Unwritable("a cut whose bounds are not known")
    rows = [None if g is None else pen.row(g) for g in given[1:5]]
    if sized:
        start, end = rows[:2]
        count = pen.node("Sub", [end, start])
        to_end = pen.node("Equal", [count, pen.plain((-1,))], "bool")
        rows[1] = pen.node("Where", [to_end, pen.plain((TO_END,)), end], "int64")
    pen.give(o, "Slice", [needed(given, 0), *rows])


def _gather(op: str, allowed: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        index = needed(given, 1)
        if category(index.type) != 1:
            raise Unwritable("places that are no whole numbers")
        if index.type != "int32":
            index = pen.cast(index, "int64")
        if op == "GatherND":
            index = pen.cast(index, "int64")
        pen.give(o, op, [needed(given, 0), index], **kept_attributes(o, allowed))

    return rule


def _scatter(op: str, allowed: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first, index = needed(given, 0), needed(given, 1)
        if category(index.type) != 1:
            raise Unwritable("places that are no whole numbers")
        put = pen.cast(needed(given, 2), first.type)
        pen.give(o, op, [first, pen.cast(index, "int64"), put], **kept_attributes(o, allowed))

    return rule


def _compress(pen: Pen, o: Operation, given: Given) -> None:
    mask = pen.cast(needed(given, 1), "bool")
    pen.give(o, "Compress", [needed(given, 0), mask], **kept_attributes(o, "axis"))


def _range(pen: Pen, o: Operation, given: Given) -> None:
    ends = pen.alike([needed(given, i) for i in range(3)])
    flat = [x if x.rank in (0, LOOSE) else pen.node("Reshape", [x, pen.plain(())]) for x in ends]
    pen.give(o, "Range", flat)


def _with_number(op: str, allowed: str) -> Rule:
    """An operator whose second input is one whole number."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        more = [pen.cast(g, "int64") for g in given[1:2] if g is not None]
        pen.give(o, op, [needed(given, 0), *more], **kept_attributes(o, allowed))

    return rule


def _spread(pen: Pen, o: Operation, given: Given) -> None:
    pen.give(o, "Expand", [needed(given, 0), pen.row(needed(given, 1))])


def _pad(pen: Pen, o: Operation, given: Given) -> None:
    first = needed(given, 0)
    value = given[2] if len(given) > 2 else None
    if value is not None:
        value = pen.cast(value, first.type)
        value = value if value.rank in (0, LOOSE) else pen.node(
            "Reshape", [value, pen.plain(())])  # fmt: skip
    pen.give(o, "Pad", [first, pen.row(needed(given, 1)), value], **kept_attributes(o, "mode"))


def _resize(pen: Pen, o: Operation, given: Given) -> None:
    """To sizes that are given: of all axes, or of those of space only."""
    kept = kept_attributes(o, "mode coordinate_transformation_mode nearest_mode cubic_coeff_a")
    first = floating(pen, needed(given, 0))
    if len(given) < 4 or first.rank is None or "coordinate_transformation_mode" not in kept:
        raise Unwritable("a change of size that is not known")
    sizes = pen.row(needed(given, 3))
    count = (pen.made.shapes[o.inputs[3]] or (None,))[0]
    if not isinstance(count, int) or count not in (first.rank, first.rank - 2):
        raise Unwritable("a change of size that is not known")
    axes = tuple(range(first.rank - count, first.rank))
    pen.give(o, "Resize", [first, None, None, sizes], axes=axes, **kept)


def _one_hot(pen: Pen, o: Operation, given: Given) -> None:
    """Where the new axis is the last one, places that are none have nothing."""
    index, depth = pen.cast(needed(given, 0), "int64"), pen.cast(needed(given, 1), "int64")
    ends = needed(given, 2)
    if kept_attributes(o, "axis").get("axis", -1) != -1:
        raise Unwritable("OneHot along another axis than the last")
    flat = pen.node("Reshape", [depth, pen.plain(())])
    places = pen.node("Range", [pen.plain((0,), row=False), flat, pen.plain((1,), row=False)])
    there = pen.node("Equal", [pen.node("Unsqueeze", [index, pen.plain((-1,))]), places], "bool")
    off, on = (pen.node("Gather", [ends, pen.plain((i,), row=False)], axis=0) for i in (0, 1))
    chosen(pen, o, there, [on, off])


def _filled(pen: Pen, o: Operation, given: Given) -> None:
    """Zeros in sizes that are given, or another number."""
    said = kept_attributes(o, "value").get("value", 0.0)
    numbers = said if isinstance(said, tuple) else (said,)
    if len(numbers) != 1:
        raise Unwritable("a number that is not known")
    number = pen.plain(numbers, "float32", row=False)
    pen.give(o, "Expand", [number, pen.row(needed(given, 0))])


# Lists of tensors: a tensor with one more axis -------------------------------------------------


def _empty_list(pen: Pen, o: Operation, given: Given) -> None:
    """A list of so many elements of a shape; a size that is not known is 1, as which it spreads."""
    type = kept_attributes(o, "of").get("of", "")
    if type not in TYPES:
        raise Unwritable("a list of what is not written")
    shape = pen.node("Max", [pen.row(needed(given, 0)), pen.plain((1,))])
    sizes = pen.node("Concat", [pen.row(needed(given, 1)), shape], axis=0)
    pen.give(o, "Expand", [pen.plain((0,), type, row=False), sizes])


def _step(pen: Pen, o: Operation, given: Given) -> None:
    """The element at a place."""
    place = pen.node("Reshape", [pen.cast(needed(given, 1), "int64"), pen.plain(())])
    pen.give(o, "Gather", [needed(given, 0), place], axis=0)


def _put(pen: Pen, o: Operation, given: Given) -> None:
    """A list with another element at a place."""
    items, item = needed(given, 0), needed(given, 1)
    place = pen.cast(needed(given, 2), "int64")
    count = pen.node("Gather", [pen.node("Shape", [items], "int64"), pen.plain((0,), row=False)],
                     axis=0)  # fmt: skip
    ends = (pen.plain((0,), row=False), count, pen.plain((1,), row=False))
    there = pen.node("Equal", [pen.node("Range", ends, "int64"), place], "bool")
    axes = pen.node("Shape", [pen.node("Shape", [item], "int64")])
    ones = pen.node("Expand", [pen.plain((1,)), axes])
    there = pen.node("Reshape", [there, pen.node("Concat", [pen.plain((-1,)), ones], axis=0)])
    new = pen.node("Unsqueeze", [pen.cast(item, items.type), pen.plain((0,))])
    chosen(pen, o, there, [new, items])


def _all_elements(pen: Pen, o: Operation, given: Given) -> None:
    if kept_attributes(o, "axis new_axis") != {"axis": 0, "new_axis": 1}:
        raise Unwritable("a list that is put together along another axis")
    pen.give(o, "Identity", [needed(given, 0)])


TENSORS: Final[Mapping[str, Rule]] = {
    "Shape": _shape("Shape", "start end"), "Size": _shape("Size"), "NonZero": _shape("NonZero"),
    "Reshape": _with_row("Reshape", "allowzero"), "Tile": _with_row("Tile"), "Expand": _spread,
    "Unsqueeze": _with_row("Unsqueeze"), "Squeeze": _with_row("Squeeze", required=False),
    "Transpose": _transpose, "Flatten": same("Flatten", "axis"), "Concat": _concat,
    "Split": _split, "Slice": _slice, "Gather": _gather("Gather", "axis"),
    "GatherElements": _gather("GatherElements", "axis"),
    "GatherND": _gather("GatherND", "batch_dims"), "ScatterND": _scatter("ScatterND", "reduction"),
    "ScatterElements": _scatter("ScatterElements", "axis reduction"), "Compress": _compress,
    "Range": _range, "Pad": _pad, "Resize": _resize, "OneHot": _one_hot,
    "SequenceEmpty": _empty_list, "SequenceInsert": _put, "Step": _step,
    "ConcatFromSequence": _all_elements, "ConstantOfShape": _filled,
    "Trilu": _with_number("Trilu", "upper"),
}  # fmt: skip
