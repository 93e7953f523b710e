"""Check `compiled-python`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.code_names import acting_names
from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.bytecode import Bytecode


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
    The names and texts of the code are listed; its instructions are not followed.

    ## References
    - https://docs.python.org/3/library/marshal.html
    - https://cwe.mitre.org/data/definitions/506.html
    """
    acting = acting_names(code.names)
    using = f" that uses {', '.join(acting[:6])}" if acting else ""
    yield Finding(
        message=f"compiled Python code{using}",
        at=code.where,
        action=Action.BLOCK if acting else Action.REVIEW,
        symbol="compiled code",
        evidence=(Text("Names and texts in the code", text="\n".join(code.names[:200])),),
    )
