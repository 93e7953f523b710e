"""Check `missing-package`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.listed import Answered, answered, together
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.intel.advisories.osv import parse

THERE = ("installed", "inventory")
"""The places that say what is there already, wherever it came from."""


@check("missing-package", control="dependencies", reads=Audit)
def missing_package(audit: Audit) -> Iterator[Finding]:
    """A package or a release is asked for that its index does not have.

    ## Why it matters
    A name that nobody has registered is free for everybody: whoever registers it has their code run
    wherever the requirement is installed. Language models write such names into requirements, and
    the names of internal packages are found in published files.

    ## What to do
    Find out what was meant. An internal package belongs to an index that holds it alone; a name
    that was made up belongs out of the file.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`). A package that another index
    holds, which was not asked, is said with that reservation. A local build (`2.0.0+cu118`) may
    come from anywhere: of such only the name is held against the index.

    ## References
    - https://packaging.python.org/en/latest/specifications/simple-repository-api/
    - https://cwe.mitre.org/data/definitions/427.html
    - https://owasp.org/www-project-top-10-for-large-language-model-applications/
    """
    for one, related in together(answered(audit)):
        why = _why(one)
        if not why:
            continue
        wanted = one.wanted
        there, beside = wanted.place in THERE, wanted.beside
        if beside:
            why += "; if another place that is named here has it, whoever registers that name on "
            why += "the index is preferred as soon as their version is higher"
        yield Finding(
            message=f"{wanted.told}: {why}",
            at=wanted.at,
            action=Action.NOTE if there else Action.REVIEW,
            symbol=one.told,
            confidence=Confidence.LIKELY if beside or there else Confidence.CONFIRMED,
            related=related,
        )


def _why(one: Answered) -> str:
    listing, version = one.listing, one.version
    if not listing.exists:
        return f"{one.index} has no such package"
    if listing.status == "quarantined":
        return ""  # its files are withheld, and `quarantined-package` says so
    if not listing.files and not listing.versions:
        return f"{one.index} has the name, and no release of it"
    parsed = parse(version) if version else None
    if parsed is None or parsed.local is not None or one.files:
        return ""
    if listing.versions is None:
        listed = {file.version for file in listing.files}
        return "" if "" in listed else f"{one.index} has no such release"
    return "" if version in listing.versions else f"{one.index} has no such release"
