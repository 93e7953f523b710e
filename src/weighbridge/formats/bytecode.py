"""Compiled Python: a `.pyc` file or a marshalled code object. Nothing is unmarshalled.

Layout: CPython `Python/marshal.c` (`TYPE_CODE` and the string types) and PEP 552 for the header.
The names and constants are read by a walk over the string objects; the instructions are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from weighbridge.core.document import Document
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob

READ_LIMIT: Final = 16 << 20
NAMES_KEPT: Final = 5_000
PYC_HEADER: Final = 16
_SHORT: Final = re.compile(rb"[zZ\xda\xfa](.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bytecode(Document):
    """The strings of the code object: names it uses, and its text constants."""

    names: tuple[str, ...]


def _code_at(head: bytes, at: int) -> bool:
    """Whether a code object begins here: small counts, then the instructions as bytes.

    Five counts since Python 3.11, six in 3.8 to 3.10.
    """
    if head[at : at + 1] not in (b"\xe3", b"\x63"):
        return False
    for counts in (5, 6):
        end = at + 1 + 4 * counts
        values = [head[i : i + 4] for i in range(at + 1, end, 4)]
        if head[end : end + 1] in (b"\xf3", b"\x73") and all(
            len(v) == 4 and int.from_bytes(v, "little") < 1 << 28 for v in values
        ):
            arguments = int.from_bytes(values[0], "little")
            return arguments < 256
    return False


def _sniff(sample: Sample) -> bool:
    head = sample.head
    return _code_at(head, 0) or (head[2:4] == b"\r\n" and _code_at(head, PYC_HEADER))


def names_in(data: bytes) -> tuple[str, ...]:
    """The short strings of marshalled code, each once: the names that it uses and its texts."""
    names: dict[str, None] = {}
    for found in _SHORT.finditer(data):
        text = data[found.end() : found.end() + found[1][0]]
        if len(text) == found[1][0] and text.isascii() and text.decode().isprintable():
            names[text.decode()] = None
        if len(names) >= NAMES_KEPT:
            break
    return tuple(names)


def _parse(blob: Blob, where: Location, limits: Limits) -> Bytecode:
    size = min(blob.size, READ_LIMIT)
    data = blob.read(0, size)
    gaps: tuple[Gap, ...] = ()
    if blob.size > size:
        why = f"only the first {size:,} bytes of this code were looked at"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    return Bytecode(where=where, size=blob.size, seen=size, gaps=gaps, names=names_in(data))


BYTECODE = Format(
    name="python-bytecode",
    title="Compiled Python",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=Bytecode,
    limits="Names and constants are read, instructions are not.",
)
