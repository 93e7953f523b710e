"""Check `checksum-list`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.fact import Checksums, Digested
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.report import FileRecord
from weighbridge.core.tree import Blob

READ_LIMIT: Final = 256 << 20
"""Up to this size a file is read again for a digest that is no sha256."""
CHUNK: Final = 1 << 20
_SUFFIX: Final = regex(r"\.(?:md5|sha-?(?:1|256|384|512))(?:sums?)?(?:\.txt)?$", re.IGNORECASE)


@check("checksum-list", control="integrity", reads=Audit)
def checksum_list(audit: Audit) -> Iterator[Finding]:
    """Lists of digests that come along agree with the files beside them.

    ## Why it matters
    Publishers put lists such as `SHA256SUMS` beside their files. One that does not agree says that
    a file was changed after it was listed, or damaged on its way.

    ## What to do
    Get the file anew, and compare again. If it still differs, ask the publisher which of the two is
    right; a list that nobody brought up to date is common.

    ## Limits
    A list from the same place as the files proves nothing: whoever can change a file can change its
    list. Agreement is therefore never a pass. Digests other than sha256 are compared for files of
    up to 256 MiB that are on this machine.

    ## References
    - https://www.gnu.org/software/coreutils/manual/html_node/cksum-output-modes.html
    """
    here = {f.path: f for f in audit.files}
    for fact in audit.facts:
        if not isinstance(fact, Checksums) or fact.at.inside:
            continue
        agreed = absent = unread = 0
        for entry in fact.files:
            path = _path(fact.at.path, entry.path)
            if path not in here:
                absent += 1
                continue
            found = _digest(entry, here[path], audit.blobs)
            if found is None:
                unread += 1
            elif found == entry.value:
                agreed += 1
            else:
                yield _differs(fact.at.path, path, entry, found)
        counts = ((agreed, "agree"), (absent, "not here"), (unread, "not compared"))
        said = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        yield Finding(
            message=f"a list of digests from the same place as the files: {said or 'empty'}",
            at=fact.at,
            action=Action.NOTE,
            symbol="list",
        )


def _path(listing: str, named: str) -> str:
    folder, _, name = listing.rpartition("/")
    below = named or _SUFFIX.sub("", name)
    return f"{folder}/{below}" if folder else below


def _digest(entry: Digested, file: FileRecord, blobs: Mapping[str, Blob]) -> str | None:
    if entry.algorithm == "sha256":
        return file.sha256 or file.declared
    if file.sha256 is None or file.path not in blobs or file.size > READ_LIMIT:
        return None
    digest = hashlib.new(entry.algorithm, usedforsecurity=False)
    for offset in range(0, file.size, CHUNK):
        digest.update(blobs[file.path].read(offset, CHUNK))
    return digest.hexdigest()


def _differs(listing: str, path: str, entry: Digested, found: str) -> Finding:
    return Finding(
        message=f"this file is not the one that {listing} lists",
        at=Location(path),
        action=Action.REVIEW,
        symbol=listing,
        evidence=(
            Comparison(
                title=entry.algorithm,
                expected_from=listing,
                expected=entry.value,
                found_from="this file",
                found=found,
            ),
        ),
    )
