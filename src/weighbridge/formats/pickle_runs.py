"""Stretches of plain values, matched by one regular expression.

Large pickles are mostly plain numbers and short strings. Matching a stretch of them at once, and
spelling it out only if something looks into it, is what makes a hundred-megabyte pickle a matter
of seconds. A run holds no GET, so that it means the same wherever and whenever it is read.
"""

from __future__ import annotations

import re
from typing import Final

from weighbridge.core.regex import regex

_POSSESSIVE_WORKS: Final = re.fullmatch("(?:ab?c)*+", "a") is None
"""Before Python 3.11.5, a possessive repeat keeps what a failed attempt has consumed
(https://github.com/python/cpython/issues/106052)."""


def _all(item: bytes, repeat: bytes) -> bytes:
    """A pattern for as many items as there are, none of which is given back.

    An atomic group says the same where possessive quantifiers do not work; it is slower and takes
    memory for every item.
    """
    return item + repeat + b"+" if _POSSESSIVE_WORKS else b"(?>" + item + repeat + b")"


def _counted(prefix: bytes, width: int, longest: int, byte: bytes) -> bytes:
    """A pattern for `prefix`, a little-endian length below `longest`, and that many bytes."""
    options = []
    for n in range(longest):
        length = re.escape(n.to_bytes(width, "little"))
        options.append(length + (byte + b"{%d}" % n if n else b""))
    return prefix + b"(?:" + b"|".join(options) + b")"


# Strings up to 31 bytes without a newline: shorter than any pickle in base64 (the shortest that
# calls something is 22 bytes), and free of protocol 0, whose opcodes end their lines.
_STRING = b"|".join(
    [
        _counted(rb"\x8c", 1, 32, rb"[^\n]"),
        _counted(b"X", 4, 32, rb"[^\n]"),
        _counted(b"U", 1, 32, rb"[^\n]"),
    ]
)
_ATOM = (
    rb"(?:K.|J.{4}|M..|G.{8}|[N\x88\x89)]|"
    + _STRING
    + b"|"
    + _counted(rb"\x8a", 1, 10, b".")
    + b")"
)
_PUT = rb"(?:\x94|q.|r.{4})?"
_LEAF = b"(?:" + _ATOM + _PUT + b")"
_ITEM = (
    b"(?:" + _all(_LEAF, b"{3,}") + rb"(?:[\x85-\x87]" + _PUT + b")?"
    rb"|" + _LEAF + rb"{2}(?:[\x85\x86]" + _PUT + b")?"
    rb"|" + _LEAF + rb"(?:\x85" + _PUT + b")?"
    rb"|\(" + _all(_LEAF, b"*") + b"t" + _PUT + rb"|\]" + _PUT + rb"\(" + _all(_LEAF, b"*") + b"e)"
)
_LONGEST = b"+" if _POSSESSIVE_WORKS else b"{1,10000}"
RUN: Final = regex(_all(_ITEM, _LONGEST), re.DOTALL)
RUN_PUTS: Final = regex(
    _all(b"(?:" + _ATOM + rb"|[\x85-\x87()t\]e])", b"*") + rb"(\x94|q.|r.{4}|\Z)", re.DOTALL
)

RUN_SHORTEST: Final = 48
"""In bytes: below that, matching costs more than it saves."""


def puts_of(data: bytes, first: int) -> int | None:
    """How many memo entries a run makes, or None if they do not follow `first` in order."""
    puts = RUN_PUTS.findall(data)
    while puts and not puts[-1]:
        puts.pop()
    if not puts or puts.count(b"\x94") == len(puts):
        return len(puts)
    for index, put in enumerate(puts, first):
        if put == b"\x94" or int.from_bytes(put[1:], "little") != index:
            return None
    return len(puts)
