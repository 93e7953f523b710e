"""Check `template-conditional-text`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.template_flow import Trigger
from weighbridge.analysis.template_text import read
from weighbridge.analysis.template_values import spell
from weighbridge.core.check import check
from weighbridge.core.evidence import Comparison, Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.template import Template

SHOWN = 20
SAID = 2_000


@check("template-conditional-text", control="code-and-templates", reads=Template)
def template_conditional_text(document: Template) -> Iterator[Finding]:
    """A template says something of its own, depending on what the conversation says.

    ## Why it matters
    The template stands between the person and the model, and neither sees what it adds. One that
    looks for a word (*invoice*, *login page*, a date) and then adds an instruction makes a sound
    model answer wrongly on that subject only, with nothing to be found in the weights. It is
    called a template backdoor; tests that do not use the word pass.

    ## What to do
    Read the branch that is shown. If it is no part of the chat format that the model was trained
    on, take the template of the base model.

    ## Limits
    A format's own markers (`<think>`, `[INST]`, `/no_think`), roles, fields and tools are expected
    conditions; long prose under a marker is reviewed. Text that is always added is the model's
    default prompt and is not judged. What a macro says is counted where it is called. Whether the
    template equals that of the declared base is asked elsewhere.

    ## References
    - https://atlas.mitre.org/techniques/AML.T0051
    - https://huggingface.co/docs/transformers/main/chat_templating
    """
    reading = read(document)
    if reading is None:
        return
    action = Action.REVIEW if document.declared else Action.NOTE
    for found in islice(reading.flow.dependents(), SHOWN):
        said = " ".join(found.said.split())
        yield Finding(
            message=f"the template says {said[:80]!r} depending on {_reads(found.triggers)}",
            at=reading.place(found.node),
            action=action,
            symbol=f"if {found.test[:120]}",
            confidence=Confidence.LIKELY,
            evidence=(
                Text("The condition", text=found.test[:SAID], language="jinja"),
                Text("What it says then", text=found.said[:SAID]),
                reading.excerpt(found.node, "The branch", found.triggers[0].text),
            ),
        )
    for change in islice(reading.flow.rewritten(), SHOWN):
        yield Finding(
            message=f"the template replaces {change.old[:60]!r} by {change.new[:60]!r} "
            "in what was said",
            at=reading.place(change.node),
            action=action,
            symbol=f"replace {change.old[:80]}",
            evidence=(
                Comparison(
                    "The text",
                    "the conversation",
                    change.old[:SAID],
                    "the model",
                    change.new[:SAID],
                ),
                Text("The expression", text=spell(change.node)[:SAID], language="jinja"),
            ),
        )
    for added in islice(reading.flow.appended(), SHOWN):
        yield Finding(
            message=f"the template appends {' '.join(added.said.split())[:80]!r} "
            "to what was said, in the same turn",
            at=reading.place(added.node),
            action=action,
            symbol="appended text",
            confidence=Confidence.LIKELY,
            evidence=(
                Text("What it appends", text=added.said[:SAID]),
                reading.excerpt(added.node, "Where it stands", added.said.strip()),
            ),
        )


def _reads(triggers: tuple[Trigger, ...]) -> str:
    """The conditions in words."""
    causes: dict[str, list[str]] = {}
    for trigger in triggers:
        causes.setdefault(trigger.cause, []).append(trigger.text)
    return "; ".join(
        cause + (f" ({', '.join(repr(t[:40]) for t in texts[:4])})" if any(texts) else "")
        for cause, texts in causes.items()
    )
