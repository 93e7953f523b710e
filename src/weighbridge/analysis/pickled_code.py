"""Code objects that a pickle puts together: `types.CodeType` applied to constants.

cloudpickle and dill write the arguments of the type as they are in the version that writes:
15 up to 3.7, 16 up to 3.10, 18 since 3.11 (`Objects/codeobject.c`, `code_new`). dill puts the
table of lines in front of them once more (`dill._dill._create_code`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from weighbridge.analysis.pickle_calls import display
from weighbridge.formats.marshalled import Code, Constant, Word
from weighbridge.formats.pickle_machine import members
from weighbridge.formats.pickle_values import Call, Mutable, Value

DEPTH: Final = 20
LOOKED_AT: Final = 5_000
_LAYOUTS: Final = {15: "3.6", 16: "3.8", 18: "3.11"}


def codes_in(values: Iterable[Value], limit: int = 4) -> list[Code]:
    """The code objects that are made among these values, at most `limit`; those that are
    constants of another one are in it and not listed."""
    waiting: list[Value] = list(values)
    looked, met, inner = 0, set[int](), set[int]()
    made: dict[int, Code] = {}
    while waiting and looked < LOOKED_AT:
        looked += 1
        value = waiting.pop(0)
        if isinstance(value, Call):
            if id(value) in met:
                continue
            met.add(id(value))
            code = code_of(value, inner)
            if code is None:
                waiting += [value.callee, *members(value.args)[:64]]
            else:
                made[id(value)] = code
        elif isinstance(value, tuple | Mutable):
            waiting += members(value)[:256]
    return [code for place, code in made.items() if place not in inner][:limit]


def code_of(call: Call, inner: set[int], depth: int = DEPTH) -> Code | None:
    """The code object that a call makes, told by its arguments, or None where it makes none.

    The calls that make code objects among its constants are added to `inner`, by their identity.
    """
    given = members(call.args)
    if len(given) - 1 in _LAYOUTS and _bytes(given[0]) is not None:
        given = given[1:]
    layout = _LAYOUTS.get(len(given))
    if layout is None or depth <= 0:
        return None
    counts = 5 if layout == "3.6" else 6
    numbers = given[:counts]
    code, consts, names, local, filename, name = given[counts : counts + 6]
    rest = given[counts + 6 :]
    if layout == "3.11":
        name, rest = rest[0], rest[1:]
    first_line, lines, free, cells = rest[0], _bytes(rest[1]), rest[-2], rest[-1]
    instructions = _bytes(code)
    if instructions is None or not all(isinstance(n, int) for n in (*numbers, first_line)):
        return None
    if not all(isinstance(v, tuple) for v in (consts, names, local, free, cells)):
        return None
    own = _texts(local)
    closed, shared = _texts(free), _texts(cells)
    every = (*own, *(c for c in shared if c not in own), *closed)
    return Code(
        layout=layout,
        name=name if isinstance(name, str) else "?",
        filename=filename if isinstance(filename, str) else "?",
        first_line=first_line,
        arguments=numbers[0],
        keyword_only=numbers[counts - 4],
        flags=numbers[-1],
        code=instructions,
        consts=tuple(_constant(c, inner, depth) for c in members(consts)),
        names=_texts(names),
        local=every if layout == "3.11" else own,
        cells=every if layout == "3.11" else (*shared, *closed),
        lines=lines or b"",
    )


def _bytes(value: Value) -> bytes | None:
    """Bytes; before protocol 3 they are a string and how to encode it, or the call of a type."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, Call):
        return None
    if not value.args:
        return b""
    if getattr(value.callee, "name", None) == "encode" and isinstance(value.args[0], str):
        return value.args[0].encode("latin-1", "replace")
    return None


def _texts(values: Value) -> tuple[str, ...]:
    return tuple(v if isinstance(v, str) else "?" for v in members(values))


def _constant(value: Any, inner: set[int], depth: int) -> Constant:
    if isinstance(value, Call):
        code = code_of(value, inner, depth - 1)
        if code is not None:
            inner.add(id(value))
            return code
        data = _bytes(value)
        return Word(display(value)) if data is None else data
    if isinstance(value, tuple):
        parts = members(value)[:256]
        return tuple(_constant(v, inner, depth - 1) for v in parts) if depth > 0 else Word("…")
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    return Word(display(value))
