"""Pickle, protocols 0 to 5: a symbolic interpreter that imports nothing and calls nothing.

Grammar and meaning of the opcodes: CPython `Lib/pickletools.py`; the order of effects follows the
C unpickler (`Modules/_pickle.c`), whose reading is the one that acts. Every value that a real
unpickler would build is kept as a small symbolic expression, so that a later analysis can tell
what a name that was put together at run time resolves to.

Large pickles are mostly plain numbers and short strings. A stretch of those is matched by one
regular expression and kept as a `Run`: a lazy constant that is spelled out only if something
looks into it. That is what makes a hundred-megabyte pickle a matter of seconds.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.payload import Payload, payloads

Value = Any
"""None, bool, int, float, str, bytes, tuple of values, or one of the classes below."""


@dataclass(frozen=True, slots=True)
class Long:
    """A string, bytes or integer that is too long to keep: its kind and where its bytes stand."""

    kind: str
    offset: int
    length: int


@dataclass(slots=True, eq=False)
class Mutable:
    """A list, dict, set, frozenset or bytearray that the pickle fills.

    A dict's `items` are keys and values in turn. `dropped` counts what was not kept.
    """

    kind: str
    items: list[Value] = field(default_factory=list)
    dropped: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name that is imported: `module` and `name` as the opcode gives them.

    They are strings, or expressions where the pickle computes them.
    """

    module: Value
    name: Value
    offset: int
    how: str


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """A class known only by its number in the loading process's `copyreg` registry."""

    code: int
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class PersistentId:
    """Something that the loader looks up by an id of its own, such as a torch storage."""

    id: Value
    offset: int


@dataclass(slots=True, eq=False)
class Call:
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


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A stretch of plain values, `puts` of which went into the memo from index `first`."""

    data: bytes
    first: int

    def values(self) -> list[Value]:
        """The values, spelled out."""
        return _spell(self.data)[0]


@dataclass(frozen=True, slots=True)
class Stream:
    """One pickle of the file: from its first opcode to behind STOP, or to where it breaks.

    `broken` is why the real unpickler would raise. A frame that is too long is read past all the
    same: another reader of the format may not mind.
    """

    start: int
    end: int
    broken: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pickle(Document):
    """What loading the file would do, in order.

    `imports` has each distinct name once, `calls` each call (at most `CALLS_KEPT` for a callee,
    the rest counted in `overflow`). `embedded` are payloads found inside strings and bytes.
    `storages` is the offset from which a legacy torch file holds raw tensor bytes.
    """

    streams: tuple[Stream, ...]
    imports: tuple[Global, ...]
    calls: tuple[Call, ...]
    extensions: tuple[Extension, ...]
    overflow: dict[str, int]
    embedded: tuple[Payload, ...]
    storages: int | None

    def walk(self) -> Iterator[Blob | Gap]:
        """The payloads found inside strings: each is examined like a file of its own."""
        for payload in self.embedded:
            yield Held(f"{payload.how} at byte {payload.offset}", payload.data, "embedded")


CALLS_KEPT: Final = 10_000
ITEMS_KEPT: Final = 4_096
STRING_KEPT: Final = 1 << 16
PAYLOADS_KEPT: Final = 256
STREAMS_KEPT: Final = 10_000
WINDOW: Final = 4 << 20
MARGIN: Final = 16
LINE_LIMIT: Final = 1 << 16
RUN_SHORTEST: Final = 48
RESYNC_BYTES: Final = 64 << 20
RESYNC_TRIES: Final = 5_000

TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
TORCH_LEGACY_STREAMS: Final = 5


def _counted(prefix: bytes, width: int, longest: int, byte: bytes) -> bytes:
    """A pattern for `prefix`, a little-endian length below `longest`, and that many bytes."""
    options = []
    for n in range(longest):
        length = re.escape(n.to_bytes(width, "little"))
        options.append(length + (byte + b"{%d}" % n if n else b""))
    return prefix + b"(?:" + b"|".join(options) + b")"


# Strings up to 31 bytes without a newline: shorter than any pickle in base64 (the shortest that
# calls something is 22 bytes), and free of protocol 0, whose opcodes end their lines.
_STRING = b"|".join(
    [
        _counted(rb"\x8c", 1, 32, rb"[^\n]"),
        _counted(b"X", 4, 32, rb"[^\n]"),
        _counted(b"U", 1, 32, rb"[^\n]"),
    ]
)
_ATOM = (
    rb"(?:K.|J.{4}|M..|G.{8}|[N\x88\x89)]|"
    + _STRING
    + b"|"
    + _counted(rb"\x8a", 1, 10, b".")
    + b")"
)
_PUT = rb"(?:\x94|q.|r.{4})?"
_LEAF = b"(?:" + _ATOM + _PUT + b")"
_ITEM = (
    b"(?:" + _LEAF + rb"{3,}+(?:[\x85-\x87]" + _PUT + b")?"
    rb"|" + _LEAF + rb"{2}(?:[\x85\x86]" + _PUT + b")?"
    rb"|" + _LEAF + rb"(?:\x85" + _PUT + b")?"
    rb"|\(" + _LEAF + rb"*+t" + _PUT + rb"|\]" + _PUT + rb"\(" + _LEAF + rb"*+e)"
)
RUN: Final = re.compile(_ITEM + b"++", re.DOTALL)
RUN_PUTS: Final = re.compile(
    rb"(?:" + _ATOM + rb"|[\x85-\x87()t\]e])*+(\x94|q.|r.{4}|\Z)", re.DOTALL
)

_U16 = struct.Struct("<H").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from
_F64 = struct.Struct(">d").unpack_from


class _Break(Exception):
    """The real unpickler would raise here; what came before has happened."""


class _Mark:
    __slots__ = ()


MARK: Final = _Mark()


def _spell(data: bytes) -> tuple[list[Value], list[Value]]:
    """The values of a run and what it put into the memo, in order."""
    machine = _Machine(Held("run", data), Limits(), lazy=False)
    machine.follow(0)
    return machine.stack, machine.memo


class _Machine:
    """Interprets one stream after the other over a blob, through a sliding window."""

    def __init__(self, blob: Blob, limits: Limits, *, lazy: bool = True, size: int = -1) -> None:
        self.blob = blob
        self.limits = limits
        self.lazy = lazy
        self.fast = lazy
        self.flaw: str | None = None
        self.size = blob.size if size < 0 else size
        self.stack: list[Value] = []
        self.memo: list[Value] = []
        self.sparse: dict[int, Value] = {}
        self.imports: dict[tuple[Value, Value], Global] = {}
        self.calls: list[Call] = []
        self.extensions: list[Extension] = []
        self.counts: dict[str, int] = {}
        self.overflow: dict[str, int] = {}
        self.embedded: list[Payload] = []
        self.embedded_dropped = 0
        self.streams: list[Stream] = []
        self.depth = 0
        self.seen = 0
        self.buffer = b""
        self.origin = 0

    # -- the window -----------------------------------------------------------------------------

    def window(self, offset: int, least: int = WINDOW) -> None:
        """Load the window so that it starts at `offset` and has `least` bytes if there are."""
        self.buffer = self.blob.read(offset, max(WINDOW, least))
        self.origin = offset

    # -- what the loader would do -----------------------------------------------------------------

    def find(self, module: Value, name: Value, offset: int, how: str) -> Global:
        """Record an import."""
        key = (module, name) if isinstance(module, str) and isinstance(name, str) else None
        if key is None:
            found = Global(module, name, offset, how)
            self.imports[(f"\0{offset}", how)] = found
            return found
        known = self.imports.get(key)
        if known is None:
            known = self.imports[key] = Global(module, name, offset, how)
        return known

    def call(self, callee: Value, args: tuple[Value, ...], offset: int, how: str) -> Call:
        """Record a call."""
        made = Call(callee, args, offset, how)
        key = f"{callee.module}.{callee.name}" if isinstance(callee, Global) else ""
        count = self.counts.get(key, 0)
        self.counts[key] = count + 1
        if count < CALLS_KEPT:
            self.calls.append(made)
        else:
            self.overflow[key] = count + 1 - CALLS_KEPT
        return made

    def put(self, index: int, value: Value) -> None:
        """PUT and its kin: the memo is a list while it is dense, which it is in real files."""
        memo = self.memo
        if index < len(memo):
            memo[index] = value
        elif index == len(memo):
            memo.append(value)
            self.sparse.pop(index, None)
        else:
            self.sparse[index] = value

    def get(self, index: int) -> Value:
        """GET and its kin."""
        memo = self.memo
        if 0 <= index < len(memo):
            value = memo[index]
            if type(value) is Run:
                _, puts = _spell(value.data)
                memo[value.first : value.first + len(puts)] = puts
                value = memo[index]
            return value
        if index in self.sparse:
            return self.sparse[index]
        raise _Break(f"memo entry {index} does not exist")

    def top(self) -> Value:
        """The value on top, spelled out."""
        if not self.stack or self.stack[-1] is MARK:
            raise _Break("the stack is empty")
        if type(self.stack[-1]) is Run:
            self.stack.extend(self.stack.pop().values())
        return self.stack[-1]

    def pop(self) -> Value:
        """Take the value on top."""
        value = self.top()
        self.stack.pop()
        return value

    def pop_mark(self) -> list[Value]:
        """Take everything above the topmost mark, and the mark."""
        stack = self.stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is MARK:
                items = stack[at + 1 :]
                del stack[at:]
                return items
        raise _Break("no mark on the stack")

    def fill(self, target: Value, items: list[Value], offset: int, how: str) -> None:
        """APPEND(S), SETITEM(S), ADDITEMS: into a fresh container, or into something else."""
        if type(target) is Mutable:
            room = ITEMS_KEPT - len(target.items)
            if room >= len(items):
                target.items += items
            else:
                target.items += items[: max(room, 0)]
                target.dropped += len(items) - max(room, 0)
        elif type(target) is Call:
            # An instance of a list, dict or set class; what fills it is data, kept while small.
            if target.state is None and len(items) <= 64:
                target.state = tuple(items)
        else:
            self.call(target, tuple(items[:64]), offset, how)

    def text(self, data: bytes, offset: int, encoding: str) -> Value:
        """A string or bytes value; payloads inside are remembered."""
        if len(data) >= 22:
            self.search(data, offset)
        if len(data) > STRING_KEPT:
            return Long("bytes" if encoding == "bytes" else "str", offset, len(data))
        if encoding == "bytes":
            return data
        try:
            return data.decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError:
            raise _Break("a string is not valid text") from None

    def search(self, data: bytes, offset: int) -> None:
        """Remember the payloads that a string carries."""
        for payload in payloads(data, offset):
            if len(self.embedded) < PAYLOADS_KEPT:
                self.embedded.append(payload)
            else:
                self.embedded_dropped += 1

    def build(self, target: Value, state: Value, offset: int) -> int:
        """BUILD. Returns how many raw bytes follow in the file for the loader to read."""
        if type(target) is Call:
            target.state = state
            return _joblib_array(self, target, state, offset + 1)
        if type(target) is Mutable:
            return 0
        self.call(target, (state,), offset, "BUILD")
        return 0

    # -- the loop ---------------------------------------------------------------------------------

    def stream(self, start: int) -> Stream:
        """Interpret one pickle from `start`; its effects are added to this machine's."""
        self.stack, self.memo, self.sparse = [], [], {}
        self.fast, self.flaw = self.lazy, None
        try:
            end = self.follow(start)
            broken = self.flaw
        except _Break as error:
            end, broken = self.seen, str(error)
        found = Stream(start, end, broken)
        self.streams.append(found)
        return found

    def follow(self, start: int) -> int:
        """Run opcodes from `start` until STOP; returns the offset behind it.

        Raises `_Break` where the real unpickler would raise; `self.seen` is then the offset of the
        opcode. With `lazy` off the end of the bytes is the end of the work.
        """
        self.window(start)
        buf, origin = self.buffer, self.origin
        pos = 0
        patience = 0
        lazy = self.lazy
        stack, memo = self.stack, self.memo
        match_run = RUN.match
        end = len(buf)
        whole = origin + end >= self.size
        edge = end if whole else end - MARGIN
        while True:
            if pos >= edge:
                if pos >= end and whole:
                    self.seen = origin + pos
                    if not lazy:
                        return origin + pos
                    raise _Break("it ends without STOP")
                if not whole:
                    self.window(origin + pos)
                    buf, origin, pos = self.buffer, self.origin, 0
                    end = len(buf)
                    if not end:
                        self.size = origin
                    whole = origin + end >= self.size
                    edge = end if whole else end - MARGIN
                    patience = 0
                    continue
            op = buf[pos]
            at = origin + pos
            self.seen = at
            pos += 1
            try:
                if op == 0x28 or (op == 0x94 and patience <= 0) or op == 0x95:  # MARK MEMOIZE FRAME
                    if op == 0x28:
                        stack.append(MARK)
                    elif op == 0x94:
                        self.put(len(memo) + len(self.sparse), self.top())
                    else:
                        if at + 9 + _U64(buf, pos)[0] > self.size and self.flaw is None:
                            self.flaw = "a frame is longer than the file"
                        pos += 8
                    patience = 24
                    if self.fast and not self.sparse:
                        found = match_run(buf, pos)
                        if found is not None and found.end() - pos >= RUN_SHORTEST:
                            data = found.group()
                            if self._take_run(data):
                                pos = found.end()
                                patience = 0
                elif op == 0x94:  # MEMOIZE
                    patience -= 1
                    value = stack[-1] if stack else self.top()
                    if type(value) is Run or value is MARK:
                        value = self.top()
                    if self.sparse:
                        self.put(len(memo) + len(self.sparse), value)
                    else:
                        memo.append(value)
                elif op == 0x4B:  # BININT1
                    stack.append(buf[pos])
                    pos += 1
                elif op == 0x71:  # BINPUT
                    self.put(buf[pos], self.top())
                    pos += 1
                    patience -= 1
                    if patience < 0 and self.fast:
                        patience = 24
                        pos = self._try_run(buf, pos)
                elif op == 0x72:  # LONG_BINPUT
                    self.put(_U32(buf, pos)[0], self.top())
                    pos += 4
                    patience -= 1
                    if patience < 0 and self.fast:
                        patience = 24
                        pos = self._try_run(buf, pos)
                elif op == 0x68:  # BINGET
                    stack.append(self.get(buf[pos]))
                    pos += 1
                elif op == 0x6A:  # LONG_BINGET
                    stack.append(self.get(_U32(buf, pos)[0]))
                    pos += 4
                elif op == 0x4A:  # BININT
                    stack.append(_I32(buf, pos)[0])
                    pos += 4
                elif op == 0x47:  # BINFLOAT
                    stack.append(_F64(buf, pos)[0])
                    pos += 8
                elif op == 0x4D:  # BININT2
                    stack.append(_U16(buf, pos)[0])
                    pos += 2
                elif op in _COUNTED:
                    width, kind = _COUNTED[op]
                    if pos + width > end:
                        raise IndexError
                    length = int.from_bytes(buf[pos : pos + width], "little", signed=op == 0x54)
                    pos += width
                    if length < 0:
                        raise _Break("a negative length")
                    if origin + pos + length > self.size:
                        self.seen = self.size
                        raise _Break("it ends in the middle of a value")
                    if pos + length <= end:
                        data = buf[pos : pos + length]
                        pos += length
                        if op == 0x8C and length < 22:
                            try:
                                stack.append(data.decode())
                            except UnicodeDecodeError:
                                stack.append(self.text(data, at, kind))
                        else:
                            stack.append(self._counted(data, at, op, kind))
                    else:
                        stack.append(self._far(origin + pos, length, at, op, kind))
                        self.window(origin + pos + length)
                        buf, origin, pos = self.buffer, self.origin, 0
                        end = len(buf)
                        whole = origin + end >= self.size
                        edge = end if whole else end - MARGIN
                elif op == 0x86:  # TUPLE2
                    b = self.pop()
                    a = self.pop()
                    stack.append((a, b))
                elif op == 0x87:  # TUPLE3
                    c = self.pop()
                    b = self.pop()
                    a = self.pop()
                    stack.append((a, b, c))
                elif op == 0x85:  # TUPLE1
                    stack.append((self.pop(),))
                elif op == 0x29:  # EMPTY_TUPLE
                    stack.append(())
                elif op == 0x4E:  # NONE
                    stack.append(None)
                elif op == 0x88:  # NEWTRUE
                    stack.append(True)
                elif op == 0x89:  # NEWFALSE
                    stack.append(False)
                elif op == 0x7D:  # EMPTY_DICT
                    stack.append(Mutable("dict"))
                elif op == 0x5D:  # EMPTY_LIST
                    stack.append(Mutable("list"))
                elif op == 0x8F:  # EMPTY_SET
                    stack.append(Mutable("set"))
                elif op == 0x74:  # TUPLE
                    stack.append(tuple(self.pop_mark()))
                elif op in (0x75, 0x65, 0x90):  # SETITEMS APPENDS ADDITEMS
                    items = self.pop_mark()
                    self.fill(self.top(), items, at, _NAMES[op])
                elif op == 0x61:  # APPEND
                    value = self.pop()
                    self.fill(self.top(), [value], at, "APPEND")
                elif op == 0x73:  # SETITEM
                    value = self.pop()
                    key = self.pop()
                    self.fill(self.top(), [key, value], at, "SETITEM")
                elif op == 0x51:  # BINPERSID
                    stack.append(PersistentId(self.pop(), at))
                elif op == 0x52:  # REDUCE
                    args = self.pop()
                    callee = self.pop()
                    stack.append(self.call(callee, _arguments(args), at, "REDUCE"))
                elif op == 0x62:  # BUILD
                    state = self.pop()
                    skip = self.build(self.top(), state, at)
                    if skip:
                        self.window(at + 1 + skip)
                        buf, origin, pos = self.buffer, self.origin, 0
                        end = len(buf)
                        whole = origin + end >= self.size
                        edge = end if whole else end - MARGIN
                elif op == 0x93:  # STACK_GLOBAL
                    name = self.pop()
                    module = self.pop()
                    stack.append(self.find(module, name, at, "STACK_GLOBAL"))
                elif op == 0x81:  # NEWOBJ
                    args = self.pop()
                    cls = self.pop()
                    stack.append(self.call(cls, _arguments(args), at, "NEWOBJ"))
                elif op == 0x92:  # NEWOBJ_EX
                    keywords = self.pop()
                    args = self.pop()
                    made = self.call(self.pop(), _arguments(args), at, "NEWOBJ_EX")
                    made.keywords = keywords
                    stack.append(made)
                elif op == 0x80:  # PROTO
                    if buf[pos] > 5:
                        raise _Break(f"protocol {buf[pos]} does not exist")
                    pos += 1
                elif op == 0x2E:  # STOP
                    self.seen = origin + pos
                    self.top()
                    return origin + pos
                elif op == 0x30:  # POP
                    if stack and stack[-1] is MARK:
                        stack.pop()
                    else:
                        self.pop()
                elif op == 0x31:  # POP_MARK
                    self.pop_mark()
                elif op == 0x32:  # DUP
                    stack.append(self.top())
                elif op in (0x6C, 0x64, 0x91):  # LIST DICT FROZENSET
                    items = self.pop_mark()
                    made_of = Mutable({0x6C: "list", 0x64: "dict", 0x91: "frozenset"}[op])
                    self.fill(made_of, items, at, "")
                    stack.append(made_of)
                elif op == 0x6F:  # OBJ
                    items = _spelled(self.pop_mark())
                    if not items:
                        raise _Break("OBJ without a class")
                    stack.append(self.call(items[0], tuple(items[1:]), at, "OBJ"))
                elif op in (0x82, 0x83, 0x84):  # EXT1 EXT2 EXT4
                    width = 1 << (op - 0x82)
                    if pos + width > end:
                        raise IndexError
                    code = int.from_bytes(buf[pos : pos + width], "little", signed=width == 4)
                    pos += width
                    extension = Extension(code, at)
                    self.extensions.append(extension)
                    stack.append(extension)
                elif op in (0x97, 0x98):  # NEXT_BUFFER READONLY_BUFFER
                    if op == 0x97:
                        raise _Break("it needs out-of-band buffers")
                    self.top()
                elif op in _LINES:
                    newline = buf.find(b"\n", pos)
                    if newline < 0 and not whole:
                        if end - pos > LINE_LIMIT and op not in (0x53, 0x56, 0x4C):
                            raise _Break("a line is too long")
                        length = _line_length(self.blob, origin + pos, self.size)
                        if length > self.limits.held:
                            raise _Break("a line is too long to be read")
                        self.window(origin + pos - 1, length + MARGIN + 2)
                        buf, origin, pos = self.buffer, self.origin, 1
                        end = len(buf)
                        whole = origin + end >= self.size
                        edge = end if whole else end - MARGIN
                        newline = buf.find(b"\n", pos)
                    if newline < 0:
                        raise _Break("it ends in the middle of a line")
                    line = buf[pos:newline]
                    pos = newline + 1
                    if op in (0x63, 0x69):  # GLOBAL INST
                        newline = buf.find(b"\n", pos)
                        if newline < 0 and not whole:
                            self.window(origin + pos)
                            buf, origin, pos = self.buffer, self.origin, 0
                            end = len(buf)
                            whole = origin + end >= self.size
                            edge = end if whole else end - MARGIN
                            newline = buf.find(b"\n", pos)
                        if newline < 0:
                            raise _Break("it ends in the middle of a name")
                        second = buf[pos:newline]
                        pos = newline + 1
                        if op == 0x69:
                            items = _spelled(self.pop_mark())
                            cls = self.find(_name(line), _name(second), at, "INST")
                            stack.append(self.call(cls, tuple(items), at, "INST"))
                        else:
                            stack.append(self.find(_name(line), _name(second), at, "GLOBAL"))
                    elif op == 0x70:  # PUT
                        self.put(_index(line), self.top())
                    elif op == 0x67:  # GET
                        stack.append(self.get(_index(line)))
                    else:
                        stack.append(self._line(op, line, at))
                else:
                    raise _Break(f"there is no opcode 0x{op:02x}")
            except (IndexError, struct.error):
                self.seen = self.size
                raise _Break("it ends in the middle of an opcode") from None

    def _take_run(self, data: bytes) -> bool:
        """Put a run on the stack if its memo indexes follow the memo.

        No library writes them in another order; where they are, runs are given up for this file,
        so that the time stays linear.
        """
        puts = RUN_PUTS.findall(data)
        while puts and not puts[-1]:
            puts.pop()
        memo = self.memo
        run = Run(data, len(memo))
        if puts:
            if puts[0] != b"\x94":
                first = len(memo)
                for index, put in enumerate(puts, first):
                    if int.from_bytes(put[1:], "little") != index:
                        self.fast = False
                        return False
            elif puts.count(b"\x94") != len(puts):
                self.fast = False
                return False
            memo.extend([run] * len(puts))
        self.stack.append(run)
        return True

    def _try_run(self, buf: bytes, pos: int) -> int:
        if self.sparse:
            return pos
        found = RUN.match(buf, pos)
        if (
            found is not None
            and found.end() - pos >= RUN_SHORTEST
            and self._take_run(found.group())
        ):
            return found.end()
        return pos

    def _counted(self, data: bytes, at: int, op: int, kind: str) -> Value:
        if kind == "int":
            return (
                int.from_bytes(data, "little", signed=True)
                if len(data) <= 1024
                else Long("int", at, len(data))
            )
        if kind == "bytearray":
            self.text(data, at, "bytes")
            return Mutable("bytearray", [data] if len(data) <= STRING_KEPT else [])
        return self.text(data, at, kind)

    def _far(self, start: int, length: int, at: int, op: int, kind: str) -> Value:
        """A value that does not fit into the window: looked into as far as the limits allow."""
        data = self.blob.read(start, min(length, self.limits.held))
        if kind != "int":
            self.search(data, at)
        return Long(kind, at, length)

    def _line(self, op: int, line: bytes, at: int) -> Value:
        """The value of an opcode whose argument is a line of text."""
        if op == 0x56:  # UNICODE
            self.search(line, at) if len(line) >= 22 else None
            return _raw_unicode(line) if len(line) <= STRING_KEPT else Long("str", at, len(line))
        if op == 0x53:  # STRING
            text = line.strip()
            if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
                raise _Break("a string without quotes")
            data = _unescape(text[1:-1])
            return self.text(data, at, "latin-1")
        if op == 0x50:  # PERSID
            return PersistentId(_name(line), at)
        if op == 0x46:  # FLOAT
            try:
                return float(line)
            except ValueError:
                raise _Break("a float that is none") from None
        text = line.strip()
        if op == 0x49 and text in (b"00", b"01"):  # INT, as bool
            return text == b"01"
        if op == 0x4C:  # LONG
            text = text.removesuffix(b"L")
        if len(text) > 4000:
            return Long("int", at, len(text))
        try:
            return int(text, 0 if op == 0x49 else 10)
        except ValueError:
            raise _Break("a number that is none") from None


_STANDARD_MODULES: Final = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "nt"}

_NAMES: Final = {0x75: "SETITEMS", 0x65: "APPENDS", 0x90: "ADDITEMS"}

_COUNTED: Final = {
    0x8C: (1, "utf-8"),  # SHORT_BINUNICODE
    0x58: (4, "utf-8"),  # BINUNICODE
    0x8D: (8, "utf-8"),  # BINUNICODE8
    0x43: (1, "bytes"),  # SHORT_BINBYTES
    0x42: (4, "bytes"),  # BINBYTES
    0x8E: (8, "bytes"),  # BINBYTES8
    0x96: (8, "bytearray"),  # BYTEARRAY8
    0x55: (1, "latin-1"),  # SHORT_BINSTRING
    0x54: (4, "latin-1"),  # BINSTRING
    0x8A: (1, "int"),  # LONG1
    0x8B: (4, "int"),  # LONG4
}
_LINES: Final = frozenset(b"ciSVILFPpg")
_OPENERS: Final = frozenset(b"(]}c)ISVLFNKMJGXUTCB\x80\x88\x89\x8a\x8c\x8f\x95\x8d\x8e\x96")


def _spelled(values: list[Value]) -> list[Value]:
    spelled: list[Value] = []
    for value in values:
        if type(value) is Run:
            spelled += value.values()
        else:
            spelled.append(value)
    return spelled


def _arguments(value: Value) -> tuple[Value, ...]:
    return value if type(value) is tuple else (value,)


def _name(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _index(line: bytes) -> int:
    try:
        index = int(line) if len(line) < 20 else -1
    except ValueError:
        index = -1
    if index < 0:
        raise _Break("a memo index that is none")
    return index


def _raw_unicode(line: bytes) -> str:
    try:
        return line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise _Break("a string is not valid text") from None


def _unescape(data: bytes) -> bytes:
    if b"\\" not in data:
        return data
    try:
        return data.decode("unicode-escape", "surrogatepass").encode("latin-1", "surrogatepass")
    except (UnicodeDecodeError, UnicodeEncodeError):
        return data


def _line_length(blob: Blob, start: int, size: int) -> int:
    offset = start
    while offset < size:
        block = blob.read(offset, WINDOW)
        if not block:
            break
        newline = block.find(b"\n")
        if newline >= 0:
            return offset + newline - start
        offset += len(block)
    return size - start


def pairs(mapping: Value) -> Iterator[tuple[Value, Value]]:
    """Keys and values of a symbolic dict (nothing for any other value)."""
    if type(mapping) is Mutable and mapping.kind == "dict":
        items = _spelled(mapping.items)
        yield from zip(items[::2], items[1::2], strict=False)


def members(value: Value) -> list[Value]:
    """The members of a symbolic list, tuple or set (nothing for any other value)."""
    if type(value) is tuple:
        return _spelled(list(value))
    return _spelled(value.items) if type(value) is Mutable else []


# -- joblib: array bytes stand in the stream, behind the BUILD of their wrapper --------------------

_JOBLIB_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")


def _joblib_array(machine: _Machine, target: Call, state: Value, offset: int) -> int:
    """How many bytes joblib reads from the file itself after building an array wrapper.

    joblib `numpy_pickle.NumpyArrayWrapper.read_array`: an object array is a pickle of its own,
    any other array is a padding length byte, the padding, and the raw elements.
    """
    cls = target.callee
    if type(cls) is Global and cls.name == "__newobj__" and target.args:
        cls = target.args[0]
    if type(cls) is not Global:
        return 0
    module = cls.module
    if not isinstance(module, str) or not module.endswith(_JOBLIB_WRAPPER[0]):
        return 0
    if cls.name != _JOBLIB_WRAPPER[1]:
        return 0
    fields = {key: value for key, value in pairs(state) if isinstance(key, str)}
    width, has_objects = _item_size(fields.get("dtype"))
    if has_objects:
        if machine.depth >= machine.limits.depth:
            raise _Break("object arrays are nested too deeply")
        outer = machine.stack, machine.memo, machine.sparse
        machine.depth += 1
        inner = machine.stream(offset)
        machine.depth -= 1
        machine.stack, machine.memo, machine.sparse = outer
        if inner.broken:
            raise _Break(inner.broken)
        return inner.end - offset
    count = 1
    for length in members(fields.get("shape")):
        count *= length if isinstance(length, int) and length >= 0 else 0
    padding = 0
    if fields.get("numpy_array_alignment_bytes") is not None:
        padding = 1 + (machine.blob.read(offset, 1) or b"\0")[0]
    return padding + count * width


def _item_size(dtype: Value) -> tuple[int, bool]:
    """Bytes per element of a symbolic `numpy.dtype` call, and whether it holds objects."""
    if type(dtype) is not Call or not dtype.args:
        return 0, False
    code = dtype.args[0]
    state = members(dtype.state)
    if not isinstance(code, str):
        return 0, False
    text = code.lstrip("<>=|")
    if text.startswith("O") or (len(state) > 8 and state[8] == 63) or "O" in _field_codes(state):
        return 0, True
    digits = re.fullmatch(r"([a-zA-Z?])(\d*)(\[.*\])?", text)
    if digits is None:
        return 0, False
    width = int(digits[2]) if digits[2] and len(digits[2]) < 12 else 1
    return width * (4 if digits[1] == "U" else 1), False


def _field_codes(state: list[Value]) -> str:
    """The type letters of a structured dtype's fields."""
    letters = ""
    fields = state[4] if len(state) > 4 else None
    for _, described in pairs(fields):
        for part in members(described)[:1]:
            if type(part) is Call and part.args and isinstance(part.args[0], str):
                letters += part.args[0].lstrip("<>=|")[:1]
    return letters


# -- the format -----------------------------------------------------------------------------------


def _sniff(sample: Sample) -> bool:
    """Protocol 2 and later have a header; protocols 0 and 1 are tried.

    Text may begin like a protocol 0 pickle by accident, so without a header it counts only if it
    calls something, or if STOP stands where the file ends.
    """
    head = sample.head
    if len(head) >= 2 and head[0] == 0x80 and head[1] <= 5:
        return len(head) > 2
    if not head or head[0] not in _OPENERS or head[0] == 0x80:
        return False
    size = sample.blob.size
    machine = _Machine(Held("head", head), Limits(), lazy=True)
    stream = machine.stream(0)
    if any(c.how not in ("APPEND", "APPENDS", "SETITEM", "SETITEMS") for c in machine.calls):
        return all(_plausible(g) for g in machine.imports.values())
    if any(_standard(g) and _plausible(g) for g in machine.imports.values()):
        return True
    if stream.broken is None:
        return size - stream.end <= 2 and stream.end > 2
    return size > len(head) and machine.seen > len(head) - 256


def _plausible(found: Global) -> bool:
    names = (found.module, found.name)
    return all(not isinstance(n, str) or all(p.isidentifier() for p in n.split(".")) for n in names)


def _standard(found: Global) -> bool:
    module = found.module
    return isinstance(module, str) and module.split(".")[0] in _STANDARD_MODULES


def _parse(blob: Blob, where: Location, limits: Limits) -> Pickle:
    machine = _Machine(blob, limits)
    stream = machine.stream(0)
    if stream.broken and not machine.imports and not machine.calls:
        raise Malformed(f"not a whole pickle: {stream.broken}", stream.end)
    legacy = stream.broken is None and machine.stack[-1:] == [TORCH_MAGIC]
    storages = None
    offset = stream.end
    while stream.broken is None and offset < blob.size and len(machine.streams) < STREAMS_KEPT:
        if legacy and len(machine.streams) == TORCH_LEGACY_STREAMS:
            storages = offset
            break
        if not _starts_pickle(blob, offset):
            break
        stream = machine.stream(offset)
        offset = stream.end
    trailing = blob.size - offset
    gaps = []
    broken = [s for s in machine.streams if s.broken]
    if storages is None and (trailing > 0 or broken):
        _resync(machine, blob, max(machine.seen, offset))
        if trailing > RESYNC_BYTES:
            gaps.append(
                Gap(
                    kind=GapKind.TOO_LARGE,
                    message=f"{trailing:,} bytes follow the pickle; the first {RESYNC_BYTES:,} "
                    "were searched for further pickles",
                    at=Location(where.path, where.inside, offset),
                )
            )
    gaps += [
        Gap(
            kind=GapKind.MALFORMED,
            message=f"the pickle breaks here: {s.broken}; what stands before it would have run",
            at=Location(where.path, where.inside, s.end),
        )
        for s in broken
    ]
    if machine.embedded_dropped:
        gaps.append(
            Gap(
                kind=GapKind.TOO_LARGE,
                message=f"{machine.embedded_dropped:,} more strings that may hold a payload were "
                "not opened",
                at=where,
            )
        )
    return Pickle(
        where=where,
        size=blob.size,
        seen=min(blob.size, max(s.end for s in machine.streams)),
        gaps=tuple(gaps),
        streams=tuple(machine.streams),
        imports=tuple(machine.imports.values()),
        calls=tuple(machine.calls),
        extensions=tuple(machine.extensions),
        overflow=machine.overflow,
        embedded=tuple(machine.embedded),
        storages=storages,
    )


def _starts_pickle(blob: Blob, offset: int) -> bool:
    head = blob.read(offset, 8192)
    return _sniff(Sample(Held("next", head)))


def _resync(machine: _Machine, blob: Blob, start: int) -> None:
    """Look for pickles that do not stand directly behind STOP; keep those that import something.

    A loader that seeks, or that reads several objects with data between them, would find them.
    """
    offset, tries = start, 0
    stop = min(blob.size, start + RESYNC_BYTES)
    while offset < stop:
        block = blob.read(offset, min(WINDOW, stop - offset + 2))
        if len(block) < 3:
            return
        resume = offset + len(block) - 2
        for found in re.finditer(rb"\x80[\x02-\x05](?=[\x95c\x8c(}\]X])", block):
            at = offset + found.start()
            if at < start:
                continue
            tries += 1
            if tries > RESYNC_TRIES:
                return
            trial = _Machine(blob, machine.limits)
            stream = trial.stream(at)
            if trial.imports and (trial.calls or stream.broken is None):
                machine.streams.append(stream)
                machine.calls += trial.calls
                machine.extensions += trial.extensions
                machine.embedded += trial.embedded[: PAYLOADS_KEPT - len(machine.embedded)]
                for key, name in trial.imports.items():
                    machine.imports.setdefault(key, name)
                start = stream.end
        offset = max(resume, offset + 1)


PICKLE = Format(
    name="pickle",
    title="Python pickle",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=Pickle,
    limits=(
        "Names that the pickle computes with functions outside the analysis's table stay "
        "unresolved and are reviewed; out-of-band buffers (protocol 5) are not followed."
    ),
)
