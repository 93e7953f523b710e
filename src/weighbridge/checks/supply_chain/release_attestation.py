"""Check `release-attestation`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import path
from weighbridge.analysis.workflow_release import Release, releases
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location, within

SHOWN: Final = 200


@check("release-attestation", control="release", reads=Audit)
def release_attestation(audit: Audit) -> Iterator[Finding | Gap]:
    """What is published carries no signed statement of where it was built.

    ## Why it matters
    Without a signed statement of provenance nobody can tell a release from what somebody else put
    in its place: the registry's copy, the mirror and the download are equal only by name. With one,
    a consumer can demand the workflow and the branch that it came from.

    ## What to do
    Let the job that publishes state it: `actions/attest-build-provenance`, trusted publishing to
    PyPI with its attestations, `npm publish --provenance`, `cosign`, `model_signing sign` for
    weights. Verify it where the model is used.

    ## Limits
    That none is made is the norm, and for review. That one is made says nothing of what it says:
    the attestation of the artifact itself was not handed over, so this control never passes here.
    Attestations never clear what the files, the code or the workflows show: malware was shipped
    with valid ones. What publishing does by itself is known for PyPI and npm alone. The provenance
    that BuildKit lays beside an image is not signed: whoever replaces the image replaces it too. A
    release that the repository's settings make immutable is attested by GitHub, which no file
    shows. A release that carries notes and no files was not built, and does not count.

    ## References
    - https://slsa.dev/spec/v1.1/provenance
    - https://docs.pypi.org/attestations/
    - https://github.com/sigstore/model-transparency
    - https://cwe.mitre.org/data/definitions/345.html
    """
    found = releases(automations(audit))
    why = "no attestation was handed over: what was published may be built from another source"
    if not found:
        why = "no workflow that publishes was handed over: who publishes, and from what, is unknown"
    yield Gap(kind=GapKind.NOT_GIVEN, message=why, at=Location("."))
    bare: dict[str, list[Release]] = {}
    for release in found:
        if not release.attested:
            bare.setdefault(within(release.view.path)[0], []).append(release)
    for those in bare.values():
        yield _finding(those, len(found))
    made = [
        (f"{r.view.path}: {r.view.job.id}", what, f"{at.path}:{at.line}")
        for r in found for what, at in dict.fromkeys(r.attested)
    ]  # fmt: skip
    if made:
        first = next(r for r in found if r.attested)
        yield Finding(
            message=f"{len({row[0] for row in made}):,} of {len(found):,} publishing jobs state "
            "where the artifact came from; whether the artifact carries it was not looked up",
            at=first.attested[0][1],
            action=Action.NOTE,
            symbol="attested",
            evidence=(Table("What is stated", ("job", "what", "where"), tuple(made[:SHOWN])),),
        )


def _finding(bare: list[Release], number: int) -> Finding:
    first = bare[0]
    kinds = sorted({kind for release in bare for kind in release.kinds})
    names = list(dict.fromkeys(release.view.job.id for release in bare))
    rows = [(f"{r.view.path}: {r.view.job.id}", ", ".join(r.kinds), f"{r.at.path}:{r.at.line}")
            for r in bare[:SHOWN]]  # fmt: skip
    return Finding(
        message=f"{len(bare):,} of {number:,} publishing jobs publish ({', '.join(kinds)}) without "
        f"a signed statement of where it was built: {', '.join(names[:4])}"
        + (" …" if len(names) > 4 else ""),
        at=first.at,
        action=Action.REVIEW,
        symbol="no attestation",
        evidence=(
            path("A release that nobody can trace", first.view,
                 (f"publishes: {first.steps[0].label}", first.at)),
            Table("Without a statement", ("job", "what", "where"), tuple(rows)),
        ),
    )  # fmt: skip
