"""Check `git-config`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.git import GitConfig, Setting

_COMMANDS: Final = regex(
    r"core\.(?:fsmonitor|sshcommand|hookspath|editor|pager|askpass|gitproxy|alternaterefscommand)"
    r"|filter\..*\.(?:clean|smudge|process)|diff\.external|diff\..*\.(?:command|textconv)"
    r"|merge\..*\.driver|(?:merge|diff)tool\..*\.cmd|(?:pager|gpg|credential|sequence)\.\w+"
    r"|gpg\..*\.program|credential\..*\.helper|uploadpack\.packobjectshook|interactive\.difffilter"
    r"|remote\..*\.(?:uploadpack|receivepack|vcs)|alias\.\w[\w-]*|submodule\..*\.update"
    r"|include(?:if\..*)?\.path|protocol\.ext\.allow|browser\..*\.cmd|man\..*\.cmd",
    re.DOTALL,
)
"""Settings whose value git runs, or that bring more settings in."""
_SWITCH: Final = regex(r"true|false|yes|no|on|off|[01]?", re.IGNORECASE)
_PLAIN: Final = regex(
    r"git-lfs (?:clean|smudge|filter-process)[\w %.-]*"
    r"|cache(?: --timeout[ =]\d+)?|store|osxkeychain|manager(?:-core)?|wincred|libsecret"
    r"|less[\w -]*|cat|vim?|nano|emacs|openpgp|x509|ssh|gpg2?|username|[\w.+-]+@[\w.-]+"
    r"|checkout|rebase|merge|none"
)
"""Values that run nothing but what is on every machine."""


@check("git-config", control="payload-scan", reads=GitConfig)
def git_config(config: GitConfig) -> Iterator[Finding]:
    """A repository's configuration names a command that git runs.

    ## Why it matters
    Git runs what its configuration names: a file system monitor with every `git status` (also
    with the one in a shell's prompt), an SSH command with every fetch, filters with every
    checkout. A clone brings no configuration along; a folder or an archive does.

    ## What to do
    Deploy the model without version control's files. If you need the history, clone it anew.

    ## Limits
    What the command does is not looked into. Included files and your own configuration are not
    read.

    ## References
    - https://git-scm.com/docs/git-config#Documentation/git-config.txt-corefsmonitor
    - https://cwe.mitre.org/data/definitions/829.html
    """
    for setting in config.settings:
        if _acts(setting):
            yield Finding(
                message=f"git runs or reads what {setting.name} = {setting.value[:120]!r} names",
                at=msgspec.structs.replace(config.where, line=setting.line),
                action=Action.REVIEW,
                symbol=setting.name,
                evidence=(Text("The setting", text=f"{setting.name} = {setting.value[:2000]}"),),
            )


def _acts(setting: Setting) -> bool:
    name, value = setting.name, setting.value
    if not _COMMANDS.fullmatch(name) or _SWITCH.fullmatch(value) or _PLAIN.fullmatch(value):
        return False
    if name.startswith("alias.") or name.endswith(".update"):
        return value.startswith("!")
    return not name.startswith("credential.") or name.endswith("helper")
