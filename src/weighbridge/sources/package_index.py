"""An index of Python packages, asked what it knows of projects.

Source: https://packaging.python.org/en/latest/specifications/simple-repository-api/ (JSON). One
question for each project, several at once, within bounds; an answer is kept with its ETag. An index
that gives no JSON is not asked further: what is not answered is not known.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct, field
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)

from weighbridge.core.listing import ListedFile, Listing
from weighbridge.core.origin import Transfer
from weighbridge.core.regex import regex
from weighbridge.sources.http import Session
from weighbridge.sources.remote import RemoteFile, SourceError

NAMES: Final = 2_000
"""How many projects one index is asked for."""
SECONDS: float = 120.0
"""How long one index may take for all of them."""
ANSWER_LIMIT: Final = 64 << 20
TOTAL_LIMIT: Final = 2 << 30
"""Bytes of all the answers of one index."""
PARALLEL: Final = 8
FAILURES: Final = 4
"""So many questions without an answer, and none with one: the index is not there."""
FRESH: Final = 600
"""Seconds for which an answer that was kept is not asked for again."""
ACCEPT: Final = "application/vnd.pypi.simple.v1+json"
URL_LIMIT: Final = 2_000
LAYOUT: Final = 1
_NAME: Final = regex(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_STATUSES: Final = frozenset({"active", "archived", "deprecated", "quarantined"})
_KNOWN: Final = "pip"
"""A project that a public index has: an index that answers for nothing is asked for it."""


class _File(Struct, frozen=True):
    filename: str
    url: str
    hashes: dict[str, str] = {}
    yanked: bool | str = False
    size: int | None = None
    uploaded: str | None = msgspec.field(name="upload-time", default=None)
    provenance: str | msgspec.UnsetType | None = msgspec.UNSET


class _Status(Struct, frozen=True):
    """The text of PEP 792 calls it `state`, its examples and the indexes `status`."""

    status: str = ""
    state: str = ""
    reason: str | None = None


class _Project(Struct, frozen=True):
    name: str
    files: tuple[_File, ...]
    versions: tuple[str, ...] | None = None
    status: _Status = msgspec.field(name="project-status", default=_Status())


class _Kept(Struct, array_like=True):
    """An answer as it lies in the cache; `asked` in seconds since 1970."""

    layout: int
    endpoint: str
    tag: str
    asked: float
    listing: Listing


_answers: Final = msgspec.json.Decoder(_Project)
_kept: Final = msgspec.msgpack.Decoder(_Kept)


class Index(Struct, dict=True):
    """One index, by the address of its simple interface. `folder` is where answers are kept.

    Only the login that stands in this address is ever sent. Raises `SourceError` where it is no
    address.
    """

    address: str
    folder: Path | None = None
    _failed: int = field(default=0)
    _answered: int = field(default=0)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _hosts: dict[str, Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session: Session = Session(
            self.address, patience=20.0, timeout=10.0, parallel=PARALLEL, confined=True
        )

    @property
    def shown(self) -> str:
        """The address without the login in it."""
        return shown(self.session.endpoint)

    @property
    def transfer(self) -> Transfer:
        """What was fetched for the answers."""
        return self.session.transfer

    def ask(self, names: Iterable[str]) -> tuple[dict[str, Listing], dict[str, str]]:
        """What it says of projects (normalised names), and why it says nothing of the others. To be
        called once: it ends with closed connections."""
        try:
            return self._asked(names)
        finally:
            self.session.close()

    def _asked(self, names: Iterable[str]) -> tuple[dict[str, Listing], dict[str, str]]:
        wanted = sorted(set(names))
        self._until = time.monotonic() + SECONDS
        with ThreadPoolExecutor(PARALLEL) as pool:
            said = dict(zip(wanted, pool.map(self._answer, wanted[:NAMES]), strict=False))
        found = {name: a for name, a in said.items() if isinstance(a, Listing)}
        failed = {name: a for name, a in said.items() if isinstance(a, str)}
        failed |= dict.fromkeys(wanted[NAMES:], f"more than {NAMES:,} projects; not asked for")
        absent = [name for name, listing in found.items() if not listing.exists]
        if absent and len(absent) == len(found) and not self._is_index():
            why = f"{self.shown}: it has none of the projects, so that it seems to be no index"
            return {}, failed | dict.fromkeys(absent, why)
        return found, failed

    def _is_index(self) -> bool:
        with suppress(SourceError):
            return self._listing(_KNOWN).exists
        return False

    def _answer(self, name: str) -> Listing | str:
        try:
            if not _NAME.fullmatch(name):
                raise SourceError("it is no name that a project can have; not asked for")
            if self._failed >= FAILURES and not self._answered:
                raise SourceError(f"{self.shown}: it does not answer")
            if time.monotonic() > self._until:
                raise SourceError(f"{self.shown}: more than {SECONDS:g} s; not asked for")
            if self.session.transfer.bytes > TOTAL_LIMIT:
                raise SourceError(f"{self.shown}: more than {TOTAL_LIMIT:,} bytes came")
        except SourceError as error:
            return error.why
        try:
            found = self._listing(name)
        except SourceError as error:
            with self._lock:
                self._failed += 1
            return error.why
        with self._lock:
            self._answered += 1
        return found

    def _listing(self, name: str) -> Listing:
        known = self._read(name)
        if known is not None and 0 <= time.time() - known.asked < FRESH:
            return known.listing
        tag = known.tag if known is not None else ""
        answer = self.session.document(f"/{name}/", ANSWER_LIMIT, ACCEPT, tag)
        if answer.status == 404:
            return Listing(name, exists=False)
        if answer.status == 304 and known is not None:
            self._keep(name, known.tag, known.listing)
            return known.listing
        if answer.kind != ACCEPT:
            raise SourceError(f"{self.shown}: it gives no JSON ({answer.kind[:60] or 'no type'})")
        listing = read(answer.body, name, f"{self.session.endpoint}/{name}/")
        self._keep(name, answer.tag, listing)
        return listing

    # -- what is kept ---------------------------------------------------------------------------

    def _place(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(self.session.endpoint.encode()).hexdigest()[:16]
        return self.folder / digest / f"{name}.msgpack"

    def _read(self, name: str) -> _Kept | None:
        place = self._place(name)
        with suppress(OSError, msgspec.DecodeError):
            kept = None if place is None else _kept.decode(place.read_bytes())
            if kept is not None and (kept.layout, kept.endpoint) == (LAYOUT, self.shown):
                return kept
        return None

    def _keep(self, name: str, tag: str, listing: Listing) -> None:
        """Keep an answer; where that cannot be, it is asked for again."""
        place = self._place(name)
        if place is None:
            return
        data = msgspec.msgpack.encode(_Kept(LAYOUT, self.shown, tag, time.time(), listing))
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor, made = tempfile.mkstemp(prefix=".kept.", dir=place.parent)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                os.replace(made, place)
            except BaseException:
                os.unlink(made)
                raise

    # -- files ----------------------------------------------------------------------------------

    def remote(self, file: ListedFile) -> RemoteFile | None:
        """A file that it lists, to be read in parts; None where it says no size, or names an
        address that is not as safe as its own. No login is sent there."""
        own, other = urlsplit(self.session.endpoint), urlsplit(file.url)
        beside = (own.scheme, own.hostname) == (other.scheme, other.hostname)
        if file.size <= 0 or not other.hostname or not (other.scheme == "https" or beside):
            return None
        place = f"{other.scheme}://{other.netloc.rpartition('@')[2]}"
        if place not in self._hosts:
            self._hosts[place] = Session(
                place, patience=20.0, timeout=10.0, parallel=PARALLEL, confined=True
            )
        return RemoteFile(file.name, file.size, file.url, self._hosts[place])


def read(body: bytes, name: str, address: str) -> Listing:
    """The listing of a project from an answer that came from an address. Raises `SourceError`."""
    try:
        said = _answers.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{shown(address)}: the answer is no listing ({error})") from None
    if re.sub(r"[-_.]+", "-", said.name).lower() != name:
        raise SourceError(f"{shown(address)}: the answer is of another project")
    status = said.status.status or said.status.state
    return Listing(
        name=name,
        status=status if status in _STATUSES else "active",
        reason=(said.status.reason or "")[:300],
        files=tuple(_listed(file, name, address) for file in said.files),
        versions=None
        if said.versions is None
        else frozenset(map(canonicalize_version, said.versions)),
    )


def _listed(file: _File, name: str, address: str) -> ListedFile:
    yanked = file.yanked
    provenance = file.provenance
    return ListedFile(
        name=file.filename[:300],
        version=_version(file.filename, name),
        url=_joined(address, file.url),
        digests={a: v.lower() for a, v in file.hashes.items()},
        size=-1 if file.size is None else file.size,
        uploaded=(file.uploaded or "")[:40],
        yanked=(yanked if isinstance(yanked, str) else "")[:300] if yanked is not False else None,
        attested=None if provenance is msgspec.UNSET else provenance is not None,
    )


def _joined(address: str, url: str) -> str:
    """Where a file lies, or nothing where what is said is no address."""
    try:
        made = urljoin(address, url)
        urlsplit(made).port  # noqa: B018  # raises where it is none
    except ValueError:
        return ""
    return made if len(made) <= URL_LIMIT else ""


def _version(filename: str, name: str) -> str:
    """The version that a file's name tells, in its normal form, or the empty string."""
    try:
        if filename.endswith(".whl"):
            return canonicalize_version(parse_wheel_filename(filename)[1])
        if filename.endswith((".tar.gz", ".zip")):
            return canonicalize_version(parse_sdist_filename(filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        pass
    return ""


def shown(address: str) -> str:
    """An address without a login and without a query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
