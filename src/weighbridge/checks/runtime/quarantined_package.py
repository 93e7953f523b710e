"""Check `quarantined-package`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.listed import answered, together
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding

_SAYS: Final = {
    "quarantined": ("is in quarantine: the index holds it to be unsafe", Action.BLOCK),
    "deprecated": ("is no longer to be used, as its makers say", Action.NOTE),
    "archived": ("is archived: no further release is to be expected", Action.NOTE),
}


@check("quarantined-package", control="dependencies", reads=Audit)
def quarantined_package(audit: Audit) -> Iterator[Finding]:
    """A package is asked for that its index, or its makers, have put out of use.

    ## Why it matters
    An index puts a project into quarantine when somebody has reported it as hostile and it has been
    looked at: often hours before an advisory names it. What is archived or deprecated gets no
    repairs.

    ## What to do
    Quarantined: take the requirement out. Where it has been installed, treat the machine and its
    secrets as lost until you know better. Else look for what replaces it.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`) and tells states (PEP 792).

    ## References
    - https://packaging.python.org/en/latest/specifications/project-status-markers/
    - https://cwe.mitre.org/data/definitions/506.html
    """
    for one, related in together(answered(audit)):
        said = _SAYS.get(one.listing.status)
        if said is None:
            continue
        what, action = said
        reason = one.listing.reason
        yield Finding(
            message=f"{one.wanted.told} {what}",
            at=one.wanted.at,
            action=action,
            symbol=f"{one.wanted.key} {one.listing.status}",
            related=related,
            evidence=(Text(f"What {one.index} says of it", reason),) if reason else (),
        )
