"""The operators that frameworks bring along, and those among them that reach outside.

The names are those that the frameworks register (`scripts/list_graph_operators.py`), or, for Caffe
and ncnn, that their documentation lists; what the others do is from the sources of each.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from weighbridge.core.report import Intel
from weighbridge.intel import onnx_operators

FILE: Final = Path(__file__).with_suffix(".json")


class Standing(StrEnum):
    """What the use of an operator means."""

    COMPUTES = "computes"
    ACTS = "acts"
    """It runs code of the program's, or reads files: whether that matters, a person decides."""
    WRITES = "writes"
    """It writes files, or takes what stands in the file for code: no model has business there."""
    COMPILED = "compiled"
    """Its content is compiled for something else, so that nothing can read it."""
    UNKNOWN = "unknown"


class Judged(Struct, frozen=True):
    """An operator's standing, and what it does beside computing."""

    standing: Standing
    does: str = ""


_ACTS, _WRITES, _COMPILED = Standing.ACTS, Standing.WRITES, Standing.COMPILED
_PADDLE: Final = {
    "py_func": (_ACTS, "calls a Python function of the program"),
    "pylayer": (_ACTS, "calls a Python function of the program"),
    "py_layer": (_ACTS, "calls a Python function of the program"),
    "run_program": (_ACTS, "runs another program"),
    "load": (_ACTS, "reads a file"),
    "load_combine": (_ACTS, "reads a file"),
    "load_combine_extended": (_ACTS, "reads a file"),
    "load_combine_vocab": (_ACTS, "reads a file"),
    "load_sr": (_ACTS, "reads a file"),
    "read_file": (_ACTS, "reads a file"),
    "save": (_WRITES, "writes a file"),
    "save_combine": (_WRITES, "writes a file"),
    "save_combine_vocab": (_WRITES, "writes a file"),
    "save_sr": (_WRITES, "writes a file"),
    "create_py_reader": (_ACTS, "reads from a Python function of the program"),
    "listen_and_serv": (_ACTS, "opens a port"),
    "send": (_ACTS, "connects to another machine"),
    "recv": (_ACTS, "connects to another machine"),
    "ap_facade": (_ACTS, "compiles code that stands in its attributes"),
    "ap_variadic": (_ACTS, "compiles code that stands in its attributes"),
    "fusion_group": (_ACTS, "compiles code that stands in its attributes"),
    "tensorrt_engine": (_COMPILED, "TensorRT"),
    "lite_engine": (_COMPILED, "Paddle Lite"),
    "openvino_engine": (_COMPILED, "OpenVINO"),
    "dlnne_engine": (_COMPILED, "an accelerator"),
    "cinn_launch": (_COMPILED, "CINN"),
}
_ACTING: Final = {
    "paddle": _PADDLE,
    "paddle-pir": _PADDLE,
    "mxnet": {
        "Custom": (_ACTS, "calls a Python class of the program"),
        "_npi_Custom": (_ACTS, "calls a Python class of the program"),
        "_CustomFunction": (_WRITES, "calls a function at an address that stands in the file"),
        "_Native": (_WRITES, "calls a function at an address that stands in the file"),
        "_NDArray": (_WRITES, "calls a function at an address that stands in the file"),
        "_TensorRT": (_COMPILED, "TensorRT"),
        "CaffeOp": (_ACTS, "runs a layer of Caffe"),
        "CaffeLoss": (_ACTS, "runs a layer of Caffe"),
        "CaffeData": (_ACTS, "runs a layer of Caffe"),
        "TorchModule": (_ACTS, "runs Lua code that stands in its attributes"),
        "TorchCriterion": (_ACTS, "runs Lua code that stands in its attributes"),
        "_tvm_op": (_ACTS, "runs a compiled function of the program"),
    },
    "caffe": {
        "HDF5Output": (_ACTS, "writes a file"),
    },
    "ncnn": {},
    "coreml": {},
}

_CAFFE: Final = """
AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Clip Concat ContrastiveLoss Convolution Crop
Data Deconvolution Dropout DummyData ELU Eltwise Embed EuclideanLoss Exp Filter Flatten HDF5Data
HingeLoss Im2col ImageData InfogainLoss InnerProduct Input LRN LSTM LSTMUnit Log MVN MemoryData
MultinomialLogisticLoss PReLU Parameter Pooling Power RNN ReLU Reduction Reshape SPP Scale Sigmoid
SigmoidCrossEntropyLoss Silence Slice Softmax SoftmaxWithLoss Split Swish TanH Threshold Tile
WindowData AnnotatedData DetectionEvaluate DetectionOutput MultiBoxLoss Normalize Permute PriorBox
SmoothL1Loss VideoData ROIPooling PSROIPooling Interp BN Upsample Axpy DepthwiseConvolution
ConvolutionDepthwise ShuffleChannel ReLU6 Reverse Proposal CuDNNConvolution Recurrent
"""
"""Of BVLC's Caffe, and of the forks whose layers are the most common (SSD, Fast R-CNN, PSPNet,
SegNet); `Python` is judged by what it imports."""

_NCNN: Final = """
AbsVal ArgMax BatchNorm Bias BinaryOp BNLL Cast CELU Clip Concat Convolution Convolution1D
Convolution3D ConvolutionDepthWise ConvolutionDepthWise1D ConvolutionDepthWise3D CopyTo Crop
CumulativeSum Deconvolution Deconvolution1D Deconvolution3D DeconvolutionDepthWise
DeconvolutionDepthWise1D DeconvolutionDepthWise3D DeepCopy DeformableConv2D Dequantize
DetectionOutput Diag Dropout Einsum ELU Eltwise Embed Erf Exp ExpandDims Flatten Flip Fold GELU GLU
Gemm GridSample GroupNorm GRU HardSigmoid HardSwish InnerProduct Input InstanceNorm Interp
InverseSpectrogram LayerNorm Log LRN LSTM MatMul MemoryData Mish MultiHeadAttention MVN Noop
Normalize Packing Padding Permute PixelShuffle Pooling Pooling1D Pooling3D Power PReLU PriorBox
Proposal PSROIPooling Quantize Reduction ReLU Reorg Requantize Reshape RMSNorm RNN ROIAlign
ROIPooling RotaryEmbed Scale SDPA SELU Shrink ShuffleChannel Sigmoid Slice Softmax Softplus
Spectrogram Split SPP Squeeze StatisticsPooling Swish TanH Threshold Tile Unfold UnaryOp
Yolov3DetectionOutput YoloDetectionOutput
"""


class _Lists(Struct):
    reviewed: str
    operators: dict[str, str]


@cache
def _lists() -> _Lists:
    return msgspec.json.decode(FILE.read_bytes(), type=_Lists)


@cache
def _names(framework: str) -> frozenset[str]:
    written = {"caffe": _CAFFE, "ncnn": _NCNN}
    return frozenset(written.get(framework, _lists().operators.get(framework, "")).split())


def judge(framework: str, name: str) -> Judged:
    """What an operator means. `framework` is `coreml`, `paddle`, `paddle-pir`, `mxnet`, `caffe`,
    `ncnn`, or `onnx`, where the name is `domain::name`."""
    if framework == "onnx":
        return _onnx(*name.split("::", 1))
    acting = _ACTING.get(framework, {}).get(name)
    if acting:
        return Judged(*acting)
    names = _names(framework)
    plain = name.rstrip("_") if framework == "paddle-pir" else name
    if name in names or plain in names or plain.removesuffix("_grad") in names:
        return Judged(Standing.COMPUTES)
    return Judged(Standing.UNKNOWN)


def _onnx(domain: str, name: str) -> Judged:
    does, device = onnx_operators.effect(domain, name), onnx_operators.compiled(domain, name)
    if does:
        return Judged(_WRITES if "Python" in does else _ACTS, does)
    if device:
        return Judged(_COMPILED, device)
    known = onnx_operators.known(domain, name) or onnx_operators.library(domain)
    return Judged(Standing.COMPUTES if known else Standing.UNKNOWN)


def load() -> Intel:
    """What the report says of this list."""
    return Intel(name="graph-operators", date=_lists().reviewed)
