"""The layers of Core ML's neural networks in the operators of ONNX.

Meaning: the comments of `NeuralNetwork.proto`. The older layers speak of five axes: sequence,
batch, channels, height, width; the first two are one here. Where a layer counts from the channels,
the axis is counted from the end: that holds where a network takes arrays as they are, too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, Shape
from weighbridge.analysis.coreml_layer import Layer
from weighbridge.core.document import Malformed
from weighbridge.formats.protobuf import Message

FAR: Final = (1 << 63) - 1
_SAME: Final = {
    "ceil": "Ceil", "floor": "Floor", "sign": "Sign", "round": "Round", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "tanh": "Tanh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf",
    "gelu": "Gelu", "logicalOr": "Or", "logicalXor": "Xor", "logicalNot": "Not",
    "logicalAnd": "And", "modBroadcastable": "Mod", "minBroadcastable": "Min",
    "maxBroadcastable": "Max", "addBroadcastable": "Add", "powBroadcastable": "Pow",
    "divideBroadcastable": "Div", "multiplyBroadcastable": "Mul", "subtractBroadcastable": "Sub",
    "average": "Mean", "max": "Max", "min": "Min", "copy": "Identity", "gatherND": "GatherND",
    "getShape": "Shape", "whereNonZero": "NonZero", "whereBroadcastable": "Where",
    "scatterND": "ScatterND", "reshapeDynamic": "Reshape", "matrixBandPart": "Trilu",
    "lowerTriangular": "Trilu", "upperTriangular": "Trilu", "reverseSeq": "ReverseSequence",
    "l2normalize": "LpNormalization", "lrn": "LRN", "NonMaximumSuppression": "NonMaxSuppression",
}  # fmt: skip
"""Layers that are an operator of ONNX with the same inputs."""
_COMPARED: Final = {
    "equal": "Equal", "lessThan": "Less", "lessEqual": "LessOrEqual", "greaterThan": "Greater",
    "greaterEqual": "GreaterOrEqual",
}  # fmt: skip
_REDUCED: Final = {
    "reduceL1": "ReduceL1", "reduceL2": "ReduceL2", "reduceMax": "ReduceMax",
    "reduceMin": "ReduceMin", "reduceSum": "ReduceSum", "reduceProd": "ReduceProd",
    "reduceMean": "ReduceMean", "reduceLogSum": "ReduceLogSum",
    "reduceSumSquare": "ReduceSumSquare", "reduceLogSumExp": "ReduceLogSumExp",
}  # fmt: skip
_MODES: Final = ("ReduceSum", "ReduceMean", "ReduceProd", "ReduceLogSum", "ReduceSumSquare",
                 "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin")  # fmt: skip
_AXES: Final = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))
_BENDS: Final = {
    "ReLU": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softsign": "Softsign",
    "softplus": "Softplus", "ELU": "Elu", "leakyReLU": "LeakyRelu",
    "thresholdedReLU": "ThresholdedRelu", "sigmoidHard": "HardSigmoid",
    "parametricSoftplus": "Softplus",
}  # fmt: skip


Rule = Callable[[Layer], Sequence[int]]


def spelt(layer: Layer) -> Sequence[int] | None:
    """What a layer gives; None where there is nothing in ONNX for it."""
    try:
        rule = _RULES.get(layer.kind)
        if rule is not None:
            return rule(layer)
        if layer.kind in _SAME:
            return layer.w.ops(_SAME[layer.kind], max(1, len(layer.shapes)), *layer.inputs,
                               shapes=layer.shapes)  # fmt: skip
        if layer.kind in _COMPARED:
            return layer.op(_COMPARED[layer.kind], *_pair(layer))
        if layer.kind in _REDUCED:
            axes = () if layer.one("all") else (layer.w.numbers(layer.row("axes") or (-1,)),)
            return layer.op(_REDUCED[layer.kind], layer.x, *axes, keepdims=layer.one("keep"))
    except (IndexError, ValueError, TypeError, KeyError, Malformed, struct.error):
        pass
    return None


def _pair(c: Layer) -> Sequence[int]:
    """Two inputs, or one and the number that the layer is set to."""
    if len(c.inputs) > 1:
        return c.inputs[:2]
    return c.x, c.w.number(c.real("alpha"))


def _spread(c: Layer, value: int) -> int:
    """One number for each channel, to go with channels, height and width."""
    return value if value == ABSENT else c.w.op("Reshape", value, c.w.numbers((-1, 1, 1)))


def _convolution(c: Layer) -> Sequence[int]:
    turned = c.one("turned")
    groups = c.one("groups", 1) or 1
    kernel = c.row("kernel") or (3, 3)
    channels = c.one("inputs"), c.one("outputs")
    sizes = (channels[0], channels[1] // groups) if turned else channels[::-1]
    weights = c.inputs[1] if len(c.inputs) > 1 else c.weights("weights", *sizes, *kernel)
    if weights == ABSENT:
        raise ValueError
    bias = c.weights("bias", channels[1])
    given = (c.x, weights, *((bias,) if bias != ABSENT else ()))
    return c.op("ConvTranspose" if turned else "Conv", *given, group=groups, kernel_shape=kernel,
                strides=c.row("stride") or (1, 1), dilations=c.row("dilation") or (1, 1),
                **_padding(c))  # fmt: skip


def _padding(c: Layer) -> dict[str, Any]:
    if "same" in c.set:
        return {"auto_pad": "SAME_UPPER"}
    edges = c.set.get("valid", {}).get("amounts", {}).get("edges", ())
    if not edges:
        return {}
    return {"pads": tuple(e.get(k, 0) for k in ("start", "end") for e in edges)}


def _pooling(c: Layer) -> Sequence[int]:
    kind = ("Max", "Average", "Lp")[c.one("type")]
    if c.one("global"):
        return c.op(f"Global{kind}Pool", c.x)
    strides = c.row("stride") or (1, 1)
    return c.op(f"{kind}Pool", c.x, kernel_shape=c.row("kernel") or (3, 3), strides=strides,
                **_padding(c))  # fmt: skip


def _activation(c: Layer) -> Sequence[int]:
    nothing: Message = {}
    kind, said = next(((k, v) for k, v in c.set.items() if k), ("ReLU", nothing))
    if kind == "linear":
        scaled = c.w.op("Mul", c.x, c.w.number(float(said.get("alpha", 0))))
        return c.op("Add", scaled, c.w.number(float(said.get("beta", 0))))
    if kind == "scaledTanh":
        bent = c.w.op("Tanh", c.w.op("Mul", c.x, c.w.number(float(said.get("beta", 0)))))
        return c.op("Mul", bent, c.w.number(float(said.get("alpha", 0))))
    if kind == "PReLU":
        shape = c.w.shape(c.x) or ()
        channels = shape[-3] if len(shape) > 2 else 1
        count = channels if isinstance(channels, int) else 1
        return c.op("PRelu", c.x, _spread(c, c.weights("alpha", count, of=said)))
    numbers = {k: float(v) for k, v in said.items() if k and isinstance(v, float)}
    return c.op(_BENDS[kind], c.x, **numbers)


def _inner(c: Layer) -> Sequence[int]:
    sizes = c.one("outputs"), c.one("inputs")
    weights = c.w.transpose(c.weights("weights", *sizes), (1, 0))
    bias = c.weights("bias", sizes[0])
    flat = c.is_flat(sizes[1])
    made = c.w.op("MatMul", c.w.squeeze(c.x, -2, -1) if flat else c.x, weights)
    made = made if bias == ABSENT else c.w.op("Add", made, bias)
    return (c.w.unsqueeze(made, -2, -1) if flat else made,)


def _embedding(c: Layer) -> Sequence[int]:
    rows, width = c.one("rows"), c.one("width")
    table = c.w.transpose(c.weights("weights", width, rows), (1, 0))
    places = c.w.squeeze(c.x, *((-1,) if c.kind == "embeddingND" else (-3, -2, -1)))
    made = c.w.op("Gather", table, places, axis=0)
    bias = c.weights("bias", width)
    made = made if bias == ABSENT else c.w.op("Add", made, bias)
    return (made if c.kind == "embeddingND" else c.w.unsqueeze(made, -2, -1),)


def _batchnorm(c: Layer) -> Sequence[int]:
    count = c.one("channels")
    gamma, beta, mean, variance = (
        c.weights(key, count) for key in ("gamma", "beta", "mean", "variance")
    )
    gamma = c.w.number(1.0) if gamma == ABSENT else gamma
    beta = c.w.number(0.0) if beta == ABSENT else beta
    if c.one("instance") or c.one("computed") or ABSENT in (mean, variance):
        return c.op("InstanceNormalization", c.x, gamma, beta)
    return c.op("BatchNormalization", c.x, gamma, beta, mean, variance)


def _mvn(c: Layer) -> Sequence[int]:
    axes = (-3, -2, -1) if c.one("across") else (-2, -1)
    return c.op("MeanVarianceNormalization", c.x, axes=axes)


def _softmax(c: Layer) -> Sequence[int]:
    rank = c.w.rank(c.x) or 4
    return c.op("Softmax", c.x, axis=-3 if rank > 2 else -1)


def _crop(c: Layer) -> Sequence[int]:
    edges = c.set.get("amounts", {}).get("edges", ())
    starts = [e.get("start", 0) for e in edges] or list(c.row("offset")) or [0, 0]
    ends = [-e["end"] if e.get("end") else FAR for e in edges] or [FAR, FAR]
    if len(c.inputs) > 1:  # as large as the second
        size = c.w.shape(c.inputs[1]) or ()
        ends = [start + n if isinstance(n, int) else FAR
                for start, n in zip(starts, size[-2:] or (FAR, FAR), strict=False)]  # fmt: skip
    row = [c.w.numbers(v) for v in (starts, ends, range(-len(starts), 0))]
    return c.op("Slice", c.x, *row)


def _pad(c: Layer) -> Sequence[int]:
    rank = c.w.rank(c.x) or 4
    if c.kind == "constantPad":
        amounts = c.row("amounts")
        before, after = amounts[::2], amounts[1::2]
    else:
        edges = c.set.get("amounts", {}).get("edges", ())
        before, after = (tuple(e.get(k, 0) for e in edges) for k in ("start", "end"))
    missing = (0,) * (rank - len(before))
    return c.op("Pad", c.x, c.w.numbers((*missing, *before, *missing, *after)))


def _upsample(c: Layer) -> Sequence[int]:
    shape, scale = c.w.shape(c.x) or (), c.row("scale") or c.row("target") or (1, 1)
    sizes: Shape | None = None
    if len(shape) > 2:
        grown = scale if c.kind == "resizeBilinear" else tuple(
            n * by if isinstance(n, int) else f"{n}*{by}"
            for n, by in zip(shape[-2:], scale, strict=False)
        )  # fmt: skip
        sizes = (*shape[:-2], *grown)
    return (c.w.op("Resize", c.x, shape=c.first or sizes),)


def _unary(c: Layer) -> Sequence[int]:
    scale, shift, alpha = c.real("scale", 1.0), c.real("shift"), c.w.number(c.real("alpha"))
    x = c.x if scale == 1 else c.w.op("Mul", c.x, c.w.number(scale))
    x = c.w.op("Add", x, c.w.number(shift)) if shift else x
    kind = c.one("type")
    if kind in (1, 2) and c.real("epsilon"):
        x = c.w.op("Add", x, c.w.number(c.real("epsilon")))
    if kind == 1:
        return c.op("Reciprocal", c.w.op("Sqrt", x))
    if kind == 3:
        return c.op("Pow", x, alpha)
    if kind == 7:
        return c.op("Max", x, alpha)
    return c.op(("Sqrt", "", "Reciprocal", "", "Exp", "Log", "Abs")[kind], x)


def _arithmetic(c: Layer) -> Sequence[int]:
    op = "Add" if c.kind == "add" else "Mul"
    made, *rest = c.inputs if len(c.inputs) > 1 else _pair(c)
    for value in rest:
        made = c.w.op(op, made, value)
    return (made,)


def _loaded(c: Layer) -> Sequence[int]:
    return (c.weights("data", *c.row("shape")),)


def _beside(c: Layer, key: str, shape: tuple[int, ...]) -> int:
    """Numbers for each channel, or for every place."""
    whole = (*shape, 1, 1) if len(shape) == 1 and shape[0] > 1 else shape
    return c.weights(key, *whole)


def _scale(c: Layer) -> Sequence[int]:
    made = c.w.op("Mul", c.x, _beside(c, "data", c.row("shape")))
    if c.one("biased"):
        made = c.w.op("Add", made, _beside(c, "bias", c.row("bias shape")))
    return (made,)


def _bias(c: Layer) -> Sequence[int]:
    return c.op("Add", c.x, _beside(c, "data", c.row("shape")))


def _dot(c: Layer) -> Sequence[int]:
    pair = [c.w.op("LpNormalization", i, axis=-3) if c.one("cosine") else i for i in c.inputs[:2]]
    return c.op("ReduceSum", c.w.op("Mul", *pair), c.w.numbers((-3,)), keepdims=1)


def _reduce(c: Layer) -> Sequence[int]:
    axes = _AXES[c.one("axis")]
    if c.one("mode") == 9:
        return c.op("ArgMax", c.x, axis=axes[0], keepdims=1)
    return c.op(_MODES[c.one("mode")], c.x, c.w.numbers(axes), keepdims=1)


def _reshape(c: Layer) -> Sequence[int]:
    target = c.row("target")
    if c.kind == "reshape":  # the sequence is in the first axis
        target = (0, *target[-3:])
    return c.op("Reshape", c.x, c.w.numbers(target))


def _flatten(c: Layer) -> Sequence[int]:
    return (c.w.unsqueeze(c.w.op("Flatten", c.x, axis=1), -2, -1),)


def _like(c: Layer) -> Sequence[int]:
    size = c.w.op("Shape", c.inputs[1])
    return c.op("Reshape" if c.kind == "reshapeLike" else "Expand", c.x, size)


def _transpose(c: Layer) -> Sequence[int]:
    return (c.w.transpose(c.x, c.row("target")),)


def _concat(c: Layer) -> Sequence[int]:
    rank = c.w.rank(c.x) or 4
    axis = c.one("axis") if c.kind == "concatND" else -3 if rank > 2 else -1
    return c.op("Concat", *c.inputs, axis=0 if c.one("sequence") else axis)


def _stack(c: Layer) -> Sequence[int]:
    return c.op("Concat", *(c.w.unsqueeze(i, c.one("axis")) for i in c.inputs), axis=c.one("axis"))


def _split(c: Layer) -> Sequence[int]:
    axis = c.one("axis") if c.kind == "splitND" else -3
    count = max(1, len(c.shapes))
    return c.w.ops("Split", count, c.x, axis=axis, num_outputs=count, shapes=c.shapes)


def _repeat(c: Layer) -> Sequence[int]:
    rank = c.w.rank(c.x) or 4
    return c.op("Tile", c.x, c.w.numbers((c.one("count", 1), *(1,) * (rank - 1))))


def _tile(c: Layer) -> Sequence[int]:
    return c.op("Tile", c.x, c.inputs[1] if len(c.inputs) > 1 else c.w.numbers(c.row("target")))


def _reorganize(c: Layer) -> Sequence[int]:
    op = "DepthToSpace" if c.one("mode") else "SpaceToDepth"
    return c.op(op, c.x, blocksize=c.one("block", 2))


def _slice(c: Layer) -> Sequence[int]:
    return (c.w.cut(c.x, c.one("axis") - 3, c.one("start"), c.one("end"), c.one("step", 1) or 1),)


def _static(c: Layer) -> Sequence[int]:
    begin, end, steps = list(c.row("begin")), list(c.row("end")), list(c.row("steps"))
    steps = steps or [1] * len(begin)
    for axis in range(len(begin)):
        if c.row("begin open")[axis : axis + 1] == (1,):
            begin[axis] = 0 if steps[axis] > 0 else -1
        if c.row("end open")[axis : axis + 1] == (1,):
            end[axis] = FAR if steps[axis] > 0 else -FAR
    gone = [i for i, m in enumerate(c.row("gone")) if m]
    for axis in gone:
        end[axis] = begin[axis] + 1 if begin[axis] != -1 else FAR
    row = [c.w.numbers(v) for v in (begin, end, range(len(begin)), steps)]
    made = c.w.op("Slice", c.x, *row)
    return (c.w.squeeze(made, *gone) if gone else made,)


def _recurrent(c: Layer) -> Sequence[int]:
    outputs, inputs = c.one("outputs"), c.one("inputs")
    op, holder = {"simpleRecurrent": "RNN", "gru": "GRU"}.get(c.kind, "LSTM"), c.set
    if op == "LSTM":
        holder = c.set["cells"][0]
    found = []
    for again, width in ((False, inputs), (True, outputs)):
        keys = [k for k in holder if k and k.endswith(" again") == again
                and isinstance(holder[k], dict)]  # fmt: skip
        gates = [c.weights(k, outputs, width, of=holder) for k in keys]
        found.append(c.w.unsqueeze(c.w.op("Concat", *gates, axis=0), 0))
    return c.w.ops(op, max(1, len(c.shapes)), c.x, *found, hidden_size=outputs, shapes=c.shapes)


def _range(c: Layer) -> Sequence[int]:
    ends = [c.w.number(c.real(k, d)) for k, d in (("start", 0.0), ("end", 0.0), ("step", 1.0))]
    return c.op("Range", *ends)


def _clip(c: Layer) -> Sequence[int]:
    ends = [c.w.number(c.real(key)) for key in ("first", "alpha")]
    if c.kind == "clampedReLU":  # min(beta, x), and alpha times x where that is below nothing
        low = c.w.op("LeakyRelu", c.x, alpha=c.real("first"))
        return c.op("Min", low, ends[1])
    return c.op("Clip", c.x, *ends)


def _not_equal(c: Layer) -> Sequence[int]:
    return c.op("Not", c.w.op("Equal", *_pair(c)))


def _floor_div(c: Layer) -> Sequence[int]:
    return c.op("Floor", c.w.op("Div", *c.inputs[:2]))


def _exp2(c: Layer) -> Sequence[int]:
    return c.op("Exp", c.w.op("Mul", c.x, c.w.number(math.log(2))))


def _along(c: Layer) -> Sequence[int]:
    op = {"gather": "Gather", "gatherAlongAxis": "GatherElements",
          "scatterAlongAxis": "ScatterElements", "scatter": "ScatterND"}[c.kind]  # fmt: skip
    return c.op(op, *c.inputs, axis=c.one("axis"))


def _axis(c: Layer) -> Sequence[int]:
    if c.kind == "softmaxND":
        return c.op("Softmax", c.x, axis=c.one("axis"))
    if c.kind == "flattenTo2D":
        return c.op("Flatten", c.x, axis=c.one("axis"))
    if c.kind == "cumSum":
        return c.op("CumSum", c.x, c.w.number(c.one("axis")))
    op = "ArgMax" if c.kind == "argMax" else "ArgMin"
    return c.op(op, c.x, axis=c.one("axis"), keepdims=int(not c.one("second")))


def _topk(c: Layer) -> Sequence[int]:
    count = c.inputs[1] if len(c.inputs) > 1 else c.w.numbers((c.one("second", 1),))
    return c.w.ops("TopK", 2, c.x, count, axis=c.one("axis"), shapes=c.shapes)


def _matmul(c: Layer) -> Sequence[int]:
    sizes = c.one("rows"), c.one("columns")
    b = c.inputs[1] if len(c.inputs) > 1 else c.weights("weights", *sizes)
    if b == ABSENT:
        raise ValueError
    a = c.w.swap(c.x, -2, -1) if c.one("turn first") else c.x
    b = c.w.swap(b, -2, -1) if c.one("turn second") and len(c.inputs) > 1 else b
    bias = c.weights("bias", sizes[1])
    made = c.w.op("MatMul", a, b)
    return (made if bias == ABSENT else c.w.op("Add", made, bias),)


def _fill(c: Layer) -> Sequence[int]:
    if c.kind == "fillLike":
        size = c.w.op("Shape", c.x)
    else:
        size = c.x if c.kind == "fillDynamic" else c.w.numbers(c.row("target"))
    return c.op("Expand", c.w.number(c.real("value")), size)


def _widened(c: Layer) -> Sequence[int]:
    size = c.inputs[1] if len(c.inputs) > 1 else c.w.numbers(c.row("target"))
    return c.op("Expand", c.x, size)


def _squeeze(c: Layer) -> Sequence[int]:
    op = "Unsqueeze" if c.kind == "expandDims" else "Squeeze"
    axes = () if c.one("all") else (c.w.numbers(c.row("target")),)
    return c.op(op, c.x, *axes)


def _layer_norm(c: Layer) -> Sequence[int]:
    shape = c.row("shape")
    parts = [c.weights(key, *shape) for key in ("gamma", "beta")]
    return c.op("LayerNormalization", c.x, *parts, axis=-len(shape))


def _one_hot(c: Layer) -> Sequence[int]:
    size = c.inputs[1] if len(c.inputs) > 1 else c.w.number(c.one("size"))
    return c.op("OneHot", c.x, size, c.w.numbers((0, 1)), axis=c.one("axis"))


def _random(c: Layer) -> Sequence[int]:
    like = c.inputs[:1] if c.kind.endswith("Like") else ()
    kind = "Normal" if "Normal" in c.kind else "Uniform"
    return c.op(f"Random{kind}{'Like' if like else ''}", *like)


_RULES: Final[dict[str, Rule]] = {
    "convolution": _convolution, "pooling": _pooling, "activation": _activation,
    "innerProduct": _inner, "embedding": _embedding, "embeddingND": _embedding,
    "batchnorm": _batchnorm, "mvn": _mvn, "softmax": _softmax, "crop": _crop, "padding": _pad,
    "constantPad": _pad, "upsample": _upsample, "resizeBilinear": _upsample, "unary": _unary,
    "add": _arithmetic, "multiply": _arithmetic, "loadConstant": _loaded, "loadConstantND": _loaded,
    "scale": _scale, "bias": _bias, "dot": _dot, "reduce": _reduce, "reshape": _reshape,
    "reshapeStatic": _reshape, "rankPreservingReshape": _reshape, "flatten": _flatten,
    "reshapeLike": _like, "broadcastToLike": _like, "permute": _transpose, "transpose": _transpose,
    "concat": _concat, "concatND": _concat, "stack": _stack, "split": _split, "splitND": _split,
    "sequenceRepeat": _repeat, "tile": _tile, "reorganizeData": _reorganize, "slice": _slice,
    "sliceStatic": _static, "simpleRecurrent": _recurrent, "gru": _recurrent,
    "uniDirectionalLSTM": _recurrent, "biDirectionalLSTM": _recurrent, "rangeStatic": _range,
    "clip": _clip, "clampedReLU": _clip, "notEqual": _not_equal,
    "floorDivBroadcastable": _floor_div,
    "exp2": _exp2, "gather": _along, "gatherAlongAxis": _along, "scatterAlongAxis": _along,
    "scatter": _along, "softmaxND": _axis, "flattenTo2D": _axis, "cumSum": _axis, "argMax": _axis,
    "argMin": _axis, "topK": _topk, "batchedMatmul": _matmul, "fillLike": _fill,
    "fillStatic": _fill, "fillDynamic": _fill, "broadcastToStatic": _widened,
    "broadcastToDynamic": _widened, "squeeze": _squeeze, "expandDims": _squeeze,
    "layerNormalization": _layer_norm, "oneHot": _one_hot,
    **dict.fromkeys((f"random{k}{how}" for k in ("Normal", "Uniform", "Bernoulli")
                     for how in ("Like", "Static", "Dynamic")), _random),
}  # fmt: skip
