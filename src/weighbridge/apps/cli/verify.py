"""`weighbridge verify`: is what is there what was locked?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighbridge.apps.cli import UsageError
from weighbridge.apps.cli.audit import access, positive, reaching, show_json

if TYPE_CHECKING:
    from weighbridge.core.change import Verification

SIGNS = {"changed": "~", "extra": "+", "missing": "-", "unknown": "?"}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify",
        help="prove that a target is what was locked",
        description="Compare files on this machine, whole, or what the Hub declares, with a lock, "
        "and name everything that was changed, is missing or was added.",
        epilog="Exit codes: 0 the same, 1 it differs, 2 usage or infrastructure, 3 incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="a folder, a file, or a repository on the Hub (default: what was locked)",
    )
    parser.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        default=Path("weighbridge.lock"),
        help="the lock (default: weighbridge.lock in the working directory)",
    )
    parser.add_argument(
        "--format", choices=("terminal", "json"), default="terminal", help="how to say it"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=positive(int),
        help="read so many files at once (default: one for each processor)",
    )
    reaching(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, say what came of it. Raises `UsageError`."""
    from weighbridge import api

    try:
        verification = api.verify(
            arguments.lock,
            arguments.target,
            access=access(arguments),
            jobs=arguments.jobs,
        )
    except (api.PolicyError, api.TargetError) as error:
        raise UsageError(str(error)) from error
    if arguments.format == "json":
        show_json(verification)
    else:
        _show(verification)
    return verification.exit_code


def _show(said: Verification) -> None:
    from weighbridge.reports.printable import printable

    lines = [
        f"! {c.what}: {c.before} was locked, {c.after} is there: {c.means}" for c in said.identity
    ]
    for file in said.files:
        more = f" ({file.after})" if file.what == "unknown" and file.after else ""
        if file.what == "changed":
            more = f" ({file.before} was locked, {file.after} is there)"
        lines.append(f"{SIGNS[file.what]} {file.path}: {file.what}{more}")
    lines.append(said.sentence)
    if said.declared:
        lines.append(
            f"{said.declared:,} files are compared by what the source declares, "
            f"{said.computed:,} were read."
        )
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
