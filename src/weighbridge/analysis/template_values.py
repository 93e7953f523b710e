"""What the expressions of a template are, worked out without rendering: constants and spelling.

Strings that are put together (`~`, `+`, `%`, join, format, replace, slices, variables) are folded,
so that a name that is built is seen as if it had been written out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from weighbridge.core.later import Later
from weighbridge.core.regex import regex

if TYPE_CHECKING:
    from jinja2 import nodes
else:
    nodes = Later("jinja2.nodes")

LENGTH: Final = 1 << 16
"""How long a folded string may become, in characters."""
VARIANTS: Final = 8
"""How many values one expression may have, where a variable is set more than once."""
STEPS: Final = 50_000
"""How many expressions are folded in one template; long values count for more than one."""

_SIMPLE_PERCENT: Final = regex(r"(?:[^%]|%[sdcxo%])*", re.DOTALL)
_SIMPLE_BRACES: Final = regex(r"(?:[^{}]|\{\{|\}\}|\{\w{0,40}(?::c)?\})*", re.DOTALL)

_METHODS: Final = frozenset({
    "lower", "upper", "title", "capitalize", "swapcase", "casefold", "strip", "lstrip", "rstrip",
    "split", "rsplit", "splitlines", "removeprefix", "removesuffix", "partition", "rpartition",
    "join", "replace", "format", "encode", "decode", "hex", "keys", "values", "items", "get",
})  # fmt: skip
_CODECS: Final = frozenset({"utf-8", "utf8", "ascii", "latin-1", "latin1", "unicode-escape",
                            "unicode_escape", "rot13", "rot_13", "hex"})  # fmt: skip

_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "lower": lambda v: str(v).lower(),
    "upper": lambda v: str(v).upper(),
    "title": lambda v: str(v).title(),
    "capitalize": lambda v: str(v).capitalize(),
    "trim": lambda v, chars=None: str(v).strip(chars),
    "string": str,
    "safe": str,
    "reverse": lambda v: v[::-1],
    "list": list,
    "first": lambda v: next(iter(v)),
    "last": lambda v: list(v)[-1],
    "length": len,
    "count": len,
    "int": int,
    "abs": abs,
    "sort": sorted,
    "unique": lambda v: list(dict.fromkeys(v)),
    "items": lambda v: list(v.items()),
    "default": lambda v, *_: v,
    "d": lambda v, *_: v,
}


class Unfolded(Exception):
    """An expression is not constant, or folding it would cost too much."""


def folded_join(separator: str, parts: Iterable[Any]) -> str:
    """Join, bounded."""
    texts = [str(p) for p in parts]
    if sum(map(len, texts)) + len(separator) * len(texts) > LENGTH:
        raise Unfolded
    return separator.join(texts)


def _replace(text: str, old: str, new: str) -> str:
    if (len(text) + 1) * (len(new) + 1) > LENGTH:
        raise Unfolded
    return text.replace(old, new)


def _percent(text: str, values: Any) -> str:
    if not _SIMPLE_PERCENT.fullmatch(text) or len(text) + len(str(values)) > LENGTH:
        raise Unfolded
    return str(text % values)


def _braces(text: str, *values: Any, **named: Any) -> str:
    count = text.count("{") + 1
    longest = max((len(str(v)) for v in (*values, *named.values())), default=0)
    if not _SIMPLE_BRACES.fullmatch(text) or len(text) + count * longest > LENGTH:
        raise Unfolded
    return text.format(*values, **named)


def spell(node: nodes.Node | None, depth: int = 12) -> str:
    """An expression as it reads, shortened where it is deep or long."""
    if node is None:
        return ""
    if depth == 0:
        return "…"

    def go(inner: nodes.Node | None) -> str:
        return spell(inner, depth - 1)

    def call(node: nodes.Call | nodes.Filter | nodes.Test) -> str:
        named = [f"{k.key}={go(k.value)}" for k in node.kwargs]
        return ", ".join([*map(go, node.args), *named])

    match node:
        case nodes.Const():
            shown = repr(node.value)
            return shown if len(shown) < 160 else shown[:159] + "…"
        case nodes.TemplateData():
            return repr(node.data[:160])
        case nodes.Name():
            return node.name
        case nodes.NSRef():
            return f"{node.name}.{node.attr}"
        case nodes.Getattr():
            return f"{go(node.node)}.{node.attr}"
        case nodes.Getitem():
            return f"{go(node.node)}[{go(node.arg)}]"
        case nodes.Slice():
            return ":".join(go(x) for x in (node.start, node.stop, node.step))
        case nodes.Call():
            return f"{go(node.node)}({call(node)})"
        case nodes.Filter():
            arguments = call(node)
            return f"{go(node.node)}|{node.name}" + (f"({arguments})" if arguments else "")
        case nodes.Test():
            arguments = call(node)
            return f"{go(node.node)} is {node.name}" + (f"({arguments})" if arguments else "")
        case nodes.Concat():
            return " ~ ".join(map(go, node.nodes))
        case nodes.Compare():
            words = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=",
                     "notin": "not in"}  # fmt: skip
            rest = "".join(f" {words.get(o.op, o.op)} {go(o.expr)}" for o in node.ops)
            return go(node.expr) + rest
        case nodes.BinExpr():
            return f"{go(node.left)} {node.operator} {go(node.right)}"
        case nodes.UnaryExpr():
            return f"{node.operator} {go(node.node)}"
        case nodes.CondExpr():
            other = f" else {go(node.expr2)}" if node.expr2 else ""
            return f"{go(node.expr1)} if {go(node.test)}{other}"
        case nodes.List() | nodes.Tuple():
            ends = "[]" if isinstance(node, nodes.List) else "()"
            return ends[0] + ", ".join(map(go, node.items[:20])) + ends[1]
        case nodes.Dict():
            pairs = ", ".join(f"{go(p.key)}: {go(p.value)}" for p in node.items[:20])
            return "{" + pairs + "}"
        case _:
            return "…"


class Values:
    """The constants of a template. What a variable was set to is joined over all its places."""

    def __init__(self, tree: nodes.Template) -> None:
        self.assigned: dict[str, list[nodes.Node | None]] = defaultdict(list)
        self.macros: dict[str, nodes.Macro] = {}
        self._steps = STEPS
        self._known: dict[nodes.Node, tuple[Any, ...]] = {}
        self._partial: dict[str, list[Any]] = {}
        for node in tree.find_all((nodes.Assign, nodes.AssignBlock, nodes.For, nodes.Macro)):
            self._learn(node)

    def _learn(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Assign):
            self._bind(node.target, node.node)
            if isinstance(node.node, nodes.Call) and _is_name(node.node.node, "namespace"):
                for keyword in node.node.kwargs:
                    self.assigned[f"{spell(node.target)}.{keyword.key}"].append(keyword.value)
        elif isinstance(node, nodes.AssignBlock):
            self._bind(node.target, None)
        elif isinstance(node, nodes.For):
            literal = isinstance(node.iter, nodes.List | nodes.Tuple) and node.iter.items
            for item in literal or (None,):
                self._bind(node.target, item)
        elif isinstance(node, nodes.Macro):
            self.macros[node.name] = node
            for argument in node.args:
                self.assigned[argument.name].append(None)

    def _bind(self, target: nodes.Node, value: nodes.Node | None) -> None:
        if isinstance(target, nodes.Tuple | nodes.List):
            inner = value.items if isinstance(value, nodes.Tuple | nodes.List) else None
            for n, item in enumerate(target.items):
                self._bind(item, inner[n] if inner and n < len(inner) else None)
        else:
            self.assigned[spell(target)].append(value)

    def constants(self, node: nodes.Node | None) -> tuple[Any, ...]:
        """The values that an expression may have, as far as they are constant; empty otherwise."""
        if node is None:
            return ()
        if node not in self._known:
            self._steps -= 1
            if self._steps < 0:
                return ()
            self._known[node] = ()  # what it says of itself while it is being worked out
            try:
                self._known[node] = tuple(self._fold(node))[:VARIANTS]
                sized = (v for v in self._known[node] if isinstance(v, str | bytes | list | dict))
                self._steps -= sum(map(len, sized)) // 64
            except (Unfolded, RecursionError):
                self._known[node] = ()
        return self._known[node]

    def strings(self, node: nodes.Node | None) -> tuple[str, ...]:
        """Those of the constants that are text."""
        return tuple(v for v in self.constants(node) if isinstance(v, str))

    def _each(
        self, parts: Iterable[nodes.Node | None], make: Callable[[tuple[Any, ...]], Any]
    ) -> Iterator[Any]:
        """Apply `make` to every combination of the parts' values."""
        known = [self.constants(p) for p in parts]
        if not all(known):
            raise Unfolded
        for number, values in enumerate(product(*known)):
            if number == VARIANTS:
                return
            try:
                yield make(values)
            except Unfolded:
                raise
            except Exception as error:  # the template's own mistake: it has no value there
                raise Unfolded from error

    def _fold(self, node: nodes.Node) -> Iterable[Any]:
        match node:
            case nodes.Const():
                return (node.value,)
            case nodes.TemplateData():
                return (node.data,)
            case nodes.Name() | nodes.NSRef():
                return self._variable(spell(node))
            case nodes.List() | nodes.Tuple():
                if len(node.items) > 2_000:
                    raise Unfolded
                return self._each(node.items, list)
            case nodes.Dict():
                keys = [p.key for p in node.items]
                return self._each(
                    (*keys, *(p.value for p in node.items)),
                    lambda v: dict(zip(v[: len(keys)], v[len(keys) :], strict=True)),
                )
            case nodes.Add():
                return self._each((node.left, node.right), _add)
            case nodes.Sub():
                return self._each((node.left, node.right), lambda v: v[0] - v[1])
            case nodes.Mul():
                return self._each((node.left, node.right), _multiply)
            case nodes.Mod():
                return self._each((node.left, node.right), _mod)
            case nodes.Concat():
                return self._each(node.nodes, lambda v: folded_join("", v))
            case nodes.Neg():
                return self._each((node.node,), lambda v: -v[0])
            case nodes.CondExpr():
                return (*self.constants(node.expr1), *self.constants(node.expr2))
            case nodes.And() | nodes.Or():
                return (*self.constants(node.left), *self.constants(node.right))
            case nodes.Getattr():
                if spell(node) in self.assigned:
                    return self._variable(spell(node))
                return self._each((node.node,), lambda v: v[0][node.attr])
            case nodes.Getitem():
                return self._item(node)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Call():
                return self._call(node)
            case _:
                raise Unfolded

    def _variable(self, name: str) -> Iterable[Any]:
        if name in self._partial:  # it is made from itself: from what it was before
            return tuple(self._partial[name])
        found = self._partial[name] = []
        try:
            for value in self.assigned.get(name, ()):
                found.extend(self.constants(value))
        finally:
            del self._partial[name]
        return found

    def _item(self, node: nodes.Getitem) -> Iterable[Any]:
        if isinstance(node.arg, nodes.Slice):
            ends = (node.arg.start, node.arg.stop, node.arg.step)
            given = [e for e in ends if e is not None]

            def cut(values: tuple[Any, ...]) -> Any:
                rest = iter(values[1:])
                return values[0][slice(*(None if e is None else next(rest) for e in ends))]

            return self._each((node.node, *given), cut)
        return self._each((node.node, node.arg), lambda v: v[0][v[1]])

    def _filter(self, node: nodes.Filter) -> Iterable[Any]:
        if node.kwargs or node.node is None:
            raise Unfolded
        parts = (node.node, *node.args)
        match node.name:
            case "join":
                return self._each(parts, lambda v: folded_join(str([*v[1:], ""][0]), v[0]))
            case "replace":
                return self._each(parts, lambda v: _replace(*map(str, v[:3])))
            case "format":
                return self._each(parts, lambda v: _percent(v[0], tuple(v[1:])))
            case "map":
                return self._each(parts, lambda v: [_FILTERS[v[1]](x) for x in v[0]])
            case name if name in _FILTERS:
                return self._each(parts, lambda v: _FILTERS[name](*v))
        raise Unfolded

    def _call(self, node: nodes.Call) -> Iterable[Any]:
        named = {k.key: k.value for k in node.kwargs}
        parts = (*node.args, *named.values())
        count = len(node.args)

        def arguments(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return values[:count], dict(zip(named, values[count:], strict=True))

        if isinstance(node.node, nodes.Name) and node.node.name not in self.assigned:
            match node.node.name:
                case "dict":
                    return self._each(parts, lambda v: dict(*arguments(v)[0], **arguments(v)[1]))
                case "chr":
                    return self._each(parts, lambda v: chr(*v))
                case "range":
                    return self._each(parts, lambda v: list(range(*v)[:LENGTH]))
            raise Unfolded
        if isinstance(node.node, nodes.Getattr) and node.node.attr in _METHODS:
            name = node.node.attr

            def method(values: tuple[Any, ...]) -> Any:
                given, keyed = arguments(values[1:])
                return _method(values[0], name, given, keyed)

            return self._each((node.node.node, *parts), method)
        raise Unfolded


def _method(of: Any, name: str, given: tuple[Any, ...], keyed: dict[str, Any]) -> Any:
    if not isinstance(of, str | bytes | dict | list):
        raise Unfolded
    if isinstance(of, str):
        if name == "join":
            return folded_join(of, given[0])
        if name == "replace":
            return _replace(of, *map(str, given[:2]))
        if name == "format":
            return _braces(of, *given, **keyed)
    if name in ("encode", "decode"):
        codec = str(given[0]).lower() if given else "utf-8"
        if codec not in _CODECS:
            raise Unfolded
    elif name in ("join", "replace", "format"):
        raise Unfolded
    made = getattr(of, name)(*given, **keyed)
    return made if isinstance(made, str | bytes | list | dict) else list(made)


def _add(values: tuple[Any, ...]) -> Any:
    left, right = values
    if isinstance(left, str | list) and len(left) + len(right) > LENGTH:
        raise Unfolded
    return left + right


def _multiply(values: tuple[Any, ...]) -> Any:
    left, right = values
    sized = [(x, n) for x, n in ((left, right), (right, left)) if isinstance(x, str | list | bytes)]
    if any(len(x) * abs(n) > LENGTH for x, n in sized):
        raise Unfolded
    if not sized and (abs(left) > 1 << 40 or abs(right) > 1 << 40):
        raise Unfolded
    return left * right


def _mod(values: tuple[Any, ...]) -> Any:
    left, right = values
    if isinstance(left, str):
        return _percent(left, tuple(right) if isinstance(right, list) else right)
    return left % right


def _is_name(node: nodes.Node | None, name: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == name
