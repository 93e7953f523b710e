"""Check `index-record`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.ownership import PART
from weighbridge.core.check import Audit, check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, read_whole
from weighbridge.formats.installed import RECORD_LIMIT, Recorded, read_record
from weighbridge.formats.zip import read_member

SHOWN: Final = 100
SECONDS: Final = 120.0
"""How long the wheels on the index may take in all."""
REMOTE_LIMIT: Final = 16 << 20
_RECORD: Final = regex(r"[^/]+\.dist-info/RECORD")
_MOVED: Final = regex(r"[^/]+\.data/(?:purelib|platlib)/(.+)")
_ELSEWHERE: Final = regex(r"[^/]+\.data/.*")
_OF_INSTALLER: Final = regex(
    r"[^/]+\.dist-info/(?:INSTALLER|REQUESTED|direct_url\.json|uv_(?:cache|build)\.json"
    r"|RECORD(?:\.jws|\.p7s)?)|.*\.pyc|(?:/|\.\./).*"
)
"""What installers put there beside what the wheel holds."""


@check("index-record", control="dependencies", reads=Audit)
def index_record(audit: Audit) -> Iterator[Finding | Gap]:
    """An installed package's record is not that of the wheel on the index.

    ## Why it matters
    A record lies beside the files that it vouches for: who changes one writes the new digest into
    the other, and nothing in the environment tells. The record inside the wheel on the index is
    out of reach for them.

    ## What to do
    Install the package anew, by its hash, and compare. Treat the machine as lost if the difference
    is not yours.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`), lists one wheel of that version
    for the same machines, and gives parts of files: of each wheel a few kilobytes are read. What
    was installed from an address, built on the machine or put there by conda is not held against
    it, and said so. Scripts and data outside of site-packages are not compared.

    ## References
    - https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    - https://attack.mitre.org/techniques/T1554/
    """
    asked = audit.index
    if asked is None or PART not in audit.joined:
        return
    until = time.monotonic() + SECONDS
    unread = Counter(asked.unheld.values())
    compared = 0
    for path, wheel in sorted(asked.wheels.items()):
        if time.monotonic() > until:
            unread[f"more than {SECONDS:g} s"] += 1
            continue
        try:
            yield from _compared(path, wheel, _rows(audit.blobs[path]), asked.indexes[0])
            compared += 1
        except (Malformed, OSError) as error:
            unread[f"{wheel.path[:120]}: {error}"] += 1
    for why, count in sorted(unread.items()):
        those = f"{count:,} installed packages were" if count > 1 else "an installed package was"
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message=f"{those} not held against the index ({compared:,} were): {why}",
            at=Location(f"{PART}:"),
        )


def _rows(blob: Blob) -> list[Recorded]:
    if blob.size > RECORD_LIMIT:
        raise Malformed(f"a RECORD of more than {RECORD_LIMIT:,} bytes")
    return read_record(read_whole(blob).decode("utf-8", "replace"))


def _compared(path: str, wheel: Blob, rows: list[Recorded], index: str) -> Iterator[Finding]:
    data = read_member(wheel, lambda name: _RECORD.fullmatch(name) is not None, REMOTE_LIMIT)
    if data is None:
        raise Malformed("the wheel has no record")
    theirs: dict[str, str] = {}
    for row in read_record(data.decode("utf-8", "replace")):
        moved = _MOVED.fullmatch(row.path)
        place = moved[1] if moved else row.path
        if not _ELSEWHERE.fullmatch(place) and row.digest:
            theirs[place] = f"{row.algorithm}={row.digest}"
    ours = {r.path: f"{r.algorithm}={r.digest}" if r.digest else "" for r in rows}
    changed = sorted(p for p, digest in theirs.items() if ours.get(p, digest) != digest)
    added = sorted(p for p in ours if p not in theirs and not _OF_INSTALLER.fullmatch(p))
    yield from _told(path, changed, "other digests than", wheel, index)
    yield from _told(path, added, "files that are not in", wheel, index)


def _told(path: str, names: list[str], what: str, wheel: Blob, index: str) -> Iterator[Finding]:
    if not names:
        return
    many = f"{len(names):,} files" if len(names) > 1 else names[0][:120]
    yield Finding(
        message=f"the record has {what} the record of {wheel.path[:120]} on {index} ({many})",
        at=Location(path),
        action=Action.REVIEW,
        symbol=what,
        evidence=(Table("The files", ("file",), tuple((n[:300],) for n in names[:SHOWN])),),
    )
