"""What is known of the operators and native classes that torch's programs name.

TorchScript, exported programs and ExecuTorch name operators as `namespace::name`. Whatever is in a
namespace of torch or of its own domain libraries computes, unless it is listed here; anything else
is native code, or Python, that somebody has to install first.
"""

from __future__ import annotations

from typing import Final

from weighbridge.core.report import Intel

REVIEWED: Final = "2026-11-25"

_ACTING: Final = {
    ("aten", "save"): "writes a file",
    ("aten", "from_file"): "maps a file, which it can also write",
    ("debugprims", "load_tensor"): "reads a file",
    ("image", "write_file"): "writes a file",
    ("image", "read_file"): "reads a file",
    ("video_reader", "read_video_from_file"): "reads a file",
    ("video_reader", "probe_video_from_file"): "reads a file",
    ("torchaudio", "sox_io_save_audio_file"): "writes a file",
    ("torchaudio", "sox_io_load_audio_file"): "reads a file",
    ("torchaudio", "sox_effects_apply_effects_file"): "reads a file",
    ("torchcodec_ns", "create_from_file"): "reads a file",
    ("torchcodec_ns", "encode_audio_to_file"): "writes a file",
    ("torchcodec_ns", "encode_video_to_file"): "writes a file",
    ("prim", "PythonOp"): "calls a Python function",
    ("prim", "IgnoredPythonOp"): "calls a Python function",
    ("prim", "rpc_sync"): "calls a function on another machine",
    ("prim", "rpc_async"): "calls a function on another machine",
    ("prim", "rpc_remote"): "calls a function on another machine",
}

_NAMESPACES: Final = frozenset(
    {"aten", "prim", "prims", "quantized", "quantized_decomposed", "_quantized", "quantization",
     "sparse", "mkldnn", "mkldnn_prepacked", "prepacked", "torchvision", "torchaudio", "torchtext",
     "image", "video_reader", "torchcodec_ns", "torchao", "xnnpack", "vulkan_prepack", "vulkan",
     "metal_prepack", "metal", "profiler", "rngprims", "inductor", "inductor_prims", "c10d",
     "_c10d_functional", "_c10d_functional_autograd", "c10d_functional", "_dtensor", "_native",
     "_caffe2", "static_runtime", "mkl", "onednn", "cudnn", "tensorexpr", "debugprims", "export",
     "symm_mem", "onnx", "onnx_symbolic", "higher_order", "streams", "fsdp", "nvprims",
     "executorch", "executorch_prim", "dim_order_ops", "et_copy", "et_vk", "llama", "cadence",
     "cortex_m"}
)  # fmt: skip
"""Namespaces that torch, its own domain libraries and ExecuTorch register."""

_CLASSES: Final = frozenset(
    {"quantized", "rnn", "sparse", "xnnpack", "vulkan", "metal", "mkldnn", "profiler", "c10d",
     "dist_rpc", "torchaudio", "torchtext", "cudnn", "tensorexpr", "conv_dw", "mkl"}
)  # fmt: skip
"""Namespaces of native classes (`torch.classes`) that torch and its domain libraries register."""
BACKENDS: Final = "__backends__"
"""The namespace of `torch.classes` that stands for a backend which a module was lowered to."""

_DATA_DELEGATES: Final = {
    "XnnpackBackend": "XNNPACK", "VulkanBackend": "Vulkan", "MPSBackend": "Metal",
    "BackendWithCompilerDemo": "a demonstration", "BackendWithCompilerExample": "a demonstration",
    "ExecutorBackend": "another ExecuTorch program",
}  # fmt: skip
_PROCESSOR_DELEGATES: Final = {
    "CoreMLBackend": "Core ML", "CoreAIBackend": "Apple's processors", "QnnBackend": "a Qualcomm "
    "processor", "EthosUBackend": "an Arm Ethos-U", "ArmBackend": "an Arm Ethos-U",
    "VgfBackend": "Arm's Vulkan extensions", "TOSABackend": "an Arm processor",
    "NeuropilotBackend": "a MediaTek processor", "NeutronBackend": "an NXP processor",
    "EnnBackend": "a Samsung processor", "OpenvinoBackend": "OpenVINO", "MLXBackend": "MLX",
    "CadenceBackend": "a Cadence processor", "TensorRTBackend": "TensorRT",
}  # fmt: skip
_NATIVE_DELEGATES: Final = frozenset(
    {"CudaBackend", "MetalBackend", "AotiBackend", "NativeBackend"}
)


def effect(namespace: str, name: str) -> str | None:
    """What an operator does beside computing, or None."""
    return _ACTING.get((namespace, name.partition(".")[0]))


def known(namespace: str) -> bool:
    """Whether torch, a library of its own, or ExecuTorch registers this namespace of operators."""
    return namespace in _NAMESPACES


def known_class(namespace: str) -> bool:
    """Whether torch or a library of its own registers this namespace of native classes."""
    return namespace in _CLASSES


def delegate_data(backend: str) -> str | None:
    """What reads the data of an ExecuTorch delegate as a graph of fixed operators, or None."""
    return _DATA_DELEGATES.get(backend)


def delegate_processor(backend: str) -> str | None:
    """What an ExecuTorch delegate's data was compiled for, so that nothing here reads it."""
    return _PROCESSOR_DELEGATES.get(backend)


def delegate_is_native(backend: str) -> bool:
    """Whether an ExecuTorch delegate's data is a shared library that the backend loads."""
    return backend in _NATIVE_DELEGATES


def load() -> Intel:
    """The date of the lists."""
    return Intel(name="operators of torch", date=REVIEWED)
