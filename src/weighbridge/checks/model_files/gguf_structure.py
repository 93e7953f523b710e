"""Check `gguf-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.gguf import Gguf


@check("gguf-structure", control="payload-scan", reads=Gguf)
def gguf_structure(document: Gguf) -> Iterator[Finding]:
    """The file breaks a rule of the GGUF format.

    ## Why it matters
    Readers in C trust the sizes of the header. Sizes that overflow, tensors that overlap and
    offsets behind the end have been heap overflows in llama.cpp; a key that stands twice lets two
    readers load different models.

    ## What to do
    Do not load a file whose sizes overflow. Ask the publisher to convert the model again; the
    usual converters write none of this.

    ## Limits
    The tensors' values are not looked at. Types that are newer than this release are told as
    unknown.

    ## References
    - https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    - https://nvd.nist.gov/vuln/detail/CVE-2024-23496
    - https://nvd.nist.gov/vuln/detail/CVE-2025-53630
    - https://cwe.mitre.org/data/definitions/190.html
    """
    for flaw in document.flaws:
        yield Finding(
            message=flaw.message,
            at=document.at(flaw.offset),
            action=Action.BLOCK if flaw.overflow else Action.REVIEW,
            symbol=flaw.message,
        )
