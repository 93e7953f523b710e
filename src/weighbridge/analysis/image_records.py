"""Files of packages as an image shows them, against the records that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from weighbridge.analysis.image_layers import Image, images
from weighbridge.core.check import Audit
from weighbridge.core.fact import LayerPackages
from weighbridge.core.location import Location


class Differing(Struct, frozen=True):
    """A file that is not what the `record` of its package says. `at` is the layer that the file is
    in; `later`: the record is in one below."""

    path: str
    record: str
    at: Location
    later: bool


def differing(audit: Audit) -> list[Differing]:
    """What is changed, in each image as it is seen from the top; what is removed is not. An archive
    that is in no image is held against its own records."""
    said = [fact for fact in audit.facts if isinstance(fact, LayerPackages)]
    if not said:
        return []
    found: dict[Differing, None] = {}
    layered: set[int] = set()
    for image in images(audit):
        held = {n: fact for fact in said for n in image.numbers(fact.at)}
        layered.update(map(id, held.values()))
        found.update(dict.fromkeys(_seen(image, held)))
    for fact in said:
        if id(fact) not in layered:
            found.update(dict.fromkeys(_alone(fact)))
    return list(found)


def _alone(fact: LayerPackages) -> Iterator[Differing]:
    for record, rows in fact.records.items():
        for path in fact.files.keys() & rows.keys():
            if fact.files[path] and fact.files[path] != rows[path]:
                yield Differing(path, record, fact.at, later=False)


def _seen(image: Image, held: dict[int, LayerPackages]) -> Iterator[Differing]:
    """Only what some layer does not settle by itself is looked at: files that are not as a record
    beside them says, and rows of records whose files are in another layer."""
    top_down = sorted(held, reverse=True)
    absent = {number: frozenset(held[number].absent) for number in held}
    open_ = {path for fact in held.values() for path in (*fact.files, *fact.absent)}
    lists: dict[str, list[tuple[int, str]]] = {}
    folders: dict[str, tuple[int, str]] = {}
    for number, record in _shown(image, held, top_down):
        paths = held[number].records[record].keys()
        for path in paths & open_:
            lists.setdefault(path, []).append((number, record))
        for path in paths:
            while (path := path.rpartition("/")[0]) and path not in folders:
                folders[path] = number, record
    for number in top_down:
        for path in held[number].files.keys() & folders.keys():  # a link in place of a folder
            below, record = folders[path]
            if below < number and not image.hides(path, number):
                yield Differing(path, record, held[number].at, later=True)
    for path, listed in lists.items():
        for number in top_down:
            digest = _digest(held[number], absent[number], path)
            if digest is None:
                continue
            rows = [(n, record, held[n].records[record][path]) for n, record in listed]
            below, record, _ = rows[0]
            linked = not digest and below == number  # as some installers lay files out
            agrees = linked or any(said == digest for _, _, said in rows)
            if not agrees and not image.hides(path, number):
                yield Differing(path, record, held[number].at, later=below < number)
            break


def _shown(
    image: Image, held: dict[int, LayerPackages], top_down: Iterable[int]
) -> Iterator[tuple[int, str]]:
    """The records that are seen from the top, with the layer that each is in."""
    met: set[str] = set()
    for number in top_down:
        for record in held[number].records.keys() - met:
            met.add(record)
            if not image.hides(record, number):
                yield number, record


def _digest(fact: LayerPackages, absent: frozenset[str], path: str) -> bytes | None:
    """The sha256 of a file in a layer, None where it is not there."""
    if path in fact.files:
        return fact.files[path]
    if path in absent:
        return None
    return next((rows[path] for rows in fact.records.values() if path in rows), None)
