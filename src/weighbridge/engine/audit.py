"""One audit from end to end: walk the target, examine its files, ask across them, sort."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.analysis.integrity import concerned
from weighbridge.analysis.lineage import declared_bases
from weighbridge.analysis.ownership import PART, holds_model, is_plain, vouched
from weighbridge.analysis.references import resolve
from weighbridge.analysis.repository import is_repository
from weighbridge.analysis.signature import prepare
from weighbridge.core.check import Artifact, Audit, Check, Domain, domain_of
from weighbridge.core.document import Malformed
from weighbridge.core.fact import AnyFact, Automation, Signature
from weighbridge.core.finding import Finding, Gap, GapKind, Related
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.ownership import Ownership
from weighbridge.core.report import (
    ArtifactCoverage,
    Coverage,
    Examined,
    FileRecord,
    Intel,
    LeftOut,
    Target,
)
from weighbridge.core.tree import Blob, Copy, Vouched
from weighbridge.core.trust import Trust
from weighbridge.engine import trials, zizmor
from weighbridge.engine.across import ask
from weighbridge.engine.earlier import Earlier
from weighbridge.engine.examine import SEVERITY, UNRECOGNISED, Kept, examine
from weighbridge.engine.rules import Rules, compile_folder
from weighbridge.engine.ruleset import Ruleset, Scope, load
from weighbridge.engine.supervisor import INSTALLED, Progress, Settings, Supervisor
from weighbridge.formats.text import is_workflow_path
from weighbridge.intel.advisories.index import NoIndex, facts_of, home
from weighbridge.sources.folder import File
from weighbridge.sources.joined import Joined
from weighbridge.sources.remote import RemoteFile, SourceError
from weighbridge.sources.target import (
    Access,
    Source,
    open_base,
    open_target,
    open_with_parts,
    shown,
)

LISTINGS: Final = "listings"
"""The folder in which answers of indexes of packages are kept."""
COPIES: Final = 10
"""How many further names of a file its findings list."""


class TargetError(Exception):
    """The target cannot be audited at all; the message says why, for a user."""


class Audited(Struct, frozen=True):
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
    origin: Origin | None = None
    facts: tuple[AnyFact, ...] = ()


def run(
    target: Path | str,
    settings: Settings | None = None,
    progress: Progress | None = None,
    access: Access | None = None,
    trust: Trust | None = None,
    rules: Path | None = None,
    advisories: Path | None = None,
    scope: Scope | None = None,
) -> Audited:
    """Audit a folder, a file or a repository. `trust` is what the user has from elsewhere than the
    target, `rules` a folder of YARA rules to run as well, `advisories` the index that its
    requirements are looked up in. With a `scope` nothing else is asked than what is in it.

    Raises `TargetError` where there is nothing that can be audited, `RulesError` where the rules
    cannot be used.
    """
    settings = settings or Settings()
    ruleset = load() if scope is None else load().within(scope)
    own = None if rules is None else compile_folder(rules)
    try:
        source = open_with_parts(os.fspath(target), access or Access())
    except (OSError, ValueError) as error:
        raise TargetError(f"{target}: {getattr(error, 'strerror', None) or error}") from error
    main = _examined(source, ruleset, settings, own, progress, scope)
    across, parts = _with_parts(main, ruleset, settings, access or Access())
    publishers, lock = concerned(trust or Trust(), str(target), source.origin)
    joined = tuple(name for name, _ in (access or Access()).parts)
    names = trust.names if trust is not None else ()
    across = replace(across, joined=joined, publishers=publishers, known_names=names, lock=lock)
    prepare([f.material for f in across.facts if isinstance(f, Signature)] + _commits(across))
    across = _with_tools(across, main.blobs)
    across = _with_trials(across, main, settings)
    across, known = _with_advisories(across, advisories)
    gaps = [*main.gaps, *(_concerns(g, e, main, ruleset) for e in main.examined for g in e.gaps)]
    findings = [f for e in main.examined for f in e.findings]
    ran: Counter[str] = Counter()
    for e in main.examined:
        ran.update(e.ran)
    kept: dict[str, Kept] = defaultdict(Kept)
    transfers = [p.source.transfer for p in (main, *parts)] + [p.transfer for p in (main, *parts)]
    if across.files or across.links:
        blobs = [b for part in (main, *parts) for b in part.blobs]
        readable = [path for part in (main, *parts) for path in part.source.readable]
        if across.advisories is not None:
            readable.append(Path(across.advisories))
        across, wheels, told = _with_indexes(across, blobs, readable, settings, access or Access())
        transfers.append(told)
        known += across.index.intel() if across.index is not None else ()
        asked = Supervisor([*blobs, *wheels], readable, _nothing, settings)
        with asked:
            for check, said in zip(
                ruleset.audit_checks, ask(asked, ruleset.audit_checks, across), strict=True
            ):
                ran[check.id] += 1
                for finding in said.findings:
                    kept[finding.at.path].add(finding)
                gaps += said.gaps
        transfers.append(asked.transfer)
    findings += [f for of_file in kept.values() for f in of_file.all()]
    if across.files and not settings.digest:
        why = "the digests were not computed, as asked (--no-digest)"
        gaps.append(_integrity_gap(GapKind.NOT_GIVEN, why, "."))
    return Audited(
        target=Target(
            kind=source.kind,
            id=shown(str(target)),
            parts=dict((access or Access()).parts),
            **_resolved(source.origin),
        ),
        findings=_sorted(_fingerprinted(findings)),
        gaps=tuple(sorted(set(gaps), key=_gap_order)),
        files=across.files,
        coverage=_coverage(main, _sum(*transfers)),
        ran=dict(sorted(ran.items())),
        checks=ruleset.checks,
        ruleset=ruleset.digest if own is None else _with_rules(ruleset.digest, own),
        intel=(*ruleset.intel, *(() if own is None else (own.intel,)), *known),
        origin=source.origin,
        facts=across.facts,
    )


def _commits(audit: Audit) -> list[str]:
    """What is needed to verify the signature of a clone's commit."""
    signed = audit.origin is not None and audit.origin.signature is not None
    return ["key"] if signed else []


class _Part(Struct, frozen=True):
    """A source and what came of examining it; `blobs` and `examined` are sorted by path.
    `repository`: it is a repository of source code, not a model."""

    source: Joined
    blobs: list[Blob]
    examined: list[Examined]
    gaps: list[Gap]
    protections: tuple[str, ...]
    transfer: Transfer
    repository: bool = False
    reused: int = 0
    records: Ownership | None = None

    def audit(self, ruleset: Ruleset) -> Audit:
        """What the checks across files see of it."""
        return Audit(
            files=tuple(e.record for e in self.examined),
            artifacts=tuple(_artifacts(self.examined, ruleset)),
            references=tuple(r for e in self.examined for r in e.references),
            origin=self.source.origin,
            facts=tuple(f for e in self.examined for f in e.facts),
            links=tuple(sorted(self.source.links, key=lambda link: link.path)),
            repository=self.repository,
            records=self.records,
        )


def _examined(
    source: Joined,
    ruleset: Ruleset,
    settings: Settings,
    rules: Rules | None,
    progress: Progress | None,
    scope: Scope | None = None,
) -> _Part:
    blobs: list[Blob] = []
    gaps: list[Gap] = []
    for met in source.walk():
        if isinstance(met, Gap):
            gaps.append(met)
        else:
            blobs.append(met)
    blobs.sort(key=lambda b: b.path)
    if scope is None:
        repository = is_repository((b.path, b.size) for b in blobs)
    else:
        repository = scope.domain is Domain.SOURCE
    gaps = [_unopened(gap, ruleset, repository) for gap in gaps]
    examine_one = partial(_examine, ruleset, settings.limits, rules, repository)
    once = [b for b in blobs if not isinstance(b, Copy)]
    earlier = None if scope else _earlier(ruleset, settings, rules, repository)
    results = earlier.known(once) if earlier is not None else {}
    reused = len(results)
    new = [number for number in range(len(once)) if number not in results]
    records, held = _vouched(source, once, settings)
    waiting = [_held(once[n], held) for n in new]
    supervisor = Supervisor(waiting, source.readable, examine_one, settings)
    with supervisor:
        for number, examined in supervisor.run(progress, lambda: ruleset.digest):
            results[new[number]] = examined
            if earlier is not None and once[new[number]].path not in held:
                earlier.keep(once[new[number]], examined)
    found = {blob.path: _declared(results[number], blob) for number, blob in enumerate(once)}
    return _Part(
        source,
        blobs,
        _explained(_with_copies(blobs, found)),
        gaps,
        supervisor.protections,
        supervisor.transfer,
        repository,
        reused,
        records,
    )


def _vouched(
    source: Joined, blobs: list[Blob], settings: Settings
) -> tuple[Ownership | None, dict[str, str]]:
    """What the records of an installed environment say, and its files whose digests need only be
    computed. A target that has none cannot pretend to by the names of its files."""
    if not settings.digest or PART not in source.parts:
        return None, {}
    return vouched({b.path: b for b in blobs}, _head)


def _head(blob: Blob) -> bytes:
    try:
        return blob.read(0, 16)
    except (OSError, Malformed):
        return b""
    finally:
        if isinstance(blob, File):
            blob.close()


def _held(blob: Blob, held: dict[str, str]) -> Blob:
    known = held.get(blob.path)
    return blob if known is None else Vouched(blob, known, is_plain(blob.path))


def _with_copies(blobs: list[Blob], found: dict[str, Examined]) -> list[Examined]:
    """What came of each blob, in their order. A copy has what was learned of the file that it is;
    the findings stand with the one that was examined, and name the others."""
    copies: dict[str, list[Location]] = defaultdict(list)
    for blob in blobs:
        if isinstance(blob, Copy):
            copies[blob.whole.path].append(Location(blob.path))
    for path, places in copies.items():
        related = tuple(Related("the same file under another name", p) for p in places[:COPIES])
        found[path] = msgspec.structs.replace(
            found[path],
            findings=tuple(
                msgspec.structs.replace(f, related=(*f.related, *related))
                for f in found[path].findings
            ),
        )
    return [
        _moved(found[b.whole.path], b.path) if isinstance(b, Copy) else found[b.path] for b in blobs
    ]


def _moved(examined: Examined, path: str) -> Examined:
    """What was learned of a file, under another name of it."""

    def move(at: Location) -> Location:
        return msgspec.structs.replace(at, path=path)

    return Examined(
        record=msgspec.structs.replace(examined.record, path=path),
        identified=tuple((move(at), size, formats) for at, size, formats in examined.identified),
        references=tuple(msgspec.structs.replace(r, at=move(r.at)) for r in examined.references),
        facts=tuple(msgspec.structs.replace(f, at=move(f.at)) for f in examined.facts),
    )


def _earlier(
    ruleset: Ruleset, settings: Settings, rules: Rules | None, repository: bool
) -> Earlier | None:
    """The results of earlier audits, if they are kept: of those by the same rules and budgets."""
    if settings.reuse is None or not settings.digest:
        return None
    digest = ruleset.digest if rules is None else _with_rules(ruleset.digest, rules)
    budgets = f"{settings.limits} {settings.memory} {settings.timeout} {repository}"
    return Earlier(settings.reuse, f"{digest} {budgets}")


def _declared(examined: Examined, blob: Blob) -> Examined:
    """With the digest that a remote file's listing names, beside the one that was computed."""
    said = blob.sha256 if isinstance(blob, RemoteFile) else None
    if said is None:
        return examined
    record = msgspec.structs.replace(examined.record, declared=said)
    return msgspec.structs.replace(examined, record=record)


def _with_parts(
    main: _Part, ruleset: Ruleset, settings: Settings, access: Access
) -> tuple[Audit, list[_Part]]:
    """What the checks across files see, with the model that this one derives from and the reference
    beside it."""
    audit = main.audit(ruleset)

    def base() -> Source | None:
        return open_base(access, main.source.origin, declared_bases(audit.facts))

    def reference() -> Source | None:
        return None if access.reference is None else open_target(access.reference, access)

    parts: dict[str, _Part] = {}
    missing: dict[str, str] = {}
    for role, find in (("base", base), ("reference", reference)):
        try:
            source = find()
            if source is not None:
                parts[role] = _examined(Joined(source, {}), ruleset, settings, None, None)
        except SourceError as error:
            missing[role] = error.why
        except (OSError, ValueError) as error:
            missing[role] = getattr(error, "strerror", None) or str(error)
    seen = {role: part.audit(ruleset) for role, part in parts.items()}
    return replace(audit, parts=seen, missing=missing), list(parts.values())


def _with_tools(audit: Audit, blobs: list[Blob]) -> Audit:
    """With what other tools say of the files that are theirs."""
    automations = [f for f in audit.facts if isinstance(f, Automation)]
    said = zizmor.look(automations, {b.path: b for b in blobs}) if automations else None
    return audit if said is None else replace(audit, facts=(*audit.facts, said))


def _with_trials(audit: Audit, main: _Part, settings: Settings) -> Audit:
    """With what comes of running the models in which a switch was found."""
    found = [f for e in main.examined for f in e.findings]
    blobs = {b.path: b for b in main.blobs}
    tried = trials.look(found, audit.artifacts, blobs, main.source.readable, settings.trials)
    return replace(audit, facts=(*audit.facts, *tried))


def _with_advisories(audit: Audit, path: Path | None) -> tuple[Audit, tuple[Intel, ...]]:
    """The audit with where the advisories lie, or why they cannot be asked; what they are."""
    try:
        if path is None:
            raise NoIndex("no advisories were given")
        known = facts_of(path).intel()
    except NoIndex as error:
        return replace(audit, missing={**audit.missing, "advisories": str(error)}), ()
    return replace(audit, advisories=os.fspath(path.absolute())), (known,)


def _with_indexes(
    audit: Audit, blobs: list[Blob], readable: list[Path], settings: Settings, access: Access
) -> tuple[Audit, Sequence[Blob], Transfer | None]:
    """The audit with what the indexes of packages say, if any may be asked; the remote wheels that
    they name, and what was fetched."""
    if not access.indexes:
        return audit, (), None
    if access.offline:
        why = "no network is used (--offline)"
        return replace(audit, missing={**audit.missing, "index": why}), (), None
    from weighbridge.engine.indexes import ask_indexes

    supervisor = Supervisor(blobs, readable, _nothing, settings)
    try:
        return ask_indexes(audit, supervisor, access.indexes, home() / LISTINGS)
    except SourceError as error:
        return replace(audit, missing={**audit.missing, "index": error.why}), (), None


def _nothing(blob: Blob) -> Examined:
    return Examined(record=FileRecord(path=blob.path, size=blob.size, sha256=None))


def _resolved(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    return {"requested": origin.requested, "resolved": origin.commit}


def _sum(*transfers: Transfer | None) -> Transfer | None:
    known = [t for t in transfers if t is not None]
    whole = Transfer(bytes=sum(t.bytes for t in known), requests=sum(t.requests for t in known))
    return whole if whole.requests else None


def _examine(
    ruleset: Ruleset, limits: Limits, rules: Rules | None, repository: bool, blob: Blob
) -> Examined:
    if not (isinstance(blob, Vouched) and blob.plain):
        of_domain = ruleset.of(domain_of(blob.path, repository))
        whole = blob.whole if isinstance(blob, Vouched) else blob
        found = examine(whole, of_domain, limits, rules)
        if whole is blob or holds_model(found.record.formats):
            return found
    record = FileRecord(path=blob.path, size=blob.size, sha256=None, formats=(INSTALLED,))
    return Examined(record=record)


def _with_rules(digest: str, rules: Rules) -> str:
    return hashlib.sha256(f"{digest}\0{rules.digest}".encode()).hexdigest()


def _explained(examined: list[Examined]) -> list[Examined]:
    """Files of no format of their own that another one takes its tensors from are raw data, and no
    gap, like the raw members of an archive."""
    meant = {resolve(r) for e in examined for r in e.references if r.kind == "tensors"}
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


def _unopened(gap: Gap, ruleset: Ruleset, repository: bool) -> Gap:
    """What a source could not hand out leaves open what its content answers, and what is asked of
    files at its place."""
    path = gap.at.path
    controls = {*_all_controls(ruleset)}
    if any(map(is_workflow_path, (path, f"{path}/w.yml", f"{path}/workflows/w.yml"))):
        controls |= {"workflows", "release"}
    if domain_of(path, repository) is Domain.SOURCE:
        controls.add("training-code")
    return msgspec.structs.replace(gap, controls=tuple(sorted(controls)))


def _concerns(gap: Gap, examined: Examined, part: _Part, ruleset: Ruleset) -> Gap:
    """A lost file leaves open what its content answers, and its integrity if it has no digest. One
    that was looked at and is of no known format is not lost."""
    if gap.controls:
        return gap
    controls = set(ruleset.content_controls)
    if gap.message != UNRECOGNISED:
        controls.update(ruleset.lost_controls(domain_of(gap.at.path, part.repository)))
    if examined.record.sha256 is None:
        controls.add("integrity")
    return msgspec.structs.replace(gap, controls=tuple(sorted(controls)))


def _artifacts(examined: list[Examined], ruleset: Ruleset) -> list[Artifact]:
    loadings = {f.name: f.loading for f in ruleset.formats}
    return [
        Artifact(where, size, formats, tuple(loadings[f] for f in formats))
        for e in examined
        for where, size, formats in e.identified
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


def _coverage(main: _Part, transfer: Transfer | None) -> Coverage:
    records = [e.record for e in main.examined]
    left_out: list[LeftOut] = sorted(main.source.left_out, key=lambda entry: entry.path)
    return Coverage(
        files=len(records),
        bytes=sum(r.size for r in records),
        hashed=sum(1 for r in records if r.sha256 is not None),
        artifacts=tuple(row for e in main.examined for row in e.coverage),
        left_out=tuple(left_out),
        jail=main.protections,
        transfer=transfer,
        reused=main.reused,
    )
