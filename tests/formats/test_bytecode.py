"""Compiled Python: read as each version marshals it, shown as CPython's own `dis` reads it."""

from __future__ import annotations

import base64
import dis
import importlib.util
import marshal
import opcode
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.analysis.disassembly import LINES, disassembly
from weighbridge.core.document import Malformed
from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.bytecode import BYTECODE, Bytecode
from weighbridge.formats.marshalled import Code, read_code
from weighbridge.intel import opcodes

SOURCE = """
def fetch(cmd, n=2):
    import os
    try:
        return [os.system(cmd + str(i)) for i in range(n)]
    except OSError as error:
        print(error)
fetch("id")
"""
"""What the samples below were compiled from, by the interpreters themselves (no first line)."""
SAMPLES = {
    "3.10": (
        "YwAAAAAAAAAAAAAAAAAAAAADAAAAQAAAAHMWAAAAZAVkAWQChAFaAGUAZAODAQEAZARTACkG6QIAAABjAgAAAAAA"
        "AAAAAAAAAwAAAAoAAAADAAAAc1IAAABkAWQAbACJAXoNhwCHAWYCZAJkA4QIdAF8AYMBRACDAVcAUwAEAHQCeSgB"
        "AH0CAQB6C3QDfAKDAQEAVwBZAGQAfQJ+AmQAUwBkAH0CfgJ3AXcAKQRO6QAAAABjAQAAAAAAAAAAAAAAAgAAAAcA"
        "AAATAAAAcx4AAABnAHwAXQt9AYgBoACIAHQBfAGDARcAoQGRAnECUwCpACkC2gZzeXN0ZW3aA3N0cikC2gIuMNoB"
        "aakC2gNjbWTaAm9zcgIAAAD6BG0ucHnaCjxsaXN0Y29tcD4EAAAAcwIAAAAeAHoZZmV0Y2guPGxvY2Fscz4uPGxp"
        "c3Rjb21wPikEcgkAAADaBXJhbmdl2gdPU0Vycm9y2gVwcmludCkDcggAAADaAW7aBWVycm9ycgIAAAByBwAAAHIK"
        "AAAA2gVmZXRjaAEAAABzDgAAAAgBAgEaAQ4BFgEIgAL/chEAAADaAmlkTikBcgAAAAApAXIRAAAAcgIAAAByAgAA"
        "AHICAAAAcgoAAADaCDxtb2R1bGU+AQAAAHMEAAAACgAMBg=="
    ),
    "3.12": (
        "YwAAAAAAAAAAAAAAAAMAAAAAAAAA8xwAAACXAGQEZAGEAVoAAgBlAGQCqwEAAAAAAAABAHkDKQXpAgAAAGMCAAAA"
        "AAAAAAAAAAAJAAAAAwAAAPPAAAAAlwBkAWQAbAB9AgkAdAMAAAAAAAAAAHwBqwEAAAAAAABEAI8DYwJnAGMCXR8A"
        "AH0DfAJqBQAAAAAAAAAAAAAAAAAAAAAAAHwAdAcAAAAAAAAAAHwDqwEAAAAAAAB6AAAAqwEAAAAAAACRAowhBABj"
        "An0DUwBjAgEAYwJ9A3cAIwB0CAAAAAAAAAAAJAByFX0EdAsAAAAAAAAAAHwEqwEAAAAAAAABAFkAZAB9BH4EeQBk"
        "AH0EfgR3AXcAeANZAHcBKQJO6QAAAAApBtoCb3PaBXJhbmdl2gZzeXN0ZW3aA3N0ctoHT1NFcnJvctoFcHJpbnQp"
        "BdoDY21k2gFucgQAAADaAWnaBWVycm9ycwUAAAAgICAgIPoEbS5wedoFZmV0Y2hyDwAAAAEAAABzTAAAAIAA2wQN"
        "8AIDBRXcMTawcbMY1g86qEGQApcJkQmYI6QDoEGjBpks1RAn0g860Ag6+dIPOvjcCxLyAAEFFdwIDYhljwyJDPvw"
        "AwEFFfpzIQAAAIYNPwCTJDoEtwI/ALoFPwC/CUEdA8EIC0EYA8EYBUEdA9oCaWROKQFyAQAAACkBcg8AAACpAPMA"
        "AAAAcg4AAAD6CDxtb2R1bGU+chMAAAABAAAAcxMAAADwAwEBAfMCBQEV8QwAAQaAZIULchIAAAA="
    ),
    "3.13": (
        "YwAAAAAAAAAAAAAAAAMAAAAAAAAA8x4AAACVAFMEUwEaAGoBcgBcACIAUwI1AQAAAAAAACAAZwMpBekCAAAAYwIA"
        "AAAAAAAAAAAAAAkAAAADAAAA88YAAACVAFMBUwBLAG4CHgBbAwAAAAAAAAAAVQE1AQAAAAAAABMAVgNzAi8AcwIT"
        "AEgfAABvMlIFAAAAAAAAAAAAAAAAAAAAAAAAVQBbBwAAAAAAAAAAVQM1AQAAAAAAAC0AAAA1AQAAAAAAAFACTSEA"
        "AAsAIABzAm4DJABzAiAAcwJuA2YAIQBbCAAAAAAAAAAABwBhFQAAbgRbCwAAAAAAAAAAVQQ1AQAAAAAAACAAHwBT"
        "AG4EQQRnAFMAbgRBBGYBZgA9Ax8AZgEpAk7pAAAAACkG2gJvc9oFcmFuZ2XaBnN5c3RlbdoDc3Ry2gdPU0Vycm9y"
        "2gVwcmludCkF2gNjbWTaAW5yBAAAANoBadoFZXJyb3JzBQAAACAgICAg2gRtLnB52gVmZXRjaHIPAAAAAQAAAHNO"
        "AAAAgADbBA3wAgMFFdwxNrBxtBjTDzqyGKhBlwmRCZgjpAOgQaMGmSzWECexGNEPOtAIOvnSDzr43AsS8wABBRXc"
        "CA2IZY8MiQz78AMBBRX6cyUAAACGDUEBAJMmPAS5AkEBALwFQQEAwQEKQSADwQsLQRsDwRsFQSAD2gJpZE4pAXIB"
        "AAAAKQFyDwAAAKkA8wAAAAByDgAAANoIPG1vZHVsZT5yEwAAAAEAAABzEwAAAPADAQEB9AIFARXxDAABBoBkhQty"
        "EgAAAA=="
    ),
    "3.14": (
        "YwAAAAAAAAAAAAAAAAMAAAAAAAAA8yAAAACAAFIEUgEXAGwBdABdACEAUgI0AQAAAAAAAB8AUgMjACkF6QIAAABj"
        "AgAAAAAAAAAAAAAACQAAAAMAAADz0AAAAIAAXgBSAUkAcAIbAFwDAAAAAAAAAABWATQBAAAAAAAAEABVA3UCLgB1"
        "AkYjAABxMlAFAAAAAAAAAAAAAAAAAAAAAAAAVgBcBwAAAAAAAAAAVgM0AQAAAAAAACwAAAAAAAAAAAAAADQBAAAA"
        "AAAATgJLJQAACQAeAHUCcAMjAHUCHwB1AnADaQAgAFwIAAAAAAAAAAAGAGQXAAAcAHAEXAsAAAAAAAAAAFQENAEA"
        "AAAAAAAfAB0AUgFwBD8EUgEjAFIBcAQ/BGkBaQA7Ax0AaQEpAukAAAAATikG2gJvc9oFcmFuZ2XaBnN5c3RlbdoD"
        "c3Ry2gdPU0Vycm9y2gVwcmludCkF2gNjbWTaAW5yBAAAANoBadoFZXJyb3JzBQAAACYmICAg2gRtLnB52gVmZXRj"
        "aHIPAAAAAQAAAHNOAAAAgADbBA3wAgMFFdwxNrBxtBjTDzqxGKhBlwmRCZgjpAOgQaMGnSzWECexGNEPOtAIOvnS"
        "Dzr43AsS9AABBRXcCA2IZY8Migz78AMBBRX6cyUAAACGDUEEAJMpPwS8AkEEAL8FQQQAwQQLQSUDwQ8LQSADwSAF"
        "QSUD2gJpZE4pAXIBAAAAKQFyDwAAAKkA8wAAAAByDgAAANoIPG1vZHVsZT5yEwAAAAEAAABzEwAAAPADAQEB9AIF"
        "ARXxDAABBoBkhgtyEgAAAA=="
    ),
}
OWN = "{}.{}".format(*sys.version_info[:2])


def pack(value: Any) -> bytes:
    """Marshal one object as CPython does without references."""
    if isinstance(value, str):
        return b"z" + bytes([len(value)]) + value.encode()
    if isinstance(value, bytes):
        return b"s" + len(value).to_bytes(4, "little") + value
    if isinstance(value, tuple):
        return b")" + bytes([len(value)]) + b"".join(map(pack, value))
    return b"N" if value is None else b"i" + value.to_bytes(4, "little", signed=True)


def marshalled(version: str, instructions: str, consts: tuple[Any, ...], names: str) -> bytes:
    """A code object of a version, from the names of its instructions and their arguments."""
    known = {o.name: number for number, o in opcodes.of(version).opcodes.items()}
    words = [w.partition(":") for w in instructions.split()]
    code = bytes(b for name, _, arg in words for b in (known[name], int(arg or 0)))
    new, counts = version in ("3.11", "3.12"), [0, 0, 0, 2, 64]
    used = (code, consts, tuple(names.split()))
    fields: tuple[Any, ...] = (*used, (), b"", "m.py", "<module>", "<module>")
    if not new:
        fields = (*used, (), (), (), "m.py", "<module>")
        counts += [64] if version not in ("3.6", "3.7") else []
    return b"".join(
        (
            b"c",
            *(c.to_bytes(4, "little") for c in counts),
            *map(pack, fields),
            (1).to_bytes(4, "little"),
            pack(b""),
            pack(b"") if new else b"",
        )
    )


SYSTEM_36 = marshalled(
    "3.6", "LOAD_CONST:0 LOAD_CONST:1 IMPORT_NAME:0 LOAD_ATTR:1 LOAD_CONST:2 CALL_FUNCTION:1 "
    "RETURN_VALUE", (0, None, "id"), "os system",
)  # fmt: skip
SYSTEM_37 = marshalled(
    "3.7", "LOAD_CONST:0 LOAD_CONST:1 IMPORT_NAME:0 LOAD_METHOD:1 LOAD_CONST:2 CALL_METHOD:1 "
    "RETURN_VALUE", (0, None, "id"), "os system",
)  # fmt: skip
SYSTEM_38 = marshalled(
    "3.8", "LOAD_CONST:0 LOAD_CONST:1 IMPORT_NAME:0 LOAD_METHOD:1 LOAD_CONST:2 CALL_METHOD:1 "
    "RETURN_VALUE", (0, None, "id"), "os system",
)  # fmt: skip


@pytest.mark.parametrize("version", SAMPLES)
def test_other_versions(version: str) -> None:
    shown = disassembly(read_code(base64.b64decode(SAMPLES[version])))
    assert shown.title == f"The code, disassembled (CPython {version})"
    calls = shown.text.partition("<module>()")[0]
    assert "import('os')" in calls
    assert "os.system((cmd + str(i)))" in calls
    assert "fetch(" in shown.text.partition("\n<module>()")[2]
    assert len(shown.text.splitlines()) <= LINES


@pytest.mark.parametrize(
    ("data", "versions"),
    [(SYSTEM_36, "3.6 or 3.7"), (SYSTEM_37, "3.7"), (SYSTEM_38, "3.8 or 3.9 or 3.10")],
)
def test_old_versions(data: bytes, versions: str) -> None:
    """What reads alike in several versions is shown; a table of lines could tell them apart."""
    shown = disassembly(read_code(data))
    assert shown.title == f"The code, disassembled (CPython {versions})"
    assert shown.text.splitlines()[1:3] == ["    import('os')", "    import('os').system('id')"]


def test_undecided_versions_show_names_only() -> None:
    jump = "RESUME POP_JUMP_IF_FALSE:1 NOP LOAD_CONST:0 RETURN_VALUE"
    data = marshalled("3.12", jump, ("a secret",), "")
    shown = disassembly(read_code(data))
    assert shown.title == "Names and texts in the code (its instructions fit several versions)"
    assert shown.text.splitlines() == ["<module>", "a secret"]
    assert "POP_JUMP_IF_FALSE      to 6" in disassembly(read_code(data), "3.12").text
    assert "POP_JUMP_FORWARD_IF_FALSE to 6" in disassembly(read_code(data), "3.11").text


def test_what_no_version_has() -> None:
    data = marshalled("3.8", "LOAD_NAME:1 RETURN_VALUE", (None,), "answer")
    assert "of no version from 3.6 to 3.14" in disassembly(read_code(data)).title
    assert "LOAD_NAME              1 (out of range)" in disassembly(read_code(data), "3.8").text


def test_a_table_of_lines_tells_versions_apart() -> None:
    jump = "LOAD_NAME:0 POP_JUMP_IF_FALSE:4 NOP NOP LOAD_NAME:1 RETURN_VALUE"
    data = marshalled("3.8", jump, (None,), "answer other")
    assert "(CPython 3.8 or 3.9)" in disassembly(read_code(data)).title
    covering = data[: -len(pack(b""))] + pack(b"\x0c\x01")
    shown = disassembly(read_code(covering))
    assert "(CPython 3.10)" in shown.title
    assert "POP_JUMP_IF_FALSE      to 8" in shown.text


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def ours(code: Code) -> Iterator[Code]:
    yield code
    for constant in code.consts:
        if isinstance(constant, Code):
            yield from ours(constant)


@pytest.mark.skipif(OWN not in opcodes.versions(), reason="no table for this interpreter yet")
@pytest.mark.parametrize("name", ["json.decoder", "contextlib", "dataclasses"])
def test_it_reads_as_dis_reads(name: str) -> None:
    """CPython is the oracle: every instruction, jump and name of a module of its library."""
    from weighbridge.analysis.disassembly import _body

    spec = importlib.util.find_spec(name)
    assert spec is not None
    source = spec.loader.get_source(name)  # type: ignore[union-attr]
    whole = compile(source, name, "exec", dont_inherit=True)
    for mine, real in zip(ours(read_code(marshal.dumps(whole))), codes(whole), strict=True):
        body = _body(mine, OWN, 1 << 20)
        assert body.sound
        expected = [
            i for i in dis.get_instructions(real) if i.opname not in ("CACHE", "EXTENDED_ARG")
        ]
        assert [(i.offset, i.name) for i in body.instructions] == [
            (i.offset, i.opname) for i in expected
        ]
        for i, e in zip(body.instructions, expected, strict=True):
            if e.opcode in {*dis.hasjrel, *dis.hasjabs}:
                assert i.target == e.argval
            elif e.opcode in dis.hasname or e.opcode in dis.haslocal:
                assert "_FAST_" in i.name or i.text in str(e.argval)


@pytest.mark.skipif(OWN not in opcodes.versions(), reason="no table for this interpreter yet")
def test_the_table_is_this_interpreters() -> None:
    known = {o.name: number for number, o in opcodes.of(OWN).opcodes.items()}
    assert known.items() <= opcode.opmap.items()
    assert opcodes.version_of(int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")) == OWN


def parse(data: bytes) -> Bytecode:
    assert BYTECODE.parse is not None
    document = BYTECODE.parse(Held("m.pyc", data), Location("m.pyc"), Limits())
    assert isinstance(document, Bytecode)
    return document


@pytest.mark.parametrize(
    ("head", "magic"),
    [
        (b"", None),
        (b"\x33\x0d\r\n" + bytes(8), 3379),
        (b"\x6f\x0d\r\n" + bytes(12), 3439),
    ],
)
def test_headers(head: bytes, magic: int | None) -> None:
    data = head + (SYSTEM_36 if magic == 3379 else SYSTEM_38)
    assert BYTECODE.sniff(Sample(Held("x", data)))
    document = parse(data)
    assert document.magic == magic
    assert document.code is not None
    assert {"os", "system", "id"} <= set(document.names)


def test_long_names_are_found() -> None:
    """Names in the encodings that take four bytes of length are names as well."""
    long = SYSTEM_38.replace(pack("system"), b"u" + (6).to_bytes(4, "little") + b"system")
    assert "system" in parse(long).names


def test_what_cannot_be_read_is_a_gap() -> None:
    for data in (SYSTEM_38[:-20], SYSTEM_38.replace(pack(("os", "system")), b"r\x07\0\0\0")):
        document = parse(data)
        assert document.code is None
        assert [g.kind for g in document.gaps] == [GapKind.MALFORMED]


def test_hostile_shapes_end() -> None:
    deep = b")\x01" * 5_000 + b"N"
    shared = b"\xa9\x02NN" + b"".join(
        b"\xa9\x02" + b"r" + n.to_bytes(4, "little") + b"r" + n.to_bytes(4, "little")
        for n in range(60)
    )
    body = SYSTEM_38.replace(pack((0, None, "id")), b"@")
    for constants in (deep, b"(\x3d\0\0\0" + shared, b"(\xff\xff\xff\x7f", b"{" + b"N" * 100):
        try:
            shown = disassembly(read_code(body.replace(b"@", constants)))
            assert len(shown.text) < 100_000
        except Malformed as error:
            assert error.why


@given(data=st.data())
@settings(max_examples=80, deadline=3000)
def test_broken_copies(data: st.DataObject) -> None:
    broken = bytearray(base64.b64decode(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))]))
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    for copy in (bytes(broken), bytes(broken[:cut])):
        try:
            disassembly(read_code(copy))
        except Malformed as error:
            assert error.why
