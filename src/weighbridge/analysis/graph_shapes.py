"""Shapes and small known numbers of a computation graph, worked out from its operators.

What a file declares of the values in between is only believed where this knows nothing better.
Dimensions that are not known get names of their own, so that equal names mean equal sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Dimension,
    Operation,
    Shape,
)

FOLDED: Final = 256
"""How many numbers a known value may have."""
RANKS: Final = 12
LARGEST: Final = 1 << 63
Known = tuple[Any, ...]
"""Numbers, or names of dimensions, in row-major order."""

ELEMENTWISE: Final = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "CumSum",
        "DequantizeLinear",
        "Div",
        "Dropout",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "Max",
        "Mean",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "QuantizeLinear",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Where",
        "Xor",
        "LayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "BatchNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "LpNormalization",
        "LRN",
        "MeanVarianceNormalization",
        "Trilu",
        "EyeLike",
        "Bernoulli",
        "com.microsoft::Gelu",
        "com.microsoft::FastGelu",
        "com.microsoft::QuickGelu",
        "com.microsoft::BiasGelu",
        "RandomNormalLike",
        "RandomUniformLike",
        "ReverseSequence",
        "DynamicQuantizeLinear",
        "ScatterElements",
        "ScatterND",
        "Scatter",
    ]
)
FIRST_SHAPED: Final = frozenset(
    [
        "LayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "BatchNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "QuantizeLinear",
        "DequantizeLinear",
        "ScatterElements",
        "ScatterND",
        "Scatter",
        "Clip",
        "CumSum",
        "Dropout",
        "Trilu",
        "DynamicQuantizeLinear",
        "ReverseSequence",
    ]
)
REDUCTIONS: Final = frozenset(
    [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    ]
)
PICKING: Final = frozenset({"ArgMax", "ArgMin"})
_SAME: Final = frozenset({"Identity", "Cast", "CastLike", "Dropout"})


@dataclass(slots=True)
class Shapes:
    """For each value: its shape (None: not even its rank), and its numbers where they are known."""

    shapes: list[Shape | None]
    known: dict[int, Known] = field(default_factory=dict)
    fresh: int = 0

    def name(self) -> str:
        """A name for a dimension that is not known."""
        self.fresh += 1
        return f"?{self.fresh}"


def infer(graph: ComputationGraph) -> Shapes:
    """Work them out, in the order of the operations."""
    made = Shapes([])
    begin(made, graph)
    for operation in graph.operations:
        follow(made, graph, operation)
    return made


def begin(made: Shapes, graph: ComputationGraph) -> None:
    """Take in the values that the graph has got since: what is known before anything is run."""
    for number in range(len(made.shapes), len(graph.values)):
        value = graph.values[number]
        known = value.constant is not None or value.producer == ABSENT
        made.shapes.append(value.shape if known else None)
        if value.constant is not None and value.constant.elements <= FOLDED:
            numbers = value.constant.numbers(FOLDED)
            if numbers is not None:
                made.known[number] = numbers


def follow(made: Shapes, graph: ComputationGraph, operation: Operation) -> None:
    """Work out what one operation gives, after those before it."""
    try:
        shape = _sound(_shape(made, operation), made)
    except (*_WRONG, KeyError):  # attributes of a wrong kind, sizes beyond all bounds
        shape = None
    for place, output in enumerate(operation.outputs):
        if output == ABSENT:
            continue
        found = shape if place == 0 else _later(operation, place, shape)
        declared = graph.values[output].shape
        if found is None or len(found) > RANKS:
            found = declared
        elif declared is not None and len(declared) == len(found):
            found = tuple(
                d if isinstance(f, str) and f.startswith("?") else f
                for f, d in zip(found, declared, strict=True)
            )
        made.shapes[output] = found
    if operation.outputs and operation.outputs[0] != ABSENT:
        try:
            numbers = _fold(made, operation)
        except _WRONG:
            numbers = None
        if (
            numbers is not None
            and len(numbers) <= FOLDED
            and all(isinstance(v, str) or -LARGEST <= v <= LARGEST for v in numbers)
        ):
            made.known[operation.outputs[0]] = numbers
            if made.shapes[operation.outputs[0]] is None:
                made.shapes[operation.outputs[0]] = (len(numbers),)


_WRONG: Final = (TypeError, ValueError, IndexError, ArithmeticError, AttributeError)


def _sound(shape: Shape | None, made: Shapes) -> Shape | None:
    """A shape with names for sizes that cannot be."""
    if shape is None:
        return None
    return tuple(
        d if isinstance(d, str) or (isinstance(d, int) and 0 <= d <= LARGEST) else made.name()
        for d in shape
    )


def _later(operation: Operation, place: int, first: Shape | None) -> Shape | None:
    """Shapes of outputs after the first, where they are simple."""
    if operation.op == "DynamicQuantizeLinear":
        return ()
    return first if operation.op in ("Split", "TopK", "MaxPool", "Dropout") else None


def _shape(made: Shapes, operation: Operation) -> Shape | None:
    op, inputs = operation.op, operation.inputs
    shapes = [made.shapes[i] if i != ABSENT else () for i in inputs]
    first = shapes[0] if shapes else None
    if op in FIRST_SHAPED:
        return first
    if op in ELEMENTWISE:
        return broadcast(shapes, made)
    rule = _RULES.get(op)
    if rule is not None:
        return rule(made, operation, shapes)
    if op in REDUCTIONS or op in PICKING:
        return _reduced(made, operation, first)
    return None


def broadcast(shapes: Sequence[Shape | None], made: Shapes | None = None) -> Shape | None:
    """The shape that several come to when they meet; None where one of them is not known."""
    rank = 0
    for shape in shapes:
        if shape is None:
            return None
        rank = max(rank, len(shape))
    out: list[Dimension] = []
    for place in range(rank):
        best: Dimension = 1
        for shape in shapes:
            at = place - rank + len(shape or ())
            size = shape[at] if shape and at >= 0 else 1
            if size != 1 and (best == 1 or isinstance(best, str)):
                best = size
        out.append(best)
    return tuple(out)


def _axes(made: Shapes, operation: Operation, rank: int, at: int = 1) -> list[int] | None:
    """The axes of an attribute or of an input, counted from the front; None: not known."""
    said = operation.attributes.get("axes")
    if said is None and len(operation.inputs) > at and operation.inputs[at] != ABSENT:
        said = made.known.get(operation.inputs[at])
        if said is None or not all(isinstance(a, int) for a in said):
            return None
    if said is None:
        return []
    said = said if isinstance(said, tuple) else (said,)
    return [int(a) + rank if int(a) < 0 else int(a) for a in said]


def _reduced(made: Shapes, operation: Operation, first: Shape | None) -> Shape | None:
    if first is None:
        return () if not operation.attributes.get("keepdims", 1) else None
    keep = operation.attributes.get("keepdims", 1)
    if operation.op in PICKING:
        axis = operation.attributes.get("axis", 0)
        axes: list[int] | None = [axis + len(first) if axis < 0 else axis]
    else:
        axes = _axes(made, operation, len(first))
        if axes == [] and not operation.attributes.get("noop_with_empty_axes"):
            axes = list(range(len(first)))
    if axes is None:
        return tuple(made.name() for _ in first) if keep else None
    gone = set(axes)
    return tuple(1 if i in gone else d for i, d in enumerate(first) if keep or i not in gone)


Rule = Callable[[Shapes, Operation, list[Shape | None]], Shape | None]


def _transpose(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    shape = shapes[0]
    order = operation.attributes.get("perm") or tuple(range(len(shape or ())))[::-1]
    if shape is None or sorted(order) != list(range(len(shape))):
        return None
    return tuple(shape[i] for i in order)


def _reshape(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    wanted = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    if wanted is None:
        length = shapes[1] if len(shapes) > 1 else None
        if length and isinstance(length[0], int) and length[0] <= RANKS:
            return tuple(made.name() for _ in range(length[0]))
        return None
    out: list[Dimension] = []
    source = shapes[0]
    for place, size in enumerate(wanted):
        if size == 0 and source is not None and place < len(source):
            out.append(source[place])
        else:
            out.append(size if isinstance(size, str) else int(size))
    if -1 in out:
        hole = out.index(-1)
        out[hole] = _rest(source, [d for d in out if d != -1]) or made.name()
    return tuple(out)


def _rest(source: Shape | None, rest: list[Dimension]) -> Dimension | None:
    """What is left of a shape when the others have taken their part."""
    if source is None:
        return None
    names = [d for d in source if isinstance(d, str)]
    count = math.prod(d for d in source if isinstance(d, int))
    for size in rest:
        if isinstance(size, str):
            if size not in names:
                return None
            names.remove(size)
        elif size and count % size == 0:
            count //= size
        else:
            return None
    if not names:
        return count
    return names[0] if len(names) == 1 and count == 1 else None


def _unsqueeze(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    shape = shapes[0]
    said = operation.attributes.get("axes")
    if said is None and len(operation.inputs) > 1:
        said = made.known.get(operation.inputs[1])
    if shape is None or said is None:
        return None
    said = said if isinstance(said, tuple) else (said,)
    rank = len(shape) + len(said)
    places = {int(a) + rank if a < 0 else int(a) for a in said if isinstance(a, int)}
    rest = iter(shape)
    return tuple(1 if i in places else next(rest, 1) for i in range(rank))


def _squeeze(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    shape = shapes[0]
    if shape is None:
        return None
    axes = _axes(made, operation, len(shape))
    if axes is None:
        return None
    gone = set(axes) if axes else {i for i, d in enumerate(shape) if d == 1}
    return tuple(d for i, d in enumerate(shape) if i not in gone)


def _concat(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    found = [s for s in shapes if s is not None]
    if not found:
        return None
    rank = len(found[0])
    axis = operation.attributes.get("axis", 0)
    axis = axis + rank if axis < 0 else axis
    if axis >= rank or any(len(s) != rank for s in found):
        return None
    sizes = [s[axis] for s in found] if len(found) == len(shapes) else ["?"]
    total = sum(s for s in sizes if isinstance(s, int))
    whole: Dimension = total if all(isinstance(s, int) for s in sizes) else made.name()
    return tuple(whole if i == axis else d for i, d in enumerate(found[0]))


def _gather(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data, indices = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or indices is None:
        return None
    axis = operation.attributes.get("axis", 0)
    axis = axis + len(data) if axis < 0 else axis
    return data[:axis] + indices + data[axis + 1 :]


def _gather_nd(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data, indices = shapes[0], shapes[1] if len(shapes) > 1 else None
    if data is None or not indices or not isinstance(indices[-1], int):
        return None
    skip = operation.attributes.get("batch_dims", 0)
    return indices[:-1] + data[skip + indices[-1] :]


def _slice(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    shape = shapes[0]
    if shape is None:
        return None
    bounds = slice_bounds(made, operation, len(shape))
    out: list[Dimension] = list(shape)
    if bounds is None:
        return tuple(made.name() for _ in shape)
    for axis, (start, end, step) in bounds.items():
        if axis >= len(out):
            return None
        size = out[axis]
        if isinstance(size, int) and isinstance(start, int) and isinstance(end, int) and step:
            out[axis] = len(range(size)[slice(*_clamped(start, end, step, size))])
        elif (
            isinstance(start, int)
            and isinstance(end, int)
            and step == 1
            and (0 <= start <= end < 1 << 31 or start < end < 0)
        ):
            out[axis] = end - start
        elif start == -1 and isinstance(end, int) and end >= 1 << 31 - 1:
            out[axis] = 1
        elif not (start == 0 and (end == size or (isinstance(end, int) and end >= (1 << 31) - 1))):
            out[axis] = made.name()
    return tuple(out)


def _clamped(start: int, end: int, step: int, size: int) -> tuple[int | None, int | None, int]:
    if step < 0 and end < -size:
        return start, None, step
    return start, end, step


Bound = tuple[Any, Any, Any]


def slice_bounds(made: Shapes, operation: Operation, rank: int) -> dict[int, Bound] | None:
    """For each axis that a Slice cuts: start, end and step, numbers or names of dimensions."""
    attributes = operation.attributes
    parts: list[Known | None] = []
    if "starts" in attributes:
        parts = [attributes["starts"], attributes.get("ends", ()), attributes.get("axes"), None]
    else:
        for place in range(1, 5):
            given = operation.inputs[place] if len(operation.inputs) > place else ABSENT
            parts.append(made.known.get(given) if given != ABSENT else None)
        if parts[0] is None or parts[1] is None:
            return None
    starts, ends = parts[0] or (), parts[1] or ()
    axes = parts[2] if parts[2] is not None else tuple(range(len(starts)))
    steps = parts[3] if parts[3] is not None else (1,) * len(starts)
    return {
        int(a) + rank if a < 0 else int(a): (s, e, t)
        for s, e, a, t in zip(starts, ends, axes, steps, strict=False)
        if isinstance(a, int)
    }


def _expand(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    wanted = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    if wanted is None:
        length = shapes[1] if len(shapes) > 1 else None
        if length and isinstance(length[0], int) and length[0] <= RANKS:
            return tuple(made.name() for _ in range(length[0]))
        return None
    return broadcast([shapes[0], tuple(d if isinstance(d, str) else int(d) for d in wanted)])


def _matmul(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    a, b = shapes[0], shapes[1] if len(shapes) > 1 else None
    if a is None or b is None:
        return None
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


def _flatten(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data = shapes[0]
    if data is None:
        return None
    axis = operation.attributes.get("axis", 1)
    return tuple(
        _rest(part, []) or made.name() if part else 1 for part in (data[:axis], data[axis:])
    )


def _topk(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data = shapes[0]
    if not data:
        return None
    axis = operation.attributes.get("axis", -1) % len(data)
    count = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    size = count[0] if count and len(count) == 1 else made.name()
    return tuple(size if i == axis else d for i, d in enumerate(data))


def _split(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data = shapes[0]
    if not data:
        return None
    axis, size = operation.attributes.get("axis", 0) % len(data), made.name()
    whole: Dimension = data[axis]
    said = operation.attributes.get("split")
    if said is None and len(operation.inputs) > 1 and operation.inputs[1] != ABSENT:
        said = made.known.get(operation.inputs[1])
    if said:
        whole = max((s for s in said if isinstance(s, int)), default=size)
    elif isinstance(whole, int):
        whole = -(-whole // max(1, len(operation.outputs)))
    else:
        whole = size
    return tuple(whole if i == axis else d for i, d in enumerate(data))


def _range(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    parts = [made.known.get(i, (None,))[0] for i in operation.inputs[:3]]
    if len(parts) == 3 and all(isinstance(p, int) for p in parts) and parts[2]:
        return (max(0, math.ceil((parts[1] - parts[0]) / parts[2])),)
    if len(parts) == 3 and parts[0] == 0 and isinstance(parts[1], str) and parts[2] == 1:
        return (parts[1],)
    return (made.name(),)


def _filled(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    wanted = made.known.get(operation.inputs[0])
    if wanted is None:
        length = shapes[0]
        if length and isinstance(length[0], int) and length[0] <= RANKS:
            return tuple(made.name() for _ in range(length[0]))
        return None
    return tuple(d if isinstance(d, str) else int(d) for d in wanted)


def _padded(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    data = shapes[0]
    pads = operation.attributes.get("pads")
    if pads is None and len(operation.inputs) > 1:
        pads = made.known.get(operation.inputs[1])
    if data is None or pads is None or len(pads) != 2 * len(data):
        return tuple(made.name() for _ in data) if data else None
    if not all(isinstance(p, int | float) for p in pads):
        return tuple(made.name() for _ in data)
    return tuple(
        d + int(pads[i]) + int(pads[i + len(data)])
        if isinstance(d, int)
        else (d if not pads[i] and not pads[i + len(data)] else made.name())
        for i, d in enumerate(data)
    )


def _one_hot(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    depth = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    if shapes[0] is None:
        return None
    return (*shapes[0], int(depth[0]) if depth and not isinstance(depth[0], str) else made.name())


def _einsum(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    given, _, result = str(operation.attributes.get("equation", "")).partition("->")
    sizes: dict[str, Dimension] = {}
    for letters, shape in zip(given.split(","), shapes, strict=False):
        if shape is None or len(letters) != len(shape) or "." in letters:
            return None
        sizes |= {k: d for k, d in zip(letters, shape, strict=True) if sizes.get(k, 1) == 1}
    return tuple(sizes[k] for k in result) if "->" in operation.attributes["equation"] else None


def _if(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    count = len(operation.outputs)
    both = [made.shapes[i] for i in operation.inputs[1 :: max(1, count)][:2] if i != ABSENT]
    return both[0] if len(both) == 2 and both[0] == both[1] else None


_RULES: Final[dict[str, Rule]] = {
    "Transpose": _transpose, "Reshape": _reshape, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze,
    "Concat": _concat, "Gather": _gather, "GatherND": _gather_nd, "Slice": _slice,
    "GatherElements": lambda m, o, s: s[1] if len(s) > 1 else None,
    "Expand": _expand, "MatMul": _matmul, "MatMulInteger": _matmul, "Gemm": _gemm, "Conv": _conv,
    "ConvInteger": _conv, "com.microsoft.nchwc::Conv": _conv, "com.microsoft::FusedConv": _conv,
    "com.microsoft.nchwc::GlobalAveragePool": _global,
    "com.microsoft.nchwc::GlobalMaxPool": _global,
    "com.microsoft.nchwc::MaxPool": _pool, "com.microsoft.nchwc::AveragePool": _pool,
    "com.microsoft::FusedGemm": _gemm, "com.microsoft::FusedMatMul": _matmul,
    "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool,
    "GlobalAveragePool": _global, "GlobalMaxPool": _global, "Flatten": _flatten, "TopK": _topk,
    "Split": _split, "Range": _range, "ConstantOfShape": _filled, "Pad": _padded,
    "OneHot": _one_hot, "If": _if, "Einsum": _einsum,
    "Step": lambda m, o, s: (s[0][1:] if s[0] else s[0]) if s else None,
    "Carried": lambda m, o, s: s[0] if len(s) == 1 or s[0] in s[1:] else None,
    "Shape": lambda m, o, s: (len(s[0]),) if s[0] is not None else ("?",),
    "Size": lambda m, o, s: (),
    "NonZero": lambda m, o, s: (len(s[0]), m.name()) if s[0] is not None else None,
    "Tile": lambda m, o, s: _tiled(m, o, s[0]),
    "Compress": lambda m, o, s: tuple(m.name() for _ in s[0]) if s[0] else (m.name(),),
    "Resize": lambda m, o, s: (*s[0][:2], *(m.name() for _ in s[0][2:])) if s[0] else None,
}  # fmt: skip


def _tiled(made: Shapes, operation: Operation, shape: Shape | None) -> Shape | None:
    times = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    if shape is None:
        return None
    if times is None or len(times) != len(shape):
        return tuple(made.name() for _ in shape)
    return tuple(
        d if t == 1 else (d * int(t) if isinstance(d, int) and isinstance(t, int) else
                          (t if d == 1 and isinstance(t, str) else made.name()))
        for d, t in zip(shape, times, strict=True)
    )  # fmt: skip


# Known numbers ---------------------------------------------------------------------------------


def _fold(made: Shapes, operation: Operation) -> Known | None:
    """The numbers of what an operation gives, where they follow from shapes and constants."""
    op, inputs = operation.op, operation.inputs
    if op == "Shape":
        shape = made.shapes[inputs[0]] if inputs and inputs[0] != ABSENT else None
        if shape is None:
            return None
        start, end = operation.attributes.get("start", 0), operation.attributes.get("end")
        return shape[start:end]
    if not inputs or any(i != ABSENT and i not in made.known for i in inputs):
        return None
    given = [made.known[i] for i in inputs if i != ABSENT]
    if not given:
        return None
    shape = made.shapes[inputs[0]]
    if op in _SAME or op in ("Unsqueeze", "Squeeze", "Reshape", "Flatten"):
        whole = operation.attributes.get("to") in (6, 7)
        return tuple(int(v) if whole and isinstance(v, float) and math.isfinite(v) else v
                     for v in given[0])  # fmt: skip
    if op == "Concat" and operation.attributes.get("axis", 0) in (0, -1):
        if all(len(made.shapes[i] or ()) == 1 for i in inputs):
            return tuple(v for part in given for v in part)
        return None
    if shape is not None and len(shape) == 1:
        if (
            op == "Gather"
            and len(given) == 2
            and all(isinstance(i, int) and -len(given[0]) <= i < len(given[0]) for i in given[1])
        ):
            return tuple(given[0][i] for i in given[1])
        if op == "Slice":
            bounds = slice_bounds(made, operation, 1)
            if bounds and all(isinstance(b, int) for b in bounds.get(0, ("",))):
                start, end, step = bounds[0]
                return given[0][slice(*_clamped(start, end, step, len(given[0])))]
    if op == "Where" and len(given) == 3:
        size = max(map(len, given))
        if any(len(g) not in (1, size) for g in given) or any(isinstance(v, str) for v in given[0]):
            return None
        test, yes, no = (g * size if len(g) == 1 else g for g in given)
        return tuple(y if t else n for t, y, n in zip(test, yes, no, strict=True))
    if op == "ReduceProd" and all(isinstance(v, int) for v in given[0]):
        return (math.prod(given[0]),)
    return _arithmetic(op, given)


def _arithmetic(op: str, given: list[Known]) -> Known | None:
    work = _WORK.get(op)
    if work is None or len(given) != 2:
        return None
    a, b = given
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        return None
    pairs = zip(a * len(b) if len(a) == 1 else a, b * len(a) if len(b) == 1 else b, strict=True)
    out: list[Any] = []
    for x, y in pairs:
        if isinstance(x, str) or isinstance(y, str):
            if op == "Mul" and 1 in (x, y):
                out.append(x if y == 1 else y)
            elif (op in ("Add", "Sub") and y == 0) or (op == "Div" and y == 1):
                out.append(x)
            elif (op == "Equal" and x == -1) or y == -1:
                out.append(0)
            else:
                return None
            continue
        try:
            out.append(work(x, y))
        except (ArithmeticError, ValueError):
            return None
    return tuple(out)


_WORK: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": lambda x, y: x + y, "Sub": lambda x, y: x - y, "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x // y if isinstance(x, int) and isinstance(y, int) else x / y,
    "Equal": lambda x, y: int(x == y), "Max": max, "Min": min,
}  # fmt: skip


def elements(shape: Shape | None, batch: frozenset[str]) -> float:
    """How many numbers one sample of a value has; infinite where a dimension is not known.
    `batch` are the names of dimensions that count samples."""
    if shape is None:
        return math.inf
    count = 1.0
    for size in shape:
        if isinstance(size, int):
            count *= size
        elif size not in batch:
            return math.inf
    return count
