"""ONNX: operators, functions, bodies, tensors in other files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from of_every_model import accusing
from protobufs import message, varint
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.onnx import ONNX, ONNX_TENSOR, Onnx

Fields = dict[int, Any]


def node(op: str, *attributes: Fields, domain: str = "", name: str = "n") -> Fields:
    return {1: ["x"], 2: ["y"], 3: name, 4: op, 5: list(attributes), 7: domain}


def tensor(name: str = "w", shape: tuple[int, ...] = (2,), raw: bytes | None = None) -> Fields:
    return {1: list(shape), 2: 1, 8: name, 9: bytes(8) if raw is None else raw}


def outside(path: str, offset: object = 0, length: object = 8, name: str = "w") -> Fields:
    said = {"location": path, "offset": offset, "length": length}
    pairs = [{1: k, 2: str(v)} for k, v in said.items() if v is not None]
    return {1: [2], 2: 1, 8: name, 13: pairs, 14: 1}


def model(*nodes: Fields, tensors: list[Fields] | None = None, **more: Any) -> bytes:
    graph = {1: list(nodes), 2: "g", 5: tensors or [], 11: [{1: "x"}], 12: [{1: "y"}]}
    return message({1: 8, 2: "test", 7: graph, 8: {1: "", 2: 17}, 25: more.get("functions", []),
                    14: more.get("metadata", [])})  # fmt: skip


def look(data: bytes) -> Examined:
    return examine(Held("model.onnx", data), load(), Limits())


def said(data: bytes) -> list[tuple[str, str]]:
    return [(f.action.value, f.message) for f in look(data).findings if f.symbol != "analysed"]


def body(*nodes: Fields) -> Fields:
    return {1: "then_branch", 6: {1: list(nodes), 2: "body"}, 20: 5}


def function(name: str, *nodes: Fields, domain: str = "local") -> Fields:
    return {1: name, 4: ["x"], 5: ["y"], 7: list(nodes), 10: domain}


PYTHON = node("PyOp", {1: "module", 4: "os", 20: 3}, domain="ai.onnx.contrib")
OPERATORS = {
    "python": (model(PYTHON), ("block", "calls a Python function")),
    "in a body": (model(node("If", body(PYTHON))), ("block", "calls a Python function")),
    "two bodies deep": (
        model(node("If", body(node("If", body(PYTHON))))), ("block", "calls a Python function"),
    ),
    "in a function": (
        model(node("F", domain="local"), functions=[function("F", PYTHON)]),
        ("block", "calls a Python function"),
    ),
    "foreign": (model(node("Evil", domain="acme")), ("review", "acme::Evil")),
    "no such operator": (model(node("Conv3DPlus")), ("review", "Conv3DPlus")),
    "sends": (
        model(node("AzureTextToText", domain="com.microsoft.extensions")), ("review", "sends"),
    ),
    "redefined": (
        model(node("Relu"), functions=[function("Relu", node("Neg"), domain="")]),
        ("review", "defines the standard operator Relu anew"),
    ),
    "circle": (
        model(node("F", domain="local"), functions=[
            function("F", node("G", domain="local")), function("G", node("F", domain="local"))]),
        ("review", "called by itself"),
    ),
    "too few bytes": (model(tensors=[tensor(raw=bytes(4))]), ("review", "needs 8")),
    "negative": (model(tensors=[tensor(shape=(-1, 2))]), ("review", "negative size")),
    "overflow": (
        model(tensors=[tensor(shape=(1 << 40, 1 << 40))]), ("review", "than a number of 64 bits"),
    ),
    "offset": (model(tensors=[outside("w.bin", "0x10")]), ("review", "no number")),
    "too short a part": (model(tensors=[outside("w.bin", 0, 4)]), ("review", "for 8")),
}  # fmt: skip


@pytest.mark.parametrize("case", OPERATORS)
def test_findings(case: str) -> None:
    data, (action, words) = OPERATORS[case]
    assert [a for a, m in said(data) if words in m] == [action]
    assert len(said(data)) == 1


QUIET = {
    "standard": model(node("MatMul"), node("Gelu"), node("Constant", {1: "value", 5: tensor()})),
    "runtime": model(node("Attention", domain="com.microsoft"), node("Conv", domain="ai.onnx")),
    "function": model(
        node("torch_nn_Linear", domain="pkg.torch"),
        functions=[function("torch_nn_Linear", node("Gemm"), domain="pkg.torch")],
    ),
    "tokenizer": model(node("BertTokenizer", domain="ai.onnx.contrib")),
    "outside": model(tensors=[outside("model.onnx_data", 0, 8)]),
    "empty tensor": model(tensors=[{1: [0], 2: 1, 8: "e"}]),
    "metadata": model(metadata=[{1: "names", 2: "{0: 'person', 1: 'eval'}"}]),
    "four bits": model(tensors=[{1: [3], 2: 22, 8: "q", 9: b"\x12\x03"}]),
}


@pytest.mark.parametrize("case", QUIET)
def test_benign(case: str) -> None:
    examined = look(QUIET[case])
    assert said(QUIET[case]) == []
    assert examined.record.formats == ("onnx",)
    assert [g for g in examined.gaps if g.kind is not GapKind.NOT_GIVEN] == []


def test_known_library_is_a_note() -> None:
    assert [a for a, _ in said(model(node("FakeQuantize", domain="org.openvinotoolkit")))] == [
        "note"
    ]


def test_compiled_for_an_accelerator_is_a_gap() -> None:
    gaps = look(model(node("EPContext", domain="com.microsoft"))).gaps
    assert {(g.kind, g.controls) for g in gaps} == {
        (GapKind.UNSUPPORTED, ("payload-scan",)), (GapKind.UNSUPPORTED, ("backdoor",)),
    }  # fmt: skip


def test_code_in_metadata_is_read() -> None:
    code = "import os\nos.system('true')\n" + "x = 1\n" * 10
    found = look(model(metadata=[{1: "setup", 2: code}]))
    assert any("python" in names for _, _, names in found.identified)


DEEP: Fields = node("Relu")
for _ in range(40):
    DEEP = node("If", body(DEEP))


def test_malformed() -> None:
    with pytest.raises(Malformed, match="nested"):
        ONNX.parse(Held("m", model(DEEP)), Location("m"), Limits())  # type: ignore[misc]
    whole = model(node("Relu"), tensors=[tensor()])
    assert [g.kind for g in look(whole[: whole.index(b"Relu") + 4]).gaps] == [GapKind.MALFORMED]


def test_order_of_fields_does_not_hide_a_model() -> None:
    graph = message({1: [node("Relu")], 2: "g"})
    data = varint(7 << 3 | 2) + varint(len(graph)) + graph + message({1: 8})
    assert look(data).record.formats == ("onnx",)


def test_graphs_that_stand_twice_are_one() -> None:
    first, second = message({1: [node("Relu")]}), message({1: [PYTHON]})
    data = message({1: 8, 7: [first, second]})
    assert [a for a, _ in said(data)] == ["block"]


def test_what_a_document_holds() -> None:
    data = model(
        node("If", body(node("Constant", {1: "value", 5: tensor("inner"), 20: 4}))),
        node(
            "Cast", {1: "to", 3: 7, 20: 2}, {1: "f", 2: 0.5, 20: 1}, {1: "list", 8: [1, 2], 20: 7}
        ),
        tensors=[tensor("outer", raw=struct.pack("<2f", 1, 2))],
    )
    document = ONNX.parse(Held("m", data), Location("m"), Limits())  # type: ignore[misc]
    assert isinstance(document, Onnx)
    assert [n.op for n in document.nodes()] == ["If", "Cast", "Constant"]
    assert [t.name for t in document.tensors()] == ["outer", "inner"]
    assert document.graph.nodes[1].attributes == {"to": 7, "f": 0.5, "list": (1, 2)}
    raw = document.graph.tensors[0].raw
    assert raw
    assert struct.unpack("<2f", data[slice(*raw)]) == (1, 2)


@pytest.mark.parametrize(
    ("data", "is_tensor"),
    [
        (message(tensor()), True),
        (message({1: [2], 2: 7, 7: b"\x01\x02", 8: "x"}), True),
        (message(tensor(raw=bytes(7))), False),
        (message({1: [2], 2: 1, 8: "w"}), False),
        (b"\x08\x02", False),
    ],
)
def test_tensor_files(data: bytes, is_tensor: bool) -> None:
    assert ONNX_TENSOR.sniff(Sample(Held("input_0.pb", data))) is is_tensor


def folder(root: Path, tensors: list[Fields], **files: bytes) -> Audited:
    inner = root / "models"
    inner.mkdir(exist_ok=True)
    (inner / "model.onnx").write_bytes(model(node("Relu"), tensors=tensors))
    for name, data in files.items():
        (inner / name.replace("_", ".")).write_bytes(data)
    return run(root)


OUTSIDE = {
    "absolute": (outside("/etc/passwd"), "block", "outside its folder"),
    "windows": (outside("C:\\secrets"), "block", "outside its folder"),
    "address": (outside("http://127.0.0.1/w"), "block", "outside its folder"),
    "leaves": (outside("../../secret"), "block", "outside its folder"),
    "beside": (outside("../README"), "review", "outside its folder"),
    "through a folder": (outside("sub/../../../x"), "block", "outside its folder"),
    "beyond": (outside("w.bin", 12, 8), "review", "beyond the end"),
    "no weights": (outside("config.json", 0, 8), "review", "which is json"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_external_data(case: str, tmp_path: Path) -> None:
    reference, action, words = OUTSIDE[case]
    (tmp_path / "README").write_bytes(b"words\n" * 9)
    found = folder(tmp_path, [reference], w_bin=bytes([255] * 16), config_json=b'{"a": "bcdefgh"}')
    assert [(f.action.value, f.check) for f in found.findings if words in f.message] == [
        (action, "external-data")
    ]


def test_external_data_overlap(tmp_path: Path) -> None:
    tied = [outside("w.bin", 0, 8, "a"), outside("w.bin", 0, 8, "b"), outside("w.bin", 8, 8, "c")]
    assert accusing(folder(tmp_path, tied, w_bin=bytes([255] * 16)).findings) == []
    crossing = [*tied, outside("w.bin", 4, 8, "d")]
    found = accusing(folder(tmp_path, crossing, w_bin=bytes([255] * 16)).findings)
    assert [(f.action, f.check) for f in found] == [(Action.REVIEW, "external-data")]


def test_external_data_is_no_unknown_file(tmp_path: Path) -> None:
    audited = folder(tmp_path, [outside("w.bin")], w_bin=bytes([255] * 16), x_bin=b"\xf7\xf6\xf5")
    unknown = [g.at.path for g in audited.gaps if "not recognised" in g.message]
    assert unknown == ["models/x.bin"]
    assert {f.path: f.formats for f in audited.files}["models/w.bin"] == ("tensor-data",)


def test_missing_external_data_is_a_gap(tmp_path: Path) -> None:
    gaps = [g for g in folder(tmp_path, [outside("gone.bin")]).gaps if "not here" in g.message]
    assert {(g.kind, g.at.path) for g in gaps} == {(GapKind.NOT_GIVEN, "models/model.onnx")}
    assert sorted(c for g in gaps for c in g.controls) == ["backdoor", "payload-scan"]
