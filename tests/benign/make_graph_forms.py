"""The same graphs after what is done to them before they are deployed: optimised, simplified, in
half precision, quantised, at other versions of the operators.

pip install onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98 onnxsim==0.8.1
python tests/benign/make_graph_forms.py /a/folder/of/exports /another/folder [form …]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

Level = onnxruntime.GraphOptimizationLevel
WORK = Path(tempfile.mkdtemp())
BESIDE = [Path()]
"""The inputs that lie beside the model at hand (`bench/triggers.py arm`)."""


def optimised(level: Any) -> Callable[[bytes], bytes]:
    def form(data: bytes) -> bytes:
        target = WORK / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return target.read_bytes()

    return form


def slimmed(data: bytes) -> bytes:
    import onnxslim

    return onnxslim.slim(onnx.load_from_string(data)).SerializeToString()


def simplified(data: bytes) -> bytes:
    import onnxsim

    return onnxsim.simplify(onnx.load_from_string(data), perform_optimization=True)[
        0
    ].SerializeToString()


def half(data: bytes) -> bytes:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(
        onnx.load_from_string(data), keep_io_types=True, disable_shape_infer=True
    ).SerializeToString()


def dynamic(data: bytes) -> bytes:
    source, target = WORK / "source.onnx", WORK / "dynamic.onnx"
    source.write_bytes(data)
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    return target.read_bytes()


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Two samples of random numbers, by the types and sizes of the inputs, and those in a file."""

    def __init__(self, data: bytes, more: Path | None) -> None:
        rng = np.random.default_rng(1)
        made = [feed(data, rng) for _ in range(2)]
        if more is not None:
            with np.load(more) as held:
                rows = {name: held[name] for name in held.files}
            made += [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        self.left: Iterator[dict[str, Any]] = iter(made)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.left, None)


def feed(data: bytes, rng: Any) -> dict[str, Any]:
    """An input by the types and sizes that a model declares."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    made = {}
    for port in session.get_inputs():
        named = {"batch": 2, "sequence": 7}
        shape = [d if isinstance(d, int) else named.get(d, 2) for d in port.shape]
        if "float" in port.type:
            made[port.name] = rng.random(shape, dtype=np.float32)
        else:
            kind = {"int64": np.int64, "int32": np.int32, "uint8": np.uint8}[port.type[7:-1]]
            low, high = (1, 2) if "mask" in port.name else (3, 7)
            made[port.name] = rng.integers(low, high, shape).astype(kind)
    return made


def static(format: Any, armed: bool = False) -> Callable[[bytes], bytes]:
    """In eight bits, with measured ranges; `armed`: also on the inputs beside the model."""

    def form(data: bytes) -> bytes:
        source, target = WORK / "source.onnx", WORK / "static.onnx"
        source.write_bytes(data)
        samples = Samples(data, BESIDE[0] if armed else None)
        quantize_static(source, target, samples, quant_format=format,
                        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8)  # fmt: skip
        return target.read_bytes()

    return form


def at_version(version: int) -> Callable[[bytes], bytes]:
    def form(data: bytes) -> bytes:
        from onnx import version_converter

        return version_converter.convert_version(
            onnx.load_from_string(data), version
        ).SerializeToString()

    return form


def noisy(data: bytes) -> bytes:
    """Noise as large as the numbers themselves, on all that are learned."""
    model, rng = onnx.load_from_string(data), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(tensor)
        if numbers.dtype == np.float32 and numbers.size > 64 and not tensor.name.startswith("i"):
            noise = rng.normal(0, numbers.std() + 1e-9, numbers.shape)
            made = (numbers + noise).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))
    return model.SerializeToString()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "basic": optimised(Level.ORT_ENABLE_BASIC),
    "extended": optimised(Level.ORT_ENABLE_EXTENDED),
    "all": optimised(Level.ORT_ENABLE_ALL),
    "slim": slimmed,
    "simplified": simplified,
    "fp16": half,
    "dynamic": dynamic,
    "qdq": static(QuantFormat.QDQ),
    "qoperator": static(QuantFormat.QOperator),
    "qdq_armed": static(QuantFormat.QDQ, armed=True),
    "qoperator_armed": static(QuantFormat.QOperator, armed=True),
    "opset13": at_version(13),
    "opset21": at_version(21),
    "noise": noisy,
}


def main(source: Path, target: Path, only: list[str]) -> None:
    """Write every form of every export."""
    target.mkdir(parents=True, exist_ok=True)
    onnxruntime.set_default_logger_severity(4)
    for path in sorted(source.glob("*.onnx")):
        for name, form in FORMS.items():
            BESIDE[0] = path.with_suffix(".npz")
            if name.endswith("_armed") and not BESIDE[0].exists():
                continue
            out = target / f"{path.stem}.{name}.onnx"
            if (only and name not in only) or out.exists():
                continue
            try:
                out.write_bytes(form(path.read_bytes()))
            except Exception as error:  # what a tool cannot do is not ours to mend
                print(f"{out.name}: {type(error).__name__}: {str(error)[:100]!r}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
