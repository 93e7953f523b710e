"""Who can make a job run: events, conditions and guards.

Events and what they may do: https://docs.github.com/en/actions/reference/workflows-and-actions/
events-that-trigger-workflows and .../security/secure-use. A fork's `pull_request` gets neither
secrets nor a token that writes; `pull_request_target`, `issue_comment` and their like get both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.analysis.expressions import Answer, Node, condition, holds
from weighbridge.core.fact import Automation
from weighbridge.core.regex import regex
from weighbridge.core.workflow import Job, Step, Trigger
from weighbridge.intel.actions import actions

PRIVILEGED: Final = frozenset(("pull_request_target", "issue_comment", "issues", "discussion",
                               "discussion_comment", "fork", "watch", "gollum"))  # fmt: skip
"""Events that anybody can cause and that run with the rights of the repository."""
PLAIN: Final = frozenset(("pull_request", "pull_request_review", "pull_request_review_comment"))
"""Events that anybody can cause and that run without rights if a fork causes them."""
PULL: Final = "github.event.pull_request"


class Guard(Struct, frozen=True):
    """Something that has to be passed first. `strong`: only who may write anyway passes it, or what
    runs is not the outsider's; what is not strong can be passed by chance or by trickery."""

    what: str
    strong: bool


class Entry(Struct, frozen=True):
    """A way in which a job comes to run.

    `event` as in `github.event_name`; `privileged` whether it has the repository's rights while an
    outsider causes it; `outsider` whether one can. `calls` are the jobs that call this workflow,
    the outermost first: file, job, line.
    """

    event: str
    line: int
    outsider: bool
    privileged: bool
    guards: tuple[Guard, ...] = ()
    calls: tuple[tuple[str, str, int], ...] = ()
    caller: tuple[str, str] | None = None

    @property
    def unguarded(self) -> bool:
        """Whether an outsider needs nobody else."""
        return self.outsider and not self.guards

    @property
    def open(self) -> bool:
        """Whether no strong guard is in the way."""
        return self.outsider and not any(g.strong for g in self.guards)


_TRUSTED: Final = frozenset(("OWNER", "MEMBER", "COLLABORATOR"))
_ASKS: Final = regex(
    r"getCollaboratorPermissionLevel|collaborators/[^\s]{1,80}/permission|checkCollaborator\b"
    r"|getMembershipForUserInOrg|checkMembershipForUser|getMembershipInOrg"
    r"|get_collaborator_permission"
)
_FAILS: Final = regex(r"\bexit +[1-9]|core\.setFailed|\bthrow\b|process\.exit\([1-9]|\bexit\(1\)")
_COMMENT: Final = regex(r"^[ \t]*(?://|#).*$", re.MULTILINE)


def asks_permission(step: Step) -> bool:
    """Whether a step asks which permission an account has."""
    action = step.uses.partition("@")[0].lower()
    if action in actions().permission_checks:
        return True
    text = step.run or step.inputs.get("script", "")
    return bool(_ASKS.search(_COMMENT.sub("", text)))


def _can_fail(step: Step) -> bool:
    action = step.uses.partition("@")[0].lower()
    if action in actions().permission_checks:
        return True
    return bool(_FAILS.search(_COMMENT.sub("", step.run or step.inputs.get("script", ""))))


class Gates(Struct):
    """Which jobs and steps of a workflow ask for a permission, and which stop who has none."""

    jobs: frozenset[str]
    stopping: dict[str, int] = field(default_factory=dict)
    """For each job that stops: the number of its step behind which only the permitted come."""
    steps: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, workflow: Automation) -> Gates:
        """Look for them."""
        jobs: set[str] = set()
        stopping: dict[str, int] = {}
        steps: dict[str, frozenset[str]] = {}
        for job in workflow.jobs:
            asking: set[str] = set()
            for number, step in enumerate(job.steps):
                if asks_permission(step):
                    jobs.add(job.id)
                    asking.add(step.id.lower() or f"#{number}")
                    if _can_fail(step):
                        stopping.setdefault(job.id, number)
                elif asking and _can_fail(step) and _mentions(step.condition, asking):
                    stopping.setdefault(job.id, number)
            steps[job.id] = frozenset(asking)
        return cls(frozenset(jobs), stopping, steps)


def _mentions(text: str, ids: Iterable[str]) -> bool:
    low = text.lower()
    return any(f"steps.{id}." in low for id in ids)


def _known(event: str) -> dict[str, str]:
    """What is known of the contexts when an outsider causes an event."""
    known = {"github.event_name": event}
    if event not in ("pull_request", "pull_request_target", "pull_request_review",
                     "pull_request_review_comment"):  # fmt: skip
        known |= {PULL: "", "github.head_ref": "", "github.base_ref": ""}
    if event not in ("issue_comment", "issues"):
        known |= {"github.event.issue": "", "github.event.issue.pull_request": ""}
    if event == "workflow_run":
        known["github.event.workflow_run.event"] = "pull_request"
    if event not in ("workflow_dispatch", "workflow_call"):
        known["github.event.inputs"] = ""
    return known


def _adversary(matches: re.Pattern[str]) -> Answer:
    """Answers as an outsider would make it: what is compared with these contexts is not so."""

    def answer(node: Node) -> bool | None:
        if node.kind in ("==", "!="):
            named = [p.text for p in node.parts if p.kind == "path"]
            if any(matches.fullmatch(text) for text in named):
                return node.kind == "!="
        elif node.kind == "call" and node.text in ("contains", "startswith", "endswith"):
            if any(matches.fullmatch(path) for path in node.paths()):
                return False
        elif node.kind == "path" and matches.fullmatch(node.text):
            return False
        return None

    return answer


_REPOSITORY: Final = regex(
    r"github\.event\.pull_request\.head\.(?:repo\.(?:full_name|owner\.login|id|owner\.id)"
    r"|user\.login)"
    r"|github\.event\.workflow_run\.head_repository\.(?:full_name|owner\.login|id)"
)
_MERGED: Final = regex(r"github\.event\.pull_request\.merged(?:_at)?")
_LABEL: Final = regex(r"github\.event\.(?:label\.name|(?:pull_request|issue)\.labels(?:\..*)?)")
_ASSOCIATION: Final = regex(r"github\.event\.(?:[a-z_]+\.)?author_association")
_ACCOUNT: Final = regex(
    r"github\.(?:actor|triggering_actor|actor_id)"
    r"|github\.event\.(?:[a-z_]+\.user|sender)\.(?:login|id)"
)
_TRIED: Final = (
    ("the branch has to be in the repository itself", _REPOSITORY, True),
    ("the pull request has to be merged", _MERGED, True),
    ("a label has to be set", _LABEL, False),
)
_RESULT: Final = regex(r"always\(|failure\(|cancelled\(")


def guards_of(text: str, event: str, gated: Iterable[str] = ()) -> tuple[bool, tuple[Guard, ...]]:
    """Whether a condition can hold for an event at all, and the guards that it sets up.

    `gated` are the contexts (`needs.x`, `steps.y`) that tell whether an account is permitted.
    """
    if not text:
        return True, ()
    tree = condition(text)
    known = _known(event)
    if holds(tree, known) is False:
        return False, ()
    found = [Guard(what, strong) for what, pattern, strong in _TRIED
             if holds(tree, known, _adversary(pattern)) is False]  # fmt: skip
    fork = {f"{PULL}.head.repo.fork": "true"}
    if not any(g.what == _TRIED[0][0] for g in found) and holds(tree, {**known, **fork}) is False:
        found.append(Guard(_TRIED[0][0], True))
    if holds(tree, known, _adversary(_ASSOCIATION)) is False:
        named = {
            t for n in tree.nodes() if n.kind == "string" for t in re.findall(r"[A-Z_]{4,}", n.text)
        }
        found.append(Guard("the author's association is asked", not named - _TRUSTED))
    if holds(tree, known, _adversary(_ACCOUNT)) is False:
        # Who caused the event is compared; on a pull request that can be a robot that others steer.
        robot = any("[bot]" in n.text for n in tree.nodes() if n.kind == "string")
        found.append(Guard("only certain accounts", not robot))
    if contexts := [re.escape(g.lower()) for g in gated]:
        pattern = re.compile(rf"(?:{'|'.join(contexts)})\.(?:outputs|result|outcome|conclusion).*")
        if holds(tree, known, _adversary(pattern)) is False:
            found.append(Guard("the account's permission is asked", True))
    return True, tuple(found)


def trigger_entry(trigger: Trigger, sources: Mapping[str, Automation]) -> Entry:
    """The way in that a trigger opens. `sources` are the workflows of the repository by name."""
    event = trigger.event
    guards: tuple[Guard, ...] = ()
    if (
        event in PRIVILEGED | PLAIN
        and trigger.types
        and set(trigger.types) <= {"labeled", "unlabeled"}
    ):
        guards = (Guard("a label has to be set", False),)
    if event in ("issues", "discussion") and trigger.types and set(trigger.types) <= {
        "assigned", "milestoned", "pinned", "locked", "transferred", "answered"
    }:  # fmt: skip
        guards = (Guard("a maintainer has to act on it", False),)
    outsider = event in PRIVILEGED | PLAIN
    privileged = event in PRIVILEGED
    if event == "workflow_run":
        started = [sources[name] for name in trigger.workflows if name in sources]
        events = {t.event for workflow in started for t in workflow.triggers}
        outsider = privileged = bool(events & (PLAIN | PRIVILEGED))
        if not outsider and len(started) < len(trigger.workflows):
            outsider = privileged = True
            why = "the workflow before it is not here: what starts that is unknown"
            guards = (Guard(why, False),)
    return Entry(event, trigger.line, outsider, privileged, guards)


GUARDS: Final = 8
"""How many guards before one job are told."""


def admitted(
    entry: Entry, job: Job, gates: Gates, before: Mapping[str, Entry | None]
) -> Entry | None:
    """The way into one job, with the guards of the job and of those that it needs; None where the
    event never reaches it. `before` is what came of the jobs that it can need."""
    gated = [f"needs.{n}" for n in job.needs if n in gates.jobs]
    gated += [f"steps.{s}" for s in gates.steps.get(job.id, ())]
    reachable, own = guards_of(job.condition, entry.event, gated)
    if not reachable:
        return None
    guards = [*entry.guards, *own]
    if job.environment:
        guards.append(Guard(f"the environment {job.environment[:60]} may ask for approval", False))
    if not _RESULT.search(job.condition.lower()):  # a job is skipped with those that it needs
        for name in job.needs:
            if name in before:
                needed = before[name]
                if needed is None:
                    return None
                guards += needed.guards
            if name in gates.stopping:
                guards.append(Guard("the account's permission is asked", True))
    unique = sorted(dict.fromkeys(guards), key=lambda g: not g.strong)[:GUARDS]
    return replace(entry, guards=tuple(unique))
