"""The report as one HTML file that fetches nothing, works without a script, and prints well."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.core.evidence import (
    AnyEvidence,
    AttackPath,
    Bytes,
    CallTree,
    Subgraph,
    Text,
    TriggerInput,
)
from weighbridge.core.finding import Finding
from weighbridge.core.report import Report
from weighbridge.reports import attack_path, call_tree, hexdump, reading, subgraph, trigger
from weighbridge.reports.formats import Reporter
from weighbridge.reports.printable import lines, printable

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
IN_FULL = 25
"""How many different findings of one check are shown with their evidence; the others are listed."""
PLACES = 5
"""How many places of a finding stand in the open; the others unfold."""
LINES = 400
SHORT = 12
"""How many places of a trigger are listed."""
ROWS = 500


def render(report: Report) -> bytes:
    """The page, in UTF-8.

    Every text is `printable()` by the environment's `finalize` and escaped by its autoescape: the
    template cannot forget either. The content security policy allows this one style sheet and this
    one script, by their digests, and nothing else.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: object) -> object:
        return (
            printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
        )

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(prose=_prose, number=lambda value: f"{value:,}")
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    page = environment.get_template("report.html.j2").render(
        report=report,
        reading=reading,
        sections=_sections(report),
        anchor=_Anchors(report),
        evidence_kind=_kind,
        draw=_draw,
        is_drawn=trigger.is_drawn,
        listing=_listing,
        style=Markup(style),  # noqa: S704 - ours, from the file beside this one
        script=Markup(script),  # noqa: S704 - likewise
        style_digest=_digest(style),
        script_digest=_digest(script),
        ROWS=ROWS,
        PLACES=PLACES,
    )
    return page.encode()


class _Section(Struct, frozen=True):
    """A check's findings as the page shows them: `full` with evidence, `listed` by place."""

    group: reading.Group
    full: list[tuple[Finding, ...]]
    listed: list[Finding]


def _sections(report: Report) -> list[_Section]:
    sections = []
    for group in reading.groups(report):
        kinds = group.alike
        listed = [finding for kind in kinds[IN_FULL:] for finding in kind]
        sections.append(_Section(group, kinds[:IN_FULL], listed))
    return sections


class _Anchors:
    """Names within the page: the same finding has the same one in every report of the target."""

    def __init__(self, report: Report) -> None:
        self.names: dict[Finding, str] = {}
        taken: set[str] = set()
        for number, finding in enumerate(reading.findings(report), 1):
            stem = re.sub(r"[^0-9A-Za-z]+", "-", finding.fingerprint).strip("-")[:40]
            name = f"finding-{stem or number}"
            self.names[finding] = name if name not in taken else f"{name}-{number}"
            taken.add(self.names[finding])

    def __call__(self, finding: Finding) -> str:
        return self.names[finding]


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _kind(evidence: AnyEvidence) -> str:
    return str(evidence.__struct_config__.tag)


def _draw(evidence: CallTree | Subgraph | AttackPath | TriggerInput) -> Markup:
    from markupsafe import Markup

    match evidence:
        case CallTree():
            drawing = call_tree.draw(evidence.root, printable(evidence.title))
        case Subgraph():
            drawing = subgraph.draw(evidence)
        case AttackPath():
            drawing = attack_path.draw(evidence)
        case TriggerInput():
            drawing = trigger.draw(evidence)
    return Markup(drawing)  # noqa: S704 - numbers, our class names, and text escaped in `svg`


def _listing(evidence: Text | Bytes | TriggerInput) -> tuple[list[str], int]:
    if isinstance(evidence, TriggerInput):
        return trigger.rows(evidence, SHORT)
    if isinstance(evidence, Bytes):
        return hexdump.rows(evidence, LINES)
    return lines(evidence.text, LINES)


def _prose(text: str) -> Markup:
    """A check's documentation: paragraphs, lists and `code`."""
    from markupsafe import Markup, escape

    parts: list[str] = []
    listing = False
    for item, words in reading.paragraphs(text):
        if item != listing:
            parts.append("<ul>" if item else "</ul>")
            listing = item
        said = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(printable(words))))
        parts.append(f"<li>{said}</li>" if item else f"<p>{said}</p>")
    return Markup("".join(parts) + ("</ul>" if listing else ""))  # noqa: S704 - escaped above


REPORTER = Reporter(name="html", suffix=".html", render=render)
