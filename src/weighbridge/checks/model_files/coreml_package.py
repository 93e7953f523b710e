"""Check `coreml-package`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.checks.model_files.archive_escape import leaves
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Json


@check("coreml-package", control="payload-scan", reads=Json)
def coreml_package(document: Json) -> Iterator[Finding]:
    """A Core ML package's manifest names a file outside the package.

    ## Why it matters
    The manifest of an `.mlpackage` says which files under `Data` are its model and weights. A path
    that climbs out makes whoever loads or copies the package take a file that is not part of it.

    ## What to do
    Do not load it; no tool of Apple's writes such a path.

    ## Limits
    Only the paths are judged; the files themselves are read as what they are.

    ## References
    - https://apple.github.io/coremltools/docs-guides/source/mlmodel-utilities.html
    - https://cwe.mitre.org/data/definitions/22.html
    """
    value = document.value
    entries = value.get("itemInfoEntries") if isinstance(value, dict) else None
    if not isinstance(entries, dict) or "rootModelIdentifier" not in value:
        return
    for key, entry in entries.items():
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and leaves(path):
            yield Finding(
                message=f"the package's manifest names {path[:200]!r}, outside it",
                at=document.where,
                action=Action.BLOCK,
                symbol=path[:200],
                evidence=(Text("The entry", text=f"{key}: {path[:2_000]}"),),
            )
