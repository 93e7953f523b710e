"""ExecuTorch: kernels, backends, numbers that lead nowhere, bytes that are no tensor's."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatbuffers import Table, blob, flatbuffer, i32, u8, u64, vector
from pickles import RUNS
from programs import elf
from weighbridge.core.document import Malformed
from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.executorch import EXECUTORCH, Executorch
from weighbridge.formats.flat_tensor import FLAT_TENSOR, FlatTensor

BENIGN = Path(__file__).parents[1] / "benign" / "files" / "torch" / "executorch"
FLOAT = 6
TENSOR = 5
KERNEL, DELEGATE, MOVE, JUMP = 1, 2, 3, 4


def tensor(buffer: int = 0, sizes: tuple[int, ...] = (2, 2)) -> Table:
    return {0: u8(TENSOR), 1: {0: u8(FLOAT), 2: vector("i", *sizes), 5: i32(buffer)}}


def step(kind: int, what: int, *args: int) -> Table:
    made: Table = {0: i32(what), 1: vector("i", *args)}
    if kind in (MOVE, JUMP):
        made = {0: i32(what), 1: i32(args[0])}
    return {0: u8(kind), 1: made}


def program(**changes: Any) -> bytes:
    """x + w, with parts of the method or of the program replaced."""
    names = changes.get("operators", ["aten::add"])
    plan: Table = {
        0: "forward",
        2: changes.get("values", [tensor(), tensor(1), tensor()]),
        3: vector("i", *changes.get("inputs", (0,))),
        4: vector("i", 2),
        5: [{2: changes.get("steps", [step(KERNEL, 0, 0, 1, 2)])}],
        6: [{0: name, 1: "out"} for name in names],
        7: changes.get("delegates", []),
    }
    root: Table = {
        0: i32(0),
        1: [plan],
        2: [{}, {0: blob(bytes(16))}],
        3: [{0: blob(data)} for data in changes.get("inline", [])],
        4: changes.get("segments", []),
        7: changes.get("named", []),
    }
    return flatbuffer(root, b"ET12")


def delegate(name: str, index: int = 0) -> Table:
    return {0: name, 1: {0: u8(0), 1: i32(index)}, 2: [{0: "partition", 1: blob(b"abc")}]}


def parse(data: bytes) -> Executorch:
    assert EXECUTORCH.parse is not None
    document = EXECUTORCH.parse(Held("m.pte", data), Location("m.pte"), Limits())
    assert isinstance(document, Executorch)
    return document


def look(data: bytes) -> Examined:
    return examine(Held("m.pte", data), load(), Limits())


def said(data: bytes) -> list[tuple[str, str]]:
    return [(f.action.value, f.symbol) for f in look(data).findings]


def test_a_plain_program() -> None:
    document = parse(program())
    (plan,) = document.plans
    assert (plan.name, plan.operators, plan.inputs, plan.outputs) == (
        "forward", ("aten::add.out",), (0,), (2,),
    )  # fmt: skip
    assert [(s.kind, s.what, s.args) for s in plan.steps] == [("kernel", 0, (0, 1, 2))]
    assert [(v.kind, v.type, v.shape, v.buffer) for v in plan.values][1] == (
        "tensor", "FLOAT", (2, 2), 1,
    )  # fmt: skip
    assert [c.size for c in document.constants] == [0, 16]
    assert document.flaws == ()
    assert look(program()).findings == ()
    assert look(program()).gaps == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("executorch_prim::et_view", []),
        ("quantized_decomposed::dequantize_per_tensor", []),
        ("aten::from_file", [("block", "aten::from_file.out")]),
        ("mine::scale", [("review", "mine::scale.out")]),
        ("scale", [("review", "scale.out")]),
    ],
)
def test_kernels(name: str, expected: list[tuple[str, str]]) -> None:
    assert said(program(operators=[name])) == expected


@pytest.mark.parametrize(
    ("name", "expected", "gaps"),
    [
        ("XnnpackBackend", [], 0),
        ("QnnBackend", [], 1),
        ("CudaBackend", [("review", "CudaBackend")], 0),
        ("MineBackend", [("review", "MineBackend")], 0),
    ],
)
def test_backends(name: str, expected: list[tuple[str, str]], gaps: int) -> None:
    data = program(
        delegates=[delegate(name)], inline=[b"\x01\x02"], steps=[step(DELEGATE, 0, 0, 2)]
    )
    assert said(data) == expected
    assert [g.kind for g in look(data).gaps] == [GapKind.UNSUPPORTED] * gaps


def test_what_a_backend_is_given_is_looked_at() -> None:
    for payload, check in ((elf(), "native-program"), (RUNS, "pickle-acting-call")):
        data = program(delegates=[delegate("XnnpackBackend")], inline=[payload])
        assert check in {f.check for f in look(data).findings}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"steps": [step(KERNEL, 7, 0)]}, "kernel that does not exist"),
        ({"steps": [step(KERNEL, -1, 0)]}, "kernel that does not exist"),
        ({"steps": [step(DELEGATE, 0, 0)]}, "delegate that does not exist"),
        ({"steps": [step(KERNEL, 0, 0, 1, 99)]}, "value that does not exist"),
        ({"steps": [step(MOVE, 0, 99)]}, "value that does not exist"),
        ({"steps": [step(JUMP, 0, 99)]}, "instruction that does not exist"),
        ({"inputs": (99,)}, "value that does not exist"),
        ({"values": [tensor(), tensor(9), tensor()]}, "buffer that does not exist"),
        ({"values": [tensor(sizes=(-2, 2))] * 3}, "tensor of an impossible size"),
        ({"values": [tensor(sizes=(1 << 30, 1 << 30))] * 3}, "tensor of an impossible size"),
        ({"segments": [{0: u64(1 << 63), 1: u64(1 << 63)}]}, "segment outside the file"),
        ({"named": [{0: "w", 1: i32(5)}]}, "segment that does not exist"),
        ({"delegates": [delegate("XnnpackBackend", 4)]}, "delegate data that does not exist"),
    ],
)
def test_numbers_that_lead_nowhere(changes: dict[str, Any], kind: str) -> None:
    assert ("review", kind) in said(program(**changes))


def test_a_header_that_leads_nowhere() -> None:
    """`flatbuffer` leaves no room for the header; a real file has it."""
    data = bytearray((BENIGN / "plain.pte").read_bytes())
    assert data[8:12] == b"eh00"
    data[24:32] = struct.pack("<Q", 1 << 62)
    assert ("review", "header that leads out of the file") in said(bytes(data))


def test_real_files() -> None:
    """Made by the library: kernels, a delegate with its data in segments, tensors elsewhere."""
    plain = parse((BENIGN / "plain.pte").read_bytes())
    assert plain.plans[0].operators[:2] == ("aten::permute_copy.out", "aten::addmm.out")
    assert [c.size for c in plain.constants] == [0, 64, 16, 8]
    lowered = parse((BENIGN / "xnnpack.pte").read_bytes())
    assert [d.id for d in lowered.plans[0].delegates] == ["XnnpackBackend"]
    assert [s.size for s in lowered.segments] == [8, 928, 64, 16]
    outside = parse((BENIGN / "outside.pte").read_bytes())
    assert {v.external for v in outside.plans[0].values} == {"", "layer.weight", "layer.bias"}
    (path,) = BENIGN.glob("*.ptd")
    assert FLAT_TENSOR.parse is not None
    tensors = FLAT_TENSOR.parse(Held("t.ptd", path.read_bytes()), Location("t.ptd"), Limits())
    assert isinstance(tensors, FlatTensor)
    assert [(n.key, n.type, n.shape, n.data.size) for n in tensors.named] == [
        ("layer.weight", "FLOAT", (4, 4), 64),
        ("layer.bias", "FLOAT", (4,), 16),
    ]
    broken = bytearray(path.read_bytes())
    broken[32:40] = struct.pack("<Q", (1 << 64) - 8)
    with pytest.raises(Malformed):
        FLAT_TENSOR.parse(Held("t.ptd", bytes(broken)), Location("t.ptd"), Limits())


@given(data=st.data(), name=st.sampled_from(sorted(p.name for p in BENIGN.iterdir())))
@settings(max_examples=80, deadline=3000)
def test_broken_copies(data: st.DataObject, name: str) -> None:
    broken = bytearray((BENIGN / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    found = look(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    assert not [g for g in found.gaps if g.kind is GapKind.CRASHED]


def test_other_formats_of_the_family_are_gaps() -> None:
    for identifier in (b"PTMF", b"BP08"):
        found = look(flatbuffer({0: i32(1)}, identifier))
        assert [g.kind for g in found.gaps] == [GapKind.UNSUPPORTED]
