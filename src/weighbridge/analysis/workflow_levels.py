"""How much a weakness of a workflow matters: who reaches it, past what, and what is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from weighbridge.analysis.workflow_reach import Guard
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.evidence import AttackPath, Node
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location

_ORDER = {Action.BLOCK: 0, Action.REVIEW: 1, Action.NOTE: 2}


def guards(view: JobView, step: StepView | None = None) -> tuple[Guard, ...]:
    """What stands before a job or a step, each once."""
    return tuple(dict.fromkeys((*view.entry.guards, *(step.guards if step else ()))))


def level(view: JobView, step: StepView | None = None) -> Action:
    """For what lets an outsider act in a job: *block* where nobody is in the way and something is
    to be had, *review* where a guard is weak or nothing is known to be held, *note* behind a guard
    that only writers pass, and where there are no rights to be had."""
    if not (view.entry.outsider and view.entry.privileged):
        return Action.NOTE
    before = guards(view, step)
    if any(guard.strong for guard in before):
        return Action.NOTE
    return Action.BLOCK if view.held and not before else Action.REVIEW


def who(view: JobView, step: StepView | None = None) -> str:
    """Who can make it happen, in words."""
    before = "; ".join(g.what for g in guards(view, step))
    behind = f", behind a guard ({before})" if before else ""
    if view.entry.outsider:
        return f"anybody can start it by {view.entry.event}{behind}"
    return f"only who may write starts it, by {view.entry.event}{behind}"


def loss(view: JobView) -> str:
    """What is in reach there, in words."""
    if view.held:
        return "; ".join(view.held)
    if view.entry.privileged and view.permissions is None:
        return "a token whose rights are not declared"
    if view.writes:
        return f"a token that writes {', '.join(view.writes)}"
    return "nothing but the run itself"


def path(title: str, view: JobView, *nodes: tuple[str, Location]) -> AttackPath:
    """The way from who starts it over what is wrong to what is lost."""
    steps = view.trail()
    steps += [Node(f"step{n}", label, "", at) for n, (label, at) in enumerate(nodes)]
    steps.append(Node("loss", f"in reach: {loss(view)}", "sink", _lost(view)))
    return AttackPath(title, steps=tuple(steps))


def _lost(view: JobView) -> Location:
    """Where what is lost is named."""
    if view.secrets:
        return view.secrets[min(view.secrets)]
    if view.publishes:
        return view.publishes[0][1].at("uses")
    line = view.job.lines.get("permissions", view.job.line)
    return Location(view.path, line=line)


def worst(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Of several findings of the same thing (by symbol and file) the one that matters most; in the
    order of the first of each."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = (finding.at.path, finding.symbol)
        before = kept.get(key)
        if before is None or _ORDER[finding.action] < _ORDER[before.action]:
            kept[key] = finding
    for finding in kept.values():
        yield msgspec.structs.replace(finding, message=finding.message[:600])
