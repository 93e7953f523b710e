"""Check `weights-history`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import Commit, Declared, Origin

WHOLE: Final = Location(".")
SHOWN: Final = 30
WEIGHTS: Final = frozenset(
    {"safetensors", "pickle", "torch-zip", "zip", "gguf", "ggml", "onnx", "hdf5", "tflite", "npy"}
)
CARD: Final = "README.md"


@check("weights-history", control="publisher", reads=Audit)
def weights_history(audit: Audit) -> Iterator[Finding | Gap]:
    """Who changed the weights last, when, and whether that fits the rest of the history.

    ## Why it matters
    A stolen token changes the weights and nothing else: no card, no release note, often another
    account than the one that made the model.

    ## What to do
    Ask the publisher about the change that is shown, or use a commit from before it.

    ## Limits
    The history is what the Hub tells, up to its newest 100 commits; authors are accounts, and
    commits through the web bear the name of whoever merged.

    ## References
    - https://huggingface.co/docs/hub/repositories-getting-started
    - https://atlas.mitre.org/techniques/AML.T0055
    """
    origin = audit.origin
    if origin is None or origin.kind != "hub":
        return
    for what in ("history", "files"):
        if what in origin.unknown:
            why = f"who changed what could not be asked ({what}): {origin.unknown[what]}"
            yield Gap(kind=GapKind.UNREADABLE, message=why, at=WHOLE)
    heavy = {f.path for f in audit.files if WEIGHTS.intersection(f.formats)}
    changed = [(f, f.changed) for f in origin.files if f.path in heavy and f.changed is not None]
    if not changed:
        return
    newest = max((commit for _, commit in changed), key=lambda c: c.date)
    rows = tuple((f.path, c.date, ", ".join(c.authors), c.title) for f, c in changed[:SHOWN])
    evidence = (Table("Last change of each file", ("file", "date", "by", "message"), rows),)
    told = f"the weights were changed last on {newest.date[:10]} by {_by(newest)}"
    strange = _strange(origin, newest)
    yield Finding(
        message=f"{told}, {strange}" if strange else told,
        at=WHOLE,
        action=Action.REVIEW if strange else Action.NOTE,
        symbol=newest.id,
        evidence=evidence,
    )


def _by(commit: Commit) -> str:
    return ", ".join(a for a in commit.authors if a) or "an account that is not named"


def _strange(origin: Origin, newest: Commit) -> str:
    """What does not fit: an account that did nothing else here, later than the card."""
    owner = origin.id.partition("/")[0].casefold()
    others = {a.casefold() for c in origin.history if c.id != newest.id for a in c.authors if a}
    known_here = {a.casefold() for a in newest.authors if a} & ({owner} | others)
    card = next((f for f in origin.files if f.path == CARD), None)
    if known_here or not others or not any(newest.authors):
        return ""
    return "an account that changed nothing else here" + _after(card, newest)


def _after(card: Declared | None, newest: Commit) -> str:
    if card is None or card.changed is None or card.changed.date >= newest.date:
        return ""
    return f", after the card of {card.changed.date[:10]}"
