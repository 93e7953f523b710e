"""Fronts that turn documents into `ComputationGraph`s, one file for each type of document.

A front is a module with `graph_of`, loaded when the first such document is met. Operators that
ONNX has bear ONNX's name and attributes whatever the format calls them; what the format has beyond
them is spelt out in operators of ONNX, or stays `domain::name` and is told as a gap.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final

from weighbridge import formats
from weighbridge.core.document import GraphDocument
from weighbridge.core.format import Format
from weighbridge.formats.coreml import CoreMl
from weighbridge.formats.exported_program import ExportedProgram
from weighbridge.formats.onnx import Onnx
from weighbridge.formats.openvino import OpenVino
from weighbridge.formats.ort import Ort
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.formats.text import KerasModel
from weighbridge.formats.tflite import Tflite
from weighbridge.formats.torchscript import TorchScript

if TYPE_CHECKING:
    from weighbridge.analysis.computation_graph import ComputationGraph

FRONTS: Final[dict[type[GraphDocument], str]] = {
    CoreMl: "coreml",
    ExportedProgram: "exported_program",
    KerasModel: "keras",
    Onnx: "onnx",
    OpenVino: "openvino",
    Ort: "ort",
    TensorFlow: "tensorflow",
    Tflite: "tflite",
    TorchScript: "torchscript",
}
"""The front of each type of document, by the name of its module."""


def graph_of(document: GraphDocument) -> ComputationGraph:
    """The graph that a model runs. Every type of document that is a `GraphDocument` has a front."""
    front = import_module(f"{__name__}.{FRONTS[type(document)]}")
    graph: ComputationGraph = front.graph_of(document)
    return graph


@cache
def formats_with_graph() -> dict[str, Format]:
    """By name, the formats that are read as such a document."""
    return {
        format.name: format
        for found in iter_modules(formats.__path__)
        for format in vars(import_module(f"{formats.__name__}.{found.name}")).values()
        if isinstance(format, Format) and format.document in FRONTS
    }
