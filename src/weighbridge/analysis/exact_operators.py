"""Operators of each format that are written in ONNX's so that they compute the same numbers.

Each was compared with what its own framework computes (`tests/benign/make_graph_outputs.py`). What
is not here is followed by the analysis all the same, but a graph that needs it is not run.
"""

from __future__ import annotations

from typing import Final

_TORCH: Final = """
abs neg relu sigmoid tanh exp log sqrt erf sin cos tan asin acos atan sinh cosh asinh acosh atanh
floor ceil round sign sgn reciprocal isnan isinf mish softsign hardswish hardsigmoid selu negative
absolute arctan special_erf expit special_expit celu gelu add sub mul div true_divide pow maximum
minimum eq ne lt le gt ge remainder fmod subtract multiply divide greater less floor_divide
floordiv rsub logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
bitwise_not __and__ __or__ __xor__ __not__ bitwise_left_shift bitwise_right_shift __lshift__
__rshift__ silu swish softplus glu leaky_relu elu prelu _prelu_kernel threshold clamp clip
clamp_min clamp_max relu6 hardtanh log1p expm1 exp2 log2 log10 rsqrt square addcmul addcdiv lerp
where masked_fill isfinite sum mean prod amax amin logsumexp any all std var norm linalg_norm
linalg_vector_norm max min argmax argmin softmax _softmax log_softmax _log_softmax cumsum topk sort
argsort cosine_similarity cdist clone contiguous detach alias lift_fresh lift_fresh_copy dropout
feature_dropout alpha_dropout positive detach_copy lift size sym_size dim numel sym_numel len view
reshape _unsafe_view view_copy _reshape_alias view_as reshape_as unflatten flatten ravel permute
transpose permute_copy swapaxes swapdims t numpy_T mT movedim moveaxis squeeze squeeze_copy
unsqueeze unsqueeze_copy expand expand_copy broadcast_to expand_as repeat tile repeat_interleave
cat concat concatenate stack split chunk split_with_sizes unsafe_split unsafe_chunk split_copy
split_with_sizes_copy unbind select select_copy slice slice_copy narrow index_select gather
take_along_dim take index _unsafe_index index_put _index_put_impl scatter scatter_add slice_scatter
select_scatter index_add index_copy fill zero copy roll flip tril triu pad constant_pad_nd
reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d zeros ones full new_zeros
new_ones new_full zeros_like ones_like full_like arange linspace scalar_tensor tensor as_tensor
ScalarImplicit eye one_hot nonzero argwhere to _to_copy type_as item _local_scalar_dense float long
half double Bool Int Float IntImplicit FloatImplicit bucketize dtype meshgrid linear matmul mm bmm
mv dot outer addmm baddbmm einsum conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d convolution _convolution _convolution_mode embedding layer_norm native_layer_norm
rms_norm _fused_rms_norm batch_norm native_batch_norm _native_batch_norm_legit_no_training
_weight_norm group_norm native_group_norm instance_norm scaled_dot_product_attention
_scaled_dot_product_flash_attention_for_cpu max_pool1d max_pool2d max_pool3d
max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
_adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d upsample_nearest1d upsample_nearest2d
upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d pixel_shuffle lstm gru
rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell mse_loss l1_loss smooth_l1_loss huber_loss hypot
dist isclose trunc fix frac logit special_logit log_sigmoid logaddexp heaviside nan_to_num erfc
special_erfc tanhshrink hardshrink softshrink rad2deg deg2rad ldexp softmin isin diff count_nonzero
aminmax median kthvalue unfold hstack vstack row_stack column_stack is_nonzero broadcast_tensors
std_mean var_mean pairwise_distance
"""
_TENSORFLOW: Final = """
Add AddV2 Sub Mul RealDiv Div Maximum Minimum Pow AddN FloorMod Mod TruncateMod Abs Neg Exp Log
Sqrt Sin Cos Tan Asin Acos Atan Sinh Cosh Sign Floor Ceil Round Rint Erf Reciprocal Inv IsNan IsInf
LogicalAnd LogicalOr LogicalNot BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift RightShift Select
SelectV2 Relu Elu Selu Sigmoid Tanh Softplus Softsign Identity StopGradient PreventGradient
Snapshot CheckNumerics EnsureShape PlaceholderWithDefault DeepCopy OptimizationBarrier Tile
BroadcastTo Shape Size Range GatherNd TensorScatterUpdate ClipByValue Softmax LogSoftmax Relu6
LeakyRelu Erfc Expm1 Log1p Square Rsqrt SquaredDifference FloorDiv TruncateDiv Equal NotEqual Less
LessEqual Greater GreaterEqual Conv2D Conv3D DepthwiseConv2dNative MaxPool AvgPool MaxPool3D
AvgPool3D FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 BiasAdd BiasAddV1 MatMul BatchMatMul
BatchMatMulV2 BatchMatMulV3 Einsum Sum Mean Max Min Prod Any All EuclideanNorm ArgMax ArgMin Cumsum
TopKV2 ConcatV2 Concat Split SplitV Pack Unpack GatherV2 Gather ExpandDims Transpose Squeeze
Reshape StridedSlice Slice OneHot MatrixBandPart Fill ZerosLike OnesLike ShapeN Rank Where Pad
PadV2 ResizeBilinear ResizeNearestNeighbor SpaceToDepth DepthToSpace Cast
BroadcastArgs TensorListFromTensor TensorListGetItem TensorListSetItem TensorListStack
TensorListReserve
"""
_TFLITE: Final = """
ADD SUB MUL DIV MAXIMUM MINIMUM POW ADD_N FLOOR_MOD FLOOR_DIV SQUARED_DIFFERENCE SQUARE RSQRT ABS
NEG EXP LOG SQRT SIN COS SIGN FLOOR CEIL ROUND EQUAL NOT_EQUAL LESS GREATER LESS_EQUAL
GREATER_EQUAL LOGICAL_AND LOGICAL_OR LOGICAL_NOT BITWISE_XOR SELECT SELECT_V2 RELU ELU LOGISTIC
TANH HARD_SWISH GELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU SOFTMAX LOG_SOFTMAX
L2_NORMALIZATION CONV_2D DEPTHWISE_CONV_2D AVERAGE_POOL_2D MAX_POOL_2D FULLY_CONNECTED BATCH_MATMUL
SUM MEAN REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL ARG_MAX ARG_MIN TOPK_V2 CUMSUM
RESHAPE EXPAND_DIMS SQUEEZE TRANSPOSE TILE BROADCAST_TO CONCATENATION PACK UNPACK SPLIT SPLIT_V
STRIDED_SLICE SLICE GATHER GATHER_ND EMBEDDING_LOOKUP ONE_HOT SHAPE RANK FILL RANGE WHERE PAD PADV2
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE CAST DEQUANTIZE IF WHILE CALL
CALL_ONCE STABLEHLO_COMPOSITE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
"""
_STEPS: Final = """
ABS ADD AVERAGE_POOL_2D BATCH_MATMUL BROADCAST_TO CALL CONCATENATION CONV_2D DEPTHWISE_CONV_2D
DEPTH_TO_SPACE EXP FULLY_CONNECTED GATHER_ND GELU HARD_SWISH IF L2_NORMALIZATION LEAKY_RELU LOG
LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL ONE_HOT PACK PAD PADV2 QUANTIZE REDUCE_MAX
REDUCE_MIN REDUCE_PROD RELU RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SELECT_V2 SOFTMAX
SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARED_DIFFERENCE STABLEHLO_COMPOSITE SUB SUM TANH TILE TOPK_V2
UNPACK WHILE
"""
_OPENVINO: Final = """
Abs Acos Acosh Add Asin Asinh Atan Atanh AvgPool AdaptiveAvgPool BatchNormInference Broadcast
Ceiling Clamp Concat Convert Convolution ConvolutionBackpropData Cos Cosh CumSum Divide Elu Equal
Erf Exp Floor FloorMod Gather GatherElements GatherND Gelu Greater GreaterEqual GroupConvolution
GroupConvolutionBackpropData HSwish IsInf IsNaN Less LessEqual Log LogicalAnd LogicalNot LogicalOr
LogicalXor LogSoftmax MVN MatMul MaxPool Maximum Minimum Mish Multiply Negative NotEqual PReLU Pad
Power Range ReLU ReduceL1 ReduceL2 ReduceLogicalAnd ReduceLogicalOr ReduceMax ReduceMean ReduceMin
ReduceProd ReduceSum Relu Reshape Round ScaledDotProductAttention ScatterNDUpdate Select ShapeOf
Sigmoid Sign Sin Sinh Slice SoftMax SoftPlus SoftSign Softmax Split Sqrt SquaredDifference Squeeze
StridedSlice Subtract Swish Tan Tanh Tile TopK Transpose Unsqueeze VariadicSplit Xor
"""
"""As far as their attributes say nothing unusual (`analysis/openvino_operators.py`)."""
EXACT: Final = {
    "aten": frozenset(_TORCH.split()),
    "tf": frozenset(_TENSORFLOW.split()),
    "tflite": frozenset((*_TFLITE.split(), "QUANTIZE")),
    "openvino": frozenset(_OPENVINO.split()),
}
"""By the family of the operators."""
IN_STEPS: Final = frozenset(_STEPS.split())
"""Operators of TensorFlow Lite in whole numbers: what they give lies on the steps of the result,
at most two beside what the reference kernel gives, which multiplies by whole numbers. Not `DIV`."""
