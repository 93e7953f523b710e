"""The formats that a report can be written in.

A module of this folder that says `REPORTER = Reporter(...)` is a reporter; its name is the name of
the format. Nothing else registers it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from weighbridge.core.report import Report


class Reporter(NamedTuple):
    """How a report becomes a file: `render` gives its bytes, `suffix` is the usual file ending."""

    name: str
    suffix: str
    render: Callable[[Report], bytes]


@cache
def names() -> tuple[str, ...]:
    """The names of all formats, sorted.

    The declarations are found in the text of the modules: `--help` names the formats, and must not
    wait until msgspec, rich and jinja2 are imported.
    """
    return tuple(
        sorted(
            module.stem
            for module in Path(__file__).parent.glob("*.py")
            if "\nREPORTER = Reporter(" in module.read_text(encoding="utf-8")
        )
    )


def reporter(name: str) -> Reporter:
    """The reporter of that name. Raises `KeyError` where there is none."""
    if name not in names():
        raise KeyError(name)
    found = import_module(f"weighbridge.reports.{name}").REPORTER
    assert isinstance(found, Reporter)
    return found
