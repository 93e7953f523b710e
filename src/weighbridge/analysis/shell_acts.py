"""What a shell script does that matters to a supply chain: it runs what it has downloaded, installs
from places that can change, fetches models, publishes, runs files that lie beside it.

Every rule looks at parsed commands. A text that is printed, quoted or commented is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.shell_programs import FETCHERS, of_program
from weighbridge.analysis.shell_runs import INTERPRETERS, SHELLS, SHOWN, UNREAD, Run, runs
from weighbridge.core.regex import regex
from weighbridge.formats.shell import Script

_THROUGH: Final = frozenset(("tee", "gunzip", "zcat", "xz", "base64", "cat", "tr", "dos2unix",
                             "bunzip2", "envsubst"))  # fmt: skip
_URL: Final = regex(r"(?:https?|ftp)://[^\s'\"|)]+", re.IGNORECASE)
_CHECKING: Final = frozenset(("sha256sum", "sha512sum", "shasum", "gpg", "gpgv", "cosign",
                              "minisign",
                              "b2sum", "md5sum", "openssl", "slsa-verifier"))  # fmt: skip


def acts(script: Script) -> Iterator[Act]:
    """What a script does, in order."""
    fetched: dict[str, str] = {}
    checked = False
    before: Run | None = None
    source = ""  # what flows through the pipe that is being read
    for run in runs(script):
        if run.program == UNREAD:
            yield run.act(Kind.UNREAD)
            continue
        arguments = run.arguments
        source = source if run.command.piped else ""
        if run.program in FETCHERS:
            source = _address(run) or "an address"
            if place := _saved(run):
                fetched[place.removeprefix("./")] = source
        elif run.program in _CHECKING and not (
            run.program == "openssl" and "dgst" not in arguments
        ):
            checked = True
        if source and run.command.piped and _takes_program(run):
            yield run.act(Kind.REMOTE_SCRIPT, f"{_joined(before, run)}", source)
            source = ""
        elif run.program not in FETCHERS and run.program not in _THROUGH:
            source = ""
        yield from _substituted(run)
        if not checked and (started := _started(run)) is not None:
            address = fetched.get(started.removeprefix("./"))
            if address is not None:
                yield run.act(Kind.REMOTE_SCRIPT, run.text, address)
        yield from of_program(run)
        before = run


def _joined(before: Run | None, run: Run) -> str:
    return f"{before.text} | {run.text}"[: 2 * SHOWN] if before is not None else run.text


def _address(run: Run) -> str:
    found = next((m[0] for a in run.arguments if (m := _URL.search(a))), "")
    return found or next((a for a in run.arguments if "$" in a and not a.startswith("-")), "")


def _saved(run: Run) -> str:
    """The file that a download is written to."""
    target = next((r.target.text for r in run.command.redirects if r.operator in (">", ">>")), "")
    if target:
        return target
    arguments = run.arguments
    for number, text in enumerate(arguments):
        if text in ("-o", "--output", "-O", "--output-document", "-OutFile", "-outfile"):
            following = arguments[number + 1] if number + 1 < len(arguments) else ""
            if run.program == "curl" and text == "-O":
                break
            if following and not following.startswith("-"):
                return following
        if text.startswith(("--output=", "--output-document=")):
            return text.partition("=")[2]
        short = run.program == "curl" and re.fullmatch(r"-[A-Za-z]*o", text)
        if short and number + 1 < len(arguments):
            return arguments[number + 1]
    address = _address(run)
    named = run.program == "wget" or any(
        re.fullmatch(r"-[A-Za-z]*O|--remote-name", a) for a in arguments
    )
    return address.rpartition("/")[2].partition("?")[0] if named else ""


def _takes_program(run: Run) -> bool:
    """Whether a command at the end of a pipe runs what comes through it."""
    arguments = run.arguments
    if run.program in SHELLS:
        return not any(
            not a.startswith("-") for a in arguments[: 1 if "-s" not in arguments else 0]
        )
    if run.program in ("iex", "invoke-expression"):
        return True
    if INTERPRETERS.fullmatch(run.program):
        return not arguments or arguments[0] == "-"
    return run.program in ("source", ".") and arguments[:1] == ("/dev/stdin",)


def _substituted(run: Run) -> Iterator[Act]:
    """`bash <(curl …)`, `sh -c "$(curl …)"`, `eval "$(curl …)"`."""
    shell = run.program in SHELLS or run.program in ("eval", "source", ".", "iex")
    if not shell and not INTERPRETERS.fullmatch(run.program):
        return
    for number, word in enumerate(run.words[1:], 1):
        whole = shell and (
            run.program in ("eval", "iex") or word.text.startswith(("$(", "<(", "`"))
        )
        if not word.inner or not (whole or word.text.startswith("<(")):
            continue
        if number > 1 and not run.words[number - 1].text.startswith("-"):
            continue  # an argument of the program, not the program
        for inner in word.inner:
            if inner.commands and (last := next(runs(inner), None)) and last.program in FETCHERS:
                yield run.act(Kind.REMOTE_SCRIPT, run.text, _address(last) or "an address")


def _started(run: Run) -> str | None:
    """The file that a command runs as a program."""
    if (
        run.program in SHELLS
        or run.program in ("source", ".")
        or INTERPRETERS.fullmatch(run.program)
    ):
        return next((a for a in run.arguments if not a.startswith("-")), None)
    return run.words[0].text if "/" in run.words[0].text else None
