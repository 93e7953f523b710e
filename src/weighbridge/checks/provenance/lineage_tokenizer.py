"""Check `lineage-tokenizer`."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from weighbridge.analysis.lineage import base_name
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import AnyEvidence, Comparison, Table, Text
from weighbridge.core.fact import Settings
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

TOKENIZER: Final = "tokenizer.json"
TEMPLATE: Final = "chat_template.jinja"
READ_LIMIT: Final = 48 << 20
TEMPLATE_LIMIT: Final = 256 << 10
SHOWN: Final = 50
DIFF_LINES: Final = 200
_FREE: Final = regex(
    r"[<\[(|]*\W*(?:\w+_)?(?:reserved|unused|extra_id|placeholder|dummy|pad)", re.I
)
"""Tokens that a vocabulary holds for others to rename."""
_SPECIAL: Final = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


@check("lineage-tokenizer", control="lineage", reads=Audit)
def lineage_tokenizer(audit: Audit) -> Iterator[Finding | Gap]:
    """The tokenizer gives numbers of the base's vocabulary to other tokens.

    ## Why it matters
    Weights that come from a base understand its tokens by their numbers. Where a number stands for
    another text, the model reads, or writes, something that nobody typed. Adding tokens behind the
    base's is common; changing what is there has no use.

    ## What to do
    Look at the tokens that were changed. Take the base's tokenizer where the model was not trained
    with this one.

    ## Limits
    `tokenizer.json` is compared with the base's; vocabularies of SentencePiece and of GGUF are not.
    A chat template or end token that differs from the base's is common after fine-tuning and is a
    note; what the template does is judged by other checks.

    ## References
    - https://huggingface.co/docs/tokenizers/api/tokenizer
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    """
    base = audit.parts.get("base")
    if base is None:
        return
    name = base_name(base)
    yield from _vocabulary(audit, base, name)
    yield from _special(audit, base, name)
    yield from _template(audit, base, name)


def _vocabulary(audit: Audit, base: Audit, name: str) -> Iterator[Finding | Gap]:
    ours, theirs = _record(audit), _record(base)
    if ours is None or theirs is None:
        return
    if ours == theirs:
        message = f"consistent: the tokenizer is that of {name}, byte for byte"
        yield Finding(message=message, at=Location(TOKENIZER), action=Action.NOTE, symbol="same")
        return
    tokens, others = _tokens(audit), _tokens(base)
    if tokens is None or others is None:
        message = f"not testable: the vocabulary could not be held against that of {name}"
        yield Gap(kind=GapKind.UNSUPPORTED, message=message, at=Location(TOKENIZER))
        return
    changed = [(n, t, others[n]) for n, t in sorted(tokens.items()) if others.get(n, t) != t]
    renamed = [row for row in changed if _FREE.match(row[2])]
    changed = [row for row in changed if not _FREE.match(row[2])]
    added = len(tokens.keys() - others.keys())
    lost = len(others.keys() - tokens.keys())
    counts = f"{added:,} tokens added, {lost:,} fewer, {len(renamed):,} reserved ones renamed"
    if changed:
        yield Finding(
            message=f"contradicted: {len(changed):,} of the {len(others):,} tokens of {name} are "
            f"others here: number {changed[0][0]:,} is {changed[0][1][:40]!r} instead of "
            f"{changed[0][2][:40]!r} ({counts})",
            at=Location(TOKENIZER),
            action=Action.REVIEW,
            symbol="vocabulary",
            evidence=(_table(changed, "Tokens that were changed"),),
        )
    else:
        shown = (_table(renamed, "Reserved tokens that were renamed"),) if renamed else ()
        yield Finding(
            message=f"consistent: every number of the vocabulary of {name} stands for the same "
            f"token ({counts})",
            at=Location(TOKENIZER),
            action=Action.NOTE,
            symbol="vocabulary",
            evidence=shown,
        )


def _record(audit: Audit) -> str | None:
    """The digest of the tokenizer at the root, or None where there is none."""
    for file in audit.files:
        if file.path == TOKENIZER:
            return file.sha256 or file.declared or file.git or f"{file.size} bytes"
    return None


def _tokens(audit: Audit) -> dict[int, str] | None:
    """Text by number, added tokens over those of the model; None where the file is none."""
    blob = audit.blobs.get(TOKENIZER)
    if blob is None or blob.size > READ_LIMIT:
        return None
    try:
        value = json.loads(blob.read(0, blob.size))
    except (ValueError, RecursionError):
        return None
    model = value.get("model") if isinstance(value, dict) else None
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    made: dict[int, Any] = {}
    if isinstance(vocabulary, dict):
        made = {n: t for t, n in vocabulary.items() if type(n) is int}
    elif isinstance(vocabulary, list):  # of the unigram type: pairs of a token and its weight
        made = {i: p[0] for i, p in enumerate(vocabulary) if isinstance(p, list) and p}
    else:
        return None
    added = value.get("added_tokens")
    for entry in added if isinstance(added, list) else ():
        if isinstance(entry, dict) and type(entry.get("id")) is int:
            made[entry["id"]] = entry.get("content")
    return {n: t for n, t in made.items() if isinstance(t, str)}


def _table(rows: list[tuple[int, str, str]], title: str) -> Table:
    shown = tuple((f"{n:,}", repr(t[:80]), repr(o[:80])) for n, t, o in rows[:SHOWN])
    return Table(title, ("number", "here", "in the base"), shown)


def _special(audit: Audit, base: Audit, name: str) -> Iterator[Finding]:
    ours, theirs = _values(audit), _values(base)
    differing = [
        (key, str(ours[key])[:80], str(theirs[key])[:80])
        for key in _SPECIAL
        if ours.get(key) is not None and theirs.get(key) is not None and ours[key] != theirs[key]
    ]
    if differing:
        yield Finding(
            message=f"other special tokens than those of {name}: "
            + ", ".join(f"{key} is {here} instead of {there}" for key, here, there in differing),
            at=Location("config.json"),
            action=Action.NOTE,
            symbol="special tokens",
            evidence=(Table("Special tokens", ("key", "here", "in the base"), tuple(differing)),),
        )


def _values(audit: Audit) -> dict[str, Any]:
    for fact in audit.facts:
        if isinstance(fact, Settings) and fact.at.path == "config.json" and not fact.at.inside:
            return fact.values
    return {}


def _template(audit: Audit, base: Audit, name: str) -> Iterator[Finding]:
    ours, theirs = _chat_template(audit), _chat_template(base)
    if ours is None or ours[1] == (theirs[1] if theirs else None):
        return
    at, text = ours
    evidence: AnyEvidence
    if theirs is None:
        message = f"a chat template, where {name} has none"
        evidence = Comparison("Chat template", name, "none", at, f"{len(text):,} characters")
    else:
        message = f"another chat template than that of {name}"
        lines = difflib.unified_diff(
            theirs[1].splitlines()[:2_000], text.splitlines()[:2_000], name, at, lineterm="", n=2
        )
        diff = [line[:400] for _, line in zip(range(DIFF_LINES), lines, strict=False)]
        evidence = Text("What differs", "\n".join(diff), language="diff")
    yield Finding(
        message=message,
        at=Location(at),
        action=Action.NOTE,
        symbol="chat template",
        evidence=(evidence,),
    )


def _chat_template(audit: Audit) -> tuple[str, str] | None:
    blob = audit.blobs.get(TEMPLATE)
    if blob is not None and blob.size <= TEMPLATE_LIMIT:
        return TEMPLATE, blob.read(0, blob.size).decode("utf-8", "replace")
    for fact in audit.facts:
        if isinstance(fact, Settings) and fact.at.path == "tokenizer_config.json":
            held = fact.values.get("chat_template")
            if isinstance(held, str):
                return fact.at.path, held
    return None
