"""Protocol Buffers' wire format."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protobufs import message, varint
from weighbridge.core.document import Malformed
from weighbridge.core.tree import Held
from weighbridge.formats.protobuf import Kind, Message, Schema, Wire, many, one

INNER = Schema("Inner", {1: one("n", Kind.INT), 2: many("more", Kind.INT)})
OUTER = Schema(
    "Outer",
    {
        1: one("number", Kind.INT),
        2: one("name", Kind.TEXT),
        3: one("inner", INNER),
        4: many("inners", INNER),
        5: many("floats", Kind.FLOAT),
        6: one("bytes", Kind.RANGE),
        7: one("yes", Kind.BOOL),
    },
)
OUTER.fields[8] = one("self", OUTER)


def read(data: bytes) -> Message:
    return Wire(Held("m", data)).decode(OUTER)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (message({1: 5}), {"number": 5}),
        (message({1: -5}), {"number": -5}),
        (message({1: [1, 2, 3]}), {"number": 3}),
        (message({2: "ü"}), {"name": "ü"}),
        (message({2: b"\xff"}), {"name": "\\xff"}),
        (message({5: [1.0, 2.0]}), {"floats": [1.0, 2.0]}),
        (message({5: b"\0\0\x80\x3f\0\0\0\x40"}), {"floats": [1.0, 2.0]}),
        (message({7: 1}), {"yes": True}),
        (message({99: "unknown", 1: 1}), {"number": 1}),
        (message({1: "not a number"}), {}),
        (message({6: b"1234"}), {"bytes": (2, 6)}),
    ],
)
def test_values(data: bytes, expected: Message) -> None:
    assert read(data) == {"": (0, len(data)), **expected}


def test_messages_that_stand_twice_are_merged() -> None:
    made = read(message({3: [{1: 1, 2: [7]}, {2: b"\x08\x09"}], 4: [{1: 2}, {1: 3}]}))
    assert (made["inner"]["n"], made["inner"]["more"]) == (1, [7, 8, 9])
    assert [m["n"] for m in made["inners"]] == [2, 3]


DEEP = b""
for _ in range(200):
    DEEP = varint(8 << 3 | 2) + varint(len(DEEP)) + DEEP


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x08", "in the middle"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x12\x05ab", "longer than its message"),
        (b"\x1a\x02\x12\x09", "longer than its message"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x01", "impossible number"),
        (b"\x2d\x00", "in the middle"),
        (DEEP, "nested"),
    ],
)
def test_malformed(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        read(data)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with suppress(Malformed):
        read(data)


def test_weights_are_not_read() -> None:
    class Counted:
        path, role, size = "big", "", 1 << 40
        read_bytes = 0
        head = message({1: 7}) + varint(6 << 3 | 2) + varint((1 << 40) - 100)

        def read(self, offset: int, n: int) -> bytes:
            self.read_bytes += n
            data = self.head[offset : offset + n]
            tail = message({2: "x"}) + message({99: bytes(100)})
            start = (1 << 40) - 100 + len(self.head)
            if offset >= start:
                data = tail[offset - start : offset - start + n]
            return data.ljust(min(n, self.size - offset), b"\x60")

    blob = Counted()
    with pytest.raises(Malformed):  # what follows the weights is cut off
        Wire(blob).decode(OUTER)
    assert blob.read_bytes < 64 << 10
