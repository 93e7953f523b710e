"""Torch's recurrent layers as nodes of ONNX, whose gates stand in another order.

ONNX, operators LSTM, GRU and RNN, version 14; torch, `torch.nn.LSTM` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weighbridge.analysis.computation_graph import Operation
from weighbridge.analysis.written_pen import Operand, Pen
from weighbridge.analysis.written_rules import Given, Rule, floating, kept_attributes, needed
from weighbridge.analysis.written_types import Unwritable

_ORDER: Final = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of torch's gates stands where in ONNX: of input, forget, cell, output the input, output,
forget, cell; of reset, update, new the update, reset, new."""


def _cell(pen: Pen, o: Operation, given: Given) -> None:
    """One layer. `directions` is 1 or 2, each with its weights of the input and of the state and,
    where it is `biased`, their biases; what the states are at first stands behind them."""
    kept = kept_attributes(o, "directions biased batch_first activation")
    directions, each = kept.get("directions", 0), 4 if kept.get("biased") else 2
    x, parts = floating(pen, needed(given, 0)), given[1 : 1 + each * directions]
    constants = [p.constant for p in parts if p is not None and p.constant is not None]
    if not directions or len(constants) != each * directions or x.rank != 3:
        raise Unwritable("a recurrent layer whose weights are not known")
    order = _ORDER[o.op]
    width = constants[1].shape[-1]
    rows = [[_gates(pen, p, order, x.type) for p in parts[place::each]] for place in range(each)]
    tensors: list[Operand | None] = []
    for data, constant in zip(rows[:2], constants[:2], strict=True):
        shape = (directions, len(order) * width, constant.shape[-1])
        tensors.append(pen.tensor(b"".join(data), x.type, shape))
    biases = [piece for pair in zip(*rows[2:], strict=True) for piece in pair]
    row = (directions, 2 * len(order) * width)
    tensors.append(pen.tensor(b"".join(biases), x.type, row) if biases else None)
    states = [None if s is None else pen.cast(s, x.type) for s in given[1 + each * directions :]]
    more: dict[str, Any] = {"linear_before_reset": 1} if o.op == "GRU" else {}
    if kept.get("activation"):
        more["activations"] = (kept["activation"],) * directions
    first = pen.node("Transpose", [x], perm=(1, 0, 2)) if kept.get("batch_first") else x
    made = pen.but_the_first(
        o, o.op, [first, *tensors, None, *states], 3 if o.op == "LSTM" else 2,
        hidden_size=width, direction="bidirectional" if directions == 2 else "forward", **more,
    )  # fmt: skip
    axes = (2, 0, 1, 3) if kept.get("batch_first") else (0, 2, 1, 3)
    made = pen.node("Transpose", [made], perm=axes)
    pen.copy(o.outputs[0], pen.node("Reshape", [made, pen.plain((0, 0, -1))]))


def _gates(pen: Pen, operand: Operand | None, order: tuple[int, ...], type: str) -> bytes:
    """Weights or biases with their gates in ONNX's order."""
    data = pen.raw(operand, type)
    step = len(data) // len(order)
    return b"".join(data[gate * step : (gate + 1) * step] for gate in order)


CELLS: Final[Mapping[str, Rule]] = dict.fromkeys(_ORDER, _cell)
