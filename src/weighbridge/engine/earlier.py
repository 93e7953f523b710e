"""What earlier audits found in a file, kept so that only changed files are read again.

A result is used again only where nothing that it depends on has changed: the rules, the budgets,
the file's path and size, and its digest. Of a file on this machine the digest is computed anew; of
a remote one, of which an audit reads parts only, it is the one that its source names, and the
result claims no other. Results with gaps of the moment (a time-out, a lost connection) are not
kept.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.finding import GapKind
from weighbridge.core.report import Examined
from weighbridge.core.tree import Blob
from weighbridge.engine.hashing import sha256
from weighbridge.sources.folder import File
from weighbridge.sources.remote import RemoteFile

SMALLEST: Final = 1 << 20
"""Files below this are read whole in any case, and at once."""
LARGEST: Final = 64 << 20
"""How many bytes a kept result may have."""
_FLEETING: Final = frozenset({
    GapKind.CRASHED, GapKind.OFFLINE, GapKind.TIMEOUT, GapKind.UNREADABLE,
})  # fmt: skip


class _Kept(Struct, frozen=True):
    """A result, with the digest of the content that it is about and who named that digest."""

    digest: str
    computed: bool
    examined: Examined


class Earlier(Struct, frozen=True):
    """The results in a folder. `rules` is a digest over all that they depend on beside the file."""

    folder: Path
    rules: str

    def known(self, blobs: Sequence[Blob]) -> dict[int, Examined]:
        """The results that hold for these blobs, by their numbers. Files on this machine that may
        be known are read, to compute their digests."""
        kept = {n: k for n, b in enumerate(blobs) if (k := self._kept(b)) is not None}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            digests = pool.map(_digest, (blobs[n] for n in kept))
            return {
                number: one.examined
                for (number, one), digest in zip(kept.items(), digests, strict=True)
                if digest == (one.digest, one.computed)
            }

    def keep(self, blob: Blob, examined: Examined) -> None:
        """Keep a result, as far as it can be used again. Nothing is lost where that fails."""
        record = examined.record
        remote = isinstance(blob, RemoteFile)
        digest = blob.sha256 if isinstance(blob, RemoteFile) else record.sha256
        fleeting = any(gap.kind in _FLEETING for gap in examined.gaps)
        if digest is None or blob.size < SMALLEST or fleeting or (remote and record.sha256):
            return
        data = msgspec.msgpack.encode(_Kept(digest, not remote, examined))
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(name, self._place(blob))

    def _kept(self, blob: Blob) -> _Kept | None:
        if blob.size < SMALLEST or not isinstance(blob, File | RemoteFile):
            return None
        try:
            with self._place(blob).open("rb") as file:
                kept = msgspec.msgpack.decode(file.read(LARGEST), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return None
        record = kept.examined.record
        fits = record.path == blob.path and record.size == blob.size
        return kept if fits and kept.computed is isinstance(blob, File) else None

    def _place(self, blob: Blob) -> Path:
        said = "\0".join((self.rules, blob.path, str(blob.size), blob.role))
        name = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"{name}.examined"


def _digest(blob: Blob) -> tuple[str, bool] | None:
    if isinstance(blob, RemoteFile):
        return None if blob.sha256 is None else (blob.sha256, False)
    try:
        return sha256(blob), True
    except (OSError, Malformed):
        return None
    finally:
        if isinstance(blob, File):
            blob.close()
