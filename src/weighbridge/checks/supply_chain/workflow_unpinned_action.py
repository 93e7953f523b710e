"""Check `workflow-unpinned-action`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import loss, path
from weighbridge.analysis.workflow_views import Action as Used
from weighbridge.analysis.workflow_views import Automations, JobView
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location


@check("workflow-unpinned-action", control="workflows", reads=Audit)
def workflow_unpinned_action(audit: Audit) -> Iterator[Finding]:
    """An action or workflow of somebody else is used by a name that can be moved.

    ## Why it matters
    A tag or a branch is what its owner, or who has taken over his account, points it to. In March
    2025 every tag of `tj-actions/changed-files` was moved to code that printed the secrets of the
    job it ran in; 2026 saw the same with a scanner's action. What such an action can take is
    everything in its job: the token, the secrets of other steps, what the job publishes.

    ## What to do
    Name the full commit (`owner/action@<40 hexadecimal digits> # v1.2.3`) and let a robot propose
    updates; turn on the organisation's rule that demands it. Give publishing a job of its own with
    as few actions as can be.

    ## Limits
    Three tiers: GitHub's own actions and those of the repository's own owner are notes, all others
    are for review where the job holds a secret, a token that writes code or releases, or publishes.
    Who the owner is, is taken from what the repository says of itself. That a commit is pinned does
    not say that it is good, nor that what it fetches in turn is pinned.

    ## References
    - https://docs.github.com/en/actions/reference/security/secure-use
    - https://nvd.nist.gov/vuln/detail/CVE-2025-30066
    - https://cwe.mitre.org/data/definitions/829.html
    """
    known = automations(audit)
    rows: defaultdict[tuple[str, str, str], list[tuple[JobView, Location]]] = defaultdict(list)
    for view, used, at in _uses(known):
        if used.tier != "local" and not used.pinned:
            rows[at.path, used.tier, used.text].append((view, at))
    quiet: defaultdict[tuple[str, str], list[tuple[str, Location]]] = defaultdict(list)
    for (file, tier, text), places in rows.items():
        view, at = max(places, key=lambda place: (bool(place[0].held), len(place[0].held)))
        if tier == "third-party" and view.held:
            jobs = ", ".join(sorted({v.job.id for v, _ in places})[:6])
            yield Finding(
                message=f"{text} can be moved to other code; it runs in job {jobs} with "
                f"{loss(view)} in reach",
                at=at,
                action=Action.REVIEW,
                symbol=text,
                evidence=(path("An action that its owner can replace", view,
                               (f"runs {text}: whoever owns that name chooses the code", at)),),
            )  # fmt: skip
        else:
            quiet[file, tier].append((text, at))
    for (_, tier), entries in sorted(quiet.items()):
        whose = {"platform": "GitHub's own", "own": "the owner's own"}.get(tier, "third-party")
        where = " in jobs that hold nothing" if tier == "third-party" else ""
        count = "1 action" if len(entries) == 1 else f"{len(entries)} actions"
        yield Finding(
            message=f"{count} ({whose}{where}) not pinned to a commit: "
            + ", ".join(sorted({t for t, _ in entries})[:5]),
            at=entries[0][1],
            action=Action.NOTE,
            symbol=f"{tier} actions",
            evidence=(Table("Not pinned", ("action", "line"),
                            tuple((t, str(at.line)) for t, at in entries[:50])),),
        )  # fmt: skip


def _uses(known: Automations) -> Iterator[tuple[JobView, Used, Location]]:
    """Everything that jobs use, with the job and the place."""
    for view in known.views:
        if (used := known.called(view)) is not None:
            yield view, used, Location(view.path, line=view.job.lines.get("uses", view.job.line))
        for step in view.steps:
            if step.action is not None:
                yield view, step.action, step.at("uses")
