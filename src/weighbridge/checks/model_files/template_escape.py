"""Check `template-escape`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from weighbridge.analysis.template_reach import CERTAIN, Reach, Way, reaches
from weighbridge.analysis.template_text import read
from weighbridge.analysis.template_values import spell
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.template import Template

SHOWN = 20
_DANGEROUS_HOST = ("os.", "sys.", "subprocess.", "builtins.", "importlib.")


@check("template-escape", control="code-and-templates", reads=Template)
def template_escape(document: Template) -> Iterator[Finding]:
    """A template reaches out of what it was given: Python's internals, the host, or files.

    ## Why it matters
    A chat template is rendered for every conversation. From any value it can walk to its class,
    from there to all classes and to a module that starts programs: in a renderer without a
    sandbox, that is the run of arbitrary code by a model file that holds no code at all
    (CVE-2024-34359 in llama-cpp-python, and its relatives in serving engines). No chat format
    needs such a walk, and Jinja's own sandbox refuses it.

    ## What to do
    Do not load this model. Take the template of the base model instead; render templates only in
    an immutable sandbox.

    ## Limits
    Names that are put together from constants are worked out; one that is made from what a
    conversation says is reviewed, not known. Only Jinja is read. A renderer may have filters and
    functions of its own, whose effects are not known.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2024-34359
    - https://cwe.mitre.org/data/definitions/1336.html
    - https://jinja.palletsprojects.com/en/stable/sandbox/
    """
    reading = read(document)
    if reading is None:
        return
    said: set[tuple[Way, tuple[str, ...]]] = set()
    for reach in islice(reaches(reading.tree, reading.values), 500):
        if (reach.way, reach.names) in said or len(said) >= SHOWN:
            continue
        said.add((reach.way, reach.names))
        action = _action(reach, document)
        shown = " → ".join(n[:60] for n in reach.names[:8])
        yield Finding(
            message=f"the template {reach.way}: {shown}",
            at=reading.place(reach.node),
            action=action,
            symbol=shown,
            confidence=Confidence.CONFIRMED if reach.way in CERTAIN else Confidence.LIKELY,
            evidence=(
                Text("The expression", text=spell(reach.node)[:2_000], language="jinja"),
                reading.excerpt(reach.node, "Where it stands", reach.names[0]),
            ),
        )


def _action(reach: Reach, document: Template) -> Action:
    if not document.declared:  # a text that only looks like a template: who would render it?
        return Action.REVIEW if reach.way in CERTAIN else Action.NOTE
    if reach.way in CERTAIN:
        return Action.BLOCK
    if reach.names == ("__class__", "__name__"):
        return Action.NOTE  # the name of a type: clumsy, and leads nowhere
    if reach.way is Way.HOST and reach.names[0].startswith(_DANGEROUS_HOST):
        return Action.BLOCK
    if reach.way is Way.INCLUDE and not document.where.inside:
        return Action.NOTE  # templates of a program are kept in parts; a chat template never is
    return Action.REVIEW
