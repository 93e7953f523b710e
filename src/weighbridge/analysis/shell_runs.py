"""The commands of a shell script without what only wraps them, those of shells within it too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.core.regex import regex
from weighbridge.formats.shell import Command, Script, Word, read

DEPTH: Final = 12
"""How many shells within shells (`bash -c`) are followed."""
UNREAD: Final = "\0"
"""Stands for the program of a shell that lies deeper."""
SHOWN: Final = 160
SHELLS: Final = frozenset(("sh", "bash", "zsh", "dash", "ksh", "ash", "pwsh", "powershell"))
INTERPRETERS: Final = regex(r"python[\d.]*|pypy[\d.]*|perl|ruby|node|php|deno|bun")
PYTHON: Final = regex(r"(?:python|pypy)[\d.]*(?:\.exe)?|py")
_WRAPPERS: Final = frozenset(("sudo", "doas", "exec", "command", "nohup", "builtin", "stdbuf",
                              "nice",
                              "ionice", "env", "timeout", "time", "retry", "xvfb-run", "setsid",
                              "xargs", "watch", "script"))  # fmt: skip
_WITH_VALUE: Final = {
    "sudo": frozenset(("-u", "-g", "-h", "-p", "-C", "-r", "-t")),
    "env": frozenset(("-u", "-C", "-S")),
    "timeout": frozenset(("-k", "-s", "--signal", "--kill-after")),
    "xargs": frozenset(("-n", "-I", "-P", "-L", "-d", "-a", "-E", "-s")),
    "nice": frozenset(("-n",)),
    "stdbuf": frozenset(("-i", "-o", "-e")),
}


class Run(Struct, frozen=True):
    """A command without what only wraps it (`sudo`, `env`, `timeout`)."""

    program: str
    words: tuple[Word, ...]
    command: Command

    @property
    def arguments(self) -> tuple[str, ...]:
        """The texts behind the program."""
        return tuple(w.text for w in self.words[1:])

    @property
    def text(self) -> str:
        """How it reads, shortened."""
        whole = " ".join(w.text for w in self.command.words)
        whole = " ".join(whole.split())
        return whole if len(whole) <= SHOWN else whole[: SHOWN - 1] + "…"

    def act(self, kind: Kind, text: str = "", detail: str = "", target: str = "") -> Act:
        """That it does something of a kind."""
        return Act(kind, self.command.line, text or self.text, detail, target)


def runs(script: Script, depth: int = 0) -> Iterator[Run]:
    """What a script runs, in order; scripts that stand in an argument (`bash -c`) are opened."""
    for command in script.everything():
        words = command.words
        while words and (name := _base(words[0].text)) in _WRAPPERS:
            inner = _unwrapped(name, words)
            if inner == words:
                break
            words = inner
        if not words:
            continue
        run = Run(_base(words[0].text), words, command)
        yield run
        if (text := _spoken(run)) is not None:
            if depth < DEPTH:
                yield from runs(read(text.text, text.line), depth + 1)
            else:
                yield Run(UNREAD, run.words, run.command)


def _base(text: str) -> str:
    """The name of a program without its folder."""
    if text.startswith(("./", "../")) or "$" in text:
        return text
    return text.rpartition("/")[2].removesuffix(".exe")


def _unwrapped(name: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    with_value = _WITH_VALUE.get(name, frozenset())
    at = 1
    while at < len(words):
        text = words[at].text
        if text in with_value:
            at += 2
        elif (
            text.startswith("-")
            or (name == "env" and re.match(r"\w+=", text))
            or (name in ("timeout", "retry") and re.fullmatch(r"[\d.]+[smhd]?", text))
        ):
            at += 1
        else:
            break
    return words[at:]


def _spoken(run: Run) -> Word | None:
    """The script that a shell is given as an argument, or `eval` as its words."""
    if run.program in SHELLS:
        for number, word in enumerate(run.words[1:], 1):
            text = word.text
            if text.startswith("-") and not text.startswith("--") and text.endswith("c"):
                return run.words[number + 1] if number + 1 < len(run.words) else None
            if not text.startswith("-"):
                return None
    if run.program == "eval" and len(run.words) > 1:
        return Word(" ".join(run.arguments), run.command.line)
    heredoc = next((r.target for r in run.command.redirects if r.operator == "<<"), None)
    if run.program in SHELLS and heredoc is not None:
        return heredoc
    return None
