"""Check `native-program`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Artifact, check
from weighbridge.core.finding import Action, Finding

NATIVE = {
    "elf": "an ELF program or library",
    "pe": "a Windows program or library",
    "mach-o": "a macOS program or library",
    "java-class": "a Java class",
}


@check("native-program", control="payload-scan", reads=Artifact)
def native_program(artifact: Artifact) -> Iterator[Finding]:
    """A program is among the model's files.

    ## Why it matters
    Weights are data. A native program or library beside them, or inside an archive or a pickle,
    runs as soon as something starts or loads it, and no format check can say what it does.

    ## What to do
    Find out what loads it and why. If nothing does, delete it. If it is a kernel or a custom
    operator, build it from its source instead.

    ## Limits
    It is recognised by its header, and its code is not analysed.

    ## References
    - https://atlas.mitre.org/techniques/AML.T0018.002
    """
    for name in artifact.formats:
        if name in NATIVE:
            yield Finding(
                message=f"{NATIVE[name]} is among the model's files",
                at=artifact.where,
                action=Action.REVIEW,
                symbol=name,
            )
