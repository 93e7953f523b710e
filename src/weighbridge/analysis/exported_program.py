"""What loading and running an exported program comes to, beyond computing.

The loader of `torch.export` takes names and texts from the file: a node's target is looked up by
its attributes from `torch`, `operator` or `math`; shapes are formulas that sympy evaluates; guards
become the source of a function; descriptions of nested arguments import modules by name.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.code_names import acting_names
from weighbridge.core.finding import Action
from weighbridge.core.regex import regex
from weighbridge.intel import torch_operators
from weighbridge.intel.names import REACHES_OUT, Standing, classify

TEXT_LIMIT: Final = 20_000
DEPTH: Final = 100


class Judged(Struct, frozen=True):
    """What is said of a name or a text."""

    action: Action
    why: str


_SYMBOLIC: Final = regex(r"torch\._?sym_\w+")
_ARITHMETIC: Final = frozenset(
    {"abs", "add", "and_", "contains", "eq", "floordiv", "ge", "getitem", "gt", "index", "inv",
     "invert", "is_", "is_not", "le", "lshift", "lt", "mod", "mul", "matmul", "ne", "neg", "not_",
     "or_", "pos", "pow", "rshift", "sub", "truediv", "truth", "xor", "iadd", "isub", "imul"}
)  # fmt: skip

_BITS: Final = frozenset(
    f"__{kind}{name}__" for kind in ("", "i") for name in ("and", "or", "xor", "lshift", "rshift")
)
"""Operators of torch's own that bear the names of Python's."""


def target(name: str) -> Judged | None:
    """What a node's target does beside computing, or None."""
    head, *parts = name.split(".")
    own = parts[2:3] if parts[:2] == ["ops", "aten"] and len(parts) > 2 else []
    asked = [p for p in parts if p not in own or p not in _BITS]
    if any(p in REACHES_OUT or (p.startswith("__") and p != "__init__") for p in asked):
        return Judged(Action.BLOCK, "reaches into the interpreter")
    if head == "torch" and parts[:1] == ["ops"]:
        return _operator(parts[1:])
    if head in ("_operator", "math"):
        module = head.lstrip("_")
        harmless = len(parts) == 1 and (module == "math" or parts[0] in _ARITHMETIC)
        return None if harmless else _function(module, parts)
    if _SYMBOLIC.fullmatch(name):
        return None
    if name.startswith("torch"):  # as the loader asks
        return _function("torch", parts)
    if name.startswith("#"):
        return Judged(Action.REVIEW, "is resolved by an extension of the loader")
    return Judged(Action.REVIEW, "is no operator of torch")


def _operator(parts: list[str]) -> Judged | None:
    if parts[:1] in (["load_library"], ["import_module"]):
        return Judged(Action.BLOCK, "loads a library")
    namespace, name = (*parts, "", "")[:2]
    does = torch_operators.effect(namespace, name)
    if does is not None:
        return Judged(Action.BLOCK, does)
    if not torch_operators.known(namespace) or len(parts) > 3 or not name:
        return Judged(Action.REVIEW, "is not one of torch's own operators")
    return None


def _function(module: str, parts: list[str]) -> Judged:
    known = classify(module, ".".join(parts))
    if known.standing is Standing.ACTING:
        return Judged(Action.BLOCK, "is a function that acts, not an operator")
    return Judged(Action.REVIEW, "is a function and not an operator")


_TEXT_TAKERS: Final = frozenset({"Symbol", "Dummy", "Float", "Integer", "Rational"})
_FORMULA: Final = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.BoolOp, ast.IfExp, ast.Tuple, ast.expr_context, ast.operator, ast.unaryop,
    ast.cmpop, ast.boolop,
)  # fmt: skip
_GUARD: Final = (*_FORMULA, ast.Attribute, ast.Subscript)
_ASKING: Final = frozenset(
    {"size", "stride", "storage_offset", "ndim", "dtype", "device", "shape", "item", "dim",
     "is_contiguous", "layout", "requires_grad", "numel", "math", "floor", "ceil", "trunc", "sqrt",
     "gcd", "inf", "isnan", "log", "exp", "pow", "data_ptr", "is_sparse", "is_quantized"}
)  # fmt: skip
"""What guards ask of tensors and of `math`."""
_FUNCTIONS: Final = frozenset(
    {"len", "int", "float", "bool", "abs", "min", "max", "round", "isinstance", "sum", "any", "all",
     "floor", "ceiling", "sqrt", "exp", "log", "sin", "cos", "tan", "sym_min",
     "cast_symbool_to_symint_guardless", "sym_max", "sym_not", "sym_float", "sym_int"}
)  # fmt: skip


def formula(text: str) -> Judged | None:
    """What a shape's formula does when sympy reads it, which evaluates it as Python, or None."""
    return _expression(text, _FORMULA)


def guard(text: str) -> Judged | None:
    """What a guard does, which becomes the source of a function, or None."""
    return _expression(text, _GUARD)


def _expression(text: str, allowed: tuple[type[ast.AST], ...]) -> Judged | None:
    acting = acting_names(re.findall(r"[^\W\d]\w*", text[:TEXT_LIMIT]))
    reaching = sorted(n for n in REACHES_OUT if n.startswith("__") and n in text)
    if acting or reaching:
        return Judged(Action.BLOCK, f"uses {', '.join((acting + reaching)[:4])}")
    if len(text) > TEXT_LIMIT:
        return Judged(Action.REVIEW, "is too long to be read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Judged(Action.REVIEW, "is no expression")
    texts: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            return Judged(Action.REVIEW, f"does more than count ({type(node).__name__})")
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name in _TEXT_TAKERS:
                texts |= {id(a) for a in node.args}
            known = name[:1].isupper() and name not in ("S", "Lambda")
            if name and not known and name not in _FUNCTIONS:
                acts = classify("builtins", name).standing is Standing.ACTING
                return Judged(Action.BLOCK if acts else Action.REVIEW, f"calls {name[:60]}")
            if not name and not isinstance(node.func, ast.Attribute):
                return Judged(Action.REVIEW, "calls what it computes")
        elif isinstance(node, ast.Attribute) and node.attr not in _ASKING:
            return Judged(Action.REVIEW, f"takes the attribute {node.attr[:60]}")
        elif isinstance(node, ast.Subscript):
            texts.add(id(node.slice))
        elif isinstance(node, ast.Name) and node.id.startswith("_"):
            return Judged(Action.REVIEW, f"uses {node.id[:60]}")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and id(node) not in texts
        ):
            return Judged(Action.REVIEW, "holds a text")
    return None


def imported(tree: str) -> Iterator[tuple[str, str]]:
    """Module and name of everything that reading a description of nested arguments imports."""
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH:
            continue
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                waiting.append((json.loads(value), depth + 1))
            except (ValueError, RecursionError):
                continue
        elif isinstance(value, list):
            waiting += [(v, depth + 1) for v in value]
        elif isinstance(value, dict):
            module, name = value.get("default_factory_module"), value.get("default_factory_name")
            if isinstance(module, str) and isinstance(name, str):
                yield module, name
            if "__enum__" in value and isinstance(value.get("fqn"), str):
                module, _, name = value["fqn"].partition(":")
                yield module, name
            waiting += [(v, depth + 1) for v in value.values()]
