"""Check `sentencepiece-text`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.tokenizer import charsmap_words, is_address, is_command
from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.sentencepiece import SentencePiece

SHOWN = 20
SHORTEST = 6


@check("sentencepiece-text", control="code-and-templates", reads=SentencePiece)
def sentencepiece_text(document: SentencePiece) -> Iterator[Finding]:
    """A SentencePiece vocabulary holds an address or a command, or its normalizer puts out words.

    ## Why it matters
    The vocabulary says which text a number of the model becomes, and the character map which text
    the model is given. One edited entry puts an address or a command into answers, or a word into
    every question, with not one weight changed.

    ## What to do
    Compare the entry with the same number in the tokenizer of the base model. Train the tokenizer
    anew, or take it from its publisher.

    ## Limits
    Whether a word was exchanged for another ordinary one can only be seen against the base. Scores
    are not read.

    ## References
    - https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
    - https://cwe.mitre.org/data/definitions/506.html
    """
    found = 0
    for number, (text, kind) in enumerate(document.pieces):
        address = len(text) >= SHORTEST and is_address(text)
        if address or (len(text) >= SHORTEST and is_command(text)):
            found += 1
            if found > SHOWN:
                break
            what = "an address" if address else "a command"
            yield Finding(
                message=f"entry {number} of the vocabulary ({kind}) is {what}: {text[:100]!r}",
                at=document.at(),
                action=Action.REVIEW if address or kind == "user-defined" else Action.NOTE,
                symbol=text[:80],
            )
    for name, data in document.maps:
        words = charsmap_words(data)
        if words:
            shown = ", ".join(repr(w) for w in words[:5])
            yield Finding(
                message=f"the {name} puts words in the place of characters: {shown}",
                at=document.at(),
                action=Action.REVIEW,
                symbol=name,
            )
