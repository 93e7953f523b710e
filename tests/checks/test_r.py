"""R data: promises and functions. The files are built by code, and what they call is harmless."""

from __future__ import annotations

import gzip
import struct

import pytest

from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

NULL, GLOBAL, UNBOUND = 254, 253, 252


def integer(value: int) -> bytes:
    return struct.pack(">i", value)


def characters(text: str) -> bytes:
    return integer(9 | 0x40000) + integer(len(text)) + text.encode()


def symbol(name: str) -> bytes:
    return integer(1) + characters(name)


def strings(*texts: str) -> bytes:
    return integer(16) + integer(len(texts)) + b"".join(map(characters, texts))


def call(name: str, *arguments: bytes) -> bytes:
    cells = b"".join(integer(2) + argument for argument in arguments)
    return integer(6) + symbol(name) + cells + integer(NULL)


def promise(expression: bytes, value: bytes = integer(UNBOUND)) -> bytes:
    return integer(5) + value + expression


def closure(body: bytes) -> bytes:
    return integer(3 | 0x400) + integer(GLOBAL) + integer(NULL) + body


def variable(name: str, value: bytes) -> bytes:
    """One variable of an `.RData` file: a pair list with a tag."""
    return integer(2 | 0x400) + symbol(name) + value + integer(NULL)


def file(item: bytes, variables: bool = False) -> bytes:
    return (b"RDX2\n" if variables else b"") + b"X\n" + integer(2) + integer(0x40300) \
        + integer(0x20300) + item  # fmt: skip


def look(data: bytes) -> Examined:
    return examine(Held("model.rds", data), load(), Limits())


def said(data: bytes) -> list[tuple[str, str]]:
    return [(f.check, f.action.value) for f in look(data).findings if f.check.startswith("r-")]


SYSTEM = call("system", strings("true"))
CASES = {
    "a promise that acts": (file(promise(SYSTEM)), [("r-promise", "block")]),
    "as a variable": (file(variable("x", promise(SYSTEM)), True), [("r-promise", "block")]),
    "within a call": (file(promise(call("identity", SYSTEM))), [("r-promise", "block")]),
    "by its package": (
        file(promise(call("invisible", call("base::system2", strings("true"))))),
        [("r-promise", "block")],
    ),
    "evaluates text": (
        file(promise(call("eval", call("parse", strings("1 + 1"))))), [("r-promise", "block")],
    ),
    "a promise that does not": (file(promise(call("sqrt", strings("2")))),
                                [("r-promise", "review")]),
    "one that was kept": (file(promise(SYSTEM, strings("value"))), []),
    "a function that acts": (file(closure(SYSTEM)), [("r-function", "review")]),
    "a function that does not": (file(closure(call("exp", symbol("x")))), []),
    "a function as packages have it": (file(closure(call("eval", symbol("expr")))), []),
    "a call that is kept": (file(call("lm", strings("y ~ x"))), []),
    "text": (file(strings("system('true')")), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_findings(case: str) -> None:
    data, expected = CASES[case]
    assert said(data) == expected
    assert "r-data" in look(data).record.formats


def test_compressed_as_r_writes_it() -> None:
    assert said(gzip.compress(file(promise(SYSTEM)))) == [("r-promise", "block")]


def test_what_runs_before_the_break_counts() -> None:
    examined = look(file(variable("x", promise(SYSTEM)), True)[:-2])
    assert [f.action.value for f in examined.findings if f.check == "r-promise"] == ["block"]
    assert [g.kind for g in examined.gaps] == [GapKind.MALFORMED]
