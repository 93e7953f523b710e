"""TensorFlow Lite: a flatbuffer with operators, tensors, and the buffers of their values.

Schema: `schema.fbs` of TensorFlow Lite (LiteRT), version 3 with its additions up to 3d. Buffers
are never read, only placed, be they inside the flatbuffer or behind it. Every index is held
against the list that it leads into, as the interpreter does not everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece
from weighbridge.formats.flatbuffer import Flatbuffer, Table, has_identifier

IDENTIFIER: Final = b"TFL3"
FLAWS_KEPT: Final = 100
OPTIONS_HANDED_OUT: Final = 1_000
CUSTOM: Final = 32
NO_TENSOR: Final = -1

_OPERATORS: Final = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6
RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM
EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND
TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX
MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV
SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT
REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU
REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM
MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM
STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM
STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT
STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER
STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS: Final = tuple(_OPERATORS.split())
"""The built-in operators by their number."""

TYPES: Final[dict[int, tuple[str, int]]] = {
    0: ("FLOAT32", 32), 1: ("FLOAT16", 16), 2: ("INT32", 32), 3: ("UINT8", 8), 4: ("INT64", 64),
    5: ("STRING", 0), 6: ("BOOL", 8), 7: ("INT16", 16), 8: ("COMPLEX64", 64), 9: ("INT8", 8),
    10: ("FLOAT64", 64), 11: ("COMPLEX128", 128), 12: ("UINT64", 64), 13: ("RESOURCE", 0),
    14: ("VARIANT", 0), 15: ("UINT32", 32), 16: ("UINT16", 16), 17: ("INT4", 4),
    18: ("BFLOAT16", 16), 19: ("INT2", 2), 20: ("UINT4", 4), 21: ("FLOAT8_E4M3FN", 8),
    22: ("FLOAT8_E5M2", 8),
}  # fmt: skip
"""Tensor types: name and bits of an element (0: not fixed)."""

_BOXED: Final = "padding:0b stride_w:1i stride_h:2i "
_DILATED: Final = "dilation_w_factor:{}i1 dilation_h_factor:{}i1"
_POOL: Final = _BOXED + "filter_width:3i filter_height:4i fused_activation_function:5b"
_FUSED: Final = "fused_activation_function:0b"
_LAID_OUT: Final = {
    "CONV_2D": _BOXED + "fused_activation_function:3b " + _DILATED.format(4, 5),
    "DEPTHWISE_CONV_2D": _BOXED + "depth_multiplier:3i fused_activation_function:4b "
    + _DILATED.format(5, 6),
    "CONV_3D": "padding:0b stride_d:1i stride_w:2i stride_h:3i fused_activation_function:4b "
    "dilation_d_factor:5i1 dilation_w_factor:6i1 dilation_h_factor:7i1",
    "CONV_3D_TRANSPOSE": "padding:0b stride_d:1i stride_w:2i stride_h:3i "
    "fused_activation_function:4b",
    "TRANSPOSE_CONV": _BOXED + "fused_activation_function:3b",
    "AVERAGE_POOL_2D": _POOL, "MAX_POOL_2D": _POOL, "L2_POOL_2D": _POOL,
    "FULLY_CONNECTED": _FUSED + " weights_format:1b keep_num_dims:2B",
    "CONCATENATION": "axis:0i fused_activation_function:1b",
    "ADD": _FUSED, "SUB": _FUSED, "MUL": _FUSED, "DIV": _FUSED, "L2_NORMALIZATION": _FUSED,
    "RNN": _FUSED, "SVDF": "rank:0i fused_activation_function:1b",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "time_major:0B fused_activation_function:1b",
    "BIDIRECTIONAL_SEQUENCE_RNN": "time_major:0B fused_activation_function:1b merge_outputs:2B",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _FUSED + " time_major:3B",
    "BIDIRECTIONAL_SEQUENCE_LSTM": _FUSED + " merge_outputs:3B time_major:4B",
    "RESHAPE": "new_shape:0*", "SQUEEZE": "squeeze_dims:0*", "SOFTMAX": "beta:0f",
    "GATHER": "axis:0i batch_dims:1i", "SPLIT": "num_splits:0i", "SPLIT_V": "num_splits:0i",
    "STRIDED_SLICE": "begin_mask:0i end_mask:1i ellipsis_mask:2i new_axis_mask:3i "
    "shrink_axis_mask:4i offset:5B",
    "CAST": "in_data_type:0b out_data_type:1b", "PACK": "values_count:0i axis:1i",
    "UNPACK": "num:0i axis:1i", "ONE_HOT": "axis:0i", "LEAKY_RELU": "alpha:0f",
    "BATCH_MATMUL": "adj_x:0B adj_y:1B", "CUMSUM": "exclusive:0B reverse:1B",
    "RESIZE_BILINEAR": "align_corners:2B half_pixel_centers:3B",
    "RESIZE_NEAREST_NEIGHBOR": "align_corners:0B half_pixel_centers:1B",
    "SPACE_TO_DEPTH": "block_size:0i", "DEPTH_TO_SPACE": "block_size:0i", "MIRROR_PAD": "mode:0b",
    "REVERSE_SEQUENCE": "seq_dim:0i batch_dim:1i", "GELU": "approximate:0B",
    "VAR_HANDLE": "container:0s shared_name:1s", "BUCKETIZE": "boundaries:0~",
    **dict.fromkeys(("SUM", "MEAN", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY",
                     "REDUCE_ALL"), "keep_dims:0B"),
}  # fmt: skip
_FIELDS: Final = {
    op: tuple(
        (name, int(kind[0]), kind[1:])
        for name, _, kind in (said.partition(":") for said in laid_out.split())
    )
    for op, laid_out in _LAID_OUT.items()
}
"""The options of operators that change what they compute: name, number of the field, and kind
(`*` a list of whole numbers, `~` of numbers, `s` a text; a 1 at the end is the default)."""
_LISTED: Final = 64
"""How long a list among the options may be that is read."""

_CALLS: Final = {16: 1, 92: 2, 93: 2, 103: 1}
"""Options of CALL, IF, WHILE and CALL_ONCE: how many subgraphs they name."""
_COMPOSITE: Final = 21


class Buffer(Struct, frozen=True):
    """Where a tensor's values stand, in bytes from the file's beginning; `size` 0: nowhere."""

    start: int
    size: int


class Tensor(Struct, frozen=True):
    """A tensor of a subgraph. `buffer` is the number of the buffer with its values (0: computed),
    `external` that of an entry about another file (0: none). `signature` is the shape with -1 for
    what may change. `scales` and `zeros` are where and how many the numbers are that quantisation
    goes by (float32 and int64), along `axis`; `sparse` says that not all values are stored."""

    name: str
    type: str
    shape: tuple[int, ...]
    buffer: int
    variable: bool
    external: int
    signature: tuple[int, ...] = ()
    scales: tuple[int, int] = (0, 0)
    zeros: tuple[int, int] = (0, 0)
    axis: int = 0
    sparse: bool = False


class Operator(Struct, frozen=True):
    """A step of the computation. `name` is a built-in's or, where `custom`, what a program must
    register; `inputs` and `outputs` are numbers of tensors (-1: left out), `calls` numbers of
    subgraphs; `options` is where a custom operator's own bytes stand, `attributes` are those of a
    built-in one that change what it computes, by their names in the schema."""

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[int, ...]
    options: Buffer
    attributes: Mapping[str, Any]


class Subgraph(Struct, frozen=True):
    """A computation; the first one of a model is its main one."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


class Flaw(Struct, frozen=True):
    """Something that the schema forbids; `kind` names the rule."""

    kind: str
    message: str


class Tflite(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The model. `metadata` are names and the numbers of buffers; `files` the other files that
    tensors' values are said to be in."""

    blob: Blob
    version: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[Buffer, ...]
    metadata: tuple[tuple[str, int], ...]
    files: tuple[str, ...]
    flaws: tuple[Flaw, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """The bytes that are no tensor's: metadata, buffers that nothing uses, options of custom
        operators."""
        used = {t.buffer for g in self.subgraphs for t in g.tensors}
        named = {number: name for name, number in self.metadata}
        for number, buffer in enumerate(self.buffers):
            if buffer.size and number in named:
                yield self._piece(f"metadata {named[number]}", buffer, "tflite-metadata")
            elif buffer.size and number not in used:
                yield self._piece(f"buffer {number}", buffer, "tflite-buffer")
        left = OPTIONS_HANDED_OUT
        for i, graph in enumerate(self.subgraphs):
            for j, operator in enumerate(graph.operators):
                if operator.options.size and left:
                    left -= 1
                    name = f"options of operator {i}.{j} {operator.name[:60]}"
                    yield self._piece(name, operator.options, "tflite-options")

    def _piece(self, name: str, buffer: Buffer, role: str) -> Piece:
        return Piece(name, self.blob, buffer.start, buffer.size, role)


def _sniff(sample: Sample) -> bool:
    return has_identifier(sample, IDENTIFIER)


def _parse(blob: Blob, where: Location, limits: Limits) -> Tflite:
    model = Flatbuffer(blob).root()
    reading = _Reading(blob.size)
    codes = [reading.code(t) for t in model.tables(1)]
    buffers = tuple(reading.buffer(i, t) for i, t in enumerate(model.tables(4)))
    subgraphs = tuple(reading.subgraph(t, codes, buffers) for t in model.tables(2))
    metadata = tuple((t.text(0), t.number(1, "I")) for t in model.tables(6))
    reading.hold(subgraphs, buffers, metadata)
    if not subgraphs:
        raise Malformed("a model without a graph")
    lazy = sum(b.size for b in buffers)
    return Tflite(
        where=where,
        size=blob.size,
        seen=max(0, blob.size - lazy),
        blob=blob,
        version=model.number(0, "I"),
        description=model.text(3),
        subgraphs=subgraphs,
        buffers=buffers,
        metadata=metadata,
        files=tuple(t.text(0) for t in model.tables(8)),
        flaws=tuple(reading.flaws),
    )


class _Reading:
    def __init__(self, size: int) -> None:
        self.size = size
        self.flaws: list[Flaw] = []

    def note(self, kind: str, message: str) -> None:
        if len(self.flaws) < FLAWS_KEPT:
            self.flaws.append(Flaw(kind, message))

    def code(self, table: Table) -> tuple[str, bool]:
        """An operator's name, and whether it is a custom one."""
        # The wider field came later; writers fill both, readers take the larger.
        number = max(table.number(0, "b"), table.number(3, "i"))
        if number == CUSTOM:
            return table.text(1), True
        if 0 <= number < len(OPERATORS):
            return OPERATORS[number], False
        return f"operator {number}", False

    def buffer(self, number: int, table: Table) -> Buffer:
        start, size = table.extent(0) or (0, 0)
        behind = table.number(1, "Q"), table.number(2, "Q")
        if behind[0] > 1:
            start, size = behind
            if start + size > self.size:
                self.note("beyond", f"buffer {number} ends {start + size - self.size:,} bytes "
                          "behind the file")  # fmt: skip
        return Buffer(start, size)

    def subgraph(
        self, table: Table, codes: list[tuple[str, bool]], buffers: tuple[Buffer, ...]
    ) -> Subgraph:
        return Subgraph(
            table.text(4),
            tuple(self.tensor(t, buffers) for t in table.tables(0)),
            table.numbers(1, "i"),
            table.numbers(2, "i"),
            tuple(self.operator(t, codes) for t in table.tables(3)),
        )

    def tensor(self, table: Table, buffers: tuple[Buffer, ...]) -> Tensor:
        name, shape = table.text(3), table.numbers(0, "i")
        kind, buffer = table.number(1, "b"), table.number(2, "I")
        label, bits = TYPES.get(kind, (f"type {kind}", 0))
        size = buffers[buffer].size if buffer < len(buffers) else 0
        if buffer and buffer >= len(buffers):
            self.note("index", f"tensor {name[:80]!r}: there is no buffer {buffer:,}")
        elements = 1
        for n in shape:
            elements *= n
        if size and bits and min(shape, default=1) >= 0 and table.place(6) is None:
            needs = (elements * bits + 7) // 8
            if needs > size:
                self.note("size", f"tensor {name[:80]!r}: {label} × {list(shape[:8])} needs "
                          f"{needs:,} bytes, its buffer has {size:,}")  # fmt: skip
        variable, external = bool(table.number(5, "B")), table.number(10, "I")
        quantised = table.table(4)
        scales, zeros, axis = (0, 0), (0, 0), 0
        if quantised is not None:
            scales = quantised.extent(2, 4) or (0, 0)
            zeros = quantised.extent(3, 8) or (0, 0)
            axis = quantised.number(6, "i")
        return Tensor(
            name, label, shape, buffer, variable, external, table.numbers(7, "i"), scales, zeros,
            axis, table.place(6) is not None,
        )  # fmt: skip

    def operator(self, table: Table, codes: list[tuple[str, bool]]) -> Operator:
        number = table.number(0, "I")
        if number < len(codes):
            name, custom = codes[number]
        else:
            name, custom = f"operator code {number}", False
            self.note("index", f"an operator of code {number:,}, of which there is none")
        start, size = table.extent(5) or (0, 0)
        if table.number(9, "Q") > 1:
            start, size = table.number(9, "Q"), table.number(10, "Q")
            if start + size > self.size:
                self.note("beyond", f"options of {name[:80]!r} lie behind the file")
        calls: tuple[int, ...] = ()
        options = table.table(4) if table.number(3, "B") in _CALLS else None
        if options is not None:
            fields = _CALLS[table.number(3, "B")]
            calls = tuple(options.number(i, "i") for i in range(fields))
        if table.number(11, "B") == _COMPOSITE:
            composite = table.table(12)
            if composite is not None:
                name, calls = f"{name} {composite.text(0)}", (composite.number(1, "i"),)
        inputs, outputs = table.numbers(1, "i"), table.numbers(2, "i")
        attributes: dict[str, Any] = {}
        if not custom:
            try:
                attributes = self.attributes(name, table.table(4) if name in _FIELDS else None)
            except Malformed:  # those of another operator: the interpreter takes none then
                attributes = self.attributes(name, None)
        return Operator(name, custom, inputs, outputs, calls, Buffer(start, size), attributes)

    def attributes(self, name: str, options: Table | None) -> dict[str, Any]:
        """The options of a built-in operator; those that are not written have their defaults."""
        made: dict[str, Any] = {}
        for key, number, kind in _FIELDS.get(name, ()):
            if kind in ("*", "~"):
                code = "i" if kind == "*" else "f"
                start, count = (options.extent(number, 4) if options else None) or (0, 0)
                count = min(count, _LISTED)
                raw = options.buffer.read(start, 4 * count) if options else b""
                made[key] = struct.unpack(f"<{count}{code}", raw)
            elif kind == "s":
                made[key] = options.text(number) if options else ""
            elif kind == "f":
                at = options.place(number) if options else None
                raw = options.buffer.read(at, 4) if options and at is not None else bytes(4)
                made[key] = struct.unpack("<f", raw)[0]
            else:
                default = 1 if kind.endswith("1") else 0
                made[key] = options.number(number, kind[0], default) if options else default
        return made

    def hold(
        self,
        subgraphs: tuple[Subgraph, ...],
        buffers: tuple[Buffer, ...],
        metadata: tuple[tuple[str, int], ...],
    ) -> None:
        """Hold every number of a tensor, subgraph or buffer against what there is."""
        for i, graph in enumerate(subgraphs):
            count = len(graph.tensors)
            for what, numbers in (("inputs", graph.inputs), ("outputs", graph.outputs)):
                self.indices(f"the {what} of subgraph {i}", numbers, count, 0)
            for operator in graph.operators:
                name = operator.name[:80]
                self.indices(f"the inputs of {name!r}", operator.inputs, count, NO_TENSOR)
                self.indices(f"the outputs of {name!r}", operator.outputs, count, NO_TENSOR)
                self.indices(f"the subgraphs of {name!r}", operator.calls, len(subgraphs), 0)
        self.indices("the metadata", tuple(n for _, n in metadata), len(buffers), 0)
        if _circular(subgraphs):
            self.note("circle", "subgraphs call each other in a circle")

    def indices(self, what: str, numbers: tuple[int, ...], count: int, lowest: int) -> None:
        wrong = next((n for n in numbers if not lowest <= n < count), None)
        if wrong is not None:
            self.note("index", f"{what}: there is no number {wrong:,}, the last is {count - 1:,}")


def _circular(subgraphs: tuple[Subgraph, ...]) -> bool:
    """Whether a subgraph leads back to itself: the interpreter would never return."""
    calls = [
        {c for o in g.operators for c in o.calls if 0 <= c < len(subgraphs)} for g in subgraphs
    ]
    waiting = [len(c) for c in calls]
    callers: list[list[int]] = [[] for _ in calls]
    for caller, called in enumerate(calls):
        for c in called:
            callers[c].append(caller)
    done = [i for i, n in enumerate(waiting) if not n]
    for i in done:
        for caller in callers[i]:
            waiting[caller] -= 1
            if not waiting[caller]:
                done.append(caller)
    return len(done) < len(calls)


TFLITE = Format(
    name="tflite",
    title="TensorFlow Lite model",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Tflite,
    version=2,
    limits="Tensor bytes are not read; what a custom operator does is not known.",
)
