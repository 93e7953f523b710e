"""Check `gguf-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.gguf import OVERFLOW, Flaw, Gguf

SHOWN = 20


@check("gguf-structure", control="payload-scan", reads=Gguf)
def gguf_structure(document: Gguf) -> Iterator[Finding]:
    """The file breaks a rule of the GGUF format.

    ## Why it matters
    Readers in C trust the sizes of the header. Sizes that overflow, tensors that overlap and
    offsets behind the end have been heap overflows in llama.cpp; a key that stands twice lets two
    readers load different models.

    ## What to do
    Do not load a file whose sizes overflow. If tensors end behind the file, the download was cut:
    fetch it again. Otherwise ask the publisher to convert the model again; the usual converters
    write none of this.

    ## Limits
    The tensors' values are not looked at. The sizes of types that are newer than this release
    cannot be checked, which is a gap.

    ## References
    - https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    - https://nvd.nist.gov/vuln/detail/CVE-2024-21802
    - https://nvd.nist.gov/vuln/detail/CVE-2024-23496
    - https://nvd.nist.gov/vuln/detail/CVE-2025-53630
    - https://cwe.mitre.org/data/definitions/190.html
    """
    broken: dict[str, list[Flaw]] = {}
    for flaw in document.flaws:
        broken.setdefault(flaw.kind, []).append(flaw)
    for kind, flaws in broken.items():
        first, more = flaws[0], len(flaws) - 1
        rows = tuple((f.message,) for f in flaws[:SHOWN])
        yield Finding(
            message=first.message + (f", and {more:,} more of the kind" if more else ""),
            at=document.at(first.offset),
            action=Action.BLOCK if kind == OVERFLOW else Action.REVIEW,
            symbol=kind,
            evidence=(Table("Where the header breaks the rule", ("what",), rows),),
        )
