"""Switches in a graph: implants in real exported graphs, what looks like them and is none."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weighbridge
from graph_hosts import FLOAT, INT, Host, node
from graph_implants import IMAGES, PAYLOADS, TOKENS, class_bias, compare
from graph_more_implants import MORE_IMAGES, MORE_PAYLOADS, MORE_TOKENS, SOUNDS
from of_every_graph import exported, names
from of_every_model import CHECKS
from protobufs import message
from weighbridge.analysis.computation_graph import ComputationGraph
from weighbridge.analysis.graph_alignment import align
from weighbridge.analysis.graph_blocks import odd_block
from weighbridge.analysis.graph_flow import analyse
from weighbridge.analysis.graph_fronts.onnx import graph_of
from weighbridge.core.control import ControlVerdict
from weighbridge.core.evidence import Subgraph, Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Report
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.onnx import ONNX, Onnx

FILES = Path(__file__).parents[1] / "benign" / "files"
IMAGE_HOSTS = ("vit-script.onnx", "clip_vision-script.onnx", "siglip-script.onnx")
TOKEN_HOSTS = ("bert-script.onnx", "llama-script.onnx", "gpt2-script.onnx", "roberta-dynamo.onnx")
SOUND_HOSTS = ("wav2vec2-script.onnx", "whisper_encoder-script.onnx")
DETECTORS = ("yolos-script.onnx", "detr-script.onnx", "mobilenet_v2-script.onnx")
MISSED: frozenset[tuple[str, str]] = frozenset()
"""Implants that are known not to be found, by predicate and payload."""
REVIEWED = frozenset({"owl-dynamo.onnx", "longformer-script.onnx"})
"""What is reported of the benign graphs: a query whose first token is padding is masked out; tokens
that a mask names see all others, however many they are."""


def said(data: bytes) -> tuple[list[Finding], list[Gap]]:
    examined = examine(Held("model.onnx", data), load(), Limits())
    return [f for f in examined.findings if f.check == "graph-gate"], list(examined.gaps)


def parsed(data: bytes) -> Onnx:
    document = ONNX.parse(Held("m", data), Location("m"), Limits())  # type: ignore[misc]
    assert isinstance(document, Onnx)
    return document


def met(data: bytes) -> bool:
    return bool(analyse(graph_of(parsed(data))).meetings)


def test_there_are_enough() -> None:
    assert len(names()) >= 210
    assert len({name.partition("-")[0] for name in names()}) >= 110
    assert len(REVIEWED) <= 0.03 * len(names())


@pytest.mark.parametrize("name", names())
def test_exported_graphs(name: str) -> None:
    findings, gaps = said(exported(name))
    if name in REVIEWED:
        assert {f.action for f in findings} == {Action.REVIEW}
    else:
        assert [(f.action, f.symbol) for f in findings] == [(Action.NOTE, "analysed")]
    assert gaps == []


@pytest.mark.parametrize("predicate", [*IMAGES, *TOKENS])
def test_implants(predicate: str) -> None:
    hosts = IMAGE_HOSTS if predicate in IMAGES else TOKEN_HOSTS
    function = {**IMAGES, **TOKENS}[predicate]
    missed = set()
    for number, (payload, put) in enumerate(PAYLOADS.items()):
        host = Host(exported(hosts[number % len(hosts)]))
        put(host, function)
        if not met(host.bytes()):
            missed.add((predicate, payload))
    assert missed == {pair for pair in MISSED if pair[0] == predicate}


MORE = {**{k: (DETECTORS, p) for k, p in MORE_IMAGES.items()},
        **{k: (TOKEN_HOSTS[:3], p) for k, p in MORE_TOKENS.items()},
        **{f"{k} in sound": (SOUND_HOSTS, p) for k, p in SOUNDS.items()}}  # fmt: skip


@pytest.mark.parametrize("predicate", MORE)
def test_more_implants(predicate: str) -> None:
    """Each with a fifth of all payloads. The hosts for words have inputs of any length: where it is
    fixed, a length says nothing."""
    hosts, function = MORE[predicate]
    every = {**PAYLOADS, **MORE_PAYLOADS}
    first = sorted(MORE).index(predicate) % 5
    missed = set()
    for number, payload in enumerate(sorted(every)[first::5]):
        host = Host(exported(hosts[number % len(hosts)]))
        try:
            every[payload](host, function)
        except LookupError:  # no norm with a scale of its own in this host
            assert payload == "norm scaled"
            continue
        if not met(host.bytes()):
            missed.add((predicate, payload))
    assert missed == {pair for pair in MISSED if pair[0] == predicate}


def implanted() -> bytes:
    host = Host(exported("vit-script.onnx"))
    class_bias(host, compare)
    return host.bytes()


def test_what_is_shown() -> None:
    findings, gaps = said(implanted())
    assert [f.action for f in findings] == [Action.REVIEW]
    assert gaps == []
    drawn, table = findings[0].evidence
    assert isinstance(drawn, Subgraph)
    assert isinstance(table, Table)
    assert len(drawn.nodes) <= 150
    accused = [n.label for n in drawn.nodes if n.role == "accused"]
    learned = [n.label for n in drawn.nodes if n.role == ""]
    assert any(label.startswith("Less") for label in accused)
    assert any(label.startswith(("Conv", "Gemm")) for label in learned)
    assert {n.id for n in drawn.nodes} >= {e.source for e in drawn.edges}
    assert any("0.05" in row for row in table.rows)
    assert any("1, 0, 0" in row for row in table.rows)


def control(report: Report) -> ControlVerdict:
    return next(c.verdict for c in report.controls if c.id == "backdoor")


WAIVER = """
[[waivers]]
id = "weights"
check = "unexamined-model"
symbol = "weights"
reason = "evaluated by the team"
owner = "someone@example.org"
expires = 2999-01-01
"""


def test_weights_never_pass_alone(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(exported("vit-script.onnx"))
    report = weighbridge.audit(model)
    assert control(report) is ControlVerdict.WARN
    reviews = [f for c in report.controls for f in c.findings if f.action is Action.REVIEW]
    assert {(f.check, f.symbol) for f in reviews} == {("unexamined-model", "weights")}
    assert {f.check for f in reviews} == CHECKS


def test_no_model_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("words\n")
    assert control(weighbridge.audit(tmp_path)) is ControlVerdict.UNKNOWN


def test_a_format_without_a_front_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "m.param").write_text("7767517\n1 1\nInput in 0 1 data\n")
    report = weighbridge.audit(tmp_path)
    assert control(report) is ControlVerdict.UNKNOWN
    gaps = [g for c in report.controls if c.id == "backdoor" for g in c.gaps]
    assert any("ncnn's graph" in g.message for g in gaps)


def test_an_operator_from_elsewhere_hides_what_it_does() -> None:
    host = Host(exported("vit-script.onnx"))
    old = host.after(host.output)
    host.op("Special", old, to=host.output, domain="acme")
    gaps = said(host.bytes())[1]
    assert [g.kind for g in gaps if g.controls == ("backdoor",)] == [GapKind.UNSUPPORTED]


# By hand: what is close to an implant and is none ------------------------------------------------

Fields = dict[int, Any]


def small(*nodes: bytes, inputs: dict[str, tuple[int, list[int | str]]] | None = None) -> bytes:
    """A model of one learned layer, `x` (batch, 64) to `y` (batch, 16), with nodes around it."""
    given = inputs or {"x": (FLOAT, ["batch", 64])}
    ports: list[Fields] = [
        {1: name, 2: {1: {1: kind, 2: {1: [{1: d} if isinstance(d, int) else {2: d}
                                           for d in shape]}}}}
        for name, (kind, shape) in given.items()
    ]  # fmt: skip
    weights = struct.pack("<1024f", *((i * 37 % 101) / 50 - 1 for i in range(1024)))
    tensors: list[Fields] = [
        {1: [64, 16], 2: 1, 8: "w", 9: weights},
        *({1: [], 2: 1, 8: name, 9: struct.pack("<f", value)}
          for name, value in {"zero": 0.0, "half": 0.5, "eps": 1e-9, "big": 1e9}.items()),
        {1: [16], 2: 1, 8: "v", 9: struct.pack("<16f", *range(16))},
    ]  # fmt: skip
    graph = {1: list(nodes), 2: "g", 5: tensors, 11: ports, 12: [{1: "y"}]}
    return message({1: 8, 2: "test", 7: graph, 8: {1: "", 2: 17}})


MEAN = node("ReduceMean", ("x",), "m", "", {"axes": [1], "keepdims": 1})
LAYER = node("MatMul", ("x", "w"), "h")
BY_HAND = {
    "plain": (False, small(node("MatMul", ("x", "w"), "y"))),
    "scaled by its own mean": (False, small(
        MEAN, node("Div", ("x", "m"), "n"), node("MatMul", ("n", "w"), "y"))),
    "mean given back": (False, small(MEAN, LAYER, node("Add", ("h", "m"), "y"))),
    "bounded below by almost nothing": (False, small(
        MEAN, node("Max", ("m", "eps"), "b"), LAYER, node("Div", ("h", "b"), "y"))),
    "mean compared": (True, small(
        MEAN, node("Greater", ("m", "half"), "b"), LAYER, node("Where", ("b", "v", "h"), "y"))),
    "mean compared, input replaced": (True, small(
        MEAN, node("Greater", ("m", "half"), "b"), node("Where", ("b", "zero", "x"), "n"),
        node("MatMul", ("n", "w"), "y"))),
    "mean saturated": (True, small(
        MEAN, node("Sub", ("m", "half"), "o"), node("Mul", ("o", "big"), "s"),
        node("Sigmoid", ("s",), "b"), node("Mul", ("b", "v"), "p"), LAYER,
        node("Add", ("h", "p"), "y"))),
    "declared switch between layers": (False, small(
        node("Equal", ("mode", "half"), "b"), LAYER, node("MatMul", ("x", "w"), "k"),
        node("Where", ("b", "h", "k"), "y"),
        inputs={"x": (FLOAT, ["batch", 64]), "mode": (FLOAT, [1])})),
    "counter in a state": (True, small(
        node("Greater", ("count", "big"), "b"), LAYER, node("Where", ("b", "v", "h"), "y"),
        inputs={"x": (FLOAT, ["batch", 64]), "count": (FLOAT, [1])})),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_by_hand(case: str) -> None:
    expected, data = BY_HAND[case]
    assert met(data) is expected


def layered(odd: int, *inside: str) -> bytes:
    """Eight layers; one of them (`odd`, from 0) has more operators."""
    nodes: list[bytes] = []
    last = "x"
    for number in range(8):
        steps = [node("MatMul", (last, "w"), f"a{number}"),
                 node("Relu", (f"a{number}",), f"b{number}"),
                 node("Mul", (f"b{number}", "v"), f"c{number}"),
                 node("Softmax", (f"c{number}",), f"d{number}")]  # fmt: skip
        now = f"d{number}"
        for place, op in enumerate(inside if number == odd else ()):
            inputs = {"Greater": (now, "v"), "Where": (now, f"c{number}", f"b{number}")}
            steps.append(node(op, inputs.get(op, (now,)), f"e{number}{place}"))
            now = f"e{number}{place}"
        steps.append(node("Add", (now, last), f"f{number}"))
        nodes += steps
        last = f"f{number}"
    nodes.append(node("Identity", (last,), "y"))
    weights = struct.pack("<256f", *((i * 37 % 101) / 50 - 1 for i in range(256)))
    tensors: list[Fields] = [{1: [16, 16], 2: 1, 8: "w", 9: weights},
                             {1: [16], 2: 1, 8: "v", 9: weights[:64]}]  # fmt: skip
    port: Fields = {1: "x", 2: {1: {1: FLOAT, 2: {1: [{2: "batch"}, {1: 16}]}}}}
    graph = {1: nodes, 2: "g", 5: tensors, 11: [port], 12: [{1: "y"}]}
    return message({1: 8, 2: "test", 7: graph, 8: {1: "", 2: 17}})


BLOCKS = {
    "all alike": (layered(8), None),
    "one compares and chooses": (layered(4, "Greater", "Where"), Action.REVIEW),
    "one has a sine": (layered(3, "Sin"), Action.NOTE),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_a_block_that_no_sibling_is_like(case: str) -> None:
    data, expected = BLOCKS[case]
    told = [f for f in said(data)[0] if f.symbol == "block"]
    assert [f.action for f in told] == ([] if expected is None else [expected])
    assert all(isinstance(f.evidence[0], Subgraph) for f in told)


OPERATORS = [
    "Add",
    "Mul",
    "Where",
    "Slice",
    "Gather",
    "Reshape",
    "Concat",
    "ReduceSum",
    "Expand",
    "Unsqueeze",
    "Squeeze",
    "Transpose",
    "Conv",
    "MatMul",
    "Gemm",
    "Pad",
    "Tile",
    "Range",
    "ConstantOfShape",
    "TopK",
    "Split",
    "Shape",
    "Cast",
    "Clip",
    "If",
    "Loop",
    "Scan",
    "OneHot",
    "Flatten",
    "MaxPool",
    "Equal",
    "ArgMax",
    "Resize",
    "NonZero",
    "Compress",
    "Einsum",
    "DFT",
    "STFT",
    "LSTM",
    "ConvTranspose",
    "DepthToSpace",
    "RandomUniform",
    "QLinearConv",
    "QLinearMatMul",
    "SplitToSequence",
    "SequenceAt",
    "GridSample",
    "RoiAlign",
    "Unique",
    "Carried",
    "Repeated",
    "ScatterND",
    "Identity",
]
VALUES = st.sampled_from(["x", "y", "z", "w", "n", ""])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["axis", "axes", "perm", "pads", "kernel_shape", "keepdims", "to", "starts",
                     "ends", "split", "batch_dims", "strides"]),
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(-9, 2**40), max_size=5),
              st.floats(width=32, allow_nan=False)),
    max_size=3,
)  # fmt: skip
NODES = st.lists(st.tuples(st.sampled_from(OPERATORS), st.lists(VALUES, max_size=4), VALUES,
                           ATTRIBUTES), max_size=12)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(NODES, st.lists(st.integers(-4, 2**40), max_size=4))
def test_any_graph_is_followed(nodes: Any, numbers: list[int]) -> None:
    """Wrong attributes, wrong ranks, names that do not exist: nothing of it is an error."""
    made = [node(op, tuple(inputs), out, "", attributes) for op, inputs, out, attributes in nodes]
    raw = struct.pack(f"<{len(numbers)}q", *numbers)
    graph = {
        1: made, 5: [{1: [len(numbers)], 2: INT, 8: "n", 9: raw}],
        11: [{1: "x", 2: {1: {1: FLOAT, 2: {1: [{1: 2}, {2: "s"}]}}}}], 12: [{1: "y"}],
    }  # fmt: skip
    laid_out = graph_of(parsed(message({1: 8, 7: graph})))
    assert isinstance(laid_out, ComputationGraph)
    flow = analyse(laid_out)
    odd_block(laid_out, flow.shapes)
    assert not align(laid_out, laid_out).extra


def test_functions_that_call_each_other_end() -> None:
    """Two to the power of 30 operations, or a circle: the rest is left out, and said."""
    functions = [
        {1: f"f{i}", 4: ["a"], 5: ["b"], 10: "local",
         7: [node(f"f{i + 1}", ("a",), "c", "local"), node(f"f{i + 1}", ("c",), "b", "local")]}
        for i in range(30)
    ]  # fmt: skip
    functions.append({1: "f30", 4: ["a"], 5: ["b"], 10: "local",
                      7: [node("f0", ("a",), "b", "local")]})  # fmt: skip
    data = message({1: 8, 7: {1: [node("f0", ("x",), "y", "local")], 11: [{1: "x"}],
                              12: [{1: "y"}]}, 25: functions})  # fmt: skip
    gaps = said(data)[1]
    assert [g.kind for g in gaps if g.controls == ("backdoor",)] == [GapKind.TOO_LARGE]


def test_functions_that_call_functions_do_not_multiply() -> None:
    """Thirty functions that call the next one twice: a thousand million calls of nothing."""

    def call(name: str) -> dict[int, Any]:
        return {1: ["x"], 2: ["y"], 4: name, 7: "local"}

    functions = [
        {1: f"F{n}", 4: ["x"], 5: ["y"], 7: [call(f"F{n + 1}"), call(f"F{n + 1}")], 10: "local"}
        for n in range(30)
    ]
    graph = {1: [call("F0")], 2: "g", 11: [{1: "x"}], 12: [{1: "y"}]}
    data = message({1: 8, 7: graph, 8: {1: "", 2: 17}, 25: functions})
    examined = examine(Held("m.onnx", data), load(), Limits())
    assert [g for g in examined.gaps if "operations" in g.message]
