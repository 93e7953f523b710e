"""XGBoost's binary models of before JSON (until version 3).

Layout: `LearnerModelParamLegacy`, `GBTreeModelParam`, `TreeParam` and `RegTree::Node` of XGBoost
1.x and 2.x (src/learner.cc, src/gbm/gbtree_model.h, include/xgboost/tree_model.h): structures of
C++ as they lie in memory, least byte first.
"""

from __future__ import annotations

import struct
from array import array
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.forward import Forward

MAGIC: Final = b"binf"
LEARNER: Final = 136
MODEL: Final = 160
TREE: Final = 148
NODE: Final = 20
STATISTICS: Final = 16
NAME_LIMIT: Final = 1_000
TREES_LIMIT: Final = 1_000_000


class BinaryTree(Struct, frozen=True):
    """A tree: the numbers of each node's children (-1: a leaf) and of the feature it asks."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    features: tuple[int, ...]


class XgboostBinary(Document, frozen=True, kw_only=True, eq=False):
    """The model. `features` is how many features it was trained on (0: not said)."""

    objective: str
    booster: str
    features: int
    trees: tuple[BinaryTree, ...]
    attributes: dict[str, str]


def _name(reader: Forward) -> str:
    length = reader.number("<Q")
    if length > NAME_LIMIT:
        raise Malformed(f"a name of {length:,} bytes", reader.at)
    return reader.text(length)


def _tree(reader: Forward) -> BinaryTree:
    _, nodes, _, _, _, vector = struct.unpack_from("<6i", reader.take(TREE))
    if nodes < 1:
        raise Malformed("a tree without nodes", reader.at)
    reader.spend(nodes)
    data = array("i", reader.take(nodes * NODE))
    reader.skip(nodes * STATISTICS)
    if vector:
        reader.skip(4 * reader.number("<Q"))
    features = tuple(n & 0x7FFFFFFF for n in data[3::5])
    return BinaryTree(tuple(data[1::5]), tuple(data[2::5]), features)


def _attributes(reader: Forward) -> dict[str, str]:
    made: dict[str, str] = {}
    for _ in range(reader.number("<Q")):
        reader.spend()
        key = reader.text(reader.number("<Q"))
        made[key] = reader.text(reader.number("<Q"))
    return made


def _parse(blob: Blob, where: Location, limits: Limits) -> XgboostBinary:
    reader = Forward(blob)
    reader.take(len(MAGIC))
    _, features, _, attributes, metrics = struct.unpack_from("<fIiii", reader.take(LEARNER))
    objective, booster = _name(reader), _name(reader)
    trees: list[BinaryTree] = []
    gaps: list[Gap] = []
    named: dict[str, str] = {}
    if booster in ("gbtree", "dart"):
        (count,) = struct.unpack_from("<i", reader.take(MODEL))
        if not 0 <= count <= TREES_LIMIT:
            raise Malformed(f"{count:,} trees", reader.at)
        trees = [_tree(reader) for _ in range(count)]
        reader.skip(4 * count)
        if booster == "dart" and count:
            reader.skip(4 * reader.number("<Q"))
        if attributes:
            named = _attributes(reader)
        if metrics and reader.at < reader.end:
            for _ in range(reader.number("<Q")):
                reader.spend()
                _name(reader)
        if reader.at < blob.size:
            why = f"{blob.size - reader.at:,} bytes follow the model"
            gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=where))
    elif booster != "gblinear":
        raise Malformed(f"the booster {booster[:40]!r} is not known", reader.at)
    return XgboostBinary(
        where=where, size=blob.size, seen=reader.seen, gaps=tuple(gaps), objective=objective,
        booster=booster, features=features, trees=tuple(trees), attributes=named,
    )  # fmt: skip


def _sniff(sample: Sample) -> bool:
    head = sample.head
    length = int.from_bytes(head[4 + LEARNER : 12 + LEARNER], "little")
    return head[:4] == MAGIC and 0 < length <= NAME_LIMIT


XGBOOST = Format(
    name="xgboost-binary",
    title="XGBoost model (binary, before JSON)",
    loading=Loading.DATA,
    sniff=_sniff,
    first=MAGIC[:1],
    parse=_parse,
    document=XgboostBinary,
    limits="With the header `binf`; older ones without it are not recognised.",
)
