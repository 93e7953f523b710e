"""Graphs of a few nodes with one input and one output."""

from __future__ import annotations

import struct
from typing import Any

from graph_hosts import FLOAT, INT, node
from protobufs import message


def lone(*nodes: bytes, size: int = 6, kind: int = FLOAT, **constants: Any) -> bytes:
    code = {FLOAT: "f", INT: "q"}
    tensors = [
        {1: [len(v)], 2: kind, 8: k, 9: struct.pack(f"<{len(v)}{code[kind]}", *v)}
        if isinstance(v, list) else {**v, 8: k}
        for k, v in constants.items()
    ]  # fmt: skip
    axes = {1: [1], 2: INT, 8: "axis", 9: struct.pack("<q", 1)}
    graph = {1: list(nodes), 2: "g", 5: [*tensors, axes],
             11: [{1: "x", 2: {1: {1: kind, 2: {1: [{1: 1}, {1: size}]}}}}],
             12: [{1: "y"}]}  # fmt: skip
    return message({1: 8, 7: graph, 8: [{1: "", 2: 18}, {1: FUSED, 2: 1}]})


FUSED = "com.microsoft"


def tensor(code: str, shape: list[int], *numbers: float) -> dict[int, Any]:
    """A tensor of another type than the others: `f` in 32 bits, `b` and `B` in eight."""
    return {1: shape, 2: {"f": 1, "B": 2, "b": 3}[code],
            9: struct.pack(f"<{len(numbers)}{code}", *numbers)}  # fmt: skip


SCALE, ZERO = tensor("f", [], 0.01), tensor("B", [], 0)
COARSE = tensor("f", [], 0.05)
QUANTISED = node("QuantizeLinear", ("x", "scale", "zero"), "q")
REAL = node("DequantizeLinear", ("r", "coarse", "zero"), "v")
PARTS: dict[str, Any] = {"scale": SCALE, "zero": ZERO, "coarse": COARSE}
ROW = [0.5, -0.25, 0.75, -0.5, 0.25, 0.5]


TOTAL = node("ReduceSum", ("v", "axis"), "s", "", {"keepdims": 0})
BIG = node("Greater", ("s", "bound"), "y")
