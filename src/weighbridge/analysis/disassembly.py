"""Code objects as a reader can judge them: their calls first, then their instructions.

Nothing runs. Which Python version the instructions belong to is known from the file, or worked
out: a version is possible if every instruction exists in it, every argument leads to something,
every jump lands on an instruction and every cache is empty. Where several are possible and do not
read alike, the listing is not shown.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from weighbridge.core.evidence import Text
from weighbridge.formats.marshalled import Code, Group, Word
from weighbridge.intel import opcodes
from weighbridge.intel.opcodes import Opcode

LINES: Final = 60
CALLS_SHOWN: Final = 20
INSTRUCTIONS: Final = 5_000
"""How many instructions are read in all, over all code objects of one listing."""
WIDTH: Final = 110
TEXT: Final = 80

_VERSIONS: Final = {
    "3.6": ("3.6", "3.7"),
    "3.8": ("3.8", "3.9", "3.10"),
    "3.11": ("3.11", "3.12", "3.13", "3.14"),
}
"""The versions that share a layout of code objects."""
_ENDS: Final = ("RETURN_", "RAISE_", "RERAISE", "JUMP_", "INTERPRETER_EXIT")


class Instruction(Struct, frozen=True):
    """One instruction: its offset, the argument as a number and as it reads, where it jumps to."""

    offset: int
    name: str
    argument: int
    text: str
    target: int | None = None


class _Body(Struct, frozen=True):
    code: Code
    instructions: tuple[Instruction, ...]
    sound: bool
    """Whether everything in it is possible in the version that it was read as."""


def disassembly(code: Code, version: str | None = None, names: str = "") -> Text:
    """The listing as evidence, at most `LINES` lines; `version` is given where the file says it.

    Where the version cannot be told, `names` (or the names in the code) is all there is to show.
    """
    possible = (version,) if version else _VERSIONS[code.layout]
    read = {v: _bodies(code, v) for v in possible}
    if version is None:
        read = {v: b for v, b in read.items() if all(body.sound for body in b)}
    if len({_listing(b) for b in read.values()}) > 1:
        fitting = {v: b for v, b in read.items() if _fits(code, v)}
        read = fitting or read
    listings = {_listing(b) for b in read.values()}
    if len(listings) != 1:
        why = "fit several versions" if listings else "are those of no version from 3.6 to 3.14"
        shown = names or "\n".join(dict.fromkeys(code.texts()))
        return Text(f"Names and texts in the code (its instructions {why})", text=shown[:8_000])
    title = f"The code, disassembled (CPython {' or '.join(read)})"
    return Text(title, text=listings.pop(), language="disassembly")


def _fits(code: Code, version: str) -> bool:
    """Whether the table of lines is of this version: since 3.10 it covers all instructions."""
    covered = sum(code.lines[::2]) == len(code.code)
    return covered == (version == "3.10") if code.layout == "3.8" else True


def _bodies(code: Code, version: str) -> tuple[_Body, ...]:
    left = INSTRUCTIONS
    bodies = []
    for inner in code.whole():
        body = _body(inner, version, left)
        bodies.append(body)
        left -= len(body.instructions)
        if left <= 0:
            break
    return tuple(bodies)


def _number(version: str) -> int:
    return int(version.partition(".")[2])


def _body(code: Code, version: str, limit: int) -> _Body:
    """Read the instructions of one code object as those of one version."""
    known, minor = opcodes.of(version), _number(version)
    data, at, extended = code.code, 0, 0
    found: list[Instruction] = []
    begins: set[int] = set()
    sound = len(data) > 0 and len(data) % 2 == 0
    start = 0
    while at + 1 < len(data) and len(found) < limit:
        number, argument = data[at], data[at + 1] | extended
        start = start if extended else at
        opcode = known.opcodes.get(number)
        after = at + 2
        if opcode is None or opcode.name == "CACHE":
            sound, opcode = False, Opcode(f"<{number}>", "-", 0)
        after += 2 * opcode.caches
        if opcode.caches and any(data[at + 2 : after]):
            sound = False
        if opcode.name == "EXTENDED_ARG":
            extended = (argument << 8) & 0xFFFFFFFF
            at = after
            continue
        takes = number >= known.arguments
        target = _target(opcode, argument, after, minor)
        text = _text(code, opcode, argument, minor, known.compare) if takes else ""
        if text is None:
            sound, text = False, f"{argument} (out of range)"
        begins.add(start)
        found.append(
            Instruction(at, opcode.name, argument, text if target is None else f"to {target}",
                        target)
        )  # fmt: skip
        extended, at = 0, after
    whole = len(found) < limit
    if whole and any(i.target is not None and i.target not in begins for i in found):
        sound = False
    if whole and not (found and found[-1].name.startswith(_ENDS)):
        sound = False
    if minor >= 11 and not any(i.name == "RESUME" for i in found):
        sound = False
    return _Body(code, tuple(found), sound)


def _target(opcode: Opcode, argument: int, after: int, minor: int) -> int | None:
    unit = 2 if minor >= 10 else 1
    if opcode.kind == "jabs":
        return argument * unit
    if opcode.kind == "jrel":
        back = "BACKWARD" in opcode.name or opcode.name == "END_ASYNC_FOR"
        return after + argument * unit * (-1 if back else 1)
    return None


def _text(
    code: Code, opcode: Opcode, argument: int, minor: int, compare: tuple[str, ...]
) -> str | None:
    """What an argument stands for, or None where it leads to nothing."""
    name, kind = opcode.name, opcode.kind
    if kind == "const":
        return shown(code.consts[argument]) if argument < len(code.consts) else None
    if kind == "name":
        index = argument
        if name == "LOAD_SUPER_ATTR":
            index >>= 2
        elif (name == "LOAD_GLOBAL" and minor >= 11) or (name == "LOAD_ATTR" and minor >= 12):
            index >>= 1
        return _plain(code.names[index]) if index < len(code.names) else None
    if kind == "local" and name.count("_FAST") == 2:
        pair = (argument >> 4, argument & 15)
        if max(pair) >= len(code.local):
            return None
        return ", ".join(_plain(code.local[i]) for i in pair)
    if kind in ("local", "free"):
        names = code.local if kind == "local" else code.cells
        return _plain(names[argument]) if argument < len(names) else None
    if kind == "compare":
        index = argument >> (5 if minor >= 13 else 4 if minor == 12 else 0)
        return compare[index] if index < len(compare) else None
    return str(argument)


def _plain(name: str) -> str:
    """A name as it stands, if it can stand in a line."""
    return name if name.isprintable() else repr(name)


def shown(constant: Any, depth: int = 3) -> str:
    """A constant as a reader would write it, shortened."""
    if isinstance(constant, Code):
        return f"<code {_plain(constant.name)}>"
    if isinstance(constant, Word):
        return constant.text
    if isinstance(constant, tuple | Group):
        items = constant.items if isinstance(constant, Group) else constant
        inner = ", ".join(shown(i, depth - 1) for i in items[:8]) if depth else "…"
        more = ", …" if len(items) > 8 else "," if len(items) == 1 else ""
        kind = constant.kind if isinstance(constant, Group) else ""
        return f"{kind}({inner}{more})"
    text = repr(constant[:TEXT] if isinstance(constant, str | bytes) else constant)
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"


# -- the listing ----------------------------------------------------------------------------------


def _listing(bodies: tuple[_Body, ...]) -> str:
    calls = [c for body in bodies for c in _Calls(body).found][: CALLS_SHOWN + 1]
    lines: list[str] = []
    if calls:
        lines = ["calls, as far as they can be followed:"]
        lines += [f"    {c}"[:WIDTH] for c in calls[:CALLS_SHOWN]]
        lines += ["    …"] if len(calls) > CALLS_SHOWN else []
    room = LINES - len(lines)
    total = sum(1 + len(body.instructions) for body in bodies)
    kept = bodies if total <= room else bodies[: room // 3]
    ranked = sorted(
        (_rank(i), at, offset)
        for at, body in enumerate(kept)
        for offset, i in enumerate(body.instructions)
    )
    chosen = {(at, offset) for _, at, offset in ranked[: room - len(kept)]}
    for at, body in enumerate(kept):
        inside = [i for offset, i in enumerate(body.instructions) if (at, offset) in chosen]
        lines.append(_title(body, len(inside)))
        lines += [f"{i.offset:>6} {i.name:<22} {i.text}".rstrip()[:WIDTH] for i in inside]
    return "\n".join(lines)


def _title(body: _Body, listed: int) -> str:
    code, there = body.code, len(body.instructions)
    names = code.local[: max(0, code.arguments) + max(0, code.keyword_only)]
    some = f": {listed:,} of {there:,} instructions" if listed < there else ""
    title = f"{_plain(code.name)}({', '.join(map(_plain, names))}), line {code.first_line}"
    return title[:WIDTH] + some


_NAMING: Final = ("IMPORT_", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD")


def _rank(i: Instruction) -> int:
    """How early an instruction is left out of a listing that is too long (0: last)."""
    if i.name.startswith("CALL") and not i.name.startswith("CALL_INTRINSIC"):
        return 0
    return 1 if i.name.startswith(_NAMING) else 2 if i.name == "LOAD_CONST" else 3


_NOTHING: Final = frozenset(
    {"RESUME", "NOP", "PRECALL", "PUSH_NULL", "MAKE_CELL", "COPY_FREE_VARS", "NOT_TAKEN",
     "SETUP_ANNOTATIONS"}
)  # fmt: skip
_OPERATORS: Final = {"BINARY_ADD": "+", "BINARY_MODULO": "%", "BINARY_MULTIPLY": "*"}
_BINARY: Final = {"0": "+", "5": "*", "6": "%", "13": "+="}
_SUBSCRIPT: Final = "26"


class _Calls:
    """The calls of one code object, put together from what was pushed before them.

    A small model of the stack: it knows names, attributes, constants, imports, collections and
    calls, and forgets everything at an instruction it does not know.
    """

    def __init__(self, body: _Body) -> None:
        self.stack: list[str] = []
        self.found: list[str] = []
        self.keywords = ""
        for instruction in body.instructions:
            if len(self.found) > CALLS_SHOWN:
                break
            self.step(instruction)

    def pop(self, count: int = 1) -> list[str]:
        count = min(count, 255)
        taken = self.stack[-count:] if count else []
        del self.stack[len(self.stack) - len(taken) :]
        return ["…"] * (count - len(taken)) + taken

    def push(self, text: str) -> None:
        self.stack.append(text if len(text) <= WIDTH else text[: WIDTH - 1] + "…")

    def call(self, arguments: list[str], callee: str) -> None:
        if callee == "…" and all(a == "…" for a in arguments):
            self.push("…")
            return
        if self.keywords:
            arguments = [*arguments, f"names={self.keywords}"]
            self.keywords = ""
        text = f"{callee}({', '.join(arguments)})"
        self.found.append(text)
        self.push(text)

    def step(self, i: Instruction) -> None:
        """Follow one instruction."""
        name, count = i.name, i.argument
        if name in _NOTHING:
            return
        if name.count("_FAST") == 2:  # two instructions in one
            first, _, second = i.text.partition(", ")
            if name.startswith("LOAD_"):
                self.push(first)
            else:
                self.pop()
            if "_FAST_LOAD_" in name or "_BORROW_LOAD_" in name:
                self.push(second)
            else:
                self.pop()
        elif name.startswith(
            ("LOAD_CONST", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_DEREF", "LOAD_SMALL_INT")
        ):
            self.push(i.text)
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            self.push(f"{self.pop()[0]}.{i.text}")
        elif name == "IMPORT_NAME":
            self.pop(2)
            self.call([repr(i.text)], "import")
        elif name == "IMPORT_FROM":
            self.push(f"{self.stack[-1] if self.stack else '…'}.{i.text}")
        elif name == "POP_TOP" or name.startswith("STORE_"):
            self.pop(1 if name not in ("STORE_ATTR", "STORE_SUBSCR") else 2)
        elif name in ("CALL", "CALL_FUNCTION", "CALL_METHOD"):
            arguments = self.pop(count)
            self.call(arguments, self.pop()[0])
        elif name in ("CALL_FUNCTION_KW", "CALL_KW"):
            self.keywords = self.pop()[0]
            arguments = self.pop(count)
            self.call(arguments, self.pop()[0])
        elif name == "KW_NAMES":
            self.keywords = i.text
        elif name == "LOAD_BUILD_CLASS":
            self.push("class")
        elif name in ("LIST_EXTEND", "SET_UPDATE", "LIST_APPEND"):
            self.push(self.pop(2)[1])
        elif name == "BINARY_SUBSCR" or (name == "BINARY_OP" and i.text == _SUBSCRIPT):
            owner, key = self.pop(2)
            self.push(f"{owner}[{key}]")
        elif name in _OPERATORS or name == "BINARY_OP":
            left, right = self.pop(2)
            sign = _OPERATORS.get(name) or _BINARY.get(i.text, "∘")
            self.push(f"({left} {sign} {right})")
        elif name in ("BUILD_TUPLE", "BUILD_LIST", "BUILD_SET"):
            self.push(f"({', '.join(self.pop(count))})")
        elif name == "MAKE_FUNCTION":
            self.push(f"function {' '.join(self.pop(1))}")
        else:
            self.stack.clear()
