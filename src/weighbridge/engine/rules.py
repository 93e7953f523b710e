"""The auditor's own YARA rules, run by YARA-X over every artifact, inside the jail.

They are compiled before the children are forked, so that a broken rule ends the audit at once and
a child opens no file but the target's. YARA-X is an optional dependency (`weighbridge[yara]`).
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.report import Intel
from weighbridge.core.tree import Blob
from weighbridge.formats.rule_matches import Pattern, RuleMatch, RuleMatches

if TYPE_CHECKING:
    import yara_x

SUFFIXES: Final = (".yar", ".yara")
ACTION_KEY: Final = "weighbridge_action"
ACTIONS: Final = ("note", "review", "block")
FILE_LIMIT: Final = 64 << 20
"""How many bytes of rules are read in all."""
FILES_LIMIT: Final = 10_000
SCANNED: Final = 16 << 20
"""How many bytes of one artifact the rules see, from its beginning; a match takes a copy."""
SCANNED_IN_ALL: Final = 512 << 20
"""How many bytes of one top-level file and all that is inside it the rules see."""
SECONDS: Final = 10
"""How long the rules may take for one artifact."""
SECONDS_IN_ALL: Final = 60.0
MATCHES_KEPT: Final = 100
PER_PATTERN: Final = 100
SHOWN: Final = 64


class RulesError(Exception):
    """The rules cannot be used; the message says which file and why, for a user."""


class Budget(Struct):
    """What the rules have used up of one top-level file."""

    scanned: int = 0
    seconds: float = 0.0
    told: bool = False


class Rules(Struct):
    """Compiled rules: the folder as it was given, the sha256 of each file by its relative path."""

    folder: str
    files: dict[str, str]
    version: str
    changed: str
    compiled: yara_x.Rules
    _scanner: yara_x.Scanner | None = None

    @property
    def digest(self) -> str:
        """The sha256 over the paths and digests of all files."""
        listed = "\n".join(f"{sha256}  {path}" for path, sha256 in sorted(self.files.items()))
        return hashlib.sha256(listed.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def intel(self) -> Intel:
        """Which rules these are, and when the newest of the files was changed."""
        name = f"YARA rules of {self.folder} ({len(self.files):,} files, sha256 {self.digest})"
        return Intel(name=name, date=self.changed)

    def match(self, blob: Blob, where: Location, size: int, budget: Budget) -> RuleMatches:
        """The rules that match in a blob's beginning; what could not be looked at is a gap.

        Raises what `blob.read` raises.
        """
        import yara_x

        left = SCANNED_IN_ALL - budget.scanned
        if left <= 0 or budget.seconds >= SECONDS_IN_ALL:
            gaps = () if budget.told else (_used_up(where),)
            budget.told = True
            return RuleMatches(where=where, size=size, seen=0, gaps=gaps, matches=())
        data = blob.read(0, min(SCANNED, left))
        budget.scanned += len(data)
        started = time.monotonic()
        try:
            matched = self._made_scanner().scan(data).matching_rules
        except yara_x.TimeoutError:
            why = f"the rules took longer than {SECONDS} s and were stopped"
            gap = Gap(kind=GapKind.TIMEOUT, message=why, at=where)
            return RuleMatches(where=where, size=size, seen=0, gaps=(gap,), matches=())
        except yara_x.ScanError as error:
            raise Malformed(f"YARA-X gave up: {str(error)[:200]}") from None
        finally:
            budget.seconds += time.monotonic() - started
        gaps = ()
        if len(matched) > MATCHES_KEPT:
            why = f"{len(matched):,} rules match; {MATCHES_KEPT:,} are told"
            gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
        made = tuple(self._match(rule, data) for rule in matched[:MATCHES_KEPT])
        return RuleMatches(where=where, size=size, seen=len(data), gaps=gaps, matches=made)

    def _made_scanner(self) -> yara_x.Scanner:
        """One for each child: its clock is a thread, which a fork would not take along."""
        if self._scanner is None:
            import yara_x

            self._scanner = yara_x.Scanner(self.compiled)
            self._scanner.set_timeout(SECONDS)
            self._scanner.max_matches_per_pattern(PER_PATTERN)
        return self._scanner

    def _match(self, rule: yara_x.Rule, data: bytes) -> RuleMatch:
        patterns = tuple(
            Pattern(
                p.identifier,
                p.matches[0].offset,
                len(p.matches),
                data[p.matches[0].offset :][: min(p.matches[0].length, SHOWN)],
            )
            for p in rule.patterns
            if p.matches
        )
        return RuleMatch(
            rule=rule.identifier,
            file=rule.namespace,
            sha256=self.files[rule.namespace],
            meta=tuple((key, _text(value)) for key, value in rule.metadata),
            tags=tuple(rule.tags),
            patterns=patterns,
        )


def _used_up(where: Location) -> Gap:
    why = (
        f"the rules have looked at {SCANNED_IN_ALL:,} bytes of this file, or for "
        f"{SECONDS_IN_ALL:g} s; they were not run on the rest of its content"
    )
    return Gap(kind=GapKind.TOO_LARGE, message=why, at=where)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value).lower() if isinstance(value, bool) else str(value)


def compile_folder(folder: Path) -> Rules:
    """Compile every `.yar` and `.yara` file under a folder.

    Raises `RulesError` where YARA-X is not installed, where there are no rules, and for the first
    rule that is wrong.
    """
    try:
        import yara_x
    except ImportError:
        why = "YARA rules need YARA-X, which is not installed: pip install 'weighbridge[yara]'"
        raise RulesError(why) from None
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)  # each file has its own digest; nothing comes in unseen
    files: dict[str, str] = {}
    size, newest = 0, 0.0
    for path in _rule_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            data = path.read_bytes()
            newest = max(newest, path.stat().st_mtime)
        except OSError as error:
            raise RulesError(f"{path}: {error.strerror}") from None
        size += len(data)
        if size > FILE_LIMIT:
            raise RulesError(f"{folder}: more than {FILE_LIMIT:,} bytes of rules")
        files[name] = hashlib.sha256(data).hexdigest()
        try:
            compiler.new_namespace(name)
            compiler.add_source(data.decode(), origin=name)
        except (yara_x.CompileError, UnicodeDecodeError) as error:
            raise RulesError(f"{path}: {str(error)[:2_000]}") from None
    if not files:
        raise RulesError(f"{folder}: it holds no rules ({' or '.join(SUFFIXES)})")
    compiled = compiler.build()
    _check_actions(compiled, folder)
    changed = datetime.fromtimestamp(newest, UTC).date().isoformat()
    from importlib.metadata import version

    return Rules(str(folder), files, version("yara-x"), changed, compiled)


def _rule_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise RulesError(f"{folder}: there is no such folder of rules")
    found = sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    if len(found) > FILES_LIMIT:
        raise RulesError(f"{folder}: more than {FILES_LIMIT:,} files of rules")
    return found


def _check_actions(compiled: yara_x.Rules, folder: Path) -> None:
    for rule in compiled:
        for key, value in rule.metadata:
            if key == ACTION_KEY and value not in ACTIONS:
                raise RulesError(
                    f"{folder / rule.namespace}: rule {rule.identifier}: {ACTION_KEY} is "
                    f"{value!r}; it can be {', '.join(ACTIONS)}"
                )
