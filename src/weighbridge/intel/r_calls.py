"""Functions of R that act on the machine, and what they do. By name, without their package: any
expression can reach them so."""

from __future__ import annotations

from typing import Final

from weighbridge.core.report import Intel

REVIEWED: Final = "2026-11-25"

ACTING: Final[dict[str, str]] = {
    "system": "starts a program", "system2": "starts a program", "shell": "starts a program",
    "shell.exec": "starts a program", "pipe": "starts a program", "fifo": "opens a pipe",
    "exec_wait": "starts a program", "exec_background": "starts a program",
    "dyn.load": "loads a native library", "library.dynam": "loads a native library",
    "sourceCpp": "compiles and loads native code", "cfunction": "compiles and loads native code",
    "source": "runs a script", "sys.source": "runs a script", "eval": "evaluates an expression",
    "evalq": "evaluates an expression", "parse": "parses text as code",
    "str2lang": "parses text as code", "str2expression": "parses text as code",
    "download.file": "downloads a file", "url": "opens an address",
    "socketConnection": "connects to a machine", "make.socket": "connects to a machine",
    "serverSocket": "listens for connections", "curl_download": "downloads a file",
    "install.packages": "installs packages", "install_github": "installs packages",
    "unlink": "removes files", "file.remove": "removes files", "file.rename": "renames files",
    "file.copy": "copies files", "writeLines": "writes a file", "writeBin": "writes a file",
    "saveRDS": "writes a file", "sink": "writes a file", "cat": "writes text",
    "Sys.setenv": "changes the environment", "Sys.getenv": "reads the environment",
    "readRDS": "loads another object", "load": "loads other objects",
    "unserialize": "loads another object", "quit": "ends R", "q": "ends R",
    "reticulate::py_run_string": "runs Python", "py_run_string": "runs Python",
    "py_run_file": "runs Python", "assignInNamespace": "replaces a function of a package",
    "unlockBinding": "replaces a function of a package", "reg.finalizer": "runs code later",
    "addTaskCallback": "runs code after each command", ".Call": "calls native code",
    ".External": "calls native code", ".C": "calls native code", "do.call": "calls by a name",
}  # fmt: skip
PLAIN: Final = frozenset(
    {"eval", "evalq", "do.call", "cat", ".Call", ".External", ".C", "Sys.getenv", "parse", "load",
     "readRDS", "writeLines", "str2lang", "url", "unserialize", "quit", "q", "sink", "source"}
)  # fmt: skip
"""What ordinary functions of packages call as well: in a function it accuses nobody."""


def effect(name: str) -> str:
    """What a call does, by the last part of its name, or the empty string."""
    return ACTING.get(name) or ACTING.get(name.rpartition("::")[2], "")


def load() -> Intel:
    """The date of the list."""
    return Intel(name="functions of R that act", date=REVIEWED)
