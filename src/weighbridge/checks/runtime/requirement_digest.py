"""Check `requirement-digest`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.listed import answered
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding

SHOWN: Final = 50


@check("requirement-digest", control="dependencies", reads=Audit)
def requirement_digest(audit: Audit) -> Iterator[Finding]:
    """A requirement is bound to a digest that its index does not name.

    ## Why it matters
    A digest in a lock lets exactly one file in. One that no file of the release has lets another
    one in: what somebody built, and serves from a second index or from a place on the way.

    ## What to do
    Make the lock anew from the index that you mean, and compare. If the file comes from an index
    of your own, bind the requirement to that one, and let it be asked (`--index`).

    ## Limits
    Known only where the index was asked (`--ask-index`, `--index`). A file that its makers have
    deleted since is no longer listed, and its digest is told here. Digests of an algorithm that the
    index does not name are not compared.

    ## References
    - https://pip.pypa.io/en/stable/topics/secure-installs/
    - https://cwe.mitre.org/data/definitions/345.html
    """
    for one in answered(audit):
        wanted, files = one.wanted, one.files
        known = {(a, v) for file in files for a, v in file.digests.items()}
        algorithms = {algorithm for algorithm, _ in known}
        pinned = [(a.lower(), v.lower()) for a, _, v in (h.partition(":") for h in
                                                        wanted.said.hashes)]  # fmt: skip
        compared = [said for said in pinned if said[0] in algorithms]
        strange = [said for said in compared if said not in known]
        if not strange:
            continue
        whole = len(strange) == len(pinned)
        count = f"{len(strange):,} of the {len(pinned):,} digests" if len(pinned) > 1 else (
            "the digest"
        )  # fmt: skip
        verb = "is" if len(strange) == 1 else "are"
        yield Finding(
            message=f"{wanted.told}: {count} that it is bound to {verb} of no file of that release"
            f" on {one.index}",
            at=wanted.at,
            action=Action.NOTE if wanted.beside and not whole else Action.REVIEW,
            symbol=one.told,
            confidence=Confidence.LIKELY if wanted.beside else Confidence.CONFIRMED,
            evidence=(
                Table("Digests that the index does not name", ("algorithm", "value"),
                      tuple(strange[:SHOWN])),
                Table(f"What {one.index} names", ("file", "digest"),
                      tuple((f.name, " ".join(f.digests.values())) for f in files[:SHOWN])),
            ),
        )  # fmt: skip
