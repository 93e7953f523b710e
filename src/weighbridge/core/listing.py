"""What an index of Python packages says of a project: its state and every file that it offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, field

from weighbridge.core.report import Intel
from weighbridge.core.tree import Blob


class ListedFile(Struct, frozen=True, array_like=True):
    """A file that an index offers.

    `version` is the one that its name tells, without zeros at its end (empty: it tells none),
    `url` where the file lies, `digests` by algorithm in hexadecimal, `size` in bytes (-1: not
    said), `uploaded` the time in ISO 8601 (empty: not said). `yanked` is None, or the reason why it
    was taken back (which may be empty). `attested` says whether attestations of its origin are
    offered (None: the index does not speak of such).
    """

    name: str
    version: str
    url: str
    digests: dict[str, str] = {}
    size: int = -1
    uploaded: str = ""
    yanked: str | None = None
    attested: bool | None = None


class Listing(Struct, frozen=True, array_like=True):
    """A project as an index lists it (PEP 691, 700, 708, 740, 792).

    `exists` is False where the index has no such project. `status` is `active`, `archived`,
    `deprecated` or `quarantined`, `reason` why. `versions` are all that have a release, written
    like those of the files (None: the index does not list them).
    """

    name: str
    exists: bool = True
    status: str = "active"
    reason: str = ""
    files: tuple[ListedFile, ...] = ()
    versions: frozenset[str] | None = None

    def of(self, version: str) -> tuple[ListedFile, ...]:
        """The files of a version, given without zeros at its end."""
        return tuple(file for file in self.files if file.version == version)


Key = tuple[str, str]
"""An index, by its address as it may be shown, and the normalised name of a project."""


class IndexAnswers(Struct, frozen=True):
    """What the indexes that may be asked said, on one day (ISO 8601). The first of `indexes` is the
    one that is meant where a requirement names none.

    `failed` says of a project why there is no answer. `wheels` are the wheels on an index from
    which packages of the installed environment seem to come, by the path of the package's record:
    they are remote, and read in parts. `unheld` says of the other records why there is none.
    """

    indexes: tuple[str, ...]
    day: str
    listings: Mapping[Key, Listing] = field(default_factory=dict)
    failed: Mapping[Key, str] = field(default_factory=dict)
    wheels: Mapping[str, Blob] = field(default_factory=dict)
    unheld: Mapping[str, str] = field(default_factory=dict)

    def intel(self) -> tuple[Intel, ...]:
        """What the report says of each index that was asked."""
        counts = Counter(index for index, _ in (*self.listings, *self.failed))
        return tuple(
            Intel(name=f"index of packages ({counts[index]:,} asked for)", date=self.day[:10],
                  source=index, count=counts[index])
            for index in self.indexes
            if counts[index]
        )  # fmt: skip
