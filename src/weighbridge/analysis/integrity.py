"""Which files are what somebody vouched for: a publisher by a signature, the user by a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from weighbridge.analysis.signature import Proof, Standing, verify
from weighbridge.core.check import Audit
from weighbridge.core.fact import Signature
from weighbridge.core.origin import Origin
from weighbridge.core.regex import regex
from weighbridge.core.report import FileRecord
from weighbridge.core.tree import Blob
from weighbridge.core.trust import Lock, LockedFile, Publisher, Trust
from weighbridge.formats.signature_bundle import shard

CHUNK: Final = 1 << 20
_ALGORITHM: Final = regex(r"sha256(?:-sharded-\d{1,18})?")
GIT_OWN: Final = (".gitattributes", ".gitignore")
"""What git reads and no loader does: signers leave it out, and it is named apart."""


class Differing(Struct, frozen=True):
    """A file that is not what was vouched for: the two digests."""

    path: str
    expected: str
    found: str


class Compared(Struct, frozen=True):
    """Files against a list. `same` were computed, now and when they were listed, and are equal;
    `confirmed` were computed now and equal what was only declared then; `declared` are equal by
    what the source names now; `open` have no digest that can be compared."""

    same: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()
    declared: frozenset[str] = frozenset()
    changed: tuple[Differing, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


# -- the lock -------------------------------------------------------------------------------------


def against_lock(lock: Lock, files: Iterable[FileRecord]) -> Compared:
    """The files of a target against those that were locked."""
    locked = {f.path: f for f in lock.files}
    here = {f.path: f for f in files}
    same: set[str] = set()
    confirmed: set[str] = set()
    declared: set[str] = set()
    changed: list[Differing] = []
    left: list[str] = []
    for path in sorted(locked.keys() & here.keys()):
        pair = _digests(locked[path], here[path])
        if pair is None:
            left.append(path)
        elif pair[0] != pair[1]:
            changed.append(Differing(path, *pair))
        elif here[path].sha256 is None:
            declared.add(path)
        else:
            (confirmed if locked[path].sha256 is None else same).add(path)
    return Compared(
        frozenset(same),
        frozenset(confirmed),
        frozenset(declared),
        tuple(changed),
        tuple(sorted(locked.keys() - here.keys())),
        tuple(sorted(here.keys() - locked.keys())),
        tuple(left),
    )


def _digests(locked: LockedFile, here: FileRecord) -> tuple[str, str] | None:
    """Two digests that mean the same thing, computed ones first; sizes where only they differ."""
    known, found = locked.sha256 or locked.declared, here.sha256 or here.declared
    if known is not None and found is not None:
        return known, found
    if locked.size != here.size:
        return f"{locked.size:,} bytes", f"{here.size:,} bytes"
    if locked.git is not None and here.git is not None:
        return locked.git, here.git
    return None


def concerned(
    trust: Trust, target: str, origin: Origin | None
) -> tuple[tuple[Publisher, ...], Lock | None]:
    """What of the user's trust is about this target: by the name that was asked for, and by the
    one that answered."""
    names = {target} | ({origin.id, origin.asked} if origin is not None else set())
    publishers = tuple(
        p for p in trust.publishers if any(fnmatchcase(n, p.repository) for n in names)
    )
    lock = trust.lock
    if lock is not None and not (trust.lock_named or lock.target in names or lock.id in names):
        lock = None
    return publishers, lock


# -- signatures -----------------------------------------------------------------------------------


class Signed(Struct, frozen=True):
    """A signature, how it stands, and the files that it covers as they are here. `ignored` are
    files here that its signer left out. `unread` says why its list could not be compared."""

    signature: Signature
    proof: Proof
    compared: Compared
    ignored: tuple[str, ...] = ()
    unread: str = ""

    @property
    def valid(self) -> bool:
        """Whether a publisher of the policy vouches for what it lists."""
        return self.proof.standing is Standing.VALID and not self.signature.faults


def signed(audit: Audit) -> tuple[Signed, ...]:
    """Every signature that stands in a file of its own."""
    own = {f.path for f in own_files(audit)}
    found = (
        f for f in audit.facts
        if isinstance(f, Signature) and not f.at.inside and f.at.path in own
    )  # fmt: skip
    return tuple(_signed(f, audit) for f in found)


def _signed(signature: Signature, audit: Audit) -> Signed:
    proof = verify(signature, audit.publishers)
    unread = _unread(signature)
    if unread or signature.faults:
        return Signed(signature, proof, Compared(), (), unread)
    here = {f.path: f for f in own_files(audit)}
    listed = _by_path(signature)
    root = _root(signature, listed, here)
    listed = {root + path: parts for path, parts in listed.items()}
    left_out = tuple(p for p in sorted(here) if p not in listed and _ignored(p, root, signature))
    return Signed(signature, proof, _listed(listed, here, audit.blobs), left_out)


Part = tuple[int, int | None, str]
"""A part of a file that was signed: its first byte, the one after its last (None: that of the
file), and the sha256."""


def _by_path(signature: Signature) -> dict[str, list[Part]]:
    if signature.layout == "files":
        return {f.path: [(0, None, f.value)] for f in signature.files}
    found: dict[str, list[Part]] = {}
    for file in signature.files:
        part = shard(file.path)
        if part is not None:
            path, start, end = part
            found.setdefault(path, []).append((start, end, file.value))
    return found


def _unread(signature: Signature) -> str:
    if not signature.files and not signature.faults:
        return "it is a statement about something else than the files of a model"
    if signature.layout not in ("files", "shards"):
        return f"its digests are of kind {signature.layout[:40]!r}, which are not compared"
    other = {f.algorithm for f in signature.files if not _ALGORITHM.fullmatch(f.algorithm)}
    return f"it lists digests of kind {min(other)[:40]!r}, which are not compared" if other else ""


def _root(
    signature: Signature, listed: Mapping[str, object], here: Mapping[str, FileRecord]
) -> str:
    """The folder that a signature's paths are meant in: its own or the root, whichever has more of
    them. A wrong guess vouches for nothing, because digests are what is compared."""
    folder = signature.at.path.rpartition("/")[0]
    own = f"{folder}/" if folder else ""
    in_own = sum(own + path in here for path in listed)
    return own if in_own >= sum(path in here for path in listed) else ""


def _ignored(path: str, root: str, signature: Signature) -> bool:
    below = path.removeprefix(root)
    return any(below == i or below.startswith(f"{i.rstrip('/')}/") for i in signature.ignored if i)


def _listed(
    listed: Mapping[str, list[Part]],
    here: Mapping[str, FileRecord],
    blobs: Mapping[str, Blob],
) -> Compared:
    same: set[str] = set()
    declared: set[str] = set()
    changed: list[Differing] = []
    left: list[str] = []
    for path in sorted(listed.keys() & here.keys()):
        record, parts = here[path], listed[path]
        whole = parts[0][2] if parts[0][1] is None else None
        found = record.sha256 or record.declared
        if whole is None:
            if record.sha256 is None or path not in blobs:
                left.append(path)
            elif differing := _differing(path, sorted(parts), blobs[path]):
                changed.append(differing)
            else:
                same.add(path)
        elif found is None:
            left.append(path)
        elif found != whole:
            changed.append(Differing(path, whole, found))
        else:
            (same if record.sha256 is not None else declared).add(path)
    missing = tuple(sorted(listed.keys() - here.keys()))
    return Compared(
        same=frozenset(same),
        declared=frozenset(declared),
        changed=tuple(changed),
        missing=missing,
        open=tuple(left),
    )


def _differing(
    path: str, parts: Sequence[tuple[int, int | None, str]], blob: Blob
) -> Differing | None:
    """The first shard that is not as it was signed; the shards must be the whole file."""
    at = 0
    for start, end, expected in parts:
        if start != at or end is None or end < start or end > blob.size:
            return Differing(path, f"a shard from byte {at:,}", f"one from byte {start:,}")
        digest = hashlib.sha256()
        for offset in range(start, end, CHUNK):
            digest.update(blob.read(offset, min(CHUNK, end - offset)))
        if digest.hexdigest() != expected:
            return Differing(path, expected, f"{digest.hexdigest()} (from byte {start:,})")
        at = end
    if at != blob.size:
        return Differing(path, f"{at:,} bytes", f"{blob.size:,} bytes")
    return None


# -- both -----------------------------------------------------------------------------------------


def needs_vouching(audit: Audit, signatures: Sequence[Signed]) -> Iterator[str]:
    """The files that somebody has to vouch for: all but the signatures of the policy's publishers
    and what is git's own."""
    valid = {one.signature.at.path for one in signatures if one.valid}
    for file in own_files(audit):
        if file.path not in valid and not is_git_own(file.path):
            yield file.path


def own_files(audit: Audit) -> tuple[FileRecord, ...]:
    """The files of the target itself, without those of what was audited in one with it."""
    return tuple(f for f in audit.files if f.path.partition(":")[0] not in audit.joined)


def is_git_own(path: str) -> bool:
    """Whether a file is read by git and by nothing that loads a model."""
    return path in GIT_OWN or path.startswith(".git/")


def vouched(audit: Audit, signatures: Sequence[Signed]) -> frozenset[str]:
    """The files whose computed sha256 is one that a publisher of the policy signed, or that the
    user locked. A digest that only the source names vouches for nothing."""
    files: set[str] = set()
    for one in signatures:
        if one.valid:
            files |= one.compared.same
    if audit.lock is not None:
        lock = against_lock(audit.lock, own_files(audit))
        files |= lock.same | lock.confirmed
    return frozenset(files)


def all_vouched(audit: Audit) -> bool:
    """Whether every file of the target is vouched for, and none is missing or changed: what lets
    the question of integrity pass."""
    signatures = signed(audit)
    known = vouched(audit, signatures)
    complete = all(not s.compared.missing and not s.compared.changed for s in signatures if s.valid)
    if audit.lock is not None:
        lock = against_lock(audit.lock, own_files(audit))
        complete = complete and not lock.missing and not lock.changed
    files = list(needs_vouching(audit, signatures))
    return bool(files) and complete and all(path in known for path in files)
