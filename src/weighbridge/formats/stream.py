"""Compressed streams as blobs: read forward, in bounded memory, with limits on what comes out."""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final

import lz4.frame
from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob, Siblings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK: Final = 1 << 18
KEPT: Final = 1 << 20
"""The head of the stream is kept, since several readers begin there."""
RATIO_FROM: Final = 64 << 20
"""The ratio is judged once so many bytes have come out."""

Open = Callable[[], Any]
"""Makes a decompressor: `decompress(data, limit)`, `eof`, `needs_input`, `unused_data`."""


class Deflate:
    """zlib's decompressor in the interface that the others share. `wbits` as zlib takes them."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """Whether the stream's end was reached."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more input."""
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream in the last input."""
        return self._inner.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        """At most `limit` bytes of output."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, limit)


class Plain:
    """No compression, in the same interface."""

    eof = False
    needs_input = True
    unused_data = b""

    def decompress(self, data: bytes, limit: int) -> bytes:
        """The input."""
        return data


class ZipLzma:
    """LZMA as zip stores it (APPNOTE 5.8.8): version, length of properties, properties, data."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        """Whether the stream's end was reached."""
        return self._inner is not None and self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out without more input."""
        return self._inner is None or self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream in the last input."""
        return self._inner.unused_data if self._inner is not None else b""

    def decompress(self, data: bytes, limit: int) -> bytes:
        """At most `limit` bytes of output."""
        if self._inner is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            first, dictionary = self._head[4], int.from_bytes(self._head[5:9], "little")
            if first >= 225 or dictionary > 256 << 20:
                raise ValueError("the LZMA properties are not valid")
            chosen = {"id": lzma.FILTER_LZMA1, "lc": first % 9, "lp": first // 9 % 5,
                      "pb": first // 45, "dict_size": max(4096, dictionary)}  # fmt: skip
            self._inner = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen])
            data = self._head[9:]
        return self._inner.decompress(data, limit)


ERRORS: Final = (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError, RuntimeError,
                 zstd.ZstdError)  # fmt: skip

OPENERS: Final[dict[str, Open]] = {
    "gzip": lambda: Deflate(31),
    "zlib": lambda: Deflate(15),
    "deflate": lambda: Deflate(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=256 << 20),
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zip-lzma": ZipLzma,
    "stored": Plain,
}


class Inflated(Struct):
    """What a compressed stream holds, as a blob.

    Reads go forward; one that goes back begins anew, except within the first MiB. `expanded`
    counts the bytes produced. `declared` is the size that a directory states; without it the
    stream is read through once to know. With `joined`, streams that follow each other are one.
    `siblings` is what it stands among.
    Raises `Malformed` where the stream is broken, or more comes out than the ratio allows.
    """

    path: str
    source: Blob
    open: Open
    ratio: int
    declared: int | None = None
    joined: bool = False
    role: str = ""
    expanded: int = 0
    siblings: Siblings | None = None
    head: bytes = b""
    end: int | None = None
    consumed: int = 0
    crc: int = 0
    _machine: Any = None
    _at: int = 0
    _ready: bytes = b""
    _begun: list[Any] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The length of what comes out."""
        if self.declared is not None:
            return self.declared
        while self.end is None:
            self._skip()
        return self.end

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        if self.declared is not None:
            n = min(n, self.declared - offset)
        if n <= 0:
            return b""
        if offset + n <= len(self.head) or (self.end is not None and self.end <= len(self.head)):
            return self.head[offset : offset + n]
        if self._machine is None or offset < self._at - len(self._ready):
            self._restart()
        while self._at <= offset:
            if not self._more():
                return b""
        start = offset - (self._at - len(self._ready))
        parts = [self._ready[start : start + n]]
        have = len(parts[0])
        while have < n and self._more():
            parts.append(self._ready[: n - have])
            have += len(parts[-1])
        return b"".join(parts)

    def _skip(self) -> None:
        if self._machine is None:
            self._restart()
        while self._more():
            pass

    def _restart(self) -> None:
        self._machine = self.open()
        self._at = self.consumed = self.crc = 0
        self._ready = b""

    def _more(self) -> bool:
        """Produce the next bytes into `_ready`; False at the end."""
        while True:
            if self._machine.eof:
                rest = self._machine.unused_data
                if not (self.joined and self._joins(rest)):
                    return self._finish(len(rest or b""))
                self.consumed -= len(rest)
                self._machine = self.open()
            data = b""
            if self._machine.needs_input:
                data = self.source.read(self.consumed, BLOCK)
                self.consumed += len(data)
                if not data:
                    if self._machine.__class__ is Plain:
                        return self._finish(0)
                    raise Malformed("the compressed stream ends too early", self.consumed)
            try:
                out = self._machine.decompress(data, KEPT)
            except ERRORS as error:
                raise Malformed(f"the compressed stream is broken: {error}", None) from None
            if out:
                return self._deliver(out)

    def _joins(self, rest: bytes | None) -> bool:
        head = (rest or b"")[:4] or self.source.read(self.consumed, 4)
        return len(head) == 4 and head == self.source.read(0, 4)

    def _deliver(self, out: bytes) -> bool:
        self._ready = out
        self._at += len(out)
        self.crc = zlib.crc32(out, self.crc)
        if self._at > self.expanded:
            self.expanded = self._at
        if self._at - len(out) == len(self.head) and len(self.head) < KEPT:
            self.head += out[: KEPT - len(self.head)]
        if self._at > RATIO_FROM and self._at > self.ratio * max(1, self.consumed):
            raise Malformed(f"it expands to more than {self.ratio:,} times its size", None)
        if self.declared is not None and self._at > self.declared + KEPT:
            raise Malformed("more comes out than its directory states", None)
        return True

    def _finish(self, unused: int) -> bool:
        self.end = self._at
        self._ready = b""
        if unused:
            self.consumed -= unused
        return False
