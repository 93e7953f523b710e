"""The sha256 of files on this machine, at the speed of the hash itself."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob
from weighbridge.sources.folder import File

BUFFER: Final = 1 << 20


def sha256(blob: Blob) -> str:
    """The sha256 of a blob, in hexadecimal. A file is read into one buffer, which saves the time
    that new memory for every part takes. Raises `OSError`, `Malformed`."""
    digest = hashlib.sha256()
    if not isinstance(blob, File):
        for offset in range(0, blob.size, BUFFER):
            digest.update(blob.read(offset, BUFFER))
        return digest.hexdigest()
    descriptor, buffer = blob.descriptor(), memoryview(bytearray(BUFFER))
    offset = 0
    while offset < blob.size:
        count = os.preadv(descriptor, [buffer[: min(BUFFER, blob.size - offset)]], offset)
        if not count:
            raise Malformed("the file became shorter while it was read", offset)
        digest.update(buffer[:count])
        offset += count
    return digest.hexdigest()
