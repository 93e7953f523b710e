"""Check `tokenizer-rewrites-text`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.tokenizer import inserted, is_address, rewrites
from weighbridge.core.check import check
from weighbridge.core.evidence import Comparison
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Json

SHOWN = 20


@check("tokenizer-rewrites-text", control="code-and-templates", reads=Json)
def tokenizer_rewrites_text(document: Json) -> Iterator[Finding]:
    """The tokenizer replaces words on the way in or out, or puts words around every text.

    ## Why it matters
    A normalizer sees every prompt before the model does, a decoder every answer before the person
    does. Tokenizers use them for spaces, quotes and letters; one that replaces words or writes an
    address answers in the model's name, whatever the weights say.

    ## What to do
    Compare these steps with the tokenizer of the base model. Take its `tokenizer.json` if they are
    not in it.

    ## Limits
    Steps that change single letters, marks and spaces are not judged, nor are tags such as `<url>`.
    Of a regular expression the literal words are looked at, not all that it can match. A compiled
    character map is searched for long Latin words only.

    ## References
    - https://huggingface.co/docs/tokenizers/components
    - https://cwe.mitre.org/data/definitions/506.html
    """
    for step in islice(rewrites(document), SHOWN):
        change = (
            f"{step.old[:60]!r} by {step.new[:60]!r}" if step.old else f"with {step.new[:60]!r}"
        )
        yield Finding(
            message=f"the tokenizer ({step.step}) replaces {change}"
            if step.old
            else f"the tokenizer ({step.step}) begins every text {change}",
            at=document.at(),
            action=Action.BLOCK if is_address(step.new) else Action.REVIEW,
            symbol=f"{step.step} {step.old[:60]}",
            evidence=(
                Comparison("The text", "before", step.old[:2_000], "after", step.new[:2_000]),
            ),
        )
    for name, real in islice(inserted(document), SHOWN):
        what = "an ordinary token" if name == real else f"the token {real[:60]!r} by its number"
        yield Finding(
            message=f"the tokenizer puts {name[:60]!r} around every text, which is {what}",
            at=document.at(),
            action=Action.REVIEW,
            symbol=f"puts {name[:60]}",
        )
