"""Check `safetensors-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.safetensors import Safetensors


@check("safetensors-structure", control="payload-scan", reads=Safetensors)
def safetensors_structure(document: Safetensors) -> Iterator[Finding]:
    """The file breaks a rule of the safetensors format.

    ## Why it matters
    The reference reader refuses such a file; others may not. Overlapping tensors, holes and bytes
    behind the end hide data that no tensor accounts for, and two entries of one name let two
    readers load different weights.

    ## What to do
    Ask the publisher to save the file again with the safetensors library, which writes none of
    this. Do not load it with a reader of your own.

    ## Limits
    The tensors' values are not looked at.

    ## References
    - https://huggingface.co/docs/safetensors
    """
    for flaw in document.flaws:
        yield Finding(
            message=flaw.message,
            at=document.at(flaw.offset),
            action=Action.REVIEW,
            symbol=flaw.message if flaw.kind != "trailing" else flaw.kind,
        )
