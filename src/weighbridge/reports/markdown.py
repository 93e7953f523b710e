"""The report as a comment on a pull request, in GitHub's Markdown.

Foreign text must not become markup, a mention, a link to an issue, or an image that is fetched. In
the open it is `prose()`, within lists and tables of evidence it is a code span or a code block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

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
from weighbridge.core.regex import regex
from weighbridge.core.report import Report
from weighbridge.reports import call_tree, hexdump, reading, trigger
from weighbridge.reports.formats import Reporter
from weighbridge.reports.printable import lines, printable
from weighbridge.reports.reading import Mark, count, place

LONGEST = 60_000
"""How many characters the comment has at most (GitHub refuses more than 65,536)."""
LIMIT = 300
IN_FULL = 10
PLACES = 10
GAPS = 50
ROWS = 20

# What GitHub turns into something else by itself (mentions, issues, addresses, emoji, mathematics)
# loses its effect where a code span cuts it in two: no filter looks across that border.
_LIVE = regex(r"[@#$]+|://|(?i:\bwww\.)|(?i:\bgh)-(?=\d)|:(?=[\w+-]+:)|[\\`*_{}\[\]()<>|~&!]")
_CUT = regex(r"[@#$:]|(?i:www\.|gh-)")


def render(report: Report) -> bytes:
    """The comment, in UTF-8. Findings that do not fit are counted and left to the JSON report."""
    blocks = list(_head(report))
    room = LONGEST - sum(map(len, blocks)) - 400
    tail = "\n".join(_tail(report, room // 3))
    room -= len(tail)
    left_out = 0
    for group in reading.groups(report):
        block = "\n".join(_group(group))
        if left_out or len(block) > room:
            left_out += len(group.findings)
        else:
            blocks.append(block)
            room -= len(block)
    if left_out:
        blocks.append(f"…and {count(left_out, 'more finding')}: see the JSON report.\n")
    return "\n".join([*blocks, tail]).encode()


def prose(text: str, limit: int = LIMIT) -> str:
    """Foreign text in a sentence: to be read, and nothing else."""

    def still(match: re.Match[str]) -> str:
        live = match[0]
        return f"`{live}`" if _CUT.match(live) else f"\\{live}"

    return _LIVE.sub(still, printable(text, limit).strip()) or "(nothing)"


def code(text: str, limit: int = LIMIT) -> str:
    r"""Foreign text as a code span. A bar, which would end a table's cell, is written `\x7c`."""
    shown = printable(text, limit).replace("|", "\\x7c") or "(nothing)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def block(rows: list[str], left_out: int = 0) -> Iterator[str]:
    """Lines that are already `printable()` as a code block."""
    if left_out:
        rows = [*rows, f"… and {left_out:,} more"]
    longest = max((len(run) for row in rows for run in re.findall("`+", row)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", f"{fence}text", *rows, fence, "")


def _head(report: Report) -> Iterator[str]:
    verdict = reading.VERDICTS[report.verdict]
    yield f"## {verdict.shape} {verdict.word} · Weighbridge\n"
    yield f"{prose(report.sentence, 1_000)}\n"
    yield f"Target: {code(report.target.id)}\n"
    yield "| | Control | Because |\n|---|---|---|"
    for group, controls in reading.by_group(report).items():
        yield f"| | **{prose(group)}** | |"
        for control in controls:
            words = prose(control.because, 400)
            yield f"| {_marked(reading.control_mark(control))} | {prose(control.title)} | {words} |"
    yield ""


def _group(group: reading.Group) -> Iterator[str]:
    number = count(len(group.findings), "finding")
    # A summary is HTML: nothing in it is read as Markdown until the empty line after it.
    title = f"<b>{escape(printable(group.doc.title, LIMIT))}</b>"
    if group.doc.id == group.doc.title:  # a check that this report says nothing of
        title = f"<code>{escape(printable(group.doc.title, LIMIT))}</code>"
    unfolded = " open" if group.mark.tone == "bad" else ""
    yield f"<details{unfolded}><summary>{_marked(group.mark)} {title} ({number})</summary>\n"
    if group.waiver:
        waiver = group.waiver
        yield f"Waived until {prose(waiver.expires)} by {prose(waiver.owner)}:"
        yield f"{prose(waiver.reason)}\n"
    else:
        if group.doc.why:
            yield f"**Why it matters.** {_documentation(group.doc.why)}\n"
        if group.doc.what_to_do:
            yield f"**What to do.** {_documentation(group.doc.what_to_do)}\n"
    kinds = group.alike
    for alike in kinds[:IN_FULL]:
        yield from _finding(alike)
    rest = sum(map(len, kinds[IN_FULL:]))
    if rest:
        yield f"…and {count(rest, 'more finding')} of this check: see the JSON report.\n"
    yield "</details>\n"


def _finding(alike: tuple[Finding, ...]) -> Iterator[str]:
    finding = alike[0]
    yield f"- **{prose(finding.message)}**"
    for same in alike[:PLACES]:
        yield f"  - {code(place(same.at), 500)}"
    if len(alike) > PLACES:
        yield f"  - and {count(len(alike) - PLACES, 'more place')}"
    for related in finding.related[:PLACES]:
        yield f"  - {prose(related.message)}: {code(place(related.at), 500)}"
    yield ""
    for evidence in finding.evidence:
        yield f"*{prose(evidence.title)}*"
        yield from block(*_listing(evidence))


def _listing(evidence: AnyEvidence) -> tuple[list[str], int]:
    """Any evidence as lines, and how many are left out."""
    match evidence:
        case CallTree():
            rows = [
                f"{'  ' * call.depth}{call.name}({call.arguments})  "
                f"{call.made_by} @ byte {call.offset:,}"
                + (f": {call.reason}" if call.reason else "")
                for call in call_tree.calls(evidence.root)
            ]
        case Text():
            return lines(evidence.text, ROWS, LIMIT)
        case Bytes():
            return hexdump.rows(evidence, ROWS)
        case Comparison():
            readings = (
                (evidence.expected_from, evidence.expected),
                (evidence.found_from, evidence.found),
            )
            rows = [f"{printable(who, LIMIT)}: {printable(what, LIMIT)}" for who, what in readings]
        case Table():
            rows = [
                " | ".join(printable(cell, LIMIT) for cell in row)
                for row in (evidence.columns, *evidence.rows[:ROWS])
            ]
            return rows, max(0, len(evidence.rows) - ROWS)
        case TriggerInput():
            return trigger.rows(evidence, ROWS)
        case Subgraph():
            labels = {node.id: printable(node.label, LIMIT) for node in evidence.nodes}
            rows = [
                f"{labels.get(edge.source, '?')} → {labels.get(edge.target, '?')}"
                + (f" ({printable(edge.label, LIMIT)})" if edge.label else "")
                for edge in evidence.edges
            ]
        case AttackPath():
            rows = [printable(step, LIMIT) for step in reading.steps(evidence)]
    return rows[:ROWS], max(0, len(rows) - ROWS)


def _tail(report: Report, room: int) -> Iterator[str]:
    gaps = reading.gaps(report)
    if gaps:
        yield f"**Not seen: {count(len(gaps), 'place')}.** None of it counts as a pass.\n"
    for number, gap in enumerate(gaps):
        accepted = f" (accepted: {prose(gap.accepted)})" if gap.accepted else ""
        row = f"- {gap.kind.value}: {code(place(gap.at), 500)}: {prose(gap.message)}{accepted}"
        room -= len(row)
        if number == GAPS or room < 0:
            yield f"- and {len(gaps) - number:,} more: see the JSON report"
            break
        yield row
    yield ""
    left_out = report.coverage.left_out
    if left_out:
        shown = ", ".join(code(part.path) for part in left_out[:PLACES])
        more = f" and {len(left_out) - PLACES:,} more" if len(left_out) > PLACES else ""
        yield f"Left out by design: {shown}{more}.\n"
    intel = "".join(f", {prose(known.name)} of {prose(known.date)}" for known in report.intel)
    yield f"Coverage: {reading.coverage(report)}.\n"
    yield f"Weighbridge {prose(report.tool.version)}{intel}\n"


def _documentation(text: str) -> str:
    """A check's own documentation is Markdown already, and ours."""
    said = [(item, printable(words)) for item, words in reading.paragraphs(text)]
    return "\n".join(f"\n- {words}" if item else words for item, words in said)


def _marked(mark: Mark) -> str:
    return f"{mark.shape}&nbsp;{mark.word}"


REPORTER = Reporter(name="markdown", suffix=".md", render=render)
