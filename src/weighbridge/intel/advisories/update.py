"""Fetching advisories: the whole dump the first time, then what has changed since.

Source: https://google.github.io/osv.dev/data/. Beside each ecosystem's `all.zip` stand every
advisory by itself and `modified_id.csv`, a list of times and names with the newest first; its ETag
tells whether anything has changed. This is the one place outside of `sources/` that uses a
network, and it runs for `weighbridge update` only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from weighbridge import __version__
from weighbridge.intel.advisories.build import build, dump, read_catalogue
from weighbridge.intel.advisories.index import Facts, Index, NoIndex

if TYPE_CHECKING:
    import httpx2

SOURCE: Final = "https://osv-vulnerabilities.storage.googleapis.com"
EXPLOITED: Final = (
    "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
)
FIRST: Final = ("PyPI",)
"""What is fetched where nothing else was asked for."""
CHANGES_LIMIT: Final = 2_000
"""So many changed advisories are fetched one by one; beyond, the whole dump is."""
LIST_LIMIT: Final = 256 << 20
ZIP_LIMIT: Final = 4 << 30
ENTRY_LIMIT: Final = 16 << 20
ATTEMPTS: Final = 4
BACK_OFF: float = 0.5
"""Seconds before a question is asked again, then twice as many each time."""
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})

Say = Callable[[str], None]


class Answer(Struct, frozen=True):
    """A status, and what came with it."""

    status: int
    tag: str
    body: bytes


def update(
    to: Path,
    say: Say,
    source: str = SOURCE,
    exploited: str | None = EXPLOITED,
    whole: bool = False,
    ecosystems: tuple[str, ...] = (),
) -> Facts:
    """Bring the index at a path up to date; `whole` fetches the whole dumps again, which also
    forgets advisories that are gone. `ecosystems` are those to fetch, by default those that it
    holds. Raises `NoIndex` where that fails; the old one stays then.
    """
    import httpx2

    source = source.rstrip("/")
    headers = {"User-Agent": f"weighbridge/{__version__}"}
    with httpx2.Client(timeout=60, follow_redirects=True, headers=headers) as client:
        old = _opened(to, source, whole)
        try:
            weak = _exploited(client, exploited, old, say)
            return _updated(client, to, old, source, weak, ecosystems, say)
        except httpx2.HTTPError as error:
            why = f"{source}: it cannot be had ({type(error).__name__})"
            raise NoIndex(why) from error
        finally:
            if old is not None:
                old.close()


def _opened(to: Path, source: str, whole: bool) -> Index | None:
    """The index that can be brought up to date: one of the same source."""
    if whole or not to.is_file():
        return None
    with suppress(NoIndex):
        index = Index(to)
        if index.facts.source == source:
            return index
        index.close()
    return None


def _updated(
    client: httpx2.Client, to: Path, old: Index | None, source: str, weak: tuple[str, ...],
    ecosystems: tuple[str, ...], say: Say,
) -> Facts:  # fmt: skip
    tags = _tags(old)
    wanted = tuple(dict.fromkeys((*tags, *ecosystems))) or FIRST
    known = old.modified() if old is not None else {}
    fresh: dict[str, bytes] = {}
    now: dict[str, str] = {}
    with ExitStack() as opened:
        dumps: list[Path] = []
        for ecosystem in wanted:
            place = f"{source}/{quote(ecosystem)}"
            listed = _get(client, f"{place}/modified_id.csv", LIST_LIMIT, tags.get(ecosystem, ""))
            now[ecosystem] = listed.tag
            if listed.status == 304:
                continue
            changed = _changed(listed.body, known) if ecosystem in tags else []
            if ecosystem in tags and len(changed) <= CHANGES_LIMIT:
                say(f"{ecosystem}: {len(changed):,} advisories have changed")
                for id in changed:
                    fresh[id] = _get(client, f"{place}/{quote(id)}.json", ENTRY_LIMIT).body
                continue
            say(f"{ecosystem}: fetching all advisories")
            file = Path(opened.enter_context(tempfile.NamedTemporaryFile(suffix=".zip")).name)
            _save(client, f"{place}/all.zip", file)
            dumps.append(file)
        same = not fresh and not dumps and now == tags
        if old is not None and same and set(weak) == set(old.exploited()):
            say("nothing has changed")
            return old.facts
        stays = old if len(dumps) < len(wanted) else None
        kept = () if stays is None else ((i, b) for i, b in stays.bodies() if i not in fresh)
        entries = chain(kept, fresh.items(), *(dump(file) for file in dumps))
        return build(entries, to, source, weak, msgspec.json.encode(now).decode())


def _tags(old: Index | None) -> dict[str, str]:
    """The ecosystems that an index holds, with what the server called their state."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(old.facts.tag, type=dict[str, str]) if old is not None else {}
    return {}


def _changed(listed: bytes, known: dict[str, str]) -> list[str]:
    """The names in a list of times and names that are new or have another time (in seconds)."""
    changed = []
    for line in listed.decode("utf-8", "replace").splitlines():
        when, _, id = line.strip().partition(",")
        plain = id and not set(id) & set(" /\\?#")
        if plain and known.get(id, "")[:19] != when[:19]:
            changed.append(id)
    return changed


def _exploited(
    client: httpx2.Client, address: str | None, old: Index | None, say: Say
) -> tuple[str, ...]:
    """The weaknesses that are known to be exploited; those that were known where the catalogue
    cannot be had."""
    import httpx2

    before = old.exploited() if old is not None else ()
    if address is None:
        return before
    try:
        return read_catalogue(_get(client, address, LIST_LIMIT).body)
    except (NoIndex, httpx2.HTTPError) as error:
        say(f"which weaknesses are exploited is not known anew: {error}")
        return before


def _get(client: httpx2.Client, address: str, limit: int, tag: str = "") -> Answer:
    """What stands at an address. Raises `NoIndex`."""
    headers = {"If-None-Match": tag} if tag else {}
    for attempt in range(ATTEMPTS):
        with client.stream("GET", address, headers=headers) as response:
            if response.status_code in _AGAIN and attempt + 1 < ATTEMPTS:
                time.sleep(BACK_OFF * 2**attempt)
                continue
            if response.status_code == 304 and tag:
                return Answer(304, tag, b"")
            if response.status_code != 200:
                raise NoIndex(f"{address}: the server answers {response.status_code}")
            body = bytearray()
            for chunk in response.iter_bytes(1 << 16):
                body += chunk
                if len(body) > limit:
                    raise NoIndex(f"{address}: more than {limit:,} bytes came")
            return Answer(200, response.headers.get("etag", ""), bytes(body))
    raise AssertionError  # the last attempt returns or raises


def _save(client: httpx2.Client, address: str, to: Path) -> None:
    with client.stream("GET", address) as response, to.open("wb") as file:
        if response.status_code != 200:
            raise NoIndex(f"{address}: the server answers {response.status_code}")
        size = 0
        for chunk in response.iter_bytes(1 << 20):
            size += len(chunk)
            if size > ZIP_LIMIT:
                raise NoIndex(f"{address}: more than {ZIP_LIMIT:,} bytes came")
            file.write(chunk)
