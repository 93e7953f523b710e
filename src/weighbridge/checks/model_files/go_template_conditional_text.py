"""Check `go-template-conditional-text`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.go_template import dependents
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.core.location import Location
from weighbridge.formats.ollama import GoTemplate

SHOWN = 20


@check("go-template-conditional-text", control="code-and-templates", reads=GoTemplate)
def go_template_conditional_text(document: GoTemplate) -> Iterator[Finding]:
    """An Ollama template says something of its own, depending on what the conversation says.

    ## Why it matters
    Ollama puts every conversation through the template that comes with the model. A branch that
    looks for a word, or a date, and then adds an instruction changes the answers on that subject
    only; the person does not see it, and nothing of it is in the weights.

    ## What to do
    Read the branch that is shown. `ollama show --template NAME` prints the whole template; compare
    it with the one that the model's own publisher distributes.

    ## Limits
    Conditions on whether there is a text, how long it is, on roles and on tools are expected and
    not judged. A comparison with a text that the template puts together itself is not followed, nor
    is one with the name of a tool. A message that must also have a role of its own (`control`) is a
    note: programs use that to switch modes.

    ## References
    - https://github.com/ollama/ollama/blob/main/docs/template.mdx
    - https://pkg.go.dev/text/template
    - https://atlas.mitre.org/techniques/AML.T0051
    """
    for found in islice(dependents(document), SHOWN):
        at = document.where
        yield Finding(
            message=f"the template says {found.said[:80]!r} depending on {found.on[:120]!r}",
            at=Location(at.path, at.inside, line=found.branch.line),
            action=Action.NOTE if found.marked else Action.REVIEW,
            symbol=f"if {found.branch.test[:120]}",
            confidence=Confidence.LIKELY,
            evidence=(
                Text("The condition", text=found.branch.test[:2_000]),
                Text("What it says then", text=found.said[:2_000]),
            ),
        )
