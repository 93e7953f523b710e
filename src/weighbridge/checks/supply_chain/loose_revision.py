"""Check `loose-revision`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weighbridge.analysis.practices import place, practices
from weighbridge.analysis.training_kinds import Kind
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding

SHOWN = 200


@check("loose-revision", control="training-code", reads=Audit)
def loose_revision(audit: Audit) -> Iterator[Finding]:
    """Models and data sets are loaded in whatever revision is the newest.

    ## Why it matters
    Whoever owns the repository can change what is trained on or started from between two runs, and
    a training that is repeated is not the same. Nearly everybody loads so: it is no accusation,
    but the list of what would have to be pinned.

    ## What to do
    Name a full commit (`revision=`) for what goes into a release.

    ## Limits
    Names that are put together at run time are not listed, nor is what configuration files name.
    Local folders of the same form as a name on the Hub are listed as well.

    ## References
    - https://huggingface.co/docs/huggingface_hub/guides/download
    - https://cwe.mitre.org/data/definitions/494.html
    """
    found = practices(audit, Kind.LOOSE)
    if not found:
        return
    first: dict[str, Practice] = {}
    counts = Counter(p.detail for p in found)
    for practice in sorted(found, key=lambda p: p.aside):
        first.setdefault(practice.detail, practice)
    rows = [
        (name, str(counts[name]), place(p.at), "aside" if p.aside else "code")
        for name, p in first.items()
    ]
    apart = sum(1 for p in found if p.aside)
    yield Finding(
        message=f"{len(found):,} loads of {len(first):,} repositories name no commit; {apart:,} of "
        "them in tests, examples and documentation",
        at=next(iter(first.values())).at,
        action=Action.NOTE,
        symbol="loose revisions",
        evidence=(
            Table("What is loaded", ("name", "times", "first", "where"), tuple(rows[:SHOWN])),
        ),
    )
