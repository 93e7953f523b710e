"""Check `torchserve-handler`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.checks.model_files.archive_escape import leaves
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Json

DEFAULT: Final = frozenset(
    {"base_handler", "image_classifier", "image_segmenter", "object_detector", "text_classifier",
     "text_handler", "vision_handler", "densenet_handler"}
)  # fmt: skip


@check("torchserve-handler", control="code-and-templates", reads=Json)
def torchserve_handler(document: Json) -> Iterator[Finding]:
    """A TorchServe archive names a handler, or requirements, that serving it runs or installs.

    ## Why it matters
    TorchServe imports the handler of a `.mar` archive in its worker and installs the archive's
    requirements first where it is told to. Both run with the server's rights.

    ## What to do
    Read the handler and the requirements before the archive is registered. TorchServe is no longer
    maintained: think of another server.

    ## Limits
    Whether the server installs requirements is not known from the archive.

    ## References
    - https://docs.pytorch.org/serve/custom_service.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    path = (document.where.inside or (document.where.path,))[-1]
    value = document.value
    if not f"/{path}".endswith("/MAR-INF/MANIFEST.json") or not isinstance(value, dict):
        return
    model = value.get("model")
    for key, what in (
        ("handler", "imports the handler"),
        ("requirementsFile", "may install what is listed in"),
    ):
        named = model.get(key) if isinstance(model, dict) else None
        if not isinstance(named, str) or (key == "handler" and named in DEFAULT):
            continue
        outside = leaves(named.partition(":")[0])
        yield Finding(
            message=f"serving this archive {what} {named[:120]!r}"
            + (", which lies outside it" if outside else ""),
            at=document.where,
            action=Action.BLOCK if outside else Action.REVIEW,
            symbol=f"{key}: {named[:120]}",
            evidence=(Text("The manifest", text=f"{key}: {named[:2_000]}"),),
        )
