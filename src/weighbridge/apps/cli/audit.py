"""`weighbridge audit`: audit a folder or a file, and write what came of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from weighbridge.apps.cli import UsageError

if TYPE_CHECKING:
    from weighbridge.core.report import Report
    from weighbridge.sources.target import Access

MOMENT = 1.0
"""Seconds that an audit may take before it shows its progress."""
REDRAW = 0.1
"""Seconds between two drawings of the progress."""


class Output(NamedTuple):
    """A format by name, and the file it goes to; None is the standard output."""

    format: str
    file: Path | None


PARTS = ("source", "env")
"""The options that name what belongs to the target."""


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "audit",
        help="audit a model folder or file",
        description="Audit a model folder or file, answer the 14 controls and give a verdict. "
        "Nothing of the target is executed, imported or unpickled.",
        epilog="Exit codes: 0 pass or review, 1 block (and review, if the policy says so), "
        "2 usage or infrastructure, 3 incomplete.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="the folder or file to audit (a clone, a snapshot or a repository in the Hub's cache, "
        "an OCI layout and Ollama's store are known as such); or a repository on the Hub: "
        "org/name, org/name@revision, hf-dataset:org/name, hf-space:org/name; or ollama:name:tag, "
        "oci:path:tag, https://host/file, s3://bucket/key, gs://bucket/key",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        nargs="?",
        const="",
        help="audit every repository and revision in the Hub's cache on this machine (default: "
        "where HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME say that it is)",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT[=FILE]",
        type=parse_output,
        action="append",
        dest="outputs",
        help="write the report in this format to the standard output, or to FILE; may be given "
        "several times, as in --format html=report.html --format json (default: terminal)",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help="use this policy (default: weighbridge.toml or [tool.weighbridge] of pyproject.toml "
        "in the working directory, unless that is what is audited)",
    )
    parser.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        help="block unless the target is what this lock holds (default: weighbridge.lock in the "
        "working directory, if it is of the same target)",
    )
    reaching(parser)
    belonging(parser)
    asking(parser)
    parser.add_argument(
        "--rules",
        metavar="FOLDER",
        type=Path,
        help="run the YARA rules of this folder as well; needs weighbridge[yara] (default: the "
        "folder that the policy names, if it names one)",
    )
    parser.add_argument(
        "--advisories",
        metavar="FILE",
        type=Path,
        help="look requirements up in this index (default: the one that `weighbridge update` made)",
    )
    parser.add_argument(
        "--no-digest",
        action="store_false",
        dest="digest",
        help="do not compute the sha256 of the files, which leaves their integrity open",
    )
    parser.add_argument(
        "--no-trials",
        action="store_false",
        dest="trials",
        help="do not run models in which a switch was found, to see what it does (needs "
        "weighbridge[deep]; in a jail, without a network)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive(float),
        default=120.0,
        help="give up on a file after so long, and a little more for a large one (default: 120)",
    )
    parser.add_argument(
        "--memory",
        metavar="MIB",
        type=positive(int),
        default=256,
        help="the memory that each process reading the files may take (default: 256)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=positive(int),
        help="read the files in so many processes (default: one for each processor)",
    )
    reusing(parser)
    parser.add_argument(
        "--width",
        metavar="COLUMNS",
        type=positive(int),
        help="lay out the terminal report for this width (default: that of the terminal)",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="write nothing but the report and errors"
    )
    parser.set_defaults(run=run)


def reaching(parser: argparse.ArgumentParser) -> None:
    """Declare how a network may be used."""
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="the Hub to ask (default: HF_ENDPOINT, or the Hugging Face Hub); your token is sent "
        "to the endpoint it belongs to and nowhere else",
    )
    parser.add_argument(
        "--offline", action="store_true", help="use no network: audit what is on this machine"
    )


def asking(parser: argparse.ArgumentParser) -> None:
    """Declare which indexes of packages may be asked."""
    parser.add_argument(
        "--ask-index",
        action="store_true",
        help="ask the index of Python packages that pip takes by default what it knows of the "
        "requirements (what exists, since when, what was taken back, with which digests): it "
        "learns their names",
    )
    parser.add_argument(
        "--index",
        metavar="URL",
        action="append",
        default=[],
        help="ask this index instead (the first one that is given), and wherever a requirement "
        "names it; may be given several times",
    )


def belonging(parser: argparse.ArgumentParser) -> None:
    """Declare what else is looked at with the target."""
    parser.add_argument(
        "--base",
        metavar="TARGET",
        help="where the model is that this one derives from, for the comparison of lineage "
        "(default: for a repository on the Hub, the base that it declares there)",
    )
    parser.add_argument(
        "--reference",
        metavar="TARGET",
        help="an export of the same architecture by someone you trust: the computation graph is "
        "compared with its graph, operation by operation",
    )
    parser.add_argument(
        "--source",
        metavar="TARGET",
        help="the repository that built the model (workflows, training code), audited with it",
    )
    parser.add_argument(
        "--env",
        metavar="FOLDER",
        help="the installed environment that the model will run in (a venv, a conda prefix or "
        "site-packages): its packages, and every file against their records",
    )


def reusing(parser: argparse.ArgumentParser) -> None:
    """Declare that results are kept."""
    parser.add_argument(
        "--reuse",
        metavar="FOLDER",
        type=Path,
        help="keep what was found in each large file in this folder, and examine only those that "
        "have changed since, by the same rules",
    )


def outside(file: Path, target: Path, what: str) -> None:
    """Refuse to write into what is audited. Raises `UsageError`."""
    audited = target.resolve()
    if file.parent.resolve().joinpath(file.name).is_relative_to(audited) or (
        file.resolve().is_relative_to(audited)
    ):
        raise UsageError(f"{file}: {what} not written into what is audited")


def access(arguments: argparse.Namespace) -> Access:
    """What `reaching`, `belonging` and `asking` declared, as the sources take it."""
    from weighbridge import api

    return api.Access(
        endpoint=arguments.endpoint,
        offline=arguments.offline,
        base=getattr(arguments, "base", None),
        reference=getattr(arguments, "reference", None),
        parts=tuple((n, p) for n in PARTS if (p := getattr(arguments, n, None)) is not None),
        indexes=_indexes(arguments),
    )


def _indexes(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The indexes that may be asked. Raises `UsageError`."""
    given: list[str] = getattr(arguments, "index", [])
    for address in given:
        if not address.startswith(("https://", "http://")):
            raise UsageError(f"{address}: an index begins with https:// or http://")
    if given or not getattr(arguments, "ask_index", False):
        return tuple(given)
    from weighbridge.formats.default_index import DEFAULT_INDEX

    if not DEFAULT_INDEX:
        raise UsageError("there is no pip to say which index is the default one; --index names one")
    return (DEFAULT_INDEX,)


def locate_policy(arguments: argparse.Namespace, target: Path) -> tuple[Path | None, str | None]:
    """The policy that was named, or that lies in the working directory; a notice where there is
    one that must not be used."""
    from weighbridge.policy import policy

    if arguments.policy is not None:
        return arguments.policy, None
    return policy.locate(Path(), target)


def run(arguments: argparse.Namespace) -> int:
    """Audit, write the reports, and return the exit code. Raises `UsageError`."""
    outputs: list[Output] = arguments.outputs or [Output("terminal", None)]
    if (arguments.target is None) == (arguments.cache is None):
        raise UsageError("audit takes a TARGET, or --cache; `weighbridge audit --help` says more")
    target = f"hub-cache:{arguments.cache}" if arguments.target is None else arguments.target

    from weighbridge.sources.target import local_path

    local = local_path(target)
    _check(outputs, local)
    if arguments.reuse is not None:
        outside(arguments.reuse, local, "results are")

    from msgspec.structs import replace

    from weighbridge import api
    from weighbridge.policy import lock

    progress = _Progress() if sys.stderr.isatty() and not arguments.quiet else None
    notice = None
    try:
        source, notice = locate_policy(arguments, local)
        if notice and not arguments.quiet:
            sys.stderr.write(f"weighbridge: {notice}\n")
        report = api.audit(
            target,
            policy=source,
            rules=arguments.rules,
            advisories=arguments.advisories,
            settings=api.Settings(
                digest=arguments.digest,
                jobs=arguments.jobs,
                timeout=arguments.timeout,
                memory=arguments.memory << 20,
                reuse=arguments.reuse,
                trials=arguments.trials,
            ),
            progress=progress,
            access=access(arguments),
            lock=arguments.lock or lock.locate(Path(), local),
            lock_named=arguments.lock is not None,
        )
    except (api.PolicyError, api.RulesError, api.TargetError) as error:
        raise UsageError(str(error)) from error
    finally:
        if progress is not None:
            progress.clear()
    if notice:
        report = replace(report, policy=f"none: {notice}")
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
    import tempfile

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


def show_json(said: Any) -> None:
    """Write one of our structures to the standard output as JSON."""
    import json

    import msgspec

    from weighbridge.reports.json import legible

    text = legible(json.dumps(msgspec.to_builtins(said), ensure_ascii=False))
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.format(text.encode(), indent=2) + b"\n")


def _show(report: Report, format: str, width: int | None) -> None:
    if format == "terminal":
        from msgspec.structs import replace

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

    for output in outputs:
        if output.format not in names():
            known = ", ".join(names())
            raise UsageError(f"no format is called {output.format!r}; there are {known}")
        if output.file is None:
            continue
        if output.file.exists() and not output.file.is_file():
            raise UsageError(f"{output.file}: is no regular file")
        outside(output.file, target, "reports are")
    places = [output.file and output.file.resolve() for output in outputs]
    if len(set(places)) < len(places):
        where = "the standard output" if places.count(None) > 1 else "one file"
        raise UsageError(f"two formats cannot both go to {where}; use --format FORMAT=FILE")


class _Progress:
    """How many files are done, drawn over itself once an audit takes longer than a moment."""

    def __init__(self) -> None:
        self.next = time.monotonic() + MOMENT
        self.drawn = False

    def __call__(self, done: int, total: int) -> None:
        if (now := time.monotonic()) >= self.next:
            self.next, self.drawn = now + REDRAW, True
            sys.stderr.write(f"\r{done:,} of {total:,} files\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def parse_output(text: str) -> Output:
    """A format, and the file that it goes to, from an argument."""
    format, given, file = text.partition("=")
    if given and not file:
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    return Output(format, Path(file) if given else None)


def positive(kind: type[int] | type[float]) -> Any:
    """What reads a number above zero from an argument."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not 0 < value < 1e9:
            raise argparse.ArgumentTypeError(f"{text} is out of range")
        return value

    return parse
