"""Implants in ONNX exports after what is done to models before they are deployed: a sample of those
that trials are measured on.

pip install onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98 onnxsim==0.8.1
python tests/implants/make_onnx_forms.py tests/implants/onnx_forms.zip
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "benign"), str(TESTS.parent / "src")]

import make_graph_forms  # noqa: E402

import of_every_graph  # noqa: E402
from graph_hosts import Host  # noqa: E402
from graph_implants import IMAGES, PAYLOADS, TOKENS  # noqa: E402
from graph_more_implants import MORE_IMAGES, MORE_PAYLOADS, MORE_TOKENS, SOUNDS  # noqa: E402

PREDICATES = {**IMAGES, **TOKENS, **MORE_IMAGES, **MORE_TOKENS, **SOUNDS}
EVERY = {**PAYLOADS, **MORE_PAYLOADS}
CHOSEN = [
    ("resnet-script", "patch compared", "class bias", ("fp16", "qdq")),
    ("resnet-script", "checksum", "output chosen", ("slim", "dynamic", "noise")),
    ("mobilenet_v2-script", "cell", "weights changed", ("fp16",)),
    ("bert-script", "token anywhere", "scattered in", ("extended", "qoperator")),
    ("bert-script", "sequence at a place", "early exit", ("dynamic",)),
    ("vit-script", "frequency by hand", "output negated", ("all",)),
]  # fmt: skip


def main(target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, predicate, payload, forms in CHOSEN:
            host = Host(of_every_graph.exported(f"{name}.onnx"))
            EVERY[payload](host, PREDICATES[predicate])
            for form in forms:
                made = make_graph_forms.FORMS[form](host.bytes())
                entry = zipfile.ZipInfo(f"{name}~{predicate}~{payload}.{form}.onnx")
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, made)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
