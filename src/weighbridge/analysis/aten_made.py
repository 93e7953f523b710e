"""Torch's operators that make tensors from nothing, and change their types, in those of ONNX."""

from __future__ import annotations

from typing import Any, Final

from weighbridge.analysis.aten import (
    CODES,
    UNKNOWN,
    Call,
    Plain,
    Ref,
    Rule,
    Untranslated,
    type_of,
)
from weighbridge.analysis.aten_tensors import size_of


def _filled(value: float | None) -> Rule:
    def rule(c: Call) -> Any:
        size = c.given.get("size", [])
        with_type = c.dtype()
        number = c["fill_value"] if value is None else value
        if isinstance(number, Ref):
            return c.w.op("Expand", number.number, c.vector(size), shape=c.first)
        if not with_type:
            own = c.w.type(c.x("self")) if isinstance(c["self"], Ref) else ""
            with_type = own or ("float32" if value is not None or isinstance(number, float)
                                else "bool" if isinstance(number, bool) else "int64")  # fmt: skip
        filled = c.w.number(number, with_type)
        if isinstance(size, list) and not size:
            return filled
        return c.w.op("Expand", filled, c.vector(size), shape=c.first)

    return rule


def _like(value: float | None) -> Rule:
    def rule(c: Call) -> Any:
        x = c.x("self")
        number = c["fill_value"] if value is None else value
        kind = c.dtype() or c.w.type(x)
        filled = number.number if isinstance(number, Ref) else c.w.number(number, kind)
        return c.w.op("Expand", filled, c.w.op("Shape", x), shape=c.w.shape(x))

    return rule


def _arange(c: Call) -> Any:
    given = [g for g in c.order if isinstance(g, int | float | Ref) and not isinstance(g, bool)]
    named = [c[k] for k in ("start", "end", "step") if isinstance(c[k], int | float | Ref)]
    numbers = named or given[:3]
    if not numbers:
        raise Untranslated
    start, end, step = (
        (0, numbers[0], 1) if len(numbers) == 1 else (*numbers, 1) if len(numbers) == 2
        else numbers[:3]
    )  # fmt: skip
    made = c.w.op("Range", c.value(start), c.value(end), c.value(step), shape=c.first)
    return c.w.cast(made, c.dtype()) if c.dtype() else made


def _linspace(c: Call) -> Any:
    if c.dtype() not in ("", "float32"):
        c.roughly()
    steps = c.whole("steps", 100)
    start, end = c["start"], c["end"]
    if not isinstance(start, int | float) or not isinstance(end, int | float) or steps > 4_096:
        raise Untranslated
    gap = (end - start) / max(1, steps - 1)
    return c.w.numbers([start + gap * i for i in range(steps)], "float32")


def _scalar(c: Call) -> Any:
    value = c.given.get("s", c["data"])
    kind = c.dtype()
    if isinstance(value, Ref):
        return c.w.cast(value.number, kind) if kind else value.number
    if isinstance(value, list):
        made = c.vector(value)
        return c.w.cast(made, kind) if kind else made
    if not isinstance(value, int | float):
        raise Untranslated
    return c.w.number(value, kind)


def _random(op: str) -> Rule:
    def rule(c: Call) -> Any:
        if isinstance(c["self"], Ref):
            x = c.x("self")
            return c.w.op(op + "Like", x, shape=c.w.shape(x))
        size = c.given.get("size", c["self"])
        shape = tuple(size) if isinstance(size, list) and all(
            isinstance(s, int) for s in size) else c.first  # fmt: skip
        return c.w.op(op, shape=shape)

    return rule


def _eye(c: Call) -> Any:
    size = c.whole("n")
    if size > 64:
        raise Untranslated
    row = c.w.numbers([float(i == j) for i in range(size) for j in range(size)], "float32")
    return c.w.op("Reshape", row, c.w.numbers((size, size)))


def _one_hot(c: Call) -> Any:
    depth = c.x("num_classes")
    if isinstance(c["num_classes"], int) and c["num_classes"] < 0:
        c.roughly()
    ends = c.w.numbers((0, 1))
    return c.w.op("OneHot", c.x("self"), depth, ends, axis=-1, shape=c.first)


def _nonzero(c: Call) -> Any:
    places = c.w.op("NonZero", c.x("self"))
    if c.name == "nonzero_numpy":
        raise Untranslated
    return c.w.op("Transpose", places, perm=(1, 0), shape=c.first)


# Types and numbers -------------------------------------------------------------------------------


def _to(c: Call) -> Any:
    """`to` in all its forms: a type, a device and a type, another tensor."""
    if not isinstance(c["self"], Ref):
        return Plain(c["self"])
    x = c.x("self")
    for item in (c["dtype"], c["other"], *c.order[1:]):
        if isinstance(item, Ref) and item is not c["self"]:
            if not c.w.type(item.number):
                c.roughly()
                return c.w.op("Identity", x)
            return c.w.cast(x, c.w.type(item.number))
        if isinstance(item, Ref):
            return x
        if isinstance(item, bool):
            continue
        if kind := type_of(item):
            return c.w.cast(x, kind)
    return x


def _cast(kind: str) -> Rule:
    def rule(c: Call) -> Any:
        given = c["self"]
        if isinstance(given, Ref):
            return c.w.cast(given.number, kind)
        if not isinstance(given, int | float):
            return Plain(UNKNOWN)
        return Plain({"int64": int, "bool": bool}.get(kind, float)(given))

    return rule


def _item(c: Call) -> Any:
    if not isinstance(c["self"], Ref):
        return Plain(c["self"])
    x = c.x("self")
    known = c.w.known(x)
    if known is not None and len(known) == 1 and isinstance(known[0], int | float):
        return Plain(bool(known[0]) if c.w.type(x) == "bool" else known[0])
    return x if c.w.rank(x) == 0 else c.w.op("Reshape", x, c.w.numbers(()), shape=())


def _dtype(c: Call) -> Any:
    kind = c.w.type(c.x("self"))
    return Plain(next((code for code, name in CODES.items() if name == kind), UNKNOWN))


def _bucket(c: Call) -> Any:
    """How many bounds a number has passed, or come to where a bound belongs to what is above."""
    x, bounds = c.x("self"), c.x("boundaries")
    op = "GreaterOrEqual" if c["right"] else "Greater"
    passed = c.w.op(op, c.w.unsqueeze(x, -1), bounds)
    return c.w.op("ReduceSum", c.w.cast(passed, "int64"), c.w.numbers((-1,)), keepdims=0)


def _meshgrid(c: Call) -> Any:
    parts = c.tensors("tensors")
    rank, made = len(parts), []
    if c["indexing"] == "xy":
        c.roughly()
    for number, part in enumerate(parts):
        wide = c.w.unsqueeze(part, *(i for i in range(rank) if i != number)) if rank > 1 else part
        sizes = [1 if i == number else size_of(c, p, 0) for i, p in enumerate(parts)]
        made.append(c.w.op("Expand", wide, c.vector(sizes)))
    return made


MADE: Final[dict[str, tuple[str, Rule]]] = {
    "zeros": ("size dtype", _filled(0)), "ones": ("size dtype", _filled(1)),
    "empty": ("size dtype", _filled(0)), "full": ("size fill_value dtype", _filled(None)),
    "new_zeros": ("self size dtype", _filled(0)), "new_ones": ("self size dtype", _filled(1)),
    "new_empty": ("self size dtype", _filled(0)),
    "new_full": ("self size fill_value dtype", _filled(None)),
    "zeros_like": ("self dtype", _like(0)), "ones_like": ("self dtype", _like(1)),
    "empty_like": ("self dtype", _like(0)), "full_like": ("self fill_value dtype", _like(None)),
    "arange": ("", _arange), "linspace": ("start end steps dtype", _linspace),
    "scalar_tensor": ("s dtype", _scalar), "tensor": ("data dtype", _scalar),
    "as_tensor": ("data dtype", _scalar), "ScalarImplicit": ("self", _item),
    "rand": ("size", _random("RandomUniform")), "randn": ("size", _random("RandomNormal")),
    "rand_like": ("self", _random("RandomUniform")),
    "randn_like": ("self", _random("RandomNormal")), "bernoulli": ("self", _random("Bernoulli")),
    "eye": ("n m dtype", _eye), "one_hot": ("self num_classes", _one_hot),
    "nonzero": ("self", _nonzero), "argwhere": ("self", _nonzero),
    "to": ("self", _to), "_to_copy": ("self dtype", _to), "type_as": ("self other", _to),
    "item": ("self", _item), "_local_scalar_dense": ("self", _item),
    "float": ("self", _cast("float32")), "long": ("self", _cast("int64")),
    "half": ("self", _cast("float16")), "double": ("self", _cast("float64")),
    "int": ("self", _cast("int32")), "bfloat16": ("self", _cast("bfloat16")),
    "Bool": ("self", _cast("bool")), "Int": ("self", _cast("int64")),
    "Float": ("self", _cast("float32")), "IntImplicit": ("self", _item),
    "FloatImplicit": ("self", _item), "bucketize": ("self boundaries out_int32 right", _bucket),
    "dtype": ("self", _dtype), "meshgrid": ("tensors indexing", _meshgrid),
}  # fmt: skip
