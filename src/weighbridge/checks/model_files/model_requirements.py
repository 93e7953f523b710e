"""Check `model-requirements`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.requirements import Kind, Requirement, Requirements

SHOWN: Final = 200
_SOURCES: Final = {
    "--index-url": "another index",
    "--pypi-url": "another index",
    "--extra-index-url": "a second index, from which any of the packages may be taken",
    "--find-links": "archives from a page or folder",
    "--trusted-host": "a host that need not prove who it is",
    "--process-dependency-links": "addresses that the packages name",
}


@check("model-requirements", control="code-and-templates", reads=Requirements)
def model_requirements(document: Requirements) -> Iterator[Finding]:
    """Packages that the model has its user install, and where they would come from.

    ## Why it matters
    Loaders print, servers install what `requirements.txt` of a model lists. An archive at an
    address, a git branch or a second index is code that its owner can exchange at any time, and a
    build runs it while it is being installed.

    ## What to do
    Install from an index of your own, at versions that you have reviewed, with hashes. Ask for
    a release in place of a branch.

    ## Limits
    Nothing is resolved and no advisory is looked up here; files that it names (`-r`) are listed,
    not followed.

    ## References
    - https://pip.pypa.io/en/stable/reference/requirements-file-format/
    - https://cwe.mitre.org/data/definitions/829.html
    - https://cwe.mitre.org/data/definitions/427.html
    """
    listed = [r for r in document.lines if r.kind is not Kind.INVALID]
    outside = [r for r in listed if _outside(r)]
    for requirement in outside[:SHOWN]:
        yield Finding(
            message=f"line {requirement.line:,} installs from {_outside(requirement)}: "
            f"{requirement.text[:160]}",
            at=msgspec.structs.replace(document.where, line=requirement.line),
            action=Action.REVIEW,
            symbol=requirement.name or requirement.target[:120],
            evidence=(_table([requirement]),),
        )
    packages = [r for r in listed if r.kind is Kind.PACKAGE]
    if not packages:
        return
    loose = sum(not r.pinned for r in packages)
    one = len(packages) == 1
    pins = "all of them pinned" if not loose else f"{loose:,} of them not pinned"
    unread = sum(1 for r in document.lines if r.kind is Kind.INVALID)
    yield Finding(
        message=f"the model asks for {len(packages):,} package{'' if one else 's'}, {pins}"
        + (f"; {unread:,} lines are no requirements" if unread else ""),
        at=document.where,
        action=Action.NOTE,
        symbol="packages",
        evidence=(_table(list(document.lines)),),
    )


def _outside(requirement: Requirement) -> str:
    match requirement.kind:
        case Kind.URL:
            return "an address"
        case Kind.VCS:
            return "version control"
        case Kind.OPTION:
            return _SOURCES.get(requirement.name, "")
        case _:
            return ""


def _table(requirements: list[Requirement]) -> Table:
    rows = tuple(
        (
            f"{r.line:,}",
            r.name[:80] or r.kind.value,
            ",".join(f"{op}{version}" for op, version in r.specifier)[:80] or r.target[:160],
            "yes" if r.pinned else "no" if r.kind is Kind.PACKAGE else "",
        )
        for r in requirements[:SHOWN]
    )
    return Table("What would be installed", ("line", "what", "version or source", "pinned"), rows)
