"""Making the index from a dump: a zip or a folder of OSV's JSON files, one for each advisory.

What the catalogue of exploited weaknesses is (`known_exploited_vulnerabilities.json`, as CISA
publishes it) may lie beside them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from weighbridge.intel.advisories.index import LAYOUT, Facts, NoIndex
from weighbridge.intel.advisories.osv import (
    ECOSYSTEMS,
    PYTHON,
    Advisory,
    base_of,
    name_in,
    read_affected,
)
from weighbridge.intel.advisories.severity import level

BODY_LIMIT: Final = 16 << 20
"""Bytes of one advisory."""
ENTRIES_LIMIT: Final = 2_000_000
TOTAL_LIMIT: Final = 16 << 30
"""Bytes that may come out of a dump in all."""
_HEAD: Final = 30
"""Bytes of a member's own header, before its name (APPNOTE.TXT 4.3.7)."""
CATALOGUE: Final = "known_exploited_vulnerabilities.json"
SUMMARY: Final = 300

_advisory: Final = msgspec.json.Decoder(Advisory)
_SCHEMA: Final = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value);
CREATE TABLE exploited (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE advisory (number INTEGER PRIMARY KEY, id TEXT, aliases TEXT, modified TEXT,
  withdrawn TEXT, severity TEXT, summary TEXT, exploited TEXT);
CREATE TABLE body (number INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE affected (ecosystem TEXT, package TEXT, number INTEGER, place INTEGER, said BLOB);
"""
_INDEXES: Final = """
CREATE UNIQUE INDEX by_id ON advisory (id);
CREATE INDEX by_package ON affected (ecosystem, package);
"""
"""Made once everything is there."""


class Cve(msgspec.Struct, frozen=True):
    """An entry of the catalogue of exploited weaknesses."""

    id: str = msgspec.field(name="cveID", default="")


class Catalogue(msgspec.Struct, frozen=True):
    """The catalogue of exploited weaknesses."""

    vulnerabilities: tuple[Cve, ...]


def read_catalogue(data: bytes) -> tuple[str, ...]:
    """The weaknesses that a catalogue names. Raises `NoIndex` where it is none."""
    try:
        read = msgspec.json.decode(data, type=Catalogue)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoIndex(f"the catalogue of exploited weaknesses cannot be read: {error}") from error
    return tuple(sorted({entry.id for entry in read.vulnerabilities if entry.id}))


def dump(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files of a zip or a folder: their names and bytes, in order. Raises `NoIndex`."""
    try:
        found = _folder(path) if path.is_dir() else _zip(path)
        total = 0
        for number, (name, data) in enumerate(found):
            total += len(data)
            if number >= ENTRIES_LIMIT or total > TOTAL_LIMIT:
                raise NoIndex(f"{path}: it holds more than a dump of advisories does")
            yield name, data
    except (zipfile.BadZipFile, OSError, zlib.error, RuntimeError) as error:
        raise NoIndex(f"{path}: it cannot be read as a zip or folder ({error})") from error


def _zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            if entry.filename.endswith(".json"):
                yield entry.filename.rpartition("/")[2], _member(file, entry)


def _member(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, of one that is too long a few more than the limit. What `zipfile` sets
    up to read in parts takes as long as all that is done with an advisory."""
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{entry.filename[:100]} is encrypted or packed in another way")
    file.seek(entry.header_offset)
    head = file.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile(f"{entry.filename[:100]} is not where the directory says")
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    packed = file.read(min(entry.compress_size, 2 * BODY_LIMIT))
    if entry.compress_type == zipfile.ZIP_STORED:
        data = packed[: BODY_LIMIT + 1]
    else:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, BODY_LIMIT + 1)
    if len(data) <= BODY_LIMIT and (len(data) != entry.file_size or zlib.crc32(data) != entry.CRC):
        raise zipfile.BadZipFile(f"{entry.filename[:100]} is damaged")
    return data


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob("*.json")):
        if file.is_file():
            with file.open("rb") as stream:
                yield file.name, stream.read(BODY_LIMIT + 1)


def build(
    entries: Iterable[tuple[str, bytes]],
    to: Path,
    source: str,
    exploited: Iterable[str] = (),
    tag: str = "",
) -> Facts:
    """Write the index of advisories (names of files and their bytes) to a path, whole or not at
    all; an old one stays until then. `tag` is what the server calls this state of its data.

    An entry that cannot be read is counted and left out. Raises `NoIndex` where none can be read,
    `OSError` where the file cannot be written.
    """
    import sqlite3

    to.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".advisories.", dir=to.parent)
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as file:
            file.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                "PRAGMA page_size=16384; PRAGMA cache_size=-32768;" + _SCHEMA
            )
            file.execute("BEGIN")
            facts = _fill(file, entries, set(exploited), source, tag)
            file.execute("COMMIT")
            file.executescript(_INDEXES)
        os.chmod(name, 0o644)
        os.replace(name, to)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return facts


def _fill(
    file: Any, entries: Iterable[tuple[str, bytes]], exploited: set[str], source: str, tag: str
) -> Facts:
    digests: dict[str, bytes] = {}
    numbers: dict[str, int] = {}
    newest, unread = "", 0
    for name, data in entries:
        if name == CATALOGUE:
            exploited |= set(read_catalogue(data))
            continue
        read = _read(data)
        if read is None:
            unread += 1
            continue
        number = numbers.setdefault(read.id, len(numbers))
        if read.id in digests:
            file.execute("DELETE FROM affected WHERE number = ?", (number,))
        digests[read.id] = hashlib.sha256(data).digest()
        if read.withdrawn is None:
            newest = max(newest, read.modified)
        _insert(file, number, read, data)
    if not digests:
        raise NoIndex(f"{source}: it holds no advisories")
    file.executemany("INSERT INTO exploited VALUES (?)", [(id,) for id in sorted(exploited)])
    _mark(file, exploited)
    whole = hashlib.sha256()
    for id in sorted(digests):
        whole.update(id.encode() + b"\0" + digests[id])
    facts = Facts(
        layout=LAYOUT, source=source, date=newest[:10], count=len(digests),
        digest=whole.hexdigest(), unread=unread, exploited=len(exploited), tag=tag,
    )  # fmt: skip
    rows = msgspec.to_builtins(facts)
    file.executemany("INSERT INTO facts VALUES (?, ?)", list(rows.items()))
    return facts


def _read(data: bytes) -> Advisory | None:
    if len(data) > BODY_LIMIT:
        return None
    try:
        read = _advisory.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    plain = read.id and not set(read.id) & set(" /\\\0") and len(read.id) < 100
    dated = read.modified[:10].replace("-", "").isdecimal() and len(read.modified) >= 10
    return read if plain and dated else None


def _insert(file: Any, number: int, read: Advisory, data: bytes) -> None:
    aliases = " ".join(a for a in read.aliases or () if " " not in a)
    summary = (read.summary or (read.details or "").lstrip("# \n").split("\n", 1)[0])[:SUMMARY]
    file.execute(
        "INSERT OR REPLACE INTO advisory VALUES (?, ?, ?, ?, ?, ?, ?, '')",
        (number, read.id, aliases, read.modified, read.withdrawn, level(read), summary),
    )
    python = False
    for place, affected in enumerate(read.affected or ()):
        package = affected.package
        if package is None or base_of(package.ecosystem) not in ECOSYSTEMS:
            continue
        ecosystem = package.ecosystem
        python = python or ecosystem == PYTHON
        said = msgspec.msgpack.encode(read_affected(affected, ecosystem))
        file.execute(
            "INSERT INTO affected VALUES (?, ?, ?, ?, ?)",
            (ecosystem, name_in(package.name, ecosystem), number, place, said),
        )
    # Those of a system spell out every version that there ever was.
    body = data if python else zlib.compress(data, 1)
    file.execute("INSERT OR REPLACE INTO body VALUES (?, ?)", (number, body))


def _mark(file: Any, exploited: set[str]) -> None:
    """Note at each advisory which exploited weakness it is about."""
    if not exploited:
        return
    for number, id, aliases in list(file.execute("SELECT number, id, aliases FROM advisory")):
        met = sorted({id, *aliases.split()} & exploited)
        if met:
            file.execute("UPDATE advisory SET exploited = ? WHERE number = ?", (met[0], number))
