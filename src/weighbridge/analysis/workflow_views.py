"""A job as one way in reaches it, and its steps: what it holds, takes in and gives out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from weighbridge.analysis.expressions import expressions
from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.workflow_owners import root_of
from weighbridge.analysis.workflow_reach import Entry, Guard
from weighbridge.analysis.workflow_taint import Origins, Scope
from weighbridge.core.evidence import Node
from weighbridge.core.fact import Automation
from weighbridge.core.finding import Gap
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.workflow import Job, Step
from weighbridge.formats.shell import Script
from weighbridge.intel.actions import actions

_FULL: Final = regex(r"[0-9a-f]{40}|sha256:[0-9a-f]{64}", re.IGNORECASE)
_ONLY_TALKS: Final = frozenset(("issues", "pull-requests", "discussions", "statuses", "checks",
                                "security-events", "repository-projects", "models"))  # fmt: skip
"""What a token may write without changing code or what is published."""


class Action(Struct, frozen=True):
    """What a step uses. `tier`: `local`, `platform`, `own` or `third-party`; `pinned` to a commit
    or a digest."""

    name: str
    revision: str
    tier: str
    pinned: bool

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}@{self.revision}" if self.revision else self.name


class StepView(Struct):
    """A step in its place. `file` is where it is written, `scope` what names mean there before it
    runs, `acts` what its script does (those of a script that it calls are in `called`), `guards`
    what its own condition sets up."""

    step: Step
    file: str
    scope: Scope
    action: Action | None
    acts: tuple[Act, ...]
    called: tuple[tuple[str, Act], ...]
    script: Script | None
    guards: tuple[Guard, ...] = ()
    through: str = ""

    @property
    def label(self) -> str:
        """How to call it."""
        step = self.step
        return step.name or step.id or step.uses or next(iter(step.run.split("\n", 1)), "")[:60]

    def at(self, part: str = "", line: int | None = None) -> Location:
        """Where it, or a part of it, stands."""
        return Location(self.file, line=line or self.step.lines.get(part, self.step.line))

    def every(self, *kinds: Kind) -> Iterator[tuple[str, Act]]:
        """What it does of these kinds, with the file in which it is written."""
        for act in self.acts:
            if act.kind in kinds:
                yield self.file, act
        for place, act in self.called:
            if act.kind in kinds:
                yield place, act


class JobView(Struct):
    """A job as one way in reaches it."""

    workflow: Automation
    job: Job
    entry: Entry
    steps: list[StepView]
    secrets: dict[str, Location]
    permissions: dict[str, str] | None
    outputs: dict[str, Origins]
    publishes: list[tuple[str, StepView]] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The file that the job is written in."""
        return self.workflow.at.path

    @property
    def writes(self) -> tuple[str, ...]:
        """What its token is said to be allowed to write."""
        said = self.permissions or {}
        if said.get("*") == "write":
            return ("everything",)
        return tuple(sorted(k for k, v in said.items() if v == "write"))

    @property
    def strong_writes(self) -> tuple[str, ...]:
        """What of that changes code or what is published."""
        return tuple(w for w in self.writes if w not in _ONLY_TALKS)

    @property
    def held(self) -> tuple[str, ...]:
        """What an attacker in it would have, in words; empty where there is nothing."""
        found = []
        if self.secrets:
            names = sorted(self.secrets)
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            found.append(f"the secrets {', '.join(names[:4])}{more}" if len(names) > 1
                         else f"the secret {names[0]}")  # fmt: skip
        if self.strong_writes:
            found.append(f"a token that writes {', '.join(self.strong_writes)}")
        if kinds := sorted({what for what, _ in self.publishes}):
            found.append(f"what it publishes ({', '.join(kinds)})")
        return tuple(found)

    @property
    def runner(self) -> tuple[str, ...]:
        """The labels of its runner, those of a matrix spelt out."""
        labels: list[str] = []
        for text in self.job.runner:
            found = expressions(text)
            names = [p for e in found for p in e.tree.paths() if p.startswith("matrix.")]
            if not found:
                labels.append(text)
            for name in names:
                labels += self.job.matrix.get(name.split(".")[1], ())
            if found and text.strip().startswith("["):
                labels += re.findall(r"[\w.-]+", text)
            for e in found:
                labels += [n.text for n in e.tree.nodes() if n.kind == "string"]
        return tuple(dict.fromkeys(labels))

    def own_runner(self) -> str:
        """What shows that its runner is the project's own machine; empty where nothing does."""
        labels = self.runner
        if any(
            label.lower() == "self-hosted" or label.lower().startswith("self-hosted")
            for label in labels
        ):
            return ", ".join(labels)
        return ""

    def trail(self) -> list[Node]:
        """The first steps of an attack path: what happens, and how that leads to the job."""
        by = "anybody" if self.entry.outsider else "somebody who may write"
        calls = self.entry.calls
        first = calls[0][0] if calls else self.path
        nodes = [Node("event", f"{by} causes {self.entry.event}", "source",
                      Location(first, line=self.entry.line))]  # fmt: skip
        for path, job, line in calls:
            nodes.append(
                Node(
                    f"call{len(nodes)}",
                    f"job {job} calls a workflow",
                    "",
                    Location(path, line=line),
                )
            )
        guards = (
            f", where {'; '.join(g.what for g in self.entry.guards)}" if self.entry.guards else ""
        )
        at = Location(self.path, line=self.job.line)
        nodes.append(Node("job", f"job {self.job.id} runs{guards}", "", at))
        return nodes


class Automations(Struct):
    """All workflows and actions of one target. `gaps` are what could not be followed."""

    views: list[JobView]
    gaps: list[Gap]
    owners: Mapping[tuple[str, str], frozenset[str]]

    def owners_of(self, view: JobView) -> frozenset[str]:
        """Who the repository of a job belongs to, in small letters."""
        return self.owners[root_of(view.path)]

    def called(self, view: JobView) -> Action | None:
        """The workflow that a job calls."""
        return action_of(view.job.uses, self.owners[root_of(view.path)]) if view.job.uses else None


def action_of(uses: str, owners: frozenset[str]) -> Action:
    """What `uses` names, for a repository that belongs to `owners` (in small letters)."""
    if uses.startswith(("./", "../")):
        return Action(uses, "", "local", True)
    if uses.startswith("docker://"):
        return Action(uses, "", "third-party", "@sha256:" in uses)
    name, _, revision = uses.partition("@")
    owner = name.partition("/")[0].lower()
    tier = "third-party"
    if owner in actions().platform:
        tier = "platform"
    elif owner in owners:
        tier = "own"
    return Action(name, revision, tier, _FULL.fullmatch(revision.strip()) is not None)
