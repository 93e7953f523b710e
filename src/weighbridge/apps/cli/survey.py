"""`weighbridge survey`: how common each weakness is in many repositories of source code."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighbridge.apps.cli import UsageError
from weighbridge.apps.cli.audit import Output, outside, parse_output, positive, write

if TYPE_CHECKING:
    from weighbridge.core.survey import Observation

FORMATS = ("terminal", "json", "markdown", "csv")


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "survey",
        help="count weaknesses in many source repositories",
        description="Ask each repository what its workflows, training code and releases are asked "
        "in an audit, and print how common each finding is, beside published figures, and which "
        "repositories have a complete attack path. A survey does not gate: findings do not change "
        "the exit code.",
        epilog="Exit codes: 0 all were surveyed, 2 usage or infrastructure, 3 at least one could "
        "not be surveyed at all (it is named).",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help="a checked-out repository: a clone, or a folder",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT[=FILE]",
        type=parse_output,
        action="append",
        dest="outputs",
        help=f"write it as {', '.join(FORMATS)}, to the standard output or to FILE; may be given "
        "several times (default: terminal)",
    )
    parser.add_argument(
        "--observations",
        metavar="FILE",
        type=Path,
        help="add what was seen in each repository to this file, as a line of JSON, as it comes; "
        "commits that stand in it, seen by the same rules, are not looked at again (changes in a "
        "working folder that are not committed are not noticed)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=positive(int),
        help="survey so many repositories at once (default: one for each processor)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive(float),
        default=600.0,
        help="give up on a repository after so long (default: 600)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="write nothing but the survey and errors"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Survey, write what came of it. Raises `UsageError`."""
    outputs: list[Output] = arguments.outputs or [Output("terminal", None)]
    targets = _targets(arguments.paths)
    _check(outputs, arguments.observations, targets)

    from weighbridge import api
    from weighbridge.reports.survey import FORMATS as WRITERS

    kept: Path | None = arguments.observations
    show = sys.stderr.isatty() and not arguments.quiet
    done = 0

    def observed(observation: Observation, new: bool) -> None:
        nonlocal done
        done += 1
        if new and kept is not None:
            _add(kept, observation)
        if show:
            sys.stderr.write(f"\r\033[K{done} of {len(targets)} repositories")
            sys.stderr.flush()

    try:
        said = api.survey(
            targets,
            jobs=arguments.jobs,
            seconds=arguments.timeout,
            known=_kept(kept),
            observed=observed,
        )
    finally:
        if show:
            sys.stderr.write("\r\033[K")
    for output in sorted(outputs, key=lambda o: o.file is None):
        content = WRITERS[output.format](said)
        if output.file is not None:
            write(output.file, content)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
    return 3 if any(o.failed for o in said.repositories) else 0


def _targets(paths: list[Path]) -> list[Path]:
    """The folders, each once. Raises `UsageError`."""
    targets = list(dict.fromkeys(path.resolve() for path in paths))
    for path in targets:
        if not path.is_dir():
            raise UsageError(f"{path}: is no folder; survey takes checked-out repositories")
    return targets


def _check(outputs: list[Output], observations: Path | None, targets: list[Path]) -> None:
    written = [o.file for o in outputs if o.file is not None]
    written += [observations] if observations is not None else []
    if len({path.resolve() for path in written}) < len(written) or (
        sum(o.file is None for o in outputs) > 1
    ):
        raise UsageError("two things cannot go to one place")
    for output in outputs:
        if output.format not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"no format is called {output.format!r}; there are {known}")
    for path in written:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: is no regular file")
        for target in targets:
            outside(path, target, "reports are")


def _kept(path: Path | None) -> list[Observation]:
    """What an earlier survey left. A line that was cut off in writing is left out."""
    import msgspec

    from weighbridge.core.survey import Observation

    found = []
    for line in path.read_bytes().splitlines() if path is not None and path.exists() else ():
        with suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=Observation))
    return found


def _add(path: Path, observation: Observation) -> None:
    """One more line, whole or not at all to later readers; an unfinished one before it is ended."""
    import msgspec

    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(msgspec.json.encode(observation) + b"\n")
