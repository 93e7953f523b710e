"""What a switch does to the model's outputs, measured: with the trigger, with the trigger and the
switch held in its usual state, and with a random change of the same kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from weighbridge.engine.trial.running import Array, Feeds

SHARE: Final = 0.9
"""On what share of the inputs an override has to happen to be called one."""
CHANCE: Final = 0.25
"""On what share of them a random change may do the same at most."""
NEARLY: Final = 0.1
"""To what share of their own variation outputs have to shrink to be called the same for all."""
NOTABLE: Final = 0.25
"""How far the switch has to move the output to override it, in units of the usual distance between
the outputs of two inputs."""
LARGEST: Final = 1e9


@dataclass(frozen=True, slots=True)
class Sample:
    """One natural input and what the model makes of it: as it is, with the trigger, with the
    trigger and the switch held, with a random change, and with that and the switch held."""

    natural: Feeds
    triggered: Feeds
    held: Feeds
    random: Feeds
    random_held: Feeds


@dataclass(frozen=True, slots=True)
class Row:
    """For one input: how far the switch moves the output, in units of the usual distance between
    two inputs' outputs; how far a random change's does; the decisions; whether it is overridden."""

    moved: float
    by_chance: float
    natural: str
    held: str
    triggered: str
    overridden: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """The measurement for one output. `captured`: with the trigger the output hardly depends on
    the input any more, by the switch alone."""

    output: str
    rows: tuple[Row, ...] = field(default_factory=tuple)
    captured: bool = False
    spread: float = 0.0
    kept: float = 0.0

    @property
    def overridden(self) -> int:
        """On how many inputs."""
        return sum(r.overridden for r in self.rows)

    @property
    def chance(self) -> int:
        """On how many a random change of the same kind does it too."""
        return sum(r.by_chance >= max(NOTABLE, 0.2 * r.moved) for r in self.rows)

    @property
    def demonstrated(self) -> bool:
        """Whether this is an override: on nearly all inputs, and not by chance."""
        count = len(self.rows)
        return count > 0 and self.overridden >= SHARE * count and self.chance <= CHANCE * count


def measure(output: str, samples: list[Sample]) -> Effect | None:
    """The effect on one output; None where its shapes differ or it is no number."""
    every = [[s.natural, s.triggered, s.held, s.random, s.random_held] for s in samples]
    shapes = {f[output].shape for parts in every for f in parts if output in f}
    complete = all(output in f for parts in every for f in parts)
    if not complete or len(shapes) != 1 or not samples or 0 in next(iter(shapes)):
        return None
    natural, triggered, held, random, random_held = (
        [_plain(parts[k][output]) for parts in every] for k in range(5)
    )
    usual = _usual_distance(natural)
    if usual <= 0:
        usual = 1e-6 * max(1e-6, float(np.abs(np.stack(natural)).mean()))
    kept, left = _spread(held), _spread(triggered)
    captured = kept > 0 and kept > 0.02 * usual and left <= NEARLY * kept
    rows = []
    for i in range(len(samples)):
        moved = _distance(triggered[i], held[i]) / usual
        chance = _distance(random[i], random_held[i]) / usual
        rows.append(
            Row(
                moved=round(moved, 3),
                by_chance=round(chance, 3),
                natural=_said(natural[i]),
                held=_said(held[i]),
                triggered=_said(triggered[i]),
                overridden=moved >= NOTABLE or (captured and moved >= NEARLY / 10),
            )
        )
    return Effect(output, tuple(rows), captured, round(left / usual, 4), round(kept / usual, 4))


def _plain(value: Array) -> Array:
    made = np.nan_to_num(value.astype(float), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
    return np.asarray(np.clip(made, -LARGEST, LARGEST))


def _distance(a: Array, b: Array) -> float:
    return float(np.sqrt(np.square(a - b).mean()))


def _usual_distance(values: list[Array]) -> float:
    pairs = [_distance(values[i], values[j]) for i in range(len(values)) for j in range(i)]
    return float(np.median(pairs)) if pairs else 0.0


def _spread(values: list[Array]) -> float:
    middle = np.median(np.stack(values), axis=0)
    return float(np.median([_distance(v, middle) for v in values]))


def _said(value: Array) -> str:
    """An output, shortly: what is decided in its first place, and its first numbers."""
    row = value.reshape(-1, value.shape[-1])[0] if value.ndim else value.reshape(1)
    numbers = ", ".join(f"{n:.4g}" for n in row[:4])
    more = " …" if value.size > 4 else ""
    decided = f"#{int(row.argmax())}: " if value.ndim >= 2 and len(row) > 1 else ""
    return f"{decided}{numbers}{more}"
