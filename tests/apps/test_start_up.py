"""`weighbridge --help` answers at once: what it imports beside argparse."""

from __future__ import annotations

import subprocess
import sys

import pytest

from apps.running import ENVIRONMENT

HEAVY = {"msgspec", "rich", "jinja2", "asyncio", "ssl", "socket", "multiprocessing", "inspect"}
HEAVY |= {"dataclasses", "tempfile", "tomllib", "json", "hashlib"}
BARE = "import argparse; argparse.ArgumentParser().format_help()"
HELP = """
import contextlib, io
from weighbridge.apps.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments})
"""


def imported(code: str) -> set[str]:
    shown = "\nimport sys; print(*sys.modules)"
    command = [sys.executable, "-c", code + shown]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["audit", "--help"]])
def test_help_imports_next_to_nothing(arguments: list[str]) -> None:
    ours = imported(HELP.format(arguments=arguments)) - imported(BARE)
    assert "weighbridge.apps.cli.main" in ours
    assert not ours & HEAVY
    assert not {name for name in ours if name.startswith(("weighbridge.core", "weighbridge.e"))}


def test_the_package_itself_imports_nothing_until_it_is_used() -> None:
    assert not (imported("import weighbridge") - imported("pass")) & HEAVY
