"""What is found in training code, by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from weighbridge.analysis.shell_kinds import Kind as ShellKind


class Kind(StrEnum):
    """What is done."""

    LOAD = "load"
    """Something fetched is rebuilt by a loader that can run code."""
    RECEIVED = "received"
    """Objects are rebuilt from what whoever connects has sent."""
    FETCHED_CODE = "fetched-code"
    """A text that was fetched is run as a program."""
    TRUST = "trust"
    """Code of a named repository is let in (`trust_remote_code`, `torch.hub.load`)."""
    TRUST_ANY = "trust-any"
    """Code of whatever repository is loaded is let in."""
    DATA_SCRIPT = "data-script"
    """A data set is loaded by a script that is run."""
    LOOSE = "loose"
    """A model or data set is loaded without a commit."""
    COMMAND = "command"
    """A command does what `traits` says in the terms of `shell_kinds.Kind`."""
    INSTALL_ANY = "install-any"
    """A package is installed whose name only running the code tells."""
    SHELL = "shell"
    """A shell reads a text that only running the code tells."""
    COLLECTOR = "collector"
    """A host that is known for taking in stolen data, a tunnel, a webhook, a bare address."""
    BUILD = "build"
    """Building or installing the package starts a program, fetches or runs something."""
    CREDENTIAL = "credential"
    """A credential is written into the code; `detail` is how it begins."""
    HOLDS = "holds"
    """A credential is read, in a file that does something of the above."""
    WRITES = "writes"
    """Weights are written or handed to a hub, in such a file."""


class Met(Struct, frozen=True):
    """One thing that is done: see `core.fact.Practice`. Lines count within the text."""

    kind: Kind
    line: int
    symbol: str
    detail: str = ""
    traits: tuple[str, ...] = ()
    way: tuple[tuple[int, str], ...] = ()


class Reached(Struct, frozen=True):
    """A host that is named: see `core.fact.Egress`."""

    host: str
    line: int
    how: str
    symbol: str
    sends: bool = False


class Training(Struct, frozen=True):
    """What was found in a text. `whole` is false where the budget ended first."""

    met: tuple[Met, ...] = ()
    reached: tuple[Reached, ...] = ()
    whole: bool = True


COMMANDS: Final = frozenset({
    ShellKind.REMOTE_SCRIPT, ShellKind.INSTALL_GIT, ShellKind.INSTALL_PLAIN,
    ShellKind.INSTALL_INDEX, ShellKind.INSTALL_UNPINNED, ShellKind.LITERAL_SECRET,
})  # fmt: skip
"""What is kept of the acts of a command."""
