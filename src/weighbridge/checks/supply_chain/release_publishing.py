"""Check `release-publishing`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import guards, path
from weighbridge.analysis.workflow_release import Release, from_any_branch, of_another_run, releases
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location

SHOWN: Final = 200


@check("release-publishing", control="release", reads=Audit)
def release_publishing(audit: Audit) -> Iterator[Finding]:
    """Which jobs publish, who starts them, and whether what they publish can be traced.

    ## Why it matters
    An artifact is worth what its way into the world is worth. A release that any branch can cause
    needs no review; one that is put together from what another run has left behind cannot be tied
    to a commit.

    ## What to do
    Publish from a tag or a release, in a job behind a protected environment, from what was built in
    the same run. Everybody else's actions in that job belong on a commit.

    ## Limits
    Jobs are known by the actions and commands that publish; what other programs publish is not
    seen. Whether a branch, a tag or an environment is protected is a setting of the repository
    that is not among its files. Only who may write can push to a branch.

    ## References
    - https://slsa.dev/spec/v1.1/requirements
    - https://docs.pypi.org/trusted-publishers/security-model/
    """
    found = releases(automations(audit))
    for release in found:
        yield from _judged(release)
    if found:
        kinds = sorted({kind for release in found for kind in release.kinds})
        yield Finding(
            message=f"{len(found):,} {'job publishes' if len(found) == 1 else 'jobs publish'} "
            f"({', '.join(kinds)})",
            at=found[0].at,
            action=Action.NOTE,
            symbol="publishing jobs",
            evidence=(
                Table(
                    "What publishes",
                    ("job", "what", "started by", "guards", "credentials", "attested",
                     "others' actions by a tag"),
                    tuple(map(_row, found[:SHOWN])),
                ),
            ),
        )  # fmt: skip


def _row(release: Release) -> tuple[str, ...]:
    view = release.view
    loose = sorted({
        s.action.text for s in view.steps
        if s.action is not None and s.action.tier == "third-party" and not s.action.pinned
    })  # fmt: skip
    held = ", ".join(release.tokens) or ("its own identity" if release.trusted else "its token")
    return (
        f"{view.path}: {view.job.id}",
        ", ".join(release.kinds),
        ", ".join(dict.fromkeys(v.entry.event for v in release.views)),
        "; ".join(dict.fromkeys(g.what for g in guards(view))) or "none",
        held,
        ", ".join(dict.fromkeys(what for what, _ in release.attested)) or "no",
        ", ".join(loose[:3]) + (f" and {len(loose) - 3} more" if len(loose) > 3 else ""),
    )


def _judged(release: Release) -> Iterator[Finding]:
    for view in release.views:
        if from_any_branch(view, release.steps):
            images = release.kinds == ("image",)
            yield Finding(
                message=f"job {view.job.id} publishes ({', '.join(release.kinds)}) at a push to "
                "whatever branch",
                at=release.at,
                action=Action.NOTE if images else Action.REVIEW,
                symbol=f"{view.job.id}: any branch",
                evidence=(path("A push to any branch becomes a release", view,
                               (f"publishes: {release.steps[0].label}", release.at)),),
            )  # fmt: skip
            break
    view = release.view
    if (step := of_another_run(view)) is None:
        return
    at = step.at("uses" if step.step.uses else "run")
    yield Finding(
        message=f"job {view.job.id} publishes ({', '.join(release.kinds)}) what another run has "
        "built" + ("" if release.attested else ", and nothing states from what"),
        at=at,
        action=Action.NOTE if release.attested else Action.REVIEW,
        symbol=f"{view.job.id}: another run",
        evidence=(path("From another run into a release", view,
                       ("another run has built it", Location(at.path, line=at.line)),
                       (f"fetches it: {step.label}", at),
                       (f"publishes: {release.steps[0].label}", release.at)),),
    )  # fmt: skip
