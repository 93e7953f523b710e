"""What the calls of a pickle come to: names that are reached through other calls.

An abstract evaluation over the symbolic values of `formats.pickle`. It knows the few functions
that hand names on (`getattr`, `attrgetter`, `import_module`, `partial`, `reduce`, `map` …) and
those that put strings together; everything else evaluates to *not known*. It runs nothing.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import codecs
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.evidence import CallNode
from weighbridge.formats.pickle import Pickle
from weighbridge.formats.pickle_machine import members
from weighbridge.formats.pickle_values import (
    Call,
    Extension,
    Global,
    Long,
    Mutable,
    PersistentId,
    Value,
)

DEPTH: Final = 40
TEXT_LIMIT: Final = 4_096
"""Longest string that is put together, in characters: a name is short."""


class Named(Struct, frozen=True):
    """Something importable: `name` may be a dotted path, empty for the module itself."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """As a reader writes it."""
        return f"{self.module}.{self.name}" if self.name else self.module


class Partial(Struct, frozen=True):
    """`functools.partial` of something, and its kin."""

    function: Any
    args: tuple[Any, ...]


class Getter(Struct, frozen=True):
    """`operator.attrgetter`."""

    names: tuple[Any, ...]


class Caller(Struct, frozen=True):
    """`operator.methodcaller`."""

    name: Any
    args: tuple[Any, ...]


class Method(Struct, frozen=True):
    """A method of a constant, or of an object that is not known (`owner` is then None)."""

    owner: Any
    name: str


class Unknown(Struct, frozen=True):
    """Not known."""


UNKNOWN: Final = Unknown()
_CONSTANTS: Final = frozenset({type(None), bool, int, float, str, bytes})
_OPAQUE: Final = frozenset({Mutable, Long, PersistentId, Extension})


class Use(Struct, frozen=True):
    """A name that loading the file reaches.

    `source` is the import or call by which it does; `called` whether it is called, with the
    symbolic `args`; `reached` whether the name was put together instead of imported outright.
    """

    target: Named
    source: Global | Call
    called: bool
    args: tuple[Value, ...] = ()
    reached: bool = False


class Unresolved(Struct, frozen=True):
    """A call that hands a name on which could not be worked out, or a callee that could not."""

    source: Call | Global
    why: str


class _Evaluation(Struct):
    uses: list[Use] = []
    unresolved: list[Unresolved] = []
    known: dict[int, Any] = {}
    alive: list[Any] = []
    depth: int = 0

    def value(self, value: Value) -> Any:
        """The abstract value of a symbolic one."""
        kind = type(value)
        if kind in _CONSTANTS:
            return value
        if kind is Call:
            if id(value) not in self.known:
                self.known[id(value)] = UNKNOWN  # a cycle is not known
                if self.depth < DEPTH:
                    self.depth += 1
                    self.known[id(value)] = self.call(value)
                    self.depth -= 1
            return self.known[id(value)]
        if kind is Global:
            if id(value) not in self.known:
                if self.depth >= DEPTH:
                    return UNKNOWN
                self.depth += 1
                module, name = self.value(value.module), self.value(value.name)
                self.depth -= 1
                spelled = isinstance(module, str) and isinstance(name, str)
                self.known[id(value)] = Named(module, name) if spelled else UNKNOWN
            return self.known[id(value)]
        if kind is tuple or (kind is Mutable and value.kind in ("list", "bytearray")):
            return self.sequence(value)
        return UNKNOWN if kind in _OPAQUE else value

    def values(self, values: list[Value]) -> tuple[Any, ...]:
        """The abstract values of several; constants, which most are, stand for themselves."""
        value = self.value
        return tuple([v if type(v) in _CONSTANTS else value(v) for v in values])

    def sequence(self, value: Value) -> Any:
        """A tuple or list; each is read once, because sharing could make it exponential."""
        if id(value) not in self.known:
            self.known[id(value)] = UNKNOWN
            self.alive.append(value)
            if self.depth < DEPTH:
                self.depth += 1
                self.known[id(value)] = self.values(members(value)[:64])
                self.depth -= 1
        return self.known[id(value)]

    def call(self, call: Call) -> Any:
        """The abstract result of a call; what it reaches is recorded."""
        if call.how in ("BUILD", "SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS"):
            return UNKNOWN
        function = self.value(call.callee)
        args = self.values(_plain(call.args))
        if isinstance(function, Unknown):
            if isinstance(call.callee, Call) and _hands_on(self.value(call.callee.callee)):
                self.unresolved.append(Unresolved(call, "what it calls could not be worked out"))
            elif isinstance(call.callee, Global):
                self.unresolved.append(Unresolved(call, "its name could not be worked out"))
            return UNKNOWN
        return self.apply(function, args, call, direct=isinstance(call.callee, Global))

    def apply(self, function: Any, args: tuple[Any, ...], call: Call, *, direct: bool) -> Any:
        """Apply an abstract function."""
        if self.depth >= DEPTH:
            return UNKNOWN
        self.depth += 1
        try:
            return self._apply(function, args, call, direct=direct)
        finally:
            self.depth -= 1

    def _apply(self, function: Any, args: tuple[Any, ...], call: Call, *, direct: bool) -> Any:
        if isinstance(function, Named):
            self.uses.append(Use(function, call, True, call.args if direct else (), not direct))
            dotted = function.dotted
            handler = _FUNCTIONS.get(dotted)
            if handler is not None:
                return handler(self, args, call)
            text = _TEXT.get(dotted)
            if text is not None:
                return _constant(text, args)
            if function.name.startswith(("str.", "bytes.", "bytearray.")) and args:
                method = function.name.partition(".")[2]
                return self.apply(
                    self.attribute(args[0], method, call), args[1:], call, direct=False
                )
            return UNKNOWN
        if isinstance(function, Partial):
            return self.apply(function.function, function.args + args, call, direct=False)
        if isinstance(function, Getter) and args:
            found: Any = UNKNOWN
            for name in function.names:
                found = self.attribute(args[0], name, call)
            return found
        if isinstance(function, Caller) and args:
            method_of = self.attribute(args[0], function.name, call)
            return self.apply(method_of, function.args, call, direct=False)
        if isinstance(function, Method):
            return _method(function, args)
        return UNKNOWN

    def attribute(self, owner: Any, name: Any, call: Call) -> Any:
        """`getattr(owner, name)`."""
        if not isinstance(name, str):
            self.unresolved.append(Unresolved(call, "the attribute's name could not be worked out"))
            return UNKNOWN
        if isinstance(owner, Named):
            found = Named(owner.module, f"{owner.name}.{name}" if owner.name else name)
            self.uses.append(Use(found, call, False, reached=True))
            return found
        if name.startswith("__"):
            found = Named("object", name)
            self.uses.append(Use(found, call, False, reached=True))
            return found
        return Method(owner if isinstance(owner, str | bytes) else None, name)


def _plain(args: tuple[Value, ...]) -> list[Value]:
    return members(args)[:64]


def _hands_on(function: Any) -> bool:
    return isinstance(function, Named) and function.dotted in _FUNCTIONS


def _getattr(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if len(args) < 2:
        return UNKNOWN
    return run.attribute(args[0], args[1], call)


def _attrgetter(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    return Getter(args)


def _methodcaller(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    return Caller(args[0], args[1:]) if args else UNKNOWN


def _import(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if not args or not isinstance(args[0], str):
        run.unresolved.append(Unresolved(call, "the module's name could not be worked out"))
        return UNKNOWN
    found = Named(args[0], "")
    run.uses.append(Use(found, call, False, reached=True))
    return found


def _type_by_name(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    """dill's and cloudpickle's way to name a built-in type: what is done with it decides."""
    if not args or not isinstance(args[0], str):
        run.unresolved.append(Unresolved(call, "the type's name could not be worked out"))
        return UNKNOWN
    return Named("builtins" if hasattr(builtins, args[0]) else "types", args[0])


def _create_array(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    """`dill._dill._create_array(f, args, state, dict)` calls f(*args)."""
    return _apply_to(run, args, call)


def _partial(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if not args:
        return UNKNOWN
    if isinstance(args[0], Unknown):
        run.unresolved.append(Unresolved(call, "the function it wraps could not be worked out"))
    return Partial(args[0], args[1:])


def _apply_to(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if not args:
        return UNKNOWN
    given = args[1] if len(args) > 1 and isinstance(args[1], tuple) else ()
    return run.apply(args[0], given, call, direct=False)


def _call_with(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    return run.apply(args[0], args[1:], call, direct=False) if args else UNKNOWN


def _map(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if not args:
        return UNKNOWN
    columns = [a for a in args[1:] if isinstance(a, tuple)]
    rows = list(zip(*columns, strict=False))[:16] if columns else [()]
    return tuple(run.apply(args[0], row, call, direct=False) for row in rows or [()])


def _reduce(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if not args:
        return UNKNOWN
    items = list(args[1]) if len(args) > 1 and isinstance(args[1], tuple) else []
    if len(args) > 2:
        items.insert(0, args[2])
    result = items[0] if items else UNKNOWN
    if len(items) < 2:
        run.apply(args[0], (UNKNOWN, UNKNOWN), call, direct=False)
    for item in items[1:17]:
        result = run.apply(args[0], (result, item), call, direct=False)
    return result


def _getitem(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    if len(args) != 2:
        return UNKNOWN
    owner, key = args
    if isinstance(owner, Named) and owner.dotted in ("sys.modules", "builtins.__dict__"):
        if not isinstance(key, str):
            run.unresolved.append(Unresolved(call, "the module's name could not be worked out"))
            return UNKNOWN
        found = Named(key, "") if owner.dotted == "sys.modules" else Named("builtins", key)
        run.uses.append(Use(found, call, False, reached=True))
        return found
    if isinstance(owner, Named):
        return run.attribute(owner, key, call)
    try:
        return owner[key] if isinstance(owner, str | bytes | tuple) else UNKNOWN
    except (IndexError, TypeError):
        return UNKNOWN


def _construct(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    """`copyreg.__newobj__(cls, *args)` and `_reconstructor(cls, …)`: cls is what is called."""
    return run.apply(args[0], args[1:], call, direct=False) if args else UNKNOWN


def _rebuild_from_type(run: _Evaluation, args: tuple[Any, ...], call: Call) -> Any:
    """`torch._tensor._rebuild_from_type_v2(func, type, args, state)` calls func(*args)."""
    return (
        run.apply(args[0], args[2] if len(args) > 2 else (), call, direct=False)
        if args
        else UNKNOWN
    )


def follows(target: Named) -> bool:
    """Whether the evaluation knows what this function does with its arguments."""
    return target.dotted in _FUNCTIONS


def only_makes_text(target: Named) -> bool:
    """Whether the function only turns constants into others; what uses them is judged."""
    return target.dotted.replace("__builtin__", "builtins") in _TEXT


_Handler = Callable[[_Evaluation, tuple[Any, ...], Call], Any]

_FUNCTIONS: Final[dict[str, _Handler]] = {
    f"{module}.{name}": handler
    for modules, names in (
        (
            ("builtins", "__builtin__"),
            {
                "getattr": _getattr, "__import__": _import, "map": _map, "filter": _map,
                "apply": _apply_to, "reduce": _reduce,
            },
        ),
        (
            ("operator", "_operator"),
            {
                "attrgetter": _attrgetter, "methodcaller": _methodcaller, "getitem": _getitem,
                "call": _call_with,
            },
        ),
        (("functools", "_functools"), {"partial": _partial, "reduce": _reduce}),
        (
            ("importlib", "importlib._bootstrap"),
            {"import_module": _import, "__import__": _import, "_gcd_import": _import},
        ),
        (("itertools",), {"starmap": _map, "accumulate": _reduce}),
        (("copyreg", "copy_reg"), {"__newobj__": _construct, "_reconstructor": _construct}),
        (
            ("torch._tensor", "torch.tensor"),
            {"_rebuild_from_type_v2": _rebuild_from_type, "_rebuild_from_type": _rebuild_from_type},
        ),
        (("cloudpickle.cloudpickle",), {
            "subimport": _import, "_getattribute": _getattr, "_builtin_type": _type_by_name,
        }),
        (
            ("dill._dill", "dill.dill"),
            {
                "_import_module": _import,
                "_getattribute": _getattr,
                "_get_attr": _getattr,
                "_load_type": _type_by_name,
                "_create_array": _create_array,
            },
        ),
    )
    for module in modules
    for name, handler in names.items()
}  # fmt: skip


def _decode(data: Any, codec: Any = "utf-8", *_: Any) -> Any:
    if str(codec).lower().replace("-", "_") not in _CODECS:
        return UNKNOWN
    return codecs.decode(data, codec)


_CODECS: Final = frozenset(
    {"utf_8", "utf8", "ascii", "latin_1", "latin1", "rot13", "rot_13", "hex", "hex_codec",
     "base64", "base64_codec", "unicode_escape", "raw_unicode_escape", "utf_16", "utf_7", "cp437"}
)  # fmt: skip

for _codec in _CODECS:
    codecs.lookup(_codec)  # the jail cannot import it later

_TEXT: Final[dict[str, Callable[..., Any]]] = {
    "builtins.chr": chr,
    "builtins.str": lambda *a: str(*a) if isinstance(a[0], bytes) else str(a[0]),
    "builtins.bytes": lambda *a: bytes(a[0]) if isinstance(a[0], tuple) else bytes(*a),
    "builtins.bytearray": lambda *a: bytes(a[0]) if isinstance(a[0], tuple) else bytes(*a),
    "builtins.reversed": lambda a: a[::-1],
    "operator.add": lambda a, b: a + b,
    "operator.concat": lambda a, b: a + b,
    "operator.mod": lambda a, b: a % b,
    "_operator.add": lambda a, b: a + b,
    "_operator.concat": lambda a, b: a + b,
    "base64.b64decode": lambda a, *_: base64.b64decode(a),
    "base64.decodebytes": base64.decodebytes,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_base64": binascii.a2b_base64,
    "codecs.decode": _decode,
    "_codecs.decode": _decode,
    "_codecs.encode": lambda a, codec="utf-8", *_: a.encode(codec),
    "builtins.bytes.fromhex": bytes.fromhex,
}
_METHODS: Final = frozenset(
    {"join", "decode", "encode", "replace", "lower", "upper", "strip", "lstrip", "rstrip",
     "__add__", "title", "swapcase", "capitalize", "removeprefix", "removesuffix", "__getitem__",
     "format", "split", "fromhex"}
)  # fmt: skip


def _small(value: Any, depth: int = 2) -> bool:
    if isinstance(value, str | bytes):
        return len(value) <= TEXT_LIMIT
    if isinstance(value, tuple):
        return len(value) <= 256 and depth > 0 and all(_small(v, depth - 1) for v in value)
    return isinstance(value, int | slice) and (isinstance(value, slice) or abs(value) <= TEXT_LIMIT)


def _constant(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """A pure string function on small constants; anything that goes wrong is not known."""
    if not args or not all(_small(a) for a in args):
        return UNKNOWN
    if any(isinstance(a, str) and "%" in a and any(c.isdigit() for c in a) for a in args):
        return UNKNOWN  # a field width could ask for gigabytes
    try:
        result = function(*args)
    except Exception:  # what a pure function cannot take, the loader would fail on as well
        return UNKNOWN
    return result if _small(result) else UNKNOWN


def _method(method: Method, args: tuple[Any, ...]) -> Any:
    if method.owner is None or method.name not in _METHODS or not _small(method.owner):
        return UNKNOWN
    if method.name in ("format", "encode", "decode") and (
        (method.name == "format" and any(c in str(method.owner) for c in ":.[!"))
        or (
            args
            and method.name != "format"
            and str(args[0]).lower().replace("-", "_") not in _CODECS
        )
    ):
        return UNKNOWN
    owner = method.owner
    return _constant(lambda first, *rest: getattr(owner, method.name)(*rest), (owner, *args))


class Reading(Struct, frozen=True):
    """What loading a pickle comes to."""

    uses: tuple[Use, ...]
    unresolved: tuple[Unresolved, ...]


@lru_cache(maxsize=2)
def read(pickle: Pickle) -> Reading:
    """Every name that loading the pickle reaches, in order, and what could not be worked out."""
    run = _Evaluation()
    called: set[int] = set()
    for call in pickle.calls:
        run.value(call)
        if isinstance(call.callee, Global) and call.how not in _STATEFUL:
            called.add(id(call.callee))
    for name in pickle.imports:
        if id(name) in called:
            continue
        target = run.value(name)
        if isinstance(target, Named):
            run.uses.append(Use(target, name, False))
        else:
            run.unresolved.append(Unresolved(name, "its name could not be worked out"))
    return Reading(tuple(run.uses), tuple(run.unresolved))


_STATEFUL: Final = frozenset({"BUILD", "SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS"})


def state_changes(pickle: Pickle) -> Iterator[tuple[Call, Named]]:
    """BUILD and SETITEM on something that was imported, not made: they change the interpreter."""
    run = _Evaluation()
    for call in pickle.calls:
        if call.how in _STATEFUL:
            target = run.value(call.callee)
        elif call.state is not None:
            target = run.value(call)
        else:
            continue
        if isinstance(target, Named):
            yield call, target


# -- showing it -----------------------------------------------------------------------------------


def display(value: Value, depth: int = 3) -> str:
    """A symbolic value as a reader would write it, shortened to about 80 characters."""
    if isinstance(value, Global):
        return f"{_part(value.module, depth)}.{_part(value.name, depth)}"
    if isinstance(value, Call):
        return f"{display(value.callee, depth - 1)}(…)" if depth else "…"
    if isinstance(value, Long):
        return f"<{value.length:,} bytes of {value.kind}>"
    if isinstance(value, PersistentId):
        return "<persistent id>"
    if isinstance(value, Extension):
        return f"<extension {value.code}>"
    if isinstance(value, tuple):
        inner = ", ".join(display(v, depth - 1) for v in members(value)[:4]) if depth else "…"
        return f"({inner}{', …' if len(value) > 4 else ''})"
    if isinstance(value, Mutable):
        return f"<{value.kind}>"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "<large number>"
    return text if len(text) <= 80 else text[:77] + "…" + text[:1]


def _part(value: Value, depth: int) -> str:
    """A module or attribute name; what is computed is shown in angle brackets."""
    if isinstance(value, str):
        return value
    return f"<{display(value, depth - 1)}>" if depth else "<…>"


TREE_NODES: Final = 48


def tree(source: Call | Global, reason: str) -> CallNode:
    """The call and the calls that feed it, as evidence: at most `TREE_NODES` of them."""
    return _node(source, reason, 6, [TREE_NODES])


def _node(source: Call | Global, reason: str, depth: int, left: list[int]) -> CallNode:
    left[0] -= 1
    name = display(source if isinstance(source, Global) else source.callee)
    if isinstance(source, Global):
        feeding = list(_calls_in(source, 2))
        arguments: tuple[str, ...] = ()
    else:
        feeding = [c for p in (source.callee, *_plain(source.args)[:8]) for c in _calls_in(p, 2)]
        arguments = tuple(display(a) for a in _plain(source.args)[:6])
        if len(source.args) > 6:
            arguments += (f"… {len(source.args) - 6:,} more",)
    calls = tuple(_node(call, "", depth - 1, left) for call in feeding[:8] if depth and left[0] > 0)
    return CallNode(
        name=name,
        how=source.how,
        offset=source.offset,
        arguments=arguments,
        calls=calls,
        reason=reason,
        accused=bool(reason),
    )


def _calls_in(value: Value, depth: int) -> Iterator[Call]:
    if isinstance(value, Call):
        yield value
    elif depth and isinstance(value, tuple | Mutable):
        for member in members(value)[:8]:
            yield from _calls_in(member, depth - 1)
    elif depth and isinstance(value, Global):
        for part in (value.module, value.name):
            yield from _calls_in(part, depth - 1)


__all__ = [
    "Named", "Reading", "Unresolved", "Use", "display", "follows", "read", "state_changes", "tree",
]  # fmt: skip
