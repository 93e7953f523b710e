"""What would have to stand at the inputs for a value to become another: operators run backward.

Every operator has a rule that says, for what is wanted of its output, what its inputs would have
to be, with as little change as it takes. Wishes are arrays of the value's shape with NaN where
anything will do. A rule need not be exact: the graph is run forward again, and backward again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import replace

from weighbridge.engine.trial.moment import Moment, Rule, Wishes
from weighbridge.engine.trial.opened import Node
from weighbridge.engine.trial.rules_of_elements import ELEMENTS
from weighbridge.engine.trial.rules_of_layers import LAYERS
from weighbridge.engine.trial.running import Array


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


# Fused and quantised operators of ONNX Runtime ---------------------------------------------------


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


RULES: Final[dict[str, Rule]] = {
    **ELEMENTS, **LAYERS,
    "FusedConv": _activated("Conv"), "FusedGemm": _activated("Gemm"),
    "QLinearConv": _quantised("Conv", (0, 3), 6), "QLinearMatMul": _quantised("MatMul", (0, 3), 6),
    "QGemm": _quantised("Gemm", (0, 3), 7), "QLinearAdd": _quantised("Add", (0, 3), 6),
    "QLinearMul": _quantised("Mul", (0, 3), 6),
    **{f"QLinear{op}": _quantised(op, (0,), 3) for op in (
        "Sigmoid", "LeakyRelu", "GlobalAveragePool", "ReduceMean")},
}  # fmt: skip
