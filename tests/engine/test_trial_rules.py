"""Operators run backward."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from graph_hosts import INT, node
from lone_graphs import BIG, FUSED, PARTS, QUANTISED, REAL, ROW, TOTAL, lone, tensor
from weighbridge.engine.trial.cut import Cut
from weighbridge.engine.trial.natural import Port
from weighbridge.engine.trial.opened import open_model
from weighbridge.engine.trial.running import Budget
from weighbridge.engine.trial.search import Seeker, State

RULES: dict[str, bytes] = {
    "square": lone(node("Mul", ("x", "x"), "v"), TOTAL, BIG, bound=[5.0]),
    "power": lone(node("Pow", ("x", "three"), "v"), TOTAL, BIG, three=[3.0], bound=[5.0]),
    "quotient": lone(node("Div", ("x", "small"), "v"), TOTAL, BIG, small=[0.01], bound=[550.0]),
    "exponential": lone(node("Exp", ("x",), "v"), TOTAL, BIG, bound=[15.0]),
    "tanh": lone(node("Tanh", ("x",), "v"), TOTAL, BIG, bound=[4.2]),
    "largest and smallest": lone(
        node("ReduceMax", ("x", "axis"), "a", "", {"keepdims": 0}),
        node("ReduceMin", ("x", "axis"), "b", "", {"keepdims": 0}),
        node("Sub", ("a", "b"), "s"), BIG, bound=[0.99]),
    "product": lone(node("ReduceProd", ("x",), "s", "", {"keepdims": 0}), BIG, bound=[0.8]),
    "length": lone(node("ReduceL2", ("x", "axis"), "s", "", {"keepdims": 0}), BIG, bound=[2.4]),
    "rounded": lone(node("Mul", ("x", "nine"), "n"), node("Floor", ("n",), "v"), TOTAL, BIG,
                    nine=[9.0], bound=[52.0]),
    "chosen": lone(node("Greater", ("x", "bound"), "t"), node("Where", ("t", "one", "no"), "v"),
                   TOTAL, node("Greater", ("s", "five"), "y"), bound=[0.9], one=[1.0], no=[0.0],
                   five=[5.5]),
    "place of the largest": lone(
        node("ArgMax", ("x",), "p", "", {"axis": 1, "keepdims": 0}),
        node("Cast", ("p",), "q", "", {"to": 1}), node("Equal", ("q", "four"), "y"), four=[4.0]),
    "normalised": lone(
        node("Reshape", ("x", "square"), "m"),
        node("BatchNormalization", ("m", "big", "no", "no", "big"), "c"),
        node("Reshape", ("c", "line"), "v"), TOTAL, BIG,
        square={1: [3], 2: 7, 9: struct.pack("<3q", 1, 1, 6)},
        line={1: [2], 2: 7, 9: struct.pack("<2q", 1, -1)}, big=[4.0], no=[0.0], bound=[10.0]),
    "share": lone(
        node("Mul", ("x", "nine"), "n"), node("Softmax", ("n",), "p"),
        node("Gather", ("p", "two"), "s", "", {"axis": 1}), BIG, nine=[9.0], bound=[0.95],
        two={1: [], 2: 7, 9: struct.pack("<q", 2)}),
    "one place": lone(
        node("Hardmax", ("x",), "p", "", {"axis": 1}),
        node("Gather", ("p", "none"), "s", "", {"axis": 1}), BIG, bound=[0.5],
        none={1: [], 2: 7, 9: struct.pack("<q", 0)}),
    "cold share": lone(
        node("Mul", ("x", "many"), "n"), node("Softmax", ("n",), "p"),
        node("Gather", ("p", "none"), "s", "", {"axis": 1}), BIG, many=[9000.0], bound=[0.95],
        none={1: [], 2: 7, 9: struct.pack("<q", 0)}),
    "two halves": lone(
        node("Relu", ("x",), "a"), node("Sub", ("x", "half"), "b"), node("Relu", ("b",), "c"),
        node("Mul", ("a", "c"), "v"), TOTAL, BIG, half=[0.7], bound=[0.3]),
    "frequency": lone(
        node("Reshape", ("x", "square"), "m"), node("DFT", ("m",), "f", "", {"axis": 1}),
        node("Reshape", ("f", "line"), "v"),
        node("Gather", ("v", "two"), "s", "", {"axis": 1}), BIG, bound=[1.0],
        square={1: [3], 2: 7, 9: struct.pack("<3q", 1, 6, 1)},
        line={1: [2], 2: 7, 9: struct.pack("<2q", 1, -1)},
        two={1: [], 2: 7, 9: struct.pack("<q", 2)}),
    "bits": lone(node("BitwiseXor", ("x", "mask"), "v"), TOTAL,
                 node("Equal", ("s", "want"), "y"), kind=INT, mask=[21], want=[300]),
    "rest": lone(node("Mod", ("x", "m"), "v"), TOTAL, node("Equal", ("s", "want"), "y"), kind=INT,
                 m=[10], want=[40]),
    "likeness": lone(
        node("Mul", ("x", "w"), "n"), node("ReduceSum", ("n", "axis"), "a", "", {"keepdims": 0}),
        node("ReduceL2", ("x", "axis"), "b", "", {"keepdims": 0}),
        node("Div", ("a", "b"), "s"), BIG, w=tensor("f", [1, 6], 0.0, 1.0, 0.0, 0.0, 0.5, 0.0),
        bound=[1.05]),
    "in smaller": lone(
        node("Reshape", ("x", "square"), "m"),
        node("Resize", ("m", "", "scales"), "r", "", {"mode": "linear"}),
        node("Reshape", ("r", "line"), "v"), TOTAL, BIG,
        square={1: [4], 2: 7, 9: struct.pack("<4q", 1, 1, 1, 6)},
        line={1: [2], 2: 7, 9: struct.pack("<2q", 1, -1)},
        scales=tensor("f", [4], 1.0, 1.0, 1.0, 0.5), bound=[2.8]),
    "summed up": lone(
        node("CumSum", ("x", "one"), "c"), node("Gather", ("c", "four"), "s", "", {"axis": 1}),
        BIG, one={1: [], 2: 7, 9: struct.pack("<q", 1)},
        four={1: [], 2: 7, 9: struct.pack("<q", 4)}, bound=[2.95]),
    "ends that are the same": lone(
        node("Gather", ("x", "none"), "a", "", {"axis": 1}),
        node("Gather", ("x", "last"), "b", "", {"axis": 1}),
        node("Equal", ("a", "b"), "e"), node("Greater", ("a", "limit"), "g"),
        node("And", ("e", "g"), "y"), kind=INT, limit=[90],
        none={1: [], 2: 7, 9: struct.pack("<q", 0)}, last={1: [], 2: 7, 9: struct.pack("<q", 5)}),
    "fused product": lone(
        node("FusedMatMul", ("x", "w"), "v", FUSED, {"alpha": 2.0, "transB": 1}), TOTAL, BIG,
        w=tensor("f", [1, 6], *ROW), bound=[3.1]),
    "fused gemm": lone(
        node("FusedGemm", ("x", "w", "less"), "v", FUSED, {"transB": 1, "activation": "Relu"}),
        TOTAL, BIG, w=tensor("f", [1, 6], *ROW), less=[-1.0], bound=[0.6]),
    "fused filter": lone(
        node("Reshape", ("x", "square"), "m"),
        node("FusedConv", ("m", "w", "less"), "c", FUSED, {"activation": "Relu"}),
        node("Reshape", ("c", "line"), "v"), TOTAL, BIG,
        square={1: [4], 2: 7, 9: struct.pack("<4q", 1, 1, 2, 3)},
        line={1: [2], 2: 7, 9: struct.pack("<2q", 1, -1)},
        w=tensor("f", [1, 1, 2, 3], *ROW), less=[-1.0], bound=[0.6]),
    "quantised sum": lone(
        QUANTISED, node("QLinearAdd", ("q", "scale", "zero", "q", "scale", "zero", "coarse",
                                       "zero"), "r", FUSED), REAL, TOTAL, BIG,
        bound=[10.0], **PARTS),
    "quantised product": lone(
        QUANTISED, node("QLinearMul", ("q", "scale", "zero", "q", "scale", "zero", "coarse",
                                       "zero"), "r", FUSED), REAL, TOTAL, BIG,
        bound=[5.0], **PARTS),
    "quantised layer": lone(
        QUANTISED, node("QLinearMatMul", ("q", "scale", "zero", "w", "scale", "none", "coarse",
                                          "zero"), "r"), REAL, TOTAL, BIG,
        w=tensor("b", [6, 1], 50, -25, 75, -50, 25, 50), none=tensor("b", [], 0), bound=[1.6],
        **PARTS),
    "quantised curve": lone(
        QUANTISED, node("QLinearSigmoid", ("q", "scale", "zero", "scale", "zero"), "r", FUSED),
        node("DequantizeLinear", ("r", "scale", "zero"), "v"), TOTAL, BIG, bound=[4.2], **PARTS),
}  # fmt: skip
"""Small predicates that hold of almost no input between 0 and 1, or of whole numbers to 99."""


@pytest.mark.parametrize("name", RULES)
def test_rules_lead_back(name: str) -> None:
    """Running backward alone finds an input: nothing of it is luck."""
    whole = name in ("bits", "rest", "ends that are the same")
    entry = Port("x", "tokens" if whole else "picture", (1, 6), np.int64 if whole else np.float32,
                0, 99 if whole else 1)  # fmt: skip
    cut = Cut(open_model(RULES[name]), "y", [entry], Path("/"), Budget(30))
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        feeds = {"x": (rng.integers(20, 60, (1, 6)) if whole else rng.uniform(0.3, 0.6, (1, 6)))
                 .astype(entry.dtype)}  # fmt: skip
        state = cut.state(feeds)
        assert state is not None
        seeker = Seeker(cut, State(np.zeros_like(state), 0.0), rng)
        found += seeker.from_input(feeds) is not None and "backward" in seeker.how
    assert found == 4
