"""Registries that are known, and the days on which what images are built on ended."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

_FILE: Final = Path(__file__).with_suffix(".json")


class Cycle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The life of a product: `dates` say for each version the last day on which the public gets
    security fixes (ISO 8601). `images` are those whose tag begins with the version, `tags` tells it
    in the tags of other images, `names` are code names of versions. `source` is where the product's
    own makers say so, `note` what the dates were held against, on the day `reviewed`; what no
    public source substantiates is left out."""

    source: str
    reviewed: str
    note: str
    images: frozenset[str]
    dates: dict[str, str]
    tags: str = ""
    names: dict[str, str] = {}


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reviewed table."""

    reviewed: str
    registries: frozenset[str]
    registry_suffixes: tuple[str, ...]
    retired_registries: frozenset[str]
    end_of_life: dict[str, Cycle]

    def knows(self, registry: str) -> bool:
        """Whether a registry is one of the well-known ones."""
        return registry in self.registries or registry.endswith(self.registry_suffixes)


@cache
def listed() -> Images:
    """The reviewed table."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Images)


def ends(image: str, tag: str) -> tuple[tuple[str, str, str, str], ...]:
    """What an image's tag says that it is built on: product, version, last day, source."""
    found = []
    short = image.removeprefix("docker.io/").removeprefix("library/")
    lower = tag.lower()
    for product, cycle in listed().end_of_life.items():
        version = _version(cycle, short, lower)
        if version in cycle.dates:
            found.append((product, version, cycle.dates[version], cycle.source))
    return tuple(found)


_SYSTEMS: Final = {"debian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine Linux"}


def system(image: str, tag: str) -> tuple[str, str]:
    """The system that an image's tag says that it is built on: its name, as `os-release` has it
    (`debian`), and its release; empty where it says none."""
    short = image.removeprefix("docker.io/").removeprefix("library/")
    for id, product in _SYSTEMS.items():
        cycle = listed().end_of_life[product]
        version = _version(cycle, short, tag.lower())
        if version and version in cycle.dates:
            return id, version
    return "", ""


def release(id: str, said: str) -> str:
    """The number of a system's release that is called by its code name (`bookworm`)."""
    return listed().end_of_life[_SYSTEMS[id]].names.get(said, said) if id in _SYSTEMS else said


def _version(cycle: Cycle, image: str, tag: str) -> str:
    said = re.match(r"v?(\d+(?:\.\d+)*)", tag) if image in cycle.images else None
    if said is not None:
        parts = said[1].split(".")
        for kept in (2, 1):
            if (short := ".".join(parts[:kept])) in cycle.dates:
                return short
        return said[1]
    for name in re.findall(r"[a-z]+", tag):
        if name in cycle.names:
            return cycle.names[name]
    told = re.search(rf"(?<![a-z]){cycle.tags}(?![\d])", tag) if cycle.tags else None
    return told[1] if told is not None else ""


def load() -> Intel:
    """What the report says of this table."""
    read = listed()
    size = sum(len(cycle.dates) for cycle in read.end_of_life.values())
    return Intel(name=f"ends of life of images' parts ({size:,})", date=read.reviewed)
