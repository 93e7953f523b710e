"""What two looks at one thing say of each other: a lock and what is there now, or two audits."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

VERIFICATION_SCHEMA = "weighbridge/verification/1"
DIFFERENCE_SCHEMA = "weighbridge/difference/1"


class Outcome(StrEnum):
    """The answer of a verification. Exit codes: 0, 1, 3."""

    SAME = "same"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"


class FileChange(Struct, frozen=True, kw_only=True):
    """A file that is not as it was. `what` is `changed`, `missing`, `extra`, `renamed` or
    `unknown` (it could not be compared). `before` and `after` are digests (sha256 where there is
    one), for a renamed file paths, or why it is unknown; null where there is none."""

    path: str
    what: str
    before: str | None = None
    after: str | None = None


class Change(Struct, frozen=True, kw_only=True):
    """Something else that is not as it was, and what that means for a reader."""

    what: str
    before: str | None
    after: str | None
    means: str = ""


class Verification(Struct, frozen=True, kw_only=True):
    """Whether what is there now is what was locked.

    `computed` counts the files whose bytes were read and are the same, `declared` those that are
    the same by a digest that only their source names. `sentence` says the outcome in one.
    """

    schema: str
    target: str
    locked: str
    outcome: Outcome
    sentence: str
    exit_code: int
    computed: int
    declared: int
    identity: tuple[Change, ...]
    files: tuple[FileChange, ...]


class Difference(Struct, frozen=True, kw_only=True):
    """What changed between two audits, or an audit and a lock.

    `controls` and `findings` compare what only reports hold; `rules_differ` says that the two were
    judged by different rules. `means` says in sentences what follows.
    """

    schema: str
    old: str
    new: str
    same: bool
    rules_differ: bool
    verdict: Change | None
    identity: tuple[Change, ...]
    files: tuple[FileChange, ...]
    controls: tuple[Change, ...]
    findings: tuple[Change, ...]
    means: tuple[str, ...]
