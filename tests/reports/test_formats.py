"""The reporters are found, and each can write every report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from reports import samples
from weighbridge.core.report import Report
from weighbridge.reports import formats
from weighbridge.reports.printable import visible


def test_names_are_found_in_the_folder() -> None:
    assert formats.names() == ("html", "json", "markdown", "sarif", "terminal")
    assert [formats.reporter(name).name for name in formats.names()] == list(formats.names())
    with pytest.raises(KeyError):
        formats.reporter("printable")


def imported_by(statement: str) -> set[str]:
    heavy = {"msgspec", "rich", "jinja2", "markupsafe"}
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return heavy & set(done.stdout.decode().split())


def test_naming_the_formats_imports_nothing_heavy() -> None:
    assert not imported_by("from weighbridge.reports import formats; formats.names()")
    every = "[formats.reporter(name) for name in formats.names()]"
    assert imported_by(f"from weighbridge.reports import formats; {every}") == {"msgspec"}


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("sample", samples.ALL)
def test_every_report_in_every_format(sample: Callable[[], Report], name: str) -> None:
    written = formats.reporter(name).render(sample())
    assert written.endswith(b"\n")
    assert written == formats.reporter(name).render(sample())
    assert {character for character in written.decode() if not visible(character)} <= {"\n"}
