"""What rules of the auditor's own (YARA) match in an artifact. The engine runs them; checks judge.

Rules are never part of a target: whoever audits hands them over (`--rules`).
"""

from __future__ import annotations

from msgspec import Struct

from weighbridge.core.document import Document


class Pattern(Struct, frozen=True):
    """Where a pattern of a rule was found: its identifier, the first offset in bytes, how often
    (counted up to a limit), and the first bytes there."""

    identifier: str
    offset: int
    count: int
    data: bytes


class RuleMatch(Struct, frozen=True):
    """A rule that matched: its name, the `file` that it came from (relative to the folder of
    rules), that file's sha256, its `meta` in order, its tags, and what it found."""

    rule: str
    file: str
    sha256: str
    meta: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]
    patterns: tuple[Pattern, ...]

    def says(self, key: str) -> str:
        """The first value of a key of its `meta`, or the empty string."""
        return next((value for name, value in self.meta if name == key), "")


class RuleMatches(Document, frozen=True, kw_only=True, eq=False):
    """The rules that matched in the bytes that were `seen`."""

    matches: tuple[RuleMatch, ...]
