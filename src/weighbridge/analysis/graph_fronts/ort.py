"""The computation graph of a model in ONNX Runtime's format: ONNX's, by another notation."""

from __future__ import annotations

from typing import Final

from weighbridge.analysis.graph_fronts import onnx
from weighbridge.formats.ort import Ort

READS: Final = Ort
graph_of = onnx.graph_of
