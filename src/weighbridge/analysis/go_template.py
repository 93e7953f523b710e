"""What a Go template says of its own, depending on what the conversation says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct, field

from weighbridge.formats.ollama import Branch, GoTemplate, Node, Put, Said, Token

CONTENT: Final = frozenset({"Content", "Prompt", "Response", "Suffix", "System", "Thinking"})
"""The fields that hold what people and the model have said."""
ROLES: Final = frozenset({"user", "assistant", "tool", "system"})
_COMPARES: Final = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_JOINS: Final = frozenset({"and", "or", "not", "len", "print", "printf", "println"})
"""Functions that look for nothing in a text: whether it is there, how long it is, how to write it.
"""


class Dependent(Struct, frozen=True):
    """Text that a template puts out under a condition on what was said.

    `on` is what the condition looks for, `said` the text, `marked` whether the message must also
    have a role of its own, which only a program gives to it.
    """

    branch: Branch
    on: str
    said: str
    marked: bool


class _Call(Struct, frozen=True):
    """A function or a value with what it is given; a value alone has no arguments."""

    parts: tuple[Token | _Call, ...]


class _Reading(Struct):
    """Which variables hold what was said, and which hold the date."""

    content: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)


def dependents(template: GoTemplate) -> Iterator[Dependent]:
    """The branches that look into what was said, or at the date, and say something of their own."""
    reading = _Reading()
    waiting: list[Node] = list(reversed(template.nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Said):
            continue
        calls = _calls(node.tokens)
        _assign(node.tokens, calls, reading)
        if isinstance(node, Put):
            continue
        if node.keyword == "if":
            looked = [text for call in calls for text in _looked_for(call, reading)]
            said = _said(node.body) or _said(node.otherwise)
            if looked and said:
                marked = any(_marked(call) for call in calls)
                yield Dependent(node, ", ".join(dict.fromkeys(looked)), said, marked)
        waiting += reversed((*node.body, *node.otherwise))


def _assign(tokens: Sequence[Token], calls: Sequence[_Call], reading: _Reading) -> None:
    """Follow what was said into the variables that it is kept in."""
    signs = [n for n, t in enumerate(tokens) if t.kind == "sign" and t.text in (":=", "=")]
    if not signs:
        return
    names = {t.text for t in tokens[: signs[0]] if t.text.startswith("$")}
    if any(_reaches(call, reading.content, CONTENT) for call in calls):
        reading.content |= names
    if any(_reaches(call, reading.dates, {"currentDate"}) for call in calls):
        reading.dates |= names


def _calls(tokens: Sequence[Token]) -> list[_Call]:
    """The pipeline behind an assignment, each stage given what the one before came to."""
    start = max((n + 1 for n, t in enumerate(tokens) if t.text in (":=", "=") and t.kind == "sign"),
                default=0)  # fmt: skip
    stack: list[list[Token | _Call]] = [[]]
    before: list[_Call | None] = [None]

    def close() -> _Call:
        parts, given = stack.pop(), before.pop()
        return _Call((*parts, given) if given is not None else tuple(parts))

    for token in tokens[start:]:
        if token.kind == "sign" and token.text == "(":
            stack.append([])
            before.append(None)
        elif token.kind == "sign" and token.text == ")":
            if len(stack) > 1:
                call = close()
                stack[-1].append(call)
        elif token.kind == "sign" and token.text == "|":
            call = close()
            stack.append([])
            before.append(call)
        else:
            stack[-1].append(token)
    while len(stack) > 1:
        call = close()
        stack[-1].append(call)
    return [close()]


def _reaches(call: _Call, variables: set[str], fields: set[str] | frozenset[str]) -> bool:
    """Whether a value is used that is in these variables, or is one of these fields."""
    waiting: list[Token | _Call] = [call]
    while waiting:
        part = waiting.pop()
        if isinstance(part, _Call):
            waiting += part.parts
        elif part.kind == "word":
            head, *rest = part.text.split(".")
            if head in variables or (rest or [head])[-1] in fields:
                return True
    return False


def _looked_for(call: _Call, reading: _Reading) -> Iterator[str]:
    """What the comparisons in a condition look for in what was said."""
    waiting: list[_Call] = [call]
    while waiting:
        looked = waiting.pop()
        waiting += [p for p in looked.parts if isinstance(p, _Call)]
        head = looked.parts[0] if looked.parts else None
        if not isinstance(head, Token) or head.kind != "word" or head.text in _JOINS:
            continue
        if head.text.startswith((".", "$")) or len(looked.parts) < 2:
            continue
        given = looked.parts[1:]
        said = _reaches(_Call(given), reading.content, CONTENT)
        dated = _reaches(_Call(given), reading.dates, {"currentDate"})
        if not said and not dated:
            continue
        for part in given:
            if not isinstance(part, Token):
                continue
            indexed = head.text in _COMPARES and any(_indexes(p) for p in given)
            if part.kind == "string" and part.text.strip():
                yield part.text[:200]
            elif part.kind == "letter" or (part.kind == "number" and indexed):
                yield f"the letter {part.text}"


def _indexes(part: Token | _Call) -> bool:
    """Whether something is one letter of a text."""
    if not isinstance(part, _Call) or not part.parts or not isinstance(part.parts[0], Token):
        return False
    return part.parts[0].text == "index" and _reaches(_Call(part.parts[1:2]), set(), CONTENT)


def _marked(call: _Call) -> bool:
    """Whether a condition demands a role that only a program gives to a message."""
    waiting: list[_Call] = [call]
    while waiting:
        looked = waiting.pop()
        waiting += [p for p in looked.parts if isinstance(p, _Call)]
        words = [p.text for p in looked.parts if isinstance(p, Token)]
        if words[:1] == ["eq"] and any(w.endswith(".Role") for w in words):
            roles = {p.text for p in looked.parts if isinstance(p, Token) and p.kind == "string"}
            if roles and not roles & ROLES:
                return True
    return False


def _said(nodes: Sequence[Node]) -> str:
    """The text that a branch puts out of its own, at any depth."""
    said: list[str] = []
    waiting: list[Node] = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Said):
            said.append(node.text)
        elif isinstance(node, Put):
            assigns = any(t.kind == "sign" and t.text in (":=", "=") for t in node.tokens)
            said += [] if assigns else [t.text for t in node.tokens if t.kind == "string"]
        else:
            waiting += reversed((*node.body, *node.otherwise))
    return " ".join("".join(said).split())
