"""Check `layer-record`."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.installed import RECORD_LIMIT, Recorded, read_record
from weighbridge.formats.tar import Tar

COMPARED: Final = 2 << 30
"""How many bytes of one layer are hashed."""
SHOWN: Final = 100
CHUNK: Final = 1 << 20
_RECORD: Final = regex(r"(?:\./)?((?:.*/)?(?:site|dist)-packages/)[^/]+\.dist-info/RECORD")


@check("layer-record", control="dependencies", reads=Tar)
def layer_record(archive: Tar) -> Iterator[Finding | Gap]:
    """A file of an installed package is not what the package's record says, in one layer.

    ## Why it matters
    An installer writes a list of all files of a package with their digests. A file that differs in
    the very layer that the list came with was changed after the install, in the same step of the
    build: patched by whoever built the image, or by what ran there.

    ## What to do
    Compare the file with the wheel on the index. If the change is meant, ship it as a patch that
    can be read; otherwise build the image again from what is pinned.

    ## Limits
    A layer is compared with the records in it. Files that other layers change or add, files of no
    package and compiled modules are told for an unpacked environment (`--env`) alone. The record
    lies beside the files, and whoever changes them can write a new one.

    ## References
    - https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    - https://github.com/opencontainers/image-spec/blob/main/layer.md
    - https://cwe.mitre.org/data/definitions/353.html
    """
    if not any(_RECORD.fullmatch(m.name) for m in archive.members):
        return
    members = [m for m in archive.walk() if not isinstance(m, Gap)]
    listed: dict[str, Recorded] = {}
    for member in members:
        found = _RECORD.fullmatch(member.path)
        if found is None:
            continue
        try:
            for row in _rows(member):
                listed[posixpath.normpath(found[1] + row.path)] = row
        except Malformed as error:
            at = archive.where.into(member.path)
            yield Gap(kind=GapKind.MALFORMED, message=error.why, at=at)
    changed: list[str] = []
    left = COMPARED
    for member in members:
        known = listed.get(posixpath.normpath(member.path))
        if known is None or not known.digest or known.weak:
            continue
        left -= member.size
        if left < 0:
            why = f"more than {COMPARED:,} bytes of packages: the rest was not compared"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=archive.where)
            break
        if _digest(member, known) != known.digest:
            changed.append(member.path)
    if changed:
        more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
        yield Finding(
            message=f"{changed[0][:160]}{more} is not what its package's record says",
            at=archive.where.into(changed[0]),
            action=Action.REVIEW,
            symbol="changed in its layer",
            evidence=(Table("The files", ("file",), tuple((n[:300],) for n in changed[:SHOWN])),),
        )


def _rows(record: Blob) -> list[Recorded]:
    if record.size > RECORD_LIMIT:
        raise Malformed(f"a RECORD of more than {RECORD_LIMIT:,} bytes")
    return read_record(record.read(0, record.size).decode("utf-8", "replace"))


def _digest(blob: Blob, row: Recorded) -> str:
    digest = hashlib.new(row.algorithm)
    for offset in range(0, blob.size, CHUNK):
        digest.update(blob.read(offset, CHUNK))
    return digest.hexdigest()
