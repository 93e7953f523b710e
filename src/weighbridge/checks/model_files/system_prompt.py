"""Check `system-prompt`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.template_text import Oddity, odd
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.ollama import SystemPrompt

SHOWN = 20


@check("system-prompt", control="code-and-templates", reads=SystemPrompt)
def system_prompt(document: SystemPrompt) -> Iterator[Finding]:
    """A system prompt comes with the model; whether it says what no screen shows.

    ## Why it matters
    Whoever runs the model by its name runs it with this text before every conversation. It can
    change what the model refuses, recommends or reveals, and invisible characters in it are read by
    the model and by nobody else.

    ## What to do
    Read it. If you do not want it, run the model with a system prompt of your own.

    ## Limits
    What the words mean is not judged: the prompt is shown, for a person to read. A prompt that the
    caller gives replaces it.

    ## References
    - https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
    - https://www.unicode.org/reports/tr36/
    """
    if not document.text.strip():
        return
    yield Finding(
        message=f"a system prompt of {len(document.text):,} characters comes with the model",
        at=document.at(),
        action=Action.NOTE,
        symbol="system prompt",
        evidence=(Text("The system prompt", text=document.text[:4_000]),),
    )
    for what, shown in islice(odd(document.text), SHOWN):
        yield Finding(
            message=f"the system prompt holds {what}: {shown[:120]}",
            at=document.at(),
            action=Action.NOTE if what is Oddity.ADDRESS else Action.REVIEW,
            symbol=shown[:80],
            evidence=(Text("The text, spelled out", text=shown),),
        )
