"""Torch's operators that move, cut, make and look up tensors, in those of ONNX."""

from __future__ import annotations

from typing import Any, Final

from weighbridge.analysis.aten import (
    FURTHEST,
    UNKNOWN,
    Call,
    Plain,
    Ref,
    Rule,
    Untranslated,
    put_part,
    type_of,
)
from weighbridge.analysis.computation_graph import ABSENT


def _same(c: Call) -> Any:
    given = c["self"]
    if not isinstance(given, Ref):
        return Plain(given)
    if "dropout" in c.name and (c["train"] is not False or c["training"] is True):
        c.roughly()
        return c.w.op("Identity", given.number)
    return given.number


def _nothing(c: Call) -> Any:
    return Plain(None)


def _size(c: Call) -> Any:
    if isinstance(c["self"], list):
        return Plain(len(c["self"]))
    if c["self"] is UNKNOWN:
        return Plain(UNKNOWN)
    x, axis = c.x("self"), c["dim"]
    shape = c.w.shape(x)
    if axis is not None:
        return _dimension(c, x, c.whole("dim"))
    if shape is None:
        return c.w.op("Shape", x)
    return Plain([size_of(c, x, i) for i in range(len(shape))])


def size_of(c: Call, x: int, axis: int) -> Any:
    """How long an axis is: a number where that is known."""
    size = _dimension(c, x, axis)
    return size.value if isinstance(size, Plain) else Ref(size)


def _dimension(c: Call, x: int, axis: int) -> Any:
    shape = c.w.shape(x)
    if shape is not None and -len(shape) <= axis < len(shape) and isinstance(shape[axis], int):
        return Plain(shape[axis])
    return c.w.op("Gather", c.w.op("Shape", x), c.w.number(axis), axis=0)


def _rank(c: Call) -> Any:
    if c["self"] is UNKNOWN:
        return Plain(UNKNOWN)
    rank = c.w.rank(c.x("self"))
    if rank is not None:
        return Plain(rank)
    return c.w.squeeze(c.w.op("Shape", c.w.op("Shape", c.x("self"))), 0)


def _count(c: Call) -> Any:
    if isinstance(c["self"], list | tuple | dict | str):
        return Plain(len(c["self"]))
    if c.name == "len":
        return _dimension(c, c.x("self"), 0)
    return c.w.op("Size", c.x("self"))


def _view(c: Call) -> Any:
    x = c.x("self")
    kind = type_of(c.given.get("size", c["shape"]))
    if kind and not isinstance(c["size"], list):
        c.roughly()  # the same bytes, not the same numbers
        return c.w.cast(x, kind)
    wanted = c.vector(c.given.get("size", c["shape"]))
    return c.w.op("Reshape", x, wanted, allowzero=1, shape=c.first)


def _view_as(c: Call) -> Any:
    return c.w.op("Reshape", c.x("self"), c.w.op("Shape", c.x("other")), shape=c.first)


def _unflatten(c: Call) -> Any:
    x, axis, sizes = c.x("self"), c.whole("dim"), c["sizes"]
    rank = c.w.rank(x)
    if rank is None or not isinstance(sizes, list):
        raise Untranslated
    axis = axis % rank
    parts = [*(0 for _ in range(axis)), *sizes]
    rest = [size_of(c, x, i) for i in range(axis + 1, rank)]
    return c.w.op("Reshape", x, c.vector([*parts, *rest]), shape=c.first)


def _flatten(c: Call) -> Any:
    x = c.x("self")
    start, end = c.whole("start_dim", 0), c.whole("end_dim", -1)
    rank = c.w.rank(x)
    if rank is None:
        if end == -1 and start in (0, 1):
            return c.w.op("Flatten", x, axis=start) if start else _whole_row(c, x)
        raise Untranslated
    start, end = start % max(1, rank), end % max(1, rank)
    rest = [size_of(c, x, i) for i in range(end + 1, rank)]
    wanted = c.vector([*([0] * start), -1, *rest])
    return c.w.op("Reshape", x, wanted, shape=c.first)


def _whole_row(c: Call, x: int) -> int:
    return c.w.op("Reshape", x, c.w.numbers((-1,)))


def _permute(c: Call) -> Any:
    x, dims = c.x("self"), c.ints("dims")
    return c.w.transpose(x, [d % len(dims) for d in dims])


def _transpose(c: Call) -> Any:
    return c.w.swap(c.x("self"), c.whole("dim0"), c.whole("dim1"))


def _t(c: Call) -> Any:
    x = c.x("self")
    return x if c.w.rank(x) == 1 else c.w.swap(x, -2, -1) if c.w.rank(x) else c.w.transpose(x, ())


def _movedim(c: Call) -> Any:
    x, source, target = c.x("self"), c.ints("source"), c.ints("destination")
    rank = c.w.rank(x)
    if rank is None:
        return c.w.transpose(x, ())
    placed = {t % rank: s % rank for s, t in zip(source, target, strict=True)}
    rest = iter(i for i in range(rank) if i not in placed.values())
    return c.w.transpose(x, [placed[i] if i in placed else next(rest) for i in range(rank)])


def _squeeze(c: Call) -> Any:
    x = c.x("self")
    if c["dim"] is None:
        return c.w.op("Squeeze", x, shape=c.first)
    axes, shape = c.ints("dim"), c.w.shape(x)
    if shape is not None:
        axes = tuple(a for a in axes if shape[a] == 1 or isinstance(shape[a], str))
    return c.w.squeeze(x, *axes) if axes else x


def _unsqueeze(c: Call) -> Any:
    return c.w.unsqueeze(c.x("self"), c.whole("dim"))


def _expand(c: Call) -> Any:
    size = c["size"]
    if isinstance(size, list):
        size = [1 if isinstance(s, int) and s == -1 else s for s in size]
    return c.w.op("Expand", c.x("self"), c.vector(size), shape=c.first)


def _expand_as(c: Call) -> Any:
    return c.w.op("Expand", c.x("self"), c.w.op("Shape", c.x("other")), shape=c.first)


def _repeat(c: Call) -> Any:
    x, times = c.x("self"), c.given.get("repeats", c["dims"])
    if not isinstance(times, list):
        raise Untranslated
    rank = c.w.rank(x)
    if rank is not None and len(times) > rank:
        x = c.w.unsqueeze(x, *range(len(times) - rank))
    if rank is not None and len(times) < rank:
        times = [1] * (rank - len(times)) + times
    return c.w.op("Tile", x, c.vector(times), shape=c.first)


def _repeat_interleave(c: Call) -> Any:
    """Each element several times: spread over a new axis, which is then folded in."""
    x, times, axis = c.x("self"), c["repeats"], c.whole("dim", 0)
    if c["dim"] is None:
        x = _whole_row(c, x)
    rank = c.w.rank(x)
    if not isinstance(times, int) or rank is None:
        c.roughly()
        return c.w.op("Tile", x, c.vector(times), shape=c.first)
    axis %= rank
    wide = c.w.unsqueeze(x, axis + 1)
    spread = c.w.op("Tile", wide, c.w.numbers([times if i == axis + 1 else 1
                                               for i in range(rank + 1)]))  # fmt: skip
    shape = [size_of(c, x, i) for i in range(rank)]
    shape[axis] = -1
    return c.w.op("Reshape", spread, c.vector(shape), shape=c.first)


def _cat(c: Call) -> Any:
    parts = c.tensors("tensors")
    return c.w.op("Concat", *parts, axis=c.whole("dim", 0), shape=c.first)


def _stack(c: Call) -> Any:
    axis = c.whole("dim", 0)
    parts = [c.w.unsqueeze(p, axis) for p in c.tensors("tensors")]
    return c.w.op("Concat", *parts, axis=axis, shape=c.first)


def _split(c: Call) -> Any:
    x, axis = c.x("self"), c.whole("dim", 0)
    sizes = c.given.get("split_size", c.given.get("split_sizes", c["chunks"]))
    shape = c.w.shape(x)
    whole = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    if isinstance(sizes, list):
        count, row = len(sizes), c.vector(sizes)
        whole = whole if all(isinstance(s, int) for s in sizes) else None
    elif c.name in ("chunk", "unsafe_chunk", "tensor_split"):
        count, row = sizes, ABSENT
    elif isinstance(whole, int) and isinstance(sizes, int) and sizes > 0:
        parts = [min(sizes, whole - at) for at in range(0, whole, sizes)]
        count, row = len(parts), c.w.numbers(parts)
    elif len(c.shapes) > 1:
        count, row = len(c.shapes), ABSENT
        c.roughly()
    else:
        raise Untranslated
    if not isinstance(count, int) or not 0 < count <= 4_096:
        raise Untranslated
    if row == ABSENT and not (isinstance(whole, int) and whole % count == 0):
        c.roughly()
    shapes = list(c.shapes) or None
    if shapes is None and shape is not None and isinstance(whole, int):
        each = sizes if isinstance(sizes, list) else [-(-whole // count)] * count
        at = axis % len(shape)
        shapes = [(*shape[:at], size, *shape[at + 1 :]) for size in each]
    given = (x,) if row == ABSENT else (x, row)
    return list(c.w.ops("Split", count, *given, axis=axis, shapes=shapes or ()))


def _unbind(c: Call) -> Any:
    x, axis = c.x("self"), c.whole("dim", 0)
    shape = c.w.shape(x)
    size = shape[axis] if shape is not None else len(c.shapes)
    if not isinstance(size, int) or not 0 < size <= 4_096:
        raise Untranslated
    return [c.w.op("Gather", x, c.w.number(i), axis=axis) for i in range(size)]


def _select(c: Call) -> Any:
    if isinstance(c["self"], list):
        return Plain(c["self"][c.whole("dim")])
    return c.w.op("Gather", c.x("self"), c.x("index"), axis=c.whole("dim"), shape=c.first)


def _slice(c: Call) -> Any:
    if isinstance(c["self"], list):  # a list is cut by start, end and step
        start, end, step = c["dim"], c["start"], c["end"]
        return Plain(c["self"][start : end if end != FURTHEST else None : step or 1])
    x = c.x("self")
    start, end, step = c.get("start", 0), c.get("end", FURTHEST), c.whole("step", 1)
    shape, axis = c.w.shape(x), c.whole("dim", 0)
    if start == 0 and step == 1:
        size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
        if isinstance(end, int) and (end == FURTHEST or (isinstance(size, int) and end >= size)):
            return x
    parts = [c.vector([p]) if not isinstance(p, Ref) else _row(c, p) for p in (start, end)]
    row = (*parts, c.w.numbers((axis,)), c.w.numbers((step,)))
    return c.w.op("Slice", x, *row, shape=c.first)


def _row(c: Call, value: Ref) -> int:
    return value.number if c.w.rank(value.number) == 1 else c.w.unsqueeze(value.number, 0)


def _narrow(c: Call) -> Any:
    start, length = c["start"], c["length"]
    if not isinstance(start, int) or not isinstance(length, int):
        raise Untranslated
    end = FURTHEST if start < 0 <= start + length else start + length
    return c.w.cut(c.x("self"), c.whole("dim"), start, end)


def _index_select(c: Call) -> Any:
    return c.w.op("Gather", c.x("self"), c.x("index"), axis=c.whole("dim"), shape=c.first)


def _take_along(c: Call) -> Any:
    x, index = c.x("self"), c.given.get("index", c["indices"])
    axis = c.whole("dim", 0)
    return c.w.op("GatherElements", x, c.value(index), axis=axis, shape=c.first)


def _take(c: Call) -> Any:
    return c.w.op("Gather", _whole_row(c, c.x("self")), c.x("index"), axis=0)


def _index(c: Call) -> Any:
    """Advanced indexing: one index is a lookup or a choice by a mask, several are a `GatherND`."""
    x, indices = c.x("self"), c["indices"]
    given = [(i, v.number) for i, v in enumerate(indices) if isinstance(v, Ref)]
    if not given:
        return x
    truths = [(i, v) for i, v in given if c.w.type(v) in ("bool", "uint8")]
    if truths:
        axis, mask = truths[0]
        if len(given) > 1 or (axis and c.w.rank(mask) != 1) or c.w.rank(mask) is None:
            c.roughly()
        if (c.w.rank(mask) or 1) == 1:
            return c.w.op("Compress", x, mask, axis=axis, shape=c.first)
        places = c.w.op("Transpose", c.w.op("NonZero", mask), perm=(1, 0))
        return c.w.op("GatherND", x, places, shape=c.first)
    if len(given) == 1:
        axis, index = given[0]
        return c.w.op("Gather", x, index, axis=axis, shape=c.first)
    parts = [index for _, index in given]
    row = [c.w.unsqueeze(_spread(c, part, parts), -1) for part in parts]
    first = given[0][0]
    if (
        first
        and c.w.rank(x) is not None
        and [i for i, _ in given] == list(range(first, first + len(given)))
    ):
        order = [i for i, _ in given]
        rest = [i for i in range(c.w.rank(x) or 0) if i not in order]
        x = c.w.transpose(x, [*order, *rest])
    if [i for i, _ in given] != list(range(len(given))):
        c.roughly()
    stacked = c.w.op("Concat", *row, axis=-1)
    return c.w.op("GatherND", x, stacked, shape=c.first)


def _spread(c: Call, part: int, parts: list[int]) -> int:
    """An index in the shape that it comes to with the others."""
    for other in parts:
        if other != part and c.w.shape(other) != c.w.shape(part):
            part = c.w.op("Expand", part, c.w.op("Shape", other))
    return part


def _index_put(c: Call) -> Any:
    x, indices = c.x("self"), c["indices"]
    values = c.value(c["values"], x)
    given = [(i, v.number) for i, v in enumerate(indices) if isinstance(v, Ref)]
    if not given:
        return values
    if c["accumulate"] or [i for i, _ in given] != list(range(len(given))):
        c.roughly()
    if len(given) == 1 and c.w.type(given[0][1]) == "bool":
        mask, rank = given[0][1], c.w.rank(x)
        if c.w.rank(values) != 0 or rank is None or c.w.rank(mask) is None:
            c.roughly()
        more = (rank or 0) - (c.w.rank(mask) or rank or 0) - given[0][0]
        if more > 0:
            mask = c.w.unsqueeze(mask, *range(-more, 0))
        return c.w.op("Where", mask, values, x, shape=c.w.shape(x))
    parts = [index for _, index in given]
    rows = [c.w.unsqueeze(_spread(c, part, parts), -1) for part in parts]
    index = c.w.op("Concat", *rows, axis=-1) if len(rows) > 1 else rows[0]
    there = c.w.op("GatherND", x, index)
    if c.w.shape(values) is None or c.w.shape(values) != c.w.shape(there):
        values = c.w.op("Expand", values, c.w.op("Shape", there))
    return c.w.op("ScatterND", x, index, values, shape=c.w.shape(x))


def _scatter(c: Call) -> Any:
    x = c.x("self")
    values, index = c.value(c.given.get("src", c["value"]), x), c.x("index")
    if c.w.rank(values) == 0:
        values = c.w.op("Expand", values, c.w.op("Shape", index))
    if c.name == "scatter_reduce" or c["reduce"] is not None:
        c.roughly()
    more: dict[str, Any] = {"reduction": "add"} if c.name == "scatter_add" else {}
    return c.w.op("ScatterElements", x, index, values, axis=c.whole("dim"), **more)


def _slice_scatter(c: Call) -> Any:
    x, source = c.x("self"), c.value(c["src"], c.x("self"))
    return put_part(c.w, c.name.partition("_")[0], x, source, c.given)


def _index_add(c: Call) -> Any:
    x, source = c.x("self"), c.x("source")
    index = c.w.unsqueeze(c.x("index"), -1)
    if c.whole("dim") or c.get("alpha", 1) != 1:
        c.roughly()
    more: dict[str, Any] = {"reduction": "add"} if c.name == "index_add" else {}
    return c.w.op("ScatterND", x, index, source, shape=c.w.shape(x), **more)


def _masked_scatter(c: Call) -> Any:
    x, source = c.x("self"), c.x("source")
    places = c.w.op("Transpose", c.w.op("NonZero", c.x("mask")), perm=(1, 0))
    return c.w.op("ScatterND", x, places, source, shape=c.w.shape(x))


def _masked_select(c: Call) -> Any:
    return c.w.op("Compress", c.x("self"), c.w.truth(c.x("mask")), shape=c.first)


def _fill(c: Call) -> Any:
    x = c.x("self")
    value = c.value(c.given.get("value", 0 if c.name == "zero" else None), x)
    value = c.w.cast(value, c.w.type(x)) if c.w.type(value) else value
    return c.w.op("Expand", value, c.w.op("Shape", x), shape=c.w.shape(x))


def _copy(c: Call) -> Any:
    x, source = c.x("self"), c.value(c["src"], c.x("self"))
    source = c.w.cast(source, c.w.type(x)) if c.w.type(source) else source
    if c.w.shape(x) is not None and c.w.shape(x) == c.w.shape(source):
        return source
    return c.w.op("Expand", source, c.w.op("Shape", x), shape=c.w.shape(x))


def _roll(c: Call) -> Any:
    x = c.x("self")
    if not c["dims"]:
        c.roughly()
    for shift, axis in zip(c.ints("shifts"), c.ints("dims", (0,)), strict=False):
        size = size_of(c, x, axis)
        if isinstance(size, int) and size:
            shift = shift % size
        elif shift < 0:
            c.roughly()
        if shift:
            end = c.w.cut(x, axis, -shift, FURTHEST)
            begin = c.w.cut(x, axis, 0, -shift)
            x = c.w.op("Concat", end, begin, axis=axis, shape=c.w.shape(x))
    return x


def _flip(c: Call) -> Any:
    x = c.x("self")
    for axis in c.ints("dims"):
        x = c.w.cut(x, axis, -1, -FURTHEST, -1)
    return x


def _triangle(upper: int) -> Rule:
    def rule(c: Call) -> Any:
        more = (c.w.number(c.whole("diagonal")),) if c.whole("diagonal") else ()
        return c.w.op("Trilu", c.x("self"), *more, upper=upper, shape=c.first)

    return rule


def _pad(c: Call) -> Any:
    x, pads = c.x("self"), c.given.get("pad", c["padding"])
    rank = c.w.rank(x)
    if not isinstance(pads, list):
        raise Untranslated
    value = c.get("value", 0)
    if rank is None:
        return c.w.op("Pad", x, c.w.numbers((0,)), c.value(value, x))
    before: list[Any] = [0] * rank
    after: list[Any] = [0] * rank
    for i in range(len(pads) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    row = c.vector([*before, *after])
    said = c.get("mode", c.name.partition("_")[0])
    mode = {"reflect": "reflect", "reflection": "reflect", "replicate": "edge",
            "replication": "edge", "circular": "wrap"}.get(said, "constant")  # fmt: skip
    if mode != "constant":
        return c.w.op("Pad", x, row, shape=c.first, mode=mode)
    return c.w.op("Pad", x, row, c.value(value, x), shape=c.first)


_SAME: Final = (
    "clone contiguous detach alias lift_fresh lift_fresh_copy dropout feature_dropout "
    "alpha_dropout positive pin_memory cpu cuda resolve_conj resolve_neg "
    "detach_copy _reshape_alias_copy data requires_grad_ lift "
    "_autocast_to_full_precision _autocast_to_reduced_precision"
)
_NOTHING: Final = (
    "_assert_async _assert_scalar _assert_tensor_metadata sym_constrain_range warn manual_seed "
    "sym_constrain_range_for_size _functional_assert_async _linalg_check_errors"
)
TENSORS: Final[dict[str, tuple[str, Rule]]] = {
    **dict.fromkeys(_SAME.split(), ("self p train", _same)),
    **dict.fromkeys(_NOTHING.split(), ("self", _nothing)),
    "size": ("self dim", _size), "sym_size": ("self dim", _size), "dim": ("self", _rank),
    "numel": ("self", _count), "sym_numel": ("self", _count), "len": ("self", _count),
    "view": ("self size", _view), "reshape": ("self shape", _view),
    "_unsafe_view": ("self size", _view), "view_copy": ("self size", _view),
    "_reshape_alias": ("self size", _view), "view_as": ("self other", _view_as),
    "reshape_as": ("self other", _view_as), "unflatten": ("self dim sizes", _unflatten),
    "flatten": ("self start_dim end_dim", _flatten), "ravel": ("self", _flatten),
    "permute": ("self dims", _permute), "transpose": ("self dim0 dim1", _transpose),
    "permute_copy": ("self dims", _permute), "swapaxes": ("self dim0 dim1", _transpose),
    "swapdims": ("self dim0 dim1", _transpose), "t": ("self", _t), "numpy_T": ("self", _t),
    "mT": ("self", _t), "movedim": ("self source destination", _movedim),
    "moveaxis": ("self source destination", _movedim), "squeeze": ("self dim", _squeeze),
    "squeeze_copy": ("self dim", _squeeze), "unsqueeze": ("self dim", _unsqueeze),
    "unsqueeze_copy": ("self dim", _unsqueeze), "expand": ("self size", _expand),
    "expand_copy": ("self size", _expand), "broadcast_to": ("self size", _expand),
    "expand_as": ("self other", _expand_as), "repeat": ("self repeats", _repeat),
    "tile": ("self dims", _repeat),
    "repeat_interleave": ("self repeats dim output_size", _repeat_interleave),
    "cat": ("tensors dim", _cat), "concat": ("tensors dim", _cat),
    "concatenate": ("tensors dim", _cat), "stack": ("tensors dim", _stack),
    "split": ("self split_size dim", _split), "chunk": ("self chunks dim", _split),
    "split_with_sizes": ("self split_sizes dim", _split), "unsafe_split": ("self split_size dim",
    _split), "unsafe_chunk": ("self chunks dim", _split), "split_copy": ("self split_size dim",
    _split), "split_with_sizes_copy": ("self split_sizes dim", _split),
    "tensor_split": ("self chunks dim", _split), "unbind": ("self dim", _unbind),
    "select": ("self dim index", _select), "select_copy": ("self dim index", _select),
    "slice": ("self dim start end step", _slice), "slice_copy": ("self dim start end step", _slice),
    "narrow": ("self dim start length", _narrow), "index_select": ("self dim index", _index_select),
    "gather": ("self dim index", _take_along), "take_along_dim": ("self indices dim", _take_along),
    "take": ("self index", _take), "index": ("self indices", _index),
    "_unsafe_index": ("self indices", _index), "index_put": ("self indices values accumulate",
    _index_put), "_index_put_impl": ("self indices values accumulate", _index_put),
    "scatter": ("self dim index src", _scatter), "scatter_add": ("self dim index src", _scatter),
    "scatter_reduce": ("self dim index src reduce", _scatter),
    "slice_scatter": ("self src dim start end step", _slice_scatter),
    "select_scatter": ("self src dim index", _slice_scatter),
    "index_add": ("self dim index source alpha", _index_add),
    "index_copy": ("self dim index source", _index_add),
    "masked_scatter": ("self mask source", _masked_scatter),
    "masked_select": ("self mask", _masked_select), "fill": ("self value", _fill),
    "zero": ("self", _fill), "copy": ("self src non_blocking", _copy),
    "roll": ("self shifts dims", _roll), "flip": ("self dims", _flip),
    "tril": ("self diagonal", _triangle(0)), "triu": ("self diagonal", _triangle(1)),
    "pad": ("self pad mode value", _pad), "constant_pad_nd": ("self pad value", _pad),
    **{f"{kind}_pad{n}d": ("self padding", _pad) for kind in ("reflection", "replication")
       for n in (1, 2, 3)},
}  # fmt: skip
