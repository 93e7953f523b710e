"""Check `fetched-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.shell_kinds import Kind as ShellKind
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged, decides
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding


@check("fetched-code", control="training-code", reads=Audit)
def fetched_code(audit: Audit) -> Iterator[Finding]:
    """A text that was just downloaded is run as a program.

    ## Why it matters
    What runs is decided at the address on the day: it can differ from what was reviewed, and from
    one machine to the next, and nothing of it is left to look at afterwards.

    ## What to do
    Keep the program in the repository, or fetch it from a full commit and compare its digest before
    it is run.

    ## Limits
    Downloads are followed as for `unsafe-load`. A command that pipes an installer from a
    TLS-protected address into a shell is a review; over plain HTTP it blocks.

    ## References
    - https://cwe.mitre.org/data/definitions/494.html
    - https://cwe.mitre.org/data/definitions/95.html
    """
    judged = []
    for practice in practices(audit, Kind.FETCHED_CODE):
        source = "what it downloads" if practice.detail in ("", "{}") else practice.detail
        held = "pinned" in practice.traits or "checked" in practice.traits
        action = Action.REVIEW if held else Action.BLOCK
        what = f"{practice.symbol} runs {source} as a program"
        does = f"{practice.symbol} runs it as a program"
        judged.append(Judged(practice, action, what, "", decides(practice.detail), does))
    for practice in practices(audit, Kind.COMMAND):
        if ShellKind.REMOTE_SCRIPT.value in practice.traits:
            who, does = decides(practice.detail), "it is run without being compared with anything"
            judged.append(Judged(practice, _action(practice), _piped(practice), "", who, does))
    yield from told(audit, judged, "a download is run")


def _action(practice: Practice) -> Action:
    return Action.BLOCK if practice.detail.lower().startswith("http://") else Action.REVIEW


def _piped(practice: Practice) -> str:
    return f"what was just downloaded is run unchecked, from {practice.detail}"
