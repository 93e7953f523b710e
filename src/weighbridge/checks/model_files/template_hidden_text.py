"""Check `template-hidden-text`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.template_text import Oddity, oddities, read
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.template import Template

SHOWN = 20


@check("template-hidden-text", control="code-and-templates", reads=Template)
def template_hidden_text(document: Template) -> Iterator[Finding]:
    """A template puts out text that a reader does not see: invisible, encoded, or an address.

    ## Why it matters
    A model reads every character of a prompt, also those that no screen shows: zero-width letters
    and Unicode tags carry whole instructions past a reviewer. Encoded text is read by the model
    and not by a person; an address in a prompt ends up in answers and in the calls of tools.

    ## What to do
    Read the text that is shown decoded. A chat format needs none of this: take the template of the
    base model, or ask the publisher what the text is for.

    ## Limits
    Joiners within emoji and in scripts that are written with them are not counted, nor are
    addresses of schemas and of well-known documentation. Of encodings only base64 is undone.
    Comments are not put out and are not judged.

    ## References
    - https://www.unicode.org/reports/tr36/
    - https://cwe.mitre.org/data/definitions/1007.html
    """
    reading = read(document)
    if reading is None:
        return
    for odd in islice(oddities(reading), SHOWN):
        review = document.declared and (odd.what is not Oddity.ADDRESS or document.where.inside)
        yield Finding(
            message=f"the template puts out {odd.what}: {odd.shown[:120]}",
            at=reading.place(odd.node),
            action=Action.REVIEW if review else Action.NOTE,
            symbol=odd.shown[:80],
            evidence=(
                Text("The text, spelled out", text=odd.shown),
                reading.excerpt(odd.node, "Where it stands", odd.shown),
            ),
        )
