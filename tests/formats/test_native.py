"""Native programs: confirmed by the whole header, found where no tensor accounts for the bytes."""

from __future__ import annotations

import io
import json
import random
import sys
import zipfile
from pathlib import Path

import pytest

from programs import JAVA, WASM, elf, mach_o, pe, universal
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.leftover import SCANNED
from weighbridge.formats.native import program_at


def look(data: bytes, name: str = "m.bin", role: str = "") -> Examined:
    return examine(Held(name, data, role), load(), Limits())


def programs(examined: Examined) -> list[str]:
    return [f.symbol for f in examined.findings if f.check == "native-program"]


@pytest.mark.parametrize(
    ("data", "format", "kind", "use", "imports"),
    [
        (elf(("libc.so.6", "libm.so.6")), "elf", "ELF", "shared library",
         ("libc.so.6", "libm.so.6")),
        (elf(use=2, machine=183), "elf", "ELF", "program", ("libc.so.6",)),
        (pe(), "pe", "PE", "library", ("KERNEL32.dll",)),
        (pe(library=False), "pe", "PE", "program", ("KERNEL32.dll",)),
        (mach_o(), "mach-o", "Mach-O", "shared library", ("/usr/lib/libSystem.B.dylib",)),
        (universal(), "mach-o", "Mach-O", "universal binary", ()),
        (JAVA, "java-class", "Java", "class", ()),
        (WASM, "wasm", "WebAssembly", "module", ()),
    ],
)  # fmt: skip
def test_programs(data: bytes, format: str, kind: str, use: str, imports: tuple[str, ...]) -> None:
    examined = look(data)
    assert examined.record.formats == (format,)
    assert programs(examined) == [kind]
    (finding,) = examined.findings
    assert finding.action is Action.REVIEW
    assert use in finding.message
    rows = finding.evidence[0].rows  # type: ignore[union-attr]
    assert tuple(value for field, value in rows if field == "imports") == imports
    parts = 2 if use == "universal binary" else 1
    assert [g.kind for g in examined.gaps] == ["unsupported"] * parts


def test_the_interpreter_that_runs_this_test() -> None:
    data = Path(sys.executable).resolve().read_bytes()
    assert program_at(Held("python", data), 0) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(100), b"MZ" + bytes(200),
        b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + b"\xff" * 80, b"\xcf\xfa\xed\xfe" + b"\xff" * 90,
        b"\xca\xfe\xba\xbe" + b"\0\0\0\x02" + bytes(90), b"\0asm\x02\0\0\0",
    ],
)  # fmt: skip
def test_a_few_bytes_are_no_program(data: bytes) -> None:
    assert program_at(Held("x", data), 0) is None
    assert not set(look(data).record.formats) & {"elf", "pe", "mach-o", "java-class", "wasm"}


def test_random_bytes_are_no_program() -> None:
    noise = random.Random(1).randbytes(2 << 20)
    for magic in (b"\x7fELF\x02\x01\x01", b"MZ", b"\xcf\xfa\xed\xfe", b"#!"):
        data = b"".join(magic + noise[i : i + 4096] for i in range(0, len(noise), 4096))
        examined = look(data, role="leftover")
        assert examined.findings == ()
        assert len(examined.coverage) == 1


def tensors(extra: bytes, hole: bytes = b"") -> bytes:
    start = len(hole)
    header = {"w": {"dtype": "F32", "shape": [4], "data_offsets": [start, start + 16]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + hole + bytes(16) + extra


def zipped(extra: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "words")
    return made.getvalue() + extra


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (tensors(elf()), ["ELF"]),
        (tensors(bytes(1000) + pe()), ["PE"]),
        (tensors(b"", hole=b"\xff" * 77 + mach_o()), ["Mach-O"]),
        (tensors(random.Random(2).randbytes(5 << 20) + elf() + pe()), ["ELF", "PE"]),
        (zipped(b"-" * 50 + elf()), ["ELF"]),
        (b"\x80\x04N." + b"\xff" * 9 + elf(), ["ELF"]),
        (tensors(b""), []),
        (tensors(bytes(4000)), []),
        (tensors(b"\x7fELF\x02\x01\x01" * 50 + b"MZ" * 50), []),
    ],
)
def test_programs_in_no_tensor(data: bytes, found: list[str]) -> None:
    assert programs(look(data)) == found


def test_a_tensor_is_not_searched() -> None:
    """Weights may hold any bytes, also by an adversary's choice: nothing loads a program there."""
    body = b"\0" + elf()
    header = {"w": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}
    text = json.dumps(header).encode()
    assert programs(look(len(text).to_bytes(8, "little") + text + body)) == []


def test_a_script_behind_a_pickle() -> None:
    data = b"\x80\x04N." + b"\xff" * 9 + b"#!/bin/sh\ntrue\n"
    examined = look(data)
    assert ("script",) in [formats for _, _, formats in examined.identified]


def test_what_was_not_searched_is_a_gap() -> None:
    class Sparse:
        path, size, role = "x", SCANNED + 9, "leftover"

        def read(self, offset: int, n: int) -> bytes:
            return bytes(max(0, min(n, self.size - offset)))

    gaps = examine(Sparse(), load(), Limits()).gaps
    assert [g.kind for g in gaps] == ["too-large"]
