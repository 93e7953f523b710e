"""The strings of a YAML text, found line by line: enough to read the templates that stand in it.

Source: YAML 1.2.2, chapters 7 and 8. Keys and nesting are read only as far as a string's nearest
key; anchors are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, the key nearest before it, and where it begins and ends, in characters."""

    key: str
    text: str
    start: int
    end: int


_LINE: Final = re.compile(
    r"(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+)*)"
    r"(?:(?P<quote>[\"']?)(?P<key>[\w.$/-][\w.$/ -]{0,200}?)(?P=quote)[ ]*:(?=[ \n]|$))?[ ]*"
    r"(?:[&!][^\s,\[\]{}]{0,200}[ ]+){0,4}"
)
_BLOCK: Final = re.compile(r"([|>])[-+0-9]{0,3}[ ]*(?:#[^\n]*)?(?:\n|$)")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE: Final = re.compile(r"'((?:[^']|'')*)'")
_FLOW: Final = re.compile(r"(?<=[\[{,:])\s*(?=[\"'])")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|[ \t]*\n[ \t]*|(.))", re.DOTALL
)
_FOLD: Final = re.compile(r"[ \t]*\n[ \t]*")
_NAMED: Final = {
    "n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f",
    "v": "\v", "_": "\xa0", "N": "\x85", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def scalars(text: str) -> Iterator[Scalar]:
    """The strings of a text in order. Every character is looked at a fixed number of times."""
    at, key = 0, ""
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:  # it matches the empty string; said for the type checker
            return
        key = line["key"] or key
        start = line.end()
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if text.startswith("#", start):
            at = end + 1
        elif block := _BLOCK.match(text, start):
            inner = len(line["indent"]) + (len(line["dashes"]) if line["key"] else 0)
            lines, at = _indented(text, block.end(), inner)
            yield Scalar(key, (" " if block[1] == ">" else "\n").join(lines), start, at)
        elif quoted := _quoted(text, start):
            yield Scalar(key, quoted[0], start, quoted[1])
            at = quoted[1]
        elif text.startswith(("[", "{"), start):
            at = end + 1
            for flow in _FLOW.finditer(text, start, end):
                if (inside := _quoted(text, flow.end())) and flow.end() >= start:
                    yield Scalar(key, inside[0], flow.end(), inside[1])
                    at = max(at, inside[1])
        else:
            rest, at = (
                _indented(text, end + 1, len(line["indent"])) if line["key"] else ([], end + 1)
            )
            plain = " ".join([text[start:end].strip(), *(r.strip() for r in rest)]).strip()
            if any(":" in r or r.startswith(("- ", "#")) for r in rest):
                plain, at = text[start:end].strip(), end + 1  # a mapping begins there
            if plain:
                yield Scalar(key, plain, start, at)


def _indented(text: str, at: int, indent: int) -> tuple[list[str], int]:
    """The lines from `at` that are indented deeper, without their indentation; and what follows."""
    lines: list[str] = []
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            break
        lines.append(line)
        at = end + 1
    margin = min((len(x) - len(x.lstrip(" ")) for x in lines if x.strip()), default=0)
    return [x[margin:] for x in lines], at


def _quoted(text: str, start: int) -> tuple[str, int] | None:
    """The quoted string at a place, as it reads, and its end."""
    if found := _DOUBLE.match(text, start):
        folded = _ESCAPE.sub(_escaped, found[1]) if "\\" in found[1] else found[1]
        return (_FOLD.sub(" ", folded) if "\\" not in found[1] else folded), found.end()
    if found := _SINGLE.match(text, start):
        return _FOLD.sub(" ", found[1].replace("''", "'")), found.end()
    return None


def _escaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        point = int(code, 16)
        return chr(point) if point < 0x110000 else "\ufffd"
    return _NAMED.get(match[4], match[4]) if match[4] else ""
