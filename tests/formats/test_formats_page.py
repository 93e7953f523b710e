"""docs/formats.md is what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_lists_every_format() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "list_formats.py"))["table"]()
    assert (ROOT / "docs" / "formats.md").read_text() == made
