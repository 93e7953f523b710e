"""What of an image's layers can still be seen in the image: what an upper layer takes away or
replaces is not installed any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from weighbridge.core.check import Audit
from weighbridge.core.fact import ImageLayers, Installs, Whiteouts
from weighbridge.core.location import Location

IMAGES: Final = 200
"""How many images of one target are put together; what lies in others counts as seen."""
FOLDERS: Final = 64
_STREAMS: Final = (".tar", "data")
"""What a compressed layer expands to, by the names that its format gives it."""


def installed_now(said: Iterable[Installs], audit: Audit) -> list[Installs]:
    """What is said to be installed, without what upper layers hide in every image that holds it."""
    said = list(said)
    listed = [fact for fact in audit.facts if isinstance(fact, ImageLayers)][:IMAGES]
    if not listed:
        return said
    facts: dict[str, list[Installs | Whiteouts]] = defaultdict(list)
    for fact in audit.facts:
        if isinstance(fact, Whiteouts):
            facts[fact.at.path].append(fact)
    for installed in said:
        if installed.place == "installed":
            facts[installed.at.path].append(installed)
    digests = {f.sha256: f.path for f in audit.files if f.sha256}
    images: dict[str, list[_Image]] = defaultdict(list)
    for one in listed:
        image = _Image(one, digests)
        for path in image.paths:
            images[path].append(image)
            for fact in facts[path]:
                image.add(fact)
    return [f for f in said if f.place != "installed" or _is_seen(f, images[f.at.path])]


def _is_seen(fact: Installs, images: list[_Image]) -> bool:
    holding = [image for image in images if image.place(fact.at) is not None]
    return not holding or any(image.shows(fact) for image in holding)


class _Layer(Struct):
    """What one layer takes away, and the paths in it that say what is installed."""

    removed: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)

    def hides(self, path: str, folders: list[str]) -> bool:
        """Whether a path of a lower layer, in these folders, is not seen through this one."""
        if path in self.holds or path in self.removed:
            return True
        return any(f in self.removed or f in self.opaque for f in folders)


class _Image:
    """An image by its list of layers."""

    def __init__(self, listed: ImageLayers, digests: dict[str, str]) -> None:
        self.order: dict[tuple[str, ...], list[int]] = defaultdict(list)
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
        self.paths = {place[0] for place in self.order}

    def add(self, fact: Installs | Whiteouts) -> None:
        """Note what a layer takes away, or where something is said to be installed."""
        if isinstance(fact, Whiteouts):
            for number in self.order.get((fact.at.path, *fact.at.inside)[: self.depth], ()):
                self.layers[number].removed.update(fact.removed)
                self.layers[number].opaque.update(fact.opaque)
        elif (found := self.place(fact.at)) is not None:
            for number in found[0]:
                self.layers[number].holds.add(found[1])

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
        parts = path.split("/")
        if len(parts) > FOLDERS:
            return True  # deeper than files lie: nothing is looked for that could hide it
        folders = ["/".join(parts[:n]) for n in range(len(parts))]
        return not any(layer.hides(path, folders) for layer in self.layers[max(numbers) + 1 :])
