"""TensorFlow: what graphs do, when, and with what; checkpoints, Keras metadata, TensorFlow.js."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from of_every_model import accusing, unread
from protobufs import message, varint
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.tensorflow import Call, Tensor, TensorFlow, Text
from weighbridge.formats.tensorflow_checkpoint import CHECKPOINT, Checkpoint
from weighbridge.formats.tensorflow_files import GRAPH, GRAPH_TEXT, META_GRAPH, SAVED_MODEL

Fields = dict[int, Any]
BENIGN = Path(__file__).parents[1] / "benign" / "files" / "tensorflow"


def attribute(key: str, value: Fields) -> Fields:
    return {1: key, 2: value}


def node(name: str, op: str, *inputs: str, **attributes: Fields) -> Fields:
    pairs = [attribute(k, v) for k, v in attributes.items()]
    return {1: name, 2: op, 3: list(inputs), 5: pairs}


def const(name: str, *texts: str) -> Fields:
    shape = {2: [{1: len(texts)}]} if len(texts) > 1 else {}
    tensor = {1: 7, 2: shape, 8: [t.encode() for t in texts]}
    return node(name, "Const", dtype={6: 7}, value={8: tensor})


def function(
    name: str, *nodes: Fields, takes: tuple[str, ...] = (), gives: dict[str, str] | None = None
) -> Fields:
    returns = [{1: k, 2: v} for k, v in (gives or {}).items()]
    signature = {1: name, 2: [{1: t, 3: 7} for t in takes], 3: [{1: k, 3: 7} for k in gives or {}]}
    return {1: signature, 3: list(nodes), 4: returns}


def calling(name: str, called: str, *inputs: str) -> Fields:
    return node(name, "StatefulPartitionedCall", *inputs, f={10: {1: called}})


def graph(*nodes: Fields, functions: tuple[Fields, ...] = ()) -> Fields:
    made: Fields = {1: list(nodes)}
    return {**made, 2: {1: list(functions)}} if functions else made


def meta(
    *nodes: Fields,
    functions: tuple[Fields, ...] = (),
    serves: str = "",
    loads: str = "",
    saver: tuple[str, str, str] | None = None,
    assets: tuple[tuple[str, str], ...] = (),
    objects: list[Fields] | None = None,
) -> Fields:
    signatures = []
    if serves:
        signatures.append({1: "serving_default", 2: {2: {1: "y", 2: {1: f"{serves}:0", 2: 1}}}})
    if loads:
        output = {1: "__saved_model_init_op", 2: {1: loads}}
        signatures.append({1: "__saved_model_init_op", 2: {2: output}})
    made: Fields = {1: {4: "serve", 5: "2.21.0"}, 2: graph(*nodes, functions=functions)}
    if saver:
        made[3] = dict(zip((1, 2, 3), saver, strict=True))
    made[5] = signatures
    made[6] = [{1: {1: tensor}, 2: path} for path, tensor in assets]
    if objects:
        made[7] = {1: objects}
    return made


def saved(*nodes: Fields, **more: Any) -> bytes:
    return message({1: 1, 2: meta(*nodes, **more)})


def look(data: bytes, name: str = "saved_model.pb") -> Examined:
    return examine(Held(name, data), load(), Limits())


def said(data: bytes, name: str = "saved_model.pb") -> list[tuple[str, str, str]]:
    return [(f.check, f.action.value, f.message) for f in look(data, name).findings]


WRITE = node("write", "WriteFile", "path", "content")
READ = node("read", "ReadFile", "path")
ARGUMENT = node("x", "Placeholder", dtype={6: 7})
SAVE = node("save", "SaveV2", "prefix", "names", "slices", "w")
RESTORE = node("restore", "RestoreV2", "prefix", "names", "slices")
PREFIX = node("prefix", "Placeholder", dtype={6: 7})
SAVER = ("prefix:0", "save:0", "restore")


def wrote(*path: Fields, **more: Any) -> bytes:
    return saved(*path, const("content", "harmless"), WRITE, **more)


FILE, PYTHON, NETWORK = "tensorflow-file", "tensorflow-python", "tensorflow-network"
NATIVE, CUSTOM, ASSET = "tensorflow-native", "tensorflow-custom-operator", "tensorflow-asset"
STRUCTURE = "tensorflow-structure"

FINDINGS = {
    "writes when served": (
        wrote(const("path", "/etc/cron.d/x"), serves="write"),
        (FILE, "block", "writes a file (WriteFile): '/etc/cron.d/x'"),
    ),
    "writes on loading": (wrote(const("path", "x"), loads="write"), (FILE, "block", "'x'")),
    "writes what the caller names": (
        saved(ARGUMENT, node("write", "WriteFile", "x", "x"), serves="write"),
        (FILE, "block", "writes a file"),
    ),
    "writes before the answer": (
        wrote(const("path", "x"), node("y", "Identity", "path", "^write"), serves="y"),
        (FILE, "block", "'x'"),
    ),
    "joined": (
        wrote(
            const("a", "/etc"), const("b", "passwd"),
            node("path", "StringJoin", "a", "b", separator={2: b"/"}), serves="write",
        ),
        (FILE, "block", "'/etc/passwd'"),
    ),
    "in base64": (
        wrote(
            const("a", base64.urlsafe_b64encode(b"/home/app/.ssh/x").decode()),
            node("path", "DecodeBase64", "a"), serves="write",
        ),
        (FILE, "block", "'/home/app/.ssh/x'"),
    ),
    "in a function": (
        saved(
            const("p", "/etc/x"), calling("call", "f", "p"), serves="call",
            functions=(function("f", node("w", "WriteFile", "arg", "arg"), takes=("arg",)),),
        ),
        (FILE, "block", "'/etc/x'"),
    ),
    "two functions deep": (
        saved(
            calling("call", "f"), serves="call",
            functions=(
                function("f", calling("inner", "g")),
                function("g", const("path", "/x"), node("w", "WriteFile", "path:output:0", "path")),
            ),
        ),
        (FILE, "block", "'/x'"),
    ),
    "the path is what a function gives": (
        saved(
            calling("path", "f"), READ, serves="read",
            functions=(function("f", const("c", "/etc/shadow"), gives={"r": "c:output:0"}),),
        ),
        (FILE, "block", "'/etc/shadow'"),
    ),
    "in a branch": (
        saved(
            ARGUMENT, node("if", "If", "x", "x", then_branch={10: {1: "f"}}), serves="if",
            functions=(function("f", node("py", "PyFunc", "a", token={2: b"t"}), takes=("a",)),),
        ),
        (PYTHON, "block", "PyFunc"),
    ),
    "in a list of branches": (
        saved(
            ARGUMENT, node("case", "Case", "x", branches={1: {9: [{1: "f"}]}}), serves="case",
            functions=(function("f", node("py", "EagerPyFunc")),),
        ),
        (PYTHON, "block", "EagerPyFunc"),
    ),
    "never called": (
        saved(
            const("y", "y"), serves="y",
            functions=(function("f", const("p", "/x"), node("w", "WriteFile", "p:output:0", "p")),),
        ),
        (FILE, "review", "nothing in the model leads to it"),
    ),
    "called by an object": (
        saved(
            const("y", "y"), serves="y",
            functions=(function("f", node("py", "PyFuncStateless")),),
            objects=[{1: [{1: 1, 2: "train"}]}, {6: {1: "f"}}],
        ),
        (PYTHON, "block", "PyFuncStateless"),
    ),
    "a gradient": (
        message({1: 1, 2: {
            2: {1: [calling("c", "f")],
                2: {1: [function("f"), function("g", node("p", "PyFunc"))], 2: {1: "f", 2: "g"}}},
            5: {1: "s", 2: {2: {1: "y", 2: {1: "c:0"}}}}}}),
        (PYTHON, "block", "PyFunc"),
    ),
    "a gradient of a step": (
        message({1: 1, 2: {
            2: {1: [node("c", "IdentityN", _gradient_op_type={2: b"CustomGradient-1"})],
                2: {1: [function("g", node("p", "PyFunc"))], 3: {1: "g", 2: "CustomGradient-1"}}},
            5: {1: "s", 2: {2: {1: "y", 2: {1: "c:0"}}}}}}),
        (PYTHON, "block", "PyFunc"),
    ),
    "reads a file of the machine": (
        saved(const("path", "/etc/passwd"), READ, serves="read"), (FILE, "block", "/etc/passwd"),
    ),
    "reads a bucket": (
        saved(const("path", "s3://bucket/key"), READ, serves="read"), (FILE, "block", "s3://"),
    ),
    "reads what the caller names": (
        saved(ARGUMENT, node("read", "ReadFile", "x"), serves="read"), (FILE, "review", "ReadFile"),
    ),
    "lists files": (
        saved(const("p", "/home/*"), node("m", "MatchingFiles", "p"), serves="m"),
        (FILE, "block", "'/home/*'"),
    ),
    "prints to a file": (
        saved(ARGUMENT, node("p", "PrintV2", "x", output_stream={2: b"file:///tmp/x"}),
              node("y", "Identity", "x", "^p"), serves="y"),
        (FILE, "block", "prints to a file"),
    ),
    "debugs to an address": (
        saved(ARGUMENT, node("d", "DebugIdentity", "x", debug_urls={1: {2: [b"grpc://10.0.0.1:1"]}}),
              serves="d"),
        (FILE, "block", "grpc://"),
    ),
    "message definitions": (
        saved(ARGUMENT, node("d", "DecodeProtoV2", "x", descriptor_source={2: b"/etc/x"}),
              serves="d"),
        (FILE, "block", "'/etc/x'"),
    ),
    "maps a file": (
        saved(node("m", "ImmutableConst", memory_region_name={2: b"/etc/x"}), serves="m"),
        (FILE, "block", "maps a file"),
    ),
    "saves when served": (
        saved(PREFIX, SAVE, node("y", "Identity", "w", "^save"), serves="y"),
        (FILE, "review", "writes a checkpoint"),
    ),
    "a saver with a path of its own": (
        saved(const("prefix", "/etc/x"), SAVE, saver=SAVER), (FILE, "block", "writes a checkpoint"),
    ),
    "restores from elsewhere": (
        saved(const("prefix", "/other/model"), RESTORE, saver=SAVER), (FILE, "review", "'/other"),
    ),
    "a saver that writes something else": (
        saved(const("path", "/x"), const("content", ""), WRITE, saver=("path:0", "write:0", "n")),
        (FILE, "block", "writes a file"),
    ),
    "a table that is no asset": (
        saved(const("path", "/etc/passwd"),
              node("t", "InitializeTableFromTextFileV2", "table", "path"), loads="t"),
        (FILE, "review", "reads a table"),
    ),
    "calls a server": (
        saved(const("a", "10.0.0.1:8080"), node("c", "RpcClient", "a"), serves="c"),
        (NETWORK, "block", "10.0.0.1:8080"),
    ),
    "a data service": (
        saved(ARGUMENT, node("c", "DataServiceDatasetV4", "x", "x", "x"), serves="c"),
        (NETWORK, "review", "data service"),
    ),
    "BigQuery": (saved(node("c", "IO>BigQueryClient"), serves="c"), (NETWORK, "review", "Google")),
    "calls by name": (
        saved(node("c", "XlaCustomCallV2", call_target_name={2: b"system"}), serves="c"),
        (NATIVE, "review", "'system'"),
    ),
    "ends the process": (saved(node("a", "Abort"), serves="a"), (NATIVE, "review", "ends the")),
    "no such operator": (saved(node("e", "AcmeOp"), serves="e"), (CUSTOM, "review", "AcmeOp")),
    "an asset that leaves": (
        saved(const("a", ""), assets=(("../../etc/passwd", "a:0"),)), (ASSET, "block", "passwd"),
    ),
    "an absolute asset": (
        saved(const("a", ""), assets=(("/etc/passwd", "a:0"),)), (ASSET, "block", "passwd"),
    ),
    "too few bytes": (
        saved(node("c", "Const", value={8: {1: 1, 2: {2: {1: 2}}, 4: bytes(4)}})),
        (STRUCTURE, "review", "needs 8"),
    ),
    "a negative size": (
        saved(node("c", "Const", value={8: {1: 1, 2: {2: {1: -2}}}})),
        (STRUCTURE, "review", "negative"),
    ),
    "two nodes of a name": (saved(const("c", "a"), const("c", "b")), (STRUCTURE, "review", "two")),
    "two things at once": (
        saved(node("c", "Const", value={2: b"x", 3: 1})), (STRUCTURE, "review", "says two things"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
def test_findings(case: str) -> None:
    data, (check, action, words) = FINDINGS[case]
    assert [(c, a) for c, a, m in said(data) if words in m] == [(check, action)]
    assert {c for c, _, _ in said(data) if c not in (check, CUSTOM)} == set()


QUIET = {
    "a saver": saved(PREFIX, SAVE, RESTORE, saver=SAVER),
    "a saver with a name to begin with": saved(
        const("c", "model"), node("prefix", "PlaceholderWithDefault", "c"), SAVE, saver=SAVER
    ),
    "a saver in functions": saved(
        PREFIX, calling("s", "save_f", "prefix"), saver=("prefix:0", "s:0", "r"),
        functions=(function("save_f", node("save", "SaveV2", "file"), takes=("file",)),),
    ),
    "a table from an asset": saved(
        const("path", "/home/somebody/words.txt"),
        node("t", "InitializeTableFromTextFileV2", "table", "path"), loads="t",
        assets=(("words.txt", "path:0"),),
    ),
    "prints": saved(ARGUMENT, node("p", "PrintV2", "x", output_stream={2: b"stderr"}), serves="p"),
    "a cache in memory": saved(
        const("e", ""), node("c", "CacheDatasetV2", "e", "e", "e"), serves="c"
    ),
    "definitions inside": saved(
        ARGUMENT, node("d", "DecodeProtoV2", "x", descriptor_source={2: b"bytes://xyz"}), serves="d"
    ),
    "a function of the name of an operator elsewhere": saved(
        node("c", "my_function"), functions=(function("my_function", const("a", "b")),)
    ),
    "a text": saved(const("c", "WriteFile /etc/passwd PyFunc"), serves="c"),
}  # fmt: skip


@pytest.mark.parametrize("case", QUIET)
def test_benign(case: str) -> None:
    examined = look(QUIET[case])
    assert said(QUIET[case]) == []
    assert examined.record.formats == ("saved-model",)
    assert [g for g in examined.gaps if g.controls != ("backdoor",)] == []


def test_what_is_shown() -> None:
    data, _ = FINDINGS["two functions deep"]
    (found,) = look(data).findings
    (table, *_) = found.evidence
    rows = table.rows  # type: ignore[union-attr]
    assert rows == (("WriteFile", "w", "g", "signature serving_default → f → g", "'/x'", ""),)
    (found,) = look(FINDINGS["writes when served"][0]).findings
    assert found.evidence[1].text == "harmless"  # type: ignore[union-attr]


def test_known_library_is_a_note() -> None:
    assert said(saved(node("r", "RegexSplitWithOffsets"), serves="r")) == [
        (CUSTOM, "note", "the graph needs operators of a known library: RegexSplitWithOffsets")
    ]


def test_compiled_is_a_gap() -> None:
    gaps = look(saved(node("c", "TRTEngineOp"), serves="c")).gaps
    assert {g.kind for g in gaps} == {GapKind.UNSUPPORTED}
    assert [g for g in gaps if g.controls != ("backdoor",)]


KINDS = {
    "graph": (message(graph(const("path", "/x"), READ)), "tensorflow-graph"),
    "meta graph": (
        message(meta(const("path", "/x"), READ, serves="read")), "tensorflow-meta-graph",
    ),
    "saved model": (saved(const("path", "/x"), READ, serves="read"), "saved-model"),
    "without a version": (message({2: meta(const("path", "/x"), READ)}), "saved-model"),
    "with fields that nobody knows": (
        message({99: b"text", 2: {77: 1, 2: {55: b"", 1: [const("path", "/x"), READ]}}}), "",
    ),
    "unknown fields behind": (
        message({2: {77: 1, 2: {55: b"", 1: [const("path", "/x"), READ]}}, 9: b"x"}), "saved-model",
    ),
    "text": (
        b'# a comment\nsaved_model_schema_version: 1\nmeta_graphs {\n graph_def {\n  node { name: '
        b'"path" op: "Const" attr { key: "dtype" value { type: DT_STRING } } attr { key: "value" '
        b'value { tensor { dtype: DT_STRING tensor_shape {} string_val: "/\\170" } } } }\n  node '
        b"<name: 'read', op: 'Read' 'File'; input: ['path'] unknown: -3 other { a: [1, 2] }>\n"
        b"  versions { producer: 2 }\n }\n}\n", "tensorflow-text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_kinds(case: str) -> None:
    data, name = KINDS[case]
    examined = look(data, "model.bin")
    assert [f for f in examined.record.formats if f != "text"] == ([name] if name else [])
    if name:
        assert [(c, a) for c, a, m in said(data) if "'/x'" in m] == [(FILE, "block")]
    else:
        assert [g.kind for g in examined.gaps] == [GapKind.UNSUPPORTED]


NONE_OF_THEM = {
    "sentencepiece": message({1: [{1: "<s>", 2: 0.5, 3: 3}, {1: "a", 2: -1.5}]}),
    "an example": message({1: {1: [{1: "x", 2: {3: {1: [1, 2]}}}]}}),
    "names": message({1: "name", 2: "op"}),
    "a pair": message({1: {1: "key", 2: b"\x00\x01"}}),
    "onnx": message({1: 8, 2: "pytorch", 7: {1: [{1: ["x"], 2: ["y"], 4: "Relu"}], 2: "g"}}),
    "text": b"\n\n# node { }\n",
    "tensor": message({1: [2, 2], 2: 1, 8: "w", 9: bytes(16)}),
    "descriptors": message({1: [{1: "a/b.proto", 2: "tensorflow.error", 4: {1: "M"}, 12: "proto3"},
                                {1: "a/c.proto", 2: "tensorflow", 3: "a/b.proto", 10: 0}]}),
}  # fmt: skip


@pytest.mark.parametrize("case", NONE_OF_THEM)
def test_look_alikes_are_none(case: str) -> None:
    sample = Sample(Held("x.pb", NONE_OF_THEM[case]))
    formats = (SAVED_MODEL, META_GRAPH, GRAPH, GRAPH_TEXT, CHECKPOINT)
    assert [f.name for f in formats if f.sniff(sample)] == []


DEEP: Fields = {10: {1: "f"}}
for _ in range(60):
    DEEP = {10: {1: "f", 2: [attribute("a", DEEP)]}}
MALFORMED = {
    "too deep": (SAVED_MODEL, saved(node("n", "NoOp", a=DEEP)), "nested"),
    "no graph": (SAVED_MODEL, message({1: 1}), "without a graph"),
    "a field that is too long": (GRAPH, message(graph(READ)) + b"\x12\x7f", "longer"),
    "text that ends": (GRAPH_TEXT, b"node { name: ", "value is missing"),
    "text that does not close": (GRAPH_TEXT, b'node { name: "x" op: "y"', "name of a field"),
    "text that nests": (GRAPH_TEXT, b"node { name: 'x' " + b"a { " * 200, "nested"),
    "no number": (GRAPH_TEXT, b'meta_graphs { graph_def { node { attr { value { i: seven } } } } }',
                  "no number"),
    "a table without an end": (CHECKPOINT, bytes(48), "no end"),
    "a block outside": (
        CHECKPOINT, bytes(8) + b"\0\0\x7f\x7f".ljust(40, b"\0")
        + 0xDB4775248B80FB57.to_bytes(8, "little"), "outside the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    format, data, why = MALFORMED[case]
    assert format.parse is not None
    with pytest.raises(Malformed, match=why):
        format.parse(Held("m", data), Location("m"), Limits())


def test_a_cut_model_is_never_silent() -> None:
    whole, _ = FINDINGS["writes when served"]
    for size in range(len(whole)):
        examined = look(whole[:size])
        assert examined.gaps or examined.findings or examined.record.formats == ("empty",)


def test_long_text_in_a_constant_is_looked_at() -> None:
    code = "import os\nos.system('true')\n" + "x = 1\n" * 60
    found = look(saved(const("c", code), serves="c"))
    assert any("python" in names for _, _, names in found.identified)


def test_real_documents() -> None:
    data = (BENIGN / "module" / "saved_model.pb").read_bytes()
    document = SAVED_MODEL.parse(Held("m", data), Location("m"), Limits())  # type: ignore[misc]
    assert isinstance(document, TensorFlow)
    (graph,) = document.graphs
    assert graph.tags == ("serve",)
    assert graph.version == "2.21.0"
    assert {s.name for s in graph.signatures} == {"run", "look", "__saved_model_init_op"}
    assert [a.filename for a in graph.assets] == ["words.txt"]
    (run_,) = (s for s in graph.signatures if s.name == "run")
    assert run_.inputs["x"].shape.sizes == (-1, 3)
    assert run_.inputs["x"].type.name == "float32"
    loops = [n for n in document.nodes() if n.op in ("While", "StatelessWhile")]
    bodies = [n.attributes["body"] for n in loops]
    assert all(isinstance(b, Call) and b.function in graph.functions for b in bodies)
    assert bodies
    patterns = [n.attributes["pattern"] for n in document.nodes() if n.op == "StaticRegexReplace"]
    assert {document.text(p) for p in patterns if isinstance(p, Text)} == {"[./]"}


def test_constants_stay_lazy() -> None:
    data = (BENIGN / "frozen.pb").read_bytes()
    document = GRAPH.parse(Held("m", data), Location("m"), Limits())  # type: ignore[misc]
    assert isinstance(document, TensorFlow)
    weights = [t for _, t in document.tensors() if t.type.name == "float32" and t.raw]
    assert (3, 3, 3, 2) in {t.shape.sizes for t in weights}
    assert document.seen < document.size
    text = (BENIGN / "version1_text" / "saved_model.pbtxt").read_bytes()
    same = GRAPH_TEXT.parse(Held("m", text), Location("m"), Limits())  # type: ignore[misc]
    binary = (BENIGN / "version1_saved" / "saved_model.pb").read_bytes()
    other = SAVED_MODEL.parse(Held("m", binary), Location("m"), Limits())  # type: ignore[misc]
    assert isinstance(same, TensorFlow)
    assert isinstance(other, TensorFlow)
    assert [(n.name, n.op, n.inputs) for n in same.nodes()] == [
        (n.name, n.op, n.inputs) for n in other.nodes()
    ]
    strings = [
        [d.strings(v) for n in d.nodes() for v in n.attributes.values() if isinstance(v, Tensor)]
        for d in (same, other)
    ]
    assert strings[0] == strings[1]


def test_real_checkpoint() -> None:
    name = "model.ckpt-7.index"
    data = (BENIGN / "version1" / name).read_bytes()
    document = CHECKPOINT.parse(Held(name, data), Location(name), Limits())  # type: ignore[misc]
    assert isinstance(document, Checkpoint)
    assert [(t.name, t.type.name, t.shape.sizes, t.size) for t in document.tensors] == [
        ("w", "float32", (2, 2), 16)
    ]
    assert [r.path for r in document.refers()] == ["model.ckpt-7.data-00000-of-00001"]


def test_checkpoint_beyond_its_shard(tmp_path: Path) -> None:
    for name in ("model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001"):
        (tmp_path / name).write_bytes((BENIGN / "version1" / name).read_bytes())
    found = accusing(run(tmp_path).findings)
    assert [f.check for f in found if f.action is not Action.NOTE] == []
    (tmp_path / "model.ckpt-7.data-00000-of-00001").write_bytes(b"\xf8" * 8)
    assert [f.check for f in accusing(run(tmp_path).findings)] == ["external-data"]


@pytest.mark.parametrize(
    ("path", "actions"), [("ckpt-1", []), ("/home/x/ckpt-1", ["note"]), ("../ckpt", ["note"])]
)
def test_checkpoint_state(path: str, actions: list[str]) -> None:
    text = f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n'
    assert [a for _, a, _ in said(text.encode(), "checkpoint")] == actions


LAMBDA = {
    "class_name": "Lambda",
    "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {
        "code": base64.b64encode(b"\xe3" + bytes(40)).decode()}}},
}  # fmt: skip


def keras_metadata(*metadata: str) -> bytes:
    nodes = [
        {2: i, 3: f"root.layer-{i}", 4: "_tf_keras_layer", 5: text}
        for i, text in enumerate(metadata)
    ]
    return message({1: nodes})


def test_keras_metadata() -> None:
    hostile = keras_metadata(json.dumps({"name": "d"}), json.dumps(LAMBDA))
    assert {(c, a) for c, a, _ in said(hostile, "keras_metadata.pb")} == {("keras-config", "block")}
    broken = look(keras_metadata("{"), "keras_metadata.pb")
    assert [g.kind for g in broken.gaps] == [GapKind.MALFORMED]
    inside = {4: {1: "_tf_keras_layer", 3: json.dumps(LAMBDA)}}
    assert {(c, a) for c, a, _ in said(saved(const("c", ""), objects=[inside]))} == {
        ("keras-config", "block")
    }


def tfjs(topology: object, *paths: str) -> bytes:
    manifest = [{"paths": list(paths), "weights": []}]
    return json.dumps({"modelTopology": topology, "weightsManifest": manifest}).encode()


def test_tensorflow_js(tmp_path: Path) -> None:
    (tmp_path / "group1-shard1of1.bin").write_bytes(b"\xf7" * 8)
    good = tfjs({"node": [{"name": "x", "op": "Placeholder"}]}, "group1-shard1of1.bin")
    (tmp_path / "model.json").write_bytes(good)
    audited = run(tmp_path)
    assert audited.findings == ()
    assert unread(audited.gaps) == []
    (tmp_path / "model.json").write_bytes(tfjs({}, "../../../etc/passwd"))
    assert [(f.check, f.action) for f in run(tmp_path).findings] == [
        ("external-data", Action.BLOCK)
    ]


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ({"node": [{"name": "x", "op": "AcmeOp"}]}, (CUSTOM, "review")),
        ({"library": {"function": [{"signature": {"name": "f"}, "nodeDef": [
            {"name": "p", "op": "PyFunc"}]}]}}, (PYTHON, "block")),
        ({"node": [
            {"name": "p", "op": "Const", "attr": {"value": {"tensor": {
                "dtype": "DT_STRING", "stringVal": ["L3g="]}}}},
            {"name": "r", "op": "ReadFile", "input": ["p"]}]}, (FILE, "block")),
        ({"keras_version": "2", "model_config": {"class_name": "Sequential", "config": {
            "layers": [LAMBDA]}}}, ("keras-config", "block")),
        ({"class_name": "Sequential", "config": [LAMBDA]}, ("keras-config", "block")),
    ],
)  # fmt: skip
def test_tensorflow_js_topology(topology: dict[str, Any], expected: tuple[str, str]) -> None:
    assert [(c, a) for c, a, _ in said(tfjs(topology), "model.json")] == [expected]


def test_records() -> None:
    data = (BENIGN / "two.tfrecord").read_bytes()
    assert look(data).record.formats == ("tfrecord",)
    assert look(bytes([data[0] ^ 1]) + data[1:]).record.formats == ()


def test_many_steps_take_bounded_time() -> None:
    chain = [const("n0", "/x")]
    chain += [node(f"n{i}", "Identity", f"n{i - 1}") for i in range(1, 3_000)]
    reads = [node(f"r{i}", "ReadFile", "n2999") for i in range(600)]
    found = said(saved(*chain, *reads, serves="r0"))
    assert (FILE, "block") in {(c, a) for c, a, _ in found}


def test_texts_that_double_take_bounded_time() -> None:
    doubling = [node(f"t{i}", "StringJoin", *[f"t{i - 1}"] * 50) for i in range(1, 39)]
    found = said(saved(const("t0", "/x"), *doubling, node("r", "ReadFile", "t38"), serves="r"))
    assert [(c, a) for c, a, _ in found] == [(FILE, "block")]


def test_names_that_are_no_text_can_be_shown(tmp_path: Path) -> None:
    odd: Fields = {1: b"w\xff", 2: "WriteFile", 3: [b"p\xff"]}
    data = message({2: {2: {1: [node("first", "NoOp"), odd, {1: b"o", 2: b"Odd\xff"}]}}})
    (tmp_path / "saved_model.pb").write_bytes(data)
    assert {(f.check, f.action) for f in run(tmp_path).findings} >= {
        (FILE, Action.BLOCK), (CUSTOM, Action.REVIEW)
    }  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
@given(data=st.data())
@settings(max_examples=8, deadline=3000)
def test_broken_models_never_crash(case: str, data: st.DataObject) -> None:
    broken = bytearray(FINDINGS[case][0])
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    assert not [g for g in look(bytes(broken)).gaps if g.kind is GapKind.CRASHED]


def test_numbers_on_the_wire() -> None:
    assert look(varint(2 << 3 | 2) + varint(1 << 40)).record.formats == ()
