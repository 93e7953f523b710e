"""The few SVG elements that the drawings are made of. All text in them is escaped here."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape

CHARACTER = 7.25
"""The width of one column of the page's monospaced face at the drawings' 12 px, in pixels, with a
little to spare for faces that run wide."""


def width_of(text: str) -> float:
    """How wide a text will stand, in pixels (East Asian characters take two columns)."""
    return CHARACTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def picture(width: float, height: float, title: str, shapes: Iterable[str]) -> str:
    """A drawing of that size; `title` is what it is called to who cannot see it."""
    return (
        f'<svg class="drawing" role="img" aria-label="{escape(title)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
        f"{''.join(shapes)}</svg>"
    )


def box(x: float, y: float, width: float, height: float, style: str) -> str:
    """A rounded rectangle."""
    return (
        f'<rect class="box {style}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" rx="7"/>'
    )


def cell(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A plain rectangle in a colour of ours (`#rrggbb`); without one, an empty ground."""
    fill = f'fill="{escape(colour)}"' if colour else 'class="ground"'
    return f'<rect {fill} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    """One line of text on its baseline."""
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def path(data: str, style: str) -> str:
    """A line."""
    return f'<path class="line {style}" d="{data}"/>'


def arrow_head(x: float, y: float, style: str) -> str:
    """A small triangle that points down to (x, y)."""
    return f'<path class="head {style}" d="M{x:.1f} {y:.1f}l-4.5 -8h9z"/>'
