"""A small writer of Protocol Buffers, for hostile files: it writes what it is told."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any


def varint(value: int) -> bytes:
    """A number as the wire has it; negative ones in 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(fields: Mapping[int, Any]) -> bytes:
    """Fields by number: an int, a float, text, bytes, a mapping (a message), or a list of such."""
    out = b""
    for number, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            out += _field(number, item)
    return out


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, Mapping):
        value = message(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data
