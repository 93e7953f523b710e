"""A small writer of flatbuffers, for hostile files: it writes what it is told, wrong or not.

A table is a dict from the number of a field to its value: bytes stand as they are (`i32(7)`),
tables, strings and lists become offsets.
"""

from __future__ import annotations

import struct
from typing import Any

Table = dict[int, Any]


class Raw(bytes):
    """A vector's bytes and how many elements they are."""

    elements: int


def u8(value: int) -> bytes:
    return struct.pack("<B", value & 0xFF)


def i32(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def vector(code: str, *values: float) -> Raw:
    made = Raw(struct.pack(f"<{len(values)}{code}", *values))
    made.elements = len(values)
    return made


def blob(data: bytes) -> Raw:
    return vector("B", *data)


def flatbuffer(root: Table, identifier: bytes) -> bytes:
    """The file: an offset to the root table, the identifier, then everything in order."""
    out = bytearray(8)
    out[4:8] = identifier
    waiting: list[tuple[int, Any]] = [(0, root)]

    def offset_to(at: int) -> None:
        out[at : at + 4] = struct.pack("<I", len(out) - at)

    while waiting:
        at, value = waiting.pop(0)
        out.extend(bytes(-len(out) % 8))
        if isinstance(value, dict):
            last = max(value, default=-1)
            fields, body = [0] * (last + 1), bytearray(4)
            inner: list[tuple[int, Any]] = []
            for number, made in value.items():
                inline = type(made) is bytes
                body.extend(bytes(-len(body) % 8) if inline and len(made) == 8 else b"")
                body.extend(bytes(-len(body) % 4) if not inline or len(made) >= 4 else b"")
                fields[number] = len(body)
                if not inline:
                    inner.append((len(body), made))
                body.extend(made if inline else bytes(4))
            listed = struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), len(body), *fields)
            listed += bytes(-len(listed) % 8)
            out.extend(listed)
            offset_to(at)
            start = len(out)
            body[:4] = struct.pack("<i", len(listed))
            out.extend(body)
            waiting.extend((start + place, made) for place, made in inner)
        elif isinstance(value, str):
            data = value.encode("utf-8", "surrogateescape")
            offset_to(at)
            out.extend(struct.pack("<I", len(data)) + data + b"\0")
        elif isinstance(value, Raw):
            offset_to(at)
            out.extend(struct.pack("<I", value.elements) + value)
        else:
            offset_to(at)
            out.extend(struct.pack("<I", len(value)))
            start = len(out)
            out.extend(bytes(4 * len(value)))
            waiting.extend((start + 4 * i, made) for i, made in enumerate(value))
    return bytes(out)
