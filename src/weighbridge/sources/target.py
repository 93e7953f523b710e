"""From what a user asks for to a source of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weighbridge.core.finding import Gap
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob
from weighbridge.sources import folder


class Source(Protocol):
    """Something that can be audited. `left_out` fills while `walk()` runs; `readable` are the
    local paths that an examiner may open; `origin` is what the source knows beyond the bytes."""

    @property
    def kind(self) -> str:
        """What sort of target it is: `folder`, `file`, `hub` …"""

    @property
    def readable(self) -> Sequence[Path]:
        """See above."""

    @property
    def left_out(self) -> list[LeftOut]:
        """What is by design not audited."""

    @property
    def origin(self) -> Origin | None:
        """None where there is nothing but bytes."""

    @property
    def transfer(self) -> Transfer | None:
        """What opening it took from a network."""

    def walk(self) -> Iterator[Blob | Gap]:
        """Every file, in a stable order."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a network may be used: which endpoint to ask (None: the usual one), whether at all."""

    endpoint: str | None = None
    offline: bool = False


def open_target(text: str, access: Access | None = None) -> Source:
    """The source of a target: a path, or a name on the Hub where no such path exists.

    Raises `OSError` where there is nothing that can be audited, with a message for a user.
    """
    access = access or Access()
    path = Path(text)
    if os.path.lexists(path):
        return folder.open_target(path)
    from weighbridge.sources.hub import ENDPOINT, SORTS, Name, open_hub, token

    name = Name.of(text)
    if name is None:
        if text.partition(":")[0] in SORTS:
            raise OSError(0, "this is no name of a repository (expected: org/name or org/name@rev)")
        return folder.open_target(path)  # says that there is no such path
    if access.offline:
        raise OSError(0, "there is no such path, and the Hub is not asked (--offline)")
    from weighbridge.sources.http import Session

    endpoint = access.endpoint or os.environ.get("HF_ENDPOINT") or ENDPOINT
    return open_hub(name, Session(endpoint, token(endpoint)))
