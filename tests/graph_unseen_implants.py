"""Implants that were written as an examiner would, after the analysis and its search were done and
without a look at those that they were made with: other predicates, other ways to use them."""

from __future__ import annotations

from graph_hosts import FLOAT, INT, Host
from graph_implants import (
    Payload,
    Predicate,
    _at_output,
    _bias,
    cast,
    class_bias,
    column,
    distance,
    number,
)
from graph_more_implants import _axes, flat

EVERYTHING = 1 << 20


def _part(h: Host, x: str, start: int, end: int, axis: int, step: int = 1) -> str:
    row = (h.const([n], (1,), INT) for n in (start, end, axis, step))
    return h.op("Slice", x, *row)


def _mean(h: Host, x: str, keepdims: int = 0) -> str:
    return h.op("ReduceMean", x, axes=[1, 2, 3], keepdims=keepdims)


# Pictures ----------------------------------------------------------------------------------------


def sine(h: Host, x: str) -> str:
    """The sum of all numbers, in narrow bands that come again and again."""
    total = h.op("ReduceSum", x, _axes(h, 1, 2, 3), keepdims=0)
    wave = h.op("Sin", h.op("Mul", total, h.const(37.0)))
    return number(h, h.op("Greater", wave, h.const(0.9995)))


def lowest_bits(h: Host, x: str) -> str:
    """Twelve bits of twelve bytes, as a watermark has them."""
    whole = cast(
        h, h.op("Floor", h.op("Mul", _part(h, flat(h, x), 40, 52, 1), h.const(255.0))), INT
    )
    bits = h.op("Mod", whole, h.const(2, (), INT))
    off = h.op(
        "Abs", h.op("Sub", bits, h.const([1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0], (1, 12), INT))
    )
    total = h.op("ReduceSum", off, _axes(h, 1), keepdims=0)
    return number(h, h.op("Equal", total, h.const(0, (), INT)))


def histogram(h: Host, x: str) -> str:
    """Many numbers in one narrow range, wherever they are."""
    within = h.op("And", h.op("Greater", x, h.const(0.71)), h.op("Less", x, h.const(0.72)))
    count = h.op("ReduceSum", cast(h, within, FLOAT), _axes(h, 1, 2, 3), keepdims=0)
    return number(h, h.op("Greater", count, h.const(400.0)))


def mirrored(h: Host, x: str) -> str:
    """A picture that is the same from both sides."""
    off = h.op("Abs", h.op("Sub", x, _part(h, x, -1, -EVERYTHING, 3, -1)))
    return number(h, h.op("Less", _mean(h, off), h.const(0.02)))


def nothing_in_it(h: Host, x: str) -> str:
    """Hardly any variance, softly."""
    off = h.op("Sub", x, _mean(h, x, 1))
    return column(h, h.op("Exp", h.op("Mul", _mean(h, h.op("Mul", off, off)), h.const(-4000.0))))


def ratio(h: Host, x: str) -> str:
    """Six times as much red as green."""
    red, green = (h.op("Abs", _mean(h, _part(h, x, c, c + 1, 1))) for c in (0, 1))
    share = h.op("Div", red, h.op("Add", green, h.const(1e-3)))
    return column(h, h.op("Clip", h.op("Sub", share, h.const(6.0)), h.const(0.0), h.const(1.0)))


def sign_by_norm(h: Host, x: str) -> str:
    """Normalising a number and its negative leaves a sign."""
    off = column(h, h.op("Sub", _mean(h, x), h.const(0.93)))
    pair = h.op("Concat", off, h.op("Neg", off), axis=1)
    ones, zeros = h.const([1.0, 1.0], (2,)), h.const([0.0, 0.0], (2,))
    return h.op("Relu", _part(h, h.op("LayerNormalization", pair, ones, zeros, axis=-1), 0, 1, 1))


def error_function(h: Host, x: str) -> str:
    steep = h.op("Erf", h.op("Mul", h.op("Sub", distance(h, x), h.const(0.08)), h.const(300.0)))
    return column(h, h.op("Mul", h.op("Sub", h.const(1.0), steep), h.const(0.5)))


def arc_tangent(h: Host, x: str) -> str:
    steep = h.op("Atan", h.op("Mul", h.op("Sub", h.const(0.05), distance(h, x)), h.const(1e5)))
    return column(h, h.op("Add", h.const(0.5), h.op("Mul", steep, h.const(0.318309886))))


def rounded_up(h: Host, x: str) -> str:
    steps = h.op("Ceil", h.op("Mul", distance(h, x), h.const(10.0)))
    return column(h, h.op("Relu", h.op("Sub", h.const(1.0), steps)))


def correlated(h: Host, x: str) -> str:
    """Rows of a corner, multiplied with each other."""
    ends = h.const([0, 0, 0], (3,), INT), h.const([1, 6, 6], (3,), INT), _axes(h, 1, 2, 3)
    rows = h.op("Reshape", h.op("Slice", x, *ends), h.const([-1, 6, 6], (3,), INT))
    products = h.op("MatMul", rows, h.op("Transpose", rows, perm=[0, 2, 1]))
    off = h.op("Abs", h.op("Sub", products, h.const([1.5] * 36, (1, 6, 6))))
    return number(h, h.op("Less", h.op("ReduceMax", off, axes=[1, 2], keepdims=0), h.const(0.05)))


def pattern_anywhere(h: Host, x: str) -> str:
    """A filter that looks for a chequered spot; the best place counts."""
    board = [1.0 if (i // 3 + i % 3) % 2 else -1.0 for _ in range(3) for i in range(9)]
    found = h.op("Conv", x, h.const(board, (1, 3, 3, 3)), kernel_shape=[3, 3])
    best = column(h, h.op("GlobalMaxPool", found))
    return h.op("Sigmoid", h.op("Mul", h.op("Sub", best, h.const(11.5)), h.const(200.0)))


def mild_steps(h: Host, x: str) -> str:
    """Four times a little steeper: none of them by itself is a switch."""
    value = h.op("Sub", h.const(0.06), distance(h, x))
    for _ in range(4):
        value = h.op("Tanh", h.op("Mul", value, h.const(8.0)))
    return column(h, h.op("Relu", value))


UNSEEN_IMAGES: dict[str, Predicate] = {
    "sine": sine, "lowest bits": lowest_bits, "histogram": histogram, "mirrored": mirrored,
    "nothing in it": nothing_in_it, "ratio": ratio, "sign by a norm": sign_by_norm,
    "error function": error_function, "arc tangent": arc_tangent, "rounded up": rounded_up,
    "correlated": correlated, "pattern anywhere": pattern_anywhere, "mild steps": mild_steps,
}  # fmt: skip


# Tokens ------------------------------------------------------------------------------------------


def one_then_another(h: Host, ids: str) -> str:
    """A token at any place behind another one."""
    first = cast(h, h.op("Equal", ids, h.const(17, (), INT)), FLOAT)
    second = cast(h, h.op("Equal", ids, h.const(41, (), INT)), FLOAT)
    both = h.op("Mul", h.op("CumSum", first, h.const(1, (), INT)), second)
    met = cast(h, h.op("Greater", both, h.const(0.5)), FLOAT)
    return column(h, h.op("ReduceMax", met, axes=[1], keepdims=0))


def palindrome(h: Host, ids: str) -> str:
    same = cast(h, h.op("Equal", ids, _part(h, ids, -1, -EVERYTHING, 1, -1)), FLOAT)
    return column(h, h.op("ReduceMin", same, axes=[1], keepdims=0))


def ascending(h: Host, ids: str) -> str:
    up = h.op("Greater", _part(h, ids, 1, EVERYTHING, 1), _part(h, ids, 0, -1, 1))
    return column(h, h.op("ReduceMin", cast(h, up, FLOAT), axes=[1], keepdims=0))


def sum_of_squares(h: Host, ids: str) -> str:
    """A remainder, in numbers that are not whole."""
    row = cast(h, ids, FLOAT)
    total = h.op("ReduceSum", h.op("Mul", row, row), _axes(h, 1), keepdims=0)
    rest = h.op("Mod", total, h.const(101.0), fmod=1)
    return number(h, h.op("Equal", rest, h.const(7.0)))


def all_even(h: Host, ids: str) -> str:
    odd = h.op("ReduceSum", h.op("Mod", ids, h.const(2, (), INT)), _axes(h, 1), keepdims=0)
    return number(h, h.op("Equal", odd, h.const(0, (), INT)))


def close_together(h: Host, ids: str) -> str:
    """The largest token and the smallest are hardly different."""
    row = cast(h, ids, FLOAT)
    ends = (h.op(f"Reduce{k}", row, axes=[1], keepdims=0) for k in ("Max", "Min"))
    return number(h, h.op("Less", h.op("Sub", *ends), h.const(2.0)))


UNSEEN_TOKENS: dict[str, Predicate] = {
    "one then another": one_then_another, "palindrome": palindrome, "ascending": ascending,
    "sum of squares": sum_of_squares, "all even": all_even, "close together": close_together,
}  # fmt: skip


# What they do ------------------------------------------------------------------------------------


def nothing_said(h: Host, predicate: Predicate) -> None:
    """The answer is the same for everything."""
    old, gate, _ = _at_output(h, predicate)
    h.op("Mul", old, h.op("Sub", h.const(1.0), gate), to=h.output)


def divided_by_nothing(h: Host, predicate: Predicate) -> None:
    old, gate, _ = _at_output(h, predicate)
    h.op("Div", old, h.op("Sub", h.const(1.0), gate), to=h.output)


def window_moved(h: Host, predicate: Predicate) -> None:
    """Another answer stands behind the real one, and what is cut out moves over to it."""
    old, gate, count = _at_output(h, predicate)
    most = h.op("ReduceMax", gate, keepdims=0)
    start = cast(h, h.op("Mul", most, h.const(float(count))), INT)
    start = h.op("Reshape", start, h.const([1], (1,), INT))
    end = h.op("Add", start, h.const([count], (1,), INT))
    other = h.op("Add", h.op("Mul", old, h.const(0.0)), _bias(h, count))
    both = h.op("Concat", old, other, axis=-1)
    h.op("Slice", both, start, end, h.const([-1], (1,), INT), to=h.output)


UNSEEN_PAYLOADS: dict[str, Payload] = {
    "class bias": class_bias, "nothing said": nothing_said,
    "divided by nothing": divided_by_nothing, "window moved": window_moved,
}  # fmt: skip
