"""What the files of a repository were seen to do, put together for the checks that judge it.

What stands in tests, examples or documentation is judged one step lower, and counted apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.literal_credentials import redacted
from weighbridge.analysis.repository import is_aside
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.training_calls import read
from weighbridge.analysis.training_kinds import COMMANDS, Kind, Met, Training
from weighbridge.analysis.training_ways import Judged, reach, way
from weighbridge.core.check import Audit
from weighbridge.core.evidence import Table, Text
from weighbridge.core.fact import Egress, Hop, Practice
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location, within
from weighbridge.formats.notebook import Notebook
from weighbridge.formats.python_source import PythonSource, nodes
from weighbridge.formats.shell import Script
from weighbridge.formats.shell import read as read_shell

QUOTED: Final = 200
LISTED: Final = 200
MESSAGE: Final = 400
FILES: Final = 10
"""In how many files the same thing is told of each; in more it is one thing to decide."""
_LOWER: Final = {Action.BLOCK: Action.REVIEW, Action.REVIEW: Action.NOTE, Action.NOTE: Action.NOTE}
NOTEBOOK_SHELL: Final = "a shell of the notebook"
UNREAD: Final = "unread"
"""The kind of a practice that says that a file was not read whole."""


def practices(audit: Audit, *kinds: Kind) -> list[Practice]:
    """What was seen of these kinds, in the order of the files."""
    wanted = {k.value for k in kinds}
    return [f for f in audit.facts if isinstance(f, Practice) and f.kind in wanted]


def told(audit: Audit, judged: Iterable[Judged], noted: str) -> Iterator[Finding]:
    """The findings: one for each file and message where something must be done (one for all of
    them if there are many such files), with the way that leads to it, and one for all that is only
    noted. `noted` says what the latter is, to follow a count."""
    groups: dict[tuple[Action, str, str], list[Judged]] = defaultdict(list)
    notes: list[Judged] = []
    for one in judged:
        action = _LOWER[one.action] if one.practice.aside else one.action
        if action is Action.NOTE:
            notes.append(one)
        else:
            groups[(action, one.practice.at.path, one.message)].append(one)
    held = reach(audit) if groups else {}
    for (action, path, message), alike in _together(groups).items():
        found = [one.practice for one in alike]
        first = found[0]
        named = list(dict.fromkeys(one.about for one in alike if one.about))
        about = f": {', '.join(named[:3])}" + (" …" if len(named) > 3 else "") if named else ""
        where = "this file" if path else f"{len({p.at.path for p in found})} files"
        times = f" ({len(found)} times in {where})" if len(found) > 1 else ""
        yield Finding(
            message=f"{message}{about}{times}"[:MESSAGE],
            at=first.at,
            action=action,
            symbol=f"{first.symbol} {first.detail}".strip()[:QUOTED] if path else message,
            evidence=(
                way(_longest(alike), held.get(first.at.path, ())),
                Text("Where it stands", text=_lines(found), language="python"),
            ),
        )
    if notes:
        apart = sum(1 for n in notes if n.practice.aside)
        where = f", {apart:,} of them in tests, examples and documentation" if apart else ""
        rows = [
            (place(n.practice.at), _whole(n), n.practice.text[:QUOTED])
            for n in sorted(notes, key=lambda n: n.practice.aside)
        ]
        yield Finding(
            message=f"{len(notes):,} × {noted}{where}",
            at=min((n.practice for n in notes), key=lambda p: p.aside).at,
            action=Action.NOTE,
            symbol=noted,
            evidence=(Table(_title(len(rows)), ("where", "what", "line"), tuple(rows[:LISTED])),),
        )


def _together(
    groups: dict[tuple[Action, str, str], list[Judged]],
) -> dict[tuple[Action, str, str], list[Judged]]:
    """The same groups, those of one message in more than `FILES` files as one without a path."""
    files = Counter((action, message) for action, _, message in groups)
    joined: defaultdict[tuple[Action, str, str], list[Judged]] = defaultdict(list)
    for (action, path, message), alike in groups.items():
        many = files[action, message] > FILES
        joined[action, "" if many else path, message] += alike
    return joined


def _title(number: int) -> str:
    return f"Noted, the first {LISTED:,} of {number:,}" if number > LISTED else "Noted"


def _longest(alike: list[Judged]) -> Judged:
    return max(alike, key=lambda one: len(one.practice.way))


def _whole(one: Judged) -> str:
    return (f"{one.message}: {one.about}" if one.about else one.message)[:QUOTED]


def place(at: Location) -> str:
    """A place in words."""
    parts = " › ".join((at.path, *at.inside))
    return parts if at.line is None else f"{parts}:{at.line}"


def _lines(found: list[Practice]) -> str:
    many = len({practice.at.path for practice in found}) > 1
    shown = []
    for practice in found[:20]:
        cell = f"{practice.at.inside[-1]} " if practice.at.inside else ""
        file = f"{practice.at.path} " if many else ""
        shown.append(f"{file}{cell}{practice.at.line:>5}  {practice.text}")
    if len(found) > len(shown):
        shown.append(f"      … and {len(found) - len(shown):,} more")
    return "\n".join(shown)


def of_source(source: PythonSource) -> Iterator[Practice | Egress]:
    """What a file of Python does."""
    found = read(source.text, source.tree, nodes(source), source.where.path)
    lines = source.text.split("\n") if found.met else []
    yield from _facts(found, source.where, lambda line: _at(source.where, line), lines)


def of_notebook(notebook: Notebook) -> Iterator[Practice | Egress]:
    """What the cells of a notebook do."""
    for program in notebook.programs:
        source = program.source
        found = read(source.text, source.tree, nodes(source), source.where.path)
        yield from _facts(found, notebook.where, program.place, source.text.split("\n"))
    aside = is_aside(within(notebook.where.path)[1])
    for shell in notebook.shells:
        lines = shell.text.split("\n")
        script = read_shell(shell.text)
        if script.broken:
            yield Practice(at=notebook.in_cell(shell.cell), kind=UNREAD, symbol="", text="")
        for act in _shell_acts(script):
            line = lines[act.line - 1] if act.line <= len(lines) else ""
            yield Practice(
                at=notebook.in_cell(shell.cell, shell.line + act.line - 1),
                kind=Kind.COMMAND.value,
                symbol=NOTEBOOK_SHELL,
                text=redacted(line.strip())[:QUOTED],
                detail=act.detail,
                traits=act.traits,
                aside=aside,
            )


class _Did(Struct, frozen=True):
    line: int
    detail: str
    traits: tuple[str, ...]


def _shell_acts(script: Script) -> Iterator[_Did]:
    for act in acts(script):
        if act.kind in COMMANDS:
            vendor = ("vendor",) if act.target == "vendor" else ()
            yield _Did(act.line, (act.detail or act.text)[:300], (act.kind.value, *vendor))


def _at(where: Location, line: int) -> Location:
    return Location(where.path, where.inside, line=line)


def _facts(
    found: Training, where: Location, at: Callable[[int], Location], lines: list[str]
) -> Iterator[Practice | Egress]:
    aside = is_aside(within(where.path)[1])
    for met in found.met:
        yield _practice(met, at, lines, aside)
    for host in found.reached:
        yield Egress(
            at=at(host.line), host=host.host, how=host.how, symbol=host.symbol, sends=host.sends,
            aside=aside,
        )  # fmt: skip
    if not found.whole:
        yield Practice(at=where, kind=UNREAD, symbol="", text="", aside=aside)


def _practice(
    met: Met, at: Callable[[int], Location], lines: list[str], aside: bool
) -> Practice:  # fmt: skip
    text = lines[met.line - 1].strip() if met.line <= len(lines) else ""
    if met.kind in (Kind.CREDENTIAL, Kind.COMMAND):
        text = redacted(text)
    return Practice(
        at=at(met.line), kind=met.kind.value, symbol=met.symbol, text=text[:QUOTED],
        detail=met.detail, traits=met.traits, aside=aside,
        way=tuple(Hop(label, at(line)) for line, label in met.way),
    )  # fmt: skip
