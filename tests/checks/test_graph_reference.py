"""A graph against the graph of a reference."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

import weighbridge
from graph_hosts import INT, Host, split
from graph_implants import IMAGES, PAYLOADS, class_bias, compare
from of_every_graph import exported
from protobufs import message, varint
from weighbridge.core.evidence import Subgraph
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.sources.target import Access

TESTS = Path(__file__).parents[1]


def told(model: bytes, reference: bytes | None, folder: Path) -> tuple[list[Finding], list[Gap]]:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(model)
    if reference is not None:
        (folder / "reference").mkdir()
        (folder / "reference" / "export.onnx").write_bytes(reference)
    access = Access(reference=str(folder / "reference"))
    report = weighbridge.audit(folder / "model", access=access)
    control = next(c for c in report.controls if c.id == "backdoor")
    return [f for f in control.findings if f.check == "graph-reference"], list(control.gaps)


def members(archive: str, name: str) -> dict[str, bytes]:
    """A model of a committed archive, with the file of its numbers."""
    path = TESTS / archive
    with zipfile.ZipFile(path) as opened:
        stem = name.removesuffix(".xml")
        return {n: opened.read(n) for n in opened.namelist() if n in (name, f"{stem}.bin")}


def compared(
    model: dict[str, bytes], reference: dict[str, bytes], folder: Path
) -> tuple[list[Finding], list[Gap]]:
    for place, held in (("model", model), ("reference", reference)):
        for name, data in held.items():
            path = folder / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    access = Access(reference=str(folder / "reference"))
    report = weighbridge.audit(folder / "model", access=access)
    control = next(c for c in report.controls if c.id == "backdoor")
    return [f for f in control.findings if f.check == "graph-reference"], list(control.gaps)


def implanted(name: str = "vit-script.onnx") -> bytes:
    host = Host(exported(name))
    class_bias(host, compare)
    return host.bytes()


def renamed(data: bytes) -> bytes:
    """Other names of nodes, a value that only moves, an input's number in the open: the same."""
    host = Host(data)
    old = host.after(host.output)
    host.op("Identity", old, to=host.output)
    host.nodes = [
        b"".join(
            whole if n != 3 else varint(3 << 3 | 2) + varint(len(inner) + 1) + b"_" + inner
            for n, whole, inner in split(raw)
        )
        for raw in host.nodes
    ]
    return host.bytes()


def test_the_same_export_is_explained(tmp_path: Path) -> None:
    findings, gaps = told(
        renamed(exported("vit-script.onnx")), exported("vit-script.onnx"), tmp_path
    )
    assert [(f.action, f.symbol) for f in findings] == [(Action.NOTE, "same")]
    assert not [g for g in gaps if "reference" in g.message]


@pytest.mark.parametrize("payload", ["class bias", "steering", "input replaced"])
@pytest.mark.parametrize("name", ["vit-script.onnx", "resnet-script.onnx"])
def test_what_was_put_in(name: str, payload: str, tmp_path: Path) -> None:
    host = Host(exported(name))
    PAYLOADS[payload](host, IMAGES["patch compared"])
    findings, _ = told(host.bytes(), exported(name), tmp_path)
    assert [(f.action, f.symbol) for f in findings] == [(Action.REVIEW, "differs")]
    drawn = findings[0].evidence[0]
    assert isinstance(drawn, Subgraph)
    assert any(n.label.startswith("Less") for n in drawn.nodes if n.role == "accused")


def test_a_number_that_was_changed(tmp_path: Path) -> None:
    """Another bound, in the same operators."""
    base, other = Host(exported("vit-script.onnx")), Host(exported("vit-script.onnx"))
    for host, bound in ((base, 5), (other, 6)):
        old = host.after(host.output)
        host.op("Add", old, host.op("Gather", old, host.const(bound % 2, (), INT), axis=1),
                to=host.output)  # fmt: skip
    findings, _ = told(other.bytes(), base.bytes(), tmp_path)
    assert [f.symbol for f in findings] == ["differs"]


def test_another_exporter_is_a_gap(tmp_path: Path) -> None:
    findings, gaps = told(exported("vit-dynamo.onnx"), exported("vit-script.onnx"), tmp_path)
    assert findings == []
    kinds = [g.kind for g in gaps if "reference" in g.message]
    assert kinds == [GapKind.UNSUPPORTED]


def test_no_reference_where_one_was_named(tmp_path: Path) -> None:
    findings, gaps = told(exported("vit-script.onnx"), None, tmp_path)
    assert findings == []
    assert [g.kind for g in gaps if "reference" in g.message] == [GapKind.NOT_GIVEN]


def test_a_broken_reference(tmp_path: Path) -> None:
    broken = message({1: 8, 7: {1: [{1: ["a"], 2: ["b"], 4: "Relu"}], 5: [{1: [4], 2: 1, 8: "w"}]}})
    findings, gaps = told(exported("vit-script.onnx"), broken, tmp_path)
    assert findings == []
    assert [g for g in gaps if "reference" in g.message]


BENIGN = "benign/files/graphs"
SAME = (f"{BENIGN}/torch-export.zip", "bert.pt2"), (f"{BENIGN}/torch-traced.zip", "bert.pt"), (
    f"{BENIGN}/torch-scripted.zip", "branches.pt"), (f"{BENIGN}/openvino.zip", "bert-script.xml"), (
    f"{BENIGN}/tensorflow-1.zip", "autoencoder-float32.tflite"), (
    f"{BENIGN}/tensorflow-1.zip", "autoencoder.frozen.pb")  # fmt: skip


@pytest.mark.parametrize("model", SAME, ids=lambda m: str(m[1]))
def test_other_formats(model: tuple[str, str], tmp_path: Path) -> None:
    held = members(*model)
    findings, gaps = compared(held, held, tmp_path)
    assert [(f.action, f.symbol) for f in findings] == [(Action.NOTE, "same")]
    assert not [g for g in gaps if "reference" in g.message]


def edited(data: bytes, old: bytes, new: bytes) -> bytes:
    """An archive in whose members the first occurrence of a text is another."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new, 1))
    return made.getvalue()


@pytest.mark.parametrize(
    ("archive", "name", "old", "new"),
    [
        ("torch-export", "bert.pt2", b"aten.gelu.default", b"aten.sign.default"),
        ("torch-traced", "bert.pt", b"torch.gelu(", b"torch.sign("),
    ],
)
def test_an_operator_that_was_changed(
    archive: str, name: str, old: bytes, new: bytes, tmp_path: Path
) -> None:
    reference = members(f"{BENIGN}/{archive}.zip", name)
    model = {name: edited(reference[name], old, new)}
    findings, _ = compared(model, reference, tmp_path)
    assert [(f.action, f.symbol) for f in findings] == [(Action.REVIEW, "differs")]


def test_what_was_put_into_openvino(tmp_path: Path) -> None:
    model = members("implants/openvino.zip", "cast-input replaced.xml")
    reference = members(f"{BENIGN}/openvino.zip", "vit-script.xml")
    findings, _ = compared(model, reference, tmp_path)
    assert [(f.action, f.symbol) for f in findings] == [(Action.REVIEW, "differs")]
    drawn = findings[0].evidence[0]
    assert isinstance(drawn, Subgraph)
    assert any(n.label.startswith("Cast") for n in drawn.nodes if n.role == "accused")
