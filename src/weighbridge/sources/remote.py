"""A file that is somewhere else. Imports nothing that a local audit does not need."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from weighbridge.core.origin import Transfer


class SourceError(OSError):
    """A source did not give what it was asked for; the message says why, for a user."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(0, why)
        self.why = why
        self.status = status


class Reader(Protocol):
    """What reads parts of remote files."""

    @property
    def transfer(self) -> Transfer:
        """What it fetched so far."""

    def renew(self) -> None:
        """Begin with connections of its own, in a new process."""

    def part(self, file: RemoteFile, start: int, n: int) -> bytes:
        """Bytes of a file. Raises `SourceError`."""


class RemoteFile(Struct):
    """A file on a server. `sha256` is what its publisher's listing says, `commit` the revision it
    belongs to, `tag` the ETag that its first part had, `resolved` where it is redirected to."""

    path: str
    size: int
    url: str
    session: Reader
    role: str = ""
    sha256: str | None = None
    commit: str | None = None
    tag: str = ""
    resolved: str = ""

    def read(self, offset: int, n: int) -> bytes:
        """See `Blob.read`. Raises `SourceError`."""
        return self.session.part(self, offset, n)
