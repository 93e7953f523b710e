"""Check `polyglot`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import Artifact, check
from weighbridge.core.finding import Action, Finding

TOGETHER = (
    {"tflite", "zip"},
    {"pickle", "torch-mobile-bytecode"},
    {"torchscript", "zip"},
)
"""TensorFlow Lite packs label files behind a model; the lite interpreter's bytecode is a pickle, a
TorchScript archive a zip. Both are read."""
PROGRAMS = frozenset({"ape", "elf", "pe", "mach-o"})
"""Programs carry their files in a zip behind them (llamafile, self-extracting archives); both are
read, and the program is a finding of its own."""
PLAIN = frozenset(
    {"text", "json", "yaml", "xml", "git-config", "csv", "python", "script", "empty", "leftover",
     "dockerfile", "entry-points", "exported-program", "openvino", "os-release",
     "package-metadata", "requirements", "system-packages"}
)  # fmt: skip


@check("polyglot", control="payload-scan", reads=Artifact)
def polyglot(artifact: Artifact) -> Iterator[Finding]:
    """One file is valid in several formats at once.

    ## Why it matters
    Which of its contents acts depends on the program that opens it. A scanner that believes the
    first format it recognises does not see the other.

    ## What to do
    Ask the publisher for a file that is one thing. The findings of each reading are listed.

    ## Limits
    Only formats that Weighbridge recognises count; a text format beside a protocol 0 pickle is
    not reported, since every such pickle is text.

    ## References
    - https://attack.mitre.org/techniques/T1036/008/
    """
    formats = [f for f in artifact.formats if f not in PLAIN]
    carries = set(formats) - PROGRAMS == {"zip"}
    if len(formats) > 1 and set(formats) not in TOGETHER and not carries:
        yield Finding(
            message=f"this file reads as {' and as '.join(formats)}",
            at=artifact.where,
            action=Action.REVIEW,
            symbol=", ".join(formats),
        )
