"""The symbolic values of a pickle: what a real unpickler would build, as small expressions."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Value = Any
"""None, bool, int, float, str, bytes, tuple of values, or one of the classes below."""


class Long(Struct, frozen=True):
    """A string, bytes or integer that is too long to keep: its kind and where its bytes stand."""

    kind: str
    offset: int
    length: int


class Mutable(Struct, eq=False):
    """A list, dict, set, frozenset or bytearray that the pickle fills.

    A dict's `items` are keys and values in turn. `dropped` counts what was not kept.
    """

    kind: str
    items: list[Value] = []
    dropped: int = 0


class Global(Struct, frozen=True, eq=False):
    """A name that is imported: `module` and `name` as the opcode gives them.

    They are strings, or expressions where the pickle computes them.
    """

    module: Value
    name: Value
    offset: int
    how: str


class Extension(Struct, frozen=True, eq=False):
    """A class known only by its number in the loading process's `copyreg` registry."""

    code: int
    offset: int


class PersistentId(Struct, frozen=True, eq=False):
    """Something that the loader looks up by an id of its own, such as a torch storage."""

    id: Value
    offset: int


class Call(Struct, eq=False):
    """Something that loading calls.

    `how` is the opcode. For BUILD, SETITEMS and APPENDS the callee is the object that is acted
    on and `args` what is put into it. `keywords` is the mapping of NEWOBJ_EX.
    `state` is what a later BUILD gave to the result.
    """

    callee: Value
    args: tuple[Value, ...]
    offset: int
    how: str
    keywords: Value = None
    state: Value = None
