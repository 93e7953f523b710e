"""`weighbridge controls`: the 14 controls and the checks that answer them."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser("controls", help="list the 14 controls and their checks")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from itertools import zip_longest
    from textwrap import wrap

    from weighbridge.engine.ruleset import load
    from weighbridge.policy.controls import CONTROLS, GROUPS

    checks = load().checks
    group = ""
    for number, control in enumerate(CONTROLS, 1):
        if control.group != group:
            group = control.group
            sys.stdout.write("\n" if number > 1 else "")
            sys.stdout.write(f"{GROUPS[group]}\n")
        own = ", ".join(check.id for check in checks if check.control == control.id)
        beside = [*wrap(control.question, 54), *wrap(own or "(no check reads this yet)", 54)]
        for label, text in zip_longest((f"{number:4}  {control.id}",), beside, fillvalue=""):
            sys.stdout.write(f"{label:26}{text}\n")
    return 0
