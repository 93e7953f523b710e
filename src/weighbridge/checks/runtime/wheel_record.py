"""Check `wheel-record`."""

from __future__ import annotations

import hashlib
import posixpath
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.installed import RECORD_LIMIT, Recorded, read_record
from weighbridge.formats.zip import Zip

SHOWN: Final = 100
CHUNK: Final = 1 << 20
_RECORD: Final = regex(r"([^/]+\.dist-info)/RECORD")
_UNRECORDED: Final = regex(r"[^/]+\.dist-info/RECORD(?:\.jws|\.p7s)?")


@check("wheel-record", control="dependencies", reads=Zip)
def wheel_record(archive: Zip) -> Iterator[Finding | Gap]:
    """What a wheel holds is not what its record says.

    ## Why it matters
    A wheel lists its files with their digests, and installers unpack the others as well. A file
    that is changed or that nobody listed was put there after the build: by a repackager, or by
    whoever got hold of the release on its way.

    ## What to do
    Take the wheel from the index again, by its hash. If it is the same there, ask the publisher
    how it was built.

    ## Limits
    The record lies in the wheel: who changes a file can write a new one, so a record that fits
    proves little. Whether the wheel is the one on the index is told by hashes in a lock. Members
    that only the local headers show are told by `archive-disagreement`.

    ## References
    - https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    - https://cwe.mitre.org/data/definitions/353.html
    """
    names = {member.name for member in archive.members}
    records = sorted(name for name in names if _RECORD.fullmatch(name))
    wheel = (archive.where.path, *archive.where.inside)[-1].lower().endswith(".whl")
    if not records:
        if wheel:
            yield Finding(
                message="a wheel without a record of its files",
                at=archive.where,
                action=Action.REVIEW,
                symbol="RECORD",
            )
        return
    held: dict[str, list[Blob]] = defaultdict(list)
    for met in archive.walk():
        if isinstance(met, Gap):
            why = f"it could not be compared with the record: {met.message}"
            yield Gap(kind=met.kind, message=why, at=met.at)
        elif met.role != "leftover" and not met.path.endswith("/"):
            held[met.path].append(met)
    record = held[records[0]][0] if held[records[0]] else None
    if record is None:
        return
    if record.size > RECORD_LIMIT:
        raise Malformed(f"a RECORD of more than {RECORD_LIMIT:,} bytes")
    rows = read_record(record.read(0, record.size).decode("utf-8", "replace"))
    listed = {posixpath.normpath(row.path): row for row in rows}
    yield from _told(archive, "is", "leads out of the wheel in its record",
                     [p for p in listed if p.startswith(("/", "../"))])  # fmt: skip
    changed: list[str] = []
    weak: list[str] = []
    left = archive.limits.expanded
    for name, blobs in held.items():
        row = listed.get(posixpath.normpath(name))
        if row is None or not row.digest or row.weak:
            if row is not None and not _UNRECORDED.fullmatch(name):
                weak.append(name)
            continue
        left -= blobs[0].size
        if left < 0:
            why = f"more than {archive.limits.expanded:,} bytes: the rest was not compared"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=archive.where)
            break
        try:
            if _digest(blobs[0], row) != row.digest:
                changed.append(name)
        except Malformed as error:
            why = f"it could not be compared with the record: {error}"
            yield Gap(kind=GapKind.MALFORMED, message=why, at=archive.where.into(name))
    there = {posixpath.normpath(name): name for name in held}
    missing = sorted(p for p in listed if p not in there and not _UNRECORDED.fullmatch(p))
    unlisted = sorted(
        name for p, name in there.items() if p not in listed and not _UNRECORDED.fullmatch(name)
    )
    yield from _told(archive, "has", "another content than the record says", sorted(changed))
    yield from _told(archive, "is", "not in the record, and would be installed", unlisted)
    yield from _told(archive, "is", "in the record and not in the wheel", missing)
    yield from _told(archive, "has", "no digest in the record that holds it", sorted(weak))


def _digest(blob: Blob, row: Recorded) -> str:
    digest = hashlib.new(row.algorithm)
    for offset in range(0, blob.size, CHUNK):
        digest.update(blob.read(offset, CHUNK))
    return digest.hexdigest()


def _told(archive: Zip, verb: str, what: str, names: list[str]) -> Iterator[Finding]:
    if not names:
        return
    several = {"is": "are", "has": "have"}[verb]
    said = f"{names[0][:160]} {verb}" if len(names) == 1 else (
        f"{len(names):,} files ({names[0][:120]}, …) {several}"
    )  # fmt: skip
    yield Finding(
        message=f"{said} {what}",
        at=archive.where,
        action=Action.REVIEW,
        symbol=what,
        evidence=(Table("The files", ("file",), tuple((n[:300],) for n in names[:SHOWN])),),
    )
