"""`weighbridge explain`: the documentation of a check or of a control."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from weighbridge.apps.cli import UsageError

if TYPE_CHECKING:
    from weighbridge.core.check import Check
    from weighbridge.core.control import Control


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser("explain", help="what a check or a control asks, and why")
    parser.add_argument("id", metavar="CHECK|CONTROL", help="its id, as reports name it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it. Raises `UsageError` where there is nothing of that name."""
    from weighbridge.engine.ruleset import load
    from weighbridge.policy.controls import BY_ID

    checks = {check.id: check for check in load().checks}
    if arguments.id in checks:
        text = _check(checks[arguments.id])
    elif arguments.id in BY_ID:
        control = BY_ID[arguments.id]
        text = _control(
            control, [check for check in checks.values() if check.control == control.id]
        )
    else:
        raise UsageError(
            f"there is no check or control {arguments.id!r}{_near(arguments.id, [*checks, *BY_ID])}"
        )
    sys.stdout.write("\n".join(text) + "\n")
    return 0


def _check(check: Check) -> Iterator[str]:
    yield f"{check.id}: a check of the control {check.control}"
    yield ""
    yield check.doc.replace("\n## ", "\n")


def _control(control: Control, checks: list[Check]) -> Iterator[str]:
    from textwrap import wrap

    from weighbridge.policy.controls import GROUPS

    yield f"{control.id}: {control.title} ({GROUPS[control.group]})"
    on_fail = f"A failure leads to {control.on_fail.value}."
    if control.gap_incompletes:
        on_fail += " A gap here makes the audit incomplete."
    for heading, text in (
        ("Question", control.question),
        ("Evidence", control.evidence),
        ("Passes", control.passes),
        ("Fails", control.fails),
        ("Asks for review", control.warns),
        ("What follows", on_fail),
    ):
        yield ""
        yield heading
        yield from wrap(text, 88, initial_indent="  ", subsequent_indent="  ")
    yield ""
    yield "Frameworks"
    yield from wrap(", ".join(control.frameworks), 88, initial_indent="  ", subsequent_indent="  ")
    yield ""
    yield "Checks"
    yield from (f"  {check.id}: {check.title}" for check in checks)
    if not checks:
        yield "  no check reads this yet"


def _near(id: str, ids: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(id, ids, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else "; `weighbridge controls` lists what there is"
