"""Fused, quantised and blocked operators of ONNX Runtime, spelt out in operators of ONNX.

An optimiser puts several operators into one of its own; what they compute is the same, and the
analysis should say the same of it. A quantised operator is its plain one between dequantising and
quantising, a fused one is its parts. The blocked layout (`com.microsoft.nchwc`) pads channels and
changes the order of numbers, not what they are: it is read as the plain layout.

Source: ONNX Runtime, `docs/ContribOperators.md`, `onnxruntime/core/graph/nchwc_schema_defs.cc`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Operation

_MICROSOFT, _BLOCKED = "com.microsoft::", "com.microsoft.nchwc::"


def spell_out(graph: ComputationGraph, operation: Operation, texts: Mapping[str, str]) -> None:
    """Add an operation, or the plain ones that it stands for; each bears its name. `texts` are
    those of its attributes that are text."""
    spelling = _SPELLINGS.get(operation.op)
    if spelling is None or not operation.outputs or operation.outputs[0] == ABSENT:
        graph.add(operation)
    else:
        spelling(_Spelling(graph, operation, texts))


class _Spelling:
    """One operation that is being spelt out."""

    def __init__(
        self, graph: ComputationGraph, operation: Operation, texts: Mapping[str, str]
    ) -> None:
        self.graph, self.operation, self.texts = graph, operation, texts
        self.waiting: tuple[str, tuple[int, ...], dict[str, Any]] | None = None
        self.steps = 0

    def given(self, place: int) -> int:
        """An input; `ABSENT` where it is left out."""
        inputs = self.operation.inputs
        return inputs[place] if place < len(inputs) else ABSENT

    def first(self, op: str, *inputs: int, **attributes: Any) -> None:
        """Begin with an operation on inputs; it has the attributes of the fused one."""
        self.waiting = op, inputs, {**self.operation.attributes, **attributes}

    def then(self, op: str, *more: int, **attributes: Any) -> None:
        """Go on from what came out so far."""
        self.waiting = op, (self.so_far(), *more), attributes

    def add(self, value: int) -> None:
        """Add a value, where it is there."""
        if value != ABSENT:
            self.then("Add", value)

    def activate(self) -> None:
        """The activation that the fused operator names."""
        name = self.texts.get("activation")
        if name:
            self.then(name)

    def so_far(self, to: int = ABSENT) -> int:
        """What has come out so far, as a value."""
        assert self.waiting is not None
        op, inputs, attributes = self.waiting
        return self.side(op, *inputs, to=to, attributes=attributes)

    def side(
        self, op: str, *inputs: int, to: int = ABSENT, attributes: Mapping[str, Any] | None = None
    ) -> int:
        """An operation beside the chain; its output."""
        self.steps += 1
        whole = self.operation
        output = self.graph.value(f"{whole.name}:{self.steps}") if to == ABSENT else to
        made = Operation(op, whole.name, inputs, (output,), attributes or {}, whole.origin)
        self.graph.add(made)
        return output

    def real(self, place: int) -> int:
        """The numbers of a quantised input, whose scale and zero point follow it."""
        value = self.given(place)
        if value == ABSENT:
            return ABSENT
        return self.side("DequantizeLinear", value, self.given(place + 1), self.given(place + 2))

    def end(self) -> None:
        """What came last is what the fused operator gives."""
        self.so_far(self.operation.outputs[0])

    def end_quantised(self, place: int) -> None:
        """The same, quantised by the scale and zero point at `place`."""
        self.then("QuantizeLinear", self.given(place), self.given(place + 1))
        self.end()


def _convolution(s: _Spelling) -> None:
    s.first("Conv", s.given(0), s.given(1), s.given(2))
    s.add(s.given(3))
    s.activate()
    s.end()


def _gemm(s: _Spelling) -> None:
    s.first("Gemm", s.given(0), s.given(1), s.given(2))
    s.activate()
    s.end()


def _matmul(bias: int = ABSENT) -> Callable[[_Spelling], None]:
    def spelling(s: _Spelling) -> None:
        s.first("MatMul", s.given(0), s.given(1))
        if bias != ABSENT:
            s.add(s.given(bias))
        s.activate()
        s.end()

    return spelling


def _biased(op: str, bias: int = 1) -> Callable[[_Spelling], None]:
    def spelling(s: _Spelling) -> None:
        s.first("Identity", s.given(0))
        s.add(s.given(bias))
        s.then(op)
        s.end()

    return spelling


def _skip(norm: str, bias: int) -> Callable[[_Spelling], None]:
    """The sum of two values, normalised; the sum itself is the fourth output."""

    def spelling(s: _Spelling) -> None:
        outputs = s.operation.outputs
        s.first("Add", s.given(0), s.given(1))
        s.add(s.given(bias))
        total = s.so_far(outputs[3] if len(outputs) > 3 else ABSENT)
        norms = [s.given(i) for i in range(2, bias)]
        s.first(norm, total, *norms)
        s.end()

    return spelling


def _embedded(s: _Spelling) -> None:
    """Words, places and segments looked up, added and normalised."""
    outputs = s.operation.outputs
    s.first("Gather", s.given(2), s.given(0))
    s.add(s.given(3))
    if ABSENT not in (s.given(1), s.given(4)):
        s.add(s.side("Gather", s.given(4), s.given(1)))
    total = s.so_far(outputs[2] if len(outputs) > 2 else ABSENT)
    s.first("LayerNormalization", total, s.given(5), s.given(6))
    s.end()
    if len(outputs) > 1 and outputs[1] != ABSENT and s.given(7) != ABSENT:
        s.side("ReduceSum", s.given(7), to=outputs[1], attributes={"axes": (1,), "keepdims": 0})


def _quantised(op: str, values: tuple[int, ...], out: int) -> Callable[[_Spelling], None]:
    """A plain operator between dequantising and quantising; scales follow their values."""

    def spelling(s: _Spelling) -> None:
        s.first(op, *(s.real(i) for i in values))
        s.end_quantised(out)

    return spelling


def _quantised_conv(s: _Spelling) -> None:
    s.first("Conv", s.real(0), s.real(3), s.given(8))
    s.end_quantised(6)


def _quantised_gemm(s: _Spelling) -> None:
    s.first("Gemm", s.real(0), s.real(3), s.given(6))
    if s.given(7) == ABSENT:
        s.end()
    else:
        s.end_quantised(7)


def _quantised_where(s: _Spelling) -> None:
    s.first("Where", s.given(0), s.real(1), s.real(4))
    s.end_quantised(7)


def _quantised_concat(s: _Spelling) -> None:
    s.first("Concat", *(s.real(i) for i in range(2, len(s.operation.inputs), 3)))
    s.end_quantised(0)


def _renamed(op: str, count: int = 0) -> Callable[[_Spelling], None]:
    """An operator of ONNX under another name, with the same inputs, or the first of them."""

    def spelling(s: _Spelling) -> None:
        inputs = s.operation.inputs[:count] if count else s.operation.inputs
        whole = s.operation
        made = Operation(op, whole.name, inputs, whole.outputs, whole.attributes, whole.origin)
        s.graph.add(made)

    return spelling


def _reordered(s: _Spelling) -> None:
    """Channels last and channels first are told apart by the attribute; a block is not seen."""
    last, into = s.operation.attributes.get("channels_last"), s.operation.op.endswith("Input")
    if last:
        s.first("Transpose", s.given(0), perm=(0, 3, 1, 2) if into else (0, 2, 3, 1))
        s.end()
    elif into:
        _renamed("Identity", 1)(s)
    else:
        s.graph.add(s.operation)


_SPELLINGS: Final[dict[str, Callable[[_Spelling], None]]] = {
    **{f"{_MICROSOFT}{name}": spelling for name, spelling in {
        "FusedConv": _convolution, "FusedGemm": _gemm, "FusedMatMul": _matmul(),
        "TransposeMatMul": _matmul(), "FusedMatMulActivation": _matmul(),
        "DynamicQuantizeMatMul": _matmul(4), "MatMulIntegerToFloat": _matmul(6),
        "MatMulInteger16": _matmul(), "GemmFastGelu": _biased("Gelu", 2),
        "BiasGelu": _biased("Gelu"), "FastGelu": _biased("Gelu"), "BiasAdd": _skip("Identity", 2),
        "BiasSoftmax": _biased("Softmax"), "BiasDropout": _biased("Dropout"),
        "Gelu": _renamed("Gelu"), "QuickGelu": _renamed("Gelu"),
        "SkipLayerNormalization": _skip("LayerNormalization", 4),
        "SkipSimplifiedLayerNormalization": _skip("RMSNormalization", 3),
        "EmbedLayerNormalization": _embedded,
        "GroupNorm": _renamed("GroupNormalization"),
        "QuantizeLinear": _renamed("QuantizeLinear"),
        "DequantizeLinear": _renamed("DequantizeLinear"),
        "DynamicQuantizeLSTM": _renamed("LSTM", 3), "GatherND": _renamed("GatherND"),
        "Pad": _renamed("Pad"), "Unique": _renamed("Unique"), "Trilu": _renamed("Trilu"),
        "Tokenizer": _renamed("StringSplit"),
        "ReduceSumInteger": _renamed("ReduceSum"), "GridSample": _renamed("GridSample"),
        "QLinearConv": _quantised_conv, "QGemm": _quantised_gemm,
        "QLinearAdd": _quantised("Add", (0, 3), 6), "QLinearMul": _quantised("Mul", (0, 3), 6),
        "QLinearSigmoid": _quantised("Sigmoid", (0,), 3),
        "QLinearLeakyRelu": _quantised("LeakyRelu", (0,), 3),
        "QLinearSoftmax": _quantised("Softmax", (0,), 3),
        "QLinearAveragePool": _quantised("AveragePool", (0,), 3),
        "QLinearGlobalAveragePool": _quantised("GlobalAveragePool", (0,), 3),
        "QLinearReduceMean": _quantised("ReduceMean", (0,), 3),
        "QLinearWhere": _quantised_where, "QLinearConcat": _quantised_concat,
    }.items()},
    **{f"{_BLOCKED}{name}": spelling for name, spelling in {
        "Conv": _convolution, "MaxPool": _renamed("MaxPool"),
        "AveragePool": _renamed("AveragePool"), "GlobalMaxPool": _renamed("GlobalMaxPool"),
        "GlobalAveragePool": _renamed("GlobalAveragePool"), "ReorderInput": _reordered,
        "ReorderOutput": _reordered, "Upsample": _renamed("Resize", 1),
    }.items()},
    "QLinearConv": _quantised_conv,
    "QLinearMatMul": _quantised("MatMul", (0, 3), 6),
    "SimplifiedLayerNormalization": _renamed("RMSNormalization"),
}  # fmt: skip
