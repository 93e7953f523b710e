"""Where information from an input goes around what a model has learned, and acts as a switch.

Every value is given what is known of the way from the inputs to it, in one pass over the graph:
whether it comes from an input without passing a learned operator (it is *raw*), whether it has
passed a *narrow* place (few numbers, where the input has many), whether it has been compared or
saturated, and whether it has passed a learned operator (it is on the *trunk*). A raw value that is
narrow and can only say few things is a *gate*. What matters is whether a gate gets back at the
data: at a learned operator, at the trunk or at an output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from itertools import pairwise
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Constant, Operation
from weighbridge.analysis.graph_shapes import PICKING, REDUCTIONS, Shapes, elements, infer

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
    THIN = 4096
    """It has passed a narrow place, and nothing wide has been added since."""


COMPARING: Final = frozenset(
    ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN", "StringConcat"]
)
SATURATING: Final = frozenset(
    [
        "Clip",
        "Relu",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Erf",
        "Softmax",
        "LogSoftmax",
        "Hardmax",
        "Exp",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Max",
        "Min",
        "Mod",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Shrink",
        "HardSwish",
        "Gelu",
        "Mish",
        "PRelu",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "And",
        "Or",
        "Xor",
        "Not",
        "TopK",
        "Swish",
        "QuantizeLinear",
        "MaxPool",
        "GlobalMaxPool",
        "ReduceMax",
        "ReduceMin",
        "com.microsoft::Gelu",
        "com.microsoft::FastGelu",
        "com.microsoft::QuickGelu",
    ]
)
SHARP: Final = frozenset(
    [
        "Reciprocal",
        "Pow",
        "ReduceProd",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "Log",
        "Sqrt",
        "Atan",
        "Asin",
        "Acos",
        "Tan",
    ]
)
"""Not saturating by themselves, but steep near a number that is aimed at."""
_EXTREMES: Final = frozenset({"ReduceMax", "ReduceMin", "GlobalMaxPool", "MaxPool"})
_STEEP: Final = frozenset(
    [
        "Clip",
        "Relu",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Erf",
        "Exp",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Softplus",
        "ThresholdedRelu",
    ]
)
"""What makes a switch of a number that was taken from the trunk and aimed."""
_WHOLE_TYPES: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13})
_COMPARABLE: Final = frozenset({"ArgMax", "ArgMin", "Shape", "Size", "NonZero"})
_POOLS: Final = frozenset({"GlobalMaxPool", "GlobalAveragePool"})
LINEAR: Final = frozenset(
    [
        "MatMul",
        "Gemm",
        "Conv",
        "ConvTranspose",
        "MatMulInteger",
        "ConvInteger",
        "QLinearConv",
        "QLinearMatMul",
        "Einsum",
        "DeformConv",
        "com.microsoft::FusedMatMul",
        "com.microsoft::FusedConv",
        "com.microsoft::FusedGemm",
        "com.microsoft::NhwcConv",
        "com.microsoft::DynamicQuantizeMatMul",
        "com.microsoft::MatMulIntegerToFloat",
        "com.microsoft::QGemm",
        "com.microsoft::NhwcFusedConv",
    ]
)
CELLS: Final = frozenset(
    [
        "LSTM",
        "GRU",
        "RNN",
        "com.microsoft::DynamicQuantizeLSTM",
        "com.microsoft::Attention",
        "com.microsoft::QAttention",
        "com.microsoft::MatMulNBits",
        "com.microsoft::MatMulBnb4",
        "com.microsoft::MoE",
        "com.microsoft::QMoE",
        "com.microsoft::FusedMatMulActivation",
        "com.microsoft::BeamSearch",
        "com.microsoft::GreedySearch",
        "com.microsoft::Sampling",
        "com.microsoft::WhisperBeamSearch",
        "com.microsoft::QOrderedMatMul",
        "com.microsoft::EmbedLayerNormalization",
        "com.microsoft::QEmbedLayerNormalization",
        "com.microsoft::GatherBlockQuantized",
        "com.microsoft::DecoderAttention",
        "com.microsoft::LongformerAttention",
        "com.microsoft::PackedAttention",
        "ai.onnx.ml::LinearClassifier",
        "ai.onnx.ml::LinearRegressor",
        "ai.onnx.ml::SVMClassifier",
        "ai.onnx.ml::SVMRegressor",
        "ai.onnx.ml::TreeEnsembleClassifier",
        "ai.onnx.ml::TreeEnsembleRegressor",
        "ai.onnx.ml::TreeEnsemble",
    ]
)
LOOKUPS: Final = frozenset({"Gather", "GatherND", "GatherElements"})
MOVING: Final = frozenset(
    [
        "Identity",
        "Cast",
        "CastLike",
        "Reshape",
        "Unsqueeze",
        "Squeeze",
        "Transpose",
        "Expand",
        "Flatten",
        "Tile",
        "Dropout",
        "Concat",
        "Split",
        "Carried",
        "Step",
        "SequenceAt",
        "SequenceInsert",
        "ConcatFromSequence",
        "SplitToSequence",
        "Optional",
        "OptionalGetElement",
    ]
)
CUTTING: Final = frozenset({"Slice", "Split", "Gather", "GatherND", "GatherElements", "Compress"})
INDEXED: Final = frozenset(
    [
        "Gather",
        "GatherND",
        "GatherElements",
        "Slice",
        "Range",
        "Trilu",
        "ReverseSequence",
        "Reshape",
        "Expand",
        "Pad",
        "Tile",
        "ConstantOfShape",
        "OneHot",
        "Resize",
    ]
)
MEETING: Final = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Where",
        "If",
        "Min",
        "Max",
        "Sum",
        "Mean",
        "PRelu",
        "And",
        "Or",
        "Xor",
        "Mod",
        "Concat",
        "ScatterND",
        "ScatterElements",
        "Scatter",
        "Clip",
        "BitShift",
        "Equal",
        "Greater",
        "Less",
        "GreaterOrEqual",
        "LessOrEqual",
        "MatMul",
        "Gemm",
        "Einsum",
        "Carried",
    ]
)
OPAQUE_INSIDE: Final = frozenset(["Shape", "Size"])


@dataclass(frozen=True, slots=True)
class Meeting:
    """A switch gets at the data: `operation` is where it does, `gate` where it became a switch,
    `switch` and `data` the values that meet there (`data` is `ABSENT` where a learned operator is
    fed by the switch). `kind` is a sentence about it."""

    operation: int
    gate: int
    switch: int
    data: int
    kind: str


@dataclass(frozen=True, slots=True)
class Flow:
    """The result. `explained` counts the places where raw values meet the trunk in a known way,
    by what they do there; `learned` are the operators that were taken for learned."""

    ways: list[Way]
    shapes: Shapes
    meetings: tuple[Meeting, ...]
    explained: dict[str, int]
    learned: int


def analyse(graph: ComputationGraph) -> Flow:
    """One pass over the operations, in their order."""
    return _Pass(graph).run()


class _Pass:
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
        self.learned = 0
        self.batch = self._batch()
        self.given = max((self.size(i) for i in graph.inputs), default=0.0)
        """How many numbers the largest input has."""
        self.real: dict[int, bool] = {}
        self.whole = [False] * count
        """Whether a value has whole numbers (or truth values)."""

    def _batch(self) -> frozenset[str]:
        shapes = [self.graph.values[i].shape for i in self.graph.inputs]
        return frozenset(s[0] for s in shapes if s and isinstance(s[0], str))

    def size(self, value: int) -> float:
        return elements(self.made.shapes[value], self.batch) if value != ABSENT else 0.0

    def run(self) -> Flow:
        for number, value in enumerate(self.graph.values):
            self.whole[number] = value.type.startswith(("int", "uint", "bool"))
            self.constant[number] = value.constant is not None or (
                value.producer == ABSENT and number not in self.graph.inputs
            )
        for number in self.graph.inputs:
            size = self.size(number)
            self.ways[number] = Way.RAW | (Way.SETTING if size <= 1 else Way(0))
            self.source[number] = size
        for number, operation in enumerate(self.graph.operations):
            self._step(number, operation)
        for output in self.graph.outputs:
            met = self.pending[output]
            if met is not None and self.ways[output] & Way.TRUNK:
                self.meetings.setdefault(met.operation, met)
        found = tuple(self.meetings[k] for k in sorted(self.meetings))
        return Flow(self.ways, self.made, found, self.explained, self.learned)

    # One operation -----------------------------------------------------------------------------

    def _step(self, number: int, operation: Operation) -> None:
        inputs = [i for i in operation.inputs if i != ABSENT]
        self._types(operation)
        if operation.op in OPAQUE_INSIDE or not inputs:
            self._give(operation, Way(0), 0.0, ABSENT, operation.op not in OPAQUE_INSIDE)
            return
        moved = [i for i in inputs if self.ways[i] & (Way.RAW | Way.TRUNK)]
        if not moved:
            still = all(self.constant[i] for i in inputs)
            self._give(operation, Way(0), 0.0, ABSENT, still)
            return
        trunk = [i for i in moved if self.ways[i] & Way.TRUNK]
        raw = [i for i in moved if not self.ways[i] & Way.TRUNK]
        if trunk:
            self._on_trunk(number, operation, trunk, raw)
        elif self._is_learned(operation, raw):
            self.learned += 1
            for value in raw:
                if self.ways[value] & (Way.GATE | Way.ADDED | Way.CONTENT):
                    self._enters(number, value)
            self._give(operation, Way.TRUNK, 0.0, ABSENT, False)
        else:
            self._on_raw(number, operation, raw)

    def _types(self, operation: Operation) -> None:
        op, inputs = operation.op, operation.inputs
        if op == "Cast":
            whole = operation.attributes.get("to") in (*_WHOLE_TYPES, 9)
        elif op in COMPARING or op in _COMPARABLE:
            whole = True
        else:
            at = 1 if op in ("Where", "If") else 0
            whole = len(inputs) > at and inputs[at] != ABSENT and self.whole[inputs[at]]
        for output in operation.outputs:
            if output != ABSENT:
                self.whole[output] = whole

    def _give(
        self,
        operation: Operation,
        way: Way,
        source: float,
        gate: int,
        constant: bool,
        pending: Meeting | None = None,
    ) -> None:
        for output in operation.outputs:
            if output != ABSENT:
                self.ways[output], self.source[output] = way, source
                self.gates[output], self.constant[output] = gate, constant
                self.pending[output] = pending

    def _enters(self, number: int, value: int) -> None:
        """A switch, or data that a switch has changed, is given to a learned operator."""
        met = self.pending[value]
        if met is None and not self.ways[value] & Way.GATE:
            kind = "what is learned is given content where the input has certain values"
            met = Meeting(number, self.graph.values[value].producer, value, ABSENT, kind)
        if met is None:
            kind = "a switch taken from the input is given to what is learned"
            met = Meeting(number, self.gates[value], value, ABSENT, kind)
        self.meetings.setdefault(met.operation, met)

    # Learned or not ----------------------------------------------------------------------------

    def _is_learned(self, operation: Operation, raw: Sequence[int]) -> bool:
        """Whether an operator on raw values applies something learned: a contraction with numbers
        that look trained, to more than a few outputs."""
        if operation.op in CELLS or operation.op.startswith("ai.onnx.ml::"):
            return True
        if operation.op not in LINEAR:
            return False
        weights = [i for i in operation.inputs if i != ABSENT and i not in raw]
        weights = [i for i in weights if len(self.made.shapes[i] or ()) >= 2]
        if not any(self._trained(i) for i in weights):
            return False
        if operation.op.rpartition("::")[2] in ("Conv", "ConvInteger", "QLinearConv", "FusedConv"):
            shape = self.made.shapes[weights[0]] or ()
            return not (isinstance(shape[0], int) and shape[0] <= FEW_OUTPUTS)
        wide = self.size(operation.outputs[0]) if operation.outputs else math.inf
        return wide > FEW_OUTPUTS

    def _trained(self, value: int) -> bool:
        """Whether numbers look trained: many of them, of many values, and not all but a few of
        them nothing."""
        known = self.real.get(value)
        if known is None:
            known = self.real[value] = self._looks_trained(value)
        return known

    def _looks_trained(self, value: int) -> bool:
        origin = self._origin(value)
        if origin is None:
            return self.constant[value]
        if origin.elements < 16:
            return False
        numbers = origin.sample()
        if not numbers:
            return True
        sizes = [abs(n) for n in numbers if math.isfinite(n)]
        largest = max(sizes, default=0.0)
        if not largest:
            return origin.elements > len(numbers)
        felt = sum(1 for n in sizes if n > largest / 1000)
        distinct = len({round(n, 12) for n in numbers})
        enough = min(8, max(2, len(numbers) // 8))
        return felt >= max(8, len(numbers) // 50) and distinct >= enough

    def _origin(self, value: int) -> Constant | None:
        """The constant that a constant value is made of, through moves and dequantising."""
        for _ in range(16):
            entry = self.graph.values[value]
            if entry.constant is not None:
                return entry.constant
            if entry.producer == ABSENT:
                return None
            inputs = self.graph.operations[entry.producer].inputs
            if not inputs or inputs[0] == ABSENT:
                return None
            value = inputs[0]
        return None

    # Raw values --------------------------------------------------------------------------------

    def _on_raw(self, number: int, operation: Operation, raw: list[int]) -> None:
        op = operation.op
        way = Way(0)
        for value in raw:
            way |= self.ways[value]
        if not all(self.ways[v] & Way.SETTING for v in raw):
            way &= ~Way.SETTING
        source = max(self.source[v] for v in raw)
        gate = next((self.gates[v] for v in raw if self.gates[v] != ABSENT), ABSENT)
        pending = next((self.pending[v] for v in raw if self.pending[v] is not None), None)
        output = operation.outputs[0] if operation.outputs else ABSENT
        size = self.size(output) if output != ABSENT else math.inf
        if op == "Step":  # all of it is looked at, one step after the other
            source = min(source, size)
        elif op == "Carried" and len(operation.inputs) > 1:
            source = max(source, self.given)
        fewest = (size <= NARROW and size <= source / 2) or all(
            self.ways[v] & Way.THIN for v in raw
        )
        setting = bool(way & Way.SETTING) and size <= 2
        gated = [v for v in raw if self.ways[v] & (Way.GATE | Way.ADDED)]

        place = self._from_the_end(operation)
        if place != ABSENT:
            self._give(operation, self.ways[place], source, self.gates[place], False, pending)
            return
        if gated:
            if self._explained_index(operation, raw):
                way &= ~(Way.GATE | Way.COMPARED | Way.SATURATED)
                self._give(operation, way | Way.COUNT, source, ABSENT, False)
                return
            data = next((v for v in raw if v not in gated and not self._narrow(v)), ABSENT)
            if data == ABSENT and op in ("Where", "If") and self._content(operation):
                data = gated[0]
            if pending is None and data != ABSENT and op in MEETING:
                said = f"a switch taken from the input changes the input itself ({op})"
                pending = Meeting(number, gate, gated[0], data, said)
                way |= Way.ADDED
            self._give(operation, way, source, gate, False, pending)
            return

        way = self._ways_of(operation, raw, way & ~Way.THIN, fewest)
        if self._becomes_gate(operation, raw, way, fewest, setting):
            way |= Way.GATE
            gate = number
        if fewest:
            way |= Way.THIN
        self._give(operation, way, source, gate, False, pending)

    def _narrow(self, value: int) -> bool:
        size = self.size(value)
        return bool(self.ways[value] & Way.THIN) or (
            size <= NARROW and size <= self.source[value] / 2
        )

    def _content(self, operation: Operation) -> bool:
        return any(
            i != ABSENT and self.constant[i] and self.size(i) >= PAYLOAD for i in operation.inputs
        )

    def _ways_of(self, operation: Operation, raw: list[int], way: Way, fewest: bool) -> Way:
        """What an operation adds to what is known of its inputs."""
        op = operation.op
        if op in COMPARING:
            lengths = way & Way.COUNT or (way & Way.SETTING)
            if lengths and self._against_places(operation, raw):
                return Way.RAW | Way.COMPARED  # places up to a length: a mask
            return (way | Way.COMPARED | Way.AIMED) & ~Way.COUNT
        if op in PICKING:
            return Way.RAW | (Way.COUNT if fewest else Way.COMPARED)
        if op == "CumSum":
            return (way | Way.COUNT) & ~(Way.COMPARED | Way.SATURATED)
        if op in ("ReduceSum", "ReduceMean", "ReduceL1") and way & Way.COMPARED:
            return (way | Way.COUNT) & ~(Way.COMPARED | Way.AIMED) if fewest else way
        if op in ("Cast",) and operation.attributes.get("to") == 9:
            return way | Way.COMPARED
        if op == "DynamicQuantizeLinear":
            return way & (Way.RAW | Way.AIMED)
        if op in SATURATING and not self._guards(operation, raw):
            if op == "QuantizeLinear" and not fewest:
                return way
            way |= Way.SATURATED
        if op in CUTTING and not self._keeps(operation, raw):
            way |= Way.AIMED
        if op in ("Add", "Sub", "Mul", "Div", "BitShift", "BitwiseXor", "Mod") and any(
            i != ABSENT and self.constant[i] and self._specific(i, op) for i in operation.inputs
        ):
            way |= Way.AIMED
        if op in LINEAR:
            way |= Way.AIMED
        if op == "OneHot" or (op == "Gather" and self._tabulates(operation, raw)):
            way |= Way.COMPARED | Way.AIMED
        if op == "Cast" and self._steps(operation, raw, way):
            way |= Way.SATURATED
        aimed = Way.COMPARED | Way.AIMED
        if (
            op in ("Mul", "Where")
            and not fewest
            and any(self.ways[v] & aimed == aimed for v in raw)
            and self._own_content(operation)
        ):
            way |= Way.CONTENT
        return way

    def _tabulates(self, operation: Operation, raw: list[int]) -> bool:
        """A table with a few numbers for each token says what the token is."""
        data = operation.inputs[0]
        shape = self.made.shapes[data] or ()
        rest = shape[1:]
        return (
            data not in raw
            and all(isinstance(d, int) for d in rest)
            and math.prod(d for d in rest if isinstance(d, int)) <= FEW_OUTPUTS
            and bool(shape)
            and not (isinstance(shape[0], int) and shape[0] < PAYLOAD)
        )

    def _steps(self, operation: Operation, raw: list[int], way: Way) -> bool:
        """A cast that cuts a number down to a whole one."""
        whole = operation.attributes.get("to") in _WHOLE_TYPES
        return whole and not self.whole[raw[0]] and bool(way & Way.AIMED)

    def _own_content(self, operation: Operation) -> bool:
        """A constant takes part that is neither uniform, nor a mask, nor small."""
        for value in operation.inputs:
            if value == ABSENT or not self.constant[value] or self.size(value) < PAYLOAD:
                continue
            numbers = self._numbers(value, 4_096)
            if numbers is None:
                return True
            plain = {n for n in numbers if n not in (0, 1) and abs(n) < 1e4}
            if plain and len(set(numbers)) > 1:
                return True
        return False

    def _becomes_gate(
        self, operation: Operation, raw: list[int], way: Way, fewest: bool, setting: bool
    ) -> bool:
        op = operation.op
        before = Way(0)
        for value in raw:
            before |= self.ways[value]
        if setting:
            return op in COMPARING and way & Way.COMPARED > 0 and way & Way.AIMED > 0
        if before & Way.COUNT:
            return fewest and self._spoils_count(operation, raw)
        if not fewest or way & Way.COUNT:
            return False
        if way & Way.COMPARED:
            return True
        if (op in SATURATING or op == "Cast") and op not in _EXTREMES and way & Way.SATURATED:
            if op == "Cast" and not self._steps(operation, raw, way):
                return False
            return not self._guards(operation, raw) and any(self._narrow(v) for v in raw)
        if way & Way.SATURATED and way & Way.AIMED and op in (*REDUCTIONS, "GlobalAveragePool"):
            return before & Way.SATURATED > 0
        if way & Way.AIMED and (op in SHARP or self._is_product(operation, raw)):
            return op not in ("Sqrt", "Log") and any(self._narrow(v) for v in raw)
        return False

    def _is_product(self, operation: Operation, raw: list[int]) -> bool:
        """A product or quotient of narrow values, or a constant divided by one."""
        if operation.op not in ("Mul", "Div") or len(operation.inputs) != 2:
            return False
        first, second = operation.inputs
        if operation.op == "Div" and first not in raw:
            return self.constant[first]
        return first != second and first in raw and second in raw

    def _spoils_count(self, operation: Operation, raw: list[int]) -> bool:
        """Whether what is done to a number of places makes more of it than a number of places."""
        op = operation.op
        if op in COMPARING:
            return not self._against_places(operation, raw)
        if op in ("Cast", "CastLike"):
            return operation.attributes.get("to") == 9
        if op in ("Mul", "Div", "Pow"):
            return any(
                i != ABSENT and self.constant[i] and self._scales(i) for i in operation.inputs
            )
        if op in ("Add", "Sub"):
            return any(
                i != ABSENT and self.constant[i] and self._offsets(i) for i in operation.inputs
            )
        if op in ("Sqrt", "Mod", "Identity", "Floor", "Ceil", "Neg", "Abs", *MOVING, *INDEXED):
            return False
        if op in ("Clip", "Max", "Min"):
            return not self._guards(operation, raw)
        if op in REDUCTIONS or op in PICKING or op in ("Where", "CumSum"):
            return False
        return op in SATURATING or op in SHARP

    def _explained_index(self, operation: Operation, raw: list[int]) -> bool:
        """A place that is chosen among places: `Where(i < 0, i + n, i)`."""
        if operation.op != "Where":
            return False
        test, *choices = operation.inputs
        return (
            bool(self.ways[test] & Way.GATE)
            and len(choices) == 2
            and all(self.ways[c] & Way.COUNT for c in choices if c != ABSENT)
            and not any(self.ways[c] & (Way.GATE | Way.ADDED) for c in choices)
        )

    def _from_the_end(self, operation: Operation) -> int:
        """The place in `Where(place < 0, place + n, place)`, for places that the input says, each
        for itself: negative ones are counted from the end. `ABSENT` where it is anything else."""
        if operation.op != "Where" or len(operation.inputs) != 3:
            return ABSENT
        test, turned, place = operation.inputs
        if place == ABSENT or not self.whole[place] or self._narrow(place):
            return ABSENT
        if self.ways[place] & (Way.AIMED | Way.COMPARED | Way.SATURATED):
            return ABSENT
        made = [self.graph.values[v].producer if v != ABSENT else ABSENT for v in (test, turned)]
        if ABSENT in made:
            return ABSENT
        less, added = (self.graph.operations[m] for m in made)
        if (less.op, added.op, less.inputs[0]) != ("Less", "Add", place):
            return ABSENT
        zero = set(self._numbers(less.inputs[1], 4_096) or (1,))
        return place if zero == {0} and place in added.inputs else ABSENT

    def _against_places(self, operation: Operation, raw: list[int]) -> bool:
        """Whether a length is compared with the places of an axis, one after the other."""
        for value in operation.inputs:
            if value == ABSENT or value in raw:
                continue
            shape = self.made.shapes[value] or ()
            if any(d != 1 for d in shape) and (not self.constant[value] or self._ramp(value)):
                return True
        others = [v for v in raw if not self._narrow(v) and self.size(v) > SCALAR]
        return len(raw) > 1 and bool(others) and all(self.ways[v] & Way.COUNT for v in others)

    def _ramp(self, value: int) -> bool:
        numbers = self._numbers(value, 4_096)
        if numbers is None:
            return True
        steps = {b - a for a, b in pairwise(numbers)}
        return len(numbers) >= 2 and len(steps) == 1 and 0.0 not in steps

    def _numbers(self, value: int, limit: int = 64) -> tuple[float, ...] | None:
        known = self.made.known.get(value)
        if known is not None:
            return None if any(isinstance(k, str) for k in known) else known
        origin = self._origin(value)
        return origin.numbers(limit) if origin is not None else None

    def _guards(self, operation: Operation, raw: list[int]) -> bool:
        """Whether a bound only keeps a number from being nothing, negative or without an end."""
        if operation.op not in ("Clip", "Max", "Min"):
            return False
        if operation.op == "Clip":
            low = operation.attributes.get("min")
            high = operation.attributes.get("max")
            bounds = [
                (self._numbers(i) or (math.nan,))[0] if i != ABSENT else None
                for i in operation.inputs[1:3]
            ]
            low = bounds[0] if bounds else low
            high = bounds[1] if len(bounds) > 1 else high
            fine_low = low is None or (-1e-3 <= low <= 1e-3) or low <= -1e4 or low == 1
            return fine_low and (high is None or high >= 1e4)
        others = [i for i in operation.inputs if i != ABSENT and i not in raw]
        if not others:
            return False
        for value in others:
            numbers = self._numbers(value)
            if not self.constant[value]:
                continue
            if numbers is None or len(set(numbers)) != 1:
                return False
            bound = numbers[0]
            small = -1e-3 <= bound <= 1e-3 or bound in (1, -1)
            if not (small if operation.op == "Max" else bound >= 1e4):
                return False
        return True

    def _specific(self, value: int, op: str) -> bool:
        """Whether a constant aims at something: not a mere guard, sign or unit."""
        numbers = self._numbers(value)
        if numbers is None:
            return True
        if op in ("Mul", "Div"):
            return len(set(numbers)) > 3
        return any(abs(n) > 1e-3 for n in numbers)

    def _scales(self, value: int) -> bool:
        numbers = self._numbers(value)
        return numbers is None or any(n not in (0, 1, -1) for n in numbers)

    def _offsets(self, value: int) -> bool:
        numbers = self._numbers(value)
        if numbers is None:
            return False
        whole = all(float(n).is_integer() for n in numbers)
        return not whole and any(abs(n) > 1e-3 for n in numbers)

    def _keeps(self, operation: Operation, raw: list[int]) -> bool:
        """Whether cutting leaves most of what there was, or looks something up for each place."""
        data = operation.inputs[0]
        if data not in raw:
            return True
        output = operation.outputs[0] if operation.outputs else ABSENT
        return output == ABSENT or self.size(output) > self.size(data) / 2

    # On the trunk ------------------------------------------------------------------------------

    def _on_trunk(
        self, number: int, operation: Operation, trunk: list[int], raw: list[int]
    ) -> None:
        op = operation.op
        pending = next((self.pending[v] for v in trunk if self.pending[v] is not None), None)
        for value in raw:
            met = self._meets(number, operation, value, trunk)
            if met is not None:
                self.meetings.setdefault(met.operation, met)
        way, gate = Way.TRUNK, ABSENT
        gate = next((self.gates[v] for v in trunk if self.ways[v] & Way.PICKED), ABSENT)
        if gate != ABSENT:
            others = [v for v in (*trunk, *raw) if not self.ways[v] & Way.PICKED]
            switch_size = self._size_of_switch(trunk)
            wide = [
                v for v in others if not self.ways[v] & Way.THIN or self.size(v) > 2 * switch_size
            ]
            if wide and (op in MEETING or op in LOOKUPS) and op not in ("Concat", "Carried"):
                switch = next(v for v in trunk if self.ways[v] & Way.PICKED)
                said = f"a switch taken from one narrow place of the trunk acts on it ({op})"
                self.meetings.setdefault(number, Meeting(number, gate, switch, wide[0], said))
                gate = ABSENT
            elif op in ("Where", "If") and self._content(operation):
                switch = next(v for v in trunk if self.ways[v] & Way.PICKED)
                said = f"a switch taken from one narrow place of the trunk chooses content ({op})"
                self.meetings.setdefault(number, Meeting(number, gate, switch, trunk[0], said))
                gate = ABSENT
        if gate == ABSENT and not raw:
            made = self._picks(operation, trunk)
            gate = number if made & Way.PICKED else ABSENT
            way |= made & ~Way.PICKED
        if gate != ABSENT:
            way |= Way.PICKED
        if op in ("Concat", "Where", "ScatterND", "ScatterElements", "Scatter", "If", "Pad"):
            if any(i != ABSENT and i not in trunk and self._holds(i) for i in operation.inputs):
                way |= Way.MIXED
        elif op not in LINEAR:
            way |= self.ways[trunk[0]] & Way.MIXED
        if op in LINEAR and self._trained_among(operation):
            self.learned += 1
        self._give(operation, way, 0.0, gate, False, pending)

    def _picks(self, operation: Operation, trunk: list[int]) -> Way:
        """Whether a few numbers of the trunk, which no layer made, become a switch here."""
        op = operation.op
        output = operation.outputs[0] if operation.outputs else ABSENT
        size = self.size(output) if output != ABSENT else math.inf
        biggest = max(self.size(v) for v in trunk)
        if op in LINEAR or op in CELLS or size > NARROW or (len(trunk) > 1 and biggest > NARROW):
            return Way(0)
        before = Way(0)
        for value in trunk:
            before |= self.ways[value] & (Way.THIN | Way.AIMED | Way.COMPARED)
        way = before
        if biggest > 4 * size and (op in CUTTING or op in REDUCTIONS or op in _POOLS):
            way |= Way.THIN
        if op in COMPARING and self._against_a_number(operation, trunk):
            way |= Way.COMPARED if before & Way.THIN or size <= SCALAR else Way(0)
        if op in ("Add", "Sub") and before & Way.THIN and self._against_a_number(operation, trunk):
            offsets = [i for i in operation.inputs if i != ABSENT and i not in trunk]
            if any(self._specific(i, op) for i in offsets):
                way |= Way.AIMED
        if size <= SCALAR:
            steep = op in _STEEP and not self._guards(operation, trunk)
            if way & Way.COMPARED or (way & Way.THIN and way & Way.AIMED and steep):
                way |= Way.PICKED
        return way

    def _trained_among(self, operation: Operation) -> bool:
        return any(
            i != ABSENT and self.constant[i] and len(self.made.shapes[i] or ()) >= 2
            for i in operation.inputs
        )

    def _holds(self, value: int) -> bool:
        return bool(self.ways[value] & Way.RAW) or (self.constant[value] and self.size(value) > 1)

    def _size_of_switch(self, trunk: list[int]) -> float:
        """How many numbers the switch among some values has."""
        return max(self.size(v) for v in trunk if self.ways[v] & Way.PICKED)

    def _against_a_number(self, operation: Operation, trunk: list[int]) -> bool:
        others = [i for i in operation.inputs if i != ABSENT and i not in trunk]
        return bool(others) and all(self.constant[i] for i in others)

    def _meets(
        self, number: int, operation: Operation, value: int, trunk: list[int]
    ) -> Meeting | None:
        """What it is that a raw value does to the trunk; None where it is explained."""
        way, op = self.ways[value], operation.op
        gate = self.gates[value]
        data = max(trunk, key=self.size)
        if way & (Way.GATE | Way.ADDED):
            met = self.pending[value]
            if met is not None:
                return met
            if way & Way.SETTING and self._chooses_parts(operation, trunk):
                self._explain("a declared switch chooses between learned parts")
                return None
            return Meeting(
                number, gate, value, data, f"a switch from the input meets the trunk ({op})"
            )
        if way & Way.COUNT and self._narrow(value):
            if op == "Div" and operation.inputs[1] == value:
                self._explain("division by a count")
            elif op in INDEXED and not self.ways[operation.inputs[0]] & Way.MIXED:
                self._explain("selection of a place by a count or an index")
            elif op in MEETING or op in INDEXED:
                said = f"a number of places in the input meets the trunk ({op})"
                return Meeting(number, number, value, data, said)
            return None
        if way & Way.CONTENT or (way & Way.COMPARED and self._inserts(operation, value, trunk)):
            said = f"where the input has certain values, content of its own is put in ({op})"
            return Meeting(number, number, value, data, said)
        self._explain("a mask" if way & Way.COMPARED else "values of the input")
        return None

    def _chooses_parts(self, operation: Operation, trunk: list[int]) -> bool:
        choices = [i for i in operation.inputs[1:] if i != ABSENT]
        return operation.op in ("If", "Where") and all(i in trunk for i in choices)

    def _inserts(self, operation: Operation, value: int, trunk: list[int]) -> bool:
        """Whether a mask puts content of the model's own among the trunk's."""
        if operation.op != "Where" or operation.inputs[0] != value:
            return False
        choices = operation.inputs[1:]
        for choice in choices:
            if choice not in trunk and self.constant[choice]:
                numbers = self._numbers(choice, 4_096)
                if numbers is None:
                    if self.size(choice) >= PAYLOAD:
                        return True
                elif len(set(numbers)) >= 4:
                    return True
        return False

    def _explain(self, what: str) -> None:
        self.explained[what] = self.explained.get(what, 0) + 1
