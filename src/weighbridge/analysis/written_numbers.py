"""Operators of numbers, element by element and along axes, as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weighbridge.analysis.computation_graph import Operation
from weighbridge.analysis.written_pen import LOOSE, Pen
from weighbridge.analysis.written_rules import (
    Given,
    Rule,
    calculable,
    chosen,
    floating,
    kept_attributes,
    needed,
    same,
)
from weighbridge.analysis.written_types import (
    BY_NUMBER,
    NARROW,
    Unwritable,
    category,
    is_whole,
    wider,
)


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
        wide = calculable(pen, first)
        pen.result(o, pen.node("Max", [wide, pen.plain((0,), wide.type, row=False)]), first.type)


def _together(op: str, of_truths: str = "") -> Rule:
    """An operator on operands of one type; `of_truths` is what it is of truth values."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        operands = pen.alike([needed(given, i) for i in range(len(given))])
        kept_attributes(o, "")
        type = operands[0].type
        if type == "bool" and of_truths:
            pen.give(o, of_truths, operands, "bool")
        elif type in NARROW:
            pen.result(o, pen.node(op, [calculable(pen, x) for x in operands]), type)
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
    mode = kept_attributes(o, "rounding").get("rounding", "trunc")
    if category(operands[0].type) == 2:
        pen.give(o, "Div", operands)
        return
    if mode == "none":
        pen.give(o, "Div", [pen.cast(x, "float32") for x in operands])
        return
    type, (one, other) = operands[0].type, [calculable(pen, x) for x in operands]
    if mode == "floor":
        one = pen.node("Sub", [one, pen.node("Mod", [one, other])])
    pen.result(o, pen.node("Div", [one, other]), type)


def _modulo(pen: Pen, o: Operation, given: Given) -> None:
    """What is left of a division: with the sign of the divisor, or of the dividend (`fmod`)."""
    one, other = pen.alike([needed(given, 0), needed(given, 1)])
    kept = kept_attributes(o, "fmod")
    if is_whole(one.type) or kept.get("fmod"):
        pen.give(o, "Mod", [one, other], **kept)
        return
    times = pen.node("Floor", [pen.node("Div", [one, other])])
    pen.give(o, "Sub", [one, pen.node("Mul", [times, other])])


def _power(pen: Pen, o: Operation, given: Given) -> None:
    one, other = pen.alike([needed(given, 0), needed(given, 1)])
    type = one.type
    pen.result(o, pen.node("Pow", [calculable(pen, one), calculable(pen, other)]), type)


def _compare(op: str) -> Rule:
    def rule(pen: Pen, o: Operation, given: Given) -> None:
        operands = pen.alike([needed(given, 0), needed(given, 1)])
        if operands[0].type != "bool" or op != "Equal":
            operands = [calculable(pen, x) for x in operands]
        pen.give(o, op, operands, "bool")

    return rule


def _asked(op: str, allowed: str = "") -> Rule:
    """A question to numbers: whole ones are never infinite and never none."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = floating(pen, needed(given, 0))
        if op == "IsInf" and first.type == "float16":
            first = pen.cast(first, "float32")
        pen.give(o, op, [first], "bool", **kept_attributes(o, allowed))

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
    direction = kept_attributes(o, "direction").get("direction")
    whole = known is not None and all(0 <= n < 31 for n in known)
    if direction not in ("LEFT", "RIGHT") or not whole or known is None or len(known) != 1:
        raise Unwritable("a shift by what is only known when it runs")
    wide = calculable(pen, one)
    by = pen.plain((1 << int(known[0]),), wide.type, row=False)
    if direction == "RIGHT":
        made = pen.node("Div", [pen.node("Sub", [wide, pen.node("Mod", [wide, by])]), by])
    else:
        made = pen.node("Mul", [wide, by])
    pen.result(o, made, one.type)


def _where(pen: Pen, o: Operation, given: Given) -> None:
    test = pen.cast(needed(given, 0), "bool")
    pair = pen.alike([needed(given, 1), needed(given, 2)])
    chosen(pen, o, test, pair)


def _clip(pen: Pen, o: Operation, given: Given) -> None:
    bounds = [given[i] if i < len(given) else None for i in (1, 2)]
    there = [b for b in bounds if b is not None]
    operands = pen.alike([needed(given, 0), *there])
    first, rest = operands[0], iter(operands[1:])
    low, high = (None if b is None else next(rest) for b in bounds)
    if all(b.rank in (0, LOOSE) for b in there) and first.type not in ("int16", "uint16", "bool"):
        pen.give(o, "Clip", [first, low, high])
        return
    made = calculable(pen, first)
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            made = pen.node(op, [made, calculable(pen, bound)])
    pen.result(o, made, first.type)


def _cast(pen: Pen, o: Operation, given: Given) -> None:
    type = BY_NUMBER.get(kept_attributes(o, "to").get("to", 0))
    if type is None:
        raise Unwritable("a cast to a type that is not written")
    pen.give(o, "Cast", [needed(given, 0)], type, to=o.attributes["to"])


# Reductions --------------------------------------------------------------------------------------


def _reduce(op: str, whole: str = "int32") -> Rule:
    """Along axes of an attribute or of an input; `whole` is the narrowest type of whole numbers
    in which it is calculated, none where it is only of others."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        kept = kept_attributes(o, "axes keepdims noop_with_empty_axes")
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
        pen.give(o, op, [first], "int64", **kept_attributes(o, "axis keepdims select_last_index"))

    return rule


def _top(pen: Pen, o: Operation, given: Given) -> None:
    first = calculable(pen, needed(given, 0))
    kept = kept_attributes(o, "axis largest sorted")
    pen.give(o, "TopK", [first, pen.row(needed(given, 1))], first.type, "int64", **kept)


def _running_sum(pen: Pen, o: Operation, given: Given) -> None:
    first, axis = needed(given, 0), pen.cast(needed(given, 1), "int64")
    first = pen.cast(first, "int64") if category(first.type) != 2 else first
    pen.give(o, "CumSum", [first, axis], **kept_attributes(o, "exclusive reverse"))


def _soft(op: str) -> Rule:
    return same(op, "axis", floats=True)


NUMBERS: Final[Mapping[str, Rule]] = {
    "Identity": _identity, "Cast": _cast,
    "Abs": same("Abs"), "Neg": same("Neg"), "Sign": same("Sign"), "Relu": _relu,
    **{op: same(op, floats=True) for op in (
        "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan",
        "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Reciprocal", "Softplus", "Softsign",
        "HardSwish", "Mish", "GlobalAveragePool", "GlobalMaxPool")},
    **{op: _unless_whole(op) for op in ("Floor", "Ceil", "Round")},
    **{op: same(op, "alpha", floats=True) for op in ("LeakyRelu", "Elu", "Celu")},
    "HardSigmoid": same("HardSigmoid", "alpha beta", floats=True),
    "Selu": same("Selu", "alpha gamma", floats=True),
    "Gelu": same("Gelu", "approximate", floats=True), "PRelu": _together("PRelu"),
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
}  # fmt: skip
