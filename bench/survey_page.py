"""Puts a survey into the pages that tell of it: the tables of docs/survey.md, all of them, and of
docs/workflows.md what the control *workflows* has found in the repositories that its table names.

    weighbridge survey repositories/* --format json=survey.json
    .venv/bin/python bench/survey_page.py survey.json

What stands between the marks of a page is replaced, nothing else.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import msgspec

from weighbridge.core.survey import Observation, Survey, Tally
from weighbridge.reports.survey import as_markdown

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"(?<=<!-- survey -->\n).*?(?=\n<!-- end of survey -->)", re.DOTALL)


def placed(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    page.write_text(MARKED.sub(lambda _: text.strip(), page.read_text()))


def of_workflows(survey: Survey, names: set[str]) -> str:
    """The table of the control *workflows*: what is to be acted on in each repository."""
    rules = {r.rule for r in survey.rules if r.control == "workflows"}

    def row(seen: Observation) -> str:
        tallies = [t for rule, t in seen.tallies.items() if rule in rules] + [Tally()]
        block, review = sum(t.block for t in tallies), sum(t.review for t in tallies)
        return (
            f"| {seen.name} | {(seen.commit or '')[:12]} | {seen.workflows} | {block} | {review} |"
        )

    heads = ["| repository | commit | workflows | block | review |", "|---|---|--:|--:|--:|"]
    return "\n".join(heads + [row(o) for o in survey.repositories if o.name in names])


def main() -> int:
    """Command line; see the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("survey", type=Path)
    survey = msgspec.json.decode(parser.parse_args().survey.read_bytes(), type=Survey)
    placed(DOCS / "survey.md", as_markdown(survey).decode())
    page = DOCS / "workflows.md"
    named = MARKED.search(page.read_text())
    names = set(re.findall(r"^\| (\S+/\S+) \|", named[0] if named else "", re.MULTILINE))
    placed(page, of_workflows(survey, names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
