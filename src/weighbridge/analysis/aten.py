"""Operators of torch spelt out in those of ONNX, for the two formats that are made of them:
`torch.export`'s programs and TorchScript.

Names and arguments: `aten/src/ATen/native/native_functions.yaml`. An operator is given its
arguments by the names of that schema, or in its order. What has no translation stays `aten::name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, Shape
from weighbridge.analysis.exact_operators import EXACT
from weighbridge.analysis.graph_writer import Writer

CODES: Final = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32",
    7: "float64", 11: "bool", 15: "bfloat16", 27: "uint16", 28: "uint32", 29: "uint64",
}  # fmt: skip
"""Element types by the numbers of `c10::ScalarType`."""
FURTHEST: Final = (1 << 63) - 1


class Ref(Struct, eq=False):
    """A tensor, or a number that is only known when the model runs. What changes it in place gives
    it another `number`; `base` is what it is a view of, `back` puts a changed view back into it."""

    number: int
    base: Ref | None = None
    back: Callable[[int, int], int] | None = None

    def change(self, number: int) -> None:
        """It now is another value, and so is what it is a view of."""
        self.number = number
        if self.base is not None and self.back is not None:
            self.base.change(self.back(self.base.number, number))


class Unknown:
    """Something that is neither a tensor nor a number: a device, a text that is put together."""


UNKNOWN: Final = Unknown()


class Type(Struct):
    """An element type."""

    name: str


class Untranslated(Exception):
    """These arguments have no translation."""


class Call(Struct):
    """A call of an operator: the writer, the arguments by name, what is declared of the results;
    `order` are the arguments that came in order, `all` every one."""

    w: Writer
    name: str
    given: dict[str, Any]
    shapes: Sequence[Shape | None] = ()
    order: Sequence[Any] = ()
    all: Sequence[Any] = ()

    @property
    def first(self) -> Shape | None:
        """What is declared of the first result."""
        return self.shapes[0] if self.shapes else None

    def __getitem__(self, key: str) -> Any:
        return self.given.get(key)

    def get(self, key: str, default: Any) -> Any:
        """An argument, or a default where it is left out or None."""
        value = self.given.get(key)
        return default if value is None else value

    def x(self, key: str, like: int = ABSENT) -> int:
        """An argument as a value of the graph. Raises `Untranslated`."""
        return self.value(self.given.get(key), like)

    def maybe(self, key: str) -> int:
        """An argument as a value of the graph, `ABSENT` where there is none."""
        value = self.given.get(key)
        return ABSENT if value is None else self.value(value)

    def value(self, value: Any, like: int = ABSENT) -> int:
        """Something as a value of the graph; a plain number takes its type from `like`."""
        if isinstance(value, Ref):
            return value.number
        if isinstance(value, bool | int | float):
            kind = self.w.type(like) if like != ABSENT else ""
            if kind.startswith("float") and not isinstance(value, bool):
                return self.w.number(float(value))
            return self.w.number(value)
        if isinstance(value, list | tuple):
            return self.vector(value)
        raise Untranslated

    def vector(self, value: Any) -> int:
        """A list of whole numbers, some of which may only be known at run time."""
        if isinstance(value, Ref):
            return value.number
        if not isinstance(value, list | tuple):
            value = [value]
        if all(isinstance(v, int | float) for v in value):
            whole = all(isinstance(v, int) for v in value)
            return self.w.numbers(tuple(value), "int64" if whole else "float32")
        parts = []
        for item in value:
            if isinstance(item, Ref):
                flat = self.w.rank(item.number) == 1
                parts.append(item.number if flat else self.w.unsqueeze(item.number, 0))
            elif isinstance(item, int | float):
                parts.append(self.w.numbers((item,), "int64"))
            else:
                raise Untranslated
        return self.w.op("Concat", *parts, axis=0)

    def ints(self, key: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An argument of plain whole numbers. Raises `Untranslated`."""
        value = self.given.get(key)
        if value is None:
            return tuple(default)
        value = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(v, int) for v in value):
            raise Untranslated
        return tuple(value)

    def whole(self, key: str, default: int = 0) -> int:
        """A plain whole number. Raises `Untranslated`."""
        value = self.given.get(key)
        if value is None:
            return default
        if not isinstance(value, int):
            raise Untranslated
        return value

    def tensors(self, key: str) -> list[int]:
        """A list of tensors."""
        value = self.given.get(key)
        if not isinstance(value, list | tuple) or not value:
            raise Untranslated
        return [self.value(v) for v in value]

    def roughly(self) -> None:
        """What this call is written as depends on the same, but does not compute the same."""
        self.w.rough = self.name

    def beside(self, made: int, count: int) -> list[int]:
        """Further results, which are not the first one; what they are is not written."""
        self.roughly()
        return [self.w.op("Identity", made) for _ in range(count)]

    def dtype(self, key: str = "dtype") -> str:
        """The element type that is asked for, empty where none is."""
        return type_of(self.given.get(key))


def type_of(value: Any) -> str:
    """The element type that an argument names; empty where it names none."""
    if isinstance(value, Type):
        return value.name
    if isinstance(value, int) and not isinstance(value, bool):
        return CODES.get(value, "")
    return ""


Rule = Callable[[Call], Any]
Table = Mapping[str, tuple[str, Rule]]
"""For each operator the names of its arguments, in order, and what it comes to."""


def run(
    w: Writer,
    table: Table,
    name: str,
    order: Sequence[Any],
    named: Mapping[str, Any],
    shapes: Sequence[Shape | None] = (),
    count: int = 1,
) -> Any:
    """What an operator of torch gives: values as `Ref`s, or what is known already.

    `name` is without its namespace where that is `aten`; `order` are the arguments that come in
    order, `named` those that come by name; `count` says how many results one without translation
    is taken to have.
    """
    plain, changes = name, False
    entry = table.get(name)
    if entry is None and name.endswith("_") and not name.endswith("__"):
        plain, changes = name[:-1], True
        entry = table.get(plain)
    given = dict(named)
    target = order[0] if order else given.get("self", given.get("input"))
    if entry is not None:
        given.update(zip(entry[0].split(), order, strict=False))
        for key, other in (("self", "input"), ("input", "self")):
            if other in given:
                given.setdefault(key, given[other])
        call = Call(w, plain, given, shapes, order, [*order, *named.values()])
        w.rough = "" if plain in EXACT["aten"] else plain
        try:
            result = entry[1](call)
        except (Untranslated, TypeError, ValueError, IndexError, AttributeError, ArithmeticError):
            result = _foreign(w, plain, [*order, *named.values()], shapes, count)
    else:
        result = _foreign(w, name, [*order, *named.values()], shapes, count)
    w.rough = ""
    made = _refs(result)
    if isinstance(made, Ref) and isinstance(target, Ref):
        if changes:
            target.change(made.number)
            return target
        if plain in VIEWS:
            made.base, made.back = target, _back(w, made.number == target.number, plain, given)
    return made


def _foreign(
    w: Writer, name: str, given: Sequence[Any], shapes: Sequence[Shape | None], count: int
) -> Any:
    inputs = [item.number for item in _flat(given) if isinstance(item, Ref)]
    op = name if "::" in name else f"aten::{name}"
    made = w.ops(op, max(1, count), *inputs, shapes=shapes)
    return made if count > 1 else made[0]


def _flat(given: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for item in given:
        out += _flat(item) if isinstance(item, list | tuple) else [item]
    return out


def _refs(result: Any) -> Any:
    """The values that a rule gives, as `Ref`s."""
    if isinstance(result, Plain):
        return result.value
    if isinstance(result, tuple | list):
        return [_refs(r) for r in result]
    if isinstance(result, int):
        return Ref(result)
    return result


class Plain(Struct):
    """A result that is known already: a number, a list, nothing."""

    value: Any


def _back(w: Writer, same: bool, name: str, given: Mapping[str, Any]) -> Callable[[int, int], int]:
    """How a view that was changed gets back into what it is a view of."""
    if same:
        return lambda base, new: new
    if name in ("slice", "select"):
        return lambda base, new: put_part(w, name, base, new, given)
    if name in ("narrow", "diagonal", "as_strided"):
        return lambda base, new: _put_roughly(w, name, base, new)

    def folded(base: int, new: int) -> int:
        w.rough = "" if name in _FOLDED_BACK else f"a change of what `{name}` gives"
        made = w.op("Reshape", new, w.op("Shape", base), shape=w.shape(base))
        w.rough = ""
        return made

    return folded


_FOLDED_BACK: Final = frozenset(
    {"view", "reshape", "unsqueeze", "squeeze", "flatten", "detach", "alias", "view_as"}
)
PARTS: Final = 4_096
"""Into how many places of an axis something is put one by one."""


def put_part(w: Writer, name: str, base: int, new: int, given: Mapping[str, Any]) -> int:
    """With something put into one place of an axis (`select`), or into those that a cut takes."""
    shape, axis = w.shape(base), given.get("dim") or 0
    at, end, step = given.get("index"), given.get("end"), given.get("step") or 1
    size = shape[axis] if shape is not None and isinstance(axis, int) and (
        -len(shape) <= axis < len(shape)) else None  # fmt: skip
    rank = w.rank(base)
    places: Sequence[int] = ()
    if isinstance(at, int) and (at >= 0 or isinstance(size, int)):
        places = (at if at >= 0 else at + int(size or 0),)
    elif at is None and isinstance(size, int) and isinstance(step, int):
        ends = (given.get("start") or 0, FURTHEST if end is None else end)
        if all(isinstance(e, int) for e in ends):
            places = range(size)[ends[0] : ends[1] : step]
    if not 0 < len(places) <= PARTS or rank is None or not isinstance(axis, int):
        return _put_roughly(w, name, base, new)
    axis %= rank
    new = w.unsqueeze(new, axis) if at is not None else new
    index = w.unsqueeze(w.numbers(tuple(places)), -1)
    if not axis:
        return w.op("ScatterND", base, index, new, shape=shape)
    made = w.op("ScatterND", w.swap(base, 0, axis), index, w.swap(new, 0, axis))
    return w.swap(made, 0, axis)


def _put_roughly(w: Writer, name: str, base: int, new: int) -> int:
    w.rough = f"a change of what `{name}` gives"
    made = w.op("ScatterND", base, w.numbers((0,)), new, shape=w.shape(base))
    w.rough = ""
    return made


VIEWS: Final = frozenset(
    {"slice", "select", "narrow", "view", "reshape", "unsqueeze", "squeeze", "transpose", "permute",
     "t", "expand", "detach", "alias", "flatten", "as_strided", "diagonal", "view_as"}
)  # fmt: skip
"""Operators whose result shares its numbers with what it is made from."""
