"""The way from who decides what comes into training to what is to be had there, step by step.

Every step stands in the code: who decides is read from the address that is spelled, what is within
reach from the file in which it comes in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from weighbridge.analysis.python_spelling import UNKNOWN
from weighbridge.analysis.training_kinds import Kind
from weighbridge.core.check import Audit
from weighbridge.core.evidence import AttackPath, Node
from weighbridge.core.fact import Practice
from weighbridge.core.finding import Action
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

LABEL: Final = 160
_GIT_HOST: Final = regex(
    r"(?:git\+)?[a-z]{3,5}://(?:[^/@\s]{1,100}@)?((?:www\.|raw\.)?(?:github\.com|githubusercontent\.com"
    r"|gitlab\.com|bitbucket\.org|huggingface\.co)/[\w.-]{1,100}/[\w.-]{1,100})", re.IGNORECASE
)  # fmt: skip
_HOST: Final = regex(r"([a-z+]{2,8})://(?:[^/@\s]{1,100}@)?([^\s/:?#]{1,253})", re.IGNORECASE)
_REPOSITORY: Final = regex(r"[\w.-]{1,100}/[\w.-]{1,100}(?::[\w./-]{1,100})?")


class Judged(Struct, frozen=True):
    """A practice with what is to be done about it, before it is known to stand aside; `message`
    says what it is without its place, `about` what in particular. `who` decides what comes in (for
    what goes out: takes it), `does` says what the code does with it."""

    practice: Practice
    action: Action
    message: str
    about: str = ""
    who: str = ""
    does: str = ""


def decides(source: str) -> str:
    """Who decides what stands at an address, or in a repository, as far as that is spelled."""
    if found := _GIT_HOST.search(source):
        return f"whoever may write to {found[1].removesuffix('.git')}"
    if found := _HOST.search(source):
        scheme, host = found[1].lower(), found[2]
        if UNKNOWN in host:
            return "whoever answers at the address that the code is given"
        if scheme in ("http", "ftp"):
            return f"whoever controls {host}, or the way to it ({scheme} is not protected)"
        return f"whoever controls {host}"
    if _REPOSITORY.fullmatch(source):
        return f"whoever may write to {source.partition(':')[0]}"
    return "whoever answers at the address that the code is given"


def reach(audit: Audit) -> Mapping[str, list[Practice]]:
    """What each file was seen to hold and to write."""
    kinds = (Kind.HOLDS.value, Kind.WRITES.value)
    found: defaultdict[str, list[Practice]] = defaultdict(list)
    for fact in audit.facts:
        if isinstance(fact, Practice) and fact.kind in kinds:
            found[fact.at.path].append(fact)
    return found


def way(one: Judged, held: Sequence[Practice]) -> AttackPath:
    """The steps of one finding. What goes out ends with who takes it, what comes in with what is
    within reach of it."""
    practice = one.practice
    does = one.does or one.message
    steps = [(hop.label, hop.at) for hop in practice.way]
    if practice.kind == Kind.COLLECTOR:
        labels = [*steps, (does, practice.at), (one.who, practice.at)]
        return drawn("The way out", labels)
    start = steps[0][1] if steps else practice.at
    labels = [(one.who, start), *steps, (does, practice.at)]
    tokens = [p for p in held if p.kind == Kind.HOLDS]
    if tokens:
        names = ", ".join(dict.fromkeys(p.detail for p in tokens))
        labels.append((f"in reach: {names}", tokens[0].at))
    writes = [p for p in held if p.kind == Kind.WRITES]
    for pushed in sorted(writes, key=lambda p: "pushes" not in p.traits)[:1]:
        what = "what is pushed to a hub" if "pushes" in pushed.traits else "the weights written"
        labels.append((f"in reach: {what} by {pushed.symbol}", pushed.at))
    return drawn("The way in", labels)


def drawn(title: str, labels: list[tuple[str, Location]]) -> AttackPath:
    """A path of these steps, the first where it begins and the last what comes of it."""
    last = len(labels) - 1
    roles = {0: "source", last: "sink"}
    return AttackPath(
        title,
        steps=tuple(
            Node(f"step{n}", label[:LABEL], roles.get(n, ""), at)
            for n, (label, at) in enumerate(labels)
            if label
        ),
    )
