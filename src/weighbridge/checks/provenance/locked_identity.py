"""Check `locked-identity`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location


@check("locked-identity", control="publisher", reads=Audit)
def locked_identity(audit: Audit) -> Iterator[Finding | Gap]:
    """The repository is the one that was locked, not another one under its name.

    ## Why it matters
    When an account is deleted, its name can be registered again, by anybody. Whoever does gets
    every download of those who refer to the name. The Hub gives each repository an identifier of
    its own, which the new one does not share with the old one.

    ## What to do
    Do not use it. Find out from the publisher, over another way, what became of the account; use
    the files that were locked from your own copy.

    ## Limits
    The identifier is what the endpoint says. A repository that moved to another name keeps it.

    ## References
    - https://unit42.paloaltonetworks.com/model-namespace-reuse/
    """
    lock, origin = audit.lock, audit.origin
    if lock is None or lock.key is None or origin is None or origin.key is None:
        why = "no lock was given that names the repository's identity"
        if lock is not None and lock.key is not None:
            why = "the source does not say which repository this is; the lock does"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
        return
    told = (("identifier", lock.key, origin.key), ("creation", lock.created, origin.created))
    for what, expected, found in told:
        if expected is not None and found is not None and expected != found:
            yield Finding(
                message=f"this is another repository than was locked, under the same name ({what})"
                if origin.id == lock.id
                else f"this is another repository than was locked ({what})",
                at=Location("."),
                action=Action.BLOCK,
                symbol=what,
                evidence=(
                    Comparison(
                        title=f"Repository {what}",
                        expected_from="the lock",
                        expected=expected,
                        found_from=origin.where,
                        found=found,
                    ),
                ),
            )
    if origin.id != lock.id and lock.id is not None and origin.key == lock.key:
        yield Finding(
            message=f"the repository was called {lock.id} when it was locked, and is {origin.id}",
            at=Location("."),
            action=Action.REVIEW,
            symbol="moved",
        )
