"""Jupyter notebooks, cell by cell: the Python in them as one program, shell lines, stored outputs.

Format: https://nbformat.readthedocs.io/en/latest/format_description.html, versions 3 and 4. Magics:
https://ipython.readthedocs.io/en/stable/interactive/magics.html. Names that one cell sets are used
by others, so the cells of code are read as one program, in their order.
"""

from __future__ import annotations

import ast
import json
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.python_source import SOURCE_LIMIT, PythonSource
from weighbridge.formats.text import Written, read_json, text_kind

SIZE_LIMIT: Final = 64 << 20
"""In bytes: pictures in outputs make notebooks large, and are not taken apart."""
LOOSE_LIMIT: Final = 8 << 20
"""Up to here JSON that is not strict (`NaN`, lone surrogates) is read as well."""
CELLS_LIMIT: Final = 20_000
OUTPUTS_LIMIT: Final = 20_000
OUTPUT_KEPT: Final = 1 << 20
"""How many characters of one output are kept, and a text of a cell may have."""
NOTEBOOK: Final = "notebook"
"""The role of a program that a notebook's cells are."""
ACTIVE: Final = ("text/html", "application/javascript", "image/svg+xml", "text/markdown")
"""Outputs that a browser renders as more than text or a picture."""
_SHELLS: Final = regex(r"%%(?:bash|sh|system|sx|!|script[ \t]+(?:--\S+[ \t]+)*(?:ba|z|da)?sh)\b")
_PYTHON: Final = regex(
    r"%%(?:capture|time|timeit|python3?|prun|debug|mprun|memit|px|wandb|script[ \t]+python3?)"
    r"(?![\w-])"
)
_WRITES: Final = regex(r"%%(?:writefile|file)[ \t]+(?:-\S+[ \t]+)*(\S+)")
_TEXTS: Final = regex(r"%%(?:latex|markdown|HTML|yaml|json|text)\b")
_BROWSER: Final = regex(r"%%(?:html|HTML|javascript|js|svg|SVG)\b")
_LINE: Final = regex(
    r"([ \t]*)(?:([\w, \t]+=[ \t]*)?(!!?|%(?:pip|conda|mamba|uv|system|sx|sh)\b[ \t]*)(.*)"
    r"|%[A-Za-z_]\w*.*|\?{1,2}[\w.]+|[\w.]+\?{1,2})[ \t]*$"
)
"""A line that IPython takes for itself."""
_BEFORE: Final = regex(r"\s*(?:#.*)?")
"""A line that may stand before a cell's magic: IPython takes blank ones, Colab its forms' too."""
_INSTALLER: Final = regex(r"%(pip|conda|mamba|uv)")
_CONTENT: Final = {"html": "text/html", "javascript": "application/javascript",
                   "svg": "image/svg+xml", "text": "text/plain"}  # fmt: skip
"""Keys of outputs in version 3."""


class Shell(Struct, frozen=True):
    """Commands of a cell; `line` (from 1, in the cell) is their first."""

    cell: int
    line: int
    text: str


class Output(Struct, frozen=True):
    """What a cell once wrote, or shows a browser by itself (`cell` from 1)."""

    cell: int
    kind: str
    text: str


class Program(Struct, frozen=True):
    """Python out of a notebook. `starts` pairs the first line of each part of it with the cell that
    it comes from and its line there."""

    source: PythonSource
    starts: tuple[tuple[int, int, int], ...]

    def place(self, line: int) -> Location:
        """Where a line of the program stands in the notebook."""
        at = max(0, bisect_right(self.starts, (line, 1 << 60, 0)) - 1)
        first, cell, local = self.starts[at] if self.starts else (1, 1, 1)
        where = self.source.where.into(f"cell {cell}")
        return Location(where.path, where.inside, line=line - first + local)


class Notebook(Written, frozen=True, kw_only=True, eq=False):
    """A notebook. `programs` are its cells of Python as one, then the files of Python that cells
    write; `cells` counts all there are."""

    cells: int
    language: str
    programs: tuple[Program, ...]
    shells: tuple[Shell, ...]
    outputs: tuple[Output, ...]

    def walk(self) -> Iterator[Blob | Gap]:
        """What the constants of its Python hide."""
        for program in self.programs:
            yield from program.source.walk()

    def in_cell(self, cell: int, line: int | None = None) -> Location:
        """The place of a cell, or of a line in it."""
        where = self.where.into(f"cell {cell}")
        return Location(where.path, where.inside, line=line)


class _Reading(Struct):
    """The parts of a notebook as they are gathered."""

    where: Location
    blob: Blob
    python: list[tuple[int, int, str]] = field(default_factory=list)
    written: list[tuple[int, int, str]] = field(default_factory=list)
    shells: list[Shell] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def code(self, cell: int, text: str) -> None:
        """A cell of code in Python's language."""
        lines = text.split("\n")
        said = (n for n, line in enumerate(lines) if not _BEFORE.fullmatch(line))
        skipped = next(said, len(lines) - 1)
        first, rest = lines[skipped], "\n".join(lines[skipped + 1 :])
        if first.startswith("%%"):
            after = skipped + 2
            if _SHELLS.match(first):
                self.shells.append(Shell(cell, after, rest))
                return
            if _BROWSER.match(first):
                self.outputs.append(Output(cell, "text/html", rest[:OUTPUT_KEPT]))
                return
            if (target := _WRITES.match(first)) is not None:
                if target[1].endswith(".py"):
                    self.written.append((cell, after, rest))
                elif target[1].endswith(".sh"):
                    self.shells.append(Shell(cell, after, rest))
                return
            if not _PYTHON.match(first):
                if not _TEXTS.match(first):
                    why = f"a cell under {first.split()[0][:40]} was not read"
                    at = self.where.into(f"cell {cell}")
                    self.gaps.append(Gap(kind=GapKind.UNSUPPORTED, message=why, at=at))
                return
            text = "\n" * (skipped + 1) + rest
        self.python.append((cell, 1, self._plain(cell, text)))

    def _plain(self, cell: int, text: str) -> str:
        """Python without what IPython takes for itself; that is kept where it is a command."""
        if not any(mark in text for mark in ("!", "%", "?")) or _parsed(text) is not None:
            return text
        lines = text.split("\n")
        made: list[str] = []
        at = 0
        while at < len(lines):
            found = _LINE.fullmatch(lines[at])
            if found is None:
                made.append(lines[at])
                at += 1
                continue
            first, command = at, found[4] or ""
            while lines[at].endswith("\\") and at + 1 < len(lines):
                at += 1
                command += "\n" + lines[at]
            at += 1
            if found[3] is not None:
                tool = _INSTALLER.match(found[3])
                said = f"{tool[1]} {command}" if tool else command
                self.shells.append(Shell(cell, first + 1, said))
            target = found[2] or ""
            made.append(f"{found[1]}{target}None" if target else f"{found[1]}pass")
            made += [""] * (at - first - 1)
        return "\n".join(made)

    def programs(self) -> Iterator[Program]:
        """The cells of Python as one program, then each file that a cell writes."""
        kept: list[str] = []
        starts: list[tuple[int, int, int]] = []
        line = 1
        for cell, local, text in self.python:
            if _parsed(text) is None:
                why = "this cell is not Python 3, or holds a magic that is not known"
                self.gaps.append(
                    Gap(kind=GapKind.MALFORMED, message=why, at=self.where.into(f"cell {cell}"))
                )
                continue
            kept.append(text)
            starts.append((line, cell, local))
            line += text.count("\n") + 1
        yield from self._program("\n".join(kept), tuple(starts))
        for cell, local, text in self.written:
            yield from self._program(text, ((1, cell, local),))

    def _program(self, text: str, starts: tuple[tuple[int, int, int], ...]) -> Iterator[Program]:
        if not text.strip():
            return
        where = self.where if len(starts) > 1 else self.where.into(f"cell {starts[0][1]}")
        if len(text) > SOURCE_LIMIT:
            why = f"more than {SOURCE_LIMIT:,} characters of Python were not read"
            self.gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
            return
        tree = _parsed(text)
        if tree is None:
            why = "the Python that this cell writes could not be parsed"
            self.gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=where))
            return
        source = PythonSource(
            where=self.where, size=len(text), seen=len(text), blob=self.blob, text=text, tree=tree,
            role=NOTEBOOK,
        )  # fmt: skip
        yield Program(source, starts)

    def output(self, cell: int, said: Any) -> None:
        """What one output holds that a browser renders."""
        if not isinstance(said, dict):
            return
        data = said.get("data")
        if not isinstance(data, dict):
            data = {mime: said[key] for key, mime in _CONTENT.items() if key in said}
        for mime in ACTIVE:
            text = _joined(data.get(mime))
            if text:
                if len(text) > OUTPUT_KEPT:
                    why = f"only the first {OUTPUT_KEPT:,} characters of an output were looked at"
                    at = self.where.into(f"cell {cell}")
                    self.gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=at))
                self.outputs.append(Output(cell, mime, text[:OUTPUT_KEPT]))


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _joined(value: Any) -> str:
    """A text that stands there whole or as a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(v for v in value if isinstance(v, str))
    return ""


def _value(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(data) > LOOSE_LIMIT:
            raise Malformed("it is no JSON", 0) from None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("it is no JSON", 0) from None


def _cells(value: Any) -> list[Any] | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("cells"), list):
        return list(value["cells"])
    sheets = value.get("worksheets")
    if not isinstance(sheets, list):
        return None
    return [c for s in sheets if isinstance(s, dict) for c in s.get("cells") or ()]


def _language(value: dict[str, Any]) -> str:
    about = value.get("metadata")
    about = about if isinstance(about, dict) else {}
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        said = about.get(part)
        if isinstance(said, dict) and isinstance(said.get(key), str):
            return str(said[key]).lower()
    return "python"


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"a notebook above {SIZE_LIMIT:,} bytes is not read", SIZE_LIMIT)
    value = _value(blob.read(0, blob.size))
    cells = _cells(value)
    if cells is None:
        return read_json(blob, where, limits)
    language = _language(value)
    reading = _Reading(where, blob)
    if len(cells) > CELLS_LIMIT:
        why = f"only the first {CELLS_LIMIT:,} of {len(cells):,} cells were looked at"
        reading.gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    outputs = 0
    for number, cell in enumerate(cells[:CELLS_LIMIT], 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        text = _joined(cell.get("source", cell.get("input")))
        spoken = cell.get("language")
        if (spoken if isinstance(spoken, str) else language).startswith(("python", "ipython")):
            reading.code(number, text.replace("\r\n", "\n"))
        elif text.strip():
            why = f"a cell in another language ({language[:40]}) was not read"
            reading.gaps.append(
                Gap(kind=GapKind.UNSUPPORTED, message=why, at=where.into(f"cell {number}"))
            )
        said = cell.get("outputs")
        for output in said if isinstance(said, list) else ():
            outputs += 1
            if outputs <= OUTPUTS_LIMIT:
                reading.output(number, output)
    if outputs > OUTPUTS_LIMIT:
        why = f"only the first {OUTPUTS_LIMIT:,} of {outputs:,} outputs were looked at"
        reading.gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    programs = tuple(reading.programs())
    return Notebook(
        where=where,
        size=blob.size,
        seen=blob.size,
        gaps=tuple(reading.gaps),
        blob=blob,
        cells=len(cells),
        language=language,
        programs=programs,
        shells=tuple(reading.shells),
        outputs=tuple(reading.outputs),
    )


JUPYTER: Final = Format(
    name="notebook",
    title="Jupyter notebook",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "notebook",
    parse=_parse,
    document=Notebook,
    limits="Versions 3 and 4, up to 64 MiB; cells in Python and in a shell. Cells in other "
    "languages are gaps; pictures in outputs are not taken apart.",
)
