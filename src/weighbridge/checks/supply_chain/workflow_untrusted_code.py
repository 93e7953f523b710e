"""Check `workflow-untrusted-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.workflow_artifacts import Unpacked, artifacts, poisoned, ran_from
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
    changed when the job runs. An artifact of a pull request's run counts as run if something is
    started out of the folder that it is unpacked into, before a checkout replaces what lies there.

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
    for step, unpacked in artifacts(view.steps):
        yield _of_artifact(view, step, unpacked)


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


def _of_artifact(view: JobView, step: StepView, unpacked: Unpacked) -> Finding:
    """An artifact that a pull request could have written, and whether what is in it acts."""
    runs = sorted(ran_from(unpacked, view.steps), key=lambda ran: not ran.certain)
    written = next(poisoned(unpacked, view.steps), None)
    action = Action.NOTE
    how = "nothing was seen that runs it"
    nodes = [(f"fetches what the other run has left: {unpacked.how}"[:200], step.at())]
    if runs:
        ran = runs[0]
        how = f"what it holds is run ({ran.text})" if ran.certain else f"it may be run ({ran.text})"
        nodes.append((f"runs from the folder it lies in: {ran.text}", ran.at))
        action = level(view, ran.step)
        if not ran.certain:
            action = max(action, Action.REVIEW, key=_mildness)
    elif written is not None:
        writer, at = written
        how = f"{writer.label} writes what it holds into the environment of later steps, where a "
        how += "line of it can set any variable"
        nodes.append(("writes what a file holds to the environment of later steps", at))
        action = max(level(view, writer), Action.REVIEW, key=_mildness)
    return Finding(
        message=f"job {view.job.id} takes an artifact of a run that a pull request can cause; "
        f"{how}, with {loss(view)} in reach",
        at=step.at(),
        action=action,
        symbol=f"{view.job.id}: artifact {step.label}",
        evidence=(path("An artifact that an outsider can write", view, *nodes),),
    )
