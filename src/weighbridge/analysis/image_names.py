"""Names of images, and what they tell of whoever runs them: who can exchange the image, and what in
it gets no security fixes any more."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from msgspec import Struct

from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action
from weighbridge.core.regex import regex
from weighbridge.intel.images import ends, listed

_DIGEST: Final = regex(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_MOVING: Final = regex(
    r"(?:.*[-_.])?(?:latest|nightly|main|master|dev|edge|devel-latest|stable|rolling|head|canary)"
    r"(?:[-_.].*)?",
    re.IGNORECASE,
)
_EXACT: Final = regex(r"v?\d+\.\d+\.\d+.*|.*\d{8}.*|.*\d\d\.\d\d\.\d+.*|[0-9a-f]{7,40}")


class Image(Struct, frozen=True):
    """The parts of an image's name; `registry` is `docker.io` where none is written."""

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Without tag and digest, as its users write it."""
        return self.path if self.registry == "docker.io" else f"{self.registry}/{self.path}"


def parsed(text: str) -> Image:
    """An image's name, by the rules of distribution/reference."""
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    named = bool(slash) and ("." in head or ":" in head or head == "localhost")
    registry, path = (head, tail) if named else ("docker.io", rest)
    path, _, tag = path.partition(":")
    return Image(registry.lower(), path, tag, digest)


def judged(image: Image, today: date) -> Iterator[tuple[str, Action]]:
    """What is to be said of running it, and what is to be done about each."""
    if _plain(image.registry):
        yield f"{image.name}: its registry is an address, whose owner is not known", Action.REVIEW
    elif image.registry in listed().retired_registries:
        yield f"{image.name}: its registry is retired", Action.REVIEW
    elif not listed().knows(image.registry):
        yield f"{image.name}: the registry is not one of the well-known ones", Action.REVIEW
    if not _DIGEST.fullmatch(image.digest):
        tag, action = image.tag, Action.NOTE
        if not tag or _MOVING.fullmatch(tag):
            what = f"{image.name}:{tag}" if tag else f"{image.name} without a tag"
            yield f"{what} is whatever was pushed last", Action.REVIEW
        else:
            kind = "a tag that names a release" if _EXACT.fullmatch(tag) else "a tag that moves"
            yield f"{image.name}:{tag} is {kind}; no digest holds it", action
    for product, version, day, _ in ends(image.name, image.tag):
        if date.fromisoformat(day) < today:
            yield f"{image.name}:{image.tag}: {product} {version} has had no security fixes " \
                f"since {day}", Action.REVIEW  # fmt: skip


def _plain(registry: str) -> bool:
    host = registry.partition(":")[0].strip("[]")
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parts(image: Image) -> Table:
    """The parts of its name, and the ends of life that its tag tells."""
    rows = [("registry", image.registry), ("image", image.path), ("tag", image.tag or "none"),
            ("digest", image.digest or "none")]  # fmt: skip
    rows += [(f"{product} {version}", f"until {day} ({source})")
             for product, version, day, source in ends(image.name, image.tag)]  # fmt: skip
    return Table("The image", ("part", "says"), tuple(rows))
