"""Which package owns which file of an installed environment, and by which digest."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field

from weighbridge.core.document import Malformed
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, read_whole
from weighbridge.formats.conda_installed import read_installed
from weighbridge.formats.installed import RECORD_LIMIT, read_record

PART: Final = "env"
"""The part of a target that is an installed environment."""
_RECORD: Final = regex(r"(?:(.*)/)?([^/]+)\.dist-info/RECORD")
_CONDA: Final = regex(r"(?:(.*)/)?conda-meta/[^/]+\.json")
_CACHED: Final = regex(r"(?:(.*)/)?__pycache__/([^/]+?)\.[\w-]+?(?:\.opt-[12])?\.pyc")
_STARTS: Final = regex(r"(?:.*/)?(?:site|user)customize\.py")
_PLAIN: Final = regex(
    r".*\.(?:pyi?|pyx|px[di]|pyc|pyd|so(?:\.[\w.]+)?|dylib|dll|exe|a|lib|o|[ch]|cc|cpp|cxx|cu|cuh|hpp"
    r"|hxx|inl|inc|cl|f90?|pyf|cmake|m?js|ts|css|scss|html?|map|txt|md|rst|typed|mo|po|svg|png|gif"
    r"|jpe?g|ico|ttf|otf|woff2?|eot|pem|tcl|sh|bat|ps1|fish|csh)|(?:bin|Scripts)/[^/]+"
    r"|.*\.dist-info/.*|.*/tests?/.*|(?:.*/)?(?:LICEN[CS]E|NOTICE|COPYING|AUTHORS)[^/.]*",
    re.IGNORECASE,
)
"""What a package is made of, its test data among it: only its own code would read those."""
_SOURCES: Final = frozenset({
    "text", "json", "yaml", "xml", "csv", "python", "script", "template", "dockerfile", "workflow",
    "requirements", "toml", "ini", "checksums", "empty", "media", "git-config", "git-lfs-hook",
    "pipfile-lock", "conda-explicit", "prototxt", "sqlite", "elf", "pe", "mach-o", "java-class",
    "wasm", "tensorflow-text", "lightgbm", "ncnn", "model-card",
})  # fmt: skip
"""Formats of what a package is made of, whatever it is called."""
_READ: Final = regex(r".*\.dist-info/(?:METADATA|entry_points\.txt)")
_READ_ENDS: Final = (".pth", "customize.py", "/METADATA", "/entry_points.txt")
_COMMON: Final = frozenset({"py", "pyi", "pyc", "so", "h", "hpp", "cuh"})
"""The endings of nearly all files of packages: all of them are plain."""


class Owned(NamedTuple):
    """What a RECORD says of a file: the package that it stands in and the sha256, empty where it
    names none (or one of another kind)."""

    package: str
    sha256: str


class Ownership(Struct):
    """The files that packages own, by path. `folders` are those that packages were installed into,
    `records` the RECORD files, `faults` those that could not be read, `outside` the rows that lead
    out of what was handed over, `unrecorded` the packages that came without a RECORD. `conda` are
    the records of packages that conda has installed."""

    owned: dict[str, Owned] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    outside: list[tuple[str, str]] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    conda: dict[str, str] = field(default_factory=dict)


def ownership(blobs: Mapping[str, Blob], paths: Iterable[str]) -> Ownership:
    """What the RECORD files among these paths say."""
    found = Ownership()
    owned = found.owned
    described: set[str] = set()
    for path in paths:
        if not path.endswith((".dist-info/RECORD", ".dist-info/METADATA", ".json")):
            continue  # nearly all of them
        if path.endswith(".json") and path in blobs and "conda-meta/" in path:
            _of_conda(found, path, blobs[path])
            continue
        if path.endswith(".dist-info/METADATA"):
            described.add(path.removesuffix("METADATA"))
        if not path.endswith(".dist-info/RECORD") or path not in blobs:
            continue
        part, inner = within(path)
        record = _RECORD.fullmatch(inner)
        if record is None:
            continue
        prefix = f"{part}:" if part else ""
        folder = record[1] or ""
        described.discard(path.removesuffix("RECORD"))
        found.records[path] = record[2]
        found.folders[prefix + folder] = found.folders.get(prefix + folder, 0) + 1
        blob = blobs[path]
        try:
            if blob.size > RECORD_LIMIT:
                raise Malformed(f"a RECORD of more than {RECORD_LIMIT:,} bytes")
            rows = read_record(blob.read(0, blob.size).decode("utf-8", "replace"))
        except (Malformed, OSError) as error:
            found.faults.append((path, str(error)))
            continue
        finally:
            close = getattr(blob, "close", None)
            if close is not None:
                close()
        for row in rows:
            place = _place(folder, row.path)
            if place[0] in "/." and (place.startswith(("/", "../")) or place == ".."):
                found.outside.append((path, row.path))
                continue
            sha256 = row.digest if row.algorithm == "sha256" and not row.weak else ""
            name = prefix + place
            known = owned.get(name)
            if known is None or not (known.sha256 or known.package.endswith(" (conda)")):
                owned[name] = Owned(record[2], sha256)
    found.unrecorded = sorted(d.rstrip("/") for d in described if f"{d}RECORD" not in found.records)
    return found


def _of_conda(found: Ownership, path: str, blob: Blob) -> None:
    """The files that a record of conda names, from the prefix on."""
    part, inner = within(path)
    record = _CONDA.fullmatch(inner)
    if record is None:
        return
    try:
        if blob.size > RECORD_LIMIT:
            raise Malformed(f"a record of more than {RECORD_LIMIT:,} bytes")
        said = read_installed(read_whole(blob))
    except (Malformed, OSError) as error:
        found.faults.append((path, str(error)))
        return
    prefix = f"{part}:" if part else ""
    package = f"{said.name[:200]}-{said.version[:100]} (conda)"
    found.conda[path] = package
    for name, digest in said.files.items():
        if not name:
            continue
        place = _place(record[1] or "", name)
        if place.startswith(("/", "../")) or place == "..":
            found.outside.append((path, name))
            continue
        # Conda changes files of a wheel: what it wrote down last counts.
        found.owned[prefix + place] = Owned(package, digest)


def _place(folder: str, path: str) -> str:
    """Where a row of a record leads."""
    if path[0] not in "/." and "//" not in path and "/." not in path:
        return f"{folder}/{path}" if folder else path  # nearly all of them
    return posixpath.normpath(posixpath.join(folder, path))


def source_of(path: str) -> str | None:
    """The source that a cached compiled module was made from, or None where it is none."""
    found = _CACHED.fullmatch(path)
    if found is None:
        part, inner = within(path)
        found = _CACHED.fullmatch(inner)
        if found is None:
            return None
        return f"{part}:{found[2]}.py" if not found[1] else f"{part}:{found[1]}/{found[2]}.py"
    return f"{found[1]}/{found[2]}.py" if found[1] else f"{found[2]}.py"


def made_from(head: bytes, size: int) -> bool:
    """Whether Python would take a compiled module (its first 16 bytes) for one of a source of this
    size, or compare it with the source itself before it runs it (PEP 552)."""
    if len(head) < 16:
        return False
    flags = int.from_bytes(head[4:8], "little")
    if flags == 0:
        return int.from_bytes(head[12:16], "little") == size & 0xFFFFFFFF
    return flags == 3


def is_read(path: str) -> bool:
    """Whether a file is read whatever its digest: it starts by itself, or says what is there."""
    if not path.endswith(_READ_ENDS):
        return False  # nearly all of them
    inner = within(path)[1]
    return inner.endswith(".pth") or bool(_STARTS.fullmatch(inner) or _READ.fullmatch(inner))


def is_plain(path: str) -> bool:
    """Whether a file by its name is what packages are made of, and no model."""
    if path.rpartition(".")[2] in _COMMON and "\n" not in path:
        return True
    return _PLAIN.fullmatch(within(path)[1]) is not None


def holds_model(formats: Iterable[str]) -> bool:
    """Whether a file of these formats may be a model, or data that act when they are loaded."""
    return not _SOURCES.issuperset(formats)


def vouched(blobs: Mapping[str, Blob], head: Callable[[Blob], bytes]) -> dict[str, str]:
    """The files of an installed environment that its packages vouch for, with the sha256 that each
    must have; empty for what has none: a record, which was read, and a compiled module beside a
    source that has one."""
    paths = [p for p in blobs if p.startswith(f"{PART}:")]
    known = ownership(blobs, paths)
    owned = known.owned
    found = dict.fromkeys(known.records.keys() - {path for path, _ in known.faults}, "")
    for path in paths:
        entry = owned.get(path)
        if is_read(path):
            continue
        if entry is not None and entry.sha256:
            found[path] = entry.sha256
            continue
        source = source_of(path) if path.endswith(".pyc") else None
        if source in owned and owned[source].sha256 and source in blobs and (
            made_from(head(blobs[path]), blobs[source].size)
        ):  # fmt: skip
            found[path] = ""
    return found
