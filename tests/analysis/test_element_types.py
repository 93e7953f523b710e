"""Elements are read as ggml, NumPy and the bits themselves say."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.analysis.element_types import TYPES
from weights import CONVERSIONS

BLOCKS = np.load(CONVERSIONS / "blocks.npz")
CODED = [name for name, kind in TYPES.items() if kind.coded is not None]


@pytest.mark.parametrize("name", CODED)
def test_blocks_are_read_as_ggml_reads_them(name: str) -> None:
    read = TYPES[name].decode(BLOCKS[f"{name} plain"].tobytes())
    assert read.tolist() == BLOCKS[f"{name} read"].tolist()


@pytest.mark.parametrize(
    ("name", "data", "values"),
    [
        ("F32", struct.pack("<2f", 1.5, -2), [1.5, -2]),
        ("F16", struct.pack("<2e", 1.5, -2), [1.5, -2]),
        ("F64", struct.pack("<2d", 1.5, -2), [1.5, -2]),
        ("BF16", b"\xc0\x3f\x00\xc0", [1.5, -2]),
        ("F8_E4M3", b"\x38\xb8\x7e\x01", [1, -1, 448, 2.0**-9]),
        ("F8_E5M2", b"\x3c\xbc\x7b\x01", [1, -1, 57344, 2.0**-16]),
        ("I8", b"\x01\xff", [1, -1]),
        ("U16", b"\x01\x02", [513]),
        ("I64", struct.pack("<q", -7), [-7]),
        ("BOOL", b"\x00\x01", [0, 1]),
    ],
)
def test_plain_types(name: str, data: bytes, values: list[float]) -> None:
    assert TYPES[name].decode(data).tolist() == values


def test_what_is_no_number() -> None:
    assert np.isnan(TYPES["F8_E4M3"].decode(b"\x7f\xff")).all()
    assert TYPES["F8_E5M2"].decode(b"\x7c\xfc").tolist() == [np.inf, -np.inf]
    assert np.isnan(TYPES["F8_E5M2"].decode(b"\x7d")).all()


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_any_bytes_are_numbers(name: str, data: st.DataObject) -> None:
    kind = TYPES[name]
    count = data.draw(st.integers(0, 3))
    raw = data.draw(st.binary(min_size=kind.width * count, max_size=kind.width * count))
    read = kind.decode(raw)
    assert read.dtype == np.float32
    assert read.shape == (kind.block * count,)
