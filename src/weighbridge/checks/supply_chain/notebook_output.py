"""Check `notebook-output`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.training_ways import drawn
from weighbridge.core.check import check
from weighbridge.core.evidence import AttackPath, Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.notebook import Notebook, Output

QUOTED: Final = 1_000
_SCRIPT: Final = regex(r"<script\b|\son\w{3,20}\s*=|javascript:", re.IGNORECASE)
_SERVER: Final = regex(r"/api/(?:terminals|contents|kernels|sessions)\b|\b_xsrf\b|document\.cookie")
_KERNEL: Final = regex(r"kernel\.(?:execute|requestExecute)\s*\(|kernel\.invokeFunction\s*\(")
_ACTS: Final = regex(
    r"\b(?:os\.(?:system|popen)|subprocess|exec\(|eval\(|urlopen|requests\.|socket|__import__|"
    r"getoutput|!(?:curl|wget|bash|sh)\b)"
)
_SENDS: Final = regex(
    r"(?:\bfetch\s*\(|XMLHttpRequest|sendBeacon\s*\(|new\s+WebSocket\s*\(|new\s+Image\b)"
)
_OUTSIDE: Final = regex(r"(?:https?|wss?)://(?!(?:localhost|127\.|0\.0\.0\.0))[\w.-]+")


@check("notebook-output", control="training-code", reads=Notebook)
def notebook_output(notebook: Notebook) -> Iterator[Finding]:
    """A stored output of a notebook acts in the browser of whoever opens it.

    ## Why it matters
    Outputs hold HTML and JavaScript. In a trusted notebook they run without anybody running a
    cell, with the rights of the page: they can ask the server for terminals, read files, run code
    in the kernel, and send what they find elsewhere.

    ## What to do
    Clear the outputs (`jupyter nbconvert --clear-output`) before you open it, and do not trust the
    notebook. Look at how the output came there.

    ## Limits
    Scripts are searched for what they do, not followed; one that is obfuscated is not understood.
    Scripts that only draw (plots, widgets) are left alone.

    ## References
    - https://jupyter-server.readthedocs.io/en/latest/operators/security.html
    - https://attack.mitre.org/techniques/T1059/007/
    - https://cwe.mitre.org/data/definitions/79.html
    """
    for output in notebook.outputs:
        runs = output.kind == "application/javascript" or _SCRIPT.search(output.text)
        if not runs:
            continue
        found = _judge(output.text)
        if found is not None:
            match, action, does = found
            yield Finding(
                message=f"a stored output {does}",
                at=notebook.in_cell(output.cell),
                action=action,
                symbol=f"{output.kind} {match[0][:40]}",
                evidence=(_way(notebook.in_cell(output.cell), output, does),
                          _quoted(output, match)),
            )  # fmt: skip


def _judge(text: str) -> tuple[re.Match[str], Action, str] | None:
    server, kernel = _SERVER.search(text), _KERNEL.search(text)
    outside = _OUTSIDE.search(text) if _SENDS.search(text) else None
    if kernel is not None and _ACTS.search(text, kernel.start(), kernel.start() + 4_000):
        return kernel, Action.BLOCK, "has the kernel run a command"
    if server is not None and (_SENDS.search(text) or outside is not None):
        does = "asks the notebook's server for what a page has no business with"
        return server, Action.BLOCK, does
    if outside is not None:
        return outside, Action.REVIEW, f"can send to {outside[0]} from the browser"
    return None


def _way(at: Location, output: Output, does: str) -> AttackPath:
    runs = "opening the notebook in a browser, once it is trusted, runs it"
    steps = [("whoever saved the notebook", at), (f"stored as {output.kind}", at), (runs, at)]
    return drawn("From a stored output to whoever opens it", [*steps, (f"it {does}", at)])


def _quoted(output: Output, found: re.Match[str]) -> Text:
    start = max(0, found.start() - QUOTED // 2)
    return Text("The output", text=output.text[start : start + QUOTED], language="html")
