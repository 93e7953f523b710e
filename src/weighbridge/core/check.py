"""A check: a question to one document, or to the whole audit, that belongs to a control."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct, field

from weighbridge.core.document import Document
from weighbridge.core.fact import AnyFact
from weighbridge.core.finding import Finding, Gap
from weighbridge.core.format import Loading
from weighbridge.core.listing import IndexAnswers
from weighbridge.core.location import Location, within
from weighbridge.core.origin import Origin
from weighbridge.core.ownership import Ownership
from weighbridge.core.report import FileRecord
from weighbridge.core.tree import Blob, Link, Reference
from weighbridge.core.trust import Lock, Publisher

SECTIONS = ("Why it matters", "What to do", "Limits", "References")


class Need(StrEnum):
    """What a check needs before it can run, so that the cost of a plan is known."""

    NETWORK = "network"
    TENSOR_BYTES = "tensor-bytes"
    HISTORY = "history"
    SANDBOX = "sandbox"


class Domain(StrEnum):
    """What a file belongs to, where that changes what is asked of it."""

    MODEL = "model"
    """The model itself: what a loader reads and may run."""
    SOURCE = "source"
    """The repository that built it: what its makers ran."""


class Artifact(Struct, frozen=True):
    """One thing that was identified: a file, or a member of one. `formats` are names, sorted."""

    where: Location
    size: int
    formats: tuple[str, ...]
    loadings: tuple[Loading, ...]


class Audit(Struct, frozen=True, eq=False):
    """What a check across files sees: every file and every artifact of the target, in order, what
    they read of each other, what they say and which links leave the target; what the source knows
    beyond the bytes.

    Such checks run in a jailed child of their own. `blobs` are the target's files by path, to be
    read in parts; `parts` are what was audited beside the target, by role (`base`: the model that
    it derives from); `missing` says of a part that could not be had why not.
    `joined` are the names of what belongs to the target and was audited in one with it: its files
    bear the name and a colon before their path. `repository`: the target itself is a repository of
    source code.
    `publishers` are those of the policy whose signatures count for this target, `known_names` the
    owners that the policy knows; `lock` is what an earlier audit let in. `advisories` is where the
    index of advisories lies (None: `missing` says why there is none), `index` what the indexes of
    packages said (None: they were not asked, as nobody wished it), `records` what the records of
    the installed environment say (None: they were not read before).
    """

    files: tuple[FileRecord, ...]
    artifacts: tuple[Artifact, ...]
    references: tuple[Reference, ...] = ()
    links: tuple[Link, ...] = ()
    origin: Origin | None = None
    facts: tuple[AnyFact, ...] = ()
    blobs: Mapping[str, Blob] = field(default_factory=dict)
    parts: Mapping[str, Audit] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    joined: tuple[str, ...] = ()
    publishers: tuple[Publisher, ...] = ()
    known_names: tuple[str, ...] = ()
    lock: Lock | None = None
    repository: bool = False
    advisories: str | None = None
    index: IndexAnswers | None = None
    records: Ownership | None = None

    @property
    def built(self) -> bool:
        """Whether the repository that it was built in is there: any file of source code."""
        name = f"{Domain.SOURCE}:"
        return any(
            f.path.startswith(name) or (self.repository and self.domain(f.path) is Domain.SOURCE)
            for f in self.files
        )

    def domain(self, path: str) -> Domain:
        """What a file of the target belongs to."""
        return domain_of(path, self.repository)


def domain_of(path: str, repository: bool) -> Domain:
    """What a file belongs to, by the part of the target that it is in. `repository`: the target
    itself is a repository of source code."""
    part = within(path)[0]
    source = part == Domain.SOURCE or (repository and not part)
    return Domain.SOURCE if source else Domain.MODEL


class Check(Struct, frozen=True):
    """A registered check. `doc` is its only documentation; *Limits* is compulsory in it. `domain`:
    it is only asked of files that belong there."""

    id: str
    control: str
    reads: type[Document] | type[Audit] | type[Artifact]
    needs: frozenset[Need]
    run: Callable[[Any], Iterator[Finding | Gap]]
    doc: str
    domain: Domain | None = None

    @property
    def title(self) -> str:
        """The first line of the documentation."""
        return self.doc.split("\n", 1)[0]

    def section(self, heading: str) -> str:
        """The text under `## heading`, or the empty string."""
        _, found, rest = self.doc.partition(f"## {heading}\n")
        return rest.split("\n## ", 1)[0].strip() if found else ""


Read = TypeVar("Read")


def check(
    id: str,
    *,
    control: str,
    reads: type[Read],
    needs: frozenset[Need] = frozenset(),
    domain: Domain | None = None,
) -> Callable[[Callable[[Read], Iterator[Finding | Gap]]], Check]:
    """Declare a check. `reads` is the Document type it is run on, `Artifact` to be run on each
    thing that was identified, or `Audit` to be run once; `domain` where that is all it concerns."""

    def declare(run: Callable[[Read], Iterator[Finding | Gap]]) -> Check:
        doc = inspect.cleandoc(run.__doc__ or "")
        return Check(id, control, reads, needs, run, doc, domain)  # type: ignore[arg-type]

    return declare


class Observer(Struct, frozen=True):
    """Reads a document and says facts, for checks across files that need of each file what only
    analysis tells. What cannot be read of a document leaves `control` open, unless its facts say
    themselves what they lack (`tells_gaps`)."""

    id: str
    control: str
    reads: type[Document]
    run: Callable[[Any], Iterator[AnyFact]]
    domain: Domain | None = None
    tells_gaps: bool = False


def observe(
    id: str,
    *,
    control: str,
    reads: type[Read],
    domain: Domain | None = None,
    tells_gaps: bool = False,
) -> Callable[[Callable[[Read], Iterator[AnyFact]]], Observer]:
    """Declare an observer; `domain` where that is all it concerns."""

    def declare(run: Callable[[Read], Iterator[AnyFact]]) -> Observer:
        return Observer(id, control, reads, run, domain, tells_gaps)  # type: ignore[arg-type]

    return declare
