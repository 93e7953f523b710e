"""What a check may say: a `Finding` or a `Gap`, and nothing else."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from weighbridge.core.evidence import AnyEvidence
from weighbridge.core.location import Location


class Action(StrEnum):
    """What the reader must do about a finding."""

    BLOCK = "block"
    REVIEW = "review"
    NOTE = "note"


class Confidence(StrEnum):
    """How the finding was reached."""

    CONFIRMED = "confirmed"
    """Read from the parsed structure: it is there."""
    LIKELY = "likely"
    """Inferred from the structure: another reading is possible."""


class Related(Struct, frozen=True, omit_defaults=True):
    """A second place that a finding is about, and what it is there for."""

    message: str
    at: Location


class Finding(Struct, frozen=True, kw_only=True):
    """Something in the target that a reader must know.

    A check fills what it knows; the engine stamps `check` and `fingerprint`, the policy stamps
    `waiver` (the id of the waiver that covers it). `symbol` names the thing that is accused (a
    callee, a tensor, a member); with check, path and evidence it makes the fingerprint, which
    stays the same when the place moves.
    """

    message: str
    at: Location
    action: Action
    symbol: str = ""
    confidence: Confidence = Confidence.CONFIRMED
    related: tuple[Related, ...] = ()
    evidence: tuple[AnyEvidence, ...] = ()
    check: str = ""
    fingerprint: str = ""
    waiver: str | None = None


class GapKind(StrEnum):
    """Why something that should have been seen was not."""

    TOO_LARGE = "too-large"
    ENCRYPTED = "encrypted"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OFFLINE = "offline"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"
    NOT_GIVEN = "not-given"
    """Nobody handed over that evidence: said apart, because it is not a failure of the audit."""


class Gap(Struct, frozen=True, kw_only=True):
    """Something that should have been seen and was not. Never rendered as a pass.

    A parser or check fills `kind`, `message` and `at`; the engine stamps `controls`, the ids of
    the controls whose question stays open because of it; the policy stamps `accepted`, the reason
    why this gap may stay open.
    """

    kind: GapKind
    message: str
    at: Location
    controls: tuple[str, ...] = ()
    accepted: str | None = None
