"""TensorFlow Lite's operators, each spelt out in operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT
from weighbridge.analysis.tensorflow_writer import Writer
from weighbridge.formats.tflite import Operator, Tensor

_FUSED: Final = {1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh", 5: "sign_bit"}


class Spelling:
    """Spells out operators in the graph that `w` writes."""

    def __init__(self) -> None:
        self.w = Writer()
        self.result: Tensor | None = None
        """What the operator gives that is being spelt out."""

    def fused(self, operator: Operator, value: int) -> list[int]:
        """A result with the activation that its operator holds."""
        number = operator.attributes.get("fused_activation_function", 0)
        return [self.w.activation(_FUSED.get(number, ""), value)]


Rule = Callable[[Spelling, Operator, list[int]], "Sequence[int] | None"]


def _plain(op: str, count: int = 0, fused: bool = False, **attributes: Any) -> Rule:
    """An operator that ONNX has too; only `count` of its inputs where that is not all."""

    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int]:
        made = b.w.op(op, *(i[:count] if count else i), **attributes)
        return b.fused(o, made) if fused else [made]

    return rule


def _compare(op: str) -> Rule:
    return lambda b, o, i: [b.w.compare(op, i[0], i[1])]


def _window(b: Spelling, o: Operator) -> dict[str, Any]:
    a = o.attributes
    rates = (a.get("dilation_h_factor", 1), a.get("dilation_w_factor", 1))
    padding = "SAME" if a["padding"] == 0 else "VALID"
    return b.w.window((a["stride_h"], a["stride_w"]), padding, (), rates)


def _with_bias(b: Spelling, o: Operator, made: int, inputs: list[int], at: int = 2) -> list[int]:
    if len(inputs) > at and inputs[at] != ABSENT:
        made = b.w.op("Add", made, inputs[at])
    return b.fused(o, made)


def _conv(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    kernel = b.w.transpose(i[1], 0, 3, 1, 2)
    return _with_bias(b, o, b.w.convolve(i[0], kernel, 2, _window(b, o)), i)


def _depthwise(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    kernel = b.w.transpose(i[1], 3, 0, 1, 2)
    shape, each = b.w.shape(i[1]), o.attributes.get("depth_multiplier") or 1
    window = _window(b, o)
    if shape is None or len(shape) != 4 or not isinstance(shape[3], int) or shape[3] % each:
        b.w.roughly("DEPTHWISE_CONV_2D")
    else:
        window["group"] = shape[3] // each
    return _with_bias(b, o, b.w.convolve(i[0], kernel, 2, window), i)


def _conv_3d(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    a = o.attributes
    padding = "SAME" if a["padding"] == 0 else "VALID"
    window = b.w.window((a["stride_d"], a["stride_h"], a["stride_w"]), padding)
    kernel = b.w.transpose(i[1], 4, 3, 0, 1, 2)
    return _with_bias(b, o, b.w.convolve(i[0], kernel, 3, window), i)


def _conv_transpose(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    kernel = b.w.transpose(i[1], 3, 0, 1, 2)
    made = b.w.op("ConvTranspose", b.w.channels_first(i[2]), kernel, **_window(b, o))
    return _with_bias(b, o, b.w.channels_last(made), i, 3)


def _pool(op: str) -> Rule:
    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int]:
        size = (o.attributes["filter_height"], o.attributes["filter_width"])
        return b.fused(o, b.w.pool(op, i[0], size, _window(b, o)))

    return rule


def _fully_connected(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    weights = b.w.shape(i[1])
    flat = i[0]
    if not o.attributes["keep_num_dims"] and weights is not None and len(weights) == 2:
        width = weights[1]
        flat = b.w.reshape(flat, -1, width if isinstance(width, int) else -1)
    made = b.w.op("MatMul", flat, b.w.transpose(i[1], 1, 0))
    return _with_bias(b, o, made, i)


def _batch_matmul(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    sides: list[int] = []
    for value, turned in ((i[0], o.attributes["adj_x"]), (i[1], o.attributes["adj_y"])):
        shape = b.w.shape(value)
        if turned and shape is None:
            return None
        rank = len(shape or ())
        order = (*range(rank - 2), rank - 1, rank - 2)
        sides.append(b.w.transpose(value, *order) if turned else value)
    return [b.w.op("MatMul", *sides)]


def _reduce(op: str) -> Rule:
    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int]:
        return [b.w.reduce(op, i[0], i[1], bool(o.attributes["keep_dims"]))]

    return rule


def _strided_slice(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    a = o.attributes
    if a["offset"]:
        i = [i[0], i[1], b.w.op("Add", i[1], i[2]), i[3]]
    masks = [a[f"{k}_mask"] for k in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")]
    return [b.w.strided_slice(i[0], i[1], i[2], i[3], masks)]


def _split(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    axis = b.w.whole(i[0])
    return b.w.ops("Split", [i[1]], len(o.outputs), axis=axis[0]) if axis else None


def _split_v(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    axis = b.w.whole(i[2])
    return b.w.ops("Split", i[:2], len(o.outputs), axis=axis[0]) if axis else None


def _gather(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    axis, batch = o.attributes["axis"], o.attributes["batch_dims"]
    if not batch and not axis and b.w.shape(i[1]) in ((), None):
        return [b.w.element(i[0], i[1])]
    if not batch:
        return [b.w.op("Gather", i[0], i[1], axis=axis)]
    if axis != batch:
        return None
    return [b.w.op("GatherND", i[0], b.w.unsqueeze(i[1], -1), batch_dims=batch)]


def _arg(op: str) -> Rule:
    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
        axis = b.w.whole(i[1])
        return [b.w.op(op, i[0], axis=axis[0], keepdims=0)] if axis else None

    return rule


def _expand_dims(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    axis = b.w.whole(i[1])
    return [b.w.unsqueeze(i[0], *axis)] if axis else None


def _reshape(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    if len(i) > 1 and i[1] != ABSENT:
        return [b.w.op("Reshape", i[0], i[1])]
    return [b.w.reshape(i[0], *o.attributes["new_shape"])]


def _one_hot(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    values = b.w.stack([i[3], i[2]], 0)
    return [b.w.op("OneHot", i[0], i[1], values, axis=o.attributes["axis"])]


def _transpose(b: Spelling, o: Operator, i: list[int]) -> list[int] | None:
    order = b.w.whole(i[1])
    return [b.w.transpose(i[0], *order)] if order is not None else None


def _moved(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    """Blocks of space into the batch or out of it: the same numbers in other places."""
    return [b.w.op("Reshape", i[0], b.w.graph.value("sizes"))]


def _quantize(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    return [b.w.op("DequantizeLinear", b.w.op("QuantizeLinear", i[0]))]


def _select(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    """By a choice of the same shape; one for each row where it has one axis only."""
    test, value = b.w.shape(i[0]), b.w.shape(i[1])
    if test is None or (test and test != value):
        b.w.roughly("SELECT")
    return [b.w.op("Where", *i)]


def _softmax(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    if o.attributes.get("beta", 1.0) != 1.0:
        b.w.roughly("SOFTMAX")
    return [b.w.op("Softmax", i[0], axis=-1)]


def _gelu(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    return [b.w.op("Gelu", i[0], approximate="tanh" if o.attributes.get("approximate") else "none")]


def _running_sum(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    kept = {k: 1 for k in ("exclusive", "reverse") if o.attributes.get(k)}
    return [b.w.op("CumSum", *i, **kept)]


def _resize(mode: str) -> Rule:
    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int]:
        names = ("align_corners", "half_pixel_centers")
        return [b.w.resize(i[0], i[1], mode, [bool(o.attributes.get(n)) for n in names])]

    return rule


def _cast(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    """To the type of the tensor: the options may be left out."""
    if b.result is None:
        return []
    return [b.w.cast(i[0], b.result.type.lower())]


def _cell(op: str) -> Rule:
    def rule(b: Spelling, o: Operator, i: list[int]) -> list[int]:
        return b.w.ops(op, [v for v in i if v != ABSENT], len(o.outputs))

    return rule


def _chosen(b: Spelling, o: Operator, i: list[int]) -> list[int]:
    return b.w.ops("NonMaxSuppression", i, len(o.outputs))


def _binary(op: str) -> Rule:
    return _plain(op, 2, fused=True)


RULES: Final[dict[str, Rule]] = {
    "ADD": _binary("Add"), "SUB": _binary("Sub"), "MUL": _binary("Mul"), "DIV": _binary("Div"),
    "MAXIMUM": _plain("Max"), "MINIMUM": _plain("Min"), "POW": _plain("Pow"),
    "ADD_N": _plain("Sum"), "FLOOR_MOD": _plain("Mod"),
    "FLOOR_DIV": lambda b, o, i: [b.w.floor_div(i[0], i[1])],
    "SQUARED_DIFFERENCE": lambda b, o, i: [b.w.square(b.w.op("Sub", *i))],
    "SQUARE": lambda b, o, i: [b.w.square(i[0])], "RSQRT": lambda b, o, i: [b.w.rsqrt(i[0])],
    "ABS": _plain("Abs"), "NEG": _plain("Neg"), "EXP": _plain("Exp"), "LOG": _plain("Log"),
    "SQRT": _plain("Sqrt"), "SIN": _plain("Sin"), "COS": _plain("Cos"), "SIGN": _plain("Sign"),
    "FLOOR": _plain("Floor"), "CEIL": _plain("Ceil"), "ROUND": _plain("Round"),
    "ATAN2": lambda b, o, i: [b.w.op("Atan", b.w.op("Div", *i))],
    "EQUAL": _compare("Equal"), "NOT_EQUAL": _compare("NotEqual"), "LESS": _compare("Less"),
    "GREATER": _compare("Greater"), "LESS_EQUAL": _compare("LessOrEqual"),
    "GREATER_EQUAL": _compare("GreaterOrEqual"), "LOGICAL_AND": _plain("And"),
    "LOGICAL_OR": _plain("Or"), "LOGICAL_NOT": _plain("Not"), "BITWISE_XOR": _plain("BitwiseXor"),
    "RIGHT_SHIFT": _plain("BitShift", direction="RIGHT"), "SELECT": _select,
    "SELECT_V2": _plain("Where"),
    "RELU": _plain("Relu"), "ELU": _plain("Elu"), "LOGISTIC": _plain("Sigmoid"),
    "TANH": _plain("Tanh"), "HARD_SWISH": _plain("HardSwish"), "GELU": _gelu,
    "RELU6": lambda b, o, i: [b.w.activation("relu6", i[0])],
    "RELU_N1_TO_1": lambda b, o, i: [b.w.activation("relu_n1_to_1", i[0])],
    "RELU_0_TO_1": lambda b, o, i: [b.w.activation("relu_0_to_1", i[0])],
    "LEAKY_RELU": lambda b, o, i: [b.w.op("LeakyRelu", i[0], alpha=o.attributes["alpha"])],
    "PRELU": _plain("PRelu"), "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _plain("LogSoftmax", axis=-1),
    "L2_NORMALIZATION": _plain("LpNormalization", fused=True, axis=-1, p=2),
    "LOCAL_RESPONSE_NORMALIZATION": _plain("LRN"),
    "CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "CONV_3D": _conv_3d,
    "TRANSPOSE_CONV": _conv_transpose, "AVERAGE_POOL_2D": _pool("AveragePool"),
    "MAX_POOL_2D": _pool("MaxPool"), "L2_POOL_2D": _pool("LpPool"),
    "FULLY_CONNECTED": _fully_connected, "BATCH_MATMUL": _batch_matmul,
    "SUM": _reduce("ReduceSum"), "MEAN": _reduce("ReduceMean"),
    "REDUCE_PROD": _reduce("ReduceProd"), "REDUCE_MAX": _reduce("ReduceMax"),
    "REDUCE_MIN": _reduce("ReduceMin"), "REDUCE_ANY": _reduce("ReduceMax"),
    "REDUCE_ALL": _reduce("ReduceMin"), "ARG_MAX": _arg("ArgMax"), "ARG_MIN": _arg("ArgMin"),
    "TOPK_V2": lambda b, o, i: b.w.ops("TopK", i, 2, axis=-1),
    "CUMSUM": _running_sum, "RESHAPE": _reshape, "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": lambda b, o, i: [b.w.squeeze(i[0], *o.attributes["squeeze_dims"])],
    "TRANSPOSE": _transpose, "TILE": _plain("Tile"), "BROADCAST_TO": _plain("Expand"),
    "CONCATENATION": lambda b, o, i: b.fused(o, b.w.op("Concat", *i, axis=o.attributes["axis"])),
    "PACK": lambda b, o, i: [b.w.stack(i, o.attributes["axis"])],
    "UNPACK": lambda b, o, i: b.w.unstack(i[0], len(o.outputs), o.attributes["axis"]),
    "SPLIT": _split, "SPLIT_V": _split_v, "STRIDED_SLICE": _strided_slice,
    "SLICE": lambda b, o, i: [b.w.slice(*i[:3])], "GATHER": _gather,
    "GATHER_ND": _plain("GatherND"), "EMBEDDING_LOOKUP": lambda b, o, i: [
        b.w.op("Gather", i[1], i[0], axis=0)],
    "SCATTER_ND": lambda b, o, i: [
        b.w.op("ScatterND", b.w.op("ConstantOfShape", i[2]), i[0], i[1])],
    "DYNAMIC_UPDATE_SLICE": _plain("ScatterND"), "REVERSE_V2": _plain("ReverseSequence", 1),
    "REVERSE_SEQUENCE": _plain("ReverseSequence"), "ONE_HOT": _one_hot, "SHAPE": _plain("Shape"),
    "RANK": lambda b, o, i: [b.w.op("Size", b.w.op("Shape", i[0]))],
    "FILL": lambda b, o, i: [b.w.op("Expand", i[1], i[0])], "RANGE": _plain("Range"),
    "ZEROS_LIKE": lambda b, o, i: [b.w.op("Expand", b.w.held("float32", (0.0,)),
                                          b.w.op("Shape", i[0]))],
    "WHERE": lambda b, o, i: [b.w.transpose(b.w.op("NonZero", i[0]), 1, 0)],
    "UNIQUE": lambda b, o, i: b.w.ops("Unique", i, len(o.outputs)),
    "PAD": lambda b, o, i: [b.w.pad(i[0], i[1])], "PADV2": lambda b, o, i: [
        b.w.pad(i[0], i[1], i[2])],
    "MIRROR_PAD": lambda b, o, i: [b.w.pad(i[0], i[1], mode="reflect")],
    "RESIZE_BILINEAR": _resize("linear"), "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "SPACE_TO_DEPTH": lambda b, o, i: [
        b.w.space_to_depth(i[0], o.attributes["block_size"], False)],
    "DEPTH_TO_SPACE": lambda b, o, i: [
        b.w.space_to_depth(i[0], o.attributes["block_size"], True)],
    "SPACE_TO_BATCH_ND": _moved, "BATCH_TO_SPACE_ND": _moved, "DENSIFY": _plain("Identity"),
    "BROADCAST_ARGS": _plain("Max"), "CAST": _cast, "QUANTIZE": _quantize,
    "DEQUANTIZE": _plain("Identity"), "FAKE_QUANT": _quantize, "BUCKETIZE": lambda b, o, i: [
        b.w.bucket(i[0], o.attributes["boundaries"])],
    "LSTM": _cell("LSTM"), "UNIDIRECTIONAL_SEQUENCE_LSTM": _cell("LSTM"),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _cell("LSTM"), "RNN": _cell("RNN"), "SVDF": _cell("RNN"),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _cell("RNN"), "BIDIRECTIONAL_SEQUENCE_RNN": _cell("RNN"),
    "RFFT2D": _plain("DFT"), "COMPLEX_ABS": _plain("Abs"),
    "NON_MAX_SUPPRESSION_V4": _chosen, "NON_MAX_SUPPRESSION_V5": _chosen,
    **{f"STABLEHLO_{name}": _plain(op) for name, op in {
        "LOGISTIC": "Sigmoid", "ADD": "Add", "DIVIDE": "Div", "MULTIPLY": "Mul", "MAXIMUM": "Max",
        "ABS": "Abs", "AND": "And", "COSINE": "Cos", "EXPONENTIAL": "Exp", "FLOOR": "Floor",
        "LOG": "Log", "MINIMUM": "Min", "NEGATE": "Neg", "OR": "Or", "POWER": "Pow",
        "REMAINDER": "Mod", "SELECT": "Where", "SUBTRACT": "Sub", "TANH": "Tanh",
    }.items()},
    "STABLEHLO_RSQRT": lambda b, o, i: [b.w.rsqrt(i[0])],
    "STABLEHLO_CLAMP": lambda b, o, i: [b.w.op("Clip", i[1], i[0], i[2])],
}  # fmt: skip
CUSTOM: Final[dict[str, Rule]] = {"TFLite_Detection_PostProcess": _chosen}
"""Operators that TFLite brings along under names of their own."""
