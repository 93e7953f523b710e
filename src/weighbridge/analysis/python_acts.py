"""What Python source does that reaches outside of computing: when, with what, how openly.

One walk over the syntax tree. Code counts as run on import where it stands outside functions and
the `__main__` guard, or in a function or class of the file that such code calls or hands on.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final

import msgspec

from weighbridge.analysis.python_values import DECODERS, STEPS, Names, Path
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.payload import CONCEALED, EMBEDDED, is_code
from weighbridge.formats.python_source import PythonSource, children, walk
from weighbridge.intel.source_calls import collector, effects, place

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Origin(StrEnum):
    """Where the argument of a call comes from, as far as that can be told."""

    PLAIN = "plain"
    DECODED = "decoded"
    DOWNLOADED = "downloaded"


class Act(msgspec.Struct, frozen=True):
    """A call that acts. `text` is its first constant argument, if it has one.

    `on_import`: importing the file makes it. `built`: the source does not spell its name.
    `scope` is the name of the function that it stands in, empty for the module.
    """

    name: str
    effect: str
    node: ast.AST
    scope: str
    on_import: bool
    built: bool
    origin: Origin
    text: str = ""
    fixed: bool = False
    """Whether its first argument is a constant of the file."""
    handed: bool = False
    """Whether it is not called here, but given to something else that may call it."""


class Hidden(msgspec.Struct, frozen=True):
    """A constant that only decoding shows: an address, a command, a program."""

    text: str
    what: str
    node: ast.AST


class Place(msgspec.Struct, frozen=True):
    """A path of credentials or of start-up files that the source spells."""

    kind: str
    mark: str
    node: ast.AST


class Acts(msgspec.Struct, frozen=True):
    """All that was found in one file. `whole` is false where the budget ended first."""

    acts: tuple[Act, ...]
    hidden: tuple[Hidden, ...]
    places: tuple[Place, ...]
    collectors: tuple[tuple[str, ast.AST], ...]
    climbs: tuple[ast.AST, ...]
    unverified: tuple[ast.AST, ...]
    imports: tuple[str, ...]
    is_script: bool
    whole: bool

    def with_effect(self, *wanted: str) -> Iterator[Act]:
        """The acts of these effects."""
        return (a for a in self.acts if a.effect in wanted)


def excerpt(source: PythonSource, node: ast.AST, title: str) -> Text:
    """The lines of a statement, at most twelve, numbered."""
    lines = source.text.splitlines()
    first = getattr(node, "lineno", 1)
    last = min(getattr(node, "end_lineno", first) or first, first + 11)
    shown = [f"{n:>5}  {lines[n - 1][:400]}" for n in range(first, last + 1) if n <= len(lines)]
    return Text(title, text="\n".join(shown), language="python")


def place_of(source: PythonSource, node: ast.AST) -> Location:
    """Where a node's line begins, in bytes."""
    before = source.text.splitlines(keepends=True)[: getattr(node, "lineno", 1) - 1]
    return source.at(len("".join(before).encode("utf-8", "surrogatepass")))


def capped(source: PythonSource, action: Action) -> Action:
    """An action as far as it fits the source: a string does not run by itself.

    One that had to be decoded was concealed by somebody: a person must look at it. One that stands
    there plainly is a text, and only noted.
    """
    if source.role == EMBEDDED:
        return Action.NOTE
    if source.role == CONCEALED and action is Action.BLOCK:
        return Action.REVIEW
    return action


def moment(act: Act) -> str:
    """When a call is made, in words."""
    if act.on_import:
        return "when the file is imported"
    return f"in {act.scope}()" if act.scope else "when the file is run"


class _Scope(msgspec.Struct):
    name: str
    nodes: list[ast.AST]
    on_import: bool


@lru_cache(maxsize=2)
def read(source: PythonSource) -> Acts:
    """Read a file's acts, once for all checks."""
    return _Reading(source.tree).acts()


class _Reading:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.names = Names()
        self.names.learn(tree, walk(tree))
        self.scopes = list(_scopes(tree))
        _mark_imported(self.scopes, tree)

    def acts(self) -> Acts:
        acts: list[Act] = []
        hidden: list[Hidden] = []
        places: list[Place] = []
        collectors: list[tuple[str, ast.AST]] = []
        unverified: list[ast.AST] = []
        climbs: list[ast.AST] = []
        for scope in self.scopes:
            tainted = self._tainted(scope)
            for node in scope.nodes:
                kind = type(node)
                if kind in _HANDING:
                    acts += self._handed_on(node, scope)
                if kind in _PATCHING:
                    acts += self._patched(node, scope)
                if isinstance(node, ast.Call):
                    acts += self._call(node, scope, tainted)
                    found = self._hidden(node)
                    if found is not None:
                        hidden.append(found)
                    if _turns_off_tls(node):
                        unverified.append(node)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    met = place(node.value) if len(node.value) < 500 else None
                    if met is not None:
                        places.append(Place(*met, node))
                    host = collector(node.value) if len(node.value) < 5_000 else None
                    if host is not None:
                        collectors.append((host, node))
                elif isinstance(node, ast.Attribute) and node.attr == "__subclasses__":
                    if _is_object(node.value):
                        climbs.append(node)
                elif isinstance(node, ast.Attribute) and node.attr in (
                    "_create_unverified_context",
                    "CERT_NONE",
                ):
                    unverified.append(node)
        for secret in hidden:
            host = collector(secret.text)
            if host is not None:
                collectors.append((host, secret.node))
        return Acts(
            acts=tuple(acts),
            hidden=tuple(_distinct(hidden)),
            places=tuple(places),
            collectors=tuple(collectors),
            climbs=tuple(climbs),
            unverified=tuple(unverified),
            imports=tuple(sorted({p.dotted for p in self.names.paths.values() if not p.made})),
            is_script=_is_script(self.tree),
            whole=self.names.steps < STEPS,
        )

    def _call(self, node: ast.Call, scope: _Scope, tainted: dict[str, Origin]) -> Iterator[Act]:
        yield from self._remote(node, scope)
        path = self.names.callee(node)
        if path is None:
            return
        yield from self._looked_up(path, node, scope)
        known = effects(path.dotted)
        exact = path.dotted in _exact(path.dotted, known)
        for effect in known:
            if path.made and not exact and effect != "send":
                continue  # a method of what was counted when it was made
            first = node.args[0] if node.args else None
            value = self.names.constant(first) if first is not None else None
            yield Act(
                name=path.dotted,
                effect=effect,
                node=node,
                scope=scope.name,
                on_import=scope.on_import,
                built=path.built,
                origin=self._argument_origin(node, effect, tainted),
                text=str(value)[:2000] if isinstance(value, str | bytes | list) else "",
                fixed=value is not None,
            )

    def _argument_origin(self, node: ast.Call, effect: str, tainted: dict[str, Origin]) -> Origin:
        """Code that is put together from a reversed, joined or translated text was decoded."""
        origin = self._origin(node, tainted)
        if origin is Origin.PLAIN and effect == "evaluate" and node.args:
            value = self.names.constant(node.args[0])
            text = isinstance(value, str | bytes) and len(value) > 0
            if text and not self.names.is_spelled(node.args[0]):
                return Origin.DECODED
        return origin

    def _act(self, name: str, effect: str, node: ast.AST, scope: _Scope, text: str = "") -> Act:
        return Act(
            name=name, effect=effect, node=node, scope=scope.name, on_import=scope.on_import,
            built=False, origin=Origin.PLAIN, text=text,
        )  # fmt: skip

    def _looked_up(self, path: Path, node: ast.Call, scope: _Scope) -> Iterator[Act]:
        """`getattr(os, name)` with a name that only running the code tells; also `__import__`."""
        if path.dotted == "builtins.getattr" and len(node.args) >= 2:
            owner = self.names.resolve(node.args[0])
            known = self.names.constant(node.args[1]) is not None
            if owner is not None and owner.dotted in _ACTING_MODULES and not known:
                yield self._act(owner.dotted, "lookup", node, scope)
        elif path.dotted == "builtins.__import__" and not (
            node.args and self.names.constant(node.args[0]) is not None
        ):
            yield self._act("builtins.__import__", "import", node, scope)

    def _remote(self, node: ast.Call, scope: _Scope) -> Iterator[Act]:
        """Code of another repository that is loaded by its name."""
        trusted = any(
            k.arg == "trust_remote_code" and isinstance(k.value, ast.Constant) and k.value.value
            for k in node.keywords
        )
        path = self.names.resolve(node.func)
        hub = path is not None and path.dotted == "torch.hub.load"
        local = any(
            k.arg == "source" and isinstance(k.value, ast.Constant) and k.value.value == "local"
            for k in node.keywords
        )
        if not trusted and (not hub or local):
            return
        given = self.names.constant(node.args[0]) if node.args else None
        if isinstance(given, str) and _REPOSITORY.fullmatch(given):
            name = path.dotted if path is not None else ast.unparse(node.func)[:80]
            yield self._act(name, "remote", node, scope, given)

    def _handed_on(self, node: ast.AST, scope: _Scope) -> Iterator[Act]:
        """What executes or evaluates and is not called here, but given on."""
        values: list[ast.expr | None] = []
        caller = False
        if isinstance(node, ast.Call):
            path = self.names.resolve(node.func)
            if path is not None and path.dotted in _ASKS:
                return
            caller = isinstance(node.func, ast.Lambda) or (
                path is not None and path.dotted in _CALLERS
            )
            values = [*node.args, *(k.value for k in node.keywords)]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            values = list(node.elts)
        elif isinstance(node, ast.Dict):
            values = list(node.values)
        elif isinstance(node, ast.Return) or (
            isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name)
        ):
            values = [node.value]
        elif isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            values = [*node.args.defaults, *node.args.kw_defaults]
        for value in values:
            if not isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
                continue
            if isinstance(value, ast.Name) and value.id in self.names.bound:
                continue
            path = self.names.resolve(value)
            if path is None or path.made:
                continue
            for effect in effects(path.dotted):
                if effect == "execute" or path.dotted in _EVALUATES:
                    act = self._act(path.dotted, effect, value, scope)
                    yield msgspec.structs.replace(
                        act, built=path.built, handed=not (caller and scope.on_import)
                    )

    def _patched(self, node: ast.AST, scope: _Scope) -> Iterator[Act]:
        """Functions of the interpreter or of a library that the file puts its own in place of."""
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr == "__code__":
                yield self._act(ast.unparse(target)[:80], "patch", node, scope)
            elif isinstance(target, ast.Attribute):
                owner = self.names.resolve(target.value)
                if owner is not None and not owner.made:
                    name = f"{owner.dotted}.{target.attr}"
                    if _is_guarded(name):
                        yield self._act(name, "patch", node, scope)
            elif isinstance(target, ast.Subscript):
                owner = self.names.resolve(target.value)
                key = self.names.constant(target.slice)
                if owner is not None and owner.dotted == "sys.modules" and isinstance(key, str):
                    yield self._act(f"sys.modules[{key!r}]", "patch", node, scope)
        if isinstance(node, ast.Call) and len(node.args) == 3:
            path = self.names.resolve(node.func)
            if path is not None and path.dotted == "builtins.setattr":
                owner = self.names.resolve(node.args[0])
                key = self.names.constant(node.args[1])
                if owner is not None and not owner.made and isinstance(key, str):
                    name = f"{owner.dotted}.{key}"
                    if _is_guarded(name):
                        yield self._act(name, "patch", node, scope)

    # -- where data come from --------------------------------------------------------------------

    def _tainted(self, scope: _Scope) -> dict[str, Origin]:
        """The names of a scope that hold something decoded or downloaded."""
        found: dict[str, Origin] = {}
        setting = [node for node in scope.nodes if type(node) in _SETTING]
        for _ in range(2):  # a loop can use a name above the line that sets it
            for node in setting:
                targets: list[ast.expr] = []
                value: ast.AST | None = None
                if isinstance(node, ast.Assign):
                    targets, value = node.targets, node.value
                elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
                    targets, value = [node.target], node.value
                elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                    targets, value = [node.optional_vars], node.context_expr
                if value is None:
                    continue
                origin = self._origin(value, found)
                if origin is Origin.PLAIN:
                    continue
                for target in targets:
                    if isinstance(target, ast.Name):
                        found[target.id] = origin
        return found

    def _origin(self, node: ast.AST, tainted: dict[str, Origin]) -> Origin:
        """The worst origin of anything within an expression (its own callee left out)."""
        parts: list[ast.AST] = [node]
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            parts = [node.func, *node.args, *(k.value for k in node.keywords)]
        worst = Origin.PLAIN
        for part in parts:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Name) and inner.id in tainted:
                    worst = tainted[inner.id]
                elif isinstance(inner, ast.Call):
                    path = self.names.resolve(inner.func)
                    if path is None:
                        continue
                    if path.dotted in DECODERS:
                        worst = Origin.DECODED if worst is Origin.PLAIN else worst
                    elif inner is not node and "connect" in effects(path.dotted):
                        worst = Origin.DOWNLOADED
                if worst is Origin.DOWNLOADED:
                    return worst
        return worst

    def _hidden(self, node: ast.Call) -> Hidden | None:
        """What a call of a decoder makes of a constant, where that is worth hiding."""
        path = self.names.resolve(node.func)
        joined = isinstance(node.func, ast.Attribute) and node.func.attr == "join"
        if not joined and (path is None or path.dotted not in DECODERS):
            return None
        if joined and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
            return None  # a list of words that are spelled out is not hidden
        value = self.names.constant(node)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            return None
        what = _worth_hiding(value)
        return Hidden(value[:2000], what, node) if what else None


_HANDING: Final = frozenset(
    {ast.Call, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Return, ast.Assign, ast.Lambda,
     ast.FunctionDef, ast.AsyncFunctionDef}
)  # fmt: skip
"""The nodes that can give on what acts."""
_PATCHING: Final = frozenset({ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Call})
"""The nodes that can put something in the place of a function."""
_SETTING: Final = frozenset({ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.withitem})
"""The nodes that give a name its value."""
_ACTING_MODULES: Final = frozenset(
    {"os", "posix", "nt", "subprocess", "builtins", "ctypes", "pty", "importlib", "runpy", "pickle",
     "marshal"}
)  # fmt: skip
"""Modules most of whose names act, so that one that is looked up by a variable may."""
_ASKS: Final = frozenset(
    {"builtins.isinstance", "builtins.issubclass", "builtins.hasattr", "builtins.callable",
     "builtins.type", "builtins.id", "builtins.print", "functools.partial", "builtins.getattr",
     "operator.methodcaller"}
)  # fmt: skip
"""What does not call what it is given, or is followed by itself."""
_CALLERS: Final = frozenset(
    {"builtins.map", "builtins.filter", "atexit.register", "threading.Thread", "threading.Timer",
     "functools.reduce", "multiprocessing.Process", "weakref.finalize", "signal.signal",
     "_thread.start_new_thread", "builtins.sorted", "builtins.max", "builtins.min"}
)  # fmt: skip
"""What calls what it is given, at once or later."""
_EVALUATES: Final = frozenset({"builtins.exec", "builtins.eval", "builtins.execfile"})
_REPOSITORY: Final = regex(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.:-]*")
_GUARDED: Final = regex(
    r"builtins\.\w+|sys\.(?:excepthook|displayhook|breakpointhook|meta_path|path_hooks|unraisablehook)"
    r"|(?:os|subprocess|socket|ssl|pickle|marshal|importlib|json|safetensors|zipfile)\.\w+"
    r"|(?:\w+\.)+(?:from_pretrained|load|loads|load_file|safe_open|import_module|urlopen)"
)
_ORDINARY: Final = frozenset({"os.environ", "os.linesep", "builtins._"})


def _is_guarded(name: str) -> bool:
    """Whether a name is one that security rests on."""
    return bool(_GUARDED.fullmatch(name)) and name not in _ORDINARY


_URL: Final = regex(r"(?:https?|ftp|wss?)://[\w.\-]+", re.ASCII)
_COMMAND: Final = regex(
    r"(?:^|[;&|]\s*)(?:curl|wget|bash|sh|nc|ncat|powershell|cmd(?:\.exe)?|python3?|perl|chmod|nohup)"
    r"\s+[-/\w]|/dev/tcp/|/bin/(?:ba)?sh\b"
)


def _worth_hiding(text: str) -> str:
    if _URL.search(text):
        return "an address"
    if _COMMAND.search(text):
        return "a command"
    if is_code(text[:4096].encode("utf-8", "replace")):
        return "a program"
    return ""


def _exact(dotted: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The name itself where the list has it, nothing where only a beginning of it stands there."""
    owner = dotted.rpartition(".")[0]
    return (dotted,) if known and effects(owner) != known else ()


def _distinct(hidden: list[Hidden]) -> Iterator[Hidden]:
    """Decoders around decoders show the same text: each line once, with the innermost text."""
    seen: set[int] = set()
    for found in hidden:
        line = getattr(found.node, "lineno", 0)
        if line not in seen:
            seen.add(line)
            yield found


def _is_object(node: ast.expr) -> bool:
    """Whether an expression is the class `object`, named or climbed to."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func
    if isinstance(node, ast.Name):
        return node.id == "object"
    return isinstance(node, ast.Attribute) and node.attr in (
        "__base__", "__bases__", "__mro__", "mro"
    )  # fmt: skip


def _turns_off_tls(node: ast.Call) -> bool:
    return any(
        k.arg == "verify" and isinstance(k.value, ast.Constant) and k.value.value is False
        for k in node.keywords
    )


# -- what runs on import --------------------------------------------------------------------------


def _is_guard(node: ast.AST) -> bool:
    """`if __name__ == "__main__":`"""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and any(
            isinstance(side, ast.Name) and side.id == "__name__"
            for side in (node.test.left, *node.test.comparators)
        )
    )


def _is_script(tree: ast.Module) -> bool:
    """Whether the file is made to be started, not imported."""
    for node in tree.body:
        if _is_guard(node):
            return True
        if isinstance(node, ast.Import) and any(n.name == "argparse" for n in node.names):
            return True
    return not any(isinstance(n, ast.ClassDef | ast.FunctionDef) for n in tree.body)


def _applied(decorated: Function | ast.ClassDef, decorator: ast.expr) -> ast.Call:
    """The call that a decorator is. What calls the function it gets is given its name."""
    calls = isinstance(decorator, ast.Lambda) or ast.unparse(decorator).endswith("register")
    args: list[ast.expr] = [ast.Name(decorated.name, ast.Load())] if calls else []
    call = ast.Call(decorator, args, [])
    ast.copy_location(call, decorator)
    return ast.fix_missing_locations(call)


def _scopes(tree: ast.Module) -> Iterator[_Scope]:
    """The module without its functions, each function without those inside it, each guard."""
    pending: list[tuple[str, list[ast.AST], bool]] = [("", list(tree.body), True)]
    while pending:
        name, roots, on_import = pending.pop()
        nodes: list[ast.AST] = []
        stack = list(reversed(roots))
        prefixes: dict[int, str] = {}
        while stack:
            node = stack.pop()
            if isinstance(node, Function):
                inner = f"{prefixes.get(id(node), name)}.{node.name}".lstrip(".")
                pending.append((inner, list(node.body), False))
                # decorators and defaults run where the function is defined
                nodes.append(node)
                stack += [*map(partial(_applied, node), node.decorator_list), *node.args.defaults]
                stack += [d for d in node.args.kw_defaults if d is not None]
                continue
            if _is_guard(node):
                assert isinstance(node, ast.If)
                pending.append(("__main__", list(node.body), False))
                continue
            nodes.append(node)
            below = children(node)
            if isinstance(node, ast.ClassDef):
                plain = [c for c in below if c not in node.decorator_list]
                below = [*map(partial(_applied, node), node.decorator_list), *plain]
                for child in node.body:
                    prefixes[id(child)] = f"{prefixes.get(id(node), name)}.{node.name}".lstrip(".")
            stack += reversed(below)
        yield _Scope(name, nodes, on_import)


_CLASS_MADE: Final = ("__new__", "__init__", "__prepare__", "__call__")
"""Methods of a metaclass that run where a class is defined."""


def _mark_imported(scopes: list[_Scope], tree: ast.Module) -> None:
    """Mark the functions that import reaches: those whose names the importing code mentions, and
    the special methods that defining, making and using its classes calls."""
    by_name = {scope.name: scope for scope in scopes if scope.name}
    special: dict[str, list[str]] = defaultdict(list)
    for name in by_name:
        owner, _, method = name.rpartition(".")
        if owner and (method == "run" or (method[:2] == "__" == method[-2:])):
            special[owner].append(name)
    for name in ("__getattr__", "__dir__"):  # asked of the module by whoever imports a name
        if name in by_name:
            by_name[name].on_import = True
    pending = [scope for scope in scopes if scope.on_import]
    while pending:
        scope = pending.pop()
        for name in _reached(scope, special):
            found = by_name.get(name)
            if found is not None and not found.on_import:
                found.on_import = True
                pending.append(found)


def _reached(scope: _Scope, special: dict[str, list[str]]) -> Iterator[str]:
    """The names of the functions that running a scope calls."""
    owner = scope.name.rpartition(".")[0]
    for node in scope.nodes:
        if isinstance(node, ast.ClassDef):
            yield from (f"{b.id}.__init_subclass__" for b in node.bases if isinstance(b, ast.Name))
            for keyword in node.keywords:
                if keyword.arg == "metaclass" and isinstance(keyword.value, ast.Name):
                    yield from (f"{keyword.value.id}.{method}" for method in _CLASS_MADE)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.__class_getitem__"
        elif isinstance(node, ast.Call):
            for callee in (node.func, *node.args, *(k.value for k in node.keywords)):
                if isinstance(callee, ast.Name):
                    yield callee.id
                    yield from special[callee.id]
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                named = node.func.value.id
                yield f"{named}.{node.func.attr}"
                if owner and named in ("self", "cls"):
                    yield f"{owner}.{node.func.attr}"
