"""Check `release-credential`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.workflow_jobs import automations
from weighbridge.analysis.workflow_levels import path
from weighbridge.analysis.workflow_release import TRUSTED, Release, registries, releases
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding

_WHAT: Final = {"model": "models", "data set": "data sets", "image": "images",
                "package": "packages", "release": "releases"}  # fmt: skip


@check("release-credential", control="release", reads=Audit)
def release_credential(audit: Audit) -> Iterator[Finding]:
    """A release is published with a token that lives on after the run.

    ## Why it matters
    Whoever once reads such a token publishes in the project's name for as long as nobody revokes
    it, from anywhere: no workflow, no review and no attestation is needed. That is how malicious
    versions of ultralytics, of nx and of many others were published.

    ## What to do
    For packages use trusted publishing: `permissions: id-token: write` in the one job that
    publishes, and no password. Where a registry has nothing of the kind, give the one step a token
    for that project alone, in a protected environment, and replace it often.

    ## Limits
    Packages are for review, where PyPI, npm, crates.io and RubyGems offer trusted publishing.
    Tokens for models, images, releases and packages of other registries are notes. What a token may
    do is not known. The token that GitHub makes for the run is none of these.

    ## References
    - https://docs.pypi.org/trusted-publishers/
    - https://docs.npmjs.com/trusted-publishers
    - https://cwe.mitre.org/data/definitions/522.html
    """
    for release in releases(automations(audit)):
        if release.tokens:
            yield _finding(release)


def _finding(release: Release) -> Finding:
    view = release.view
    names = sorted(release.tokens)
    given = f"{', '.join(names[:4])}" + (" …" if len(names) > 4 else "")
    at = release.tokens[names[0]]
    known = {registry for step in release.steps for registry in registries(step)}
    package = "package" in release.kinds and (not known or bool(known & TRUSTED))
    what = "packages" if package else " and ".join(_WHAT[k] for k in release.kinds)
    return Finding(
        message=f"job {view.job.id} publishes {what} with a long-lived token ({given})",
        at=at,
        action=Action.REVIEW if package else Action.NOTE,
        symbol=f"{view.job.id}: {given}",
        evidence=(path("A token that outlives the run", view,
                       (f"takes {given}", at),
                       (f"publishes: {release.steps[0].label}", release.at)),),
    )  # fmt: skip
