"""Which package owns which file of what is installed: what the records of installers say."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Owned(NamedTuple):
    """What a RECORD says of a file: the package that it stands in and the sha256, empty where it
    names none (or one of another kind)."""

    package: str
    sha256: str


class Ownership(msgspec.Struct):
    """The files that packages own, by path. `folders` are those that packages were installed into,
    `records` the RECORD files, `faults` those that could not be read, `outside` the rows that lead
    out of what was handed over, `unrecorded` the packages that came without a RECORD. `conda` are
    the records of packages that conda has installed, `compiled` the compiled modules that fit the
    sources beside them, which packages own."""

    owned: dict[str, Owned] = {}
    folders: set[str] = set()
    records: dict[str, str] = {}
    faults: list[tuple[str, str]] = []
    outside: list[tuple[str, str]] = []
    unrecorded: list[str] = []
    conda: dict[str, str] = {}
    compiled: set[str] = set()

    def beside(self, other: Ownership) -> Ownership:
        """This and what another says of other files."""
        if other == Ownership():
            return self
        return Ownership(
            self.owned | other.owned,
            self.folders | other.folders,
            self.records | other.records,
            self.faults + other.faults,
            self.outside + other.outside,
            self.unrecorded + other.unrecorded,
            self.conda | other.conda,
            self.compiled | other.compiled,
        )
