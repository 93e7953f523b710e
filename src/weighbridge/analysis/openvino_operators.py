"""The operators of OpenVINO in those of ONNX.

Operators: `docs.openvino.ai`, "Available operation sets".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, Shape
from weighbridge.analysis.exact_operators import EXACT
from weighbridge.analysis.graph_writer import ONNX_TYPES, Writer
from weighbridge.formats.openvino import Layer

TYPES: Final = {
    "FP32": "float32", "FP16": "float16", "FP64": "float64", "BF16": "bfloat16", "I8": "int8",
    "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8", "U16": "uint16",
    "U32": "uint32", "U64": "uint64", "BOOL": "bool", "BOOLEAN": "bool", "F32": "float32",
    "F16": "float16", "F64": "float64",
}  # fmt: skip
"""Element types by the names that OpenVINO gives them."""
_SAME: Final = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cos",
        "Cosh",
        "Sin",
        "Sinh",
        "Tan",
        "Tanh",
        "Erf",
        "Exp",
        "Floor",
        "Log",
        "Round",
        "Sign",
        "Sqrt",
        "Sigmoid",
        "Elu",
        "Gelu",
        "Mish",
        "HardSigmoid",
        "LogSoftmax",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "Add",
        "Equal",
        "Greater",
        "Less",
        "Mod",
        "IsInf",
        "IsNaN",
        "Identity",
        "GatherElements",
        "GatherND",
        "Expand",
        "Tile",
        "Range",
        "CumSum",
        "ReverseSequence",
        "Einsum",
        "LRN",
        "GridSample",
        "NonZero",
        "STFT",
        "DFT",
        "Where",
    ]
)
_NAMED: Final = {
    "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Power": "Pow", "Maximum": "Max",
    "Minimum": "Min", "FloorMod": "Mod", "LessEqual": "LessOrEqual", "Ceiling": "Ceil",
    "GreaterEqual": "GreaterOrEqual", "LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor",
    "LogicalNot": "Not", "Negative": "Neg", "ReLU": "Relu", "PReLU": "PRelu", "HSwish": "HardSwish",
    "HSigmoid": "HardSigmoid", "SoftPlus": "Softplus", "SoftSign": "Softsign", "Selu": "Selu",
    "Select": "Where", "ShapeOf": "Shape", "Interpolate": "Resize", "ROIAlign": "RoiAlign",
    "ScatterElementsUpdate": "ScatterElements", "ScatterNDUpdate": "ScatterND",
    "ScatterUpdate": "ScatterND", "NormalizeL2": "LpNormalization", "RDFT": "DFT", "IDFT": "DFT",
    "IRDFT": "DFT", "MVN": "MeanVarianceNormalization", "GroupNormalization": "GroupNormalization",
    "DepthToSpace": "DepthToSpace", "SpaceToDepth": "SpaceToDepth", "RMS": "RMSNormalization",
    "RandomUniform": "RandomUniform", "Convert": "Cast", "ConvertLike": "CastLike",
    "DeformableConvolution": "DeformConv", "Xor": "Xor", "BatchNormInference": "BatchNormalization",
}  # fmt: skip
_REDUCED: Final = {
    "ReduceLogicalAnd": "ReduceMin", "ReduceLogicalOr": "ReduceMax",
    **{f"Reduce{k}": f"Reduce{k}" for k in ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2")},
}  # fmt: skip
_CELLS: Final = {
    "LSTMSequence": ("LSTM", 4), "GRUSequence": ("GRU", 3), "RNNSequence": ("RNN", 3),
    "LSTMCell": ("LSTM", 3), "GRUCell": ("GRU", 2), "RNNCell": ("RNN", 2),
}  # fmt: skip
"""For each: ONNX's, and the place of the first of its weights among the inputs."""


_NO, _ZERO, _ONE = frozenset({"false", "0"}), frozenset({"0"}), frozenset({"1", "1.0"})
_FLOOR: Final = frozenset({"floor"})
Shapes = Sequence[Shape | None]
Rule = Callable[[Writer, Layer, list[int], Shapes], Sequence[int]]


_USUAL: Final[dict[str, dict[str, frozenset[str]]]] = {
    "Broadcast": {"mode": frozenset({"numpy", "bidirectional"})},
    "CumSum": {"exclusive": _NO, "reverse": _NO},
    "Elu": {"alpha": _ONE},
    "Gather": {"batch_dims": _ZERO},
    "Gelu": {"approximation_mode": frozenset({"ERF", "TANH"})},
    "MVN": {"normalize_variance": frozenset({"true", "1"})},
    "MaxPool": {"rounding_type": _FLOOR, "dilations": _ONE},
    "AvgPool": {"rounding_type": _FLOOR, "exclude-pad": frozenset({"true", "1"})},
    "Pad": {"pad_mode": frozenset({"constant", "edge", "reflect"})},
    "Round": {"mode": frozenset({"half_to_even"})},
    "ScaledDotProductAttention": {"causal": _NO},
    "ScatterNDUpdate": {"reduction": frozenset({"none"})},
    "StridedSlice": {"new_axis_mask": _ZERO, "ellipsis_mask": _ZERO},
    "TopK": {"mode": frozenset({"max"})},
    "ConvolutionBackpropData": {"output_padding": _ZERO},
    "GroupConvolutionBackpropData": {"output_padding": _ZERO},
}
"""What an attribute of a layer has to be, where ONNX's operator is to compute the same; of a row,
each of its numbers."""
_EVERYWHERE: Final = {
    "auto_broadcast": frozenset({"numpy", "none"}),
    "auto_pad": frozenset({"explicit", "notset", "valid"}),
}


def is_exact(w: Writer, layer: Layer, inputs: Sequence[int]) -> bool:
    """Whether what a layer is spelt as computes the same numbers."""
    if layer.type not in EXACT["openvino"]:
        return False
    usual = _EVERYWHERE | _USUAL.get(layer.type, {})
    for key in usual.keys() & layer.data.keys():
        if not {v.strip() for v in layer.data[key].split(",")} <= usual[key] | {""}:
            return False
    if layer.type == "Reshape":
        return _truth(layer, "special_zero") or 0 not in (w.known(inputs[1]) or (0,))
    if layer.type == "VariadicSplit":
        return -1 not in (w.known(inputs[2]) or (-1,))
    if layer.type == "PReLU":
        slope, data = w.shape(inputs[1]), w.shape(inputs[0])
        return slope is not None and (slope in ((), (1,)) or len(slope) == len(data or ()))
    if layer.type in ("ConvolutionBackpropData", "GroupConvolutionBackpropData"):
        return len(inputs) == 2
    return True


def spelt(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int] | None:
    """What a layer gives; None where there is nothing in ONNX for it."""
    rule = _RULES.get(layer.type)
    if rule is not None:
        try:
            return rule(w, layer, inputs, shapes)
        except (TypeError, ValueError, IndexError, KeyError):
            return None
    if layer.type in _SAME or layer.type in _NAMED:
        op = _NAMED.get(layer.type, layer.type)
        return w.ops(op, max(1, len(shapes)), *inputs, shapes=shapes, **_kept(layer))
    return None


def _kept(layer: Layer) -> dict[str, Any]:
    """The attributes of a layer that ONNX has too, by ONNX's names."""
    kept: dict[str, Any] = {}
    for key, value in layer.data.items():
        if key in ("axis", "batch_dims", "block_size"):
            try:
                kept[key] = int(value)
            except ValueError:
                continue
        elif key in ("alpha", "epsilon"):
            try:
                kept[key] = float(value)
            except ValueError:
                continue
        elif key == "destination_type":
            kept["to"] = _onnx_type(value)
        elif key == "approximation_mode":
            kept["approximate"] = {"TANH": "tanh"}.get(value, "none")
    return kept


def _onnx_type(written: str) -> int:
    return ONNX_TYPES.get(TYPES.get(written.upper(), ""), 1)


def _row(layer: Layer, key: str) -> tuple[int, ...]:
    return tuple(int(v) for v in layer.data.get(key, "").replace(",", " ").split())


def _truth(layer: Layer, key: str) -> bool:
    return layer.data.get(key, "").lower() in ("true", "1")


def _known(w: Writer, value: int) -> tuple[int, ...]:
    """Numbers that must be known. Raises `ValueError`."""
    found = w.known(value)
    if found is None or not all(isinstance(v, int | float) for v in found):
        raise ValueError
    return tuple(int(v) for v in found)


def _first(shapes: Shapes) -> Shape | None:
    return shapes[0] if shapes else None


def _not_equal(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return (w.op("Not", w.op("Equal", *inputs[:2])),)


def _clamp(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    low, high = (w.number(float(layer.data[k])) for k in ("min", "max"))
    return (w.op("Clip", inputs[0], low, high, shape=_first(shapes)),)


def _softmax(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    axis = int(layer.data.get("axis", "1"))
    return (w.op("Softmax", inputs[0], axis=axis, shape=_first(shapes)),)


def _swish(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    x = inputs[0]
    steep = w.op("Mul", x, inputs[1]) if len(inputs) > 1 else x
    return (w.op("Mul", x, w.op("Sigmoid", steep), shape=_first(shapes)),)


def _squared(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    off = w.op("Sub", *inputs[:2])
    return (w.op("Mul", off, off, shape=_first(shapes)),)


def _reduce(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    keep = int(_truth(layer, "keep_dims"))
    op = _REDUCED[layer.type]
    return (w.op(op, *inputs[:2], keepdims=keep, shape=_first(shapes)),)


def _reshape(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return (w.op("Reshape", *inputs[:2], shape=_first(shapes)),)


def _transpose(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    order = _known(w, inputs[1]) or tuple(reversed(range(w.rank(inputs[0]) or 1)))
    return (w.op("Transpose", inputs[0], perm=order, shape=_first(shapes)),)


def _squeeze(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return (w.op(layer.type, *inputs[:2], shape=_first(shapes)),)


def _concat(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    axis = int(layer.data.get("axis", "0"))
    return (w.op("Concat", *inputs, axis=axis, shape=_first(shapes)),)


def _split(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    axis = _known(w, inputs[1])[0]
    more = inputs[2:3] if layer.type == "VariadicSplit" else []
    return w.ops("Split", len(shapes), inputs[0], *more, axis=axis, shapes=shapes)


def _gather(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    axis = _known(w, inputs[2])[0]
    return (w.op("Gather", *inputs[:2], axis=axis, shape=_first(shapes)),)


def _broadcast(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return (w.op("Expand", *inputs[:2], shape=_first(shapes)),)


def _slice(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    data, start, stop, step = inputs[:4]
    axes = inputs[4] if len(inputs) > 4 else ABSENT
    return (w.op("Slice", data, start, stop, axes, step, shape=_first(shapes)),)


def _strided(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    """Begin, end and step for each of the first axes; masks say which of them mean nothing."""
    data = inputs[0]
    masks = {k: _row(layer, f"{k}_mask") for k in ("begin", "end", "shrink_axis", "new_axis",
                                                   "ellipsis")}  # fmt: skip
    if any(masks["new_axis"]) or any(masks["ellipsis"]):
        cut = w.op("Slice", data, shape=None)
        return (w.op("Reshape", cut, w.op("Shape", cut), shape=_first(shapes)),)
    starts, ends = (list(_numbers(w, v)) for v in inputs[1:3])
    steps = list(_numbers(w, inputs[3])) if len(inputs) > 3 else [1] * len(starts)
    axes = []
    for axis in range(len(starts)):
        open_start = axis < len(masks["begin"]) and masks["begin"][axis]
        open_end = axis < len(masks["end"]) and masks["end"][axis]
        if axis < len(masks["shrink_axis"]) and masks["shrink_axis"][axis]:
            ends[axis] = starts[axis] + 1 if starts[axis] != -1 else (1 << 63) - 1
            steps[axis] = 1
        else:
            starts[axis] = (0 if steps[axis] > 0 else -1) if open_start else starts[axis]
            far = (1 << 63) - 1 if steps[axis] > 0 else -(1 << 62)
            ends[axis] = far if open_end else ends[axis]
        axes.append(axis)
    row = [w.numbers(v) for v in (starts, ends, axes, steps)]
    gone = [i for i, m in enumerate(masks["shrink_axis"]) if m]
    made = w.op("Slice", data, *row, shape=None if gone else _first(shapes))
    return (w.squeeze(made, *gone) if gone else made,)


def _numbers(w: Writer, value: int) -> tuple[int, ...]:
    return _known(w, value)


def _pad(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    row = w.op("Concat", *inputs[1:3], axis=0)
    mode = layer.data.get("pad_mode", "constant")
    return (w.op("Pad", inputs[0], row, *inputs[3:4], mode=mode, shape=_first(shapes)),)


def _one_hot(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    axis = int(layer.data.get("axis", "-1"))
    return (w.op("OneHot", *inputs, axis=axis, shape=_first(shapes)),)


def _topk(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    """The best few; the one best and its place are what ONNX has operators of their own for."""
    axis = int(layer.data.get("axis", "-1"))
    if w.known(inputs[1]) == (1,) and len(shapes) == 2:
        kinds = (
            ("ReduceMax", "ArgMax") if layer.data.get("mode") != "min" else ("ReduceMin", "ArgMin")
        )
        best = w.op(kinds[0], inputs[0], w.numbers((axis,)), keepdims=1, shape=shapes[0])
        return best, w.op(kinds[1], inputs[0], axis=axis, keepdims=1, shape=shapes[1])
    return w.ops("TopK", max(1, len(shapes)), *inputs[:2], axis=axis, shapes=shapes)


def _matmul(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    a, b = inputs[:2]
    a = w.swap(a, -2, -1) if _truth(layer, "transpose_a") else a
    b = w.swap(b, -2, -1) if _truth(layer, "transpose_b") else b
    return (w.op("MatMul", a, b, shape=_first(shapes)),)


def _conv(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    data, weight = inputs[:2]
    groups = 1
    shape = w.shape(weight)
    backwards = "Backprop" in layer.type
    if layer.type.startswith("Group") and shape and all(isinstance(d, int) for d in shape):
        sizes = [d for d in shape if isinstance(d, int)]
        groups = sizes[0]
        front = [sizes[0] * sizes[1], sizes[2]]
        weight = w.op("Reshape", weight, w.numbers([*front, *sizes[3:]]))
    kept = {
        "strides": _row(layer, "strides"),
        "dilations": _row(layer, "dilations"),
        "pads": (*_row(layer, "pads_begin"), *_row(layer, "pads_end")),
        "group": groups,
    }
    op = "ConvTranspose" if backwards else "Conv"
    return (w.op(op, data, weight, shape=_first(shapes), **kept),)


def _pool(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    kept = {"kernel_shape": _row(layer, "kernel"), "strides": _row(layer, "strides"),
            "pads": (*_row(layer, "pads_begin"), *_row(layer, "pads_end"))}  # fmt: skip
    op = "MaxPool" if layer.type == "MaxPool" else "AveragePool"
    return w.ops(op, max(1, len(shapes)), inputs[0], shapes=shapes, **kept)


def _adaptive(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    op = "MaxPool" if "Max" in layer.type else "AveragePool"
    found = _first(shapes)
    if found is not None and all(d == 1 for d in found[2:]):
        op = f"Global{op}"
    return w.ops(op, max(1, len(shapes)), inputs[0], shapes=shapes)


def _cell(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    op, place = _CELLS[layer.type]
    given = (inputs[0], *inputs[place : place + 3])
    return w.ops(op, max(1, len(shapes)), *given, shapes=shapes)


def _quantize(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    """Cut down to a few steps between bounds, and back."""
    cut = w.op("QuantizeLinear", inputs[0], w.number(1.0), shape=_first(shapes))
    return (w.op("DequantizeLinear", cut, w.number(1.0), shape=_first(shapes)),)


def _suppressed(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return w.ops("NonMaxSuppression", max(1, len(shapes)), *inputs[:5], shapes=shapes)


def _attention(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    q, k, v = inputs[:3]
    shape = w.shape(q)
    width = shape[-1] if shape and isinstance(shape[-1], int) else 64
    scores = w.op("MatMul", q, w.swap(k, -2, -1))
    scale = inputs[4] if len(inputs) > 4 else w.number(1 / math.sqrt(max(1, width)))
    scores = w.op("Mul", scores, scale)
    if len(inputs) > 3 and inputs[3] != ABSENT and not _truth(layer, "causal"):
        mask = inputs[3]
        if w.type(mask) == "bool":
            mask = w.op("Where", mask, w.number(0.0), w.number(-1e30))
        scores = w.op("Add", scores, mask)
    return (w.op("MatMul", w.op("Softmax", scores, axis=-1), v, shape=_first(shapes)),)


def _norm(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    return (w.op(_NAMED[layer.type], inputs[0], shape=_first(shapes)),)


def _mean_variance(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    """`eps_mode` says whether the small number is added before the root is taken or after it."""
    kept = {"axes": _known(w, inputs[1]), "epsilon": float(layer.data.get("eps", "0"))}
    if layer.data.get("eps_mode", "").lower() == "outside_sqrt":
        kept["outside"] = 1
    return (w.op("MeanVarianceNormalization", inputs[0], shape=_first(shapes), **kept),)


def _division(w: Writer, layer: Layer, inputs: list[int], shapes: Shapes) -> Sequence[int]:
    """Whole numbers are rounded down unless it is said that they are cut off."""
    down = layer.data.get("m_pythondiv", "true").lower() in ("true", "1")
    kept = {"rounding": "floor"} if down else {}
    return (w.op("Div", *inputs[:2], shape=_first(shapes), **kept),)


_RULES: Final[dict[str, Rule]] = {
    "NotEqual": _not_equal, "Clamp": _clamp, "SoftMax": _softmax, "Softmax": _softmax,
    "Swish": _swish, "SquaredDifference": _squared, **dict.fromkeys(_REDUCED, _reduce),
    "Reshape": _reshape, "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _squeeze,
    "Concat": _concat, "Split": _split, "VariadicSplit": _split, "Gather": _gather,
    "Broadcast": _broadcast, "Slice": _slice, "StridedSlice": _strided, "Pad": _pad,
    "OneHot": _one_hot, "TopK": _topk, "MatMul": _matmul, "Convolution": _conv,
    "GroupConvolution": _conv, "ConvolutionBackpropData": _conv,
    "GroupConvolutionBackpropData": _conv, "MaxPool": _pool, "AvgPool": _pool,
    "AdaptiveAvgPool": _adaptive, "AdaptiveMaxPool": _adaptive, **dict.fromkeys(_CELLS, _cell),
    "FakeQuantize": _quantize, "NonMaxSuppression": _suppressed, "MVN": _mean_variance,
    "Divide": _division,
    "NormalizeL2": _norm, "ScaledDotProductAttention": _attention,
}  # fmt: skip
