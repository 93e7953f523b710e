"""What is known of the sizes of a graph's values, and what sizes come to together.

Dimensions that are not known get names of their own, so that equal names mean equal sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.analysis.computation_graph import ABSENT, Dimension, Operation, Shape

RANKS: Final = 12


LARGEST: Final = 1 << 63


Known = tuple[Any, ...]
"""Numbers, or names of dimensions, in row-major order."""


class Shapes(Struct):
    """For each value: its shape (None: not even its rank), and its numbers where they are known."""

    shapes: list[Shape | None]
    known: dict[int, Known] = field(default_factory=dict)
    fresh: int = 0

    def name(self) -> str:
        """A name for a dimension that is not known."""
        self.fresh += 1
        return f"?{self.fresh}"


def broadcast(shapes: Sequence[Shape | None], made: Shapes | None = None) -> Shape | None:
    """The shape that several come to when they meet; None where one of them is not known."""
    rank = 0
    for shape in shapes:
        if shape is None:
            return None
        rank = max(rank, len(shape))
    out: list[Dimension] = []
    for place in range(rank):
        best: Dimension = 1
        for shape in shapes:
            at = place - rank + len(shape or ())
            size = shape[at] if shape and at >= 0 else 1
            if size != 1 and (best == 1 or isinstance(best, str)):
                best = size
        out.append(best)
    return tuple(out)


def axes_of(made: Shapes, operation: Operation, rank: int, at: int = 1) -> list[int] | None:
    """The axes of an attribute or of an input, counted from the front; None: not known."""
    said = operation.attributes.get("axes")
    if said is None and len(operation.inputs) > at and operation.inputs[at] != ABSENT:
        said = made.known.get(operation.inputs[at])
        if said is None or not all(isinstance(a, int) for a in said):
            return None
    if said is None:
        return []
    said = said if isinstance(said, tuple) else (said,)
    return [int(a) + rank if int(a) < 0 else int(a) for a in said]


def clamped(start: int, end: int, step: int, size: int) -> tuple[int | None, int | None, int]:
    """The bounds of a cut as Python counts them: an end before the first place is none."""
    if step < 0 and end < -size:
        return start, None, step
    return start, end, step


Bound = tuple[Any, Any, Any]


def slice_bounds(made: Shapes, operation: Operation, rank: int) -> dict[int, Bound] | None:
    """For each axis that a Slice cuts: start, end and step, numbers or names of dimensions."""
    attributes = operation.attributes
    parts: list[Known | None] = []
    if "starts" in attributes:
        parts = [attributes["starts"], attributes.get("ends", ()), attributes.get("axes"), None]
    else:
        for place in range(1, 5):
            given = operation.inputs[place] if len(operation.inputs) > place else ABSENT
            parts.append(made.known.get(given) if given != ABSENT else None)
        if parts[0] is None or parts[1] is None:
            return None
    starts, ends = parts[0] or (), parts[1] or ()
    axes = parts[2] if parts[2] is not None else tuple(range(len(starts)))
    steps = parts[3] if parts[3] is not None else (1,) * len(starts)
    return {
        int(a) + rank if a < 0 else int(a): (s, e, t)
        for s, e, a, t in zip(starts, ends, axes, steps, strict=False)
        if isinstance(a, int)
    }


def elements(shape: Shape | None, batch: frozenset[str]) -> float:
    """How many numbers one sample of a value has; infinite where a dimension is not known.
    `batch` are the names of dimensions that count samples."""
    if shape is None:
        return math.inf
    count = 1.0
    for size in shape:
        if isinstance(size, int):
            count *= size
        elif size not in batch:
            return math.inf
    return count
