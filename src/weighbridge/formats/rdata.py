"""R's serialized objects (`.rds`, `.RData`): read item by item, nothing is evaluated.

Layout: R Internals, section 1.8 "Serialization Formats", and R's `src/main/serialize.c`, versions 2
and 3, in all three encodings (XDR, native binary, ASCII). A promise in the file is an expression
that R evaluates when its value is first asked for, so that using the object runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

ITEMS_LIMIT: Final = 3_000_000
DEPTH_LIMIT: Final = 150
ASCII_LIMIT: Final = 16 << 20
WINDOW: Final = 1 << 18
STRING_KEPT: Final = 2_000
SHOWN: Final = 600
CALLS_KEPT: Final = 20_000
PROMISES_KEPT: Final = 500

_START: Final = regex(
    rb"(?:RD[XBA][23]\n)?(?:"
    rb"X\n\0\0\0[\2\3]\0[\0-\x09][\0-\x09].\0[\0-\x09][\0-\x09]."
    rb"|B\n[\2\3]\0\0\0.[\0-\x09][\0-\x09]\0.[\0-\x09][\0-\x09]\0"
    rb"|A\n[23]\n\d{5,6}\n\d{5,6}\n)",
    re.DOTALL,
)


class Call(Struct, frozen=True):
    """A call that stands in the file: what is called, how the call reads (shortened), and where:
    `promise`, `function` or `expression`. Offset in bytes."""

    name: str
    text: str
    within: str
    offset: int


class Promise(Struct, frozen=True):
    """An expression that waits to be evaluated. `bound`: the object itself, or one of the file's
    variables, is this promise, so that touching it evaluates it."""

    text: str
    bound: bool
    offset: int


class RData(Document, frozen=True, kw_only=True, eq=False):
    """What the file holds that R can evaluate. `names` are the symbols that compiled functions
    refer to, `functions` how many functions there are."""

    calls: tuple[Call, ...]
    promises: tuple[Promise, ...]
    names: tuple[str, ...]
    functions: int


class _Input:
    """Bytes in order, read through a window; vectors are skipped and not read."""

    def __init__(self, blob: Blob, at: int, order: str) -> None:
        self.blob, self.at, self.size = blob, at, blob.size
        self.order: str = order
        self.start, self.window = 0, b""

    def take(self, n: int) -> bytes:
        begin = self.at - self.start
        if not 0 <= begin <= len(self.window) - n:
            if n > self.size - self.at:
                raise Malformed("it ends in the middle of an object", self.at)
            self.start, begin = self.at, 0
            self.window = self.blob.read(self.at, max(n, WINDOW))
            if len(self.window) < n:
                raise Malformed("it ends in the middle of an object", self.at)
        self.at += n
        return self.window[begin : begin + n]

    def integer(self) -> int:
        value = int.from_bytes(self.take(4), "big" if self.order == ">" else "little")
        return value - (1 << 32) if value >> 31 else value

    def text(self, length: int) -> str:
        data = self.take(min(length, STRING_KEPT))
        self.skip(length - len(data), 1)
        return data.decode("utf-8", "replace")

    def skip(self, count: int, width: int) -> None:
        if count * width > self.size - self.at:
            raise Malformed("a vector is longer than the file", self.at)
        self.at += count * width


class _AsciiInput(_Input):
    """The same in ASCII: one word for each number, escaped text for strings."""

    def __init__(self, blob: Blob, at: int) -> None:
        super().__init__(blob, at, "")
        if blob.size > ASCII_LIMIT:
            raise Malformed(f"more than {ASCII_LIMIT:,} bytes in R's ASCII form", 0)
        self.words = re.compile(rb"\S+").finditer(blob.read(0, blob.size), at)

    def word(self) -> bytes:
        found = next(self.words, None)
        if found is None:
            raise Malformed("it ends in the middle of an object", self.at)
        self.at = found.end()
        return found[0]

    def integer(self) -> int:
        word = self.word()
        if word == b"NA":
            return -(1 << 31)
        if not re.fullmatch(rb"-?\d{1,10}", word):
            raise Malformed("a number is none", self.at)
        return int(word)

    def text(self, length: int) -> str:
        word = self.word() if length else b""
        return word[:STRING_KEPT].replace(rb"\040", b" ").decode("utf-8", "replace")

    def skip(self, count: int, width: int) -> None:
        if width == 1:  # raw bytes are two hexadecimal digits each, one word for one
            width = 4
        for _ in range(count * (2 if width == 16 else 1)):
            self.word()


NULL, GLOBAL, UNBOUND, MISSING, BASE = 254, 253, 252, 251, 250
SYMBOL, PAIRS, CLOSURE, ENVIRONMENT, PROMISE, LANGUAGE, DOTS = 1, 2, 3, 4, 5, 6, 17
SPECIAL, BUILTIN, CHARACTERS, STRINGS, LIST, EXPRESSION, CODE = 7, 8, 9, 16, 19, 20, 21
POINTER, WEAK, RAW, S4 = 22, 23, 24, 25
REFERENCE, NAMESPACE, PACKAGE, PERSISTENT, REPEAT, REPEATED = 255, 249, 248, 247, 244, 243
ATTRIBUTED_CALL, ATTRIBUTED_PAIRS, ALTERNATIVE = 240, 239, 238
_NAMED: Final = {
    NULL: "NULL", GLOBAL: "<global environment>", UNBOUND: "<unbound>", MISSING: "",
    BASE: "<base namespace>", 242: "<empty environment>", 241: "<base environment>",
}  # fmt: skip
_WIDTHS: Final = {10: 4, 13: 4, 14: 8, 15: 16, RAW: 1}
_VECTORS: Final = {10: "<logical>", 13: "<integer>", 14: "<numbers>", 15: "<complex>", RAW: "<raw>"}


class _Enough(Exception):
    """The budget of items is spent."""


class _Reader(Struct):
    """Each method reads one thing and returns how it would read as R code, shortened."""

    data: _Input
    calls: list[Call] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    references: list[str] = field(default_factory=list)
    within: str = "expression"
    functions: int = 0
    items: int = 0
    depth: int = 0

    def item(self, bound: bool = False) -> str:
        self.count()
        at = self.data.at
        flags = self.data.integer()
        kind, attributed = flags & 0xFF, bool(flags & 0x200)
        if kind in _NAMED:
            return _NAMED[kind]
        if kind == REFERENCE:
            return self.reference(flags >> 8 & 0xFFFFFF or self.data.integer())
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", at)
        made = self.whole(kind, flags, attributed, at, bound)
        self.depth -= 1
        return made

    def count(self) -> None:
        self.items += 1
        if self.items > ITEMS_LIMIT:
            raise _Enough

    def whole(self, kind: int, flags: int, attributed: bool, at: int, bound: bool) -> str:
        if kind == SYMBOL:
            return self.remember(self.item())
        if kind in (PAIRS, LANGUAGE, CLOSURE, PROMISE, DOTS):
            return self.pairs(kind, flags, at, bound)
        if kind == CHARACTERS:
            length = self.data.integer()
            made = "NA" if length == -1 else self.data.text(self.length(length))
        elif kind in _WIDTHS:
            length = self.vector_length()
            self.data.skip(length, _WIDTHS[kind])
            made = _VECTORS[kind]
        elif kind == STRINGS:
            made = self.strings(self.vector_length())
        elif kind in (LIST, EXPRESSION):
            parts = [self.item() for _ in range(self.vector_length())][:20]
            made = f"list({', '.join(parts)})"[:SHOWN]
        elif kind == ENVIRONMENT:
            return self.environment()
        elif kind in (SPECIAL, BUILTIN):
            made = self.data.text(self.length(self.data.integer()))
        elif kind == CODE:
            made = self.compiled()
        elif kind in (POINTER, WEAK):
            made = self.remember("<pointer>" if kind == POINTER else "<weak reference>")
            if kind == POINTER:
                self.item()
                self.item()
        elif kind == S4:
            made = "<S4 object>"
        elif kind in (NAMESPACE, PACKAGE, PERSISTENT):
            self.data.integer()
            return self.remember(f"<{self.strings(self.vector_length())}>")
        elif kind == ALTERNATIVE:
            self.item()
            made = self.item()
            self.item()
            return made
        else:
            raise Malformed(f"an object of the unknown type {kind}", at)
        if attributed:
            self.item()
        return made

    def vector_length(self) -> int:
        length = self.data.integer()
        if length == -1:
            length = (self.data.integer() << 32) + self.data.integer()
        return self.length(length)

    def length(self, length: int) -> int:
        if not 0 <= length <= self.data.size:
            raise Malformed("a length is negative or beyond the file", self.data.at)
        return length

    def strings(self, count: int) -> str:
        shown: list[str] = []
        for i in range(count):
            text = self.item()
            if i < 20:
                shown.append(f'"{text[:SHOWN]}"')
        return (f"c({', '.join(shown)})" if count != 1 else shown[0])[:STRING_KEPT]

    def reference(self, index: int) -> str:
        if not 0 < index <= len(self.references):
            raise Malformed("a reference to nothing", self.data.at)
        return self.references[index - 1]

    def remember(self, made: str) -> str:
        self.references.append(made)
        return made

    def environment(self) -> str:
        made = self.remember("<environment>")
        self.data.integer()
        for _ in range(4):
            self.item()
        return made

    def pairs(self, kind: int, flags: int, at: int, bound: bool) -> str:
        """A chain of pairs: a list, or a call whose first element is what is called. The last of
        its cells may end in something else (a closure's body)."""
        before = self.within
        if kind == CLOSURE:
            self.functions += 1
            self.within = "function"
        elif kind == PROMISE:
            self.within = "promise"
        shown: list[str] = []
        first = kind
        while True:
            if flags & 0x200:
                self.item()
            tag = self.item() if flags & 0x400 else ""
            head = self.item(bound=bound and first == PAIRS)
            if first == PROMISE:
                return self.promise(head, at, bound, before)
            if len(shown) < 40:
                label = f"{tag} = " if tag and first != CLOSURE and not tag.startswith("<") else ""
                shown.append(label + head[:SHOWN])
            self.count()
            here = self.data.at
            flags = self.data.integer()
            kind = flags & 0xFF
            if kind not in (PAIRS, LANGUAGE, DOTS) or first == CLOSURE:
                last = self.tail(flags, here)
                break
        self.within = before
        if first == CLOSURE:
            return f"function({shown[0] if shown else ''}) {last}"[:SHOWN]
        if first == LANGUAGE:
            return self.called(shown, at)
        return f"pairlist({', '.join(shown)})"[:SHOWN]

    def tail(self, flags: int, at: int) -> str:
        """What ends a chain, whose flags have been read."""
        kind = flags & 0xFF
        if kind in _NAMED:
            return _NAMED[kind]
        if kind == REFERENCE:
            return self.reference(flags >> 8 & 0xFFFFFF or self.data.integer())
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", at)
        made = self.whole(kind, flags, bool(flags & 0x200), at, False)
        self.depth -= 1
        return made

    def promise(self, value: str, at: int, bound: bool, before: str) -> str:
        waits = value == "<unbound>"
        if not waits:
            self.within = before
        text = self.item()
        self.within = before
        if waits and len(self.promises) < PROMISES_KEPT:
            self.promises.append(Promise(text[:SHOWN], bound, at))
        return f"<promise: {text[:SHOWN]}>"

    def called(self, shown: list[str], at: int) -> str:
        name = shown[0] if shown else ""
        for plain in ("::(", ":::("):
            if name.startswith(plain):
                name = name[len(plain) : -1].replace(", ", "::")
        text = f"{name}({', '.join(shown[1:])})"[:SHOWN]
        if len(self.calls) < CALLS_KEPT:
            self.calls.append(Call(name[:200], text, self.within, at))
        return text

    def compiled(self) -> str:
        self.length(self.data.integer())
        return self.code()

    def code(self) -> str:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", self.data.at)
        self.item()
        shown = ""
        for i in range(self.length(self.data.integer())):
            kind = self.data.integer()
            if kind == CODE:
                made = self.code()
            elif kind in (LANGUAGE, PAIRS, REPEAT, REPEATED, ATTRIBUTED_CALL, ATTRIBUTED_PAIRS):
                made = self.constant(kind)
            else:
                made = self.item()
                if len(self.names) < CALLS_KEPT and made.isprintable() and len(made) < 100:
                    self.names[made] = None
            shown = made if not i else shown
        self.depth -= 1
        return shown

    def constant(self, kind: int) -> str:
        """A call or list among a compiled function's constants, with its own way of sharing."""
        self.count()
        at = self.data.at
        if kind == REPEATED:
            self.data.integer()
            return "…"
        if kind not in (LANGUAGE, PAIRS, REPEAT, ATTRIBUTED_CALL, ATTRIBUTED_PAIRS):
            return self.item()
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Malformed(f"nested more than {DEPTH_LIMIT} deep", at)
        shown: list[str] = []
        first = 0
        while True:
            self.count()
            if kind == REPEAT:
                self.data.integer()
                kind = self.data.integer()
            first = first or kind
            if kind in (ATTRIBUTED_CALL, ATTRIBUTED_PAIRS):
                self.item()
            tag = self.item()
            head = self.constant(self.data.integer())
            if len(shown) < 40:
                shown.append((f"{tag} = " if tag not in ("NULL", "") else "") + head[:SHOWN])
            kind = self.data.integer()
            if kind not in (LANGUAGE, PAIRS, REPEAT, ATTRIBUTED_CALL, ATTRIBUTED_PAIRS):
                self.constant(kind)
                break
        self.depth -= 1
        if first in (LANGUAGE, ATTRIBUTED_CALL):
            return self.called(shown, at)
        return f"pairlist({', '.join(shown)})"[:SHOWN]


def _sniff(sample: Sample) -> bool:
    return bool(_START.match(sample.head))


def _open(blob: Blob) -> tuple[_Input, bool]:
    head = blob.read(0, 7)
    variables = head[:2] == b"RD"
    start = 5 if variables else 0
    letter = head[start : start + 1]
    openers: dict[bytes, Callable[[], _Input]] = {
        b"X": lambda: _Input(blob, start + 2, ">"),
        b"B": lambda: _Input(blob, start + 2, "<"),
        b"A": lambda: _AsciiInput(blob, start + 2),
    }
    if letter not in openers:
        raise Malformed("neither XDR, binary nor ASCII", start)
    return openers[letter](), variables


def _parse(blob: Blob, where: Location, limits: Limits) -> RData:
    data, _ = _open(blob)
    version = data.integer()
    data.integer()
    data.integer()
    reader = _Reader(data)
    if version == 3:
        data.text(reader.length(data.integer()))
    elif version != 2:
        raise Malformed(f"version {version} of R's serialization is not known", 0)
    gaps: list[Gap] = []
    try:
        reader.item(bound=True)
    except _Enough:
        why = f"more than {ITEMS_LIMIT:,} objects; the rest was not read"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    except Malformed as error:
        if not reader.calls and not reader.promises:
            raise
        at = Location(where.path, where.inside, error.offset)
        gaps.append(Gap(kind=GapKind.MALFORMED, message=error.why, at=at))
    except RecursionError:
        raise Malformed("nested too deep", data.at) from None
    if len(reader.calls) >= CALLS_KEPT or len(reader.promises) >= PROMISES_KEPT:
        why = (
            f"more than {CALLS_KEPT:,} calls or {PROMISES_KEPT:,} promises; the rest is not listed"
        )
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    return RData(
        where=where,
        size=blob.size,
        seen=min(data.at, blob.size),
        gaps=tuple(gaps),
        calls=tuple(reader.calls),
        promises=tuple(reader.promises),
        names=tuple(reader.names),
        functions=reader.functions,
    )


RDATA = Format(
    name="r-data",
    title="R data",
    loading=Loading.CODE,
    sniff=_sniff,
    first=b"RXBA",
    parse=_parse,
    document=RData,
    limits="Calls, promises and the names in compiled functions are read; instructions are not.",
)
