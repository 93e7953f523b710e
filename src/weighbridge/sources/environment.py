"""An installed Python environment (a venv, a conda prefix, or site-packages alone)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from weighbridge.core.regex import regex
from weighbridge.core.report import LeftOut
from weighbridge.sources.folder import Folder, open_target

_LINKS: Final = regex(r"bin/python[\d.]*|lib64|bin/\U0001d70bthon")


def open_environment(path: Path) -> Folder:
    """The environment at a path. The links that every environment has, to its interpreter and from
    `lib64` to `lib`, are left out. Raises `OSError` where there is none."""
    folder = open_target(path)
    if folder.only is not None:
        raise OSError(0, "an environment is a folder")
    left_out: list[LeftOut] = []

    def usual(inner: str) -> bool:
        if not inner.startswith(("bin/", "lib64")):
            return False
        found = _LINKS.fullmatch(inner) is not None and (path / inner).is_symlink()
        if found:
            why = "a link to the interpreter, or to the folder beside it, as every environment has"
            left_out.append(LeftOut(path=inner, why=why))
        return found

    return replace(folder, skipped=usual, left_out=left_out)
