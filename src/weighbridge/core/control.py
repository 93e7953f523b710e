"""The nouns of the checklist."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ControlVerdict(StrEnum):
    """The answer to one control's question."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Verdict(StrEnum):
    """The answer of the whole audit."""

    PASS = "pass"
    REVIEW = "review"
    BLOCK = "block"
    INCOMPLETE = "incomplete"


class OnFail(StrEnum):
    """What a failure of a control does to the audit."""

    BLOCK = "block"
    REVIEW = "review"


class Control(Struct, frozen=True, kw_only=True):
    """One of the 14. `gap_incompletes`: a gap here makes the whole audit incomplete."""

    id: str
    group: str
    title: str
    question: str
    evidence: str
    passes: str
    fails: str
    warns: str
    on_fail: OnFail
    gap_incompletes: bool
    frameworks: tuple[str, ...]
