"""What the constants of a graph say: their numbers, and what those look like."""

from __future__ import annotations

import math
from itertools import pairwise

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Constant
from weighbridge.analysis.graph_dimensions import Shapes


class Constants:
    """Answers about values that do not depend on an input; `fixed` says which those are."""

    def __init__(self, graph: ComputationGraph, made: Shapes, fixed: list[bool]) -> None:
        self.graph, self.made, self.fixed = graph, made, fixed
        self.real: dict[int, bool] = {}

    def numbers(self, value: int, limit: int = 64) -> tuple[float, ...] | None:
        """Numbers of a constant, or such as follow from shapes; None if they are not known or
        more than `limit`.
        """
        known = self.made.known.get(value)
        if known is not None:
            return None if any(isinstance(k, str) for k in known) else known
        origin = self.origin(value)
        return origin.numbers(limit) if origin is not None else None

    def origin(self, value: int) -> Constant | None:
        """The constant that a constant value is made of, through moves and dequantising."""
        for _ in range(16):
            entry = self.graph.values[value]
            if entry.constant is not None:
                return entry.constant
            if entry.producer == ABSENT:
                return None
            inputs = self.graph.operations[entry.producer].inputs
            if not inputs or inputs[0] == ABSENT:
                return None
            value = inputs[0]
        return None

    def trained(self, value: int) -> bool:
        """Whether numbers look trained: many of them, of many values, and not all but a few of
        them nothing."""
        known = self.real.get(value)
        if known is None:
            known = self.real[value] = self._looks_trained(value)
        return known

    def _looks_trained(self, value: int) -> bool:
        origin = self.origin(value)
        if origin is None:
            return self.fixed[value]
        if origin.elements < 16:
            return False
        numbers = origin.sample()
        if not numbers:
            return True
        sizes = [abs(n) for n in numbers if math.isfinite(n)]
        largest = max(sizes, default=0.0)
        if not largest:
            return origin.elements > len(numbers)
        felt = sum(1 for n in sizes if n > largest / 1000)
        distinct = len({round(n, 12) for n in numbers})
        enough = min(8, max(2, len(numbers) // 8))
        return felt >= max(8, len(numbers) // 50) and distinct >= enough

    def ramp(self, value: int) -> bool:
        """Whether it counts evenly, as places do. Unknown numbers are taken for a ramp."""
        numbers = self.numbers(value, 4_096)
        if numbers is None:
            return True
        steps = {b - a for a, b in pairwise(numbers)}
        return len(numbers) >= 2 and len(steps) == 1 and 0.0 not in steps

    def specific(self, value: int, op: str) -> bool:
        """Whether a constant aims at something: not a mere guard, sign or unit."""
        numbers = self.numbers(value)
        if numbers is None:
            return True
        if op in ("Mul", "Div"):
            return len(set(numbers)) > 3
        return any(abs(n) > 1e-3 for n in numbers)

    def scales(self, value: int) -> bool:
        """Whether multiplying by it does more than keep, drop or turn the sign."""
        numbers = self.numbers(value)
        return numbers is None or any(n not in (0, 1, -1) for n in numbers)

    def offsets(self, value: int) -> bool:
        """Whether adding it makes of a whole number one that is none."""
        numbers = self.numbers(value)
        if numbers is None:
            return False
        whole = all(float(n).is_integer() for n in numbers)
        return not whole and any(abs(n) > 1e-3 for n in numbers)
