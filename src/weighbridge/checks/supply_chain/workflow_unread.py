"""Check `workflow-unread`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.other_ci import system_of
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Automation
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.formats.text import is_workflow_path


@check("workflow-unread", control="workflows", reads=Audit)
def workflow_unread(audit: Audit) -> Iterator[Finding | Gap]:
    """All that runs in CI was read, and nothing tells a reader to look away.

    ## Why it matters
    A workflow that an analyser cannot read runs all the same, if GitHub can. What other systems of
    continuous integration do with their files, who can start them, and which secrets they hand out
    is set outside of the repository.

    ## What to do
    Read the file that is named by hand, or hand over one that can be read. For other systems look
    at the settings of the project there: who may start a pipeline, which variables are protected.

    ## Limits
    Workflows of other repositories that are called from here are not fetched: they are listed.
    Comments that tell an analyser to look away are shown and never obeyed.

    ## References
    - https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
    """
    said = {f.at.path for f in audit.facts if isinstance(f, Automation)}
    told = {f.path: (is_workflow_path(f.path), system_of(f.path)) for f in audit.files}
    if not any(workflow or system for workflow, system in told.values()):
        why = "no workflow is among the files: how it is built and published was not handed over"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
    for path, (workflow, system) in told.items():
        if workflow and path not in said:
            why = "this workflow could not be read, so nothing is known of its jobs"
            yield Gap(kind=GapKind.MALFORMED, message=why, at=Location(path))
        elif system is not None:
            why = f"{system}: its scripts were read; who can start it and what it holds was not"
            yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=Location(path))
    known = automations(audit)
    yield from known.gaps
    elsewhere: dict[str, list[tuple[str, str]]] = {}
    for view in known.views:
        used = known.called(view)
        if used is not None and used.tier != "local":
            row = (used.text, str(view.job.lines.get("uses", view.job.line)))
            elsewhere.setdefault(view.path, []).append(row)
    for path, rows in elsewhere.items():
        unique = tuple(dict.fromkeys(rows))
        yield Finding(
            message=f"{unique[0][0]} is another repository's workflow; what it does was not read",
            at=Location(path, line=int(unique[0][1])),
            action=Action.NOTE,
            symbol="workflow of another repository",
            evidence=(Table("Called from here", ("workflow", "line"), unique[:50]),),
        )
    for idle in (f for f in audit.facts if isinstance(f, Automation) and not f.action):
        if not idle.triggers:
            yield Finding(
                message="nothing starts this workflow: it has no `on`, so GitHub does not run it",
                at=Location(idle.at.path, line=1),
                action=Action.NOTE,
                symbol="idle",
            )
    for automation in (f for f in audit.facts if isinstance(f, Automation) and f.silenced):
        rows = [(str(line), text) for line, text in automation.silenced]
        yield Finding(
            message=f"{len(rows)} comments tell an analyser to look away; they were not obeyed",
            at=Location(automation.at.path, line=automation.silenced[0][0]),
            action=Action.NOTE,
            symbol="silenced",
            evidence=(Table("Comments", ("line", "comment"), tuple(rows)),),
        )
