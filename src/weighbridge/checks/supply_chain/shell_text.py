"""Check `shell-text`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding


@check("shell-text", control="training-code", reads=Audit)
def shell_text(audit: Audit) -> Iterator[Finding]:
    """A shell is given a text that is put together while the code runs.

    ## Why it matters
    A name of a file, a model or a branch that holds `; …` or `$( … )` becomes a command. In
    training code such names come from configuration, from data sets and from the Hub.

    ## What to do
    Hand over a list of arguments without a shell (`subprocess.run([...])`).

    ## Limits
    Whether an outsider can choose the parts is not known: it is noted, not accused.

    ## References
    - https://docs.python.org/3/library/subprocess.html#security-considerations
    - https://cwe.mitre.org/data/definitions/78.html
    """
    judged = [
        Judged(p, Action.NOTE, f"{p.symbol}: {p.detail or 'a text that is not spelled here'}")
        for p in practices(audit, Kind.SHELL)
    ]
    yield from told(audit, judged, "a shell reads a text that is put together at run time")
