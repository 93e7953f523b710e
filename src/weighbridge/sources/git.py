"""A clone: a folder with a `.git`, what its commit holds, and where it was cloned from.

What the commit names is read by `git_objects`; git itself is not run. Large files kept by Git LFS
are named in the commit by their sha256 (pointer files: github.com/git-lfs/git-lfs docs/spec.md).
"""

from __future__ import annotations

import heapq
import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Commit, CommitSignature, Declared, Origin
from weighbridge.core.regex import regex
from weighbridge.core.report import LeftOut
from weighbridge.sources.folder import Folder
from weighbridge.sources.git_objects import Entry, Objects, entries
from weighbridge.sources.records import gap, plain, read
from weighbridge.sources.remote import SourceError

FILES: Final = 100_000
"""How many lines of trees are read."""
SIGNED_LIMIT: Final = 64 << 10
"""In bytes; a commit that is longer is no commit that a person signed."""
HISTORY: Final = 100
POINTER: Final = 1024
"""Git LFS takes no larger file for a pointer, in bytes."""
_POINTER: Final = regex(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-\d-\S+ \S+\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d{1,19})\n?"
)
_PERSON: Final = regex(rb"(.*?) ?<(.*?)> (-?\d{1,12}) ([+-]\d{4})")
_FOLDER, _LINK, _SUBMODULE = 0o040000, 0o120000, 0o160000


def is_clone(path: Path) -> bool:
    """Whether a folder is a clone, or the working folder of one. Git goes by the HEAD in it."""
    store = path / ".git"
    if store.is_dir() and not store.is_symlink():
        return os.path.lexists(store / "HEAD")
    return os.path.lexists(store)


def commit_of(path: Path) -> str | None:
    """The commit that is checked out; None where it is no clone or does not say."""
    folder = path / ".git"
    if folder.is_symlink() or not folder.is_dir():
        return None
    objects = Objects(folder)
    try:
        return objects.head()[1]
    except SourceError:
        return None
    finally:
        objects.close()


def open_clone(path: Path) -> Folder:
    """A clone with what its commit says of its files."""
    clone = _Clone(path)
    clone.read()
    remote = _without_credentials(clone.remote())
    return Folder(
        path,
        left_out=clone.left_out,
        origin=Origin(
            kind="git",
            where=remote or str(path),
            asked=str(path),
            id=_name(remote) or path.resolve().name,
            requested=clone.branch,
            commit=clone.commit,
            files=tuple(clone.files),
            history=tuple(clone.history),
            signature=clone.signature,
            unknown=clone.unknown,
        ),
        gaps=tuple(clone.gaps),
    )


class _Clone:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.branch: str | None = None
        self.commit: str | None = None
        self.files: list[Declared] = []
        self.history: list[Commit] = []
        self.left_out: list[LeftOut] = []
        self.signature: CommitSignature | None = None
        self.gaps: list[Gap] = []
        self.unknown: dict[str, str] = {}

    def read(self) -> None:
        """Read as much as is there; what is not is said."""
        folder = self.path / ".git"
        if folder.is_symlink() or not folder.is_dir():
            self.unknown["commit"] = "its .git is a link or a file: the records lie elsewhere"
            return
        objects = Objects(folder)
        try:
            self.branch, self.commit = objects.head()
            tree = self._history(objects, self.commit)
        except SourceError as error:
            self.unknown["commit" if self.commit is None else "history"] = error.why
            return
        else:
            try:
                self._tree(objects, tree)
            except SourceError as error:
                self.files = []
                self.unknown["files"] = error.why
        finally:
            objects.close()

    def remote(self) -> str:
        """The address that it was cloned from, or the empty string."""
        try:
            config = read(self.path / ".git" / "config", 4 << 20).decode("utf-8", "replace")
        except SourceError:
            return ""
        section, found = "", dict[str, str]()
        for row in config.splitlines():
            row = row.strip()
            if row.startswith("["):
                section = row.partition("]")[0].lstrip("[").replace('"', "").strip()
            key, equals, value = row.partition("=")
            if equals and key.strip().lower() == "url" and section.startswith("remote "):
                found[section.removeprefix("remote ")] = value.strip().strip('"')
        return found.get("origin") or (found[min(found)] if found else "")

    # -- history --------------------------------------------------------------------------------

    def _history(self, objects: Objects, head: str) -> str:
        """Read the newest commits, by their date; returns the tree of the first."""
        data = objects.get(head, "commit")
        first = _commit(head, data)
        self.signature = _signature(data)
        waiting = [(-first.time, head, first)]
        seen = {head}
        while waiting and len(self.history) < HISTORY:
            newest = heapq.heappop(waiting)[2]
            self.history.append(newest.commit)
            for parent in newest.parents:
                if parent in seen:
                    continue
                seen.add(parent)
                try:
                    older = _commit(parent, objects.get(parent, "commit"))
                except SourceError as error:
                    self.unknown["history"] = error.why
                    continue
                heapq.heappush(waiting, (-older.time, parent, older))
        return first.tree

    # -- files ----------------------------------------------------------------------------------

    def _tree(self, objects: Objects, tree: str) -> None:
        waiting = [("", tree)]
        found: list[Entry] = []
        met = 0
        while waiting:
            folder, name = waiting.pop()
            for entry in entries(objects.get(name, "tree"), folder):
                met += 1
                if met > FILES:
                    raise SourceError(f"its commit has more than {FILES:,} files and folders")
                if not plain(entry.path.removeprefix(folder)) or entry.path == ".git":
                    why = "the commit holds a name that leaves the folder; git refuses it"
                    self.gaps.append(gap(GapKind.MALFORMED, why, folder or "."))
                elif entry.mode == _FOLDER:
                    waiting.append((f"{entry.path}/", entry.name))
                else:
                    found.append(entry)
        self.files = [self._declared(objects, e) for e in sorted(found, key=lambda e: e.path)]

    def _declared(self, objects: Objects, entry: Entry) -> Declared:
        if entry.mode == _LINK:
            return Declared(path=entry.path)
        if entry.mode == _SUBMODULE:
            why = f"a submodule at commit {entry.name}: its own records are not read"
            self.left_out.append(LeftOut(path=entry.path, why=why))
            return Declared(path=f"{entry.path}/")
        size = objects.size(entry.name)
        if size is not None and size < POINTER:
            content = objects.get(entry.name, "blob")
            pointer = _POINTER.fullmatch(content)
            if pointer and not self._stands(entry.path, content):
                sha256, real = pointer[1].decode(), int(pointer[2])
                return Declared(path=entry.path, size=real, sha256=sha256)
        return Declared(path=entry.path, size=size, git=entry.name)

    def _stands(self, path: str, content: bytes) -> bool:
        """Whether the pointer itself is what lies in the folder: the large file was not fetched."""
        try:
            return read(self.path / path, POINTER) == content
        except SourceError:
            return False


class _Read(Struct, frozen=True):
    """A commit as it was read: `time` is the committer's, in seconds."""

    commit: Commit
    tree: str
    parents: tuple[str, ...]
    time: int


def _commit(name: str, data: bytes) -> _Read:
    """A commit object. Raises `SourceError`."""
    head, _, message = data.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for row in head.split(b"\n"):
        key, space, value = row.partition(b" ")
        if key and space:  # what begins with a space goes on from the row above
            fields.setdefault(key, []).append(value)
    tree = fields.get(b"tree", [b""])[0].decode("ascii", "replace")
    parents = tuple(p.decode("ascii", "replace") for p in fields.get(b"parent", ()))
    if not all(re.fullmatch("[0-9a-f]{40}", n) for n in (tree, *parents)):
        raise SourceError(f"the commit {name} is broken")
    author, date, _ = _person(fields.get(b"author", [b""])[0])
    _, _, time = _person(fields.get(b"committer", [b""])[0])
    title = message.split(b"\n", 1)[0].decode("utf-8", "replace")
    commit = Commit(
        id=name,
        title=title[:200],
        authors=(author,) if author else (),
        date=date,
        signed=b"gpgsig" in fields or b"gpgsig-sha256" in fields,
    )
    return _Read(commit, tree, parents[:16], time)


def _signature(data: bytes) -> CommitSignature | None:
    """The signature of a commit object: its header, and all the rest, which it is over."""
    head, _, message = data.partition(b"\n\n")
    if len(data) > SIGNED_LIMIT:
        return None
    kept: list[bytes] = []
    armored: list[bytes] = []
    inside = False
    for row in head.split(b"\n"):
        inside = row.startswith(b"gpgsig ") or (inside and row.startswith(b" "))
        if inside:
            armored.append(row.removeprefix(b"gpgsig").removeprefix(b" "))
        else:
            kept.append(row)
    if not armored:
        return None
    text = b"\n".join(armored).decode("ascii", "replace")
    return CommitSignature(armored=text, payload=b"\n".join(kept) + b"\n\n" + message)


def _person(value: bytes) -> tuple[str, str, int]:
    """Who, when (ISO 8601, in the zone that was written), and when in seconds."""
    found = _PERSON.fullmatch(value)
    if found is None:
        return "", "", 0
    name = f"{found[1].decode('utf-8', 'replace')} <{found[2].decode('utf-8', 'replace')}>"
    seconds, zone = int(found[3]), found[4]
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    offset = timedelta(minutes=-minutes if zone[:1] == b"-" else minutes)
    try:
        when = datetime.fromtimestamp(seconds, UTC).astimezone(timezone(offset)).isoformat()
    except (ValueError, OverflowError, OSError):
        when = ""
    return name.strip()[:200], when, seconds


def _without_credentials(url: str) -> str:
    """An address as a report may show it: no user, no password, no query."""
    if "://" not in url:
        return url[:500]
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))[:500]


def _name(url: str) -> str:
    """`owner/name` of an address, as the places that host repositories build them."""
    path = urlsplit(url).path if "://" in url else url.partition(":")[2]
    parts = [p for p in path.removesuffix("/").removesuffix(".git").split("/") if p]
    return "/".join(parts[-2:])
