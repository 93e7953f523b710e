"""What Ollama keeps beside the weights of a model: its template, in Go's language for templates,
and its system prompt. Neither is rendered.

Source: https://pkg.go.dev/text/template (actions, pipelines, `if`, `range`, `with`, `define`).
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import GO_TEMPLATE, SYSTEM_PROMPT, Written

LIMIT: Final = 1 << 20
DEPTH: Final = 200
ACTIONS: Final = 50_000
_TOKEN: Final = regex(
    r"""(?P<space>\s+)|(?P<end>-?\}\})|(?P<comment>/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<letter>'(?:[^'\\\n]|\\.)+')
    |(?P<number>[+-]?\d[\w.+-]*)|(?P<word>\$?\w*(?:\.\w+)+|\$\w*|\.|\w+)
    |(?P<sign>:=|[()|,=])""",
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = frozenset({"if", "range", "with", "define", "block"})


class Token(Struct, frozen=True):
    """A part of an action: its kind (`string`, `letter`, `number`, `word`, `sign`) and its text,
    a string without its quotes."""

    kind: str
    text: str


class Said(Struct, frozen=True):
    """Text that is put out as it stands."""

    text: str


class Put(Struct, frozen=True):
    """An action that puts something out, or sets a variable. `line` starts at 1."""

    tokens: tuple[Token, ...]
    line: int


class Branch(Struct, frozen=True):
    """What is done under a condition: `keyword` is `if`, `range`, `with`, `define`, `block`;
    `otherwise` is its `else`, in which an `else if` stands as a branch of its own. `test` is the
    condition as it is written."""

    keyword: str
    test: str
    tokens: tuple[Token, ...]
    line: int
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node = Said | Put | Branch


class GoTemplate(Document, frozen=True, kw_only=True, eq=False):
    """A template and its tree."""

    source: str
    nodes: tuple[Node, ...]


class SystemPrompt(Written, frozen=True, kw_only=True, eq=False):
    """What a model is told before every conversation."""

    text: str


class _Open(Struct):
    """A branch whose `end` has not come. `chained`: it is closed with the one around it."""

    keyword: str
    test: str
    tokens: tuple[Token, ...]
    line: int
    body: list[Node]
    otherwise: list[Node]
    chained: bool = False
    turned: bool = False

    @property
    def current(self) -> list[Node]:
        """Where what comes next belongs."""
        return self.otherwise if self.turned else self.body


def parse(source: str) -> tuple[Node, ...]:
    """The tree of a template. Raises `Malformed`."""
    root = _Open("", "", (), 1, [], [])
    stack = [root]
    at, line, counted = 0, 1, 0
    while (opening := source.find("{{", at)) >= 0:
        if opening > at:
            stack[-1].current.append(Said(source[at:opening]))
        line += source.count("\n", at, opening)
        tokens, end = _action(source, opening)
        written = source[opening + 2 : end - 2].strip("- \t\r\n")
        counted += 1
        if counted > ACTIONS or len(stack) > DEPTH:
            raise Malformed("a template that is too large or nested too deep", opening)
        _place(stack, tokens, written, line, opening)
        line += source.count("\n", opening, end)
        at = end
    if len(stack) > 1:
        raise Malformed(f"a template with a {stack[-1].keyword} that does not end", len(source))
    if at < len(source):
        root.body.append(Said(source[at:]))
    return tuple(root.body)


def _action(source: str, opening: int) -> tuple[tuple[Token, ...], int]:
    """The tokens between `{{` and `}}`, and where it ends."""
    at = opening + 2
    if source[at : at + 1] == "-" and source[at + 1 : at + 2].isspace():
        at += 1
    tokens: list[Token] = []
    while True:
        found = _TOKEN.match(source, at)
        if found is None:
            raise Malformed("an action that Go does not take", at)
        at = found.end()
        kind, text = found.lastgroup or "", found[0]
        if kind == "end":
            return tuple(tokens), at
        if kind == "string":
            text = text[1:-1] if text[0] == "`" else _unquoted(text[1:-1])
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, text))


_ESCAPE: Final = regex(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SHORT: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquoted(text: str) -> str:
    def spelled(found: re.Match[str]) -> str:
        digits = found[1] or found[2] or found[3]
        if not digits:
            return _SHORT.get(found[4], found[4])
        number = int(digits, 16)
        return chr(number) if number <= 0x10FFFF else "\ufffd"

    return _ESCAPE.sub(spelled, text)


def _place(stack: list[_Open], tokens: tuple[Token, ...], written: str, line: int, at: int) -> None:
    """Put an action where it belongs; open, turn or close a branch."""
    word = tokens[0].text if tokens and tokens[0].kind == "word" else ""
    if word in _OPENING:
        test = written.removeprefix(word).strip()
        stack.append(_Open(word, test, tokens[1:], line, [], []))
    elif word == "else":
        if len(stack) < 2 or stack[-1].turned:
            raise Malformed("an else without an if", at)
        stack[-1].turned = True
        if len(tokens) > 1:
            inner = tokens[1].text
            test = written.removeprefix(word).strip().removeprefix(inner).strip()
            stack.append(_Open(inner, test, tokens[2:], line, [], [], chained=True))
    elif word == "end":
        while True:
            if len(stack) < 2:
                raise Malformed("an end without an if", at)
            closed = stack.pop()
            branch = Branch(
                closed.keyword, closed.test, closed.tokens, closed.line,
                tuple(closed.body), tuple(closed.otherwise),
            )  # fmt: skip
            stack[-1].current.append(branch)
            if not closed.chained:
                return
    elif tokens:
        stack[-1].current.append(Put(tokens, line))


def _text(blob: Blob, what: str) -> str:
    if blob.size > LIMIT:
        raise Malformed(f"{what} of more than {LIMIT:,} bytes", LIMIT)
    try:
        return blob.read(0, blob.size).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} that is not text", error.start) from None


def _unread(where: Location, error: Malformed) -> tuple[Gap, ...]:
    """A layer's role keeps quiet what a format cannot read; here that is said."""
    return (Gap(kind=GapKind.MALFORMED, message=f"it was not read: {error.why}", at=where),)


def _go_template(blob: Blob, where: Location, limits: Limits) -> GoTemplate:
    try:
        source = _text(blob, "a template")
        nodes = parse(source)
    except Malformed as error:
        gaps = _unread(where, error)
        return GoTemplate(where=where, size=blob.size, seen=0, gaps=gaps, source="", nodes=())
    return GoTemplate(where=where, size=blob.size, seen=blob.size, source=source, nodes=nodes)


def _system_prompt(blob: Blob, where: Location, limits: Limits) -> SystemPrompt:
    try:
        text = _text(blob, "a system prompt")
    except Malformed as error:
        gaps = _unread(where, error)
        return SystemPrompt(where=where, size=blob.size, seen=0, gaps=gaps, blob=blob, text="")
    return SystemPrompt(where=where, size=blob.size, seen=blob.size, blob=blob, text=text)


def _is_go_template(sample: Sample) -> bool:
    return sample.blob.role == GO_TEMPLATE


def _is_system_prompt(sample: Sample) -> bool:
    return sample.blob.role == SYSTEM_PROMPT


TEMPLATE = Format(
    name="go-template",
    title="Go template",
    loading=Loading.DATA,
    sniff=_is_go_template,
    parse=_go_template,
    document=GoTemplate,
    limits="Only where Ollama's manifest says so; up to 1 MiB; never rendered.",
)
PROMPT = Format(
    name="system-prompt",
    title="System prompt",
    loading=Loading.DATA,
    sniff=_is_system_prompt,
    parse=_system_prompt,
    document=SystemPrompt,
    limits="Only where Ollama's manifest says so; up to 1 MiB.",
)
