"""Check `run-time-install`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.declared import is_own, own_names
from weighbridge.analysis.practices import NOTEBOOK_SHELL, practices, told
from weighbridge.analysis.shell_kinds import Kind as ShellKind
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged, decides
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import within
from weighbridge.core.regex import regex

_INSTALLS: Final = (ShellKind.INSTALL_PLAIN, ShellKind.INSTALL_GIT, ShellKind.INSTALL_INDEX,
                    ShellKind.INSTALL_UNPINNED)  # fmt: skip


@check("run-time-install", control="training-code", reads=Audit)
def run_time_install(audit: Audit) -> Iterator[Finding]:
    """Code or a notebook installs packages while it runs, from what can change.

    ## Why it matters
    Installing runs the package's code. From the tip of a branch, over plain HTTP or past the check
    of a certificate, somebody else chooses that code on the day, after every lock file and review.
    A second index can answer for the names of the first.

    ## What to do
    Declare dependencies, lock them with hashes, install before the code runs. In notebooks name
    versions, and a full commit after `git+…@`. Use one index, over TLS.

    ## Limits
    Commands are read as far as the source spells them. The repository's own address, as it is
    declared in its project files, counts as its own code and is noted. A range of versions counts
    as unpinned. Shell scripts are the matter of `build-script`.

    ## References
    - https://pip.pypa.io/en/stable/topics/vcs-support/
    - https://pip.pypa.io/en/stable/topics/secure-installs/
    - https://cwe.mitre.org/data/definitions/829.html
    - https://cwe.mitre.org/data/definitions/427.html
    """
    own: dict[str, frozenset[str]] = {}
    judged = []
    for practice in practices(audit, Kind.COMMAND, Kind.INSTALL_ANY):
        part = within(practice.at.path)[0]
        if part not in own:
            own[part] = own_names(audit.blobs, part)
        found = _judge(practice, own[part])
        if found is not None:
            judged.append(found)
    yield from told(
        audit, judged, "packages are installed without a version, or the repository itself is"
    )


_TAGGED: Final = regex(r"@(?:[0-9a-f]{7,39}|v?\d+(?:\.\d+)+[\w.+-]*)(?:[#&]|$)", re.IGNORECASE)
"""A revision that is meant to stay, and can be moved."""


def _judge(practice: Practice, own: frozenset[str]) -> Judged | None:
    found = _weighed(practice, own)
    if found is None:
        return None
    action, how, about = found
    does = "installing it runs its code"
    return Judged(practice, action, how, about, _chooses(practice), does)


def _chooses(practice: Practice) -> str:
    """Who decides what an installation brings."""
    about = practice.detail
    if practice.kind == Kind.INSTALL_ANY:
        return "whoever names the package"
    if ShellKind.INSTALL_INDEX.value in practice.traits:
        return f"whoever can publish a package of that name at {about[:80]}"
    if ShellKind.INSTALL_UNPINNED.value in practice.traits:
        return f"whoever publishes {about[:80]}"
    if about.startswith("the certificate"):
        return "whoever is on the way to the index"
    return decides(about)


def _weighed(practice: Practice, own: frozenset[str]) -> tuple[Action, str, str] | None:
    about = practice.detail
    if practice.kind == Kind.INSTALL_ANY:
        if "file" in practice.traits:
            return Action.NOTE, "a wheel that lies here is installed while the code runs", about
        return Action.REVIEW, "a package is installed while the code runs", about
    kind = next((k for k in _INSTALLS if k.value in practice.traits), None)
    if kind is ShellKind.INSTALL_PLAIN:
        how = "packages are installed without the protection of TLS"
        return Action.BLOCK, how, about
    if kind is ShellKind.INSTALL_GIT:
        if is_own(about, own):
            return Action.NOTE, "the repository installs its own newest state", ""
        if _TAGGED.search(about):
            how = "a package is installed from git by a tag or a shortened commit"
            return Action.REVIEW, how, about
        how = "a package is installed from git, from the tip of a branch"
        return Action.BLOCK, how, about
    if kind is ShellKind.INSTALL_INDEX:
        action = Action.NOTE if "vendor" in practice.traits else Action.REVIEW
        return action, "a second index is asked for the same names", about
    if kind is ShellKind.INSTALL_UNPINNED:
        if practice.symbol == NOTEBOOK_SHELL:
            return Action.NOTE, "a notebook installs whatever is newest", about
        how = "code installs, while it runs, whatever is newest"
        return Action.REVIEW, how, about
    return None
