"""Versions of Debian and Alpine: pairs in their order, and that the order is one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.intel.advisories.system_versions import alpine, debian

# Each list is in order; what `dpkg --compare-versions` says of every pair is the same.
DEBIAN = [
    ["1~~", "1~~a", "1~", "1", "1a", "1b", "1+", "1.", "1.1~rc1", "1.1", "1.2", "1.10", "1:0~",
     "1:0", "2:0"],
    ["7.88.1-10", "7.88.1-10+deb12u5", "7.88.1-10+deb12u14", "7.88.1-11", "8.0~", "8.0"],
    ["2.36-9", "2.36-9+b1", "2.36-9+deb12u1", "2.36-9+deb12u10", "2.36-10"],
    ["1.0", "1.0-1~bpo1", "1.0-1", "1.0-1ubuntu0.22.04.1", "1.0-1ubuntu1", "1.0-2"],
    ["0.9-1-1", "0.9-2-0", "0.9-2-1"],
    ["1.2.3", "1.2.3+dfsg", "1.2.3+git20200101", "1.2.3.1"],
]  # fmt: skip
SAME_DEBIAN = [("1", "0:1"), ("1.0", "1.0-0"), ("1.", "1.0"), ("1.01", "1.1"), ("1.2-", "1.2-0")]
ALPINE = [
    ["1.2_alpha", "1.2_alpha2", "1.2_beta", "1.2_pre1", "1.2_rc1", "1.2", "1.2-r1", "1.2-r10",
     "1.2_p1", "1.2a", "1.2.0", "1.2.01", "1.2.1", "1.2.10", "1.10", "2"],
    ["3.0.8_git1", "3.0.8_p1", "3.0.9"],
]  # fmt: skip


@pytest.mark.parametrize("order", DEBIAN)
def test_debian(order: list[str]) -> None:
    for one, other in itertools.combinations(order, 2):
        a, b = debian(one), debian(other)
        assert a is not None
        assert b is not None
        assert a < b, (one, other)


@pytest.mark.parametrize(("one", "other"), SAME_DEBIAN)
def test_two_spellings(one: str, other: str) -> None:
    assert debian(one) == debian(other)


@pytest.mark.parametrize("order", ALPINE)
def test_alpine(order: list[str]) -> None:
    keys = [alpine(version) for version in order]
    assert None not in keys
    assert sorted(keys) == keys  # type: ignore[type-var]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("text", ["", "a b", "1_2", "1:2:x y", "9" * 201, "ü", "1\n2"])
def test_what_is_no_version(text: str) -> None:
    assert debian(text) is None
    assert alpine(text) is None


VERSIONS = st.text("0129az~+.-:", min_size=1, max_size=8)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_is_total(one: str, other: str, third: str) -> None:
    keys = [k for k in map(debian, (one, other, third)) if k is not None]
    for a, b in itertools.product(keys, repeat=2):
        assert (a < b) + (b < a) + (a == b) == 1
    for a, b, c in itertools.permutations(keys, 3):
        assert not (a < b and b < c) or a < c


@given(st.text("0123.abr_pgit-~", min_size=1, max_size=12))
def test_any_version_of_alpine_can_be_sorted(text: str) -> None:
    key = alpine(text)
    if key is not None:
        assert not key < key
        assert sorted([key, (1, (), "", ((0, 0),), 0)])
