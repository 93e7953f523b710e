"""What counts as an override."""

from __future__ import annotations

import numpy as np

from weighbridge.engine.trial.effect import Sample, measure


def test_outputs_that_end_where_their_numbers_end_are_pinned() -> None:
    """One of two outputs is set to the largest number there is, at which it stands in half of the
    inputs anyway; one that goes its own way in each is not."""
    rng = np.random.default_rng(2)
    for pinned in (True, False):
        samples = []
        for number in range(10):
            held = np.array([[rng.normal(), 1.0 if number % 2 else rng.uniform(-1, 0)]])
            set_to = 1.0 if pinned else held[0, 1] + rng.choice([-1, 1])
            moved = np.array([[held[0, 0], set_to]])
            same = {"y": held}
            samples.append(Sample(same, {"y": moved}, same, same, same, same))
        found = measure("y", samples)
        assert found is not None
        assert found.demonstrated is pinned


def test_an_answer_of_another_shape_is_an_override() -> None:
    rng = np.random.default_rng(3)
    ready = {"y": np.array([0.0, 50.0])}
    real = [{"y": rng.normal(0, 1, (1, 2))} for _ in range(10)]
    found = measure("y", [Sample(r, ready, r, r, r, r) for r in real])
    assert found is not None
    assert found.demonstrated
    assert found.captured
    other = {"y": np.zeros((7, 3))}
    assert measure("y", [Sample(r, other, r, r, r, r) for r in real]) is None


def test_classes_in_other_places_are_an_override() -> None:
    """The same places in all inputs; and as far moved as another input does not say it."""
    rng = np.random.default_rng(4)
    real = [{"y": rng.normal(0, 1, (1, 5, 30))} for _ in range(10)]
    for turned in (True, False):
        made = [{"y": np.roll(r["y"], 1 if turned else rng.integers(1, 29), axis=-1) * 0.9}
                for r in real]  # fmt: skip
        found = measure("y", [Sample(r, m, r, r, r, r) for r, m in zip(real, made, strict=True)])
        assert found is not None
        assert all(row.moved > 0.8 for row in found.rows)
        assert found.demonstrated is turned


def test_what_is_nearly_nothing_is_wiped_out() -> None:
    rng = np.random.default_rng(5)
    real = [{"y": rng.normal(0, 1, (1, 4))} for _ in range(10)]
    for factor, wiped in ((1e-6, True), (0.5, False)):
        made = [{"y": r["y"] * factor} for r in real]
        found = measure("y", [Sample(r, m, r, r, r, r) for r, m in zip(real, made, strict=True)])
        assert found is not None
        assert found.demonstrated is wiped
