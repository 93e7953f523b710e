"""Native programs and libraries: ELF, PE, Mach-O; also Java classes and WebAssembly modules.

Layouts: System V ABI chapters 4 and 5 (ELF), Microsoft "PE Format", Apple `mach-o/loader.h` and
`mach-o/fat.h`, JVMS chapter 4, WebAssembly core specification 5.5. A program is confirmed by the
fields of its header together; four bytes alone occur in any weights. Code is never read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Piece

HEADER: Final = 64
"""How many bytes of a program's beginning are needed to tell whether it may be one."""
IMPORTS_KEPT: Final = 256
TABLE_LIMIT: Final = 1 << 20
NAME_LIMIT: Final = 512


class Program(Struct, frozen=True):
    """What a confirmed header says. `use` is `program`, `shared library`, `object`, `driver` …;
    `parts` are the offset and size of each architecture in a universal binary."""

    kind: str
    use: str
    machine: str
    imports: tuple[str, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()


class Native(Document, frozen=True, kw_only=True, eq=False):
    """A program's header."""

    blob: Blob
    program: Program

    def walk(self) -> Iterator[Blob | Gap]:
        """The programs of a universal binary, one for each architecture."""
        for start, size in self.program.parts:
            yield Piece(f"program at byte {start}", self.blob, start, size, "embedded")


_ELF_MACHINES: Final = {
    2: "SPARC", 3: "x86", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "s390", 40: "Arm",
    42: "SuperH", 50: "Itanium", 62: "x86-64", 183: "Arm 64", 190: "CUDA", 224: "AMD GPU",
    243: "RISC-V", 247: "BPF", 258: "LoongArch", 164: "Hexagon", 94: "Xtensa", 83: "AVR",
}  # fmt: skip
_ELF_USES: Final = {1: "object", 2: "program", 3: "shared library", 4: "core dump"}


def _elf(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, HEADER)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    if wide and len(head) < 64:
        return None
    use, machine = struct.unpack_from(order + "HH", head, 16)
    programs, _, _, _, program_size, programs_count, section_size = struct.unpack_from(
        order + ("QQIHHHH" if wide else "IIIHHHH"), head, 32 if wide else 28
    )
    # What a kernel or a linker insists on; the other fields may lie and it still runs.
    runs = program_size == (56 if wide else 32)
    links = use == 1 and section_size == (64 if wide else 40)
    if use not in _ELF_USES or machine not in _ELF_MACHINES or not (runs or links):
        return None
    table = blob.read(at + programs, programs_count * program_size) if program_size else b""
    found = _ELF_USES[use]
    segments = list(_segments(table, wide, order, program_size))
    if use == 3 and any(kind == 3 for kind, *_ in segments):  # it asks for an interpreter
        found = "program"
    imports = tuple(_needed(blob, at, segments, wide, order))
    return Program("ELF", found, _ELF_MACHINES[machine], imports)


def _segments(
    table: bytes, wide: bool, order: str, size: int
) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset, address and size in the file of each program header."""
    for at in range(0, len(table) - size + 1 if size else 0, size or 1):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", table, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", table, at)
        yield kind, offset, address, length


def _needed(
    blob: Blob, at: int, segments: list[tuple[int, int, int, int]], wide: bool, order: str
) -> Iterator[str]:
    """The libraries that the dynamic section names (DT_NEEDED)."""
    dynamic = next((s for s in segments if s[0] == 2), None)
    if dynamic is None:
        return
    data = blob.read(at + dynamic[1], min(dynamic[3], TABLE_LIMIT))
    entry = struct.Struct(order + ("QQ" if wide else "II"))
    entries = [entry.unpack_from(data, i) for i in range(0, len(data) - entry.size + 1, entry.size)]
    address = next((value for tag, value in entries if tag == 5), None)
    if address is None:
        return
    strings = next(
        (o + address - a for k, o, a, n in segments if k == 1 and a <= address < a + n), 0
    )
    for value in [value for tag, value in entries if tag == 1][:IMPORTS_KEPT]:
        if strings and value < 1 << 32:
            name = _name(blob, at + strings + value)
            if name:
                yield name


_PE_MACHINES: Final = {
    0x14C: "x86", 0x8664: "x86-64", 0x1C0: "Arm", 0x1C2: "Arm", 0x1C4: "Arm", 0xAA64: "Arm 64",
    0xA641: "Arm 64", 0xA64E: "Arm 64", 0x200: "Itanium", 0xEBC: "EFI byte code",
    0x5032: "RISC-V", 0x5064: "RISC-V", 0x6232: "LoongArch", 0x6264: "LoongArch",
}  # fmt: skip

_SECTION: Final = struct.Struct("<IIII")


def _pe(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, HEADER)
    if len(head) < HEADER or head[:2] != b"MZ":
        return None
    start = at + int.from_bytes(head[60:64], "little")
    coff = blob.read(start, 24)
    if len(coff) < 24 or coff[:4] != b"PE\0\0":
        return None
    machine, sections, _, _, _, length, flags = struct.unpack_from("<HHIIIHH", coff, 4)
    optional = blob.read(start + 24, min(length, 256))
    magic = optional[:2]
    wide = magic == b"\x0b\x02"
    if machine not in _PE_MACHINES or sections > 96 or magic not in (b"\x0b\x01", b"\x0b\x02"):
        return None
    if length < (112 if wide else 96) or len(optional) < (112 if wide else 96):
        return None
    (subsystem,) = struct.unpack_from("<H", optional, 68)
    use = "library" if flags & 0x2000 else "driver" if subsystem == 1 else "program"
    table = blob.read(start + 24 + length, sections * 40)
    directory = optional[112 + 8 : 112 + 12] if wide else optional[96 + 8 : 96 + 12]
    imports = tuple(_pe_imports(blob, at, table, int.from_bytes(directory, "little")))
    return Program("PE", use, _PE_MACHINES[machine], imports)


def _pe_imports(blob: Blob, at: int, table: bytes, directory: int) -> Iterator[str]:
    """The libraries of the import directory table."""

    def place(address: int) -> int | None:
        for i in range(0, len(table) - 39, 40):
            size, start, raw_size, raw = _SECTION.unpack_from(table, i + 8)
            if start <= address < start + max(size, raw_size):
                return int(at + raw + address - start)
        return None

    found = place(directory) if directory else None
    data = blob.read(found, 20 * IMPORTS_KEPT) if found is not None else b""
    for i in range(0, len(data) - 19, 20):
        (name,) = struct.unpack_from("<I", data, i + 12)
        where = place(name) if name else None
        text = _name(blob, where) if where is not None else ""
        if not text:
            return
        yield text


_MACH_MAGICS: Final = {
    b"\xfe\xed\xfa\xce": (">", 28), b"\xce\xfa\xed\xfe": ("<", 28),
    b"\xfe\xed\xfa\xcf": (">", 32), b"\xcf\xfa\xed\xfe": ("<", 32),
}  # fmt: skip
_MACH_MACHINES: Final = {
    7: "x86", 0x1000007: "x86-64", 12: "Arm", 0x100000C: "Arm 64", 0x200000C: "Arm 64 (32)",
    18: "PowerPC", 0x1000012: "PowerPC 64",
}  # fmt: skip
_MACH_USES: Final = {
    1: "object", 2: "program", 4: "core dump", 5: "preloaded program", 6: "shared library",
    7: "dynamic linker", 8: "bundle", 9: "shared library stub", 10: "debug symbols",
    11: "kernel extension", 12: "file set",
}  # fmt: skip
_LOADS_LIBRARY: Final = (0xC, 0x80000018, 0x8000001F, 0x20, 0x80000023)


def _mach_o(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, HEADER)
    order, start = _MACH_MAGICS.get(head[:4], ("", 0))
    if len(head) < 40 or not order:
        return None
    machine, _, use, count, size = struct.unpack_from(order + "IIIII", head, 4)
    first, first_size = struct.unpack_from(order + "II", head, start)
    if (
        machine not in _MACH_MACHINES
        or use not in _MACH_USES
        or not 0 < count < 65_536
        or not count * 8 <= size <= 1 << 24
        or first & 0x7FFFFFFF > 0x100
        or not 8 <= first_size <= size
        or first_size % 4
    ):
        return None
    commands = blob.read(at + start, min(size, TABLE_LIMIT))
    imports = tuple(_dylibs(commands, order))
    return Program("Mach-O", _MACH_USES[use], _MACH_MACHINES[machine], imports)


def _dylibs(commands: bytes, order: str) -> Iterator[str]:
    at = found = 0
    while at + 12 <= len(commands) and found < IMPORTS_KEPT:
        command, size, name = struct.unpack_from(order + "III", commands, at)
        if size < 8:
            return
        if command in _LOADS_LIBRARY and 12 <= name < size:
            found += 1
            yield _printable(commands[at + name : at + min(size, NAME_LIMIT)])
        at += size


def _universal(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, 8)
    wide = head[:4] == b"\xca\xfe\xba\xbf"
    count = int.from_bytes(head[4:8], "big")
    if (head[:4] != b"\xca\xfe\xba\xbe" and not wide) or not 0 < count < 40:
        return None
    entry = struct.Struct(">IIQQII" if wide else ">IIIII")
    table = blob.read(at + 8, count * entry.size)
    if len(table) < count * entry.size:
        return None
    parts: list[tuple[int, int]] = []
    machines: list[str] = []
    for i in range(count):
        machine, _, start, size, *_ = entry.unpack_from(table, i * entry.size)
        inside = 8 + len(table) <= start and size and at + start + size <= blob.size
        if machine not in _MACH_MACHINES or not inside:
            return None
        machines.append(_MACH_MACHINES[machine])
        parts.append((at + start, size))
    return Program("Mach-O", "universal binary", ", ".join(machines), (), tuple(parts))


def _java(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, 11)
    if len(head) < 11 or head[:4] != b"\xca\xfe\xba\xbe":
        return None
    minor, major, constants, tag = struct.unpack_from(">HHHB", head, 4)
    if not 45 <= major < 100 or minor not in (0, 3, 65_535) or constants < 2 or not 1 <= tag <= 20:
        return None
    return Program("Java", "class", f"JVM (class file version {major})")


_WASM_SECTIONS: Final = 13


def _wasm(blob: Blob, at: int) -> Program | None:
    head = blob.read(at, 9)
    if head[:8] != b"\0asm\x01\0\0\0" or (len(head) > 8 and head[8] > _WASM_SECTIONS):
        return None
    return Program("WebAssembly", "module", "WebAssembly")


def _name(blob: Blob, at: int) -> str:
    return _printable(blob.read(at, NAME_LIMIT)) if at >= 0 else ""


def _printable(raw: bytes) -> str:
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return text if text.isprintable() else ""


_APE_MAGICS: Final = (b"MZqFpD='", b"jartsr='", b"APEDBG='")
_APE_SCRIPT: Final = 8 << 10
"""The shell script that begins such a program has to write its ELF header within so much."""


def _ape(blob: Blob, at: int) -> Program | None:
    """Cosmopolitan's "actually portable executable" (its `ape/specification.md`): a shell script,
    a Windows program and the text of an ELF header in one, which starts on all of them."""
    head = blob.read(at, _APE_SCRIPT)
    if not head.startswith(_APE_MAGICS):
        return None
    windows = _pe(blob, at)
    if windows is None and b"'\\177ELF" not in head:
        return None
    imports = windows.imports if windows else ()
    return Program("APE", "program", "Linux, macOS, Windows and BSD", imports)


def _portable(blob: Blob, at: int) -> Program | None:
    return _ape(blob, at) or (_pe(blob, at) if blob.read(at, 2) == b"MZ" else None)


def _windows(blob: Blob, at: int) -> Program | None:
    return None if _ape(blob, at) else _pe(blob, at)


_READERS: Final[dict[bytes, Callable[[Blob, int], Program | None]]] = {
    b"\x7fELF": _elf,
    **dict.fromkeys(_APE_MAGICS, _portable),
    b"MZ": _pe,
    **dict.fromkeys(_MACH_MAGICS, _mach_o),
    b"\xca\xfe\xba\xbe": _universal,
    b"\xca\xfe\xba\xbf": _universal,
}
MAGICS: Final = tuple(_READERS)
"""What a native program begins with; `program_at` tells whether one does."""


def program_at(blob: Blob, at: int) -> Program | None:
    """The native program whose header stands at an offset, or None where the header is not one.

    Raises `OSError` or `Malformed` where the bytes cannot be had.
    """
    head = blob.read(at, 8)
    for magic, reader in _READERS.items():
        if head.startswith(magic):
            return reader(blob, at)
    return None


def _declare(
    name: str,
    title: str,
    readers: tuple[Callable[[Blob, int], Program | None], ...],
    magics: tuple[bytes, ...],
) -> Format:
    def read(blob: Blob) -> Program | None:
        return next((p for r in readers if (p := r(blob, 0)) is not None), None)

    def sniff(sample: Sample) -> bool:
        return sample.head.startswith(magics) and read(sample.blob) is not None

    def parse(blob: Blob, where: Location, limits: Limits) -> Native:
        program = read(blob)
        if program is None:
            raise Malformed(f"no header of a program ({title})", 0)
        gaps: tuple[Gap, ...] = ()
        if not program.parts:
            why = f"a native program ({title}): its code was not read"
            gaps = (Gap(kind=GapKind.UNSUPPORTED, message=why, at=where),)
        seen = min(blob.size, HEADER)
        return Native(where=where, size=blob.size, seen=seen, gaps=gaps, blob=blob, program=program)

    return Format(
        name=name,
        title=title,
        loading=Loading.CODE,
        sniff=sniff,
        first=bytes(sorted({m[0] for m in magics})),
        parse=parse,
        document=Native,
        limits="The header and the names of imported libraries are read; the code is a gap.",
    )


ELF = _declare("elf", "ELF program or library", (_elf,), (b"\x7fELF",))
APE = _declare("ape", "Portable program (APE, llamafile)", (_ape,), _APE_MAGICS)
PE = _declare("pe", "Windows program or library", (_windows,), (b"MZ",))
MACH_O = _declare(
    "mach-o", "macOS program or library", (_mach_o, _universal),
    (*_MACH_MAGICS, b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"),
)  # fmt: skip
JAVA = _declare("java-class", "Java class", (_java,), (b"\xca\xfe\xba\xbe",))
WASM = _declare("wasm", "WebAssembly module", (_wasm,), (b"\0asm",))
