"""Foreign text is shown, and neither acts nor hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.reports.printable import lines, printable, visible

ANY = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.safetensors", "model.safetensors"),
        ("模型 café 🤗", "模型 café 🤗"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\n\tb\0\x7f", r"a\r\n\tb\x00\x7f"),
        ("\x9b31m\xa0\xad", r"\x9b31m\xa0\xad"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("\u2066a\u2069\u200b\u200d\ufeff", r"\u2066a\u2069\u200b\u200d\ufeff"),
        ("a\u2028b\u3000c", r"a\u2028b\u3000c"),
        ("\U000e0041\U000e0100\ufe0f", r"\U000e0041\U000e0100\ufe0f"),
        ("\u3164\u2800\u115f", r"\u3164\u2800\u115f"),
        ("\ue000\U0010ffff", r"\ue000\U0010ffff"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 5, "e" + "\u0301" * 3 + r"\u0301\u0301"),
        ("already \\x1b", "already \\x1b"),
        ("", ""),
    ],
)
def test_shows(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_is_cut_and_says_so() -> None:
    assert printable("x" * 1_500, 10) == "xxxxxxxxxx… (+1,490 characters)"
    assert len(printable("\x1b" * 10**6, 100)) < 130


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("a\nb\n", 9, (["a", "b"], 0)),
        ("a\r\nb\rc", 9, (["a", r"b\rc"], 0)),
        ("a\n\nb\nc", 2, (["a", ""], 2)),
        ("", 9, ([], 0)),
    ],
)
def test_lines(text: str, limit: int, expected: tuple[list[str], int]) -> None:
    assert lines(text, limit) == expected


@given(ANY)
def test_any_text_is_harmless_and_stays(text: str) -> None:
    shown = printable(text, 10**9)
    assert all(map(visible, shown))
    shown.encode()
    assert printable(shown, 10**9) == shown
