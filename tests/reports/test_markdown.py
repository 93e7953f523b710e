"""A comment in which foreign text is read and does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import samples
from weighbridge.core.report import Report
from weighbridge.reports.markdown import LONGEST, code, prose, render

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
PLAIN = {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "code", "pre"}
PLAIN |= {"ul", "li", "details", "summary", "b"}
LIVE = re.compile(r"@\w|#\d|\bGH-\d|https?://\w|\bwww\.\w|:\w+:|\$\S+\$", re.IGNORECASE)


class Seen(HTMLParser):
    """The elements of a comment, its texts outside of code, and all of its text."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.whole = ""
        self.feed(PARSER.render(markdown))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.whole += data
        if "code" not in self.open:
            self.texts.append(data)


@pytest.mark.parametrize("sample", samples.ALL)
def test_nothing_in_it_is_live(sample: Callable[[], Report]) -> None:
    seen = Seen(render(sample()).decode())
    assert seen.elements <= PLAIN
    assert seen.attributes <= {"open", "class", "style"}
    assert not [text for text in seen.texts if LIVE.search(text)]


@pytest.mark.parametrize(
    "text",
    [*samples.FOREIGN, "a\\", "\\|", "`", "``a`", "x@y.z", "@@a #1", "$a$ $$b$$", "GH-12", "  # a"],
)
def test_foreign_text_is_read_as_it_is(text: str) -> None:
    from weighbridge.reports.printable import printable

    shown = printable(text).strip()
    assert Seen(f"x {prose(text)} x").whole.strip() == f"x {shown or '(nothing)'} x"
    cells = PARSER.render(f"|a|b|\n|-|-|\n| {prose(text)} | {code(text)} |\n").count("<td>")
    assert cells == 2


@given(st.text(st.sampled_from("`\\|@#$:*_<>[]()!&w.a1 \n-/"), max_size=30))
def test_any_punctuation_stays_text(text: str) -> None:
    seen = Seen(f"x {prose(text)} x")
    assert seen.elements <= {"p", "code"}
    assert not [said for said in seen.texts if LIVE.search(said)]
    assert Seen(f"x {code(text)} x").elements == {"p", "code"}


def test_verdict_controls_findings_and_gaps() -> None:
    text = render(samples.hostile()).decode()
    assert text.startswith("## ■ BLOCK · Weighbridge\n\nBlock: payload scan fails")
    assert len(re.findall(r"(?m)^\| \S&nbsp;", text)) == 14
    assert text.count("<details") == text.count("</details>") == 5
    assert "Waived until 2027-01-31 by ml-platform`@`example.org:" in text
    text = render(samples.incomplete()).decode()
    assert "**Not seen: 3 places.** None of it counts as a pass." in text


def test_fits_into_a_comment() -> None:
    for report in (samples.many(), samples.foreign(), samples.many(5)):
        assert len(render(report).decode()) <= LONGEST
