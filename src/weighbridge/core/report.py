"""The report: everything that a reader may see, as one immutable value."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.core.control import ControlVerdict, Verdict
from weighbridge.core.fact import AnyFact
from weighbridge.core.finding import Finding, Gap
from weighbridge.core.location import Location
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.tree import Reference

SCHEMA = "weighbridge/report/1"


class Tool(Struct, frozen=True, kw_only=True):
    """Which Weighbridge said this: version, and a digest over its checks, formats and intel."""

    name: str
    version: str
    ruleset: str


class Intel(Struct, frozen=True, kw_only=True):
    """One piece of what was known about the world, with its date (ISO 8601). What was fetched also
    says from where, how many entries it has and a sha256 over all of them."""

    name: str
    date: str
    source: str | None = None
    digest: str | None = None
    count: int | None = None


class Target(Struct, frozen=True, kw_only=True):
    """What was asked for. `kind` is what it is of: `folder`, `file`, `hub`, `hub-cache`,
    `hub-folder`, `git`, `ollama`, `oci`, `url`, `bucket`; `parts` are what was audited with it, by
    name."""

    kind: str
    id: str
    requested: str | None = None
    resolved: str | None = None
    parts: dict[str, str] = {}


class FileRecord(Struct, frozen=True, kw_only=True):
    """A file of the target. `size` in bytes; `sha256` is null where it was not computed;
    `formats` is what the content is, which may be several things at once. `declared` is the sha256
    that the source names and nobody recomputed; `git` the name that git gives to the content,
    computed where the source names files so."""

    path: str
    size: int
    sha256: str | None
    formats: tuple[str, ...] = ()
    declared: str | None = None
    git: str | None = None


class ArtifactCoverage(Struct, frozen=True, kw_only=True):
    """How much of one artifact was looked at: `seen` of `size` bytes by `parser` (name/version),
    and the ids of the checks that ran on the result."""

    at: Location
    parser: str
    size: int
    seen: int
    checks: tuple[str, ...]


class LeftOut(Struct, frozen=True, kw_only=True):
    """A part of the target that is by design not audited, and why."""

    path: str
    why: str


class Coverage(Struct, frozen=True, kw_only=True):
    """What was looked at, beside the verdict: how many files there are, their bytes, and how many
    of the files were hashed; what was fetched for it, where a network was used; how many files
    were not examined again, because an earlier audit by the same rules saw the same content."""

    files: int
    bytes: int
    hashed: int
    artifacts: tuple[ArtifactCoverage, ...]
    left_out: tuple[LeftOut, ...] = ()
    jail: tuple[str, ...] = ()
    transfer: Transfer | None = None
    reused: int = 0


class ControlResult(Struct, frozen=True, kw_only=True):
    """The answer to one control. `because` says in a sentence why the verdict is what it is;
    `given` is false where nobody handed over anything that the control could be answered from."""

    id: str
    group: str
    title: str
    question: str
    verdict: ControlVerdict
    because: str
    given: bool
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    checks: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()


class CheckDoc(Struct, frozen=True, kw_only=True):
    """A check's documentation, for the reports that explain their findings."""

    id: str
    control: str
    title: str
    why: str
    what_to_do: str
    limits: str
    references: tuple[str, ...] = ()


class AppliedWaiver(Struct, frozen=True, kw_only=True):
    """A waiver of the policy and what became of it: how many findings it covers, whether its
    expiry has passed (an expired waiver covers nothing)."""

    id: str
    reason: str
    owner: str
    expires: str
    expired: bool
    covers: int


class Report(Struct, frozen=True, kw_only=True):
    """The whole answer. `sentence` is the verdict in one sentence, naming what decided it and the
    scope that was audited; `created` is the time in UTC, ISO 8601."""

    schema: str
    tool: Tool
    created: str
    target: Target
    verdict: Verdict
    sentence: str
    exit_code: int
    controls: tuple[ControlResult, ...]
    files: tuple[FileRecord, ...]
    coverage: Coverage
    checks: tuple[CheckDoc, ...] = ()
    waivers: tuple[AppliedWaiver, ...] = ()
    policy: str | None = None
    intel: tuple[Intel, ...] = ()
    origin: Origin | None = None


class Examined(Struct, frozen=True, kw_only=True):
    """What came of examining one top-level file: it crosses from the jailed child to the
    supervisor, so it is data only. `ran` counts, for each check, what of the file it ran on."""

    record: FileRecord
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    coverage: tuple[ArtifactCoverage, ...] = ()
    identified: tuple[tuple[Location, int, tuple[str, ...]], ...] = ()
    references: tuple[Reference, ...] = ()
    facts: tuple[AnyFact, ...] = ()
    ran: dict[str, int] = {}
