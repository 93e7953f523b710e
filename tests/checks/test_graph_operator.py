"""Graphs of PaddlePaddle, MXNet, Caffe, ncnn, Core ML and ONNX Runtime: what their operators do."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from flatbuffers import flatbuffer, i32, u64
from protobufs import message
from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

Fields = dict[int, Any]
BLOCK, REVIEW = "block", "review"


def look(data: bytes, name: str = "model") -> Examined:
    return examine(Held(name, data), load(), Limits())


def said(data: bytes, name: str = "model") -> list[str]:
    found = [f for f in look(data, name).findings if f.check == "graph-operator"]
    return [f"{f.action.value} {f.symbol}" for f in found]


def op(kind: str, **attributes: str) -> Fields:
    return {1: {1: "X", 2: ["x"]}, 3: kind, 4: [{1: k, 2: 2, 5: v} for k, v in attributes.items()]}


def program(*blocks: list[Fields]) -> bytes:
    made = [{1: i, 2: i - 1, 4: ops} for i, ops in enumerate(blocks)]
    return message({1: made, 4: {1: 0}})


PADDLE: dict[str, tuple[bytes, list[str]]] = {
    "save": (program([op("relu"), op("save", file_path="/etc/cron.d/x")]),
             ["block writes a file: save"]),
    "in a later block": (program([op("while")], [op("save_combine", file_path="x")]),
                         ["block writes a file: save_combine"]),
    "load": (program([op("load", file_path="/etc/passwd")]), ["review reads a file: load"]),
    "python": (program([op("py_func")]),
               ["review calls a Python function of the program: py_func"]),
    "custom": (program([op("my_custom_op")]), ["review unknown: my_custom_op"]),
    "fine": (program([op("feed"), op("conv2d"), op("batch_norm"), op("fetch")]), []),
    "gradient": (program([op("conv2d_grad"), op("sequence_concat_grad")]), []),
}  # fmt: skip


@pytest.mark.parametrize("case", PADDLE)
def test_paddle(case: str) -> None:
    data, expected = PADDLE[case]
    assert look(data).record.formats == ("paddle-program",)
    assert said(data) == expected


def pir(*names: str, **more: Any) -> bytes:
    ops = [{"#": n, "A": [{"N": "name", "AT": {"#": "0.a_str", "D": "x"}}], "I": [], "O": []}
           for n in names]  # fmt: skip
    inner = {"#": "1.while", "I": [], "O": [], "regions": [{"blocks": [{"ops": ops}]}]}
    parameter = {"#": "p", "A": [0, 1, 1, "w"]}
    blocks = [{"#": "block_0", "args": [], "ops": [parameter, inner]}]
    base = {"magic": more.get("magic", "pir"), "trainable": True, "version": 4}
    return json.dumps({"base_code": base, "program": {"regions": [{"blocks": blocks}]}}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pir("1.relu", "1.add_", "0.combine", "2.yield"), []),
        (pir("1.save_combine"), ["block writes a file: save_combine"]),
        (pir("1.pylayer"), ["review calls a Python function of the program: pylayer"]),
        (pir("3.mine"), ["review unknown: mine"]),
        (pir("other.mine"), ["review unknown: other.mine"]),
        (pir("1.mine"), ["review unknown: mine"]),
        (pir("1.save_combine", magic="other"), []),
    ],
)
def test_paddle_in_json(data: bytes, expected: list[str]) -> None:
    assert said(data, "model.json") == expected


def test_compiled_is_a_gap() -> None:
    for data in (program([op("tensorrt_engine", engine_serialized_data="x")]),
                 pir("1.tensorrt_engine")):  # fmt: skip
        assert [g.kind for g in look(data).gaps] == [GapKind.UNSUPPORTED]


def test_code_in_an_attribute_is_read() -> None:
    code = "import os\nos.system('true')\n" + "x = 1\n" * 10
    found = look(program([op("scale", note=code)]))
    assert any("python" in names for _, _, names in found.identified)


def symbol(*nodes: dict[str, Any]) -> bytes:
    inputs = {"op": "null", "name": "x", "inputs": []}
    value = {"nodes": [inputs, *nodes], "arg_nodes": [0], "heads": [[1, 0, 0]]}
    return json.dumps(value).encode()


MXNET: dict[str, tuple[bytes, list[str]]] = {
    "fine": (symbol({"op": "FullyConnected", "name": "f", "attrs": {"num_hidden": "3"}}), []),
    "python": (symbol({"op": "Custom", "name": "c", "attrs": {"op_type": "mine"}}),
               ["review calls a Python class of the program: Custom"]),
    "address": (symbol({"op": "_Native", "name": "n", "attr": {"info": "0x7f0000000000"}}),
                ["block calls a function at an address that stands in the file: _Native"]),
    "in a body": (symbol({"op": "_foreach", "name": "l", "subgraphs":
                          [json.loads(symbol({"op": "_NDArray", "name": "n"}))]}),
                  ["block calls a function at an address that stands in the file: _NDArray"]),
    "unknown": (symbol({"op": "mine", "name": "m"}), ["review unknown: mine"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MXNET)
def test_mxnet(case: str) -> None:
    data, expected = MXNET[case]
    assert said(data, "model-symbol.json") == expected


def layer(kind: str, **python: str) -> Fields:
    numbers = {"module": 1, "layer": 2, "param_str": 3}
    made: Fields = {1: "layer", 2: kind, 7: {5: bytes(64)}}
    return made | ({130: {numbers[k]: v for k, v in python.items()}} if python else {})


def net(*layers: Fields) -> bytes:
    return message({1: "net", 100: list(layers)})


def prototxt(kind: str, more: str = "") -> bytes:
    return f"""name: "net" # a net
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape: {{ dim: 1 dim: 3 }} }} }}
layer {{
  name: 'l' type: "{kind}" bottom: "data" top: "out"
  {more}
}}
""".encode()


CAFFE: dict[str, tuple[bytes, list[str]]] = {
    "fine": (net(layer("Convolution"), layer("ReLU")), []),
    "acts": (net(layer("Python", module="os", layer="system", param_str="true")),
             ["block imports os and calls system: Python"]),
    "module": (net(layer("Python", module="rpn.proposal", layer="Proposal")),
               ["review imports rpn.proposal and calls Proposal: Python"]),
    "unknown": (net(layer("Mine")), ["review unknown: Mine"]),
    "text": (prototxt("Convolution", "convolution_param { num_output: 3 }"), []),
    "text of old": (prototxt("x").replace(b'"x"', b"CONVOLUTION"), []),
    "acts in text": (
        prototxt("Python", "python_param { module: 'o' \"s\" layer: 'sys\\x74em' }"),
        ["block imports os and calls system: Python"],
    ),
    "writes": (prototxt("HDF5Output", "hdf5_output_param { file_name: '/x' }"),
               ["review writes a file: HDF5Output"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CAFFE)
def test_caffe(case: str) -> None:
    data, expected = CAFFE[case]
    assert look(data).record.formats in (("caffemodel",), ("prototxt",))
    assert said(data) == expected


@pytest.mark.parametrize("text", [b"}", b"layer {", b'layer { name: "', b"layer { a { b: @ } }"])
def test_malformed_prototxt(text: bytes) -> None:
    data = prototxt("ReLU") + text
    assert [g.kind for g in look(data, "x.prototxt").gaps] == [GapKind.MALFORMED]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("layer {\n  color: red;\n}\n", "style.css"),
        ("const layer = {\n  type: 'x',\n};\nlayers {", "x.js"),
    ],
)
def test_text_is_no_prototxt(text: str, name: str) -> None:
    assert look(text.encode(), name).record.formats == ("text",)


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("run.py", 'import os\n"""\n{}"""\nos.system("true")\n', "python"),
        ("c.yaml", "layer: {{\n type: 'x', top: 1 }}\n_target_: os.system\n# {}", "yaml"),
    ],
)
def test_what_acts_cannot_pose_as_a_net(name: str, text: str, format: str) -> None:
    quoted = prototxt("ReLU").decode().replace("\n", "\n# " if format == "yaml" else "\n")
    examined = look(text.format(quoted).encode(), name)
    assert examined.record.formats == (format,)
    assert examined.findings


def ncnn(*kinds: str, said_layers: int | None = None) -> bytes:
    rows = [f"{kind} layer{i} 1 1 a b 0=3" for i, kind in enumerate(kinds)]
    count = len(rows) if said_layers is None else said_layers
    return "\n".join(["7767517", f"{count} 4", *rows, ""]).encode()


def test_ncnn() -> None:
    assert said(ncnn("Input", "Convolution", "ReLU")) == []
    assert said(ncnn("Input", "Mine")) == ["review unknown: Mine"]
    assert look(ncnn("Input")).record.formats == ("ncnn",)
    assert [g.kind for g in look(ncnn("Input", said_layers=9)).gaps] == [GapKind.MALFORMED]
    assert [g.kind for g in look(b"7767517\n1 1\nwords\n").gaps] == [GapKind.MALFORMED]


def test_weights_of_ncnn_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "m.param").write_bytes(ncnn("Input", "Convolution"))
    (tmp_path / "m.bin").write_bytes(b"\xf7\xf6\xf5\xf4" * 9)
    audited = run(tmp_path)
    assert [g.message for g in audited.gaps if "not recognised" in g.message] == []
    assert {f.path: f.formats for f in audited.files}["m.bin"] == ("tensor-data",)


def ort(*nodes: tuple[str, str], body: tuple[str, str] | None = None) -> bytes:
    def node(domain: str, name: str, *attributes: Fields) -> Fields:
        return {0: "n", 2: domain, 5: name, 10: list(attributes)}

    made = [node(*n, {0: "to", 2: i32(2), 4: u64(7)}) for n in nodes]
    if body:
        made.append(node("", "If", {0: "then", 2: i32(5), 7: {2: [node(*body)]}}))
    return flatbuffer({0: "6", 1: {0: u64(8), 7: {2: made}}}, b"ORTM")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ort(("", "Relu"), ("com.microsoft", "FusedConv")), []),
        (ort(("", "Mine")), ["review unknown: Mine"]),
        (ort(("mine", "Op")), ["review unknown: mine::Op"]),
        (ort(body=("ai.onnx.contrib", "PyOp")),
         ["block calls a Python function: ai.onnx.contrib::PyOp"]),
    ],
)  # fmt: skip
def test_onnx_runtime(data: bytes, expected: list[str]) -> None:
    assert look(data).record.formats == ("ort",)
    assert said(data) == expected


def test_onnx_runtime_cut_off_is_a_gap() -> None:
    data = ort(("", "Relu"))
    assert [g.kind for g in look(data[: len(data) // 2]).gaps] == [GapKind.MALFORMED]


def paddle_tensor(shape: tuple[int, ...], data: bytes) -> bytes:
    described = message({1: 5, 2: list(shape)})
    return bytes(16) + struct.pack("<i", len(described)) + described + data


def test_paddle_parameters() -> None:
    fine = paddle_tensor((2, 3), bytes(24)) + paddle_tensor((), bytes(4))
    examined = look(fine, "model.pdiparams")
    assert (examined.record.formats, examined.gaps) == (("paddle-parameters",), ())
    assert [g.kind for g in look(fine + b"\x7fELFmore").gaps] == [GapKind.MALFORMED]
    assert [g.kind for g in look(paddle_tensor((9, 9), bytes(8))).gaps] == [GapKind.MALFORMED]


def mxnet_array(shape: tuple[int, ...], data: bytes) -> bytes:
    head = struct.pack("<Iii", 0xF993FAC9, 0, len(shape)) + struct.pack(f"<{len(shape)}q", *shape)
    return head + struct.pack("<iii", 1, 0, 0) + data


def mxnet_list(*arrays: bytes, names: int = 0) -> bytes:
    listed = b"".join(struct.pack("<Q", 1) + b"w" for _ in range(names))
    counted = struct.pack("<QQQ", 0x112, 0, len(arrays))
    return counted + b"".join(arrays) + struct.pack("<Q", names) + listed


def test_mxnet_parameters() -> None:
    array = mxnet_array((2, 2), bytes(16))
    for fine in (mxnet_list(array), mxnet_list(array, array, names=2)):
        examined = look(fine, "m.params")
        assert (examined.record.formats, examined.gaps) == (("mxnet-parameters",), ())
    for broken in (
        mxnet_list(array)[:-9], mxnet_list(array, names=2), mxnet_list(array) + b"\x7fELF",
        mxnet_list(mxnet_array((1 << 40, 1 << 40), bytes(16))),
        mxnet_list(mxnet_array((-1, 2), bytes(16))),
    ):  # fmt: skip
        assert [g.kind for g in look(broken).gaps] == [GapKind.MALFORMED]


def test_caffe_of_old_and_what_is_none() -> None:
    old = message({1: "net", 2: [{4: "conv1", 5: 4, 6: {5: bytes(64)}}]})
    assert (look(old).record.formats, said(old)) == (("caffemodel",), [])
    graph = message({2: {2: [{1: "Const", 2: "Const"}]}})  # a SavedModel's
    assert "caffemodel" not in look(graph).record.formats
