"""Model cards: the header is read as data, whatever it holds."""

from __future__ import annotations

import msgspec
import pytest

from weighbridge.core.fact import Card
from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load


def look(text: str, path: str = "README.md") -> Examined:
    return examine(Held(path, text.encode()), load(), Limits())


def card(text: str) -> Card:
    fact = look(text).facts[0]
    assert isinstance(fact, Card)
    return fact


HEADERS = {
    "plain": ("---\nlicense: mit\nbase_model: org/name\n---\n# Title\n",
              {"license": "mit", "base_model": "org/name"}, "# Title\n"),
    "windows": ("---\r\nlicense: mit\r\n---\r\nx", {"license": "mit"}, "x"),
    "lists": ("---\ntags:\n- on\n- 1.5\n---\n", {"tags": ["on", "1.5"]}, ""),
    "none": ("# Title\n", {}, "# Title\n"),
    "a rule in the text": ("# Title\n---\nx: y\n---\n", {}, "# Title\n---\nx: y\n---\n"),
    "not closed": ("---\nlicense: mit\n", {}, "---\nlicense: mit\n"),
    "an object": ("---\nx: !!python/object:os.system y\n---\n",
                  {"x": "y"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers(case: str) -> None:
    text, header, rest = HEADERS[case]
    said = card(text)
    assert (said.header, said.text) == (header, rest)
    assert look(text).gaps == ()


def test_a_header_that_is_no_yaml_is_a_gap() -> None:
    assert [g.kind for g in look("---\na: [\n---\n").gaps] == [GapKind.MALFORMED]
    assert [g.kind for g in look("---\n- a\n---\n").gaps] == [GapKind.MALFORMED]


def test_aliases_do_not_make_it_grow() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    assert len(msgspec.msgpack.encode(card(f"---\n{bomb}---\n"))) < 1 << 20


def test_only_the_file_at_the_root_is_the_card() -> None:
    assert look("# x\n", "docs/README.md").facts == ()
