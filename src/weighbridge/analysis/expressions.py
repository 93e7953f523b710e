"""Expressions of GitHub Actions: what can flow into their value, and whether a condition can hold.

Grammar: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions. Nothing is
evaluated but comparisons of what is known with what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from weighbridge.core.regex import regex

LIMIT: Final = 20_000
"""How many characters of one expression are read."""
DEPTH: Final = 60
_OPEN: Final = regex(r"\$\{\{")
_TOKEN: Final = regex(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w-]*)|(?P<number>[-+]?\d[\w.]*)"
    r"|(?P<mark>&&|\|\||==|!=|<=|>=|[!<>().,\[\]*]))"
)


class Node(Struct, frozen=True):
    """A node of the tree. `kind`: `path` (`text` in small letters, indices as `.name` or `.*`),
    `string`, `number`, `call` (`text` is the function), or an operator with its operands."""

    kind: str
    text: str = ""
    parts: tuple[Node, ...] = ()

    def paths(self) -> Iterator[str]:
        """Every context that it mentions."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.kind == "path":
                yield node.text
            waiting.extend(node.parts)

    def nodes(self) -> Iterator[Node]:
        """It and everything in it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.parts))


class Expression(Struct, frozen=True):
    """An expression in a text: where it stands in it, and how it reads."""

    start: int
    source: str
    tree: Node


UNREADABLE: Final = Node("unreadable")
_BOOLEAN: Final = frozenset(("contains", "startswith", "endswith", "hashfiles", "always", "success",
                             "failure", "cancelled"))  # fmt: skip


@lru_cache(maxsize=4096)
def expressions(text: str) -> tuple[Expression, ...]:
    """The expressions of a text, in order."""
    found = []
    at = 0
    while match := _OPEN.search(text, at):
        end = _close(text, match.end())
        if end < 0:
            break
        source = text[match.end() : end].strip()
        found.append(Expression(match.start(), source, parse(source)))
        at = end + 2
    return tuple(found)


def _close(text: str, start: int) -> int:
    """Where an expression ends; a text in it may hold the mark."""
    quoted = False
    for place in range(start, min(len(text), start + LIMIT)):
        if text[place] == "'":
            quoted = not quoted
        elif not quoted and text.startswith("}}", place):
            return place
    return -1


def condition(text: str) -> Node:
    """The tree of an `if:`, which may do without its braces."""
    inner = expressions(text)
    if len(inner) == 1 and text.strip().startswith("${{") and text.strip().endswith("}}"):
        return inner[0].tree
    return parse(text) if not inner else Node("&&", parts=tuple(e.tree for e in inner))


@lru_cache(maxsize=4096)
def parse(source: str) -> Node:
    """The tree of an expression, `UNREADABLE` where it is none."""
    tokens = []
    at = 0
    source = source[:LIMIT].rstrip()
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            return UNREADABLE
        kind = found.lastgroup or "mark"
        tokens.append((kind, found[kind]))
        at = found.end()
    try:
        parser = _Parser(tokens)
        tree = parser.either(0)
        return tree if parser.at == len(tokens) else UNREADABLE
    except (_Unreadable, IndexError):
        return UNREADABLE


class _Unreadable(Exception):
    pass


class _Parser(Struct):
    tokens: list[tuple[str, str]]
    at: int = 0

    def _next(self, *marks: str) -> str:
        if self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "mark" and text in marks:
                self.at += 1
                return text
        return ""

    def _binary(self, depth: int, below: Callable[[int], Node], *marks: str) -> Node:
        parts = [below(depth)]
        kind = ""
        while mark := self._next(*marks):
            if kind and mark != kind:
                parts = [Node(kind, parts=tuple(parts))]
            kind = mark
            parts.append(below(depth))
        return Node(kind, parts=tuple(parts)) if kind else parts[0]

    def either(self, depth: int) -> Node:
        """`a || b`, which binds least."""
        if depth > DEPTH:
            raise _Unreadable
        return self._binary(depth + 1, self.both, "||")

    def both(self, depth: int) -> Node:
        """`a && b`."""
        return self._binary(depth, self.compared, "&&")

    def compared(self, depth: int) -> Node:
        """Comparisons."""
        return self._binary(depth, self.negated, "==", "!=", "<", ">", "<=", ">=")

    def negated(self, depth: int) -> Node:
        """`!a`."""
        if self._next("!"):
            if depth > DEPTH:
                raise _Unreadable
            return Node("!", parts=(self.negated(depth + 1),))
        return self.reached(depth)

    def reached(self, depth: int) -> Node:
        """A value and what is taken out of it."""
        node = self.value(depth)
        while mark := self._next(".", "["):
            if mark == ".":
                kind, text = self.tokens[self.at]
                if kind == "name" or text == "*":
                    self.at += 1
                else:
                    raise _Unreadable
                key = text.lower()
            else:
                inner = self.either(depth + 1)
                if not self._next("]"):
                    raise _Unreadable
                key = inner.text.lower() if inner.kind == "string" else "*"
            if node.kind == "path":
                node = Node("path", f"{node.text}.{key}")
            else:
                node = Node("part", key, (node,))
        return node

    def value(self, depth: int) -> Node:
        """A literal, a context, a call, or what stands in brackets."""
        if self._next("("):
            inner = self.either(depth + 1)
            if not self._next(")"):
                raise _Unreadable
            return inner
        if self._next("*"):
            return Node("path", "*")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "string":
            return Node("string", text[1:-1].replace("''", "'"))
        if kind == "number":
            return Node("number", text)
        if kind != "name":
            raise _Unreadable
        if self._next("("):
            parts: list[Node] = []
            while not self._next(")"):
                parts.append(self.either(depth + 1))
                self._next(",")
            return Node("call", text.lower(), tuple(parts))
        if text.lower() in ("true", "false", "null"):
            return Node("number", text.lower())
        return Node("path", text.lower())


def flowing(node: Node) -> Iterator[str]:
    """The contexts whose text can become part of the value: not those that are only compared."""
    if node.kind == "path":
        yield node.text
    elif node.kind == "call":
        if node.text not in _BOOLEAN:
            for part in node.parts:
                yield from flowing(part)
    elif node.kind == "&&":
        yield from flowing(node.parts[-1])  # the others are only asked, unless they are false
    elif node.kind in ("||", "part"):
        for part in node.parts:
            yield from flowing(part)


Answer = Callable[[Node], "bool | None"]


def _unknown(node: Node) -> bool | None:
    return None


def holds(node: Node, known: Mapping[str, str], answer: Answer = _unknown) -> bool | None:
    """Whether a condition holds if the contexts in `known` have these values; None: it depends.

    Texts are compared without regard to capitals, as GitHub does. A context that maps to the empty
    text is known to be absent. `answer` is asked first about every comparison, call and context.
    """
    if node.kind in ("==", "!=", "call", "path") and (said := answer(node)) is not None:
        return said
    if node.kind == "!":
        inner = holds(node.parts[0], known, answer)
        return None if inner is None else not inner
    if node.kind in ("&&", "||"):
        stop = node.kind == "||"
        values = [holds(part, known, answer) for part in node.parts]
        if stop in values:
            return stop
        return None if None in values else not stop
    if node.kind in ("==", "!=") and len(node.parts) == 2:
        left, right = (_literal(part, known) for part in node.parts)
        if left is None or right is None:
            return None
        return (left.lower() == right.lower()) is (node.kind == "==")
    if node.kind == "call" and node.text in ("contains", "startswith", "endswith"):
        return _within(node, known)
    value = _literal(node, known)
    return None if value is None else value not in ("", "false", "0", "null")


def _within(node: Node, known: Mapping[str, str]) -> bool | None:
    if len(node.parts) != 2:
        return None
    whole, part = (_literal(p, known) for p in node.parts)
    if whole is None or part is None:
        return None
    whole, part = whole.lower(), part.lower()
    if node.text == "startswith":
        return whole.startswith(part)
    return whole.endswith(part) if node.text == "endswith" else part in whole


def _literal(node: Node, known: Mapping[str, str]) -> str | None:
    if node.kind in ("string", "number"):
        return "" if node.kind == "number" and node.text == "null" else node.text
    if (
        node.kind == "call"
        and node.text == "fromjson"
        and node.parts[:1]
        and node.parts[0].kind == "string"
    ):
        return node.parts[0].text  # a list that is searched: a text within a text comes to the same
    return known.get(node.text) if node.kind == "path" else None
