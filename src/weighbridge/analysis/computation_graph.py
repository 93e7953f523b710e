"""A computation graph, whichever format it comes from: one list of operations in order.

Operators bear the names and the attributes that ONNX gives them; one that ONNX does not have is
`domain::name`. Bodies and functions are inlined, with their origin kept:

- `If` takes its condition and then the outputs of both bodies, the first body's first;
- `Carried` is a value that the body of a loop begins with;
- `Repeated` is what a loop leaves: of the last turn or of all, of what it began with (if it carries
  it), and of what says how often it runs;
- `Step` is what a loop counts, or one element of what it goes through; with its place along the
  first axis, where that is known.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob

Dimension = int | str
"""A size, or a name for one that is only known when the model runs."""
Shape = tuple[Dimension, ...]
ABSENT: Final = -1
"""Stands for an input that is left out."""
NOT_HERE: Final = "small numbers that it needs are in a file that is not here"
"""Why a part of a graph is left out, where the fault is not the file's own."""
INLINED: Final = frozenset({"Carried", "Repeated", "Step"})
"""Operators that stand for what a loop hands to its body and takes from it."""
WHOLE: Final = 64 << 10
"""Up to how many bytes a constant is read whole when it is sampled."""
WINDOW: Final = 2 << 10

_CODES: Final = {
    "float32": "f", "float64": "d", "float16": "e", "int8": "b", "uint8": "B", "bool": "B",
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
}  # fmt: skip
Numbers = tuple[float, ...]


class Constant(Struct, frozen=True):
    """Numbers that stand in the model. `place` is where their bytes are in `blob`, in bytes; None
    where they stand elsewhere. `held` are the numbers themselves, where they are not stored raw."""

    type: str
    shape: tuple[int, ...]
    blob: Blob | None = None
    place: tuple[int, int] | None = None
    held: Numbers | None = None

    @property
    def elements(self) -> int:
        """How many numbers it holds, by its shape."""
        return math.prod(self.shape)

    def numbers(self, limit: int) -> Numbers | None:
        """All of its numbers, in row-major order; None if they are more than `limit` or cannot be
        read."""
        if self.elements > limit:
            return None
        if not self.elements:
            return ()
        if self.held is not None:
            return self.held if len(self.held) == self.elements else None
        if self.place is None or self.blob is None:
            return None
        start, end = self.place
        found = self._decode(start, end)
        return found if len(found) == self.elements else None

    def sample(self) -> Numbers:
        """Some of its numbers: all where it is small, else from sixteen places. Empty where they
        cannot be read."""
        if self.held is not None:
            return self.held
        if self.place is None or self.blob is None:
            return ()
        start, end = self.place
        if end - start <= WHOLE:
            return self._decode(start, end)
        step = (end - start) // 16 // 8 * 8
        found: list[float] = []
        for number in range(16):
            at = start + number * step
            found += self._decode(at, min(at + WINDOW, end))
        return tuple(found)

    def _decode(self, start: int, end: int) -> Numbers:
        code = _CODES.get(self.type)
        if self.blob is None or (code is None and self.type != "bfloat16"):
            return ()
        try:
            data = self.blob.read(start, end - start)
        except (Malformed, OSError):
            return ()
        if code is None:
            whole = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
            return struct.unpack(f"<{len(whole)}f", struct.pack(f"<{len(whole)}I",
                                 *(w << 16 for w in whole)))  # fmt: skip
        width = struct.calcsize(code)
        count = len(data) // width
        return struct.unpack(f"<{count}{code}", data[: count * width])


class Steps(Struct, frozen=True):
    """The numbers that a quantised value can hold: those of `type` less `zero`, times `scale`."""

    scale: float
    zero: int
    type: str


class Value(Struct):
    """What flows along an edge. `type` is empty and `shape` None where nothing says them;
    `producer` is the operation it comes from (`ABSENT`: none). `steps` are those of a value that
    the model holds in whole numbers, though here it stands for what they mean."""

    name: str
    type: str = ""
    shape: Shape | None = None
    constant: Constant | None = None
    producer: int = ABSENT
    steps: Steps | None = None


class Operation(Struct, frozen=True):
    """A step. `inputs` and `outputs` are numbers of values; `origin` names the functions and the
    bodies that it stands in, the outermost first. `rough` names what the format has here where the
    step says of it what depends on what, but does not compute the same numbers."""

    op: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any]
    origin: tuple[str, ...] = ()
    rough: str = ""


class Loop(Struct, frozen=True):
    """What goes round. Its body begins with the values `begins` and gives `hands_on` to its next
    turn in their places. Of a loop that is known whole `leaves` are what it comes to for each of
    them, and either `test` says before every turn whether there is one, or `turns` how many there
    are, of which `place` is the number; else they are empty and `ABSENT`."""

    begins: tuple[int, ...]
    hands_on: tuple[int, ...]
    leaves: tuple[int, ...] = ()
    test: int = ABSENT
    turns: int = ABSENT
    place: int = ABSENT


class ComputationGraph(Struct):
    """The whole. Values are referred to by their number; operations stand in the order in which
    they can be run. `left_out` says what of the model is not in it."""

    values: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)

    @property
    def back(self) -> dict[int, int]:
        """What loops hand on: from the value that a body begins with to the one that its next turn
        is given in its place."""
        return {
            begins: handed
            for loop in self.loops
            for begins, handed in zip(loop.begins, loop.hands_on, strict=False)
        }

    def value(self, name: str, type: str = "", shape: Shape | None = None) -> int:
        """A new value; its number."""
        self.values.append(Value(name, type, shape))
        return len(self.values) - 1

    def constant(self, name: str, constant: Constant) -> int:
        """A new value that is a constant; its number."""
        self.values.append(Value(name, constant.type, constant.shape, constant))
        return len(self.values) - 1

    def add(self, operation: Operation) -> None:
        """The next operation."""
        for output in operation.outputs:
            if output != ABSENT:
                self.values[output].producer = len(self.operations)
        self.operations.append(operation)
