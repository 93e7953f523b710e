"""What is the rounding of an original, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weighbridge.analysis.element_types import TYPES, Fit
from weighbridge.analysis.rounding import compare
from weights import CONVERSIONS, packed

BLOCKS = np.load(CONVERSIONS / "blocks.npz")
ORIGINAL = (BLOCKS["original"].astype(np.uint32) << 16).view(np.float32)
CODED = [name for name, kind in TYPES.items() if kind.coded is not None]
RANDOM = np.random.default_rng(0)
CHANGES: dict[str, Callable[[Any], Any]] = {
    "another row": lambda row: RANDOM.permutation(row),
    "a tenth of noise": lambda row: row + 0.1 * row.std() * RANDOM.standard_normal(len(row)),
    "the other sign": lambda row: -row,
    "nothing": lambda row: row * 0,
}


@pytest.mark.parametrize("how", ["plain", "weighed"])
@pytest.mark.parametrize("name", CODED)
def test_what_ggml_quantised_is_its_rounding(name: str, how: str) -> None:
    found = compare(TYPES[name], BLOCKS[f"{name} {how}"].tobytes(), ORIGINAL)
    assert found.beyond.tolist() == [0] * 6
    assert found.unsuited.tolist() == [False] * 6
    assert ((found.error / found.energy) ** 0.5 < 0.45).all()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", CODED)
def test_one_row_that_is_another(name: str, change: str) -> None:
    other = ORIGINAL.copy()
    other[1] = CHANGES[change](other[1])
    found = compare(TYPES[name], BLOCKS[f"{name} plain"].tobytes(), other)
    bad = (found.beyond > 0) | found.unsuited
    assert bad.tolist() == [False, True, False, False, False, False]


@pytest.mark.parametrize("name", [n for n in CODED if TYPES[n].fit in (Fit.STORED, Fit.EARLY)])
def test_a_tenth_more_is_seen_where_the_scale_is_tight(name: str) -> None:
    found = compare(TYPES[name], BLOCKS[f"{name} plain"].tobytes(), ORIGINAL * np.float32(1.1))
    assert (found.beyond > 0).all()


@given(
    values=arrays(np.float32, (2, 64), elements=st.floats(-1e4, 1e4, width=32)),
    name=st.sampled_from(["Q4_0", "Q8_0"]),
)
@settings(max_examples=200, deadline=None)
def test_the_specification_is_always_within_the_bound(values: Any, name: str) -> None:
    found = compare(TYPES[name], packed(values, name), values)
    assert found.beyond.tolist() == [0, 0]
    assert found.unsuited.tolist() == [False, False]


@given(values=arrays(np.float32, (2, 8), elements=st.floats(-6e4, 6e4, width=32)))
@settings(max_examples=100, deadline=None)
def test_half_precision(values: Any) -> None:
    kind = TYPES["F16"]
    assert compare(kind, values.astype("<f2").tobytes(), values).beyond.tolist() == [0, 0]
    other = values.astype("<f2")
    other[1, 3] = other[1, 3] * 1.01 + 1
    assert compare(kind, other.tobytes(), values).beyond.tolist() == [0, 1]


@given(values=arrays(np.float32, (2, 8), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
@settings(max_examples=100, deadline=None)
def test_bfloat16(values: Any) -> None:
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    kind = TYPES["BF16"]
    assert compare(kind, rounded.tobytes(), values).beyond.tolist() == [0, 0]
    cut = (bits >> 16).astype("<u2")
    cut[0, 2] += 3
    assert compare(kind, cut.tobytes(), values).beyond[0] >= 1


def test_infinities_and_what_is_no_number() -> None:
    values = np.array([[np.nan, np.inf, 1, 2]], np.float32)
    kind = TYPES["F32"]
    assert compare(kind, values.tobytes(), values).beyond.tolist() == [0]
    assert compare(kind, values.tobytes(), np.zeros_like(values)).beyond.tolist() == [4]
    broken = np.full(34, 255, np.uint8)  # a scale that is no number
    assert compare(TYPES["Q8_0"], broken.tobytes(), np.ones((1, 32), np.float32)).beyond.sum() == 1
