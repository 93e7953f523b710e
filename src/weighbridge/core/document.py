"""The frozen result of one parser, and the one error that a parser may raise."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.core.finding import Gap
from weighbridge.core.location import Location


class Malformed(Exception):
    """The bytes are not what the format demands.

    `why` is for a reader; `offset` is the byte where it was noticed, or None where no single byte
    is to blame.
    """

    def __init__(self, why: str, offset: int | None = None) -> None:
        super().__init__(why if offset is None else f"{why} (at byte {offset:,})")
        self.why = why
        self.offset = offset


class Document(Struct, frozen=True, kw_only=True, eq=False):
    """What a parser read. Subclasses add what their format holds.

    `where` is the artifact it was read from, `size` its bytes, `seen` how many of them the parser
    took into account (tensor bytes stay lazy), `gaps` what it met and could not read.
    Two documents are never equal: each is one reading of one artifact.
    A document that is also a `Tree` (it has `walk()`) is descended into by the engine; one that
    needs other files says which parts of them (`refers()`, see `Reference`); one that matters to
    questions across files says what it holds (`facts()`, see `core/fact.py`).
    """

    where: Location
    size: int
    seen: int
    gaps: tuple[Gap, ...] = ()

    def at(self, offset: int | None = None, length: int | None = None) -> Location:
        """The location of a byte of this document, or of the whole of it."""
        return Location(self.where.path, self.where.inside, offset, length)


class GraphDocument(Document, frozen=True, kw_only=True, eq=False):
    """A document that says what a model computes, operator by operator, so that a front of the
    graph analysis reads it (`analysis/graph_fronts/`)."""
