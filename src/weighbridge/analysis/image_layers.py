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
    known = images(audit)
    if not known:
        return said
    facts: dict[str, list[Installs]] = defaultdict(list)
    for installed in said:
        if installed.place == "installed":
            facts[installed.at.path].append(installed)
    by_path: dict[str, list[Image]] = defaultdict(list)
    for image in known:
        for path in image.paths:
            by_path[path].append(image)
            for fact in facts[path]:
                image.add(fact)
    return [f for f in said if f.place != "installed" or _is_seen(f, by_path[f.at.path])]


def images(audit: Audit) -> list[Image]:
    """The images of a target, with what their layers take away."""
    listed = [fact for fact in audit.facts if isinstance(fact, ImageLayers)][:IMAGES]
    digests = {f.sha256: f.path for f in audit.files if f.sha256} if listed else {}
    found = [Image(one, digests) for one in listed]
    taken = [fact for fact in audit.facts if isinstance(fact, Whiteouts)] if found else []
    for image in found:
        for fact in taken:
            image.take(fact)
    return found


def _is_seen(fact: Installs, images: list[Image]) -> bool:
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


class Image:
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

    def numbers(self, at: Location) -> list[int]:
        """The layers that a place is in or is, by their numbers from the lowest on."""
        return self.order.get((at.path, *at.inside)[: self.depth], [])

    def take(self, fact: Whiteouts) -> None:
        """Note what a layer takes away."""
        for number in self.numbers(fact.at):
            self.layers[number].removed.update(fact.removed)
            self.layers[number].opaque.update(fact.opaque)

    def add(self, fact: Installs) -> None:
        """Note where something is said to be installed."""
        if (found := self.place(fact.at)) is not None:
            for number in found[0]:
                self.layers[number].holds.add(found[1])

    def place(self, at: Location) -> tuple[list[int], str] | None:
        """The layers that a place is in, and its path within the image; None where it is in none
        of this image."""
        numbers = self.numbers(at)
        rest = (at.path, *at.inside)[self.depth :]
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
        return not self.hides(path, max(numbers))

    def hides(self, path: str, number: int) -> bool:
        """Whether a path of a layer, by its number, is not seen through those above it."""
        parts = path.split("/")
        if len(parts) > FOLDERS:
            return False  # deeper than files lie: nothing is looked for that could hide it
        folders = ["/".join(parts[:n]) for n in range(len(parts))]
        return any(layer.hides(path, folders) for layer in self.layers[number + 1 :])
