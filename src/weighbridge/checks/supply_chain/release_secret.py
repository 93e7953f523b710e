"""Check `release-secret`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Kind
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import path, worst
from weighbridge.analysis.workflow_release import OPENS, named
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location


@check("release-secret", control="release", reads=Audit)
def release_secret(audit: Audit) -> Iterator[Finding]:
    """Secrets are in reach of everything that runs while an artifact is built.

    ## Why it matters
    The steps that build run code of hundreds of dependencies. If the token that publishes stands in
    the environment of the whole job or workflow, each of them can read it and publish in the
    project's name, today or later. A stolen long-lived token was how ultralytics 8.3.45 came about.

    ## What to do
    Build in one job without secrets, publish in another one that only takes the finished files. Use
    trusted publishing (`id-token: write`) in place of tokens; otherwise give the secret to the one
    step that needs it. Hand named secrets to workflows that are called, never `inherit`.

    ## Limits
    A secret in the environment of a single step is in reach of the others through the runner's
    memory too; only what the environment itself hands out is accused here. What an action does with
    a token that it is given is not seen.

    ## References
    - https://docs.github.com/actions/security-for-github-actions
    - https://cwe.mitre.org/data/definitions/522.html
    """
    known = automations(audit)
    yield from worst(f for view in known.views for f in (*_environment(view), *_inherited(view)))


def _environment(view: JobView) -> Iterator[Finding]:
    kinds = sorted({what for what, _ in view.publishes if what != "pages"})
    if not kinds:
        return
    scopes = ((view.workflow.env, "workflow", 1), (view.job.env, "job", view.job.line))
    for env, scope, line in scopes:
        held = sorted({s for value in env.values() for s in named(value)})
        others = [s for s in view.steps if _runs_others(s)]
        if not held or not others:
            continue
        at = Location(view.path, line=line)
        target = view.publishes[0][1]
        yield Finding(
            message=f"job {view.job.id} builds and publishes ({', '.join(kinds)}) while "
            f"{', '.join(held[:4])} stands in the environment of the whole {scope}",
            at=at,
            action=Action.REVIEW if any(map(OPENS.search, held)) else Action.NOTE,
            symbol=f"{view.job.id}: {scope}: {' '.join(held[:4])}",
            evidence=(path("A secret in the environment of a build", view,
                           (f"the {scope} hands out {', '.join(held[:4])}", at),
                           (f"code of others runs: {others[0].label}", others[0].at()),
                           (f"publishes: {target.label}", target.at("uses"))),),
        )  # fmt: skip


_BUILDING: Final = (Kind.LOCAL_CODE, Kind.REMOTE_SCRIPT, Kind.INSTALL_GIT, Kind.INSTALL_UNPINNED)


def _runs_others(step: StepView) -> bool:
    """Whether a step runs code that the project has not written: dependencies, actions."""
    if step.action is not None and step.action.tier == "third-party":
        return True
    return next(step.every(*_BUILDING), None) is not None


def _inherited(view: JobView) -> Iterator[Finding]:
    if view.job.secrets.get("*") != "inherit" or view.job.uses.startswith("./"):
        return
    at = Location(view.path, line=view.job.lines.get("secrets", view.job.line))
    yield Finding(
        message=f"job {view.job.id} hands all secrets to {view.job.uses[:120]}",
        at=at,
        action=Action.REVIEW,
        symbol=f"{view.job.id}: inherit",
        evidence=(path("All secrets for another repository's workflow", view,
                       (f"calls {view.job.uses[:120]} with secrets: inherit", at)),),
    )  # fmt: skip
