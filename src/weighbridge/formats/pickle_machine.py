"""The symbolic interpreter: every opcode of protocols 0 to 5, nothing imported, nothing called.

Grammar and meaning of the opcodes: CPython `Lib/pickletools.py`; the order of effects follows the
C unpickler (`Modules/_pickle.c`), whose reading is the one that acts. A legal pickle is followed
through a sliding window, so that memory does not grow with strings or arrays.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.format import Limits
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.payload import BEGINNING, Payload, may_be_payload, payloads
from weighbridge.formats.pickle_runs import RUN, RUN_SHORTEST, puts_of
from weighbridge.formats.pickle_values import (
    Call,
    Extension,
    Global,
    Long,
    Mutable,
    PersistentId,
    Value,
)

CALLS_KEPT: Final = 10_000
NAMES_KEPT: Final = 100_000
"""How many different names are followed; the files of real models have some dozens."""
ITEMS_KEPT: Final = 4_096
STRING_KEPT: Final = 1 << 16
PAYLOADS_KEPT: Final = 256
WINDOW: Final = 4 << 20
MARGIN: Final = 16
LINE_LIMIT: Final = 1 << 16


class Run(Struct, frozen=True, eq=False):
    """A stretch of plain values, `puts` of which went into the memo from index `first`."""

    data: bytes
    first: int

    def values(self) -> list[Value]:
        """The values, spelled out."""
        return _spell(self.data)[0]


class Stream(Struct, frozen=True):
    """One pickle of the file: from its first opcode to behind STOP, or to where it breaks.

    `broken` is why the real unpickler would raise. A frame that is too long is read past all the
    same: another reader of the format may not mind. `unread`: it goes on, and only we do not.
    """

    start: int
    end: int
    broken: str | None
    unread: bool = False


_U16 = struct.Struct("<H").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from
_F64 = struct.Struct(">d").unpack_from


class Break(Exception):
    """The real unpickler would raise here; what came before has happened."""


class TooLarge(Break):
    """The real unpickler would go on here; we do not."""


class _Mark:
    __slots__ = ()


MARK: Final = _Mark()


def _spell(data: bytes) -> tuple[list[Value], list[Value]]:
    """The values of a run and what it put into the memo, in order.

    Puts that name their places go on from those before the run, which this machine has not seen.
    """
    machine = Machine(Held("run", data), Limits(), lazy=False)
    machine.follow(0)
    return machine.stack, [*machine.memo, *machine.sparse.values()]


class Machine:
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

    # -- the window -----------------------------------------------------------------------------

    def window(self, offset: int, least: int = WINDOW) -> tuple[bytes, int, int, int, bool]:
        """Load the window from `offset`, at least `least` bytes if there are so many.

        Returns its bytes, its offset, their number, the position up to which an opcode with a
        short argument is sure to be whole, and whether the bytes reach to the end.
        """
        wanted = max(WINDOW, least)
        buf = self.blob.read(offset, wanted)
        end = len(buf)
        if end < wanted:  # the blob may be shorter than its container says
            self.size = min(self.size, offset + end)
        whole = offset + end >= self.size
        return buf, offset, end, end if whole else end - MARGIN, whole

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
            if len(self.imports) >= NAMES_KEPT:
                raise TooLarge(f"more than {NAMES_KEPT:,} different names")
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
        raise Break(f"memo entry {index} does not exist")

    def top(self) -> Value:
        """The value on top, spelled out."""
        if not self.stack or self.stack[-1] is MARK:
            raise Break("the stack is empty")
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
        raise Break("no mark on the stack")

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
            self.call(target, tuple(_spelled(items[:64])), offset, how)

    def text(self, data: bytes, offset: int, encoding: str) -> Value:
        """A string or bytes value; payloads inside are remembered."""
        if len(data) >= 22:
            self.search(data, offset)
        if len(data) > STRING_KEPT:
            return Long("bytes" if encoding == "bytes" else "str", offset, len(data))
        if encoding == "bytes":
            return data
        if not self.lazy:  # inside a run: whoever looks into it is not the one who would break
            return data.decode(encoding, "replace")
        try:
            return data.decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError:
            raise Break("a string is not valid text") from None

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
        unread = False
        try:
            end = self.follow(start)
            broken = self.flaw
        except Break as error:
            end, broken, unread = self.seen, str(error), isinstance(error, TooLarge)
        except MemoryError:
            # What was met so far stands; what was built of it makes room for the checks.
            self.stack.clear()
            self.memo.clear()
            self.sparse.clear()
            end, broken, unread = self.seen, "the memory limit was reached", True
        found = Stream(start, end, broken, unread)
        self.streams.append(found)
        return found

    def follow(self, start: int) -> int:
        """Run opcodes from `start` until STOP; returns the offset behind it.

        Raises `Break` where the real unpickler would raise; `self.seen` is then the offset of the
        opcode. With `lazy` off the end of the bytes is the end of the work.
        """
        buf, origin, end, edge, whole = self.window(start)
        pos = 0
        patience = 0
        lazy = self.lazy
        stack, memo = self.stack, self.memo
        match_run = RUN.match
        while True:
            if pos >= edge:
                if pos >= end and whole:
                    self.seen = origin + pos
                    if not lazy:
                        return origin + pos
                    raise Break("it ends without STOP")
                if not whole:
                    buf, origin, end, edge, whole = self.window(origin + pos)
                    pos = patience = 0
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
                elif (
                    op == 0x58
                    and pos + 26 <= end
                    and buf[pos] < 22
                    and buf[pos + 1 : pos + 4] == _000
                ):
                    # A short BINUNICODE, by far the most frequent string; the rest is below.
                    data = buf[pos + 4 : pos + 4 + buf[pos]]
                    try:
                        stack.append(data.decode())
                    except UnicodeDecodeError:
                        stack.append(self.text(data, at, "utf-8"))
                    pos += 4 + len(data)
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
                elif op == 0x74:  # TUPLE
                    stack.append(tuple(self.pop_mark()))
                elif op == 0x52:  # REDUCE
                    args = self.pop()
                    callee = self.pop()
                    stack.append(self.call(callee, _arguments(args), at, "REDUCE"))
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
                        raise Break("a negative length")
                    if origin + pos + length > self.size:
                        self.seen = self.size
                        raise Break("it ends in the middle of a value")
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
                        buf, origin, end, edge, whole = self.window(origin + pos + length)
                        pos = 0
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
                    value = self.pop()
                    value = _arguments(value) if type(value) is tuple else value
                    stack.append(PersistentId(value, at))
                elif op == 0x62:  # BUILD
                    state = self.pop()
                    skip = self.build(self.top(), state, at)
                    if skip:
                        buf, origin, end, edge, whole = self.window(at + 1 + skip)
                        pos = 0
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
                        raise Break(f"protocol {buf[pos]} does not exist")
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
                        raise Break("OBJ without a class")
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
                        stack.append(Long("buffer", at, 0))
                    self.top()
                elif op in _LINES:
                    newline = buf.find(b"\n", pos)
                    if newline < 0 and not whole:
                        if end - pos > LINE_LIMIT and op not in (0x53, 0x56, 0x4C):
                            raise Break("a line is too long")
                        length = _line_length(self.blob, origin + pos, self.size)
                        if length > self.limits.held:
                            raise Break("a line is too long to be read")
                        least = length + MARGIN + 2
                        buf, origin, end, edge, whole = self.window(origin + pos - 1, least)
                        pos = 1
                        newline = buf.find(b"\n", pos)
                    if newline < 0:
                        raise Break("it ends in the middle of a line")
                    line = buf[pos:newline]
                    pos = newline + 1
                    if op in (0x63, 0x69):  # GLOBAL INST
                        newline = buf.find(b"\n", pos)
                        if newline < 0 and not whole:
                            buf, origin, end, edge, whole = self.window(origin + pos)
                            pos = 0
                            newline = buf.find(b"\n", pos)
                        if newline < 0:
                            raise Break("it ends in the middle of a name")
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
                    raise Break(f"there is no opcode 0x{op:02x}")
            except (IndexError, struct.error):
                self.seen = self.size
                raise Break("it ends in the middle of an opcode") from None

    def _take_run(self, data: bytes) -> bool:
        """Put a run on the stack if its memo indexes follow the memo.

        No library writes them in another order; where they are, runs are given up for this file,
        so that the time stays linear.
        """
        memo = self.memo
        puts = puts_of(data, len(memo))
        if puts is None:
            self.fast = False
            return False
        run = Run(data, len(memo))
        memo.extend([run] * puts)
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
        """A value that does not fit into the window: its beginning says whether it is looked into,
        as far as the limits allow."""
        if kind != "int" and may_be_payload(self.blob.read(start, BEGINNING)):
            self.search(self.blob.read(start, min(length, self.limits.held)), at)
        return Long(kind, at, length)

    def _line(self, op: int, line: bytes, at: int) -> Value:
        """The value of an opcode whose argument is a line of text."""
        if op == 0x56:  # UNICODE
            self.search(line, at) if len(line) >= 22 else None
            return _raw_unicode(line) if len(line) <= STRING_KEPT else Long("str", at, len(line))
        if op == 0x53:  # STRING
            text = line.strip()
            if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
                raise Break("a string without quotes")
            data = _unescape(text[1:-1])
            return self.text(data, at, "latin-1")
        if op == 0x50:  # PERSID
            return PersistentId(_name(line), at)
        if op == 0x46:  # FLOAT
            try:
                return float(line)
            except ValueError:
                raise Break("a float that is none") from None
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
            raise Break("a number that is none") from None


_NAMES: Final = {0x75: "SETITEMS", 0x65: "APPENDS", 0x90: "ADDITEMS"}

_000: Final = bytes(3)
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


def _spelled(values: list[Value]) -> list[Value]:
    spelled: list[Value] = []
    for value in values:
        if type(value) is Run:
            spelled += value.values()
        else:
            spelled.append(value)
    return spelled


def _arguments(value: Value) -> tuple[Value, ...]:
    return tuple(_spelled(list(value))) if type(value) is tuple else (value,)


def _name(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _index(line: bytes) -> int:
    try:
        index = int(line) if len(line) < 20 else -1
    except ValueError:
        index = -1
    if index < 0:
        raise Break("a memo index that is none")
    return index


def _raw_unicode(line: bytes) -> str:
    try:
        return line.decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise Break("a string is not valid text") from None


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


def _joblib_array(machine: Machine, target: Call, state: Value, offset: int) -> int:
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
            raise Break("object arrays are nested too deeply")
        outer = machine.stack, machine.memo, machine.sparse
        machine.depth += 1
        inner = machine.stream(offset)
        machine.depth -= 1
        machine.stack, machine.memo, machine.sparse = outer
        if inner.broken:
            raise Break(inner.broken)
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
