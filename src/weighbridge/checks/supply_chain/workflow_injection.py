"""Check `workflow-injection`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.expressions import expressions, flowing
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import level, loss, path, who, worst
from weighbridge.analysis.workflow_taint import Origin
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.actions import actions


@check("workflow-injection", control="workflows", reads=Audit)
def workflow_injection(audit: Audit) -> Iterator[Finding]:
    """A text that others write becomes part of a script.

    ## Why it matters
    GitHub puts the value of `${{ }}` into the script before the shell reads it. A title, a branch
    name or a commit message that holds `$(…)` or a quote is then a command, run with the job's
    token and secrets. ultralytics 8.3.41 was published in that way, through the name of a branch.

    ## What to do
    Hand the value over as an environment variable (`env: TITLE: ${{ … }}`) and use it in quotes
    (`"$TITLE"`); in `actions/github-script` read it from `context.payload`.

    ## Limits
    Values are followed over `env`, inputs, matrices and outputs of steps and jobs; an output counts
    as tainted if a script writes a tainted variable into it. What third-party actions put into
    their outputs is known for a list of them. What those may write who may write to the repository
    anyway (inputs of `workflow_dispatch`, names of branches on `push`) is a note.

    ## References
    - https://securitylab.github.com/resources/github-actions-untrusted-input/
    - https://cwe.mitre.org/data/definitions/94.html
    """
    yield from worst(f for view in automations(audit).views for f in _of(view))


def _of(view: JobView) -> Iterator[Finding]:
    for step in view.steps:
        for part, text in _sinks(step):
            yield from _in_text(view, step, part, text)
        yield from _environment(view, step)


def _sinks(step: StepView) -> Iterator[tuple[str, str]]:
    """The texts of a step that are run."""
    if step.step.run:
        yield "run", step.step.run
    if step.action is not None and (name := actions().scripts.get(step.action.name.lower())):
        for key, value in step.step.inputs.items():
            if key.lower() == name:
                yield f"with.{key}", value


def _in_text(view: JobView, step: StepView, part: str, text: str) -> Iterator[Finding]:
    for expression in expressions(text):
        found: dict[str, Origin] = {}
        for context in flowing(expression.tree):
            for origin in step.scope.context(context):
                if origin.text:
                    found.setdefault(origin.name, origin)
        if not found:
            continue
        origin = max(found.values(), key=lambda o: (o.outsider, o.merged))
        line = step.step.lines.get(part, step.step.line) + text.count("\n", 0, expression.start)
        at = step.at(line=line)
        written = f"${{{{ {expression.source[:100]} }}}}"
        action = level(view, step) if origin.outsider else Action.NOTE
        author = "an outsider" if origin.outsider else "somebody who may write"
        if origin.merged:
            author = "the author of a commit, once somebody has merged it,"
            action = Action.REVIEW if view.held and view.entry.event == "push" else Action.NOTE
        means = f", which is {origin.name}," if origin.name not in expression.source.lower() else ""
        yield Finding(
            message=f"{written} in a script of job {view.job.id}{means} is what {author} writes, "
            f"with {loss(view)} in reach: {who(view, step)}",
            at=at,
            action=action,
            symbol=f"{view.job.id}: {step.label[:40]}: {expression.source[:80]}",
            confidence=_confidence(origin),
            evidence=(
                path("A text becomes a command", view,
                     (f"{author} writes {origin.name}", at),
                     (f"the script takes it as code: {written}", at)),
            ),
        )  # fmt: skip


def _confidence(origin: Origin) -> Confidence:
    return Confidence.LIKELY if " " in origin.name else Confidence.CONFIRMED


def _environment(view: JobView, step: StepView) -> Iterator[Finding]:
    """Tainted lines that go into the file from which later steps take their variables."""
    if step.script is None or not view.entry.privileged:
        return
    for command in step.script.everything():
        if not any(
            "GITHUB_ENV" in r.target.text or "GITHUB_PATH" in r.target.text
            for r in command.redirects
        ):
            continue
        names = tuple(n for w in command.words for n in w.variables)
        names += tuple(n for r in command.redirects for n in r.target.variables)
        origins = [o for o in step.scope.variables(names) if o.outsider and o.text]
        if origins:
            at = step.at(line=command.line)
            yield Finding(
                message=f"job {view.job.id} writes {origins[0].name} into the environment of later "
                f"steps: a line of it can set any variable ({who(view, step)})",
                at=at,
                action=max(level(view, step), Action.REVIEW, key=list(Action).index),
                symbol=f"{view.job.id}: {step.label[:40]}: environment",
                confidence=Confidence.LIKELY,
                evidence=(path("A text becomes variables", view,
                               (f"an outsider writes {origins[0].name}", at)),),
            )  # fmt: skip
