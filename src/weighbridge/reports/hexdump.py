"""Bytes as a hex dump: offset, hexadecimal, and what of them is ASCII."""

from __future__ import annotations

from weighbridge.core.evidence import Bytes

WIDE, NARROW = 16, 8
"""How many bytes stand in a row."""


def columns(width: int) -> int:
    """How many characters wide a row of so many bytes is."""
    return len(_row(bytes(width), 0, width))


def rows(evidence: Bytes, limit: int, width: int = WIDE) -> tuple[list[str], int]:
    """The first `limit` rows, and how many rows are left out."""
    data = bytes.fromhex(evidence.hex)
    starts = range(0, len(data), width)
    shown = [_row(data[at : at + width], evidence.offset + at, width) for at in starts[:limit]]
    return shown, len(starts) - len(shown)


def _row(piece: bytes, offset: int, width: int) -> str:
    legible = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
    return f"{offset:08x}  {piece.hex(' '):<{3 * width - 1}}  {legible}"
