"""Check `affected-system-package`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.analysis.dependencies import weighed
from weighbridge.analysis.systems import System, SystemPackage, systems
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.intel.advisories.index import Index, Merged, NoIndex, merged
from weighbridge.intel.advisories.osv import Standing, base_of, fixes, judge
from weighbridge.intel.advisories.severity import LEVELS

SHOWN: Final = 500


class _Affected(Struct, frozen=True):
    """A source package in one version, a weakness, the packages that were built from it, and the
    version that mends it (empty: none is named)."""

    package: SystemPackage
    names: tuple[str, ...]
    merged: Merged
    mended: str


@check("affected-system-package", control="dependencies", reads=Audit)
def affected_system_package(audit: Audit) -> Iterator[Finding | Gap]:
    """A system's package is installed in a version that its distribution has an advisory on.

    ## Why it matters
    What serves a model stands on the libraries of its image: OpenSSL, glibc, codecs that read
    pictures and sound of strangers. A repair that the distribution has published and the image does
    not have is a way in that is written down for everybody.

    ## What to do
    Build the image anew on a current base, and let the build bring its packages up to date.
    `weighbridge update --ecosystem Debian` (Ubuntu, Alpine) fetches the advisories.

    ## Limits
    As good as the advisories that were fetched; a release that they do not hold is a gap. The
    distribution's own judgement counts: what it does not repair is told in one note. Debian,
    Ubuntu and Alpine only; packages are looked up by what they were built from. Bills of materials
    are judged where they name the release (`distro` in a package URL), builds where they pin a
    version and the image's name tells the release; neither need say what a package was built from:
    there its own name is taken, and what no advisory knows by it is a gap. What a build does not
    pin is the newest on that day, and not judged. Packages of other makers' repositories may bear
    the same names. Whether the affected part of a package is installed or reached is not known.

    ## References
    - https://ossf.github.io/osv-schema/
    - https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
    - https://cwe.mitre.org/data/definitions/1395.html
    """
    found = list(systems(audit))
    if not found:
        return
    if audit.advisories is None:
        why = audit.missing.get("advisories", "there are none")
        yield from (_gap(system, why, GapKind.OFFLINE) for system in found)
        return
    try:
        with Index(Path(audit.advisories)) as index:
            for system in found:
                yield from _judged(system, index)
    except NoIndex as error:
        yield from (_gap(system, str(error), GapKind.OFFLINE) for system in found)


def _gap(system: System, why: str, kind: GapKind = GapKind.NOT_GIVEN) -> Gap:
    message = f"{len(system.packages):,} packages of {system.name} were not looked up: {why}"
    return Gap(kind=kind, message=message, at=Location(system.at.path, system.at.inside))


def _judged(system: System, index: Index) -> Iterator[Finding | Gap]:
    ecosystem = system.ecosystem
    if not ecosystem:
        yield _gap(system, system.why)
        return
    if not index.holds(ecosystem):
        base = base_of(ecosystem)
        yield _gap(system, f"the advisories on this machine hold none of {ecosystem} "
                           f"(`weighbridge update --ecosystem {base}` fetches those)")  # fmt: skip
        return
    undecided: list[str] = []
    those = list(_affected(system, index, undecided))
    unknown = tuple(p for p in system.packages if p.assumed and not index.of(p.key, ecosystem))
    if unknown:
        names = ", ".join(p.key for p in unknown[:5])[:200]
        why = f"what they were built from is not told ({names})"
        yield _gap(replace(system, packages=unknown), why)
    if undecided:
        why = f"their versions cannot be compared ({', '.join(undecided[:5])})"
        yield Gap(kind=GapKind.NOT_GIVEN, at=Location(system.at.path, system.at.inside),
                  message=f"{len(undecided):,} packages of {system.name}: {why}")  # fmt: skip
    exploited = [one for one in those if one.merged.exploited]
    late = [one for one in those if one.mended and not one.merged.exploited]
    open_ = [one for one in those if not one.mended and not one.merged.exploited]
    for one in exploited:
        mends = f"; {one.mended} mends it" if one.mended else ""
        yield _finding(system, [one], f"{one.package.key} {one.package.version} has a weakness "
                       f"that is known to be exploited, {one.merged.ids[0]}{mends}",
                       Action.REVIEW, f"{one.package.key} {one.merged.ids[0]}")  # fmt: skip
    if late:
        what = f"{system.name} has published repairs that are not installed: {_count(late)}"
        yield _finding(system, late, what, Action.REVIEW, "repairs missing")
    if open_:
        what = f"{system.name} has not repaired what is known of these: {_count(open_)}"
        yield _finding(system, open_, what, Action.NOTE, "not repaired")


def _count(those: list[_Affected]) -> str:
    packages, worst = len({one.package.key for one in those}), max(
        (one.merged.severity for one in those), key=LEVELS.index
    )  # fmt: skip
    return (
        f"{packages:,} package{'s' if packages > 1 else ''}, {len(those):,} "
        f"weakness{'es' if len(those) > 1 else ''}" + (f", the gravest {worst}" if worst else "")
    )


def _affected(system: System, index: Index, undecided: list[str]) -> Iterator[_Affected]:
    """What is known of each source package, each weakness once."""
    built: dict[tuple[str, str], list[SystemPackage]] = {}
    for package in system.packages:
        built.setdefault((package.key, package.version), []).append(package)
    for (key, version), those in sorted(built.items()):
        holding = []
        for known in index.of(key, system.ecosystem):
            if known.withdrawn:
                continue
            standing = judge(version, known.said, system.ecosystem)
            if standing is Standing.AFFECTED:
                holding.append(known)
            elif standing is Standing.UNDECIDED:
                undecided.append(f"{key} {version}")
        names = tuple(package.said.name for package in those)
        for one in merged(holding):
            mending = [fixes(e.said, version, system.ecosystem) for e in one.entries]
            mended = next((versions[0] for versions in mending if versions), "")
            yield _Affected(those[0], names, one, mended)


def _finding(
    system: System, those: list[_Affected], message: str, action: Action, symbol: str
) -> Finding:
    ordered = sorted(those, key=lambda o: (-LEVELS.index(o.merged.severity), o.package.key,
                                           o.merged.ids))  # fmt: skip
    rows = tuple(
        (o.package.key, o.package.version, ", ".join(o.merged.ids)[:200],
         o.merged.severity or "not said", o.mended or "none", ", ".join(o.names)[:200])
        for o in ordered[:SHOWN]
    )  # fmt: skip
    columns = ("source package", "version", "names", "severity", "mended in", "installed as")
    return Finding(
        message=message,
        at=Location(system.at.path, system.at.inside, line=ordered[0].package.said.line or None),
        action=weighed(action, system.aside),
        symbol=symbol,
        confidence=Confidence.LIKELY if ordered[0].package.assumed else Confidence.CONFIRMED,
        evidence=(Table(f"Advisories of {system.ecosystem}", columns, rows),),
    )
