"""`weighbridge audit`: audit a folder or a file, and write what came of it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from weighbridge.apps.cli import UsageError

if TYPE_CHECKING:
    from weighbridge.core.report import Report


class Output(NamedTuple):
    """A format by name, and the file it goes to; None is the standard output."""

    format: str
    file: Path | None


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "audit",
        help="audit a model folder or file",
        description="Audit a model folder or file and answer the 14 controls.",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", type=Path, help="a folder or a file")
    parser.add_argument(
        "--format",
        metavar="FORMAT[=FILE]",
        type=_output,
        action="append",
        dest="outputs",
        help="how to report, and where to: html=report.html; may be given several times "
        "(default: terminal)",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help="the policy (default: weighbridge.toml or pyproject.toml of the working directory)",
    )
    parser.add_argument(
        "--no-digest",
        action="store_false",
        dest="digest",
        help="do not compute the sha256 of the files; leaves integrity open",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_positive(float),
        default=120.0,
        help="for one file, to which its size adds (default: 120)",
    )
    parser.add_argument(
        "--memory",
        metavar="MIB",
        type=_positive(int),
        default=2048,
        help="for one examiner (default: 2048)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_positive(int),
        help="how many examiners (default: one for each processor)",
    )
    parser.add_argument(
        "--width", metavar="COLUMNS", type=_positive(int), help="of the terminal report"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, no notices")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Audit, write the reports, and return the exit code. Raises `UsageError`."""
    outputs: list[Output] = arguments.outputs or [Output("terminal", None)]
    _check(outputs, arguments.target)

    from weighbridge import api
    from weighbridge.policy import policy

    try:
        source: Path | None = arguments.policy
        if source is None:
            source, notice = policy.locate(Path(), arguments.target)
            if notice and not arguments.quiet:
                sys.stderr.write(f"weighbridge: {notice}\n")
        report = api.audit(
            arguments.target,
            policy=source,
            settings=api.Settings(
                digest=arguments.digest,
                jobs=arguments.jobs,
                timeout=arguments.timeout,
                memory=arguments.memory << 20,
            ),
            progress=_progress if sys.stderr.isatty() and not arguments.quiet else None,
        )
    except (api.PolicyError, api.TargetError) as error:
        raise UsageError(str(error)) from error
    for output in sorted(outputs, key=lambda output: output.file is None):
        if output.file is not None:
            write(output.file, render(report, output.format))
        else:
            _show(report, output.format, arguments.width)
    return report.exit_code


def render(report: Report, format: str) -> bytes:
    """The report in that format, as it stands in a file."""
    from weighbridge.reports.formats import reporter

    return reporter(format).render(report)


def write(file: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; an old one stays until then."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name[:64]}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(stream.fileno(), 0o666 & ~mask)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def _show(report: Report, format: str, width: int | None) -> None:
    if format == "terminal":
        from dataclasses import replace

        from weighbridge.reports import terminal

        screen = terminal.Screen.of(sys.stdout)
        content = terminal.render(report, replace(screen, width=width) if width else screen)
    else:
        content = render(report, format)
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _check(outputs: list[Output], target: Path) -> None:
    from weighbridge.reports.formats import names

    audited = target.resolve()
    for output in outputs:
        if output.format not in names():
            known = ", ".join(names())
            raise UsageError(f"no format is called {output.format!r}; there are {known}")
        if output.file is None:
            continue
        if output.file.exists() and not output.file.is_file():
            raise UsageError(f"{output.file}: is no regular file")
        if output.file.parent.resolve().joinpath(output.file.name).is_relative_to(audited) or (
            output.file.resolve().is_relative_to(audited)
        ):
            raise UsageError(f"{output.file}: reports are not written into what is audited")
    places = [output.file and output.file.resolve() for output in outputs]
    if len(set(places)) < len(places):
        where = "the standard output" if places.count(None) > 1 else "one file"
        raise UsageError(f"two formats cannot both go to {where}; use --format FORMAT=FILE")


def _progress(done: int, total: int) -> None:
    end = "\r\x1b[K" if done >= total else ""
    sys.stderr.write(f"\r{done:,} of {total:,} files{end}")
    sys.stderr.flush()


def _output(text: str) -> Output:
    format, given, file = text.partition("=")
    if given and not file:
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    return Output(format, Path(file) if given else None)


def _positive(kind: type[int] | type[float]) -> Any:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"{text} is out of range")
        return value

    return parse
