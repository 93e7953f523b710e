"""Check `index-confusion`."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weighbridge.analysis.dependencies import dependencies, lies_aside, shown, weighed
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Firmness, Installs, PackageIndex
from weighbridge.core.finding import Action, Finding, Related
from weighbridge.core.location import Location
from weighbridge.formats.default_index import is_default_index
from weighbridge.intel.packages import VENDOR_INDEXES

SHOWN: Final = 50
_UNSAFE: Final = frozenset({"unsafe-best-match", "unsafe-first-match"})


@check("index-confusion", control="dependencies", reads=Audit)
def index_confusion(audit: Audit) -> Iterator[Finding]:
    """Packages can come from another place than the one that is meant.

    ## Why it matters
    With a second index, the highest version of a name wins, wherever it stands: whoever registers
    the name of an internal package on the public index gets it installed (`torchtriton`, 2022). An
    index over plain HTTP, or a host that need not prove who it is, lets everybody on the way choose
    what is installed.

    ## What to do
    Use one index that holds all that you need (a proxy that does not fall through), or bind each
    package to its index (uv: `explicit = true`), and install with hashes. Use HTTPS.

    ## Limits
    What stands on the machine that installs (its own settings, its environment) is not seen. Which
    names the indexes hold is not asked.

    ## References
    - https://pytorch.org/blog/compromised-nightly-dependency/
    - https://docs.astral.sh/uv/concepts/indexes/#searching-across-multiple-indexes
    - https://cwe.mitre.org/data/definitions/427.html
    - https://cwe.mitre.org/data/definitions/319.html
    """
    for fact in dependencies(audit).files:
        aside = lies_aside(fact, audit)
        told: dict[tuple[str, str], list[Location]] = defaultdict(list)
        for index in fact.indexes:
            at = msgspec.structs.replace(fact.at, line=index.line or None)
            told[index.kind, index.said].append(at)
        for (kind, said), (at, *others) in told.items():
            why, action = _judged(PackageIndex(kind=kind, said=said), fact)
            if why:
                yield Finding(
                    message=why,
                    at=at,
                    action=weighed(action, aside),
                    symbol=f"{kind} {shown(said)}",
                    related=tuple(Related("also named here", other) for other in others[:SHOWN]),
                    evidence=_open_names(fact) if kind in ("extra", "strategy") else (),
                )


def _judged(index: PackageIndex, fact: Installs) -> tuple[str, Action]:
    said = shown(index.said)
    match index.kind:
        case "trusted-host":
            return f"{said} need not prove who it is: anybody on the way can answer", Action.REVIEW
        case "channel-priority":
            loose = index.said.lower() in ("flexible", "disabled", "false")
            why = f"channel_priority is {said}: a package may come from any of the channels"
            return (why, Action.REVIEW) if loose else ("", Action.NOTE)
        case "strategy":
            why = f"{said}: of several indexes, the one with the highest version is taken"
            unsafe = index.said in _UNSAFE
            return (why, Action.REVIEW) if unsafe else ("", Action.NOTE)
        case "no-index":
            return "", Action.NOTE
    if _insecure(index.said):
        what = "a channel" if index.kind == "channel" else "an index"
        return f"{what} over plain HTTP, where anybody on the way can answer: {said}", Action.REVIEW
    if index.kind == "extra":
        why = f"a second index ({said}): the highest version of a name is taken, from either"
        # What a nightly index serves is often not on the public one, where the name is free.
        settled = _vendor(index.said) and "nightly" not in index.said
        return why, Action.NOTE if settled else Action.REVIEW
    if index.kind == "index" and not is_default_index(index.said):
        return f"packages are taken from another index: {said}", _of_other(index.said)
    if index.kind == "find-links" and "://" in index.said:
        return f"archives are taken from a page beside the index: {said}", _of_other(index.said)
    return "", Action.NOTE


def _of_other(url: str) -> Action:
    return Action.NOTE if _vendor(url) else Action.REVIEW


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _vendor(url: str) -> bool:
    return _host(url) in VENDOR_INDEXES and url.startswith("https://")


def _insecure(url: str) -> bool:
    host = _host(url)
    if not url.lower().startswith("http://") or not host or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _open_names(fact: Installs) -> tuple[Table, ...]:
    """The packages that could come from either index: those that no digest binds."""
    loose = [r for r in fact.requirements if not r.url and r.firm is not Firmness.HASH]
    rows = tuple((f"{r.line:,}", r.name[:80], r.specifier[:80]) for r in loose[:SHOWN])
    title = "Could come from either"
    return (Table(title, ("line", "package", "versions"), rows),) if rows else ()
