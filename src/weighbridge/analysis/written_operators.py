"""How each operator of a computation graph is written as nodes of ONNX that compute it.

The graph's operators are ONNX's by name, but frameworks that mix types, count axes in attributes or
divide in their own way share them; here they become nodes that ONNX Runtime takes. What has no rule
is not written. Versions: those of operator set 21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weighbridge.analysis.written_cells import CELLS
from weighbridge.analysis.written_layers import LAYERS
from weighbridge.analysis.written_numbers import NUMBERS
from weighbridge.analysis.written_rules import Rule
from weighbridge.analysis.written_tensors import TENSORS

RULES: Final[Mapping[str, Rule]] = {**NUMBERS, **TENSORS, **LAYERS, **CELLS}
"""By the name of the operator."""
