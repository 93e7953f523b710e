"""What is said of every model, hostile or not, because no file can answer it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.policy.policy import Waiver

CHECKS = frozenset({"unexamined-model"})
"""That weights were not examined for backdoors: a review that accuses nobody."""

ACCEPTED = Waiver(
    id="weights", check="unexamined-model", symbol="weights", reason="a test",
    owner="the tests", expires=date(2999, 1, 1),
)  # fmt: skip
"""With it an audit can pass that holds a model."""


UNFOLLOWED = ("was not followed:", "the numbers of its layers, which Keras keeps")
"""What gaps say of a whole format, or of a kind of model in it."""


def accusing(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that are about this model and no other."""
    return [f for f in findings if f.check not in CHECKS]


def unread(gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps that are about this model: something of it was there and was not read. That the graph
    of a format without a front was not followed is true of every model in it; that no advisories
    were at hand for what one asks for, of the audit."""
    return [
        g
        for g in gaps
        if g.kind is not GapKind.NOT_GIVEN
        and not (g.kind is GapKind.OFFLINE and g.controls == ("dependencies",))
        and not (g.controls == ("backdoor",) and any(said in g.message for said in UNFOLLOWED))
    ]
