"""Check `remote-code`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Json

SHOWN: Final = 50


@check("remote-code", control="code-and-templates", reads=Json)
def remote_code(document: Json) -> Iterator[Finding]:
    """The configuration has a loader import Python code, from the model's files or from elsewhere.

    ## Why it matters
    With `trust_remote_code=True` the classes that `auto_map` or `custom_pipelines` name are
    imported and run with the rights of whoever loads the model. A name of the form
    `other/repository--module.Class` takes the code from another repository, which its owner can
    change at any time and which this audit has not seen.

    ## What to do
    Load without `trust_remote_code` if the library knows the architecture. Otherwise read the files
    that are listed, pin the revision (`revision`, `code_revision`), and copy code that comes from
    another repository beside the model, under your own review.

    ## Limits
    Only what the configuration names is listed; what that code imports in turn is in the findings
    of the files themselves.

    ## References
    - https://huggingface.co/docs/transformers/custom_models
    - https://cwe.mitre.org/data/definitions/829.html
    """
    named = sorted(set(_named(document.value)))
    local = [entry for entry in named if "--" not in entry[1]]
    for what, reference in named:
        repository, other, name = reference.partition("--")
        if other:
            yield Finding(
                message=f"{what} is imported from another repository: {name} of {repository}",
                at=document.where,
                action=Action.BLOCK,
                symbol=reference,
                evidence=(Table("What is named", ("for", "class"), ((what, reference),)),),
            )
    if local:
        count = f"{len(local)} class" + ("es" if len(local) > 1 else "")
        yield Finding(
            message=f"{count} of the model's own Python files would be imported: "
            + ", ".join(reference for _, reference in local[:4])
            + (" …" if len(local) > 4 else ""),
            at=document.where,
            action=Action.REVIEW,
            symbol="auto_map",
            evidence=(Table("What would be imported", ("for", "class"), tuple(local[:SHOWN])),),
        )


def _named(value: Any) -> Iterator[tuple[str, str]]:
    """Every class that the configuration names, with what it is for; nested ones too."""
    pending = [value]
    while pending:
        here = pending.pop()
        if isinstance(here, list):
            pending += [v for v in here if isinstance(v, dict | list)]
        if not isinstance(here, dict):
            continue
        pending += [v for v in here.values() if isinstance(v, dict | list)]
        classes = here.get("auto_map")
        if isinstance(classes, str):
            classes = {"auto_map": classes}
        for what, reference in classes.items() if isinstance(classes, dict) else ():
            yield from ((str(what), r) for r in _references(reference))
        pipelines = here.get("custom_pipelines")
        for task, entry in pipelines.items() if isinstance(pipelines, dict) else ():
            if isinstance(entry, dict):
                yield from ((f"pipeline {task}", r) for r in _references(entry.get("impl")))


def _references(value: Any) -> Iterator[str]:
    """A class, or the slow and the fast tokenizer as a pair, either of which may be null."""
    for reference in value if isinstance(value, list) else [value]:
        if isinstance(reference, str) and reference:
            yield reference
