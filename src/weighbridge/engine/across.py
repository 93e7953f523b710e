"""Questions that go across files, each asked in a jailed child: what they read is hostile too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.analysis.element_types import prepare
from weighbridge.analysis.stored_tensors import comparable
from weighbridge.core.check import Audit, Check, Need
from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Over
from weighbridge.engine.supervisor import Lost, Supervisor, encoded
from weighbridge.sources.folder import File


class Said(Struct, frozen=True):
    """What a check said, as it crosses from its child."""

    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()


def ask(supervisor: Supervisor, checks: Sequence[Check], audit: Audit) -> Iterator[Said]:
    """What each check says of the whole audit, in their order.

    The supervisor's blobs are those of the audit, then those of its parts in their order. A check
    that fails or is lost becomes a gap of its control, and the others go on.
    """
    read = _Once(audit)
    questions = [partial(_answer, check, read) for check in checks]
    needed = any(Need.TENSOR_BYTES in c.needs for c in checks) and comparable(audit)
    for number, answer in supervisor.ask(questions, prepare if needed else None):
        check = checks[number]
        if not isinstance(answer, Lost):
            try:
                yield _stamped(check, msgspec.msgpack.decode(answer, type=Said))
                continue
            except msgspec.DecodeError:
                answer = Lost(GapKind.CRASHED, "its examiner sent rubbish")
        gap = Gap(kind=answer.kind, message=f"{check.id}: {answer.why}", at=Location("."))
        yield _stamped(check, Said(gaps=(gap,)))


class _Once(Struct):
    """The audit as its checks read it, made once in each child that is asked."""

    audit: Audit
    made: Audit | None = None

    def of(self, blobs: Sequence[Blob]) -> Audit:
        """See `reading`."""
        if self.made is None:
            self.made = reading(self.audit, blobs)
        return self.made


def _answer(check: Check, read: _Once, blobs: Sequence[Blob]) -> bytes:
    findings: list[Finding] = []
    gaps: list[Gap] = []
    try:
        for result in check.run(read.of(blobs)):
            if isinstance(result, Gap):
                gaps.append(result)
            else:
                findings.append(result)
    except MemoryError:
        why = f"{check.id}: the memory limit was reached"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=Location(".")))
    except OSError as error:
        why = f"{check.id}: {error.strerror or type(error).__name__}"
        gaps.append(Gap(kind=GapKind.UNREADABLE, message=why, at=Location(".")))
    except Exception as error:  # a bug of ours must not end the audit, nor pass as clean
        why = f"{check.id}: Weighbridge failed here ({type(error).__name__}: {error})"
        gaps.append(Gap(kind=GapKind.CRASHED, message=why[:500], at=Location(".")))
    return encoded(Said(tuple(findings), tuple(gaps)))


class _Released(Over, frozen=True, eq=False):
    """A blob whose file is not held open between two reads: a check may read thousands of files,
    and a child may open but a few."""

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        try:
            return self.whole.read(offset, n)
        finally:
            if isinstance(self.whole, File):
                self.whole.close()


def reading(audit: Audit, blobs: Sequence[Blob]) -> Audit:
    """The audit with its files to be read, those of its parts, and the remote ones that an index
    of packages named, in this order."""
    reached = iter(blobs)
    own: dict[str, Blob]
    theirs: dict[str, Blob]
    own = {blob.path: _Released(blob) for blob in islice(reached, len(audit.files))}
    parts = {}
    for role, part in audit.parts.items():
        theirs = {blob.path: _Released(blob) for blob in islice(reached, len(part.files))}
        parts[role] = replace(part, blobs=theirs)
    index = audit.index
    if index is not None:
        index = replace(index, wheels=dict(zip(index.wheels, reached, strict=True)))
    return replace(audit, blobs=own, parts=parts, index=index)


def _stamped(check: Check, said: Said) -> Said:
    return Said(
        tuple(msgspec.structs.replace(f, check=check.id) for f in said.findings),
        tuple(
            msgspec.structs.replace(g, controls=g.controls or (check.control,)) for g in said.gaps
        ),
    )
