"""Where the range of a quantised result of TensorFlow Lite cuts off what its operator computes.

A quantised tensor holds numbers between the least and the greatest that its type can mean. That
range is measured on data, so that as a rule nothing is cut off. What an operator does to one tensor
with numbers that stand in the file has a range that follows from that of the tensor: where the
result can hold less than half of it, the cut is part of what is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.computation_graph import Numbers
from weighbridge.formats.tflite import Operator, Tensor

Range = tuple[float, float]
_TYPES: Final = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
_HELD: Final = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""What fused activations leave of a range."""
_LEAST: Final = 0.5
"""Which part of what an operator can give its result holds, where nothing is meant by the rest."""


def range_of(tensor: Tensor | None, scales: Numbers, zeros: Numbers) -> Range | None:
    """The numbers that a tensor can hold, by its scale and the number that stands for zero; None
    where it is not quantised as a whole."""
    ends = _TYPES.get(tensor.type) if tensor is not None else None
    if ends is None or len(scales) != 1 or not 0 < scales[0] < math.inf:
        return None
    zero = zeros[0] if zeros else 0
    return (ends[0] - zero) * scales[0], (ends[1] - zero) * scales[0]


def cut_off(
    operator: Operator, ranges: Sequence[Range | None], numbers: Sequence[Numbers | None],
    result: Range | None,
) -> bool:  # fmt: skip
    """Whether a result cannot hold what its operator computes. `ranges` are those of the inputs,
    `numbers` their numbers where they stand in the file."""
    if result is None:
        return False
    given = _computed(operator.name.partition(" ")[0], ranges, numbers)
    if given is None:
        return False
    low, high = _HELD.get(operator.attributes.get("fused_activation_function", 0),
                          (-math.inf, math.inf))  # fmt: skip
    least, most = max(given[0], low), min(given[1], high)
    held = min(most, result[1]) - max(least, result[0])
    return held < _LEAST * (most - least)


def _computed(
    name: str, ranges: Sequence[Range | None], numbers: Sequence[Numbers | None]
) -> Range | None:
    """The range of what an operator makes of one tensor and numbers."""
    if name == "QUANTIZE":
        return ranges[0] if ranges else None
    if name not in ("ADD", "SUB", "MUL") or len(ranges) < 2:
        return None
    place = next((i for i in (0, 1) if numbers[i] is None), 0)
    known, given = numbers[1 - place], ranges[place]
    if not known or given is None or numbers[place] is not None:
        return None
    if not all(math.isfinite(n) for n in known):
        return None
    ends: list[float] = []
    for number in (min(known), max(known)):
        for end in given:
            if name == "MUL":
                ends.append(end * number)
            elif name == "ADD":
                ends.append(end + number)
            else:
                ends.append(end - number if place == 0 else number - end)
    return min(ends), max(ends)
