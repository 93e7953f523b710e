"""Check `tflite-structure`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.tflite import Flaw, Tflite

SHOWN = 20


@check("tflite-structure", control="payload-scan", reads=Tflite)
def tflite_structure(model: Tflite) -> Iterator[Finding]:
    """The model's numbers lead out of the lists that they belong to, or out of its folder.

    ## Why it matters
    The interpreter is C++ and has believed such numbers: a tensor that does not exist was read and
    written behind the end of an array, a subgraph that calls itself overflowed the stack. Weights
    in another file are whatever that file holds; a path that leaves the folder reads somebody
    else's.

    ## What to do
    Do not load it with an interpreter that is older than the file. If only a buffer lies behind the
    file, the download was cut: fetch it again.

    ## Limits
    Shapes are compared with the buffers of constant tensors only; operators' own rules about their
    inputs are not checked.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2020-15211
    - https://nvd.nist.gov/vuln/detail/CVE-2021-29591
    - https://cwe.mitre.org/data/definitions/129.html
    """
    broken: dict[str, list[Flaw]] = {}
    for flaw in model.flaws:
        broken.setdefault(flaw.kind, []).append(flaw)
    for kind, flaws in broken.items():
        more = len(flaws) - 1
        yield Finding(
            message=flaws[0].message + (f", and {more:,} more of the kind" if more else ""),
            at=model.where,
            action=Action.REVIEW,
            symbol=kind,
            evidence=(
                Table("What is broken", ("what",), tuple((f.message,) for f in flaws[:SHOWN])),
            ),
        )
    for path in model.files:
        parts = path.replace("\\", "/").split("/")
        leaves = ".." in parts or path[:1] in ("/", "\\") or ":" in parts[0]
        yield Finding(
            message=f"tensors' values are in another file: {path[:200]!r}"
            + (", outside the model's folder" if leaves else ""),
            at=model.where,
            action=Action.REVIEW if leaves else Action.NOTE,
            symbol=path[:200],
        )
