"""Element types of a graph that is to be run: what operands of several types come to together."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from weighbridge.analysis.computation_graph import Numbers

TYPES: Final = {
    "float32": (1, "f", 4), "uint8": (2, "B", 1), "int8": (3, "b", 1), "uint16": (4, "H", 2),
    "int16": (5, "h", 2), "int32": (6, "i", 4), "int64": (7, "q", 8), "bool": (9, "?", 1),
    "float16": (10, "e", 2), "float64": (11, "d", 8), "uint32": (12, "I", 4),
    "uint64": (13, "Q", 8), "bfloat16": (16, "", 2),
}  # fmt: skip
"""By name: ONNX's number, the code of `struct` and the width in bytes."""
BY_NUMBER: Final = {number: name for name, (number, _, _) in TYPES.items()}
FLOATS: Final = ("float16", "float32", "float64")
_SIGNED: Final = ("int8", "int16", "int32", "int64")
NARROW: Final = frozenset({"int8", "uint8", "int16", "uint16", "bool"})
"""Types in which ONNX Runtime does not calculate: 32 bits are taken, and cut down again."""


class Unwritable(Exception):
    """The graph cannot be written so that it computes what it stands for; the message says why."""


def category(type: str) -> int:
    """Truth values, whole numbers, others: 0, 1, 2."""
    return 0 if type == "bool" else 1 if type.startswith(("int", "uint")) else 2


def is_whole(type: str) -> bool:
    """Whether a type has whole numbers."""
    return category(type) == 1


def wider(one: str, other: str) -> str:
    """The type that holds what two types hold, as torch sees it. Raises `Unwritable`."""
    if one == other:
        return one
    if category(one) != category(other):
        return one if category(one) > category(other) else other
    for order in (FLOATS, _SIGNED):
        if one in order and other in order:
            return max(one, other, key=order.index)
    if "bfloat16" in (one, other):
        both = {one, other} - {"bfloat16"}
        return "float32" if both == {"float16"} else both.pop()
    if "uint8" in (one, other):
        signed = next(iter({one, other} - {"uint8"}))
        return "int16" if signed == "int8" else signed
    raise Unwritable(f"numbers of the types {one} and {other} meet")


def promoted(of: Iterable[tuple[str, int]]) -> str:
    """The type in which operands meet, each given by its type and its rank; of a rank below zero
    it is a plain number of the code that wrote the graph. Tensors with axes decide, numbers only
    where they are of a higher kind (torch, `c10/core/ScalarType.h` and `TensorIterator`)."""
    levels: dict[int, str] = {}
    for type, rank in of:
        level = min(rank, 1)
        levels[level] = wider(levels[level], type) if level in levels else type
    found = ""
    for level in sorted(levels, reverse=True):
        type = levels[level]
        if not found:
            found = type
        elif category(type) > category(found):
            found = "float32" if level < 0 and category(type) == 2 else type
    return found


def packed(numbers: Numbers, type: str) -> bytes:
    """Numbers as bytes of a type. Raises `Unwritable` where they do not fit."""
    code = TYPES[type][1]
    if not code:
        raise Unwritable(f"numbers of the type {type} are not written")
    try:
        if code == "?":
            values: list[float] = [bool(n) for n in numbers]
        elif category(type) == 1:
            values = [int(n) for n in numbers]
        else:
            values = list(numbers)
        return struct.pack(f"<{len(values)}{code}", *values)
    except (struct.error, OverflowError, ValueError) as error:
        raise Unwritable(f"a number does not fit the type {type}") from error
