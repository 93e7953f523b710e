"""Check `publisher-identity`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Card
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import Origin

WHOLE = Location(".")


@check("publisher-identity", control="publisher", reads=Audit)
def publisher_identity(audit: Audit) -> Iterator[Finding | Gap]:
    """Who publishes the model, by the word of the Hub: the account, its age, its other names.

    ## Why it matters
    Whoever owns the name decides what your next download is. Fake organisations with names and
    cards of known ones have spread payloads on the Hub, and a repository that answers under
    another name than it was asked for has changed hands or moved.

    ## What to do
    Decide once whether you trust this publisher. Name them in your policy, keep a lock of what you
    decided about, and use the name under which the repository answers today.

    ## Limits
    A badge, downloads and likes are not counted for a publisher: they can be bought. A folder says
    nothing of who published it. Accounts of persons are never verified by the Hub.

    ## References
    - https://huggingface.co/docs/hub/organizations
    - https://atlas.mitre.org/techniques/AML.T0073
    """
    origin = audit.origin
    if origin is None or origin.kind != "hub":
        why = "these files do not say who published them"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=WHOLE)
        return
    if origin.id.casefold() != origin.asked.casefold():
        yield Finding(
            message=f"the repository was asked for as {origin.asked} and answers as {origin.id}",
            at=WHOLE,
            action=Action.REVIEW,
            symbol="renamed",
        )
    if "owner" in origin.unknown:
        why = f"the owner's record could not be had: {origin.unknown['owner']}"
        yield Gap(kind=GapKind.UNREADABLE, message=why, at=WHOLE)
    owner = origin.owner
    name = owner.name if owner is not None else origin.id.partition("/")[0]
    lock = audit.lock
    if not audit.publishers:
        action, known = Action.REVIEW, "your policy does not name them yet"
    elif lock is None or lock.key is None or lock.key != origin.key:
        action, known = Action.REVIEW, "your policy names them, and no lock says it is still theirs"
    else:
        action, known = Action.NOTE, "your policy names them, and it is the one that you locked"
    yield Finding(
        message=f"{name} publishes it{_kind(origin)}; {known}",
        at=WHOLE,
        action=action,
        symbol=name,
        evidence=(Table("What the Hub says", ("", ""), tuple(_facts(audit, origin))),),
    )


def _kind(origin: Origin) -> str:
    owner = origin.owner
    if owner is None or not owner.kind:
        return ""
    if owner.kind == "user":
        return ", a person's account"
    return (
        ", an organisation that the Hub has verified"
        if owner.verified
        else (", an organisation that the Hub has not verified")
    )


def _facts(audit: Audit, origin: Origin) -> Iterator[tuple[str, str]]:
    owner = origin.owner
    if owner is not None:
        yield "account", owner.name + (f" ({owner.title})" if owner.title else "")
        yield "kind", owner.kind or "not said"
        if owner.kind == "org":
            yield "verified", {True: "yes", False: "no", None: "not said"}[owner.verified]
        if owner.created:
            yield "account since", owner.created
    yield "repository", origin.id
    yield from (("declares", told) for told in _declared(audit))
    for what, value in (
        ("its id", origin.key),
        ("repository since", origin.created),
        ("changed last", origin.modified),
        ("behind a gate", origin.gated),
    ):
        if value:
            yield what, value


def _declared(audit: Audit) -> Iterator[str]:
    """What the repository says that it is to another one: a fine-tune, a quantisation, a copy."""
    for card in (f for f in audit.facts if isinstance(f, Card) and not f.at.inside):
        base, relation = card.header.get("base_model"), card.header.get("base_model_relation")
        names = [n for n in (base if isinstance(base, list) else [base]) if isinstance(n, str)]
        if names:
            told = relation if isinstance(relation, str) else "derived"
            yield f"{told} from {', '.join(names[:4])}"
