"""Prints docs/formats.md, the table of every format that Weighbridge knows, from the code.

python scripts/list_formats.py > docs/formats.md
"""

from __future__ import annotations

from weighbridge.core.document import Document
from weighbridge.core.format import Loading
from weighbridge.engine.ruleset import load

MEANS = {
    Loading.DATA: "data",
    Loading.CODE: "can run code",
    Loading.CONTAINER: "what its members are",
}


def table() -> str:
    """The page, as Markdown."""
    rules = load()
    lines = [
        "# Formats",
        "",
        "Made by `python scripts/list_formats.py` from the code; a test holds it to that. A format "
        "is recognised by its content, whatever its file is called. One that is recognised and "
        "not read is a gap in every audit, never silence; so is a file of no format that is "
        "listed here.",
        "",
        "| format | loading it is | read | judged by | limits |",
        "|---|---|---|---|---|",
    ]
    for format in sorted(rules.formats, key=lambda f: f.title.casefold()):
        read = "yes" if format.parse is not None else "recognised only"
        checks = sorted(c.id for c in rules.checks_of(format.document) if c.reads is not Document)
        judged = ", ".join(f"`{c}`" for c in checks if format.parse) or "–"
        limits = format.limits if format.parse is not None else f"A gap: {format.meaning}."
        lines.append(
            f"| {format.title} (`{format.name}`) | {MEANS[format.loading]} | {read} | {judged} "
            f"| {limits} |"
        )
    every = ", ".join(f"`{c.id}`" for c in rules.artifact_checks)
    lines += ["", f"Every file and every member of one, of whatever format, also meets {every}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
