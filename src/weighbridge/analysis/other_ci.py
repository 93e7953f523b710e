"""Other systems of continuous integration, and files of commands: which they are, and the scripts
that stand in them. Who can start them is set elsewhere, and nothing is claimed about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.formats.yaml import Marked, MarkedComposer

LIMIT: Final = 1 << 20
"""How many bytes of one file are read."""
SCRIPTS: Final = 20_000

_SYSTEMS: Final = (
    ("GitLab CI", regex(r"\.gitlab-ci\.ya?ml|\.gitlab/(?:.*/)?[^/]+\.ya?ml")),
    ("CircleCI", regex(r"\.circleci/[^/]+\.ya?ml")),
    ("Azure Pipelines", regex(
        r"(?:.*/)?azure-pipelines[\w.-]*\.ya?ml|\.azure(?:-pipelines|devops)?/.*\.ya?ml")),
    ("Buildkite", regex(r"\.buildkite/.*\.ya?ml")),
    ("Bitbucket Pipelines", regex(r"bitbucket-pipelines\.ya?ml")),
    ("Travis CI", regex(r"\.travis\.ya?ml")),
    ("AppVeyor", regex(r"\.?appveyor\.ya?ml")),
    ("Cirrus CI", regex(r"\.cirrus\.ya?ml")),
    ("Drone", regex(r"\.drone\.ya?ml")),
    ("Google Cloud Build", regex(r"cloudbuild\.ya?ml")),
    ("Jenkins", regex(
        r"(?:.*/)?Jenkinsfile(?:\.[\w-]+)?|(?:.*/)?[\w-]+\.jenkinsfile|\.jenkins/.*\.groovy")),
)  # fmt: skip
_SCRIPT_KEYS: Final = frozenset((
    "script", "before_script", "after_script", "run", "command", "commands", "bash", "pwsh",
    "powershell", "install", "before_install", "before_deploy", "after_success", "deploy",
    "build_script", "test_script", "install_script", "setup_script", "inlinescript", "args",
))  # fmt: skip
_MAKE: Final = regex(r"(?:.*/)?(?:GNU)?[Mm]akefile|.*\.mk")
_SHELL: Final = regex(r".*\.(?:sh|bash|zsh|ksh)")
_RECIPE: Final = regex(r"\t[@+-]*")
_GROOVY: Final = regex(
    r"\b(?:sh|bat|powershell|pwsh)\b\s{0,9}\(?\s{0,9}(?:script\s{0,9}:\s{0,9})?('''|\"\"\"|'|\")"
)


class Found(Struct, frozen=True):
    """A script in a file: its text and the line on which it begins."""

    text: str
    line: int


def system_of(path: str) -> str | None:
    """The system whose configuration a path is, by the names that the systems look for."""
    part, inner = within(path)
    if part == "env":
        return None  # packages bring those of their own projects, and nothing runs them there
    return next((name for name, pattern in _SYSTEMS if pattern.fullmatch(inner)), None)


def is_script(path: str) -> bool:
    """Whether a path is a file of commands that somebody runs: a shell script or a makefile."""
    part, inner = within(path)
    return part != "env" and bool(_MAKE.fullmatch(inner) or _SHELL.fullmatch(inner))


def scripts(path: str, text: str) -> Iterator[Found]:
    """The scripts of a file. Raises `Malformed` where it should hold some and cannot be read."""
    system = system_of(path)
    if system == "Jenkins":
        yield from _groovy(text)
    elif system is not None:
        yield from _yaml(text)
    elif _MAKE.fullmatch(within(path)[1]):
        yield from _makefile(text)
    else:
        yield Found(text, 1)


def _yaml(text: str) -> Iterator[Found]:
    made = MarkedComposer()
    made.read(text.removeprefix("\ufeff").encode("utf-8", "surrogatepass"))
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", d) for d in reversed(made.documents)]
    count = 0
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict | list):
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, dict):
            waiting.extend((str(k).lower(), v) for k, v in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((key, v) for v in reversed(value))
        elif isinstance(value, Marked) and key in _SCRIPT_KEYS and value.strip():
            count += 1
            if count > SCRIPTS:
                raise Malformed(f"more than {SCRIPTS:,} scripts")
            yield Found(str.__str__(value), value.line)


def _makefile(text: str) -> Iterator[Found]:
    """The recipes: lines that begin with a tab, with those that they continue in. `$$` is the
    shell's dollar sign, `$(NAME)` a variable of make, which stays a word."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        found = _RECIPE.match(lines[at])
        if found is None:
            at += 1
            continue
        start, parts = at, [lines[at][found.end() :]]
        while parts[-1].endswith("\\") and at + 1 < len(lines):
            at += 1
            parts.append(lines[at].lstrip("\t"))
        at += 1
        joined = "\n".join(parts).replace("$$", "\0")
        joined = re.sub(r"\$\(([\w.-]+)\)", r"${\1}", joined)
        yield Found(joined.replace("\0", "$"), start + 1)


def _groovy(text: str) -> Iterator[Found]:
    """What `sh '…'` and its like are given."""
    at = line = 0
    counted = 0
    while found := _GROOVY.search(text, at):
        quote = found[1]
        end = found.end()
        while (end := text.find(quote, end)) >= 0 and text[end - 1] == "\\":
            end += 1
        if end < 0:
            raise Malformed("a text without an end")
        line += text.count("\n", counted, found.end())
        counted = found.end()
        yield Found(text[found.end() : end], line + 1)
        at = end + len(quote)
