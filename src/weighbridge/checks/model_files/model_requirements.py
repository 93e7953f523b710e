"""Check `model-requirements`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.dependencies import shown
from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.requirements import Kind, Requirement, Requirements

SHOWN: Final = 200


@check("model-requirements", control="code-and-templates", reads=Requirements)
def model_requirements(document: Requirements) -> Iterator[Finding]:
    """Packages that the model has its user install.

    ## Why it matters
    Loaders print, servers install what `requirements.txt` of a model lists, and installing a
    package runs its code.

    ## What to do
    Install from an index of your own, at versions that you have reviewed, with hashes.

    ## Limits
    A listing: what is wrong with a package, its version or where it comes from is said by the
    checks of the control *dependencies*.

    ## References
    - https://pip.pypa.io/en/stable/reference/requirements-file-format/
    - https://cwe.mitre.org/data/definitions/829.html
    """
    packages = [r for r in document.lines if r.kind is Kind.PACKAGE]
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


def _table(requirements: list[Requirement]) -> Table:
    rows = tuple(
        (
            f"{r.line:,}",
            r.name[:80] or r.kind.value,
            ",".join(f"{op}{version}" for op, version in r.specifier)[:80] or shown(r.target),
            "yes" if r.pinned else "no" if r.kind is Kind.PACKAGE else "",
        )
        for r in requirements[:SHOWN]
    )
    return Table("What would be installed", ("line", "what", "version or source", "pinned"), rows)
