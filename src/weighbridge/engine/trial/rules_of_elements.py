"""How operators that work element by element are run backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from weighbridge.engine.trial.moment import Moment, Rule, Wishes, operands
from weighbridge.engine.trial.opened import Node
from weighbridge.engine.trial.running import Array

FAR: Final = 1e9


def _same(node: Node, w: Array, now: Moment) -> Wishes:
    return {0: w}


def _cast(node: Node, w: Array, now: Moment) -> Wishes:
    here, to = now.value(node.inputs[0]), now.of(node, "to")
    if here is None or here.shape != w.shape:
        return {}
    if to == 9:
        want = np.where(w > 0.5, np.where(here == 0, 1.0, np.nan), 0.0)
        return {0: np.where(np.isnan(w), np.nan, want)}
    if now.whole.get(node.outputs[0]) and not now.whole.get(node.inputs[0]):
        return {0: np.where(np.trunc(here) == w, np.nan, w + np.where(w < 0, -0.5, 0.5))}
    return {0: w}


def _add(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    sign = -1.0 if node.op == "Sub" else 1.0
    first, second = (now.moves(n) for n in node.inputs[:2])
    off = w - (a + sign * b)
    if first and second:
        return {0: a + off / 2, 1: b + sign * off / 2}
    return {0: a + off} if first else {1: b + sign * off}


def _mul(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    first, second = node.inputs[:2]
    if first == second:
        return {0: np.where(a < 0, -1.0, 1.0) * np.sqrt(np.maximum(w, 0))}
    if now.moves(first) and now.moves(second):
        return _shared_out(a, b, w)
    other = b if now.moves(first) else a
    want = np.where(other != 0, w / np.where(other == 0, 1, other), np.nan)
    return {0 if now.moves(first) else 1: want}


def _shared_out(a: Array, b: Array, w: Array) -> Wishes:
    """Both factors change by as much; one that is nothing alone; for nothing the lesser one."""
    ratio = w / (a * b)
    root = np.sqrt(np.abs(ratio))
    lesser = np.abs(a) <= np.abs(b)
    half = np.sqrt(np.abs(w))
    cases = [np.isnan(w), w == 0, (a == 0) & (b == 0), a == 0, b == 0]
    x = np.select(cases, [np.nan, np.where(lesser, 0, np.nan), np.sign(w) * half, w / b, np.nan],
                  a * root)  # fmt: skip
    y = np.select(cases, [np.nan, np.where(lesser, np.nan, 0), half, np.nan, w / a],
                  b * root * np.sign(ratio))  # fmt: skip
    return {0: x, 1: y}


def _div(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    below = np.where(w != 0, a / np.where(w == 0, 1, w), FAR)
    if not now.moves(node.inputs[0]):
        return {1: below}
    if now.moves(node.inputs[1]):  # a share grows by what it is of, and by what else that has
        return {0: w * b, 1: np.where((below > 0) == (b > 0), below, np.nan)}
    return {0: w * b}


def _pow(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None or not now.moves(node.inputs[0]):
        return {}
    base, power = pair
    root = np.power(np.maximum(w, 1e-30), 1 / np.where(power == 0, 1, power))
    odd = np.mod(power, 2) == 1
    sign = np.where(odd, np.where(w < 0, -1.0, 1.0), np.where(base < 0, -1.0, 1.0))
    small = np.power(np.abs(w), 1 / np.where(power == 0, 1, power))
    want = np.where(odd & (w < 0), small, root) * sign
    want = np.where((w <= 0) & ~odd, np.where(power > 0, 0.0, np.abs(base) * 4 + 1), want)
    return {0: np.where(np.isnan(w), np.nan, want)}


def _unary(inverse: Callable[[Array, Array], Array]) -> Callable[[Node, Array, Moment], Wishes]:
    def rule(node: Node, w: Array, now: Moment) -> Wishes:
        here = now.value(node.inputs[0])
        if here is None or here.shape != w.shape:
            return {}
        want = inverse(w, here)
        return {0: np.where(np.isnan(w), np.nan, want)}

    return rule


def _logit(w: Array, x: Array) -> Array:
    kept = np.clip(w, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def _relu(w: Array, x: Array) -> Array:
    return np.asarray(np.where(w > 0, w, np.where(x <= 0, np.nan, -0.01)))


def _clip(node: Node, w: Array, now: Moment) -> Wishes:
    here = now.value(node.inputs[0])
    if here is None or here.shape != w.shape:
        return {}
    bounds: list[float] = []
    for number, key, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        found = now.value(node.inputs[number]) if len(node.inputs) > number else None
        given = now.of(node, key)
        bounds.append(float(found.ravel()[0]) if found is not None and found.size else
                      default if given is None else float(given))  # fmt: skip
    low, high = bounds
    want = np.clip(w, low, high)
    satisfied = np.clip(here, low, high) == want
    return {0: np.where(satisfied | np.isnan(w), np.nan, want)}


def _abs(w: Array, x: Array) -> Array:
    return np.asarray(np.maximum(w, 0) * np.where(x < 0, -1.0, 1.0))


def _hard_sigmoid(node: Node, w: Array, now: Moment) -> Wishes:
    alpha, beta = now.of(node, "alpha", 0.2), now.of(node, "beta", 0.5)
    return {0: (np.clip(w, 0, 1) - beta) / alpha}


def _rounded(node: Node, w: Array, now: Moment) -> Wishes:
    """From whole numbers back, or there: scale and zero point."""
    dynamic = node.op == "DynamicQuantizeLinear"
    names = node.outputs[1:3] if dynamic else node.inputs[1:3]
    scale = now.value(names[0]) if names else None
    zero = now.value(names[1]) if len(names) > 1 and names[1] else np.zeros(())
    if scale is None or zero is None or scale.size != 1:
        return {}
    if node.op == "DequantizeLinear":
        return {0: w / scale.ravel()[0] + zero.ravel()[0]}
    return {0: (w - zero.ravel()[0]) * scale.ravel()[0]}


def _extreme(node: Node, w: Array, now: Moment) -> Wishes:
    """Max and Min of several."""
    moving = [i for i, n in enumerate(node.inputs) if now.moves(n)]
    values = [now.value(node.inputs[i]) for i in moving]
    made: Wishes = {}
    above = 1 if node.op == "Max" else -1
    for place, (number, value) in enumerate(zip(moving, values, strict=True)):
        if value is None:
            continue
        here = np.broadcast_to(value, w.shape)
        must = above * (here - w) > 0
        lifts = place == 0
        made[number] = np.where(must | lifts, w, np.nan)
    return made


def _sum(node: Node, w: Array, now: Moment) -> Wishes:
    values = [now.value(n) for n in node.inputs]
    if any(v is None for v in values):
        return {}
    whole = sum(np.broadcast_to(v, w.shape) for v in values if v is not None)
    total = w * len(values) if node.op == "Mean" else w
    moving = [i for i, n in enumerate(node.inputs) if now.moves(n)]
    off = (total - whole) / max(len(moving), 1)
    return {i: np.broadcast_to(v, w.shape) + off
            for i in moving if (v := values[i]) is not None}  # fmt: skip


def _mod(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None or not now.moves(node.inputs[0]):
        return {}
    a, m = pair
    size = np.where(m == 0, 1, np.abs(m))
    off = np.mod(w - np.mod(a, size) + size / 2, size) - size / 2
    return {0: a + off}


def _shift(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None or not now.moves(node.inputs[0]):
        return {}
    factor = np.power(2.0, pair[1])
    return {0: w * factor if now.of(node, "direction") == "RIGHT" else np.floor(w / factor)}


def _bitwise(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    number = 0 if now.moves(node.inputs[0]) else 1
    a = np.nan_to_num(pair[number]).astype(np.int64)
    mask = np.nan_to_num(pair[1 - number]).astype(np.int64)
    want = np.nan_to_num(w).astype(np.int64)
    if node.op == "BitwiseAnd":
        made = (a & ~mask) | (want & mask)
    else:
        made = want ^ mask if node.op == "BitwiseXor" else (a & mask) | (want & ~mask)
    return {number: np.where(np.isnan(w), np.nan, made.astype(float))}


# Comparing and choosing --------------------------------------------------------------------------


def _compare(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    first, second = (now.moves(n) for n in node.inputs[:2])
    whole = all(now.whole.get(n) for n in node.inputs[:2])
    bound = b if first else a
    if first and second:
        bound = (a + b) / 2
    step = np.ones(bound.shape) if whole else np.maximum(now.margin * np.abs(bound), 1e-4)
    less = node.op.startswith("Less")
    holds = {"Less": a < b, "LessOrEqual": a <= b, "Greater": a > b, "GreaterOrEqual": a >= b}
    wrong = np.isfinite(w) & (holds[node.op] != (w > 0.5))
    lower = less == (w > 0.5)  # whether the first has to be the lower one
    x = np.where(wrong, bound + np.where(lower, -step, step), np.nan)
    y = np.where(wrong, bound + np.where(lower, step, -step), np.nan)
    return {n: v for n, v, m in ((0, x, first), (1, y, second)) if m}


def _equal(node: Node, w: Array, now: Moment) -> Wishes:
    pair = operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    first, second = (now.moves(n) for n in node.inputs[:2])
    wrong = np.isfinite(w) & ((a == b) != (w > 0.5))
    if first and second:  # one follows the other: what else is asked of that may stand
        second = bool(now.rng.integers(2))
    goal = a if second else b
    return {int(second): np.where(wrong, np.where(w > 0.5, goal, goal + 1), np.nan)}


def _logical(node: Node, w: Array, now: Moment) -> Wishes:
    if node.op == "Not":
        return {0: 1 - w}
    pair = operands(node, now, w)
    if pair is None:
        return {}
    moving = [i for i, n in enumerate(node.inputs[:2]) if now.moves(n)]
    if node.op == "Xor":
        other = pair[1 - moving[0]]
        return {moving[0]: np.where(np.isnan(w), np.nan, (other > 0.5) != (w > 0.5)).astype(float)}
    every = 1.0 if node.op == "And" else 0.0
    wrong = np.isfinite(w)
    if len(moving) == 1:
        return {moving[0]: w}
    chosen = int(now.rng.integers(2))
    return {i: np.where(wrong & ((w > 0.5) == bool(every)), every,
                        np.where(wrong & (i == chosen), w, np.nan)) for i in moving}  # fmt: skip


def _where(node: Node, w: Array, now: Moment) -> Wishes:
    three = operands(node, now, w, 3)
    if three is None:
        return {}
    test, x, y = three
    chosen = test > 0.5
    made: Wishes = {}
    passes_x, passes_y = (now.moves(n) for n in node.inputs[1:3])
    if passes_x:
        made[1] = np.where(chosen, w, np.nan)
    if passes_y:
        made[2] = np.where(~chosen, w, np.nan)
    if now.moves(node.inputs[0]):
        better = np.abs(x - w) < np.abs(y - w)
        fixed = np.where(chosen, not passes_x, not passes_y)
        differs = fixed & (better != chosen) & np.isfinite(w)
        made[0] = np.where(differs, better.astype(float), np.nan)
    return made


ELEMENTS: Final[dict[str, Rule]] = {
    **dict.fromkeys(("Identity", "Dropout", "CastLike"), _same),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual"), _compare),
    **dict.fromkeys(("And", "Or", "Xor", "Not"), _logical),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), _bitwise),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), _rounded),
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("Sum", "Mean"), _sum),
    "Cast": _cast, "Add": _add, "Sub": _add, "Mul": _mul, "Div": _div, "Pow": _pow,
    "Clip": _clip, "Mod": _mod, "BitShift": _shift, "Equal": _equal, "Where": _where,
    "HardSigmoid": _hard_sigmoid,
    "Neg": _unary(lambda w, x: -w),
    "Abs": _unary(_abs),
    "Relu": _unary(_relu),
    "Sigmoid": _unary(_logit),
    "Tanh": _unary(lambda w, x: np.arctanh(np.clip(w, -0.9999, 0.9999))),
    "Erf": _unary(lambda w, x: np.clip(w, -0.9999, 0.9999) * 2.7),
    "Exp": _unary(lambda w, x: np.log(np.maximum(w, 1e-13))),
    "Log": _unary(lambda w, x: np.exp(np.clip(w, -80, 80))),
    "Sqrt": _unary(lambda w, x: np.square(np.maximum(w, 0))),
    "Reciprocal": _unary(lambda w, x: np.where(w == 0, FAR, 1 / np.where(w == 0, 1, w))),
    "Floor": _unary(lambda w, x: np.where(np.floor(x) == w, np.nan, w + 0.5)),
    "Ceil": _unary(lambda w, x: np.where(np.ceil(x) == w, np.nan, w - 0.5)),
    "Round": _unary(lambda w, x: np.where(np.round(x) == w, np.nan, w)),
    "Sign": _unary(lambda w, x: np.where(np.sign(x) == np.sign(w), np.nan, np.sign(w))),
    "Softplus": _unary(lambda w, x: np.log(np.expm1(np.clip(w, 1e-6, 80)))),
    "LeakyRelu": _unary(lambda w, x: np.where(w < 0, w * 100, w)),
    "Elu": _unary(lambda w, x: np.where(w < 0, np.log1p(np.maximum(w, -0.9999)), w)),
    "ThresholdedRelu": _unary(lambda w, x: np.where(w > 0, np.maximum(w, 1.1), 0.0)),
}  # fmt: skip
"""By operator."""
