"""The ONNX graphs of the benign corpus, by name."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

BENIGN = Path(__file__).parent / "benign"
ARCHIVES = sorted(
    [*(BENIGN / "files" / "graphs").glob("graphs-*.zip"), BENIGN / "reviewed" / "graphs.zip"]
)
"""Those that nothing is said of, and those that are known to be reviewed."""


@cache
def names() -> tuple[str, ...]:
    """All of them."""
    return tuple(sorted(_places()))


@cache
def _places() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in ARCHIVES:
        with zipfile.ZipFile(path) as archive:
            found |= dict.fromkeys(archive.namelist(), path)
    return found


@cache
def exported(name: str) -> bytes:
    """One of them."""
    with zipfile.ZipFile(_places()[name]) as archive:
        return archive.read(name)
