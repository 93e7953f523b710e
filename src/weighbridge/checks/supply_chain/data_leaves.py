"""Check `data-leaves`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.shell_kinds import Kind as ShellKind
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action, Finding

_SORTS: Final = {
    "collector": "shows what it is sent to whoever set it up",
    "tunnel": "leads to a machine that somebody chose",
    "webhook": "hands on what it is sent to a chat",
    "address": "is a bare address, without a name that could be checked",
}


@check("data-leaves", control="training-code", reads=Audit)
def data_leaves(audit: Audit) -> Iterator[Finding]:
    """Code sends data or credentials to a host that is known for taking them in.

    ## Why it matters
    Request bins, paste sites, tunnels and the webhooks of chats need no server of one's own, and
    leave no trace of who reads: stolen keys and data leave by them. A webhook that is fixed in the
    code reports to its author, on whoever's machine the code runs.

    ## What to do
    Take the address out. Rotate the credentials that the machine held if the code was run.
    Notifications belong in the configuration of whoever wants them.

    ## Limits
    What is sent is told from the arguments of the call and the names that the function assigns.
    An address that is put together from parts which the file does not spell is not seen. A host
    in a text that is not called is a review where it is a full address, else a note.

    ## References
    - https://attack.mitre.org/techniques/T1567/
    - https://cwe.mitre.org/data/definitions/200.html
    - https://cwe.mitre.org/data/definitions/798.html
    """
    judged = [_judge(p) for p in practices(audit, Kind.COLLECTOR)]
    for practice in practices(audit, Kind.COMMAND):
        if ShellKind.LITERAL_SECRET.value in practice.traits:
            message = f"a credential is written into a command: {practice.detail}"
            judged.append(Judged(practice, Action.REVIEW, message, "", "whoever reads this file"))
    yield from told(audit, judged, "hosts that take in data are named")


def _judge(practice: Practice) -> Judged:
    traits = practice.traits
    sort = next(s for s in _SORTS if s in traits)
    who = f"whoever set up {practice.detail} has it"
    host = f"{practice.detail}, which {_SORTS[sort]}"
    if not practice.symbol:
        fixed = "fixed" in traits and sort in ("collector", "webhook")
        action = Action.REVIEW if fixed else Action.NOTE
        return Judged(practice, action, f"it names {host}", "", who)
    if "sends" not in traits:
        action = Action.REVIEW if sort in ("collector", "tunnel", "webhook") else Action.NOTE
        return Judged(practice, action, f"it connects to {host}", "", who)
    if "secret" in traits:
        does = f"{practice.symbol} sends them to {practice.detail}"
        return Judged(practice, Action.BLOCK, f"it sends credentials to {host}", "", who, does)
    certain = sort == "collector" or ("fixed" in traits and sort in ("webhook", "tunnel"))
    action = Action.BLOCK if certain else Action.REVIEW
    does = f"{practice.symbol} sends data to {practice.detail}"
    return Judged(practice, action, f"it sends data to {host}", "", who, does)
