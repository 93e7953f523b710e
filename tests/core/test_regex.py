"""Expressions that are compiled at their first use."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import weighbridge
from weighbridge.core.regex import regex


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(weighbridge.__path__, "weighbridge.")]


def test_every_expression_of_the_program_compiles() -> None:
    waiting = type(regex(""))
    seen = 0
    for name in modules():
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, waiting):
                seen += bool(value.pattern)
    assert seen > 200


def test_one_is_like_what_re_compile_gives() -> None:
    ours, theirs = regex(r"(?P<a>\w)(\d+)", re.IGNORECASE), re.compile(r"(?P<a>\w)(\d+)", re.I)
    for ask in (lambda p: p.sub(r"\2", "a1 b22"), lambda p: p.findall("a1 b22"),
                lambda p: p.fullmatch("X9")["a"], lambda p: p.split("-a1-"),
                lambda p: [m.span() for m in p.finditer("a1 b22")],
                lambda p: (p.pattern, p.flags, p.groups, dict(p.groupindex))):  # fmt: skip
        assert ask(ours) == ask(theirs)
    assert not hasattr(ours, "nothing")


def test_what_is_wrong_with_one_is_said_at_its_first_use() -> None:
    wrong = regex("(")
    with pytest.raises(re.error):
        wrong.match("")
