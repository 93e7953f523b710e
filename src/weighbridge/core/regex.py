"""Regular expressions that are compiled when they are first used.

Some four hundred stand at the top of modules, an audit of little uses a few dozen of them, and
compiling all of them took a fifth of its start. Nothing else changes: compiling needs no file, so
the jail may be closed by then.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, Final, cast

_USED: Final = (
    "finditer", "findall", "flags", "fullmatch", "groupindex", "groups", "match", "pattern",
    "scanner", "search", "split", "sub", "subn",
)  # fmt: skip


class _Waiting:
    """Becomes like its expression at the first use: what is asked of it then stands in it."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._asked = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _USED:
            raise AttributeError(name)
        compiled: re.Pattern[Any] = re.compile(*self._asked)
        for used in _USED:
            setattr(self, used, getattr(compiled, used))
        return getattr(compiled, name)


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, later. Raises `re.error` at the first use (a test uses every one)."""
    return cast("re.Pattern[AnyStr]", _Waiting(pattern, flags))
