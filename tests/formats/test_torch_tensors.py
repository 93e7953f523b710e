"""Where the tensors of an archive lie, told by archives that the real libraries wrote."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.core.document import Malformed
from weighbridge.core.fact import TensorEntry
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.zip import ZIP, Zip
from weights import CONVERSIONS

BIN = (CONVERSIONS / "pytorch_model.bin").read_bytes()
PLAIN = (CONVERSIONS / "model.safetensors").read_bytes()


def entries(data: bytes) -> dict[str, TensorEntry]:
    assert ZIP.parse is not None
    document = ZIP.parse(Held("x", data), Location("x"), Limits())
    assert isinstance(document, Zip)
    return {t.name: t for fact in document.facts() for t in fact.tensors}


def test_the_bytes_are_those_of_the_tensors() -> None:
    found = entries(BIN)
    assert len(found) == 12
    for entry in found.values():
        assert entry.dtype == "BF16"
        assert BIN[entry.start : entry.start + entry.size] in PLAIN
    assert found["model.layers.0.self_attn.q_proj.weight"].shape == (32, 256)


def test_names_from_the_memo() -> None:
    """A stretch of plain values holds the names of weights and storages, and both are asked for by
    their places in the memo."""
    path = Path(__file__).parents[1] / "benign/files/torch/state-dicts/names-first.pt"
    found = entries(path.read_bytes())
    assert {name: entry.shape for name, entry in found.items()} == {
        "layer.0.weight": (3, 2), "layer.0.bias": (3,),
        "layer.1.weight": (2, 3), "layer.1.bias": (2,),
    }  # fmt: skip
    assert all(entry.start > 0 for entry in found.values())


def test_arrays() -> None:
    made = io.BytesIO()
    values = np.arange(6.0).reshape(2, 3)
    np.savez(made, a=values, f=np.asfortranarray(values), text=np.array(["x"]))
    data = made.getvalue()
    found = entries(data)
    assert set(found) == {"a", "f"}
    at = found["a"]
    assert np.frombuffer(data[at.start : at.start + at.size], "<f8").tolist() == [0, 1, 2, 3, 4, 5]
    assert found["f"].start == -1
    made = io.BytesIO()
    np.savez_compressed(made, a=values)
    assert entries(made.getvalue())["a"].start == -1


def state(shape: str, strides: str, offset: int = 0, kind: str = "FloatStorage") -> bytes:
    """A torch archive of one tensor of eight numbers, its pickle written by hand."""
    pickled = (
        "(dVw\nctorch._utils\n_rebuild_tensor_v2\n"
        f"((Vstorage\nctorch\n{kind}\nV0\nVcpu\nI8\ntQI{offset}\n({shape}t({strides}t"
        "I00\nccollections\nOrderedDict\n(tRtRs."
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/0", bytes(32))
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "in_one_piece"),
    [
        (state("I2\nI4\n", "I4\nI1\n"), True),
        (state("I1\nI8\n", "I99\nI1\n"), True),
        (state("I2\nI3\n", "I3\nI1\n", offset=2), True),
        (state("I2\nI4\n", "I1\nI2\n"), False),
        (state("I2\nI3\n", "I4\nI1\n"), False),
        (state("I2\nI4\n", "I4\nI1\n", offset=1), False),
        (state("I8\n", "I0\n"), False),
    ],
)
def test_strides(data: bytes, in_one_piece: bool) -> None:
    (entry,) = entries(data).values()
    assert (entry.start >= 0) == in_one_piece


def test_what_is_no_tensor() -> None:
    assert entries(state("I2\nI4\n", "I4\nI1\n", kind="OddStorage")) == {}
    assert entries(state("I-2\n", "I1\n")) == {}
    assert entries(state("Vx\n", "I1\n")) == {}


@given(data=st.data())
@settings(max_examples=80, deadline=3000)
def test_broken_pickles(data: st.DataObject) -> None:
    broken = bytearray(state("I2\nI4\n", "I4\nI1\n"))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, 200))
        broken[at] = data.draw(st.integers(0, 255))
    try:
        for entry in entries(bytes(broken)).values():
            assert entry.start + entry.size <= len(broken)
            msgspec.msgpack.encode(entry)
    except Malformed as error:
        assert error.why
