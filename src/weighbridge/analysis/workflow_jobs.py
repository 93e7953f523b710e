"""The context of every job: who can start it, what it holds, what it takes in, what it gives out.

Jobs of reusable workflows are seen once for each caller, steps of composite actions in the place
where they are used, scripts of the repository where a step calls them.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.analysis.expressions import expressions, flowing
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.workflow_owners import lies_within, owners_of, root_of
from weighbridge.analysis.workflow_publishing import published, python_acts
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
from weighbridge.analysis.workflow_views import Automations, JobView, StepView, action_of
from weighbridge.core.check import Audit
from weighbridge.core.document import Malformed
from weighbridge.core.fact import Automation
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, read_whole
from weighbridge.core.workflow import Job, Step
from weighbridge.formats.shell import CMD, POSIX, POWERSHELL, Script, read
from weighbridge.formats.text import is_workflow_path
from weighbridge.intel.actions import actions

CALLS: Final = 4
"""How many reusable workflows or composite actions deep a step may lie."""
ENTRIES: Final = 24
"""How many different ways into one workflow are told apart."""
STEPS: Final = 60_000
"""How many steps of all jobs are looked at, each as often as it is reached."""
GAPS: Final = 200
"""How many gaps are listed one by one."""
SCRIPT_LIMIT: Final = 512 << 10
"""How many bytes a script that a step calls may have."""
_SECRET: Final = regex(r"secrets\.([a-z_][\w-]*)")


_kept: list[tuple[object, object, Automations]] = []


def automations(audit: Audit) -> Automations:
    """The context of every job of an audit. Several questions are asked about one audit, one after
    the other in the same child, so the last answer is kept."""
    if _kept and _kept[0][0] is audit.facts and _kept[0][1] is audit.blobs:
        return _kept[0][2]
    made = _Reader(audit).read()
    _kept[:] = [(audit.facts, audit.blobs, made)]
    return made


class _Reader(Struct, dict=True):
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
        roots = {root_of(f.at.path) for f in workflows}
        live = [f for f in workflows if not lies_within(root_of(f.at.path), roots)]
        self.by_path = {f.at.path: f for f in live}
        self.owners = {root: self._owners(root) for root in {root_of(f.at.path) for f in live}}
        by_root: defaultdict[tuple[str, str], dict[str, Automation]] = defaultdict(dict)
        for workflow in live:
            by_root[root_of(workflow.at.path)][
                workflow.name or posixpath.basename(workflow.at.path)
            ] = workflow
        for workflow in live:
            sources = by_root[root_of(workflow.at.path)]
            if len(workflow.triggers) > ENTRIES:
                why = f"only the first {ENTRIES} of {len(workflow.triggers):,} triggers were judged"
                self._gap(GapKind.TOO_LARGE, why, workflow.at.path, workflow.triggers[ENTRIES].line)
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
        own = [f for path, f in self.by_path.items() if root_of(path) == root]
        found = set(owners_of(root, own, self._text))
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
            if job.uses.startswith("./"):
                scope = self._scope(workflow, job, into, inputs, done)
                given = {name: scope.of(value) for name, value in job.inputs.items()}
                self._call(workflow, job, view, given, depth)

    def _call(
        self, workflow: Automation, job: Job, view: JobView, given: dict[str, Origins], depth: int
    ) -> None:
        """The jobs of a workflow of this repository that a job calls."""
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
        known = self.entries[path]
        call = (workflow.at.path, job.id, job.lines.get("uses", job.line))
        entry = replace(view.entry, calls=(*view.entry.calls, call))
        alike = sum(1 for e, _, _ in known if e.calls)
        if alike >= ENTRIES:
            why = f"more than {ENTRIES} ways lead into {job.uses[:120]}; the rest was not judged"
            self._gap(GapKind.TOO_LARGE, why, workflow.at.path, call[2])
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
            view.publishes += [(what, step_view) for what in published(step_view)]
        return view

    def _secrets(self, view: JobView, caller: JobView | None) -> dict[str, Location]:
        """The secrets that a job is given, and where. GITHUB_TOKEN is the token of the job."""
        if view.entry.outsider and not view.entry.privileged:
            return {}
        found: dict[str, Location] = {}
        path, job = view.path, view.job
        for holder, otherwise in ((view.workflow, 1), (job, job.line)):
            for name, value in holder.env.items():
                line = holder.lines.get(f"env.{name}", otherwise)
                self._named(found, value, Location(path, line=line, symbol=name))
        for value in (*job.secrets.values(), *job.inputs.values()):
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
            for path in flowing(expression.tree):
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
        action = action_of(step.uses, self.owners[root_of(root)]) if step.uses else None
        view = StepView(step, file, now, action, done, called, script, guards, through)
        into.append(view)
        outputs = written_outputs(step, script, now)
        if action is not None and action.tier == "local":
            outputs |= self._composite(step, root, now, into, guards, depth)
        if step.id and outputs:
            scope.steps[step.id.lower()] = outputs
        if action is not None and action.name.lower() == "actions/checkout":
            scope.brought = tuple(
                Origin(f"a file of {o.name}", o.outsider) for o in foreign_revision(step, now)
            )

    def _composite(
        self, step: Step, root: str, scope: Scope, into: list[StepView],
        guards: tuple[Guard, ...], depth: int,
    ) -> dict[str, Origins]:  # fmt: skip
        found = next(
            (
                a
                for place in _places(step.uses, into)
                for n in ("action.yml", "action.yaml")
                if (a := self.actions.get(f"{self._beside(root, place).rstrip('/')}/{n}"))
            ),
            None,
        )
        at = step.lines.get("uses", step.line)
        if found is None:
            if not _fetched(step.uses, into):
                why = f"the action {step.uses[:120]} is not there or could not be read"
                self._gap(GapKind.UNREADABLE, why, into[-1].file, at)
            return {}
        if depth >= CALLS:
            why = f"actions use each other more than {CALLS} deep; the rest was not judged"
            self._gap(GapKind.TOO_LARGE, why, into[-1].file, at)
            return {}
        inputs = {
            name: scope.of(step.inputs.get(name, default)) for name, default in found.inputs.items()
        }
        inner = replace(scope, env=dict(scope.env), steps={}, inputs=inputs)
        for part in (s for job in found.jobs for s in job.steps):
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
                done = tuple(python_acts(text, line))
                self.texts[key] = (Script(()), done)
            else:
                other = _other_shell(text, shell)
                script = read(text, line, _ESCAPES.get(other, POSIX))
                if script.broken:
                    why = f"a script for {other} could not be read to its end: its language is not"
                    self._gap(
                        GapKind.UNSUPPORTED if other else GapKind.MALFORMED,
                        f"{why} known here" if other else "a script could not be read to its end",
                        file,
                        script.broken,
                    )
                self.texts[key] = (script, tuple(acts(script)))
                self._deep(self.texts[key][1], file)
        return self.texts[key]

    def _deep(self, done: tuple[Act, ...], file: str) -> None:
        for act in done:
            if act.kind is Kind.UNREAD:
                why = "shells within shells lie too deep to be read"
                self._gap(GapKind.TOO_LARGE, why, file, act.line)

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
            if not text and self.audit.blobs[path].size:
                why = "a script that a step calls is too large or could not be read"
                self._gap(GapKind.UNREADABLE, why, path)
            python = path.endswith(".py")
            if python:
                self.scripts[key] = tuple(python_acts(text, 1))
                return self.scripts[key]
            script = read(text)
            if script.broken:
                why = "a script that a step calls could not be read to its end"
                self._gap(GapKind.MALFORMED, why, path, script.broken)
            self.scripts[key] = tuple(acts(script))
            self._deep(self.scripts[key], path)
        return self.scripts[key]

    def _beside(self, workflow: str, path: str) -> str:
        """A path of the repository that a workflow belongs to, as the target names it."""
        part, folder = root_of(workflow)
        joined = posixpath.normpath(posixpath.join(folder, path))
        return f"{part}:{joined}" if part else joined

    def _gap(self, kind: GapKind, why: str, path: str, line: int | None = None) -> None:
        gap = Gap(kind=kind, message=why, at=Location(path, line=line))
        if gap in self.gaps or len(self.gaps) > GAPS:
            return
        if len(self.gaps) == GAPS:
            gap = Gap(kind=GapKind.TOO_LARGE, message="more could not be followed than is listed",
                      at=Location(path))  # fmt: skip
        self.gaps.append(gap)


def _read(blob: Blob) -> str:
    return read_whole(blob).decode("utf-8", "replace")


def _places(uses: str, before: list[StepView]) -> Iterator[str]:
    """Where in the repository an action can lie: the repository itself may have been checked out
    into a folder."""
    yield uses
    place = posixpath.normpath(uses)
    for view in before:
        name = view.action.name.lower() if view.action is not None else ""
        folder = posixpath.normpath(view.step.inputs.get("path", "") or ".")
        whose = view.step.inputs.get("repository", "")
        own = not whose or "github.repository" in whose
        if name == "actions/checkout" and own and place.startswith(f"{folder}/"):
            yield place.removeprefix(f"{folder}/")


_ESCAPES: Final = {"PowerShell": POWERSHELL, "cmd": CMD}
_POWERSHELL: Final = regex(
    r"\$env:\w|\$ErrorActionPreference\b|-ErrorAction\b|\b(?:Write-(?:Host|Output|Error)|New-Item|Test-Path|Join-Path|Out-File"
    r"|(?:Get|Set|Remove|Copy|Move)-(?:Item|Content|Location|Command|ChildItem)"
    r"|Invoke-(?:WebRequest|RestMethod|Expression)|Expand-Archive|Start-Process)\b",
    re.IGNORECASE,
)


def _other_shell(text: str, shell: str) -> str:
    """The shell of a script that is not like POSIX's; on Windows PowerShell need not be named."""
    if shell.startswith(("pwsh", "powershell")) or (not shell and _POWERSHELL.search(text)):
        return "PowerShell"
    return "cmd" if shell.startswith("cmd") else ""


def _fetched(uses: str, before: list[StepView]) -> bool:
    """Whether an action lies in a folder into which another repository was checked out: it belongs
    to that one, as an action that is named by its repository does."""
    place = posixpath.normpath(uses)
    for view in before:
        name = view.action.name.lower() if view.action is not None else ""
        if name == "actions/checkout" and view.step.inputs.get("repository"):
            folder = posixpath.normpath(view.step.inputs.get("path", "") or ".")
            if folder == "." or place == folder or place.startswith(f"{folder}/"):
                return True
    return False


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
