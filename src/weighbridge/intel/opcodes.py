"""The instructions of CPython 3.6 to 3.14, as its own `opcode` modules list them.

`scripts/list_opcodes.py` made the file, run by the interpreters themselves (3.6 to 3.9: by the
package `xdis`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FILE: Final = Path(__file__).with_suffix(".json")


class Opcode(msgspec.Struct, frozen=True):
    """An instruction: its name, what its argument counts in (`const`, `name`, `local`, `free`,
    `compare`, `jrel`, `jabs`, or `-`), and how many cache entries of two bytes follow it."""

    name: str
    kind: str
    caches: int


class Version(msgspec.Struct, frozen=True):
    """One version: its instructions by number, the lowest number that takes an argument, and the
    comparisons by number."""

    opcodes: dict[int, Opcode]
    arguments: int
    compare: tuple[str, ...]


class _Row(msgspec.Struct):
    magic: tuple[int, int]
    arguments: int
    compare: str
    instructions: list[str]


class _File(msgspec.Struct):
    reviewed: str
    versions: dict[str, _Row]


@cache
def _rows() -> _File:
    return msgspec.json.decode(FILE.read_bytes(), type=_File)


@cache
def of(version: str) -> Version:
    """The instructions of a version, such as `3.11`."""
    row = _rows().versions[version]
    opcodes = {}
    for line in row.instructions:
        number, name, kind, caches = line.split()
        opcodes[int(number)] = Opcode(name, kind, int(caches))
    compare = tuple(c.replace("-", " ") for c in row.compare.split())
    return Version(opcodes, row.arguments, compare)


def versions() -> tuple[str, ...]:
    """Every version that is known, the oldest first."""
    return tuple(_rows().versions)


def version_of(magic: int) -> str | None:
    """The version whose `.pyc` files begin with this number, or None."""
    for version, row in _rows().versions.items():
        if row.magic[0] <= magic <= row.magic[1]:
            return version
    return None


def load() -> Intel:
    """Read the list now (the jail that it is used in cannot open files); its date."""
    return Intel(name="instructions of CPython", date=_rows().reviewed)
