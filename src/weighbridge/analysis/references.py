"""Which file a reference means, as the loader that follows it would find it."""

from __future__ import annotations

import re
from typing import Final

from weighbridge.core.location import Location, joined, within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Reference

_ABSOLUTE: Final = regex(r"[/\\]|[A-Za-z]:|\w[\w+.-]*://|~")


def leaves(reference: Reference) -> bool:
    """Whether it names something outside the folder that was handed over."""
    return resolve(reference) is None


def climbs(reference: Reference) -> bool:
    """Whether it names something outside the folder of the file that refers, or goes there on its
    way: what loaders refuse since CVE-2022-25882, where they look."""
    return bool(_ABSOLUTE.match(reference.path)) or ".." in re.split(r"[/\\]", reference.path)


def resolve(reference: Reference) -> Location | None:
    """The file that is meant, or None where it would lie outside the target."""
    at, path = reference.at, reference.path
    if _ABSOLUTE.match(path) or "\0" in path:
        return None
    of, inner = within(at.path)
    own = (at.inside[-1] if at.inside else inner).split("/")[:-1]
    for part in re.split(r"[/\\]", path):
        if part == "..":
            if not own:
                return None
            own.pop()
        elif part not in ("", "."):
            own.append(part)
    meant = "/".join(own)
    return Location(at.path, (*at.inside[:-1], meant)) if at.inside else Location(joined(of, meant))
