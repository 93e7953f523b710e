"""The shapes that layers give: products, convolutions, pools, attention, cells, signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Dimension, Operation, Shape
from weighbridge.analysis.graph_dimensions import Shapes, broadcast

Rule = Callable[[Shapes, Operation, list[Shape | None]], Shape | None]
"""From what is known, the operation and the shapes of its inputs to that of its first output."""


def _matmul(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    a, b = shapes[0], shapes[1] if len(shapes) > 1 else None
    if a is None or b is None:
        return None
    if operation.attributes.get("transA") and len(a) > 1:
        a = (*a[:-2], a[-1], a[-2])
    if operation.attributes.get("transB") and len(b) > 1:
        b = (*b[:-2], b[-1], b[-2])
    if len(a) == 1 or len(b) == 1:
        return a[:-1] + b[1:] if len(a) > 1 or len(b) > 1 else ()
    outer = broadcast([a[:-2], b[:-2]]) or ()
    return (*outer, a[-2], b[-1]) if len(a) > 1 else None


def _gemm(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    a, b = shapes[0], shapes[1] if len(shapes) > 1 else None
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return None
    return (
        a[1 if operation.attributes.get("transA") else 0],
        b[0 if operation.attributes.get("transB") else 1],
    )


def _conv(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data, kernel = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or kernel is None or len(data) != len(kernel):
        return None
    attributes, count = operation.attributes, len(data) - 2
    strides = attributes.get("strides") or (1,) * count
    pads = attributes.get("pads") or (0,) * (2 * count)
    rates = attributes.get("dilations") or (1,) * count
    out = [data[0], kernel[0]]
    for i in range(count):
        size, width = data[2 + i], kernel[2 + i]
        if attributes.get("auto_pad") == "SAME_UPPER" and isinstance(size, int):
            out.append(-(-size // max(1, strides[i])))
        elif isinstance(size, int) and isinstance(width, int) and len(pads) == 2 * count:
            reach = (width - 1) * rates[i] + 1
            out.append(max(0, (size + pads[i] + pads[i + count] - reach) // max(1, strides[i]) + 1))
        else:
            out.append(made.name())
    return tuple(out)


def _pool(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    kernel = operation.attributes.get("kernel_shape")
    data = shapes[0]
    if data is None or not kernel or len(data) != len(kernel) + 2:
        return None
    stand_in: Shape = (data[1], 1, *kernel)
    return _conv(made, operation, [data, stand_in])


def _global(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data = shapes[0]
    return None if data is None else (*data[:2], *(1 for _ in data[2:]))


def _transposed(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """A convolution the other way round."""
    data, kernel = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or kernel is None or len(data) != len(kernel) or len(data) < 3:
        return None
    attributes, count = operation.attributes, len(data) - 2
    groups, width = attributes.get("group", 1), kernel[1]
    out: list[Dimension] = [data[0], width * groups if isinstance(width, int) else made.name()]
    said = attributes.get("output_shape")
    if said:
        return (*out, *said[-count:])
    strides = attributes.get("strides") or (1,) * count
    pads = attributes.get("pads") or (0,) * (2 * count)
    rates = attributes.get("dilations") or (1,) * count
    more = attributes.get("output_padding") or (0,) * count
    for i in range(count):
        size, reach = data[2 + i], kernel[2 + i]
        if isinstance(size, int) and isinstance(reach, int):
            reach = (reach - 1) * rates[i] + 1
            out.append(strides[i] * (size - 1) + more[i] + reach - pads[i] - pads[i + count])
        else:
            out.append(made.name())
    return tuple(out)


def _einsum(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """By the letters of its equation; those that are summed over are gone."""
    equation = operation.attributes.get("equation", "").replace(" ", "")
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    if not arrow or "." in equation or len(terms) != len(shapes):
        return None
    sizes: dict[str, Dimension] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if shape is not None and len(shape) == len(term):
            sizes |= {letter: size for letter, size in zip(term, shape, strict=True) if size != 1
                      or letter not in sizes}  # fmt: skip
    return tuple(sizes.get(letter) or made.name() for letter in result)


def _cell(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Steps, directions, samples, states."""
    data, weights = shapes[0], shapes[2] if len(shapes) > 2 else None
    if data is None or len(data) != 3 or not weights or len(weights) != 3:
        return None
    size = operation.attributes.get("hidden_size") or weights[-1]
    return (data[0], weights[0], data[1], size)


def _attention(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """As many places as there are questions, as wide as the values."""
    query, values = shapes[0], shapes[2] if len(shapes) > 2 else None
    if query is None:
        return None
    if values is not None and len(values) == len(query) == 4:
        return (*query[:-1], values[-1])
    return query


def _packed_attention(
    made: Shapes, operation: Operation, shapes: list[Shape | None]
) -> Shape | None:
    """Questions, keys and values from one matrix."""
    data, weights = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or not weights or not isinstance(weights[-1], int):
        return None
    said = operation.attributes.get("qkv_hidden_sizes")
    return (*data[:-1], said[2] if said else weights[-1] // 3)


def _group_query(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Questions alone, or packed with the keys and values of fewer heads."""
    query = shapes[0]
    if query is None or (len(operation.inputs) > 1 and operation.inputs[1] != ABSENT):
        return query
    heads, pairs = (operation.attributes.get(k, 1) for k in ("num_heads", "kv_num_heads"))
    last = query[-1]
    width = last * heads // (heads + 2 * pairs) if isinstance(last, int) else made.name()
    return (*query[:-1], width)


def _by_blocks(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """A product with weights of few bits, whose shape stands in attributes."""
    data = shapes[0]
    return None if data is None else (*data[:-1], operation.attributes["N"])


def _sampled(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data, grid = shapes[0], shapes[1] if len(shapes) > 1 else None
    return None if data is None or grid is None else (*data[:2], *grid[1:-1])


def _aligned(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Regions, channels, and the size that every region comes to."""
    data, regions = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or not regions:
        return None
    shape = operation.attributes.get("pooled_shape") or tuple(
        operation.attributes.get(k, 1) for k in ("output_height", "output_width")
    )
    return (regions[0], data[1], *shape)


def _fourier(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """The last axis is real and imaginary (formats with complex numbers have none such: there what
    they declare counts); half of the frequencies if it is one-sided."""
    data = shapes[0]
    if data is None or len(data) < 2 or data[-1] not in (1, 2):
        return None
    axis = operation.attributes.get("axis")
    if axis is None:
        given = operation.inputs[2] if len(operation.inputs) > 2 else ABSENT
        axis = made.known.get(given, (1 if given == ABSENT and "axis" in operation.attributes
                                      else -2,))[0]  # fmt: skip
    out, axis = list(data), axis % len(data)
    wanted = operation.inputs[1] if len(operation.inputs) > 1 else ABSENT
    if wanted != ABSENT:
        out[axis] = made.known.get(wanted, (made.name(),))[0]
    size = out[axis]
    if operation.attributes.get("onesided"):
        out[axis] = size // 2 + 1 if isinstance(size, int) else made.name()
    return (*out[:-1], 2)


def _windows(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Samples, frames, frequencies, real and imaginary."""
    data, window = shapes[0], shapes[2] if len(shapes) > 2 else None
    given = [operation.inputs[i] if len(operation.inputs) > i else ABSENT for i in (1, 3)]
    step, length = (made.known.get(i, (None,))[0] for i in given)
    length = length if length is not None else window[0] if window else None
    if data is None or not isinstance(length, int):
        return None
    bins = length // 2 + 1 if operation.attributes.get("onesided", 1) else length
    size = data[1]
    known = isinstance(size, int) and isinstance(step, int) and step > 0
    frames: Dimension = (size - length) // step + 1 if known else made.name()  # type: ignore[operator]
    return (data[0], frames, bins, 2)


def _shuffled(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Depth to space, or back."""
    data, block = shapes[0], operation.attributes["blocksize"]
    if data is None or not all(isinstance(d, int) for d in data[1:]):
        return None if data is None else (data[0], *(made.name() for _ in data[1:]))
    n, (c, h, w) = data[0], (int(d) for d in data[1:])
    if operation.op == "DepthToSpace":
        return (n, c // block**2, h * block, w * block)
    return (n, c * block**2, h // block, w // block)


def _stated(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """A shape that an attribute says."""
    return tuple(operation.attributes["shape"])


def _windowed(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    size = made.known.get(operation.inputs[0])
    return (size[0] if size else made.name(),)


def _unblocked(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """Out of the blocked layout, where channels were filled up to whole blocks."""
    data, channels = shapes[0], operation.attributes.get("channels")
    return None if data is None or channels is None else (data[0], channels, *data[2:])


def _rows(width: Callable[[Shapes, Operation], Dimension]) -> Rule:
    """One row for each sample."""

    def rule(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
        data = shapes[0]
        return (data[0] if data else made.name(), width(made, operation))

    return rule


def _targets(made: Shapes, operation: Operation) -> Dimension:
    said = operation.attributes.get("n_targets") or operation.attributes.get("targets")
    if isinstance(said, int):
        return said
    bias = operation.attributes.get("intercepts") or operation.attributes.get("rho")
    return len(bias) if isinstance(bias, tuple) and bias else made.name()


LAYERS: Final[dict[str, Rule]] = {
    "MatMul": _matmul, "MatMulInteger": _matmul, "Gemm": _gemm, "Einsum": _einsum,
    "Conv": _conv, "ConvInteger": _conv, "com.microsoft::NhwcConv": _conv,
    "ConvTranspose": _transposed, "DeformConv": _conv,
    "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool,
    "GlobalAveragePool": _global, "GlobalMaxPool": _global, "GlobalLpPool": _global,
    "LSTM": _cell, "GRU": _cell, "RNN": _cell, "Attention": _attention,
    "com.microsoft::Attention": _packed_attention, "com.microsoft::QAttention": _packed_attention,
    "com.microsoft::GroupQueryAttention": _group_query, "com.microsoft::MatMulNBits": _by_blocks,
    "GridSample": _sampled, "RoiAlign": _aligned, "MaxRoiPool": _aligned,
    "DFT": _fourier, "STFT": _windows, "HannWindow": _windowed, "HammingWindow": _windowed,
    "BlackmanWindow": _windowed, "DepthToSpace": _shuffled, "SpaceToDepth": _shuffled,
    "RandomNormal": _stated, "RandomUniform": _stated,
    "com.microsoft.nchwc::ReorderOutput": _unblocked,
    "NonMaxSuppression": lambda m, o, s: (m.name(), 3),
    "Unique": lambda m, o, s: (m.name(),) if o.attributes.get("axis") is None else (
        tuple(m.name() for _ in s[0]) if s[0] else None),
    "Multinomial": _rows(lambda m, o: o.attributes.get("sample_size", 1)),
    "TfIdfVectorizer": _rows(lambda m, o: max(o.attributes.get("ngram_indexes") or (0,)) + 1),
    "Det": lambda m, o, s: s[0][:-2] if s[0] else None,
    "SequenceLength": lambda m, o, s: (), "OptionalHasElement": lambda m, o, s: (),
    **dict.fromkeys(
        ["ai.onnx.ml::LinearRegressor", "ai.onnx.ml::TreeEnsembleRegressor",
         "ai.onnx.ml::SVMRegressor", "ai.onnx.ml::TreeEnsemble"], _rows(_targets)),
    **dict.fromkeys(
        ["ai.onnx.ml::LinearClassifier", "ai.onnx.ml::TreeEnsembleClassifier",
         "ai.onnx.ml::SVMClassifier"], lambda m, o, s: s[0][:1] if s[0] else None),
}  # fmt: skip
