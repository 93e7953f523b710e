"""Check `concealed-code`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.python_acts import Acts, Origin, excerpt, moment, read
from weighbridge.analysis.repository import is_aside
from weighbridge.analysis.reverse_shell import reverse_shell
from weighbridge.analysis.training_ways import LABEL
from weighbridge.core.check import Domain, check
from weighbridge.core.evidence import AttackPath, Node, Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex
from weighbridge.formats.python_source import PythonSource
from weighbridge.intel.source_calls import known

_DECODERS: Final = ("b64decode", "b32decode", "b16decode", "b85decode", "a85decode", "decodebytes",
                    "unhexlify", "fromhex", "codecs.decode", "marshal")  # fmt: skip
_TURNS: Final = ("[::-1]", "chr(", "zlib", "lzma", "bz2", "reversed(", "translate(")
"""What can spell a text that is not there, and seldom does."""
_REACHES: Final = ("__subclasses__", "__builtins__", "__import__(", "dup2", "pty.spawn")
_RUNS: Final = regex(r"(?<![.\w])(?:exec|eval|compile)\s*\(\s*(?!\))")


def _worth_reading(text: str) -> bool:
    """Whether a text can hide what it runs, or give a shell away: most can be told at a glance."""
    if any(mark in text for mark in (*_DECODERS, *_REACHES)):
        return True
    return any(mark in text for mark in _TURNS) and _RUNS.search(text) is not None


@check("concealed-code", control="training-code", reads=PythonSource, domain=Domain.SOURCE)
def concealed_code(source: PythonSource) -> Iterator[Finding]:
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
    if not _worth_reading(source.text):
        return
    aside = is_aside(within(source.where.path)[1])
    worst = Action.REVIEW if aside else Action.BLOCK
    acts = read(source)
    decodes = bool(acts.hidden) or any(mark in source.text for mark in (*_DECODERS, *_TURNS))
    for act in acts.with_effect("execute", "evaluate", "unmarshal"):
        if act.origin is Origin.DECODED and decodes and act.effect != "execute":
            does = f"{act.name} runs what was decoded, {moment(act)}"
            yield _finding(source, act.node, does, worst, f"{act.name} of decoded", acts)
        elif act.built and act.name in known(act.effect):
            does = f"{act.name} is reached without being spelled out, {moment(act)}"
            yield _finding(source, act.node, does, Action.REVIEW, f"{act.name} built", None)
    for node in acts.climbs:
        does = "it climbs from an object to every class there is, to find one that acts"
        yield _finding(source, node, does, worst, "__subclasses__", None)
    for hidden in acts.hidden:
        does = f"a constant decodes to {hidden.what}: {hidden.text[:120]!r}"
        yield _finding(source, hidden.node, does, worst, hidden.text[:120], acts)
    shell = reverse_shell(acts)
    if shell is not None:
        does = "a shell is tied to a network connection"
        yield _finding(source, shell.node, does, worst, "reverse shell", None)


def _finding(
    source: PythonSource, node: ast.AST, does: str, action: Action, symbol: str, acts: Acts | None
) -> Finding:
    decoded = acts.hidden[:3] if acts is not None else ()
    at = _at(source, node)
    stored = [Node(f"step{n}", f"stored, encoded: {h.what}", "source", _at(source, h.node))
              for n, h in enumerate(decoded)]  # fmt: skip
    steps = [s for s in stored if s.at != at] or stored[:1]
    return Finding(
        message=does,
        at=at,
        action=action,
        symbol=symbol,
        evidence=(
            AttackPath("What is hidden, and what runs it",
                       (*steps, Node("acts", does[:LABEL], "sink", at))),
            excerpt(source, node, "Where it does"),
            *(Text("What is decoded", text=h.text) for h in decoded),
        ),
    )  # fmt: skip


def _at(source: PythonSource, node: ast.AST) -> Location:
    return Location(source.where.path, source.where.inside, line=getattr(node, "lineno", 1))
