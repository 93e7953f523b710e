"""All of torch's operators that have a rule."""

from __future__ import annotations

from typing import Final

from weighbridge.analysis.aten import Table
from weighbridge.analysis.aten_composed import COMPOSED
from weighbridge.analysis.aten_layers import LAYERS
from weighbridge.analysis.aten_made import MADE
from weighbridge.analysis.aten_numbers import NUMBERS
from weighbridge.analysis.aten_tensors import TENSORS

ATEN: Final[Table] = {**NUMBERS, **TENSORS, **MADE, **LAYERS, **COMPOSED}
"""By name, without the namespace `aten`."""
