"""Check `workflow-untrusted-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.shell_kinds import Kind
from weighbridge.analysis.workflow_foreign import foreign_code
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import level, loss, path, who, worst
from weighbridge.analysis.workflow_taint import Origins
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location

Ran = list[tuple[StepView, str, Location]]


@check("workflow-untrusted-code", control="workflows", reads=Audit)
def workflow_untrusted_code(audit: Audit) -> Iterator[Finding]:
    """A job with the repository's rights takes in the code of somebody outside.

    ## Why it matters
    `pull_request_target`, `workflow_run` and `issue_comment` run with the repository's secrets and
    token, whoever caused them. If such a job checks out the pull request and builds, installs or
    tests it, its author runs what he likes beside those secrets: he can push code, publish a
    package, replace a model. That is how ultralytics, nx and others were taken over.

    ## What to do
    Do the work in a workflow on `pull_request`, which has no rights, and hand results over as data.
    Where it has to be, ask for the permission of who started it *and* check out the commit that was
    looked at, not the branch; give the job no secrets and `permissions: {}`.

    ## Limits
    A checkout is foreign if its revision comes from the event, directly or over outputs, inputs and
    variables that can be followed. What runs is told from programs that run the working folder
    (`make`, `pip install .`, `pytest`, scripts); other programs may as well. Guards that are passed
    by hand (labels, environments) lower a finding and do not remove it: what was looked at may have
    changed when the job runs.

    ## References
    - https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/
    - https://cwe.mitre.org/data/definitions/829.html
    """
    yield from worst(f for view in automations(audit).views for f in _of(view))


def _of(view: JobView) -> Iterator[Finding]:
    if not view.entry.privileged:
        return
    for step, origins, ran in foreign_code(view):
        yield _finding(view, step, origins, ran)
    if view.entry.event != "workflow_run":
        return
    for number, step in enumerate(view.steps):
        fetched = _artifact(step)
        if fetched:
            yield from _artifacts(view, step, fetched, view.steps[number + 1 :])


def _finding(view: JobView, step: StepView, origins: Origins, ran: Ran) -> Finding:
    source = origins[0].name
    taken = (f"takes in {source}: {step.label}", step.at("uses" if step.step.uses else "run"))
    if not ran:
        return Finding(
            message=f"job {view.job.id} checks out {source}, with {loss(view)} in reach; "
            f"nothing was seen that runs it ({who(view, step)})",
            at=taken[1],
            action=Action.NOTE,
            symbol=f"{view.job.id}: {source}",
            evidence=(path("The code of an outsider in a job with rights", view, taken),),
        )
    runner, text, at = ran[0]
    action = max(level(view, step), level(view, runner), key=_mildness)
    return Finding(
        message=f"job {view.job.id} checks out {source} and runs it ({text}), with {loss(view)} in "
        f"reach: {who(view, runner)}",
        at=taken[1],
        action=action,
        symbol=f"{view.job.id}: {source}",
        evidence=(path("An outsider's code runs with the repository's rights", view, taken,
                       (f"runs it: {text}", at)),),
    )  # fmt: skip


def _mildness(action: Action) -> int:
    return (Action.BLOCK, Action.REVIEW, Action.NOTE).index(action)


def _artifact(step: StepView) -> str:
    """How a step fetches what another run has left, empty where it does not."""
    name = step.action.name.lower() if step.action is not None else ""
    inputs = {k.lower(): v for k, v in step.step.inputs.items()}
    if name == "actions/download-artifact" and "run-id" in inputs:
        return step.step.uses
    if name == "dawidd6/action-download-artifact":
        return step.step.uses
    if "listWorkflowRunArtifacts" in inputs.get("script", ""):
        return "listWorkflowRunArtifacts"
    return next((act.text for _, act in step.every(Kind.ARTIFACT)), "")


def _artifacts(
    view: JobView, step: StepView, fetched: str, later: list[StepView]
) -> Iterator[Finding]:
    """An artifact that a pull request could have written, and whether what is in it acts."""
    runs = [(s, act) for s in later for act in s.acts if act.kind is Kind.LOCAL_CODE]
    checked_out = any(
        s.action is not None and s.action.name.lower() == "actions/checkout" for s in view.steps
    )
    to_env = [s for s in later if s.script is not None and any(
        "GITHUB_ENV" in r.target.text or "GITHUB_PATH" in r.target.text
        for c in s.script.everything() for r in c.redirects
    )]  # fmt: skip
    action = Action.NOTE
    nodes = [(f"fetches what the other run has left: {fetched}"[:200], step.at("uses"))]
    how = "nothing was seen that runs it"
    if runs and not checked_out:
        runner, act = runs[0]
        nodes.append((f"runs from the folder it lies in: {act.text}", runner.at(line=act.line)))
        action, how = (
            max(level(view, runner), Action.REVIEW, key=_mildness),
            f"it may be run ({act.text})",
        )
    elif to_env:
        nodes.append(("writes to the environment of later steps", to_env[0].at("run")))
        action = max(level(view, to_env[0]), Action.REVIEW, key=_mildness)
        how = "a later step writes to the environment"
    yield Finding(
        message=f"job {view.job.id} takes an artifact of a run that a pull request can cause; "
        f"{how}, with {loss(view)} in reach",
        at=step.at("uses"),
        action=action,
        symbol=f"{view.job.id}: artifact {step.label}",
        evidence=(path("An artifact that an outsider can write", view, *nodes),),
    )
