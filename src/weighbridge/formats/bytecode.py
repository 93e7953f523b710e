"""Compiled Python: a `.pyc` file or a marshalled code object. Nothing is unmarshalled.

Layout: `formats/marshalled.py`, and PEP 552 for the header of a `.pyc` file.
"""

from __future__ import annotations

import re
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.marshalled import Code, read_code

READ_LIMIT: Final = 16 << 20
NAMES_KEPT: Final = 5_000
PYC_HEADERS: Final = (16, 12)
"""How long the header of a `.pyc` file is: since Python 3.7 and before."""
_SHORT: Final = regex(rb"[zZ\xda\xfa](.)", re.DOTALL)


class Bytecode(Document, frozen=True, kw_only=True, eq=False):
    """A code object and the strings in it: names that it uses, and its text constants.

    `code` is None where it could not be read (a gap says why); the names are then what looks like
    one. `magic` is the number of the Python version at the head of a `.pyc` file.
    """

    names: tuple[str, ...]
    code: Code | None
    magic: int | None


def _code_at(head: bytes, at: int) -> bool:
    """Whether a code object begins here: small counts, then the instructions as bytes.

    Five counts since Python 3.11 and before 3.8, six in 3.8 to 3.10.
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


def _start(head: bytes) -> int | None:
    """Where the code object begins, or None where there is none."""
    if _code_at(head, 0):
        return 0
    headers = PYC_HEADERS if head[2:4] == b"\r\n" else ()
    return next((size for size in headers if _code_at(head, size)), None)


def _sniff(sample: Sample) -> bool:
    return _start(sample.head) is not None


def texts_of(data: bytes, code: Code | None) -> tuple[str, ...]:
    """The names and texts of marshalled code, each once: those that were read, and short strings
    that stand anywhere in it."""
    texts: dict[str, None] = {}
    for text in code.texts() if code is not None else ():
        if len(text) < 200 and text.isprintable():
            texts[text] = None
        if len(texts) >= NAMES_KEPT:
            return tuple(texts)
    for found in _SHORT.finditer(data):
        raw = data[found.end() : found.end() + found[1][0]]
        if len(raw) == found[1][0] and raw.isascii() and raw.decode().isprintable():
            texts[raw.decode()] = None
        if len(texts) >= NAMES_KEPT:
            break
    return tuple(texts)


def _parse(blob: Blob, where: Location, limits: Limits) -> Bytecode:
    size = min(blob.size, READ_LIMIT)
    data = blob.read(0, size)
    start = _start(data[:64])
    if start is None:
        raise Malformed("no code object begins here", 0)
    gaps: list[Gap] = []
    code = None
    if blob.size > size:
        why = f"only the first {size:,} bytes of this code were looked at"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    try:
        code = read_code(data, start)
    except Malformed as error:
        at = Location(where.path, where.inside, error.offset)
        why = f"the code object could not be read: {error.why}"
        gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=at))
    return Bytecode(
        where=where,
        size=blob.size,
        seen=size,
        gaps=tuple(gaps),
        names=texts_of(data, code),
        code=code,
        magic=int.from_bytes(data[:2], "little") if start else None,
    )


BYTECODE = Format(
    name="python-bytecode",
    title="Compiled Python",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=Bytecode,
    version=2,
    limits="Code objects of CPython 3.6 to 3.14; of others only what looks like a name is read.",
)
