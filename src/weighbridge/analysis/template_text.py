"""Text that a template puts out and a reader does not see, or that no conversation needs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.analysis.template_flow import URL, Flow
from weighbridge.analysis.template_values import Values
from weighbridge.core.evidence import Text
from weighbridge.core.later import Later
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.template import Template

if TYPE_CHECKING:
    from jinja2 import nodes
else:
    nodes = Later("jinja2.nodes")

QUOTED: Final = 1_200
"""How many characters of a template are shown."""


class Oddity(StrEnum):
    """What is odd about a text."""

    INVISIBLE = "characters that cannot be seen"
    REORDERED = "characters that reorder what is shown"
    TERMINAL = "control characters that drive a terminal"
    ADDRESS = "an address"
    ENCODED = "an encoded text"


class Odd(Struct, frozen=True):
    """A place in constant text. `shown` spells it so that it can be seen."""

    what: Oddity
    shown: str
    node: nodes.Node


_TAGGED: Final = regex("[\U000e0000-\U000e007f]+")
_FLAG: Final = regex("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
_INVISIBLE: Final = regex(
    "(?:[\u200b\u2060-\u2064\u180e\u00ad\u034f\u115f\u1160\u3164\uffa0\U000e0100-\U000e01ef]"
    "|(?<![\u0900-\u0dff\u0600-\u06ff\u1000-\u109f\u200d\ufe0f\u2190-\u2bff\U0001f000-\U0001faff])"
    "[\u200c\u200d]|(?<!\\A)\ufeff)+"
)
_REORDERED: Final = regex("[\u202a-\u202e\u2066-\u2069]")
_TERMINAL: Final = regex("\x1b[\\[\\]()]|\x9b|\x08{2,}")
_ENCODED: Final = regex(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{64,}={0,2}(?![A-Za-z0-9+/])")
_KNOWN: Final = regex(
    r"(?i)(?:^|\.)(?:huggingface\.co|hf\.co|github\.com|json-schema\.org|schema\.org|w3\.org"
    r"|example\.(?:com|org|net)|python\.org|arxiv\.org|wikipedia\.org|localhost)$"
)
"""Hosts that the tools and schemas of honest templates name."""


class Reading:
    """One template, read once for all checks."""

    def __init__(self, template: Template, tree: nodes.Template) -> None:
        self.template = template
        self.tree = tree
        self.values = Values(tree)
        self.flow = Flow(tree, self.values)

    def place(self, node: nodes.Node) -> Location:
        """Where a node's line is."""
        at = self.template.where
        return Location(at.path, at.inside, line=node.lineno or None)

    def excerpt(self, node: nodes.Node, title: str, needle: str = "") -> Text:
        """The source around a node: whole lines, or what stands around `needle` in a long one."""
        lines = self.template.source.splitlines()
        first = max(1, node.lineno or 1)
        last = max((n.lineno or 0 for n in node.find_all(nodes.Node)), default=first)
        shown = "\n".join(lines[first - 1 : max(last, first) + 1])
        if len(shown) > QUOTED:
            at = max(0, shown.find(needle[:40]) if needle else 0)
            start = max(0, at - QUOTED // 3)
            cut = shown[start : start + QUOTED]
            shown = ("… " if start else "") + cut + (" …" if start + QUOTED < len(shown) else "")
        return Text(title, text=shown, language="jinja")


@lru_cache(maxsize=2)
def read(template: Template) -> Reading | None:
    """A template's reading; None where it has no tree."""
    return None if template.tree is None else Reading(template, template.tree)


def oddities(reading: Reading) -> Iterator[Odd]:
    """What is odd about the constant text of a template, each kind at each place once."""
    seen: set[tuple[Oddity, str]] = set()
    for node in reading.tree.find_all((nodes.TemplateData, nodes.Const, nodes.Concat, nodes.Add,
                                       nodes.Filter, nodes.Call, nodes.Mod)):  # fmt: skip
        texts = (
            [node.data] if isinstance(node, nodes.TemplateData) else reading.values.strings(node)
        )
        for text in texts:
            for what, shown in odd(text):
                if (what, shown) not in seen:
                    seen.add((what, shown))
                    yield Odd(what, shown, node)


def odd(text: str) -> Iterator[tuple[Oddity, str]]:
    """What is odd about a text that a model is given, spelled out."""
    if not text.isascii():
        plain = _FLAG.sub("", text)
        if tagged := "".join(_TAGGED.findall(plain)):
            said = "".join(chr(ord(c) - 0xE0000) for c in tagged)
            yield Oddity.INVISIBLE, f"in Unicode tags: {said.strip(chr(0))!r}"
        elif hidden := _INVISIBLE.search(plain):
            around = plain[max(0, hidden.start() - 40) : hidden.end() + 40]
            yield Oddity.INVISIBLE, ascii(around)
        if reordered := _REORDERED.search(text):
            yield Oddity.REORDERED, ascii(text[max(0, reordered.start() - 40) :][:120])
    if drives := _TERMINAL.search(text):
        yield Oddity.TERMINAL, ascii(text[max(0, drives.start() - 40) :][:120])
    for address in URL.finditer(text):
        if not _KNOWN.search(address[1]):
            yield Oddity.ADDRESS, address[0][:300]
    for encoded in _ENCODED.finditer(text):
        if decoded := _decoded(encoded[0]):
            yield Oddity.ENCODED, decoded


def _decoded(text: str) -> str:
    """What base64 decodes to, if that is text; empty otherwise."""
    if text.isalpha() and (text.islower() or text.isupper()):
        return ""
    try:
        made = base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return made[:300] if made.isprintable() or "\n" in made else ""
