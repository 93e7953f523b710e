"""Weighbridge inspects an open-source AI model before it may enter production.

report = weighbridge.audit("path/to/model")
assert report.verdict == "pass", report.sentence
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weighbridge.api import (
        Access,
        Difference,
        Lock,
        Policy,
        PolicyError,
        Publisher,
        Report,
        RulesError,
        Settings,
        TargetError,
        Verification,
        audit,
        diff,
        lock,
        read_lock,
        read_policy,
        verify,
        write_lock,
    )

__version__ = "0.1.0"
__all__ = [
    "Access",
    "Difference",
    "Lock",
    "Policy",
    "PolicyError",
    "Publisher",
    "Report",
    "RulesError",
    "Settings",
    "TargetError",
    "Verification",
    "audit",
    "diff",
    "lock",
    "read_lock",
    "read_policy",
    "verify",
    "write_lock",
]


def __getattr__(name: str) -> Any:
    """What is public comes from `weighbridge.api`, imported at the first use: `weighbridge --help`
    must not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from weighbridge import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
