"""Workflows of GitHub Actions: who can start what, and what he gets by it."""

from __future__ import annotations

import pytest

from workflows import CASES, Case, look, said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    assert said(case.files) == case.expected
    assert look(case.files)[1] == []


def test_the_table_is_large_enough() -> None:
    sorts = [case.sort for case in CASES]
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert min(sorts.count(sort) for sort in ("attack", "guarded", "fixed")) >= 10


def test_attacks_are_found_and_the_rest_is_left_alone() -> None:
    for case in CASES:
        assert bool(case.expected) == (case.sort == "attack"), case.name
