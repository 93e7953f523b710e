"""From findings, gaps and a policy to the answers and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.check import Audit, Check, check
from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.report import FileRecord
from weighbridge.policy.controls import CONTROLS, GROUPS
from weighbridge.policy.policy import GapAcceptance, Policy, Rules, Waiver
from weighbridge.policy.verdict import Judgement, judge

TODAY = date(2026, 11, 23)
TOMORROW, YESTERDAY = date(2026, 11, 24), date(2026, 11, 22)
BLOCK, REVIEW, NOTE = Action.BLOCK, Action.REVIEW, Action.NOTE


def registered(id: str, control: str) -> Check:
    def run(audit: Audit) -> Iterator[Finding | Gap]:
        """Never run."""
        return iter(())

    return check(id, control=control, reads=Audit)(run)


CHECKS = tuple(
    registered(id, control)
    for id, control in (
        ("digest", "integrity"),
        ("format", "file-format"),
        ("acting", "payload-scan"),
        ("unknown", "payload-scan"),
        ("ancestry", "lineage"),
    )
)
RAN = {"digest": 1, "format": 1, "acting": 2, "unknown": 2}


def found(check: str, action: Action, path: str = "m.bin", message: str = "it acts") -> Finding:
    return Finding(
        message=message,
        at=Location(path),
        action=action,
        check=check,
        symbol="s",
        fingerprint=f"{check}/{path}",
    )


def gap(*controls: str, kind: GapKind = GapKind.MALFORMED, path: str = "g.zip") -> Gap:
    return Gap(kind=kind, message="it is broken", at=Location(path), controls=controls)


NOT_GIVEN = gap("integrity", kind=GapKind.NOT_GIVEN, path=".")


def judged(*said: Finding | Gap, policy: Policy | None = None, **other: Any) -> Judgement:
    facts: dict[str, Any] = {
        "findings": [entry for entry in said if isinstance(entry, Finding)],
        "gaps": [entry for entry in said if isinstance(entry, Gap)],
        "checks": CHECKS,
        "ran": RAN,
        "files": (FileRecord(path="m.bin", size=1, sha256=None),),
        "policy": policy or Policy(),
        "today": TODAY,
    }
    return judge(**{**facts, **other})


def answer(judgement: Judgement, id: str) -> Any:
    return next(control for control in judgement.controls if control.id == id)


@pytest.mark.parametrize(
    ("said", "verdict", "given_"),
    [
        ((), "pass", True),
        ((found("acting", NOTE),), "pass", True),
        ((found("unknown", REVIEW),), "warn", True),
        ((found("acting", BLOCK),), "fail", True),
        ((found("unknown", REVIEW), found("acting", BLOCK)), "fail", True),
        ((gap("payload-scan"),), "unknown", True),
        ((gap("payload-scan"), found("unknown", REVIEW)), "unknown", True),
        ((gap("payload-scan"), found("acting", BLOCK)), "fail", True),
        ((gap(),), "unknown", True),
        ((gap("integrity"),), "pass", True),
        ((gap("payload-scan", kind=GapKind.NOT_GIVEN),), "unknown", False),
        (
            (gap("payload-scan", kind=GapKind.NOT_GIVEN), found("unknown", REVIEW)),
            "warn",
            True,
        ),
        ((gap("payload-scan", kind=GapKind.NOT_GIVEN), gap("payload-scan")), "unknown", True),
    ],
)
def test_the_answer_to_one_control(
    said: tuple[Finding | Gap, ...], verdict: str, given_: bool
) -> None:
    result = answer(judged(*said), "payload-scan")
    assert (result.verdict, result.given) == (verdict, given_)


def test_what_nobody_asked_is_unknown_and_what_was_not_there_does_not_apply() -> None:
    judgement = judged()
    publisher = answer(judgement, "publisher")
    assert publisher.verdict is ControlVerdict.UNKNOWN
    assert publisher.because == "no check reads this yet"
    assert not publisher.given
    lineage = answer(judgement, "lineage")
    assert lineage.verdict is ControlVerdict.NOT_APPLICABLE
    assert lineage.checks == ()
    assert answer(judgement, "payload-scan").checks == ("acting", "unknown")


def test_all_14_are_answered_in_order() -> None:
    controls = judged().controls
    assert [c.id for c in controls] == [c.id for c in CONTROLS]
    assert list(dict.fromkeys(c.group for c in controls)) == list(GROUPS.values())
    assert all(c.because and c.frameworks for c in controls)


@pytest.mark.parametrize(
    ("said", "rules", "verdict", "code"),
    [
        ((), Rules(), "pass", 0),
        ((NOT_GIVEN,), Rules(), "pass", 0),
        ((NOT_GIVEN,), Rules(demand=("integrity",)), "incomplete", 3),
        ((), Rules(demand=("publisher",)), "incomplete", 3),
        ((), Rules(demand=("lineage",)), "pass", 0),
        ((found("unknown", REVIEW),), Rules(), "review", 0),
        ((found("unknown", REVIEW),), Rules(review_fails=True), "review", 1),
        ((found("acting", BLOCK),), Rules(), "block", 1),
        ((found("format", BLOCK),), Rules(), "review", 0),
        ((found("format", BLOCK),), Rules(block=("file-format",)), "block", 1),
        ((found("format", REVIEW),), Rules(block=("file-format",)), "review", 0),
        ((gap("payload-scan"),), Rules(), "incomplete", 3),
        ((gap("payload-scan"),), Rules(review_fails=True), "incomplete", 3),
        ((gap("payload-scan"), found("unknown", REVIEW)), Rules(), "incomplete", 3),
        ((gap("payload-scan"), found("format", REVIEW)), Rules(), "incomplete", 3),
        ((gap("payload-scan"), found("acting", BLOCK)), Rules(), "block", 1),
        ((gap("file-format"), found("format", BLOCK)), Rules(), "incomplete", 3),
        ((gap("lineage"),), Rules(), "review", 0),
        ((gap("lineage"),), Rules(demand=("lineage",)), "incomplete", 3),
        ((gap(),), Rules(), "incomplete", 3),
    ],
)
def test_the_verdict_of_the_audit(
    said: tuple[Finding | Gap, ...], rules: Rules, verdict: str, code: int
) -> None:
    judgement = judged(*said, policy=Policy(rules=rules))
    assert (judgement.verdict, judgement.exit_code) == (verdict, code)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"files": ()}, "no file of the target could be examined"),
        ({"ran": {}}, "no control could be answered"),
        ({"checks": (), "ran": {}}, "no control could be answered"),
    ],
)
def test_what_was_not_examined_does_not_pass(other: dict[str, Any], reason: str) -> None:
    judgement = judged(**other)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert reason in judgement.sentence


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            (NOT_GIVEN, found("acting", BLOCK, "model.bin", "loading it calls os.system")),
            "Block: model.bin: loading it calls os.system (payload scan). "
            "2 of 14 controls answered from these files.",
        ),
        (
            (
                NOT_GIVEN,
                found("unknown", REVIEW, "a"),
                found("acting", BLOCK, "b", "b runs code."),
                found("acting", BLOCK, "c"),
            ),
            "Block: b runs code (payload scan), and 1 more finding. "
            "2 of 14 controls answered from these files.",
        ),
        (
            (NOT_GIVEN, gap("payload-scan"), gap("payload-scan", path="h.zip")),
            "Incomplete: g.zip: it is broken (malformed), and 1 more gap, which leaves payload "
            "scan open. 1 of 14 controls answered from these files.",
        ),
        (
            (NOT_GIVEN, found("format", REVIEW, message="m.bin is a pickle")),
            "Review: m.bin is a pickle (file format). 2 of 14 controls answered from these files.",
        ),
        (
            (NOT_GIVEN,),
            "Pass: nothing stands against these files. 2 of 14 controls answered from these files.",
        ),
    ],
)
def test_the_sentence_names_what_decided(said: tuple[Finding | Gap, ...], sentence: str) -> None:
    assert judged(*said).sentence == sentence


def test_a_sentence_stays_short() -> None:
    assert len(judged(found("acting", BLOCK, message="x" * 10_000)).sentence) < 400


def waiver(expires: date = TOMORROW, **matchers: str) -> Waiver:
    return Waiver(id="w", reason="seen", owner="me", expires=expires, **matchers)


@pytest.mark.parametrize(
    ("expires", "verdict", "covers"),
    [(TOMORROW, "pass", 1), (TODAY, "pass", 1), (YESTERDAY, "block", 0)],
)
def test_a_waiver_holds_until_its_day_is_over(expires: date, verdict: str, covers: int) -> None:
    policy = Policy(waivers=(waiver(expires, check="acting"),))
    judgement = judged(found("acting", BLOCK), policy=policy)
    assert judgement.verdict == verdict
    (applied,) = judgement.waivers
    assert (applied.covers, applied.expired) == (covers, not covers)
    (finding,) = answer(judgement, "payload-scan").findings
    assert finding.waiver == ("w" if covers else None)


def test_a_waiver_covers_no_more_than_it_says() -> None:
    policy = Policy(waivers=(waiver(check="acting", path="a"),))
    judgement = judged(found("acting", BLOCK, "a"), found("acting", BLOCK, "b"), policy=policy)
    assert judgement.verdict is Verdict.BLOCK
    assert judgement.sentence.startswith("Block: b: ")


def test_a_pass_names_what_was_waived() -> None:
    policy = Policy(waivers=(waiver(check="acting"),))
    judgement = judged(found("acting", BLOCK, "a"), found("acting", BLOCK, "b"), policy=policy)
    assert "but 2 waived findings" in judgement.sentence
    assert "2 findings waived" in answer(judgement, "payload-scan").because


def accepting(expires: date = TOMORROW, **matchers: Any) -> Policy:
    entry = GapAcceptance(id="g", reason="not deployed", owner="me", expires=expires, **matchers)
    return Policy(accepted_gaps=(entry,))


def test_an_accepted_gap_stays_visible_and_is_open_no_more() -> None:
    judgement = judged(gap("payload-scan"), policy=accepting(path="g.*"))
    result = answer(judgement, "payload-scan")
    assert result.verdict is ControlVerdict.PASS
    assert "1 gap accepted" in result.because
    assert result.gaps[0].accepted == "not deployed"
    assert judgement.verdict is Verdict.PASS
    assert "but 1 accepted gap." in judgement.sentence


def test_a_gap_is_accepted_once_however_many_controls_it_leaves_open() -> None:
    judgement = judged(gap("payload-scan", "file-format"), policy=accepting(path="g.*"))
    assert judgement.waivers[0].covers == 1
    assert "but 1 accepted gap." in judgement.sentence


def test_an_expired_acceptance_is_shown_and_does_nothing() -> None:
    judgement = judged(gap("payload-scan"), policy=accepting(YESTERDAY, path="g.*"))
    assert judgement.verdict is Verdict.INCOMPLETE
    assert judgement.waivers[0].expired


def test_an_acceptance_may_be_for_one_control_only() -> None:
    policy = accepting(control="file-format")
    judgement = judged(gap("payload-scan", "file-format"), policy=policy)
    assert answer(judgement, "file-format").verdict is ControlVerdict.PASS
    assert answer(judgement, "payload-scan").verdict is ControlVerdict.UNKNOWN
    assert judgement.verdict is Verdict.INCOMPLETE


def test_accepting_what_was_not_given_does_not_make_it_pass() -> None:
    result = answer(judged(NOT_GIVEN, policy=accepting(control="integrity")), "integrity")
    assert result.verdict is ControlVerdict.UNKNOWN


def test_where_nothing_but_an_accepted_gap_was_there_nothing_passes() -> None:
    judgement = judged(gap("lineage"), policy=accepting(control="lineage"))
    assert answer(judgement, "lineage").verdict is ControlVerdict.UNKNOWN


def test_nothing_is_lost_for_want_of_a_place() -> None:
    with pytest.raises(ValueError, match="not registered"):
        judged(found("nobody", BLOCK))
    with pytest.raises(ValueError, match="do not exist"):
        judged(gap("nothing"))


CHECK_IDS = [check.id for check in CHECKS]
FINDINGS = st.builds(
    found, st.sampled_from(CHECK_IDS), st.sampled_from(Action), st.sampled_from("abc")
)
GAPS = st.builds(
    lambda control, kind: gap(control, kind=kind),
    st.sampled_from([control.id for control in CONTROLS]),
    st.sampled_from(GapKind),
)


@given(
    st.lists(FINDINGS, max_size=6),
    st.lists(GAPS, max_size=4),
    st.dictionaries(st.sampled_from(CHECK_IDS), st.integers(0, 3)),
)
def test_an_open_gap_or_a_finding_never_passes(
    findings: list[Finding], gaps: list[Gap], ran: Mapping[str, int]
) -> None:
    judgement = judged(*findings, *gaps, ran=ran)
    for control in judgement.controls:
        if control.verdict is ControlVerdict.PASS:
            assert not control.gaps
            assert all(f.action is NOTE for f in control.findings)
            assert any(ran.get(c.id, 0) for c in CHECKS if c.control == control.id)
    shown = [f for control in judgement.controls for f in control.findings]
    assert sorted(f.fingerprint for f in shown) == sorted(f.fingerprint for f in findings)
    assert judgement.sentence.lower().startswith(judgement.verdict)
    more = judged(*findings, *gaps, found("acting", BLOCK), ran=ran)
    assert more.verdict is Verdict.BLOCK
