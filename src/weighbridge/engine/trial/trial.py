"""One trial: for each switch that the analysis has found, an input that flips it, and what the
whole model does then."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct, field

from weighbridge.analysis.computation_graph import ComputationGraph
from weighbridge.analysis.graph_flow import Flow, analyse
from weighbridge.analysis.graph_fronts.onnx import graph_of
from weighbridge.core.evidence import TriggerInput
from weighbridge.core.fact import SwitchTrial, TrialRow
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.engine.trial.changes import as_long, random_change, relaid, transplanted
from weighbridge.engine.trial.cut import Cut
from weighbridge.engine.trial.effect import SHARE, Effect, Sample, measure
from weighbridge.engine.trial.natural import Port, draw, layouts, other_lengths
from weighbridge.engine.trial.opened import Opened, open_model
from weighbridge.engine.trial.running import NUMBERS, Array, Budget, Feeds, OutOfTime, Session
from weighbridge.engine.trial.search import Seeker, State, ranges, smallest, state_of
from weighbridge.engine.trial.switches import Switch, switches_of
from weighbridge.formats.onnx import ONNX, Onnx

SWITCHES: Final = 4
"""How many switches of a model are tried."""
INPUTS: Final = 10
"""On how many inputs the effect is measured."""
DRAWN: Final = 24
"""How many are drawn to know how a switch usually stands."""
LEAST_ROWS: Final = 5
"""On how many of them it has to have been measured."""
STILL: Final = 0.02
"""How much the state of a switch varies by itself at most, as a share of what a trigger does to it,
where stronger triggers are tried."""
PLACES: Final = 16_384
"""How many numbers of a trigger are told."""


class NotRun(Exception):
    """The model cannot be tried; the message says why."""


class Bench(Struct):
    """A model on the bench."""

    model: Opened
    folder: Path
    budget: Budget
    rng: np.random.Generator
    whole: Session
    ports: list[Port] = field(default_factory=list)

    def lay_out(self) -> None:
        """Choose shapes with which it runs. Raises `NotRun`."""
        for ports in layouts(self.model, self.whole):
            if _run(self.whole, draw(ports, self.rng)):
                self.ports = ports
                return
        raise NotRun("no realistic input was found that it runs with")


def _run(session: Session, feeds: Feeds) -> Feeds | None:
    try:
        return session.run(feeds)
    except OutOfTime:
        raise
    except Exception:
        return None


def on_bench(data: bytes, folder: Path, budget: Budget, seed: int = 7) -> Bench:
    """Open a model for trials. Raises `NotRun`, and `Malformed` where it cannot be opened."""
    model = open_model(data)
    try:
        whole = Session(model.written(), folder, budget)
    except Exception as error:
        raise NotRun(f"ONNX Runtime does not load it: {_first_line(error)}") from error
    bench = Bench(model, folder, budget, np.random.default_rng(seed), whole)
    bench.lay_out()
    return bench


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]


def parsed(data: bytes) -> tuple[ComputationGraph, Flow]:
    """The graph and its analysis. Raises `Malformed`."""
    document = ONNX.parse(Held("model.onnx", data), Location("model.onnx"), Limits())  # type: ignore[misc]
    assert isinstance(document, Onnx)
    graph = graph_of(document)
    return graph, analyse(graph)


def switches_on(bench: Bench) -> tuple[list[Switch], list[str]]:
    """The switches to be tried, and the values that are the states of all that were found. Raises
    `Malformed`."""
    graph, flow = parsed(bench.model.written())
    names = {n for node in bench.model.nodes for n in node.outputs if n}
    found = switches_of(graph, flow, names, flow.meetings)
    if not found:
        raise NotRun("no switch is at the top of its graph, where it could be held")
    return found[:SWITCHES], [s.value for s in found]


def trial(bench: Bench, switch: Switch, all_values: list[str]) -> SwitchTrial:
    """Look for a trigger, then measure what it does; in one range of pictures after the other.
    Where there is none in what has content, states are changed as well."""
    best = SwitchTrial(label=switch.label, value=switch.value, outcome="no-trigger")
    tries = 0
    try:
        for states, ports in itertools.product((False, True), ranges(bench.ports)):
            if states and (best.outcome != "no-trigger" or all(p.kind != "state" for p in ports)):
                break
            made = _in_range(bench, ports, switch, all_values, states)
            tries += made.tries
            if best.outcome == "no-trigger" and made.why:
                best = made
            if made.outcome == "override":
                best = made
                break
    except OutOfTime:
        if best.outcome == "no-trigger":
            best = _because(best, "the time for trials was used up")
    return msgspec.structs.replace(best, tries=tries)


class Standing(Struct, frozen=True):
    """How a switch stands on realistic inputs: the way to it, the state that it usually has, and
    inputs with which it has it."""

    cut: Cut
    state: State
    usual: list[Feeds]


def standing(bench: Bench, ports: list[Port], switch: Switch, states: bool = False) -> Standing:
    """How a switch stands; `states`: what is handed on from call to call is looked at as well.
    Raises `NotRun`."""
    try:
        cut = Cut(bench.model, switch.value, ports, bench.folder, bench.budget, states)
    except Exception as error:
        raise NotRun(f"the way to it does not run by itself: {_first_line(error)}") from error
    if not cut.reached:
        raise NotRun("it depends on no input that a user gives content to")
    drawn = [draw(ports, bench.rng) for _ in range(DRAWN)]
    seen = [(feeds, value) for feeds in drawn if (value := cut.state(feeds)) is not None]
    if len(seen) < 3:
        raise NotRun("the way to it does not run with realistic inputs")
    state = state_of([value for _, value in seen], next(iter(cut.reached[0].shape), 1))
    usual = [feeds for feeds, value in seen if not state.touched(value)][:INPUTS]
    return Standing(cut, state, usual)


def effect_of(
    bench: Bench, on: Standing, flipped: list[tuple[Feeds, Feeds]], all_values: list[str]
) -> Effect | None:
    """What triggers do, from natural inputs with the triggered ones: on the output on which it is
    most. None where no output can be compared."""
    if not flipped:
        return None
    held_model = _held_session(bench, all_values, on.usual[0])
    samples = _samples(bench, on.cut, flipped, held_model, all_values)
    effects = [e for name in bench.whole.outputs if (e := measure(name, samples)) is not None]
    return max(
        effects, key=lambda e: (e.demonstrated, e.overridden - e.chance, _middle(e)), default=None
    )


def is_override(effect: Effect, flipped: int, inputs: int) -> bool:
    """Whether that is enough: the switch was flipped in nearly all inputs, and it alone did it."""
    return effect.demonstrated and flipped >= SHARE * inputs and len(effect.rows) >= LEAST_ROWS


def _in_range(
    bench: Bench, ports: list[Port], switch: Switch, all_values: list[str], states: bool
) -> SwitchTrial:
    none = SwitchTrial(label=switch.label, value=switch.value, outcome="no-trigger")
    try:
        on = standing(bench, ports, switch, states)
    except NotRun as error:
        return _because(none, str(error))
    if states and all(entry.free for entry in on.cut.reached):
        return none
    seeker = Seeker(on.cut, on.state, bench.rng)
    first = seeker.from_input(on.usual[0])
    if first is None:
        longer = _by_length(bench, on, ports, switch, all_values)
        return longer or _because(none, "no trigger was found", seeker.tries)
    done: list[SwitchTrial] = []
    for made in _triggers(on, seeker, first):
        done.append(_done(bench, on, switch, seeker, made, all_values))
        if done[-1].outcome == "override":
            return done[-1]
    return done[0]


def _triggers(on: Standing, seeker: Seeker, first: Feeds) -> Iterator[Feeds]:
    """What was found with as little changed as it takes; then those that change more, and so may do
    more: not where the state goes up and down by itself, for then any number does more that is
    larger."""
    yield _smallest(on.cut, seeker, on.usual, first)
    for made in (first, seeker.further(first)):
        value = on.cut.state(made)
        if value is not None and on.state.spread <= STILL * on.state.distance(value):
            yield made


def _done(
    bench: Bench, on: Standing, switch: Switch, seeker: Seeker, made: Feeds, all_values: list[str]
) -> SwitchTrial:
    """What a trigger does that was found for the first input."""
    triggers, universal = _for_all(on.cut, seeker, on.usual, made)
    flipped = [(n, t) for n, t in zip(on.usual, triggers, strict=True) if t is not None]
    effect = effect_of(bench, on, flipped, all_values)
    if effect is None:
        none = SwitchTrial(label=switch.label, value=switch.value, outcome="no-trigger")
        return _because(none, "its outputs cannot be compared", seeker.tries)
    return _told(switch, effect, on, made, universal, seeker.how, seeker.tries, len(flipped))


def _by_length(
    bench: Bench, on: Standing, ports: list[Port], switch: Switch, all_values: list[str]
) -> SwitchTrial | None:
    """What a length does that the switch goes by; None if it goes by none."""
    for tries, other in enumerate(other_lengths(ports, bench.whole), 1):
        flipped: list[tuple[Feeds, Feeds]] = []
        for feeds in on.usual:
            made = relaid(feeds, other, bench.rng)
            value = on.cut.state(made)
            if value is None or not on.state.changed(value):
                break
            flipped.append((feeds, made))
        effect = effect_of(bench, on, flipped, all_values) if len(flipped) > 1 else None
        if effect is not None and is_override(effect, len(flipped), len(on.usual)):
            how, first = "another length of the input", flipped[0][1]
            return _told(switch, effect, on, first, True, how, tries, len(flipped))
    return None


def _middle(effect: Effect) -> float:
    return float(np.median([r.moved for r in effect.rows])) if effect.rows else 0.0


def _because(made: SwitchTrial, why: str, tries: int = 0) -> SwitchTrial:
    return msgspec.structs.replace(made, why=why, tries=tries)


def _for_all(
    cut: Cut, seeker: Seeker, usual: list[Feeds], first: Feeds
) -> tuple[list[Feeds | None], bool]:
    """The trigger in each input: the same one where it works in nearly all, else one made for
    each."""
    same = [transplanted(cut, usual[0], first, feeds) for feeds in usual]
    works = [seeker.is_changed(t) for t in same]
    if sum(works) >= SHARE * len(usual):
        return [t if w else None for t, w in zip(same, works, strict=True)], True
    found: list[Feeds | None] = [first]
    found += [seeker.from_input(feeds) for feeds in usual[1:]]
    return found, False


def _smallest(cut: Cut, seeker: Seeker, usual: list[Feeds], first: Feeds) -> Feeds:
    """The first trigger with less changed; where it works in the others too, it still does."""
    others = [f for f in usual[1:4] if seeker.is_changed(transplanted(cut, usual[0], first, f))]

    def holds(made: Feeds) -> bool:
        return seeker.is_changed(made) and all(
            seeker.is_changed(transplanted(cut, usual[0], made, f)) for f in others
        )

    return smallest(cut, usual[0], first, holds)


def _held_session(bench: Bench, values: list[str], feeds: Feeds) -> tuple[Session, Session]:
    """The model that also says its switches, and the one in which they are given."""
    model = bench.model
    live = Session(model.written(outputs=values), bench.folder, bench.budget)
    found = live.run(feeds, values)
    types = {name: NUMBERS[value.dtype] for name, value in found.items()}
    return live, Session(model.held(types), bench.folder, bench.budget)


def _samples(
    bench: Bench,
    cut: Cut,
    flipped: list[tuple[Feeds, Feeds]],
    sessions: tuple[Session, Session],
    values: list[str],
) -> list[Sample]:
    live, held = sessions
    states: list[Feeds] = []
    for natural, _ in flipped:
        before = _run(live, natural) or {}
        states.append({name: before[name] for name in values if name in before})
    done: list[Feeds] = []
    for number, (natural, made) in enumerate(flipped):
        chance = random_change(cut, natural, made, bench.rng)
        mine, other = states[number], states[number - 1]
        runs = (
            _run(bench.whole, natural),
            _run(bench.whole, made),
            _run(held, {**made, **mine}),
            _run(held, {**made, **other}),
            _run(bench.whole, chance),
            _run(held, {**chance, **mine}),
        )
        if len(mine) == len(values) and None not in runs:
            done += [run for run in runs if run is not None]
    if any(made[name].shape != natural[name].shape for natural, made in flipped for name in made):
        done = as_long(done)
    return [Sample(*done[at : at + 6]) for at in range(0, len(done), 6)]


def _told(
    switch: Switch,
    effect: Effect,
    on: Standing,
    first: Feeds,
    universal: bool,
    how: str,
    tries: int,
    flipped: int,
) -> SwitchTrial:
    usual = on.usual
    done = is_override(effect, flipped, len(usual))
    value = on.cut.state(first)
    return SwitchTrial(
        label=switch.label,
        value=switch.value,
        outcome="override" if done else "no-effect",
        why="" if done else _shortfall(effect, flipped, len(usual)),
        how=how,
        universal=universal,
        inputs=len(usual),
        flipped=flipped,
        overridden=effect.overridden,
        by_chance=effect.chance,
        captured=effect.captured,
        output=effect.output,
        usual_state=_shown(on.state.usual),
        other_state=_shown(value) if value is not None else "",
        tries=tries,
        triggers=tuple(
            _trigger(entry, usual[0][entry.name], first[entry.name], universal)
            for entry in on.cut.reached
            if not np.array_equal(usual[0][entry.name], first[entry.name])
        ),
        rows=tuple(
            TrialRow(r.natural, r.held, r.triggered, r.moved, r.by_chance) for r in effect.rows
        ),
    )


def _shortfall(effect: Effect, flipped: int, inputs: int) -> str:
    if flipped < SHARE * inputs:
        return f"it was flipped in {flipped} of {inputs} inputs only"
    if effect.overridden >= SHARE * len(effect.rows):
        return "a random change of the same kind does the same too often"
    return f"the switch decides the output in {effect.overridden} of {len(effect.rows)} inputs only"


def _shown(value: Array) -> str:
    numbers = ", ".join(f"{float(n):.5g}" for n in value.ravel()[:8])
    return numbers + (" …" if value.size > 8 else "")


def _trigger(entry: Port, natural: Array, made: Array, universal: bool) -> TriggerInput:
    """What was put in; the whole input where that is needed to see it again and fits."""
    longer = natural.shape != made.shape
    changed = np.arange(made.size) if longer else np.flatnonzero(natural.ravel() != made.ravel())
    places = changed
    whole = (longer or not universal) and made.size <= PLACES
    if whole:
        places = np.arange(made.size)
    return TriggerInput(
        title=f"What was put into the input {entry.name}"[:200],
        input=entry.name,
        sort=entry.kind,
        type=str(np.dtype(entry.dtype)),
        shape=made.shape,
        low=float(entry.low),
        high=float(entry.high),
        changed=len(changed),
        places=tuple(int(p) for p in places[:PLACES]),
        numbers=tuple(float(made.ravel()[p]) for p in places[:PLACES]),
        whole=whole,
    )
