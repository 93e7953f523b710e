"""What the rules share that write operations as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weighbridge.analysis.computation_graph import Operation
from weighbridge.analysis.written_pen import Operand, Pen
from weighbridge.analysis.written_types import NARROW, Unwritable, category

Given = list[Operand | None]
Rule = Callable[[Pen, Operation, Given], None]
"""Writes one operation; `Given` is what it reads. Raises `Unwritable`."""


def needed(given: Given, place: int) -> Operand:
    """An input that has to be there. Raises `Unwritable`."""
    found = given[place] if place < len(given) else None
    if found is None:
        raise Unwritable("an operator is given too little")
    return found


def kept_attributes(operation: Operation, allowed: str) -> dict[str, Any]:
    """The attributes that are handed on. Raises `Unwritable` where there are others."""
    names = allowed.split()
    for name in operation.attributes:
        if name not in names:
            raise Unwritable(f"{operation.op} with {name}")
    return {k: v for k, v in operation.attributes.items() if v is not None}


def floating(pen: Pen, operand: Operand) -> Operand:
    """A number that need not be whole."""
    return operand if category(operand.type) == 2 else pen.cast(operand, "float32")


def calculable(pen: Pen, operand: Operand) -> Operand:
    """An operand in a type in which ONNX Runtime calculates."""
    return pen.cast(operand, "int32") if operand.type in NARROW else operand


def same(op: str, allowed: str = "", floats: bool = False, count: int = 0) -> Rule:
    """An operator of its first input, with its type; `count` inputs where it has more."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        first = floating(pen, first) if floats else first
        rest = [None if g is None else pen.cast(g, first.type) for g in given[1:count]]
        pen.give(o, op, [first, *rest], **kept_attributes(o, allowed))

    return rule


def chosen(pen: Pen, o: Operation, test: Operand, pair: list[Operand]) -> None:
    """`Where`, also in types in which ONNX Runtime does not choose."""
    type = pair[0].type
    if type in NARROW - {"uint8"}:
        wide = [calculable(pen, x) for x in pair]
        pen.result(o, pen.node("Where", [test, *wide], "int32"), type)
    else:
        pen.give(o, "Where", [test, *pair], type)
