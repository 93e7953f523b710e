"""Check `signature`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from weighbridge.analysis.integrity import (
    Signed,
    is_git_own,
    needs_vouching,
    own_files,
    signed,
    vouched,
)
from weighbridge.analysis.signature import Standing
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import AnyEvidence, Comparison, Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location

ROWS = 5_000
"""How many files one finding names."""


@check("signature", control="integrity", reads=Audit)
def signature(audit: Audit) -> Iterator[Finding | Gap]:
    """Signatures hold, are by a publisher of the policy, and cover every file as it is here.

    ## Why it matters
    A signature is the one proof that does not come from the place that the files come from: who
    takes over the account can replace every file and every digest, and cannot sign for the
    publisher. It proves nothing about a file that it does not list, that its signer left out, or
    that was changed since; and a signature by somebody whom you did not name proves only that
    somebody has a key.

    ## What to do
    Name the publisher in `weighbridge.toml` (`[[publisher]]`: a key, a certificate's root and
    subject, or an identity and its issuer). If a file was changed, or a signature that you demand
    is missing, do not use the files; ask the publisher. Files that are not covered are as good as
    files without a signature.

    ## Limits
    A signature does not say that this is the newest version, or the model that you meant: an older
    one, or another of the same publisher, is signed as well. A certificate without a time stamp
    counts only while it is in force. Digests of other kinds than sha256 are not compared. A file of
    which only parts were read is compared by the digest that the source names, which never lets the
    control pass. What the trust root of the installed library does not know yet cannot be verified.

    ## References
    - https://github.com/ossf/model-signing-spec
    - https://docs.sigstore.dev/about/bundle/
    - https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
    """
    found = signed(audit)
    demanded = any(p.required for p in audit.publishers)
    bad = Action.BLOCK if demanded else Action.REVIEW
    for one in found:
        yield from _stands(one, audit)
        yield from _covers(one, bad)
    if demanded and not any(one.valid for one in found):
        whose = sorted({p.name for p in audit.publishers if p.required})
        yield Finding(
            message=f"the policy demands a signature by {' or '.join(whose)}, and there is none",
            at=Location("."),
            action=Action.BLOCK,
            symbol="no signature",
            evidence=_reasons(found),
        )
    if any(one.valid for one in found):
        yield from _uncovered(audit, found, bad)


def _stands(one: Signed, audit: Audit) -> Iterator[Finding | Gap]:
    """What is said of the signature itself."""
    at, proof = one.signature.at, one.proof
    evidence: tuple[AnyEvidence, ...] = ()
    if proof.said:
        title = "What the certificate says"
        evidence = (Table(title=title, columns=("field", "value"), rows=proof.said),)
    if one.signature.faults:
        why = "; ".join(one.signature.faults)
        yield Finding(
            message=f"this signature cannot be what it claims to be: {why}",
            at=at, action=Action.BLOCK, symbol="contradiction", evidence=evidence,
        )  # fmt: skip
        return
    if one.unread and one.signature.files:
        yield Gap(kind=GapKind.UNSUPPORTED, message=f"a signature: {one.unread}", at=at)
    if proof.standing is Standing.UNTRIED:
        yield Gap(kind=GapKind.UNSUPPORTED, message=proof.why, at=at)
        return
    by = f" by {proof.who}" if proof.who else ""
    if proof.standing is Standing.VALID:
        count = len(one.compared.same) + len(one.compared.declared)
        files = "1 file matches" if count == 1 else f"{count:,} files match"
        message, action = f"signed{by}, whom the policy names: {files}", Action.NOTE
    elif proof.standing is Standing.BAD:
        message, action = f"the signature does not hold: {proof.why}", Action.BLOCK
    elif proof.standing is Standing.EXPIRED:
        message, action = f"signed{by}, and {proof.why}", Action.REVIEW
    elif proof.standing is Standing.UNPROVEN:
        message, action = f"nothing proves who signed: {proof.why}", Action.REVIEW
    else:
        action = Action.REVIEW if audit.publishers else Action.NOTE
        nobody = (
            "whom the policy does not name" if audit.publishers else "no policy says who should"
        )
        message = f"signed{by or ' by somebody'}: {nobody} ({proof.why})"
    yield Finding(
        message=message, at=at, action=action, symbol=proof.standing.value, evidence=evidence
    )


def _covers(one: Signed, bad: Action) -> Iterator[Finding]:
    """Files that are not as they were signed."""
    name = one.signature.at.path
    for differing in one.compared.changed:
        yield Finding(
            message=f"this file is not the one that was signed in {name}",
            at=Location(differing.path),
            action=Action.BLOCK,
            symbol=name,
            evidence=(
                Comparison(
                    title="sha256",
                    expected_from=name,
                    expected=differing.expected,
                    found_from="this file",
                    found=differing.found,
                ),
            ),
        )
    if one.compared.missing:
        yield _about(
            f"signed in {name} and not here: {_files(one.compared.missing)}",
            one.signature.at, bad, "missing", one.compared.missing,
        )  # fmt: skip


def _uncovered(audit: Audit, found: Sequence[Signed], bad: Action) -> Iterator[Finding]:
    """Files that no valid signature covers, those that a signer left out apart."""
    valid = [one for one in found if one.valid]
    covered = vouched(audit, valid).union(*(s.compared.declared for s in valid))
    covered |= {d.path for s in valid for d in s.compared.changed}
    covered |= {path for s in valid for path in s.compared.open}
    left = [path for path in needs_vouching(audit, found) if path not in covered]
    ignored = {path for s in valid for path in s.ignored}
    at = valid[0].signature.at
    if by_signer := [path for path in left if path in ignored]:
        message = f"left out by the signer's choice: {_files(by_signer)}"
        yield _about(message, at, bad, "ignored", by_signer)
    if unsigned := [path for path in left if path not in ignored]:
        message = f"not covered by any signature: {_files(unsigned)}"
        yield _about(message, at, bad, "unsigned", unsigned)
    if own := [f.path for f in own_files(audit) if is_git_own(f.path) and f.path not in covered]:
        message = f"read by git alone and not covered by a signature: {_files(own)}"
        yield _about(message, at, Action.NOTE, "git", own)


def _about(
    message: str, at: Location, action: Action, symbol: str, paths: Sequence[str]
) -> Finding:
    rows = tuple((path,) for path in paths[:ROWS])
    if len(paths) > ROWS:
        rows = (*rows, (f"and {len(paths) - ROWS:,} more",))
    table = Table(title=f"{len(paths):,} files", columns=("file",), rows=rows)
    return Finding(message=message, at=at, action=action, symbol=symbol, evidence=(table,))


def _files(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1:,} more"


def _reasons(found: Iterable[Signed]) -> tuple[Table, ...]:
    rows = tuple(
        (one.signature.at.path, "; ".join(one.signature.faults) or one.proof.why) for one in found
    )
    if not rows:
        return ()
    return (Table(title="Signatures that do not count", columns=("file", "why"), rows=rows),)
