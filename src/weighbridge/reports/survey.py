"""A survey for readers: the same tables on a terminal and as Markdown, CSV, all of it as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from weighbridge.core.regex import regex
from weighbridge.core.survey import Observation, Share, Survey, Tally
from weighbridge.reports.json import legible
from weighbridge.reports.markdown import code, prose
from weighbridge.reports.printable import printable

BLOCKS: Final = 50
"""How many findings to block are told one by one."""
UNREAD: Final = 5
"""How many things that could not be read are named of one repository."""


class Sheet(Struct, frozen=True):
    """A table: its title, the headings, the cells as text that is not yet made printable. The
    first column is text, of the others those in `words`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset()


def sheets(survey: Survey) -> Iterator[Sheet]:
    """The tables of a survey, in the order of reading."""
    by = survey.denominators
    yield Sheet(
        "Complete attack paths",
        ("", "repositories"),
        (
            ("a complete attack path in a workflow", _share(survey.complete)),
            ("training code to block", _share(survey.code)),
        ),
    )
    yield Sheet(
        f"Beside {survey.study}",
        ("weakness", "published", "any finding", "to act on", "told by"),
        tuple(
            (c.name, f"{c.published:.1f} %", _share(c.any), _share(c.acted), c.told_by)
            for c in survey.compared
        ),
        frozenset({4}),
    )
    yield Sheet(
        "By rule: "
        + ", ".join(f"{by[among]} repositories {among}" for among in _among(survey))
        + "; findings in all",
        ("rule", "any", "to act on", "to block", "aside only", "block/review/note"),
        tuple(
            (
                r.rule, _share(r.any), _share(r.acted), _share(r.blocked), str(r.aside),
                _tally(r.findings),
            )
            for r in survey.rules
        ),
    )  # fmt: skip
    yield Sheet(
        "By repository",
        ("repository", "commit", "workflows", "Python", "block", "review", "aside", "unread"),
        tuple(map(_repository, survey.repositories)),
        frozenset({1}),
    )


def _among(survey: Survey) -> tuple[str, ...]:
    """What the rules' repositories have that the others have not, each once."""
    return tuple(dict.fromkeys(rule.among for rule in survey.rules))


def _repository(observed: Observation) -> tuple[str, ...]:
    name = observed.name or observed.target
    if observed.failed:
        return (name, "", "", "", "", "", "", observed.failed)
    every, aside = _sum(observed.tallies), _sum(observed.aside)
    return (
        name,
        (observed.commit or "")[:12],
        str(observed.workflows),
        str(observed.python),
        str(every.block - aside.block),
        str(every.review - aside.review),
        str(aside.block + aside.review),
        str(sum(observed.gaps.values())),
    )


def _sum(tallies: dict[str, Tally]) -> Tally:
    those = tallies.values()
    return Tally(block=sum(t.block for t in those), review=sum(t.review for t in those))


def _tally(tally: Tally) -> str:
    return f"{tally.block:,}/{tally.review:,}/{tally.note:,}"


def _share(share: Share) -> str:
    if not share.of:
        return "none asked"
    still_open = f", {share.open} open" if share.open else ""
    return f"{share.found} of {share.of} ({100 * share.found / share.of:.0f} %{still_open})"


def _head(survey: Survey) -> str:
    by = survey.denominators
    read = f"{by['read whole']} of them read whole"
    return f"{by['surveyed']} of {by['given']} repositories surveyed, {read}."


def _blocked(survey: Survey) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each finding to block: where, what, its steps."""
    for observed in survey.repositories:
        for one in observed.blocked:
            line = f":{one.line}" if one.line is not None else ""
            where = f"{observed.name} {one.path}{line}"
            yield where, f"{one.check}: {one.message}", one.steps


def _unread(survey: Survey) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """What could not be read, by repository, and how much more there is."""
    for observed in survey.repositories:
        if observed.unread:
            first = observed.unread[:UNREAD]
            yield observed.name, first, max(0, sum(observed.gaps.values()) - len(first))


def as_text(survey: Survey) -> bytes:
    """For a terminal."""
    lines = [_head(survey), ""]
    for sheet in sheets(survey):
        cells = [[printable(c, 100) for c in row] for row in (sheet.columns, *sheet.rows)]
        widths = [max(len(row[n]) for row in cells) for n in range(len(sheet.columns))]
        lines.append(sheet.title)
        for row in cells:
            padded = (
                cell.ljust(width) if n == 0 or n in sheet.words else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append(f"  {'  '.join(padded)}".rstrip())
        lines.append("")
    blocked = list(_blocked(survey))
    if blocked:
        lines.append("To block")
    for where, what, steps in blocked[:BLOCKS]:
        lines += [f"  {printable(where, 200)}", f"    {printable(what, 400)}"]
        lines += [f"    {n}. {printable(step, 200)}" for n, step in enumerate(steps, 1)]
    if len(blocked) > BLOCKS:
        lines.append(f"  and {len(blocked) - BLOCKS:,} more")
    unread = list(_unread(survey))
    if unread:
        lines += ["", "Not read"]
    for name, those, more in unread:
        lines.append(f"  {printable(name, 100)}")
        lines += [f"    {printable(gap, 200)}" for gap in those]
        if more:
            lines.append(f"    and {more:,} more")
    lines += ["", survey.definition, ""]
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def as_markdown(survey: Survey) -> bytes:
    """For a page."""
    tools = sorted({o.zizmor for o in survey.repositories if o.zizmor})
    beside = "".join(f", zizmor {prose(version)}" for version in tools)
    parts = [f"{_head(survey)} Weighbridge {prose(survey.tool.version)}{beside}, {survey.created}, "
             f"rules {code(survey.tool.ruleset[:12])}.\n", f"{survey.definition}\n"]  # fmt: skip
    for sheet in sheets(survey):
        left = sheet.words | {0}
        right = ("|---" if n in left else "|--:" for n in range(len(sheet.columns)))
        parts.append(f"### {sheet.title}\n")
        parts.append(f"| {' | '.join(sheet.columns)} |\n{''.join(right)}|")
        parts += [f"| {' | '.join(map(_cell_of_page, r))} |" for r in sheet.rows]
        parts.append("")
    blocked = list(_blocked(survey))
    if blocked:
        parts.append("### To block\n")
    for where, what, steps in blocked[:BLOCKS]:
        parts.append(f"- {code(where)}: {prose(what, 600)}")
        parts += [f"  {n}. {prose(step)}" for n, step in enumerate(steps, 1)]
    if len(blocked) > BLOCKS:
        parts.append(f"- and {len(blocked) - BLOCKS:,} more: see the JSON")
    unread = list(_unread(survey))
    if unread:
        parts.append("\n### Not read\n")
    for name, those, more in unread:
        rest = f", and {more:,} more" if more else ""
        parts.append(f"- {prose(name)}: {', '.join(map(code, those))}{rest}")
    return ("\n".join(parts).rstrip() + "\n").encode("utf-8", "backslashreplace")


_PLAIN: Final = regex(r"[A-Za-z0-9 ,.%()/-]*")


def _cell_of_page(text: str) -> str:
    """A cell: as it is where nothing in it can be markup."""
    return text if _PLAIN.fullmatch(text) else prose(text, 200)


def as_csv(survey: Survey) -> bytes:
    """For a spreadsheet: one line for each repository and rule that says something of it."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(("repository", "commit", "rule", "control", "place", "block", "review", "note"))
    controls = {r.rule: r.control for r in survey.rules}
    for observed in survey.repositories:
        for rule, every in observed.tallies.items():
            aside = observed.aside.get(rule, Tally())
            main = Tally(
                block=every.block - aside.block,
                review=every.review - aside.review,
                note=every.note - aside.note,
            )
            for place, tally in (("repository", main), ("aside", aside)):
                if tally != Tally():
                    name = _cell(observed.name or observed.target)
                    row = (name, observed.commit or "", rule, controls.get(rule, ""), place)
                    table.writerow((*row, tally.block, tally.review, tally.note))
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _cell(text: str) -> str:
    """Foreign text that no spreadsheet takes for a formula."""
    shown = printable(text, 300)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def as_json(survey: Survey) -> bytes:
    """All of it, under a versioned schema."""
    text = json.dumps(msgspec.to_builtins(survey), ensure_ascii=False, separators=(",", ":"))
    return msgspec.json.format(legible(text).encode(), indent=2) + b"\n"


FORMATS: Final[dict[str, Callable[[Survey], bytes]]] = {
    "terminal": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "csv": as_csv,
}
"""The formats that a survey can be written in."""
