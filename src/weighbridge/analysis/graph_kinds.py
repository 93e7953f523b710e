"""Operators of a computation graph that its analysis treats alike, by what they do."""

from __future__ import annotations

from typing import Final

ELEMENTWISE: Final = frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization",
    "Bernoulli", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "CumProd", "CumSum",
    "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear", "Elu", "Equal", "Erf", "Exp",
    "EyeLike", "Floor", "Gelu", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid",
    "HardSwish", "Hardmax", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LRN",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax",
    "LpNormalization", "Max", "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul",
    "Neg", "Not", "Optional", "OptionalGetElement", "Or", "PRelu", "Pow", "QuantizeLinear",
    "RMSNormalization", "RandomNormalLike", "RandomUniformLike", "Reciprocal", "RegexFullMatch",
    "Relu", "ReverseSequence", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu",
    "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt",
    "StringConcat", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu", "Where",
    "Xor",
})  # fmt: skip
FIRST_SHAPED: Final = frozenset({
    "BatchNormalization", "BitCast", "Clip", "CumProd", "CumSum", "DequantizeLinear", "Dropout",
    "DynamicQuantizeLinear", "GroupNormalization", "InstanceNormalization", "LRN",
    "LayerNormalization", "LpNormalization", "MeanVarianceNormalization", "Optional",
    "OptionalGetElement", "QuantizeLinear", "RMSNormalization", "RegexFullMatch",
    "ReverseSequence", "RotaryEmbedding", "Scatter", "ScatterElements", "ScatterND",
    "StringNormalizer", "TensorScatter", "Trilu", "ai.onnx.ml::Binarizer",
    "ai.onnx.ml::CategoryMapper", "ai.onnx.ml::Imputer", "ai.onnx.ml::LabelEncoder",
    "ai.onnx.ml::Normalizer", "ai.onnx.ml::Scaler",
    "com.microsoft::DecoderMaskedMultiHeadAttention", "com.microsoft::MoE",
    "com.microsoft::MultiHeadAttention", "com.microsoft::MurmurHash3",
    "com.microsoft::PackedMultiHeadAttention", "com.microsoft::QMoE",
    "com.microsoft::RestorePadding", "com.microsoft::RotaryEmbedding",
    "com.microsoft::SparseAttention",
})  # fmt: skip
REDUCTIONS: Final = frozenset({
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
})  # fmt: skip
PICKING: Final = frozenset({"ArgMax", "ArgMin"})
COMPARING: Final = frozenset({
    "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual",
    "RegexFullMatch", "StringConcat", "ai.onnx.ml::Binarizer",
})  # fmt: skip
SATURATING: Final = frozenset({
    "And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Ceil", "Celu",
    "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "GlobalMaxPool", "HardSigmoid", "HardSwish",
    "Hardmax", "LeakyRelu", "LogSoftmax", "Max", "MaxPool", "Min", "Mish", "Mod", "Not", "Or",
    "PRelu", "QuantizeLinear", "ReduceMax", "ReduceMin", "Relu", "Round", "Selu", "Shrink",
    "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
    "TopK", "Xor",
})  # fmt: skip
SHARP: Final = frozenset({
    "Acos", "Asin", "Atan", "Log", "Pow", "Reciprocal", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceProd", "Sqrt", "Tan",
})  # fmt: skip
"""Not saturating by themselves, but steep near a number that is aimed at."""
EXTREMES: Final = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})
STEEP: Final = frozenset({
    "Ceil", "Clip", "Erf", "Exp", "Floor", "HardSigmoid", "Relu", "Round", "Sigmoid", "Sign",
    "Softplus", "Tanh", "ThresholdedRelu",
})  # fmt: skip
"""What makes a switch of a number that was taken from the trunk and aimed."""
PLACES: Final = frozenset({"ArgMax", "ArgMin", "NonZero", "Shape", "Size"})
POOLS: Final = frozenset({"GlobalAveragePool", "GlobalMaxPool"})
WINDOWS: Final = frozenset({"AveragePool", "LpPool", "MaxPool"})
"""What makes one number of each window."""
LINEAR: Final = frozenset({
    "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "Gemm", "MatMul",
    "MatMulInteger", "com.microsoft::NhwcConv", "com.microsoft::NhwcFusedConv",
})  # fmt: skip
CELLS: Final = frozenset({
    "GRU", "LSTM", "RNN", "ai.onnx.ml::LinearClassifier", "ai.onnx.ml::LinearRegressor",
    "ai.onnx.ml::SVMClassifier", "ai.onnx.ml::SVMRegressor", "ai.onnx.ml::TreeEnsemble",
    "ai.onnx.ml::TreeEnsembleClassifier", "ai.onnx.ml::TreeEnsembleRegressor",
    "com.microsoft::Attention", "com.microsoft::BeamSearch", "com.microsoft::DecoderAttention",
    "com.microsoft::GatherBlockQuantized", "com.microsoft::GreedySearch",
    "com.microsoft::LongformerAttention", "com.microsoft::MatMulBnb4",
    "com.microsoft::MatMulNBits", "com.microsoft::MoE", "com.microsoft::PackedAttention",
    "com.microsoft::QAttention", "com.microsoft::QEmbedLayerNormalization", "com.microsoft::QMoE",
    "com.microsoft::QOrderedMatMul", "com.microsoft::Sampling",
    "com.microsoft::WhisperBeamSearch", "com.microsoft::WordConvEmbedding",
})  # fmt: skip
ENCODERS: Final = frozenset({
    "Hardmax", "OneHot", "ai.onnx.ml::LabelEncoder", "ai.onnx.ml::OneHotEncoder",
})  # fmt: skip
NORMS: Final = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
WRITING: Final = frozenset({"Scatter", "ScatterElements", "ScatterND"})
UNEVEN: Final = frozenset({"Compress", "NonZero", "StringSplit", "Unique"})
"""How much comes out depends on the numbers that go in."""
RANDOM: Final = frozenset({"RandomNormal", "RandomUniform", "Multinomial"})
LOOKUPS: Final = frozenset({"Gather", "GatherElements", "GatherND"})
MOVING: Final = frozenset({
    "Carried", "Cast", "CastLike", "Concat", "ConcatFromSequence", "Dropout", "Expand", "Flatten",
    "Identity", "Optional", "OptionalGetElement", "Repeated", "Reshape", "SequenceAt",
    "SequenceConstruct", "SequenceInsert", "Split", "SplitToSequence", "Squeeze", "Step", "Tile",
    "Transpose", "Unsqueeze",
})  # fmt: skip
CUTTING: Final = frozenset({"Compress", "Gather", "GatherElements", "GatherND", "Slice", "Split"})
INDEXED: Final = frozenset({
    "ConstantOfShape", "Expand", "Gather", "GatherElements", "GatherND", "OneHot", "Pad", "Range",
    "Repeated", "Reshape", "Resize", "ReverseSequence", "Slice", "Tile", "Trilu",
})  # fmt: skip
MEETING: Final = frozenset({
    "Add", "And", "BitShift", "Carried", "Clip", "Concat", "Div", "Einsum", "Equal", "Gemm",
    "Greater", "GreaterOrEqual", "If", "Less", "LessOrEqual", "MatMul", "Max", "Mean", "Min",
    "Mod", "Mul", "Or", "PRelu", "Pow", "Scatter", "ScatterElements", "ScatterND", "Sub", "Sum",
    "Where", "Xor",
})  # fmt: skip
OPAQUE_INSIDE: Final = frozenset({"Shape", "Size"})
