"""Check `remote-code`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Configuration

SHOWN: Final = 50


@check("remote-code", control="code-and-templates", reads=Configuration)
def remote_code(document: Configuration) -> Iterator[Finding]:
    """The configuration has a loader import Python code, from the model's files or from elsewhere.

    ## Why it matters
    With `trust_remote_code=True` the classes that `auto_map`, `custom_pipelines`, the index of a
    diffusers pipeline or the modules of a sentence transformer name are imported and run with the
    rights of whoever loads the model. A name of the form `other/repository--module.Class` takes the
    code from another repository, which its owner can change at any time and which this audit has
    not seen.

    ## What to do
    Load without `trust_remote_code` if the library knows the architecture. Otherwise read the files
    that are listed, pin the revision (`revision`, `code_revision`), and copy code that comes from
    another repository beside the model, under your own review.

    ## Limits
    Only what the configuration names is listed; which files these are, and what they import in
    turn, is said by `remote-code-files`. Modules of a diffusers component that may be a library's
    count once their file is there.

    ## References
    - https://huggingface.co/docs/transformers/custom_models
    - https://huggingface.co/docs/diffusers/using-diffusers/custom_pipeline_overview
    - https://cwe.mitre.org/data/definitions/829.html
    """
    named = sorted(set(document.code()), key=lambda c: (c.what, c.written))
    for code in named:
        if code.repository:
            name = code.written.partition("--")[2]
            table = Table("What is named", ("for", "class"), ((code.what, code.written),))
            yield Finding(
                message=f"{code.what} is imported from another repository: {name} of "
                f"{code.repository}",
                at=document.where,
                action=Action.BLOCK,
                symbol=code.written,
                evidence=(table,),
            )
    own = [c for c in named if not c.repository and (c.certain or not c.file)]
    if own:
        count = f"{len(own)} class" + ("es" if len(own) > 1 else "")
        rows = tuple((c.what, c.written) for c in own[:SHOWN])
        yield Finding(
            message=f"{count} of the model's own Python files would be imported: "
            + ", ".join(c.written for c in own[:4])
            + (" …" if len(own) > 4 else ""),
            at=document.where,
            action=Action.REVIEW,
            symbol="auto_map",
            evidence=(Table("What would be imported", ("for", "class"), rows),),
        )
