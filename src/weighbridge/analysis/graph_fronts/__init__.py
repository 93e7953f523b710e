"""Fronts that turn documents into `ComputationGraph`s, one file for each format.

A front is a module with `READS`, the type of document that it reads, and `graph_of`. Operators that
ONNX has bear ONNX's name and attributes whatever the format calls them; what the format has beyond
them is spelt out in operators of ONNX, or stays `domain::name` and is told as a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from weighbridge import formats
from weighbridge.analysis.computation_graph import ComputationGraph
from weighbridge.core.document import GraphDocument
from weighbridge.core.format import Format

_MODULES: Final = tuple(
    import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)
)
FRONTS: Final[dict[type[GraphDocument], Callable[[Any], ComputationGraph]]] = {
    module.READS: module.graph_of for module in _MODULES
}
"""What lays out the graph of each type of document."""
FORMATS: Final[dict[str, Format]] = {
    format.name: format
    for found in iter_modules(formats.__path__)
    for format in vars(import_module(f"{formats.__name__}.{found.name}")).values()
    if isinstance(format, Format) and format.document in FRONTS
}
"""By name, the formats that are read as such a document."""


def graph_of(document: GraphDocument) -> ComputationGraph:
    """The graph that a model runs. Every type of document that is a `GraphDocument` has a front."""
    return FRONTS[type(document)](document)
