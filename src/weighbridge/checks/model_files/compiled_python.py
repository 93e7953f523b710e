"""Check `compiled-python`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.code_names import acting_names
from weighbridge.analysis.disassembly import disassembly
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.bytecode import Bytecode
from weighbridge.intel.opcodes import version_of


@check("compiled-python", control="payload-scan", reads=Bytecode)
def compiled_python(code: Bytecode) -> Iterator[Finding]:
    """Compiled Python is among the model's files, or inside one of them.

    ## Why it matters
    Compiled code is code that nobody can review at a glance. Inside a pickle or an archive it is
    there to be executed by something else.

    ## What to do
    Ask for the source, review it, and delete the compiled form. If it uses names that start
    programs, do not load the model.

    ## Limits
    The listing shows the calls and the instructions (CPython 3.6 to 3.14), shortened; the action
    follows from the names and texts in the code. What it computes its names from is not worked
    out, and where the version of its instructions cannot be told, names are all that is shown.

    ## References
    - https://docs.python.org/3/library/marshal.html
    - https://cwe.mitre.org/data/definitions/506.html
    """
    acting = acting_names(code.names)
    using = f" that uses {', '.join(acting[:6])}" if acting else ""
    names = "\n".join(code.names[:200])
    shown = Text("Names and texts in the code", text=names)
    if code.code is not None:
        version = version_of(code.magic) if code.magic is not None else None
        shown = disassembly(code.code, version, names)
    yield Finding(
        message=f"compiled Python code{using}",
        at=code.where,
        action=Action.BLOCK if acting else Action.REVIEW,
        symbol="compiled code",
        evidence=(shown,),
    )
