"""What a trigger changes in one input, made in others: the same, as much of it at random, and what
is as long as it."""

from __future__ import annotations

from typing import Final

import numpy as np

from weighbridge.engine.trial.cut import Cut
from weighbridge.engine.trial.natural import Port, draw
from weighbridge.engine.trial.running import Array, Feeds

AROUND: Final = 5
"""By how much another length is longer or shorter at most."""


def transplanted(cut: Cut, natural: Feeds, made: Feeds, into: Feeds) -> Feeds:
    """What the trigger put into one input, put into another one at the same places."""
    out = dict(into)
    for entry in cut.reached:
        differs = made[entry.name] != natural[entry.name]
        out[entry.name] = np.where(differs, made[entry.name], into[entry.name])
    return out


def random_change(cut: Cut, natural: Feeds, made: Feeds, rng: np.random.Generator) -> Feeds:
    """As many places changed, at the same places, to what stands in other natural inputs; of a
    mask one more or less, at other places; of a length, another one."""
    if any(made[name].shape != natural[name].shape for name in made):
        return _other_length(natural, made, rng)
    out = dict(natural)
    for entry in cut.reached:
        here = natural[entry.name]
        differs = made[entry.name] != here
        out[entry.name] = (
            _other_mask(here, int(differs.sum()), rng)
            if entry.kind == "mask"  # at the same places there is nothing else that it could be
            else np.where(differs, _any(entry, differs.shape, rng), here).astype(entry.dtype)
        )
    return out


def _any(entry: Port, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if entry.kind == "tokens":
        return draw([entry], rng)[entry.name]
    if np.dtype(entry.dtype).kind in "iu":
        return rng.integers(int(entry.low), int(entry.high) + 1, shape)
    return rng.uniform(entry.low, entry.high, shape)


def _other_mask(here: Array, count: int, rng: np.random.Generator) -> Array:
    flat = here.ravel().copy()
    count += -1 if count > 1 and rng.random() < 0.5 else int(count > 0)
    places = rng.permutation(flat.size)[:count]
    flat[places] = 1 - flat[places].astype(bool)
    return flat.reshape(here.shape)


def _other_length(natural: Feeds, made: Feeds, rng: np.random.Generator) -> Feeds:
    """The same, a few places longer or shorter than the trigger."""
    more = int(rng.integers(1, AROUND + 1)) * int(rng.choice([-1, 1]))
    out = dict(made)
    for name, value in made.items():
        for axis, (size, usual) in enumerate(zip(value.shape, natural[name].shape, strict=True)):
            if size != usual:
                other = size + more if size + more > 0 else size - more
                out[name] = np.take(out[name], np.arange(other) % size, axis)
    return out


def relaid(feeds: Feeds, ports: list[Port], rng: np.random.Generator) -> Feeds:
    """An input in other lengths: as much of it as fits, the rest drawn."""
    made = draw(ports, rng)
    for name, value in made.items():
        both = tuple(slice(min(a, b)) for a, b in zip(value.shape, feeds[name].shape, strict=True))
        value[both] = feeds[name][both]
    return made


def as_long(runs: list[Feeds]) -> list[Feeds]:
    """Outputs that are longer in one run than in another, cut to what all have; an answer that
    stands ready may have fewer axes, and stays."""
    made = [dict(run) for run in runs]
    for name in set.intersection(*(set(run) for run in runs)) if runs else ():
        rank = max(run[name].ndim for run in runs)
        shapes = [run[name].shape for run in runs if run[name].ndim == rank]
        both = tuple(slice(min(sizes)) for sizes in zip(*shapes, strict=True))
        for run in made:
            run[name] = run[name][both] if run[name].ndim == rank else run[name]
    return made
