"""Check `workflow-runner`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import guards, path, who, worst
from weighbridge.analysis.workflow_views import JobView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.core.location import Location
from weighbridge.intel.actions import actions


@check("workflow-runner", control="workflows", reads=Audit)
def workflow_runner(audit: Audit) -> Iterator[Finding]:
    """Anybody's pull request runs on a machine of the project.

    ## Why it matters
    A runner of one's own, and a GPU runner nearly always is one, is often not wiped between jobs
    and stands in the project's network. Code of a pull request that ran there stays: it sees the
    next job's secrets, the caches of models, the credentials of the cloud. The self-hosted runners
    of PyTorch were shown to be reachable in that way in 2024.

    ## What to do
    Let pull requests from forks run on GitHub's machines only, or on runners that live for one job
    and have no rights; demand approval for *all* outside contributors, and guard the job by a
    condition as well.

    ## Limits
    `self-hosted` says it; a runner group or a label that is no known one is taken for an own
    machine with less certainty. Whether runners live for one job, and which approval the
    repository asks for, is not in its files: for first-time contributors GitHub asks by default.

    ## References
    - https://docs.github.com/en/actions/reference/security/secure-use
    - https://cwe.mitre.org/data/definitions/653.html
    """
    yield from worst(f for view in automations(audit).views for f in _of(view))


def _of(view: JobView) -> Iterator[Finding]:
    if not view.entry.outsider or not view.job.steps:
        return
    sure = view.own_runner()
    machine = sure or _unknown(view)
    if not machine:
        return
    before = guards(view)
    at = Location(view.path, line=view.job.lines.get("runs-on", view.job.line))
    # Code of an outsider runs there on a pull request; on other events only if it is taken in.
    takes_code = view.entry.event.startswith("pull_request")
    action = Action.REVIEW if sure and takes_code and not before else Action.NOTE
    yield Finding(
        message=f"job {view.job.id} runs on a machine of the project ({machine}): {who(view)}",
        at=at,
        action=action,
        symbol=f"{view.job.id}: runner",
        confidence=Confidence.CONFIRMED if sure else Confidence.LIKELY,
        evidence=(
            path("An outsider on a machine of the project", view, (f"runs on {machine}", at)),
        ),
    )


def _unknown(view: JobView) -> str:
    """A group or a label that is no machine of GitHub's, nor of one who rents them for a job."""
    if view.job.group:
        return f"group {view.job.group}"
    known = actions().short_lived_runners
    strange = [r for r in view.runner if not r.lower().startswith(known) and "${{" not in r]
    return ", ".join(strange[:3])
