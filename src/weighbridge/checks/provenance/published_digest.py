"""Check `published-digest`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.integrity import all_vouched
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location


@check("published-digest", control="integrity", reads=Audit)
def published_digest(audit: Audit) -> Iterator[Gap]:
    """The sha256 of every file is recorded, for comparison with what was published.

    ## Why it matters
    A digest proves that two copies are the same. One that was computed from the very files under
    audit proves nothing about where they came from; it lets you see later that they changed.

    ## What to do
    Compare the recorded digests with those of the publisher, over a way that does not lead through
    the same account, and keep the report: its digests are what you deploy.

    ## Limits
    A folder says nothing about what was published, so this control stays open.

    ## References
    - https://owasp.org/www-project-ai-security-verification-standard/
    """
    hashed = sum(1 for f in audit.files if f.sha256 is not None)
    if hashed and not all_vouched(audit):
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message=f"sha256 recorded for {hashed:,} of {len(audit.files):,} files; "
            "no digest of independent origin was given to compare them with",
            at=Location(audit.files[0].path if len(audit.files) == 1 else "."),
        )
