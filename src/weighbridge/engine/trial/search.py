"""Looks for an input that puts a switch into another state.

In this order: the way to the switch is run backward from the state that is wanted; numbers that
stand in that way are tried as tokens, one and in a row; inputs are drawn at random; tokens are
exchanged one by one; and what moved the switch most is changed further.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.engine.trial.backward import wishes
from weighbridge.engine.trial.cut import Cut
from weighbridge.engine.trial.moment import Moment
from weighbridge.engine.trial.natural import PICTURES, Port, draw
from weighbridge.engine.trial.running import Array, Feeds

STEPS: Final = 16
"""How many times a way is run backward, one time after the other."""
RECIPES: Final = ((0.1, 1.0), (0.5, 2.0), (0.02, 1.0), (0.9, 6.0))
"""How far a comparison is to be passed, as a share, and how much more than wished is done."""
RANDOM: Final = 400
MINED: Final = 40
"""How many numbers that stand in the way are tried as tokens."""
FEW: Final = 8
"""Among how many inputs a switch has one more state where it has few."""
EXCHANGED: Final = 128
"""How many tokens are tried at a place, at how many places."""
PLACES: Final = 32
CLIMBS: Final = 150
"""How many changes in a row may bring nothing."""
CLIMBED: Final = 3_000
FURTHER: Final = 20
"""How many more are tried after the first, to come further."""
FAR: Final = 1e6


class State(Struct, frozen=True):
    """How a switch stands on natural inputs: the value that it has on most of them, and how far
    the others are from it, element by element. It is one for each sample of a `batch`."""

    usual: Array
    spread: float
    batch: int = 1

    def changed(self, value: Array) -> bool:
        """Whether this is another state, in every sample."""
        return bool(self._changed(value).all())

    def touched(self, value: Array) -> bool:
        """Whether it is another one in any."""
        return bool(self._changed(value).any())

    def _changed(self, value: Array) -> Array:
        if value.shape != self.usual.shape:
            return np.zeros(1, bool)
        if value.dtype == np.bool_ or self.usual.dtype == np.bool_:
            return np.asarray(np.any((value != self.usual).reshape(self.batch, -1), axis=1))
        usual = _finite(self.usual)
        far = np.abs(_finite(value) - usual).reshape(self.batch, -1).max(axis=1, initial=0)
        scale = np.abs(usual).max(initial=0)
        return np.asarray(far > max(3 * self.spread, 0.01 * scale, 1e-3))

    def distance(self, value: Array) -> float:
        """How far a value is from the usual one, on the average."""
        if value.shape != self.usual.shape or not value.size:
            return 0.0
        return float(np.abs(_finite(value) - _finite(self.usual)).mean())


def _finite(value: Array) -> Array:
    return np.asarray(np.nan_to_num(value.astype(float), nan=0.0, posinf=1e30, neginf=-1e30))


def state_of(values: list[Array], samples: int = 1) -> State:
    """What is usual among some values of a switch, each of one input of so many samples."""
    same = [v for v in values if v.shape == values[0].shape]
    stack = np.stack([_finite(v) for v in same])
    usual = np.median(stack, axis=0)
    nearest = int(np.argmin(np.abs(stack - usual).reshape(len(same), -1).max(axis=1, initial=0)))
    batch = samples if usual.shape[:1] == (samples,) else 1
    off = np.abs(stack - stack[nearest]).reshape(len(same) * batch, -1).max(axis=1, initial=0)
    if len(np.unique(stack.reshape(len(off), -1), axis=0)) <= max(2, len(off) // FEW):
        off = off * 0  # a switch that stands in a few places: no other one is near the usual one
    return State(same[nearest], float(np.quantile(off, 0.75)), batch)


def backward(
    cut: Cut,
    feeds: Feeds,
    aim: Array,
    margin: float,
    boost: float,
    rng: np.random.Generator,
    stuck: dict[str, Array] | None = None,
) -> Feeds:
    """An input that is nearer to giving the value that is aimed at; the same one where no rule
    leads back to an input. What is wanted of values from which no rule leads back is put into
    `stuck`."""
    values = cut.values(feeds)
    if values is None or cut.target not in values:
        return feeds
    wanted: dict[str, Array] = {cut.target: aim}
    now = Moment(
        values={n: v.astype(float) for n, v in values.items() if v.size <= 4_000_000},
        whole={n: v.dtype.kind in "iub" for n, v in values.items()},
        moving=cut.moving,
        margin=margin,
        rng=rng,
        places=lambda node: cut.places(node, values),
        made_by={n: node for node in cut.nodes for n in node.outputs},
    )
    for node in reversed(cut.nodes):
        output = next((n for n in node.outputs if n in wanted), None)
        if output is None or output != node.outputs[0]:
            continue
        wish = wanted[output]
        if wish.shape != values[output].shape:
            continue
        try:
            found = wishes(node, wish, now)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, np.linalg.LinAlgError):
            continue
        if stuck is not None and not found and output in cut.moving:
            stuck[output] = wish
        for number, part in found.items():
            name = node.inputs[number]
            wanted[name] = part if name not in wanted else _merged(wanted[name], part)
    made = dict(feeds)
    for entry in cut.reached:
        wish_here = wanted.get(entry.name)
        if wish_here is not None:
            here = feeds[entry.name]
            further = here + boost * (wish_here - here) if here.dtype.kind == "f" else wish_here
            made[entry.name] = _put(entry, here, further)
    return made


def _merged(first: Array, second: Array) -> Array:
    both = ~np.isnan(first) & ~np.isnan(second)
    return np.where(both, (first + second) / 2, np.where(np.isnan(first), second, first))


def _put(entry: Port, here: Array, wish: Array) -> Array:
    bounded = np.clip(np.nan_to_num(wish, nan=0.0), entry.low, entry.high)
    if np.dtype(entry.dtype).kind in "iu":
        bounded = np.round(bounded)
    return np.where(np.isnan(wish), here, bounded.astype(here.dtype))


class Seeker(Struct):
    """Looks for inputs that change the state of one switch. `how` names what found the last one."""

    cut: Cut
    state: State
    rng: np.random.Generator
    how: str = ""
    tries: int = 0
    _ended: list[Feeds] = field(default_factory=list)
    """Where running backward came to from the last input, without another state."""
    _last: tuple[tuple[float, float], int] = ((0.0, 0.0), 0)

    def from_input(self, feeds: Feeds) -> Feeds | None:
        """An input near this one with the switch in another state; None if none was found. Of a
        switch that has more than two states, the furthest that a few more tries come to."""
        for name, way in (
            ("run backward from the switch", self._backward),
            ("numbers of the graph as tokens", self._mined),
            ("drawn at random", self._random),
            ("in order", self._regular),
            ("tokens exchanged", self._exchanged),
            ("climbed", self._climb),
        ):
            best, distance, more = None, 0.0, FURTHER
            for made in way(feeds):
                self.tries += 1
                value = self.cut.state(made)
                if value is not None and self.state.changed(value):
                    here = self.state.distance(value)
                    if here > distance * 1.01:
                        best, distance = made, here
                        more = 0 if here == 1 and value.dtype == np.bool_ else FURTHER
                if best is not None:
                    more -= 1
                    if more <= 0:
                        break
            if best is not None:
                self.how = name
                return best
        return None

    def further(self, made: Feeds) -> Feeds:
        """From an input that flips the switch to one with which it is still further from its usual
        state; the same where that is a question of yes or no."""
        if self.state.usual.dtype != np.bool_:
            for way in (self._token_by_token, self._towards):
                for better in way(made, {}):
                    made = better
        return made

    def is_changed(self, feeds: Feeds) -> bool:
        """Whether the switch stands otherwise with this input."""
        value = self.cut.state(feeds)
        return value is not None and self.state.changed(value)

    def _aims(self) -> list[Array]:
        usual = self.state.usual.astype(float)
        if self.state.usual.dtype == np.bool_:
            aims = [1 - usual]
            return aims if usual.size == 1 else [*aims, np.ones_like(usual), np.zeros_like(usual)]
        return [np.full_like(usual, FAR), np.full_like(usual, -FAR), np.zeros_like(usual)]

    def _backward(self, feeds: Feeds) -> Iterator[Feeds]:
        aims = self._aims()
        recipes = list(itertools.product(RECIPES, range(len(aims))))
        if self._last in recipes:
            recipes.insert(0, self._last)
        reached: dict[int, Feeds] = {}
        for recipe in recipes:
            (margin, boost), which = recipe
            made = reached.get(which, feeds) if boost > 1 else feeds
            self._last = recipe
            for _ in range(STEPS):
                new = backward(self.cut, made, aims[which], margin, boost, self.rng)
                if all(np.array_equal(new[n], made[n]) for n in made):
                    break
                made = reached[which] = new
                yield made
        self._ended = list(reached.values())

    def _tokens(self) -> list[Port]:
        return [p for p in self.cut.reached if p.kind == "tokens" and np.prod(p.shape) > 0]

    def _mined(self, feeds: Feeds) -> Iterator[Feeds]:
        for entry in self._tokens():
            found = [
                n for n in self.cut.constants() if n.is_integer() and entry.low <= n <= entry.high
            ]
            numbers = list(dict.fromkeys(int(n) for n in found))[:MINED]
            size = feeds[entry.name].shape[-1] if feeds[entry.name].ndim else 1
            for number in numbers:
                for place in (size // 2, 0, size - 1, 1 % size):
                    yield _with(feeds, entry.name, [place], [number])
                yield _with(feeds, entry.name, list(range(size)), [number] * size)
            for first in range(len(numbers)):
                for length in (2, 3, 4):
                    run = numbers[first : first + length]
                    for start in (0, 1, size // 2):
                        if len(run) == length and start + length <= size:
                            yield _with(feeds, entry.name, list(range(start, start + length)), run)

    def _random(self, feeds: Feeds) -> Iterator[Feeds]:
        entries = self.cut.reached
        for number in range(RANDOM if entries else 0):
            made = dict(feeds)
            for entry in entries:
                if not entry.free:
                    made[entry.name] = varied(entry, feeds[entry.name], self.rng)
                    continue
                drawn = draw([entry], self.rng)[entry.name]
                share = (0.1, 0.3, 1.0)[number % 3]
                mask = self.rng.random(drawn.shape) < share
                made[entry.name] = np.where(mask, drawn, feeds[entry.name])
            yield made

    def _regular(self, feeds: Feeds) -> Iterator[Feeds]:
        """Numbers that go up, down, to and fro, or back the way that they came; the same ones."""
        for entry in self.cut.reached:
            here = feeds[entry.name]
            if not entry.free or not here.ndim or here.shape[-1] < 2:
                continue
            up = np.linspace(entry.low, entry.high, here.shape[-1])
            middle = np.full_like(up, (entry.low + entry.high) / 2)
            there = np.arange(len(up)) % 2 * (entry.high - entry.low) + entry.low
            rows = [np.broadcast_to(row, here.shape) for row in (up, up[::-1], there, middle)]
            mirrored = np.where(up < middle, here, here[..., ::-1])
            for wish in (*rows, mirrored):
                yield {**feeds, entry.name: _put(entry, here, wish)}

    def _stuck(self, feeds: Feeds) -> Iterator[dict[str, Array]]:
        """What is wanted where running backward ends, for each aim; nothing at last, which is to
        come away from the usual state, where that is no question of yes or no."""
        for aim in self._aims():
            stuck: dict[str, Array] = {}
            backward(self.cut, feeds, aim, *RECIPES[0], self.rng, stuck)
            stuck.pop(self.cut.target, None)
            if stuck:
                yield stuck
        if self.state.usual.dtype != np.bool_:
            yield {}

    def _exchanged(self, feeds: Feeds) -> Iterator[Feeds]:
        for wanted in self._stuck(feeds) if self._tokens() else ():
            yield from self._token_by_token(feeds, wanted)

    def _token_by_token(self, best: Feeds, wanted: dict[str, Array]) -> Iterator[Feeds]:
        """At one place after the other the token that comes nearest to what is wanted."""
        far = self._off(best, wanted)
        for entry in self._tokens():
            tokens = self.rng.permutation(np.arange(entry.low, entry.high + 1))[:EXCHANGED]
            for place in self.rng.permutation(entry.shape[-1])[:PLACES]:
                for token in tokens:
                    made = _with(best, entry.name, [int(place)], [int(token)])
                    here = self._off(made, wanted)
                    if here < far:
                        best, far = made, here
                        yield made

    def _climb(self, feeds: Feeds) -> Iterator[Feeds]:
        """Changed at random, and kept where that comes nearer."""
        for wanted in self._stuck(feeds) if self.cut.reached else ():
            for start in (feeds,) if wanted else (*self._ended, feeds):
                yield from self._towards(start, wanted)

    def _towards(self, feeds: Feeds, wanted: dict[str, Array]) -> Iterator[Feeds]:
        best, far, left = feeds, self._off(feeds, wanted), CLIMBS
        for _ in range(CLIMBED):
            left -= 1
            if left < 0:
                return
            made = dict(best)
            for entry in self.cut.reached:
                made[entry.name] = varied(entry, best[entry.name], self.rng)
            here = self._off(made, wanted)
            if here < far:
                best, far, left = made, here, CLIMBS
                yield made

    def _off(self, feeds: Feeds, wanted: dict[str, Array]) -> float:
        """How far an input is from what is wanted; from another state, where nothing is."""
        if not wanted:
            value = self.cut.state(feeds)
            return 0.0 if value is None else -self.state.distance(value)
        values = self.cut.values(feeds)
        if values is None:
            return np.inf
        off = 0.0
        for name, wish in wanted.items():
            if values[name].shape != wish.shape:
                return np.inf
            cared = ~np.isnan(wish)
            off += float(np.abs(_finite(values[name])[cared] - wish[cared]).mean())
        return off


def varied(entry: Port, here: Array, rng: np.random.Generator) -> Array:
    """An input with a part of it changed: a share of its places, a run of them or all; drawn anew,
    to either end of what it may be, or a little."""
    flat, count = here.ravel().copy(), here.size
    if not count:
        return here
    start = int(rng.integers(count))
    where = (
        rng.permutation(count)[: max(1, int(count * rng.choice([0.02, 0.1, 0.5])))],
        np.arange(start, min(count, start + int(rng.integers(1, count + 1)))),
        np.arange(count),
    )[int(rng.integers(3))]
    end = entry.low if rng.random() < 0.5 else entry.high
    shift = rng.normal(0, (entry.high - entry.low) / 8)
    drawn = draw([entry], rng)[entry.name].ravel()[where]
    choices = (drawn, np.full(len(where), end), flat[where].astype(float) + shift)
    wish = choices[0 if entry.kind == "tokens" else int(rng.integers(3))]
    flat[where] = np.clip(wish, entry.low, entry.high).astype(here.dtype)
    return flat.reshape(here.shape)


def _with(feeds: Feeds, name: str, places: list[int], numbers: list[int]) -> Feeds:
    value = feeds[name].copy()
    value[..., places] = numbers
    return {**feeds, name: value}


def ranges(ports: list[Port]) -> Iterator[list[Port]]:
    """The inputs with pictures in one range after the other; once where there is no picture."""
    if not any(p.kind == "picture" and np.dtype(p.dtype).kind == "f" for p in ports):
        yield ports
        return
    for low, high in PICTURES:
        yield [replace(p, low=low, high=high) if p.kind == "picture" else p for p in ports]


def smallest(cut: Cut, feeds: Feeds, made: Feeds, holds: Callable[[Feeds], bool]) -> Feeds:
    """The made input with as much of the natural one put back as the switch allows; halves of what
    was changed are tried, then quarters, and so on."""
    for entry in cut.reached:
        places = np.flatnonzero(made[entry.name].ravel() != feeds[entry.name].ravel())
        part = max(1, len(places) // 2)
        for _ in range(60):
            for start in range(0, len(places), part):
                without = made[entry.name].ravel().copy()
                back = places[start : start + part]
                without[back] = feeds[entry.name].ravel()[back]
                tried = {**made, entry.name: without.reshape(made[entry.name].shape)}
                if holds(tried):
                    made = tried
                    places = np.setdiff1d(places, back)
                    break
            else:
                if part == 1:
                    break
                part = max(1, part // 2)
                if len(places) // part > 64:
                    break
    return made
