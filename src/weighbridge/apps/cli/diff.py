"""`weighbridge diff`: what changed between two audits, file by file and control by control."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighbridge.apps.cli import UsageError
from weighbridge.apps.cli.audit import access, belonging, locate_policy, reaching, show_json

if TYPE_CHECKING:
    from weighbridge.core.change import Difference, FileChange
    from weighbridge.core.report import Report
    from weighbridge.core.trust import Lock

LARGEST = 1 << 30
"""How many bytes a report may have."""
SIGNS = {"changed": "~", "extra": "+", "missing": "-", "renamed": ">", "unknown": "?"}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "diff",
        help="say what changed between two audits",
        description="Compare two JSON reports, locks, or targets (which are audited first), and "
        "say what changed, file by file and control by control, and what that means.",
        epilog="Exit codes: 0 the same, 1 there is a difference, 2 usage or infrastructure.",
        allow_abbrev=False,
    )
    for name, which in (("old", "earlier"), ("new", "later")):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help=f"the {which} one: a JSON report, a lock, a folder, org/name or org/name@revision",
        )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help="audit with this policy, as for `weighbridge audit`",
    )
    parser.add_argument(
        "--format", choices=("terminal", "json"), default="terminal", help="how to say it"
    )
    reaching(parser)
    belonging(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, say what came of it. Raises `UsageError`."""
    from weighbridge.policy.diff import compare

    names = arguments.old, arguments.new
    old, new = (_side(name, arguments) for name in names)
    difference = compare(old, new, names)
    if arguments.format == "json":
        show_json(difference)
    else:
        _show(difference)
    return 0 if difference.same else 1


def _side(name: str, arguments: argparse.Namespace) -> Report | Lock:
    """A report or a lock from its file, or a report made now."""
    from weighbridge import api

    path = Path(name)
    try:
        if path.is_file() and (read := _read(path)) is not None:
            return read
        return api.audit(
            name,
            policy=locate_policy(arguments, path)[0],
            access=access(arguments),
        )
    except (api.PolicyError, api.TargetError) as error:
        raise UsageError(str(error)) from error


def _read(path: Path) -> Report | Lock | None:
    """What one of our own files holds; None where it is something else, to be audited."""
    import msgspec

    from weighbridge.core.report import SCHEMA, Report
    from weighbridge.core.trust import LOCK_SCHEMA
    from weighbridge.policy.lock import decode

    with path.open("rb") as file:
        head = file.read(4096)
        kind = next((s for s in (SCHEMA, LOCK_SCHEMA) if f'"{s}"'.encode() in head), None)
        if kind is None or not head.lstrip().startswith(b"{"):
            return None
        data = head + file.read(LARGEST)
    try:
        return decode(data) if kind == LOCK_SCHEMA else msgspec.json.decode(data, type=Report)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error


def _show(said: Difference) -> None:
    from weighbridge.reports.printable import printable

    lines = [f"! {c.what}: {c.before} → {c.after} ({c.means})" for c in said.identity]
    if said.files:
        lines += ["Files", *(f"  {SIGNS[f.what]} {_file(f)}" for f in said.files)]
    if said.controls:
        lines.append("Controls")
        for control in said.controls:
            means = f" ({control.means})" if control.means else ""
            lines.append(f"  {control.what}: {control.before} → {control.after}{means}")
    if said.findings:
        lines.append("Findings")
        for finding in said.findings:
            sign = "+" if finding.means == "new" else "-"
            lines.append(f"  {sign} {finding.what}: {finding.after or finding.before}")
    if said.verdict is not None:
        lines.append(f"Verdict: {said.verdict.before} → {said.verdict.after}")
    if said.means:
        lines += ["What that means", *(f"  {sentence}" for sentence in said.means)]
    if said.same:
        rules = ", though the rules are others" if said.rules_differ else ""
        lines.append(f"No difference{rules}.")
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def _file(file: FileChange) -> str:
    if file.what == "changed":
        return f"{file.path}: {file.before} → {file.after}"
    if file.what == "renamed":
        return f"{file.before} → {file.path}"
    return f"{file.path}: {file.what}"
