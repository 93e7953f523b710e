"""Versions of packages of Debian, Ubuntu and Alpine, as keys that sort in the order of each.

Sources: Debian Policy Manual 5.6.12 and deb-version(7);
https://gitlab.alpinelinux.org/alpine/apk-tools (apk-package(5), version comparison).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from weighbridge.core.regex import regex

LIMIT: Final = 200
"""Characters; what is longer is no version."""
Key = tuple[Any, ...]

_DEBIAN: Final = regex(r"(?:(\d{1,9}):)?([A-Za-z0-9.+~:-]+)")
_RUNS: Final = regex(r"(\D*)(\d*)")
_ALPINE: Final = regex(
    r"(\d+(?:\.\d+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(?:~[0-9a-f]+)?"
    r"(?:-r(\d+))?"
)
_END: Final = ((0,), 0)
_SUFFIX: Final = regex(r"_([a-z]+)(\d*)")
_SUFFIXES: Final = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1,
                    "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}  # fmt: skip


@lru_cache(maxsize=100_000)
def debian(version: str) -> Key | None:
    """The key of a version of dpkg: epoch, upstream's version, revision; None where it is none."""
    read = _DEBIAN.fullmatch(version.strip()) if len(version) <= LIMIT else None
    if read is None:
        return None
    upstream, _, revision = read[2].rpartition("-") if "-" in read[2] else (read[2], "", "")
    return int(read[1] or 0), _part(upstream), _part(revision)


def _part(text: str) -> Key:
    """Runs of other characters and of digits in turn. The end of a run sorts behind `~` and before
    everything else, letters before what is none; a number that is not there is 0."""
    runs = [((*map(_order, other), 0), int(digits or 0)) for other, digits in _RUNS.findall(text)]
    while len(runs) > 1 and runs[-1] == _END:
        runs.pop()
    return (*runs, _END)


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


@lru_cache(maxsize=100_000)
def alpine(version: str) -> Key | None:
    """The key of a version of apk; None where it is none."""
    read = _ALPINE.fullmatch(version.strip()) if len(version) <= LIMIT else None
    if read is None:
        return None
    first, *rest = read[1].split(".")
    # What begins with 0 is a fraction: 1.05 comes before 1.5.
    numbers = tuple((0, n) if n[0] == "0" else (1, int(n)) for n in rest)
    suffixes = tuple((_SUFFIXES[s], int(n or 0)) for s, n in _SUFFIX.findall(read[3]))
    return int(first), _comparable(numbers), read[2], (*suffixes, (0, 0)), int(read[4] or 0)


def _comparable(numbers: tuple[tuple[int, Any], ...]) -> Key:
    """Numbers and fractions side by side: as triples, so that only like is held against like."""
    return tuple((kind, value, "") if kind else (kind, 0, value) for kind, value in numbers)
