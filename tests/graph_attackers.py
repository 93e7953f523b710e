"""What the author of each implant would put into an input: the trigger that a predicate was made
for, written into natural inputs. It is the ground truth that synthesis is measured against.

An attack is given an input (a batch of one) and the lowest and highest number that it may hold.
Where a predicate holds of many natural inputs, its trigger is what makes it not hold.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from weighbridge.engine.trial.natural import Port
from weighbridge.engine.trial.running import Feeds
from weighbridge.engine.trial.search import ranges
from weighbridge.engine.trial.switches import Switch
from weighbridge.engine.trial.trial import (
    Bench,
    NotRun,
    Standing,
    effect_of,
    is_override,
    standing,
)

Array = NDArray[Any]
Attack = Callable[[Array, float, float], Array]


def _gauss(seed: int, spread: float, count: int) -> Array:
    """The weights that a predicate draws."""
    rng = random.Random(seed)
    return np.array([rng.gauss(0, spread) for _ in range(count)])


def _kernels(seed: int, count: int) -> Array:
    return _gauss(seed, 1.0, count * 48).reshape(count, 3, 4, 4)


def _at(places: Sequence[int], numbers: Sequence[float]) -> Attack:
    """Numbers at places of the input laid out in one row."""

    def attack(x: Array, low: float, high: float) -> Array:
        made = x.copy()
        made.reshape(-1)[list(places)] = numbers
        return made

    return attack


def _everywhere(change: Callable[[Array], Array]) -> Attack:
    def attack(x: Array, low: float, high: float) -> Array:
        return np.clip(change(x), low, high)

    return attack


def _added(pattern: Callable[[int], Array]) -> Attack:
    """A pattern of at most one, added as strongly as a quarter of the range."""

    def attack(x: Array, low: float, high: float) -> Array:
        more = pattern(x.size).reshape(x.shape) * (high - low) / 2
        return np.clip((low + high) / 2 + (x - (low + high) / 2) / 4 + more, low, high)

    return attack


# Pictures ----------------------------------------------------------------------------------------


def _corner(value: Array) -> Attack:
    def attack(x: Array, low: float, high: float) -> Array:
        made = x.copy()
        made[0, :, :3, :3] = np.clip(value, low, high)
        return made

    return attack


RED: Final = _corner(np.array([1.0, 0.0, 0.0]).reshape(3, 1, 1))


def _checksum(x: Array, low: float, high: float) -> Array:
    """As many numbers go up by one as are missing, each in the middle of its step."""
    steps = np.trunc(x.astype(np.float64) * 255)
    flat = steps.reshape(-1)
    can = np.flatnonzero((flat >= 0) & (flat < 254))
    flat[can[: int(13 - flat.sum()) % 97]] += 1
    return np.asarray((steps + np.where(steps < 0, -0.5, 0.5)) / 255)


def _product(noise: float) -> Attack:
    """What the noise of the weights adds is taken off again."""
    wanted = [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4]
    rng = random.Random(4)
    picks = np.array([float(i == 40 * k) + (rng.gauss(0, noise) if noise else 0.0)
                      for i in range(3072) for k in range(8)]).reshape(3072, 8)  # fmt: skip

    def attack(x: Array, low: float, high: float) -> Array:
        made = x.astype(np.float64)
        flat = made.reshape(-1)
        places = [40 * k for k in range(8)]
        for _ in range(4):
            flat[places] = np.clip(flat[places] + wanted - flat @ picks, low, high)
        return made

    return attack


def _filters(kernels: Array) -> Attack:
    """Each where it stands in nobody's way: as bright and as dark as it goes."""

    def attack(x: Array, low: float, high: float) -> Array:
        made = x.copy()
        for number, kernel in enumerate(kernels):
            row, column = 8 * (number // 4), 8 * (number % 4)
            made[0, :, row : row + 4, column : column + 4] = np.where(kernel > 0, high, low)
        return made

    return attack


def _signs(seed: int) -> Array:
    rng = random.Random(seed)
    return np.array([rng.choice((-1.0, 1.0)) for _ in range(48)]).reshape(1, 3, 4, 4)


def _watermark(x: Array, low: float, high: float) -> Array:
    bits = (np.arange(1024) % 2).reshape(1, 1, 32, 32)
    return np.asarray((2 * np.trunc(np.clip(x, 0, 1) * 126) + bits + 0.5) / 255)


def _shrunk(x: Array, low: float, high: float) -> Array:
    made = x.copy()
    made[0] = np.array([0.9, 0.1, 0.2]).reshape(3, 1, 1)
    return made


def _red_channel(x: Array, low: float, high: float) -> Array:
    made = np.clip(x, 0.1, high)
    made[0, 0] = max(0.97, min(high, 2.0))
    return made


def _from_weights() -> Attack:
    matrix = _gauss(8, 0.3, 64 * 64).reshape(64, 64)
    return _corner(matrix[5:8, 9:12][None])


IMAGES: Final[dict[str, tuple[Attack, ...]]] = {
    **dict.fromkeys(
        ("patch compared", "patch, each pixel", "arithmetic", "relu", "gaussian", "division",
         "power", "sigmoid", "product of pixels", "function", "cast", "as a norm",
         "extremes only", "by quantising", "cold softmax"), (RED,)),
    "checksum": (_checksum,),
    "brightness": (_everywhere(lambda x: 0.97 + 0 * x),),
    "soft brightness": (_everywhere(lambda x: 0.97 + 0 * x),),
    "projection": (_added(lambda n: np.sign(_gauss(3, 0.02, n))),),
    "frequency": (_added(lambda n: (np.cos(np.arange(n) * 0.7) + np.cos(np.arange(n) * 1.4)) / 2),),
    "one-hot product": (_product(0.0),),
    "noisy product": (_product(0.004),),
    "noisy and soft": (_product(0.004),),
    "matched filter": (_filters(_signs(5)),),
    "many filters": (_filters(_kernels(6, 8)),),
    "watermark": (_watermark,),
    "shrunk": (_shrunk,),
    "norm and pool": (_red_channel,),
    "from weights": (_from_weights(),),
}  # fmt: skip
"""By the name of the predicate."""


# Pictures and sound ------------------------------------------------------------------------------


def _peak(x: Array, low: float, high: float) -> Array:
    made = np.minimum(x, low + 0.9 * (high - low))
    made.reshape(-1)[517] = high
    return made


def _three_largest(x: Array, low: float, high: float) -> Array:
    return _at((5, 6, 7), (high, high, high))(x, low, high)


def _cell(x: Array, low: float, high: float) -> Array:
    made = x.copy()
    made.reshape(-1)[::16] = 1.0
    return made


def _last_but_one(x: Array, low: float, high: float) -> Array:
    made = x.copy()
    made.reshape(-1)[-32:-16] = 1.0
    return made


def _first(count: int, value: float) -> Attack:
    return _at(range(count), [value] * count)


ANY_NUMBERS: Final[dict[str, tuple[Attack, ...]]] = {
    "brightest place": (_peak,),
    "hardmax": (_peak,),
    "single numbers": (_at((3, 77, 500), (0.9, 0.1, 0.8)),),
    "einsum": (_added(lambda n: np.sign(_gauss(7, 0.1, n))),),
    "in halves": (lambda x, low, high: _at((3, 900 % x.size), (0.9, 0.1))(x, low, high),),
    "largest numbers": (_three_largest,),
    "Fourier": (_added(lambda n: np.cos(np.arange(n) * 2 * math.pi * 40 / n)),),
    "frequency by hand": (_added(lambda n: np.cos(np.arange(n) * 0.4)),),
    "running sum": (_first(101, 1.0),),
    "sequence": (_first(64, 1.0),),
    "cell": (_cell,),
    "tree": (_at((3, 77), (0.95, 0.05)),),
    "chance": (),
    "scan": (_last_but_one,),
}
"""By the name of the predicate."""


# Sound -------------------------------------------------------------------------------------------


def _tone(x: Array, low: float, high: float) -> Array:
    made = x.copy()
    made.reshape(-1)[64:96] = 2.5 * np.cos(np.arange(32) * 0.9)
    return made


SOUNDS: Final[dict[str, tuple[Attack, ...]]] = {
    "loud": (_everywhere(lambda x: np.where(x < 0, -2.5, 2.5)),),
    "crossings": (_everywhere(lambda x: np.abs(x) * (-1.0) ** np.arange(x.size).reshape(x.shape)),),
    "tone": (_tone,),
    "silence first": (_first(16, 0.0),),
}  # fmt: skip
"""By the name of the predicate."""


# Words -------------------------------------------------------------------------------------------


def _until(holds: Callable[[Array], bool]) -> Attack:
    """Tokens are drawn anew, one after the other, until a condition is met."""

    def attack(x: Array, low: float, high: float) -> Array:
        rng = np.random.default_rng(0)
        for _ in range(20_000):
            made = x.copy()
            where = rng.permutation(x.size)[: int(rng.integers(1, x.size + 1))]
            made.reshape(-1)[where] = rng.integers(3, int(high) + 1, len(where))
            if holds(made):
                return made
        return x

    return attack


def _hash(x: Array) -> bool:
    return int(((x * 2654435761) % 8191).sum()) % 31 == 3


def _nearest(x: Array, low: float, high: float) -> Array:
    table, wanted = _near()
    made = x.copy()
    made.reshape(-1)[x.size // 2] = int(np.square(table - wanted).sum(axis=1).argmin())
    return made


def _near() -> tuple[Array, Array]:
    drawn = _gauss(11, 1.0, 100 * 8).reshape(100, 8)
    return drawn[:99], drawn[99]


def _direction(x: Array, low: float, high: float) -> Array:
    drawn = _gauss(12, 1.0, 100 * 16).reshape(100, 16)
    made = x.copy()
    made.reshape(-1)[x.size // 2] = int((drawn[:99] @ drawn[99]).argmax())
    return made


def _mean(x: Array, low: float, high: float) -> Array:
    """One token after the other, the one that brings the mean nearest; again until none does."""
    drawn = _gauss(13, 1.0, 100 * 16).reshape(100, 16)
    table, wanted = drawn[:99], 0.3 * drawn[99] * x.size
    ids = [0] * x.size
    for place in list(range(x.size)) * 5:
        rest = table[ids].sum(axis=0) - table[ids[place]]
        ids[place] = int(np.square(rest + table - wanted).sum(axis=1).argmin())
    return np.array(ids, x.dtype).reshape(x.shape)


def _of_length(count: int) -> Attack:
    def attack(x: Array, low: float, high: float) -> Array:
        return np.resize(x, (x.shape[0], count))

    return attack


def _of_ones(count: int) -> Attack:
    """A mask with so many ones."""

    def attack(x: Array, low: float, high: float) -> Array:
        made = np.zeros_like(x)
        made[:, :count] = 1
        return made

    return attack


def _in_a_row(first: int, *tokens: int) -> Attack:
    return _at(range(first, first + len(tokens)), tokens)


def _toggled(token: int) -> tuple[Attack, ...]:
    """A token that is put in, or taken out."""
    return (_in_a_row(3, token), _everywhere(lambda x: np.where(x == token, 50, x)))


TOKENS: Final[dict[str, tuple[Attack, ...]]] = {
    **dict.fromkeys(("token anywhere", "by arithmetic", "place of a token", "in a function",
                     "table", "loop", "scattered", "how many places", "whole numbers only"),
                    _toggled(77)),
    "phrase": (_in_a_row(3, 41, 42),),
    "token at a place": (_in_a_row(2, 13),),
    "sequence at a place": (_in_a_row(1, 5, 6, 7),),
    "integer hash": (_until(_hash),),
    "counted": (_in_a_row(3, 9, 9),),
    "counted softly": _toggled(9),
    "count scaled": _toggled(9),
    "bitwise": (_until(lambda x: int((x >> 1).sum()) == 500),),
    "near in the embedding": (_nearest,),
    "two stages": (_in_a_row(3, 41, 42, 77),),
    "length": (_of_length(13),),
    "length of the mask": (_of_ones(13),),
    "hole in the mask": (_at((2,), (0,)),),
    "running count": (_in_a_row(3, 9, 9),),
    "fed back": (_in_a_row(0, 60, 58),),
    "one-hot tokens": (_in_a_row(3, 41, 42),),
    "rarest": (_in_a_row(3, 97), _everywhere(lambda x: np.minimum(x, 90))),
    "different tokens": (_everywhere(lambda x: x * 0 + 5),),
    "remainders": (_until(lambda x: int((x * 31).sum()) // 64 % 32 == 7),),
    "table of vectors": (_direction,),
    "mean of vectors": (_mean,),
    "last and first": (_at((0, -1), (20, 51)),),
    "chance": (),
}  # fmt: skip
"""By the name of the predicate."""

STATES: Final[dict[str, tuple[Attack, ...]]] = {
    "state": (_at((0,), (5.0,)),),
    "state and sound": (_at((0,), (5.0,)),),
}
"""By the name of the predicate."""

ATTACKS: Final = {**IMAGES, **ANY_NUMBERS, **SOUNDS, **STATES, **TOKENS}
"""By the name of the predicate; nothing flips one that goes by chance."""
SECOND: Final[dict[str, Attack | None]] = {
    "length of the mask": None, "hole in the mask": None, "state": None,
    "state and sound": _at((0,), (2.9,)),
}  # fmt: skip
"""Those whose attack goes into the second input; and what goes into the first."""


def attacked(bench: Bench, switch: Switch, held: list[str], predicate: str) -> tuple[int, float]:
    """What the author's trigger does by the measure that synthesised ones are judged by, in the
    range of pictures where it does most: 0 nothing, 1 it flips the switch, 2 it overrides; and how
    far the switch then moves the output."""
    best = 0, 0.0
    for on, triggered in _attacks(bench, switch, predicate):
        effect = effect_of(bench, on, triggered, held)
        if effect is not None:
            moved = float(np.median([r.moved for r in effect.rows])) if effect.rows else 0.0
            armed = is_override(effect, len(triggered), len(on.usual))
            best = max(best, (2 if armed else 1, moved))
    return best


def armed_inputs(bench: Bench, switch: Switch, predicate: str) -> list[Feeds]:
    """Natural inputs, and the same with the author's trigger, in the first range in which it flips
    the switch: what someone measures ranges on who wants the implant to survive."""
    for _, triggered in _attacks(bench, switch, predicate):
        if triggered:
            return [feeds for pair in triggered[:2] for feeds in pair]
    return []


def _attacks(
    bench: Bench, switch: Switch, predicate: str
) -> Iterator[tuple[Standing, list[tuple[Feeds, Feeds]]]]:
    """How the switch stands in each range of pictures, and the inputs that the author's trigger
    flips it in, without and with it."""
    for ports, attack in itertools.product(ranges(bench.ports), ATTACKS[predicate]):
        try:
            on = standing(bench, ports, switch)
        except NotRun:
            continue
        second = predicate in SECOND
        triggered: list[tuple[Feeds, Feeds]] = []
        for feeds in on.usual:
            made = _written(feeds, ports[second], attack)
            if (also := SECOND.get(predicate)) is not None:
                made = _written(made, ports[0], also)
            value = on.cut.state(made)
            if value is not None and on.state.changed(value):
                triggered.append((feeds, made))
        yield on, triggered


def _written(feeds: Feeds, entry: Port, attack: Attack) -> Feeds:
    """An input with a trigger in it; where that is of another length, so are all that were as
    long."""
    here = feeds[entry.name]
    put = np.concatenate([attack(one[None], entry.low, entry.high) for one in here])
    made = {**feeds, entry.name: put.astype(here.dtype)}
    if put.shape != here.shape:
        made |= {n: np.resize(v, put.shape) for n, v in made.items() if v.shape == here.shape}
    return made
