"""The bytecode of TorchScript's lite interpreter: the functions of a mobile archive.

Layout: `bytecode.pkl` as `torch/csrc/jit/serialization/export_bytecode.cpp` writes it: a tuple of a
version and, for each function, its name and a table of named lists (`operators`, `types` …), all
tuples. It is a pickle and read as one, too; here its values are looked at, which run when the model
does.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.pickle_machine import Machine, members
from weighbridge.formats.pickle_values import Value

NAME: Final = "bytecode.pkl"
FUNCTIONS: Final = 50_000


class Function(Struct, frozen=True):
    """A function: `operators` as `namespace::name` with their overload, `types` that it makes."""

    name: str
    operators: tuple[str, ...]
    types: tuple[str, ...]


class MobileBytecode(Document, frozen=True, kw_only=True, eq=False):
    """The functions of the archive."""

    version: int
    functions: tuple[Function, ...]


def _sniff(sample: Sample) -> bool:
    """The record that the loader asks for by its name."""
    return sample.blob.path.rpartition("/")[2] == NAME and sample.head[:1] == b"\x80"


def _parse(blob: Blob, where: Location, limits: Limits) -> MobileBytecode:
    machine = Machine(blob, limits)
    stream = machine.stream(0)
    if stream.broken:
        raise Malformed(f"not a whole pickle: {stream.broken}", stream.end)
    version, *rest = members(machine.stack[-1]) or (None,)
    if not isinstance(version, int):
        raise Malformed("no version stands first", 0)
    if len(rest) > FUNCTIONS:
        raise Malformed(f"more than {FUNCTIONS:,} functions")
    return MobileBytecode(
        where=where,
        size=blob.size,
        seen=min(blob.size, stream.end),
        version=version,
        functions=tuple(_function(f) for f in rest),
    )


def _function(value: Value) -> Function:
    parts = members(value)
    if len(parts) < 2 or not isinstance(parts[0], str):
        raise Malformed("a function without a name or a body")
    table = {}
    for entry in members(parts[1]):
        pair = members(entry)
        if len(pair) == 2 and isinstance(pair[0], str):
            table[pair[0]] = members(pair[1])
    if "operators" not in table:
        raise Malformed("a function without a list of operators")
    operators = []
    for entry in table["operators"]:
        name, overload, *_ = (*members(entry), None, None)
        if not isinstance(name, str):
            raise Malformed("an operator without a name")
        operators.append(f"{name}.{overload}" if overload and isinstance(overload, str) else name)
    types = tuple(t for t in table.get("types", []) if isinstance(t, str))
    return Function(parts[0], tuple(operators), types)


TORCH_MOBILE = Format(
    name="torch-mobile-bytecode",
    title="Bytecode of the TorchScript lite interpreter",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=MobileBytecode,
    first=b"\x80",
    limits="Operators and types are read, instructions are not followed.",
)
