"""The shape that each operator gives its outputs."""

from __future__ import annotations

import math
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Dimension, Operation, Shape
from weighbridge.analysis.graph_dimensions import (
    RANKS,
    Shapes,
    axes_of,
    broadcast,
    clamped,
    slice_bounds,
)
from weighbridge.analysis.graph_kinds import ELEMENTWISE, FIRST_SHAPED, PICKING, REDUCTIONS
from weighbridge.analysis.graph_layer_rules import LAYERS, Rule


def shape_of(made: Shapes, operation: Operation) -> Shape | None:
    """The shape of what comes out first; None where its rank is not known."""
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


def later(operation: Operation, place: int, first: Shape | None) -> Shape | None:
    """Shapes of outputs after the first, where they are simple."""
    if operation.op == "DynamicQuantizeLinear":
        return ()
    return first if operation.op in ("Split", "TopK", "MaxPool", "Dropout") else None


def _reduced(made: Shapes, operation: Operation, first: Shape | None) -> Shape | None:
    if first is None:
        return () if not operation.attributes.get("keepdims", 1) else None
    keep = operation.attributes.get("keepdims", 1)
    if operation.op in PICKING:
        axis = operation.attributes.get("axis", 0)
        axes: list[int] | None = [axis + len(first) if axis < 0 else axis]
    else:
        axes = axes_of(made, operation, len(first))
        if axes == [] and not operation.attributes.get("noop_with_empty_axes"):
            axes = list(range(len(first)))
    if axes is None:
        return tuple(made.name() for _ in first) if keep else None
    gone = set(axes)
    return tuple(1 if i in gone else d for i, d in enumerate(first) if keep or i not in gone)


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
    axes = axes_of(made, operation, len(shape))
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
            out[axis] = len(range(size)[slice(*clamped(start, end, step, size))])
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


def _expand(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    wanted = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else None
    if wanted is None:
        length = shapes[1] if len(shapes) > 1 else None
        if length and isinstance(length[0], int) and length[0] <= RANKS:
            return tuple(made.name() for _ in range(length[0]))
        return None
    return broadcast([shapes[0], tuple(d if isinstance(d, str) else int(d) for d in wanted)])


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


def _parts(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    """The shape of one part of a sequence."""
    data = shapes[0]
    if not data:
        return None
    said = made.known.get(operation.inputs[1]) if len(operation.inputs) > 1 else (1,)
    axis = operation.attributes.get("axis", 0) % len(data)
    size = max(said, default=0) if said and all(isinstance(k, int) for k in said) else made.name()
    if len(operation.inputs) == 1 and not operation.attributes.get("keepdims", 1):
        return data[:axis] + data[axis + 1 :]
    return tuple(size if i == axis else d for i, d in enumerate(data))


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


def _if(made: Shapes, operation: Operation, shapes: list[Shape | None]) -> Shape | None:
    count = len(operation.outputs)
    both = [made.shapes[i] for i in operation.inputs[1 :: max(1, count)][:2] if i != ABSENT]
    return both[0] if len(both) == 2 and both[0] == both[1] else None


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


_RULES: Final[dict[str, Rule]] = {
    "Transpose": _transpose, "Reshape": _reshape, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze,
    "Concat": _concat, "Gather": _gather, "GatherND": _gather_nd, "Slice": _slice,
    "GatherElements": lambda m, o, s: s[1] if len(s) > 1 else None,
    **LAYERS, "Expand": _expand, "Flatten": _flatten, "TopK": _topk,
    "Split": _split, "Range": _range, "ConstantOfShape": _filled, "Pad": _padded,
    "OneHot": _one_hot, "If": _if,
    "Step": lambda m, o, s: (s[0][1:] if s[0] else s[0]) if s else None,
    "Carried": lambda m, o, s: s[0] if s else None,
    "Repeated": lambda m, o, s: s[0] if len(s) > 1 and s[0] == s[1] else None,
    "SequenceAt": lambda m, o, s: s[0], "SequenceConstruct": lambda m, o, s: s[0],
    "SequenceInsert": lambda m, o, s: s[0] or (s[1] if len(s) > 1 else None),
    "SplitToSequence": _parts,
    "Shape": lambda m, o, s: (len(s[0]),) if s[0] is not None else ("?",),
    "Size": lambda m, o, s: (),
    "NonZero": lambda m, o, s: (len(s[0]), m.name()) if s[0] is not None else None,
    "Tile": lambda m, o, s: _tiled(m, o, s[0]),
    "Compress": lambda m, o, s: tuple(m.name() for _ in s[0]) if s[0] else (m.name(),),
    "Resize": lambda m, o, s: (*s[0][:2], *(m.name() for _ in s[0][2:])) if s[0] else None,
}  # fmt: skip  # fmt: skip
