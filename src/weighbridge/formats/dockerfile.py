"""Dockerfiles (Containerfiles): stages, instructions, and the variables that are known.

Source: https://docs.docker.com/reference/dockerfile/ (parser directives, line continuation,
here-documents, variable replacement); BuildKit's rules where the page is silent. Nothing is built,
and no image is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import ImageBuild
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.image import Instruction, Stage
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 1 << 20
VALUE_LIMIT: Final = 4 << 10
REPLACED_LIMIT: Final = 4 << 20
"""Characters of a value, and of all values, after variables are replaced: they can double with each
line."""
HEREDOCS: Final = 100
"""How many here-documents of one instruction are read."""
STAGES: Final = 500
BUILT: Final = 20_000
"""How many instructions of one file are read, of all stages."""
VARIABLES: Final = 5_000
"""How many variables one file may set: each stage has those of the one that it begins with."""
INSTRUCTIONS: Final = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip
_LISTED: Final = frozenset({"RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME"})
_WITH_HEREDOC: Final = frozenset({"RUN", "COPY", "ADD"})
_DIRECTIVE: Final = regex(r"#\s*([A-Za-z]+)\s*=\s*(.+?)\s*")
_HEREDOC: Final = regex(r"\d*<<(-?)(['\"]?)([A-Za-z_]\w*)\2")
_FLAG: Final = regex(r"\s*--([a-z][\w-]*)(?:=(\S*))?(?=\s|$)")
_VARIABLE: Final = regex(
    r"\\\$|\$\{([A-Za-z_]\w*)(?::?([-+])((?:[^{}$]|\$\{\w+\}|\$\w++)*+))?\}|\$([A-Za-z_]\w*)"
)


class Dockerfile(Written, frozen=True, kw_only=True, eq=False):
    """How an image is built."""

    build: ImageBuild

    def facts(self) -> Iterator[ImageBuild]:
        """The build, for what it installs to be joined with what other files ask for."""
        yield self.build


def replaced(text: str, known: Mapping[str, str], depth: int = 0) -> str:
    """A text with the variables that are known in place of their names; others stay as they are
    written, `${NAME:-default}` becomes the default."""

    def value(found: re.Match[str]) -> str:
        name, sign, other = found[1] or found[4], found[2], found[3] or ""
        if name is None:
            return found[0]
        if sign == "+":
            return replaced(other, known, depth + 1) if known.get(name) and depth < 4 else ""
        if name in known and (known[name] or sign is None):
            return known[name]
        return replaced(other, known, depth + 1) if sign == "-" and depth < 4 else found[0]

    return _VARIABLE.sub(value, text[:VALUE_LIMIT])[:VALUE_LIMIT]


def split(text: str, escape: str = "\\") -> list[str]:
    """The words of a text, without quotes."""
    return [word for word, _ in _words(text, escape)]


def _words(text: str, escape: str) -> Iterator[tuple[str, bool]]:
    """Words without their quotes, and whether no quote was in them."""
    made: list[str] = []
    bare, open_word, quote, at = True, False, "", 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == escape and quote != "'" and at < len(text):
            following = text[at]
            at += 1
            # Before a dollar sign the escape stays: what replaces variables must see it.
            made.append("\\$" if following == "$" else following)
            open_word = True
        elif quote:
            if letter == quote:
                quote = ""
            else:
                made.append(letter)
        elif letter in "\"'":
            quote, bare, open_word = letter, False, True
        elif letter.isspace():
            if open_word:
                yield "".join(made), bare
            made, bare, open_word = [], True, False
        else:
            made.append(letter)
            open_word = True
    if open_word:
        yield "".join(made), bare


class _Logical(Struct):
    """A logical line: its instruction, the rest of it joined, and as a script of several lines."""

    line: int
    name: str
    rest: str
    script: str


class _Reader(Struct):
    lines: list[str]
    at: int = 0
    escape: str = "\\"
    syntax: str = ""
    faults: list[str] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    made: list[Instruction] = field(default_factory=list)
    globals: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    ends: list[dict[str, str]] = field(default_factory=list)
    produced: int = 0
    names: dict[str, int] = field(default_factory=dict)
    instructions: int = 0
    variables: int = 0

    def read(self) -> None:
        """All of it."""
        self._directives()
        while (logical := self._logical()) is not None:
            self._instruction(logical)
        self._finish()

    def _fault(self, line: int, why: str) -> None:
        self.faults.append(f"line {line:,}: {why}")

    def _value(self, text: str) -> str:
        if self.produced > REPLACED_LIMIT:
            return text[:VALUE_LIMIT]
        made = replaced(text, self.known)
        self.produced += len(made)
        if self.produced > REPLACED_LIMIT:
            self.faults.append("too much comes of its variables: the rest were not replaced")
        return made

    def _directives(self) -> None:
        while self.at < len(self.lines):
            found = _DIRECTIVE.fullmatch(self.lines[self.at])
            if found is None:
                return
            name = found[1].lower()
            if name == "escape" and found[2] in ("\\", "`"):
                self.escape = found[2]
            elif name == "syntax":
                self.syntax = found[2][:300]
            elif name not in ("escape", "check"):
                return  # a comment
            self.at += 1

    def _logical(self) -> _Logical | None:
        """The next instruction with the lines that belong to it; comments and empty lines between
        them are left out, as the builder does."""
        while self.at < len(self.lines) and _is_void(self.lines[self.at]):
            self.at += 1
        if self.at >= len(self.lines):
            return None
        first = self.at
        parts: list[str] = []
        script: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if parts and _is_void(line):
                script.append("")
                continue
            held = line.rstrip(" \t")
            goes_on = held.endswith(self.escape)
            parts.append(held[:-1] if goes_on else line)
            script.append(parts[-1])
            if not goes_on:
                break
        joined = "".join(parts).strip()
        name, _, rest = joined.partition(" ") if " " in joined else joined.partition("\t")
        whole = "\\\n".join(script).lstrip()[len(name) :]
        return _Logical(first + 1, name.upper(), rest.strip(), whole)

    def _instruction(self, logical: _Logical, trigger: bool = False) -> None:
        if logical.name == "ONBUILD" and not trigger:
            name, _, rest = logical.rest.partition(" ")
            whole = logical.script.lstrip()[len(name) :]
            inner = _Logical(logical.line, name.upper(), rest.strip(), whole)
            self._instruction(inner, trigger=True)
            return
        if logical.name not in INSTRUCTIONS:
            self._fault(logical.line, f"{logical.name[:40]!r} is no instruction")
            return
        self.instructions += 1
        if self.instructions > BUILT:
            raise Malformed(f"more than {BUILT:,} instructions")
        flags, rest = _flags(logical.rest)
        made = Instruction(
            name=logical.name,
            line=logical.line,
            flags=tuple((key, self._value(value)) for key, value in flags),
            trigger=trigger,
        )
        if logical.name == "FROM":
            self._from(made, rest)
            return
        if listed := _listed(logical.name, rest):
            made = replace(made, words=listed, exec=True, text=rest)
        elif logical.name == "RUN":
            script = _without_flags(logical.script)
            made = replace(made, text=self._with_heredocs(script, rest, logical.line))
        else:
            made = self._plain(made, rest)
        if logical.name in ("ENV", "ARG"):
            made = self._set(made, rest)
        elif not self.stages:
            self._fault(logical.line, f"{logical.name} stands before the first FROM")
            return
        if self.stages:
            self.made.append(made)

    def _plain(self, made: Instruction, rest: str) -> Instruction:
        words = [self._value(word) for word in split(rest, self.escape)]
        texts: tuple[str, ...] = ()
        if made.name in _WITH_HEREDOC:
            texts = tuple(text for text, _ in self._heredocs(rest, made.line))
        return replace(made, text=self._value(rest), words=tuple(words), heredocs=texts)

    def _heredocs(self, rest: str, line: int) -> list[tuple[str, str]]:
        """The texts of the here-documents that a line opens, and the lines as they stand."""
        found: list[tuple[str, str]] = []
        for word, bare in _words(rest, "\0"):
            opened = _HEREDOC.fullmatch(word)
            if opened is None or not (bare or _quoted(opened[3], rest)):
                continue
            if len(found) == HEREDOCS:
                raise Malformed(f"line {line:,}: more than {HEREDOCS} here-documents")
            start = self.at
            while self.at < len(self.lines):
                said = self.lines[self.at]
                self.at += 1
                if (said.lstrip("\t") if opened[1] else said).rstrip("\r") == opened[3]:
                    break
            else:
                self._fault(line, f"its here-document {opened[3][:40]} does not end")
            body = self.lines[start : self.at]
            found.append(("\n".join(body[:-1]), "\n".join(body)))
        return found

    def _with_heredocs(self, script: str, rest: str, line: int) -> str:
        documents = self._heredocs(rest, line)
        if not documents:
            return script
        if len(documents) == 1 and _HEREDOC.fullmatch(rest.strip()):
            return "\n" + documents[0][0]  # the text itself is the script, from the next line on
        return "\n".join([script, *(whole for _, whole in documents)])

    def _from(self, made: Instruction, rest: str) -> None:
        self._finish()
        words = split(rest, self.escape)
        if not words:
            self._fault(made.line, "FROM names no image")
        said = words[0] if words else ""
        name = words[2] if len(words) >= 3 and words[1].upper() == "AS" else ""
        image = replaced(said, self.globals)
        base = self.names.get(image.lower())
        if len(self.stages) == STAGES:
            raise Malformed(f"more than {STAGES:,} stages")
        if name:
            self.names[name.lower()] = len(self.stages)
        self.stages.append(Stage(line=made.line, image=image, said=said, name=name, base=base))
        self.known = {} if base is None else dict(self.ends[base])

    def _set(self, made: Instruction, rest: str) -> Instruction:
        pairs: list[tuple[str, str | None]] = []
        words = split(rest, self.escape)
        if made.name == "ENV" and words and "=" not in words[0]:
            _, _, value = rest.partition(" ")
            pairs.append((words[0], self._value(value.strip())))
        else:
            for word in words:
                name, given, value = word.partition("=")
                pairs.append((name, self._value(value) if given else None))
        known = self.known if self.stages else self.globals
        self.variables += len(pairs)
        if self.variables > VARIABLES:
            raise Malformed(f"more than {VARIABLES:,} variables are set")
        for name, value_set in pairs:
            if made.name == "ARG" and value_set is None and self.stages and name in self.globals:
                known[name] = self.globals[name]
            elif value_set is not None and not (made.name == "ARG" and name in known):
                known[name] = value_set
        return replace(made, pairs=tuple(pairs))

    def _finish(self) -> None:
        if self.stages:
            self.stages[-1] = replace(self.stages[-1], instructions=tuple(self.made))
            self.ends.append(self.known)
        self.made = []


def _quoted(name: str, rest: str) -> bool:
    """Whether the name of a here-document alone is in quotes, not the mark before it."""
    return re.search(rf"(?:^|\s)\d*<<-?(['\"]){name}\1(?:\s|$)", rest) is not None


def _is_void(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _flags(rest: str) -> tuple[list[tuple[str, str]], str]:
    found = []
    at = 0
    while flag := _FLAG.match(rest, at):
        found.append((flag[1], (flag[2] or "").strip("\"'")))
        at = flag.end()
    return found, rest[at:].strip()


def _without_flags(script: str) -> str:
    """A script without the builder's flags before it, its lines kept."""
    at = 0
    pattern = re.compile(r"(?:\s|\\\n)*--[a-z][\w-]*(?:=\S*)?(?=\s|\\\n|$)")
    while flag := pattern.match(script, at):
        at = flag.end()
    return "\\\n" * script.count("\\\n", 0, at) + script[at:]


def _listed(name: str, rest: str) -> tuple[str, ...]:
    """The words of the form that is handed to no shell: a list of texts in JSON."""
    if name not in _LISTED or not rest.startswith("["):
        return ()
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return ()
    good = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return tuple(value) if good else ()


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        raise Malformed(f"a Dockerfile of more than {SIZE_LIMIT:,} bytes")
    written = blob.read(0, blob.size).decode("utf-8-sig", "replace")
    reader = _Reader(written.replace("\r\n", "\n").split("\n"))
    reader.read()
    if not reader.stages:
        return text  # nothing that is built: prose under that name
    gaps = list(text.gaps)
    for why in reader.faults[:20]:
        gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=where))
    return Dockerfile(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=tuple(gaps),
        blob=blob,
        build=ImageBuild(at=where, stages=tuple(reader.stages), syntax=reader.syntax),
    )


DOCKERFILE = Format(
    name="dockerfile",
    title="Dockerfile",
    loading=Loading.CODE,
    sniff=lambda sample: text_kind(sample) == "dockerfile",
    parse=_parse,
    document=Dockerfile,
    limits="Told by its name and its first instruction; nothing is built and no image is read.",
)
