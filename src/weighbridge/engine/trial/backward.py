"""What would have to stand at the inputs for a value to become another: operators run backward.

Every operator has a rule that says, for what is wanted of its output, what its inputs would have
to be, with as little change as it takes. Wishes are arrays of the value's shape with NaN where
anything will do. A rule need not be exact: the graph is run forward again, and backward again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from weighbridge.core.tree import Held
from weighbridge.engine.trial.opened import Node
from weighbridge.engine.trial.running import Array
from weighbridge.formats.protobuf import Kind, Schema, Wire, many, one

CARED: Final = 64
"""How many wishes a contraction is solved for at once."""
GROUPS: Final = 4_096
FAR: Final = 1e9
_ATTRIBUTE: Final = Schema("AttributeProto", {
    1: one("name", Kind.TEXT), 2: one("f", Kind.FLOAT), 3: one("i", Kind.INT),
    4: one("s", Kind.TEXT), 7: many("floats", Kind.FLOAT), 8: many("ints", Kind.INT),
})  # fmt: skip
Wishes = dict[int, Array]
"""By the number of the node's input."""


@dataclass(slots=True)
class Moment:
    """One run forward: the values of all names, as numbers; which of them depend on an input; how
    far a comparison is to be passed, as a share; `places` says for a node that only moves numbers
    where each number of its output comes from."""

    values: dict[str, Array]
    whole: dict[str, bool]
    moving: frozenset[str]
    margin: float
    rng: np.random.Generator
    places: Callable[[Node], Array | None]
    settings: dict[int, tuple[Node, dict[str, Any]]] = field(default_factory=dict)

    def of(self, node: Node, key: str, default: Any = None) -> Any:
        """An attribute."""
        known = self.settings.get(id(node))
        if known is None:  # the node is kept too: its number is given away again once it is gone
            known = self.settings[id(node)] = node, _attributes(node)
        return known[1].get(key, default)

    def value(self, name: str) -> Array | None:
        """What stands there now."""
        return self.values.get(name)

    def moves(self, name: str) -> bool:
        """Whether it depends on an input."""
        return name in self.moving


def _attributes(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, raw in node.attributes.items():
        message = Wire(Held("", raw)).decode(_ATTRIBUTE)
        for part in ("ints", "floats", "s", "f", "i"):
            if part in message:
                made[key] = message[part]
                break
    return made


def wishes(node: Node, wanted: Array, now: Moment) -> Wishes:
    """What the inputs of a node would have to be; empty where no rule says it."""
    rule = RULES.get(node.op) if not node.domain or node.domain == "com.microsoft" else None
    if rule is None:
        return {}
    with np.errstate(all="ignore"):
        found = rule(node, wanted, now)
    kept: Wishes = {}
    for number, wish in found.items():
        name = node.inputs[number]
        here = now.value(name)
        if not name or not now.moves(name) or here is None:
            continue
        folded = _folded(wish, here.shape)
        if folded is not None and not np.all(np.isnan(folded)):
            kept[number] = folded
    return kept


def _folded(wish: Array, shape: tuple[int, ...]) -> Array | None:
    """A wish for something that was spread over more places: their mean."""
    if wish.shape == shape:
        return wish
    while wish.ndim > len(shape):
        wish = _mean(wish, 0, False)
    for axis, size in enumerate(shape):
        if axis < wish.ndim and size == 1 and wish.shape[axis] != 1:
            wish = _mean(wish, axis, True)
    try:
        return np.broadcast_to(wish, shape).astype(float)
    except ValueError:
        return None


def _mean(wish: Array, axis: int, keep: bool) -> Array:
    cared = ~np.isnan(wish)
    count = cared.sum(axis=axis, keepdims=keep)
    total = np.where(cared, wish, 0).sum(axis=axis, keepdims=keep)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _operands(node: Node, now: Moment, wanted: Array, count: int = 2) -> list[Array] | None:
    found = [now.value(name) for name in node.inputs[:count]]
    if len(found) < count or any(f is None for f in found):
        return None
    try:
        return [np.broadcast_to(f, wanted.shape) for f in found if f is not None]
    except ValueError:
        return None


# Element by element ------------------------------------------------------------------------------


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
    pair = _operands(node, now, w)
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
    pair = _operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    first, second = node.inputs[:2]
    if first == second:
        return {0: np.where(a < 0, -1.0, 1.0) * np.sqrt(np.maximum(w, 0))}
    if now.moves(first) and now.moves(second):
        ratio = w / (a * b)
        usable = np.isfinite(ratio) & (ratio != 0)
        root = np.sqrt(np.abs(ratio))
        start = np.where(a == 0, np.sign(w) * np.sqrt(np.abs(w)), a)
        lesser = np.abs(a) <= np.abs(b)
        x = np.where(usable, a * root, np.where(w == 0, np.where(lesser, 0, np.nan), start))
        y = np.where(w == 0, np.where(lesser, np.nan, 0), w / start)
        y = np.where(usable, b * root * np.sign(ratio), y)
        nothing = np.isnan(w)
        return {0: np.where(nothing, np.nan, x), 1: np.where(nothing, np.nan, y)}
    other = b if now.moves(first) else a
    want = np.where(other != 0, w / np.where(other == 0, 1, other), np.nan)
    return {0 if now.moves(first) else 1: want}


def _div(node: Node, w: Array, now: Moment) -> Wishes:
    pair = _operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    if now.moves(node.inputs[0]):
        return {0: w * b}
    return {1: np.where(w != 0, a / np.where(w == 0, 1, w), FAR)}


def _pow(node: Node, w: Array, now: Moment) -> Wishes:
    pair = _operands(node, now, w)
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
    pair = _operands(node, now, w)
    if pair is None or not now.moves(node.inputs[0]):
        return {}
    a, m = pair
    size = np.where(m == 0, 1, np.abs(m))
    off = np.mod(w - np.mod(a, size) + size / 2, size) - size / 2
    return {0: a + off}


def _shift(node: Node, w: Array, now: Moment) -> Wishes:
    pair = _operands(node, now, w)
    if pair is None or not now.moves(node.inputs[0]):
        return {}
    factor = np.power(2.0, pair[1])
    return {0: w * factor if now.of(node, "direction") == "RIGHT" else np.floor(w / factor)}


def _bitwise(node: Node, w: Array, now: Moment) -> Wishes:
    pair = _operands(node, now, w)
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
    pair = _operands(node, now, w)
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
    pair = _operands(node, now, w)
    if pair is None:
        return {}
    a, b = pair
    first, second = (now.moves(n) for n in node.inputs[:2])
    wrong = np.isfinite(w) & ((a == b) != (w > 0.5))
    goal = (a + b) / 2 if first and second else (b if first else a)
    goal = np.round(goal) if now.whole.get(node.inputs[0]) else goal
    want = np.where(wrong, np.where(w > 0.5, goal, goal + 1), np.nan)
    made: Wishes = {0: want} if first else {}
    if second:
        made[1] = np.where(wrong, goal, np.nan)
    return made


def _logical(node: Node, w: Array, now: Moment) -> Wishes:
    if node.op == "Not":
        return {0: 1 - w}
    pair = _operands(node, now, w)
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
    three = _operands(node, now, w, 3)
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


# Reducing ----------------------------------------------------------------------------------------


def _axes(node: Node, now: Moment, rank: int) -> tuple[int, ...]:
    given = now.of(node, "axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1]:
        found = now.value(node.inputs[1])
        given = None if found is None else [int(a) for a in found.ravel()]
    if node.op.startswith("Global"):
        given = list(range(2, rank))
    if given is None or len(given) == 0:
        return tuple(range(rank))
    return tuple(sorted({int(a) % max(rank, 1) for a in given}))


def _reduce(node: Node, w: Array, now: Moment) -> Wishes:
    x = now.value(node.inputs[0])
    if x is None:
        return {}
    axes = _axes(node, now, x.ndim)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    order = (*rest, *axes)
    groups = int(np.prod([x.shape[a] for a in rest], dtype=int))
    if groups != w.size or groups > GROUPS or x.size == 0:
        return {}
    flat = np.transpose(x, order).reshape(groups, -1)
    made = np.full(flat.shape, np.nan)
    whole = bool(now.whole.get(node.inputs[0]))
    for group, want in enumerate(w.ravel()):
        if not np.isnan(want):
            made[group] = _group(node.op, flat[group], float(want), whole, now)
    shaped = made.reshape([x.shape[a] for a in order])
    return {0: np.transpose(shaped, np.argsort(order))}


def _group(op: str, x: Array, want: float, whole: bool, now: Moment) -> Array:
    """What one group of numbers that is reduced to one would have to be."""
    made = np.full(x.shape, np.nan)
    kind = op.removeprefix("Global").removesuffix("Pool").removeprefix("Reduce")
    if kind in ("Max", "Min", "LogSumExp"):
        sign = -1 if kind == "Min" else 1
        if sign * (want - (x.min() if sign < 0 else x.max())) > 0:
            best = int(np.argmax(sign * x))
            chosen = best if now.rng.random() < 0.5 else int(now.rng.integers(len(x)))
            made[chosen] = want
        else:
            made[sign * (x - want) > 0] = want
        return made
    if kind == "Prod":
        root = np.sign(want) * abs(want) ** (1 / len(x))
        made[:] = np.where(x < root, root, np.nan) if want > x.prod() else np.nan
        if want <= x.prod():
            made[int(now.rng.integers(len(x)))] = want
        return made
    if kind in ("L1", "L2", "SumSquare"):
        size = np.sqrt(max(want, 0)) if kind == "SumSquare" else max(want, 0)
        length = np.abs(x).sum() if kind == "L1" else np.sqrt(np.square(x).sum())
        return np.asarray(x * (size / length) if length > 0 else made * 0 + size / len(x))
    total = want * len(x) if kind in ("Mean", "Average") else want
    off = total - float(x.sum())
    if np.all((x == 0) | (x == 1)):
        wrong = np.flatnonzero(x == (0 if off > 0 else 1))
        count = min(len(wrong), int(np.ceil(abs(off))))
        made[now.rng.permutation(wrong)[:count]] = 1 if off > 0 else 0
        return made
    if x.min() >= 0 and off < 0:
        scaled = x * max(total, 0) / x.sum()
        return np.asarray(np.round(scaled) if whole else scaled)
    if whole:
        step = np.trunc(off / len(x))
        left = int(off - step * len(x))
        made[:] = x + step
        made[now.rng.permutation(len(x))[: abs(left)]] += np.sign(left)
        return made
    return np.asarray(x + off / len(x))


def _arg(node: Node, w: Array, now: Moment) -> Wishes:
    x = now.value(node.inputs[0])
    if x is None:
        return {}
    axis = int(now.of(node, "axis", 0)) % x.ndim
    sign = -1.0 if node.op == "ArgMin" else 1.0
    moved = np.moveaxis(x, axis, -1) * sign
    flat = moved.reshape(-1, moved.shape[-1])
    if flat.shape[0] != w.size:
        return {}
    made = np.full(flat.shape, np.nan)
    for row, want in enumerate(w.ravel()):
        if np.isnan(want):
            continue
        place = int(np.clip(want, 0, flat.shape[1] - 1))
        top = flat[row].max()
        if np.all((flat[row] == 0) | (flat[row] == 1)):
            made[row, :place] = np.where(flat[row, :place] == 1, 0, np.nan)
            made[row, place] = 1
        else:
            made[row, place] = top + 0.1 * abs(top) + 0.1
    return {0: np.moveaxis(made.reshape(moved.shape) * sign, -1, axis)}


# Contractions ------------------------------------------------------------------------------------


def _matmul(node: Node, w: Array, now: Moment) -> Wishes:
    pair = [now.value(n) for n in node.inputs[:2]]
    if len(pair) < 2 or pair[0] is None or pair[1] is None:
        return {}
    a, b = pair[0], pair[1]
    if node.op == "MatMulInteger":
        zero = now.value(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
        b = b if zero is None else b - zero
        zero = now.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        shift = 0.0 if zero is None else float(zero.ravel()[0])
    else:
        shift = 0.0
    if node.op == "FusedMatMul":
        if any(now.of(node, key, 0) for key in ("transA", "transBatchA", "transBatchB")):
            return {}
        b = np.swapaxes(b, -1, -2) if now.of(node, "transB", 0) and b.ndim > 1 else b
        w = w / now.of(node, "alpha", 1.0)
    if node.op == "Gemm":
        if now.of(node, "transA", 0):
            return {}
        b = b.T if now.of(node, "transB", 0) else b
        bias = now.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        w = (w - (0 if bias is None else now.of(node, "beta", 1.0) * bias)) / now.of(
            node, "alpha", 1.0)  # fmt: skip
    if now.moves(node.inputs[1]):
        if now.moves(node.inputs[0]) or a.ndim != 2 or b.ndim != 2:
            return {}
        return {1: _rows(b.T, a.T, w.T).T}
    if b.ndim != 2 or a.ndim < 1 or w.shape[:-1] != a.shape[:-1]:
        return {}
    return {0: _rows((a - shift).reshape(-1, b.shape[0]), b, w.reshape(-1, b.shape[1]))
            .reshape(a.shape) + shift}  # fmt: skip


def _rows(x: Array, b: Array, w: Array) -> Array:
    """The smallest changes of rows of `x` after which `x @ b` is `w` where that is wanted."""
    made = np.full(x.shape, np.nan)
    for row in range(min(len(x), GROUPS)):
        cared = np.flatnonzero(~np.isnan(w[row]))
        if len(cared):
            off = w[row, cared] - x[row] @ b[:, cared]
            made[row] = x[row] + _least(b[:, cared], off)
    return made


def _least(columns: Array, off: Array) -> Array:
    if columns.shape[1] <= CARED:
        return np.asarray(columns @ (np.linalg.pinv(columns.T @ columns, rcond=1e-9) @ off))
    scale = np.square(columns).sum() / max(1, columns.shape[1])
    return np.asarray(columns @ off / max(scale * np.sqrt(columns.shape[1]), 1e-12))


def _conv(node: Node, w: Array, now: Moment) -> Wishes:
    """Solved for the patches under the places that are cared for, at most `CARED` of them."""
    x, kernel = (now.value(n) for n in node.inputs[:2])
    if x is None or kernel is None or now.moves(node.inputs[1]) or x.ndim != 4 or w.ndim != 4:
        return {}
    if now.of(node, "group", 1) != 1:
        return {}
    strides = now.of(node, "strides", [1, 1])
    spread = now.of(node, "dilations", [1, 1])
    pads = now.of(node, "pads", [0, 0, 0, 0])
    bias = now.value(node.inputs[2]) if node.op == "Conv" and len(node.inputs) > 2 else None
    places = np.argwhere(~np.isnan(w))
    if len(places) > CARED:
        places = now.rng.permutation(places)[:CARED]
    numbers = np.arange(x.size).reshape(x.shape)
    rows: list[tuple[Array, Array, float]] = []
    for n, c, i, j in places:
        r = i * strides[0] - pads[0] + np.arange(kernel.shape[2]) * spread[0]
        s = j * strides[1] - pads[1] + np.arange(kernel.shape[3]) * spread[1]
        inside_r, inside_s = (r >= 0) & (r < x.shape[2]), (s >= 0) & (s < x.shape[3])
        grid = np.ix_(np.arange(x.shape[1]), r[inside_r], s[inside_s])
        weight = kernel[c][:, inside_r][:, :, inside_s]
        value = float((x[n][grid] * weight).sum()) + (0.0 if bias is None else float(bias[c]))
        rows.append((numbers[n][grid].ravel(), weight.ravel(), float(w[n, c, i, j]) - value))
    touched = np.unique(np.concatenate([r[0] for r in rows])) if rows else np.zeros(0, int)
    if not len(touched):
        return {}
    matrix = np.zeros((len(touched), len(rows)))
    for column, (at, weight, _) in enumerate(rows):
        matrix[np.searchsorted(touched, at), column] = weight
    made = np.full(x.size, np.nan)
    made[touched] = x.ravel()[touched] + _least(matrix, np.array([r[2] for r in rows]))
    return {0: made.reshape(x.shape)}


# Moving and looking up ---------------------------------------------------------------------------


def _move(node: Node, w: Array, now: Moment) -> Wishes:
    """Numbers of the inputs are only put elsewhere: the wish goes back to where each is from."""
    places = now.places(node)
    if places is None or places.shape != w.shape:
        return {}
    made: Wishes = {}
    base = 1
    for number in moved_inputs(node):
        value = now.value(node.inputs[number])
        if value is None:
            return {}
        wish = np.full(value.size, np.nan)
        mine = (places >= base) & (places < base + value.size) & ~np.isnan(w)
        wish[places[mine] - base] = w[mine]
        made[number] = wish.reshape(value.shape)
        base += value.size
    return made


def moved_inputs(node: Node) -> list[int]:
    """The inputs of a moving node whose numbers it moves."""
    if node.op == "Concat":
        return list(range(len(node.inputs)))
    return [0, 2] if node.op.startswith("Scatter") else [0]


def _gather(node: Node, w: Array, now: Moment) -> Wishes:
    if now.moves(node.inputs[0]):
        return {} if now.moves(node.inputs[1]) else _move(node, w, now)
    table, index = (now.value(n) for n in node.inputs[:2])
    if table is None or index is None:
        return {}
    axis = int(now.of(node, "axis", 0)) % max(table.ndim, 1)
    rows = np.moveaxis(table, axis, 0).reshape(table.shape[axis], -1)
    cells = np.moveaxis(w.reshape(*table.shape[:axis], -1, *table.shape[axis + 1 :]), axis, 0)
    cells = cells.reshape(index.size, -1)
    made = np.full(index.size, np.nan)
    for place, cell in enumerate(cells[:GROUPS]):
        cared = ~np.isnan(cell)
        if cared.any():
            far = np.square(rows[:, cared] - cell[cared]).sum(axis=1)
            made[place] = int(np.argmin(far))
    return {1: made.reshape(index.shape)}


def _one_hot(node: Node, w: Array, now: Moment) -> Wishes:
    values = now.value(node.inputs[2])
    if values is None or not now.moves(node.inputs[0]):
        return {}
    axis = int(now.of(node, "axis", -1)) % w.ndim
    close = np.where(np.isnan(w), -np.inf, -np.abs(w - values.ravel()[-1]))
    best = close.argmax(axis=axis).astype(float)
    cared = ~np.all(np.isnan(w), axis=axis)
    return {0: np.where(cared, best, np.nan)}


def _top(node: Node, w: Array, now: Moment) -> Wishes:
    """The largest numbers are where they are now."""
    x, at = now.value(node.inputs[0]), now.value(node.outputs[1])
    if x is None or at is None or at.shape != w.shape:
        return {}
    made = np.full(x.shape, np.nan)
    np.put_along_axis(made, at.astype(np.int64), w, axis=int(now.of(node, "axis", -1)))
    return {0: made}


def _dft(node: Node, w: Array, now: Moment) -> Wishes:
    """A wave is added for each frequency that is cared for; of real signals."""
    x, here = now.value(node.inputs[0]), now.value(node.outputs[0])
    given = now.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    axis = int(now.of(node, "axis", 1) if given is None else given.ravel()[0])
    if x is None or here is None or x.shape[-1] != 1 or now.of(node, "inverse", 0):
        return {}
    off = np.where(np.isnan(w), 0, w - here)
    wave = np.fft.ifft(off[..., 0] + 1j * off[..., 1], n=x.shape[axis], axis=axis)
    return {0: x + 2 * np.real(wave)[..., None]} if wave.shape == x.shape[:-1] else {}


def _normal(node: Node, w: Array, now: Moment) -> Wishes:
    """Batch normalisation: its numbers stand in the model."""
    found = [now.value(n) for n in node.inputs[1:5]]
    if len(found) < 4 or any(f is None for f in found):
        return {}
    scale, shift, mean, spread = (
        np.asarray(f).reshape(-1, *(1,) * (w.ndim - 2)) for f in found
    )  # fmt: skip
    size = np.sqrt(spread + now.of(node, "epsilon", 1e-5))
    return {0: (w - shift) / np.where(scale == 0, 1e-9, scale) * size + mean}


def _softmax(node: Node, w: Array, now: Moment) -> Wishes:
    """Shares are made larger or smaller by as much as their logarithms differ; the rest of them
    the other way."""
    x, here = now.value(node.inputs[0]), now.value(node.outputs[0])
    if x is None or here is None or here.shape != w.shape:
        return {}
    share = np.clip(w, 1e-3, 1 - 1e-3)
    more = np.log(share / (1 - share)) - np.log((here + 1e-9) / (1 - here + 1e-9))
    axis = int(now.of(node, "axis", -1))
    cared = ~np.isnan(w)
    rest = np.where(cared, more, 0).sum(axis=axis, keepdims=True)
    here = np.where(cared, x + more, x - rest)
    return {0: np.where(cared.any(axis=axis, keepdims=True), here, np.nan)}


# Fused and quantised operators of ONNX Runtime ---------------------------------------------------

Rule = Callable[[Node, Array, Moment], Wishes]


def _activated(op: str) -> Rule:
    """A contraction, then a sum, then an activation that an attribute names."""

    def rule(node: Node, w: Array, now: Moment) -> Wishes:
        activation = RULES.get(now.of(node, "activation", "Identity"))
        before = _forward(node, now, w)
        if activation is None or before is None:
            return {}
        made = f"{node.outputs[0]}//sum"
        inner = replace(now, values={**now.values, made: before}, moving=now.moving | {made})
        w = activation(Node("", "", "", (made,), node.outputs, node.attributes), w, inner).get(0, w)
        added = now.value(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
        if added is not None and op == "Conv":
            w = w - added
        return RULES[op](replace(node, op=op, domain="", inputs=node.inputs[:3]), w, now)

    return rule


def _forward(node: Node, now: Moment, w: Array) -> Array | None:
    """What goes into the activation, as far as what comes out says it: nothing above zero comes out
    of a rectifier as nothing."""
    out = now.value(node.outputs[0])
    return None if out is None or out.shape != w.shape else np.where(out == 0, -1e-3, out)


def _quantised(op: str, places: tuple[int, ...], out: int) -> Rule:
    """A plain operator between dequantising and quantising; a scale and a zero point follow each
    value, those of the result stand at `out`."""

    def rule(node: Node, w: Array, now: Moment) -> Wishes:
        values: dict[str, Array] = {}
        moving: set[str] = set()
        names: list[str] = []
        for place in places:
            value, (scale, zero) = now.value(node.inputs[place]), _step(node, now, place + 1)
            if value is None or scale is None:
                return {}
            if scale.size > 1 and value.ndim == 4:  # one for each filter
                scale, zero = scale.reshape(-1, 1, 1, 1), zero.reshape(-1, 1, 1, 1)
            names.append(f"{node.inputs[place]}//real{place}")
            values[names[-1]] = (value - zero) * scale
            if now.moves(node.inputs[place]):
                moving.add(names[-1])
        scale, zero = _step(node, now, out)
        here = now.value(node.outputs[0])
        if scale is None or here is None:
            return {}
        values[node.outputs[0]] = (here - zero) * scale
        real = replace(now, values={**now.values, **values}, moving=now.moving | moving, whole={})
        plain = replace(node, op=op, domain="", inputs=tuple(names))
        made: Wishes = {}
        for number, wish in RULES[op](plain, (w - zero) * scale, real).items():
            step, start = _step(node, now, places[number] + 1)
            if step is not None and step.size == 1:
                made[places[number]] = wish / step.ravel()[0] + start.ravel()[0]
        return made

    return rule


def _step(node: Node, now: Moment, place: int) -> tuple[Array | None, Array]:
    """A scale and the zero point after it."""
    names = (*node.inputs[place : place + 2], "", "")
    zero = now.value(names[1]) if names[1] else None
    return now.value(names[0]), np.zeros(1) if zero is None else zero


MOVING: Final = frozenset([
    "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile", "Concat",
    "Split", "Pad", "GatherND", "GatherElements", "Compress", "DepthToSpace", "SpaceToDepth",
    "ReverseSequence", "ScatterND", "ScatterElements", "Trilu", "Resize",
])  # fmt: skip
RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(MOVING, _move),
    **dict.fromkeys(("Identity", "Dropout", "CastLike"), _same),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual"), _compare),
    **dict.fromkeys(("And", "Or", "Xor", "Not"), _logical),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), _bitwise),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                     "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "GlobalMaxPool",
                     "GlobalAveragePool"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("MatMul", "Gemm", "MatMulInteger", "FusedMatMul"), _matmul),
    "FusedConv": _activated("Conv"), "FusedGemm": _activated("Gemm"),
    "QLinearConv": _quantised("Conv", (0, 3), 6), "QLinearMatMul": _quantised("MatMul", (0, 3), 6),
    "QGemm": _quantised("Gemm", (0, 3), 7), "QLinearAdd": _quantised("Add", (0, 3), 6),
    "QLinearMul": _quantised("Mul", (0, 3), 6),
    **{f"QLinear{op}": _quantised(op, (0,), 3) for op in (
        "Sigmoid", "LeakyRelu", "GlobalAveragePool", "ReduceMean")},
    **dict.fromkeys(("Conv", "ConvInteger"), _conv),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), _rounded),
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("Sum", "Mean"), _sum),
    "Cast": _cast, "Add": _add, "Sub": _add, "Mul": _mul, "Div": _div, "Pow": _pow,
    "Clip": _clip, "Mod": _mod, "BitShift": _shift, "Equal": _equal, "Where": _where,
    "BatchNormalization": _normal, "Softmax": _softmax, "TopK": _top, "DFT": _dft,
    "Gather": _gather, "OneHot": _one_hot, "HardSigmoid": _hard_sigmoid,
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
