"""The operators of Core ML programs (MIL) in those of ONNX.

Operators: `apple.github.io/coremltools`, "MIL Ops".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Shape
from weighbridge.analysis.graph_writer import ONNX_TYPES, Writer

_WORDS: Final = {"fp16": "float16", "fp32": "float32", "fp64": "float64", "int32": "int32",
                 "int64": "int64", "bool": "bool", "int16": "int16", "int8": "int8",
                 "uint8": "uint8", "uint16": "uint16"}  # fmt: skip
_UNARY: Final = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "abs": "Abs", "erf": "Erf", "ceil": "Ceil", "floor": "Floor", "round": "Round",
    "sign": "Sign", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos",
    "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "inverse": "Reciprocal", "gelu": "Gelu",
    "softsign": "Softsign", "softplus": "Softplus", "logical_not": "Not", "identity": "Identity",
    "elu": "Elu", "leaky_relu": "LeakyRelu", "sigmoid_hard": "HardSigmoid", "relu6": "Clip",
    "clamped_relu": "Clip", "scaled_tanh": "Tanh", "thresholded_relu": "ThresholdedRelu",
    "shape": "Shape", "non_zero": "NonZero", "softplus_parametric": "Softplus",
    "band_part": "Trilu",
    "pixel_shuffle": "DepthToSpace", "pixel_unshuffle": "SpaceToDepth", "atanh": "Atanh",
    "space_to_depth": "SpaceToDepth", "depth_to_space": "DepthToSpace", "copy": "Identity",
    "local_response_norm": "LRN", "l2_norm": "LpNormalization", "quantize": "QuantizeLinear",
    "dequantize": "DequantizeLinear", "read_state": "Identity",
}  # fmt: skip
_BINARY: Final = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "real_div": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "mod": "Mod", "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "logical_and": "And",
    "logical_or": "Or", "logical_xor": "Xor",
}  # fmt: skip
_REDUCED: Final = {
    "reduce_mean": "ReduceMean", "reduce_sum": "ReduceSum", "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd", "reduce_l1_norm": "ReduceL1",
    "reduce_l2_norm": "ReduceL2", "reduce_sum_square": "ReduceSumSquare",
    "reduce_log_sum_exp": "ReduceLogSumExp", "reduce_log_sum": "ReduceLogSum",
}  # fmt: skip


class Call:
    """An operation with its inputs by name. Raises `KeyError` for one that is not there."""

    def __init__(
        self, w: Writer, name: str, given: Mapping[str, list[int]],
        shapes: Sequence[Shape | None], words: Mapping[int, str],
    ) -> None:  # fmt: skip
        self.w, self.name, self.given, self.shapes, self.words = w, name, given, shapes, words

    @property
    def first(self) -> Shape | None:
        """The declared shape of the first output."""
        return self.shapes[0] if self.shapes else None

    def x(self, key: str) -> int:
        """An input. Raises `KeyError`."""
        return self.given[key][0]

    def maybe(self, key: str) -> int:
        """An input, or `ABSENT`."""
        return self.given.get(key, [ABSENT])[0]

    def row(self, key: str) -> tuple[int, ...]:
        """Whole numbers that are known. Raises `ValueError`."""
        found = self.w.known(self.x(key))
        if found is None or not all(isinstance(v, int | float) for v in found):
            raise ValueError(key)
        return tuple(int(v) for v in found)

    def one(self, key: str, default: int) -> int:
        """A whole number that is known. Raises `ValueError`."""
        return self.row(key)[0] if key in self.given else default

    def word(self, key: str) -> str:
        """A text, empty where there is none."""
        return self.words.get(self.maybe(key), "")


def spelt(call: Call) -> Sequence[int] | None:
    """What an operation gives; None where there is nothing in ONNX for it."""
    rule = _RULES.get(call.name)
    try:
        if rule is not None:
            return rule(call)
        if call.name in _UNARY:
            return (call.w.op(_UNARY[call.name], call.x("x"), shape=call.first),)
        if call.name in _BINARY:
            x, y = call.x("x"), call.x("y")
            return (call.w.op(_BINARY[call.name], x, y, shape=call.first),)
        if call.name in _REDUCED:
            return _reduce(call)
    except (KeyError, ValueError, TypeError, IndexError):
        pass
    return None


Rule = Callable[[Call], Sequence[int]]


def _reduce(c: Call) -> Sequence[int]:
    axes = (c.w.numbers(c.row("axes")),) if "axes" in c.given else ()
    keep = c.one("keep_dims", 0)
    return (c.w.op(_REDUCED[c.name], c.x("x"), *axes, keepdims=keep, shape=c.first),)


def _not_equal(c: Call) -> Sequence[int]:
    return (c.w.op("Not", c.w.op("Equal", c.x("x"), c.x("y")), shape=c.first),)


def _floor_div(c: Call) -> Sequence[int]:
    return (c.w.op("Floor", c.w.op("Div", c.x("x"), c.x("y")), shape=c.first),)


def _square(c: Call) -> Sequence[int]:
    return (c.w.op("Mul", c.x("x"), c.x("x"), shape=c.first),)


def _rsqrt(c: Call) -> Sequence[int]:
    return (c.w.op("Reciprocal", c.w.op("Sqrt", c.x("x")), shape=c.first),)


def _silu(c: Call) -> Sequence[int]:
    return (c.w.op("Mul", c.x("x"), c.w.op("Sigmoid", c.x("x")), shape=c.first),)


def _clip(c: Call) -> Sequence[int]:
    return (c.w.op("Clip", c.x("x"), c.maybe("alpha"), c.maybe("beta"), shape=c.first),)


def _threshold(c: Call) -> Sequence[int]:
    return (c.w.op("Max", c.x("x"), c.x("alpha"), shape=c.first),)


def _prelu(c: Call) -> Sequence[int]:
    return (c.w.op("PRelu", c.x("x"), c.x("alpha"), shape=c.first),)


def _softmax(c: Call) -> Sequence[int]:
    return (c.w.op("Softmax", c.x("x"), axis=c.one("axis", -1), shape=c.first),)


def _cast(c: Call) -> Sequence[int]:
    kind = _WORDS.get(c.word("dtype"), "float32")
    return (c.w.op("Cast", c.x("x"), to=ONNX_TYPES[kind], shape=c.first),)


def _select(c: Call) -> Sequence[int]:
    return (c.w.op("Where", c.x("cond"), c.x("a"), c.x("b"), shape=c.first),)


def _linear(c: Call) -> Sequence[int]:
    made = c.w.op("MatMul", c.x("x"), c.w.transpose(c.x("weight"), (1, 0)), shape=c.first)
    bias = c.maybe("bias")
    return (made if bias == ABSENT else c.w.op("Add", made, bias, shape=c.first),)


def _matmul(c: Call) -> Sequence[int]:
    a = c.w.swap(c.x("x"), -2, -1) if c.one("transpose_x", 0) else c.x("x")
    b = c.w.swap(c.x("y"), -2, -1) if c.one("transpose_y", 0) else c.x("y")
    return (c.w.op("MatMul", a, b, shape=c.first),)


def _einsum(c: Call) -> Sequence[int]:
    return (c.w.op("Einsum", *c.given["values"], shape=c.first),)


def _conv(c: Call) -> Sequence[int]:
    op = "ConvTranspose" if c.name == "conv_transpose" else "Conv"
    bias = c.maybe("bias")
    given = (c.x("x"), c.x("weight"), *((bias,) if bias != ABSENT else ()))
    groups = c.one("groups", 1)
    return (c.w.op(op, *given, group=groups, shape=c.first),)


def _pool(c: Call) -> Sequence[int]:
    op = {"max_pool": "MaxPool", "avg_pool": "AveragePool"}.get(c.name, "LpPool")
    kernel = c.row("kernel_sizes")
    return (c.w.op(op, c.x("x"), kernel_shape=kernel, shape=c.first, strides=c.row("strides")),)


def _resize(c: Call) -> Sequence[int]:
    return (c.w.op("Resize", c.x("x"), shape=c.first),)


def _norm(c: Call) -> Sequence[int]:
    op = {"layer_norm": "LayerNormalization", "instance_norm": "InstanceNormalization"}[c.name]
    gamma, beta = c.maybe("gamma"), c.maybe("beta")
    gamma = c.w.number(1.0) if gamma == ABSENT else gamma
    beta = c.w.number(0.0) if beta == ABSENT else beta
    axes = c.row("axes") if "axes" in c.given else (-1,)
    return (c.w.op(op, c.x("x"), gamma, beta, axis=axes[0], shape=c.first),)


def _batch_norm(c: Call) -> Sequence[int]:
    gamma, beta = c.maybe("gamma"), c.maybe("beta")
    gamma = c.w.number(1.0) if gamma == ABSENT else gamma
    beta = c.w.number(0.0) if beta == ABSENT else beta
    parts = (c.x("x"), gamma, beta, c.x("mean"), c.x("variance"))
    return (c.w.op("BatchNormalization", *parts, shape=c.first),)


def _attention(c: Call) -> Sequence[int]:
    scores = c.w.op("MatMul", c.x("query"), c.w.swap(c.x("key"), -2, -1))
    mask = c.maybe("attn_mask")
    if mask != ABSENT:
        if c.w.type(mask) == "bool":
            mask = c.w.op("Where", mask, c.w.number(0.0), c.w.number(-1e30))
        scores = c.w.op("Add", scores, mask)
    mixed = c.w.op("Softmax", scores, axis=-1)
    return (c.w.op("MatMul", mixed, c.x("value"), shape=c.first),)


def _recurrent(c: Call) -> Sequence[int]:
    op = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[c.name]
    given = (c.x("x"), c.x("weight_ih"), c.x("weight_hh"))
    return c.w.ops(op, max(1, len(c.shapes)), *given, shapes=c.shapes)


def _reshape(c: Call) -> Sequence[int]:
    return (c.w.op("Reshape", c.x("x"), c.x("shape"), shape=c.first),)


def _transpose(c: Call) -> Sequence[int]:
    order = c.row("perm")
    return (c.w.transpose(c.x("x"), [a % len(order) for a in order]),)


def _squeeze(c: Call) -> Sequence[int]:
    op = "Unsqueeze" if c.name == "expand_dims" else "Squeeze"
    axes = (c.w.numbers(c.row("axes")),) if "axes" in c.given else ()
    return (c.w.op(op, c.x("x"), *axes, shape=c.first),)


def _concat(c: Call) -> Sequence[int]:
    return (c.w.op("Concat", *c.given["values"], axis=c.one("axis", 0), shape=c.first),)


def _stack(c: Call) -> Sequence[int]:
    axis = c.one("axis", 0)
    parts = [c.w.unsqueeze(v, axis) for v in c.given["values"]]
    return (c.w.op("Concat", *parts, axis=axis, shape=c.first),)


def _split(c: Call) -> Sequence[int]:
    sizes = (c.x("split_sizes"),) if "split_sizes" in c.given else ()
    axis = c.one("axis", 0)
    return c.w.ops("Split", len(c.shapes), c.x("x"), *sizes, axis=axis, shapes=c.shapes)


def _slice(c: Call) -> Sequence[int]:
    """`slice_by_index`: begin, end and stride for each axis, with masks for what is left open."""
    x = c.x("x")
    rank = c.w.rank(x) or len(c.row("begin"))
    begin, end = list(c.row("begin")), list(c.row("end"))
    step = list(c.row("stride")) if "stride" in c.given else [1] * rank
    masks = {k: c.row(k) if k in c.given else (0,) * rank
             for k in ("begin_mask", "end_mask", "squeeze_mask")}  # fmt: skip
    for axis in range(len(begin)):
        if masks["squeeze_mask"][axis]:
            end[axis] = begin[axis] + 1 if begin[axis] != -1 else (1 << 63) - 1
            continue
        far = (1 << 63) - 1 if step[axis] > 0 else -(1 << 62)
        begin[axis] = (0 if step[axis] > 0 else -1) if masks["begin_mask"][axis] else begin[axis]
        end[axis] = far if masks["end_mask"][axis] else end[axis]
    row = [c.w.numbers(v) for v in (begin, end, range(len(begin)), step)]
    gone = [i for i, m in enumerate(masks["squeeze_mask"]) if m]
    made = c.w.op("Slice", x, *row, shape=None if gone else c.first)
    return (c.w.op("Squeeze", made, c.w.numbers(gone), shape=c.first) if gone else made,)


def _slice_size(c: Call) -> Sequence[int]:
    begin, size = c.row("begin"), c.row("size")
    ends = [b + s if s >= 0 else (1 << 63) - 1 for b, s in zip(begin, size, strict=True)]
    row = [c.w.numbers(v) for v in (begin, ends, range(len(begin)))]
    return (c.w.op("Slice", c.x("x"), *row, shape=c.first),)


def _gather(c: Call) -> Sequence[int]:
    op = "GatherElements" if c.name == "gather_along_axis" else "Gather"
    axis = c.one("axis", 0)
    return (c.w.op(op, c.x("x"), c.x("indices"), axis=axis, shape=c.first),)


def _gather_nd(c: Call) -> Sequence[int]:
    return (c.w.op("GatherND", c.x("x"), c.x("indices"), shape=c.first),)


def _scatter(c: Call) -> Sequence[int]:
    op = "ScatterElements" if c.name == "scatter_along_axis" else "ScatterND"
    data = c.x("data")
    return (c.w.op(op, data, c.x("indices"), c.x("updates"), shape=c.first),)


def _slice_update(c: Call) -> Sequence[int]:
    row = c.w.numbers((0,))
    return (c.w.op("ScatterND", c.x("x"), row, c.x("update"), shape=c.first),)


def _write_state(c: Call) -> Sequence[int]:
    return (c.w.op("Identity", c.x("data"), shape=c.first),)


def _tile(c: Call) -> Sequence[int]:
    return (c.w.op("Tile", c.x("x"), c.x("reps"), shape=c.first),)


def _fill(c: Call) -> Sequence[int]:
    return (c.w.op("Expand", c.x("value"), c.x("shape"), shape=c.first),)


def _fill_like(c: Call) -> Sequence[int]:
    size = c.w.op("Shape", c.x("ref_tensor"))
    return (c.w.op("Expand", c.x("value"), size, shape=c.first),)


def _range(c: Call) -> Sequence[int]:
    return (c.w.op("Range", c.x("start"), c.x("end"), c.x("step"), shape=c.first),)


def _pad(c: Call) -> Sequence[int]:
    x, pads = c.x("x"), c.row("pad")
    rank = c.w.rank(x) or len(pads) // 2
    before, after = [0] * rank, [0] * rank
    skipped = rank - len(pads) // 2
    for i in range(len(pads) // 2):
        before[skipped + i], after[skipped + i] = pads[2 * i], pads[2 * i + 1]
    return (c.w.op("Pad", x, c.w.numbers([*before, *after]), shape=c.first),)


def _one_hot(c: Call) -> Sequence[int]:
    size, ends = c.x("one_hot_vector_size"), c.w.numbers((0, 1))
    axis = c.one("axis", -1)
    return (c.w.op("OneHot", c.x("indices"), size, ends, axis=axis, shape=c.first),)


def _topk(c: Call) -> Sequence[int]:
    axis, count = c.one("axis", -1), c.w.numbers((c.one("k", 1),))
    if c.one("k", 1) == 1 and len(c.shapes) == 2:
        best = c.w.op("ReduceMax", c.x("x"), c.w.numbers((axis,)), keepdims=1, shape=c.first)
        return best, c.w.op("ArgMax", c.x("x"), axis=axis, keepdims=1, shape=c.shapes[1])
    return c.w.ops("TopK", max(1, len(c.shapes)), c.x("x"), count, axis=axis, shapes=c.shapes)


def _arg(c: Call) -> Sequence[int]:
    op = "ArgMax" if c.name == "reduce_argmax" else "ArgMin"
    axis, keep = c.one("axis", -1), c.one("keep_dims", 0)
    return (c.w.op(op, c.x("x"), axis=axis, keepdims=keep, shape=c.first),)


def _cumsum(c: Call) -> Sequence[int]:
    return (c.w.op("CumSum", c.x("x"), c.w.number(c.one("axis", 0)), shape=c.first),)


def _suppressed(c: Call) -> Sequence[int]:
    given = (c.x("boxes"), c.x("scores"))
    return c.w.ops("NonMaxSuppression", max(1, len(c.shapes)), *given, shapes=c.shapes)


_RULES: Final[dict[str, Rule]] = {
    "not_equal": _not_equal, "floor_div": _floor_div, "square": _square, "rsqrt": _rsqrt,
    "silu": _silu, "clip": _clip, "threshold": _threshold, "prelu": _prelu, "softmax": _softmax,
    "cast": _cast, "select": _select, "linear": _linear, "matmul": _matmul, "einsum": _einsum,
    "conv": _conv, "conv_transpose": _conv, "max_pool": _pool, "avg_pool": _pool, "l2_pool": _pool,
    "upsample_bilinear": _resize, "upsample_nearest_neighbor": _resize,
    "resize_bilinear": _resize, "resize_nearest_neighbor": _resize, "resize": _resize,
    "layer_norm": _norm, "instance_norm": _norm, "batch_norm": _batch_norm,
    "scaled_dot_product_attention": _attention, "lstm": _recurrent, "gru": _recurrent,
    "rnn": _recurrent, "reshape": _reshape, "reshape_like": _reshape, "transpose": _transpose,
    "expand_dims": _squeeze, "squeeze": _squeeze, "concat": _concat, "stack": _stack,
    "split": _split, "slice_by_index": _slice, "slice_by_size": _slice_size, "gather": _gather,
    "gather_along_axis": _gather, "gather_nd": _gather_nd, "scatter": _scatter,
    "scatter_nd": _scatter, "scatter_along_axis": _scatter, "slice_update": _slice_update,
    "coreml_update_state": _write_state, "tile": _tile, "fill": _fill, "fill_like": _fill_like,
    "range_1d": _range, "pad": _pad, "one_hot": _one_hot, "topk": _topk, "reduce_argmax": _arg,
    "reduce_argmin": _arg, "cumsum": _cumsum, "non_maximum_suppression": _suppressed,
}  # fmt: skip
