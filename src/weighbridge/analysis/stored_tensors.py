"""Tensors as they lie in files, to be read in rows."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from weighbridge.analysis.element_types import TYPES, ElementType, Floats
from weighbridge.core.check import Audit
from weighbridge.core.document import Malformed
from weighbridge.core.fact import Settings, TensorEntry, Weights
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

Item = TypeVar("Item")
ROW_LIMIT: Final = 1 << 22
"""Elements of the longest row that is read."""
_SHARD: Final = regex(r"[-_.]?\d{2,6}[-_]of[-_]\d{2,6}", re.ASCII)


class Stored(Struct, frozen=True):
    """A tensor whose elements are read as `rows` of `columns` of them."""

    entry: TensorEntry
    kind: ElementType
    blob: Blob

    @property
    def columns(self) -> int:
        """The last dimension."""
        return self.entry.shape[-1] if self.entry.shape else 1

    @property
    def rows(self) -> int:
        """The product of the others."""
        return math.prod(self.entry.shape[:-1])

    @property
    def row_bytes(self) -> int:
        """How many bytes a row takes."""
        return self.columns // self.kind.block * self.kind.width

    def raw(self, first: int, count: int) -> bytes:
        """The bytes of some rows. Raises `Malformed` where the file is too short for them."""
        wanted = count * self.row_bytes
        data = self.blob.read(self.entry.start + first * self.row_bytes, wanted)
        if len(data) != wanted:
            raise Malformed("the file ends within a tensor", self.entry.start)
        return data

    def values(self, first: int, count: int) -> Floats:
        """Some rows as numbers, of shape (rows, columns)."""
        return self.kind.decode(self.raw(first, count)).reshape(count, self.columns)


class Model(Struct, frozen=True):
    """The tensors of one model: of a file, or of the shards that it is stored in. `untestable` says
    of tensors that can't be read why not; `complete` is false for one part of several."""

    folder: str
    stem: str
    format: str
    paths: tuple[str, ...]
    tensors: dict[str, Stored]
    untestable: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    keys: Settings | None = None
    complete: bool = True

    @property
    def path(self) -> str:
        """The first of its files."""
        return self.paths[0]

    @property
    def size(self) -> int:
        """The bytes of all tensors that can be read."""
        return sum(t.entry.size for t in self.tensors.values())

    @property
    def plain(self) -> bool:
        """Whether every tensor of numbers is stored as such, none in blocks."""
        return all(t.kind.coded is None for t in self.tensors.values())


def comparable(audit: Audit) -> bool:
    """Whether there may be weights to hold against each other: two files of them, here or in what
    was audited beside."""
    facts = [f for part in (audit, *audit.parts.values()) for f in part.facts]
    return sum(isinstance(f, Weights) for f in facts) > 1


def models(audit: Audit) -> list[Model]:
    """The models whose weights lie in the target's files, in the order of their paths."""
    groups: dict[tuple[str, str, str], list[Weights]] = defaultdict(list)
    keys = {f.at.path: f for f in audit.facts if isinstance(f, Settings) and f.kind == "gguf"}
    for fact in audit.facts:
        if isinstance(fact, Weights) and not fact.at.inside and fact.at.path in audit.blobs:
            folder, _, name = fact.at.path.rpartition("/")
            stem = _SHARD.sub("", name.rpartition(".")[0])
            groups[folder, stem, fact.format].append(fact)
    made = []
    for (folder, stem, format_), facts in sorted(groups.items()):
        facts.sort(key=lambda f: f.at.path)
        names = [t.name for f in facts for t in f.tensors]
        apart = [[f] for f in facts] if len(set(names)) < len(names) else [facts]
        made += [_model(audit, folder, stem, format_, some, keys) for some in apart]
    return sorted(made, key=lambda m: m.path)


def _model(
    audit: Audit, folder: str, stem: str, format: str, facts: list[Weights],
    keys: dict[str, Settings],
) -> Model:  # fmt: skip
    tensors: dict[str, Stored] = {}
    untestable: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for fact in facts:
        blob = audit.blobs[fact.at.path]
        for entry in fact.tensors:
            shapes[entry.name] = entry.shape
            kind = TYPES.get(entry.dtype)
            why = _untestable(entry, kind, blob)
            if kind is None or why:
                untestable[entry.name] = why
            elif entry.size:
                tensors[entry.name] = Stored(entry, kind, blob)
    held = keys.get(facts[0].at.path)
    split = held.values.get("split.count", 1) if held is not None else 1
    return Model(
        folder, stem, format, tuple(f.at.path for f in facts), tensors, untestable, shapes, held,
        not isinstance(split, int) or split <= len(facts),
    )  # fmt: skip


def _untestable(entry: TensorEntry, kind: ElementType | None, blob: Blob) -> str:
    if kind is None:
        return f"elements of the type {entry.dtype[:20]} are not read"
    if entry.start < 0:
        return "its elements do not lie in one piece, lowest byte first"
    columns = entry.shape[-1] if entry.shape else 1
    if columns > ROW_LIMIT or columns % kind.block:
        return "its rows can't be read"
    if math.prod(entry.shape) // kind.block * kind.width != entry.size:
        return "its size is not that of its shape"
    if entry.start + entry.size > blob.size:
        return "it lies beyond the end of the file"
    return ""


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of some items, spread evenly over them, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def shown(names: Iterable[str], count: int = 3) -> str:
    """Some names, for a sentence."""
    listed = list(names)
    more = f" and {len(listed) - count:,} more" if len(listed) > count else ""
    return ", ".join(repr(n[:80]) for n in listed[:count]) + more
