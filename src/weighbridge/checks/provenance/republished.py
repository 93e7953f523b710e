"""Check `republished`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.lineage import base_name, relation
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Weights
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.report import FileRecord

SHOWN: Final = 50
_CHANGES: Final = frozenset({"finetune", "quantized", "merge"})


@check("republished", control="lineage", reads=Audit)
def republished(audit: Audit) -> Iterator[Finding]:
    """Files of weights are, byte for byte, those of the base.

    ## Why it matters
    A copy under another account is not kept by whoever made the model: it can be exchanged at any
    time, and corrections do not reach it. Where the card calls it a fine-tuned or a quantised
    model, nothing of that is there.

    ## What to do
    Take the model from the account that published it.

    ## Limits
    Digests are compared, those that the source names where the bytes were not read. The same
    weights in another file are what the other checks of this control find.

    ## References
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    """
    base = audit.parts.get("base")
    if base is None:
        return
    theirs = {digest: f.path for f in base.files if (digest := _digest(f))}
    weights = {f.at.path for f in audit.facts if isinstance(f, Weights)}
    held = [f for f in audit.files if f.path in weights]
    same = [(f, theirs[_digest(f)]) for f in held if _digest(f) in theirs]
    if not same:
        return
    said = relation(audit)
    contradicts = len(same) == len(held) and said in _CHANGES
    name = base_name(base)
    called = f"contradicted: the card calls this {said}, but " if contradicts else ""
    yield Finding(
        message=f"{called}{len(same):,} of {len(held):,} files of weights are those of {name}, "
        "byte for byte",
        at=Location(same[0][0].path),
        action=Action.REVIEW if contradicts else Action.NOTE,
        symbol="republished",
        evidence=(
            Table(
                "The same files",
                ("file", "in the base", "sha256"),
                tuple((f.path, path, _digest(f)) for f, path in same[:SHOWN]),
            ),
        ),
    )


def _digest(file: FileRecord) -> str:
    return file.sha256 or file.declared or ""
