"""Check `concealed-code`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.analysis.python_acts import excerpt, read
from weighbridge.analysis.repository import is_aside
from weighbridge.analysis.reverse_shell import reverse_shell
from weighbridge.checks.model_files.source_hides_code import source_hides_code
from weighbridge.core.check import Domain, check
from weighbridge.core.finding import Action, Finding, Gap
from weighbridge.core.location import Location, within
from weighbridge.formats.python_source import PythonSource

_MARKS: Final = re.compile(
    r"(?<![.\w])(?:exec|eval|compile)\s*\(|__import__|\bmarshal\b|fromhex|__subclasses__|\[::-1\]"
    r"|b(?:16|32|64|85)decode|a85decode|decodebytes|unhexlify|codecs\.decode|\bzlib\b"
    r"|__builtins__|__globals__|\bchr\s*\(|\bpty\b|dup2"
)
"""Without any of these nothing is concealed, and no shell is tied to a socket."""


@check(
    "concealed-code", control="training-code", reads=PythonSource, domain=Domain.SOURCE
)
def concealed_code(source: PythonSource) -> Iterator[Finding | Gap]:
    """Source code of the repository hides what it runs, or gives a shell away.

    ## Why it matters
    The code that trains a model is read by those who work on it: nothing in it needs to be decoded
    before it runs. What is, was put there for them not to see, as in the packages that stole
    credentials from machines that build.

    ## What to do
    Look at the decoded text below, and at the commit that brought it. If the code was run anywhere,
    treat the credentials of that machine as stolen.

    ## Limits
    Decoding is followed where it comes from constants of the file. Tests that hold samples of
    attacks are reviews.

    ## References
    - https://attack.mitre.org/techniques/T1027/
    - https://cwe.mitre.org/data/definitions/506.html
    """
    if not _MARKS.search(source.text):
        return
    aside = is_aside(within(source.where.path)[1])
    for found in source_hides_code.run(source):
        yield _placed(source, found, aside) if isinstance(found, Finding) else found
    shell = reverse_shell(read(source))
    if shell is not None:
        yield Finding(
            message="a shell is tied to a network connection",
            at=_line(source, getattr(shell.node, "lineno", 1)),
            action=Action.REVIEW if aside else Action.BLOCK,
            symbol="reverse shell",
            evidence=(excerpt(source, shell.node, "Where it connects"),),
        )


def _placed(source: PythonSource, found: Finding, aside: bool) -> Finding:
    """A finding with its line, one step lower where the file stands aside."""
    line = source.text.encode("utf-8", "surrogatepass")[: found.at.offset or 0].count(b"\n") + 1
    lowered = found.action is Action.BLOCK and aside
    action = Action.REVIEW if lowered else found.action
    return msgspec.structs.replace(found, at=_line(source, line), action=action)


def _line(source: PythonSource, line: int) -> Location:
    return Location(source.where.path, source.where.inside, line=line)
