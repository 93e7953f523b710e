"""Check `native-program`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.native import Native

SHOWN = 40


@check("native-program", control="payload-scan", reads=Native)
def native_program(native: Native) -> Iterator[Finding]:
    """A program is among the model's files.

    ## Why it matters
    Weights are data. A native program or library beside them, inside an archive or a pickle, or
    in bytes that no tensor accounts for, runs as soon as something starts or loads it, and no
    format check can say what it does.

    ## What to do
    Find out what loads it and why. If nothing does, delete it. If it is a kernel or a custom
    operator, build it from its source instead.

    ## Limits
    It is recognised by its header, and its code is not analysed. Imported libraries are listed
    as the file names them; it may load others while it runs.

    ## References
    - https://atlas.mitre.org/techniques/AML.T0018.002
    """
    program = native.program
    if native.where.inside and native.where.inside[-1].startswith("program at byte "):
        return  # a part of a universal binary, which was told already
    rows = [("kind", program.kind), ("use", program.use), ("machine", program.machine)]
    rows += [("imports", name) for name in program.imports[:SHOWN]]
    yield Finding(
        message=f"a native program is among the model's files "
        f"({program.kind} {program.use} for {program.machine})",
        at=native.where,
        action=Action.REVIEW,
        symbol=program.kind,
        evidence=(Table("What its header says", columns=("field", "value"), rows=tuple(rows)),),
    )
