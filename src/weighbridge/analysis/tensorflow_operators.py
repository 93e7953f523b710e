"""What TensorFlow's operators compute, in operators of ONNX.

A rule is given a writer, the attributes of a node (texts, numbers, names of types, sizes, tuples of
those) and the values that it reads, and gives the values of its outputs. What has state, and what
runs functions, is not here (`graph_fronts/tensorflow.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT
from weighbridge.analysis.exact_operators import EXACT
from weighbridge.analysis.tensorflow_writer import Writer

Attributes = Mapping[str, Any]
Rule = Callable[[Writer, Attributes, list[int]], "Sequence[int] | None"]

OUTPUTS: Final[dict[str, tuple[str, ...]]] = {
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "TopKV2": ("values", "indices"), "TopK": ("values", "indices"), "Unique": ("y", "idx"),
    "UniqueV2": ("y", "idx"), "UniqueWithCounts": ("y", "idx", "count"),
    "Switch": ("output_false", "output_true"), "Merge": ("output", "value_index"),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    "CombinedNonMaxSuppression": ("nmsed_boxes", "nmsed_scores", "nmsed_classes",
                                  "valid_detections"),
    "TensorListPopBack": ("output_handle", "tensor"), "TensorArrayV3": ("handle", "flow"),
    "StringSplitV2": ("indices", "values", "shape"), "StringSplit": ("indices", "values", "shape"),
    "LSTMBlockCell": ("i", "cs", "f", "o", "ci", "co", "h"),
    "CudnnRNNV3": ("output", "output_h", "output_c", "reserve_space", "host_reserved"),
    "CudnnRNN": ("output", "output_h", "output_c", "reserve_space"),
    "SplitDedupData": ("integer_tensor", "float_tensor"),
    "UnicodeDecodeWithOffsets": ("row_splits", "char_values", "char_to_byte_starts"),
    "RaggedRange": ("rt_nested_splits", "rt_dense_values"),
    "StringNGrams": ("ngrams", "ngrams_splits"), "Where": ("index",),
    "LookupTableExportV2": ("keys", "values"), "Svd": ("s", "u", "v"), "Qr": ("q", "r"),
}  # fmt: skip
"""What the outputs of operators are called that have several, as functions refer to them."""
OUTPUTS["FusedBatchNormV2"] = OUTPUTS["FusedBatchNorm"]
OUTPUTS["FusedBatchNormV3"] = (*OUTPUTS["FusedBatchNorm"], "reserve_space_3")
OUTPUTS["StatelessCase"] = OUTPUTS["Case"] = ("output",)


def _plain(op: str, count: int = 0, **attributes: Any) -> Rule:
    """An operator that ONNX has too; only `count` of the inputs where that is not all."""
    return lambda w, a, i: [w.op(op, *(i[:count] if count else i), **attributes)]


def _compare(op: str) -> Rule:
    return lambda w, a, i: [w.compare(op, i[0], i[1])]


def _activation(name: str) -> Rule:
    return lambda w, a, i: [w.activation(name, i[0])]


def _first(a: Attributes) -> bool:
    return str(a.get("data_format", "NHWC")).startswith("NC")


def _window(w: Writer, a: Attributes, spatial: int = 2) -> dict[str, Any]:
    begin = 2 if _first(a) else 1
    strides = tuple(a.get("strides", ()))[begin : begin + spatial] or (1,) * spatial
    rates = tuple(a.get("dilations", ()))[begin : begin + spatial]
    explicit = tuple(a.get("explicit_paddings", ()))[2 * begin : 2 * (begin + spatial)]
    return w.window(strides, str(a.get("padding", "VALID")), explicit, rates)


def _around(w: Writer, a: Attributes, value: int, spatial: int, op: Callable[[int], int]) -> int:
    """An operator of ONNX's layout on a value that may have the channels last."""
    if _first(a):
        return op(value)
    return w.channels_last(op(w.channels_first(value, spatial)), spatial)


def _conv(spatial: int) -> Rule:
    def rule(w: Writer, a: Attributes, i: list[int]) -> list[int]:
        order = (spatial + 1, spatial, *range(spatial))
        kernel, window = w.transpose(i[1], *order), _window(w, a, spatial)
        return [_around(w, a, i[0], spatial, lambda v: w.op("Conv", v, kernel, **window))]

    return rule


def _depthwise(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    each = w.reshape(w.transpose(i[1], 2, 3, 0, 1), -1, 1, 0, 0)
    window = _window(w, a)
    shape = w.stored_shape(i[1])
    if shape is None or len(shape) != 4 or not isinstance(shape[2], int):
        w.roughly("DepthwiseConv2dNative")
    else:
        window["group"] = shape[2]
    return [_around(w, a, i[0], 2, lambda v: w.op("Conv", v, each, **window))]


def _conv_transpose(spatial: int) -> Rule:
    def rule(w: Writer, a: Attributes, i: list[int]) -> list[int]:
        order = (spatial + 1, spatial, *range(spatial))
        kernel, window = w.transpose(i[1], *order), _window(w, a, spatial)
        return [_around(w, a, i[2], spatial, lambda v: w.op("ConvTranspose", v, kernel, **window))]

    return rule


def _pool(op: str, spatial: int = 2) -> Rule:
    def rule(w: Writer, a: Attributes, i: list[int]) -> list[int]:
        begin = 2 if _first(a) else 1
        size = tuple(a["ksize"])[begin : begin + spatial]
        window = _window(w, a, spatial)
        return [_around(w, a, i[0], spatial, lambda v: w.op(op, v, kernel_shape=size, **window))]

    return rule


def _batch_norm(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    if a.get("is_training", True):
        w.roughly("FusedBatchNorm in training")
    least = float(a.get("epsilon", 1e-4))
    made = _around(w, a, i[0], 2, lambda v: w.op("BatchNormalization", v, *i[1:5], epsilon=least))
    return [made, *(w.graph.value("") for _ in range(5))]


def _bias(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    if _first(a):
        return [w.channels_first(w.op("Add", w.channels_last(i[0]), i[1]))]
    return [w.op("Add", i[0], i[1])]


def _fused(rule: Rule) -> Rule:
    """What TensorFlow's optimiser joins: an operator, a bias and an activation."""

    def whole(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
        made = rule(w, a, i)
        rest = i[2:]
        for name in a.get("fused_ops", ()):
            if not made:
                return None
            value = made[0]
            if name == "BiasAdd":
                made = [w.op("Add", value, rest.pop(0))]
            elif name == "FusedBatchNorm":
                made, rest = [w.op("BatchNormalization", value, *rest[:4])], rest[4:]
            else:
                made = [w.activation({"LeakyRelu": "leaky_relu"}.get(name, name), value)]
        return list(made) if made else None

    return whole


def _swapped(w: Writer, value: int) -> int:
    shape = w.shape(value)
    if shape is None:
        return w.op("Einsum", value, equation="...ij->...ji")
    rank = len(shape)
    return w.transpose(value, *range(rank - 2), rank - 1, rank - 2)


def _matmul(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    one, two = i[:2]
    if a.get("transpose_a"):
        one = w.transpose(one, 1, 0)
    if a.get("transpose_b"):
        two = w.transpose(two, 1, 0)
    return [w.op("MatMul", one, two)]


def _batch_matmul(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    one = _swapped(w, i[0]) if a.get("adj_x") else i[0]
    two = _swapped(w, i[1]) if a.get("adj_y") else i[1]
    return [w.op("MatMul", one, two)]


def _reduce(op: str) -> Rule:
    return lambda w, a, i: [w.reduce(op, i[0], i[1], bool(a.get("keep_dims")))]


def _arg(op: str) -> Rule:
    def rule(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
        axis = w.whole(i[1]) if len(i) > 1 else (0,)
        return [w.op(op, i[0], axis=axis[0], keepdims=0)] if axis else None

    return rule


def _concat(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    axis = w.whole(i[-1])
    return [w.op("Concat", *i[:-1], axis=axis[0])] if axis else None


def _old_concat(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    return _concat(w, a, [*i[1:], i[0]])


def _split(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    axis = w.whole(i[0])
    return w.ops("Split", [i[1]], int(a["num_split"]), axis=axis[0]) if axis else None


def _split_v(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    axis = w.whole(i[2])
    return w.ops("Split", i[:2], int(a["num_split"]), axis=axis[0]) if axis else None


def _gather(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    axis = w.whole(i[2]) if len(i) > 2 else (0,)
    batch = a.get("batch_dims", 0)
    if not axis:
        return None
    if not batch:
        return [w.op("Gather", i[0], i[1], axis=axis[0])]
    if axis[0] != batch:
        return None
    return [w.op("GatherND", i[0], w.unsqueeze(i[1], -1), batch_dims=batch)]


def _expand_dims(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    axis = w.whole(i[1])
    return [w.unsqueeze(i[0], *axis)] if axis else None


def _transpose(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    order = w.whole(i[1])
    return [w.transpose(i[0], *order)] if order is not None else None


def _strided_slice(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    masks = [int(a.get(f"{k}_mask", 0))
             for k in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")]  # fmt: skip
    return [w.strided_slice(i[0], i[1], i[2], i[3], masks)]


def _one_hot(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.op("OneHot", i[0], i[1], w.stack([i[3], i[2]], 0), axis=a.get("axis", -1))]


def _select(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    """By a choice of the same shape; one for each row where it has one axis only."""
    test, value = w.shape(i[0]), w.shape(i[1])
    if test is None or (test and test != value):
        w.roughly("Select")
    return [w.op("Where", *i)]


def _running_sum(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    kept = {k: 1 for k in ("exclusive", "reverse") if a.get(k)}
    return [w.op("CumSum", *i, **kept)]


def _band(w: Writer, a: Attributes, i: list[int]) -> list[int] | None:
    low, high = w.whole(i[1]), w.whole(i[2])
    if low is None or high is None:
        return None
    made = i[0]
    if high[0] >= 0:
        made = w.op("Trilu", made, w.held("int64", (high[0],)), upper=0)
    if low[0] >= 0:
        made = w.op("Trilu", made, w.held("int64", (-low[0],)), upper=1)
    return [made]


def _cast(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.cast(i[0], str(a.get("DstT", "float32")))]


def _like(number: float) -> Rule:
    return lambda w, a, i: [w.op("Expand", w.held(w.type(i[0]), (number,)), w.op("Shape", i[0]))]


def _moved(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    """The same numbers in other places."""
    return [w.op("Reshape", i[0], w.graph.value("sizes"))]


def _ragged(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    """Rows of any length, filled up to the same one."""
    return [w.op("Reshape", i[1], i[0])]


def _quantized(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.op("DequantizeLinear", w.op("QuantizeLinear", i[0]))]


def _many(op: str, count: int) -> Rule:
    return lambda w, a, i: w.ops(op, i, count)


def _einsum(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.op("Einsum", *i, equation=str(a.get("equation", "")).replace(" ", ""))]


def _leaky(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.op("LeakyRelu", i[0], alpha=float(a.get("alpha", 0.2)))]


def _unpack(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return w.unstack(i[0], min(int(a["num"]), 4_096), int(a.get("axis", 0)))


def _resize(mode: str) -> Rule:
    def rule(w: Writer, a: Attributes, i: list[int]) -> list[int]:
        places = (bool(a.get("align_corners")), bool(a.get("half_pixel_centers")))
        return [w.resize(i[0], i[1], mode, places)]

    return rule


def _squeeze(w: Writer, a: Attributes, i: list[int]) -> list[int]:
    return [w.squeeze(i[0], *a.get("squeeze_dims", a.get("axis", ())))]


def _arithmetic(names: str) -> dict[str, Rule]:
    return {name: _plain(op) for name, _, op in (p.partition(":") for p in names.split())}


RULES: Final[dict[str, Rule]] = {
    **_arithmetic(
        "Add:Add AddV2:Add Sub:Sub Mul:Mul RealDiv:Div Div:Div Maximum:Max Minimum:Min Pow:Pow "
        "AddN:Sum FloorMod:Mod Abs:Abs Neg:Neg Exp:Exp Log:Log Sqrt:Sqrt "
        "Sin:Sin Cos:Cos Tan:Tan Asin:Asin Acos:Acos Atan:Atan Sinh:Sinh Cosh:Cosh Sign:Sign "
        "Floor:Floor Ceil:Ceil Round:Round Rint:Round Erf:Erf Reciprocal:Reciprocal Inv:Reciprocal "
        "IsNan:IsNaN IsInf:IsInf LogicalAnd:And LogicalOr:Or LogicalNot:Not BitwiseAnd:BitwiseAnd "
        "BitwiseOr:BitwiseOr BitwiseXor:BitwiseXor Invert:BitwiseNot "
        "SelectV2:Where Relu:Relu Elu:Elu Selu:Selu "
        "Sigmoid:Sigmoid Tanh:Tanh Softplus:Softplus Softsign:Softsign Identity:Identity "
        "StopGradient:Identity PreventGradient:Identity Snapshot:Identity CheckNumerics:Identity "
        "EnsureShape:Identity PlaceholderWithDefault:Identity DeepCopy:Identity "
        "OptimizationBarrier:Identity "
        "Tile:Tile BroadcastTo:Expand Shape:Shape Size:Size Range:Range GatherNd:GatherND "
        "ReverseSequence:ReverseSequence TensorScatterUpdate:ScatterND "
        "TensorScatterAdd:ScatterND TensorScatterMax:ScatterND ComplexAbs:Abs RFFT:DFT FFT:DFT "
        "RFFT2D:DFT FFT2D:DFT IRFFT:DFT IFFT:DFT LRN:LRN ClipByValue:Clip "
        "StringLower:StringNormalizer StringUpper:StringNormalizer StringStrip:StringNormalizer "
        "DecodeJpeg:ImageDecoder DecodePng:ImageDecoder "
        "DecodeBmp:ImageDecoder DecodeImage:ImageDecoder DecodeWebP:ImageDecoder "
        "DecodeGif:ImageDecoder StringJoin:StringConcat"
    ),
    "Softmax": _plain("Softmax", axis=-1), "LogSoftmax": _plain("LogSoftmax", axis=-1),
    "Relu6": _activation("relu6"), "LeakyRelu": _leaky, "Select": _select,
    "Mod": _plain("Mod", fmod=1), "TruncateMod": _plain("Mod", fmod=1),
    "LeftShift": _plain("BitShift", direction="LEFT"),
    "RightShift": _plain("BitShift", direction="RIGHT"),
    "Expm1": lambda w, a, i: [w.op("Sub", w.op("Exp", i[0]), w.held("float32", (1.0,)))],
    "Log1p": lambda w, a, i: [w.op("Log", w.op("Add", i[0], w.held("float32", (1.0,))))],
    "StaticRegexReplace": _plain("StringNormalizer"),
    "RegexReplace": _plain("StringNormalizer", 1),
    "StringSplitV2": lambda w, a, i: _split_words(w, i), "Roll": _moved,
    "Erfc": lambda w, a, i: [w.op("Sub", w.held("float32", (1.0,)), w.op("Erf", i[0]))],
    "Square": lambda w, a, i: [w.square(i[0])], "Rsqrt": lambda w, a, i: [w.rsqrt(i[0])],
    "SquaredDifference": lambda w, a, i: [w.square(w.op("Sub", *i))],
    "FloorDiv": lambda w, a, i: [w.floor_div(i[0], i[1])],
    "TruncateDiv": _plain("Div"),
    "DivNoNan": _plain("Div"), "MulNoNan": _plain("Mul"),
    "Xdivy": _plain("Div"), "Xlogy": lambda w, a, i: [w.op("Mul", i[0], w.op("Log", i[1]))],
    "Atan2": lambda w, a, i: [w.op("Atan", w.op("Div", *i))],
    "IsFinite": lambda w, a, i: [w.op("Not", w.op("IsInf", i[0]))],
    "Equal": _compare("Equal"), "NotEqual": _compare("NotEqual"), "Less": _compare("Less"),
    "LessEqual": _compare("LessOrEqual"), "Greater": _compare("Greater"),
    "GreaterEqual": _compare("GreaterOrEqual"),
    "ApproximateEqual": lambda w, a, i: [w.compare("Less", w.op("Abs", w.op("Sub", *i)),
                                                   w.held("float32", (1e-5,)))],
    "Conv2D": _conv(2), "Conv3D": _conv(3), "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _conv_transpose(2), "Conv3DBackpropInputV2": _conv_transpose(3),
    "MaxPool": _pool("MaxPool"), "AvgPool": _pool("AveragePool"),
    "MaxPool3D": _pool("MaxPool", 3), "AvgPool3D": _pool("AveragePool", 3),
    "FusedBatchNorm": _batch_norm, "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm, "BiasAdd": _bias, "BiasAddV1": _bias,
    "MatMul": _matmul, "BatchMatMul": _batch_matmul, "BatchMatMulV2": _batch_matmul,
    "BatchMatMulV3": _batch_matmul, "Einsum": _einsum, "_FusedConv2D": _fused(_conv(2)),
    "_FusedMatMul": _fused(_matmul), "_FusedDepthwiseConv2dNative": _fused(_depthwise),
    "Sum": _reduce("ReduceSum"), "Mean": _reduce("ReduceMean"), "Max": _reduce("ReduceMax"),
    "Min": _reduce("ReduceMin"), "Prod": _reduce("ReduceProd"), "Any": _reduce("ReduceMax"),
    "All": _reduce("ReduceMin"), "EuclideanNorm": _reduce("ReduceL2"),
    "ArgMax": _arg("ArgMax"), "ArgMin": _arg("ArgMin"), "Cumsum": _running_sum,
    "TopKV2": lambda w, a, i: w.ops("TopK", i, 2, axis=-1),
    "ConcatV2": _concat, "Concat": _old_concat, "Split": _split, "SplitV": _split_v,
    "Pack": lambda w, a, i: [w.stack(i, int(a.get("axis", 0)))], "Unpack": _unpack,
    "GatherV2": _gather, "Gather": _gather, "ExpandDims": _expand_dims, "Transpose": _transpose,
    "Squeeze": _squeeze, "Reshape": _plain("Reshape"), "StridedSlice": _strided_slice,
    "Slice": lambda w, a, i: [w.slice(*i[:3])], "OneHot": _one_hot, "MatrixBandPart": _band,
    "Fill": lambda w, a, i: [w.op("Expand", i[1], i[0])],
    "ZerosLike": _like(0.0), "OnesLike": _like(1.0),
    "ShapeN": lambda w, a, i: [w.op("Shape", v) for v in i],
    "Rank": lambda w, a, i: [w.op("Size", w.op("Shape", i[0]))],
    "Where": lambda w, a, i: [w.transpose(w.op("NonZero", i[0]), 1, 0)],
    "Unique": _many("Unique", 2), "UniqueV2": _many("Unique", 2),
    "ReverseV2": _plain("ReverseSequence", 1), "BroadcastArgs": _plain("Max"),
    "ScatterNd": lambda w, a, i: [w.op("ScatterND", w.op("ConstantOfShape", i[2]), i[0], i[1])],
    "Pad": lambda w, a, i: [w.pad(i[0], i[1])], "PadV2": lambda w, a, i: [
        w.pad(i[0], i[1], i[2])],
    "MirrorPad": lambda w, a, i: [w.pad(i[0], i[1], mode="reflect")],
    "ResizeBilinear": _resize("linear"), "ResizeNearestNeighbor": _resize("nearest"),
    "ResizeBicubic": _resize("cubic"), "ResizeArea": _resize("linear"),
    "CropAndResize": lambda w, a, i: [
        w.channels_last(w.op("RoiAlign", w.channels_first(i[0]), *i[1:3]))],
    "SpaceToDepth": lambda w, a, i: [w.space_to_depth(i[0], int(a["block_size"]), False)],
    "DepthToSpace": lambda w, a, i: [w.space_to_depth(i[0], int(a["block_size"]), True)],
    "SpaceToBatchND": _moved, "BatchToSpaceND": _moved, "RaggedTensorToTensor": _ragged,
    "Cast": _cast, "Bucketize": lambda w, a, i: [w.bucket(i[0], tuple(a["boundaries"]))],
    "FakeQuantWithMinMaxArgs": _quantized, "FakeQuantWithMinMaxVars": _quantized,
    "FakeQuantWithMinMaxVarsPerChannel": _quantized, "QuantizeAndDequantizeV2": _quantized,
    "QuantizeAndDequantizeV3": _quantized,
    "NonMaxSuppression": _many("NonMaxSuppression", 1),
    "NonMaxSuppressionV2": _many("NonMaxSuppression", 1),
    "NonMaxSuppressionV3": _many("NonMaxSuppression", 1),
    "NonMaxSuppressionV4": _many("NonMaxSuppression", 2),
    "NonMaxSuppressionV5": _many("NonMaxSuppression", 3),
    "CombinedNonMaxSuppression": _many("NonMaxSuppression", 4),
    "CudnnRNN": _many("LSTM", 4), "CudnnRNNV3": _many("LSTM", 5),
    "RandomUniform": lambda w, a, i: [w.op("RandomUniform")],
    "RandomStandardNormal": lambda w, a, i: [w.op("RandomNormal")],
    "TruncatedNormal": lambda w, a, i: [w.op("RandomNormal")],
    "StatelessRandomUniformV2": lambda w, a, i: [w.op("RandomUniform")],
    "StatelessRandomNormalV2": lambda w, a, i: [w.op("RandomNormal")],
    "StatelessTruncatedNormalV2": lambda w, a, i: [w.op("RandomNormal")],
    "StatefulUniform": lambda w, a, i: [w.op("RandomUniform")],
    # Lists of tensors: what is put in at once is a tensor with one more axis.
    "TensorListFromTensor": _plain("Identity", 1), "TensorListGetItem": lambda w, a, i: [
        w.element(i[0], i[1])],
    "TensorListSetItem": lambda w, a, i: [w.op("SequenceInsert", i[0], i[2], i[1])],
    "TensorListPushBack": _plain("SequenceInsert", 2),
    "TensorListStack": lambda w, a, i: [w.op("ConcatFromSequence", i[0], axis=0, new_axis=1)],
    "TensorListReserve": lambda w, a, i: [w.op("SequenceEmpty", *i[:2], of=a["element_dtype"])],
    "EmptyTensorList": lambda w, a, i: [w.graph.value("list", "variant")],
    "TensorListLength": lambda w, a, i: [w.op("SequenceLength", i[0])],
    "TensorListElementShape": lambda w, a, i: [w.graph.value("shape", "int32")],
    "TensorListResize": _plain("Identity", 1),
    "TensorArrayV3": lambda w, a, i: [w.graph.value("list"), w.graph.value("list")],
    "TensorArrayScatterV3": lambda w, a, i: [w.op("Identity", i[2])],
    "TensorArrayReadV3": lambda w, a, i: [w.element(i[2], i[1])],
    "TensorArrayWriteV3": lambda w, a, i: [w.op("SequenceInsert", i[3], i[2], i[1])],
    "TensorArrayGatherV3": lambda w, a, i: [
        w.op("ConcatFromSequence", i[2], axis=0, new_axis=1)],
    "TensorArraySizeV3": lambda w, a, i: [w.op("SequenceLength", i[1])],
}  # fmt: skip
SILENT: Final = frozenset({
    "NoOp", "Assert", "Print", "PrintV2", "ControlTrigger", "Abort", "StringFormat", "Save",
    "SaveV2", "SaveSlices", "MergeV2Checkpoints",
    "LookupTableImportV2", "InitializeTableV2", "InitializeTableFromTextFileV2",
})  # fmt: skip
"""What gives nothing to anything else."""


def _split_words(w: Writer, i: list[int]) -> list[int]:
    words = w.op("StringSplit", i[0])
    return [w.op("Shape", words), words, w.op("Shape", words)]


def apply(w: Writer, op: str, attributes: Attributes, inputs: list[int]) -> Sequence[int] | None:
    """The outputs of an operator that has a rule; None where it has none, or was given what it
    does not take."""
    rule = RULES.get(op)
    if rule is None:
        return None
    before = len(w.graph.operations)
    w.rough = "" if op in EXACT["tf"] else op
    try:
        made = rule(w, attributes, inputs)
    except (IndexError, TypeError, ValueError, KeyError, AttributeError):
        made = None
    w.rough = ""
    if made is None:
        del w.graph.operations[before:]
        return None
    return [v for v in made if v != ABSENT]
