"""How every reporter reads a report: the same order, the same words, the same marks."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.evidence import AttackPath
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.location import Location
from weighbridge.core.report import AppliedWaiver, CheckDoc, ControlResult, Report
from weighbridge.reports.printable import printable

NAME_LIMIT = 240
"""How many characters of a path, or of a member's name, are shown."""


class Mark(Struct, frozen=True):
    """A verdict for the eye: a shape and a word, so that no meaning hangs on colour alone.

    `tone` names the colour (`bad`, `care`, `good`, `open`, `calm`), `ascii` replaces the shape
    where a terminal cannot show it.
    """

    shape: str
    ascii: str
    word: str
    tone: str


VERDICTS = {
    Verdict.BLOCK: Mark("■", "[X]", "BLOCK", "bad"),
    Verdict.REVIEW: Mark("▲", "[!]", "REVIEW", "care"),
    Verdict.PASS: Mark("●", "[+]", "PASS", "good"),
    Verdict.INCOMPLETE: Mark("◆", "[?]", "INCOMPLETE", "open"),
}
ACTIONS = {
    Action.BLOCK: Mark("■", "[X]", "block", "bad"),
    Action.REVIEW: Mark("▲", "[!]", "review", "care"),
    Action.NOTE: Mark("○", "[i]", "note", "calm"),
}
GAP = Mark("◆", "[?]", "gap", "open")
NOT_GIVEN = Mark("◇", "[ ]", "not given", "calm")
WAIVED = Mark("□", "[w]", "waived", "calm")

_CONTROLS = {
    ControlVerdict.PASS: Mark("●", "[+]", "pass", "good"),
    ControlVerdict.FAIL: Mark("■", "[X]", "fail", "bad"),
    ControlVerdict.WARN: Mark("▲", "[!]", "warn", "care"),
    ControlVerdict.UNKNOWN: Mark("◆", "[?]", "unknown", "open"),
    ControlVerdict.NOT_APPLICABLE: Mark("–", "[-]", "not applicable", "calm"),
}
_UNKNOWN_NOT_GIVEN = Mark("◇", "[ ]", "unknown", "calm")


def control_mark(control: ControlResult) -> Mark:
    """The mark of a control's answer: what could not be read looks other than what nobody gave."""
    if control.verdict is ControlVerdict.UNKNOWN and not control.given:
        return _UNKNOWN_NOT_GIVEN
    return _CONTROLS[control.verdict]


def action_mark(finding: Finding) -> Mark:
    """The mark of what a reader must do about a finding."""
    return WAIVED if finding.waiver is not None else ACTIONS[finding.action]


class Group(Struct, frozen=True):
    """The findings of one check that ask the same of the reader, and that check's words."""

    doc: CheckDoc
    mark: Mark
    waiver: AppliedWaiver | None
    findings: tuple[Finding, ...]

    @property
    def paths(self) -> int:
        """How many files they are about."""
        return len({finding.at.path for finding in self.findings})

    @property
    def alike(self) -> list[tuple[Finding, ...]]:
        """Its findings, those together that say and show the same at several places."""
        kinds: dict[object, list[Finding]] = {}
        for finding in self.findings:
            said = (finding.message, finding.confidence, finding.related, finding.evidence)
            kinds.setdefault(said, []).append(finding)
        return [tuple(kind) for kind in kinds.values()]


def groups(report: Report) -> tuple[Group, ...]:
    """All findings by check: what blocks first, what is waived last."""
    docs = {doc.id: doc for doc in report.checks}
    waivers = {waiver.id: waiver for waiver in report.waivers}
    kinds: dict[tuple[bool, int, str, str], list[Finding]] = {}
    for finding in findings(report):
        rank = (*Action,).index(finding.action)
        waiver = finding.waiver or ""
        key = (finding.waiver is not None, rank, finding.check, waiver)
        kinds.setdefault(key, []).append(finding)
    return tuple(
        Group(
            doc=docs.get(members[0].check) or _undocumented(members[0].check),
            mark=action_mark(members[0]),
            waiver=waivers.get(members[0].waiver or ""),
            findings=tuple(members),
        )
        for _, members in sorted(kinds.items())
    )


def findings(report: Report) -> Iterator[Finding]:
    """Every finding once, in the order of the controls."""
    yield from dict.fromkeys(f for control in report.controls for f in control.findings)


def gaps(report: Report) -> tuple[Gap, ...]:
    """Every gap once (one gap may leave several controls open): the accepted ones last."""
    every = dict.fromkeys(gap for control in report.controls for gap in control.gaps)
    return tuple(sorted(every, key=lambda gap: gap.accepted is not None))


def by_group(report: Report) -> dict[str, list[ControlResult]]:
    """The controls under the headings of the checklist, in its order."""
    headed: dict[str, list[ControlResult]] = {}
    for control in report.controls:
        headed.setdefault(control.group, []).append(control)
    return headed


def steps(path: AttackPath) -> Iterator[str]:
    """The steps of an attack path in words, numbered, each with its place. Safe to print."""
    before = ""
    for number, step in enumerate(path.steps, 1):
        where = ""
        if step.at is not None:
            where = place(step.at)
            if where.startswith(f"{before}, ") and step.at.line is not None:
                where = f"line {step.at.line:,}"
            before = place(Location(step.at.path, step.at.inside))
        yield f"{number}. {printable(step.label)}" + (f"  ({where})" if where else "")


def place(at: Location) -> str:
    """Where something stands, in words: `a.zip › data.pkl @ byte 1,024`. Safe to print."""
    steps = [printable(step, NAME_LIMIT) for step in (at.path, *at.inside)]
    words = " › ".join(step or "(no name)" for step in steps)
    if at.offset is not None:
        words += f" @ byte {at.offset:,}"
    if at.line is not None:
        words += f", line {at.line:,}"
    if at.symbol is not None:
        words += f", {printable(at.symbol, NAME_LIMIT)}"
    return words


def paragraphs(prose: str) -> list[tuple[bool, str]]:
    """A documentation text as paragraphs and list items (True), each on one line."""
    blocks: list[tuple[bool, str]] = []
    fresh = True
    for line in prose.splitlines():
        words = " ".join(line.split())
        item = words.startswith(("- ", "* "))
        if not words:
            fresh = True
        elif item or fresh or not blocks:
            blocks.append((item, words[2:] if item else words))
            fresh = False
        else:
            blocks[-1] = (blocks[-1][0], f"{blocks[-1][1]} {words}")
    return blocks


def amount(size: int) -> str:
    """A number of bytes for a reader: `1.5 GiB`."""
    scaled = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if scaled < 1024:
            return f"{size:,} bytes" if unit == "bytes" else f"{scaled:.1f} {unit}"
        scaled /= 1024
    return f"{scaled:.1f} TiB"


def count(number: int, thing: str) -> str:
    """`1 file`, `1,000 files`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def left_open(gap: Gap) -> Mark:
    """The mark of a gap: what was not handed over is no failure of the audit."""
    return NOT_GIVEN if gap.kind == "not-given" else GAP


def coverage(report: Report) -> str:
    """The coverage in one line."""
    given = report.coverage
    files = f"{count(given.files, 'file')}, {amount(given.bytes)}, {given.hashed:,} hashed"
    if given.reused:
        files += f", {given.reused:,} as an earlier audit found them"
    if not given.artifacts:
        return f"{files}; no parser read any of it"
    seen = sum(artifact.seen for artifact in given.artifacts)
    there = sum(artifact.size for artifact in given.artifacts)
    artifacts = count(len(given.artifacts), "artifact")
    read = f"{artifacts} parsed, {amount(seen)} of {amount(there)} taken into account"
    return f"{files}; {read}{_fetched(report)}"


def _fetched(report: Report) -> str:
    transfer = report.coverage.transfer
    if transfer is None:
        return ""
    return f"; {amount(transfer.bytes)} fetched in {count(transfer.requests, 'request')}"


def _undocumented(check: str) -> CheckDoc:
    return CheckDoc(id=check, control="", title=check, why="", what_to_do="", limits="")
