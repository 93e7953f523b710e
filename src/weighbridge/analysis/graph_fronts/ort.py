"""The computation graph of a model in ONNX Runtime's format: ONNX's, by another notation."""

from __future__ import annotations

from weighbridge.analysis.graph_fronts import onnx

graph_of = onnx.graph_of
