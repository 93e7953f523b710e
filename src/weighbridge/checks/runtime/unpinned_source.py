"""Check `unpinned-source`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.declared import is_own, own_names
from weighbridge.analysis.dependencies import Wanted, dependencies, shown, weighed
from weighbridge.core.check import Audit, check
from weighbridge.core.fact import Firmness
from weighbridge.core.finding import Action, Finding, Related
from weighbridge.core.location import within
from weighbridge.core.regex import regex
from weighbridge.formats.requirements import reference_of

PLACES: Final = 50
"""How many further places of an address its finding lists."""
_REMOTE: Final = regex(r"(?:git|hg|svn|bzr)(?:\+|@|://)|(?:https?|ftp)://", re.IGNORECASE)
_VCS: Final = regex(r"(?:git|hg|svn|bzr)(?:\+|@|://)")


@check("unpinned-source", control="dependencies", reads=Audit)
def unpinned_source(audit: Audit) -> Iterator[Finding]:
    """A package comes from an address or a branch instead of an index, and can be exchanged.

    ## Why it matters
    A branch or a tag of a repository, and an archive at an address, are what their owner makes of
    them at the moment of the install, and the build runs their code. A commit is fixed, but no
    advisory and no index knows of it.

    ## What to do
    Name the full commit (40 digits), or put the archive's sha256 behind its address
    (`#sha256=…`). Better: ask for a release on an index.

    ## Limits
    Whether the commit belongs to the repository that is named (a fork's commits answer under the
    same address) is not asked. Paths of this machine are left out. A repository's own address, as
    its project files declare it, is a note.

    ## References
    - https://pip.pypa.io/en/stable/topics/vcs-support/
    - https://cwe.mitre.org/data/definitions/829.html
    """
    own: dict[str, frozenset[str]] = {}
    told: dict[str, list[tuple[bool, Wanted]]] = defaultdict(list)
    for one in dependencies(audit).wanted:
        if _REMOTE.match(one.said.url):
            part = within(one.at.path)[0]
            if part not in own:
                own[part] = own_names(audit.blobs, part)
            told[one.said.url].append((one.aside or is_own(one.said.url, own[part]), one))
    for url, asked in told.items():
        (aside, one), *others = sorted(asked, key=lambda a: a[0])
        yield Finding(
            message=f"{one.said.name[:80] or 'a package'} is installed from {_what(one)}: "
            f"{shown(url)}",
            at=one.at,
            action=Action.NOTE if one.said.firm is Firmness.HASH else weighed(Action.REVIEW, aside),
            symbol=one.key or shown(url),
            related=tuple(Related("also asked for here", o.at) for _, o in others[:PLACES]),
        )


def _what(one: Wanted) -> str:
    firm = one.said.firm is Firmness.HASH
    if not _VCS.match(one.said.url):
        return "an address, with its digest" if firm else "an address, without a digest"
    if firm:
        return "a commit of a repository"
    named = reference_of(one.said.url)
    return f"{named[:60]} of a repository, which can be moved" if named else (
        "whatever a repository holds at the time"
    )  # fmt: skip
