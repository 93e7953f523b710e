"""Requirements files of pip, line by line.

Grammar: https://pip.pypa.io/en/stable/reference/requirements-file-format/ for the lines, PEP 508
for the names, specifiers and markers. Nothing is resolved, and no file that it names is read. The
other files that list requirements hand their entries to `read_line` and `as_fact` as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from weighbridge.core import fact
from weighbridge.core.document import Document
from weighbridge.core.fact import Firmness, IncludedFile, Installs, PackageIndex
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Text, Written, file_name, read_text, text_kind

SIZE_LIMIT: Final = 4 << 20
LINES_LIMIT: Final = 100_000

_NAME: Final = regex(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*")
_CLAUSE: Final = regex(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*([^\s,;()]+)\s*")
_SCHEME: Final = regex(r"[A-Za-z][A-Za-z0-9+.-]*://|file:")
_OPTION: Final = regex(r"(--?[A-Za-z][\w-]*)(?:[= ]\s*(.*))?$", re.DOTALL)
_HASH: Final = regex(r"--hash[= ]\s*([a-z0-9]+:[0-9a-fA-F]+)")
_PER_LINE: Final = regex(
    r"\s--(?:hash|global-option|install-option|config-settings?)(?=[= ])", re.IGNORECASE
)
_VCS: Final = regex(r"(?:git|hg|svn|bzr)(?:\+|@|://)")
_PATH: Final = regex(
    r"\.{0,2}[/\\]|~/|[A-Za-z]:\\|\.{1,2}$|[^\s@:;]*\.(?:whl|tar\.gz)$|[^\s@:;]+[/\\][^\s@:;]+\.zip$"
)
_SHORT: Final = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable",
                 "-i": "--index-url", "-f": "--find-links"}  # fmt: skip
_OPTIONS: Final = frozenset({
    "--index-url", "--pypi-url", "--extra-index-url", "--no-index", "--find-links", "--requirement",
    "--constraint", "--editable", "--no-binary", "--only-binary", "--prefer-binary",
    "--require-hashes", "--pre", "--trusted-host", "--use-feature", "--process-dependency-links",
    "--always-unzip",
})  # fmt: skip


class Kind(StrEnum):
    """What a line asks for."""

    PACKAGE = "package"
    """A package by its name, from an index."""
    URL = "url"
    """An archive at an address."""
    VCS = "version control"
    """A working copy that is built."""
    PATH = "path"
    """A file or folder of this machine."""
    FILE = "file"
    """Another file of requirements or constraints."""
    OPTION = "option"
    """An option of pip for the whole run."""
    INVALID = "invalid"
    """Nothing that pip takes."""


class Requirement(Struct, frozen=True):
    """One logical line. `line` counts from 1, `text` is the line without its comment.

    `name` is the package's as it is written (empty where only the address tells), or the option's
    long name; `target` the address, path, file or value of the option; `specifier` the version
    clauses; `marker` the environment it is for; `hashes` as `algorithm:hexadecimal`.
    """

    kind: Kind
    line: int
    text: str
    name: str = ""
    extras: tuple[str, ...] = ()
    specifier: tuple[tuple[str, str], ...] = ()
    target: str = ""
    marker: str = ""
    hashes: tuple[str, ...] = ()
    editable: bool = False

    @property
    def pinned(self) -> bool:
        """Whether one version alone satisfies it."""
        return any(_pins(op, version) for op, version in self.specifier)


class Requirements(Written, frozen=True, kw_only=True, eq=False):
    """The lines in order, without the empty ones and the comments."""

    lines: tuple[Requirement, ...]

    def facts(self) -> Iterator[Installs]:
        """What is to be installed, from where, and which other files say more."""
        name = file_name(self.where.path)
        yield installs(self.where, "constraints" if "constraint" in name else "requirements",
                       self.lines)  # fmt: skip


_INDEXES: Final = {
    "--index-url": "index", "--pypi-url": "index", "--extra-index-url": "extra",
    "--find-links": "find-links", "--trusted-host": "trusted-host", "--no-index": "no-index",
}  # fmt: skip
_COMMIT: Final = regex(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIGEST: Final = regex(r"[#&](?:sha256|sha384|sha512)=[0-9a-fA-F]{64,128}\b")
_TOLD: Final = 5
HASHES: Final = 1_000
"""How many digests of one requirement are kept."""


def installs(where: Location, place: str, lines: tuple[Requirement, ...]) -> Installs:
    """The fact that logical lines of pip come to."""
    unread = [r for r in lines if r.kind is Kind.INVALID]
    return Installs(
        at=where,
        place=place,
        requirements=tuple(made for r in lines if (made := as_fact(r)) is not None),
        indexes=tuple(
            PackageIndex(kind=_INDEXES[r.name], said=r.target, line=r.line)
            for r in lines
            if r.kind is Kind.OPTION and r.name in _INDEXES
        ),
        files=tuple(
            IncludedFile(path=r.target, line=r.line, constraint=r.name == "--constraint")
            for r in lines
            if r.kind is Kind.FILE
        ),
        unread=(_unread(unread),) if unread else (),
    )


def _unread(lines: list[Requirement]) -> str:
    told = ", ".join(f"{r.line:,} ({r.text[:60]})" for r in lines[:_TOLD])
    more = f" and {len(lines) - _TOLD:,} more" if len(lines) > _TOLD else ""
    return f"pip takes no such line: {told}{more}"


def as_fact(line: Requirement, group: str = "", source: str = "") -> fact.Requirement | None:
    """A logical line as the requirement that it is, or None where it asks for no package."""
    if line.kind not in (Kind.PACKAGE, Kind.URL, Kind.VCS, Kind.PATH):
        return None
    named, version = _of_file(line.target) if line.kind in (Kind.URL, Kind.PATH) else ("", None)
    if line.kind is Kind.PACKAGE:
        version = next((v for op, v in line.specifier if _pins(op, v)), None)
    return fact.Requirement(
        name=line.name or named,
        line=line.line,
        specifier=",".join(f"{op}{v}" for op, v in line.specifier),
        version=version,
        firm=_firmness(line),
        extras=line.extras,
        marker=line.marker,
        url=line.target if line.kind is not Kind.PACKAGE else "",
        source=source,
        group=group,
        editable=line.editable,
        hashes=line.hashes[:HASHES],
    )


def _firmness(line: Requirement) -> Firmness:
    if line.hashes or _DIGEST.search(line.target) or _COMMIT.fullmatch(reference_of(line.target)):
        return Firmness.HASH
    if line.pinned:
        return Firmness.EXACT
    return Firmness.RANGE if line.specifier else Firmness.NONE


def reference_of(target: str) -> str:
    """The commit, tag or branch that a working copy's address names, or the empty string."""
    if not _VCS.match(target):
        return ""
    way = target.partition("#")[0].partition("://")[2].partition("/")[2]
    return way.rpartition("@")[2] if "@" in way else ""


def _of_file(target: str) -> tuple[str, str | None]:
    """The name and version that the file name of a wheel or source archive tells."""
    try:
        name = unquote(urlsplit(target).path).replace("\\", "/").rpartition("/")[2]
        if name.endswith(".whl"):
            wheel, version, _, _ = parse_wheel_filename(name)
            return wheel, str(version)
        archive, version = parse_sdist_filename(name)
        return archive, str(version)
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return "", None


def _pins(operator: str, version: str) -> bool:
    return operator == "===" or (operator == "==" and not version.endswith(".*"))


def read_lines(text: str) -> Iterator[Requirement]:
    """The logical lines of a file's text."""
    for number, line in _joined(text):
        line = re.sub(r"(?:^|\s)#.*$", "", line).strip()
        if line:
            yield read_line(line, number)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines, a backslash at the end joining the next one (but not behind a comment)."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        commented = re.match(r"\s*#", line)
        if line.endswith("\\") and not commented:
            pending += line[:-1]
            continue
        yield first, f"{pending} {line}" if commented and pending else pending + line
        pending, first = "", 0
    if pending:
        yield first, pending


def read_line(line: str, number: int) -> Requirement:
    """One logical line, comments removed."""
    made = Requirement(Kind.INVALID, number, line)
    if line.startswith("-"):
        return _option(made)
    return _package(made, line)


def _option(made: Requirement) -> Requirement:
    if made.text[:2] in _SHORT:
        name, value = _SHORT[made.text[:2]], made.text[2:].lstrip("= ")
    elif found := _OPTION.match(made.text):
        name, value = found[1].lower(), (found[2] or "").strip()
    else:
        return made
    if name not in _OPTIONS:
        return replace(made, name=name)
    if name == "--editable":
        inner = _package(made, value)
        kind = Kind.PATH if inner.kind in (Kind.PACKAGE, Kind.INVALID) else inner.kind
        return replace(inner, kind=kind, target=inner.target or value, editable=True)
    kind = Kind.FILE if name in ("--requirement", "--constraint") else Kind.OPTION
    return replace(made, kind=kind, name=name, target=value.strip("\"'"))


def _package(made: Requirement, text: str) -> Requirement:
    hashes = tuple(_HASH.findall(text))
    beside = _PER_LINE.search(text)
    text = text[: beside.start()].strip() if beside else text
    made = replace(made, hashes=hashes)
    if _SCHEME.match(text) or _VCS.match(text):
        target, _, marker = text.partition(" ;")
        egg = re.search(r"[#&]egg=([\w.-]+)", target)
        name = egg[1] if egg else ""
        return replace(
            made, kind=_kind(target), name=name, target=target.strip(), marker=marker.strip()
        )
    if _PATH.match(text):
        return replace(made, kind=Kind.PATH, target=text)
    found = _NAME.match(text)
    if found is None:
        return made
    extras = tuple(e.strip() for e in (found[2] or "").split(",") if e.strip())
    rest = text[found.end() :]
    if rest.startswith("@"):
        target, _, marker = rest[1:].strip().partition(" ;")
        return replace(
            made, kind=_kind(target), name=found[1], extras=extras, target=target.strip(),
            marker=marker.strip(),
        )  # fmt: skip
    clauses, _, marker = rest.partition(";")
    clauses = clauses.strip()
    if clauses.startswith("(") and clauses.endswith(")"):
        clauses = clauses[1:-1]
    specifier = []
    for clause in clauses.split(",") if clauses else ():
        part = _CLAUSE.fullmatch(clause)
        if part is None:
            return made
        specifier.append((part[1], part[2]))
    return replace(
        made, kind=Kind.PACKAGE, name=found[1], extras=extras, specifier=tuple(specifier),
        marker=marker.strip(),
    )  # fmt: skip


def _kind(target: str) -> Kind:
    if _VCS.match(target):
        return Kind.VCS
    return Kind.PATH if target.startswith("file:") else Kind.URL


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        return _too_large(text, f"more than {SIZE_LIMIT:,} bytes of requirements", where)
    written = blob.read(0, blob.size).decode(
        "utf-8-sig" if text.encoding == "utf-8" else text.encoding, "replace"
    )
    if written.count("\n") > LINES_LIMIT:
        return _too_large(text, f"more than {LINES_LIMIT:,} lines of requirements", where)
    lines = tuple(read_lines(written))
    invalid = sum(1 for r in lines if r.kind is Kind.INVALID)
    if lines and invalid == len(lines):
        return text  # prose under that name
    return Requirements(
        where=where, size=blob.size, seen=text.seen, gaps=text.gaps, blob=blob, lines=lines
    )


def _too_large(text: Text, why: str, where: Location) -> Text:
    gap = Gap(kind=GapKind.TOO_LARGE, message=f"{why}; they were not read", at=where)
    return replace(text, gaps=(*text.gaps, gap))


REQUIREMENTS = Format(
    name="requirements",
    title="Requirements of pip",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "requirements",
    parse=_parse,
    document=Requirements,
    limits="Told by its name (requirements…txt, constraints…txt); nothing is resolved.",
)
