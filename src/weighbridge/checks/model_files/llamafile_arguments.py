"""Check `llamafile-arguments`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.text import Written

READ: Final = 64 << 10
QUOTED: Final = 2_000
_OPEN: Final = regex(
    r"^--unsecure$|^--host\n(?!127\.|localhost$|::1$)\S+|^--host=(?!127\.|localhost$|::1$)\S+",
    re.MULTILINE,
)


@check("llamafile-arguments", control="payload-scan", reads=Written)
def llamafile_arguments(document: Written) -> Iterator[Finding]:
    """The arguments that a llamafile starts itself with.

    ## Why it matters
    A llamafile takes its command line from `.args` in its own zip when it is started without one.
    `--unsecure` turns off the sandbox that it puts itself into, `--host` offers its server to the
    network.

    ## What to do
    Start it with arguments of your own, or take the model out and use an engine of yours.

    ## Limits
    Only whether the sandbox is off and where it listens are judged; the rest is shown.

    ## References
    - https://github.com/Mozilla-Ocho/llamafile
    """
    if not document.where.inside or document.where.inside[-1] != ".args":
        return
    text = document.blob.read(0, READ).decode("utf-8", "replace")
    opened = _OPEN.search(text.replace("\r", ""))
    what = " ".join(opened[0].split()) if opened else ""
    yield Finding(
        message=f"it starts itself with {what}"
        if what
        else "it has arguments to start itself with",
        at=document.where,
        action=Action.REVIEW if what else Action.NOTE,
        symbol=what or ".args",
        evidence=(Text("The arguments", text=text[:QUOTED]),),
    )
