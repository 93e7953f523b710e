"""A format: how to recognise it, how to parse it, what loading it means."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property

from msgspec import Struct, field

from weighbridge.core.document import Document
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob


class Loading(StrEnum):
    """What a loader of the format does, by design."""

    DATA = "data"
    """It reads data; nothing in the file can act."""
    CODE = "code"
    """It may run what the file says."""
    CONTAINER = "container"
    """It is what its members are."""


class Limits(Struct, frozen=True):
    """Budgets for one top-level file. Sizes are in bytes."""

    depth: int = 8
    """How many containers deep the engine descends."""
    entries: int = 100_000
    """How many members are looked at in all."""
    expanded: int = 8 << 30
    """How many decompressed bytes are produced in all."""
    ratio: int = 2_000
    """Decompressed to compressed bytes, counted once 64 MiB have come out of one stream."""
    held: int = 64 << 20
    """How many bytes of one artifact may be held in memory at once."""


HEAD = 8 << 10
TAIL = 66 << 10


class Sample(Struct, dict=True):
    """What a format may look at to recognise itself: the ends of a blob, read once.

    In `notes` formats that ask the same question of a blob leave its answer for each other.
    """

    blob: Blob
    notes: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head: bytes = self.blob.read(0, HEAD)

    @cached_property
    def tail(self) -> bytes:
        """The last 66 KiB (a zip's end record lies at most 64 KiB + 22 bytes before the end)."""
        size = self.blob.size
        return self.head if size <= len(self.head) else self.blob.read(max(0, size - TAIL), TAIL)


class Format(Struct, frozen=True, kw_only=True):
    """A declared format. A module-level constant of this type in `formats/` registers it.

    `sniff` decides from content whether a blob is of this format; several may say yes. `first`
    holds the bytes that such a blob can begin with (empty: any), so that most formats need not be
    asked.
    `parse` turns the bytes into a `Document` or raises `Malformed`; None means *recognised and not
    read*: the engine then reports a gap with `meaning`. `version` goes up when the parser changes
    what it says. `limits` says in a sentence what the parser does not do.
    """

    name: str
    title: str
    loading: Loading
    sniff: Callable[[Sample], bool]
    parse: Callable[[Blob, Location, Limits], Document] | None
    document: type[Document]
    first: bytes = b""
    version: int = 1
    limits: str = ""
    meaning: str = ""
