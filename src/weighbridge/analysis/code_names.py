"""Which of the names that a piece of code uses let it act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weighbridge.intel.names import Standing, classify, module_effect

METHODS: Final = frozenset({"system", "popen", "check_output", "Popen"})
"""Names of methods that start a program, whatever they are called on."""


def acting_names(names: Iterable[str]) -> list[str]:
    """The names, sorted, that execute, import by name or connect."""
    return sorted({n for n in names if n.isidentifier() and _acts(n)})


def _acts(name: str) -> bool:
    direct = classify("builtins", name)
    return (
        (direct.standing is Standing.ACTING and direct.why in ("execute", "import"))
        or module_effect(name) in ("execute", "connect")
        or name in METHODS
    )
