"""The published schema is the one that the types make."""

from __future__ import annotations

import json
from pathlib import Path

from weighbridge.reports.json import schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema" / "report-1.json"


def test_the_published_schema_is_that_of_the_types() -> None:
    """Made anew by `weighbridge schema > docs/schema/report-1.json`."""
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(schema()))
