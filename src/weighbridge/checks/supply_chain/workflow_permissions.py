"""Check `workflow-permissions`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import who
from weighbridge.analysis.workflow_views import JobView
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Automation
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location


@check("workflow-permissions", control="workflows", reads=Audit)
def workflow_permissions(audit: Audit) -> Iterator[Finding]:
    """The token of a job may do more than the job needs, or nobody has said what it may.

    ## Why it matters
    Whatever takes over a step has its token. A token that writes contents or packages turns a
    flaw in a linter's dependency into a changed release. Without `permissions` the repository's
    setting decides, which nobody sees in the file and which is *write* for everything in older
    organisations.

    ## What to do
    `permissions: {}` or `contents: read` at the top of every workflow, and what a single job needs
    beside that job.

    ## Limits
    The setting of the repository or organisation is not in its files, so an undeclared token is
    unknown, not wrong. What a job needs is not worked out; rights that all jobs of a workflow share
    though only some can need them are a note.

    ## References
    - https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions
    - https://cwe.mitre.org/data/definitions/250.html
    """
    known = automations(audit)
    by_file: dict[str, list[JobView]] = {}
    for view in known.views:
        by_file.setdefault(view.path, []).append(view)
    for path, views in by_file.items():
        yield from _of(views[0].workflow, path, views)


def _of(workflow: Automation, path: str, views: list[JobView]) -> Iterator[Finding]:
    for view in {v.job.id: v for v in views}.values():
        if (view.permissions or {}).get("*") == "write":
            line = view.job.lines.get("permissions", view.job.line)
            yield Finding(
                message=f"the token of job {view.job.id} may write everything (write-all)",
                at=Location(path, line=line),
                action=Action.REVIEW,
                symbol=f"{view.job.id}: write-all",
            )
    undeclared = [v for v in views if v.permissions is None and not v.job.uses]
    if undeclared:
        exposed = [v for v in undeclared if v.entry.privileged and v.entry.open]
        view = exposed[0] if exposed else undeclared[0]
        jobs = sorted({v.job.id for v in (exposed or undeclared)})
        yield Finding(
            message=f"nothing says what the token of job {', '.join(jobs[:6])} may do: the setting "
            f"of the repository decides" + (f", and {who(view)}" if exposed else ""),
            at=Location(path, line=view.job.line),
            action=Action.REVIEW if exposed else Action.NOTE,
            symbol="undeclared",
        )
    said = workflow.permissions or {}
    strong = sorted(k for k, v in said.items() if v == "write" and k in _CHANGING)
    sharing = [j for j in workflow.jobs if j.permissions is None]
    if strong and len(sharing) > 1:
        yield Finding(
            message=f"all {len(sharing)} jobs share a token that writes {', '.join(strong)}",
            at=Location(path, line=sharing[0].line),
            action=Action.NOTE,
            symbol="shared",
        )


_CHANGING = frozenset(("contents", "packages", "id-token", "actions", "attestations", "pages"))
