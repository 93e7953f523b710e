"""What a Python package says of itself once it is built: METADATA, RECORD, entry points.

Sources: https://packaging.python.org/en/latest/specifications/core-metadata/,
…/recording-installed-packages/, …/entry-points/ and …/binary-distribution-format/.
"""

from __future__ import annotations

import binascii
import csv
import io
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.requirements import as_fact, read_line
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 2 << 20
"""How many bytes of a file of metadata are read."""
RECORD_LIMIT: Final = 64 << 20
ROWS: Final = 500_000
_NAME: Final = regex(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_EXTRA: Final = regex(r"\bextra\b")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_STRONG: Final = {"sha256": 32, "sha384": 48, "sha512": 64}


class Recorded(NamedTuple):
    """A row of a RECORD: a path as it is written there, and its digest in hexadecimal (empty where
    none is named). `weak`: it is one that does not count (md5, sha1, or no digest at all)."""

    path: str
    algorithm: str
    digest: str
    weak: bool


def read_record(text: str) -> list[Recorded]:
    """The rows of a RECORD. Raises `Malformed` where it is none."""
    rows: list[Recorded] = []
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            if not row:
                continue
            if len(rows) == ROWS:
                raise Malformed(f"more than {ROWS:,} rows in a RECORD")
            if len(row) not in (2, 3) or not row[0]:
                raise Malformed(f"row {len(rows) + 1:,} of a RECORD has no path, digest and size")
            rows.append(_recorded(row[0], row[1]))
    except csv.Error as error:
        raise Malformed(f"a RECORD that is no table: {error}") from None
    return rows


def _recorded(path: str, said: str) -> Recorded:
    if not said:
        return Recorded(path, "", "", False)
    algorithm, _, value = said.partition("=")
    try:
        raw = binascii.a2b_base64(value.translate(_URL_SAFE) + "=" * (-len(value) % 4))
    except ValueError:  # binascii.Error is one
        raw = b""
    weak = _STRONG.get(algorithm) != len(raw)
    return Recorded(path, algorithm[:20], raw.hex(), weak)


class PackageMetadata(Written, frozen=True, kw_only=True, eq=False):
    """The headers of METADATA or PKG-INFO. `required` are its `Requires-Dist`."""

    name: str
    version: str
    required: tuple[str, ...]

    def facts(self) -> Iterator[Installs]:
        """The package itself; inside a wheel or a source archive also what it has installed."""
        built = _to_install(self.where)
        if built is None or not _NAME.fullmatch(self.name):
            return
        own = Requirement(
            name=self.name[:200],
            specifier=f"=={self.version}" if self.version else "",
            version=self.version or None,
            firm=Firmness.INSTALLED if not built else Firmness.EXACT,
        )
        if not built:
            yield Installs(at=self.where, place="installed", requirements=(own,))
            return
        asked = (_required(said) for said in self.required)
        yield Installs(
            at=self.where,
            place="project",
            requirements=(own, *(r for r in asked if r is not None)),
        )


def _to_install(where: Location) -> bool | None:
    """Whether what is described lies in an archive that is to be installed (False: it is installed
    already; None: another file there says the same)."""
    parts = (where.path, *where.inside)
    if len(parts) == 1:
        return False
    path = parts[-1].removeprefix("./")
    depth = path.count("/")
    if path.endswith(".dist-info/METADATA") and depth == 1:
        return True
    if path.endswith("/PKG-INFO") and depth == 1 and not path.endswith(".egg-info/PKG-INFO"):
        return True
    return None if depth <= 3 and path.endswith(".egg-info/PKG-INFO") else False


def _required(said: str) -> Requirement | None:
    line = read_line(said, 0)
    if _EXTRA.search(line.marker):
        return None  # only for those who ask for an extra
    made = as_fact(line)
    return None if made is None else replace(made, line=0)


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """Names in lower case and values, up to the empty line; continued lines are joined."""
    name, value = "", ""
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not line:
            break
        if line[:1] in " \t":
            value += f" {line.strip()}" if len(value) < SIZE_LIMIT else ""
            continue
        if name:
            yield name, value
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
    if name:
        yield name, value


def _metadata(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"metadata of more than {SIZE_LIMIT:,} bytes")
    headers = list(_headers(blob.read(0, blob.size).decode("utf-8-sig", "replace")))
    known = dict(reversed(headers))
    return PackageMetadata(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=text.gaps,
        blob=blob,
        name=known.get("name", "")[:300],
        version=known.get("version", "")[:100],
        required=tuple(value[:2_000] for name, value in headers if name == "requires-dist"),
    )


class EntryPoints(Written, frozen=True, kw_only=True, eq=False):
    """What a package registers itself for: group, name and object (`module:attribute`) each."""

    entries: tuple[tuple[str, str, str], ...]


def _entry_points(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"entry points of more than {SIZE_LIMIT:,} bytes")
    group, entries = "", []
    for line in blob.read(0, blob.size).decode("utf-8-sig", "replace").splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif "=" in line:
            name, _, target = line.partition("=")
            entries.append((group, name.strip(), target.strip()))
    return EntryPoints(
        where=where, size=blob.size, seen=text.seen, gaps=text.gaps, blob=blob,
        entries=tuple(entries),
    )  # fmt: skip


PACKAGE_METADATA = Format(
    name="package-metadata",
    title="Metadata of a Python package",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "package-metadata",
    parse=_metadata,
    document=PackageMetadata,
    limits="METADATA and PKG-INFO, told by their names and first header; what only an extra asks "
    "for is left out.",
)
ENTRY_POINTS = Format(
    name="entry-points",
    title="Entry points of a Python package",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "entry-points",
    parse=_entry_points,
    document=EntryPoints,
    limits="Told by its name (`.dist-info/entry_points.txt`).",
)
