"""Which tensor of one model was made from which of another, and in what form it comes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.analysis.element_types import ElementType, Floats
from weighbridge.analysis.rounding import DETOUR
from weighbridge.analysis.stored_tensors import Model, Stored, spread
from weighbridge.analysis.tensor_names import (
    MADE_BY_CONVERTERS,
    ggml_name,
    has_one_added,
    is_transposed,
    layer_endings,
    rotated_heads,
)
from weighbridge.core.fact import Settings

TRANSPOSED_LIMIT: Final = 64 << 20
"""Bytes of the largest matrix that is turned over; it must be read whole."""
HEAD_LIMIT: Final = 1 << 23
"""Elements of the largest attention head."""


class Counterpart(Struct, frozen=True):
    """What a tensor was made from, so that its rows come in the order and the form of the made one:
    `parts` one below the other, reordered for rotary embeddings in `heads` heads (0: not), with
    `added` added to every element, `transposed` on the way."""

    parts: tuple[Stored, ...]
    heads: int = 0
    added: float = 0.0
    transposed: bool = False

    @property
    def rows(self) -> int:
        """How many rows it has in that form."""
        if self.transposed:
            return self.parts[0].columns
        return sum(p.rows for p in self.parts)

    @property
    def columns(self) -> int:
        """How many elements a row has in that form."""
        return self.parts[0].rows if self.transposed else self.parts[0].columns

    def detour(self, made: ElementType) -> float:
        """The relative error by which what the tensor was really made from may differ from this:
        what is published in 16 bits was often converted from more, and from more often over 16."""
        if made.coded is not None:
            return DETOUR
        digits = self.parts[0].kind.digits
        return digits if digits > made.digits else 0.0

    @property
    def step(self) -> int:
        """How many rows belong together, so that reading as many takes no others."""
        return max(1, self.parts[0].rows // self.heads) if self.heads else 1

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(p.entry.size for p in self.parts)

    def values(self, first: int, count: int) -> Floats:
        """Some rows, of shape (rows, columns)."""
        import numpy as np

        if self.transposed:
            made = self.parts[0].values(0, self.parts[0].rows)[:, first : first + count].T
        elif self.heads:
            made = self._rotated(first, count)
        else:
            pieces = [p.values(at, n) for p, at, n in self._spread(first, count)]
            made = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return made + np.float32(self.added) if self.added else made

    def _spread(self, first: int, count: int) -> Iterator[tuple[Stored, int, int]]:
        for part in self.parts:
            if first >= part.rows:
                first -= part.rows
                continue
            n = min(count, part.rows - first)
            yield part, first, n
            first, count = 0, count - n
            if not count:
                return

    def _rotated(self, first: int, count: int) -> Floats:
        """Rows 0, 1, 2 … of a head are those that were 0, half, 1, half + 1 …"""
        import numpy as np

        part = self.parts[0]
        flat = part.rows == 1  # a bias: its elements are what is reordered
        total = part.columns if flat else part.rows
        head = total // self.heads
        made = np.arange(0 if flat else first, total if flat else first + count)
        within = made % head
        source = made - within + within // 2 + (within % 2) * (head // 2)
        if flat:
            return part.values(0, 1)[:, source]
        low, high = int(source.min()), int(source.max()) + 1
        if high - low <= 4 * count:
            return part.values(low, high - low)[source - low]
        return np.concatenate([part.values(int(row), 1) for row in source])


class Pairing(Struct):
    """The tensors of one model with what each may have been made from: `pairs` holds every form
    that is known for a tensor, the usual one first; one of them has to fit. `added` are tensors
    that the other model does not have, `absent` the other's that have no place here, `shapes` those
    whose sizes differ, `untestable` those that can't be compared, and why."""

    pairs: dict[str, tuple[Stored, list[Counterpart]]] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    shapes: dict[str, str] = field(default_factory=dict)
    untestable: dict[str, str] = field(default_factory=dict)


def pair(made: Model, origin: Model, config: dict[str, Any] | None = None) -> Pairing:
    """Pair the tensors of a model with those of the one that it is said to come from. `config` is
    the origin's configuration, which counts heads where the made file does not."""
    result = Pairing()
    if made.format == "gguf" and origin.format != "gguf":
        _from_checkpoint(made, origin, config or {}, result)
    else:
        _by_name(made, origin, result)
    for name, why in made.untestable.items():
        result.untestable.setdefault(name, why)
    return result


def _by_name(made: Model, origin: Model, result: Pairing) -> None:
    renamed = _renaming(made.shapes, origin.shapes)
    reached = set()
    for name, tensor in made.tensors.items():
        other = renamed(name)
        if other not in origin.shapes:
            result.added.append(name)
            continue
        reached.add(other)
        if other in origin.tensors:
            _keep(name, tensor, [Counterpart((origin.tensors[other],))], result)
        else:
            result.untestable[name] = origin.untestable.get(other, "it holds nothing")
    unread = {renamed(name) for name in made.untestable}
    result.absent = [n for n in origin.shapes if n not in reached and n not in unread]


class _Renaming:
    """Puts a prefix before names, or takes one away."""

    def __init__(self, put: str = "", take: str = "") -> None:
        self.put, self.take = put, take

    def __call__(self, name: str) -> str:
        return self.put + name.removeprefix(self.take)


def _renaming(made: Iterable[str], origin: Iterable[str]) -> _Renaming:
    """How names of one checkpoint are written in another that is saved from within, or from
    around, the same network (`bert.encoder…` and `encoder…`)."""
    names, theirs = sorted(made), set(origin)
    best = _Renaming()
    most = sum(name in theirs for name in names)
    if most * 2 >= min(len(names), len(theirs)):
        return best
    ours = spread(names, 500)
    fronts = {
        n[: m.end()]
        for n in (*ours, *spread(sorted(theirs), 500))
        for m in re.finditer(r"\.", n[:60])
    }
    for front in sorted(fronts, key=len)[:200]:
        for renaming in (_Renaming(put=front), _Renaming(take=front)):
            count = sum(renaming(name) in theirs for name in ours)
            if count > most:
                best, most = renaming, count
    return best


def _from_checkpoint(made: Model, origin: Model, config: dict[str, Any], result: Pairing) -> None:
    """A GGUF and the checkpoint that it was converted from."""
    architecture, heads, heads_kv = _heads(made.keys, config)
    beside = layer_endings(list(origin.shapes))
    named: dict[str, list[tuple[int, str]]] = defaultdict(list)
    unnamed: list[str] = []
    for name in origin.shapes:
        found = ggml_name(name, beside)
        if found is None:
            unnamed.append(name)
        else:
            expert = -1 if found.expert is None else found.expert
            named[found.name].append((expert, name))
    for name, tensor in made.tensors.items():
        sources = sorted(named.get(name, ()))
        if not sources and name == "output.weight":  # tied to the embedding, and written out
            sources = sorted(named.get("token_embd.weight", ()))
        if MADE_BY_CONVERTERS.fullmatch(name):
            result.untestable[name] = "converters compute it"
        elif not sources:
            why = "what it was made from is not known by name"
            result.untestable[name] = why if unnamed else "the original has no such tensor"
            if not unnamed:
                result.added.append(name)
        elif any(n not in origin.tensors for _, n in sources):
            result.untestable[name] = "what it was made from can't be read"
        elif len(sources) > 1 and [e for e, _ in sources] != list(range(len(sources))):
            result.untestable[name] = "several tensors of the original may be meant"
        else:
            parts = tuple(origin.tensors[n] for _, n in sources)
            forms = _forms(name, parts, architecture, rotated_heads(name, heads, heads_kv))
            _keep(name, tensor, forms, result)
    known = made.tensors.keys() | made.untestable.keys()
    if made.complete:
        result.absent = [
            n for ggml, held in named.items() if ggml not in known for _, n in held
            if ggml != "output.weight"
        ]  # fmt: skip


def _heads(keys: Settings | None, config: dict[str, Any]) -> tuple[str, int, int]:
    values = keys.values if keys is not None else {}
    architecture = values.get("general.architecture")
    architecture = architecture if isinstance(architecture, str) else ""
    heads = values.get(f"{architecture}.attention.head_count", config.get("num_attention_heads"))
    heads_kv = values.get(
        f"{architecture}.attention.head_count_kv", config.get("num_key_value_heads", heads)
    )
    return architecture, _count(heads), _count(heads_kv)


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value < 1 << 16 else 0


def _forms(
    name: str, parts: tuple[Stored, ...], architecture: str, heads: int
) -> list[Counterpart]:
    if is_transposed(name, architecture) and len(parts) == 1:
        return [Counterpart(parts, transposed=True)]
    if has_one_added(name, architecture):
        return [Counterpart(parts, added=1.0), Counterpart(parts)]
    flat = parts[0].rows == 1
    total = parts[0].columns if flat else parts[0].rows
    head = total // heads if heads else 0
    fits = heads and len(parts) == 1 and total % heads == 0 and head % 2 == 0
    if fits and head * parts[0].columns <= HEAD_LIMIT:
        return [Counterpart(parts, heads=heads), Counterpart(parts)]
    return [Counterpart(parts)]


def _keep(name: str, tensor: Stored, forms: list[Counterpart], result: Pairing) -> None:
    first = forms[0]
    if first.columns != tensor.columns or first.rows != tensor.rows:
        flat = first.rows * first.columns == tensor.rows * tensor.columns and first.columns == 1
        if not flat:
            shape = " × ".join(f"{n:,}" for n in tensor.entry.shape)
            other = " × ".join(f"{n:,}" for n in first.parts[0].entry.shape)
            result.shapes[name] = f"{shape} instead of {other}"
            if first.columns != tensor.columns or first.transposed:
                return
        else:
            result.untestable[name] = "its rows are cut differently"
            return
    if first.transposed and first.size > TRANSPOSED_LIMIT:
        result.untestable[name] = "it is too large to be turned over"
        return
    result.pairs[name] = (tensor, forms)
