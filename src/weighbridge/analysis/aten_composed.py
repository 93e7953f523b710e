"""Torch's operators that several of ONNX's together compute: losses as distances, choices among
sorted numbers, windows, and what has no operator of its own."""

from __future__ import annotations

import math
from typing import Any, Final

from weighbridge.analysis.aten import Call, Plain, Ref, Rule, Untranslated
from weighbridge.analysis.aten_numbers import cut_off
from weighbridge.analysis.graph_folding import FOLDED

_LARGEST: Final = 3.4028234663852886e38
"""The largest number of 32 bits."""


def _size(c: Call, x: int, axis: int) -> int:
    """How long an axis is. Raises `Untranslated` where that is not known."""
    shape = c.w.shape(x)
    size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    if not isinstance(size, int):
        raise Untranslated
    return size


# Distances -----------------------------------------------------------------------------------


def _loss(each: Rule) -> Rule:
    """A distance of each pair of numbers, all of them, their mean or their sum."""

    def rule(c: Call) -> Any:
        reduction = c.whole("reduction", 1)
        made = each(c)
        if reduction == 0:
            return made
        return c.w.op("ReduceMean" if reduction == 1 else "ReduceSum", made, keepdims=0)

    return rule


def _off(c: Call) -> int:
    return c.w.op("Sub", c.x("self"), c.x("target"))


def _squared(c: Call) -> int:
    off = _off(c)
    return c.w.op("Mul", off, off)


def _bent(key: str) -> Rule:
    """A square near nothing and a line further on; `huber_loss` by how far it is a square, divided
    by that as `smooth_l1_loss`."""

    def rule(c: Call) -> Any:
        bound = float(c.get(key, 1.0))
        size = c.w.op("Abs", _off(c))
        if not bound:
            return size
        half, edge = c.w.number(0.5), c.w.number(bound)
        square = c.w.op("Mul", c.w.op("Mul", size, size), half)
        line = c.w.op("Mul", edge, c.w.op("Sub", size, c.w.number(bound / 2)))
        made = c.w.op("Where", c.w.op("Less", size, edge), square, line)
        return made if key == "delta" else c.w.op("Div", made, edge)

    return rule


def _hypot(c: Call) -> Any:
    x, y = c.x("self"), c.x("other")
    return c.w.op("Sqrt", c.w.op("Add", c.w.op("Mul", x, x), c.w.op("Mul", y, y)))


def _dist(c: Call) -> Any:
    off = c.w.op("Sub", c.x("self"), c.x("other"))
    ops = {1: "ReduceL1", 2: "ReduceL2"}
    order = c.get("p", 2)
    if order not in ops:
        raise Untranslated
    return c.w.op(ops[order], off, keepdims=0)


def _close(c: Call) -> Any:
    """Whether two numbers are as good as the same."""
    x, other = c.x("self"), c.x("other")
    relative = c.w.op("Mul", c.w.op("Abs", other), c.w.number(float(c.get("rtol", 1e-5))))
    bound = c.w.op("Add", relative, c.w.number(float(c.get("atol", 1e-8))))
    made = c.w.op("LessOrEqual", c.w.op("Abs", c.w.op("Sub", x, other)), bound)
    return c.w.op("ReduceMin", made, keepdims=0) if c.name == "allclose" else made


# Numbers one by one --------------------------------------------------------------------------


def _trunc(c: Call) -> Any:
    x = c.x("self")
    if c.w.is_whole(x):
        return c.w.op("Identity", x)
    return cut_off(c, x)


def _frac(c: Call) -> Any:
    return c.w.op("Sub", c.x("self"), _trunc(c))


def _logit(c: Call) -> Any:
    x, one = c.x("self"), c.w.number(1.0)
    edge = c["eps"]
    if isinstance(edge, int | float):
        x = c.w.op("Clip", x, c.w.number(float(edge)), c.w.number(1.0 - float(edge)))
    return c.w.op("Log", c.w.op("Div", x, c.w.op("Sub", one, x)))


def _log_sigmoid(c: Call) -> Any:
    return c.w.op("Neg", c.w.op("Softplus", c.w.op("Neg", c.x("self"))))


def _log_add(c: Call) -> Any:
    x, y = c.x("self"), c.x("other")
    apart = c.w.op("Neg", c.w.op("Abs", c.w.op("Sub", x, y)))
    more = c.w.op("Log", c.w.op("Add", c.w.op("Exp", apart), c.w.number(1.0)))
    return c.w.op("Add", c.w.op("Max", x, y), more)


def _heaviside(c: Call) -> Any:
    x = c.x("self")
    nothing, one = c.value(0.0, x), c.value(1.0, x)
    above = c.w.op("Where", c.w.op("Greater", x, nothing), one, nothing)
    return c.w.op("Where", c.w.op("Equal", x, nothing), c.x("values"), above)


def _only_numbers(c: Call) -> Any:
    x = c.x("self")
    made = c.w.op("Where", c.w.op("IsNaN", x), c.w.number(float(c.get("nan", 0.0))), x)
    low, high = float(c.get("neginf", -_LARGEST)), float(c.get("posinf", _LARGEST))
    if (low, high) != (-_LARGEST, _LARGEST):
        c.roughly()
    return c.w.op("Clip", made, c.w.number(low), c.w.number(high), shape=c.first)


def _erfc(c: Call) -> Any:
    return c.w.op("Sub", c.w.number(1.0), c.w.op("Erf", c.x("self")))


def _tanh_shrink(c: Call) -> Any:
    x = c.x("self")
    return c.w.op("Sub", x, c.w.op("Tanh", x))


def _shrink(soft: bool) -> Rule:
    """What lies near nothing becomes nothing; `soft`: the rest comes nearer by as much."""

    def rule(c: Call) -> Any:
        x, bound = c.x("self"), float(c.get("lambd", 0.5))
        edge = c.w.number(bound)
        size = c.w.op("Abs", x)
        kept = c.w.op("Sub", x, c.w.op("Mul", c.w.op("Sign", x), edge)) if soft else x
        return c.w.op("Where", c.w.op("Greater", size, edge), kept, c.w.number(0.0))

    return rule


def _scaled(factor: float) -> Rule:
    return lambda c: c.w.op("Mul", c.x("self"), c.w.number(factor))


def _ldexp(c: Call) -> Any:
    return c.w.op("Mul", c.x("self"), c.w.op("Pow", c.w.number(2.0), c.x("other")))


def _softmin(c: Call) -> Any:
    return c.w.op("Softmax", c.w.op("Neg", c.x("self")), axis=c.whole("dim", -1), shape=c.first)


def _is_any(c: Call) -> Any:
    """Which numbers are among others."""
    elements, others = c["elements"], c["test_elements"]
    if not isinstance(elements, Ref):
        raise Untranslated
    row = c.w.op("Reshape", c.value(others, elements.number), c.w.numbers((-1,)))
    same = c.w.op("Equal", c.w.unsqueeze(elements.number, -1), row)
    made = c.w.op("ReduceMax", same, c.w.numbers((-1,)), keepdims=0)
    return c.w.op("Not", made, shape=c.first) if c["invert"] else made


# Along an axis -------------------------------------------------------------------------------


def _diff(c: Call) -> Any:
    if c.whole("n", 1) != 1 or c["prepend"] is not None or c["append"] is not None:
        raise Untranslated
    x, axis = c.x("self"), c.w.numbers((c.whole("dim", -1),))
    end = c.w.numbers(((1 << 63) - 1,))
    later = c.w.op("Slice", x, c.w.numbers((1,)), end, axis)
    before = c.w.op("Slice", x, c.w.numbers((0,)), c.w.numbers((-1,)), axis)
    if c.w.type(x) == "bool":
        return c.w.op("Xor", later, before, shape=c.first)
    return c.w.op("Sub", later, before, shape=c.first)


def _counted(c: Call) -> Any:
    x = c.x("self")
    there = c.w.cast(c.w.truth(x), "int64")
    axes = c.ints("dim") if c["dim"] is not None else ()
    more = (c.w.numbers(axes),) if axes else ()
    return c.w.op("ReduceSum", there, *more, keepdims=0, shape=c.first)


def _both_extremes(c: Call) -> Any:
    x, keep = c.x("self"), int(bool(c.get("keepdim", False)))
    more = (c.w.numbers((c.whole("dim"),)),) if c["dim"] is not None else ()
    return [c.w.op(op, x, *more, keepdims=keep) for op in ("ReduceMin", "ReduceMax")]


def _placed(c: Call, x: int, place: int, axis: int) -> Any:
    """The number at a place of those along an axis, in order, and where it stands."""
    size = _size(c, x, axis)
    keep = bool(c.get("keepdim", False))
    sorted_, places = c.w.ops("TopK", 2, x, c.w.numbers((size,)), axis=axis, largest=0)
    at = c.w.numbers((place,)) if keep else c.w.number(place)
    return [c.w.op("Gather", v, at, axis=axis) for v in (sorted_, places)]


def _median(c: Call) -> Any:
    """The number in the middle, the lower of two."""
    x = c.x("self")
    if c["dim"] is not None:
        axis = c.whole("dim")
        return _placed(c, x, (_size(c, x, axis) - 1) // 2, axis)
    row = c.w.op("Reshape", x, c.w.numbers((-1,)))
    shape = c.w.shape(x)
    if shape is None or not all(isinstance(s, int) for s in shape):
        raise Untranslated
    count = math.prod(s for s in shape if isinstance(s, int))
    found = c.w.ops("TopK", 2, row, c.w.numbers((count,)), axis=0, largest=0)[0]
    return c.w.op("Gather", found, c.w.number((count - 1) // 2), axis=0)


def _kth(c: Call) -> Any:
    return _placed(c, c.x("self"), c.whole("k") - 1, c.whole("dim", -1))


def _unfold(c: Call) -> Any:
    """Windows along an axis, each along a new last axis."""
    x, size, step = c.x("self"), c.whole("size"), c.whole("step", 1)
    rank = c.w.rank(x)
    if rank is None or size < 1 or step < 1:
        raise Untranslated
    axis = c.whole("dimension") % rank
    starts = range(0, _size(c, x, axis) - size + 1, step)
    if not 0 < len(starts) * size <= 16 * FOLDED:
        raise Untranslated
    places = c.w.numbers([start + i for start in starts for i in range(size)])
    row = c.w.op("Gather", x, places, axis=axis)
    shape = [0] * axis + [len(starts), size]
    rest = (c.w.shape(x) or ())[axis + 1 :]
    if not all(isinstance(d, int) for d in rest):
        raise Untranslated
    made = c.w.op("Reshape", row, c.w.numbers([*shape, *(int(d) for d in rest)]))
    order = [*range(axis + 1), *range(axis + 2, rank + 1), axis + 1]
    return c.w.op("Transpose", made, perm=tuple(order), shape=c.first)


def _stacked(axis: int) -> Rule:
    """Tensors side by side (`hstack`), or one on the other (`vstack`)."""

    def rule(c: Call) -> Any:
        parts = c.tensors("tensors")
        ranks = {c.w.rank(p) for p in parts}
        if len(ranks) != 1 or None in ranks:
            raise Untranslated
        flat = ranks == {1}
        if c.name in ("vstack", "row_stack") and flat:
            parts = [c.w.unsqueeze(p, 0) for p in parts]
        if c.name == "column_stack" and flat:
            parts = [c.w.unsqueeze(p, 1) for p in parts]
        along = 0 if c.name == "hstack" and flat else axis
        return c.w.op("Concat", *parts, axis=along, shape=c.first)

    return rule


def _broadcast(c: Call) -> Any:
    """Tensors in the shape in which they meet."""
    parts = c.tensors("tensors")
    shapes = {c.w.shape(p) for p in parts}
    if len(shapes) == 1 and None not in shapes:
        return parts
    made = []
    for part in parts:
        spread = part
        for other in parts:
            if other != part:
                spread = c.w.op("Expand", spread, c.w.op("Shape", other))
        made.append(spread)
    return made


def _is_nonzero(c: Call) -> Any:
    value = c["self"]
    if isinstance(value, int | float):
        return Plain(bool(value))
    return c.w.truth(c.x("self"))


_PAIR: Final = "self target reduction"
COMPOSED: Final[dict[str, tuple[str, Rule]]] = {
    "mse_loss": (_PAIR, _loss(_squared)),
    "l1_loss": (_PAIR, _loss(lambda c: c.w.op("Abs", _off(c)))),
    "smooth_l1_loss": (f"{_PAIR} beta", _loss(_bent("beta"))),
    "huber_loss": (f"{_PAIR} delta", _loss(_bent("delta"))),
    "hypot": ("self other", _hypot), "dist": ("self other p", _dist),
    "isclose": ("self other rtol atol", _close), "allclose": ("self other rtol atol", _close),
    "trunc": ("self", _trunc), "fix": ("self", _trunc), "frac": ("self", _frac),
    "logit": ("self eps", _logit), "special_logit": ("self eps", _logit),
    "log_sigmoid": ("self", _log_sigmoid), "logaddexp": ("self other", _log_add),
    "heaviside": ("self values", _heaviside),
    "nan_to_num": ("self nan posinf neginf", _only_numbers),
    "erfc": ("self", _erfc), "special_erfc": ("self", _erfc), "tanhshrink": ("self", _tanh_shrink),
    "hardshrink": ("self lambd", _shrink(False)), "softshrink": ("self lambd", _shrink(True)),
    "rad2deg": ("self", _scaled(180 / math.pi)), "deg2rad": ("self", _scaled(math.pi / 180)),
    "ldexp": ("self other", _ldexp), "softmin": ("self dim dtype", _softmin),
    "isin": ("elements test_elements assume_unique invert", _is_any),
    "diff": ("self n dim prepend append", _diff), "count_nonzero": ("self dim", _counted),
    "aminmax": ("self dim keepdim", _both_extremes), "median": ("self dim keepdim", _median),
    "kthvalue": ("self k dim keepdim", _kth),
    "unfold": ("self dimension size step", _unfold),
    "hstack": ("tensors", _stacked(1)), "vstack": ("tensors", _stacked(0)),
    "row_stack": ("tensors", _stacked(0)), "column_stack": ("tensors", _stacked(1)),
    "is_nonzero": ("self", _is_nonzero), "broadcast_tensors": ("tensors", _broadcast),
}  # fmt: skip
