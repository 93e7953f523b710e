"""Check `impersonation`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.impersonation import copied, imitated
from weighbridge.analysis.lineage import declared_bases
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.fact import Card
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.origin import Origin
from weighbridge.intel.publishers import known

WHOLE: Final = Location(".")
THE_SAME: Final = 0.6
"""From which share of common runs of words on one card is a copy of another."""


@check("impersonation", control="publisher", reads=Audit)
def impersonation(audit: Audit) -> Iterator[Finding]:
    """The name or the card imitates a publisher or a model that is well known.

    ## Why it matters
    An edited GPT-J was spread by an account one letter away from EleutherAI's, fake organisations
    of drug makers carried Keras payloads, and a copied card took a credential stealer to the top of
    a trending list. People read names quickly.

    ## What to do
    Take the model from the publisher that is named here, unless you know both and mean this one.

    ## Limits
    The list of well-known names is ours and small, with those of your policy (`[[publisher]]` and
    `known_publishers`); a new imitation of another publisher is not in it. Cards
    are compared with those of repositories of the same name that the Hub's search finds.

    ## References
    - https://www.unicode.org/reports/tr39/
    - https://atlas.mitre.org/techniques/AML.T0074
    """
    origin = audit.origin
    if origin is None or origin.kind != "hub":
        return
    owner, _, repository = origin.id.rpartition("/")
    names = (*known().publishers, *audit.known_names)
    likeness = imitated(owner, names) if owner else None
    verified = origin.owner is not None and origin.owner.verified
    if likeness is not None:
        yield Finding(
            message=f"the publisher's name {owner} {likeness.how} {likeness.known}",
            at=WHOLE,
            action=Action.BLOCK if likeness.plain and not verified else Action.REVIEW,
            symbol=owner,
            evidence=(Comparison("The two names", "known", likeness.known, "this one", owner),),
        )
    bases = {base.id.casefold() for base in declared_bases(audit.facts)}
    original = known().models.get(repository.casefold())
    if (
        original
        and original.casefold() != origin.id.casefold()
        and original.casefold() not in bases
    ):
        yield Finding(
            message=f"it is called like {original}, and does not name that as its base",
            at=WHOLE,
            action=Action.REVIEW,
            symbol=original,
        )
    yield from _copies(audit, origin, bases)


def _copies(audit: Audit, origin: Origin, bases: set[str]) -> Iterator[Finding]:
    """Older repositories of the same name whose card this one repeats without naming them."""
    for card in (f for f in audit.facts if isinstance(f, Card) and not f.at.inside):
        for other in origin.namesakes:
            older = other.created is not None and (origin.created or "") > other.created
            if other.card is None or not older or other.id.casefold() in bases:
                continue
            share = copied(card.text, other.card)
            if share is not None and share >= THE_SAME:
                yield Finding(
                    message=f"its card repeats {share:.0%} of the card of {other.id}, which is "
                    "older, and does not name it as the base",
                    at=card.at,
                    action=Action.BLOCK,
                    symbol=other.id,
                    evidence=(
                        Comparison("The two repositories", other.id, f"since {other.created}",
                                   origin.id, f"since {origin.created}"),
                    ),
                )  # fmt: skip
