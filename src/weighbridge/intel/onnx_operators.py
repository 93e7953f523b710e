"""The operators of ONNX that a runtime brings along, and those among them that reach outside.

The names are those that `onnx` and `onnxruntime` register (`scripts/list_onnx_operators.py`); the
rest is from the documentation of each runtime.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FILE: Final = Path(__file__).with_suffix(".json")
STANDARD: Final = frozenset({"", "ai.onnx"})

_ACTING: Final = {
    ("ai.onnx.contrib", "PyOp"): "calls a Python function",
    ("com.microsoft", "PyOp"): "imports a Python module and calls a class of it",
    ("com.microsoft.extensions", "PyOp"): "calls a Python function",
    ("org.pytorch.aten", "PythonOp"): "calls a Python function",
    ("com.microsoft", "PythonOp"): "calls a Python function",
    ("com.microsoft", "PythonOpGrad"): "calls a Python function",
    ("com.microsoft", "ExternalGraph"): "loads another model",
    ("ai.onnx.contrib", "AzureTextToText"): "sends its inputs to a service",
    ("ai.onnx.contrib", "AzureAudioToText"): "sends its inputs to a service",
    ("ai.onnx.contrib", "AzureTritonInvoker"): "sends its inputs to a service",
    ("com.microsoft.extensions", "AzureTextToText"): "sends its inputs to a service",
    ("com.microsoft.extensions", "AzureAudioToText"): "sends its inputs to a service",
    ("com.microsoft.extensions", "AzureTritonInvoker"): "sends its inputs to a service",
}
_LIBRARIES: Final = {
    "com.microsoft.extensions": "onnxruntime-extensions",
    "org.pytorch.aten": "ONNX Runtime with ATen",
    "org.openvinotoolkit": "OpenVINO",
    "trt": "TensorRT and its standard plugins",
    "trt.plugins": "TensorRT and its standard plugins",
    "ai.graphcore": "Graphcore's runtime",
    "qonnx.custom_op.general": "QONNX",
    "onnx.brevitas": "Brevitas",
    "mmcv": "mmdeploy",
    "mmdeploy": "mmdeploy",
}
"""Domains of libraries that are built and reviewed in public: their operators are not listed."""
_COMPILED: Final = {
    ("com.microsoft", "EPContext"): "an accelerator",
    ("com.xilinx", "DPU"): "a Xilinx processor",
}


class _Lists(msgspec.Struct):
    reviewed: str
    domains: dict[str, str]


@cache
def _lists() -> _Lists:
    return msgspec.json.decode(FILE.read_bytes(), type=_Lists)


@cache
def _names(domain: str) -> frozenset[str]:
    return frozenset(_lists().domains.get(domain, "").split())


def known(domain: str, name: str) -> bool:
    """Whether ONNX or ONNX Runtime has an operator of this name."""
    domain = "" if domain in STANDARD else domain
    if domain == "com.microsoft.extensions":
        domain = "ai.onnx.contrib"
    return name in _names(domain)


def effect(domain: str, name: str) -> str | None:
    """What an operator does beside computing, or None."""
    return _ACTING.get((domain, name))


def library(domain: str) -> str | None:
    """The well-known library that a domain belongs to, or None."""
    return _LIBRARIES.get(domain)


def compiled(domain: str, name: str) -> str | None:
    """What an operator's content was compiled for, so that nothing can read it, or None."""
    return _COMPILED.get((domain, name))


def load() -> Intel:
    """What the report says of this list."""
    return Intel(name="onnx-operators", date=_lists().reviewed)
