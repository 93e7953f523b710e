"""The command line. One file of this folder for each command."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from weighbridge import __version__
from weighbridge.apps.cli import (
    UsageError,
    audit,
    controls,
    diff,
    explain,
    lock,
    schema,
    serve_osv,
    survey,
    update,
    verify,
)

USAGE, INTERRUPTED = 2, 130
CYCLES = 50_000
"""How many new objects are made before cycles are looked for: what an audit makes holds next to
none, and looking for them takes a tenth of its start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 pass or review, 1 block, 2 usage or
    infrastructure, 3 incomplete, 130 interrupted."""
    gc.set_threshold(CYCLES)
    parser = argparse.ArgumentParser(
        prog="weighbridge",
        description="Inspect an open-source AI model before it may enter production.",
        epilog="Exit codes: 0 pass or review, 1 block, 2 usage or infrastructure, 3 incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"weighbridge {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        audit, lock, verify, diff, survey, update, explain, controls, schema, serve_osv,
    ):  # fmt: skip
        command.add(commands)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone. What Python would still flush at its exit must find an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USAGE
    except Exception as error:
        if os.environ.get("WEIGHBRIDGE_DEBUG"):
            raise
        return _failed(_told(error), USAGE)
    return code


def _told(error: Exception) -> str:
    """One line for a reader. An error that nobody foresaw is named as what it is."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{where}{error.strerror}"
    return f"Weighbridge failed ({type(error).__name__}: {error}); WEIGHBRIDGE_DEBUG=1 shows where"


def _failed(why: str, code: int) -> int:
    from weighbridge.reports.printable import printable

    sys.stderr.write(f"weighbridge: {printable(why)}\n")
    return code


def run() -> NoReturn:
    """The program: `main`, and an end at once. Taking a thousand modules apart, which is how Python
    ends, takes as long as reading a small model; what was written has been flushed."""
    code = main()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
