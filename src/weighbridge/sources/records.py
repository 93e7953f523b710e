"""The small files in which a store says what it holds: read within bounds, and never believed to
stay inside the store until that is known."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.sources.remote import SourceError

SHA256: Final = regex(r"[0-9a-f]{64}")
GIT: Final = regex(r"[0-9a-f]{40}")
"""The name that git gives to something: a sha1."""


def read(place: Path, limit: int) -> bytes:
    """A regular file of at most `limit` bytes; a link in its last part is not followed.

    Raises `SourceError`.
    """
    name = f"{place.parent.name}/{place.name}"
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        opened = os.open(place, flags)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{name}: {why}") from None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise SourceError(f"{name}: it is no regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SourceError(f"{name}: a record of more than {limit:,} bytes")
    return data


def read_inside(root: Path, name: str, limit: int) -> bytes:
    """A record by its path in a store (`root`, resolved), of which no part may be a link.

    Raises `SourceError`.
    """
    folder = (root / name).parent
    if os.path.realpath(folder) != str(folder):
        raise SourceError(f"{name}: it is behind a link")
    return read(root / name, limit)


def decode(data: bytes, name: str) -> Mapping[str, Any]:
    """The JSON object in a record. Raises `SourceError`."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{name}: it is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise SourceError(f"{name}: it is no JSON object")
    return value


def line(place: Path, limit: int = 1 << 10) -> str:
    """The one line of a small record. Raises `SourceError`."""
    try:
        return read(place, limit).decode().strip()
    except UnicodeDecodeError:
        raise SourceError(f"{place.parent.name}/{place.name}: it is no text") from None


def plain(path: str) -> bool:
    """Whether a name stays inside the folder that it is relative to, on every system."""
    parts = path.replace("\\", "/").split("/")
    return not any(p in ("", ".", "..") or "\0" in p for p in parts) and ":" not in parts[0]


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one where something else stands."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A JSON array, or an empty one where something else stands."""
    return value if isinstance(value, list) else []


def text(value: Any, limit: int = 2_000) -> str | None:
    """A string that says something, shortened, or None."""
    return value[:limit] if isinstance(value, str) and value else None


def number(value: Any) -> int | None:
    """A size or a count, or None."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def gap(kind: GapKind, message: str, path: str) -> Gap:
    """What a source did not get, and where."""
    return Gap(kind=kind, message=message, at=Location(path))
