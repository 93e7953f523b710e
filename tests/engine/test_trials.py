"""Trials of switches: triggers for implants, none for what belongs there, and a jail around."""

from __future__ import annotations

import json
import struct
import time
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weighbridge
from graph_hosts import BOOL, FLOAT, INT, Host, field, node, split
from graph_implants import IMAGES, PAYLOADS, TOKENS, class_bias, compare, port
from graph_more_implants import MORE_TOKENS
from lone_graphs import FUSED, PARTS, QUANTISED, ROW, lone, tensor
from of_every_graph import exported
from protobufs import message
from trying import implanted, overridden, tried
from weighbridge.analysis.computation_graph import ABSENT
from weighbridge.analysis.graph_flow import Meeting, Way
from weighbridge.core.control import ControlVerdict
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table, TriggerInput
from weighbridge.core.fact import SwitchTrial
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.engine import trials
from weighbridge.engine.supervisor import Settings
from weighbridge.engine.trial.opened import open_model
from weighbridge.engine.trial.running import Budget, Session
from weighbridge.engine.trial.switches import _at_the_top, switches_of
from weighbridge.engine.trial.trial import on_bench, parsed, trial

MISSED = {
    ("token anywhere", "silenced"): "what is silenced hardly matters in this network",
}
"""Implants without a demonstrated override, and why."""


CASES = [
    *((name, "class bias") for name in (*IMAGES, *TOKENS)),
    *(("patch compared", name) for name in list(PAYLOADS)[1::2]),
    *(("token anywhere", name) for name in list(PAYLOADS)[2::2]),
]


@pytest.mark.parametrize(("predicate", "payload"), CASES)
def test_implants(predicate: str, payload: str) -> None:
    host = "resnet-script" if predicate in IMAGES else "bert-script"
    data = implanted(host, {**IMAGES, **TOKENS}[predicate], PAYLOADS[payload])
    assert overridden(data) is ((predicate, payload) not in MISSED)


FORMS = Path(__file__).parents[1] / "implants" / "onnx_forms.zip"


@pytest.mark.parametrize("name", zipfile.ZipFile(FORMS).namelist())
def test_implants_in_the_forms_that_are_deployed(name: str) -> None:
    """Optimised, slimmed, in half precision, quantised in three ways, with noise on all weights."""
    with zipfile.ZipFile(FORMS) as archive:
        assert overridden(archive.read(name))


@pytest.mark.parametrize("name", [n for n in zipfile.ZipFile(FORMS).namelist() if "bert" in n])
def test_only_what_the_file_has_is_held(name: str) -> None:
    """Fused operators are spelt out for the analysis; what is between is in no file."""
    with zipfile.ZipFile(FORMS) as archive:
        model = open_model(archive.read(name))
    graph, flow = parsed(model.written())
    names = {n for made in model.nodes for n in made.outputs if n}
    assert {v.name for v in graph.values if v.producer != ABSENT} - names
    found = switches_of(graph, flow, names, flow.meetings)
    assert found
    assert {s.value for s in found} <= names
    for number, operation in enumerate(graph.operations):  # as if each were the switch itself
        for value in operation.inputs:
            made = graph.values[value].producer if value != ABSENT else ABSENT
            if made != ABSENT and flow.ways[value] & Way.RAW:
                meeting = Meeting(number, made, value, ABSENT, "forced")
                assert {s.value for s in switches_of(graph, flow, names, [meeting])} <= names


def test_a_name_that_two_values_bear_is_not_held() -> None:
    """A file may name a value as the analysis names one between the parts of a fused operator."""
    fused = node("FusedGemm", ("x", "w"), "v", FUSED, {"transB": 1, "activation": "Relu"})
    data = lone(fused, node("Neg", ("x",), "FusedGemm_v:1"), node("Identity", ("v",), "y"),
                w=tensor("f", [1, 6], *ROW))  # fmt: skip
    graph, _ = parsed(data)
    names = {"v", "FusedGemm_v:1", "y"}
    assert [v.name for v in graph.values].count("FusedGemm_v:1") == 2
    assert {graph.values[v].name for v in _at_the_top(graph, names)} == {"v", "y"}


def test_a_switch_inside_one_operator_is_held_where_it_comes_from() -> None:
    """The sum of the quantised ones: what is dequantised for it stands in no file."""
    data = lone(QUANTISED, node("QLinearAdd", ("q", "scale", "zero", "q", "scale", "zero", "coarse",
                                               "zero"), "r", FUSED),
                node("DequantizeLinear", ("r", "coarse", "zero"), "y"), **PARTS)  # fmt: skip
    graph, flow = parsed(data)
    number = next(i for i, made in enumerate(graph.operations) if made.op == "Add")
    inside = graph.operations[number].inputs[0]
    meeting = Meeting(number, graph.values[inside].producer, inside, ABSENT, "forced")
    assert [s.value for s in switches_of(graph, flow, {"q", "r", "y"}, [meeting])] == ["q"]


def test_nodes_in_any_order() -> None:
    model = open_model(implanted("resnet-script", compare, class_bias))
    model.nodes.reverse()
    assert overridden(model.written())


@pytest.mark.parametrize("predicate", ["length of the mask", "hole in the mask"])
def test_a_mask_is_searched_where_the_switch_depends_on_nothing_else(predicate: str) -> None:
    made = tried(implanted("bert-script", MORE_TOKENS[predicate], class_bias))[-1]
    assert made.outcome == "override"
    assert [t.sort for t in made.triggers] == ["mask"]


def test_the_trigger_is_the_one_that_was_put_in() -> None:
    made = tried(implanted("bert-script", TOKENS["sequence at a place"], class_bias))[-1]
    assert made.universal
    assert [t.numbers for t in made.triggers] == [(5, 6, 7)]
    assert [t.places for t in made.triggers] == [(1, 2, 3)]


def forced(name: str) -> list[SwitchTrial]:
    """Trials of the places where values from the input meet the trunk in a known way."""
    bench = on_bench(exported(f"{name}.onnx"), Path("/"), Budget(3))
    graph, flow = parsed(exported(f"{name}.onnx"))
    tops = {n for made in bench.model.nodes for n in made.outputs if n}
    meetings = [
        Meeting(number, graph.values[value].producer, value, ABSENT, "forced")
        for number, operation in enumerate(graph.operations)
        for value in operation.inputs
        if value != ABSENT
        and graph.values[value].producer != ABSENT
        and flow.ways[value] & Way.RAW
        and any(i != ABSENT and flow.ways[i] & Way.TRUNK for i in operation.inputs)
    ]
    return [trial(bench, s, [s.value]) for s in switches_of(graph, flow, tops, meetings)[:3]]


@pytest.mark.parametrize(
    "name", ["bert-script", "mean_pooling-dynamo", "clip_text_eos-script", "routed-script",
             "llama_classifier-dynamo", "excite-script"]
)  # fmt: skip
def test_what_belongs_there_is_no_override(name: str) -> None:
    assert not [made for made in forced(name) if made.outcome == "override"]


# A whole audit -----------------------------------------------------------------------------------


def backdoor(root: Path, **more: Any) -> tuple[ControlVerdict, list[Finding], list[Gap]]:
    report = weighbridge.audit(root, settings=Settings(**more))
    control = next(c for c in report.controls if c.id == "backdoor")
    found = [f for f in control.findings if f.check == "graph-override"]
    return control.verdict, found, list(control.gaps)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    root.mkdir()
    (root / "model.onnx").write_bytes(implanted("resnet-script", compare, class_bias))
    return root


def test_an_override_blocks_and_can_be_seen_again(hostile: Path) -> None:
    verdict, found, gaps = backdoor(hostile)
    assert verdict is ControlVerdict.FAIL
    assert [(f.action, f.at.path) for f in found] == [(Action.BLOCK, "model.onnx")]
    assert not [g for g in gaps if g.kind is not GapKind.NOT_GIVEN]
    put_in = next(e for e in found[0].evidence if isinstance(e, TriggerInput))
    assert put_in.changed == len(put_in.places) == 27
    table = next(e for e in found[0].evidence if isinstance(e, Table))
    assert len(table.rows) == 10

    session = ort.InferenceSession(hostile / "model.onnx", providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(5)
    for _ in range(5):
        image = rng.uniform(put_in.low, put_in.high, put_in.shape).astype(put_in.type)
        before = session.run(None, {put_in.input: image})[0]
        image.flat[list(put_in.places)] = put_in.numbers
        after = session.run(None, {put_in.input: image})[0]
        assert after[0, 1] - before[0, 1] > 40


def test_a_clean_model_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(exported("resnet-script.onnx"))
    monkeypatch.setattr(trials, "run", lambda *_: pytest.fail("it was run"))
    assert backdoor(tmp_path)[1] == []


@pytest.mark.parametrize("how", ["switched off", "not installed", "too large", "broken"])
def test_what_is_not_tried_is_a_gap(
    hostile: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = GapKind.NOT_GIVEN
    if how == "not installed":
        monkeypatch.setattr(trials, "runtime", lambda: None)
    elif how == "too large":
        monkeypatch.setattr(trials, "SIZE_LIMIT", 10)
        kind = GapKind.TOO_LARGE
    elif how == "broken":
        monkeypatch.setattr(trials, "_START", "import os; os.write(1, b'[')")
        kind = GapKind.CRASHED
    verdict, found, gaps = backdoor(hostile, trials=how != "switched off")
    assert found == []
    said = [g for g in gaps if g.message.startswith("switches in the graph")]
    assert [g.kind for g in said] == [kind]
    assert verdict is (ControlVerdict.WARN if kind is GapKind.NOT_GIVEN else ControlVerdict.UNKNOWN)


# The jail ----------------------------------------------------------------------------------------


def with_endless_loop(host: Host, value: str) -> str:
    """A predicate that never comes to an end."""
    start = host.op("ReduceMean", value, axes=[1, 2, 3], keepdims=0)
    inside = message({1: [
        node("Add", ("seen", "seen"), "seen_now"), node("Identity", ("go_on",), "go_on_now"),
    ], 2: "body",
        11: [port("step", INT, []), port("go_on", BOOL, []), port("seen", FLOAT, None)],
        12: [port("go_on_now", BOOL, []), port("seen_now", FLOAT, None)]})  # fmt: skip
    ends = host.op("Loop", host.const(2**62, (), INT), host.const(True, (), BOOL), start,
                   body=inside)  # fmt: skip
    sure = host.op("Greater", ends, host.const(0.5))
    host.nodes.insert(host.at, node("Cast", (sure,), "sure_number", "", {"to": 1}))
    host.at += 1
    return host.op("Reshape", "sure_number", host.const([-1, 1], (2,), INT))


def test_what_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "AROUND", 2.0)
    model = tmp_path / "model.onnx"
    model.write_bytes(implanted("resnet-script", with_endless_loop, class_bias))
    began = time.process_time()
    said = trials.run(trials.Model(str(model)), [tmp_path], 2.0)
    assert said.kind is GapKind.TIMEOUT
    assert said.switches == ()
    assert time.process_time() - began < 30


def test_what_takes_all_memory_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(host: Host, value: str) -> str:
        huge = host.op("Expand", host.op("ReduceMean", value, axes=[1, 2, 3], keepdims=0),
                       host.const([2**34], (1,), INT))  # fmt: skip
        sure = host.op("Greater", host.op("ReduceMax", huge, keepdims=1), host.const(0.93))
        host.nodes.insert(host.at, node("Cast", (sure,), "sure_number", "", {"to": 1}))
        host.at += 1
        return host.op("Reshape", "sure_number", host.const([-1, 1], (2,), INT))

    model = tmp_path / "model.onnx"
    model.write_bytes(implanted("resnet-script", large, class_bias))
    said = trials.run(trials.Model(str(model)), [tmp_path], 20.0)
    assert said.failed
    assert said.switches == ()


def test_a_trial_sees_the_target_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a path that a model names nor by its own hand."""
    secret = tmp_path / "secret"
    secret.write_bytes(struct.pack("<16f", *range(16)))
    target = tmp_path / "target"
    target.mkdir()
    (target / "model.onnx").write_bytes(b"")
    probe = (
        "import os, socket, sys\n"
        "def may(act):\n"
        "    try: act()\n"
        "    except OSError: return 0\n"
        "    return 1\n"
        f"said = [may(lambda: open({str(secret)!r})),\n"
        f"        may(lambda: open({str(target / 'x')!r}, 'w')),\n"
        "        may(lambda: socket.socket()), may(os.fork), may(lambda: open(sys.argv[2]))]\n"
        "os.write(1, b'{\"failed\": \"%s\"}' % ''.join(map(str, said)).encode())\n"
    )
    monkeypatch.setattr(trials, "_START", probe)
    assert trials.run(trials.Model(str(target / "model.onnx")), [target], 5.0).failed == "00001"


def test_tensors_outside_the_target_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(struct.pack("<1024f", *range(1024)))
    target = tmp_path / "target"
    target.mkdir()
    place = [{1: "location", 2: "../secret"}]
    graph = {1: [node("MatMul", ("x", "w"), "y")], 2: "g",
             5: [{1: [64, 16], 2: 1, 8: "w", 13: place, 14: 1}],
             11: [{1: "x", 2: {1: {1: 1, 2: {1: [{1: 1}, {1: 64}]}}}}], 12: [{1: "y"}]}  # fmt: skip
    model = target / "model.onnx"
    model.write_bytes(message({1: 8, 7: graph, 8: {1: "", 2: 17}}))
    said = trials.run(trials.Model(str(model)), [target], 10.0)
    assert said.kind is GapKind.UNSUPPORTED
    assert said.failed


def test_tensors_beside_the_model_are_read(tmp_path: Path) -> None:
    host = Host(exported("resnet-script.onnx"))
    class_bias(host, compare)
    others, data = b"", b""
    for number, whole, inner in split(host.others):
        raw = next((value for n, _, value in split(inner) if n == 9), b"") if number == 5 else b""
        if len(raw) < 200:
            others += whole
            continue
        place = [{1: "location", 2: "model.data"}, {1: "offset", 2: str(len(data))},
                 {1: "length", 2: str(len(raw))}]  # fmt: skip
        kept = b"".join(part for n, part, _ in split(inner) if n != 9)
        others += field(5, kept + message({13: place, 14: 1}))
        data += raw
    host.others = others
    (tmp_path / "model.data").write_bytes(data)
    (tmp_path / "model.onnx").write_bytes(host.bytes())
    assert len(data) > 1000
    said = trials.run(trials.Model(str(tmp_path / "model.onnx")), [tmp_path], 60.0)
    assert [made.outcome for made in said.switches] == ["override"]


# Opened models and rules -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "predicate"),
    [("vit-script", "function"), ("bert-script", "in a function"), ("bert-script", "loop")],
)
def test_a_model_that_was_opened_says_the_same(host: str, predicate: str) -> None:
    data = implanted(host, {**IMAGES, **TOKENS}[predicate], class_bias)
    opened = open_model(data)
    bench = on_bench(data, Path("/"), Budget(60))
    from weighbridge.engine.trial.natural import draw

    feeds = draw(bench.ports, np.random.default_rng(3))
    first = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feeds)
    again = Session(opened.written(), Path("/"), Budget(60)).run(feeds)
    for one, other in zip(first, again.values(), strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert not [n for n in opened.nodes if n.domain == "local"]


@cache
def with_a_function() -> bytes:
    return implanted("resnet-script", IMAGES["function"], class_bias)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 20_000))
def test_any_bytes_are_opened_or_malformed(piece: bytes, at: int) -> None:
    data = with_a_function()
    broken = data[: at % len(data)] + piece + data[at % len(data) + len(piece) :]
    for some in (piece, broken):
        try:
            open_model(some).written()
        except Malformed:
            continue


def test_functions_that_multiply_are_malformed() -> None:
    functions = [
        {1: f"f{i}", 4: ["a"], 5: ["b"], 10: "local",
         7: [node(f"f{i + 1}", ("a",), "c", "local"), node(f"f{i + 1}", ("c",), "b", "local")]}
        for i in range(18)
    ]  # fmt: skip
    data = message({1: 8, 7: {1: [node("f0", ("x",), "y", "local")], 11: [{1: "x"}],
                              12: [{1: "y"}]}, 25: functions})  # fmt: skip
    with pytest.raises(Malformed):
        open_model(data)


def test_the_json_report_holds_the_trigger(hostile: Path, tmp_path: Path) -> None:
    from weighbridge.reports.formats import reporter

    report = weighbridge.audit(hostile)
    told = json.loads(reporter("json").render(report))
    kinds = [e["kind"] for c in told["controls"] for f in c["findings"]
             if f["check"] == "graph-override" for e in f["evidence"]]  # fmt: skip
    assert kinds == ["trigger", "table", "table", "text"]
