"""The lock: what was audited and let in, made to be kept beside the code that uses the model.

One JSON file, a line for each file, sorted, without a date: locking the same thing again changes
nothing in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Report
from weighbridge.core.trust import LOCK_SCHEMA, Lock, LockedFile
from weighbridge.policy.policy import PolicyError

OWN_FILE: Final = "weighbridge.lock"
LARGEST: Final = 256 << 20
"""How many bytes a lock may have."""


def of(report: Report) -> Lock:
    """The lock of what a report is about."""
    origin = report.origin
    files = (
        LockedFile(path=f.path, size=f.size, sha256=f.sha256, git=f.git, declared=f.declared)
        for f in report.files
        if f.path.partition(":")[0] not in report.target.parts
    )
    return Lock(
        schema=LOCK_SCHEMA,
        target=report.target.id,
        kind=report.target.kind,
        where=origin.where if origin else None,
        id=origin.id if origin else None,
        key=origin.key if origin else None,
        created=origin.created if origin else None,
        commit=origin.commit if origin else None,
        verdict=report.verdict.value,
        ruleset=report.tool.ruleset,
        files=tuple(sorted(files, key=lambda f: f.path)),
    )


def encode(lock: Lock) -> bytes:
    """The lock as it stands in its file."""
    said = msgspec.to_builtins(lock)
    files = said.pop("files")
    head = json.dumps(said, indent=2)[:-2]
    lines = ",\n".join(f"    {json.dumps(file)}" for file in files)
    rows = f"[\n{lines}\n  ]" if files else "[]"
    return f'{head},\n  "files": {rows}\n}}\n'.encode()


def decode(data: bytes) -> Lock:
    """A lock from its bytes. Raises `ValueError`."""
    try:
        lock = msgspec.convert(json.loads(data), Lock)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no lock: {error}") from None
    if lock.schema != LOCK_SCHEMA:
        raise ValueError(f"it is a lock of another kind ({lock.schema!r})")
    paths = [f.path for f in lock.files]
    if len(set(paths)) < len(paths):
        raise ValueError("it names a file twice")
    return lock


def replaces(before: bytes, made: Lock) -> bool:
    """Whether a lock that is there is of a repository of the same name that was another one."""
    try:
        old = decode(before)
    except ValueError:
        return False
    known = old.key is not None and made.key is not None
    return known and old.key != made.key and (old.id == made.id or old.target == made.target)


def read(path: Path) -> Lock:
    """Read a lock. Raises `PolicyError`."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise PolicyError(f"{path}: it is larger than {LARGEST:,} bytes")
    try:
        return decode(data)
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from None


def locate(folder: Path, target: Path) -> Path | None:
    """The lock in a working folder, unless that is what is audited: what comes with the target
    does not vouch for it."""
    audited = target.resolve()
    if not audited.is_dir():
        audited = audited.parent
    path = folder / OWN_FILE
    if not path.is_file() or path.resolve().is_relative_to(audited):
        return None
    return path
