"""Small known numbers of a graph: what follows from shapes and constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.graph_dimensions import Known, Shapes, clamped, slice_bounds

FOLDED: Final = 256
"""How many numbers a known value may have."""
_SAME: Final = frozenset({"Identity", "Cast", "CastLike", "Dropout"})


def fold(made: Shapes, operation: Operation) -> Known | None:
    """The numbers of what an operation gives, where they follow from shapes and constants."""
    op, inputs = operation.op, operation.inputs
    if op == "Shape":
        shape = made.shapes[inputs[0]] if inputs and inputs[0] != ABSENT else None
        if shape is None:
            return None
        start, end = operation.attributes.get("start", 0), operation.attributes.get("end")
        return shape[start:end]
    if not inputs or any(i != ABSENT and i not in made.known for i in inputs):
        return None
    given = [made.known[i] for i in inputs if i != ABSENT]
    if not given:
        return None
    shape = made.shapes[inputs[0]]
    if op in _SAME or op in ("Unsqueeze", "Squeeze", "Reshape", "Flatten"):
        whole = operation.attributes.get("to") in (6, 7)
        return tuple(int(v) if whole and isinstance(v, float) and math.isfinite(v) else v
                     for v in given[0])  # fmt: skip
    if op == "Concat" and operation.attributes.get("axis", 0) in (0, -1):
        if all(len(made.shapes[i] or ()) == 1 for i in inputs):
            return tuple(v for part in given for v in part)
        return None
    if shape is not None and len(shape) == 1:
        if (
            op == "Gather"
            and len(given) == 2
            and all(isinstance(i, int) and -len(given[0]) <= i < len(given[0]) for i in given[1])
        ):
            return tuple(given[0][i] for i in given[1])
        if op == "Slice":
            bounds = slice_bounds(made, operation, 1)
            if bounds and all(isinstance(b, int) for b in bounds.get(0, ("",))):
                start, end, step = bounds[0]
                return given[0][slice(*clamped(start, end, step, len(given[0])))]
    if op == "Where" and len(given) == 3:
        size = max(map(len, given))
        if any(len(g) not in (1, size) for g in given) or any(isinstance(v, str) for v in given[0]):
            return None
        test, yes, no = (g * size if len(g) == 1 else g for g in given)
        return tuple(y if t else n for t, y, n in zip(test, yes, no, strict=True))
    if op == "ConstantOfShape":
        said = operation.attributes.get("value", (0,))
        numbers = said if isinstance(said, tuple) else (said,)
        sizes = [v for v in given[0] if isinstance(v, int) and v >= 0]
        if len(sizes) == len(given[0]) and math.prod(sizes) <= FOLDED and len(numbers) == 1:
            return numbers * math.prod(sizes)
        return None
    if op == "ReduceProd" and all(isinstance(v, int) for v in given[0]):
        return (math.prod(given[0]),)
    return _arithmetic(op, given)


def _arithmetic(op: str, given: list[Known]) -> Known | None:
    work = _WORK.get(op)
    if work is None or len(given) != 2:
        return None
    a, b = given
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        return None
    pairs = zip(a * len(b) if len(a) == 1 else a, b * len(a) if len(b) == 1 else b, strict=True)
    out: list[Any] = []
    for x, y in pairs:
        if isinstance(x, str) or isinstance(y, str):
            if op == "Mul" and 1 in (x, y):
                out.append(x if y == 1 else y)
            elif (op in ("Add", "Sub") and y == 0) or (op == "Div" and y == 1):
                out.append(x)
            elif (op == "Equal" and x == -1) or y == -1:
                out.append(0)
            else:
                return None
            continue
        try:
            out.append(work(x, y))
        except (ArithmeticError, ValueError):
            return None
    return tuple(out)


_WORK: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": lambda x, y: x + y, "Sub": lambda x, y: x - y, "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x // y if isinstance(x, int) and isinstance(y, int) else x / y,
    "Equal": lambda x, y: int(x == y), "Max": max, "Min": min,
}  # fmt: skip
