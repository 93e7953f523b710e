"""Check `archive-disagreement`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.zip import Zip


@check("archive-disagreement", control="payload-scan", reads=Zip)
def archive_disagreement(archive: Zip) -> Iterator[Finding]:
    """Two readers of this archive would not see the same files.

    ## Why it matters
    A zip says twice what it holds: in a directory at its end and in a header before each member.
    Scanners mostly read the one, some loaders the other. Where the two differ, a loader can get
    bytes that the scanner never saw. Wrong checksums and encryption flags on plain data serve the
    same end: they make a scanner give up on what a loader reads happily.

    ## What to do
    Do not load the file. Tools that write archives do not write such ones; ask the publisher for
    a fresh export. Both readings of each member are examined here and their findings listed.

    ## Limits
    Bytes before or after the archive are told, since they are normal in self-extracting files and
    installers; checksums of large stored members are not verified.

    ## References
    - https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    - https://cwe.mitre.org/data/definitions/436.html
    """
    for found in archive.discrepancies:
        yield Finding(
            message=found.message,
            at=archive.at(found.offset),
            action=Action.BLOCK if found.hides else Action.REVIEW,
            symbol=f"{found.kind}:{found.member}",
        )
