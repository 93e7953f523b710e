"""Check `archive-escape`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.document import Document
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.sevenzip import SevenZip
from weighbridge.formats.tar import DEVICES, HARD_LINK, SYMBOLIC_LINK, Tar
from weighbridge.formats.zip import Zip


@check("archive-escape", control="payload-scan", reads=Document)
def archive_escape(archive: Document) -> Iterator[Finding]:
    """Extracting this archive would write outside the folder that it is extracted to.

    ## Why it matters
    A member named `../../.ssh/authorized_keys`, an absolute name, or a link that leads out of the
    folder lets an archive write where it pleases when a careless program extracts it.

    ## What to do
    Do not extract it. Ask the publisher for an archive with plain relative names.

    ## Limits
    Whether your extractor refuses such names is not known; many do today. Links and devices in a
    layer of a container image are not accused: whoever unpacks one takes `/` for the image's own.

    ## References
    - https://cwe.mitre.org/data/definitions/22.html
    - https://cwe.mitre.org/data/definitions/59.html
    """
    for name, why, offset in _escapes(archive):
        yield Finding(
            message=f"member {name!r} {why}",
            at=archive.at(offset),
            action=Action.BLOCK,
            symbol=name,
        )


def _escapes(archive: Document) -> Iterator[tuple[str, str, int | None]]:
    if isinstance(archive, Zip):
        for member in (*archive.members, *archive.hidden):
            if leaves(member.name):
                yield member.name, "leaves the folder", member.header
            elif member.link:
                target = archive.blob.read(member.data, min(member.size, 4096))
                path = target.decode("utf-8", "surrogateescape")
                if leaves(_joined(member.name, path)):
                    yield member.name, f"is a link to {path!r}, outside", member.header
    elif isinstance(archive, Tar):
        layer = is_layer(archive.where)
        for entry in archive.members:
            if leaves(entry.name):
                yield entry.name, "leaves the folder", entry.offset
            elif layer:
                if entry.type == HARD_LINK and leaves(entry.link.lstrip("/")):
                    yield entry.name, f"is a link to {entry.link!r}, outside", entry.offset
            elif entry.type in DEVICES:
                yield entry.name, "is a device or a pipe", entry.offset
            elif entry.type in (HARD_LINK, SYMBOLIC_LINK):
                base = entry.name if entry.type == SYMBOLIC_LINK else ""
                if leaves(_joined(base, entry.link)):
                    yield entry.name, f"is a link to {entry.link!r}, outside", entry.offset
    elif isinstance(archive, SevenZip):
        for packed in archive.entries:
            if leaves(packed.name):
                yield packed.name, "leaves the folder", None


_LAYER: Final = regex(
    r"(?:.*/)?(?:blobs/sha256/[0-9a-f]{64}|[0-9a-f]{64}/layer\.tar|[0-9a-f]{64}\.tar)"
)


def is_layer(where: Location) -> bool:
    """Whether an archive is a layer of a container image, by the name that it has in an image
    layout (OCI) or in what `docker save` and `podman save` write; it may be compressed there."""
    return any(_LAYER.fullmatch(name) for name in (where.path, *where.inside)[-2:])


def _joined(link: str, target: str) -> str:
    if target.startswith(("/", "\\")):
        return target
    folder = link.rpartition("/")[0]
    return f"{folder}/{target}" if folder else target


_SUSPECT: Final = regex(r"\.\.|^[/\\]|^[A-Za-z]:|\0")


def leaves(name: str) -> bool:
    """Whether a member's name leads out of the folder, on any operating system."""
    if not _SUSPECT.search(name):
        return False
    path = name.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return True
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
