"""Keras's layers, each spelt out in operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.keras_arguments import Config, Value, numbers_in
from weighbridge.analysis.keras_operations import Spelling
from weighbridge.analysis.tensorflow_writer import TO_END

Rule = Callable[[Spelling, Config, list[int]], "int | list[int] | None"]


def _same(b: Spelling, c: Config, i: list[int]) -> list[int]:
    return [b.w.op("Identity", v) for v in i[:1]]


def _plain(op: str, count: int = 0, **attributes: Any) -> Rule:
    return lambda b, c, i: b.w.op(op, *(i[:count] if count else i), **attributes)


def _dense(b: Spelling, c: Config, i: list[int]) -> int:
    kernel = b.weight("kernel", b.width(i[0]), int(c["units"]))
    return b.biased(c, b.w.op("MatMul", i[0], kernel), int(c["units"]))


def _einsum_dense(b: Spelling, c: Config, i: list[int]) -> int:
    equation = str(c["equation"]).replace(" ", "")
    letters = equation.partition(",")[2].partition("->")[0]
    kernel = b.weight("kernel", *(f"kernel {x}" for x in letters))
    made = b.w.op("Einsum", i[0], kernel, equation=equation)
    if c.get("bias_axes"):
        made = b.w.op("Add", made, b.weight("bias", b.width(made)))
    return b.activation(c.get("activation"), made)


def _pair(said: Any, count: int) -> tuple[int, ...]:
    return tuple(int(n) for n in said) if isinstance(said, list) else (int(said),) * count


def _window(b: Spelling, c: Config, spatial: int, strides: str = "strides") -> dict[str, Any]:
    said = c.get(strides) or c.get("pool_size", 1)
    made = b.w.window(
        _pair(said, spatial), "SAME" if c.get("padding") == "same" else "VALID", (),
        _pair(c.get("dilation_rate", 1), spatial),
    )  # fmt: skip
    if c.get("padding") == "causal":
        size = _pair(c["kernel_size"], spatial)[0]
        made["pads"] = ((size - 1) * _pair(c.get("dilation_rate", 1), spatial)[0], 0)
    return made


def _around(b: Spelling, c: Config, value: int, spatial: int, op: Callable[[int], int]) -> int:
    if c.get("data_format") == "channels_first":
        return op(value)
    return b.w.channels_last(op(b.w.channels_first(value, spatial)), spatial)


def _conv(spatial: int, op: str = "Conv") -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        size, filters = _pair(c["kernel_size"], spatial), int(c["filters"])
        width = b.width(i[0], 1 if c.get("data_format") == "channels_first" else -1)
        order = (filters, width) if op == "Conv" else (width, filters)
        kernel, window = b.weight("kernel", *order, *size), _window(b, c, spatial)
        made = _around(b, c, i[0], spatial, lambda v: b.w.op(op, v, kernel, **window))
        return b.biased(c, made, filters)

    return rule


def _depthwise(spatial: int, pointwise: bool = False) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        size, width = _pair(c["kernel_size"], spatial), b.width(i[0])
        each = width * int(c.get("depth_multiplier", 1)) if isinstance(width, int) else width
        kernel, window = b.weight("kernel", each, 1, *size), _window(b, c, spatial)
        made = _around(b, c, i[0], spatial, lambda v: b.w.op("Conv", v, kernel, **window))
        if not pointwise:
            return b.biased(c, made, each)
        made = b.w.op("MatMul", made, b.weight("kernel", each, int(c["filters"])))
        return b.biased(c, made, int(c["filters"]))

    return rule


def _pool(op: str, spatial: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        size, window = _pair(c["pool_size"], spatial), _window(b, c, spatial)
        return _around(b, c, i[0], spatial, lambda v: b.w.op(op, v, kernel_shape=size, **window))

    return rule


def _global(op: str, spatial: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        first = c.get("data_format") == "channels_first"
        axes = tuple(range(2, 2 + spatial)) if first else tuple(range(1, 1 + spatial))
        return b.w.op(op, i[0], axes=axes, keepdims=int(bool(c.get("keepdims"))))

    return rule


def _normalized(op: str, weights: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        width = b.width(i[0])
        return b.w.op(op, i[0], *(b.weight("scale", width) for _ in range(weights)))

    return rule


def _standardized(b: Spelling, c: Config, i: list[int]) -> int:
    """By a mean and a variance that are given or were counted."""
    said = [list(numbers_in(c.get(k))) for k in ("mean", "variance")]
    numbers = [b.w.held("float32", n, (len(n),) if len(n) > 1 else ()) if n
               else b.weight("statistics", b.width(i[0])) for n in said]  # fmt: skip
    return b.w.op("Div", b.w.op("Sub", i[0], numbers[0]), b.w.op("Sqrt", numbers[1]))


def _rescaled(b: Spelling, c: Config, i: list[int]) -> int:
    scale, offset = list(numbers_in(c.get("scale", 1))), list(numbers_in(c.get("offset", 0)))
    made = b.w.op("Mul", i[0], b.w.held("float32", scale, (len(scale),)[: len(scale) > 1]))
    if any(offset):
        listed = (len(offset),) if len(offset) > 1 else ()
        made = b.w.op("Add", made, b.w.held("float32", offset, listed))
    return made


def _resized(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.resize(i[0], b.w.ints(int(c["height"]), int(c["width"])), "linear")


def _cropped(b: Spelling, c: Config, i: list[int]) -> int:
    """The middle of a picture."""
    shape, starts, ends = b.w.shape(i[0]) or (), [], []
    for axis, key in ((1, "height"), (2, "width")):
        size, left = int(c[key]), shape[axis] if len(shape) > axis else 0
        first = (left - size) // 2 if isinstance(left, int) else 0
        starts.append(first)
        ends.append(first + size)
    return b.w.op("Slice", i[0], b.w.ints(*starts), b.w.ints(*ends), b.w.ints(1, 2))


def _edges(said: Any, spatial: int) -> list[tuple[int, int]]:
    if isinstance(said, int):
        return [(said, said)] * spatial
    if spatial == 1:
        return [(int(said[0]), int(said[1]))]
    return [(int(s), int(s)) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in said]


def _padded(spatial: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        edges = [(0, 0), *_edges(c["padding"], spatial), (0, 0)]
        pads = b.w.ints(*(e[0] for e in edges), *(e[1] for e in edges))
        return b.w.op("Pad", i[0], pads)

    return rule


def _trimmed(spatial: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        edges = _edges(c["cropping"], spatial)
        ends = [-e[1] if e[1] else TO_END for e in edges]
        axes = b.w.ints(*range(1, spatial + 1))
        return b.w.op("Slice", i[0], b.w.ints(*(e[0] for e in edges)), b.w.ints(*ends), axes)

    return rule


def _upsampled(spatial: int) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> int:
        size, shape = _pair(c["size"], spatial), b.w.shape(i[0]) or ()
        sides = [d * s if isinstance(d, int) else -1 for d, s in
                 zip(shape[1:-1], size, strict=False)]  # fmt: skip
        if spatial == 2 and len(sides) == 2 and -1 not in sides:
            return b.w.resize(i[0], b.w.ints(*sides), "linear")
        return _around(b, c, i[0], spatial, lambda v: b.w.op("Resize", v))

    return rule


def _embedding(b: Spelling, c: Config, i: list[int]) -> int:
    table = b.weight("embeddings", int(c["input_dim"]), int(c["output_dim"]))
    return b.w.op("Gather", table, i[0], axis=0)


def _cell(op: str) -> Rule:
    def rule(b: Spelling, c: Config, i: list[int]) -> list[int]:
        units = int(c["units"])
        weights = [b.weight("kernel", b.width(i[0]), units), b.weight("kernel", units, units)]
        count = 1 + (2 if op == "LSTM" else 1) * bool(c.get("return_state"))
        made = b.w.ops(op, [i[0], *weights, *i[1:]], count)
        shape = b.w.shape(i[0])
        if shape and len(shape) == 3:
            turns = (shape[1],) if c.get("return_sequences") else ()
            b.w.declare(made[0], "", (shape[0], *turns, units))
        return made

    return rule


def attention(
    b: Spelling,
    c: Config,
    values: list[int],
    args: Sequence[Any] = (),
    kwargs: Config | None = None,
) -> int:
    """Several heads; what is masked is told by a mask among the arguments."""
    w, heads, size = b.w, int(c["num_heads"]), int(c["key_dim"])
    last = int(c.get("value_dim") or size)
    placed = [a.number for a in args if isinstance(a, Value)] or values[:3]
    named = {k: v.number for k, v in (kwargs or {}).items() if isinstance(v, Value)}
    query = placed[0]
    value = named.get("value", placed[1] if len(placed) > 1 else query)
    key = named.get("key", placed[2] if len(placed) > 2 else value)
    parts: list[int] = []
    for source, width in ((query, size), (key, size), (value, last)):
        made = w.op("MatMul", source, b.weight("kernel", b.width(source), heads * width))
        made = w.op("Add", made, b.weight("bias", heads * width))
        parts.append(w.transpose(w.reshape(made, 0, -1, heads, width), 0, 2, 1, 3))
    scores = w.op("MatMul", parts[0], w.transpose(parts[1], 0, 1, 3, 2))
    mask = named.get("attention_mask")
    if mask is not None:
        scores = w.op("Where", w.cast(w.unsqueeze(mask, 1), "bool"), scores,
                      w.held("float32", (-1e9,)))  # fmt: skip
    seen = w.op("MatMul", w.op("Softmax", scores, axis=-1), parts[2])
    joined = w.reshape(w.transpose(seen, 0, 2, 1, 3), 0, -1, heads * last)
    out = b.width(query)
    return w.op("Add", w.op("MatMul", joined, b.weight("kernel", heads * last, out)),
                b.weight("bias", out))  # fmt: skip


def _plain_attention(b: Spelling, c: Config, i: list[int]) -> int:
    w, query = b.w, i[0]
    value = i[1] if len(i) > 1 else query
    key = i[2] if len(i) > 2 else value
    scores = w.op("Softmax", w.op("MatMul", query, w.transpose(key, 0, 2, 1)), axis=-1)
    return w.op("MatMul", scores, value)


def _flat(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.op("Flatten", i[0], axis=1)


def _reshaped(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.reshape(i[0], 0, *(-1 if s is None else int(s) for s in c["target_shape"]))


def _permuted(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.transpose(i[0], 0, *(int(d) for d in c["dims"]))


def _repeated(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.op("Tile", b.w.unsqueeze(i[0], 1), b.w.ints(1, int(c["n"]), 1))


def _dotted(b: Spelling, c: Config, i: list[int]) -> int:
    axis = next(iter(numbers_in(c.get("axes", -1))))
    return b.w.op("ReduceSum", b.w.op("Mul", *i[:2]), axes=(int(axis),), keepdims=1)


def _relu(b: Spelling, c: Config, i: list[int]) -> int:
    highest, slope = c.get("max_value"), c.get("negative_slope") or 0
    if slope:
        return b.w.op("LeakyRelu", i[0], alpha=float(slope))
    low = float(c.get("threshold") or 0)
    return b.w.op("Relu", i[0]) if highest is None else b.w.clip(i[0], low, float(highest))


def _numbered(b: Spelling, c: Config, i: list[int]) -> int:
    """What gives each key of a vocabulary its number."""
    made = b.w.cast(i[0], "int64")
    if c.get("output_sequence_length"):
        made = b.w.reshape(made, -1, int(c["output_sequence_length"]))
    return made


def _bucketed(b: Spelling, c: Config, i: list[int]) -> int:
    bounds = list(numbers_in(c.get("bin_boundaries")))
    return b.w.bucket(i[0], bounds) if bounds else b.w.cast(i[0], "int64")


def _categories(b: Spelling, c: Config, i: list[int]) -> int:
    values, count = b.w.held("float32", (0.0, 1.0), (2,)), int(c["num_tokens"])
    made = b.w.op("OneHot", i[0], b.w.held("int64", (count,)), values, axis=-1)
    return b.w.op("ReduceMax", made, axes=(-2,), keepdims=0)


def _activated(b: Spelling, c: Config, i: list[int]) -> int:
    return b.activation(c.get("activation"), i[0])


def _joined(b: Spelling, c: Config, i: list[int]) -> int:
    return b.w.op("Concat", *i, axis=int(c.get("axis", -1)))


LAYERS: Final[dict[str, Rule]] = {
    "Dense": _dense, "EinsumDense": _einsum_dense, "Embedding": _embedding,
    "Conv1D": _conv(1), "Conv2D": _conv(2), "Conv3D": _conv(3), "Convolution2D": _conv(2),
    "Conv1DTranspose": _conv(1, "ConvTranspose"), "Conv2DTranspose": _conv(2, "ConvTranspose"),
    "Conv3DTranspose": _conv(3, "ConvTranspose"), "DepthwiseConv1D": _depthwise(1),
    "DepthwiseConv2D": _depthwise(2), "SeparableConv1D": _depthwise(1, True),
    "SeparableConv2D": _depthwise(2, True),
    **{f"MaxPooling{n}D": _pool("MaxPool", n) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _pool("AveragePool", n) for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _global("ReduceMean", n) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _global("ReduceMax", n) for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": _padded(n) for n in (1, 2, 3)},
    **{f"Cropping{n}D": _trimmed(n) for n in (1, 2, 3)},
    **{f"UpSampling{n}D": _upsampled(n) for n in (1, 2, 3)},
    "BatchNormalization": _normalized("BatchNormalization", 4),
    "LayerNormalization": _normalized("LayerNormalization", 2),
    "RMSNormalization": _normalized("RMSNormalization", 1),
    "GroupNormalization": _normalized("GroupNormalization", 2),
    "UnitNormalization": _plain("LpNormalization", axis=-1, p=2), "Normalization": _standardized,
    "Rescaling": _rescaled, "Resizing": _resized, "CenterCrop": _cropped,
    "LSTM": _cell("LSTM"), "GRU": _cell("GRU"), "SimpleRNN": _cell("RNN"),
    "CuDNNLSTM": _cell("LSTM"), "CuDNNGRU": _cell("GRU"),
    "MultiHeadAttention": lambda b, c, i: attention(b, c, i),
    "Attention": _plain_attention, "Add": _plain("Sum"), "Subtract": _plain("Sub"),
    "Multiply": lambda b, c, i: _chain(b, "Mul", i), "Average": _plain("Mean"),
    "Maximum": _plain("Max"), "Minimum": _plain("Min"), "Concatenate": _joined, "Dot": _dotted,
    "Flatten": _flat, "Reshape": _reshaped, "Permute": _permuted, "RepeatVector": _repeated,
    "Activation": _activated, "ReLU": _relu, "Softmax": _plain("Softmax", axis=-1),
    "LeakyReLU": lambda b, c, i: b.w.op("LeakyRelu", i[0], alpha=0.3), "ELU": _plain("Elu"),
    "PReLU": lambda b, c, i: b.w.op("PRelu", i[0], b.weight("alpha", b.width(i[0]))),
    "ThresholdedReLU": _plain("ThresholdedRelu"), "Masking": _same,
    "Discretization": _bucketed, "CategoryEncoding": _categories, "StringLookup": _numbered,
    "IntegerLookup": _numbered, "TextVectorization": _numbered,
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
                     "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
                     "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomCrop",
                     "RandomTranslation", "RandomBrightness", "RandomHeight", "RandomWidth",
                     "Identity"), _same),
}  # fmt: skip
"""What only acts in training leaves a value as it is."""


def _chain(b: Spelling, op: str, values: list[int]) -> int:
    made = values[0]
    for value in values[1:]:
        made = b.w.op(op, made, value)
    return made
