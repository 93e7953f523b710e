"""TensorFlow Lite: custom operators, numbers that lead nowhere, bytes that are no tensor's."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flatbuffers import Table, blob, flatbuffer, i32, u8, u64, vector
from pickles import RUNS
from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.tflite import TFLITE, Tflite

BENIGN = Path(__file__).parents[1] / "benign" / "files" / "tflite"

W: Table = {0: vector("i", 2, 2), 1: u8(0), 2: i32(1), 3: "w"}
X: Table = {0: vector("i", 2, 2), 1: u8(0), 2: i32(0), 3: "x"}
ADD: Table = {0: i32(0), 1: vector("i", 0, 1), 2: vector("i", 2)}


def custom(name: str) -> Table:
    return {0: u8(32), 1: name, 3: i32(32)}


def model(**changes: Any) -> bytes:
    """x + w, with the fields of the model, of its graph or its lists replaced."""
    graph: Table = {
        0: changes.get("tensors", [X, W, X]),
        1: changes.get("inputs", vector("i", 0)),
        2: vector("i", 2),
        3: changes.get("operators", [ADD]),
        4: "main",
    }
    root: Table = {
        0: i32(3),
        1: changes.get("codes", [{0: u8(0)}]),
        2: [graph, *changes.get("graphs", [])],
        3: "made by a test",
        4: [{}, {0: blob(changes.get("values", bytes(16)))}, *changes.get("buffers", [])],
        6: changes.get("metadata", []),
        8: [{0: name} for name in changes.get("files", [])],
    }
    return flatbuffer(root, b"TFL3")


def parse(data: bytes) -> Tflite:
    assert TFLITE.parse is not None
    document = TFLITE.parse(Held("m.tflite", data), Location("m.tflite"), Limits())
    assert isinstance(document, Tflite)
    return document


def look(data: bytes) -> Examined:
    return examine(Held("m.tflite", data), load(), Limits())


def test_a_plain_model() -> None:
    document = parse(model())
    (graph,) = document.subgraphs
    (add,) = graph.operators
    assert (add.name, add.inputs, add.outputs, add.custom) == ("ADD", (0, 1), (2,), False)
    assert [(t.name, t.type, t.shape, t.buffer) for t in graph.tensors][1] == (
        "w", "FLOAT32", (2, 2), 1,
    )  # fmt: skip
    assert (graph.inputs, graph.outputs, document.version) == ((0,), (2,), 3)
    assert [b.size for b in document.buffers] == [0, 16]
    assert look(model()).findings == ()
    assert look(model()).gaps == ()


@pytest.mark.parametrize("path", sorted(BENIGN.glob("*.tflite")), ids=lambda p: p.stem)
def test_real_models_are_silent(path: Path) -> None:
    examined = look(path.read_bytes())
    assert [f for f in examined.findings if f.action != "note"] == []
    assert examined.gaps == ()
    assert parse(path.read_bytes()).flaws == ()


OPERATORS = {
    "WriteFile": (["FlexWriteFile"], ["block"]),
    "PyFunc": (["FlexEagerPyFunc", "FlexErf"], ["block", "note"]),
    "ReadFile": (["FlexReadFile"], ["review"]),
    "a flex operator nobody reviewed": (["FlexFancyNewOp"], ["review"]),
    "flex operators that compute": (["FlexErf", "FlexRFFT2D"], ["note"]),
    "detection": (["TFLite_Detection_PostProcess"], ["note"]),
    "unknown": (["MyOperator", "Other"], ["review"]),
    "no name": ([""], ["review"]),
    "not used": ([], []),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_custom_operators(case: str) -> None:
    names, expected = OPERATORS[case]
    operators = [{**ADD, 0: i32(i)} for i in range(len(names))]
    examined = look(model(codes=[custom(n) for n in names] or [custom("Unused")],
                          operators=operators))  # fmt: skip
    found = [f for f in examined.findings if f.check == "tflite-custom-operator"]
    assert [f.action.value for f in found] == expected
    assert all(name in str(found[0].evidence) for name in names[:1])


def test_a_compiled_operator_is_a_gap() -> None:
    examined = look(model(codes=[custom("edgetpu-custom-op")]))
    assert {g.kind for g in examined.gaps} == {"unsupported"}
    assert any("Edge TPU" in g.message for g in examined.gaps)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no such tensor": ({"operators": [{**ADD, 1: vector("i", 0, 7)}]}, "no number 7"),
    "a negative tensor": ({"operators": [{**ADD, 2: vector("i", -2)}]}, "no number -2"),
    "no such input": ({"inputs": vector("i", 9)}, "the inputs of subgraph 0"),
    "no such operator": ({"operators": [{**ADD, 0: i32(4)}]}, "operator of code 4"),
    "no such buffer": ({"tensors": [X, {**W, 2: i32(77)}, X]}, "no buffer 77"),
    "no such subgraph": (
        {"codes": [{0: u8(119)}], "operators": [{**ADD, 3: u8(93), 4: {0: i32(1), 1: i32(2)}}]},
        "the subgraphs of 'WHILE'",
    ),
    "a circle": (
        {"codes": [{0: u8(119)}], "operators": [{**ADD, 3: u8(93), 4: {0: i32(0), 1: i32(0)}}]},
        "in a circle",
    ),
    "a shape larger than its buffer": (
        {"tensors": [X, {**W, 0: vector("i", 1 << 20, 1 << 20)}, X]}, "its buffer has 16",
    ),
    "a buffer behind the file": (
        {"buffers": [{1: u64(1 << 40), 2: u64(64)}]}, "behind the file",
    ),
    "no such metadata": ({"metadata": [{0: "m", 1: i32(9)}]}, "the metadata"),
    "another file": ({"files": ["../../etc/shadow"]}, "outside the model's folder"),
    "an absolute file": ({"files": ["C:\\weights"]}, "outside the model's folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_structure(case: str) -> None:
    changes, said = BROKEN[case]
    found = [f for f in look(model(**changes)).findings if f.check == "tflite-structure"]
    assert [f.action.value for f in found if said in f.message] == ["review"]


def test_weights_in_a_file_beside_it_are_a_note() -> None:
    assert [f.action.value for f in look(model(files=["w.bin"])).findings] == ["note"]


@pytest.mark.parametrize("changes", [
    {"metadata": [{0: "m", 1: i32(2)}], "buffers": [{0: blob(RUNS)}]},
    {"buffers": [{0: blob(RUNS)}]},
    {"codes": [custom("FlexErf")], "operators": [{**ADD, 5: blob(RUNS)}]},
])  # fmt: skip
def test_nothing_hides_outside_of_tensors(changes: dict[str, Any]) -> None:
    examined = look(model(**changes))
    assert any(f.action == "block" and f.symbol == "os.system" for f in examined.findings)


def test_files_packed_with_the_metadata_are_no_second_format() -> None:
    packed = io.BytesIO(model())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    examined = look(packed.getvalue())
    assert examined.record.formats == ("tflite", "zip")
    assert [f for f in examined.findings if f.action != "note"] == []


@pytest.mark.parametrize("data", [
    model()[:60],
    model()[:8] + bytes(400),
    b"\x08\0\0\0TFL3" + b"\xff" * 64,
    flatbuffer({0: i32(3)}, b"TFL3"),
    flatbuffer({2: [{0: vector("i", 1, 1, 1)}]}, b"TFL3"),
])  # fmt: skip
def test_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


def test_many_offsets_to_one_table_run_out_of_budget() -> None:
    count = 1_200_000
    table = 36 + 4 * count + 4
    data = struct.pack("<I4s7H2x", 24, b"TFL3", 14, 8, 0, 0, 0, 0, 4)
    data += struct.pack("<iII", 16, 4, count)
    data += struct.pack(f"<{count}I", *(table - at for at in range(36, 36 + 4 * count, 4)))
    data += struct.pack("<HHi", 4, 4, 4)
    with pytest.raises(Malformed, match="more tables"):
        parse(data)
