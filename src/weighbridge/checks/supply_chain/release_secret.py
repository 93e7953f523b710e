"""Check `release-secret`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Kind
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import path, worst
from weighbridge.analysis.workflow_release import OPENS, named
from weighbridge.analysis.workflow_views import Automations, JobView, StepView
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
    a token that it is given is not seen. Names of secrets that open nothing (a channel, a webhook)
    and secrets that are handed to another workflow of the same owner are notes.

    ## References
    - https://docs.github.com/actions/security-for-github-actions
    - https://cwe.mitre.org/data/definitions/522.html
    """
    known = automations(audit)
    yield from worst(
        f for view in known.views for f in (*_environment(view), *_inherited(view, known))
    )


def _environment(view: JobView) -> Iterator[Finding]:
    published = [(what, step) for what, step in view.publishes if what not in ("pages", "notes")]
    if not published:
        return
    kinds = sorted({what for what, _ in published})
    for holder, scope in ((view.workflow, "workflow"), (view.job, "job")):
        given = {s: name for name, value in holder.env.items() for s in named(value)}
        held = sorted(given, key=lambda secret: (not OPENS.search(secret), secret))
        others = [s for s in view.steps if _runs_others(s)]
        if not held or not others:
            continue
        line = holder.lines.get(f"env.{given[held[0]]}", 1)
        at = Location(view.path, line=line)
        target = published[0][1]
        yield Finding(
            message=f"job {view.job.id} builds and publishes ({', '.join(kinds)}) while "
            f"{', '.join(held[:4])} {'stand' if len(held) > 1 else 'stands'} in the environment of "
            f"the whole {scope}",
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


def _inherited(view: JobView, known: Automations) -> Iterator[Finding]:
    called = known.called(view)
    if view.job.secrets.get("*") != "inherit" or called is None or called.tier == "local":
        return
    at = Location(view.path, line=view.job.lines.get("secrets", view.job.line))
    yield Finding(
        message=f"job {view.job.id} hands all secrets to {view.job.uses[:120]}",
        at=at,
        action=Action.REVIEW if called.tier == "third-party" else Action.NOTE,
        symbol=f"{view.job.id}: inherit",
        evidence=(path("All secrets for another repository's workflow", view,
                       (f"calls {view.job.uses[:120]} with secrets: inherit", at)),),
    )  # fmt: skip
