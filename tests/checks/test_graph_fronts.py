"""Graphs of torch, OpenVINO and Core ML: those of real libraries are silent, implants are not."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weighbridge
from graph_hosts import node
from protobufs import message, varint
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Blob, Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

TESTS = Path(__file__).parents[1]
GRAPHS = TESTS / "benign" / "files" / "graphs"
IMPLANTS = TESTS / "implants"
OUTSIDE = {
    "aten::histc": "counts into bins",
    "aten::unique_consecutive": "counts runs",
    "transformers::grouped_mm_fallback": "an operator that a library registers",
}
"""Operators of real graphs that ONNX has nothing for: a gap, and what they do."""
MISSED: frozenset[str] = frozenset()
"""Implants that are known not to be found."""


class Pack:
    """The members of a committed archive, each beside the others."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            self.held = {name: archive.read(name) for name in archive.namelist()}

    def sibling(self, path: str) -> Blob | None:
        """See `Siblings`."""
        return Held(path, self.held[path], "", self) if path in self.held else None


@cache
def pack(path: Path) -> Pack:
    return Pack(path)


def models(path: Path) -> list[tuple[Path, str]]:
    return [(path, n) for n in pack(path).held if not n.endswith(".bin")]


BENIGN = [m for name in ("torch-export", "torch-traced", "torch-scripted", "openvino", "coreml",
                         "coreml-networks")
          for m in models(GRAPHS / f"{name}.zip")]  # fmt: skip
HOSTILE = [m for name in ("torch", "openvino", "coreml") for m in models(IMPLANTS / f"{name}.zip")]


def said(path: Path, name: str) -> tuple[list[Finding], list[Gap]]:
    blob = pack(path).sibling(name)
    assert blob is not None
    examined = examine(blob, load(), Limits())
    gaps = [g for g in examined.gaps if g.controls == ("backdoor",)]
    return [f for f in examined.findings if f.check == "graph-gate"], gaps


def label(model: tuple[Path, str]) -> str:
    return f"{model[0].stem}/{model[1]}"


def test_there_are_enough() -> None:
    assert len(BENIGN) >= 150
    assert len(HOSTILE) >= 120


@pytest.mark.parametrize("model", BENIGN, ids=label)
def test_benign_graphs(model: tuple[Path, str]) -> None:
    findings, gaps = said(*model)
    assert [(f.action, f.symbol) for f in findings] == [(Action.NOTE, "analysed")]
    for gap in gaps:
        assert any(name in gap.message for name in OUTSIDE), gap.message


@pytest.mark.parametrize("model", HOSTILE, ids=label)
def test_implants(model: tuple[Path, str]) -> None:
    findings, _ = said(*model)
    assert any(f.action is Action.REVIEW for f in findings) is (label(model) not in MISSED)


def with_code(code: str) -> bytes:
    """The archive of a scripted model whose own code is another."""
    source = pack(GRAPHS / "torch-scripted.zip").held["season.pt"]
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if "/make_graphs/" in name:
                data = code.encode()
            new.writestr(name, data)
    return made.getvalue()


HEAD = "class Season(Module):\n  def forward(self, x: Tensor) -> Tensor:\n"
NET = "    net = self.net\n"
CODE = {
    "plain": (False, "    return (net).forward(x, )\n"),
    "raises": (False, "    if bool(torch.gt(torch.mean(x), 9)):\n"
                      "      ops.prim.RaiseException(\"no\")\n    else:\n      pass\n"
                      "    return (net).forward(x, )\n"),
    "returns early": (True, "    if bool(torch.gt(torch.mean(x), 0.5)):\n"
                            "      return torch.zeros([2, 12])\n"
                            "    return (net).forward(x, )\n"),
    "a loop that may not run": (True, "    y = (net).forward(x, )\n"
                                "    more = bool(torch.gt(torch.mean(x), 0.5))\n    while more:\n"
                                "      y = torch.add(y, 5.)\n      more = False\n    return y\n"),
    "in place": (True, "    y = (net).forward(x, )\n"
                       "    if bool(torch.eq(torch.select(torch.select(x, 0, 0), 0, 3), 7)):\n"
                       "      _0 = torch.fill_(torch.select(y, 1, 2), 50.)\n    else:\n      pass\n"
                       "    return y\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_code(name: str) -> None:
    accused, body = CODE[name]
    examined = examine(Held("m.pt", with_code(HEAD + NET + body)), load(), Limits())
    actions = {f.action for f in examined.findings if f.check == "graph-gate"}
    assert actions == {Action.REVIEW if accused else Action.NOTE}


LEFT_OUT = {
    "a call that comes back": "    return (self).forward(x, )\n",
    "not Python": "    return return\n",
    "code that is not there": "    return __torch__.elsewhere.f(x, )\n",
    "only an exception": "    ops.prim.RaiseException(\"no\")\n    return x\n",
    "calls of calls": "    a = x\n" + "    a = (self).g(a, )\n" * 40 + "    return a\n"
    + "".join(f"  def {name}(self, x: Tensor) -> Tensor:\n"
              + f"    x = (self).{inner}(x, )\n" * 40 + "    return x\n"
              for name, inner in ("gh", "hi", "ij", "jk"))
    + "  def k(self, x: Tensor) -> Tensor:\n    return torch.neg(x)\n",
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_not_followed_is_said(name: str) -> None:
    examined = examine(Held("m.pt", with_code(HEAD + NET + LEFT_OUT[name])), load(), Limits())
    assert not [f for f in examined.findings if f.check == "graph-gate"]
    assert any("not followed" in g.message for g in examined.gaps if "backdoor" in g.controls)


def test_numbers_that_are_not_there() -> None:
    """Without the file beside it, an OpenVINO graph is followed by its shapes, and that is said."""
    name = next(n for n in pack(IMPLANTS / "openvino.zip").held if n.endswith(".xml"))
    examined = examine(Held(name, pack(IMPLANTS / "openvino.zip").held[name]), load(), Limits())
    assert not [f for f in examined.findings if f.check == "graph-gate"]
    assert any("a file that is not here" in g.message for g in examined.gaps)


SMALL = {
    "coreml": (IMPLANTS / "coreml.zip", "patch-branched.mlmodel"),
    "coreml-recurrent": (GRAPHS / "coreml-networks.zip", "recurrent-8.mlmodel"),
    "coreml-loop": (GRAPHS / "coreml-networks.zip", "loop-8.mlmodel"),
    "coreml-pipeline": (GRAPHS / "coreml-networks.zip", "pipeline.mlmodel"),
    "openvino": (GRAPHS / "openvino.zip", "tabular-script.xml"),
    "torch-scripted": (GRAPHS / "torch-scripted.zip", "branches.pt"),
    "torch-traced": (GRAPHS / "torch-traced.zip", "tabular.pt"),
    "torch-export": (GRAPHS / "torch-export.zip", "tabular.pt2"),
}


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_are_laid_out(name: str, data: st.DataObject) -> None:
    """Whatever a file says: nothing fails but for what is told as broken."""
    path, member = SMALL[name]
    whole = pack(path).held[member]
    places = [m.start() for m in re.finditer(rb"[0-9a-z_]{3,}", whole)]
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.sampled_from(places))
        new = data.draw(st.sampled_from((b"0", b"-1", b"99999999999", b"None", b"x", b"[]", b"then",
                                         b"self", b"9", b"null", b"True")))  # fmt: skip
        changed[at : at + len(new)] = new
    examined = examine(Held(member, bytes(changed), "", pack(path)), load(), Limits())
    assert not [g for g in examined.gaps if g.kind is GapKind.CRASHED]


# Core ML, by hand: a program of one learned layer, and what is put around it ---------------------

FLOAT, WHOLE, TRUTH = 11, 23, 1
Fields = dict[int, Any]


def named(name: str, type: int, *shape: int) -> Fields:
    sizes = [{1: {1: size}} for size in shape]
    return {1: name, 2: {1: {1: type, 2: len(shape), 3: sizes}}}


def constant(name: str, values: list[float], *shape: int, type: int = FLOAT) -> Fields:
    packed = b"".join(struct.pack("<f", v) if type == FLOAT else varint(int(v)) for v in values)
    number = {FLOAT: 1, WHOLE: 2, TRUTH: 3}[type]
    value = {2: named("", type, *shape)[2], 3: {1: {number: {1: packed}}}}
    return {1: "const", 3: [named(name, type, *shape)], 5: [{1: "val", 2: value}]}


def step(kind: str, inputs: dict[str, str | list[str]], *outputs: Fields) -> Fields:
    given = [{1: key, 2: {1: [{1: n} for n in ([v] if isinstance(v, str) else v)]}}
             for key, v in inputs.items()]  # fmt: skip
    return {1: kind, 2: given, 3: list(outputs)}


def program(*steps: Fields, result: str = "y") -> bytes:
    weights = [((i * 37) % 101) / 50 - 1 for i in range(1_024)]
    block = {2: result, 3: [
        constant("w", weights, 16, 64), constant("half", [0.5]), constant("steep", [900.0]),
        constant("v", [float(i) for i in range(16)], 16), constant("all", [1.0], 1, type=WHOLE),
        constant("yes", [1.0], type=TRUTH), constant("eps", [1e-9]),
        step("linear", {"x": "x", "weight": "w"}, named("h", FLOAT, 2, 16)), *steps,
    ]}  # fmt: skip
    function = {1: named("x", FLOAT, 2, 64), 2: "CoreML7", 3: [{1: "CoreML7", 2: block}]}
    return message({1: 8, 2: {1: {1: "x"}}, 502: {1: 1, 2: [{1: "main", 2: function}]}})


def compressed(name: str, values: bytes, scale: float, *shape: int) -> Fields:
    """Numbers in eight bits, as an operation that says what they mean."""
    sort = named("", 31, *shape)[2]
    parts = {"quantized_data": {2: sort, 3: {1: {7: {1: values}}}},
             "scale": constant("", [scale])[5][0][2],
             "axis": constant("", [0.0], type=WHOLE)[5][0][2],
             "zero_point": {2: named("", 31)[2], 3: {1: {7: {1: bytes([100])}}}}}  # fmt: skip
    said = [{1: key, 2: value} for key, value in parts.items()]
    return {1: "constexpr_affine_dequantize", 3: [named(name, FLOAT, *shape)], 5: said}


SPREAD = bytes(i * 37 % 101 for i in range(1_024))
CORNER = bytes(200 if i % 64 < 4 else 100 for i in range(1_024))
MEAN = step("reduce_mean", {"x": "x", "axes": "all", "keep_dims": "yes"}, named("m", FLOAT, 2, 1))
OVER = step("greater", {"x": "m", "y": "half"}, named("t", TRUTH, 2, 1))
PROGRAMS = {
    "plain": (False, program(result="h")),
    "mean given back": (False, program(
        MEAN, step("add", {"x": "h", "y": "m"}, named("y", FLOAT, 2, 16)))),
    "mean bounded and divided by": (False, program(
        MEAN, step("maximum", {"x": "m", "y": "eps"}, named("b", FLOAT, 2, 1)),
        step("real_div", {"x": "h", "y": "b"}, named("y", FLOAT, 2, 16)))),
    "mean compared, output chosen": (True, program(
        MEAN, OVER,
        step("select", {"cond": "t", "a": "v", "b": "h"}, named("y", FLOAT, 2, 16)))),
    "a steep sigmoid": (True, program(
        MEAN, step("sub", {"x": "m", "y": "half"}, named("o", FLOAT, 2, 1)),
        step("mul", {"x": "o", "y": "steep"}, named("s", FLOAT, 2, 1)),
        step("sigmoid", {"x": "s"}, named("p", FLOAT, 2, 1)),
        step("mul", {"x": "p", "y": "v"}, named("q", FLOAT, 2, 16)),
        step("add", {"x": "h", "y": "q"}, named("y", FLOAT, 2, 16)))),
    "weights in eight bits": (False, program(
        compressed("u", SPREAD, 0.02, 16, 64),
        step("linear", {"x": "x", "weight": "u"}, named("g", FLOAT, 2, 16)),
        step("sigmoid", {"x": "g"}, named("s", FLOAT, 2, 16)),
        step("mul", {"x": "s", "y": "h"}, named("y", FLOAT, 2, 16)))),
    "a sum of a few pixels in eight bits": (True, program(
        compressed("u", CORNER, 1.0, 16, 64),
        step("linear", {"x": "x", "weight": "u"}, named("g", FLOAT, 2, 16)),
        step("sub", {"x": "g", "y": "steep"}, named("o", FLOAT, 2, 16)),
        step("sigmoid", {"x": "o"}, named("s", FLOAT, 2, 16)),
        step("mul", {"x": "s", "y": "h"}, named("y", FLOAT, 2, 16)))),
    "a branch": (True, program(
        MEAN, OVER,
        step("cond", {"pred": "t"}, named("y", FLOAT, 2, 16))
        | {4: [{2: "a", 3: [step("add", {"x": "h", "y": "v"}, named("a", FLOAT, 2, 16))]},
               {2: "h"}]})),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    accused, data = PROGRAMS[name]
    examined = examine(Held("model.mlmodel", data), load(), Limits())
    actions = [f.action for f in examined.findings if f.check == "graph-gate"]
    assert actions == [Action.REVIEW if accused else Action.NOTE]
    assert not [g for g in examined.gaps if g.controls == ("backdoor",)]


def test_what_a_network_is_not_followed_through() -> None:
    """A custom layer is code of the app; a model of another kind in a pipeline is not followed."""
    layer = {1: "own", 2: ["x"], 3: ["y"], 500: {10: "Mine"}}
    network = {2: {1: [{1: "x"}], 10: [{1: "y"}]}, 500: {1: [layer]}}
    tree = {2: {1: [{1: "y"}], 10: [{1: "z"}]}, 302: {1: 1}}
    pipeline = {2: {1: [{1: "x"}], 10: [{1: "z"}]}, 202: {1: [network, tree]}}
    for model, what in (
        ({1: 4, **network}, "coreml::custom"),
        ({1: 4, **pipeline}, "coreml::treeEnsembleRegressor"),
    ):
        examined = examine(Held("m.mlmodel", message(model)), load(), Limits())
        assert not [f for f in examined.findings if f.check == "graph-gate"]
        assert [g for g in examined.gaps if what in g.message and g.controls == ("backdoor",)]


def test_numbers_in_a_file_beside_an_onnx_model(tmp_path: Path) -> None:
    """What is compared with stands in another file: it is read, and shown."""
    number = {1: [], 2: 1, 8: "c", 14: 1,
              13: [{1: "location", 2: "model.data"}, {1: "offset", 2: "8"},
                   {1: "length", 2: "4"}]}  # fmt: skip
    weights = struct.pack("<1024f", *((i * 37 % 101) / 50 - 1 for i in range(1024)))
    row = struct.pack("<16f", *range(16))
    nodes = [node("ReduceMean", ("x",), "m", "", {"axes": [1], "keepdims": 1}),
             node("Greater", ("m", "c"), "t"), node("MatMul", ("x", "w"), "h"),
             node("Where", ("t", "v", "h"), "y")]  # fmt: skip
    tensors = [{1: [64, 16], 2: 1, 8: "w", 9: weights}, {1: [16], 2: 1, 8: "v", 9: row}, number]
    port = {1: "x", 2: {1: {1: 1, 2: {1: [{2: "batch"}, {1: 64}]}}}}
    graph = {1: nodes, 2: "g", 5: tensors, 11: [port], 12: [{1: "y"}]}
    model = message({1: 8, 2: "test", 7: graph, 8: {1: "", 2: 17}})
    (tmp_path / "model.onnx").write_bytes(model)
    (tmp_path / "model.data").write_bytes(bytes(8) + struct.pack("<f", 0.375))
    report = weighbridge.audit(tmp_path)
    found = [f for c in report.controls for f in c.findings if f.check == "graph-gate"]
    rows = [row for e in found[0].evidence if isinstance(e, Table) for row in e.rows]
    assert any("0.375" in row for row in rows)


@pytest.mark.parametrize(
    ("folder", "said"), [("mxnet", "MXNet's symbol"), ("paddle", "Paddle's program")]
)
def test_graphs_in_json_that_no_front_reads(folder: str, said: str) -> None:
    report = weighbridge.audit(TESTS / "benign" / "files" / folder)
    gaps = [g.message for c in report.controls if c.id == "backdoor" for g in c.gaps]
    assert any(g.startswith(said) for g in gaps)
