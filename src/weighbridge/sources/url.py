"""One file behind an address, read in parts like the files of the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct, field

from weighbridge.core.finding import Gap
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Held, Link
from weighbridge.sources.http import Session
from weighbridge.sources.records import plain
from weighbridge.sources.remote import RemoteFile, SourceError

WHOLE: Final = 64 << 20
"""The largest file that is fetched whole, from a server that gives no parts, in bytes."""


class Url(Struct):
    """A file behind an address."""

    file: Blob
    session: Session
    origin: Origin
    left_out: list[LeftOut] = field(default_factory=list)
    links: tuple[Link, ...] = ()
    kind: str = "url"
    readable: tuple[Path, ...] = ()

    @property
    def transfer(self) -> Transfer:
        """What opening it took."""
        return self.session.transfer

    def walk(self) -> Iterator[Blob | Gap]:
        """The one file."""
        yield self.file


def open_url(address: str) -> Url:
    """The file at an address. Raises `SourceError`."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise SourceError("this is no address") from None
    if parts.username is not None or parts.password is not None:
        raise SourceError("an address with a user or a password in it is not used")
    if not parts.hostname:
        raise SourceError("this address names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    session = Session(f"{parts.scheme}://{host}" + (f":{port}" if port else ""))
    name = unquote(parts.path.rpartition("/")[2])
    name = name if name and plain(name) and "/" not in name else "file"
    url = address.partition("#")[0]
    measured = session.measure(url, WHOLE)
    file: Blob
    if isinstance(measured, bytes):
        file = Held(name, measured)
    else:
        size, tag = measured
        file = RemoteFile(name, size, url, session, tag=tag)
    unknown = {"publisher": "an address says nothing of who published the file"}
    if parts.scheme == "http":
        unknown["transport"] = "plain http: anyone on the way could change the file"
    shown = address.partition("?")[0]
    origin = Origin(kind="url", where=session.endpoint, asked=shown, id=name, sort="file",
                    unknown=unknown)  # fmt: skip
    return Url(file, session, origin)
