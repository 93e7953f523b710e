"""Advisories made by code, in OSV's form, and where the real ones lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weighbridge.intel.advisories.build import build

REAL = Path(__file__).parents[2] / "shared" / "advisories" / "pypa-osv-2024-10.zip"
"""PyPA's database of October 2024, where it lies beside the checkout."""


def advisory(
    id: str,
    name: str,
    *events: dict[str, str],
    versions: tuple[str, ...] = (),
    modified: str = "2026-11-01T00:00:00Z",
    ecosystem: str = "PyPI",
    **more: Any,
) -> dict[str, Any]:
    """One advisory on one package; without events it has no range."""
    affected: dict[str, Any] = {"package": {"name": name, "ecosystem": ecosystem}}
    if events:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": list(events)}]
    if versions:
        affected["versions"] = list(versions)
    return {"id": id, "modified": modified, "affected": [affected], **more}


def since(introduced: str = "0", **end: str) -> tuple[dict[str, str], ...]:
    """The events of one range."""
    return ({"introduced": introduced}, *({kind: version} for kind, version in end.items()))


def index(path: Path, *advisories: dict[str, Any], exploited: tuple[str, ...] = ()) -> Path:
    """An index of advisories, written to a path."""
    entries = [(f"{a['id']}.json", json.dumps(a).encode()) for a in advisories]
    build(entries, path, "the tests", exploited)
    return path
