"""Prevalence: a function of the observations, with denominators that say who was asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.report import CheckDoc, Tool
from weighbridge.core.survey import Blocked, Observation, Share, Survey, Tally
from weighbridge.policy.prevalence import UNPINNED, kinds, survey

INJECTION = CheckDoc(id="workflow-injection", control="workflows", title="", why="", what_to_do="",
                     limits="")  # fmt: skip
LOAD = CheckDoc(id="unsafe-load", control="training-code", title="", why="", what_to_do="",
                limits="")  # fmt: skip
TOOL = Tool(name="weighbridge", version="0", ruleset="0")


def seen(name: str, **more: object) -> Observation:
    return Observation(target=name, name=name, **more)  # type: ignore[arg-type]


def of(*observations: Observation, checks: Sequence[CheckDoc] = (INJECTION, LOAD)) -> Survey:
    return survey(observations, checks, TOOL, "2026-01-01T00:00:00Z")


BLOCK = Tally(block=1)
CLEAN = seen("clean", workflows=1, python=1)
UNREAD = seen("unread", workflows=2, python=1, gaps={"workflows": 3})
INJECTED = seen("injected", workflows=1, tallies={"workflow-injection": Tally(note=1)})
HELD = seen(
    "held", workflows=1, tallies={"workflow-injection": BLOCK},
    blocked=(Blocked(check="workflow-injection", control="workflows", message="", path="w"),),
    events={"issue_comment": 1},
)  # fmt: skip
NOTHING = seen("nothing")
FAILED = seen("failed", failed="it hung")
TESTS = seen("tests", python=1, tallies={"unsafe-load": Tally(review=1)},
             aside={"unsafe-load": Tally(review=1)})  # fmt: skip


def test_denominators_are_those_who_could_be_asked() -> None:
    said = of(CLEAN, UNREAD, INJECTED, HELD, NOTHING, FAILED, TESTS)
    assert said.denominators == {
        "given": 7, "surveyed": 6, "with workflows of GitHub": 4, "with Python": 3,
        "with either": 5, "read by zizmor": 0, "read whole": 5,
    }  # fmt: skip
    injection, load = said.rules
    assert injection.any == Share(found=2, of=4, open=1)
    assert injection.acted == injection.blocked == Share(found=1, of=4, open=1)
    assert injection.findings == Tally(block=1, note=1)
    assert said.complete == Share(found=1, of=4, open=1)
    assert said.code == Share(found=0, of=3, open=0)
    assert (load.any.found, load.aside, load.findings.review) == (0, 1, 1)


def test_the_published_classes() -> None:
    unpinned = seen("unpinned", workflows=1, kinds={UNPINNED: "note"})
    pinned = seen("pinned", workflows=1, tallies={"workflow-unpinned-action": Tally(note=1)})
    by = {c.name: c for c in of(CLEAN, HELD, unpinned, pinned, TESTS).compared}
    assert [c.published for c in by.values()] == [70.0, 68.4, 42.7, 34.1, 27.2, 22.8]
    assert by[UNPINNED].any == Share(found=1, of=4, open=0)
    assert by[UNPINNED].acted == Share(found=0, of=4, open=0)
    assert by["anything critical or high"].any == Share(found=1, of=5, open=0)
    assert by["dangerous triggers"].any.found == 1
    assert by["dangerous triggers"].acted.found == 0


@pytest.mark.parametrize(
    ("symbol", "action", "kind"),
    [
        ("platform actions", Action.NOTE, None),
        ("own actions", Action.NOTE, None),
        ("third-party actions", Action.NOTE, "note"),
        ("tj-actions/changed-files@v45", Action.REVIEW, "review"),
    ],
)
def test_whose_action_it_is(symbol: str, action: Action, kind: str | None) -> None:
    finding = Finding(
        message="", at=Location("w"), action=action, symbol=symbol, check="workflow-unpinned-action"
    )
    note = Finding(message="", at=Location("w"), action=Action.NOTE, symbol="third-party actions",
                   check="workflow-unread")  # fmt: skip
    assert kinds([note, finding]).get(UNPINNED) == kind


def test_the_order_of_the_observations_decides_nothing() -> None:
    those = [CLEAN, UNREAD, INJECTED, HELD, NOTHING, FAILED, TESTS]
    assert of(*those) == of(*reversed(those))


def test_nobody_asked() -> None:
    said = of(FAILED)
    assert said.complete == Share(found=0, of=0, open=0)
