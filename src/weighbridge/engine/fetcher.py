"""Fetches parts of remote files for the examiners, which have no network.

The fetcher is a process of its own: it talks to the network and parses nothing, while the children
parse and reach no network. A child asks over a pipe, and only for the files of the audit.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct, field

from weighbridge.core.origin import Transfer
from weighbridge.core.tree import Blob
from weighbridge.sources.remote import RemoteFile, SourceError

PIECE: Final = 8 << 20
"""The largest part that is asked for at once, in bytes."""
FIRST: Final = 64 << 10
AHEAD: Final = 1 << 20
KEPT: Final = 8
"""How many parts of a file a child keeps."""
_ASKED: Final = struct.Struct("<IQI")
_ANSWERED: Final = struct.Struct("<?I")


class Fetcher(Struct, dict=True):
    """The process, and the way to it. It lives until `close()`, which says what was fetched."""

    blobs: Sequence[Blob]
    pid: int = 0

    def start(self) -> None:
        """Fork it. Nothing may run in threads here yet."""
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._here.close()
                self._serve(there)
            finally:
                os._exit(0)
        there.close()

    def line(self) -> Line:
        """A new way for a child to ask."""
        asks, asked = os.pipe()
        answers, answered = os.pipe()
        try:
            socket.send_fds(self._here, [b"+"], [asks, answered])
        except OSError:
            os.close(asked)
            os.close(answers)
            raise SourceError("the fetcher has ended") from None
        finally:
            os.close(asks)
            os.close(answered)
        return Line(asked, answers)

    def leave(self) -> None:
        """Give up the way to it, in a child that must not ask for more lines."""
        self._here.close()

    def close(self) -> Transfer:
        """End it, once no child asks any more; returns what it fetched."""
        told = b""
        with suppress(OSError):
            self._here.shutdown(socket.SHUT_WR)
            while more := self._here.recv(4096):
                told += more
        self._here.close()
        os.waitpid(self.pid, 0)
        with suppress(msgspec.DecodeError):
            return msgspec.msgpack.decode(told, type=Transfer)
        return Transfer(bytes=0, requests=0)

    # -- in the process -------------------------------------------------------------------------

    def _serve(self, control: socket.socket) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        sessions = {id(b.session): b.session for b in self.blobs if isinstance(b, RemoteFile)}
        for session in sessions.values():
            session.renew()
        while True:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not data:
                break
            if len(descriptors) == 2:
                pipes = (descriptors[0], descriptors[1])
                threading.Thread(target=self._answer, args=pipes, daemon=True).start()
        transfers = [s.transfer for s in sessions.values()]
        whole = Transfer(
            bytes=sum(t.bytes for t in transfers), requests=sum(t.requests for t in transfers)
        )
        control.sendall(msgspec.msgpack.encode(whole))

    def _answer(self, asks: int, answered: int) -> None:
        with suppress(OSError):
            while question := exactly(asks, _ASKED.size):
                number, offset, n = _ASKED.unpack(question)
                try:
                    blob = self.blobs[number]
                    good, data = True, blob.read(offset, min(n, PIECE))
                except Exception as error:  # whatever a server does costs one file
                    why = getattr(error, "why", None) or f"{type(error).__name__}: {error}"
                    good, data = False, why.encode("utf-8", "backslashreplace")[:2_000]
                send(answered, _ANSWERED.pack(good, len(data)) + data)
        os.close(asks)
        os.close(answered)


class Line(Struct, frozen=True):
    """A child's way to the fetcher: it writes questions and reads answers."""

    asked: int
    answers: int

    def ask(self, number: int, offset: int, n: int) -> bytes:
        """Bytes of a file by its number. Raises `SourceError`."""
        send(self.asked, _ASKED.pack(number, offset, n))
        head = exactly(self.answers, _ANSWERED.size)
        if not head:
            raise SourceError("the fetcher has ended")
        good, length = _ANSWERED.unpack(head)
        data = exactly(self.answers, length)
        if not good:
            raise SourceError(data.decode("utf-8", "replace"))
        return data

    def close(self) -> None:
        """Close both ends."""
        os.close(self.asked)
        os.close(self.answers)


class Fetched(Struct):
    """A remote file as a child sees it: parts are kept, and reading straight on reads ahead."""

    path: str
    size: int
    number: int
    line: Line
    role: str = ""
    whole: bool = False
    """Whether it is read to its end, so that it can be held against what its source says."""
    _parts: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`. Raises `SourceError`."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        data = self._kept(offset, n)
        while len(data) < n:
            at = offset + len(data)
            part = self._fetch(at, n - len(data))
            data += part[: n - len(data)]
        return data

    def _kept(self, offset: int, n: int) -> bytes:
        """As much as is here from the beginning of what is asked for."""
        best = b""
        for start, data in self._parts:
            if start <= offset < start + len(data):
                found = data[offset - start : offset - start + n]
                best = found if len(found) > len(best) else best
        return best

    def _fetch(self, at: int, n: int) -> bytes:
        before = next((d for s, d in reversed(self._parts) if s + len(d) == at), b"")
        ahead = min(4 * len(before), AHEAD) if before else FIRST
        want = min(max(n, ahead), PIECE, self.size - at)
        part = self.line.ask(self.number, at, want)
        if len(part) != want:
            raise SourceError(f"{self.path}: {len(part):,} bytes came instead of {want:,}")
        self._parts.append((at, part if want <= 2 * AHEAD else part[-AHEAD:]))
        if want > 2 * AHEAD:
            self._parts[-1] = (at + want - AHEAD, part[-AHEAD:])
        return part


def send(to: int, message: bytes | bytearray) -> None:
    """Write all of a message to a pipe."""
    with memoryview(message) as whole:
        at = 0
        while at < len(whole):
            at += os.write(to, whole[at:])


def exactly(source: int, n: int) -> bytes:
    """Exactly so many bytes of a pipe; nothing where it ends before."""
    data = bytearray()
    while len(data) < n:
        more = os.read(source, n - len(data))
        if not more:
            return b""
        data += more
    return bytes(data)
