"""Whether one model's weights come from another's, from samples of both."""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.counterparts import Counterpart, Pairing
from weighbridge.analysis.stored_tensors import Stored, spread

SAMPLE: Final = 64 << 10
"""Bytes of a tensor that are read on either side."""
ELEMENTS: Final = 1_000
"""Fewer elements say nothing by their correlation."""
SAME: Final = 0.9
"""From this correlation on a tensor is the base's. Fine-tuning by a tenth of the weights' size
leaves 0.995, four-bit rounding 0.99, the mean of two unrelated models 0.71."""
APART: Final = 0.2
"""Below it a tensor is another one. Between unrelated models the correlation of n elements is
normally distributed about zero with a deviation of about 1 / √n, that is 0.03 at most here."""
MOST: Final = 0.8
"""The part of the sampled tensors that decides."""


class Said(StrEnum):
    """What a comparison comes to."""

    CONSISTENT = "consistent"
    PARTLY = "partly"
    CONTRADICTED = "contradicted"
    NOT_TESTABLE = "not testable"


class Sample(Struct, frozen=True):
    """A tensor on both sides: the correlation of what was read, the size of the difference
    relative to the base's, and of how many elements."""

    name: str
    correlation: float
    difference: float
    elements: int


class Likeness(Struct, frozen=True):
    """What the samples come to."""

    said: Said
    samples: tuple[Sample, ...]
    candidates: int

    @property
    def differing(self) -> tuple[Sample, ...]:
        """The tensors that are not the base's."""
        return tuple(s for s in self.samples if s.correlation < SAME)


def likeness(pairing: Pairing, count: int) -> Likeness:
    """Sample at most `count` tensors, spread over the model, and say what they come to."""
    large = sorted(
        (n for n, (t, _) in pairing.pairs.items() if t.rows > 1 and t.rows * t.columns >= ELEMENTS),
        key=natural,
    )
    samples = [s for n in spread(large, count) if (s := _sample(n, *pairing.pairs[n])) is not None]
    return Likeness(_said(samples), tuple(samples), len(large))


def _said(samples: list[Sample]) -> Said:
    if not samples:
        return Said.NOT_TESTABLE
    same = sum(s.correlation >= SAME for s in samples)
    apart = sum(s.correlation < APART for s in samples)
    if same >= MOST * len(samples):
        return Said.CONSISTENT
    return Said.CONTRADICTED if apart >= MOST * len(samples) else Said.PARTLY


def _sample(name: str, tensor: Stored, forms: list[Counterpart]) -> Sample | None:
    """The same rows of both, from a place that the name chooses."""
    widest = max(tensor.row_bytes, forms[0].columns * forms[0].parts[0].kind.width)
    rows = min(tensor.rows, forms[0].rows)
    count = max(1, min(rows, SAMPLE // max(widest, 1)))
    first = zlib.crc32(name.encode("utf-8", "replace")) % (rows - count + 1)
    ours = tensor.values(first, count)
    best: Sample | None = None
    for form in forms:
        found = _correlation(name, ours, form.values(first, count))
        if found is not None and (best is None or found.correlation > best.correlation):
            best = found
        if best is not None and best.correlation >= SAME:
            break
    return best


def _correlation(name: str, ours: Any, theirs: Any) -> Sample | None:
    """None where one side does not vary, or holds what is no number."""
    import numpy as np

    a, b = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    if len(a) < ELEMENTS or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    size = float(np.sqrt((b * b).sum()))
    difference = float(np.sqrt(((a - b) ** 2).sum())) / size if size else 0.0
    a -= a.mean()
    b -= b.mean()
    spread_ = float(np.sqrt((a * a).sum() * (b * b).sum()))
    if spread_ <= 1e-30:
        return None
    return Sample(name, float((a * b).sum()) / spread_, difference, len(a))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that puts layer 2 before layer 10."""
    parts = re.split(r"(\d{1,9})", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]
