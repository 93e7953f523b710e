"""Lists of digests, as `sha256sum`, `md5sum` and their like write them.

Sources: the output formats of coreutils' `sha256sum(1)` and of BSD's `sha256(1)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.core.document import Document, Malformed
from weighbridge.core.fact import Checksums, Digested
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob

LIST_LIMIT: Final = 16 << 20
ALGORITHMS: Final = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
"""Hexadecimal digits to the algorithm that has so many."""
_DIGEST: Final = rb"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}" \
                 rb"|[0-9a-fA-F]{128})"  # fmt: skip
_GNU: Final = regex(rb"\\?(" + _DIGEST + rb")(?:(?:  | \*|\t)(?:\./)?([^\r\n]+))?[ \t]*\r?")
_BSD: Final = regex(rb"(?:MD5|SHA1|SHA256|SHA384|SHA512) ?\(([^\r\n]+)\) ?= ?("
                         + _DIGEST + rb")[ \t]*\r?")  # fmt: skip


class ChecksumList(Document, frozen=True, kw_only=True, eq=False):
    """The files and digests in order; a lone digest has no path."""

    files: tuple[Digested, ...]

    def facts(self) -> Iterator[Checksums]:
        """The list."""
        yield Checksums(at=self.where, files=self.files)


def _entry(line: bytes) -> Digested | None:
    gnu = _GNU.fullmatch(line)
    digest, path = (gnu[1], gnu[2] or b"") if gnu else (b"", b"")
    if gnu is None:
        bsd = _BSD.fullmatch(line)
        if bsd is None:
            return None
        digest, path = bsd[2], bsd[1]
    value = digest.decode().lower()
    name = path.strip().decode("utf-8", "replace").removeprefix("./")
    return Digested(name, ALGORITHMS[len(value)], value)


def _plain(line: bytes) -> bool:
    return not line.strip() or line.startswith(b"#")


def _sniff(sample: Sample) -> bool:
    """Nothing but digests and comments: every whole line of the beginning."""
    lines = sample.head.split(b"\n")
    if sample.blob.size > len(sample.head):
        lines.pop()
    entries = [line for line in lines if not _plain(line)]
    return bool(entries) and all(map(_entry, entries))


def _parse(blob: Blob, where: Location, limits: Limits) -> ChecksumList:
    if blob.size > LIST_LIMIT:
        raise Malformed(f"a list of digests of more than {LIST_LIMIT:,} bytes", 0)
    data = blob.read(0, blob.size)
    files: list[Digested] = []
    for line in data.split(b"\n"):
        if _plain(line):
            continue
        entry = _entry(line)
        if entry is None:
            raise Malformed("it begins as a list of digests and goes on as something else")
        files.append(entry)
    return ChecksumList(where=where, size=blob.size, seen=len(data), files=tuple(files))


CHECKSUMS = Format(
    name="checksums",
    title="List of digests",
    loading=Loading.DATA,
    sniff=_sniff,
    first=b"0123456789abcdefABCDEF\\MS#\r\n",
    parse=_parse,
    document=ChecksumList,
    limits="Up to 16 MiB; names that hold a line break are not told apart from their escapes.",
)
