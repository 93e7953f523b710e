"""Copies a selection of onnx's own backend tests: one model for each of 60 operators, those of the
package that are whole models, and the nets that it ships without weights.

pip install onnx==1.23.2
python tests/benign/make_onnx.py tests/benign/files/onnx-backend
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import onnx
from onnx.backend.test.case.node import collect_testcases

NODES = 60
LARGEST = 40_000


def main(folder: Path) -> None:
    """Write them."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    by_operator: dict[str, tuple[int, str, bytes]] = {}
    for case in collect_testcases(None):
        if case.model is not None:
            data = case.model.SerializeToString()
            # The longest graph that has the operator says more than the node alone.
            operator = case.model.graph.node[-1].op_type
            best = by_operator.get(operator)
            if len(data) < 4_000 and (best is None or len(data) > best[0]):
                by_operator[operator] = (len(data), case.name, data)
    chosen = sorted(by_operator.items())
    step = len(chosen) / NODES
    for _, (_, name, data) in [chosen[int(i * step)] for i in range(NODES)]:
        (folder / f"{name}.onnx").write_bytes(data)
    shipped = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in ("simple", "light", "pytorch-converted", "pytorch-operator"):
        found = sorted(shipped.glob(f"{kind}/**/*.onnx"), key=lambda p: p.stat().st_size)
        for path in found[:12]:
            if path.stat().st_size <= LARGEST:
                name = path.stem if path.stem != "model" else path.parent.name
                (folder / f"{kind}-{name}.onnx").write_bytes(path.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
