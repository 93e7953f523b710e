"""What the jobs of a repository release: who starts it, with which credentials, built where, and
what is left behind that tells where it came from.

Trusted publishing: https://docs.pypi.org/trusted-publishers/, https://docs.npmjs.com/trusted-publishers.
Attestations: https://docs.github.com/actions/security-for-github-actions/using-artifact-attestations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.expressions import expressions, flowing
from weighbridge.analysis.shell_kinds import Kind
from weighbridge.analysis.workflow_views import Automations, JobView, StepView
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.intel.actions import actions

KINDS: Final = ("data set", "image", "model", "package", "release")
"""What counts as a release; pages, spaces, files in a bucket and mere notes do not."""
OPENS: Final = regex(r"TOKEN|KEY|PASS|SECRET|CRED|AUTH|PWD|SIGN|CERT|PYPI|NPM")
"""What the name of a secret says that opens something; others hold a channel, the address of a
webhook or a user's name."""
TRUSTED: Final = frozenset(("pypi", "npm", "crates", "gems"))
"""Registries that take the identity of a run in the place of a token."""
_NPM_TOKENS: Final = frozenset(("NODE_AUTH_TOKEN", "NPM_TOKEN", "NPM_CONFIG_TOKEN"))
_PYPI: Final = "pypa/gh-action-pypi-publish"
_BEFORE_ATTESTING: Final = regex(r"v?1\.(?:\d|10)(?:\.\d+)*")
"""Versions of that action that made no attestations by themselves."""
_LOGINS: Final = frozenset(("docker/login-action", "redhat-actions/podman-login"))
_ANY: Final = frozenset(("**", "*"))
_BOUND: Final = regex(r"github\.(?:ref|base_ref|event\.(?:release|ref|base_ref|inputs))|inputs\.")


class Release(Struct, frozen=True):
    """A job that publishes, by all ways in. `kinds` are what it publishes, `steps` those that do.

    `tokens` are the long-lived secrets that they are given, with their places; `trusted`: it may
    ask for an identity of its own in their place. `attested` is what is made beside the artifact.
    """

    views: tuple[JobView, ...]
    kinds: tuple[str, ...]
    steps: tuple[StepView, ...]
    tokens: dict[str, Location]
    trusted: bool
    attested: tuple[tuple[str, Location], ...]

    @property
    def view(self) -> JobView:
        """The job by the way in that matters most."""
        return min(self.views, key=lambda v: (not v.entry.outsider, v.entry.line))

    @property
    def at(self) -> Location:
        """Where it publishes."""
        step = self.steps[0]
        return step.at("uses" if step.step.uses else "run")


def releases(known: Automations) -> list[Release]:
    """All jobs that release something, in the order of the files."""
    grouped: defaultdict[tuple[str, str], list[JobView]] = defaultdict(list)
    for view in known.views:
        if released(view):
            grouped[view.path, view.job.id].append(view)
    return [_release(views, known) for views in grouped.values()]


def released(view: JobView) -> list[tuple[str, StepView]]:
    """What a job releases and by which step. Nobody takes anything from an index for trials."""
    return [
        (what, step)
        for what, step in view.publishes
        if what in KINDS
        and not any("test.pypi.org" in t for t in (step.step.run, *step.step.inputs.values()))
    ]


def registries(step: StepView) -> set[str]:
    """The registries in which a step publishes packages, as far as that is known."""
    found = {act.target for _, act in step.every(Kind.PUBLISH) if act.target}
    if step.action is not None and (known := actions().registries.get(step.action.name.lower())):
        found.add(known)
    return found


def _release(views: list[JobView], known: Automations) -> Release:
    view = max(views, key=lambda v: len(v.secrets))
    kinds = sorted({what for v in views for what, _ in released(v)})
    steps = list({id(s.step): s for _, s in released(view)}.values())
    tokens: dict[str, Location] = {}
    for step in steps:
        tokens |= _tokens(view, step)
    if "image" in kinds:
        for step in view.steps:
            if step.action is not None and step.action.name.lower() in _LOGINS:
                tokens |= _tokens(view, step)
    said = view.permissions or {}
    trusted = "write" in (said.get("id-token"), said.get("*"))
    by_identity = trusted and not tokens
    attested = list(_attested(view, known, by_identity))
    attested += [
        ("provenance", s.at("uses" if s.step.uses else "run"))
        for s in steps
        if trusted and "npm" in registries(s) and not _given(view, s, _NPM_TOKENS)
    ]
    return Release(tuple(views), tuple(kinds), tuple(steps), tokens, trusted, tuple(attested))


def _given(view: JobView, step: StepView, names: frozenset[str]) -> bool:
    """Whether one of these variables is set for a step. npm states the provenance by itself where
    it publishes by the identity of the run, and that it does where it has no token."""
    held = (*step.step.env, *view.job.env, *view.workflow.env, *step.step.inputs)
    return any(name.upper() in names or name.lower() == "token" for name in held)


def _tokens(view: JobView, step: StepView) -> dict[str, Location]:
    """The long-lived secrets that a step is given, else those of the job around it."""
    own: dict[str, Location] = {}
    for part, values in (("env", step.step.env), ("with", step.step.inputs)):
        for name, value in values.items():
            for secret in named(value):
                own.setdefault(secret, step.at(f"{part}.{name}"))
    for secret in named(step.step.run):
        own.setdefault(secret, step.at("run"))
    if not own:
        for value in (*view.job.env.values(), *view.workflow.env.values()):
            for secret in named(value):
                own.setdefault(secret, view.secrets.get(secret, Location(view.path, line=1)))
    return {name: at for name, at in own.items() if OPENS.search(name)}


def named(value: str) -> Iterator[str]:
    """The secrets that a text is given, but for the token of the job itself. One that is only
    compared (`secrets.X != ''`) is none of them."""
    if "secrets" not in value:
        return
    for expression in expressions(value):
        for path in flowing(expression.tree):
            if path.startswith("secrets.") and path != "secrets.github_token":
                yield path.removeprefix("secrets.").upper()


def _attested(
    view: JobView, known: Automations, trusted: bool
) -> Iterator[tuple[str, Location]]:  # fmt: skip
    """What tells where the artifact came from: made in the workflow or in those that it calls."""
    lists = actions().attests
    for other in known.views:
        within = other.path == view.path or any(c[0] == view.path for c in other.entry.calls)
        if not within or other.entry.event != view.entry.event:
            continue
        called = known.called(other)
        if called is not None and (what := lists.get("/".join(called.name.lower().split("/")[:2]))):
            yield what, Location(other.path, line=other.job.lines.get("uses", other.job.line))
        for step in other.steps:
            for place, act in step.every(Kind.ATTEST):
                yield act.detail, Location(place, line=act.line)
            if step.action is None:
                continue
            name = step.action.name.lower()
            if what := lists.get(name) or lists.get("/".join(name.split("/")[:2])):
                yield what, step.at("uses")
            elif name == _PYPI and trusted and _attests(step):
                yield "provenance", step.at("uses")
        env = {**view.workflow.env, **other.job.env}
        if env.get("NPM_CONFIG_PROVENANCE", "").lower() == "true":
            yield "provenance", Location(other.path, line=other.job.line)


def _attests(step: StepView) -> bool:
    """Whether the action that publishes to PyPI states the provenance as well, which it does from
    1.11 on unless it is told not to. A commit does not tell its version: it counts as new."""
    asked = {k.lower(): v.strip().lower() for k, v in step.step.inputs.items()}
    old = step.action is not None and _BEFORE_ATTESTING.fullmatch(step.action.revision)
    return asked.get("attestations") != "false" and not old


def from_any_branch(view: JobView, steps: tuple[StepView, ...]) -> bool:
    """Whether a push to whatever branch publishes, and nothing asks first."""
    if view.entry.event != "push" or view.entry.calls or view.job.environment:
        return False
    trigger = next((t for t in view.workflow.triggers if t.line == view.entry.line), None)
    if trigger is None or trigger.tags or (trigger.branches and not _ANY & set(trigger.branches)):
        return False
    asked = (view.job.condition, *(s.step.condition for s in steps))
    if any(_BOUND.search(text.lower()) for text in asked):
        return False
    return not view.job.needs  # what it needs may have asked


def of_another_run(view: JobView) -> StepView | None:
    """The step that fetches what another run has built."""
    for step in view.steps:
        name = step.action.name.lower() if step.action is not None else ""
        other = "run-id" in {k.lower() for k in step.step.inputs}
        if name in actions().artifacts and (other or name != "actions/download-artifact"):
            return step
        if next(step.every(Kind.ARTIFACT), None) is not None:
            return step
    return None


def builders(view: JobView, known: Automations) -> list[JobView]:
    """The jobs whose artifacts a job publishes: those that it needs and that hand some over."""
    if not _has(view, "actions/download-artifact"):
        return []
    beside = {v.job.id: v for v in known.views if v.path == view.path and v.entry.line
              == view.entry.line and v.entry.calls == view.entry.calls}  # fmt: skip
    waiting, found = list(view.job.needs), dict[str, JobView]()
    while waiting:
        name = waiting.pop()
        if name in beside and name not in found:
            found[name] = beside[name]
            waiting += beside[name].job.needs
    return [v for v in found.values() if _has(v, "actions/upload-artifact")]


def _has(view: JobView, name: str) -> bool:
    return any(s.action is not None and s.action.name.lower() == name for s in view.steps)
