"""The index of advisories: one file of SQLite, asked by the name of a package.

It is written once and then only read; every answer comes from it alone. `build.py` makes it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from weighbridge.core.report import Intel
from weighbridge.intel.advisories.osv import PYTHON, Affected, name_in

if TYPE_CHECKING:
    import sqlite3

LAYOUT: Final = "weighbridge/advisories/1"
FILE: Final = "advisories.sqlite"
OLD: Final = 14
"""Days after which the advisories are old."""

_affected: Final = msgspec.msgpack.Decoder(Affected)


class NoIndex(Exception):
    """There is no index that can be used; the message says why, for a user."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of an index: where its advisories come from, the day of the newest (ISO 8601),
    how many there are, a sha256 over all of them, how many entries could not be read, and how many
    weaknesses are known to be exploited (0: that list was not given)."""

    layout: str
    source: str
    date: str
    count: int
    digest: str
    unread: int
    exploited: int
    tag: str = ""

    def intel(self) -> Intel:
        """What the report says of it."""
        return Intel(
            name=f"advisories ({self.count:,})",
            date=self.date,
            source=self.source,
            digest=self.digest,
            count=self.count,
        )


class Known(Struct, frozen=True):
    """What one advisory says of one package. `severity` is one of `severity.LEVELS`; `exploited`
    names the weakness that is known to be exploited, or is empty."""

    id: str
    aliases: tuple[str, ...]
    modified: str
    withdrawn: str | None
    severity: str
    summary: str
    said: Affected
    exploited: str = ""

    @property
    def malicious(self) -> bool:
        """Whether it says that the package itself is hostile."""
        return any(name.startswith("MAL-") for name in (self.id, *self.aliases))


class Index:
    """An open index. Raises `NoIndex` where there is none."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._failures = sqlite3.Error
        try:
            # immutable: no lock and no journal is looked for, so that the jail can read it.
            address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
            self._file: sqlite3.Connection = sqlite3.connect(address, uri=True)
            rows = dict(self._file.execute("SELECT key, value FROM facts"))
            self.facts = msgspec.convert(rows, Facts, strict=False)
        except (sqlite3.Error, OSError, msgspec.ValidationError) as error:
            raise NoIndex(f"{path}: it is no index of advisories ({error})") from error
        if self.facts.layout != LAYOUT:
            self.close()
            why = f"{path}: it was made by another Weighbridge; `weighbridge update` makes it anew"
            raise NoIndex(why)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def of(self, name: str, ecosystem: str = PYTHON) -> tuple[Known, ...]:
        """What is known of a package, in the order of the advisories' names."""
        rows = self._file.execute(
            "SELECT a.id, a.aliases, a.modified, a.withdrawn, a.severity, a.summary, s.said,"
            " a.exploited FROM affected s JOIN advisory a ON a.number = s.number"
            " WHERE s.ecosystem = ? AND s.package = ? ORDER BY a.id, s.place",
            (ecosystem, name_in(name, ecosystem)),
        )
        return tuple(
            Known(id, tuple(aliases.split()), modified, withdrawn, severity, summary,
                  _affected.decode(said), exploited)
            for id, aliases, modified, withdrawn, severity, summary, said, exploited in rows
        )  # fmt: skip

    def holds(self, ecosystem: str) -> bool:
        """Whether there is anything on packages of an ecosystem, of that release."""
        asked = "SELECT 1 FROM affected WHERE ecosystem = ? LIMIT 1"
        return self._file.execute(asked, (ecosystem,)).fetchone() is not None

    def body(self, id: str) -> bytes | None:
        """An advisory as it was published (JSON), or None where there is none of that name."""
        row = self._file.execute(
            "SELECT body FROM advisory JOIN body USING (number) WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else _plain(row[0])

    def bodies(self) -> Iterator[tuple[str, bytes]]:
        """Every advisory as it was published, in the order of their names."""
        asked = "SELECT id, body FROM advisory JOIN body USING (number) ORDER BY id"
        for id, body in self._file.execute(asked):
            yield id, _plain(body)

    def modified(self) -> dict[str, str]:
        """When each advisory was changed last, by its name."""
        return dict(self._file.execute("SELECT id, modified FROM advisory"))

    def exploited(self) -> tuple[str, ...]:
        """The weaknesses that are known to be exploited."""
        return tuple(id for (id,) in self._file.execute("SELECT id FROM exploited ORDER BY id"))


def _plain(body: bytes) -> bytes:
    """A body as it was published: those of systems are kept compressed."""
    return bytes(body) if body[:1] != b"\x78" else zlib.decompress(body)


class Merged(Struct, frozen=True):
    """Advisories that speak of one weakness under several names. `ids` begins with the one that
    is best known by; `severity` is the gravest that any of them names."""

    ids: tuple[str, ...]
    severity: str
    summary: str
    exploited: str
    malicious: bool
    entries: tuple[Known, ...]


def merged(entries: Iterable[Known]) -> tuple[Merged, ...]:
    """Entries that name each other, or a third one, as aliases are one weakness."""
    from weighbridge.intel.advisories.severity import LEVELS

    groups: list[tuple[set[str], list[Known]]] = []
    for entry in entries:
        names, members = {entry.id, *entry.aliases}, [entry]
        apart = []
        for group in groups:
            if names & group[0]:
                names |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    made = [
        Merged(
            ids=tuple(sorted(names, key=_fame)),
            severity=max((e.severity for e in members), key=LEVELS.index),
            summary=next((e.summary for e in members if e.summary), ""),
            exploited=next((e.exploited for e in members if e.exploited), ""),
            malicious=any(e.malicious for e in members),
            entries=tuple(members),
        )
        for names, members in groups
    ]
    return tuple(sorted(made, key=lambda m: m.ids))


def _fame(id: str) -> tuple[int, str]:
    order = ("MAL-", "CVE-", "GHSA-", "PYSEC-")
    return next((n for n, start in enumerate(order) if id.startswith(start)), len(order)), id


def home() -> Path:
    """Where Weighbridge keeps what it has downloaded: WEIGHBRIDGE_HOME, or a folder of the user's
    cache (XDG Base Directory Specification)."""
    if given := os.environ.get("WEIGHBRIDGE_HOME"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "weighbridge"


def facts_of(path: Path) -> Facts:
    """What is known of the index at a path. Raises `NoIndex`."""
    if not path.is_file():
        raise NoIndex("there are no advisories on this machine; `weighbridge update` fetches "
                          "them, `weighbridge update --from` takes them from a file")  # fmt: skip
    with closing(Index(path)) as index:
        return index.facts


def age(facts: Facts) -> int:
    """Days since the newest advisory."""
    return (datetime.now(UTC).date() - date.fromisoformat(facts.date)).days
