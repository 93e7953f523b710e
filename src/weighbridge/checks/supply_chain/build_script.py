"""Check `build-script`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.other_ci import LIMIT, is_script, scripts, system_of
from weighbridge.analysis.shell_acts import acts
from weighbridge.analysis.shell_kinds import Act, Kind
from weighbridge.analysis.training_ways import decides, drawn
from weighbridge.core.check import Audit, check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import AttackPath, Text
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import read_whole
from weighbridge.formats.shell import LIMIT as SCRIPT
from weighbridge.formats.shell import read

BUDGET: Final = 48 << 20
"""How many bytes of scripts are read in all."""
DEEP: Final = "shells within shells lie too deep to be read"
SAID: Final = {
    Kind.REMOTE_SCRIPT: "what was just downloaded is run unchecked, from",
    Kind.INSTALL_GIT: "a package is installed from git, by no full commit:",
    Kind.INSTALL_PLAIN: "packages are installed without the protection of TLS:",
    Kind.INSTALL_INDEX: "a second index is asked for the same names:",
    Kind.INSTALL_UNPINNED: "packages are installed in whatever version is the newest:",
    Kind.MODEL_DOWNLOAD: "a model or data set is fetched in no fixed revision:",
    Kind.LITERAL_SECRET: "a credential is written into a command:",
}
_ACTIONS: Final = {
    Kind.REMOTE_SCRIPT: Action.REVIEW,
    Kind.INSTALL_GIT: Action.REVIEW,
    Kind.INSTALL_PLAIN: Action.REVIEW,
    Kind.LITERAL_SECRET: Action.REVIEW,
}


@check("build-script", control="training-code", reads=Audit)
def build_script(audit: Audit) -> Iterator[Finding | Gap]:
    """A script runs or installs what can be another thing tomorrow.

    ## Why it matters
    Scripts that set up a training machine are run with its credentials and beside its data. What
    they pipe from the network into a shell, install from the tip of a branch or over plain HTTP is
    chosen by whoever owns that place on the day.

    ## What to do
    Compare a digest before running a download; name full commits in `git+` addresses; use one
    index, over TLS, with hashes; name a revision for every model.

    ## Limits
    Shell scripts by their names, recipes of makefiles, and the scripts in the configuration of
    GitLab, CircleCI, Azure, Buildkite, Bitbucket, Travis, AppVeyor, Cirrus, Drone, Cloud Build and
    Jenkins (what `sh` is given) are read as commands. Variables are not expanded. Versions that are
    not pinned, second indexes and models without a revision are notes.

    ## References
    - https://cwe.mitre.org/data/definitions/494.html
    - https://pip.pypa.io/en/stable/topics/secure-installs/
    """
    left = BUDGET
    for path, blob in audit.blobs.items():
        if not is_script(path) and system_of(path) is None:
            continue
        most = SCRIPT if is_script(path) else LIMIT
        if blob.size > min(most, left):
            why = f"a script above {most >> 20} MiB is not read"
            if blob.size <= most:
                why = f"more than {BUDGET >> 20} MiB of scripts; this one was not read"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=Location(path))
            continue
        left -= blob.size
        try:
            text = read_whole(blob).decode("utf-8")
            yield from _of(path, text)
        except UnicodeDecodeError:
            yield Gap(kind=GapKind.MALFORMED, message="a script that is no text", at=Location(path))
        except Malformed as error:
            yield Gap(kind=GapKind.MALFORMED, message=error.why, at=Location(path))
        except OSError as error:
            why = error.strerror or "it could not be read"
            yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(path))


def _way(act: Act, at: Location) -> AttackPath:
    """From who decides what comes to the command that takes it."""
    who, does = decides(act.detail), "installing it runs its code"
    if act.kind is Kind.REMOTE_SCRIPT:
        does = "it is run without being compared with anything"
    elif act.kind is Kind.LITERAL_SECRET:
        who, does = "whoever reads this file", "the credential is used"
    elif act.detail.startswith("the certificate"):
        who = "whoever is on the way to the index"
    return drawn("The way in", [(who, at), (f"{does}: {act.text}", at)])


def _of(path: str, text: str) -> Iterator[Finding | Gap]:
    seen: set[str] = set()
    loose: list[Act] = []
    for found in scripts(path, text):
        script = read(found.text, found.line)
        if script.broken:
            why = "a script could not be read to its end"
            yield Gap(kind=GapKind.MALFORMED, message=why, at=Location(path, line=script.broken))
        for act in acts(script):
            if act.kind is Kind.UNREAD:
                yield Gap(kind=GapKind.TOO_LARGE, message=DEEP, at=Location(path, line=act.line))
            symbol = f"{act.kind.value}: {act.detail[:100]}"
            if act.kind not in SAID or symbol in seen:
                continue
            seen.add(symbol)
            if act.kind is Kind.INSTALL_UNPINNED:
                loose.append(act)
                continue
            at = Location(path, line=act.line)
            action = _ACTIONS.get(act.kind, Action.NOTE)
            shown = Text("The command", text=act.text, language="shell")
            yield Finding(
                message=f"{SAID[act.kind]} {act.detail[:160]}",
                at=at,
                action=action,
                symbol=symbol,
                evidence=(shown,) if action is Action.NOTE else (_way(act, at), shown),
            )
    if loose:
        lines = "\n".join(f"{a.line}: {a.text}" for a in loose[:20])
        lines += f"\n… and {len(loose) - 20:,} more" if len(loose) > 20 else ""
        yield Finding(
            message=f"{SAID[Kind.INSTALL_UNPINNED]} {loose[0].detail[:120]}",
            at=Location(path, line=loose[0].line),
            action=Action.NOTE,
            symbol="unpinned",
            evidence=(Text("The commands", text=lines, language="shell"),),
        )
