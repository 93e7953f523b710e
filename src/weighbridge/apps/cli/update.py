"""`weighbridge update`: fetch the advisories, or take them from a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from weighbridge.apps.cli import UsageError


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "update",
        help="fetch the advisories that requirements are looked up in",
        description="Fetch what OSV publishes on the packages of PyPI (and of systems, with "
        "--ecosystem), whole the first time and "
        "then what has changed, with the catalogue of exploited weaknesses. Audits read it from "
        "this machine and use no network for it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--from",
        metavar="ZIP|FOLDER",
        type=Path,
        dest="given",
        help="use no network: make the index from a dump in OSV's form (and "
        "known_exploited_vulnerabilities.json, if it lies in it)",
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="fetch from a mirror of OSV's bucket instead"
    )
    parser.add_argument(
        "--whole", action="store_true", help="fetch everything again, not only what has changed"
    )
    parser.add_argument(
        "--ecosystem",
        metavar="NAME",
        action="append",
        default=[],
        choices=("PyPI", "Debian", "Ubuntu", "Alpine"),
        help="fetch the advisories of these as well, and from now on: PyPI, Debian, Ubuntu or "
        "Alpine; may be given several times (default: those that are there already, or PyPI)",
    )
    parser.add_argument(
        "--advisories",
        metavar="FILE",
        type=Path,
        help="write the index here (default: in WEIGHBRIDGE_HOME, or in your cache)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the index, print what it holds. Raises `UsageError`."""
    from weighbridge.intel.advisories.build import build, dump
    from weighbridge.intel.advisories.index import FILE, NoIndex, home
    from weighbridge.intel.advisories.update import EXPLOITED, SOURCE, update
    from weighbridge.reports.printable import printable

    to: Path = arguments.advisories or home() / FILE
    given: Path | None = arguments.given
    if given is not None and (arguments.endpoint or arguments.whole or arguments.ecosystem):
        why = "--from uses no network; --endpoint, --whole and --ecosystem do not go with it"
        raise UsageError(why)
    try:
        if given is not None:
            facts = build(dump(given), to, given.name)
        else:
            source = arguments.endpoint or SOURCE
            exploited = None if arguments.endpoint else EXPLOITED
            wanted = tuple(arguments.ecosystem)
            facts = update(to, _say, source, exploited, arguments.whole, wanted)
    except NoIndex as error:
        raise UsageError(str(error)) from error
    unread = f", {facts.unread:,} could not be read" if facts.unread else ""
    sys.stdout.write(
        f"{facts.count:,} advisories of {printable(facts.source)}, the newest of {facts.date}"
        f"{unread}; {facts.exploited:,} exploited weaknesses\nsha256 {facts.digest}\n{to}\n"
    )
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"weighbridge: {text}\n")
