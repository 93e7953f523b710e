"""The nodes of Python source are those that `ast.walk` finds."""

from __future__ import annotations

import ast
import dataclasses
import typing

import pytest

from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.python_source import gather, walk

LEFT_OUT = (
    ast.Module, ast.Name, ast.Constant, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
    ast.expr_context,
)  # fmt: skip
MATCH = """
match x:
    case True | None | -1: pass
    case {"a": 1, **rest}: pass
    case C(1, a=2) as whole: pass
    case [first, *_]: pass
    case other if other: pass
"""
CODE = {
    "match": MATCH,
    "keywords": "def f(a, /, b=1, *c, d, e=2, **g) -> int: return {**a, 'b': b}",
    "scopes": "global x\nasync def f():\n  nonlocal_ = [i async for i in x]\n  def g(): yield\n",
    "handlers": "try: pass\nexcept* (A, B) as e: raise X from e\nfinally: del x[1:2, ...]\n",
    "texts": "f'{a!r:>{b}}'; x: int = 1; import a.b as c; from . import d\nwith a as b, c: pass\n",
    "module ast": ast.__file__,
    "module typing": typing.__file__,
    "module dataclasses": dataclasses.__file__,
}


@pytest.mark.parametrize("name", CODE)
def test_nodes(name: str) -> None:
    code = CODE[name]
    if name.startswith("module"):
        with open(code, encoding="utf-8") as file:
            code = file.read()
    tree = ast.parse(code)
    wanted = {id(node) for node in ast.walk(tree) if not isinstance(node, LEFT_OUT)}
    assert {id(node) for node in gather(tree).all} == wanted
    assert {id(node) for node in walk(tree)} == {*wanted, id(tree)}


def test_patterns_are_no_crash() -> None:
    examined = examine(Held("source:m.py", MATCH.encode()), load(), Limits())
    assert [g for g in examined.gaps if g.kind is GapKind.CRASHED] == []
