"""The pickle interpreter: against CPython's own unpickler, and on any bytes."""

from __future__ import annotations

import io
import pickle
import random
import time
from collections import OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import pickle_oracle
from large_files import Sparse
from pickles import BLOCKED, QUIET, REVIEWED, RUNS, call, name, text, whole
from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats import pickle_machine
from weighbridge.formats.pickle import PICKLE, Pickle
from weighbridge.formats.pickle_machine import members, pairs
from weighbridge.formats.pickle_values import Call, Global

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
BENIGN = Path(__file__).parents[1] / "benign" / "files"


def parse(data: bytes) -> Pickle:
    assert PICKLE.parse is not None
    document = PICKLE.parse(Held("x", data), Location("x"), Limits())
    assert isinstance(document, Pickle)
    return document


def ours(data: bytes) -> tuple[set[tuple[Any, Any]], bool, bool]:
    """Names up to where the first stream ends, whether it is whole, whether all are literal."""
    try:
        document = parse(data)
    except Malformed:
        return set(), False, True
    first = document.streams[0]
    found = [g for g in document.imports if g.offset < first.end]
    literal = all(isinstance(n, str) for g in found for n in (g.module, g.name))
    return {(g.module, g.name) for g in found}, first.broken is None, literal


def assert_same_names(data: bytes, label: str) -> None:
    """A pickle that the real unpickler reads whole asks for exactly the names we report.

    One that it breaks on has asked for some of ours and for nothing else. A name that the pickle
    computes by calling functions cannot be compared: under the oracle those return nothing.
    """
    asked, whole_there = pickle_oracle.names(data)
    found, _, literal = ours(data)
    if not literal:
        return
    if whole_there:
        assert found == set(asked), label
    else:
        assert set(asked) <= found, label


@pytest.mark.parametrize("case", [*BLOCKED, *REVIEWED])
def test_built_pickles_against_the_oracle(case: str) -> None:
    data = (BLOCKED | REVIEWED)[case][0]
    assert_same_names(data, case)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the sample corpus is not beside the checkout")
def test_corpus_against_the_oracle() -> None:
    compared = 0
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.stat().st_size < 1 << 20:
            data = path.read_bytes()
            if PICKLE.sniff(Sample(Held("x", data))):
                assert_same_names(data, path.name)
                compared += 1
    assert compared > 100


def test_benign_files_against_the_oracle() -> None:
    compared = 0
    for path in sorted(BENIGN.rglob("*.pkl"))[:150]:
        data = path.read_bytes()
        if PICKLE.sniff(Sample(Held("x", data))):
            assert_same_names(data, path.name)
            compared += 1
    assert compared > 50


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.decimals(allow_nan=False) | st.datetimes() | st.just(OrderedDict)
    | st.just(PurePosixPath("a/b"))
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
        | st.lists(inner).map(lambda v: OrderedDict(enumerate(v)))
        | st.frozensets(st.integers()) | st.lists(inner).map(tuple)
    ),
    max_leaves=30,
)  # fmt: skip


class _Asking(pickle.Unpickler):
    """Safe here: the pickles are our own."""

    asked: set[tuple[str, str]]

    def find_class(self, module: str, name: str) -> Any:
        self.asked.add((module, name))
        return super().find_class(module, name)


@given(values, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_generated_pickles(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol=protocol)
    asking = _Asking(io.BytesIO(data))
    asking.asked = set()
    asking.load()
    document = parse(data)
    assert {(g.module, g.name) for g in document.imports} == asking.asked
    assert [s.broken for s in document.streams] == [None]
    assert document.seen == len(data)


@given(st.binary(max_size=400))
@settings(max_examples=400, deadline=1000)
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    PICKLE.sniff(Sample(Held("x", data)))
    try:
        parse(data)
    except Malformed as error:
        assert error.why


OPCODES = (
    b"(.012FNPQRSTUVXabcdeghijlopqrstu}])GIJKLMBC"
    b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f"
    b"\x90\x91\x92\x93\x94\x95\x96\x97\x98"
)


@given(st.lists(st.sampled_from(list(OPCODES)) | st.integers(0, 255), max_size=120).map(bytes))
@settings(max_examples=400, deadline=1000)
def test_any_opcodes_parse_or_are_malformed(data: bytes) -> None:
    try:
        parse(b"\x80\x04" + data)
    except Malformed as error:
        assert error.why


@pytest.mark.parametrize("case", [*BLOCKED, *QUIET])
def test_flipped_bytes_never_crash(case: str) -> None:
    data = BLOCKED[case][0] if case in BLOCKED else QUIET[case]
    rng = random.Random(case)
    for _ in range(60 if len(data) < 5_000 else 5):
        broken = bytearray(data)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        try:
            parse(bytes(broken))
        except Malformed:
            continue


HOSTILE_SIZES = {
    "memo from the start": b"\x80\x04" + b"K\x01\x94" * 300_000 + b".",
    "marks": b"\x80\x04" + b"(" * 1_000_000 + b".",
    "nested tuples": b"\x80\x04N" + b"\x85" * 1_000_000 + b".",
    "shared tuples": b"\x80\x04N" + b"2\x86" * 200_000 + b"R.",
    "wrong memo order": b"\x80\x02(" + (b"K\x01q\x07" * 24 + b"J\0\0\0\0") * 20_000 + b"t.",
    "lists that never close": b"\x80\x02" + b"](" * 300_000 + b".",
    "calls of calls": b"\x80\x04cos\nsystem\n" + b")R" * 300_000 + b".",
    "nested names": b"\x80\x04" + text("os") + (text("a") + b"\x93") * 100_000 + b".",
    "huge string": b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"x",
    "huge memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
    "long line": b"I" + b"1" * 2_000_000 + b"\n.",
    "line without end": b"c" + b"a" * 6_000_000,
    "many headers": b"\x80\x04." + b"\x80\x04(" * 200_000,
}


@pytest.mark.parametrize("case", HOSTILE_SIZES)
def test_hostile_sizes_end_in_bounded_time(case: str) -> None:
    from weighbridge.engine.examine import examine
    from weighbridge.engine.ruleset import load

    examined = examine(Held("x.pkl", HOSTILE_SIZES[case]), load(), Limits())
    assert not [g for g in examined.gaps if g.kind == "crashed"]


def test_a_run_is_spelled_out_when_something_looks_into_it() -> None:
    data = pickle.dumps([(i, f"s{i}", 0.5) for i in range(500)], protocol=4)
    document = parse(data + b"")
    assert document.seen == len(data)
    body = b"](" + b"".join(b"K" + bytes([i]) for i in range(100)) + b"e"
    (made,) = parse(whole(call(name("builtins", "sum"), body))).calls
    assert members(made.args[0]) == list(range(100))


def test_values_are_kept_as_expressions() -> None:
    (made,) = parse(pickle.dumps(defaultdict(list, a=1), protocol=2)).calls
    assert isinstance(made.callee, Global)
    assert (made.callee.module, made.callee.name, made.how) == (
        "collections", "defaultdict", "REDUCE",
    )  # fmt: skip
    document = parse(pickle.dumps(Decimal("1.5")))
    assert [c.args for c in document.calls] == [("1.5",)]
    (state,) = [c.state for c in parse(pickle.dumps(_WithState(), protocol=2)).calls]
    assert list(pairs(state)) == [("inner", 3)]


class _WithState:
    def __init__(self) -> None:
        self.inner = 3


def test_positions_are_those_of_the_opcodes() -> None:
    data = whole(call(name("os", "getcwd")))
    (made,) = parse(data).calls
    assert isinstance(made, Call)
    assert data[made.offset : made.offset + 1] == b"R"
    assert isinstance(made.callee, Global)
    assert data[made.callee.offset : made.callee.offset + 1] == b"\x93"


def test_reads_through_a_sliding_window() -> None:
    """A value that is larger than the window is passed over, not loaded."""

    class Counting:
        path, role = "big", ""
        size = 64 << 20
        read_bytes = 0

        def read(self, offset: int, n: int) -> bytes:
            head = b"\x80\x04\x8e" + (self.size - 12).to_bytes(8, "little")
            data = head if offset == 0 else b""
            n = min(n, self.size - offset)
            self.read_bytes += n
            filled = data + b"\x00" * (n - len(data))
            return filled[: n - 1] + b"." if offset + n == self.size else filled[:n]

    blob = Counting()
    assert PICKLE.parse is not None
    started = time.perf_counter()
    document = PICKLE.parse(blob, Location("big"), Limits(held=1 << 20))
    assert time.perf_counter() - started < 20
    assert isinstance(document, Pickle)
    assert document.streams[0].broken is None
    assert blob.read_bytes < 16 << 20


def test_a_length_of_safetensors_is_no_header() -> None:
    """Little-endian lengths begin like a pickle once in a few thousand files."""
    for length in (0x0480, 0x0280, 0x280480):
        head = length.to_bytes(8, "little") + b'{"w":{"dtype":"F32"'
        assert not PICKLE.sniff(Sample(Held("model.safetensors", head)))
    for data in (RUNS, b"\x80\x04cos\nx\n\0\0\0\0", b"\x80\x04N\0\0", b"\x80\x04]."):
        assert PICKLE.sniff(Sample(Held("x", data)))


def test_more_names_than_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "NAMES_KEPT", 3)
    names = b"".join(b"ca\nb%d\n0" % i for i in range(5))
    document = parse(b"\x80\x02cos\nsystem\n0" + names + b"N.")
    assert [g.name for g in document.imports] == ["system", "b0", "b1"]
    assert [g.kind for g in document.gaps] == ["too-large"]
    assert "3 different names" in document.gaps[0].message


def test_what_was_read_before_memory_ran_out_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(self: Any, index: int, value: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(pickle_machine.Machine, "put", put)
    document = parse(b"\x80\x02cos\nsystem\nX\2\0\0\0id\x85R]q\0.")
    assert [c.callee.name for c in document.calls if isinstance(c.callee, Global)] == ["system"]
    assert [(g.kind, "memory limit" in g.message) for g in document.gaps] == [("too-large", True)]


def test_a_far_string_is_read_whole_only_if_it_may_be_a_payload() -> None:
    for begin, read in ((bytes(4096), False), (RUNS, True), (b"x = 1\nimport os\n", True)):
        size = (32 << 20) + len(begin)
        blob = Sparse("x").add(b"\x80\x04\x8e" + size.to_bytes(8, "little") + begin)
        assert PICKLE.parse is not None
        document = PICKLE.parse(blob.zeros(32 << 20).add(b"."), Location("x"), Limits())
        assert (blob.taken > 32 << 20) is read
        assert isinstance(document, Pickle)
        assert bool(document.embedded) is read
