"""One audit from end to end: walk the target, examine its files, ask across them, sort."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from weighbridge.analysis.references import resolve
from weighbridge.core.check import Artifact, Audit, Check
from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import (
    ArtifactCoverage,
    Coverage,
    Examined,
    FileRecord,
    Intel,
    LeftOut,
    Target,
)
from weighbridge.core.tree import Blob
from weighbridge.engine.examine import SEVERITY, UNRECOGNISED, Kept, examine
from weighbridge.engine.ruleset import Ruleset, load
from weighbridge.engine.supervisor import Progress, Settings, Supervisor
from weighbridge.sources.folder import Folder, open_target


class TargetError(Exception):
    """The target cannot be audited at all; the message says why, for a user."""


@dataclass(frozen=True, slots=True)
class Audited:
    """All that the engine found, not yet judged. `ran` counts, for each check, what it ran on."""

    target: Target
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    files: tuple[FileRecord, ...]
    coverage: Coverage
    ran: Mapping[str, int]
    checks: tuple[Check, ...]
    ruleset: str
    intel: tuple[Intel, ...]


def run(
    target: Path, settings: Settings | None = None, progress: Progress | None = None
) -> Audited:
    """Audit a folder or file. Raises `TargetError` where there is nothing that can be audited."""
    settings = settings or Settings()
    ruleset = load()
    try:
        folder = open_target(target)
    except (OSError, ValueError) as error:
        raise TargetError(f"{target}: {getattr(error, 'strerror', None) or error}") from error
    blobs: list[Blob] = []
    gaps: list[Gap] = []
    for met in folder.walk():
        if isinstance(met, Gap):
            gaps.append(msgspec.structs.replace(met, controls=_all_controls(ruleset)))
        else:
            blobs.append(met)
    supervisor = Supervisor(
        blobs, folder.readable, partial(_examine, ruleset, settings.limits), settings
    )
    results = sorted(supervisor.run(progress), key=lambda r: blobs[r[0]].path)
    examined = _explained([e for _, e in results])
    gaps += [_concerns(g, e, ruleset) for e in examined for g in e.gaps]
    files = tuple(e.record for e in examined)
    findings = [f for e in examined for f in e.findings]
    ran: Counter[str] = Counter()
    for e in examined:
        ran.update(e.ran)
    references = tuple(r for e in examined for r in e.references)
    across = Audit(files, tuple(_artifacts(examined, ruleset)), references)
    asked: dict[str, Kept] = defaultdict(Kept)
    for check in ruleset.audit_checks if files else ():
        ran[check.id] += 1
        for result in _across(check, across):
            if isinstance(result, Gap):
                gaps.append(result)
            else:
                asked[result.at.path].add(result)
    findings += [f for kept in asked.values() for f in kept.all()]
    if files and not settings.digest:
        why = "the digests were not computed, as asked (--no-digest)"
        gaps.append(_integrity_gap(GapKind.NOT_GIVEN, why, "."))
    return Audited(
        target=Target(kind=folder.kind, id=str(target)),
        findings=_sorted(_fingerprinted(findings)),
        gaps=tuple(sorted(set(gaps), key=_gap_order)),
        files=files,
        coverage=_coverage(examined, folder, supervisor.protections),
        ran=dict(sorted(ran.items())),
        checks=ruleset.checks,
        ruleset=ruleset.digest,
        intel=ruleset.intel,
    )


def _examine(ruleset: Ruleset, limits: Limits, blob: Blob) -> Examined:
    return examine(blob, ruleset, limits)


def _explained(examined: list[Examined]) -> list[Examined]:
    """Files of no format of their own that another one takes its tensors from are raw data, and no
    gap, like the raw members of an archive."""
    meant = {resolve(r) for e in examined for r in e.references}
    return [_raw(e, meant) if meant else e for e in examined]


def _raw(examined: Examined, meant: set[Location | None]) -> Examined:
    raw = [g for g in examined.gaps if g.message == UNRECOGNISED and g.at in meant]
    if not raw:
        return examined
    record = examined.record
    if not record.formats:
        record = msgspec.structs.replace(record, formats=("tensor-data",))
    rows = tuple(
        ArtifactCoverage(at=g.at, parser="raw", size=record.size, seen=0, checks=()) for g in raw
    )
    return msgspec.structs.replace(
        examined,
        record=record,
        gaps=tuple(g for g in examined.gaps if g not in raw),
        coverage=examined.coverage + rows,
    )


def _all_controls(ruleset: Ruleset) -> tuple[str, ...]:
    return tuple(sorted({*ruleset.content_controls, "integrity"}))


def _concerns(gap: Gap, examined: Examined, ruleset: Ruleset) -> Gap:
    """A lost file leaves open what its content answers, and its integrity if it has no digest."""
    if gap.controls:
        return gap
    lost = examined.record.sha256 is None
    controls = _all_controls(ruleset) if lost else ruleset.content_controls
    return msgspec.structs.replace(gap, controls=controls)


def _artifacts(examined: list[Examined], ruleset: Ruleset) -> list[Artifact]:
    loadings = {f.name: f.loading for f in ruleset.formats}
    return [
        Artifact(where, size, formats, tuple(loadings[f] for f in formats))
        for e in examined
        for where, size, formats in e.identified
    ]


def _across(check: Check, audit: Audit) -> list[Finding | Gap]:
    try:
        results = list(check.run(audit))
    except Exception as error:  # one broken check must not end the audit, nor pass as clean
        why = f"{check.id}: Weighbridge failed here ({type(error).__name__}: {error})"
        results = [Gap(kind=GapKind.CRASHED, message=why[:500], at=Location("."))]
    return [
        msgspec.structs.replace(r, controls=r.controls or (check.control,))
        if isinstance(r, Gap)
        else msgspec.structs.replace(r, check=check.id)
        for r in results
    ]


def _integrity_gap(kind: GapKind, why: str, path: str) -> Gap:
    return Gap(kind=kind, message=why, at=Location(path), controls=("integrity",))


def _fingerprinted(findings: list[Finding]) -> list[Finding]:
    return [msgspec.structs.replace(f, fingerprint=fingerprint(f)) for f in findings]


def fingerprint(finding: Finding) -> str:
    """Check, path, symbol and evidence, as 32 hexadecimal digits. Places do not take part, so that
    it stays the same when the thing moves within its file."""
    at = finding.at
    parts = [finding.check, at.path, *at.inside, finding.symbol or finding.message]
    for evidence in finding.evidence:
        parts.append(msgspec.json.encode(_placeless(msgspec.to_builtins(evidence))).decode())
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _placeless(value: object) -> object:
    if isinstance(value, dict):
        return {k: _placeless(v) for k, v in value.items() if k not in ("offset", "line")}
    if isinstance(value, list | tuple):
        return [_placeless(v) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _sorted(findings: list[Finding]) -> tuple[Finding, ...]:
    def order(f: Finding) -> tuple[object, ...]:
        at = f.at
        return (SEVERITY[f.action], f.check, at.path, at.inside, at.offset or 0, f.symbol)

    return tuple(sorted(findings, key=order))


def _gap_order(gap: Gap) -> tuple[object, ...]:
    return (gap.kind.value, gap.at.path, gap.at.inside, gap.at.offset or 0, gap.message)


def _coverage(examined: list[Examined], folder: Folder, protections: tuple[str, ...]) -> Coverage:
    records = [e.record for e in examined]
    left_out: list[LeftOut] = sorted(folder.left_out, key=lambda entry: entry.path)
    return Coverage(
        files=len(records),
        bytes=sum(r.size for r in records),
        hashed=sum(1 for r in records if r.sha256 is not None),
        artifacts=tuple(row for e in examined for row in e.coverage),
        left_out=tuple(left_out),
        jail=protections,
    )
