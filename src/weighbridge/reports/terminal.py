"""The report on a terminal: the verdict first, then what decided it, then what to do."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, TextIO

from msgspec import Struct

from weighbridge.core.evidence import (
    AnyEvidence,
    AttackPath,
    Bytes,
    CallTree,
    Comparison,
    Subgraph,
    Table,
    Text,
    TriggerInput,
)
from weighbridge.core.finding import Finding
from weighbridge.core.report import Report
from weighbridge.reports import call_tree, hexdump, reading, trigger
from weighbridge.reports.formats import Reporter
from weighbridge.reports.printable import lines, printable
from weighbridge.reports.reading import Mark, count, place

if TYPE_CHECKING:
    import rich.text
    from rich.console import Console, RenderableType

NARROWEST, WIDEST = 40, 120
IN_FULL = 3
"""How many different findings of one check are shown with their evidence."""
PLACES = 4
"""How many places of a finding that is the same in many are named."""
LONG = 400
"""How many characters of a message, or of a line of evidence, are shown."""
IN_SHORT = 8
"""How many further ones are named."""
GAPS = 20
ROWS = 8
"""How many lines of one piece of evidence are shown."""
CALLS = 24

STYLES = {"bad": "bold red", "care": "bold yellow", "good": "bold green", "open": "bold magenta"}
_TYPOGRAPHY = str.maketrans({"›": ">", "…": "...", "—": "-", "–": "-", "·": "-", "→": "->"})


class Screen(Struct, frozen=True):
    """What a report is written on: its width in columns, whether it shows colour, whether it shows
    more than ASCII."""

    width: int = 100
    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
        """The screen behind a stream. Colour only on a terminal that is not `dumb`, and never where
        `NO_COLOR` is set (https://no-color.org)."""
        terminal = stream.isatty()
        columns = shutil.get_terminal_size((100, 40)).columns if terminal else 100
        try:
            "■▲●◆└›".encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            unicode = False
        else:
            unicode = True
        dumb = environ.get("TERM", "") == "dumb"
        return cls(columns, terminal and not dumb and not environ.get("NO_COLOR"), unicode)


PLAIN: Final = Screen()


def show(report: Report, stream: TextIO) -> None:
    """Write the report to a stream, as that stream can show it."""
    stream.write(render(report, Screen.of(stream)).decode())
    stream.flush()


def render(report: Report, screen: Screen = PLAIN) -> bytes:
    """The report as text: UTF-8, or ASCII where the screen shows no more."""
    from rich.console import Console

    encoding = "utf-8" if screen.unicode else "ascii"
    buffer = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace", newline="\n")
    console = Console(
        file=buffer,
        width=min(max(screen.width, NARROWEST), WIDEST),
        force_terminal=screen.colour,
        no_color=not screen.colour,
        color_system="standard" if screen.colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    _Page(console, screen.unicode).write(report)
    buffer.flush()
    written = buffer.buffer
    assert isinstance(written, io.BytesIO)
    # rich pads its table cells; nobody needs blanks at the end of a line.
    return b"".join(line.rstrip() + b"\n" for line in written.getvalue().splitlines())


class _Page:
    """One report being written."""

    def __init__(self, console: Console, unicode: bool) -> None:
        self.console = console
        self.unicode = unicode

    def write(self, report: Report) -> None:
        self.verdict(report)
        self.controls(report)
        self.findings(report)
        self.gaps(report)
        self.coverage(report)

    def verdict(self, report: Report) -> None:
        mark = reading.VERDICTS[report.verdict]
        self.put(self.marked(mark), self.said(printable(report.target.id, 400), "bold"), gap=2)
        self.put(self.said(printable(report.sentence)), indent=2)

    def controls(self, report: Report) -> None:
        from rich.table import Table as Grid

        for group, controls in reading.by_group(report).items():
            self.blank()
            self.put(self.said(printable(group), "bold"))
            grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
            grid.add_column(width=16 if self.unicode else 18, no_wrap=True)
            grid.add_column(width=18)
            grid.add_column(ratio=1)
            for control in controls:
                mark = reading.control_mark(control)
                tone = "dim" if mark.tone == "calm" else ""
                grid.add_row(
                    self.marked(mark),
                    self.said(printable(control.title), tone),
                    self.said(printable(control.because), tone),
                )
            self.put(grid, indent=2)

    def findings(self, report: Report) -> None:
        for group in reading.groups(report):
            self.blank()
            number = len(group.findings)
            title = self.marked(group.mark).append("  ")
            hanging = title.cell_len
            title.append_text(self.said(printable(group.doc.title).rstrip("."), "bold"))
            self.hang(title, 0, hanging)
            where = f"{count(number, 'finding')} in {count(group.paths, 'file')}"
            self.put(self.said(f"{printable(group.doc.id)} · {where}", "dim"), indent=2)
            if group.waiver:
                waiver = group.waiver
                self.row(
                    "waived", f"{printable(waiver.reason)} (until {printable(waiver.expires)})"
                )
                self.row("owner", printable(waiver.owner))
            else:
                self.prose("why", reading.paragraphs(group.doc.why)[:1])
                self.prose("do", reading.paragraphs(group.doc.what_to_do))
            self.alike(group.alike, brief=group.waiver is not None)

    def alike(self, kinds: list[tuple[Finding, ...]], brief: bool) -> None:
        for kind in kinds[:IN_FULL]:
            self.blank()
            self.finding(kind, brief)
        short, rest = kinds[IN_FULL : IN_FULL + IN_SHORT], kinds[IN_FULL + IN_SHORT :]
        for number, kind in enumerate(short):
            if not number:
                self.blank()
            self.put(self.said(printable(kind[0].message, LONG)), indent=4)
            self.places(kind, 1, indent=6)
        if rest:
            self.more(sum(map(len, rest)), "finding", indent=4)

    def finding(self, alike: tuple[Finding, ...], brief: bool) -> None:
        finding = alike[0]
        likely = " (likely)" if finding.confidence == "likely" else ""
        self.put(self.said(printable(finding.message, LONG) + likely, "bold"), indent=4)
        self.places(alike, PLACES, indent=4)
        for related in finding.related[:ROWS]:
            words = f"{printable(related.message, LONG)}: {place(related.at)}"
            self.put(self.said(words, "dim"), indent=6)
        for evidence in () if brief else finding.evidence:
            self.evidence(evidence)

    def places(self, alike: tuple[Finding, ...], limit: int, indent: int) -> None:
        for finding in alike[:limit]:
            self.put(self.said(place(finding.at), "cyan"), indent=indent)
        if len(alike) > limit:
            self.more(len(alike) - limit, "place", indent)

    def more(self, number: int, thing: str, indent: int) -> None:
        words = f"… and {number:,} more {thing if number == 1 else thing + 's'}"
        words += "; the JSON report has all" if indent == 4 else ""
        self.put(self.said(words, "dim"), indent=indent)

    def evidence(self, evidence: AnyEvidence) -> None:
        self.put(self.said(printable(evidence.title), "dim"), indent=6)
        match evidence:
            case CallTree():
                self.call_tree(evidence)
            case Text():
                self.listing(*lines(evidence.text, ROWS, LONG))
            case Bytes():
                wide = self.console.width >= hexdump.columns(hexdump.WIDE) + 8
                width = hexdump.WIDE if wide else hexdump.NARROW
                self.listing(*hexdump.rows(evidence, ROWS, width))
            case Comparison():
                for who, what in (
                    (evidence.expected_from, evidence.expected),
                    (evidence.found_from, evidence.found),
                ):
                    self.put(
                        self.said(f"{printable(who, LONG)}: {printable(what, LONG)}"), indent=8
                    )
            case Table():
                rows = [evidence.columns, *evidence.rows]
                shown = [
                    " | ".join(printable(cell, LONG) for cell in row) for row in rows[: ROWS + 1]
                ]
                self.listing(shown, len(rows) - len(shown))
            case TriggerInput():
                self.listing(*trigger.rows(evidence, ROWS))
            case Subgraph():
                labels = {node.id: printable(node.label) for node in evidence.nodes}
                drawn = [
                    f"{labels.get(edge.source, '?')} → {labels.get(edge.target, '?')}"
                    + (f" ({printable(edge.label)})" if edge.label else "")
                    for edge in evidence.edges[:ROWS]
                ]
                self.listing(drawn, len(evidence.edges) - len(drawn))
            case AttackPath():
                steps = list(islice(reading.steps(evidence), ROWS))
                self.listing(steps, len(evidence.steps) - len(steps))

    def call_tree(self, evidence: CallTree) -> None:
        from rich.text import Text as Line

        shown = list(call_tree.calls(evidence.root))
        rails: list[bool] = []
        tee, end, bar = ("├─ ", "└─ ", "│  ") if self.unicode else ("|- ", "`- ", "|  ")
        for call in shown[:CALLS]:
            del rails[call.depth :]
            lead = "".join("   " if last else bar for last in rails[1:])
            lead += (end if call.last else tee) if call.depth else ""
            rails.append(call.last)
            line = Line(lead, style="dim")
            name = f"{call.name}({call.arguments})"
            line.append(self.ascii(name), style="bold red" if call.accused else "not dim")
            line.append(self.ascii(f"  {call.made_by} @ byte {call.offset:,}"))
            if call.reason:
                line.append(self.ascii(f" · {call.reason}"))
            self.hang(line, 8, 3 * max(call.depth, 1))
        if len(shown) > CALLS:
            self.more(len(shown) - CALLS, "call", indent=8)

    def gaps(self, report: Report) -> None:
        gaps = reading.gaps(report)
        if not gaps:
            return
        self.blank()
        self.put(self.said(f"Not seen: {count(len(gaps), 'place')}", "bold"))
        for gap in gaps[:GAPS]:
            mark = reading.left_open(gap)
            accepted = f" (accepted: {printable(gap.accepted)})" if gap.accepted else ""
            kind = Mark(mark.shape, mark.ascii, gap.kind.value, mark.tone)
            self.put(self.marked(kind), self.said(place(gap.at), "cyan"), indent=2, gap=2)
            self.put(self.said(printable(gap.message) + accepted), indent=4)
        if len(gaps) > GAPS:
            self.more(len(gaps) - GAPS, "place", indent=4)

    def coverage(self, report: Report) -> None:
        self.blank()
        self.put(self.said("Coverage", "bold"))
        self.row("read", reading.coverage(report))
        for part in report.coverage.left_out[:ROWS]:
            self.row("left out", f"{printable(part.path, 200)}: {printable(part.why)}")
        if len(report.coverage.left_out) > ROWS:
            self.row("", f"… and {len(report.coverage.left_out) - ROWS:,} more left out")
        if report.coverage.jail:
            self.row("jail", " · ".join(map(printable, report.coverage.jail)))
        for waiver in report.waivers:
            if waiver.expired:
                words = f"{waiver.id} of {waiver.owner} expired on {waiver.expires}: not applied"
                self.row("waiver", printable(words))
        intel = "".join(f" · {known.name} of {known.date}" for known in report.intel)
        tool = f"{report.tool.name} {report.tool.version}, ruleset {report.tool.ruleset[:12]}"
        self.row("by", printable(tool + intel))

    def listing(self, rows: Iterable[str], left_out: int) -> None:
        for row in rows:
            self.put(self.said(row), indent=8)
        if left_out > 0:
            self.more(left_out, "line", indent=8)

    def row(self, name: str, words: str) -> None:
        if words:
            line = self.said(f"{name:<9}", "dim")
            self.hang(line.append_text(self.said(words, "not dim")), 2, 9)

    def prose(self, name: str, blocks: list[tuple[bool, str]]) -> None:
        for item, words in blocks:
            self.row(name, ("- " if item else "") + printable(words))
            name = ""

    def hang(self, line: rich.text.Text, indent: int, hanging: int) -> None:
        """A line whose continuation stands under its text."""
        hanging = min(hanging, self.console.width // 3)
        wrapped = line.wrap(self.console, max(self.console.width - indent, 20))
        if len(wrapped) > 1:
            head = wrapped[0]
            rest = line[len(head.plain) :]
            rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
            self.put(head, indent=indent)
            self.put(rest, indent=indent + hanging)
        else:
            self.put(line, indent=indent)

    def marked(self, mark: Mark) -> rich.text.Text:
        shape = mark.shape if self.unicode else mark.ascii
        return self.said(f"{shape} {mark.word}", STYLES.get(mark.tone, "dim"))

    def said(self, words: str, style: str = "") -> rich.text.Text:
        from rich.text import Text as Line

        return Line(self.ascii(words), style=style)

    def ascii(self, words: str) -> str:
        return words if self.unicode else words.translate(_TYPOGRAPHY)

    def put(self, *parts: RenderableType, indent: int = 0, gap: int = 0) -> None:
        from rich.padding import Padding
        from rich.text import Text as Line

        if len(parts) > 1:
            joined = Line()
            for number, part in enumerate(parts):
                assert isinstance(part, Line)
                joined.append(" " * gap if number else "").append_text(part)
            parts = (joined,)
        self.console.print(Padding(parts[0], (0, 0, 0, indent), expand=False), soft_wrap=False)

    def blank(self) -> None:
        self.console.print()


REPORTER = Reporter(name="terminal", suffix=".txt", render=render)
