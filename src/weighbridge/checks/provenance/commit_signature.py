"""Check `commit-signature`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.commit_signature import MISSING, proven
from weighbridge.analysis.signature import Standing
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location


@check("commit-signature", control="integrity", reads=Audit)
def commit_signature(audit: Audit) -> Iterator[Finding | Gap]:
    """The newest commit of a clone is signed, and by whom.

    ## Why it matters
    Anybody who may push can write any name into a commit. A signature by a key that you know says
    that its holder made this commit, and with it every file that it names.

    ## What to do
    Put the key of the publisher into your policy (`[[publisher]]` with `key`; `ssh-keygen -e -m
    PKCS8` writes an SSH key so). A signature that does not hold means that the commit was changed.

    ## Limits
    SSH signatures are verified. OpenPGP and X.509 signatures are named and not verified. Git LFS
    files are covered by the digests in their pointers.

    ## References
    - https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
    - https://git-scm.com/docs/gitformat-signature
    """
    origin = audit.origin
    if origin is None or origin.kind != "git" or origin.commit is None:
        return
    at = Location(".")
    wanted = [p for p in audit.publishers if p.key is not None]
    if origin.signature is None:
        if any(p.required for p in wanted):
            why = "the newest commit is not signed, and the policy demands a signature"
            yield Finding(message=why, at=at, action=Action.BLOCK, symbol="unsigned")
        else:
            yield Finding(message="the newest commit is not signed", at=at, action=Action.NOTE,
                          symbol="unsigned")  # fmt: skip
        return
    proof = proven(origin.signature, wanted)
    if proof.why == MISSING:
        told = f"the signature of the newest commit was not verified: {proof.why}"
        yield Gap(kind=GapKind.UNSUPPORTED, message=told, at=at)
        return
    if proof.standing is Standing.BAD:
        action, told = Action.BLOCK, "the signature of the newest commit does not hold: "
    elif proof.standing is Standing.VALID:
        action, told = Action.NOTE, f"the newest commit is signed by {proof.who}: "
    elif proof.standing is Standing.UNTRIED:
        action, told = Action.NOTE, "the newest commit is signed, and "
    else:
        action, told = Action.REVIEW, "the newest commit is signed, and "
    told += proof.why
    yield Finding(message=told, at=at, action=action, symbol=origin.commit)
