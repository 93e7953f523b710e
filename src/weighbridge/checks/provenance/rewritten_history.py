"""Check `rewritten-history`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location

WHOLE_BELOW = 100
"""A history of fewer commits is told whole by the sources, which ask for so many."""


@check("rewritten-history", control="publisher", reads=Audit)
def rewritten_history(audit: Audit) -> Iterator[Finding]:
    """The commit that was locked is not in the history any more: it was rewritten.

    ## Why it matters
    A force-push takes commits out of a repository. What you audited cannot be looked up or
    compared any more, and whoever pushed did not mean it to be.

    ## What to do
    Ask the publisher why, and compare every file with your lock (`weighbridge diff`).

    ## Limits
    Only a lock knows what was there. Histories of a hundred commits and more are told in part, so
    that an old commit that is not among them says nothing.

    ## References
    - https://git-scm.com/docs/git-push
    - https://atlas.mitre.org/techniques/AML.T0010
    """
    lock, origin = audit.lock, audit.origin
    if lock is None or origin is None or lock.commit is None or origin.commit is None:
        return
    if lock.key != origin.key or "history" in origin.unknown:
        return  # another repository altogether is said elsewhere
    ids = {commit.id for commit in origin.history} | {origin.commit}
    if lock.commit in ids or not origin.history or len(origin.history) >= WHOLE_BELOW:
        return
    yield Finding(
        message=f"the commit that was locked ({lock.commit[:12]}) is not in the history any more",
        at=Location("."),
        action=Action.REVIEW,
        symbol=lock.commit,
        evidence=(Comparison("The commit", "the lock", lock.commit, "today", origin.commit),),
    )
