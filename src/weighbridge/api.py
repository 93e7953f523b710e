"""The Python interface: one audit, from a path to a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from weighbridge import __version__
from weighbridge.core.change import Difference, Verification
from weighbridge.core.check import Check
from weighbridge.core.report import SCHEMA, CheckDoc, Report, Tool
from weighbridge.core.survey import Observation, Survey
from weighbridge.core.trust import Lock, Publisher, Trust
from weighbridge.engine import audit as engine
from weighbridge.engine import survey as surveys
from weighbridge.engine import verify as verifier
from weighbridge.engine.audit import TargetError
from weighbridge.engine.rules import RulesError
from weighbridge.engine.supervisor import Settings
from weighbridge.intel.advisories.index import FILE, home
from weighbridge.policy import lock as locks
from weighbridge.policy import prevalence
from weighbridge.policy.diff import compare
from weighbridge.policy.lock import read as read_lock
from weighbridge.policy.policy import Policy, PolicyError
from weighbridge.policy.policy import read as read_policy
from weighbridge.policy.verdict import judge
from weighbridge.sources.target import Access

__all__ = [
    "Access",
    "Difference",
    "Lock",
    "Observation",
    "Policy",
    "PolicyError",
    "Publisher",
    "Report",
    "RulesError",
    "Settings",
    "Survey",
    "TargetError",
    "Verification",
    "audit",
    "diff",
    "lock",
    "read_lock",
    "read_policy",
    "survey",
    "verify",
    "write_lock",
]


def audit(
    target: str | os.PathLike[str],
    *,
    policy: Policy | str | os.PathLike[str] | None = None,
    rules: str | os.PathLike[str] | None = None,
    advisories: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    progress: Callable[[int, int], None] | None = None,
    access: Access | None = None,
    lock: Lock | str | os.PathLike[str] | None = None,
    lock_named: bool = True,
) -> Report:
    """Audit a model folder, a file, or a repository on the Hub, and answer the 14 controls.

    `target` is a path, or where no such path exists `org/name`, `org/name@revision`,
    `hf-dataset:org/name`, `hub-cache:folder`, `ollama:name:tag`, `oci:path:tag` or an address
    (`https://`, `s3://`, `gs://`). `access` says which endpoint is asked, and whether a network
    may be used at all.
    `policy` is a `Policy`, or the path of a policy file; None means no waivers and no demands (the
    command line looks for `weighbridge.toml` in the working directory, this function does not).
    `rules` is a folder of YARA rules to run as well, in place of the one that the policy names; it
    needs the extra `weighbridge[yara]`. `advisories` is an index that `weighbridge update` made, by
    default the one in the user's cache. `settings` are the budgets of the run. `progress` is called
    with how many files are done, of how many. `lock` is a `Lock`, or the path of a lock file, that
    the target must still be. Nothing of the target is executed, and only the target's files are
    read.

    Raises `TargetError` where there is nothing that can be audited, `PolicyError` where the policy
    or the lock and `RulesError` where the rules cannot be used. A file that cannot be read raises
    nothing: it is a gap in the report.
    """
    decided, source = Policy(), None
    if isinstance(policy, Policy):
        decided, source = policy, "given by the caller"
    elif policy is not None:
        decided, source = read_policy(Path(policy)), os.fspath(policy)
    if lock is not None and not isinstance(lock, Lock):
        lock = read_lock(Path(lock))
    folder = rules if rules is not None else decided.rules.rules
    if folder is not None and Path(folder).resolve().is_relative_to(Path(target).resolve()):
        raise RulesError(f"{os.fspath(folder)}: rules are not taken from what is audited")
    audited = engine.run(
        os.fspath(target),
        settings or Settings(),
        progress,
        access,
        Trust(
            publishers=decided.publishers,
            lock=lock,
            lock_named=lock_named,
            known_names=decided.rules.known_publishers,
        ),
        None if folder is None else Path(folder),
        home() / FILE if advisories is None else Path(advisories),
    )
    now = datetime.now(UTC)
    judgement = judge(
        findings=audited.findings,
        gaps=audited.gaps,
        checks=audited.checks,
        ran=audited.ran,
        files=audited.files,
        policy=decided,
        today=now.date(),
    )
    return Report(
        schema=SCHEMA,
        tool=Tool(name="weighbridge", version=__version__, ruleset=audited.ruleset),
        created=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        target=audited.target,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        exit_code=judgement.exit_code,
        controls=judgement.controls,
        files=audited.files,
        coverage=audited.coverage,
        checks=tuple(documentation(check) for check in audited.checks),
        waivers=judgement.waivers,
        policy=source,
        intel=audited.intel,
        origin=audited.origin,
    )


def lock(report: Report) -> Lock:
    """The lock of what a report is about: every file with its digests, the repository's identity,
    the verdict. `write_lock` puts it into a file."""
    return locks.of(report)


def write_lock(lock: Lock, path: str | os.PathLike[str]) -> None:
    """Write a lock, in the form in which the same lock is always the same file."""
    Path(path).write_bytes(locks.encode(lock))


def verify(
    lock: Lock | str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    access: Access | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Whether a target (None: the one that was locked) is what was locked.

    Files on this machine are read whole, `jobs` at once; of a repository on the Hub what its
    endpoint declares is compared, and nothing is downloaded. Raises `TargetError` where there is
    nothing to compare, `PolicyError` where the lock cannot be used.
    """
    beside = () if isinstance(lock, Lock) else (Path(lock),)
    locked = lock if isinstance(lock, Lock) else read_lock(Path(lock))
    name = None if target is None else os.fspath(target)
    return verifier.verify(locked, name, access=access, jobs=jobs, progress=progress, beside=beside)


def diff(old: Report | Lock, new: Report | Lock) -> Difference:
    """What changed between two audits, or an audit and a lock, and what that means."""
    return compare(old, new)


def survey(
    targets: Iterable[str | os.PathLike[str]],
    *,
    jobs: int | None = None,
    seconds: float = surveys.SECONDS,
    known: Iterable[Observation] = (),
    observed: Callable[[Observation, bool], None] | None = None,
) -> Survey:
    """How common each weakness is in checked-out repositories of source code.

    `jobs` repositories at once, by default one for each processor, each for so many `seconds` at
    most. What is `known` of the same commit by the same rules is not looked at again. `observed`
    is called with each observation as it comes, and whether it is new. Raises nothing for what
    stands in a repository: one that could not be surveyed is an observation that says why.
    """
    surveyor = surveys.Surveyor([Path(t).resolve() for t in targets], jobs, seconds=seconds)
    seen = []
    for observation, new in surveyor.run(known):
        seen.append(observation)
        if observed is not None:
            observed(observation, new)
    return prevalence.survey(
        seen,
        [documentation(check) for check in surveys.checks()],
        Tool(name="weighbridge", version=__version__, ruleset=surveys.rules()),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def documentation(check: Check) -> CheckDoc:
    """A check's docstring as reports carry it."""
    listed = (line.strip().removeprefix("- ") for line in check.section("References").splitlines())
    return CheckDoc(
        id=check.id,
        control=check.control,
        title=check.title,
        why=check.section("Why it matters"),
        what_to_do=check.section("What to do"),
        limits=check.section("Limits"),
        references=tuple(line for line in listed if line),
    )
