"""What writes the nodes of a graph that is to be run: names, types and constants of its values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Constant,
    Operation,
    Steps,
)
from weighbridge.analysis.graph_dimensions import Known, Shapes
from weighbridge.analysis.written_types import (
    TYPES,
    Unwritable,
    packed,
    promoted,
)
from weighbridge.core.document import Malformed
from weighbridge.formats import onnx_written as wire

NAME: Final = 160
"""How long a value's name gets."""
LOOSE: Final = -1
"""Stands for the rank of a plain number, which has no type of its own."""


class Operand(Struct, frozen=True):
    """Something that a node reads: its name in the model that is written, its type, and its rank
    (`LOOSE`: a plain number that the code which wrote the graph holds; None: not known).
    `constant` is what it is, where it stands in the graph and was not written yet."""

    name: str
    type: str
    rank: int | None = None
    constant: Constant | None = None


class Pen:
    """Writes nodes and tensors one after the other. `room` is for how many bytes of tensors there
    is room."""

    def __init__(self, graph: ComputationGraph, made: Shapes, room: int) -> None:
        self.graph, self.made, self.room = graph, made, room
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []
        self.label = ""
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._labels: set[str] = set()
        self._types: dict[int, str] = {}
        self._stands: dict[int, Operand] = {}
        self._written: dict[tuple[int, str], str] = {}
        self._plain: dict[tuple[Any, ...], str] = {}

    # Values --------------------------------------------------------------------------------------

    def name(self, value: int) -> str:
        """What a value is called in the model."""
        if value not in self._names:
            self._names[value] = self.unused(self.graph.values[value].name or "value", value)
        return self._names[value]

    def unused(self, wanted: str, number: int = 0) -> str:
        """A name that nothing has; with a number behind what is wanted where that is taken."""
        found = wanted = wanted[:NAME]
        while found in self._taken:
            found = f"{wanted}/{number}"
            number += len(self.graph.values)
        self._taken.add(found)
        return found

    def begin(self, value: int, type: str) -> str:
        """Take in an input of the model; its name. One in whole numbers is put on its steps."""
        self._types[value] = type
        steps = self.graph.values[value].steps
        if steps is None:
            return self.name(value)
        given = self.unused(self.graph.values[value].name or "value", value)
        self._step(Operand(given, type), steps, self.name(value))
        return given

    def stands_for(self, value: int, operand: Operand) -> None:
        """A value is something that was written before."""
        self._stands[value] = operand

    def knows(self, value: int) -> bool:
        """Whether a value was written."""
        return value in self._stands or value in self._types

    def forget(self, values: Iterable[int]) -> None:
        """Values are no longer what was written; what is written of them now is something new."""
        for value in values:
            self._stands.pop(value, None)
            self._types.pop(value, None)
            self._names.pop(value, None)

    def rank(self, value: int) -> int | None:
        """How many axes a value has."""
        shape = self.made.shapes[value]
        return None if shape is None else len(shape)

    def known(self, value: int) -> Known | None:
        """A value's numbers, where they are small and follow from shapes and constants."""
        found = self.made.known.get(value)
        return None if found is None or any(isinstance(n, str) for n in found) else found

    def operand(self, value: int) -> Operand:
        """A value as something to be read. Raises `Unwritable` where nothing makes it."""
        constant = self.graph.values[value].constant
        if constant is not None:
            plain = not self.graph.values[value].name and not constant.shape
            rank = LOOSE if plain else len(constant.shape)
            return Operand("", constant.type, rank, constant)
        if value in self._stands:
            return self._stands[value]
        if value not in self._types:
            raise Unwritable("a part of it is not known")
        return Operand(self.name(value), self._types[value], self.rank(value))

    def operands(self, operation: Operation) -> list[Operand | None]:
        """All that an operation reads; None where an input is left out."""
        return [None if i == ABSENT else self.operand(i) for i in operation.inputs]

    # Writing -------------------------------------------------------------------------------------

    def read(self, operand: Operand | None) -> str:
        """The name of an operand, whose tensor is written where it was not yet."""
        if operand is None:
            return ""
        if operand.constant is None:
            return operand.name
        key = (id(operand.constant), operand.type)
        if key not in self._written:
            self._written[key] = self._constant(operand.constant, operand.type)
        return self._written[key]

    def _constant(self, constant: Constant, type: str) -> str:
        if type not in TYPES:
            raise Unwritable(f"numbers of the type {type or 'that nothing says'} are not written")
        width = TYPES[type][2]
        self._take(constant.elements * width)
        return self.tensor(self._bytes(constant, type), type, constant.shape).name

    def tensor(self, data: bytes, type: str, shape: tuple[int, ...]) -> Operand:
        """Numbers that a rule has put together, as bytes."""
        name = self.unused("constant", len(self._taken))
        self.tensors.append(wire.tensor(name, TYPES[type][0], shape, data))
        return Operand(name, type, len(shape))

    def raw(self, operand: Operand | None, type: str) -> bytes:
        """The numbers of a constant, as bytes of a type. Raises `Unwritable`."""
        if operand is None or operand.constant is None:
            raise Unwritable("weights that are computed")
        self._take(operand.constant.elements * TYPES[type][2])
        return self._bytes(operand.constant, type)

    def _take(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise Unwritable("its numbers are more than may be tried")

    def _bytes(self, constant: Constant, type: str) -> bytes:
        if constant.type != type or constant.held is not None:
            numbers = constant.numbers(constant.elements)
            if numbers is None:
                raise Unwritable("numbers that it needs are not here")
            return packed(numbers, type)
        size = constant.elements * TYPES[type][2]
        if constant.blob is None or constant.place is None:
            raise Unwritable("numbers that it needs are not here")
        start, end = constant.place
        if end - start != size:
            raise Unwritable("a tensor has another size than its shape says")
        try:
            data = constant.blob.read(start, size)
        except (Malformed, OSError) as error:
            raise Unwritable("numbers that it needs cannot be read") from error
        if len(data) != size:
            raise Unwritable("numbers that it needs are not here")
        return data

    def plain(self, numbers: Sequence[float], type: str = "int64", row: bool = True) -> Operand:
        """Numbers that a rule needs: a row of them, or one number where `row` is false."""
        key = (tuple(map(repr, numbers)), type, row)
        shape = (len(numbers),) if row else ()
        if key not in self._plain:
            name = self._plain[key] = self.unused("number", len(self._taken))
            data = packed(tuple(numbers), type)
            self.tensors.append(wire.tensor(name, TYPES[type][0], shape, data))
        return Operand(self._plain[key], type, len(shape))

    def node(
        self, op: str, inputs: Sequence[Operand | None], type: str = "", **attributes: Any
    ) -> Operand:
        """A node between; what it gives is of `type`, else of that of its first input."""
        name = self.unused(f"{self.label or op}/{op}", len(self._taken))
        found = type or (inputs[0].type if inputs and inputs[0] is not None else "")
        self._add(op, inputs, [name], attributes)
        return Operand(name, found)

    def give(
        self,
        operation: Operation,
        op: str,
        inputs: Sequence[Operand | None],
        *types: str,
        **attributes: Any,
    ) -> None:
        """The node that gives what an operation gives. `types` are those of its outputs, the last
        of them for all that follow; none: that of its first input."""
        first = inputs[0].type if inputs and inputs[0] is not None else ""
        said = types or (first,)
        names: list[str] = []
        held: list[tuple[Operand, Steps, str]] = []
        for place, output in enumerate(operation.outputs):
            if output == ABSENT:
                names.append("")
                continue
            type = self._types[output] = said[min(place, len(said) - 1)]
            steps, name = self.graph.values[output].steps, self.name(output)
            if steps is not None:
                held.append((Operand(self.unused(f"{name}/free"), type), steps, name))
                name = held[-1][0].name
                self._types[output] = "float32"
            names.append(name)
        self._add(op, inputs, names, attributes)
        for free, steps, name in held:
            self._step(free, steps, name)

    def but_the_first(
        self,
        operation: Operation,
        op: str,
        inputs: Sequence[Operand | None],
        count: int,
        **attributes: Any,
    ) -> Operand:
        """The node that gives what an operation gives but for the first of it, which is not that
        yet, and comes back; `count` is how much it gives in all."""
        type = inputs[0].type if inputs and inputs[0] is not None else ""
        made = self.unused(f"{self.label or op}/{op}", len(self._taken))
        names = [made]
        for output in operation.outputs[1:count]:
            self._types[output] = type
            names.append(self.name(output))
        self._add(op, inputs, names, attributes)
        return Operand(made, type)

    def _step(self, operand: Operand, steps: Steps, name: str) -> None:
        """An operand on the steps on which the model holds it, called so."""
        scale = self.plain((steps.scale,), "float32", row=False)
        zero = self.plain((steps.zero,), steps.type, row=False)
        whole = self.node("QuantizeLinear", [self.cast(operand, "float32"), scale, zero],
                          steps.type)  # fmt: skip
        self._add("DequantizeLinear", [whole, scale, zero], [name], {})

    def copy(self, value: int, operand: Operand) -> None:
        """A value is given, as a copy of something that was written before."""
        self._types[value] = operand.type
        self._add("Identity", [operand], [self.name(value)], {})

    def loop(
        self,
        turns: Operand | None,
        first: Operand,
        starts: Sequence[Operand],
        leaves: Sequence[int],
        body: wire.GraphMessage,
    ) -> None:
        """The node of a loop: how many turns there are at most, whether there is a first, what
        goes round and what it comes to."""
        for value, start in zip(leaves, starts, strict=True):
            self._types[value] = start.type
        names = [self.name(value) for value in leaves]
        self._add("Loop", [turns, first, *starts], names, {"body": body})

    def result(self, operation: Operation, operand: Operand, type: str = "") -> None:
        """What an operation gives is something that was written before, in `type`."""
        if type and operand.type != type:
            self.give(operation, "Cast", [operand], type, to=TYPES[type][0])
        else:
            self.give(operation, "Identity", [operand])

    def _add(
        self,
        op: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[str],
        attributes: dict[str, Any],
    ) -> None:
        kept = {k: v for k, v in attributes.items() if v is not None}
        names = [self.read(i) for i in inputs]
        while names and not names[-1]:
            names.pop()
        try:
            label = self.label  # no other node may have the same
            if not label or label in self._labels:
                label = f"{next(filter(None, outputs), op)}/{len(self.nodes)}"
            self._labels.add(label)
            self.nodes.append(wire.node(op, names, outputs, label, kept))
        except (TypeError, OverflowError) as error:
            raise Unwritable(f"{op} has arguments that are not written") from error

    # Types ---------------------------------------------------------------------------------------

    def cast(self, operand: Operand, type: str) -> Operand:
        """An operand in another type; a small constant is written in that at once."""
        if operand.type == type:
            return operand
        if type not in TYPES:
            raise Unwritable(f"numbers of the type {type or 'that nothing says'} are not written")
        constant = operand.constant
        if constant is not None and constant.elements <= 1 and operand.type in TYPES:
            return Operand("", type, operand.rank, constant)
        made = self.node("Cast", [operand], type, to=TYPES[type][0])
        return Operand(made.name, type, operand.rank)

    def alike(self, operands: Sequence[Operand]) -> list[Operand]:
        """Operands in the type in which they meet."""
        types = {o.type for o in operands}
        if len(types) == 1:
            return list(operands)
        ranks = [1 if o.rank is None else o.rank for o in operands]
        type = promoted(zip([o.type for o in operands], ranks, strict=True))
        return [self.cast(o, type) for o in operands]

    def row(self, operand: Operand) -> Operand:
        """Whole numbers as ONNX asks for sizes and axes: a row of them, in 64 bits."""
        whole = self.cast(operand, "int64")
        if operand.rank in (0, LOOSE):
            return self.node("Reshape", [whole, self.plain((-1,))])
        return whole
