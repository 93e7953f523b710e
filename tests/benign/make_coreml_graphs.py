"""Converts small models to Core ML programs, whole and with weights in sixteen bits.

pip install torch torchvision transformers==5.24.0 onnx==1.23.2 onnxscript==0.7.2 coremltools==9.0
python tests/benign/make_coreml_graphs.py tests/benign/files/graphs/coreml.zip
"""

from __future__ import annotations

import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from make_graphs import MAKERS
from make_torch_graphs import rounded, write

SAID = ("vit", "beit", "siglip", "clip_vision", "convnext", "resnet")
"""What this converter can do with this torch: not `new_ones`, nor sizes that torch made tensors."""


def main(target: Path) -> None:
    """Each that the converter can do, in one file."""
    warnings.simplefilter("ignore")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for number, name in enumerate(SAID):
            torch.manual_seed(7)
            try:
                model, inputs = MAKERS[name]()
                values = tuple(inputs.values())
                with torch.no_grad():
                    traced = torch.jit.trace(rounded(model), values, strict=False,
                                             check_trace=False)  # fmt: skip
                bits = ct.precision.FLOAT16 if number % 2 else ct.precision.FLOAT32
                kinds = [np.float32 if v.is_floating_point() else np.int32 for v in values]
                made = ct.convert(
                    traced, compute_precision=bits, skip_model_load=True,
                    minimum_deployment_target=ct.target.iOS17,
                    inputs=[ct.TensorType(k, v.shape, dtype=d)
                            for (k, v), d in zip(inputs.items(), kinds, strict=True)],
                )  # fmt: skip
            except Exception as error:  # what the converter cannot do is not ours to mend
                print(f"{name}: {type(error).__name__}: {str(error)[:120]}", flush=True)
                continue
            with tempfile.TemporaryDirectory() as scratch:
                package = Path(scratch, f"{name}.mlpackage")
                made.save(package)
                for path in sorted(package.rglob("*")):
                    if path.suffix in (".mlmodel", ".bin"):
                        where = path.relative_to(package / "Data" / "com.apple.CoreML")
                        write(out, f"{name}/{where.as_posix()}", path.read_bytes())
            print(f"{name}: made", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
