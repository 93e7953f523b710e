"""Check `source-starts-program`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.python_acts import (
    Act,
    Acts,
    Origin,
    capped,
    excerpt,
    moment,
    place_of,
    read,
)
from weighbridge.core.check import Domain, check
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.python_source import PythonSource

LOADED: Final = regex(
    r"(?:^|/)(?:__init__|handler|(?:modeling|modelling|configuration|tokenization|processing"
    r"|image_processing|video_processing|feature_extraction|pipeline|generation|generate)\w*)"
    r"\.py$"
)
"""Files that loaders import by their customary names, whatever else they look like."""


@check(
    "source-starts-program", control="code-and-templates", reads=PythonSource, domain=Domain.MODEL
)
def source_starts_program(source: PythonSource) -> Iterator[Finding]:
    """Code that comes with the model starts a program.

    ## Why it matters
    A model computes; it has no need of a shell. What is started when the file is imported has
    already run by the time anybody looks at the model's answers.

    ## What to do
    Do not load the model with its code. If the program is harmless (a compiler, a probe of the
    graphics card), ask the publisher to leave it out, or waive the finding with your reason.

    ## Limits
    Whether an argument is harmless is not judged. Functions that another file calls count as not
    called on import. Files made to be started by hand (with a `__main__` guard or `argparse`) are
    a review.

    ## References
    - https://cwe.mitre.org/data/definitions/78.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    acts = read(source)
    for act in acts.with_effect("execute"):
        if act.origin is Origin.PLAIN and not act.built:
            does = "is handed on, to start a program" if act.handed else "starts a program"
            yield Finding(
                message=f"{act.name} {does} {moment(act)}"
                + (f": {act.text[:100]!r}" if act.text else ""),
                at=place_of(source, act.node),
                action=capped(source, _action(source, acts, act)),
                symbol=f"{act.name} {act.scope}".strip(),
                evidence=(excerpt(source, act.node, "Where it does"),),
            )


def _action(source: PythonSource, acts: Acts, act: Act) -> Action:
    if not act.on_import or act.handed:
        return Action.REVIEW
    loaded = LOADED.search(source.where.path) or not acts.is_script
    return Action.BLOCK if loaded else Action.REVIEW
