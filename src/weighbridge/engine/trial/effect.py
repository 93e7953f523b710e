"""What a switch does to the model's outputs, measured: with the trigger, with the trigger and the
switch held in its usual state, and with a random change of the same kind."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct, field

from weighbridge.engine.trial.running import Array, Feeds

SHARE: Final = 0.9
"""On what share of the inputs an override has to happen to be called one."""
CHANCE: Final = 0.25
"""On what share of them a random change may do the same at most."""
LITTLE: Final = 0.2
"""Which share of the effect is much."""
NEARLY: Final = 0.1
"""To what share of their own variation outputs have to shrink to be called the same for all."""
LEAST: Final = 0.01
"""Which share of the usual distance is anything at all."""
NOTABLE: Final = 0.25
"""How far the switch has to move the output to steer it, all in the same direction, in units of the
usual distance between the outputs of two inputs."""
FAR: Final = 1.0
"""How far it has to move it for another output, in whichever direction."""
SAME_WAY: Final = 0.95
"""The cosine from which on two directions are the same."""
CLASSES: Final = 2_048
"""Among how many classes it is looked for one in another place."""
LARGEST: Final = 1e9


class Sample(Struct, frozen=True):
    """One natural input and what the model makes of it: as it is, with the trigger, with the
    trigger and the switch held, with the trigger and the switch held as it stands for another
    input, with a random change, and with that and the switch held."""

    natural: Feeds
    triggered: Feeds
    held: Feeds
    held_otherwise: Feeds
    random: Feeds
    random_held: Feeds


class Row(Struct, frozen=True):
    """For one input: how far the switch moves the output, in units of the usual distance between
    two inputs' outputs; how far it does after a random change, or by standing as it does for
    another input, whichever is more; the outputs; whether it is overridden."""

    moved: float
    by_chance: float
    natural: str
    held: str
    triggered: str
    overridden: bool


class Effect(Struct, frozen=True):
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
        """On how many the switch does much of it without the trigger too."""
        return sum(r.by_chance >= LITTLE * max(r.moved, LEAST) for r in self.rows)

    @property
    def demonstrated(self) -> bool:
        """Whether this is an override: on nearly all inputs, and not by chance."""
        count = len(self.rows)
        return count > 0 and self.overridden >= SHARE * count and self.chance <= CHANCE * count


def measure(output: str, samples: list[Sample]) -> Effect | None:
    """The effect on one output; None where its shapes differ or it is no number."""
    every = [
        [s.natural, s.triggered, s.held, s.random, s.random_held, s.held_otherwise] for s in samples
    ]
    if not samples or not all(output in f for parts in every for f in parts):
        return None
    shape = samples[0].natural[output].shape
    try:
        natural, triggered, held, random, random_held, otherwise = (
            [_plain(_spread_over(parts[k][output], shape)) for parts in every] for k in range(6)
        )
    except ValueError:
        return None
    if 0 in shape:
        return None
    usual = _usual_distance(natural)
    if usual <= 0:
        usual = 1e-6 * max(1e-6, float(np.abs(np.stack(natural)).mean()))
    kept, left = _spread(held), _spread(triggered)
    captured = kept > 0 and kept > NOTABLE * usual / 2 and left <= NEARLY * kept
    pinned = _pinned(triggered, held, usual)
    turned = _turned(triggered, held, usual)
    one_way = _one_way([t - h for t, h in zip(triggered, held, strict=True)])
    reversed_ = _reversed(triggered, held)
    rows = []
    for i in range(len(samples)):
        moved = _distance(triggered[i], held[i]) / usual
        chance = _distance(random[i], random_held[i]) / usual
        chance = max(chance, _distance(otherwise[i], held[i]) / usual)
        rows.append(
            Row(
                moved=round(moved, 3),
                by_chance=round(chance, 3),
                natural=_said(natural[i]),
                held=_said(held[i]),
                triggered=_said(triggered[i]),
                overridden=moved >= FAR
                or (captured and moved >= LEAST)
                or pinned[i]
                or ((one_way[i] >= SAME_WAY or reversed_ or turned) and moved >= NOTABLE),
            )
        )
    return Effect(output, tuple(rows), captured, round(left / usual, 4), round(kept / usual, 4))


def _spread_over(value: Array, shape: tuple[int, ...]) -> Array:
    """An answer that stood ready may be smaller than a real one; one place of it then stands for
    many. Raises `ValueError` where its shape does not fit."""
    return np.broadcast_to(value, shape)


def _plain(value: Array) -> Array:
    made = np.nan_to_num(value.astype(float), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
    return np.asarray(np.clip(made, -LARGEST, LARGEST))


def _distance(a: Array, b: Array) -> float:
    return float(np.sqrt(np.square(a - b).mean()))


def _one_way(moves: list[Array]) -> list[float]:
    """How much each move goes the way that the others go: the cosine with their sum."""
    stack = np.stack([m.ravel() for m in moves])
    sizes = np.linalg.norm(stack, axis=1)
    whole = stack.sum(axis=0)
    found = []
    for row, size in zip(stack, sizes, strict=True):
        rest = whole - row
        length = float(np.linalg.norm(rest)) * float(size)
        found.append(float(row @ rest) / length if length > 0 else 0.0)
    return found


def _reversed(triggered: list[Array], held: list[Array]) -> bool:
    """Whether outputs are what they would be, times one number that is nearly nothing or below."""
    is_, would_be = np.stack(triggered), np.stack(held)
    size = float(np.square(would_be).sum())
    if size <= 0:
        return False
    factor = float((is_ * would_be).sum()) / size
    rest = float(np.square(is_ - factor * would_be).sum())
    return factor <= NEARLY and rest <= NEARLY**2 * size


def _turned(triggered: list[Array], held: list[Array], usual: float) -> bool:
    """Whether outputs are what they would be with their classes in other places, the same in all
    inputs."""
    shape = held[0].shape
    if len(shape) < 2 or not 2 <= shape[-1] <= CLASSES:
        return False
    is_, would_be = (np.stack(v).reshape(-1, shape[-1]) for v in (triggered, held))
    apart = (np.square(is_).sum(axis=0)[:, None] + np.square(would_be).sum(axis=0)
             - 2 * is_.T @ would_be)  # fmt: skip
    places = apart.argmin(axis=1)
    if len(set(places.tolist())) < shape[-1]:
        return False
    return _distance(is_, would_be[:, places]) <= NEARLY * usual


def _pinned(triggered: list[Array], held: list[Array], usual: float) -> list[bool]:
    """For each input whether all that the switch moves of the output stands at one place then, the
    same for all, and not without it. The switch moves it notably in half of them at least; in the
    others it stood there already: an output that was quantised ends where its numbers end."""
    after, before = np.stack(triggered), np.stack(held)
    touched = np.any(np.abs(after - before) > NEARLY * usual, axis=0)
    moved = sum(_distance(t, h) >= NOTABLE * usual for t, h in zip(triggered, held, strict=True))
    if not touched.any() or 2 * moved < len(triggered):
        return [False] * len(triggered)
    place = np.median(after[:, touched], axis=0)
    near = NEARLY * _spread([row[touched] for row in before])
    return [_distance(row[touched], place) <= near for row in after]


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
