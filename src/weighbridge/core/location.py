"""Where something stands."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from weighbridge.core.regex import regex

_PART: Final = regex(r"[a-z][a-z-]*:(?!//)")


OWN: Final = "target"
"""What the target itself is called where one of its own files begins with what could be taken for
the name of a part: `env:a.pth` of the target is `target:env:a.pth`."""


def within(path: str) -> tuple[str, str]:
    """The name of the part of the target that a path belongs to (`source`), empty where it is the
    target itself, and the path within that part."""
    part, colon, inner = path.partition(":")
    if not colon or inner.startswith("//") or not _is_part(part):
        return "", path
    return ("" if part == OWN else part), inner


@lru_cache(maxsize=256)
def _is_part(name: str) -> bool:
    """Whether a name can be that of a part: asked of every path, of the same few names."""
    return _PART.fullmatch(f"{name}:") is not None


def joined(part: str, inner: str) -> str:
    """The path of a file that belongs to a part of the target, empty for the target itself: what
    `within` takes apart again."""
    if part:
        return f"{part}:{inner}"
    return f"{OWN}:{inner}" if _PART.match(inner) else inner


class Location(Struct, frozen=True, omit_defaults=True):
    """A place in the audited target.

    `path` is always a file that the target really has, relative to its root with `/` between the
    parts. `inside` leads from that file into what it contains: archive members, compressed
    streams, payloads found in strings. `offset` and `length` are in bytes and count within the
    innermost thing; `line` starts at 1; `symbol` is a name that stays when lines move.
    """

    path: str
    inside: tuple[str, ...] = ()
    offset: int | None = None
    length: int | None = None
    line: int | None = None
    symbol: str | None = None

    def into(self, member: str) -> Location:
        """The location of a member of the container that stands here."""
        return Location(self.path, (*self.inside, member))
