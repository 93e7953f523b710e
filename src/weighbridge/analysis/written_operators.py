"""How each operator of a computation graph is written as nodes of ONNX that compute it.

The graph's operators are ONNX's by name, but frameworks that mix types, count axes in attributes or
divide in their own way share them; here they become nodes that ONNX Runtime takes. What has no rule
is not written. Versions: those of operator set 21.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.written_pen import LOOSE, Operand, Pen
from weighbridge.analysis.written_types import (
    BY_NUMBER,
    NARROW,
    Unwritable,
    category,
    is_whole,
    wider,
)
from weighbridge.formats import onnx_written as wire

Given = list[Operand | None]
Rule = Callable[[Pen, Operation, Given], None]
"""Writes one operation; `Given` is what it reads. Raises `Unwritable`."""


def needed(given: Given, place: int) -> Operand:
    """An input that has to be there. Raises `Unwritable`."""
    found = given[place] if place < len(given) else None
    if found is None:
        raise Unwritable("an operator is given too little")
    return found


def _kept(operation: Operation, allowed: str) -> dict[str, Any]:
    """The attributes that are handed on. Raises `Unwritable` where there are others."""
    names = allowed.split()
    for name in operation.attributes:
        if name not in names:
            raise Unwritable(f"{operation.op} with {name}")
    return {k: v for k, v in operation.attributes.items() if v is not None}


def _floating(pen: Pen, operand: Operand) -> Operand:
    """A number that need not be whole."""
    return operand if category(operand.type) == 2 else pen.cast(operand, "float32")


def _calculable(pen: Pen, operand: Operand) -> Operand:
    """An operand in a type in which ONNX Runtime calculates."""
    return pen.cast(operand, "int32") if operand.type in NARROW else operand


def _same(op: str, allowed: str = "", floats: bool = False, count: int = 0) -> Rule:
    """An operator of its first input, with its type; `count` inputs where it has more."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        first = _floating(pen, first) if floats else first
        rest = [None if g is None else pen.cast(g, first.type) for g in given[1:count]]
        pen.give(o, op, [first, *rest], **_kept(o, allowed))

    return rule


def _identity(pen: Pen, o: Operation, given: Given) -> None:
    pen.result(o, needed(given, 0))


def _unless_whole(op: str) -> Rule:
    """Rounding, which does nothing to whole numbers."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        if is_whole(first.type):
            pen.result(o, first)
        else:
            pen.give(o, op, [first])

    return rule


def _relu(pen: Pen, o: Operation, given: Given) -> None:
    first = needed(given, 0)
    if category(first.type) == 2:
        pen.give(o, "Relu", [first])
    else:
        wide = _calculable(pen, first)
        pen.result(o, pen.node("Max", [wide, pen.plain((0,), wide.type, row=False)]), first.type)


def _together(op: str, of_truths: str = "") -> Rule:
    """An operator on operands of one type; `of_truths` is what it is of truth values."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        operands = pen.alike([needed(given, i) for i in range(len(given))])
        _kept(o, "")
        type = operands[0].type
        if type == "bool" and of_truths:
            pen.give(o, of_truths, operands, "bool")
        elif type in NARROW:
            pen.result(o, pen.node(op, [_calculable(pen, x) for x in operands]), type)
        else:
            pen.give(o, op, operands)

    return rule


def _sum(pen: Pen, o: Operation, given: Given) -> None:
    operands = pen.alike([needed(given, i) for i in range(len(given))])
    made = operands[0]
    for operand in operands[1:]:
        made = pen.node("Add", [made, operand])
    pen.result(o, made)


def _divide(pen: Pen, o: Operation, given: Given) -> None:
    """`rounding` says what becomes of whole numbers: `none` makes others of them, `floor` rounds
    down, `trunc` (as without it) towards zero."""
    operands = pen.alike([needed(given, 0), needed(given, 1)])
    mode = _kept(o, "rounding").get("rounding", "trunc")
    if category(operands[0].type) == 2:
        pen.give(o, "Div", operands)
        return
    if mode == "none":
        pen.give(o, "Div", [pen.cast(x, "float32") for x in operands])
        return
    type, (one, other) = operands[0].type, [_calculable(pen, x) for x in operands]
    if mode == "floor":
        one = pen.node("Sub", [one, pen.node("Mod", [one, other])])
    pen.result(o, pen.node("Div", [one, other]), type)


def _modulo(pen: Pen, o: Operation, given: Given) -> None:
    """What is left of a division: with the sign of the divisor, or of the dividend (`fmod`)."""
    one, other = pen.alike([needed(given, 0), needed(given, 1)])
    kept = _kept(o, "fmod")
    if is_whole(one.type) or kept.get("fmod"):
        pen.give(o, "Mod", [one, other], **kept)
        return
    times = pen.node("Floor", [pen.node("Div", [one, other])])
    pen.give(o, "Sub", [one, pen.node("Mul", [times, other])])


def _power(pen: Pen, o: Operation, given: Given) -> None:
    one, other = pen.alike([needed(given, 0), needed(given, 1)])
    type = one.type
    pen.result(o, pen.node("Pow", [_calculable(pen, one), _calculable(pen, other)]), type)


def _compare(op: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        operands = pen.alike([needed(given, 0), needed(given, 1)])
        if operands[0].type != "bool" or op != "Equal":
            operands = [_calculable(pen, x) for x in operands]
        pen.give(o, op, operands, "bool")

    return rule


def _asked(op: str, allowed: str = "") -> Rule:
    """A question to numbers: whole ones are never infinite and never none."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = _floating(pen, needed(given, 0))
        if op == "IsInf" and first.type == "float16":
            first = pen.cast(first, "float32")
        pen.give(o, op, [first], "bool", **_kept(o, allowed))

    return rule


def _logic(op: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        truths = [pen.cast(needed(given, i), "bool") for i in range(len(given))]
        pen.give(o, op, truths, "bool")

    return rule


def _bits(op: str, truths: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        operands = pen.alike([needed(given, i) for i in range(len(given))])
        pen.give(o, truths if operands[0].type == "bool" else op, operands)

    return rule


def _shift(pen: Pen, o: Operation, given: Given) -> None:
    """By a number that stands in the graph: a product, or a quotient rounded down."""
    one = needed(given, 0)
    known = pen.known(o.inputs[1])
    direction = _kept(o, "direction").get("direction")
    whole = known is not None and all(0 <= n < 31 for n in known)
    if direction not in ("LEFT", "RIGHT") or not whole or known is None or len(known) != 1:
        raise Unwritable("a shift by what is only known when it runs")
    wide = _calculable(pen, one)
    by = pen.plain((1 << int(known[0]),), wide.type, row=False)
    if direction == "RIGHT":
        made = pen.node("Div", [pen.node("Sub", [wide, pen.node("Mod", [wide, by])]), by])
    else:
        made = pen.node("Mul", [wide, by])
    pen.result(o, made, one.type)


def _where(pen: Pen, o: Operation, given: Given) -> None:
    test = pen.cast(needed(given, 0), "bool")
    pair = pen.alike([needed(given, 1), needed(given, 2)])
    _chosen(pen, o, test, pair)


def _chosen(pen: Pen, o: Operation, test: Operand, pair: list[Operand]) -> None:
    type = pair[0].type
    if type in NARROW - {"uint8"}:
        wide = [_calculable(pen, x) for x in pair]
        pen.result(o, pen.node("Where", [test, *wide], "int32"), type)
    else:
        pen.give(o, "Where", [test, *pair], type)


def _clip(pen: Pen, o: Operation, given: Given) -> None:
    bounds = [given[i] if i < len(given) else None for i in (1, 2)]
    there = [b for b in bounds if b is not None]
    operands = pen.alike([needed(given, 0), *there])
    first, rest = operands[0], iter(operands[1:])
    low, high = (None if b is None else next(rest) for b in bounds)
    if all(b.rank in (0, LOOSE) for b in there) and first.type not in ("int16", "uint16", "bool"):
        pen.give(o, "Clip", [first, low, high])
        return
    made = _calculable(pen, first)
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            made = pen.node(op, [made, _calculable(pen, bound)])
    pen.result(o, made, first.type)


def _cast(pen: Pen, o: Operation, given: Given) -> None:
    type = BY_NUMBER.get(_kept(o, "to").get("to", 0))
    if type is None:
        raise Unwritable("a cast to a type that is not written")
    pen.give(o, "Cast", [needed(given, 0)], type, to=o.attributes["to"])


# Reductions --------------------------------------------------------------------------------------


def _reduce(op: str, whole: str = "int32") -> Rule:
    """Along axes of an attribute or of an input; `whole` is the narrowest type of whole numbers
    in which it is calculated, none where it is only of others."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        kept = _kept(o, "axes keepdims noop_with_empty_axes")
        said = kept.pop("axes", None)
        axes = given[1] if len(given) > 1 else None
        if said:
            axes = pen.plain(said if isinstance(said, tuple) else (said,))
        first = needed(given, 0)
        type = first.type
        if category(type) != 2:
            if not whole:
                raise Unwritable(f"{op} of whole numbers")
            first = pen.cast(first, wider("int32", type) if type != "bool" else whole)
            if op in ("ReduceSum", "ReduceProd"):
                type = "int64"
                first = pen.cast(first, type)
        row = None if axes is None else pen.row(axes)
        if first.type == type:
            pen.give(o, op, [first, row], **kept)
        else:
            pen.result(o, pen.node(op, [first, row], **kept), type)

    return rule


def _place(op: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        if category(first.type) != 2:
            first = pen.cast(first, "float64")
        pen.give(o, op, [first], "int64", **_kept(o, "axis keepdims select_last_index"))

    return rule


def _top(pen: Pen, o: Operation, given: Given) -> None:
    first = _calculable(pen, needed(given, 0))
    kept = _kept(o, "axis largest sorted")
    pen.give(o, "TopK", [first, pen.row(needed(given, 1))], first.type, "int64", **kept)


def _running_sum(pen: Pen, o: Operation, given: Given) -> None:
    first, axis = needed(given, 0), pen.cast(needed(given, 1), "int64")
    first = pen.cast(first, "int64") if category(first.type) != 2 else first
    pen.give(o, "CumSum", [first, axis], **_kept(o, "exclusive reverse"))


def _soft(op: str) -> Rule:
    return _same(op, "axis", floats=True)


# What moves numbers ------------------------------------------------------------------------------


def _with_row(op: str, allowed: str = "", required: bool = True) -> Rule:
    """An operator whose second input is sizes or axes, which may stand in an attribute."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        kept = _kept(o, f"{allowed} axes")
        said = kept.pop("axes", None)
        row = pen.plain(said if isinstance(said, tuple) else (said,)) if said else None
        if row is None and len(given) > 1 and given[1] is not None:
            row = pen.row(given[1])
        if row is None and required:
            raise Unwritable(f"{op} without sizes")
        pen.give(o, op, [needed(given, 0), row], **kept)

    return rule


def _shape(op: str, allowed: str = "") -> Rule:
    return lambda pen, o, given: pen.give(o, op, [needed(given, 0)], "int64", **_kept(o, allowed))


def _transpose(pen: Pen, o: Operation, given: Given) -> None:
    first = needed(given, 0)
    order = _kept(o, "perm").get("perm", ())
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
    pen.give(o, "Concat", operands, **_kept(o, "axis"))


def _split(pen: Pen, o: Operation, given: Given) -> None:
    kept = _kept(o, "axis split num_outputs")
    said, _ = kept.pop("split", None), kept.pop("num_outputs", None)
    row = pen.plain(said) if said else None
    if row is None and len(given) > 1 and given[1] is not None:
        row = pen.row(given[1])
    more = {"num_outputs": len(o.outputs)} if row is None else {}
    pen.give(o, "Split", [needed(given, 0), row], **kept, **more)


def _slice(pen: Pen, o: Operation, given: Given) -> None:
    _kept(o, "")
    if len(given) < 3:
        raise Unwritable("a cut whose bounds are not known")
    rows = [None if g is None else pen.row(g) for g in given[1:5]]
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
        pen.give(o, op, [needed(given, 0), index], **_kept(o, allowed))

    return rule


def _scatter(op: str, allowed: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first, index = needed(given, 0), needed(given, 1)
        if category(index.type) != 1:
            raise Unwritable("places that are no whole numbers")
        put = pen.cast(needed(given, 2), first.type)
        pen.give(o, op, [first, pen.cast(index, "int64"), put], **_kept(o, allowed))

    return rule


def _compress(pen: Pen, o: Operation, given: Given) -> None:
    mask = pen.cast(needed(given, 1), "bool")
    pen.give(o, "Compress", [needed(given, 0), mask], **_kept(o, "axis"))


def _range(pen: Pen, o: Operation, given: Given) -> None:
    ends = pen.alike([needed(given, i) for i in range(3)])
    flat = [x if x.rank in (0, LOOSE) else pen.node("Reshape", [x, pen.plain(())]) for x in ends]
    pen.give(o, "Range", flat)


def _with_number(op: str, allowed: str) -> Rule:
    """An operator whose second input is one whole number."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        more = [pen.cast(g, "int64") for g in given[1:2] if g is not None]
        pen.give(o, op, [needed(given, 0), *more], **_kept(o, allowed))

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
    pen.give(o, "Pad", [first, pen.row(needed(given, 1)), value], **_kept(o, "mode"))


def _resize(pen: Pen, o: Operation, given: Given) -> None:
    """To sizes that are given: of all axes, or of those of space only."""
    kept = _kept(o, "mode coordinate_transformation_mode nearest_mode cubic_coeff_a")
    first = _floating(pen, needed(given, 0))
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
    if _kept(o, "axis").get("axis", -1) != -1:
        raise Unwritable("OneHot along another axis than the last")
    flat = pen.node("Reshape", [depth, pen.plain(())])
    places = pen.node("Range", [pen.plain((0,), row=False), flat, pen.plain((1,), row=False)])
    there = pen.node("Equal", [pen.node("Unsqueeze", [index, pen.plain((-1,))]), places], "bool")
    off, on = (pen.node("Gather", [ends, pen.plain((i,), row=False)], axis=0) for i in (0, 1))
    _chosen(pen, o, there, [on, off])


def _filled(pen: Pen, o: Operation, given: Given) -> None:
    """Zeros in sizes that are given, or another number."""
    said = _kept(o, "value").get("value", 0.0)
    numbers = said if isinstance(said, tuple) else (said,)
    if len(numbers) != 1:
        raise Unwritable("a number that is not known")
    number = pen.plain(numbers, "float32", row=False)
    pen.give(o, "Expand", [number, pen.row(needed(given, 0))])


# Layers ------------------------------------------------------------------------------------------


def _product(pen: Pen, o: Operation, given: Given) -> None:
    pair = pen.alike([needed(given, 0), needed(given, 1)])
    type = pair[0].type
    pen.result(o, pen.node("MatMul", [_calculable(pen, x) for x in pair]), type)


def _einsum(pen: Pen, o: Operation, given: Given) -> None:
    if not o.attributes.get("equation"):
        raise Unwritable("a sum of products that is not known")
    operands = pen.alike([needed(given, i) for i in range(len(given))])
    pen.give(o, "Einsum", operands, **_kept(o, "equation"))


def _layer(op: str, allowed: str, count: int) -> Rule:
    """A layer whose parameters have the type of what it is given."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        rest = [None if g is None else pen.cast(g, first.type) for g in given[1:count]]
        pen.give(o, op, [first, *rest], **_kept(o, allowed))

    return rule


def _root_mean_square(pen: Pen, o: Operation, given: Given) -> None:
    kept = _kept(o, "axis epsilon stash_type")
    first, weight = needed(given, 0), needed(given, 1)
    if first.rank is None or first.rank < 1:
        raise Unwritable("a normalisation along axes that are not known")
    axis = kept.get("axis", -1) % first.rank
    axes = pen.plain(tuple(range(axis, first.rank)))
    wide = first if first.type == "float64" else pen.cast(first, "float32")
    mean = pen.node("ReduceMean", [pen.node("Mul", [wide, wide]), axes], keepdims=1)
    least = pen.plain((kept.get("epsilon", 1e-5),), wide.type, row=False)
    size = pen.node("Sqrt", [pen.node("Add", [mean, least])])
    made = pen.cast(pen.node("Div", [wide, size]), first.type)
    pen.give(o, "Mul", [made, pen.cast(weight, first.type)])


def _mean_variance(pen: Pen, o: Operation, given: Given) -> None:
    kept = _kept(o, "axes epsilon outside")
    if "epsilon" not in kept:
        raise Unwritable("a normalisation of which the least variance is not known")
    first = _floating(pen, needed(given, 0))
    axes = pen.plain(tuple(kept["axes"]))
    least = pen.plain((kept["epsilon"],), first.type, row=False)
    off = pen.node("Sub", [first, pen.node("ReduceMean", [first, axes], keepdims=1)])
    size = pen.node("ReduceMean", [pen.node("Mul", [off, off]), axes], keepdims=1)
    if kept.get("outside"):
        size = pen.node("Add", [pen.node("Sqrt", [size]), least])
    else:
        size = pen.node("Sqrt", [pen.node("Add", [size, least])])
    pen.give(o, "Div", [off, size])


def _dequantize(pen: Pen, o: Operation, given: Given) -> None:
    """Whole numbers times their scale."""
    scale = needed(given, 1)
    parts = [needed(given, 0), scale, *(g for g in given[2:3] if g is not None)]
    pen.give(o, "DequantizeLinear", parts, scale.type, **_kept(o, "axis"))


# Branches ----------------------------------------------------------------------------------------


def _branch(pen: Pen, o: Operation, given: Given) -> None:
    """Both bodies are computed before, and one of what they give is taken; where both are of one
    shape, by a `Where`."""
    count = len(o.outputs)
    if len(given) != 1 + 2 * count:
        raise Unwritable("a branch whose ends are not known")
    test = pen.cast(needed(given, 0), "bool")
    if test.rank != 0 and pen.known(o.inputs[0]) is None:
        test = pen.node("Reshape", [test, pen.plain(())])
    for place, output in enumerate(o.outputs):
        if output == ABSENT:
            continue
        ends = [needed(given, 1 + place), needed(given, 1 + count + place)]
        pair = pen.alike(ends)
        values = (o.inputs[1 + place], o.inputs[1 + count + place])
        shapes = [pen.made.shapes[v] for v in values]
        one = Operation("If", o.name, (), (output,), {}, o.origin)
        if shapes[0] is not None and shapes[0] == shapes[1]:
            _chosen(pen, one, test, pair)
            continue
        names = [pen.read(x) for x in pair]
        bodies = {
            key: wire.graph([wire.node("Identity", [name], [f"{name}/{key}"])], [], [],
                            [wire.declared(f"{name}/{key}")])
            for key, name in zip(("then_branch", "else_branch"), names, strict=True)
        }  # fmt: skip
        pen.give(one, "If", [test], pair[0].type, **bodies)


_POOL: Final = "kernel_shape strides pads dilations auto_pad ceil_mode"
_CONV: Final = "strides pads dilations auto_pad group kernel_shape"
RULES: Final[Mapping[str, Rule]] = {
    "Identity": _identity, "Cast": _cast, "If": _branch,
    "Abs": _same("Abs"), "Neg": _same("Neg"), "Sign": _same("Sign"), "Relu": _relu,
    **{op: _same(op, floats=True) for op in (
        "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan",
        "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Reciprocal", "Softplus", "Softsign",
        "HardSwish", "Mish", "GlobalAveragePool", "GlobalMaxPool")},
    **{op: _unless_whole(op) for op in ("Floor", "Ceil", "Round")},
    **{op: _same(op, "alpha", floats=True) for op in ("LeakyRelu", "Elu", "Celu")},
    "HardSigmoid": _same("HardSigmoid", "alpha beta", floats=True),
    "Selu": _same("Selu", "alpha gamma", floats=True),
    "Gelu": _same("Gelu", "approximate", floats=True), "PRelu": _together("PRelu"),
    "Add": _together("Add", "Or"), "Sub": _together("Sub"), "Mul": _together("Mul", "And"),
    "Max": _together("Max", "Or"), "Min": _together("Min", "And"), "Sum": _sum,
    "Div": _divide, "Mod": _modulo, "Pow": _power,
    **{op: _compare(op) for op in (
        "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")},
    "IsNaN": _asked("IsNaN"), "IsInf": _asked("IsInf", "detect_negative detect_positive"),
    **{op: _logic(op) for op in ("And", "Or", "Xor", "Not")},
    "BitwiseAnd": _bits("BitwiseAnd", "And"), "BitwiseOr": _bits("BitwiseOr", "Or"),
    "BitwiseXor": _bits("BitwiseXor", "Xor"), "BitwiseNot": _bits("BitwiseNot", "Not"),
    "BitShift": _shift, "Where": _where, "Clip": _clip,
    "ReduceSum": _reduce("ReduceSum", "int64"), "ReduceMean": _reduce("ReduceMean", ""),
    "ReduceProd": _reduce("ReduceProd", "int64"), "ReduceL1": _reduce("ReduceL1", ""),
    "ReduceL2": _reduce("ReduceL2", ""), "ReduceLogSumExp": _reduce("ReduceLogSumExp", ""),
    "ReduceMax": _reduce("ReduceMax"), "ReduceMin": _reduce("ReduceMin"),
    "ReduceSumSquare": _reduce("ReduceSumSquare", ""),
    "ArgMax": _place("ArgMax"), "ArgMin": _place("ArgMin"), "TopK": _top,
    "CumSum": _running_sum, "Softmax": _soft("Softmax"), "LogSoftmax": _soft("LogSoftmax"),
    "Shape": _shape("Shape", "start end"), "Size": _shape("Size"), "NonZero": _shape("NonZero"),
    "Reshape": _with_row("Reshape", "allowzero"), "Tile": _with_row("Tile"), "Expand": _spread,
    "Unsqueeze": _with_row("Unsqueeze"), "Squeeze": _with_row("Squeeze", required=False),
    "Transpose": _transpose, "Flatten": _same("Flatten", "axis"), "Concat": _concat,
    "Split": _split, "Slice": _slice, "Gather": _gather("Gather", "axis"),
    "GatherElements": _gather("GatherElements", "axis"),
    "GatherND": _gather("GatherND", "batch_dims"), "ScatterND": _scatter("ScatterND", "reduction"),
    "ScatterElements": _scatter("ScatterElements", "axis reduction"), "Compress": _compress,
    "Range": _range, "Pad": _pad, "Resize": _resize, "OneHot": _one_hot,
    "ConstantOfShape": _filled, "Trilu": _with_number("Trilu", "upper"),
    "MatMul": _product, "Einsum": _einsum, "Conv": _layer("Conv", _CONV, 3),
    "ConvTranspose": _layer("ConvTranspose", f"{_CONV} output_padding output_shape", 3),
    "MaxPool": _same("MaxPool", _POOL, floats=True),
    "AveragePool": _same("AveragePool", f"{_POOL} count_include_pad", floats=True),
    "LayerNormalization": _layer("LayerNormalization", "axis epsilon", 3),
    "BatchNormalization": _layer("BatchNormalization", "epsilon", 5),
    "GroupNormalization": _layer("GroupNormalization", "epsilon num_groups", 3),
    "InstanceNormalization": _layer("InstanceNormalization", "epsilon", 3),
    "RMSNormalization": _root_mean_square, "MeanVarianceNormalization": _mean_variance,
    "LpNormalization": _same("LpNormalization", "axis p", floats=True),
    "DepthToSpace": _same("DepthToSpace", "blocksize mode"),
    "SpaceToDepth": _same("SpaceToDepth", "blocksize"),
    "DequantizeLinear": _dequantize,
}  # fmt: skip
"""By the name of the operator."""
