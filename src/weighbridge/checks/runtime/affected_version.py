"""Check `affected-version`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from weighbridge.analysis.advised import Advised, Hold, weaknesses
from weighbridge.analysis.dependencies import Wanted, dependencies, role, weighed
from weighbridge.analysis.systems import systems
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind, Related
from weighbridge.core.location import Location
from weighbridge.intel.advisories.index import OLD, Index, NoIndex, age
from weighbridge.intel.advisories.osv import Standing, judge, parse
from weighbridge.intel.advisories.severity import LEVELS

SHOWN: Final = 500
QUOTED: Final = 120
"""Characters of a summary."""


@check("affected-version", control="dependencies", reads=Audit)
def affected_version(audit: Audit) -> Iterator[Finding | Gap]:
    """A package is asked for in a version that an advisory speaks of.

    ## Why it matters
    What loads and serves a model reads bytes of strangers: a hole in it (`torch.load` below 2.6
    runs code even with `weights_only`, serving engines that unpickle what arrives) is a way in
    that no scan of the model's files closes.

    ## What to do
    Ask for the version that is named as free of all of them, and install from a lock with hashes.
    `weighbridge update` brings the advisories up to date.

    ## Limits
    As good as the advisories that `weighbridge update` fetched; without them nothing is looked up,
    and the control stays open. Nothing is resolved here: an open range is held against the
    versions that the advisories name. Packages of conda are looked up under their names on PyPI.
    Whether the affected code is reached is not known.

    ## References
    - https://ossf.github.io/osv-schema/
    - https://nvd.nist.gov/vuln/detail/CVE-2025-32434
    - https://cwe.mitre.org/data/definitions/1395.html
    """
    found = dependencies(audit)
    yield from found.gaps
    if not found.wanted:
        if not found.gaps and not any(systems(audit)):
            why = "nothing in the target says what it is installed with"
            yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
        return
    if audit.advisories is None:
        yield _not_looked_up(found.wanted, audit.missing.get("advisories", "there are none"))
        return
    try:
        with Index(Path(audit.advisories)) as index:
            yield from _state(index)
            yield from _unknown(found.wanted)
            said = [a for w in found.wanted for a in weaknesses(w, index)]
    except NoIndex as error:
        yield _not_looked_up(found.wanted, str(error))
        return
    groups: dict[tuple[str, str], list[Advised]] = defaultdict(list)
    for one in said:
        groups[one.wanted.key, one.wanted.version or one.wanted.specifier].append(one)
    # The gravest first: of very many findings in one file a report lists the first ones.
    for _, group in sorted(groups.items(), key=lambda g: (min(map(_gravest, g[1])), g[0])):
        yield from _judged(group, role(group[0].wanted.key, audit))


def _not_looked_up(wanted: tuple[Wanted, ...], why: str) -> Gap:
    several = f"{len(wanted):,} requirements were" if len(wanted) > 1 else "a requirement was"
    return Gap(
        kind=GapKind.OFFLINE,
        message=f"{several} not looked up: {why}",
        at=Location(wanted[0].at.path, wanted[0].at.inside),
    )


def _state(index: Index) -> Iterator[Finding | Gap]:
    """What the advisories themselves leave open."""
    facts = index.facts
    days = age(facts)
    if days > OLD:
        yield Finding(
            message=f"the newest advisory is {days:,} days old ({facts.date}): what was published "
            "since is not known here",
            at=Location("."),
            action=Action.NOTE,
            symbol="old advisories",
        )
    if facts.unread:
        why = f"{facts.unread:,} advisories of {facts.source} could not be read"
        yield Gap(kind=GapKind.MALFORMED, message=why, at=Location("."))


def _unknown(wanted: tuple[Wanted, ...]) -> Iterator[Gap]:
    """What cannot be looked up, or not as one version."""
    nameless: dict[str, list[Wanted]] = defaultdict(list)
    opened: Counter[str] = Counter()
    aside: list[Wanted] = []
    for one in wanted:
        if not one.key or (one.said.url and one.version is None):
            nameless[one.at.path].append(one)
        elif one.version is None and one.aside:
            aside.append(one)
        elif one.version is None:
            opened[one.at.path] += 1
    for path, those in sorted(nameless.items()):
        told = ", ".join(dict.fromkeys(w.told for w in those[:5]))
        outside = any(w.said.url for w in those)
        what = "an address, which tells no version" if outside else "no package of Python"
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message=f"advisories cannot be looked up for {len(those):,} of what is asked for "
            f"({told}): {what}",
            at=Location(path),
        )
    for path, count in sorted(opened.items()):
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message=f"{count:,} of the requirements here are open: which versions they resolve "
            "to was not given (a lock was not)",
            at=Location(path),
        )
    if aside:
        files = len({one.at.path for one in aside})
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message=f"{len(aside):,} requirements of CI, tests, examples and documentation, in "
            f"{files:,} files, are open: which versions they resolve to was not given",
            at=Location(aside[0].at.path),
        )


def _judged(group: list[Advised], part: str) -> Iterator[Finding]:
    """One finding for all that is said of one version, or of one range."""
    group = sorted(group, key=lambda a: a.wanted.aside)
    wanted = group[0].wanted
    each = list({a.merged.ids: a for a in reversed(group)}.values())
    for hold in (Hold.AFFECTED, Hold.ONLY, Hold.MAY, Hold.WITHDRAWN, Hold.UNDECIDED):
        those = sorted((a for a in each if a.hold is hold), key=_gravest)
        if those:
            yield _finding(hold, those, part, _places(group, wanted))


def _gravest(advised: Advised) -> tuple[object, ...]:
    merged = advised.merged
    return not merged.exploited, -LEVELS.index(merged.severity), merged.ids


def _places(group: list[Advised], wanted: Wanted) -> tuple[Related, ...]:
    others = sorted({a.wanted.at for a in group if a.wanted.at != wanted.at}, key=repr)
    return tuple(Related("also asked for here", at) for at in others[:SHOWN])


_SAYS: Final = {
    Hold.AFFECTED: "is affected by",
    Hold.ONLY: "allows only versions that are affected, or older ones, by",
    Hold.MAY: "leaves open whether it resolves to a version that is affected, by",
    Hold.WITHDRAWN: "was spoken of by advisories that have been withdrawn:",
    Hold.UNDECIDED: "is spoken of in a way that its version cannot be compared with, by",
}


def _finding(hold: Hold, those: list[Advised], part: str, places: tuple[Related, ...]) -> Finding:
    wanted, worst = those[0].wanted, those[0].merged
    grave = f", {worst.severity}" if worst.severity else ""
    grave += ", known to be exploited" if worst.exploited else ""
    more = f" and {len(those) - 1:,} more" if len(those) > 1 else ""
    free = _free(those) if hold in (Hold.AFFECTED, Hold.ONLY, Hold.MAY) else ""
    summary = f": {_short(worst.summary)}" if worst.summary else ""
    told = f"{wanted.told}" + (f" ({part})" if part else "")
    by_name = ""
    if wanted.assumed:
        by_name = ", taken for the package of that name on PyPI,"
    elif wanted.said.ecosystem == "conda":
        by_name = f" (on PyPI {wanted.key})"
    return Finding(
        message=f"{told}{by_name} {_SAYS[hold]} {worst.ids[0]}{grave}{more}{summary}{free}",
        at=wanted.at,
        action=weighed(_action(hold, those, part), wanted.aside),
        symbol=f"{wanted.key} {wanted.version or wanted.specifier}".strip()[:200],
        confidence=Confidence.LIKELY if wanted.assumed else Confidence.CONFIRMED,
        related=places,
        evidence=(_table(those),),
    )


def _short(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _free(those: list[Advised]) -> str:
    version = _mended(those)
    if version:
        return f"; {version} is free of {'it' if len(those) == 1 else 'all of them'}"
    return "; no version that mends it is named"


def _mended(those: list[Advised]) -> str:
    """The lowest version that mends all of them, or the empty string."""
    entries = [e for a in those for e in a.merged.entries]
    above = {v for a in those for e in a.merged.entries for v in a.fixed(e)}
    known = sorted((p, v) for v in above if (p := parse(v)) is not None)
    for _, version in known:
        if all(judge(version, e.said) is not Standing.AFFECTED for e in entries):
            return version
    return ""


def _action(hold: Hold, those: list[Advised], part: str) -> Action:
    if hold in (Hold.MAY, Hold.WITHDRAWN, Hold.UNDECIDED):
        return Action.NOTE
    grave = any(a.merged.severity == "critical" or a.merged.exploited for a in those)
    if grave and part and hold is Hold.AFFECTED and not those[0].wanted.assumed:
        return Action.BLOCK
    light = all(a.merged.severity == "low" and not a.merged.exploited for a in those)
    return Action.NOTE if light else Action.REVIEW


def _table(those: list[Advised]) -> Table:
    rows = tuple(
        (
            ", ".join(a.merged.ids),
            a.merged.severity or "not said",
            "yes" if a.merged.exploited else "",
            ", ".join(dict.fromkeys(v for e in a.merged.entries for v in a.fixed(e))) or "none",
            a.merged.summary[:160],
        )
        for a in those[:SHOWN]
    )
    return Table("Advisories", ("names", "severity", "exploited", "mended in", "what"), rows)
