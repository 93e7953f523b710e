"""Check `worktree-differs`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import Declared
from weighbridge.core.report import FileRecord

SHOWN = 50
TEXT_LIMIT = 4 << 20
"""Up to this size a file is compared again with the line ends that git keeps, in bytes."""


@check("worktree-differs", control="integrity", reads=Audit)
def worktree_differs(audit: Audit) -> Iterator[Finding | Gap]:
    """A clone's files are not those of its commit: changed, added or missing.

    ## Why it matters
    The commit is what others can look up, review and compare. A file that was changed after the
    checkout, or lies beside it without belonging to it, is loaded all the same, and no history
    says where it came from.

    ## What to do
    Look at the files that are named. `git stash --all` on a copy of the clone shows what the
    commit alone holds; audit that, or commit what belongs to the model.

    ## Limits
    Files are compared by content; their modes, links and submodules are not. What `.gitignore`
    excludes is named as added, because loaders do not heed it. Files of more than 12 MiB that Git
    LFS does not keep are a gap. The commit itself is believed as the clone has it.

    ## References
    - https://git-scm.com/docs/git-status
    - https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    origin = audit.origin
    if origin is None or origin.kind != "git":
        return
    for what in ("commit", "files"):
        if what in origin.unknown:
            why = f"the commit of this clone was not read: {origin.unknown[what]}"
            yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location("."))
            return
    declared = {d.path: d for d in origin.files}
    modules = tuple(d.path for d in origin.files if d.path.endswith("/"))
    changed: list[FileRecord] = []
    added: list[FileRecord] = []
    here: set[str] = set()
    for file in audit.files:
        if file.path.startswith((".git/", *modules)):
            continue
        here.add(file.path)
        said = declared.get(file.path)
        if said is None:
            added.append(file)
        elif said.git is None and said.sha256 is None:
            continue
        elif said.size is not None and said.size != file.size:
            if not _same_but_for_line_ends(audit, file, said):
                changed.append(file)
        elif (found := file.sha256 if said.sha256 else file.git) is None:
            why = "too large to be named as git names it, and not kept by Git LFS: not compared"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=Location(file.path))
        elif found != (said.sha256 or said.git):
            changed.append(file)
    gone = [d.path for d in origin.files if d.path not in here and (d.git or d.sha256)]
    if changed:
        yield _finding("changed", [f.path for f in changed], Action.REVIEW)
    if added:
        yield _finding("added", [f.path for f in added], Action.NOTE)
    if gone:
        yield _finding("missing", gone, Action.NOTE)


def _finding(what: str, paths: list[str], action: Action) -> Finding:
    listed = ", ".join(paths[:3])
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    where = "no longer there" if what == "missing" else what
    return Finding(
        message=f"{len(paths):,} of the clone's files {'is' if len(paths) == 1 else 'are'} "
        f"{where} since its commit: {listed[:300]}{more}",
        at=Location(paths[0] if what != "missing" else "."),
        action=action,
        symbol=what,
        evidence=(
            Table("Files", columns=("path", "state"), rows=tuple((p, what) for p in paths[:SHOWN])),
        ),
    )


def _same_but_for_line_ends(audit: Audit, file: FileRecord, said: Declared) -> bool:
    """Whether a checkout only wrote the ends of its lines as another system does."""
    blob = audit.blobs.get(file.path)
    if said.git is None or blob is None or file.size > TEXT_LIMIT:
        return False
    data = blob.read(0, file.size).replace(b"\r\n", b"\n")
    name = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return name.hexdigest() == said.git
