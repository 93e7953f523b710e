"""What is known of the operators that TensorFlow Lite leaves to the program.

A custom operator is only a name: the program that loads the model gives it its code. Names that
are listed here come with the runtime itself or with the libraries named beside them, and compute.
"""

from __future__ import annotations

from typing import Final

from weighbridge.core.report import Intel

REVIEWED: Final = "2026-11-24"

_COMPUTING: Final = {
    "TensorFlow Lite": """
        TFLite_Detection_PostProcess AudioSpectrogram Mfcc NumericVerify HadamardRotation
        aeq.hadamard_rotation RandomStandardNormal RandomUniform Multinomial Bucketize Atan2 Sign
        Irfft2d Rfft2d Roll Complex TableLookup GatherNd HashtableV2 ReadVariable AssignVariable
        VarHandle Cumsum BroadcastTo Conv3D Conv3DTranspose MaxPool3D AveragePool3D
        UnsortedSegmentSum UnsortedSegmentMax CircularBuffer Quantize Dequantize Split SplitV
    """,
    "TensorFlow Lite Micro": """
        SignalWindow SignalFftAutoScale SignalRfft SignalIrfft SignalEnergy SignalFilterBank
        SignalFilterBankSquareRoot SignalFilterBankSpectralSubtraction SignalPCAN SignalDelay
        SignalFilterBankLog SignalFramer SignalOverlapAdd SignalStacker DecodeCompressed DECODE
    """,
    "TensorFlow Text": """
        TFSentencepieceTokenizeOp TFSentencepieceDetokenizeOp tftext:Ngrams
        tftext:WhitespaceTokenizer tftext:FastSentencepieceTokenizer tftext:FastWordpieceTokenizer
        tftext:FastSentencepieceDetokenizer tftext:RaggedTensorToTensor TFText>Ngrams
        TFText>WhitespaceTokenizeWithOffsetsV2 TFText>FastWordpieceTokenizeWithOffsets
        TFText>FastWordpieceDetokenize TFText>FastBertNormalize TFText>RoundRobinTrim
    """,
    "MediaPipe": """
        Convolution2DTransposeBias MaxPoolingWithArgmax2D MaxUnpooling2D TransformTensorBilinear
        TransformLandmarks Landmarks2TransformMatrix KmeansEmbeddingLookup UniversalSentenceEncoder
        RaggedRange FusedConv2D Resampler
    """,
}
_LIBRARY: Final = {name: library for library, names in _COMPUTING.items() for name in names.split()}

_COMPILED: Final = {
    "edgetpu-custom-op": "an Edge TPU",
    "ethos-u": "an Arm Ethos-U",
    "DISPATCH_OP": "a neural processor",
    "vsi-npu": "a VeriSilicon neural processor",
    "NeuronOp": "a MediaTek neural processor",
    "mtk-neuron": "a MediaTek neural processor",
    "QNN_CONTEXT": "a Qualcomm processor",
}

_COMPUTING_IN_TENSORFLOW: Final = """
Abs Acos Acosh Add AddN AddV2 All Angle Any ArgMax ArgMin AsString Asin Asinh AssignAddVariableOp
AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AudioSpectrogram AvgPool AvgPool3D BatchMatMul
BatchMatMulV2 BatchToSpace BatchToSpaceND Betainc BiasAdd BiasAddGrad Bincount Bitcast BitwiseAnd
BitwiseOr BitwiseXor BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics Cholesky
Complex ComplexAbs Concat ConcatV2 Conj Const Conv2D Conv2DBackpropFilter Conv2DBackpropInput Conv3D
Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross Cumprod Cumsum DecodeAndCropJpeg DecodeBase64
DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DecodeWav
DenseBincount DepthToSpace DepthwiseConv2dNative Dequantize Diag DiagPart Digamma Div DivNoNan
DynamicPartition DynamicStitch Einsum Elu EmptyTensorList EncodeBase64 EncodeJpeg EncodePng
EncodeWav EnsureShape Equal Erf Erfc Erfinv Exp ExpandDims Expm1 ExtractImagePatches FFT FFT2D FFT3D
Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd
GatherV2 Greater GreaterEqual HistogramFixedWidth IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D Identity
IdentityN Igamma Igammac Imag InTopK InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu
LeftShift Less LessEqual Lgamma LinSpace Log Log1p LogMatrixDeterminant LogSoftmax LogicalAnd
LogicalNot LogicalOr LowerBound MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart
MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag
MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixTriangularSolve Max MaxPool MaxPool3D MaxPoolV2
MaxPoolWithArgmax Maximum Mean Mfcc Min Minimum MirrorPad Mod Mul MulNoNan Multinomial Neg NextAfter
NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
NotEqual OneHot OnesLike Pack Pad PadV2 Placeholder Polygamma Pow Prod Qr RFFT RFFT2D RFFT3D
RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor
RaggedTensorToVariant RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle RandomStandardNormal
RandomUniform RandomUniformInt Range Rank ReadVariableOp Real RealDiv Reciprocal ReduceJoin
RegexFullMatch RegexReplace Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear
ResizeNearestNeighbor ResourceGather ResourceScatterUpdate Reverse ReverseSequence ReverseV2
RightShift Rint Roll Round Rsqrt ScatterNd SearchSorted SegmentMax SegmentMean SegmentMin
SegmentProd SegmentSum Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax
SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToBatch SpaceToBatchND SpaceToDepth
SparseFillEmptyRows SparseReshape SparseSegmentMean SparseSegmentSqrtN SparseSegmentSum
SparseTensorDenseMatMul SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze
StatelessMultinomial StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
StatelessTruncatedNormal StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice
StringFormat StringJoin StringLength StringLower StringSplit StringSplitV2 StringStrip
StringToHashBucketFast StringToNumber StringUpper Sub Substr Sum Svd Tan Tanh TensorListConcatV2
TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListSetItem
TensorListSplit TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
TensorScatterUpdate Tile TopK TopKV2 Transpose TruncateDiv TruncateMod TruncatedNormal UnicodeDecode
UnicodeEncode UnicodeTranscode Unique UniqueV2 UniqueWithCounts Unpack UnsortedSegmentMax
UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp
Where Xdivy Xlogy ZerosLike Zeta
"""
_FLEX_COMPUTING: Final = frozenset(_COMPUTING_IN_TENSORFLOW.split())
_FLEX_ACTING: Final = {
    "WriteFile": "writes a file", "PyFunc": "calls Python", "EagerPyFunc": "calls Python",
    "PyFuncStateless": "calls Python", "ReadFile": "reads a file",
    "MatchingFiles": "lists files", "Save": "writes a checkpoint", "SaveV2": "writes a checkpoint",
    "SaveSlices": "writes a checkpoint", "Restore": "reads a checkpoint",
    "RestoreV2": "reads a checkpoint", "RestoreSlice": "reads a checkpoint",
    "MergeV2Checkpoints": "moves files", "ImmutableConst": "maps a file",
    "PrintV2": "may write to a file", "ShardedFilename": "makes the name of a file",
    "InitializeTableFromTextFile": "reads a file", "InitializeTableFromTextFileV2": "reads a file",
    "TextLineDataset": "reads files", "TFRecordDataset": "reads files",
    "WholeFileReaderV2": "reads files", "TextLineReaderV2": "reads files",
}  # fmt: skip
_FLEX_BLOCKED: Final = frozenset({"WriteFile", "PyFunc", "EagerPyFunc", "PyFuncStateless"})


def load() -> Intel:
    """The date of the lists."""
    return Intel(name="operators of TensorFlow Lite", date=REVIEWED)


def library(name: str) -> str | None:
    """The library that a known custom operator comes with; such an operator only computes."""
    return _LIBRARY.get(name)


def processor(name: str) -> str | None:
    """What a custom operator's options were compiled for, where they are a compiled program."""
    return _COMPILED.get(name)


def flex(name: str) -> tuple[str, bool]:
    """What a TensorFlow operator does (empty: it is known and only computes; `unknown`), and
    whether a model has no business with it."""
    if name in _FLEX_COMPUTING:
        return "", False
    return _FLEX_ACTING.get(name, "unknown"), name in _FLEX_BLOCKED
