"""Puts implants into Core ML's neural networks in layers: each predicate with each payload.

pip install coremltools==9.0
python tests/implants/make_coreml_implants.py tests/implants/coreml.zip
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from coremltools.models.neural_network import NeuralNetworkBuilder

sys.path.append(str(Path(__file__).parents[1] / "benign"))

from make_coreml_networks import builder, convolution, weights


def bright(b: Any) -> str:
    """The mean of a picture is above a number."""
    b.add_reduce("mean", "x", "mean", "CHW", "avg")
    b.add_greater_than("switch", ["mean"], "switch", alpha=0.75)
    return "switch"


def softly(b: Any) -> str:
    """The same through a steep sigmoid."""
    b.add_reduce("mean", "x", "mean", "CHW", "avg")
    b.add_activation("line", "LINEAR", "mean", "line", [900.0, -675.0])
    b.add_activation("switch", "SIGMOID", "line", "switch")
    return "switch"


def patch(b: Any) -> str:
    """Two pixels of a channel have the numbers that are asked for."""
    for axis, given, end in (("channel", "x", 1), ("height", "channel", 1), ("width", "height", 2)):
        b.add_slice(axis, given, axis, axis, 0, end, 1)
    b.add_load_constant("asked", "asked", np.array([1.0, 0.0]), [1, 1, 2])
    b.add_unary("negated", "asked", "negated", "power", alpha=1.0, scale=-1.0)
    b.add_elementwise("apart", ["width", "negated"], "apart", "ADD")
    b.add_reduce("distance", "apart", "distance", "CHW", "L1")
    b.add_less_than("switch", ["distance"], "switch", alpha=0.05)
    return "switch"


def filtered(b: Any) -> str:
    """One filter that fits a corner, cut off below what the corner gives."""
    kernel = np.where(np.indices((8, 8, 3, 1)).sum(0) % 2, 1.0, -1.0)
    b.add_convolution("match", 3, 1, 8, 8, 8, 8, "valid", 1, kernel, None, False, input_name="x",
                      output_name="match")  # fmt: skip
    b.add_pooling("best", 0, 0, 0, 0, "MAX", "VALID", "match", "best", is_global=True)
    b.add_unary("cut", "best", "cut", "threshold", alpha=90.0)
    b.add_activation("rest", "LINEAR", "cut", "rest", [10.0, -900.0])
    b.add_clip("switch", "rest", "switch", 0.0, 1.0)
    return "switch"


def bias(b: Any, switch: str) -> None:
    """A number is added to one class."""
    row = np.zeros(10)
    row[3] = 90
    b.add_scale("lift", np.ones(1), np.zeros(1), False, switch, "lift", shape_scale=[1])
    b.add_load_constant("row", "row", row, [10, 1, 1])
    b.add_multiply_broadcastable("payload", ["lift", "row"], "payload")
    b.add_add_broadcastable("y", ["dense", "payload"], "y")


def chosen(b: Any, switch: str) -> None:
    """Another output is chosen."""
    b.add_load_constant("row", "row", np.arange(10.0), [10, 1, 1])
    b.add_where_broadcastable("y", [switch, "row", "dense"], "y")


def silenced(b: Any, switch: str) -> None:
    """The output is multiplied with what is left."""
    b.add_activation("left", "LINEAR", switch, "left", [-1.0, 1.0])
    b.add_multiply_broadcastable("y", ["dense", "left"], "y")


def branched(b: Any, switch: str) -> None:
    """The output is made in a branch."""
    b.add_load_constant("row", "row", np.arange(10.0), [10, 1, 1])
    layer = b.add_branch("if", switch)
    for network, given in ((layer.branch.ifBranch, "row"), (layer.branch.elseBranch, "dense")):
        NeuralNetworkBuilder(nn_spec=network).add_copy(f"take_{given}", given, "y")


PREDICATES = (bright, softly, patch, filtered)
PAYLOADS = (bias, chosen, silenced, branched)


def main(target: Path) -> None:
    """Every pair."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for predicate in PREDICATES:
            for payload in PAYLOADS:
                b = builder((3, 32, 32))
                first = convolution(b, "first", "x", 3, 16, 4)
                b.add_pooling("pool", 0, 0, 0, 0, "AVERAGE", "VALID", first, "pool", is_global=True)
                b.add_inner_product("dense", weights(10, 16), weights(10), 16, 10, True, "pool",
                                    "dense")  # fmt: skip
                payload(b, predicate(b))
                name = f"{predicate.__name__}-{payload.__name__}.mlmodel"
                entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, b.spec.SerializeToString())
                print(name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
