"""Is what is there now what was locked? Nothing is examined: files are hashed, in threads.

A file on this machine is read whole. Of a repository on a network nothing is downloaded: what its
endpoint declares is compared, and said to be that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from weighbridge.analysis.integrity import Compared, against_lock
from weighbridge.core.change import VERIFICATION_SCHEMA, Change, FileChange, Outcome, Verification
from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap
from weighbridge.core.origin import Origin
from weighbridge.core.report import FileRecord
from weighbridge.core.tree import Blob
from weighbridge.core.trust import Lock
from weighbridge.engine.audit import TargetError
from weighbridge.engine.hashing import sha256
from weighbridge.sources.folder import File
from weighbridge.sources.remote import RemoteFile
from weighbridge.sources.target import Access, open_target

Progress = Callable[[int, int], None]


def verify(
    lock: Lock,
    target: str | None = None,
    *,
    access: Access | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    beside: Iterable[Path] = (),
) -> Verification:
    """Compare a target (None: the one that was locked) with its lock.

    `jobs` is how many files are read at once (None: one for each processor), `beside` names files
    that may lie in the target without belonging to it, as the lock itself. Raises `TargetError`
    where there is nothing to compare.
    """
    name = lock.target if target is None else target
    try:
        source = open_target(name, access)
    except (OSError, ValueError) as error:
        raise TargetError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
    ours = {path.resolve() for path in beside}
    blobs: list[Blob] = []
    unread: list[FileChange] = []
    for met in source.walk():
        if isinstance(met, Gap):
            unread.append(FileChange(path=met.at.path, what="unknown", after=met.message))
        elif not (isinstance(met, File) and Path(met.place).resolve() in ours):
            blobs.append(met)
    records: list[FileRecord] = []
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for done, read in enumerate(pool.map(_record, blobs), 1):
            if isinstance(read, FileChange):
                unread.append(read)
            else:
                records.append(read)
            if progress is not None:
                progress(done, len(blobs))
    if source.origin is not None:
        records = _with_git_names(records, source.origin)
    return _said(name, lock, against_lock(lock, records), _identity(lock, source.origin), unread)


def _record(blob: Blob) -> FileRecord | FileChange:
    if isinstance(blob, RemoteFile):
        return FileRecord(path=blob.path, size=blob.size, sha256=None, declared=blob.sha256)
    try:
        return FileRecord(path=blob.path, size=blob.size, sha256=sha256(blob))
    except (OSError, Malformed) as error:
        why = getattr(error, "strerror", None) or str(error)
        return FileChange(path=blob.path, what="unknown", after=why)
    finally:
        if isinstance(blob, File):
            blob.close()


def _with_git_names(records: list[FileRecord], origin: Origin) -> list[FileRecord]:
    """With the names that the source gives to the content of small files."""
    names = {f.path: f.git for f in origin.files if f.git is not None}
    return [
        msgspec.structs.replace(r, git=names[r.path]) if r.sha256 is None and r.path in names else r
        for r in records
    ]


def _identity(lock: Lock, origin: Origin | None) -> tuple[Change, ...]:
    if origin is None:
        return ()
    told = (
        ("identifier", lock.key, origin.key, "another repository has taken the name"),
        ("created", lock.created, origin.created, "another repository has taken the name"),
        ("commit", lock.commit, origin.commit, "the repository was changed since it was locked"),
    )
    return tuple(
        Change(what=what, before=before, after=after, means=means)
        for what, before, after, means in told
        if before is not None and after is not None and before != after
    )


def _said(
    target: str,
    lock: Lock,
    compared: Compared,
    identity: tuple[Change, ...],
    unread: list[FileChange],
) -> Verification:
    known = {f.path for f in unread}
    changes = [
        FileChange(path=d.path, what="changed", before=d.expected, after=d.found)
        for d in compared.changed
    ]
    changes += [FileChange(path=p, what="extra") for p in compared.extra]
    changes += [FileChange(path=p, what="missing") for p in compared.missing if p not in known]
    open_files = [
        FileChange(path=p, what="unknown", after="there is no digest that can be compared")
        for p in compared.open
    ] + unread
    replaced = [c for c in identity if c.what != "commit"]
    differs = bool(changes or replaced)
    outcome, code = Outcome.SAME, 0
    if differs:
        outcome, code = Outcome.DIFFERS, 1
    elif open_files:
        outcome, code = Outcome.INCOMPLETE, 3
    return Verification(
        schema=VERIFICATION_SCHEMA,
        target=target,
        locked=lock.target,
        outcome=outcome,
        sentence=_sentence(compared, changes, open_files, replaced, len(lock.files)),
        exit_code=code,
        computed=len(compared.same) + len(compared.confirmed),
        declared=len(compared.declared),
        identity=identity,
        files=tuple(sorted([*changes, *open_files], key=lambda c: (c.path, c.what))),
    )


def _sentence(
    compared: Compared,
    changes: list[FileChange],
    unread: list[FileChange],
    replaced: list[Change],
    locked: int,
) -> str:
    if replaced:
        return f"Differs: {replaced[0].means}."
    if changes:
        counts = {w: sum(c.what == w for c in changes) for w in ("changed", "missing", "extra")}
        return f"Differs: {', '.join(f'{n:,} {what}' for what, n in counts.items() if n)}."
    if unread:
        return f"Incomplete: {len(unread):,} of {locked:,} files could not be compared."
    how = "" if not compared.declared else ", as far as the source says"
    return f"Same: all {locked:,} files are those that were locked{how}."
