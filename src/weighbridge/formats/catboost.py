"""CatBoost's binary models: a flatbuffer with the trees, then parts of their own.

Layout: `model.fbs` and `TFullModel::Load` of CatBoost (catboost/libs/model).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Piece
from weighbridge.formats.flatbuffer import Flatbuffer, Table
from weighbridge.formats.payload import EMBEDDED, is_code

MAGIC: Final = b"CBM1"
PARTS: Final = frozenset({"static_provider_v1", "text_processing_collection_v1", "embed_proc_v1"})
NOTEWORTHY: Final = 256


class CatBoost(Document, frozen=True, kw_only=True, eq=False):
    """The model. Trees are oblivious (`sizes` splits each, from `starts` on, out of `splits`) or
    made of `steps` to the left and right subtree with a leaf's number for each; `leaves` counts
    the leaf values, `known` the conditions that splits can ask for (0: not known), `parts` names
    what follows the core."""

    blob: Blob
    version: str
    splits: tuple[int, ...]
    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    leaf_ids: tuple[int, ...]
    leaves: int
    known: int
    outputs: int
    information: tuple[tuple[str, str], ...]
    parts: tuple[str, ...]
    rest: int

    def walk(self) -> Iterator[Blob | Gap]:
        """Texts about the training that look like code, and what follows the model's core."""
        for key, value in self.information:
            data = value.encode("utf-8", "surrogateescape")
            if is_code(data):
                yield Held(f"information {key[:60]}", data, EMBEDDED)
        if self.rest < self.size:
            role = "catboost-parts" if self.parts else "leftover"
            yield Piece("parts", self.blob, self.rest, self.size - self.rest, role)


def _parse(blob: Blob, where: Location, limits: Limits) -> CatBoost:
    head = blob.read(0, 8)
    if head[:4] != MAGIC:
        raise Malformed("no CatBoost model", 0)
    length = int.from_bytes(head[4:8], "little")
    if length > blob.size - 8:
        raise Malformed("the model's core is longer than the file", 4)
    root = Flatbuffer(Piece("core", blob, 8, length)).root()
    trees = root.table(1)
    if trees is None:
        raise Malformed("a model without trees", 8)
    version = root.text(0)
    steps_at, count = trees.extent(10, 4) or (0, 0)
    trees.buffer.spend(count)
    raw = trees.buffer.read(steps_at, 4 * count)
    _, leaves = trees.extent(8, 8) or (0, 0)
    return CatBoost(
        where=where,
        size=blob.size,
        seen=max(0, 8 + length - 8 * leaves),
        blob=blob,
        version=version,
        splits=trees.numbers(1, "i"),
        sizes=trees.numbers(2, "i"),
        starts=trees.numbers(3, "i"),
        steps=tuple(int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2)),
        leaf_ids=trees.numbers(11, "I"),
        leaves=leaves,
        known=_conditions(trees),
        outputs=trees.number(0, "i"),
        information=tuple((t.text(0), t.text(1)) for t in root.tables(2)),
        parts=root.texts(3),
        rest=8 + length,
    )


def _conditions(trees: Table) -> int:
    """Borders of numbers, values of categories and borders of their statistics, one after the
    other: a split is a number in this row."""
    fields = ((5, 3), (6, 1), (7, 1), (13, 3))
    return sum((t.extent(b, 4) or (0, 0))[1] for a, b in fields for t in trees.tables(a))


def _sniff(sample: Sample) -> bool:
    length = int.from_bytes(sample.head[4:8], "little")
    return sample.head[:4] == MAGIC and length > 0


CATBOOST = Format(
    name="catboost",
    title="CatBoost model",
    loading=Loading.DATA,
    sniff=_sniff,
    first=MAGIC[:1],
    parse=_parse,
    document=CatBoost,
    limits="Leaf values and the statistics of categories that follow the trees are not read.",
)
