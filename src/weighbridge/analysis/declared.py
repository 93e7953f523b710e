"""What a repository declares of itself: the versions of torch that it admits, its own address.

Read from the files at its top by their lines; nothing is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

SAFE_TORCH: Final = (2, 6)
"""The version from which on `torch.load` takes only weights unless it is told otherwise."""
READ: Final = 1 << 20
_FILES: Final = regex(
    r"pyproject\.toml|setup\.(?:py|cfg)|environment\.ya?ml|[\w.-]*requirements[\w.-]*\.txt"
    r"|requirements/[\w.-]+\.txt"
)
_OWN: Final = regex(r"pyproject\.toml|setup\.(?:py|cfg)|CITATION\.cff")
_TORCH: Final = regex(
    r"(?<![\w./-])torch(?:\[[^\]]*\])?[\"']?\s*(?:=\s*[\"'])?\s*((?:[\^~<>=!]=?=?\s*\d[\w.*+]*\s*,?\s*)+)"
)
_CLAUSE: Final = regex(r"([\^~<>=!]=?=?)\s*(\d+(?:\.\d+)*)")
_ADDRESS: Final = regex(r"(?:github|gitlab)\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?(?=[\"'\s/#?)@]|$)")
_SAYS_WHERE: Final = regex(
    r"\s*[\"']?(?:urls?|home-?page|repository(?:-code)?|repo|source(?: code)?|github|issues"
    r"|bug ?tracker|documentation)\b",
    re.IGNORECASE,
)
_NAME: Final = regex(r"^\s*name\s*=\s*[\"']([\w.-]+)[\"']", re.MULTILINE)

Version = tuple[int, ...]


class Torch(Struct, frozen=True):
    """Which versions of torch a repository admits: the oldest that it names, the first that it
    excludes (None: not said), and the place that says so."""

    low: Version | None = None
    high: Version | None = None
    said: str = ""

    @property
    def safe(self) -> bool:
        """Every version that it admits loads safely by default."""
        return self.low is not None and self.low >= SAFE_TORCH

    @property
    def unsafe(self) -> bool:
        """No version that it admits loads safely by default."""
        return self.high is not None and self.high <= SAFE_TORCH


def torch(blobs: Mapping[str, Blob], part: str) -> Torch:
    """The versions of torch that a part of the target declares."""
    lows: list[tuple[Version, str]] = []
    highs: list[Version | None] = []
    for path, text in _texts(blobs, part, _FILES):
        for line in text.splitlines():
            if line.lstrip().startswith("#"):
                continue
            for found in _TORCH.finditer(line):
                low, high = _bounds(found[1])
                if low is not None:
                    lows.append((low, f"torch{found[1].strip(' ,')} in {path}"))
                highs.append(high)
    low, said = min(lows, default=(None, ""))
    known = [h for h in highs if h is not None]
    high = max(known) if highs and len(known) == len(highs) else None
    return Torch(low, high, said)


def _bounds(clauses: str) -> tuple[Version | None, Version | None]:
    """The oldest version that is admitted, and the first that no longer is."""
    low: Version | None = None
    high: Version | None = None
    for operator, written in _CLAUSE.findall(clauses):
        version = tuple(int(p) for p in written.split("."))
        if operator in (">=", ">", "~=", "^", "=="):
            low = version if low is None else max(low, version)
        if operator in ("<", "<="):
            high = version if operator == "<" else (*version[:-1], version[-1] + 1)
        elif operator == "==":
            high = (*version[:-1], version[-1] + 1)
    return low, high


def own_names(blobs: Mapping[str, Blob], part: str) -> frozenset[str]:
    """The repository's own addresses (`owner/name`) and its package's name, in lower case."""
    found: set[str] = set()
    for _, text in _texts(blobs, part, _OWN):
        own = "\n".join(line for line in text.splitlines() if _SAYS_WHERE.match(line))
        found.update(m[1].lower() for m in _ADDRESS.finditer(own))
        found.update(m[1].lower() for m in _NAME.finditer(text))
    return frozenset(found)


def is_own(address: str, own: frozenset[str]) -> bool:
    """Whether an address of git, or `owner/name`, is the repository's own."""
    found = _ADDRESS.search(address)
    name = (found[1] if found else address).partition(":")[0].lower()
    return bool(name) and (name in own or name.partition("/")[2] in own)


def _texts(
    blobs: Mapping[str, Blob], part: str, wanted: re.Pattern[str]
) -> Iterator[tuple[str, str]]:
    for path, blob in blobs.items():
        owner, inner = within(path)
        if owner == part and wanted.fullmatch(inner):
            try:
                yield path, blob.read(0, READ).decode("utf-8", "replace")
            except (OSError, Malformed):
                continue
