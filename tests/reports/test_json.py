"""The contract for machines."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import msgspec
import pytest

from reports import samples
from weighbridge.core.report import Report
from weighbridge.reports import json as reporter


@pytest.mark.parametrize("sample", samples.ALL)
def test_is_valid_against_its_schema(sample: Callable[[], Report]) -> None:
    schema = reporter.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(reporter.render(sample()))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["schema"] == schema["$id"] == "weighbridge/report/1"
    assert len(document["controls"]) == 14


def test_reads_back_as_the_same_report() -> None:
    for report in (samples.clean(), samples.hostile(), samples.incomplete()):
        assert msgspec.json.decode(reporter.render(report), type=Report) == report


def test_loses_nothing_of_foreign_text_but_lone_surrogates() -> None:
    report = samples.foreign()
    back = msgspec.json.decode(reporter.render(report), type=Report)
    paths = dict(zip((f.path for f in report.files), (f.path for f in back.files), strict=True))
    assert paths[samples.ESCAPES] == samples.ESCAPES
    assert paths[samples.BIDI] == samples.BIDI
    assert paths[samples.BYTES] == r"caf\xe9\xff.bin"
    assert paths["\ud800"] == r"\ud800"


def test_is_one_document_with_a_line_feed_at_its_end() -> None:
    text = reporter.render(samples.hostile()).decode()
    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema": "weighbridge/report/1",\n  "tool": {')
