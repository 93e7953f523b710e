"""Check `pinned-revision`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

_COMMIT: Final = regex(r"[0-9a-f]{40}")


@check("pinned-revision", control="integrity", reads=Audit)
def pinned_revision(audit: Audit) -> Iterator[Finding]:
    """The reference that was asked for is a branch or a tag, which can be moved.

    ## Why it matters
    What you audit today is what you deploy tomorrow only if the reference names a commit. A branch
    is moved by every push, a tag by whoever may push; a name that was deleted can be registered
    again by somebody else and answers to every reference that is not a commit.

    ## What to do
    Use the commit that is given here, in the audit and in the loader (`revision="…"`), and keep it
    in `weighbridge.lock`.

    ## Limits
    What the files fetch in their turn (code of other repositories, bases of adapters) is judged by
    the checks on those.

    ## References
    - https://huggingface.co/docs/huggingface_hub/guides/download
    - https://cwe.mitre.org/data/definitions/1357.html
    """
    origin = audit.origin
    if origin is None or origin.kind != "hub" or origin.commit is None:
        return
    asked = origin.requested
    if asked is not None and _COMMIT.fullmatch(asked):
        return
    what = f"the revision {asked}" if asked else "the default branch"
    yield Finding(
        message=f"{what} was asked for, which can be moved; today it is {origin.commit}",
        at=Location("."),
        action=Action.REVIEW,
        symbol=asked or "default branch",
    )
