"""Check `locked-files`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.integrity import against_lock, own_files
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison, Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location


@check("locked-files", control="integrity", reads=Audit)
def locked_files(audit: Audit) -> Iterator[Finding | Gap]:
    """The files are those that were audited and locked before.

    ## Why it matters
    A model that was let in once is trusted by its name from then on. What is served under that
    name can change: a branch moves, a file is replaced, an account is taken over. The lock holds
    the sha256 of every file as it was when somebody looked.

    ## What to do
    `weighbridge diff weighbridge.lock TARGET` says what changed. If the change is meant, look at
    it, and lock anew with `weighbridge lock`.

    ## Limits
    The lock says that the files are the same, not that they were good. Files of which only parts
    were read are compared by the digest that the source names.

    ## References
    - https://owasp.org/www-project-ai-security-verification-standard/
    """
    if audit.lock is None:
        return
    compared = against_lock(audit.lock, own_files(audit))
    for differing in compared.changed:
        yield Finding(
            message="this file is not the one that was locked",
            at=Location(differing.path),
            action=Action.BLOCK,
            symbol="changed",
            evidence=(
                Comparison(
                    title="Digest",
                    expected_from="the lock",
                    expected=differing.expected,
                    found_from="this file",
                    found=differing.found,
                ),
            ),
        )
    for paths, what in ((compared.extra, "not in the lock"), (compared.missing, "locked and gone")):
        if paths:
            more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
            yield Finding(
                message=f"{paths[0]}{more}: {what}",
                at=Location("."),
                action=Action.BLOCK,
                symbol=what,
                evidence=(Table(title=what, columns=("file",), rows=tuple((p,) for p in paths)),),
            )
    for path in compared.open:
        why = "locked, and neither the lock nor the source has a digest that can be compared"
        yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location(path))
    origin = audit.origin
    if origin is None or audit.lock.commit is None or origin.commit is None:
        return
    if origin.commit != audit.lock.commit:
        yield Finding(
            message="the repository has another commit than was locked",
            at=Location("."),
            action=Action.NOTE,
            symbol="commit",
            evidence=(
                Comparison(
                    title="Commit",
                    expected_from="the lock",
                    expected=audit.lock.commit,
                    found_from=origin.where,
                    found=origin.commit,
                ),
            ),
        )
