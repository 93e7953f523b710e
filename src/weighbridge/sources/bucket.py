"""`s3://` and `gs://`: an object, or every object below a prefix, through fsspec.

fsspec is an extra (`weighbridge[fsspec]`), and each store needs its own library beside it. Parts
are fetched by the process that talks to networks; nothing is ever written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Link
from weighbridge.sources.records import gap, number, plain
from weighbridge.sources.remote import RemoteFile, SourceError

OBJECTS: Final = 100_000
NEEDS: Final = {"s3": "s3fs", "gs": "gcsfs"}
"""What fsspec itself needs for each store."""
_TAGS: Final = ("ETag", "etag", "generation", "md5Hash")


class Reader(Struct, dict=True):
    """Reads parts of the objects of one store."""

    scheme: str

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin with connections of its own, in a new process."""
        self._bytes = self._requests = 0
        self._same: dict[str, bool] = {}
        self._lock = threading.Lock()
        self.files = _file_system(self.scheme)

    @property
    def transfer(self) -> Transfer:
        """What it fetched so far."""
        return Transfer(bytes=self._bytes, requests=self._requests)

    def part(self, file: RemoteFile, start: int, n: int) -> bytes:
        """Bytes of an object. Raises `SourceError` where it is not the one that was listed, or the
        store gives another number of bytes."""
        end = min(start + n, file.size)
        if end <= start:
            return b""
        if not self._same.get(file.path):
            facts = self.ask(lambda: self.files.info(file.url), file.path)
            if facts.get("size") != file.size or (file.tag and _tag(facts) != file.tag):
                raise SourceError(f"{file.path}: it changed while it was read")
            self._same[file.path] = True
        data = self.ask(lambda: self.files.cat_file(file.url, start=start, end=end), file.path)
        if not isinstance(data, bytes) or len(data) != end - start:
            raise SourceError(f"{file.path}: the store sent another part than it was asked for")
        with self._lock:
            self._bytes += len(data)
        return data

    def ask(self, question: Any, name: str) -> Any:
        """An answer of the store. Raises `SourceError`."""
        with self._lock:
            self._requests += 1
        try:
            return question()
        except FileNotFoundError:
            raise SourceError(f"{name}: there is nothing of that name") from None
        except PermissionError:
            raise SourceError(f"{name}: access is refused") from None
        except Exception as error:  # whatever a library of another store raises
            why = str(error).split("\n", 1)[0][:300]
            raise SourceError(f"{name}: {type(error).__name__}: {why}") from None


def _file_system(scheme: str) -> Any:
    try:
        import fsspec

        # One that was made before belongs to another process, or has listings of an earlier time.
        return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError:
        needs = NEEDS.get(scheme, scheme)
        why = f"{scheme}:// needs the extra weighbridge[fsspec], and {needs}"
        raise SourceError(why) from None


def _tag(facts: Mapping[str, Any]) -> str:
    return next((str(facts[k]) for k in _TAGS if facts.get(k)), "")


class Bucket(Struct):
    """The objects below a prefix, or one object."""

    address: str
    reader: Reader
    objects: dict[str, Mapping[str, Any]]
    origin: Origin
    left_out: list[LeftOut] = field(default_factory=list)
    links: tuple[Link, ...] = ()
    kind: str = "bucket"
    readable: tuple[Path, ...] = ()

    @property
    def transfer(self) -> Transfer:
        """What opening it took."""
        return self.reader.transfer

    def walk(self) -> Iterator[Blob | Gap]:
        """Its objects, sorted by name."""
        for path, facts in sorted(self.objects.items()):
            size = number(facts.get("size"))
            if not plain(path):
                yield gap(GapKind.UNREADABLE, "a name that leaves the prefix; not read", path)
            elif size is None:
                yield gap(GapKind.UNREADABLE, "the store does not say how large it is", path)
            else:
                yield RemoteFile(path, size, str(facts["name"]), self.reader, tag=_tag(facts))


def open_bucket(address: str) -> Bucket:
    """What is at `s3://bucket/key` or below `s3://bucket/prefix`. Raises `SourceError`."""
    scheme, _, name = address.partition("://")
    name = name.rstrip("/")
    if not name or "?" in name:
        raise SourceError(f"expected {scheme}://bucket/key")
    reader = Reader(scheme)
    facts = reader.ask(lambda: reader.files.info(name), address)
    root = str(facts.get("name", name)).rstrip("/")
    if facts.get("type") == "directory":
        found = reader.ask(lambda: reader.files.find(root, detail=True), address)
        if len(found) > OBJECTS:
            raise SourceError(f"more than {OBJECTS:,} objects below {address}")
        objects = {p.removeprefix(root).removeprefix("/"): f for p, f in found.items()}
        if not objects:
            raise SourceError(f"there is nothing below {address}")
    else:
        objects = {root.rpartition("/")[2]: facts}
    unknown = {"publisher": "a bucket does not say who published what is in it"}
    origin = Origin(kind="bucket", where=f"{scheme}://{name.partition('/')[0]}", asked=address,
                    id=name, unknown=unknown)  # fmt: skip
    return Bucket(address, reader, objects, origin)
