"""Converts models with implants (`graph_implants.py`) from ONNX to OpenVINO.

python tests/implants/make_openvino_implants.py --onnx /a/folder     # with this repository's own
pip install openvino==2026.2.1
python tests/implants/make_openvino_implants.py /a/folder tests/implants/openvino.zip
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
HOSTS = {"images": "vit-script.onnx", "tokens": "bert-script.onnx"}
EACH = 4
"""How many payloads each predicate is put in with."""


def write_onnx(folder: Path) -> None:
    """Each predicate with some payloads, each payload with some predicates."""
    sys.path.append(str(TESTS))
    from graph_hosts import Host
    from graph_implants import IMAGES, PAYLOADS, TOKENS
    from of_every_graph import exported

    folder.mkdir(parents=True, exist_ok=True)
    hosts = {kind: exported(name) for kind, name in HOSTS.items()}
    payloads = list(PAYLOADS.items())
    for kind, predicates in (("images", IMAGES), ("tokens", TOKENS)):
        for i, (predicate, function) in enumerate(predicates.items()):
            for j in range(EACH):
                name, put = payloads[(i + j * 3) % len(payloads)]
                host = Host(hosts[kind])
                put(host, function)
                (folder / f"{predicate}-{name}.onnx").write_bytes(host.bytes())


def convert(folder: Path, target: Path) -> None:
    """All of them, weights in sixteen bits; those with names that sort first are kept."""
    import openvino as ov

    for source in sorted(folder.glob("*.onnx")):
        try:
            ov.save_model(ov.convert_model(source), source.with_suffix(".xml"))
        except Exception as error:  # what the converter cannot do is not ours to mend
            print(f"{source.name}: {type(error).__name__}: {str(error)[:160]}", flush=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for path in sorted(folder.glob("*.xml"))[::EACH]:
            for part in (path, path.with_suffix(".bin")):
                data = part.read_bytes().replace(str(folder).encode(), b"/models")
                entry = zipfile.ZipInfo(part.name, (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, data)


if __name__ == "__main__":
    if sys.argv[1] == "--onnx":
        write_onnx(Path(sys.argv[2]))
    else:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
