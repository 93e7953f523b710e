"""ONNX Runtime, as far as trials use it: one thread, on the processor, no library of anyone's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[Any]
Feeds = dict[str, Array]

TYPES: Final = {
    "tensor(float)": (1, np.float32), "tensor(uint8)": (2, np.uint8), "tensor(int8)": (3, np.int8),
    "tensor(uint16)": (4, np.uint16), "tensor(int16)": (5, np.int16),
    "tensor(int32)": (6, np.int32), "tensor(int64)": (7, np.int64), "tensor(bool)": (9, np.bool_),
    "tensor(float16)": (10, np.float16), "tensor(double)": (11, np.float64),
    "tensor(uint32)": (12, np.uint32), "tensor(uint64)": (13, np.uint64),
}  # fmt: skip
"""Element types: ONNX's number and NumPy's type, by the name that the runtime gives them."""
NUMBERS: Final = {np.dtype(kind): number for number, kind in TYPES.values()}


class OutOfTime(Exception):
    """The budget of a trial is used up."""


RUNS: Final = 40_000
"""How many times a trial may run something, whatever it takes."""


class Budget:
    """How much a trial may do: so many seconds of processor time, and so many runs."""

    def __init__(self, seconds: float) -> None:
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        """Begin anew."""
        self.until = time.process_time() + seconds
        self.runs = 0

    def spend(self) -> None:
        """One run. Raises `OutOfTime`."""
        self.runs += 1
        if self.runs > RUNS or time.process_time() > self.until:
            raise OutOfTime


class Session:
    """A model that is ready to run. Raises what the runtime raises where it cannot be loaded."""

    def __init__(self, data: bytes, folder: Path, budget: Budget) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
        self._made = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._budget = budget
        self.inputs = [(i.name, i.type, i.shape) for i in self._made.get_inputs()]
        self.outputs = [o.name for o in self._made.get_outputs()]
        self._given = {name for name, _, _ in self.inputs}

    def run(self, feeds: Feeds, names: Sequence[str] | None = None) -> dict[str, Array]:
        """What comes out, as far as it is tensors of numbers."""
        self._budget.spend()
        wanted = list(self.outputs if names is None else names)
        given = {k: v for k, v in feeds.items() if k in self._given}
        made = self._made.run(wanted, given)
        return {
            name: value
            for name, value in zip(wanted, made, strict=True)
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
        }
