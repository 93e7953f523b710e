"""`weighbridge schema`: the JSON Schema of the JSON report."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser("schema", help="print the JSON Schema of the JSON report")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from weighbridge.reports.json import schema

    sys.stdout.write(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
