"""How operators that reduce, contract, move and look up are run backward."""

from __future__ import annotations

from typing import Final

import numpy as np

from weighbridge.engine.trial.moment import Moment, Rule, Wishes
from weighbridge.engine.trial.opened import Node
from weighbridge.engine.trial.running import Array

CARED: Final = 64
"""How many wishes a contraction is solved for at once."""
GROUPS: Final = 4_096
SLIGHT: Final = 0.1
"""How much of one is no wish."""
MOVING: Final = frozenset([
    "Reshape", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile", "Concat",
    "Split", "Pad", "GatherND", "GatherElements", "Compress", "DepthToSpace", "SpaceToDepth",
    "ReverseSequence", "ScatterND", "ScatterElements", "Trilu", "Resize",
])  # fmt: skip


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
    slopes = now.slopes(node.inputs[0])
    slopes = None if slopes is None else np.transpose(slopes, order).reshape(groups, -1)
    made = np.full(flat.shape, np.nan)
    whole = bool(now.whole.get(node.inputs[0]))
    for group, want in enumerate(w.ravel()):
        if not np.isnan(want):
            slope = None if slopes is None else slopes[group]
            made[group] = _group(node.op, flat[group], float(want), whole, now, slope)
    shaped = made.reshape([x.shape[a] for a in order])
    return {0: np.transpose(shaped, np.argsort(order))}


def _group(
    op: str, x: Array, want: float, whole: bool, now: Moment, slopes: Array | None = None
) -> Array:
    """What one group of numbers that is reduced to one would have to be; with `slopes` the change
    of a sum is shared out so that what they are made of changes least."""
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
    if slopes is not None and slopes.any():
        return np.asarray(x + off * np.square(slopes) / np.square(slopes).sum())
    return np.asarray(x + off / len(x))


def _cumulated(node: Node, w: Array, now: Moment) -> Wishes:
    """Sums along an axis: what is missing at a place is shared out among the numbers since the last
    place of which something was wanted; of what is counted, so many that were not there."""
    x, axis = now.value(node.inputs[0]), now.value(node.inputs[1])
    here = now.value(node.outputs[0])
    if x is None or axis is None or here is None or here.shape != w.shape:
        return {}
    if now.of(node, "reverse", 0) or now.of(node, "exclusive", 0) or x.size > GROUPS:
        return {}
    along = int(axis.ravel()[0])
    rows = np.moveaxis(x, along, -1).reshape(-1, x.shape[along])
    off = np.moveaxis(w - here, along, -1).reshape(rows.shape)
    made = np.full(rows.shape, np.nan)
    whole = bool(now.whole.get(node.inputs[0]))
    for row, missing, new in zip(rows, off, made, strict=True):
        start, done = 0, 0.0
        for place in map(int, np.flatnonzero(~np.isnan(missing))):
            part = row[start : place + 1]
            total = float(part.sum() + missing[place] - done)
            new[start : place + 1] = _group("ReduceSum", part, total, whole, now)
            start, done = place + 1, float(missing[place])
    return {0: np.moveaxis(made.reshape(np.moveaxis(x, along, -1).shape), -1, along)}


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
        if np.all((flat[row] == 0) | (flat[row] == 1)):
            made[row, :place] = np.where(flat[row, :place] == 1, 0, np.nan)
            made[row, place] = 1
        else:
            made[row] = _raised(flat[row], place)
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


def _resize(node: Node, w: Array, now: Moment) -> Wishes:
    """Numbers between others are wished of all around: the wish itself, in the other size."""
    found = _move(node, w, now)
    x = now.value(node.inputs[0])
    if found or x is None or x.ndim != w.ndim:
        return found
    for axis, size in enumerate(x.shape):
        w = np.take(w, np.arange(size) * w.shape[axis] // size, axis=axis)
    return {0: w}


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
    """A share is so large as its number is above what all others come to; numbers are moved there,
    the others the other way."""
    x, here = now.value(node.inputs[0]), now.value(node.outputs[0])
    if x is None or here is None or here.shape != w.shape:
        return {}
    axis = int(now.of(node, "axis", -1))
    share = np.clip(w, 1e-3, 1 - 1e-3)
    more = np.log(share / (1 - share)) - (x - _all_others(x, axis))
    cared = ~np.isnan(w)
    rest = np.where(cared, more, 0).sum(axis=axis, keepdims=True)
    here = np.where(cared, x + more, x - rest)
    return {0: np.where(cared.any(axis=axis, keepdims=True), here, np.nan)}


def _all_others(x: Array, axis: int) -> Array:
    """For each number the logarithm of what the exponentials of all others sum up to."""
    largest = np.expand_dims(x.argmax(axis=axis), axis)
    rest = x.copy()
    np.put_along_axis(rest, largest, -np.inf, axis)
    whole = _log_of_sum(x, axis)
    made = whole + np.log1p(-np.exp(x - whole))
    np.put_along_axis(made, largest, _log_of_sum(rest, axis), axis)
    return np.asarray(made)


def _log_of_sum(x: Array, axis: int) -> Array:
    top = x.max(axis=axis, keepdims=True)
    return np.asarray(top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True)))


def _hardmax(node: Node, w: Array, now: Moment) -> Wishes:
    """What is to be more than it is becomes the largest; where one is to be less, the next does."""
    x, here = now.value(node.inputs[0]), now.value(node.outputs[0])
    if x is None or here is None or x.shape != w.shape:
        return {}
    axis = int(now.of(node, "axis", -1))
    lines, more = np.moveaxis(x, axis, -1), np.moveaxis(np.nan_to_num(w - here), axis, -1)
    made = np.full(lines.shape, np.nan)
    for place in np.ndindex(lines.shape[:-1]):
        line, off = lines[place], more[place]
        if off.max() > SLIGHT:
            made[place] = _raised(line, int(off.argmax()))
        elif off.min() < -SLIGHT:
            made[place] = _raised(line, int(np.argsort(line)[-2:][0]))
    return {0: np.moveaxis(made, -1, axis)}


def _raised(line: Array, place: int) -> Array:
    """What makes one number the largest of its line; where it is as large as it can be already, the
    others come down."""
    made = np.full(line.shape, np.nan)
    top = line.max()
    gap = 0.1 * abs(top) + 0.1
    if line[place] < top:
        made[place] = top + gap
    else:
        made[line == top] = top - gap
        made[place] = np.nan
    return made


LAYERS: Final[dict[str, Rule]] = {
    **dict.fromkeys(MOVING, _move),
    "CumSum": _cumulated, "Resize": _resize,
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                     "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "GlobalMaxPool",
                     "GlobalAveragePool"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("MatMul", "Gemm", "MatMulInteger", "FusedMatMul"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger"), _conv),
    "BatchNormalization": _normal, "Softmax": _softmax, "Hardmax": _hardmax, "TopK": _top,
    "DFT": _dft, "Gather": _gather, "OneHot": _one_hot,
}  # fmt: skip
"""By operator."""
