"""Whether a converted file holds the values of what it was made from, within its rounding."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from weighbridge.analysis.counterparts import Counterpart, Pairing
from weighbridge.analysis.lineage_weights import natural
from weighbridge.analysis.rounding import compare
from weighbridge.analysis.stored_tensors import Stored, spread

BUDGET: Final = 4 << 30
"""Bytes that are read for all pairs of models, both sides together."""
FAR_BUDGET: Final = 16 << 20
FAR_TENSORS: Final = 48
"""Where files are on a server: bytes, and of how many tensors."""
FEWEST: Final = 4
"""Tensors that are sampled at least, however many pairs there are."""
PIECE: Final = 1 << 19
"""Elements that are compared at once."""
FAR_PIECE: Final = 1 << 15
ROWS_KEPT: Final = 5


class Outcome(Struct):
    """What came of a tensor. `rows` and `read` count rows, `blocks` those read, `beyond` those that
    are not the original's rounding, `unsuited` the rows whose scales do not suit them, `first` the
    first rows that differ; `worst` is the largest error in the units of `rounding.Rows`, `error`
    and `energy` are sums of squares."""

    name: str
    kind: str
    rows: int
    read: int = 0
    blocks: int = 0
    beyond: int = 0
    unsuited: int = 0
    differing: int = 0
    worst: float = 0.0
    error: float = 0.0
    energy: float = 0.0
    first: list[int] = field(default_factory=list)

    @property
    def relative(self) -> float:
        """The size of the error relative to the original's."""
        return float((self.error / self.energy) ** 0.5) if self.energy else 0.0


class Conversion(Struct):
    """What came of two models: an `Outcome` for each tensor that was compared, and how many of the
    bytes of those that could be were read."""

    outcomes: list[Outcome] = field(default_factory=list)
    read: int = 0
    size: int = 0

    @property
    def bad(self) -> list[Outcome]:
        """The tensors with blocks that are not the original's rounding."""
        return [o for o in self.outcomes if o.beyond]

    @property
    def coarse(self) -> list[Outcome]:
        """Those of which only the scales do not suit the values."""
        return [o for o in self.outcomes if o.unsuited and not o.beyond]


def convert(pairing: Pairing, *, share: int = 1, far: bool = False) -> Conversion:
    """Compare what is paired: all of it within the budget, otherwise the same part of every tensor
    in pieces that are spread over it. `share`: how many pairs have to do with the budget; `far`:
    files are on a server, and little is read."""
    result = Conversion()
    names = sorted(pairing.pairs, key=natural)
    result.size = sum(_size(*pairing.pairs[n]) for n in names)
    chosen = spread(names, max(FEWEST, FAR_TENSORS // share)) if far else names
    budget = (FAR_BUDGET if far else BUDGET) // share
    part = min(1.0, budget / max(1, sum(_size(*pairing.pairs[n]) for n in chosen)))
    for name in chosen:
        tensor, forms = pairing.pairs[name]
        outcome = Outcome(name, tensor.kind.name, tensor.rows)
        form, count = _fitting(tensor, forms, FAR_PIECE if far else PIECE)
        rows = min(tensor.rows, form.rows)
        pieces = range(0, rows, count)
        for first in spread(pieces, max(1, int(part * len(pieces)))):
            n = min(count, rows - first)
            _add(outcome, tensor, form, first, n)
            result.read += n * tensor.row_bytes + n * form.size // max(1, form.rows)
        result.outcomes.append(outcome)
    return result


def _size(tensor: Stored, forms: list[Counterpart]) -> int:
    return tensor.entry.size + forms[0].size


def _fitting(tensor: Stored, forms: list[Counterpart], piece: int) -> tuple[Counterpart, int]:
    """The form that comes nearest to the tensor's beginning, and how many rows to compare at once,
    of about `piece` elements."""
    best, least = forms[0], float("inf")
    step = max(form.step for form in forms)
    count = max(1, piece // max(1, tensor.columns))
    count = max(step, count - count % step)
    if forms[0].transposed:
        count = tensor.rows
    if len(forms) > 1:
        for form in forms:
            trial = Outcome("", "", 0)
            _add(trial, tensor, form, 0, min(step, tensor.rows, form.rows))
            if trial.error < least:
                best, least = form, trial.error
    return best, count


def _add(outcome: Outcome, tensor: Stored, form: Counterpart, first: int, count: int) -> None:
    detour = form.detour(tensor.kind)
    found = compare(tensor.kind, tensor.raw(first, count), form.values(first, count), detour)
    differing = (found.beyond > 0) | found.unsuited
    outcome.read += count
    outcome.blocks += found.blocks * count
    outcome.beyond += int(found.beyond.sum())
    outcome.unsuited += int(found.unsuited.sum())
    outcome.differing += int(differing.sum())
    outcome.worst = max(outcome.worst, float(found.worst.max()))
    outcome.error += float(found.error.sum()) * tensor.columns
    outcome.energy += float(found.energy.sum()) * tensor.columns
    if differing.any() and len(outcome.first) < ROWS_KEPT:
        rows = [first + int(i) for i in differing.nonzero()[0][:ROWS_KEPT]]
        outcome.first = (outcome.first + rows)[:ROWS_KEPT]
