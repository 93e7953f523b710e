"""Check `workflow-agent`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.shell_runs import SHOWN, runs
from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import guards, level, loss, path, who, worst
from weighbridge.analysis.workflow_taint import Origins
from weighbridge.analysis.workflow_views import JobView, StepView
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.intel.actions import actions


@check("workflow-agent", control="workflows", reads=Audit)
def workflow_agent(audit: Audit) -> Iterator[Finding]:
    """A language model with tools and rights reads what outsiders write.

    ## Why it matters
    An agent that triages issues or reviews pull requests follows the instructions that it reads,
    those in the issue as well. It holds a token, often the right to run commands, and the key of
    its own provider. Several agents gave secrets away in 2025 and 2026 because an issue asked them.

    ## What to do
    Let an agent read what outsiders write only in a job without secrets and without a token that
    writes, with an explicit list of tools that cannot run commands. Let others act on its answer
    as on data. Start it only for those who may write.

    ## Limits
    Actions and programs that are language models are known from a list. Whether a model follows a
    given instruction cannot be told from a file, so this is for review, never a block. An agent
    that fetches the issue itself is not seen by its prompt; what starts it is what counts then.

    ## References
    - https://owasp.org/www-project-top-10-for-large-language-model-applications/
    - https://atlas.mitre.org/techniques/AML.T0051
    """
    yield from worst(f for view in automations(audit).views for f in _of(view))


def _of(view: JobView) -> Iterator[Finding]:
    for step in view.steps:
        for agent, origins, at in _agents(step):
            outsiders = [o for o in origins if o.outsider and o.text]
            if not outsiders and not (view.entry.outsider and view.entry.privileged):
                continue
            told = f"is told {outsiders[0].name}" if outsiders else "reads what started it"
            action = level(view, step)
            if action is Action.BLOCK:
                action = Action.REVIEW  # nobody can say that a model obeys
            yield Finding(
                message=f"{agent} in job {view.job.id} {told}, with {loss(view)} in reach: "
                f"{who(view, step)}",
                at=at,
                action=action,
                symbol=f"{view.job.id}: {agent}",
                evidence=(path("Words that instruct an agent", view,
                               (f"{agent} {told}", at)),),
            )  # fmt: skip
            if step.action is not None and not guards(view, step):
                yield from _opened(view, step, agent)


def _agents(step: StepView) -> Iterator[tuple[str, Origins, Location]]:
    known = actions()
    if step.action is not None:
        names = known.agents.get(step.action.name.lower())
        if names is not None:
            origins: Origins = ()
            at = step.at("uses")
            for key, value in step.step.inputs.items():
                if key.lower() in names and (found := step.scope.of(value)):
                    origins += found
                    at = step.at(f"with.{key}")
            yield step.action.name, origins, at
    if step.script is not None:
        for run in runs(step.script):
            if run.program in known.agent_programs and len(run.words) > 1:
                origins = ()
                for word in run.words[1:]:
                    origins += step.scope.of(word.text) + step.scope.variables(word.variables)
                yield run.program[:SHOWN], origins, step.at(line=run.command.line)


def _opened(view: JobView, step: StepView, agent: str) -> Iterator[Finding]:
    """Settings that open an agent to everybody on purpose."""
    for key, value in step.step.inputs.items():
        if (
            key.lower() in ("allowed_non_write_users", "allow-users", "allow_users")
            and "*" in value
        ):
            yield Finding(
                message=f"{agent} in job {view.job.id} obeys everybody ({key}: {value[:40]})",
                at=step.at(f"with.{key}"),
                action=Action.REVIEW,
                symbol=f"{view.job.id}: {agent}: {key}",
            )
