"""What calls in Python source do, and the places that hostile code reads, writes and sends to.

Coarser than `names`, which judges what a pickle may import: code may read files and make folders.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

FILE: Final = Path(__file__).with_suffix(".json")


class _Lists(msgspec.Struct):
    reviewed: str
    effects: dict[str, list[str]]
    phrases: dict[str, str]
    places: dict[str, list[str]]
    collectors: list[str]


@cache
def _lists() -> _Lists:
    return msgspec.json.decode(FILE.read_bytes(), type=_Lists)


@cache
def _by_name() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for effect, names in _lists().effects.items():
        for name in names:
            found[name] = (*found.get(name, ()), effect)
    return found


def load() -> Intel:
    """Read the lists now (the jail that they are used in cannot open files); their date."""
    _by_name()
    return Intel(name="calls in source", date=_lists().reviewed)


def effects(dotted: str) -> tuple[str, ...]:
    """What calling a name does (`execute`, `evaluate`, `connect` …), most telling first.

    A method of something that connects connects: `requests.Session` and then `.get`.
    """
    known = _by_name()
    parts = dotted.split(".")
    for end in range(len(parts), 1, -1):
        found = known.get(".".join(parts[:end]))
        if found is not None:
            return found
    return ()


def known(effect: str) -> tuple[str, ...]:
    """The names whose calls have an effect."""
    return tuple(_lists().effects[effect])


def phrase(effect: str) -> str:
    """An effect in words, to follow "it"."""
    return _lists().phrases[effect]


def place(text: str) -> tuple[str, str] | None:
    """A kind of place (`credentials`, `start-up`) that a text names, and how it is spelled."""
    for kind, marks in _lists().places.items():
        for mark in marks:
            if mark in text:
                return kind, mark
    return None


def collector(text: str) -> str | None:
    """A host in the text that is known for receiving stolen data or callbacks."""
    return next((host for host in _lists().collectors if host in text), None)
