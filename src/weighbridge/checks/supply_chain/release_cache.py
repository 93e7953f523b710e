"""Check `release-cache`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.expressions import expressions
from weighbridge.analysis.workflow_foreign import foreign_code
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import path, worst
from weighbridge.analysis.workflow_release import builders, released
from weighbridge.analysis.workflow_views import Automations, JobView, StepView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.core.location import Location
from weighbridge.intel.actions import actions


@check("release-cache", control="release", reads=Audit)
def release_cache(audit: Audit) -> Iterator[Finding]:
    """A job that publishes builds on what another run has left in a cache.

    ## Why it matters
    A cache is restored by its key and not checked. Whoever once runs code in any job of the default
    branch can leave a poisoned cache behind, and the release is built from it without a trace in
    the source. That was the way into ultralytics in 2024; attestations of such a release are valid.

    ## What to do
    Publish from a job that restores nothing: no `actions/cache`, `cache:` left out of the setup
    actions, `enable-cache: false`, no `cache-from`.

    ## Limits
    Which actions restore a cache is known from a list. Caches inside programs and images are not
    seen. What the cache holds is not looked at, so that a build that takes only downloads from it,
    whose digests are compared later, is reported as well. Of other jobs those count
    whose artifacts it publishes. Layers that are kept in a registry are a note: whoever can write
    there has a password of the registry, and needs no cache. A package that goes to an index for
    trials is none that anybody installs.

    ## References
    - https://adnanthekhan.com/2024/05/06/the-monsters-in-your-build-cache-github-actions-cache-poisoning/
    - https://cwe.mitre.org/data/definitions/349.html
    """
    known = automations(audit)
    open_jobs = sorted({f"{v.path}: {v.job.id}" for v in known.views if _poisons(v)})
    yield from worst(f for view in known.views for f in _of(view, known, open_jobs))


def _poisons(view: JobView) -> bool:
    """Whether an outsider's code runs in the scope of the default branch."""
    entry = view.entry
    return entry.privileged and entry.open and any(ran for _, _, ran in foreign_code(view))


def _of(view: JobView, known: Automations, open_jobs: list[str]) -> Iterator[Finding]:
    published = released(view)
    if not published:
        return
    kinds = sorted({what for what, _ in published})
    steps = [(view, step) for step in view.steps]
    steps += [(built, step) for built in builders(view, known) for step in built.steps]
    for place, step in steps:
        how = _restores(step, place)
        if not how:
            continue
        kept = how == REGISTRY
        at = step.at("uses")
        by = f"; an outsider's code can write to it in {open_jobs[0]}" if open_jobs else ""
        target = published[0][1]
        yield Finding(
            message=f"job {view.job.id} publishes ({', '.join(kinds)}) "
            + (f"and {how}" if place is view else f"what job {place.job.id} builds, which {how}")
            + f" ({step.step.uses})" + by,
            at=at,
            action=Action.NOTE if kept and not open_jobs else Action.REVIEW,
            symbol=f"{place.job.id}: {step.step.uses.partition('@')[0]}",
            confidence=Confidence.LIKELY if how == DEFAULT else Confidence.CONFIRMED,
            evidence=(path("From a cache into a release", view,
                           ("another run leaves a cache behind", Location(at.path, line=at.line)),
                           (f"{how}: {step.step.uses}", at),
                           (f"publishes: {target.label}", target.at("uses"))),),
        )  # fmt: skip


RESTORES: Final = "restores a cache"
DEFAULT: Final = "restores a cache by default"
REGISTRY: Final = "restores layers from a registry"


def _restores(step: StepView, view: JobView) -> str:
    """How a step restores a cache, empty where it does not."""
    if step.action is None:
        return ""
    name = step.action.name.lower()
    switch = actions().caches.get(name)
    if switch is None:
        return ""
    inputs = {k.lower(): v.strip().lower() for k, v in step.step.inputs.items()}
    if not switch:
        return "" if inputs.get("lookup-only") == "true" else RESTORES
    value = inputs.get(switch, "")
    if name == "astral-sh/setup-uv" and not value:
        return DEFAULT
    if value in ("", "false", "no"):
        return ""
    return REGISTRY if switch == "cache-from" and _in_registry(value, view) else RESTORES


def _in_registry(value: str, view: JobView) -> bool:
    """Whether all that `cache-from` names are images: `type=registry`, or no type at all. What a
    matrix says is looked up; of other expressions nothing is known."""
    found = expressions(value)
    if len(found) == 1 and found[0].tree.text.startswith("matrix."):
        wanted = found[0].tree.text.removeprefix("matrix.")
        lines = [v.lower() for n, vs in view.job.matrix.items() if n.lower() == wanted for v in vs]
    else:
        lines = [value]
    places = [line.strip() for text in lines for line in text.split("\n") if line.strip()]
    return bool(places) and all(
        "type=registry" in re.split(r"\s*,\s*", place) or not re.match(r"\w+=|\$\{\{", place)
        for place in places
    )
