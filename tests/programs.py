"""Headers of native programs, built by code. None of them runs: there is no code behind them."""

from __future__ import annotations

import struct


def elf(needed: tuple[str, ...] = ("libc.so.6",), use: int = 3, machine: int = 62) -> bytes:
    """A 64-bit little-endian shared library with a dynamic section and nothing else."""
    strings, offsets = b"\0", []
    for name in needed:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    start = 64 + 2 * 56
    dynamic = b"".join(struct.pack("<QQ", 1, o) for o in offsets)
    dynamic += struct.pack("<QQQQ", 5, 0x1000 + start + len(dynamic) + 32, 0, 0)
    total = start + len(dynamic) + len(strings)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", use, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, total, total, 0x1000)
    points = struct.pack("<IIQQQQQQ", 2, 6, start, 0x1000 + start, 0, len(dynamic), 0, 8)
    return head + load + points + dynamic + strings


def pe(needed: tuple[str, ...] = ("KERNEL32.dll",), library: bool = True) -> bytes:
    """A 64-bit Windows library with one section that holds an import directory."""
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    flags = 0x2022 if library else 0x22
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, flags)
    optional = bytearray(240)
    optional[:2] = b"\x0b\x02"
    struct.pack_into("<H", optional, 68, 3)
    struct.pack_into("<II", optional, 120, 0x1000, 20 * (len(needed) + 1))
    raw = 64 + 24 + 240 + 40
    names, table = b"", b""
    for name in needed:
        address = 0x1000 + 20 * (len(needed) + 1) + len(names)
        table += struct.pack("<IIIII", 0, 0, 0, address, 0)
        names += name.encode() + b"\0"
    body = table + bytes(20) + names
    section = b".idata\0\0" + struct.pack("<IIII", len(body), 0x1000, len(body), raw) + bytes(16)
    return head + coff + bytes(optional) + section + body


def mach_o(needed: tuple[str, ...] = ("/usr/lib/libSystem.B.dylib",)) -> bytes:
    """A 64-bit macOS library with its load commands."""
    commands = b""
    for name in needed:
        text = name.encode() + b"\0"
        text += bytes(-len(text) % 8)
        commands += struct.pack("<IIIIII", 0xC, 24 + len(text), 24, 0, 0, 0) + text
    head = struct.pack("<IIIIIII", 0xFEEDFACF, 0x100000C, 0, 6, len(needed), len(commands), 0)
    return head + bytes(4) + commands


def universal() -> bytes:
    """A macOS universal binary with two architectures."""
    part = mach_o()
    first = 8 + 2 * 20
    head = struct.pack(">II", 0xCAFEBABE, 2)
    head += struct.pack(">IIIII", 0x1000007, 3, first, len(part), 0)
    head += struct.pack(">IIIII", 0x100000C, 0, first + len(part), len(part), 0)
    return head + part + part


JAVA = b"\xca\xfe\xba\xbe\0\0\0\x41\0\x10\x0a" + bytes(60)
WASM = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0"
