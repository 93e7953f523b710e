"""What of an image's layers can still be seen in the image: what an upper layer takes away or
replaces is not installed any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from weighbridge.core.check import Audit
from weighbridge.core.fact import ImageLayers, Installs, Whiteouts
from weighbridge.core.location import Location

_STREAMS: Final = (".tar", "data")
"""What a compressed layer expands to, by the names that its format gives it."""


def installed_now(said: Iterable[Installs], audit: Audit) -> list[Installs]:
    """What is said to be installed, without what upper layers hide in every image that holds it."""
    said = list(said)
    images = [_Image(fact, audit) for fact in audit.facts if isinstance(fact, ImageLayers)]
    if not images:
        return said
    for image in images:
        for fact in said:
            if fact.place == "installed":
                image.add(fact)
    return [fact for fact in said if fact.place != "installed" or _is_seen(fact, images)]


def _is_seen(fact: Installs, images: list[_Image]) -> bool:
    holding = [image for image in images if image.place(fact.at) is not None]
    return not holding or any(image.shows(fact) for image in holding)


@dataclass
class _Layer:
    """What one layer takes away, and the paths in it that say what is installed."""

    removed: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)

    def hides(self, path: str) -> bool:
        """Whether a path of a lower layer is not seen through this one."""
        if path in self.holds:
            return True
        parts = path.split("/")
        folders = ["/".join(parts[:n]) for n in range(len(parts))]
        return path in self.removed or any(f in self.removed or f in self.opaque for f in folders)


class _Image:
    """An image by its list of layers."""

    def __init__(self, listed: ImageLayers, audit: Audit) -> None:
        self.order: dict[tuple[str, ...], list[int]] = defaultdict(list)
        digests = {f.sha256: f.path for f in audit.files if f.sha256}
        at = listed.at
        for number, name in enumerate(listed.layers):
            hexadecimal = name.removeprefix("sha256:")
            names = (name, f"blobs/sha256/{hexadecimal}")
            if at.inside:
                places = [(at.path, *at.inside[:-1], n) for n in names]
            else:
                folder = at.path.rpartition("/")[0]
                places = [(f"{folder}/{n}" if folder else n,) for n in names]
                places += [(digests[hexadecimal],)] if hexadecimal in digests else []
            for place in dict.fromkeys(places):
                self.order[place].append(number)
        self.depth = len(at.inside) + 1 if at.inside else 1
        self.layers = [_Layer() for _ in listed.layers]
        for fact in audit.facts:
            if isinstance(fact, Whiteouts):
                for number in self.order.get((fact.at.path, *fact.at.inside)[: self.depth], ()):
                    self.layers[number].removed.update(fact.removed)
                    self.layers[number].opaque.update(fact.opaque)

    def add(self, fact: Installs) -> None:
        """Note where something is said to be installed."""
        found = self.place(fact.at)
        for number in found[0] if found is not None else ():
            self.layers[number].holds.add(found[1] if found is not None else "")

    def place(self, at: Location) -> tuple[list[int], str] | None:
        """The layers that a place is in, and its path within the image; None where it is in none
        of this image."""
        whole = (at.path, *at.inside)
        numbers = self.order.get(whole[: self.depth])
        rest = whole[self.depth :]
        if not numbers or not rest:
            return None
        if len(rest) > 1 and rest[0].endswith(_STREAMS):
            rest = rest[1:]
        return numbers, rest[0].removeprefix("./")

    def shows(self, fact: Installs) -> bool:
        """Whether it can be seen in the image, from one of the layers that it is in."""
        found = self.place(fact.at)
        if found is None:
            return False
        numbers, path = found
        return not any(layer.hides(path) for layer in self.layers[max(numbers) + 1 :])
