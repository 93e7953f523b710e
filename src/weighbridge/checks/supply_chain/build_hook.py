"""Check `build-hook`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged, decides
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding


@check("build-hook", control="training-code", reads=Audit)
def build_hook(audit: Audit) -> Iterator[Finding]:
    """Building or installing the package downloads something or starts programs.

    ## Why it matters
    `setup.py` and build hooks run on every machine that installs from source, before anybody has
    looked at what they bring. What they download becomes part of the package, and is in no lock
    file and no hash.

    ## What to do
    Ship what is needed with the package, or compare a digest that stands in the source. Install
    from wheels where you can.

    ## Limits
    Only the scripts themselves are read, not what they import. Programs that are started (a
    compiler, git for the version) are noted.

    ## References
    - https://peps.python.org/pep-0517/
    - https://attack.mitre.org/techniques/T1195/002/
    - https://cwe.mitre.org/data/definitions/494.html
    """
    yield from told(audit, map(_judge, practices(audit, Kind.BUILD)), "building starts a program")


def _judge(practice: Practice) -> Judged:
    what = f" {practice.detail}" if practice.detail else ""
    if "fetches" in practice.traits:
        message = f"building the package connects to the network ({practice.symbol}{what})"
        does = "building the package fetches it"
        return Judged(practice, Action.REVIEW, message, "", decides(practice.detail), does)
    return Judged(practice, Action.NOTE, f"{practice.symbol}{what}")
