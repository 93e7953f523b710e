"""What expressions of Python source come to, where that can be told without running them.

Two questions are answered of an expression: which constant it is (`fold`: strings that are put
together, decoded, reversed, unpacked), and which importable name it is (`resolve`: through imports,
assignments, `getattr`, `__import__`, `sys.modules` and their kin).
"""

from __future__ import annotations

import ast
import base64
import binascii
import builtins
import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.regex import regex
from weighbridge.intel.source_calls import effects

LONGEST: Final = 1 << 20
"""No constant longer than this many bytes or characters is put together."""
DEPTH: Final = 60
STEPS: Final = 2_000_000
"""Expressions looked at in one file: nested look-ups could otherwise double with each level."""
FORMATTED: Final = 10_000
"""Longest template, and longest arguments, of `%` and `format`."""
_WIDTH: Final = regex(r"\d{5,}|\*")


class Unfoldable(Exception):
    """The expression is no constant."""


class Path(Struct, frozen=True):
    """An importable name. `built`: the source does not spell it, it is put together or looked up.

    `made`: the expression is what calling the name gave, or an attribute of that.
    """

    dotted: str
    built: bool = False
    made: bool = False


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj(47).decompress(data, LONGEST)


def _bunzip(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, LONGEST)


def _unxz(data: bytes) -> bytes:
    return lzma.LZMADecompressor(memlimit=64 << 20).decompress(data, LONGEST)


def _base64(data: str | bytes) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return base64.b64decode(raw.translate(bytes.maketrans(b"-_", b"+/")) + b"===", validate=False)


def _codec(data: str | bytes, name: Any = "utf-8", *rest: Any) -> str | bytes:
    kind = str(name).replace("_", "").replace("-", "").lower()
    if kind in ("rot13", "rot_13"):
        return codecs.decode(data if isinstance(data, str) else data.decode(), "rot13")
    if kind in ("hex", "hexcodec", "base64", "base64codec"):
        raw = data.encode() if isinstance(data, str) else data
        return binascii.unhexlify(raw) if kind.startswith("hex") else _base64(raw)
    if isinstance(data, bytes) and kind in ("utf8", "ascii", "latin1", "utf16"):
        return data.decode(kind)
    raise Unfoldable


DECODERS: Final[dict[str, Callable[..., Any]]] = {
    "base64.b64decode": lambda data, *_: _base64(data),
    "base64.urlsafe_b64decode": _base64,
    "base64.standard_b64decode": _base64,
    "base64.decodebytes": _base64,
    "base64.b32decode": lambda data, *_: base64.b32decode(data),
    "base64.b16decode": lambda data, *_: base64.b16decode(data),
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": lambda data, *_: base64.a85decode(data),
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.unhexlify,
    "binascii.a2b_base64": lambda data, *_: _base64(data),
    "builtins.bytes.fromhex": bytes.fromhex,
    "builtins.bytearray.fromhex": bytes.fromhex,
    "codecs.decode": _codec,
    "zlib.decompress": lambda data, *_: _inflate(data),
    "gzip.decompress": lambda data, *_: _inflate(data),
    "bz2.decompress": _bunzip,
    "lzma.decompress": lambda data, *_: _unxz(data),
}
"""Functions that turn a constant into what it hides."""
_PLAIN: Final[dict[str, Callable[..., Any]]] = {
    "builtins.chr": chr,
    "builtins.ord": ord,
    "builtins.str": lambda value="", encoding="utf-8", *_: (
        value.decode(encoding) if isinstance(value, bytes) else str(value)
    ),
    "builtins.bytes": lambda value=b"", encoding="utf-8", *_: (
        value.encode(encoding)
        if isinstance(value, str)
        else b"".join([value, b""])
        if isinstance(value, bytes)
        else bytes(list(value))
    ),
    "builtins.reversed": lambda value: value[::-1],
    "builtins.list": list,
    "builtins.int": int,
}
_METHODS: Final = frozenset(
    {"join", "replace", "lower", "upper", "strip", "lstrip", "rstrip", "decode", "encode", "title",
     "format", "swapcase", "removeprefix", "removesuffix", "split", "hex"}
)  # fmt: skip


_TAUGHT: Final = frozenset({
    ast.Import, ast.ImportFrom, ast.arg, ast.Call, ast.FunctionDef, ast.AsyncFunctionDef,
    ast.ClassDef, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.NamedExpr, ast.withitem,
})  # fmt: skip
"""The nodes that names are learnt from."""
_SPELLED: Final = frozenset({"format", "strip", "lstrip", "rstrip", "encode", "decode", "lower"})
"""Methods of a text that hide nothing of it."""
_GLOBALS: Final = ("__globals__", "func_globals", "f_globals", "f_builtins")


class Names(Struct):
    """What a file's names stand for: `paths` importable things, `constants` expressions.

    `defined` are its functions and classes, `bound` the parameters of those, `stars` the modules
    that it imports everything from.
    """

    paths: dict[str, Path] = {}
    constants: dict[str, ast.expr] = {}
    defined: set[str] = set()
    bound: set[str] = set()
    stars: list[str] = []
    steps: int = 0

    def learn(self, tree: ast.AST, nodes: Iterable[ast.AST] | None = None) -> None:
        """Read the imports and single assignments of a file, wherever in it they stand.

        A name that is assigned twice stands for nothing, unless every assignment is an import.
        `nodes` are those of the tree, where they are at hand.
        """
        assigned: dict[str, int] = {}
        values: dict[str, ast.expr] = {}
        for node in ast.walk(tree) if nodes is None else nodes:
            if type(node) not in _TAUGHT:
                continue
            if isinstance(node, ast.Call):
                if type(node.func) is not ast.Lambda:
                    continue
                for argument, given in zip(node.func.args.args, node.args, strict=False):
                    assigned[argument.arg] = assigned.get(argument.arg, 0) + 1
                    values[argument.arg] = given
            elif isinstance(node, ast.Assign):
                if len(node.targets) > 1:
                    continue
                for target, value in _pairs(node.targets[0], node.value):
                    if isinstance(target, ast.Name):
                        assigned[target.id] = assigned.get(target.id, 0) + 1
                        values[target.id] = value
            elif isinstance(node, ast.arg):
                self.bound.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.defined.add(node.name)
            elif isinstance(node, ast.Import):
                for item in node.names:
                    bound = item.asname or item.name.partition(".")[0]
                    self.paths[bound] = Path(item.name if item.asname else bound)
            elif isinstance(node, ast.ImportFrom):
                for item in node.names if not node.level else ():
                    if item.name == "*" and node.module:
                        self.stars.append(node.module)
                    self.paths[item.asname or item.name] = Path(f"{node.module}.{item.name}")
            elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
                if isinstance(node.target, ast.Name) and node.value is not None:
                    extra = 2 if isinstance(node, ast.AugAssign) else 1
                    assigned[node.target.id] = assigned.get(node.target.id, 0) + extra
                    values[node.target.id] = node.value
            elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
                name = node.optional_vars.id
                assigned[name] = assigned.get(name, 0) + 1
                values[name] = node.context_expr
        self.constants = {n: v for n, v in values.items() if assigned[n] == 1}
        for name, value in values.items():
            if name in self.paths:
                continue
            found = self.resolve(value)
            if found is not None and (assigned[name] == 1 or found.made):
                self.paths[name] = found

    # -- importable names -------------------------------------------------------------------------

    def resolve(self, node: ast.AST, depth: int = 0) -> Path | None:
        """Which importable name an expression is, or None."""
        self.steps += 1
        if depth > DEPTH or self.steps > STEPS:
            return None
        if isinstance(node, ast.Name):
            known = self.paths.get(node.id)
            if known is not None:
                return known
            if node.id == "__builtins__":
                return Path("builtins")
            if node.id in self.defined:
                return None
            if not hasattr(builtins, node.id):
                starred = (f"{module}.{node.id}" for module in self.stars)
                return next((Path(dotted) for dotted in starred if effects(dotted)), None)
            return Path(f"builtins.{node.id}")
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value, depth + 1)
            if owner is None:
                return None
            if node.attr == "__builtins__":
                return Path("builtins", True)
            return Path(f"{owner.dotted}.{node.attr}", owner.built, owner.made)
        if isinstance(node, ast.Subscript):
            return self._looked_up(node, depth)
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        if isinstance(node, ast.NamedExpr | ast.Await):
            return self.resolve(node.value, depth + 1)
        if isinstance(node, ast.IfExp):
            return self.resolve(node.body, depth + 1) or self.resolve(node.orelse, depth + 1)
        if isinstance(node, ast.BoolOp):
            found = (self.resolve(value, depth + 1) for value in node.values)
            return next((path for path in found if path is not None), None)
        return None

    def callee(self, node: ast.Call) -> Path | None:
        """Which importable name a call calls, also through `operator.methodcaller`."""
        inner = node.func
        if isinstance(inner, ast.Call) and inner.args and node.args:
            maker = self.resolve(inner.func)
            if maker is not None and maker.dotted == "operator.methodcaller":
                owner, name = self.resolve(node.args[0]), self.constant(inner.args[0])
                if owner is not None and isinstance(name, str):
                    return Path(f"{owner.dotted}.{name}", True)
        return self.resolve(inner)

    def _looked_up(self, node: ast.Subscript, depth: int) -> Path | None:
        """`sys.modules["os"]`, `__builtins__["exec"]`, `globals()["eval"]`, `x.__dict__["y"]`,
        `[os.system][0]`."""
        element = self._element(node, depth)
        if element is not None:
            return self.resolve(element, depth + 1)
        owner = self.resolve(node.value, depth + 1)
        key = self.constant(node.slice, depth + 1)
        if not isinstance(key, str):
            return None
        if isinstance(node.value, ast.Attribute) and node.value.attr in _GLOBALS:
            if key == "__builtins__":
                return Path("builtins", True)
            if owner is None and effects(f"os.{key}"):
                return Path(f"os.{key}", True)  # whichever module's they are
        if owner is None:
            return None
        if owner.dotted == "sys.modules":
            return Path(key, True)
        if owner.dotted in ("builtins", "builtins.globals"):
            return Path("builtins" if key == "__builtins__" else f"builtins.{key}", True)
        if owner.dotted.endswith(".__dict__"):
            return Path(f"{owner.dotted.removesuffix('.__dict__')}.{key}", True)
        if owner.dotted.endswith(".__globals__"):
            return Path("builtins" if key == "__builtins__" else f"builtins.{key}", True)
        return None

    def _element(self, node: ast.Subscript, depth: int) -> ast.expr | None:
        """The element of a list, tuple or dict that is spelled out."""
        value: ast.expr | None = node.value
        if isinstance(value, ast.Name):
            value = self.constants.get(value.id)
        if isinstance(value, ast.List | ast.Tuple):
            index = self.constant(node.slice, depth + 1)
            if isinstance(index, int) and -len(value.elts) <= index < len(value.elts):
                return value.elts[index]
        elif isinstance(value, ast.Dict):
            wanted = self.constant(node.slice, depth + 1)
            for key, item in zip(value.keys, value.values, strict=True):
                if (
                    key is not None
                    and wanted is not None
                    and (self.constant(key, depth + 1) == wanted)
                ):
                    return item
        return None

    def _called(self, node: ast.Call, depth: int) -> Path | None:
        inner = node.func
        if isinstance(inner, ast.Call) and inner.args and node.args:
            maker = self.resolve(inner.func, depth + 1)
            if maker is not None and maker.dotted == "operator.attrgetter":
                owner, name = self.resolve(node.args[0], depth + 1), self.constant(inner.args[0])
                if owner is not None and isinstance(name, str):
                    return Path(f"{owner.dotted}.{name}", True)
        function = self.resolve(node.func, depth + 1)
        if function is None:
            return None
        dotted = function.dotted
        if dotted == "builtins.getattr" and len(node.args) >= 2:
            owner = self.resolve(node.args[0], depth + 1)
            name = self.constant(node.args[1], depth + 1)
            if owner is None or not isinstance(name, str):
                return None
            return Path(f"{owner.dotted}.{name}", True)
        if dotted in ("builtins.__import__", "importlib.import_module", "importlib.__import__"):
            name = self.constant(node.args[0], depth + 1) if node.args else None
            if not isinstance(name, str):
                return None
            spelled = isinstance(node.args[0], ast.Constant) and dotted != "builtins.__import__"
            return Path(name, not spelled)
        if dotted == "builtins.vars" and node.args:
            owner = self.resolve(node.args[0], depth + 1)
            return None if owner is None else Path(f"{owner.dotted}.__dict__", True)
        if dotted in ("builtins.globals", "builtins.locals"):
            return Path("builtins.globals")
        if dotted in ("functools.partial", "operator.attrgetter") and node.args:
            return self.resolve(node.args[0], depth + 1)
        return Path(dotted, function.built, True)

    # -- constants ------------------------------------------------------------------------------

    def constant(self, node: ast.AST, depth: int = 0) -> Any:
        """The constant that an expression is, or None where it is none."""
        try:
            return self.fold(node, depth)
        except Unfoldable:
            return None

    def fold(self, node: ast.AST, depth: int = 0) -> Any:
        """The constant that an expression is. Raises `Unfoldable`; never runs anything of it."""
        self.steps += 1
        if depth > DEPTH or self.steps > STEPS:
            raise Unfoldable
        try:
            value = self._fold(node, depth)
        except Unfoldable:
            raise
        except Exception:  # the functions above meet arguments of any kind
            raise Unfoldable from None
        if isinstance(value, str | bytes | list | tuple) and len(value) > LONGEST:
            raise Unfoldable
        return value

    def _fold(self, node: ast.AST, depth: int) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            value = self.constants.get(node.id)
            if value is None:
                raise Unfoldable
            return self.fold(value, depth + 10)
        if isinstance(node, ast.List | ast.Tuple):
            return [self.fold(item, depth + 1) for item in node.elts]
        if isinstance(node, ast.JoinedStr):
            return "".join(
                str(self.fold(v.value if isinstance(v, ast.FormattedValue) else v, depth + 1))
                for v in node.values
            )
        if isinstance(node, ast.BinOp):
            return _operate(
                node.op, self.fold(node.left, depth + 1), self.fold(node.right, depth + 1)
            )
        if isinstance(node, ast.Subscript):
            element = self._element(node, depth)
            if element is not None:
                return self.fold(element, depth + 1)
            return self.fold(node.value, depth + 1)[self._index(node.slice, depth)]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.fold(node.operand, depth + 1)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self._comprehension(node, depth)
        if isinstance(node, ast.Call):
            return self._fold_call(node, depth)
        raise Unfoldable

    def _index(self, node: ast.expr, depth: int) -> Any:
        if not isinstance(node, ast.Slice):
            return self.fold(node, depth + 1)
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if e is None else self.fold(e, depth + 1) for e in ends))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, depth: int) -> list[Any]:
        """`chr(x ^ 5) for x in [...]`: one loop over constants, without conditions."""
        loop = node.generators[0]
        if len(node.generators) > 1 or loop.ifs or not isinstance(loop.target, ast.Name):
            raise Unfoldable
        items = self.fold(loop.iter, depth + 1)
        if len(items) > 50_000:
            raise Unfoldable
        name, before = loop.target.id, self.constants.get(loop.target.id)
        made = []
        try:
            for item in items:
                self.constants[name] = ast.Constant(item)
                made.append(self.fold(node.elt, depth + 1))
        finally:
            if before is None:
                del self.constants[name]
            else:
                self.constants[name] = before
        return made

    def _fold_call(self, node: ast.Call, depth: int) -> Any:
        function = self.resolve(node.func, depth + 1)
        if function is not None and not node.keywords:
            if function.dotted == "builtins.map" and len(node.args) == 2:
                inner = self.resolve(node.args[0], depth + 1)
                if inner is not None and inner.dotted in _PLAIN:
                    apply = _PLAIN[inner.dotted]
                    return [apply(item) for item in self.fold(node.args[1], depth + 1)]
            known = DECODERS.get(function.dotted) or _PLAIN.get(function.dotted)
            if known is not None:
                return known(*(self.fold(a, depth + 1) for a in node.args))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            owner = self.fold(node.func.value, depth + 1)
            if not isinstance(owner, str | bytes):
                raise Unfoldable
            args = [self.fold(a, depth + 1) for a in node.args]
            if node.func.attr == "decode" and isinstance(owner, bytes):
                return _codec(owner, *args)
            _affordable(node.func.attr, owner, args)
            if node.keywords:
                raise Unfoldable
            return getattr(owner, node.func.attr)(*args)
        raise Unfoldable

    def is_spelled(self, node: ast.AST, depth: int = 0) -> bool:
        """Whether the source shows a constant as it is, at most cut into pieces."""
        if depth > DEPTH:
            return False
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            value = self.constants.get(node.id)
            return value is not None and self.is_spelled(value, depth + 1)
        if isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.List | ast.Tuple):
            parts = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]
            return all(self.is_spelled(part, depth + 1) for part in parts)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod | ast.Mult):
            return self.is_spelled(node.left, depth + 1) and self.is_spelled(node.right, depth + 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            plain = node.func.attr in _SPELLED and self.resolve(node.func) is None
            parts = [node.func.value, *node.args]
            return plain and all(self.is_spelled(part, depth + 1) for part in parts)
        return False


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What is assigned to what: `a, b = 1, 2` are two assignments."""
    several = ast.Tuple | ast.List
    if (
        isinstance(target, several)
        and isinstance(value, several)
        and len(target.elts) == len(value.elts)
    ):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _affordable(method: str, owner: str | bytes, args: list[Any]) -> None:
    """Raise `Unfoldable` where a method's result could be far longer than what goes into it."""
    if method == "format":
        template = owner.decode("latin-1") if isinstance(owner, bytes) else owner
        if (
            max(len(template), len(str(args))) > FORMATTED
            or _WIDTH.search(template)
            or "__" in template
        ):
            raise Unfoldable
    elif method == "replace" and len(args) > 1:
        if len(owner) * (1 + len(args[1])) > LONGEST:
            raise Unfoldable
    elif method == "join" and args:
        parts = args[0]
        if sum(map(len, parts)) + len(owner) * len(parts) > LONGEST:
            raise Unfoldable


def _operate(operator: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Mult):
        size = len(left) if isinstance(left, str | bytes | list) else abs(left)
        times = len(right) if isinstance(right, str | bytes | list) else abs(right)
        if size * times > LONGEST:
            raise Unfoldable
        return left * right
    if isinstance(operator, ast.Mod) and isinstance(left, str):
        _affordable("format", left, [right])
        return left % (tuple(right) if isinstance(right, list) else right)
    if isinstance(operator, ast.BitXor):
        return left ^ right
    if isinstance(operator, ast.Sub):
        return left - right
    raise Unfoldable
