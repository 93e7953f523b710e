"""Check `tokenizer-contradiction`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.analysis.tokenizer import Token, added, vocabulary
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Json

SHOWN = 20


@check("tokenizer-contradiction", control="code-and-templates", reads=Json)
def tokenizer_contradiction(document: Json) -> Iterator[Finding]:
    """Two tokens of one file have the same number, or one token has two.

    ## Why it matters
    Libraries resolve such a contradiction in different ways, so that what was tested with one
    says something else in another. It is also what an entry added by hand leaves behind.

    ## What to do
    Take the file of the base model, or have the publisher save the tokenizer again.

    ## Limits
    Each file is read by itself: numbers that differ between `tokenizer.json`,
    `tokenizer_config.json` and `added_tokens.json` of one folder are not compared here.

    ## References
    - https://huggingface.co/docs/tokenizers/api/added-tokens
    - https://cwe.mitre.org/data/definitions/436.html
    """
    numbered = [t for t in added(document) if t.id is not None]
    if not numbered:
        return
    texts: dict[int | None, set[str]] = defaultdict(set)
    numbers: dict[str, set[int | None]] = defaultdict(set)
    for token in numbered:
        texts[token.id].add(token.text)
        numbers[token.text].add(token.id)
    vocab = vocabulary(document)
    rows = [("one number, two tokens", str(i), " / ".join(sorted(t))) for i, t in texts.items()
            if len(t) > 1]  # fmt: skip
    rows += [("one token, two numbers", " / ".join(sorted(map(str, i))), t)
             for t, i in numbers.items() if len(i) > 1]  # fmt: skip
    other = [t for t in numbered if vocab.get(t.text, t.id) != t.id]
    if rows:
        yield _finding(document, rows, Action.REVIEW)
    if other:
        yield _finding(document, [_row(t, vocab[t.text]) for t in other], Action.NOTE)


def _row(token: Token, number: object) -> tuple[str, str, str]:
    return "another number in the vocabulary", f"{token.id} / {number}", token.text


def _finding(document: Json, rows: list[tuple[str, str, str]], action: Action) -> Finding:
    what, numbers, text = rows[0]
    return Finding(
        message=f"{len(rows):,} tokens contradict each other: {what} ({text[:60]!r}: {numbers})",
        at=document.at(),
        action=action,
        symbol=text[:80],
        evidence=(
            Table(
                "The contradictions",
                columns=("what", "number", "token"),
                rows=tuple((w, n, t[:80]) for w, n, t in rows[:SHOWN]),
            ),
        ),
    )
