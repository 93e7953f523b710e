"""The report for machines: the types of `core` as they are, under a versioned schema."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from weighbridge.core.change import (
    DIFFERENCE_SCHEMA,
    VERIFICATION_SCHEMA,
    Difference,
    Verification,
)
from weighbridge.core.report import SCHEMA, Report
from weighbridge.core.survey import SURVEY_SCHEMA, Survey
from weighbridge.core.trust import LOCK_SCHEMA, Lock
from weighbridge.reports.formats import Reporter
from weighbridge.reports.printable import escaped, visible


def render(report: Report) -> bytes:
    r"""One JSON document in UTF-8, indented, with a line feed at its end.

    What cannot be seen (`visible()`) is written as a JSON escape, which loses nothing and leaves a
    terminal in peace. The one exception are lone surrogates, which stand for undecodable bytes in
    file names and which strict JSON readers refuse: they become the text `\xff`.
    """
    try:
        text = msgspec.json.encode(report).decode()
    except UnicodeEncodeError:  # lone surrogates, which the quick encoder refuses
        text = json.dumps(msgspec.to_builtins(report), ensure_ascii=False, separators=(",", ":"))
    return msgspec.json.format(legible(text).encode(), indent=2) + b"\n"


_TYPES: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    "report": (SCHEMA, Report),
    "lock": (LOCK_SCHEMA, Lock),
    "verification": (VERIFICATION_SCHEMA, Verification),
    "difference": (DIFFERENCE_SCHEMA, Difference),
    "survey": (SURVEY_SCHEMA, Survey),
}


def schema(of: str = "report") -> dict[str, Any]:
    """The JSON Schema of a document (`report`, `lock`, `verification`, `difference`, `survey`),
    made from the types."""
    id, kind = _TYPES[of]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        **msgspec.json.schema(kind),
    }


def legible(text: str) -> str:
    """JSON text in which only what can be seen stands unescaped."""
    if text.isascii() and text.isprintable():
        return text  # nearly always
    return re.sub(r"[^\x20-\x7e]", lambda match: _shown(match[0]), text)


def _shown(character: str) -> str:
    if visible(character):
        return character
    if "\ud800" <= character <= "\udfff":
        return escaped(character).replace("\\", "\\\\")
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


REPORTER = Reporter(name="json", suffix=".json", render=render)
