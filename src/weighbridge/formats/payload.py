"""Payloads inside strings (pickles, archives, programs): raw, in base64, hex, or compressed.

A cheap look at the beginning decides; nothing is searched for in the middle of data, because
whoever unpacks a payload unpacks it from its start.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.regex import regex

EMBEDDED: Final = "embedded"
CONCEALED: Final = "concealed"
LAYERS: Final = 4
EXPANDED: Final = 8 << 20
BEGINNING: Final = 4096
"""How many bytes of a string decide whether it is one, in bytes."""


class Payload(Struct, frozen=True):
    """Bytes that a string carries; `how` names the layers, `offset` is the string's own."""

    how: str
    offset: int
    data: bytes
    concealed: bool = False
    """Whether it had to be decoded or decompressed."""

    @property
    def role(self) -> str:
        """What the payload is to the artifact that it was found in."""
        return CONCEALED if self.concealed else EMBEDDED


_STARTS: Final = regex(
    rb"\x80[\x02-\x05][\x95c\x8c(}\]X]"  # pickle, protocol 2 and later
    rb"|\(*[ci][A-Za-z_][\w.]{0,80}\n[A-Za-z_][\w.]{0,80}\n"  # pickle, protocols 0 and 1
    rb"|\((?:dp|lp)\d+\n"
    rb"|PK\x03\x04|\x7fELF[\x01\x02]|7z\xbc\xaf'\x1c"
    rb"|[\xe3c].\x00{3}.\x00{3}.\x00{3}"  # a marshalled code object
    rb"|..\r\n[\x00-\x03]\x00{3}.{8}[\xe3c]",  # a .pyc file
    re.DOTALL,
)
_PROTOCOL_0: Final = regex(
    rb"^\(?(?:c[A-Za-z_][\w.]{0,80}\n[A-Za-z_][\w.]{0,80}\n|\(.{0,200}\ni[A-Za-z_][\w.]*\n)",
    re.DOTALL,
)
_BASE64: Final = regex(rb"[A-Za-z0-9+/_\-\s]{20,}={0,2}\s*")
_HEX: Final = regex(rb"(?:[0-9a-fA-F]{2}){16,}")


_CODE: Final = regex(
    rb"(?:^|[\n;])[ \t]*(?:import +\w|from +[\w.]+ +import\b|exec\s*\(|eval\s*\(|__import__\s*\()"
    rb"|\b(?:os\.system|subprocess\.\w+|__import__)\s*\("
)


_CODE_WORDS: Final = (b"import", b"exec", b"eval", b"os.system", b"subprocess.")
"""One of these is in all that `_CODE` finds: they are found faster."""


def is_code(data: bytes) -> bool:
    """Whether a string's beginning looks like Python; whether it is, the parser tells."""
    head = data[:BEGINNING]
    return any(word in head for word in _CODE_WORDS) and _CODE.search(head) is not None


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj(47).decompress(data, EXPANDED)


def _bunzip(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, EXPANDED)


def _unxz(data: bytes) -> bytes:
    return lzma.LZMADecompressor(memlimit=64 << 20).decompress(data, EXPANDED)


_COMPRESSED: Final[tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], bytes]], ...]] = (
    (regex(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]"), "zlib", _inflate),
    (regex(rb"BZh[1-9]1AY&SY"), "bzip2", _bunzip),
    (regex(rb"\xfd7zXZ\0|\x5d\0\0"), "xz", _unxz),
)


def payloads(data: bytes, offset: int) -> Iterator[Payload]:
    """The payloads that these bytes are, after peeling at most `LAYERS` layers."""
    yield from _peel(data, offset, "in a string", LAYERS)
    if b"\xc2" in data[:4]:
        # Before protocol 3 bytes are written as the text that they are in Latin-1.
        try:
            plain = data.decode().encode("latin-1")
        except UnicodeError:
            return
        yield from _peel(plain, offset, "in a string, latin-1", LAYERS)


def may_be_payload(head: bytes) -> bool:
    """Whether a string that begins so has to be looked at whole; `payloads` then tells."""
    return _promising(head) or b"\xc2" in head[:4]


def _peel(data: bytes, offset: int, how: str, layers: int) -> Iterator[Payload]:
    if _STARTS.match(data) or _PROTOCOL_0.match(data) or is_code(data):
        yield Payload(how, offset, data, layers < LAYERS)
        return
    if not layers:
        return
    for magic, name, expand in _COMPRESSED:
        if magic.match(data):
            try:
                inner = expand(data)
            except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
                continue
            yield from _peel(inner, offset, f"{how}, {name}", layers - 1)
            return
    # Decode the beginning first: whole vocabularies look like base64, payloads are rare.
    if _HEX.fullmatch(data):
        if _promising(bytes.fromhex(data[:64].decode())):
            yield from _peel(bytes.fromhex(data.decode()), offset, f"{how}, hex", layers - 1)
    elif _BASE64.match(data) and _promising(_decode64(data[:128])) and _BASE64.fullmatch(data):
        yield from _peel(_decode64(data), offset, f"{how}, base64", layers - 1)


def _promising(head: bytes) -> bool:
    return bool(
        _STARTS.match(head)
        or _PROTOCOL_0.match(head)
        or is_code(head)
        or any(magic.match(head) for magic, _, _ in _COMPRESSED)
        or _BASE64.match(head)
    )


def _decode64(data: bytes) -> bytes:
    text = b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    text = text[: len(text) - (len(text) % 4 == 1)]
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""
