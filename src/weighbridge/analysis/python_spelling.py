"""Expressions of Python as far as the source spells them, and the arguments of calls."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.python_values import Names
from weighbridge.core.regex import regex

DEPTH: Final = 20
"""How deep an expression is spelled out."""
UNKNOWN: Final = "{}"
"""Stands in a text for what only running the code tells."""
SPELLED: Final = 2_000
COMMIT: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_JOINS: Final = frozenset(
    {"os.path.join", "pathlib.Path", "builtins.str", "os.fspath", "os.path.abspath",
     "os.path.expanduser", "os.path.normpath"}
)  # fmt: skip
"""What makes a path of its arguments."""


def argument(node: ast.Call, position: int, name: str) -> ast.expr | None:
    """An argument of a call by its position or its keyword."""
    given = keyword(node, name)
    if given is not None:
        return given
    return node.args[position] if position < len(node.args) else None


def keyword(node: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword of a call."""
    return next((k.value for k in node.keywords if k.arg == name), None)


def is_commit(value: object) -> bool:
    """Whether a value is the full name of a commit."""
    return isinstance(value, str) and COMMIT.fullmatch(value) is not None


def spelled(node: ast.AST, names: Names, depth: int = 0) -> str | None:
    """A text as far as the source spells it, `{}` for the rest; None where nothing of it is."""
    if depth > DEPTH:
        return None
    if isinstance(node, ast.Constant):
        return node.value[:SPELLED] if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        value = names.constants.get(node.id)
        return spelled(value, names, depth + 4) if value is not None else None
    if isinstance(node, ast.JoinedStr):
        parts = [
            spelled(v.value if isinstance(v, ast.FormattedValue) else v, names, depth + 1)
            for v in node.values
        ]
        return "".join(UNKNOWN if p is None else p for p in parts)[:SPELLED]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        left = spelled(node.left, names, depth + 1)
        if isinstance(node.op, ast.Mod):
            return None if left is None else re.sub(r"%[sdr]", UNKNOWN, left)
        right = spelled(node.right, names, depth + 1)
        if left is None and right is None:
            return None
        return (f"{UNKNOWN if left is None else left}{UNKNOWN if right is None else right}")[
            :SPELLED
        ]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "format":
            text = spelled(node.func.value, names, depth + 1)
            return None if text is None else re.sub(r"\{[^{}]*\}", UNKNOWN, text)
        if node.func.attr in ("strip", "encode", "decode"):
            return spelled(node.func.value, names, depth + 1)
    if isinstance(node, ast.IfExp):
        return spelled(node.body, names, depth + 1)
    return None


def filed(node: ast.AST, names: Names, depth: int = 0) -> str | None:
    """The path of a file as far as the source spells it whole, put together and in its shortest
    form; None where something of it is not known."""
    if depth > DEPTH:
        return None
    parts: Sequence[ast.expr] = ()
    if isinstance(node, ast.Name):
        value = names.constants.get(node.id)
        return filed(value, names, depth + 4) if value is not None else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        parts = (node.left, node.right)
    elif isinstance(node, ast.Call) and node.args:
        path = names.callee(node)
        if path is not None and path.dotted in _JOINS:
            parts = node.args
    if parts:
        texts = [t for part in parts if (t := filed(part, names, depth + 1)) is not None]
        return posixpath.normpath(posixpath.join(*texts)) if len(texts) == len(parts) else None
    text = spelled(node, names, depth)
    return posixpath.normpath(text) if text and UNKNOWN not in text else None
