"""Check `yanked-release`."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from weighbridge.analysis.listed import Answered, answered, together
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.listing import ListedFile

SHOWN = 50


@check("yanked-release", control="dependencies", reads=Audit)
def yanked_release(audit: Audit) -> Iterator[Finding]:
    """A release is asked for that its makers have taken back.

    ## Why it matters
    A release is yanked because it is broken, was uploaded by mistake, or by somebody who should not
    have been able to. Installers take it no more, unless its exact version is asked for: a pin goes
    on installing it without a word.

    ## What to do
    Read the reason and ask for a release that was not taken back.

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`). Of an open requirement only
    what can be satisfied by nothing else is told.

    ## References
    - https://peps.python.org/pep-0592/
    """
    for one, related in together(answered(audit)):
        files = one.files if one.version else _allowed(one)
        taken = [file for file in files if file.yanked is not None]
        if not taken:
            continue
        whole = len(taken) == len(files)
        if not one.version and not whole:
            continue
        reason = next((file.yanked for file in taken if file.yanked), "")
        what = "was taken back" if one.version else "allows only releases that were taken back"
        if not whole:
            what = f"was taken back in part ({len(taken):,} of {len(files):,} files)"
        yield Finding(
            message=f"{one.wanted.told} {what}" + (f": {reason[:160]}" if reason else ""),
            at=one.wanted.at,
            action=Action.REVIEW if whole else Action.NOTE,
            symbol=one.told,
            related=related,
            evidence=(Table(f"What {one.index} took back", ("file", "reason"),
                            tuple((f.name, f.yanked or "none given") for f in taken[:SHOWN])),),
        )  # fmt: skip


def _allowed(one: Answered) -> tuple[ListedFile, ...]:
    """The files that an open requirement allows."""
    try:
        specifiers = SpecifierSet(one.wanted.specifier)
    except InvalidSpecifier:
        return ()
    versions = {file.version for file in one.listing.files if file.version}
    allowed = set(specifiers.filter(versions))
    return tuple(file for file in one.listing.files if file.version in allowed)
