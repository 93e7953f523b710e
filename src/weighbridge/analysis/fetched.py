"""Which values of a file came over a network, followed through names, files and simple functions.

A value that a download returns, the file that it writes, and what is read of either is *fetched*;
what a function of the file returns of it is as well. Anything else that is made of it is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from typing import Final

import msgspec

from weighbridge.analysis.commands import downloaded, started
from weighbridge.analysis.python_spelling import (
    UNKNOWN,
    argument,
    filed,
    is_commit,
    keyword,
    spelled,
)
from weighbridge.analysis.python_values import Names
from weighbridge.formats.python_source import Nodes
from weighbridge.intel.source_calls import effects
from weighbridge.intel.training_calls import lists

CHAIN: Final = 100
"""How many expressions within each other are followed."""
WAY: Final = 8
"""How many steps of the way of a value are kept."""
STEP: Final = 160
_THROUGH: Final = frozenset(
    {"builtins.open", "builtins.str", "builtins.bytes", "io.BytesIO", "io.StringIO", "io.open",
     "pathlib.Path", "os.path.join", "os.path.abspath", "os.path.expanduser", "os.fspath",
     "gzip.open", "bz2.open", "lzma.open", "gzip.decompress", "zlib.decompress", "bz2.decompress",
     "base64.b64decode", "zipfile.ZipFile", "tarfile.open", "builtins.next", "builtins.iter",
     "builtins.memoryview", "gzip.GzipFile", "mmap.mmap", "textwrap.dedent", "copy.copy"}
)  # fmt: skip
"""What gives on what it is given."""
_DIGESTS: Final = frozenset({"known_hash", "file_hash", "md5_hash", "hash_prefix"})
"""Keywords of downloads that name the digest to compare with."""
_RECEIVES: Final = frozenset(
    {"recv", "recvfrom", "recv_multipart", "recv_string", "recvmsg", "get_data", "receive_bytes"}
)
_NETWORKED: Final = ("socket", "zmq", "websocket", "websockets", "flask", "fastapi", "starlette",
                     "aiohttp", "grpc", "pika", "kafka", "redis", "paho", "nats")  # fmt: skip


_WRITES: Final = frozenset({"write", "write_bytes", "copyfileobj"})
_PATHS: Final = frozenset({ast.Constant, ast.Name, ast.JoinedStr, ast.BinOp, ast.Call})
"""The expressions that a path can be put together by."""


class Fetched(msgspec.Struct, frozen=True):
    """Where a value came from: `source` is the address or repository as far as it is spelled.

    `pinned`: a full commit is named; `checked`: a digest is compared; `received`: it came from
    whoever connected; `hub`: from a hub of models. `way` are the lines that it went through, with
    what happens there.
    """

    source: str
    pinned: bool = False
    checked: bool = False
    received: bool = False
    hub: bool = False
    way: tuple[tuple[int, str], ...] = ()

    def on(self, node: ast.AST, does: str) -> Fetched:
        """The same value one step further."""
        step = (getattr(node, "lineno", 1), does[:STEP])
        if step in self.way or len(self.way) >= WAY:
            return self
        return msgspec.structs.replace(self, way=(*self.way, step))


class Scope(msgspec.Struct):
    """The nodes of a function without those of functions within it; `name` empty: the module."""

    name: str
    nodes: list[ast.AST]


_KEPT: Final = frozenset({
    ast.Call, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem, ast.For, ast.AsyncFor,
    ast.Return, ast.arguments,
})  # fmt: skip


def scopes(nodes: Nodes) -> list[Scope]:
    """The module and each of its functions, about as they stand in the text, with the nodes that
    values flow through."""
    module, *functions = nodes.scopes
    return [
        Scope(name, [n for n in reversed(nodes.all[start:end]) if type(n) in _KEPT])
        for name, start, end in (module, *reversed(functions))
    ]


@cache
def _writers() -> frozenset[str]:
    """The last parts of the names of what downloads into a file."""
    return frozenset(n.rpartition(".")[2] for n, where in lists().downloads.items() if where)


class Flow:
    """What is fetched in one file. `of(node, scope)` asks it of an expression."""

    def __init__(self, names: Names, found: list[Scope]) -> None:
        self.names = names
        self.scopes = found
        self.whole = True
        self.networked = any(p.dotted.partition(".")[0] in _NETWORKED for p in names.paths.values())
        self.attributes: dict[str, Fetched] = {}
        self.returns: dict[str, Fetched] = {}
        self.files: dict[str, Fetched] = {}
        """By the path as it is spelled: what one function writes, another one reads."""
        hashes = any(p.dotted.startswith("hashlib") for p in names.paths.values())
        self.hashing = {id(s) for s in found if hashes and self._hashes(s)}
        self.values: dict[int, dict[str, Fetched]] = {id(s): {} for s in found}
        for _ in range(4):  # functions use what stands below them
            before = self._known()
            for scope in found:
                self._learn(scope)
            if before == self._known():
                break

    def _known(self) -> tuple[int, ...]:
        """How much is known of the file."""
        kept = (self.attributes, self.returns, self.files, *self.values.values())
        return tuple(map(len, kept))

    def _hashes(self, scope: Scope) -> bool:
        """Whether a function works out a digest, as one does that compares a download."""
        calls = (self.names.callee(n) for n in scope.nodes if isinstance(n, ast.Call))
        return any(p is not None and p.dotted.startswith("hashlib.") for p in calls)

    def _learn(self, scope: Scope) -> None:
        for node in scope.nodes:
            if isinstance(node, ast.Call):
                self._written(node, scope)
            elif isinstance(node, ast.Assign):
                self._assign(node.targets, node.value, scope)
            elif isinstance(node, ast.Return):
                met = self.of(node.value, scope) if node.value is not None and scope.name else None
                if met is not None:
                    self.returns[scope.name] = met
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                self._assign([node.target], node.value, scope)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                self._assign([node.optional_vars], node.context_expr, scope)
            elif isinstance(node, ast.For | ast.AsyncFor):
                self._assign([node.target], node.iter, scope)

    def _assign(self, targets: list[ast.expr], value: ast.expr, scope: Scope) -> None:
        met = self.of(value, scope)
        if met is None:
            return
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            for part in parts:
                self._mark(part, met, scope)

    def _mark(self, target: ast.AST, met: Fetched, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            self.values[id(scope)][target.id] = met
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            self.attributes[f"{target.value.id}.{target.attr}"] = met

    def _written(self, node: ast.Call, scope: Scope) -> None:
        """The file that a download writes, or that is written with what was fetched."""
        last = _last(node.func)
        where = ""
        if last in _writers() or last in self.names.paths:
            path = self.names.callee(node)
            where = lists().downloads.get(path.dotted, "") if path is not None else ""
        if where:
            position, _, keyword = where.partition(":")
            target = argument(node, int(position), keyword)
            met = self.of(node, scope)
            if target is not None and met is not None:
                self._mark_file(target, met.on(node, f"writes it to {self._shown(target)}"), scope)
        elif last in _WRITES and isinstance(node.func, ast.Attribute) and node.args:
            if last == "copyfileobj":
                value, into = node.args[0], node.args[-1]
            else:
                value, into = node.args[0], node.func.value
            met = self.of(value, scope)
            file = into if last == "write_bytes" else self._opened(into, scope)
            if met is not None and file is not None:
                self._mark_file(file, met.on(node, f"writes it to {self._shown(file)}"), scope)
        elif node.args or node.keywords:
            path = self.names.callee(node)
            if path is not None and not path.made and "execute" in effects(path.dotted):
                self._downloaded(node, path.dotted, scope)

    def _downloaded(self, node: ast.Call, dotted: str, scope: Scope) -> None:
        """The files that a command fetches."""
        command = started(node, dotted, self.names)
        for program, source, file in downloaded(command) if command is not None else ():
            met = Fetched(source, checked=id(scope) in self.hashing)
            met = met.on(node, f"{program} fetches {source}")
            self.files[file] = met.on(node, f"{program} writes it to {file[:80]}")

    def _mark_file(self, target: ast.expr, met: Fetched, scope: Scope) -> None:
        self._mark(target, met, scope)
        text = filed(target, self.names)
        if text:
            self.files[text] = met

    def _shown(self, target: ast.expr) -> str:
        """A file as far as the source spells it."""
        text = spelled(target, self.names)
        return "a file" if text is None or text == UNKNOWN else text[:80]

    def _opened(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """The path that a file was opened by."""
        if isinstance(node, ast.Call):
            return node.args[0] if node.args and _last(node.func) == "open" else None
        if not isinstance(node, ast.Name):
            return None
        opened = next(
            (
                n.context_expr
                for n in scope.nodes
                if isinstance(n, ast.withitem)
                and isinstance(n.optional_vars, ast.Name)
                and n.optional_vars.id == node.id
            ),
            self.names.constants.get(node.id),
        )
        if isinstance(opened, ast.Call) and opened.args:
            return opened.args[0]
        return None

    def of(self, node: ast.AST, scope: Scope, depth: int = 0) -> Fetched | None:
        """Where an expression's value was fetched from, or None."""
        if not self.scopes:
            return None
        if depth > CHAIN:
            self.whole = False
            return None
        deeper = depth + 1
        if self.files and type(node) in _PATHS:
            text = filed(node, self.names)
            if text in self.files:
                return self.files[text]
        if isinstance(node, ast.Constant):
            return None
        if isinstance(node, ast.Name):
            values = self.values
            return values[id(scope)].get(node.id) or values[id(self.scopes[0])].get(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name):
                met = self.attributes.get(f"{node.value.id}.{node.attr}")
                if met is not None:
                    return met
            return self.of(node.value, scope, deeper)
        if isinstance(node, ast.Call):
            return self._of_call(node, scope, deeper)
        parts: Iterable[ast.AST] = ()
        if isinstance(node, ast.Subscript | ast.Await | ast.Starred):
            parts = (node.value,)
        elif isinstance(node, ast.BinOp):
            parts = (node.left, node.right)
        elif isinstance(node, ast.JoinedStr):
            parts = [v.value for v in node.values if isinstance(v, ast.FormattedValue)]
        elif isinstance(node, ast.IfExp):
            parts = (node.body, node.orelse)
        elif isinstance(node, ast.NamedExpr):
            parts = (node.value,)
        return next((m for p in parts if (m := self.of(p, scope, deeper)) is not None), None)

    def _of_call(self, node: ast.Call, scope: Scope, depth: int) -> Fetched | None:
        path = self.names.callee(node)
        name = _last(node.func)
        if path is not None and path.dotted in lists().downloads:
            return self._download(node, scope)
        if name in lists().hub_downloads:
            return self._download(node, scope)
        if isinstance(node.func, ast.Name):
            met = self.returns.get(node.func.id)
            if met is not None:
                return met.on(node, f"{node.func.id}() hands it on")
        if path is not None and path.dotted in _THROUGH and node.args:
            return next((m for a in node.args if (m := self.of(a, scope, depth)) is not None), None)
        if isinstance(node.func, ast.Attribute):
            if name in _RECEIVES and self.networked:
                came = Fetched("whoever connects", received=True)
                return came.on(node, f"{name} takes in what was sent")
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "self":
                met = self.returns.get(name)
                return met.on(node, f"{name}() hands it on") if met is not None else None
            return self.of(node.func.value, scope, depth)  # r.read(), r.content.decode()
        return None

    def _download(self, node: ast.Call, scope: Scope) -> Fetched:
        hub = _last(node.func) in lists().hub_downloads
        source = spelled(node.args[0], self.names) if node.args else None
        if source is None:
            words = ("repo_id", "url", "model_id", "uri", "origin", "id", "path_or_repo_id")
            given = next((k.value for k in node.keywords if k.arg in words), None)
            source = spelled(given, self.names) if given is not None else None
        revision = keyword(node, "revision")
        pinned = revision is not None and is_commit(self.names.constant(revision))
        held = (k.value for k in node.keywords if k.arg in _DIGESTS)
        checked = id(scope) in self.hashing or any(not _is_none(value) for value in held)
        what = "something" if source in (None, "", UNKNOWN) else source
        met = Fetched(source or UNKNOWN, pinned, checked, hub=hub)
        return met.on(node, f"{_last(node.func)} fetches {what}")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _last(node: ast.expr) -> str:
    """The last part of a callee's name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
