"""Safetensors: a length, a JSON header, the tensors' bytes.

Format: https://huggingface.co/docs/safetensors, section "Format"; the header limit is the
reference implementation's. Tensor bytes are never read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import TensorEntry, Weights
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.text import encodable

HEADER_LIMIT: Final = 100_000_000
FLAWS_KEPT: Final = 100
LEFTOVER_KEPT: Final = 1_000
BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I4": 4, "U4": 4,
}  # fmt: skip


class Tensor(Struct, frozen=True):
    """A tensor's entry: `start` and `end` in bytes from where the data begin."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Flaw(Struct, frozen=True):
    """Something that the format forbids and that did not stop us from reading on."""

    kind: str
    message: str
    offset: int


class Safetensors(Document, frozen=True, kw_only=True, eq=False):
    """The header. `data` is the offset where tensor bytes begin."""

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]
    flaws: tuple[Flaw, ...]
    data: int
    blob: Blob
    leftover: tuple[tuple[int, int], ...]

    def facts(self) -> Iterator[Weights]:
        """The tensors, with the places of their bytes in the file."""
        yield Weights(
            at=self.where,
            format="safetensors",
            tensors=tuple(
                TensorEntry(
                    encodable(t.name),
                    encodable(t.dtype),
                    t.shape,
                    self.data + t.start,
                    t.end - t.start,
                )
                for t in self.tensors
            ),
        )

    def walk(self) -> Iterator[Blob | Gap]:
        """The bytes that no tensor accounts for."""
        for start, size in self.leftover:
            yield Piece(
                f"bytes in no tensor, from byte {start}", self.blob, start, size, "leftover"
            )


_START: Final = regex(rb"\s*\{\s*(?:\"|\})")


def _sniff(sample: Sample) -> bool:
    head = sample.head
    if len(head) < 10:
        return False
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= HEADER_LIMIT * 2 and bool(_START.match(head, 8))


def _parse(blob: Blob, where: Location, limits: Limits) -> Safetensors:
    length = int.from_bytes(blob.read(0, 8), "little")
    if length > HEADER_LIMIT:
        raise Malformed(f"the header is longer than {HEADER_LIMIT:,} bytes", 0)
    if 8 + length > blob.size:
        raise Malformed("the header is longer than the file", 0)
    flaws: list[Flaw] = []

    def note(kind: str, message: str, offset: int = 8) -> None:
        if len(flaws) < FLAWS_KEPT:
            flaws.append(Flaw(kind, message, offset))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    note("duplicate", f"the key {key[:80]!r} stands twice in the header")
                seen.add(key)
        return made

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    raw = blob.read(8, length)
    if raw[:1] != b"{":
        note("header", "the header does not begin with {")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the header is not JSON: {str(error)[:120]}", 8) from None
    if not isinstance(header, dict):
        raise Malformed("the header is not an object", 8)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        note("metadata", "__metadata__ is not a mapping of strings to strings")
        metadata = metadata if isinstance(metadata, dict) else {"__metadata__": metadata}
    available = blob.size - 8 - length
    tensors = [_tensor(name, entry, note) for name, entry in header.items()]
    placed = sorted((t for t in tensors if t is not None), key=lambda t: (t.start, t.end))
    reached = 0
    leftover: list[tuple[int, int]] = []
    for tensor in placed:
        name = tensor.name[:80]
        if tensor.start < reached:
            note("overlap", f"tensor {name!r} begins inside the one before it")
        elif tensor.start > reached:
            note("hole", f"{tensor.start - reached:,} bytes before tensor {name!r} are in none")
            leftover.append((8 + length + reached, min(tensor.start, available) - reached))
        if tensor.end > available:
            note("beyond", f"tensor {name!r} ends {tensor.end - available:,} bytes behind the file")
        reached = max(reached, tensor.end)
    if reached < available:
        extra = available - reached
        note("trailing", f"{extra:,} bytes follow the last tensor", 8 + length + reached)
        leftover.append((8 + length + reached, extra))
    return Safetensors(
        where=where,
        size=blob.size,
        seen=8 + length,
        tensors=tuple(placed),
        metadata={str(k): v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()},
        flaws=tuple(flaws),
        data=8 + length,
        blob=blob,
        leftover=tuple((start, size) for start, size in leftover[:LEFTOVER_KEPT] if size > 0),
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _tensor(name: str, entry: Any, note: Any) -> Tensor | None:
    shown = name[:80]
    if not isinstance(entry, dict):
        note("entry", f"the entry of {shown!r} is not an object")
        return None
    dtype, shape, offsets = (entry.get(k) for k in ("dtype", "shape", "data_offsets"))
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, list)
        or not all(_whole(n) for n in shape)
        or not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(_whole(n) for n in offsets)
        or offsets[0] > offsets[1]
    ):
        note("entry", f"the entry of {shown!r} lacks a valid dtype, shape or data_offsets")
        return None
    start, end = offsets
    if dtype not in BITS:
        note("dtype", f"tensor {shown!r} has the unknown type {dtype[:40]!r}")
    else:
        bits = BITS[dtype]
        for n in shape:
            bits *= n
        if (bits + 7) // 8 != end - start:
            message = f"tensor {shown!r}: {dtype} × {shape[:8]} is not {end - start:,} bytes"
            note("size", message)
    return Tensor(name, dtype, tuple(shape), start, end)


SAFETENSORS = Format(
    name="safetensors",
    title="Safetensors",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Safetensors,
    limits="Tensor bytes are not read.",
)
