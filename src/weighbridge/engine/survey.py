"""Many repositories of source code, each observed in a process of its own.

An `Observation` is all that is kept of a repository: written as a line of JSON, it can be taken up
again later or elsewhere. `policy/prevalence.py` puts observations together, whoever made them.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from select import select
from typing import Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.analysis.other_ci import is_script, system_of
from weighbridge.analysis.repository import is_aside
from weighbridge.core.check import Check, Domain
from weighbridge.core.evidence import AttackPath
from weighbridge.core.fact import Automation, ToolRun
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location, within
from weighbridge.core.survey import Blocked, Observation, Tally
from weighbridge.engine import zizmor
from weighbridge.engine.audit import Audited, TargetError, run
from weighbridge.engine.ruleset import Scope, load
from weighbridge.engine.supervisor import Settings
from weighbridge.formats.text import is_workflow_path
from weighbridge.policy.policy import Policy
from weighbridge.policy.prevalence import CONTROLS, kinds
from weighbridge.policy.verdict import judge
from weighbridge.sources.git import commit_of
from weighbridge.sources.target import Access

SCOPE: Final = Scope(frozenset(CONTROLS), Domain.SOURCE, frozenset({Automation}))
SECONDS: Final = 600.0
"""How long one repository may take."""
NAMED: Final = 20
"""How many of the things that could not be read an observation names."""
ANSWER: Final = 16 << 20
"""The longest observation, in bytes."""
_READ: Final = (".py", ".ipynb", ".pyi")


def checks() -> tuple[Check, ...]:
    """The checks that a repository is asked, by control."""
    those = load().within(SCOPE).checks
    return tuple(sorted(those, key=lambda c: (CONTROLS.index(c.control), c.id)))


def rules() -> str:
    """A digest of all that takes part: the rules, and the version of zizmor that they hear."""
    found = zizmor.program()
    return hashlib.sha256(f"{load().digest} {found and found[1]}".encode()).hexdigest()


class Surveyor(Struct):
    """Observes repositories, `jobs` at once. One that fails, dies or takes longer than `seconds`
    is an observation that says so, and the others go on."""

    targets: Sequence[Path]
    jobs: int | None = None
    settings: Settings = field(default_factory=lambda: Settings(digest=False))
    seconds: float = SECONDS

    def run(self, known: Iterable[Observation] = ()) -> Iterator[tuple[Observation, bool]]:
        """Yield the observation of each target as it comes, and whether it is new. What is `known`
        of the same commit by the same rules is not observed again."""
        ours = rules()
        earlier = {(o.target, o.commit): o for o in known if o.rules == ours and not o.failed}
        waiting: deque[Path] = deque()
        for target in self.targets:
            commit = commit_of(target)
            found = earlier.get((str(target), commit)) if commit is not None else None
            if found is None:
                waiting.append(target)
            else:
                yield found, False
        for observation in self._observe(waiting, ours):
            yield observation, True

    def _observe(self, waiting: deque[Path], ours: str) -> Iterator[Observation]:
        most = max(1, min(self.jobs or os.cpu_count() or 1, len(waiting)))
        each = replace(self.settings, jobs=max(1, (self.jobs or os.cpu_count() or 1) // most))
        running: list[_Process] = []
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    running.append(_start(waiting.popleft(), each, ours, self.seconds))
                wait = max(0.0, min(p.deadline for p in running) - time.monotonic())
                ready, _, _ = select([p.back for p in running], [], [], wait)
                for process in list(running):
                    if process.back in ready:
                        said = process.hear()
                    elif time.monotonic() >= process.deadline:
                        why = f"it took longer than {self.seconds:g} s and was stopped"
                        said = Observation(target=str(process.target), failed=why)
                    else:
                        said = None
                    if said is not None:
                        running.remove(process)
                        process.end()
                        yield said
        finally:
            for process in running:
                process.end()


class _Process(Struct):
    """A process that observes one repository."""

    pid: int
    back: int
    target: Path
    deadline: float
    received: bytes = b""

    def hear(self) -> Observation | None:
        """What it said, once it has said all; why there is nothing, where it has died."""
        data = os.read(self.back, 1 << 20)
        self.received += data
        if data and len(self.received) <= ANSWER:
            return None
        try:
            return msgspec.json.decode(self.received, type=Observation)
        except msgspec.DecodeError:
            return Observation(target=str(self.target), failed="its process ended without a word")

    def end(self) -> None:
        """End the process, and with it the children that it has."""
        os.close(self.back)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _start(target: Path, settings: Settings, ours: str, seconds: float) -> _Process:
    back, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            os.close(back)
            said = msgspec.json.encode(_legible(observe(target, settings, ours)))
            with os.fdopen(writes, "wb") as stream:
                stream.write(said)
        finally:
            os._exit(0)
    with suppress(OSError):
        os.setpgid(pid, pid)
    os.close(writes)
    return _Process(pid, back, target, time.monotonic() + seconds)


def observe(target: Path, settings: Settings, ours: str) -> Observation:
    """Audit one repository as source code and keep what a survey needs. Never raises for anything
    that is in it."""
    began = time.monotonic()
    try:
        audited = run(target, settings, access=Access(offline=True), scope=SCOPE)
        said = of_audit(str(target), audited)
    except (TargetError, OSError) as error:
        return Observation(target=str(target), failed=str(error)[:300])
    except Exception as error:  # a bug of ours must not end the survey, nor pass as clean
        why = f"Weighbridge failed here ({type(error).__name__}: {error})"
        return Observation(target=str(target), failed=why[:300])
    took = round(time.monotonic() - began, 2)
    return msgspec.structs.replace(said, rules=ours, seconds=took)


def of_audit(target: str, audited: Audited) -> Observation:
    """The observation of a repository from its audit: a pure function of it."""
    controls = {c.id: c.control for c in audited.checks}
    findings = [f for f in audited.findings if f.symbol != "absent" or f.check != "zizmor"]
    gaps = [*audited.gaps, *_absent(audited)]
    judged = judge(
        findings=audited.findings,
        gaps=gaps,
        checks=audited.checks,
        ran=audited.ran,
        files=audited.files,
        policy=Policy(),
        today=datetime.now(UTC).date(),
    )
    automations = [f for f in audited.facts if isinstance(f, Automation) and not f.action]
    events = Counter(e for a in automations for e in {t.event for t in a.triggers})
    versions = [f.version for f in audited.facts if isinstance(f, ToolRun) and not f.absent]
    origin = audited.origin
    open_gaps = [g for g in gaps if g.kind is not GapKind.NOT_GIVEN]
    lost = [g for g in open_gaps if not set(CONTROLS).isdisjoint(g.controls)]
    outside = [g for g in lost if not _is_aside(g.at)]
    return Observation(
        target=target,
        name=origin.id if origin is not None else Path(target).resolve().name,
        commit=origin.commit if origin is not None else None,
        branch=origin.requested if origin is not None else None,
        zizmor=versions[0] if versions else "",
        files=len(audited.files),
        workflows=sum(1 for f in audited.files if is_workflow_path(f.path)),
        other_ci=sum(1 for f in audited.files if system_of(f.path) is not None),
        python=sum(1 for f in audited.files if _is_python(f.formats) and not is_aside(f.path)),
        events=dict(sorted(events.items())),
        verdicts={c.id: c.verdict.value for c in judged.controls if c.id in CONTROLS},
        tallies=_tallies(findings),
        aside=_tallies(f for f in findings if _is_aside(f.at)),
        kinds=kinds(findings),
        blocked=tuple(
            _blocked(f, controls[f.check])
            for f in findings
            if f.action is Action.BLOCK and not _is_aside(f.at)
        ),
        gaps=dict(sorted(Counter(c for g in outside for c in g.controls if c in CONTROLS).items())),
        gaps_aside=len(lost) - len(outside),
        unread=tuple(dict.fromkeys(map(_told, outside)))[:NAMED],
    )


def _absent(audited: Audited) -> Iterator[Gap]:
    """Files that the commit names and that are not there: of a clone that is not whole."""
    if audited.origin is None:
        return
    present = {f.path for f in audited.files}
    for declared in audited.origin.files:
        path = declared.path
        code = path.endswith(_READ) or is_script(path)
        workflow = is_workflow_path(path)
        if path not in present and (code or workflow):
            yield Gap(
                kind=GapKind.UNREADABLE,
                message="the commit names it, and it is not there",
                at=Location(path),
                controls=("workflows", "release") if workflow else ("training-code",),
            )


def _is_python(formats: tuple[str, ...]) -> bool:
    return "python" in formats or "notebook" in formats


def _is_aside(at: Location) -> bool:
    return is_aside(within(at.path)[1])


def _tallies(findings: Iterable[Finding]) -> dict[str, Tally]:
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        counted[finding.check][finding.action.value] += 1
    return {check: Tally(**counts) for check, counts in sorted(counted.items())}


def _blocked(finding: Finding, control: str) -> Blocked:
    paths = [e for e in finding.evidence if isinstance(e, AttackPath)]
    return Blocked(
        check=finding.check,
        control=control,
        message=finding.message,
        path=finding.at.path,
        line=finding.at.line,
        steps=tuple(step.label for step in paths[0].steps) if paths else (),
    )


def _told(gap: Gap) -> str:
    return f"{'/'.join((gap.at.path, *gap.at.inside))}: {gap.message} ({gap.kind.value})"[:300]


def _legible(observation: Observation) -> Observation:
    """Without lone surrogates, which stand for undecodable bytes in names of files."""
    built = msgspec.to_builtins(observation)
    return msgspec.convert(_clean(built), Observation)


def _clean(value: object) -> object:
    if isinstance(value, dict):
        return {_clean(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
