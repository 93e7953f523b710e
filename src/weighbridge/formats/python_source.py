"""Python source: a file, TorchScript's own code, or a string of another artifact that is code.

It is parsed with `ast` and never compiled further; encoding by PEP 263. TorchScript's serialised
code (torch/csrc/jit/serialization/python_print.cpp) keeps Python's grammar.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter
from types import NoneType
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.fact import Installs
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held, Reference
from weighbridge.formats import project
from weighbridge.formats.payload import CONCEALED, EMBEDDED, is_code, payloads
from weighbridge.formats.text import Written, file_name, text_kind

SOURCE_LIMIT: Final = 2 << 20
"""In bytes: the syntax tree takes about a hundred times as much."""
PAYLOADS_KEPT: Final = 50
TORCHSCRIPT: Final = "torchscript-code"


class PythonSource(Written, frozen=True, kw_only=True, eq=False):
    """A module's text and syntax tree.

    `role` says what it is where it is no file: `torchscript-code`, or `embedded` in a string, or
    `concealed` in one that had to be decoded.
    """

    text: str
    tree: ast.Module
    role: str

    def walk(self) -> Iterator[Blob | Gap]:
        """What its constants hide: pickles, archives, compiled code, also in base64."""
        kept = 0
        for node in nodes(self).texts:
            data = node.value if isinstance(node.value, bytes) else _raw(str(node.value))
            if len(data) < 22:
                continue
            for payload in payloads(data, node.lineno):
                yield Held(f"{payload.how} in line {node.lineno}", payload.data, payload.role)
                kept += 1
                if kept == PAYLOADS_KEPT:
                    return

    def refers(self) -> Iterator[Reference]:
        """The files that its relative imports name."""
        if self.role or not _RELATIVE.search(self.text):
            return
        for node in nodes(self).all:
            if type(node) is not ast.ImportFrom or not node.level:
                continue
            up = "../" * (node.level - 1)
            if node.module:
                path = f"{up}{node.module.replace('.', '/')}.py"
                yield Reference(at=self.where, path=path, what="import", kind="code")
            else:
                for item in node.names:
                    path = f"{up}{item.name}.py"
                    yield Reference(at=self.where, path=path, what="import", kind="candidate")

    def facts(self) -> Iterator[Installs]:
        """What a `setup.py` has installed."""
        if not self.role and file_name(self.where.path) == "setup.py":
            asked = project.setup_script(self.tree, self.text, self.where)
            if asked is not None:
                yield asked

    def line(self, node: ast.AST) -> str:
        """The source line that a node begins on, without its indentation."""
        lines = self.text.splitlines()
        at = getattr(node, "lineno", 1) - 1
        return lines[at].strip() if at < len(lines) else ""


_RELATIVE: Final = regex(r"from\s*\\?\s*\.")


_BARE: Final = frozenset({
    "ctx", "op", "ops", "id", "attr", "arg", "module", "level", "type_comment", "kind",
    "conversion", "str", "simple", "is_async", "asname", "name", "type_ignores", "rest",
    "kwd_attrs", "tag",
})  # fmt: skip
"""Fields that hold no node, or one without content (an operator, a context)."""
_HOLED: Final = frozenset({"keys", "kw_defaults", "names"})
"""Fields that hold lists in which something else can stand than nodes."""
_CHILDREN: Final = {
    kind: tuple(field for field in kind._fields if field not in _BARE)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
} | {ast.MatchSingleton: ()}  # its value is none, true or false, and no node
_LEAVES: Final = frozenset({ast.Name, ast.Constant})
_SKIPPED: Final = frozenset({ast.Name, NoneType, str})
"""Names, and what stands where no node is."""
_FUNCTIONS: Final = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})


def _nothing(node: ast.AST) -> tuple[()]:
    return ()


_HELD: Final[dict[type, Callable[[ast.AST], Any]]] = {
    kind: attrgetter(*fields) if fields else _nothing
    for kind, of_kind in _CHILDREN.items()
    for fields in [[f for f in of_kind if f != "body" or kind not in _FUNCTIONS]]
}
"""By kind of node: what gives what is right below one (one field, or a tuple of several), without
the bodies of functions."""


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one, in the order of the text, without operators and contexts."""
    found: list[ast.AST] = []
    for field in _CHILDREN[type(node)]:
        value = getattr(node, field, None)
        if type(value) is list:
            if field in _HOLED:
                found += [item for item in value if isinstance(item, ast.AST)]
            else:
                found += value
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one in the order of `ast.walk`, without names, constants, operators and
    contexts."""
    waiting: deque[ast.AST] = deque((tree,))
    while waiting:
        node = waiting.popleft()
        yield node
        waiting.extend([n for n in children(node) if type(n) not in _LEAVES])


class Nodes(Struct, frozen=True):
    """The nodes of a tree, without names, constants, operators and contexts. Those of a function's
    body stand together, without those of functions within it: `scopes` says from where to where,
    the module (without a name) first. `texts` are the constants that are texts or bytes, `bare` the
    identities of those that are statements of their own, as documentation is."""

    all: tuple[ast.AST, ...]
    scopes: tuple[tuple[str, int, int], ...]
    texts: tuple[ast.Constant, ...]
    bare: frozenset[int]


@lru_cache(maxsize=1)
def nodes(source: PythonSource) -> Nodes:
    """The nodes of its tree, gathered once for all who ask."""
    return gather(source.tree)


def gather(tree: ast.Module) -> Nodes:
    """The nodes of a tree, in one walk."""
    found: list[ast.AST] = []
    texts: list[ast.Constant] = []
    bare: set[int] = set()
    scopes: list[tuple[str, int, int]] = []
    functions: deque[tuple[str, list[ast.stmt]]] = deque([("", tree.body)])
    while functions:
        name, body = functions.popleft()
        start = len(found)
        waiting: list[Any] = list(body)
        while waiting:
            node = waiting.pop()
            kind = type(node)
            if kind in _SKIPPED:
                continue
            if kind is ast.Constant:
                if type(node.value) is str or type(node.value) is bytes:
                    texts.append(node)
                continue
            found.append(node)
            if kind in _FUNCTIONS:
                functions.append((node.name, node.body))
            elif kind is ast.Expr and type(node.value) is ast.Constant:
                bare.add(id(node.value))
            held = _HELD[kind](node)
            for value in held if type(held) is tuple else (held,):
                if type(value) is list:
                    waiting += value
                else:
                    waiting.append(value)
        scopes.append((name, start, len(found)))
    return Nodes(tuple(found), tuple(scopes), tuple(texts), frozenset(bare))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _sniff(sample: Sample) -> bool:
    if sample.blob.role == TORCHSCRIPT:
        return True
    return text_kind(sample) == "python" or (
        sample.blob.role in (EMBEDDED, CONCEALED) and is_code(sample.head)
    )


def read_tree(data: bytes) -> tuple[str, ast.Module]:
    """Decode and parse. Raises `Malformed` where that is no Python 3, or nested too deeply."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).replace("\r\n", "\n")
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise Malformed(f"its encoding cannot be read: {str(error)[:100]}", 0) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return text, ast.parse(text)
    except SyntaxError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        why = f"line {error.lineno} is not Python 3 as {version} reads it: {error.msg}"
        raise Malformed(f"{why[:160]}{_newer(error)}", None) from None
    except (ValueError, RecursionError, MemoryError) as error:
        why = f"it cannot be parsed: {type(error).__name__}: {str(error)[:80]}"
        raise Malformed(why, None) from None


_GENERIC: Final = regex(r"\s*(?:(?:async )?def|class) +\w+ *\[|\s*type +\w+")


def _newer(error: SyntaxError) -> str:
    """Which newer Python a line that cannot be read looks like, to follow a reason."""
    if sys.version_info >= (3, 12):
        return ""
    what = "type parameters" if _GENERIC.match(error.text or "") else ""
    what = what or ("an f-string" if error.msg.startswith("f-string") else "")
    return f" (it may be {what} of Python 3.12)" if what else ""


def _parse(blob: Blob, where: Location, limits: Limits) -> PythonSource:
    if blob.size > SOURCE_LIMIT:
        raise Malformed(f"source above {SOURCE_LIMIT:,} bytes is not read", SOURCE_LIMIT)
    data = blob.read(0, blob.size)
    gaps: tuple[Gap, ...] = ()
    try:
        text, tree = read_tree(data)
    except Malformed as error:
        if blob.role != TORCHSCRIPT:
            raise
        # Its container says that this is code: what cannot be read of it is not raw data.
        gaps = (Gap(kind=GapKind.MALFORMED, message=error.why, at=where),)
        text, tree = "", ast.Module(body=[], type_ignores=[])
    if blob.role in (EMBEDDED, CONCEALED) and not any(
        isinstance(n, ast.Call) for n in ast.walk(tree)
    ):
        raise Malformed("a text that calls nothing is not a program", 0)
    return PythonSource(
        where=where,
        size=blob.size,
        seen=len(data),
        gaps=gaps,
        blob=blob,
        text=text,
        tree=tree,
        role=blob.role,
    )


PYTHON = Format(
    name="python",
    title="Python source",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=PythonSource,
    limits="Up to 2 MiB, Python 3 only; what is neither is a gap. Names that are computed at run "
    "time are followed where they come from constants.",
)
