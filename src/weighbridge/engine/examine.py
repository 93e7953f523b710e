"""Examine one file: identify, parse, check, descend. Runs inside the jail, touches no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Struct, field

from weighbridge.core.check import Artifact, Check, Domain, Observer
from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import AnyFact
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Format, Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import ArtifactCoverage, Examined, FileRecord
from weighbridge.core.tree import Blob, Reference, Roled, Tree
from weighbridge.engine.rules import Budget, Rules
from weighbridge.engine.ruleset import Ruleset
from weighbridge.formats.rule_matches import RuleMatches
from weighbridge.formats.torch import NOTED_LIMIT, is_plainly_raw
from weighbridge.formats.torch import role as torch_role

Result = TypeVar("Result")
REFERENCES_KEPT: Final = 50_000
FACTS_KEPT: Final = 1_000
UNRECOGNISED: Final = "the format is not recognised"
FINDINGS_KEPT: Final = 200
"""How many findings of one check in one file are kept; a further one counts the rest."""
COVERAGE_KEPT: Final = 10_000
"""How many things in one file are listed one by one; the rest are summed up by their parser."""
SEVERITY: Final = {Action.BLOCK: 0, Action.REVIEW: 1, Action.NOTE: 2}


class Kept(Struct):
    """Findings of one file as they come in. Beyond `FINDINGS_KEPT` of a check they are counted, so
    that a hostile file cannot fill the memory with them."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, Finding] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take a finding whose check is stamped on it."""
        check = finding.check
        self.counts[check] += 1
        if self.counts[check] <= FINDINGS_KEPT:
            self.findings.append(finding)
        else:
            known = self.worst.get(check, finding)
            self.worst[check] = min(known, finding, key=lambda f: SEVERITY[f.action])

    def all(self) -> Iterator[Finding]:
        """What was kept, and for each check one that stands for the rest: the worst of them."""
        yield from self.findings
        for check, finding in sorted(self.worst.items()):
            more = self.counts[check] - FINDINGS_KEPT
            message = f"{more:,} more findings of {check} in this file, not listed"
            yield msgspec.structs.replace(finding, message=message, symbol="more", evidence=())


def examine(blob: Blob, ruleset: Ruleset, limits: Limits, rules: Rules | None = None) -> Examined:
    """Everything that can be said of one top-level file without its digest.

    `rules` are the auditor's own; without them none are run.
    Never raises for anything that the file holds: what a parser or a check cannot cope with
    becomes a gap, and the rest goes on.
    """
    examination = _Examination(ruleset, limits, rules)
    formats = examination.visit(blob, Location(blob.path), depth=0, role=blob.role)
    return Examined(
        record=FileRecord(path=blob.path, size=blob.size, sha256=None, formats=formats),
        findings=tuple(examination.findings.all()),
        gaps=tuple(examination.gaps),
        coverage=tuple(examination.covered(blob.path)),
        identified=tuple(examination.identified),
        references=tuple(examination.references),
        facts=tuple(examination.facts),
        ran=dict(examination.ran),
    )


def _is_raw(member: Blob, role: str) -> bool:
    """Whether no format need be asked about a member; one that cannot be read is none of those."""
    try:
        return is_plainly_raw(role, member.read(0, NOTED_LIMIT))
    except (Malformed, OSError, MemoryError):
        return False


class _Examination(Struct):
    ruleset: Ruleset
    limits: Limits
    rules: Rules | None = None
    budget: Budget = field(default_factory=Budget)
    findings: Kept = field(default_factory=Kept)
    gaps: list[Gap] = field(default_factory=list)
    coverage: list[ArtifactCoverage] = field(default_factory=list)
    uncounted: dict[tuple[str, tuple[str, ...]], list[int]] = field(default_factory=dict)
    ran: Counter[str] = field(default_factory=Counter)
    identified: list[tuple[Location, int, tuple[str, ...]]] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    facts: list[AnyFact] = field(default_factory=list)
    entries: int = 0
    expanded: int = 0

    def visit(self, blob: Blob, where: Location, depth: int, role: str) -> tuple[str, ...]:
        """Examine a blob; returns the names of the formats that it is.

        `role` is what its container says it is. A blob with a role that is nothing else is raw
        data and no gap: its container has explained it.
        """
        lost = self.ruleset.lost_controls(self.ruleset.domain)
        recognised = self._try(where, lambda: self._recognise(blob), lost)
        if recognised is None:
            return ()
        candidates, size = recognised
        documents = [
            (f, d) for f in candidates if (d := self._parse(f, blob, where, bool(role))) is not None
        ]
        parsed = {f.name for f, _ in documents}
        known = tuple(f.name for f in candidates if not role or f.name in parsed or f.parse is None)
        if self.rules is not None and (known or not role):
            self._match(self.rules, blob, where, size)
        if not known:
            if not role:
                self._gap(GapKind.UNSUPPORTED, UNRECOGNISED, where)
            return ()
        self.identified.append((where, size, known))
        loadings = tuple(f.loading for f in candidates if f.name in known)
        artifact = Artifact(where, size, known, loadings)
        for check in self.ruleset.artifact_checks:
            self._run(check, artifact, where)
        ran = tuple(c.id for c in self.ruleset.artifact_checks)
        for format, document in documents:
            self._judge(document, f"{format.name}/{format.version}", ran)
            for observer in self.ruleset.observers_of(type(document)):
                self._try(where, partial(self._observe, observer, document), (observer.control,))
            if hasattr(document, "refers"):
                self._try(where, partial(self._refer, document), self.ruleset.content_controls)
            if hasattr(document, "facts"):
                self._try(where, partial(self._hear, document), self.ruleset.across_controls)
            # It is a Tree if it can be walked; asking the protocol itself is slow.
            if self.ruleset.descends and hasattr(document, "walk"):
                # What is packed into something is no longer the source that somebody works on.
                outer, self.ruleset = self.ruleset, self.ruleset.of(Domain.MODEL)
                self._descend(cast(Tree, document), where, depth + 1)
                self.ruleset = outer
        return known

    def _judge(self, document: Document, parser: str, ran: tuple[str, ...] = ()) -> None:
        """Run the checks that read a document, keep its gaps, and say what was looked at."""
        where = document.where
        checks = self.ruleset.checks_of(type(document))
        for check in checks:
            self._run(check, document, where)
        controls = self.ruleset.controls_of(type(document))
        for gap in document.gaps:
            self._keep(gap, controls or self.ruleset.content_controls)
        self._cover(
            ArtifactCoverage(
                at=where,
                parser=parser,
                size=document.size,
                seen=document.seen,
                checks=tuple(c.id for c in checks) + ran,
            )
        )

    def _match(self, rules: Rules, blob: Blob, where: Location, size: int) -> None:
        """Run the auditor's own rules over what stands here."""
        controls = tuple(sorted({c.control for c in self.ruleset.checks_of(RuleMatches)}))
        matches = self._try(
            where, lambda: rules.match(blob, where, size, self.budget), controls, "rules"
        )
        if matches is not None:
            self._judge(matches, f"yara-x/{rules.version}")

    def _recognise(self, blob: Blob) -> tuple[list[Format], int]:
        """The formats that a blob is, and its size, which a stream must be read through for."""
        sample = Sample(blob)
        return [f for f in self.ruleset.candidates(sample.head) if f.sniff(sample)], blob.size

    def _parse(self, format: Format, blob: Blob, where: Location, quiet: bool) -> Document | None:
        parse = format.parse
        controls = self._controls_of(format)
        if parse is None:
            self._gap(GapKind.UNSUPPORTED, f"{format.title}: {format.meaning}", where, controls)
            return None
        gaps_before = len(self.gaps)
        document = self._try(where, lambda: parse(blob, where, self.limits), controls, format.title)
        if document is None and quiet:
            # Raw data may begin like anything; its container has said what it is.
            met = self.gaps[gaps_before:]
            self.gaps[gaps_before:] = [g for g in met if g.kind is not GapKind.MALFORMED]
        return document

    def _cover(self, row: ArtifactCoverage) -> None:
        """Keep what was looked at; a hostile file cannot fill the memory with it."""
        self.ran.update(row.checks)
        if len(self.coverage) < COVERAGE_KEPT:
            self.coverage.append(row)
            return
        rest = self.uncounted.setdefault((row.parser, row.checks), [0, 0, 0])
        for i, n in enumerate((1, row.size, row.seen)):
            rest[i] += n

    def covered(self, path: str) -> Iterator[ArtifactCoverage]:
        """What was kept, and for each parser the sum of what was not."""
        yield from self.coverage
        for (parser, checks), (count, size, seen) in sorted(self.uncounted.items()):
            at = Location(path, (f"{count:,} more",))
            yield ArtifactCoverage(at=at, parser=parser, size=size, seen=seen, checks=checks)

    def _refer(self, document: Any) -> None:
        """Keep what a document says that it is read together with."""
        for count, reference in enumerate(document.refers()):
            if count == REFERENCES_KEPT:
                why = f"more than {REFERENCES_KEPT:,} references to other files; the rest was not "
                self._gap(GapKind.TOO_LARGE, why + "looked at", document.where)
                return
            self.references.append(reference)

    def _hear(self, document: Any) -> None:
        """Keep what a document says to the questions that go across files."""
        self._keep_facts(document.facts(), document.where, self.ruleset.across_controls)

    def _observe(self, observer: Observer, document: Document) -> None:
        self._keep_facts(observer.run(document), document.where, (observer.control,))

    def _keep_facts(
        self, facts: Iterator[AnyFact], where: Location, controls: tuple[str, ...]
    ) -> None:
        for fact in facts:
            if len(self.facts) == FACTS_KEPT:
                why = f"more than {FACTS_KEPT:,} facts for other questions; the rest was left out"
                self._gap(GapKind.TOO_LARGE, why, where, controls)
                return
            self.facts.append(fact)

    def _descend(self, tree: Tree, where: Location, depth: int) -> None:
        members: list[Blob] = []
        for member in self._members(tree, where):
            if isinstance(member, Gap):
                self._keep(member, self.ruleset.content_controls)
            else:
                members.append(member)
        if not members:
            return
        if depth > self.limits.depth:
            self._gap(
                GapKind.TOO_LARGE,
                f"nested more than {self.limits.depth} containers deep; "
                f"{len(members):,} members were not looked at",
                where,
            )
            return
        names = frozenset(m.path for m in members)
        raw: Counter[str] = Counter()
        raw_bytes: Counter[str] = Counter()
        for member in members:
            if self.expanded > self.limits.expanded:
                self._gap(
                    GapKind.TOO_LARGE,
                    f"more than {self.limits.expanded:,} bytes came out of this file; "
                    "the remaining members were not looked at",
                    where,
                )
                return
            role = member.role or torch_role(member.path, names)
            plain = bool(role) and _is_raw(member, role)
            known: tuple[str, ...] = ()
            if not plain:
                given = Roled(member, role) if role and not member.role else member
                known = self.visit(given, where.into(member.path), depth, role)
            if role and not known:
                raw[role] += 1
                raw_bytes[role] += getattr(member, "declared", None) or member.size
            self.expanded += getattr(member, "expanded", 0)
        for role, count in sorted(raw.items()):
            self._cover(
                ArtifactCoverage(
                    at=where.into(f"{count:,} × {role}"),
                    parser="raw",
                    size=raw_bytes[role],
                    seen=0,
                    checks=(),
                )
            )

    def _members(self, tree: Tree, where: Location) -> Iterator[Blob | Gap]:
        walk = tree.walk()
        while True:
            member = self._try(where, lambda: next(walk, None), self.ruleset.content_controls)
            if member is None:
                return
            self.entries += 1
            if self.entries > self.limits.entries:
                self._gap(
                    GapKind.TOO_LARGE,
                    f"more than {self.limits.entries:,} members; the rest were not looked at",
                    where,
                )
                return
            yield member

    def _run(self, check: Check, subject: object, where: Location) -> None:
        self._try(where, lambda: self._collect(check, subject), (check.control,), check.id)

    def _collect(self, check: Check, subject: object) -> None:
        """Run a check; what it said before it failed is kept."""
        for result in check.run(subject):
            if isinstance(result, Gap):
                self._keep(result, (check.control,))
            else:
                self.findings.add(msgspec.structs.replace(result, check=check.id))

    def _try(
        self,
        where: Location,
        action: Callable[[], Result],
        controls: tuple[str, ...],
        subject: str = "",
    ) -> Result | None:
        """Run an action on foreign bytes; whatever goes wrong is a gap at `where`."""
        prefix = f"{subject}: " if subject else ""
        try:
            return action()
        except Malformed as error:
            place = msgspec.structs.replace(where, offset=error.offset)
            self._gap(GapKind.MALFORMED, prefix + error.why, place, controls)
        except (MemoryError, RecursionError) as error:
            why = "memory" if isinstance(error, MemoryError) else "nesting"
            self._gap(GapKind.TOO_LARGE, f"{prefix}the {why} limit was reached", where, controls)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._gap(GapKind.UNREADABLE, f"{prefix}{why}", where, controls)
        except Exception as error:  # a bug of ours must not end the audit, nor pass as clean
            why = f"{prefix}Weighbridge failed here ({type(error).__name__}: {error})"
            self._gap(GapKind.CRASHED, why[:500], where, controls)
        return None

    def _controls_of(self, format: Format) -> tuple[str, ...]:
        return self.ruleset.controls_of(format.document) or self.ruleset.content_controls

    def _gap(
        self, kind: GapKind, message: str, where: Location, controls: tuple[str, ...] | None = None
    ) -> None:
        self._keep(
            Gap(kind=kind, message=message, at=where), controls or self.ruleset.content_controls
        )

    def _keep(self, gap: Gap, controls: tuple[str, ...]) -> None:
        self.gaps.append(msgspec.structs.replace(gap, controls=gap.controls or controls))
