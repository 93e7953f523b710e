"""Check `tokenizer-token`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.tokenizer import (
    added,
    is_address,
    is_command,
    merged,
    shadowing,
    vocabulary,
)
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.text import Json

SHOWN = 20


@check("tokenizer-token", control="code-and-templates", reads=Json)
def tokenizer_token(document: Json) -> Iterator[Finding]:
    """A token of the tokenizer is an address or a command, or takes the place of a word.

    ## Why it matters
    Whatever number the model puts out, the tokenizer's file says which text it becomes. One edited
    entry turns a common word of every answer into an address or a command, or makes a word vanish
    because it counts as special, with not one weight changed. No vocabulary that was learned from
    text holds such entries: text is cut at punctuation before it is counted.

    ## What to do
    Compare the entry with the tokenizer of the base model, by its number. Do not use a tokenizer
    whose vocabulary has an entry that its own merges cannot make.

    ## Limits
    Read from JSON: `vocab.txt` is not (`tokenizer.model` is read by `sentencepiece-text`). Whether
    a word was exchanged for another ordinary one can only be seen against the base. Words are
    compared with a vocabulary in the same file; numbers that differ between the files of a folder
    are not seen.

    ## References
    - https://cwe.mitre.org/data/definitions/506.html
    - https://huggingface.co/docs/tokenizers/api/added-tokens
    """
    vocab, beside = vocabulary(document), added(document)
    if not vocab and not beside:
        return
    odd = {t.text: _means(t.text) for t in beside if is_address(t.text) or is_command(t.text)}
    for text, meaning in list(odd.items())[:SHOWN]:
        yield Finding(
            message=f"an added token is {meaning}: {text[:100]!r}",
            at=document.at(),
            action=Action.REVIEW,
            symbol=text[:80],
        )
    changed = [t for t in vocab if len(t) > 5 and t not in odd and (is_address(t) or is_command(t))]
    made = merged(document) if changed else None
    for text in changed[:SHOWN]:
        unmade = made is not None and text not in made
        yield Finding(
            message=f"entry {vocab[text]} of the vocabulary is {_means(text)}: {text[:100]!r}"
            + ("; no merge makes it, so it was put there by hand" if unmade else ""),
            at=document.at(),
            action=_weight(text, made),
            symbol=text[:80],
        )
    for special in (True, False):
        taken = [t for t in shadowing(beside, vocab) if t.special is special] if vocab else []
        if taken:
            kind = "special tokens, which are left out of answers" if special else "added tokens"
            yield Finding(
                message=f"{len(taken):,} ordinary words of the vocabulary are {kind}: "
                + ", ".join(repr(t.text[:30]) for t in taken[:5]),
                at=document.at(),
                action=Action.REVIEW if special else Action.NOTE,
                symbol=taken[0].text[:80],
                confidence=Confidence.LIKELY,
                evidence=(
                    Table(
                        "The words",
                        columns=("added as", "number", "number in the vocabulary"),
                        rows=tuple(
                            (t.text[:60], str(t.id), str(vocab.get(t.text, "with a space")))
                            for t in taken[:SHOWN]
                        ),
                    ),
                ),
            )


def _weight(text: str, made: frozenset[str] | None) -> Action:
    """What merges make was learned from text. Without them an address is a question to ask; a
    command stands in many a vocabulary of code, and is only text until somebody runs it."""
    if made is not None:
        return Action.NOTE if text in made else Action.BLOCK
    return Action.REVIEW if is_address(text) else Action.NOTE


def _means(text: str) -> str:
    return "an address" if is_address(text) else "a command"
