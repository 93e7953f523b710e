"""Modules that are imported when they are first used: those that few audits need.

The jail lets a child read the program's own code and libraries (`engine/jail.py`), so that it may
be closed by then.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """Stands for a module until something of it is asked for. For the type checker it is the
    module: `if TYPE_CHECKING: import it` and `else: name = Later("its name")`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, asked: str) -> Any:
        found = getattr(import_module(self._name), asked)
        setattr(self, asked, found)
        return found
