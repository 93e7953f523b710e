"""Check `executorch-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.executorch import Executorch, Flaw

SHOWN = 100


@check("executorch-structure", control="payload-scan", reads=Executorch)
def executorch_structure(program: Executorch) -> Iterator[Finding]:
    """The program's numbers lead out of the lists that they belong to, or out of the file.

    ## Why it matters
    The runtime is C++ made for small devices. It has believed such numbers: sums of offsets and
    sizes that wrapped around, values that do not exist, segments behind the end of the file.

    ## What to do
    Do not load it with a runtime that is older than the file. If only a segment lies behind the
    end, the download was cut: fetch it again.

    ## Limits
    Shapes are not compared with the bytes of constants, nor arguments with what kernels expect.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2025-30405
    - https://nvd.nist.gov/vuln/detail/CVE-2025-54950
    - https://cwe.mitre.org/data/definitions/129.html
    """
    broken: dict[str, list[Flaw]] = {}
    for flaw in program.flaws:
        broken.setdefault(flaw.kind, []).append(flaw)
    for kind, flaws in broken.items():
        more = len(flaws) - 1
        rows = tuple((f.message,) for f in flaws[:SHOWN])
        yield Finding(
            message=flaws[0].message + (f", and {more:,} more of the kind" if more else ""),
            at=program.where,
            action=Action.REVIEW,
            symbol=kind,
            evidence=(Table("What is broken", ("what",), rows),),
        )
