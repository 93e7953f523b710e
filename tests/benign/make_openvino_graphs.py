"""Converts exported graphs to OpenVINO, whole and with weights in sixteen bits.

pip install openvino==2026.2.1
python tests/benign/make_openvino_graphs.py tests/benign/files/graphs
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

import openvino as ov

sys.path.append(str(Path(__file__).parents[1]))

from of_every_graph import exported, names


def main(folder: Path) -> None:
    """Each from the older exporter, with axes of any length, and some with half the bits."""
    with (
        zipfile.ZipFile(folder / "openvino.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out,
        tempfile.TemporaryDirectory() as scratch,
    ):
        every = names()
        chosen = sorted(n for n in every if n.endswith("-script.onnx"))
        chosen += [n for n in every if n.removesuffix("-dynamo.onnx") + "-script.onnx"
                  not in chosen and n.endswith("-dynamo.onnx")]  # fmt: skip
        for number, name in enumerate(chosen):
            stem = name.removesuffix(".onnx")
            source, target = Path(scratch, name), Path(scratch, f"{stem}.xml")
            source.write_bytes(exported(name))
            try:
                ov.save_model(ov.convert_model(source), target, compress_to_fp16=number % 2 == 0)
            except Exception as error:  # what the converter cannot do is not ours to mend
                print(f"{name}: {type(error).__name__}: {str(error)[:120]}", flush=True)
                continue
            for path in (target, target.with_suffix(".bin")):
                data = path.read_bytes().replace(scratch.encode(), b"/models")
                entry = zipfile.ZipInfo(path.name, (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, data)
            print(f"{name}: {target.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
