"""Check `index-answers`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.dependencies import dependencies
from weighbridge.analysis.listed import unanswered
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location


@check("index-answers", control="dependencies", reads=Audit)
def index_answers(audit: Audit) -> Iterator[Finding | Gap]:
    """What the index of packages knows was not learned.

    ## Why it matters
    Whether a package exists, since when, and whether its makers or its index have taken it back is
    known to the index alone. Where it was not asked, nothing here speaks of that.

    ## What to do
    Ask it: `--ask-index` asks the index that pip takes by default, `--index URL` another one. It
    learns which packages you are about to install; a note is right where that must not be.

    ## Limits
    A note where nobody wished it to be asked, a gap where it was asked and did not answer.

    ## References
    - https://packaging.python.org/en/latest/specifications/simple-repository-api/
    """
    found = dependencies(audit)
    if audit.index is None:
        yield from _not_asked(audit, [w.at for w in found.wanted if w.said.ecosystem == "PyPI"])
    else:
        yield from unanswered(audit, found)


def _not_asked(audit: Audit, places: list[Location]) -> Iterator[Finding | Gap]:
    """That no index was asked: as it was wished, or although it was."""
    if not places:
        return
    at = Location(places[0].path, places[0].inside)
    if why := audit.missing.get("index"):
        message = f"the index of packages was not asked: {why}"
        yield Gap(kind=GapKind.OFFLINE, message=message, at=at)
        return
    yield Finding(
        message="no index of packages was asked: whether these packages exist there, since when, "
        "and what was taken back is not known here (--ask-index asks)",
        at=Location("."),
        action=Action.NOTE,
        symbol="index not asked",
    )
