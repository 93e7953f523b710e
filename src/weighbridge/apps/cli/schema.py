"""`weighbridge schema`: the JSON Schema of reports, locks, verifications, differences, surveys."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser("schema", help="print the JSON Schema of what we write")
    parser.add_argument(
        "of",
        nargs="?",
        choices=("report", "lock", "verification", "difference", "survey"),
        default="report",
        help="of the JSON report (default), of a lock, or of what verify, diff and survey write",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from weighbridge.reports.json import schema

    sys.stdout.write(json.dumps(schema(arguments.of), indent=2, ensure_ascii=False) + "\n")
    return 0
