"""A target with what belongs to it: the repository that built it, the place where it will run.

What belongs to it is audited like the target itself. Its files bear the name of the part before
their path (`source:train.py`), so that a report says where each of them is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Link
from weighbridge.sources.folder import File
from weighbridge.sources.target import Source


@dataclass
class Joined:
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
        return [*self.main.left_out] + [
            msgspec.structs.replace(entry, path=f"{name}:{entry.path}")
            for name, part in self.parts.items()
            for entry in part.left_out
        ]

    @property
    def links(self) -> list[Link]:
        """The symbolic links that leave, of all."""
        return [*self.main.links] + [
            msgspec.structs.replace(link, path=f"{name}:{link.path}")
            for name, part in self.parts.items()
            for link in part.links
        ]

    @property
    def origin(self) -> Origin | None:
        """What the main source knows beyond the bytes."""
        return self.main.origin

    @property
    def transfer(self) -> Transfer | None:
        """What opening all of them took from a network."""
        known = [t for s in (self.main, *self.parts.values()) if (t := s.transfer) is not None]
        if not known:
            return None
        return Transfer(bytes=sum(t.bytes for t in known), requests=sum(t.requests for t in known))

    def walk(self) -> Iterator[Blob | Gap]:
        """The files of the main source, then those of its parts under their names."""
        for met in self.main.walk():
            if isinstance(met, Gap) or met.path.partition(":")[0] not in self.parts:
                yield met
            else:
                why = "its name could be taken for one of another part of the target; not read"
                yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(met.path))
        for name, part in self.parts.items():
            for met in part.walk():
                if isinstance(met, Gap):
                    at = Location(f"{name}:{met.at.path}", met.at.inside)
                    yield msgspec.structs.replace(met, at=at)
                elif isinstance(met, File):  # nearly all of them, and nobody else's
                    met.path = f"{name}:{met.path}"
                    yield met
                else:
                    named: Any = met
                    yield replace(named, path=f"{name}:{met.path}")
