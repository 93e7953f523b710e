"""A target with what belongs to it: the repository that built it, the place where it will run.

What belongs to it is audited like the target itself. Its files bear the name of the part before
their path (`source:train.py`), so that a report says where each of them is. A file of the target
whose own name begins like that bears the target's name, so that it passes for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.core.finding import Gap
from weighbridge.core.location import Location, joined
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Copy, Link
from weighbridge.sources.folder import File
from weighbridge.sources.target import Source


class Joined(Struct):
    """The main source and its parts by name."""

    main: Source
    parts: Mapping[str, Source]

    @property
    def kind(self) -> str:
        """That of the main source."""
        return self.main.kind

    @property
    def readable(self) -> tuple[Path, ...]:
        """Those of all."""
        return (*self.main.readable, *(p for part in self.parts.values() for p in part.readable))

    @property
    def left_out(self) -> list[LeftOut]:
        """What is by design not audited, of all."""
        return [
            msgspec.structs.replace(entry, path=joined(name, entry.path))
            for name, part in self._all()
            for entry in part.left_out
        ]

    @property
    def links(self) -> list[Link]:
        """The symbolic links that leave, of all."""
        return [
            msgspec.structs.replace(link, path=joined(name, link.path))
            for name, part in self._all()
            for link in part.links
        ]

    @property
    def origin(self) -> Origin | None:
        """What the main source knows beyond the bytes."""
        origin = self.main.origin
        if origin is None or all(joined("", d.path) is d.path for d in origin.files):
            return origin
        files = (msgspec.structs.replace(d, path=joined("", d.path)) for d in origin.files)
        return msgspec.structs.replace(origin, files=tuple(files))

    @property
    def transfer(self) -> Transfer | None:
        """What opening all of them took from a network."""
        known = [t for s in (self.main, *self.parts.values()) if (t := s.transfer) is not None]
        if not known:
            return None
        return Transfer(bytes=sum(t.bytes for t in known), requests=sum(t.requests for t in known))

    def _all(self) -> Iterator[tuple[str, Source]]:
        yield "", self.main
        yield from self.parts.items()

    def walk(self) -> Iterator[Blob | Gap]:
        """The files of the main source, then those of its parts under their names."""
        for name, part in self._all():
            for met in part.walk():
                if isinstance(met, Gap):
                    at = Location(joined(name, met.at.path), met.at.inside)
                    yield msgspec.structs.replace(met, at=at)
                elif isinstance(met, File):  # nearly all of them, and nobody else's
                    met.path = joined(name, met.path)
                    yield met
                else:
                    yield _named(met, name)


def _named(blob: Any, part: str) -> Blob:
    """A file under its name within the whole target."""
    path = joined(part, blob.path)
    if isinstance(blob, Copy):
        return Copy(_named(blob.whole, part), path)
    renamed: Blob = blob if path == blob.path else replace(blob, path=path)
    return renamed
