"""The context of every job: who can start it, what it holds, what it takes in, what it gives out.

Jobs of reusable workflows are seen once for each caller, steps of composite actions in the place
where they are used, scripts of the repository where a step calls them.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from weighbridge.analysis.expressions import expressions
from weighbridge.analysis.shell_acts import Act, Kind, acts
from weighbridge.analysis.workflow_reach import (
    Entry,
    Gates,
    Guard,
    admitted,
    guards_of,
    trigger_entry,
)
from weighbridge.analysis.workflow_taint import (
    Origin,
    Origins,
    Scope,
    foreign_revision,
    written_outputs,
)
from weighbridge.core.check import Audit
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Node
from weighbridge.core.fact import Automation
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location, within
from weighbridge.core.tree import Blob, read_whole
from weighbridge.core.workflow import Job, Step
from weighbridge.formats.shell import Script, read
from weighbridge.formats.text import is_workflow_path
from weighbridge.intel.actions import actions

CALLS: Final = 4
"""How many reusable workflows or composite actions deep a step may lie."""
ENTRIES: Final = 24
"""How many different ways into one workflow are told apart."""
STEPS: Final = 60_000
"""How many steps of all jobs are looked at, each as often as it is reached."""
SCRIPT_LIMIT: Final = 512 << 10
"""How many bytes a script that a step calls may have."""
_PROJECT: Final = re.compile(
    r"(?:url|homepage|repository|source)\w{0,20}[\"']?\s{0,9}[=:]\s{0,9}[\"']"
    r"https://github\.com/([\w-]{1,100})/",
    re.IGNORECASE,
)
_BADGE: Final = re.compile(
    r"github\.com/([\w-]{1,100})/[\w.-]{1,100}/(?:actions/)?workflows/[^\s)]{1,100}badge\.svg"
)
_DECLARES: Final = {
    "pyproject.toml": _PROJECT,
    "setup.py": _PROJECT,
    "package.json": _PROJECT,
    "README.md": _BADGE,
}
"""Where a repository says whose it is."""
_FULL: Final = re.compile(r"[0-9a-f]{40}|sha256:[0-9a-f]{64}", re.IGNORECASE)
_SECRET: Final = re.compile(r"secrets\.([a-z_][\w-]*)")
_ONLY_TALKS: Final = frozenset(("issues", "pull-requests", "discussions", "statuses", "checks",
                                "security-events", "repository-projects", "models"))  # fmt: skip
"""What a token may write without changing code or what is published."""


@dataclass(frozen=True, slots=True)
class Action:
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


@dataclass
class StepView:
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


@dataclass
class JobView:
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


@dataclass
class Automations:
    """All workflows and actions of one target. `gaps` are what could not be followed."""

    views: list[JobView]
    gaps: list[Gap]
    owners: Mapping[tuple[str, str], frozenset[str]]

    def owners_of(self, view: JobView) -> frozenset[str]:
        """Who the repository of a job belongs to, in small letters."""
        return self.owners[_root(view.path)]

    def called(self, view: JobView) -> Action | None:
        """The workflow that a job calls."""
        return _action(view.job.uses, self.owners[_root(view.path)]) if view.job.uses else None


_kept: list[tuple[object, object, Automations]] = []


def automations(audit: Audit) -> Automations:
    """The context of every job of an audit. Several questions are asked about one audit, one after
    the other in the same child, so the last answer is kept."""
    if _kept and _kept[0][0] is audit.facts and _kept[0][1] is audit.blobs:
        return _kept[0][2]
    made = _Reader(audit).read()
    _kept[:] = [(audit.facts, audit.blobs, made)]
    return made


def _root(path: str) -> tuple[str, str]:
    """The part and the folder in which a workflow's repository begins."""
    part, inner = within(path)
    return part, re.split(r"(?:^|/)\.github/workflows/", inner, maxsplit=1)[0]


@dataclass
class _Reader:
    audit: Audit
    steps: int = 0
    gaps: list[Gap] = field(default_factory=list)
    views: list[JobView] = field(default_factory=list)
    entries: dict[str, list[tuple[Entry, dict[str, Origins] | None, JobView | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    scripts: dict[tuple[str, str], tuple[Act, ...]] = field(default_factory=dict)
    texts: dict[tuple[str, int], tuple[Script, tuple[Act, ...]]] = field(default_factory=dict)

    def read(self) -> Automations:
        said = [f for f in self.audit.facts if isinstance(f, Automation) and not f.at.inside]
        self.actions = {f.at.path: f for f in said if f.action}
        workflows = [f for f in said if not f.action and is_workflow_path(f.at.path)]
        roots = {_root(f.at.path) for f in workflows}
        live = [f for f in workflows if not _lies_within(_root(f.at.path), roots)]
        self.by_path = {f.at.path: f for f in live}
        self.owners = {root: self._owners(root) for root in {_root(f.at.path) for f in live}}
        by_root: defaultdict[tuple[str, str], dict[str, Automation]] = defaultdict(dict)
        for workflow in live:
            by_root[_root(workflow.at.path)][
                workflow.name or posixpath.basename(workflow.at.path)
            ] = workflow
        for workflow in live:
            sources = by_root[_root(workflow.at.path)]
            for trigger in workflow.triggers[:ENTRIES]:
                if trigger.event != "workflow_call":
                    entry = trigger_entry(trigger, sources)
                    self.entries[workflow.at.path].append((entry, None, None))
        for workflow in live:
            self._workflow(workflow, 0)
        called = {v.path for v in self.views}
        for workflow in live:
            if workflow.at.path not in called and any(
                t.event == "workflow_call" for t in workflow.triggers
            ):
                line = next(t.line for t in workflow.triggers if t.event == "workflow_call")
                entry = Entry("workflow_call", line, False, False)
                self._enter(workflow, entry, None, None, CALLS)
        return Automations(self.views, self.gaps, self.owners)

    def _owners(self, root: tuple[str, str]) -> frozenset[str]:
        """Who the repository belongs to, by what its workflows and its project file say."""
        found: set[str] = set()
        for path, workflow in self.by_path.items():
            if _root(path) != root:
                continue
            texts = [j.condition for j in workflow.jobs] + [
                s.condition for j in workflow.jobs for s in j.steps
            ]
            for text in texts:
                found |= set(re.findall(r"github\.repository(?:_owner)?\s*==\s*'([\w.-]+)", text))
        prefix = f"{root[0]}:" if root[0] else ""
        for name, pattern in _DECLARES.items():
            text = self._text(prefix + posixpath.join(root[1], name))
            found |= set(pattern.findall(text)[:20])
        if self.audit.origin is not None and "/" in self.audit.origin.id:
            found.add(self.audit.origin.id.partition("/")[0])
        return frozenset(o.lower() for o in found)

    def _text(self, path: str) -> str:
        blob = self.audit.blobs.get(path)
        if blob is None or blob.size > SCRIPT_LIMIT:
            return ""
        try:
            return _read(blob)
        except (Malformed, OSError):
            return ""

    # -- workflows and jobs -------------------------------------------------------------------

    def _workflow(self, workflow: Automation, depth: int) -> None:
        for entry, inputs, caller in self.entries[workflow.at.path][:ENTRIES]:
            if entry.calls == ():
                self._enter(workflow, entry, inputs, caller, depth)

    def _enter(
        self, workflow: Automation, entry: Entry, inputs: dict[str, Origins] | None,
        caller: JobView | None, depth: int,
    ) -> None:  # fmt: skip
        """All jobs of a workflow by one way in."""
        gates = Gates.of(workflow)
        done: dict[str, JobView] = {}
        before: dict[str, Entry | None] = {}
        for job in _ordered(workflow.jobs):
            into = before[job.id] = admitted(entry, job, gates, before)
            if into is None:
                continue
            if self.steps > STEPS:
                self._gap(GapKind.TOO_LARGE, f"more than {STEPS:,} steps; the rest was not judged",
                          workflow.at.path)  # fmt: skip
                return
            view = self._job(workflow, job, into, inputs, caller, done, gates)
            done[job.id] = view
            self.views.append(view)
            if job.uses:
                self._call(workflow, job, view, depth)

    def _call(self, workflow: Automation, job: Job, view: JobView, depth: int) -> None:
        if not job.uses.startswith("./"):
            return
        path = self._beside(workflow.at.path, job.uses)
        callee = self.by_path.get(path)
        if callee is None:
            why = f"job {job.id} calls {job.uses[:120]}, which is not there or could not be read"
            self._gap(GapKind.UNREADABLE, why, workflow.at.path, job.lines.get("uses", job.line))
            return
        if depth >= CALLS:
            why = f"workflows call each other more than {CALLS} deep; the rest was not judged"
            self._gap(GapKind.TOO_LARGE, why, workflow.at.path, job.line)
            return
        scope = self._scope(workflow, job, view.entry, None, {})
        if view.steps:
            scope = view.steps[0].scope
        given = {name: scope.of(value) for name, value in job.inputs.items()}
        known = self.entries[path]
        call = (workflow.at.path, job.id, job.lines.get("uses", job.line))
        entry = replace(view.entry, calls=(*view.entry.calls, call))
        alike = sum(1 for e, _, _ in known if e.calls)
        if alike >= ENTRIES:
            return
        known.append((entry, given, view))
        self._enter(callee, entry, given, view, depth + 1)

    def _scope(
        self, workflow: Automation, job: Job, entry: Entry, inputs: dict[str, Origins] | None,
        done: Mapping[str, JobView],
    ) -> Scope:  # fmt: skip
        return Scope(
            event=entry.event,
            env={**workflow.env, **job.env},
            needs={name: done[name].outputs for name in job.needs if name in done},
            inputs=inputs,
            matrix=job.matrix,
        )

    def _job(
        self, workflow: Automation, job: Job, entry: Entry, inputs: dict[str, Origins] | None,
        caller: JobView | None, done: dict[str, JobView], gates: Gates,
    ) -> JobView:  # fmt: skip
        scope = self._scope(workflow, job, entry, inputs, done)
        steps: list[StepView] = []
        path = workflow.at.path
        for number, step in enumerate(job.steps):
            gated = [f"steps.{s}" for s in gates.steps.get(job.id, ())]
            gated += [f"needs.{n}" for n in job.needs if n in gates.jobs]
            reachable, guards = guards_of(step.condition, entry.event, gated)
            if number > gates.stopping.get(job.id, len(job.steps)):
                guards += (Guard("the account's permission is asked", True),)
            if reachable:
                self._step(step, path, path, scope, steps, guards, "", 0)
        permissions = job.permissions if job.permissions is not None else workflow.permissions
        if permissions is None and caller is not None:
            permissions = caller.permissions
        view = JobView(workflow, job, entry, steps, {}, permissions, {})
        view.secrets = self._secrets(view, caller)
        view.outputs = {
            name: scope.of(value) for name, value in job.outputs.items() if "${{" in value
        }
        for step_view in steps:
            view.publishes += [(what, step_view) for what in _published(step_view)]
        return view

    def _secrets(self, view: JobView, caller: JobView | None) -> dict[str, Location]:
        """The secrets that a job is given, and where. GITHUB_TOKEN is the token of the job."""
        if view.entry.outsider and not view.entry.privileged:
            return {}
        found: dict[str, Location] = {}
        path, job = view.path, view.job
        for name, value in view.workflow.env.items():
            self._named(found, value, Location(path, line=1, symbol=name))
        for value in (*job.env.values(), *job.secrets.values(), *job.inputs.values()):
            self._named(found, value, Location(path, line=job.line))
        if job.secrets.get("*") == "inherit":
            found["all that there are"] = Location(path, line=job.lines.get("secrets", job.line))
        for step in view.steps:
            for part, values in (("env", step.step.env), ("with", step.step.inputs)):
                for name, value in values.items():
                    self._named(found, value, step.at(f"{part}.{name}"))
            self._named(found, step.step.run, step.at("run"))
        if caller is not None and "all that there are" not in caller.secrets:
            found = {n: at for n, at in found.items()
                     if any(n.lower() == k.lower() for k in caller.job.secrets)}  # fmt: skip
        return found

    @staticmethod
    def _named(found: dict[str, Location], value: str, at: Location) -> None:
        if "secrets" not in value:
            return
        for expression in expressions(value):
            for path in expression.tree.paths():
                name = _SECRET.fullmatch(path)
                if path == "secrets":
                    found.setdefault("all that there are", at)
                elif name and name[1] != "github_token":
                    found.setdefault(name[1].upper(), at)

    # -- steps --------------------------------------------------------------------------------

    def _step(
        self, step: Step, file: str, root: str, scope: Scope, into: list[StepView],
        guards: tuple[Guard, ...], through: str, depth: int,
    ) -> None:  # fmt: skip
        """Append a step, and those of the composite action that it is."""
        self.steps += 1
        if self.steps > STEPS:
            return
        now = replace(scope, env={**scope.env, **step.env}) if step.env else scope
        now.steps = scope.steps
        script, done = self._script(step, file)
        called = tuple(self._called(done, root, step))
        action = _action(step.uses, self.owners[_root(root)]) if step.uses else None
        view = StepView(step, file, now, action, done, called, script, guards, through)
        into.append(view)
        outputs = written_outputs(step, script, now)
        if action is not None and action.tier == "local" and depth < CALLS:
            outputs |= self._composite(step, root, now, into, guards, depth)
        if step.id and outputs:
            scope.steps[step.id.lower()] = outputs

    def _composite(
        self, step: Step, root: str, scope: Scope, into: list[StepView],
        guards: tuple[Guard, ...], depth: int,
    ) -> dict[str, Origins]:  # fmt: skip
        base = self._beside(root, step.uses)
        found = next(
            (
                a
                for n in ("action.yml", "action.yaml")
                if (a := self.actions.get(f"{base.rstrip('/')}/{n}"))
            ),
            None,
        )
        if found is None or not found.jobs:
            return {}
        inputs = {
            name: scope.of(step.inputs.get(name, default)) for name, default in found.inputs.items()
        }
        inner = Scope(scope.event, dict(scope.env), {}, scope.needs, inputs, scope.matrix)
        for part in found.jobs[0].steps:
            self._step(part, found.at.path, root, inner, into, guards, step.uses, depth + 1)
        return {name.lower(): inner.of(value) for name, value in found.outputs.items()}

    def _script(self, step: Step, file: str) -> tuple[Script | None, tuple[Act, ...]]:
        """The script of a step and what it does; one that several jobs reach is read once."""
        text, line, shell = step.run, step.lines.get("run", step.line), step.shell.lower()
        if not text and step.uses:
            action = step.uses.partition("@")[0].lower()
            name = actions().scripts.get(action)
            text = next((v for k, v in step.inputs.items() if k.lower() == name), "")
            if action == "actions/github-script" or not text:
                return None, ()
            line = step.lines.get(f"with.{name}", step.line)
        if not text:
            return None, ()
        key = (file, line)
        if key not in self.texts:
            if shell.startswith("python"):
                done = tuple(_python_acts(text, line))
                self.texts[key] = (Script(()), done)
            else:
                script = read(
                    text, line, escapes=not shell.startswith(("pwsh", "powershell", "cmd"))
                )
                if script.broken and not shell.startswith(("pwsh", "powershell", "cmd")):
                    self._gap(
                        GapKind.MALFORMED,
                        "a script could not be read to its end",
                        file,
                        script.broken,
                    )
                self.texts[key] = (script, tuple(acts(script)))
        return self.texts[key]

    def _called(self, done: tuple[Act, ...], root: str, step: Step) -> Iterator[tuple[str, Act]]:
        """What the scripts of the repository do that a step calls."""
        for act in done:
            if act.kind is not Kind.LOCAL_CODE or not act.target.endswith((".py", ".sh", ".bash")):
                continue
            for folder in dict.fromkeys((step.folder, "")):
                if folder.startswith(("/", "$")) or "${{" in folder:
                    continue
                path = self._beside(root, posixpath.join(folder, act.target))
                if path in self.audit.blobs:
                    for inner in self._file(path):
                        yield path, inner
                    break

    def _file(self, path: str) -> tuple[Act, ...]:
        key = (path, "")
        if key not in self.scripts:
            text = self._text(path)
            python = path.endswith(".py")
            self.scripts[key] = tuple(_python_acts(text, 1) if python else acts(read(text)))
        return self.scripts[key]

    def _beside(self, workflow: str, path: str) -> str:
        """A path of the repository that a workflow belongs to, as the target names it."""
        part, folder = _root(workflow)
        joined = posixpath.normpath(posixpath.join(folder, path))
        return f"{part}:{joined}" if part else joined

    def _gap(self, kind: GapKind, why: str, path: str, line: int | None = None) -> None:
        gap = Gap(kind=kind, message=why, at=Location(path, line=line))
        if gap not in self.gaps and len(self.gaps) < 200:
            self.gaps.append(gap)


def _action(uses: str, owners: frozenset[str]) -> Action:
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


def _read(blob: Blob) -> str:
    return read_whole(blob).decode("utf-8", "replace")


def _lies_within(root: tuple[str, str], roots: set[tuple[str, str]]) -> bool:
    """Whether another repository is around this one: GitHub runs the outer one's workflows."""
    part, folder = root
    return any(
        p == part and f != folder and (not f or folder.startswith(f"{f}/")) for p, f in roots
    )


def _ordered(jobs: tuple[Job, ...]) -> Iterator[Job]:
    """Jobs after those that they need; what needs itself in a circle comes last."""
    left = {job.id: job for job in jobs}
    done: set[str] = set()
    ready = deque(job for job in jobs if not any(n in left for n in job.needs))
    users: defaultdict[str, list[Job]] = defaultdict(list)
    missing = {job.id: len({n for n in job.needs if n in left}) for job in jobs}
    for job in jobs:
        for name in {n for n in job.needs if n in left}:
            users[name].append(job)
    while ready:
        job = ready.popleft()
        done.add(job.id)
        yield job
        for user in users[job.id]:
            missing[user.id] -= 1
            if not missing[user.id]:
                ready.append(user)
    for job in jobs:
        if job.id not in done:
            yield job


def _published(view: StepView) -> Iterator[str]:
    """What a step writes where others take it from."""
    for _, act in view.every(Kind.PUBLISH):
        if act.detail != "commit":
            yield act.detail
    if view.action is None:
        return
    name = view.action.name.lower()
    known = actions()
    if what := known.publishes.get(name):
        yield what
    if condition := known.publishes_if.get(name):
        wanted, values, what = condition
        given = next((v for k, v in view.step.inputs.items() if k.lower() == wanted), "").lower()
        literal = {v.strip() for v in values.split("|")}
        if not wanted or given.strip() in literal or "${{" in given:
            yield what


_UPLOADS: Final = frozenset(("push_to_hub", "upload_folder", "upload_file", "upload_large_folder",
                             "create_commit", "save_to_hub"))  # fmt: skip


def _python_acts(text: str, line: int) -> Iterator[Act]:
    """What a Python script does that matters here: it uploads, or asks for a permission."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in _UPLOADS:
                at = node.lineno + line - 1
                yield Act(Kind.PUBLISH, at, f"{name}(…)", "model")


def foreign_code(
    view: JobView,
) -> Iterator[tuple[StepView, Origins, list[tuple[StepView, str, Location]]]]:
    """Each step that brings an outsider's code into a job, and what of it is run afterwards: the
    step, how that reads, where."""
    folders: dict[str, int] = {}
    found: list[tuple[StepView, Origins, list[tuple[StepView, str, Location]]]] = []
    fetched: list[Act] = []
    for step in view.steps:
        inputs = step.step.inputs
        name = step.action.name.lower() if step.action is not None else ""
        if name == "actions/checkout":
            place = posixpath.normpath(inputs.get("path", "") or ".")
            if origins := foreign_revision(step.step, step.scope):
                folders[place] = len(found)
                found.append((step, origins, []))
            elif place in folders:
                del folders[place]
            continue
        begins: dict[str, int] = {}
        for file, act in step.every(Kind.FOREIGN_CHECKOUT, Kind.FOREIGN_FETCH, Kind.REVISION):
            if act.kind is Kind.FOREIGN_FETCH:
                fetched.append(act)
                continue
            if act.kind is Kind.REVISION:
                taken = next((f for f in fetched if _takes(act, f)), None)
                if taken is None:
                    continue
                act = taken
            folders["."] = len(found)
            begins.setdefault(file, act.line)
            origin = Origin(act.text, True, False, True)
            found.append((step, (origin,), []))
        if not folders:
            continue
        for number, text, at in _run_from(step, folders, name):
            if at.line is None or at.line >= begins.get(at.path, 0):
                found[number][2].append((step, text, at))
    yield from found


def _takes(moved: Act, fetched: Act) -> bool:
    """Whether a change of the working folder takes what was fetched: by its name, as the last
    thing that was fetched, or by a name that is not known."""
    named = fetched.target and fetched.target in moved.text
    return bool(named) or "FETCH_HEAD" in moved.text or "$" in moved.text


_RUNS_FOLDER: Final = frozenset(("pre-commit/action", "pypa/cibuildwheel",
                                 "docker/build-push-action",
                                 "docker/bake-action", "pyo3/maturin-action",
                                 "gradle/gradle-build-action"))  # fmt: skip


def _run_from(
    step: StepView, folders: Mapping[str, int], action: str
) -> Iterator[tuple[int, str, Location]]:
    """What a step runs out of folders with foreign code."""
    if step.action is not None and step.action.tier == "local":
        place = posixpath.normpath(step.action.name)
        if (number := _inside(place, folders)) is not None:
            yield number, step.action.name, step.at("uses")
    if action in _RUNS_FOLDER and "." in folders:
        yield folders["."], step.step.uses, step.at("uses")
    folder = posixpath.normpath(step.step.folder or ".")
    moved = folder
    for act in step.acts:
        if act.kind is not Kind.LOCAL_CODE:
            continue
        target = act.target
        place = (
            posixpath.normpath(posixpath.join(moved, target.partition("[")[0])) if target else moved
        )
        number = _inside(place, folders)
        if number is None and "." not in folders:
            # `cd there && make` and `make -C there` name the folder somewhere in the script.
            number = next((n for f, n in folders.items() if _names(step, f)), None)
        if number is not None:
            yield number, act.text, step.at(line=act.line)


def _inside(place: str, folders: Mapping[str, int]) -> int | None:
    """Which foreign folder a path lies in: the innermost."""
    best = max((f for f in folders if f == "." or place == f or place.startswith(f"{f}/")),
               key=len, default=None)  # fmt: skip
    return folders[best] if best is not None else None


def _names(step: StepView, folder: str) -> bool:
    if step.script is None:
        return False
    return any(
        posixpath.normpath(w.text or ".") == folder or w.text.startswith(f"{folder}/")
        for c in step.script.commands
        if c.words
        and c.words[0].text in ("cd", "pushd", "make", "pip", "npm", "uv", "python", "bash")
        for w in c.words[1:]
    )
