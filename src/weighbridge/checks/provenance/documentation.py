"""Check `documentation`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Card
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location

ASKED: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("training data", ("datasets",), r"training data|trained on|data ?sets?\b|pre-?training"),
    ("intended use", ("pipeline_tag",), r"intended use|use cases?|limitations|out-of-scope"),
    ("licence", ("license", "license_name"), r"licen[cs]e"),
    ("base model", ("base_model",), r"fine-?tuned|base model|from scratch|pre-?trained"),
    ("evaluation", ("model-index", "eval_results"), r"evaluation|benchmark|accuracy|results"),
)
"""What an audit needs of a card: its name, the keys of the header and the words that tell of it."""


@check("documentation", control="training-data", reads=Audit)
def documentation(audit: Audit) -> Iterator[Finding | Gap]:
    """What the model learned from is documented, and the data sets that are named are there.

    ## Why it matters
    A few hundred poisoned documents are enough to teach a model a trigger, whatever its size. What
    is not named cannot be looked at; a data set that is gone can be registered anew by anybody.

    ## What to do
    Ask the publisher for the data sets and their revisions, and audit those that you can get
    (`weighbridge audit hf-dataset:org/name`).

    ## Limits
    Presence is asked for, not quality: a heading with two words under it counts. Cards have no way
    to name a revision of a data set. The data themselves were not handed over with the model, so
    this control never passes here.

    ## References
    - https://arxiv.org/abs/1810.03993
    - https://owasp.org/www-project-top-10-for-large-language-model-applications/
    """
    cards = [f for f in audit.facts if isinstance(f, Card) and not f.at.inside]
    if not cards:
        if any(f.formats for f in audit.files):
            why = "there is no model card: nothing says what it learned from"
            yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
        return
    card = cards[0]
    rows = tuple(_rows(card))
    missing = [what for what, answer in rows if answer == "no"]
    evidence = (Table("What the card says", ("asked for", "there"), rows),)
    if "training data" in missing:
        others = [m for m in missing if m != "training data"]
        also = f" (nor its {', '.join(others)})" if others else ""
        yield Finding(
            message=f"the card does not say what the model learned from{also}",
            at=card.at,
            action=Action.REVIEW,
            symbol="training data",
            evidence=evidence,
        )
    elif missing:
        yield Finding(
            message=f"the card does not tell: {', '.join(missing)}",
            at=card.at,
            action=Action.NOTE,
            symbol="card",
            evidence=evidence,
        )
    for named in audit.origin.named if audit.origin is not None else ():
        if named.there is False:
            yield Finding(
                message=f"the data set {named.id} that the card names is not there, or is private",
                at=card.at,
                action=Action.REVIEW,
                symbol=named.id,
            )
    names = _texts(card.header.get("datasets"))
    told = f"the data ({', '.join(names[:4])}) were" if names else "the data were"
    why = f"{told} not handed over with the model, so they were not examined"
    yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=card.at)


def _rows(card: Card) -> Iterator[tuple[str, str]]:
    text = card.text.casefold()
    for what, keys, words in ASKED:
        key = next((k for k in keys if card.header.get(k)), None)
        if key is not None:
            yield what, f"{key}: {_short(card.header[key])}"
        else:
            yield what, "in its text" if re.search(words, text) else "no"


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v]


def _short(value: Any) -> str:
    texts = _texts(value)
    return ", ".join(texts)[:120] if texts else "given"
