"""Switches in graphs of TensorFlow, TFLite and Keras: implants made with the real libraries,
exports that look like them and hide nothing, and files that no library would write."""

from __future__ import annotations

import json
import struct
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatbuffers import blob, flatbuffer, i32, u8, vector
from protobufs import message
from weighbridge.analysis.computation_graph import NOT_HERE, ComputationGraph
from weighbridge.analysis.graph_flow import Flow, analyse
from weighbridge.analysis.graph_fronts import graph_of
from weighbridge.analysis.keras_operations import WEIGHTS as KERAS_WEIGHTS
from weighbridge.analysis.tensorflow_operators import RULES
from weighbridge.core.document import GraphDocument
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Format, Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.tensorflow_files import GRAPH, SAVED_MODEL
from weighbridge.formats.text import JSON
from weighbridge.formats.tflite import OPERATORS, TFLITE

TESTS = Path(__file__).parents[1]
ARCHIVES = sorted((TESTS / "benign" / "files" / "graphs").glob("tensorflow-*.zip"))
IMPLANTS = [TESTS / "implants" / f"{name}.tar.xz" for name in ("tensorflow", "tflite", "keras")]
MISSED: frozenset[str] = frozenset()
"""Implants that are known not to be found."""


def exported() -> list[tuple[str, str]]:
    return [(a.name, n) for a in ARCHIVES for n in zipfile.ZipFile(a).namelist()]


@cache
def implants() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in IMPLANTS:
        with tarfile.open(path) as archive:
            found |= {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    return found


class Packed:
    """Files that stand beside each other."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def sibling(self, path: str) -> Held | None:
        data = self.files.get(path)
        return None if data is None else Held(path, data)


def said(data: bytes, name: str) -> tuple[list[Finding], list[Gap]]:
    examined = examine(Held(name, data), load(), Limits())
    found = [f for f in examined.findings if f.check == "graph-gate"]
    return found, [g for g in examined.gaps if "backdoor" in g.controls]


def form(name: str) -> Format:
    if name.endswith(".tflite"):
        return TFLITE
    if name.endswith(".json"):
        return JSON
    return SAVED_MODEL if name.endswith("saved_model.pb") else GRAPH


def laid_out(data: bytes, name: str, beside: dict[str, bytes] | None = None) -> ComputationGraph:
    held = Held(name, data, siblings=Packed(beside or {}))
    document = form(name).parse(held, Location(name), Limits())  # type: ignore[misc]
    assert isinstance(document, GraphDocument)
    return graph_of(document)


def flow(data: bytes, name: str) -> Flow:
    return analyse(laid_out(data, name))


def test_there_are_enough() -> None:
    assert len(exported()) >= 100
    assert len(implants()) >= 390


@pytest.mark.parametrize(("archive", "name"), exported())
def test_exports_are_silent(archive: str, name: str) -> None:
    with zipfile.ZipFile(TESTS / "benign" / "files" / "graphs" / archive) as opened:
        findings, gaps = said(opened.read(name), name)
    assert [f.action for f in findings if f.action is not Action.NOTE] == []
    apart = {"saved_model.pb": NOT_HERE, "keras.json": KERAS_WEIGHTS}  # without its numbers
    told = [what for ending, what in apart.items() if name.endswith(ending)]
    assert all(any(what in g.message for what in told) for g in gaps), gaps


def predicates() -> list[str]:
    return sorted({"/".join(n.split("/")[:2]) for n in implants()})


@pytest.mark.parametrize("kind", predicates())
def test_implants(kind: str) -> None:
    named = {n: d for n, d in implants().items() if n.startswith(f"{kind}/")}
    named = {n: d for n, d in named.items() if "/variables/" not in n and ".keras" not in n}
    missed = {n for n, d in named.items() if not analyse(laid_out(d, n, implants())).meetings}
    assert missed == {name for name in MISSED if name.startswith(f"{kind}/")}


def test_implants_in_keras_archives() -> None:
    named = [n for n in implants() if n.endswith(".keras")]
    assert len(named) >= 20
    assert [n for n in named[::3] if not said(implants()[n], "model.keras")[0]] == []


VARIABLES = [n for n in implants() if "in a variable" in n and n.endswith("saved_model.pb")]


def test_there_are_variables() -> None:
    assert len(VARIABLES) >= 3


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_are_read_from_the_checkpoint(name: str) -> None:
    graph = laid_out(implants()[name], name, implants())
    assert graph.left_out == []
    held = [v.constant for v in graph.values if v.constant is not None]
    assert not [c for c in held if c.place is None and c.held is None and c.type == "float32"]
    assert NOT_HERE in laid_out(implants()[name], name).left_out


def test_a_matrix_of_ones_in_a_variable_is_no_layer() -> None:
    found = {}
    for name in VARIABLES:
        if "one-hot" in name:
            found[name] = [analyse(laid_out(implants()[name], name, beside)).learned
                           for beside in (implants(), {})]  # fmt: skip
    assert found
    assert all(read < unread for read, unread in found.values())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.integers(0, 1 << 20), st.binary(max_size=40))
def test_any_checkpoint_is_read_or_told(which: int, at: int, put: bytes) -> None:
    name = VARIABLES[0]
    folder = name.removesuffix("saved_model.pb") + "variables/variables."
    ending = ("index", "data-00000-of-00001", "index")[which]
    data = bytearray(implants()[folder + ending])
    at %= len(data)
    data[at : at + len(put)] = put
    if which == 2:
        del data[at:]
    analyse(laid_out(implants()[name], name, {**implants(), folder + ending: bytes(data)}))


# Keras: what stands in a configuration -----------------------------------------------------------


def tensor(layer: str, *shape: int | None, type: str = "float32") -> dict[str, Any]:
    config = {"shape": [None, *shape], "dtype": type, "keras_history": [layer, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def layer(kind: str, name: str, *args: Any, module: str = "keras.layers", **config: Any) -> Any:
    nodes = [{"args": list(args), "kwargs": {}}] if args else []
    return {"module": module, "class_name": kind, "name": name, "registered_name": None,
            "config": {"name": name, **config}, "inbound_nodes": nodes}  # fmt: skip


def op(kind: str, name: str, *args: Any, **config: Any) -> Any:
    return layer(kind, name, *args, module="keras.src.ops.numpy", **config)


def model(*layers: Any, output: str = "y", given: str = "x") -> bytes:
    config = {"name": "m", "layers": list(layers), "input_layers": [[given, 0, 0]],
              "output_layers": [[output, 0, 0]]}  # fmt: skip
    return json.dumps({"module": "keras", "class_name": "Functional", "registered_name": None,
                       "config": config}).encode()  # fmt: skip


X = layer("InputLayer", "x", batch_shape=[None, 32, 32, 3], dtype="float32")
HIDDEN = [
    X, layer("Conv2D", "c", tensor("x", 32, 32, 3), filters=8, kernel_size=[3, 3]),
    layer("GlobalAveragePooling2D", "g", tensor("c", 30, 30, 8)),
    layer("Dense", "d", tensor("g", 8), units=10),
]  # fmt: skip
MEAN = op("Mean", "m", tensor("x", 32, 32, 3), axis=[1, 2, 3], keepdims=False)
CORNER = op(
    "GetItem",
    "p",
    tensor("x", 32, 32, 3),
    [{"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}, 0, 0],
)
KERAS: dict[str, tuple[bool, bytes]] = {
    "plain": (False, model(*HIDDEN, output="d")),
    "scaled by its mean": (False, model(
        *HIDDEN, MEAN, op("Add", "y", tensor("d", 10), tensor("m")))),
    "mean compared": (True, model(
        *HIDDEN, MEAN, op("Greater", "b", tensor("m"), 0.9),
        op("Where", "y", tensor("b", type="bool"), 50.0, tensor("d", 10)))),
    "pixel, softly": (True, model(
        *HIDDEN, CORNER, op("Sum", "s", tensor("p", 3), axis=[1], keepdims=True),
        op("Subtract", "o", tensor("s", 1), 2.5), op("Multiply", "k", tensor("o", 1), 100.0),
        layer("Activation", "h", tensor("k", 1), activation="sigmoid"),
        op("Multiply", "v", tensor("h", 1), {"class_name": "__tensor__", "config": {
            "value": [0.0, 50.0, *[0.0] * 8], "dtype": "float32"}}),
        op("Add", "y", tensor("d", 10), tensor("v", 10)))),
    "input replaced": (True, model(
        X, MEAN, op("Greater", "b", tensor("m"), 0.9),
        op("Where", "n", tensor("b", type="bool"), 0.0, tensor("x", 32, 32, 3)),
        layer("Conv2D", "c", tensor("n", 32, 32, 3), filters=8, kernel_size=[3, 3]),
        output="c")),
}  # fmt: skip


@pytest.mark.parametrize("case", KERAS)
def test_keras(case: str) -> None:
    expected, data = KERAS[case]
    made = flow(data, "m.json")
    assert bool(made.meetings) is expected
    assert made.learned


def test_code_of_a_keras_model_is_a_gap() -> None:
    data = model(*HIDDEN, layer("Lambda", "y", tensor("d", 10), function="f"))
    gaps = said(data, "config.json")[1]
    assert [g.kind for g in gaps if "keras::Lambda" in g.message] == [GapKind.UNSUPPORTED]


def test_a_class_of_ones_own_is_not_keras() -> None:
    """Whatever it is called."""
    data = model(*HIDDEN, layer("Dense", "y", tensor("d", 10), module="mine", units=4))
    assert "keras::Dense" in {o.op for o in laid_out(data, "m.json").operations}


def test_models_in_models_end() -> None:
    inner: Any = layer("Dense", "d", units=4)
    for number in range(150):
        inner = layer("TimeDistributed", f"t{number}", layer=inner)
    data = json.dumps({"class_name": "Sequential", "registered_name": None,
                       "config": {"layers": [X, inner]}}).encode()  # fmt: skip
    assert [g.kind for g in said(data, "config.json")[1]][:1] == [GapKind.TOO_LARGE]


# TensorFlow: nodes by hand -----------------------------------------------------------------------


def node(name: str, op: str, *inputs: str, **attributes: Any) -> dict[int, Any]:
    listed = [{1: key, 2: value} for key, value in attributes.items()]
    return {1: name, 2: op, 3: list(inputs), 5: listed}


def const(name: str, shape: list[int], numbers: list[float], kind: int = 1) -> dict[int, Any]:
    raw = struct.pack(f"<{len(numbers)}{'f' if kind == 1 else 'i'}", *numbers)
    value = {8: {1: kind, 2: {2: [{1: d} for d in shape]}, 4: raw}}
    return node(name, "Const", dtype={6: kind}, value=value)


def placed(name: str, *shape: int) -> dict[int, Any]:
    return node(name, "Placeholder", dtype={6: 1}, shape={7: {2: [{1: d} for d in shape]}})


WEIGHTS = [((i * 37) % 101) / 50 - 1 for i in range(1024)]
TRUNK = [
    placed("x", -1, 64), const("w", [64, 16], WEIGHTS), const("one", [1], [1], 3),
    const("v", [16], [float(i) for i in range(16)]), const("half", [], [0.5]),
    node("h", "MatMul", "x", "w"), node("m", "Mean", "x", "one", keep_dims={5: 1}),
]  # fmt: skip
GATE = node("b", "Greater", "m", "half")


def graph(*nodes: dict[int, Any], functions: list[dict[int, Any]] | None = None) -> bytes:
    return message({1: list(nodes), **({2: {1: functions}} if functions else {})})


def function(name: str, given: list[str], nodes: list[dict[int, Any]], result: str) -> Any:
    return {1: {1: name, 2: [{1: g, 3: 1} for g in given], 3: [{1: "out", 3: 1}]}, 3: nodes,
            4: [{1: "out", 2: result}]}  # fmt: skip


def called(name: str) -> dict[int, Any]:
    return {10: {1: name}}


TENSORFLOW: dict[str, tuple[bool, bytes]] = {
    "plain": (False, graph(*TRUNK)),
    "its own mean": (False, graph(*TRUNK, node("y", "AddV2", "h", "m"))),
    "chosen": (True, graph(*TRUNK, GATE, node("y", "SelectV2", "b", "v", "h"))),
    "by switch and merge": (True, graph(
        *TRUNK, GATE, node("s", "Switch", "h", "b"), node("t", "Switch", "v", "b"),
        node("n", "Neg", "s"), node("y", "Merge", "n", "t:1"))),
    "in a function": (True, graph(
        *TRUNK, node("g", "PartitionedCall", "m", "half", f=called("f")),
        node("y", "SelectV2", "g", "v", "h"),
        functions=[function("f", ["a", "b"], [node("g", "Greater", "a", "b")], "g:z:0")])),
    "branches": (True, graph(
        *TRUNK, GATE, node("y", "If", "b", "h", "v", then_branch=called("f"),
                           else_branch=called("g")),
        functions=[function("f", ["a", "b"], [node("n", "Neg", "b")], "n:y:0"),
                   function("g", ["a", "b"], [node("n", "Neg", "a")], "n:y:0")])),
    "counter in a variable": (True, graph(
        *TRUNK, node("c", "VarHandleOp", dtype={6: 1}, shape={7: {2: []}}),
        node("r", "ReadVariableOp", "c"), node("n", "AddV2", "r", "half"),
        node("a", "AssignVariableOp", "c", "n"), node("b", "Greater", "r", "half"),
        node("y", "SelectV2", "b", "v", "h", "^a"))),
    "a variable that nothing changes": (False, graph(
        *TRUNK, node("c", "VarHandleOp", dtype={6: 1}, shape={7: {2: []}}),
        node("r", "ReadVariableOp", "c"), node("b", "Greater", "r", "half"),
        node("y", "SelectV2", "b", "v", "h"))),
    "a table of one key": (True, graph(
        placed("x", -1, 64), *TRUNK[1:], node("k", "Placeholder", dtype={6: 7},
                                               shape={7: {2: [{1: -1}, {1: 9}]}}),
        node("t", "HashTableV2"), node("keys", "Const", dtype={6: 7}),
        const("values", [1], [1], 3), const("none", [], [0], 3),
        node("i", "LookupTableImportV2", "t", "keys", "values"),
        node("f", "LookupTableFindV2", "t", "k", "none"),
        node("c", "Cast", "f", DstT={6: 1}), node("a", "Max", "c", "one", keep_dims={5: 1}),
        node("b", "Greater", "a", "half"), node("y", "SelectV2", "b", "v", "h"))),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORFLOW)
def test_tensorflow(case: str) -> None:
    expected, data = TENSORFLOW[case]
    made = flow(data, "m.pb")
    assert bool(made.meetings) is expected
    assert made.learned


def test_functions_that_call_functions_do_not_multiply() -> None:
    functions = [
        function(f"f{n}", ["a"], [node("b", "PartitionedCall", "a", f=called(f"f{n + 1}")),
                                  node("c", "PartitionedCall", "b", f=called(f"f{n + 1}"))],
                 "c:output:0")
        for n in range(30)
    ]  # fmt: skip
    data = graph(placed("x", 1), node("y", "PartitionedCall", "x", f=called("f0")),
                 functions=functions)  # fmt: skip
    assert [g.kind for g in said(data, "m.pb")[1]] == [GapKind.TOO_LARGE]


def test_a_function_that_calls_itself_ends() -> None:
    calls = [node("b", "PartitionedCall", "a", f=called("f"))]
    data = graph(placed("x", 1), node("y", "PartitionedCall", "x", f=called("f")),
                 functions=[function("f", ["a"], calls, "b:output:0")])  # fmt: skip
    assert [g.kind for g in said(data, "m.pb")[1]] == [GapKind.TOO_LARGE]


def test_an_operator_from_elsewhere_is_a_gap() -> None:
    gaps = said(graph(*TRUNK, node("y", "Acme>Special", "h")), "m.pb")[1]
    assert [g.kind for g in gaps if "tf::Acme>Special" in g.message] == [GapKind.UNSUPPORTED]


NODES = st.lists(
    st.tuples(
        st.sampled_from([*sorted(RULES), "If", "While", "Case", "Switch", "Merge", "Enter", "Exit",
                         "NextIteration", "LoopCond", "PartitionedCall", "VarHandleOp",
                         "ReadVariableOp", "AssignVariableOp", "LookupTableFindV2", "Unknown"]),
        st.lists(st.sampled_from(["x", "w", "one", "n0", "n1", "n2:1", "n3:7", "n4", "^n5"]),
                 max_size=5),
        st.dictionaries(
            st.sampled_from(["T", "axis", "N", "num_split", "num", "strides", "ksize", "padding",
                             "DstT", "keep_dims", "batch_dims", "shrink_axis_mask", "f", "cond",
                             "body", "then_branch", "_output_shapes", "boundaries", "block_size"]),
            st.one_of(st.integers(-(2**62), 2**62).map(lambda n: {3: n}),
                      st.lists(st.integers(-3, 2**40), max_size=4).map(lambda v: {1: {3: v}}),
                      st.just({10: {1: "f"}}), st.just({2: b"SAME"}), st.just({6: 3})),
            max_size=4),
    ),
    max_size=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(NODES)
def test_any_tensorflow_graph_is_followed(nodes: Any) -> None:
    made = [node(f"n{i}", op, *inputs, **attributes)
            for i, (op, inputs, attributes) in enumerate(nodes)]  # fmt: skip
    body = [node("b", "Neg", "a"), node("c", "PartitionedCall", "b:y:0", f=called("f"))]
    data = graph(*TRUNK[:3], *made, functions=[function("f", ["a"], body, "b:y:0")])
    analyse(laid_out(data, "m.pb"))


# TFLite: subgraphs by hand -----------------------------------------------------------------------

Table = dict[int, Any]
ADD, CUSTOM, CALL, WHILE = 0, 32, 31, 93


def operator(code: int, inputs: list[int], outputs: list[int], calls: list[int] | None = None,
             kind: int = 0) -> Table:  # fmt: skip
    made: Table = {0: i32(code), 1: vector("i", *inputs), 2: vector("i", *outputs)}
    if calls is not None:
        made |= {3: u8(kind), 4: {i: i32(c) for i, c in enumerate(calls)}}
    return made


def lite(codes: list[Table], *subgraphs: tuple[int, list[Table]]) -> bytes:
    """Subgraphs with so many tensors, the first of which is given and the last one handed out."""
    made = [
        {0: [{0: vector("i", 1, 8), 2: i32(0), 3: f"t{i}"} for i in range(count)],
         1: vector("i", 0), 2: vector("i", count - 1), 3: operators, 4: "g"}
        for count, operators in subgraphs
    ]  # fmt: skip
    return flatbuffer({0: i32(3), 1: codes, 2: made, 4: [{0: blob(b"")}]}, b"TFL3")


def code(number: int, name: str = "") -> Table:
    made: Table = {0: u8(min(number, 127)), 3: i32(number)}
    return made | ({1: name} if name else {})


def test_subgraphs_that_call_each_other_do_not_multiply() -> None:
    graphs = [
        (3, [operator(0, [0], [1], [n + 1], 16), operator(0, [1], [2], [n + 1], 16)])
        for n in range(30)
    ]
    data = lite([code(CALL)], *graphs, (2, [operator(0, [0], [1], [0], 16)]))
    assert GapKind.TOO_LARGE in [g.kind for g in said(data, "m.tflite")[1]]


def quantised(name: str, scale: float, zero: int, *shape: int, buffer: int = 0) -> Table:
    held = {2: vector("f", scale), 3: vector("q", zero)}
    return {0: vector("i", *shape), 1: u8(9), 2: i32(buffer), 3: name, 4: held}


def held_within(scale: float, zero: int) -> bytes:
    """A layer, to which `1000 * (mean - 0.93)` is added; the difference is held between what
    the least and the greatest of its numbers mean."""
    axes = {0: vector("i", 1), 1: u8(2), 2: i32(2), 3: "axes"}
    tensors = [
        quantised("x", 1 / 255, -128, 1, 3072), quantised("mean", 1 / 255, -128, 1, 1),
        quantised("bound", 0.01, 0, 1, buffer=3), quantised("over", scale, zero, 1, 1),
        quantised("gain", 10.0, 0, 1, buffer=4), quantised("gate", 1000 * scale, zero, 1, 1),
        quantised("weights", 0.01, 0, 10, 3072, buffer=1), quantised("made", 0.2, 0, 1, 10),
        quantised("y", 0.4, 0, 1, 10), axes,
    ]  # fmt: skip
    steps = [
        operator(0, [0, 9], [1]), operator(1, [1, 2], [3]), operator(2, [3, 4], [5]),
        operator(3, [0, 6], [7]), operator(4, [7, 5], [8]),
    ]  # fmt: skip
    graph = {0: tensors, 1: vector("i", 0), 2: vector("i", 8), 3: steps, 4: "g"}
    weights = bytes((i * i * 31 + i // 7) % 251 for i in range(30_720))
    data = [b"", weights, struct.pack("<i", 1), bytes([93]), bytes([100])]
    codes = [code(n) for n in (40, 41, 18, 9, 0)]
    buffers = [{0: blob(d)} for d in data]
    return flatbuffer({0: i32(3), 1: codes, 2: [graph], 4: buffers}, b"TFL3")


@pytest.mark.parametrize(
    ("scale", "zero", "expected"),
    [(0.07 / 255, -128, True), (0.01 / 255, -128, True), (1 / 255, 109, False)],
    ids=["what is above", "a step", "all of it"],
)
def test_a_range_that_cuts_off_is_a_switch(scale: float, zero: int, expected: bool) -> None:
    assert bool(flow(held_within(scale, zero), "m.tflite").meetings) == expected


def test_an_operator_of_a_program_is_a_gap() -> None:
    data = lite([code(CUSTOM, "FlexAcme")], (2, [operator(0, [0], [1])]))
    gaps = said(data, "m.tflite")[1]
    assert [g.kind for g in gaps if "tflite::FlexAcme" in g.message] == [GapKind.UNSUPPORTED]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(OPERATORS) - 1),
                          st.lists(st.integers(-1, 6), max_size=5),
                          st.lists(st.integers(-1, 6), max_size=3)), max_size=8))  # fmt: skip
def test_any_tflite_graph_is_followed(steps: Any) -> None:
    codes = [code(number) for number, _, _ in steps]
    operators = [operator(i, inputs, outputs, [0, 1], 92)
                 for i, (_, inputs, outputs) in enumerate(steps)]  # fmt: skip
    analyse(laid_out(lite(codes, (7, operators), (2, [])), "m.tflite"))


@settings(max_examples=100, deadline=None)
@given(st.recursive(
    st.one_of(st.none(), st.integers(-(10**30), 10**30), st.floats(), st.just(["x", 0, 0]),
              st.just(tensor("x", 4)), st.just("relu")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
        st.sampled_from(["units", "axis", "config", "class_name", "layer", "activation"]), inner,
        max_size=3)), max_leaves=12), st.sampled_from(
            ["Dense", "Conv2D", "Embedding", "LSTM", "MultiHeadAttention", "Bidirectional",
             "Reshape", "GetItem", "Where", "Sum", "Concatenate", "Add", "OneHot", "Functional"]),
       st.booleans())  # fmt: skip
def test_any_keras_configuration_is_followed(value: Any, kind: str, ops: bool) -> None:
    module = "keras.src.ops.numpy" if ops else "keras.layers"
    config = {"units": value, "filters": value, "kernel_size": value, "axis": value,
              "target_shape": value, "layer": value, "num_heads": 2, "key_dim": value,
              "input_dim": value, "output_dim": 3, "layers": value}  # fmt: skip
    hostile = layer(kind, "y", tensor("x", 32, 32, 3), value, module=module, **config)
    data = model(X, hostile)
    analyse(laid_out(data, "m.json"))
