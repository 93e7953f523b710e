"""Check `link-leaves`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.intel.source_calls import place


@check("link-leaves", control="payload-scan", reads=Audit)
def link_leaves(audit: Audit) -> Iterator[Finding]:
    """A symbolic link among the model's files leads out of their folder.

    ## Why it matters
    Whoever copies, serves, packs or uploads the folder takes along what the link leads to: keys,
    tokens, other people's files. A loader that writes through it writes outside.

    ## What to do
    Delete the link, or put the file that it means in its place. A model needs no link that leaves
    its folder; the Hub's cache links to its own blobs, which is not counted.

    ## Limits
    What it leads to is not read. Where it leads can be another place on another machine, and links
    within the folder are followed.

    ## References
    - https://cwe.mitre.org/data/definitions/59.html
    - https://cwe.mitre.org/data/definitions/61.html
    """
    for link in audit.links:
        stored = place(f"{link.target} {link.place}")
        what = f", where {stored[1]} is kept" if stored else ""
        row = (link.path, link.target[:400], link.place[:400])
        yield Finding(
            message=f"a symbolic link leaves the folder, to {link.target[:200]!r}{what}",
            at=Location(link.path),
            action=Action.BLOCK if stored else Action.REVIEW,
            symbol=link.target[:200],
            evidence=(Table("Where it leads", ("link", "says", "comes to"), (row,)),),
        )
