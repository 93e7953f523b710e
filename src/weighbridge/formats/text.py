"""Text: validated through the whole file. JSON, Python source and scripts are told apart."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.git import is_lfs_hook

CHUNK: Final = 1 << 20
TEXT_LIMIT: Final = 256 << 20
JSON_LIMIT: Final = 32 << 20
_CONTROL: Final = bytes(range(9)) + b"\x0b\x0e\x0f" + bytes(range(16, 27)) + b"\x1c\x1d\x1e\x1f"
_FIRST: Final = bytes(b for b in range(256) if b not in _CONTROL and not 0x80 <= b < 0xC2)
"""What a text can begin with."""
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"),
                (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_PYTHON: Final = re.compile(
    rb"^(?:from [\w.]+ import |import \w|def \w+\(|class \w+[(:]|async def |@\w+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written(Document):
    """Anything that is text, for what is looked for in all of it."""

    blob: Blob


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text(Written):
    """A text file."""

    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Configuration(Document):
    """Values that a program reads from text, for the checks that ask what they make it do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Json(Written, Configuration):
    """A JSON file and what it holds."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source(Written):
    """Program text: what language, for the checks of code that come along."""

    language: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Empty(Document):
    """A file without bytes."""


def _encoding(head: bytes) -> str | None:
    """The encoding of a text's beginning, or None where it is not text."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if head.translate(None, _CONTROL) != head:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _kind(sample: Sample) -> str | None:
    """Which of the text formats a blob is; asked by each of them, worked out once."""
    if "text" not in sample.notes:
        sample.notes["text"] = _work_out(sample)
    return sample.notes["text"]


def _work_out(sample: Sample) -> str | None:
    head = sample.head
    if not head or _encoding(head) is None:
        return None
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if head.startswith(b"version https://git-lfs") or is_lfs_hook(head):
        return None
    if head.startswith(b"#!"):
        return "script"
    if start in (b"{", b"[") and (b'"' in head or start == b"["):
        return "json"
    name = sample.blob.path.lower()
    if _PYTHON.search(head) and (name.endswith((".py", ".pyi")) or _compiles(sample)):
        return "python"
    return "text"


def _compiles(sample: Sample) -> bool:
    if sample.blob.size > len(sample.head):
        return False
    try:
        compile(sample.head, "<text>", "exec", 0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _validate(blob: Blob, where: Location) -> tuple[int, tuple[Gap, ...], str]:
    """Decode the whole file; returns bytes seen, gaps, encoding."""
    encoding = _encoding(blob.read(0, 8 << 10)) or "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    size = min(blob.size, TEXT_LIMIT)
    for offset in range(0, size, CHUNK):
        data = blob.read(offset, CHUNK)
        try:
            decoder.decode(data, final=offset + CHUNK >= blob.size)
        except UnicodeDecodeError as error:
            raise Malformed("it begins as text and goes on as something else",
                            offset + error.start) from None  # fmt: skip
        if encoding == "utf-8" and b"\0" in data:
            at = offset + data.index(b"\0")
            raise Malformed("it begins as text and goes on as something else", at)
    gaps: tuple[Gap, ...] = ()
    if blob.size > size:
        why = f"only the first {size:,} bytes of this text were looked at"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    return size, gaps, encoding


_TEMPLATE: Final = re.compile(rb"\{%-?\s*\w|\{\{-?\s*[\w'\"(]")
_TEMPLATE_NAMES: Final = (".jinja", ".jinja2", ".j2", ".template", ".tmpl", ".yaml", ".yml")


def _unread(where: Location, what: str) -> Gap:
    return Gap(kind=GapKind.UNSUPPORTED, message=f"{what} is here and was not read", at=where)


def _text(blob: Blob, where: Location, limits: Limits) -> Text:
    seen, gaps, encoding = _validate(blob, where)
    if blob.path.lower().endswith(_TEMPLATE_NAMES) and _TEMPLATE.search(blob.read(0, CHUNK)):
        gaps = (*gaps, _unread(where, "a template"))
    return Text(where=where, size=blob.size, seen=seen, gaps=gaps, blob=blob, encoding=encoding)


def _json(blob: Blob, where: Location, limits: Limits) -> Document:
    if blob.size > JSON_LIMIT:
        return _text(blob, where, limits)
    data = blob.read(0, blob.size)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _text(blob, where, limits)  # JSON lines, a template, a list in prose: still text
    gaps = (_unread(where, "a template"),) if _TEMPLATE.search(data) else ()
    return Json(where=where, size=blob.size, seen=len(data), gaps=gaps, blob=blob, value=value)


def _source(language: str) -> Callable[[Blob, Location, Limits], Source]:
    def parse(blob: Blob, where: Location, limits: Limits) -> Source:
        seen, gaps, _ = _validate(blob, where)
        gaps = (*gaps, _unread(where, f"code ({language})"))
        return Source(
            where=where, size=blob.size, seen=seen, gaps=gaps, blob=blob, language=language
        )

    return parse


def _empty(blob: Blob, where: Location, limits: Limits) -> Empty:
    return Empty(where=where, size=0, seen=0)


TEXT = Format(
    name="text", title="Text", loading=Loading.DATA, sniff=lambda s: _kind(s) == "text",
    first=_FIRST, parse=_text, document=Text,
    limits="Validated as text; a template in it is a gap.",
)  # fmt: skip
JSON = Format(
    name="json", title="JSON", loading=Loading.DATA, sniff=lambda s: _kind(s) == "json",
    first=_FIRST, parse=_json, document=Json,
    limits="Up to 32 MiB, larger ones are validated as text; a template in it is a gap.",
)  # fmt: skip
PYTHON = Format(
    name="python", title="Python source", loading=Loading.CODE,
    sniff=lambda s: _kind(s) == "python", first=_FIRST, parse=_source("python"), document=Source,
    limits="Recognised as code; what it does is not read, which is a gap.",
)  # fmt: skip
SCRIPT = Format(
    name="script", title="Script", loading=Loading.CODE,
    sniff=lambda s: _kind(s) == "script", first=b"#",
    parse=_source("script"), document=Source,
    limits="Recognised as code; what it does is not read, which is a gap.",
)  # fmt: skip
EMPTY = Format(
    name="empty", title="Empty file", loading=Loading.DATA,
    sniff=lambda s: not s.head, parse=_empty, document=Empty,
)  # fmt: skip
