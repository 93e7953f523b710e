"""Reading a blob from its beginning to its end through a window; what is skipped is not read."""

from __future__ import annotations

import struct
from typing import Final

from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob

WINDOW: Final = 64 << 10
STEPS: Final = 2_000_000
"""How many values one file may be read for."""
TEXT_LIMIT: Final = 64 << 20
"""Bytes of all texts together."""


class Metered:
    """A blob that counts the bytes that are read of it, in `read_bytes`."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.path, self.size, self.role = blob, blob.path, blob.size, blob.role
        self.read_bytes = 0

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`."""
        data = self.blob.read(offset, n)
        self.read_bytes += len(data)
        return data


class Forward:
    """A place in a blob that moves on. `read` counts the bytes that were looked at."""

    def __init__(self, blob: Blob, at: int = 0) -> None:
        self.blob, self.at, self.end = blob, at, blob.size
        self.seen = 0
        self._start, self._window = 0, b""
        self._steps, self._text = STEPS, TEXT_LIMIT

    def take(self, n: int) -> bytes:
        """The next `n` bytes. Raises `Malformed` where they are not there."""
        begin = self.at - self._start
        if begin < 0 or begin + n > len(self._window):
            if n > self.end - self.at or n < 0:
                raise Malformed("it ends too soon", self.at)
            self._start, begin = self.at, 0
            self._window = self.blob.read(self.at, max(n, WINDOW))
            if len(self._window) < n:
                raise Malformed("it ends too soon", self.at)
        self.at += n
        self.seen += n
        return self._window[begin : begin + n]

    def skip(self, n: int) -> tuple[int, int]:
        """Pass `n` bytes over; returns where they stand, `(start, end)`."""
        if n < 0 or n > self.end - self.at:
            raise Malformed("it ends too soon", self.at)
        self.at += n
        return self.at - n, self.at

    def number(self, code: str) -> int:
        """A whole number; `code` is one of `struct`, byte order included."""
        (value,) = struct.unpack(code, self.take(struct.calcsize(code)))
        return int(value)

    def text(self, n: int) -> str:
        """`n` bytes of text; what is no UTF-8 is kept as lone surrogates."""
        self._text -= n
        if self._text < 0:
            raise Malformed(f"more than {TEXT_LIMIT:,} bytes of text", self.at)
        return self.take(n).decode("utf-8", "surrogateescape")

    def spend(self, steps: int = 1) -> None:
        """Take from the budget of values; `Malformed` when it is used up."""
        self._steps -= steps
        if self._steps < 0:
            raise Malformed(f"more than {STEPS:,} values", self.at)
