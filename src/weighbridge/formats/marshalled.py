"""Marshalled Python objects: code objects of CPython 3.6 to 3.14, read and never unmarshalled.

Layout: CPython `Python/marshal.c` (`r_object`). The numbers in front of a code object's
instructions, and the fields behind them, changed in 3.8 and 3.11; everything else is one format,
in which any object may be a reference to one that stands before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Malformed

DEPTH: Final = 150
OBJECTS: Final = 200_000
DIGITS: Final = 64
"""An integer of more digits (of 15 bits) is kept as a word about it."""
LAYOUTS: Final = ("3.11", "3.8", "3.6")
"""The layouts of a code object, each named by the version that began it, the latest first."""

Constant = Any
"""None, bool, int, float, complex, str, bytes, tuple of constants, `Code`, `Group` or `Word`."""


class Word(Struct, frozen=True):
    """A constant that is shown by a word: `...`, `StopIteration`, an integer too long to spell."""

    text: str


class Group(Struct, frozen=True, eq=False):
    """A list, set, frozenset, dict or slice among the constants; a dict's keys and values in
    turn."""

    kind: str
    items: tuple[Constant, ...]


class Code(Struct, frozen=True, kw_only=True, eq=False):
    """A code object. `layout` is one of `LAYOUTS`, `arguments` counts all but keyword-only ones.

    `local` are the names that instructions for local variables count in, `cells` those that
    instructions for closures count in (since 3.11 the same list). `lines` is the table of lines.
    """

    layout: str
    name: str
    filename: str
    first_line: int
    arguments: int
    keyword_only: int
    flags: int
    code: bytes
    consts: tuple[Constant, ...]
    names: tuple[str, ...]
    local: tuple[str, ...]
    cells: tuple[str, ...]
    lines: bytes

    def whole(self, limit: int = 1_000) -> Iterator[Code]:
        """This code object and those among its constants, each once, at most `limit`."""
        waiting, met = [self], {id(self)}
        while waiting:
            code = waiting.pop(0)
            yield code
            for constant in _parts(code.consts):
                if isinstance(constant, Code) and id(constant) not in met and len(met) < limit:
                    met.add(id(constant))
                    waiting.append(constant)

    def texts(self) -> Iterator[str]:
        """Every name and every text constant of it and of the code objects in it."""
        for code in self.whole():
            yield from (code.name, *code.names, *code.local, *code.cells)
            yield from (c for c in _parts(code.consts) if isinstance(c, str))


def _parts(constants: tuple[Constant, ...]) -> Iterator[Constant]:
    """Constants, those inside collections too, each object once."""
    waiting, met = list(reversed(constants)), set[int]()
    while waiting:
        constant = waiting.pop()
        if isinstance(constant, tuple | Group):
            if id(constant) not in met:
                met.add(id(constant))
                inner = constant.items if isinstance(constant, Group) else constant
                waiting.extend(reversed(inner))
        else:
            yield constant


def read_code(data: bytes, start: int = 0) -> Code:
    """The code object that begins at `start`. Raises `Malformed` where no version reads it."""
    furthest = Malformed("no code object", start)
    for layout in LAYOUTS:
        try:
            value = _Reader(data, start, layout).value()
        except Malformed as error:
            if (error.offset or 0) >= (furthest.offset or 0):
                furthest = error
            continue
        if isinstance(value, Code):
            return value
    raise furthest


class _Null:
    """What ends a dict."""


class _Reader:
    def __init__(self, data: bytes, at: int, layout: str) -> None:
        self.data, self.at, self.layout = data, at, layout
        self.kept: list[Constant] = []
        self.left = OBJECTS
        self.depth = 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise Malformed("it ends in the middle of an object", self.at)
        data = self.data[self.at : self.at + n]
        self.at += n
        return data

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "little", signed=True)

    def count(self, small: bool = False) -> int:
        n = self.take(1)[0] if small else self.int32()
        if not 0 <= n <= len(self.data) - self.at:
            raise Malformed(f"a length of {n:,}", self.at)
        return n

    def value(self) -> Constant:
        """The object that stands here; references are resolved."""
        begin = self.at
        self.left -= 1
        if self.left < 0 or self.depth >= DEPTH:
            raise Malformed("more objects, or deeper nested, than any real code has", begin)
        head = self.take(1)[0]
        kind = chr(head & 0x7F)
        if kind == "r":
            index = self.int32()
            if not 0 <= index < len(self.kept) or isinstance(self.kept[index], _Null):
                raise Malformed("a reference to nothing", begin)
            return self.kept[index]
        place = -1
        if head & 0x80:
            place = len(self.kept)
            self.kept.append(_Null())
        self.depth += 1
        made = self._made(kind, begin)
        self.depth -= 1
        if place >= 0:
            self.kept[place] = made
        return made

    def _made(self, kind: str, begin: int) -> Constant:
        if kind in _SINGLE:
            return _SINGLE[kind]
        if kind == "0":
            return _Null()
        if kind in "zZ":
            return self.take(self.count(small=True)).decode("latin-1")
        if kind in "aA":
            return self.take(self.count()).decode("latin-1")
        if kind in "ut":
            return self.text(begin)
        if kind == "s":
            return self.take(self.count())
        if kind in "()":
            return self.values(self.count(small=kind == ")"))
        if kind == "i":
            return self.int32()
        if kind == "I":
            return int.from_bytes(self.take(8), "little", signed=True)
        if kind == "l":
            return self.long()
        if kind == "g":
            return struct.unpack("<d", self.take(8))[0]
        if kind == "y":
            return complex(*struct.unpack("<dd", self.take(16)))
        if kind in "fx":
            parts = [self.take(self.count(small=True)) for _ in range(1 + (kind == "x"))]
            return Word("+".join(p.decode("latin-1") for p in parts))
        if kind in _GROUPS:
            return Group(_GROUPS[kind], self.values(self.count()))
        if kind == "{":
            return Group("dict", self.pairs())
        if kind == ":":
            return Group("slice", self.values(3))
        if kind == "c":
            return self.code()
        raise Malformed(f"no object begins with byte 0x{self.data[begin]:02x}", begin)

    def text(self, begin: int) -> str:
        try:
            return self.take(self.count()).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Malformed("a text that is not UTF-8", begin) from None

    def values(self, count: int) -> tuple[Constant, ...]:
        found = tuple(self.value() for _ in range(count))
        if any(isinstance(v, _Null) for v in found):
            raise Malformed("nothing where an object belongs", self.at)
        return found

    def pairs(self) -> tuple[Constant, ...]:
        found: list[Constant] = []
        while not isinstance(key := self.value(), _Null):
            found += (key, *self.values(1))
        return tuple(found)

    def long(self) -> Constant:
        size = self.int32()
        digits = struct.iter_unpack("<H", self.take(2 * abs(size)))
        if abs(size) > DIGITS:
            return Word(f"<integer of {15 * abs(size):,} bits>")
        number = sum(digit << 15 * i for i, (digit,) in enumerate(digits))
        return -number if size < 0 else number

    def of(self, kind: type) -> Constant:
        """An object that must be of one type."""
        begin = self.at
        value = self.value()
        if not isinstance(value, kind):
            raise Malformed(f"a code object with a field that is no {kind.__name__}", begin)
        return value

    def strings(self) -> tuple[str, ...]:
        begin = self.at
        found: tuple[Constant, ...] = self.of(tuple)
        if not all(isinstance(v, str) for v in found):
            raise Malformed("a code object with a name that is no text", begin)
        return found

    def code(self) -> Code:
        new, old = self.layout == "3.11", self.layout == "3.6"
        arguments = self.int32()
        if not old:
            self.int32()  # positional-only ones: among the arguments
        keyword_only = self.int32()
        if not new:
            self.int32()  # local variables
        self.int32()  # stack size
        flags = self.int32()
        code: bytes = self.of(bytes)
        consts: tuple[Constant, ...] = self.of(tuple)
        names, local = self.strings(), self.strings()
        if new:
            self.of(bytes)
            cells = local
        else:
            free = self.strings()
            cells = (*self.strings(), *free)
        filename, name = self.of(str), self.of(str)
        if new:
            name = self.of(str)  # the qualified one
        first_line = self.int32()
        lines: bytes = self.of(bytes)
        if new:
            self.of(bytes)  # the table of exceptions
        return Code(
            layout=self.layout, name=name, filename=filename, first_line=first_line,
            arguments=arguments, keyword_only=keyword_only, flags=flags, code=code, consts=consts,
            names=names, local=local, cells=cells, lines=lines,
        )  # fmt: skip


_SINGLE: Final[dict[str, Constant]] = {
    "N": None, "T": True, "F": False, ".": Word("..."), "S": Word("StopIteration"),
}  # fmt: skip
_GROUPS: Final = {"[": "list", "<": "set", ">": "frozenset"}
