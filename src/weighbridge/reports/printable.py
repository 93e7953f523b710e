"""The one way from foreign text to a reader's eyes.

Tensor names, member names and model cards are chosen by whoever made the target. Printed as they
are they can move the cursor, recolour a verdict, reverse a line or hide in it. `printable()` makes
all of that visible instead of letting it act: what cannot be seen is written as a Python escape.
"""

from __future__ import annotations

import re
import unicodedata

from weighbridge.core.regex import regex

LIMIT = 2_000
"""How many characters of one piece of foreign text a reader is shown where nothing else is said."""

# Letters and marks by category, and blank on the screen: fillers, joiners, variation selectors
# (which carry hidden text), Khmer inherent vowels, the blank braille pattern.
_BLANK = frozenset(
    map(ord, "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
).union(range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_MARKS_IN_A_ROW = 3
_OTHER_THAN_ASCII = regex(r"[^\x20-\x7e]")


def visible(character: str) -> bool:
    """Whether a reader sees this character for what it is.

    Not so are all of Unicode's control, format (bidirectional, zero-width, tags), surrogate,
    private, unassigned and separator characters but the space, and those that show nothing.
    """
    return character.isprintable() and ord(character) not in _BLANK


def escaped(character: str) -> str:
    r"""A character as a Python escape (`\x1b`, `\u202e`).

    A surrogate that stands for an undecodable byte of a file name is written as that byte.
    """
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def printable(text: str, limit: int = LIMIT) -> str:
    """`text` on one line with nothing in it that acts or hides, at most about `limit` characters.

    What is cut is said at the end. A backslash stays a backslash, so that the result put through
    again is the same; the text is for eyes, not for reading back. At most three combining marks
    stand on one letter.
    """
    if len(text) > limit:
        return f"{_shown(text[:limit])[:limit]}… (+{len(text) - limit:,} characters)"
    return _shown(text)


def lines(text: str, limit: int, length: int = LIMIT) -> tuple[list[str], int]:
    """The first `limit` lines of a text, each `printable()` and of at most about `length`
    characters, and how many lines are left out.

    Only a line feed ends a line; a carriage return before it is dropped, any other is shown.
    """
    rows = text.removesuffix("\n").split("\n") if text else []
    shown = [printable(row.removesuffix("\r"), length) for row in rows[:limit]]
    return shown, len(rows) - len(shown)


def _shown(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    marks = 0

    def show(match: re.Match[str]) -> str:
        nonlocal marks
        before = text[match.start() - 1 : match.start()]
        marks = marks + 1 if _is_mark(match[0]) and _is_mark(before) else 1
        seen = marks <= _MARKS_IN_A_ROW and visible(match[0])
        return match[0] if seen else escaped(match[0])

    return _OTHER_THAN_ASCII.sub(show, text)


def _is_mark(character: str) -> bool:
    return character != "" and unicodedata.category(character).startswith("M")
