"""The commands that Python code and notebooks hand to a shell or start as programs."""

from __future__ import annotations

import ast
import posixpath
import shlex
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.python_spelling import UNKNOWN, keyword, spelled
from weighbridge.analysis.python_values import Names
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_kinds import Act
from weighbridge.core.regex import regex
from weighbridge.formats.shell import Command, Script, Word, read

SHELLS: Final = frozenset(
    {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
     "commands.getoutput", "asyncio.create_subprocess_shell", "IPython.get_ipython.system",
     "IPython.get_ipython.getoutput", "builtins.get_ipython.system", "invoke.run"}
)  # fmt: skip
"""What gives its text to a shell."""
_WHEEL: Final = ".whl"
_FILE: Final = regex(r"(?i)^(?!.*(?:url|uri|link|name))(?:.*_)?(?:whl|wheel)")
"""A variable that is called a wheel, and not an address of one, is believed to name a file."""
_PIP: Final = frozenset({"pip.main", "pip._internal.main", "pip._internal.cli.main.main"})


class Started:
    """A command that is started: its words as far as they are spelled, and whether by a shell."""

    def __init__(self, words: tuple[str, ...], text: str | None, shell: bool) -> None:
        self.words = words
        self.text = text
        self.shell = shell

    def acts(self, line: int) -> Iterator[Act]:
        """What the command does."""
        if self.text is not None:
            yield from acts(read(self.text, line))
        elif self.words:
            words = tuple(Word(word, line) for word in self.words)
            yield from acts(Script((Command(words, line),)))

    def commands(self) -> Iterator[Command]:
        """The commands that it comes to."""
        if self.text is not None:
            yield from read(self.text).everything()
        elif self.words:
            yield Command(tuple(Word(word, 1) for word in self.words), 1)

    @property
    def dynamic(self) -> bool:
        """Whether a shell reads a text that only running the code tells whole."""
        return self.shell and (self.text is None or UNKNOWN in self.text)

    def installs(self) -> bool:
        """Whether it is pip that installs."""
        words = self._split()
        pip = any(w.rpartition("/")[2].startswith("pip") for w in words)
        return pip and "install" in words and "--dry-run" not in words

    def installs_files(self) -> bool:
        """Whether what the code does not spell of an installation are wheels that lie here."""
        unknown = [word for word in self._split() if UNKNOWN in word]
        return bool(unknown) and all(w.endswith(_WHEEL) and "://" not in w for w in unknown)

    def _split(self) -> tuple[str, ...]:
        return self.words or tuple((self.text or "").split())


def started(node: ast.Call, dotted: str, names: Names) -> Started | None:
    """The command that a call of something that executes starts."""
    if not node.args:
        given = keyword(node, "args") or keyword(node, "command")
        if given is None:
            return None
    else:
        given = node.args[0]
    if dotted in _PIP:
        return Started(("pip", *_words(given, names)), None, False)
    asked = keyword(node, "shell")
    shell = dotted in SHELLS or (isinstance(asked, ast.Constant) and bool(asked.value))
    words = _words(given, names)
    if words and not shell:
        return Started(words, None, False)
    text = " ".join(words) if words else spelled(given, names)
    if shell:
        return Started((), text, True)
    return Started((), text, False) if text is not None else None


_OUTPUTS: Final = {
    "wget": ("-O", "--output-document"), "curl": ("-o", "--output"), "gdown": ("-O", "--output"),
    "aria2c": ("-o", "--out"),
}  # fmt: skip
"""How programs that download are told the file to write."""
_FOLDERS: Final = ("-P", "--directory-prefix", "--output-dir", "-d", "--dir")


def downloaded(command: Started) -> Iterator[tuple[str, str, str]]:
    """What a command downloads into a file: the program, the address, the path of the file."""
    for one in command.commands():
        argv = [word.text for word in one.words]
        program = argv[0].rpartition("/")[2] if argv else ""
        if program not in _OUTPUTS:
            continue
        source = next((a for a in argv[1:] if "://" in a), "")
        file = _option(argv, _OUTPUTS[program])
        plain = next((r.target.text for r in one.redirects if r.operator in (">", ">|")), "")
        named = program != "curl" or any(
            a == "--remote-name" or (a[:1] == "-" != a[1:2] and "O" in a) for a in argv[1:]
        )
        if not file and not plain and named:
            file = source.partition("?")[0].rpartition("/")[2]
        if folder := _option(argv, _FOLDERS if program != "curl" else _FOLDERS[2:3]):
            file = posixpath.join(folder, file)
        file = file or plain
        if source and file and UNKNOWN not in file:
            yield program, source, posixpath.normpath(file)


def _option(argv: list[str], names: tuple[str, ...]) -> str:
    for number, text in enumerate(argv[:-1]):
        if text in names:
            return argv[number + 1]
    return next((t.partition("=")[2] for t in argv if t.partition("=")[0] in names), "")


def _words(node: ast.expr, names: Names) -> tuple[str, ...]:
    """The words of a list of arguments; `{}` for those that only running the code tells."""
    if isinstance(node, ast.Name):
        value = names.constants.get(node.id)
        return () if value is None or isinstance(value, ast.Name) else _words(value, names)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_word(item, names) for item in node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _words(node.left, names), _words(node.right, names)
        if left or right:
            return (left or (UNKNOWN,)) + (right or (UNKNOWN,))
    if isinstance(node, ast.Call):
        split = isinstance(node.func, ast.Attribute) and node.func.attr == "split"
        text = None
        if split and isinstance(node.func, ast.Attribute):
            path = names.resolve(node.func)
            owner = node.args[0] if path is not None and node.args else node.func.value
            text = spelled(owner, names)
        if text is not None:
            try:
                return tuple(shlex.split(text))
            except ValueError:
                return ()
    return ()


def _word(node: ast.expr, names: Names) -> str:
    path = names.resolve(node)
    if path is not None and path.dotted == "sys.executable":
        return "python"
    text = spelled(node.value if isinstance(node, ast.Starred) else node, names)
    if text in (None, UNKNOWN) and isinstance(node, ast.Name) and _FILE.search(node.id):
        return f"{UNKNOWN}{_WHEEL}"
    return UNKNOWN if text is None else text
