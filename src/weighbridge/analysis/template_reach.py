"""Where a template reaches out of what it was given: into Python's own objects, or into files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.analysis.template_values import Values, spell
from weighbridge.core.later import Later
from weighbridge.core.regex import regex

if TYPE_CHECKING:
    from jinja2 import nodes
else:
    nodes = Later("jinja2.nodes")

_DUNDER: Final = regex(r"__[a-zA-Z]\w*?__")
_HARMLESS: Final = frozenset({"__class__", "__name__", "__len__", "__doc__", "__str__"})
"""By themselves they tell what something is; with any other one they are the way out."""

_INTERNAL: Final = frozenset({
    "mro", "func_globals", "func_code", "func_closure", "func_defaults", "im_func", "im_self",
    "im_class", "gi_frame", "gi_code", "gi_yieldfrom", "cr_frame", "cr_code", "ag_frame",
    "ag_code", "tb_frame", "tb_next", "f_globals", "f_locals", "f_builtins", "f_back", "f_code",
    "co_code", "co_consts",
})  # fmt: skip
"""What Jinja's own sandbox refuses beside names with an underscore in front."""

_ACTING: Final = frozenset({
    "getattr", "setattr", "eval", "exec", "execfile", "compile", "open", "globals", "locals",
    "vars", "breakpoint", "import_module", "system", "popen",
})  # fmt: skip
"""Names that are called only to act; Jinja gives none of them to a template."""
_ACTING_METHODS: Final = frozenset({
    "popen", "system", "check_output", "check_call", "Popen", "getoutput", "import_module",
    "urlopen", "urlretrieve", "execfile", "spawnl", "spawnv", "execv", "execve", "fromhex_exec",
    "load_module", "exec_module", "runcode", "runsource",
})  # fmt: skip
_FRAMEWORK: Final = frozenset({
    "request", "session", "g", "config", "app", "application", "current_app", "settings",
    "environ", "os", "sys", "subprocess", "builtins", "importlib", "get_flashed_messages",
    "url_for",
})  # fmt: skip
"""What web frameworks and careless hosts put in a template's reach; chats hold none of it."""

_BY_ATTRIBUTE: Final = frozenset({
    "map", "select", "reject", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum",
    "min", "max", "join", "dictsort",
})  # fmt: skip


class Way(StrEnum):
    """How an expression reaches out."""

    OBJECT = "reaches Python's internals"
    CALL = "calls what acts"
    FILE = "reads a file"
    BUILT = "reaches a name that is worked out while it runs"
    HOST = "reads what belongs to the program around it"
    PRIVATE = "reads a private attribute"
    INCLUDE = "takes in another template"


CERTAIN: Final = frozenset({Way.OBJECT, Way.CALL, Way.FILE})


class Reach(Struct, frozen=True):
    """An expression that reaches out. `names` are what it reaches, in order; `node` the whole."""

    way: Way
    names: tuple[str, ...]
    node: nodes.Node


def reaches(tree: nodes.Template, values: Values) -> Iterator[Reach]:
    """Every expression that reaches out, outermost ones, in order."""
    for root in _roots(tree):
        found: dict[str, Way] = {}
        parts = [root, *root.find_all(nodes.Node)]
        called = {p.node for p in parts if isinstance(p, nodes.Call)}
        for part in reversed(parts):  # innermost first, as it is evaluated
            for name, way in _of(part, values, part in called):
                found.setdefault(name, way)
        if set(found) <= _HARMLESS:
            found = dict.fromkeys(found, Way.PRIVATE)
        if found:
            order = list(Way)
            way = min(found.values(), key=order.index)
            names = tuple(n for n, w in found.items() if w is way or w in CERTAIN)
            yield Reach(way, names, root)


def _roots(tree: nodes.Template) -> Iterator[nodes.Node]:
    """The outermost expressions, and statements that take in other templates."""
    level: list[nodes.Node] = [tree]
    while level:
        node = level.pop()
        inner = [c for c in node.iter_child_nodes() if not isinstance(c, nodes.TemplateData)]
        for child in inner:
            if isinstance(child, nodes.Expr):
                yield child
        if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
            yield node
        level.extend(c for c in reversed(inner) if not isinstance(c, nodes.Expr))


def _of(node: nodes.Node, values: Values, called: bool) -> Iterator[tuple[str, Way]]:
    match node:
        case nodes.Name() if node.ctx == "load":
            yield from _name(node, values, called)
        case nodes.Getattr():
            yield from _attribute(node.attr)
            if called and node.attr in _ACTING_METHODS:
                yield node.attr, Way.CALL
            if node.attr.startswith("_") and not _DUNDER.fullmatch(node.attr):
                yield node.attr, Way.PRIVATE
            yield from _host(node.node, node.attr, values)
        case nodes.Getitem():
            known = values.strings(node.arg)
            for text in known:
                yield from _attribute(text)
                yield from _host(node.node, text, values)
            if called and not known and not _all_macros(node.node, values):
                yield spell(node.arg), Way.BUILT
        case nodes.Filter():
            yield from _filter(node, values)
        case nodes.Call() if isinstance(node.node, nodes.Getattr):
            if node.node.attr in ("format", "format_map", "vformat"):
                for text in values.strings(node.node.node):
                    for field in re.findall(r"\{[^{}]{0,400}[}:!]", text):
                        yield from ((name, Way.OBJECT) for name in _DUNDER.findall(field))
        case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
            yield from _taken_in(node, values)


def _name(node: nodes.Name, values: Values, called: bool) -> Iterator[tuple[str, Way]]:
    name = node.name
    if _DUNDER.fullmatch(name):
        yield name, Way.OBJECT
    elif called and name in _ACTING and name not in values.macros and name not in values.assigned:
        yield name, Way.CALL


def _attribute(name: str) -> Iterator[tuple[str, Way]]:
    for part in name.split(".") if len(name) < 400 else ():
        if _DUNDER.fullmatch(part) or part in _INTERNAL:
            yield part, Way.OBJECT


def _all_macros(node: nodes.Node, values: Values) -> bool:
    """Whether an expression is a list of the template's own macros."""
    name = spell(node)
    kept = [v for v in values.assigned.get(name, []) if v is not None]
    inside = {n.name for v in kept for n in (v, *v.find_all(nodes.Name)) if hasattr(n, "name")}
    return (
        bool(kept)
        and all(isinstance(v, nodes.List | nodes.Add) for v in kept)
        and inside <= {name, *values.macros}
    )


def _host(of: nodes.Node, attribute: str, values: Values) -> Iterator[tuple[str, Way]]:
    if isinstance(of, nodes.Name) and of.name in _FRAMEWORK and of.name not in values.assigned:
        yield f"{of.name}.{attribute}", Way.HOST


def _filter(node: nodes.Filter, values: Values) -> Iterator[tuple[str, Way]]:
    arguments = [*node.args, *(k.value for k in node.kwargs)]
    if node.name == "attr":
        known = [values.strings(a) for a in arguments]
        for text in (t for k in known for t in k):
            yield from _attribute(text)
            if text in _ACTING_METHODS:
                yield text, Way.CALL
        if not all(known):
            yield " ".join(spell(a) for a in arguments), Way.BUILT
    elif node.name in _BY_ATTRIBUTE:
        for argument in arguments:
            for text in values.strings(argument):
                yield from _attribute(text)
        if node.name == "map" and node.args and not values.strings(node.args[0]):
            yield spell(node.args[0]), Way.BUILT


def _taken_in(node: nodes.Node, values: Values) -> Iterator[tuple[str, Way]]:
    names = values.constants(getattr(node, "template", None))
    names = tuple(n for v in names for n in (v if isinstance(v, list) else (v,)))
    if not names:
        yield spell(getattr(node, "template", None)), Way.FILE
    for name in map(str, names):
        leaves = name.startswith(("/", "\\", "~")) or ".." in name or ":" in name
        yield name, Way.FILE if leaves else Way.INCLUDE
