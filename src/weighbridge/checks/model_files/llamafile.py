"""Check `llamafile`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.checks.model_files.polyglot import PROGRAMS
from weighbridge.core.check import Artifact, Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding

MODELS: Final = frozenset({"gguf", "ggml", "safetensors", "onnx", "tflite"})
SHOWN: Final = 100


@check("llamafile", control="payload-scan", reads=Audit)
def llamafile(audit: Audit) -> Iterator[Finding]:
    """A native program has a model inside it: a llamafile, or one made in its manner.

    ## Why it matters
    A llamafile is a program for several systems with an engine, a web server and the weights in
    one file. Whoever starts it to try the model runs that program. The weights alone need no
    program to come with them, and nothing in the file shows that its engine is the one published.

    ## What to do
    Take the model out (it is a zip: `unzip`), and load it with an engine of your own. If you need
    the program, compare its sha256 with the publisher's release and give it a sandbox.

    ## Limits
    The model inside is read like any other; the program's code is not, which is a gap.

    ## References
    - https://github.com/Mozilla-Ocho/llamafile
    - https://attack.mitre.org/techniques/T1204/002/
    """
    members: dict[str, list[Artifact]] = {}
    for artifact in audit.artifacts:
        if artifact.where.inside:
            members.setdefault(artifact.where.path, []).append(artifact)
    for artifact in audit.artifacts:
        if "zip" not in artifact.formats or not PROGRAMS.intersection(artifact.formats):
            continue
        depth = len(artifact.where.inside)
        inside = [
            m
            for m in members.get(artifact.where.path, ())
            if len(m.where.inside) == depth + 1 and m.where.inside[:depth] == artifact.where.inside
        ]
        models = [m for m in inside if MODELS.intersection(m.formats)]
        if not models:
            continue
        kind = "a llamafile: a" if "ape" in artifact.formats else "a"
        names = ", ".join(m.where.inside[-1] for m in models[:3])
        rows = tuple(
            (m.where.inside[-1], ", ".join(m.formats), f"{m.size:,}")
            for m in sorted(inside, key=lambda m: m not in models)[:SHOWN]
        )
        yield Finding(
            message=f"{kind} native program with a model inside ({names})",
            at=artifact.where,
            action=Action.REVIEW,
            symbol="model in a program",
            evidence=(Table("What is inside", ("member", "format", "bytes"), rows),),
        )
