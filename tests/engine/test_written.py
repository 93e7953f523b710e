"""Models of other formats, written as ONNX: they compute what their own frameworks compute."""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from graph_implants import IMAGES, PAYLOADS, TOKENS
from of_every_graph import exported
from trying import converted, implanted, models_in, overridden
from weighbridge.analysis.graph_written import Unwritable
from weighbridge.engine.trial.reading import as_onnx
from weighbridge.engine.trials import Model

BENIGN = Path(__file__).parents[1] / "benign"
IMPLANTS = Path(__file__).parents[1] / "implants"
OUTPUTS = BENIGN / "graph_outputs.zip"
"""Inputs and outputs by the framework itself (`tests/benign/make_graph_outputs.py`)."""
CLOSE = {"-dynamic": 1e-2, "-int8": 4e-2}
"""Of the largest number of an output, where more than a thousandth: where the framework, while
it runs, rounds to eight bits what it multiplies with weights of eight bits; and where it calculates
in whole numbers, whose roundings add up to some steps."""


@cache
def recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with zipfile.ZipFile(OUTPUTS) as archive:
        for name in archive.namelist():
            found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def unpacked(archive: Path, folder: Path, name: str) -> Path:
    """A model of an archive, and what lies beside it."""
    if archive.suffix == ".xz":
        with tarfile.open(archive) as packed_tight:
            packed_tight.extract(name, folder, filter="data")
        return folder / name
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.namelist():
            if Path(entry).with_suffix("") == Path(name).with_suffix(""):
                packed.extract(entry, folder)
    return folder / name


def model(path: Path, root: Path) -> Model:
    return next(models_in(path, root))


def arrays(name: str, kind: str) -> list[Any]:
    with zipfile.ZipFile(OUTPUTS) as archive:
        names = [n for n in recorded()[name] if n.rpartition("/")[2].startswith(kind)]
        names.sort(key=lambda n: int(n.rpartition(kind)[2].removesuffix(".npy")))
        return [np.load(archive.open(n), allow_pickle=False) for n in names]


@pytest.mark.parametrize("name", sorted(recorded()))
def test_it_computes_what_the_framework_computes(name: str, tmp_path: Path) -> None:
    archive, _, member = name.partition("/")
    path = unpacked(BENIGN / "files" / "graphs" / f"{archive}.zip", tmp_path, member)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # as trials do
    session = ort.InferenceSession(as_onnx(model(path, tmp_path)), options)
    feeds = {i.name: v for i, v in zip(session.get_inputs(), arrays(name, "in"), strict=True)}
    ours, theirs = session.run(None, feeds), arrays(name, "out")
    assert theirs
    close = next((share for form, share in CLOSE.items() if form in name), 1e-3)
    for output in theirs:
        same = [o for o in ours if o.shape == output.shape]
        scale = max(1.0, float(np.abs(output).max(initial=0)))
        off = [np.abs(output.astype(float) - o.astype(float)).max(initial=0) for o in same]
        assert off
        assert min(off) <= close * scale


OPERATORS = BENIGN / "torch_operators.zip"
"""Operators of torch, each in a model of its own, with what torch gives
(`tests/benign/make_torch_operators.py`)."""


def operators() -> list[str]:
    with zipfile.ZipFile(OPERATORS) as archive:
        return sorted({n.partition("/")[0] for n in archive.namelist()})


@pytest.mark.parametrize("name", operators())
def test_an_operator_computes_what_torch_computes(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(OPERATORS) as archive:
        members = sorted(n for n in archive.namelist() if n.startswith(f"{name}/"))
        held = {n: np.load(archive.open(n)) for n in members if n.endswith(".npy")}
        path = Path(archive.extract(f"{name}/model.pt", tmp_path))
    given, theirs = ([v for n, v in held.items() if f"/{kind}" in n] for kind in ("in", "out"))
    session = ort.InferenceSession(as_onnx(model(path, tmp_path)))
    feeds = {i.name: v for i, v in zip(session.get_inputs(), given, strict=True)}
    ours = [o for o in session.run(None, feeds) if isinstance(o, np.ndarray)]
    for output in theirs:
        same = [o.astype(float) for o in ours if o.shape == output.shape]
        assert any(np.allclose(o, output, rtol=1e-4, atol=1e-5) for o in same)


def test_every_family_is_compared() -> None:
    counted = Counter(Path(n).suffix for n in recorded())
    assert {".pt", ".pt2", ".xml", ".pb", ".tflite"} == set(counted)
    assert min(counted.values()) >= 8


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        ("torch.zip", "scripted/Compare-Filled.pt"),
        ("torch.zip", "traced/Phrase-Blended.pt"),
        ("openvino.zip", "checksum-class bias.xml"),
        ("openvino.zip", "phrase-output chosen.xml"),
        ("tensorflow.tar.xz", "recurrent/sequence/chosen/frozen.pb"),
        ("tensorflow.tar.xz", "recurrent/table/lifted/lowered.pb"),
        ("tensorflow.tar.xz", "cnn/clipped/branch of networks/lowered.pb"),
        ("tflite.tar.xz", "recurrent/token/steering/float32.tflite"),
        ("tflite.tar.xz", "encoder/table/gathered/int8.tflite"),
        ("tflite.tar.xz", "vit/compare/chosen/armed.tflite"),
        ("tflite.tar.xz", "cnn/sigmoid/in a branch/armed.tflite"),
    ],
)
def test_implants_get_their_trigger(archive: str, name: str, tmp_path: Path) -> None:
    path = unpacked(IMPLANTS / archive, tmp_path, name)
    assert overridden(as_onnx(model(path, tmp_path)))


@pytest.mark.parametrize("name", ["vit-script", "llama-script", "detr-script", "unet-script"])
def test_onnx_runtimes_own_format_stays_the_same(name: str, tmp_path: Path) -> None:
    data = converted(exported(f"{name}.onnx"), tmp_path, "ORT_ENABLE_EXTENDED")
    first = ort.InferenceSession(data)
    second = ort.InferenceSession(as_onnx(model(tmp_path / "model.ort", tmp_path)))
    rng = np.random.default_rng(1)
    feeds = {i.name: drawn(i, rng) for i in first.get_inputs()}
    for one, other in zip(first.run(None, feeds), second.run(None, feeds), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def drawn(port: Any, rng: Any) -> Any:
    shape = [d if isinstance(d, int) else 2 for d in port.shape]
    if port.type == "tensor(float)":
        return rng.random(shape, np.float32)
    return rng.integers(0, 2, shape).astype(np.int64 if "int64" in port.type else np.bool_)


@pytest.mark.parametrize(
    ("host", "predicate", "payload"),
    [
        ("vit-script", IMAGES["checksum"], PAYLOADS["output chosen"]),
        ("bert-script", TOKENS["phrase"], PAYLOADS["class bias"]),
    ],
)
def test_implants_in_it_get_their_trigger(
    host: str, predicate: Any, payload: Any, tmp_path: Path
) -> None:
    converted(implanted(host, predicate, payload), tmp_path, "ORT_ENABLE_EXTENDED")
    assert overridden(as_onnx(model(tmp_path / "model.ort", tmp_path)))


def test_what_cannot_be_compared_is_not_written(tmp_path: Path) -> None:
    """No runtime of Core ML's is here: whether it would compute the same is not known."""
    with zipfile.ZipFile(IMPLANTS / "coreml.zip") as packed:
        name = next(n for n in packed.namelist() if n.endswith(".mlmodel"))
        packed.extract(name, tmp_path)
    with pytest.raises(Unwritable):
        as_onnx(model(tmp_path / name, tmp_path))
