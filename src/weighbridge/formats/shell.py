"""Shell scripts to commands: quotes, here-documents, substitutions, pipes and operators.

Grammar: POSIX.1-2024, Shell Command Language, sections 2.2 (quoting), 2.3 (tokens), 2.6
(expansions) and 2.7 (redirections), with what bash adds: `<( )`, `<<<`, `$'…'`, `|&`, `&>`.
PowerShell and cmd are read by the same rules, with their own way to quote. Nothing is expanded;
what would be stands in the words as it is written. GitHub's `${{ }}` is one piece of a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

from weighbridge.core.regex import regex

LIMIT: Final = 4 << 20
"""How many characters of one script are read."""
COMMANDS: Final = 20_000
"""How many commands of one script are read."""
DEPTH: Final = 16
"""How deep substitutions are followed; what is deeper stays text."""
_PLAIN: Final = regex(r"[^\s'\"\\$`|&;<>()#]+|#")
_QUOTED: Final = regex(r"[^\"\\$`]+")
_NAME: Final = regex(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_ASSIGNED: Final = regex(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_OPERATOR: Final = regex(r"&&|\|\||\|&|;;&|;;|;&|&>>|&>|<<<|<<-|<<|>>|>&|<&|<>|>\||[|&;<>()]")
_EMPTY: Final = regex(r"[ \t]*\)")
_DESCRIPTOR: Final = regex(r"(?:^|[\s)])\d$")
_LINE_END: Final = regex(r"\n")
_TICKED: Final = regex(r"[\n`]")
"""Where a comment ends within back-ticks: with the next of them, if not with the line."""
_HERE_STRINGS: Final = ('@"\n', "@'\n")
"""How a text of several lines begins in PowerShell."""
_REDIRECTS: Final = frozenset(("<", ">", ">>", ">&", "<&", "<>", ">|", "&>", "&>>", "<<<"))
_RESERVED: Final = frozenset(
    (
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "do",
        "done",
        "while",
        "until",
        "!",
        "{",
        "}",
        "[[",
        "time",
    )
)


class Word(Struct, frozen=True):
    """A word without its quotes, expansions as they are written.

    `variables` are the names that it expands, `inner` the scripts that it substitutes; `bare` where
    no part of it is quoted.
    """

    text: str
    line: int
    variables: tuple[str, ...] = ()
    inner: tuple[Script, ...] = ()
    bare: bool = True


class Redirect(Struct, frozen=True):
    """A redirection; of a here-document `target` is the text itself."""

    operator: str
    target: Word


class Command(Struct, frozen=True):
    """A simple command. `piped`: it reads what the command before it writes."""

    words: tuple[Word, ...]
    line: int
    assignments: tuple[tuple[str, Word], ...] = ()
    redirects: tuple[Redirect, ...] = ()
    piped: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The texts of its words."""
        return tuple(w.text for w in self.words)


class Script(Struct, frozen=True):
    """The simple commands in the order in which they are written, those of every branch.

    `broken` is the line from which on it could not be told apart (an open quote), or 0.
    """

    commands: tuple[Command, ...]
    broken: int = 0

    def everything(self) -> Iterator[Command]:
        """Its commands, each after those in its substitutions."""
        for command in self.commands:
            words = [*command.words, *(w for _, w in command.assignments)]
            for word in (*words, *(r.target for r in command.redirects)):
                for inner in word.inner:
                    yield from inner.everything()
            yield command


POSIX: Final = "\\"
POWERSHELL: Final = "`"
"""about_Quoting_Rules: a back-tick takes the next character's meaning, a backslash is a letter."""
CMD: Final = "^"


def read(text: str, line: int = 1, escape: str = POSIX) -> Script:
    """A script whose first line is `line`. `escape` is what takes a character's meaning in its
    shell; in those that are not like POSIX's no back-tick substitutes."""
    reader = _Reader(text[:LIMIT], line, escape)
    script = reader.script("")
    if len(text) > LIMIT and not reader.broken:
        return Script(script.commands, reader.line)
    return Script(script.commands, reader.broken)


class _Command(Struct):
    """A command that is being read."""

    line: int
    piped: bool = False
    words: list[Word] = field(default_factory=list)
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


class _Parts(Struct):
    """A word that is being read."""

    line: int
    text: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    inner: list[Script] = field(default_factory=list)
    bare: bool = True

    def word(self) -> Word:
        text = "".join(self.text)
        return Word(text, self.line, tuple(self.variables), tuple(self.inner), self.bare)


class _Reader(Struct):
    text: str
    line: int
    escape: str
    at: int = 0
    depth: int = 0
    broken: int = 0
    commands: int = 0
    ticks: bool = False  # within back-ticks, where the next one ends them whatever is open
    waiting: list[tuple[str, bool, bool, _Command, int]] = field(default_factory=list)

    def script(self, closing: str) -> Script:
        """Commands up to `closing` (`)`, a back-tick) or the end."""
        commands: list[Command] = []
        now = _Command(self.line)
        level = 0  # of sub-shells
        cases: list[bool] = []  # open `case`s: whether a pattern is due

        def finish(piped: bool = False) -> None:
            nonlocal now
            if now.words or now.assignments or now.redirects:
                made = (tuple(now.words), now.line, tuple(now.assignments))
                held = Command(*made, tuple(now.redirects), now.piped)
                commands.append(held)
                self.commands += 1
                if self.commands >= COMMANDS and self.at < len(self.text):
                    self.broken = self.broken or self.line
                    self.at = len(self.text)
                for index in range(len(self.waiting) - 1, -1, -1):
                    place = self.waiting[index]
                    if place[3] is not now:
                        break  # of the commands before it on this line
                    self.waiting[index] = (*place[:4], len(commands) - 1)
            now = _Command(self.line, piped)

        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == "\n":
                finish(now.piped and not now.words)
                self.at += 1
                self.line += 1
                if self.waiting:
                    self._here(commands)
            elif letter in " \t\r\f\v":
                self.at += 1
            elif letter == self.escape and self.text[self.at + 1 : self.at + 2] == "\n":
                self.at += 2
                self.line += 1
            elif self.escape == POWERSHELL and self.text.startswith("<#", self.at):
                self._past("#>")
            elif letter == "#":
                end = (_TICKED if self.ticks else _LINE_END).search(self.text, self.at)
                self.at = end.start() if end else len(self.text)
            elif letter == "`" and self.ticks:
                break
            elif letter in "<>" and self.text[self.at + 1 : self.at + 2] == "(":
                self._into(now, self._word())
            elif found := _OPERATOR.match(self.text, self.at):
                operator = found[0]
                if operator == ")" and closing == ")" and not level and not (cases and cases[-1]):
                    break
                self.at = found.end()
                if operator in ("<<", "<<-"):
                    self._heredoc(now, operator == "<<-")
                elif operator in _REDIRECTS:
                    if now.words and _DESCRIPTOR.search(
                        self.text[max(0, found.start() - 3) : found.start()]
                    ):
                        now.words.pop()
                    self._blank()
                    now.redirects.append(Redirect(operator, self._word()))
                elif operator == "(":
                    if now.words and _EMPTY.match(self.text, self.at):
                        now.words.clear()  # the name of a function
                    level += 1
                    finish()
                elif operator == ")":
                    if cases and cases[-1]:
                        cases[-1] = False
                        now = _Command(self.line)  # that was a pattern
                    else:
                        level = max(0, level - 1)
                        finish()
                else:
                    if operator.startswith(";;") or operator == ";&":
                        if cases:
                            cases[-1] = True
                    elif cases and cases[-1] and operator == "|":
                        now = _Command(self.line)  # one of several patterns
                        continue
                    finish(operator in ("|", "|&"))
            else:
                word = self._word()
                first = not now.words and not now.assignments
                if first and word.bare and word.text in _RESERVED:
                    now.line = self.line
                elif first and word.bare and word.text == "esac":
                    if cases:
                        cases.pop()
                elif first and word.bare and word.text in ("for", "select"):
                    self._rest_of_line(now, word)
                elif word.bare and word.text == "in" and now.words and now.words[0].text == "case":
                    cases.append(True)
                    now = _Command(self.line)
                else:
                    self._into(now, word)
        finish()
        return Script(tuple(commands))

    def _into(self, now: _Command, word: Word) -> None:
        if not now.words:
            now.line = word.line if not now.assignments else now.line
            if found := _ASSIGNED.match(word.text):
                name = re.split(r"[\[+=]", found[0], maxsplit=1)[0]
                text = word.text[found.end() :]
                if not text and self.text[self.at : self.at + 1] == "(":
                    self.at += 1  # an array: its values are the words up to the bracket
                    self.depth += 1
                    inner = self.script(")") if self._deeper() else Script(())
                    self.depth -= 1
                    self.at += 1
                    words = [w for c in inner.commands for w in c.words]
                    word = Word(
                        " ".join(w.text for w in words), word.line,
                        tuple(v for w in words for v in w.variables),
                        tuple(i for w in words for i in w.inner), False,
                    )  # fmt: skip
                    text = word.text
                value = Word(text, word.line, word.variables, word.inner, word.bare)
                now.assignments.append((name, value))
                return
        now.words.append(word)

    def _rest_of_line(self, now: _Command, word: Word) -> None:
        """`for NAME in WORDS`: no command, but what it substitutes is."""
        parts = _Parts(word.line)
        while self.at < len(self.text) and self.text[self.at] not in "\n;":
            if self.text[self.at] in " \t\r()|&<>":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
                self.line += 1
            else:
                met = self._word()
                parts.inner += met.inner
                parts.variables += met.variables
        if parts.inner:
            now.words.append(Word("for", word.line))
            now.words.append(parts.word())

    def _past(self, closing: str) -> str:
        """What stands up to the end of `closing`."""
        end = self.text.find(closing, self.at)
        if end < 0:
            self.broken = self.broken or self.line
            end = len(self.text)
        piece = self.text[self.at : end + len(closing)]
        self.line += piece.count("\n")
        self.at += len(piece)
        return piece

    def _blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def _word(self) -> Word:
        """One word. At a character that begins none, that character alone."""
        parts = _Parts(self.line)
        start = self.at
        while self.at < len(self.text):
            letter = self.text[self.at]
            if self.escape == POWERSHELL and self.text.startswith(_HERE_STRINGS, self.at):
                quote = self.text[self.at + 1]
                parts.bare = False
                parts.text.append(self._past(f"\n{quote}@"))
            elif found := _PLAIN.match(self.text, self.at):
                parts.text.append(found[0])
                self.at = found.end()
            elif letter == "'":
                self._single(parts, self.at + 1)
            elif letter == '"':
                self._double(parts)
            elif letter == self.escape:
                following = self.text[self.at + 1 : self.at + 2]
                if following == "\n":
                    self.line += 1
                else:
                    parts.text.append(following)
                self.at += 2
            elif letter == "$":
                self._expansion(parts)
            elif letter == "`" and self.ticks:
                break
            elif letter == "`" and self.escape == POSIX:
                self._substitution(parts, self.at + 1, "`")
            elif letter in "`\\":
                parts.text.append(letter)
                self.at += 1
            elif (
                letter in "<>" and self.text[self.at + 1 : self.at + 2] == "(" and start == self.at
            ):
                self._substitution(parts, self.at + 2, ")")
            else:
                break
        if self.at == start:
            self.at += 1
        return parts.word()

    def _single(self, parts: _Parts, start: int) -> None:
        parts.bare = False
        end = self.text.find("'", start)
        if end < 0:
            self.broken = self.broken or self.line
            end = len(self.text)
        quoted = self.text[start:end]
        parts.text.append(quoted)
        self.line += quoted.count("\n")
        self.at = end + 1

    def _double(self, parts: _Parts) -> None:
        parts.bare = False
        opened = self.line
        self.at += 1
        while self.at < len(self.text):
            letter = self.text[self.at]
            if found := _QUOTED.match(self.text, self.at):
                parts.text.append(found[0])
                self.line += found[0].count("\n")
                self.at = found.end()
            elif letter == '"':
                self.at += 1
                return
            elif letter == self.escape:
                following = self.text[self.at + 1 : self.at + 2]
                if following == "\n":
                    self.line += 1
                else:
                    parts.text.append(following if following in '"\\$`' else letter + following)
                self.at += 2
            elif letter == "$":
                self._expansion(parts)
            elif self.ticks:
                break
            elif letter == "`" and self.escape == POSIX:
                self._substitution(parts, self.at + 1, "`")
            else:
                parts.text.append(letter)
                self.at += 1
        self.broken = self.broken or opened

    def _expansion(self, parts: _Parts) -> None:
        """What begins with a dollar sign."""
        text, start = self.text, self.at
        if text.startswith("${{", start):
            self._verbatim(parts, text.find("}}", start), 2)
        elif text.startswith("$((", start) and self.escape == POSIX:
            end = text.find("))", start)
            parts.variables += re.findall(r"[A-Za-z_]\w*", text[start : end if end > 0 else start])
            self._verbatim(parts, end, 2)
        elif text.startswith("$(", start):
            self._substitution(parts, start + 2, ")")
        elif text.startswith("${", start):
            end = self._brace(start + 2)
            if name := _NAME.match(text, start + 2 + (text[start + 2 : start + 3] in "!#")):
                parts.variables.append(name[0])
            inside = text[start + 2 : end]
            if ("$(" in inside or "`" in inside) and self._deeper():
                self.depth += 1
                inner = _Reader(inside, self.line, self.escape, 0, self.depth)
                word = inner._quoted_part()
                parts.inner += word.inner
                self.depth -= 1
            self._verbatim(parts, end, 1)
        elif text.startswith("$'", start):
            end = start + 2
            while end < len(text) and text[end] != "'":
                end += 1 + (text[end] == "\\")
            parts.bare = False
            parts.text.append(text[start + 2 : end])
            self.line += text.count("\n", start, end)
            self.at = end + 1
        elif text.startswith('$"', start):
            self.at += 1
        elif name := _NAME.match(text, start + 1):
            parts.variables.append(name[0])
            parts.text.append(f"${name[0]}")
            self.at = name.end()
        else:
            parts.text.append("$")
            self.at += 1

    def _quoted_part(self) -> Word:
        """The whole text as if it stood in quotes."""
        parts = _Parts(self.line)
        self.at = -1
        self._double(parts)
        return parts.word()

    def _brace(self, start: int) -> int:
        """Where `${` is closed; the end of the text if nowhere."""
        level = 1
        for place in range(start, len(self.text)):
            letter = self.text[place]
            level += (letter == "{") - (letter == "}")
            if not level:
                return place
            if letter == "\n" and level > DEPTH:
                break
        return -1

    def _deeper(self) -> bool:
        """Whether one more level is read; what is not leaves the script unread from there."""
        if self.depth >= DEPTH:
            self.broken = self.broken or self.line
        return self.depth < DEPTH

    def _verbatim(self, parts: _Parts, end: int, closing: int) -> None:
        if end < 0:
            self.broken = self.broken or self.line
            end = len(self.text)
        piece = self.text[self.at : end + closing]
        parts.text.append(piece)
        self.line += piece.count("\n")
        self.at = end + closing

    def _substitution(self, parts: _Parts, start: int, closing: str) -> None:
        """`$( )`, back-ticks, `<( )`: a script within a word."""
        begins, opened = self.at, self.line
        self.at = start
        if self.depth >= DEPTH:
            self.broken = self.broken or self.line
            self.at = len(self.text)
            return
        self.depth += 1
        waiting, self.waiting = self.waiting, []
        ticks, self.ticks = self.ticks, self.ticks or closing == "`"
        parts.inner.append(self.script(closing))
        self.waiting, self.ticks = waiting, ticks
        self.depth -= 1
        if self.at >= len(self.text):
            self.broken = self.broken or opened
        self.at += 1
        parts.text.append(self.text[begins : self.at])

    def _heredoc(self, now: _Command, tabs: bool) -> None:
        self._blank()
        mark = self._word()
        self.waiting.append((mark.text, tabs, mark.bare, now, -1))
        now.redirects.append(Redirect("<<", Word("", self.line)))

    def _here(self, commands: list[Command]) -> None:
        """The here-documents that the line before has begun."""
        waiting, self.waiting = self.waiting, []
        texts: dict[int, list[Word]] = {}
        for mark, tabs, expands, _, index in waiting:
            line, lines = self.line, []
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                met = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                self.line += 1
                if (met.lstrip("\t") if tabs else met).rstrip("\r") == mark:
                    break
                lines.append(met)
            else:
                self.broken = self.broken or line
            text = "\n".join(lines)
            word = Word(text, line, bare=False)
            if expands and ("$" in text or "`" in text) and self._deeper():
                inner = _Reader(text.replace('"', " "), line, self.escape, 0, self.depth + 1)
                read = inner._quoted_part()
                word = Word(text, line, read.variables, read.inner, False)
            texts.setdefault(index, []).append(word)
        for index, words in texts.items():
            if 0 <= index < len(commands):
                owner = commands[index]
                given = iter(words)
                commands[index] = Command(
                    owner.words, owner.line, owner.assignments,
                    tuple(
                        Redirect("<<", next(given, r.target)) if r.operator == "<<" else r
                        for r in owner.redirects
                    ),
                    owner.piped,
                )  # fmt: skip
