"""`weighbridge lock`: audit a target and write down what it is, to be held to that later."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from weighbridge.apps.cli import UsageError
from weighbridge.apps.cli.audit import (
    access,
    asking,
    belonging,
    locate_policy,
    outside,
    reaching,
    reusing,
    write,
)


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "lock",
        help="audit a target and lock what it is",
        description="Audit a target and write its identity, the sha256 of every file and the "
        "verdict into a lock, to be committed beside the code that uses the model. What is "
        "blocked is not locked.",
        epilog="Exit codes: 0 locked, 1 blocked and not locked, 2 usage or infrastructure, "
        "3 locked, and the audit is incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", help="as for `weighbridge audit`")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        type=Path,
        default=Path("weighbridge.lock"),
        help="the lock (default: weighbridge.lock in the working directory)",
    )
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, help="use this policy, as for `weighbridge audit`"
    )
    reusing(parser)
    reaching(parser)
    belonging(parser)
    asking(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Audit, write the lock, say so. Raises `UsageError`."""
    from weighbridge import api
    from weighbridge.policy import lock
    from weighbridge.reports.printable import printable

    output: Path = arguments.output
    target = Path(arguments.target)
    if output.exists() and not output.is_file():
        raise UsageError(f"{output}: is no regular file")
    outside(output, target, "a lock is")
    if arguments.reuse is not None:
        outside(arguments.reuse, target, "results are")
    try:
        policy = locate_policy(arguments, target)[0]
        settings = api.Settings(reuse=arguments.reuse)
        report = api.audit(
            arguments.target, policy=policy, settings=settings, access=access(arguments)
        )
    except (api.PolicyError, api.TargetError) as error:
        raise UsageError(str(error)) from error
    sys.stdout.write(printable(report.sentence) + "\n")
    if report.verdict == "block":
        sys.stdout.write("Not locked.\n")
        return 1
    made = lock.of(report)
    before = output.read_bytes() if output.exists() else b""
    after = lock.encode(made)
    if before and lock.replaces(before, made):
        where = printable(str(output))
        sys.stdout.write(f"Not locked: {where} holds another repository under this name. If that\n")
        sys.stdout.write("is meant, remove it first.\n")
        return 1
    if before != after:
        write(output, after)
    declared = sum(f.sha256 is None for f in made.files)
    said = f"{len(made.files):,} files"
    said += f", {declared:,} of them by the digest that the source declares" if declared else ""
    what = "Unchanged" if before == after else "Locked"
    sys.stdout.write(printable(f"{what}: {said}, in {output}") + "\n")
    return report.exit_code
