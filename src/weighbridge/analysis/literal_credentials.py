"""Credentials that stand as literals where nothing but a credential can: arguments of logins and
clients, variables of the environment, attributes that hold keys.

Only what can be one counts: a known beginning, hexadecimal digits of the length of a key, or small
and capital letters and digits throughout; what stands for one ("your_key", "xxx", "<token>") does
not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.python_values import Names
from weighbridge.analysis.secrets import is_placeholder
from weighbridge.core.regex import regex

_ARGUMENTS: Final = frozenset(
    {"api_key", "token", "hf_token", "use_auth_token", "auth_token", "access_token", "api_token",
     "secret_key", "apikey", "aws_secret_access_key", "relogin_key", "anonymous_key"}
)  # fmt: skip
_LOGINS: Final = frozenset({"login", "notebook_login", "interpreter_login", "save_token",
                            "set_access_token"})  # fmt: skip
_VARIABLE: Final = regex(
    r"(?:.*_)?(?:api_?key|token|secret|password|access_key|secret_key|auth)", re.IGNORECASE
)
_BEGINS: Final = regex(
    r"(?:hf_|api_org_|sk-|gsk_|r8_|gh[pousr]_|github_pat_|glpat-|nvapi-|AKIA|AIza|xox[abpr]-|pplx-"
    r"|sk-lf-|pk-lf-|wandb_v1_|dop_v1_|npm_|pypi-)([\w.-]{16,})"
)
_HEX: Final = regex(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_LITERAL: Final = regex(r"[\w.+/=~-]{16,300}")
LONGEST: Final = 300
_PUBLIC: Final = ("phc_", "pk_live_", "pk_test_")
"""Keys that are made to be read by everybody: PostHog's for sending events, Stripe's of a page."""


class Literal(Struct, frozen=True):
    """A credential in the source: what it is given to, and how it begins."""

    node: ast.AST
    given: str
    shown: str


def credible(value: object) -> bool:
    """Whether a constant can be a credential."""
    if not isinstance(value, str) or not 16 <= len(value) <= LONGEST:
        return False
    if not _LITERAL.fullmatch(value) or is_placeholder(value) or value.startswith(_PUBLIC):
        return False
    if known := _BEGINS.fullmatch(value):
        return len(set(known[1])) >= 8 and any(c.isdigit() for c in known[1])
    if len(set(value)) < 10:
        return False
    if _HEX.fullmatch(value):
        return not value.isdigit() and not value.isalpha()
    kinds = (str.isupper, str.islower, str.isdigit)
    return len(value) >= 20 and "/" not in value and all(sum(map(k, value)) >= 3 for k in kinds)


def redacted(line: str) -> str:
    """A line of source without what can be a credential in it."""
    return _LITERAL.sub(lambda m: _shown(m[0]) if credible(m[0]) else m[0], line)


def literals(nodes: tuple[ast.AST, ...], names: Names) -> Iterator[Literal]:
    """The credentials that a file gives to what takes them."""
    for node in nodes:
        if isinstance(node, ast.Call):
            found = _of_call(node)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            found = _of_target(node.targets[0], node.value)
        else:
            continue
        for given, value in found:
            text = names.constant(value)
            if isinstance(text, str) and credible(text):
                yield Literal(node, given, _shown(text))


def _of_call(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    func = node.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    login = name in _LOGINS
    for keyword in node.keywords:
        if keyword.arg in _ARGUMENTS or (login and keyword.arg == "key"):
            yield f"{name}({keyword.arg}=…)", keyword.value
    if login and node.args:
        yield f"{name}()", node.args[0]
    if name in ("setdefault", "putenv", "setenv") and len(node.args) == 2:
        yield from _variable(node.args[0], node.args[1])


def _of_target(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Attribute) and target.attr in _ARGUMENTS:
        yield target.attr, value
    elif isinstance(target, ast.Subscript):
        owner = target.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if name == "environ":
            yield from _variable(target.slice, value)


def _variable(key: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    name = key.value if isinstance(key, ast.Constant) else None
    if isinstance(name, str) and _VARIABLE.fullmatch(name):
        yield name[:80], value


def _shown(text: str) -> str:
    return f"{text[:4]}… ({len(text)} characters)"
