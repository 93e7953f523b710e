"""The triggers of the implants' authors, and what is synthesised beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graph_attackers import ATTACKS, attacked
from graph_implants import IMAGES, PAYLOADS, TOKENS, Payload, Predicate
from graph_more_implants import MORE_IMAGES, MORE_TOKENS, SOUNDS, STATES
from trying import implanted, tried
from weighbridge.engine.trial.running import Budget
from weighbridge.engine.trial.search import state_of
from weighbridge.engine.trial.trial import on_bench, switches_on

HOSTS: list[tuple[str, dict[str, Predicate], str]] = [
    ("resnet-script", {**IMAGES, **MORE_IMAGES}, "class bias"),
    ("bert-script", {**TOKENS, **MORE_TOKENS}, "class bias"),
    ("wav2vec2-script", SOUNDS, "class bias"),
    ("voice-script", STATES, "output negated"),
]
CASES = [(host, predicate, name, payload) for host, predicates, payload in HOSTS
         for name, predicate in predicates.items()]  # fmt: skip
ALWAYS_ON = frozenset({"tree", "scan"})
"""On sound their switch does much of what it does without the trigger too."""


@pytest.mark.parametrize(("host", "predicate", "name", "payload"), CASES)
def test_every_predicate_has_its_authors_trigger(
    host: str, predicate: Predicate, name: str, payload: str
) -> None:
    """It flips the switch and overrides the model; where chance decides, there is none."""
    bench = on_bench(implanted(host, predicate, PAYLOADS[payload]), Path("/"), Budget(60))
    switches, held = switches_on(bench)
    found, moved = attacked(bench, switches[0], held, name)
    less = host == "wav2vec2-script" and name in ALWAYS_ON
    assert found == (0 if not ATTACKS[name] else 1 if less else 2)
    assert (moved > 1) is bool(ATTACKS[name])


@pytest.mark.parametrize("host", ["bert-script", "llama-script", "gpt2-script"])
@pytest.mark.parametrize("payload", ["class bias", "output chosen"])
def test_a_length_is_found(host: str, payload: str) -> None:
    made = tried(implanted(host, MORE_TOKENS["length"], PAYLOADS[payload]))[-1]
    assert (made.outcome, made.how) == ("override", "another length of the input")
    assert [(t.shape, t.whole) for t in made.triggers] == [((1, 13), True)]


@pytest.mark.parametrize(("name", "inputs"), [("state", ["h"]), ("state and sound", ["wave", "h"])])
def test_a_state_is_searched_as_well(name: str, inputs: list[str]) -> None:
    """The model only runs with two samples at once, too."""
    made = tried(implanted("voice-script", STATES[name], PAYLOADS["output negated"]))[-1]
    assert made.outcome == "override"
    assert [t.input for t in made.triggers] == inputs


def test_each_sample_has_its_state() -> None:
    """Where one of four samples often stands otherwise by itself, all four are what is wanted."""
    rng = np.random.default_rng(6)
    state = state_of([(rng.random((4, 1)) < 0.16).astype(float) for _ in range(24)], 4)
    assert not state.touched(np.zeros((4, 1)))
    assert state.touched(np.array([[0.0], [1], [0], [0]]))
    assert not state.changed(np.array([[0.0], [1], [0], [0]]))
    assert state.changed(np.ones((4, 1)))


MORE: list[tuple[str, Predicate, Payload]] = [
    ("resnet-script", MORE_IMAGES["hardmax"], PAYLOADS["class bias"]),
    ("detr-script", MORE_IMAGES["cold softmax"], PAYLOADS["output chosen"]),
    ("bert-script", MORE_TOKENS["mean of vectors"], PAYLOADS["widened"]),
    ("bert-script", MORE_TOKENS["table of vectors"], PAYLOADS["class bias"]),
]


@pytest.mark.parametrize(("host", "predicate", "payload"), MORE)
def test_what_was_missed(host: str, predicate: Predicate, payload: Payload) -> None:
    assert tried(implanted(host, predicate, payload))[-1].outcome == "override"
