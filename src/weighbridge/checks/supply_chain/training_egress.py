"""Check `training-egress`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.practices import UNREAD, place
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Egress, Practice
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location

SHOWN: Final = 5_000
_HOW: Final = {"reports": 0, "calls": 1, "names": 2}


@check("training-egress", control="training-code", reads=Audit)
def training_egress(audit: Audit) -> Iterator[Finding | Gap]:
    """The hosts that training code connects to, reports to, or names.

    ## Why it matters
    Where training runs, these are the destinations that a firewall has to allow, and no others:
    whatever else it connects to is a surprise. Telemetry and experiment trackers are sent
    parameters, metrics, often samples of the data.

    ## What to do
    Put the hosts that are needed on the list of the place where training runs, and deny the rest.
    Turn off reports that nobody reads.

    ## Limits
    Only addresses that the source spells. Libraries connect by themselves; the best known are
    listed by their calls. Addresses that are only named (in a message, as a default) are listed
    apart. Comments and documentation are left out.

    ## References
    - https://attack.mitre.org/techniques/T1041/
    - https://cwe.mitre.org/data/definitions/829.html
    """
    if not audit.built:
        why = "the repository that built the model was not given (--source)"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
    hosts: dict[str, list[Egress]] = defaultdict(list)
    for fact in audit.facts:
        if isinstance(fact, Egress):
            hosts[fact.host].append(fact)
        elif isinstance(fact, Practice) and fact.kind == UNREAD:
            why = "what this file computes could not be followed to its end"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=fact.at)
    if not hosts:
        return
    rows = sorted((_row(host, found) for host, found in hosts.items()), key=_order)
    called = sorted(row[0] for row in rows if row[1] != "names" and row[4] == "code")
    first = min((f for found in hosts.values() for f in found), key=_near)
    named = f": {', '.join(called[:8])}" + (" …" if len(called) > 8 else "") if called else ""
    cut = f"; the first {SHOWN:,} are listed" if len(rows) > SHOWN else ""
    columns = ("host", "how", "sends", "times", "where", "first")
    yield Finding(
        message=f"the code connects or reports to {len(called):,} hosts{named}; "
        f"{len(hosts) - len(called):,} more are only named, or stand in tests and examples{cut}",
        at=first.at,
        action=Action.NOTE,
        symbol="egress",
        evidence=(Table("Hosts", columns, tuple(rows[:SHOWN])),),
    )


def _row(host: str, found: list[Egress]) -> tuple[str, str, str, str, str, str]:
    best = min(found, key=lambda f: (f.aside, _HOW[f.how]))
    sends = "yes" if any(f.sends for f in found) else ""
    where = "aside" if all(f.aside for f in found) else "code"
    return (host, best.how, sends, str(len(found)), where, place(best.at))


def _order(row: tuple[str, ...]) -> tuple[object, ...]:
    return (row[4] != "code", _HOW[row[1]], row[0])


def _near(egress: Egress) -> tuple[object, ...]:
    return (egress.aside, egress.at.path, egress.at.inside, egress.at.line or 0)
