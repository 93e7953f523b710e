"""ExecuTorch: a program of kernel calls and delegate calls, and the segments of its data.

Schema: `schema/program.fbs` of pytorch/executorch (identifier `ET12`); the extended header at byte
8 (`eh00`) says where the segments begin that stand behind the flatbuffer. Constants and delegates'
data are never read, only placed. Every index is held against the list that it leads into.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.flatbuffer import Flatbuffer, Table, has_identifier

IDENTIFIER: Final = b"ET12"
HEADER: Final = b"eh00"
FLAWS_KEPT: Final = 100
INLINE: Final = 0
LARGEST: Final = 1 << 59
"""A tensor of more elements than this has a size in bytes that does not fit into 63 bits."""

TYPES: Final = {
    0: "BYTE", 1: "CHAR", 2: "SHORT", 3: "INT", 4: "LONG", 5: "HALF", 6: "FLOAT", 7: "DOUBLE",
    8: "COMPLEXHALF", 9: "COMPLEXFLOAT", 10: "COMPLEXDOUBLE", 11: "BOOL", 12: "QINT8",
    13: "QUINT8", 14: "QINT32", 15: "BFLOAT16", 16: "QUINT4X2", 17: "QUINT2X4", 22: "BITS16",
    23: "FLOAT8E5M2", 24: "FLOAT8E4M3FN", 25: "FLOAT8E5M2FNUZ", 26: "FLOAT8E4M3FNUZ",
    27: "UINT16", 28: "UINT32", 29: "UINT64",
}  # fmt: skip
KINDS: Final = ("", "null", "int", "bool", "double", "tensor", "string", "ints", "doubles",
                "bools", "tensors", "optional tensors")  # fmt: skip
"""What a value can be, by its number in the union."""
STEPS: Final = ("", "kernel", "delegate", "move", "jump", "free")
"""What an instruction can be, by its number in the union."""


class Extent(Struct, frozen=True):
    """Where bytes stand, from the file's beginning; `size` 0: nowhere."""

    start: int
    size: int


class Value(Struct, frozen=True):
    """A value of a plan. `kind` is one of `KINDS`.

    A tensor has a `type`, a `shape`, the number of its `buffer` of constants (0: computed), and,
    where its values are in another file, the name that they have there. `items` are a number, the
    elements of a list of numbers, or the numbers of the values in a list of tensors.
    """

    kind: str
    type: str = ""
    shape: tuple[int, ...] = ()
    buffer: int = 0
    external: str = ""
    text: str = ""
    items: tuple[int, ...] = ()


class Step(Struct, frozen=True):
    """An instruction: `kind` is one of `STEPS`; `what` the number of the operator or delegate, of
    the value that is moved, asked or freed; `args` the numbers of values (of a jump: where to)."""

    kind: str
    what: int
    args: tuple[int, ...]


class Delegate(Struct, frozen=True):
    """A part that a backend runs: the backend's name, where its data stands, and the keys of its
    compile specifications with their bytes."""

    id: str
    data: Extent
    specs: tuple[tuple[str, Extent], ...]


class Plan(Struct, frozen=True):
    """A method of the model. `operators` are full names with their overload."""

    name: str
    values: tuple[Value, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    steps: tuple[Step, ...]
    operators: tuple[str, ...]
    delegates: tuple[Delegate, ...]


class Flaw(Struct, frozen=True):
    """Something that the schema forbids; `kind` names the rule."""

    kind: str
    message: str


class Executorch(Document, frozen=True, kw_only=True, eq=False):
    """The program. `named` are the blobs that backends ask for by a key."""

    blob: Blob
    version: int
    plans: tuple[Plan, ...]
    segments: tuple[Extent, ...]
    constants: tuple[Extent, ...]
    named: tuple[tuple[str, Extent], ...]
    flaws: tuple[Flaw, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """The bytes that are no tensor's: delegates' data, named blobs, compile specifications."""
        given: set[tuple[int, int]] = set()
        parts = [(f"data {key[:60]!r}", extent) for key, extent in self.named]
        for plan in self.plans:
            for number, delegate in enumerate(plan.delegates):
                label = f"delegate {plan.name[:40]}.{number} {delegate.id[:40]}"
                parts.append((label, delegate.data))
                parts += [(f"{label}: {key[:40]}", extent) for key, extent in delegate.specs]
        for name, extent in parts:
            place = (extent.start, extent.size)
            inside = extent.start + extent.size <= self.size
            if extent.size and inside and place not in given:
                given.add(place)
                yield Piece(name, self.blob, extent.start, extent.size, "executorch-data")


def _sniff(sample: Sample) -> bool:
    return has_identifier(sample, IDENTIFIER)


def _parse(blob: Blob, where: Location, limits: Limits) -> Executorch:
    program = Flatbuffer(blob).root()
    reading = _Reading(blob)
    segments = tuple(reading.segment(t) for t in program.tables(4))
    inline = tuple(_bytes(t, 0) for t in program.tables(3))
    constants = reading.constants(program, segments)
    plans = tuple(reading.plan(t, segments, inline) for t in program.tables(1))
    named = tuple(
        (t.text(0), reading.of(segments, t.number(1, "I"), "segment")) for t in program.tables(7)
    )
    if not plans:
        raise Malformed("a program without a method")
    for plan in plans:
        reading.hold(plan, constants)
    lazy = sum(s.size for s in segments) + sum(i.size for i in inline)
    return Executorch(
        where=where,
        size=blob.size,
        seen=max(0, blob.size - lazy),
        blob=blob,
        version=program.number(0, "I"),
        plans=plans,
        segments=segments,
        constants=constants,
        named=named,
        flaws=tuple(reading.flaws),
    )


def _bytes(table: Table, field: int) -> Extent:
    return Extent(*(table.extent(field) or (0, 0)))


class _Reading:
    def __init__(self, blob: Blob) -> None:
        self.size = blob.size
        self.flaws: list[Flaw] = []
        head = blob.read(8, 24)
        self.base = int.from_bytes(head[16:24], "little") if head[:4] == HEADER else 0
        program = int.from_bytes(head[8:16], "little") if head[:4] == HEADER else 0
        if max(self.base, program) > blob.size:
            self.flaw("header that leads out of the file", "the header places parts behind the end")

    def flaw(self, kind: str, message: str) -> None:
        if len(self.flaws) < FLAWS_KEPT:
            self.flaws.append(Flaw(kind, message))

    def of(self, extents: tuple[Extent, ...], index: int, what: str) -> Extent:
        """One of several extents; none where the number leads to nothing."""
        if index < len(extents):
            return extents[index]
        self.flaw(f"{what} that does not exist", f"{what} {index:,} of {len(extents):,} is used")
        return Extent(0, 0)

    def segment(self, table: Table) -> Extent:
        start, size = self.base + table.number(0, "Q"), table.number(1, "Q")
        if start + size > self.size:
            message = f"a segment of {size:,} bytes at byte {start:,} leads out of the file"
            self.flaw("segment outside the file", message)
            return Extent(0, 0)
        return Extent(start, size)

    def constants(self, program: Table, segments: tuple[Extent, ...]) -> tuple[Extent, ...]:
        """Where each constant begins: in the flatbuffer, or in a segment, up to the next one."""
        listed = program.table(5)
        offsets = listed.numbers(1, "Q") if listed is not None else ()
        if listed is None or not offsets:
            return tuple(_bytes(t, 0) for t in program.tables(2))
        whole = self.of(segments, listed.number(0, "I"), "segment")
        found = [Extent(0, 0)]
        for offset, after in zip(offsets[1:], (*offsets[2:], whole.size), strict=True):
            if offset > whole.size:
                message = f"a constant at byte {offset:,} of a segment of {whole.size:,} bytes"
                self.flaw("constant outside its segment", message)
                found.append(Extent(0, 0))
            else:
                end = min(after, whole.size)
                found.append(Extent(whole.start + offset, max(0, end - offset)))
        return tuple(found)

    def plan(self, table: Table, segments: tuple[Extent, ...], inline: tuple[Extent, ...]) -> Plan:
        return Plan(
            name=table.text(0),
            values=tuple(self.value(t) for t in table.tables(2)),
            inputs=table.numbers(3, "i"),
            outputs=table.numbers(4, "i"),
            steps=tuple(self.step(i) for c in table.tables(5) for i in c.tables(2)),
            operators=tuple(
                ".".join(p for p in (t.text(0), t.text(1)) if p) for t in table.tables(6)
            ),
            delegates=tuple(self.delegate(t, segments, inline) for t in table.tables(7)),
        )

    def value(self, table: Table) -> Value:
        number = table.number(0, "B")
        kind = KINDS[number] if number < len(KINDS) else ""
        made = table.table(1)
        if made is None or not kind:
            return Value(kind)
        if kind == "tensor":
            extra = made.table(9)
            type_number = made.number(0, "b")
            return Value(
                kind,
                type=TYPES.get(type_number, f"type {type_number}"),
                shape=made.numbers(2, "i"),
                buffer=made.number(5, "I"),
                external=extra.text(1) if extra is not None and extra.number(2, "b") == 1 else "",
            )
        if kind == "string":
            return Value(kind, text=made.text(0))
        if kind in ("int", "bool"):
            return Value(kind, items=(made.number(0, "q" if kind == "int" else "B"),))
        code = {"ints": "q", "bools": "B", "tensors": "i", "optional tensors": "i"}.get(kind)
        return Value(kind, items=made.numbers(0, code) if code else ())

    def step(self, table: Table) -> Step:
        number = table.number(0, "B")
        kind = STEPS[number] if number < len(STEPS) else ""
        made = table.table(1)
        if made is None or not kind:
            self.flaw("instruction of no kind", f"an instruction of kind {number}")
            return Step("", 0, ())
        if kind in ("kernel", "delegate"):
            return Step(kind, made.number(0, "i"), made.numbers(1, "i"))
        args = (made.number(1, "i"),) if kind in ("move", "jump") else ()
        return Step(kind, made.number(0, "i"), args)

    def delegate(
        self, table: Table, segments: tuple[Extent, ...], inline: tuple[Extent, ...]
    ) -> Delegate:
        placed = table.table(1)
        data = Extent(0, 0)
        if placed is not None:
            inside = placed.number(0, "b") == INLINE
            data = self.of(inline if inside else segments, placed.number(1, "I"), "delegate data")
        specs = tuple((t.text(0), _bytes(t, 1)) for t in table.tables(2))
        return Delegate(table.text(0), data, specs)

    def hold(self, plan: Plan, constants: tuple[Extent, ...]) -> None:
        """Hold every number of a plan against the list that it leads into."""
        count = len(plan.values)
        lists = {"kernel": plan.operators, "delegate": plan.delegates}
        for number in (*plan.inputs, *plan.outputs):
            self.index("value", number, count)
        for value in plan.values:
            if value.kind == "tensor" and not _possible(value.shape):
                message = f"a tensor of the shape {value.shape[:8]}"
                self.flaw("tensor of an impossible size", message)
            if value.kind in ("tensors", "optional tensors"):
                for number in value.items:
                    self.index("value", number, count, least=-1)
            elif value.buffer and not value.external:
                self.index("buffer", value.buffer, max(len(constants), 1))
        for step in plan.steps:
            if step.kind in lists:
                self.index(step.kind, step.what, len(lists[step.kind]))
                numbers: tuple[int, ...] = step.args
            else:
                numbers = (step.what, *(step.args if step.kind == "move" else ()))
            for number in numbers:
                self.index("value", number, count)
            if step.kind == "jump":
                self.index("instruction", step.args[0], len(plan.steps) + 1)

    def index(self, what: str, number: int, count: int, least: int = 0) -> None:
        if not least <= number < count:
            message = f"{what} {number:,} is used, and there are {count:,}"
            self.flaw(f"{what} that does not exist", message)


def _possible(shape: tuple[int, ...]) -> bool:
    return len(shape) <= 64 and min(shape, default=0) >= 0 and math.prod(shape) < LARGEST


EXECUTORCH = Format(
    name="executorch",
    title="ExecuTorch program",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Executorch,
    limits="Delegates' data are looked at as files of their own and not read as graphs. Initial "
    "values of mutable tensors are not placed.",
)
