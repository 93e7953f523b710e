"""MessagePack and Orbax: arrays that do not fit, extensions, what hides in strings."""

from __future__ import annotations

import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from pickles import RUNS
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.msgpack import MSGPACK

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BENIGN = Path(__file__).parents[1] / "benign" / "files"


class Ext:
    def __init__(self, code: int, data: bytes) -> None:
        self.code, self.data = code, data


def pack(value: Any) -> bytes:
    """MessagePack of a value; bytes are `bin`."""
    if isinstance(value, Ext):
        return b"\xc9" + struct.pack(">Ib", len(value.data), value.code) + value.data
    if isinstance(value, dict):
        inner = b"".join(pack(k) + pack(v) for k, v in value.items())
        return b"\xde" + struct.pack(">H", len(value)) + inner
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(pack, value))
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, bool) or value is None:
        return b"\xc0" if value is None else b"\xc3" if value else b"\xc2"
    return b"\xd3" + struct.pack(">q", value)


def array(shape: list[int], kind: str, data: bytes, code: int = 1) -> Ext:
    return Ext(code, pack([shape, kind, data]))


def look(value: Any, name: str = "flax_model.msgpack") -> Examined:
    data = value if isinstance(value, bytes) else pack(value)
    return examine(Held(name, data), load(), Limits())


def said(value: Any) -> list[tuple[str, Action]]:
    return [(f.check, f.action) for f in look(value).findings]


KERNEL = array([2, 3], "float32", bytes(24))
FINE = {"params": {"kernel": KERNEL, "bias": array([3], "bfloat16", bytes(6))}, "step": 3}


def test_flax() -> None:
    examined = look({**FINE, "n": array([], "int64", bytes(8), 3), "z": Ext(2, pack([1, 2]))})
    assert examined.record.formats == ("msgpack",)
    assert (examined.findings, examined.gaps) == ((), ())
    (row,) = examined.coverage
    assert row.seen <= row.size - 38


@pytest.mark.parametrize(
    "wrong",
    [
        array([2, 3], "float32", bytes(23)),
        array([1 << 40, 1 << 40], "float32", bytes(4)),
        array([2], "object", bytes(16)),
        array([2], "O", bytes(16)),
    ],
)
def test_arrays_that_do_not_fit(wrong: Ext) -> None:
    assert said({**FINE, "w": wrong}) == [("flax-array", Action.REVIEW)]


@pytest.mark.parametrize("unknown", [Ext(42, b"x" * 30), Ext(1, pack([1, 2])), Ext(2, bytes(99))])
def test_extensions_that_are_not_known_are_gaps(unknown: Ext) -> None:
    examined = look({**FINE, "w": unknown})
    assert [g.kind for g in examined.gaps] == [GapKind.UNSUPPORTED]


@pytest.mark.parametrize(
    "hidden",
    [
        Ext(5, RUNS),
        RUNS,
        RUNS.decode("latin-1").encode("latin-1"),
        {"nd": True, "kind": b"O", "data": RUNS, "shape": [1]},
        [[{"deep": RUNS}]],
    ],
)
def test_a_pickle_inside_is_found(hidden: Any) -> None:
    found = [f for f in look({**FINE, "w": hidden}).findings if f.action is Action.BLOCK]
    assert "os.system" in {f.symbol for f in found}


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"a": 1}),
        pack(FINE)[:-1],
        pack(FINE) + b"\0",
        b"\x81\xa1a" + b"\x91" * 500 + b"\xc0",
        b"\xdf\xff\xff\xff\xff\xa1a\x01",
        b"\x81\xa1a\xc1",
        b"\x81\x91\x01\x02",
    ],
)
def test_what_is_no_msgpack(data: bytes) -> None:
    assert not MSGPACK.sniff(Sample(Held("x", data)))


def test_a_file_that_ends_late_is_a_gap() -> None:
    many = {"rows": [[i] * 50 for i in range(999)]}
    assert [g.kind for g in look(pack(many) + b"more").gaps] == [GapKind.MALFORMED]


def test_orbax(tmp_path: Path) -> None:
    manifest = (BENIGN / "orbax/checkpoint/manifest.ocdbt").read_bytes()
    for data in (manifest[:-9], manifest[:12] + b"\x01" + manifest[13:]):
        assert [g.kind for g in look(data, "manifest.ocdbt").gaps] == [GapKind.MALFORMED]
    (tmp_path / "manifest.ocdbt").write_bytes(manifest)
    missing = [g.kind for g in run(tmp_path).gaps if "not here" in g.message]
    assert missing == [GapKind.NOT_GIVEN]


def test_a_pickle_among_the_files_of_a_store_is_found() -> None:
    name = "checkpoint/d/" + "0a" * 16
    assert look(b"\xf7\xf6" * 90, name).record.formats == ("ocdbt-data",)
    assert look(b"\xf7\xf6" * 90, name).gaps == ()
    for hidden in (RUNS, zstd.compress(RUNS)):
        found = look(hidden, name).findings
        assert ("pickle-acting-call", Action.BLOCK) in [(f.check, f.action) for f in found]
    arrays = zstd.compress(bytes(9_000)) + zstd.compress(b"\xff" * 999)
    assert (look(arrays, name).findings, look(arrays, name).gaps) == ((), ())
