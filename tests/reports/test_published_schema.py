"""The published schema is the one that the types make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weighbridge.reports.json import schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize("of", ["report", "lock", "verification", "difference", "survey"])
def test_the_published_schema_is_that_of_the_types(of: str) -> None:
    """Made anew by `weighbridge schema report > docs/schema/report-1.json`, and so on."""
    published = (PUBLISHED / f"{of}-1.json").read_text()
    assert json.loads(published) == json.loads(json.dumps(schema(of)))
