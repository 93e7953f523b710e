"""What is known of the way from the inputs of a graph to each of its values."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph
from weighbridge.analysis.graph_constants import Constants
from weighbridge.analysis.graph_dimensions import Shapes, elements
from weighbridge.analysis.graph_kinds import LINEAR
from weighbridge.analysis.graph_shapes import infer

NARROW: Final = 64
"""How many numbers of one sample a narrow place has at most."""
SCALAR: Final = 4
"""How many numbers a switch taken from the trunk has at most, for one sample."""
PAYLOAD: Final = 8
"""From how many numbers on a constant is content rather than a parameter."""
FEW_OUTPUTS: Final = 4
"""A projection of the raw input to so few numbers is a statistic, not a layer."""


class Way(IntFlag):
    """What is known of the way from the inputs to a value."""

    RAW = 1
    TRUNK = 2
    AIMED = 4
    """A specific place of the input was taken out, or a specific number compared with."""
    SATURATED = 8
    COMPARED = 16
    COUNT = 32
    """A number of places, or a place: a length, an index."""
    GATE = 64
    ADDED = 128
    """A gate has met the data."""
    SETTING = 256
    """From an input that is a single number for each sample: a declared switch."""
    PICKED = 512
    """A switch that is taken from the trunk."""
    MIXED = 1024
    """The trunk, joined or filled up with something else."""
    CONTENT = 2048
    """Where the input has certain values, content of the model's own was put in."""
    LENGTH = 8192
    """It is computed from the sizes of an input alone."""
    THIN = 4096
    """It has passed a narrow place, and nothing wide has been added since."""


class Meeting(Struct, frozen=True):
    """A switch gets at the data: `operation` is where it does, `gate` where it became a switch,
    `switch` and `data` the values that meet there (`data` is `ABSENT` where a learned operator is
    fed by the switch). `kind` is a sentence about it."""

    operation: int
    gate: int
    switch: int
    data: int
    kind: str


class Flow(Struct, frozen=True):
    """The result. `explained` counts the places where raw values meet the trunk in a known way,
    by what they do there; `learned` are the operators that were taken for learned."""

    ways: list[Way]
    shapes: Shapes
    meetings: tuple[Meeting, ...]
    explained: dict[str, int]
    learned: int


class Facts:
    """What one pass over a graph has found so far."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph, self.made = graph, infer(graph)
        count = len(graph.values)
        self.ways = [Way(0)] * count
        self.source = [0.0] * count
        """For raw values: how many numbers the input has that they come from."""
        self.gates = [ABSENT] * count
        self.constant = [False] * count
        self.pending: list[Meeting | None] = [None] * count
        """Where a gate met the data, if it did on the way to this value."""
        self.meetings: dict[int, Meeting] = {}
        self.explained: dict[str, int] = {}
        self.learned: list[int] = []
        """The operations that were taken for learned, in order."""
        self.batch = self._batch()
        self.given = max((self.size(i) for i in graph.inputs), default=0.0)
        """How many numbers the largest input has."""
        self.layered = any(operation.op in LINEAR for operation in graph.operations)
        """Whether there are layers, and not only trees or the like."""
        self.constants = Constants(graph, self.made, self.constant)
        self.back = graph.back
        """What loops hand on."""
        self.whole = [False] * count
        """Whether a value has whole numbers (or truth values)."""

    def _batch(self) -> frozenset[str]:
        shapes = [self.graph.values[i].shape for i in self.graph.inputs]
        return frozenset(s[0] for s in shapes if s and isinstance(s[0], str))

    def size(self, value: int) -> float:
        """How many numbers one sample of a value has."""
        return elements(self.made.shapes[value], self.batch) if value != ABSENT else 0.0

    def narrow(self, value: int) -> bool:
        """Whether a raw value passes, or has passed, a narrow place."""
        size = self.size(value)
        return bool(self.ways[value] & Way.THIN) or (
            size <= NARROW and size <= self.source[value] / 2
        )

    def explain(self, what: str) -> None:
        """Count a place where a raw value meets the trunk in a known way."""
        self.explained[what] = self.explained.get(what, 0) + 1
