"""A folder that the Hub's client downloaded a repository into.

It keeps `.cache/huggingface/download/<path>.metadata` (commit, etag, time) and, since version 2,
the listing of the commit in `.cache/huggingface/trees/`. Which repository it was, it does not keep.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Declared, Origin
from weighbridge.core.report import LeftOut
from weighbridge.sources.folder import Folder
from weighbridge.sources.hub_records import (
    DECLARED,
    files_below,
    is_cache_tag,
    is_empty,
    listing,
    named,
)
from weighbridge.sources.records import GIT, gap, line, read
from weighbridge.sources.remote import SourceError

_RECORDS: Final = ".cache/huggingface/"


def is_download(path: Path) -> bool:
    """Whether a folder was filled by a download that kept its records."""
    records = path.resolve() / _RECORDS / "download"
    return records.is_dir() and records.resolve() == records


def open_download(path: Path) -> Folder:
    """A folder that a repository was downloaded into, with what was recorded of its files."""
    download = _Download(path)
    for name in files_below(path / _RECORDS / "download", DECLARED):
        download.record(name)
    download.marks()
    why = "the records of the download: read as such, not as files"
    left_out = [LeftOut(path=_RECORDS.rstrip("/"), why=why)]
    if download.gone:
        gone = ", ".join(download.gone[:5])[:1_000]
        left_out.append(LeftOut(path=".", why=f"downloaded, and not here any more: {gone}"))
    commits = download.commits
    unknown = {"id": "a download into a folder does not record which repository it is of"}
    if len(commits) != 1:
        unknown["commit"] = f"its files were downloaded at {len(commits):,} commits"
    return Folder(
        path,
        left_out=left_out,
        origin=Origin(
            kind="hub-folder",
            where=str(path),
            asked=str(path),
            id=path.resolve().name,
            commit=min(commits) if len(commits) == 1 else None,
            files=tuple(download.declared),
            unknown=unknown,
        ),
        skipped=download.records.__contains__,
        gaps=tuple(download.gaps),
    )


class _Download:
    """What the records of a folder say: `records` are those that are well formed, `gone` the files
    that were downloaded and are not here any more."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.declared: list[Declared] = []
        self.gaps: list[Gap] = []
        self.commits: set[str] = set()
        self.records: set[str] = set()
        self.gone: list[str] = []
        self._listings: dict[str, dict[str, Declared]] = {}

    def record(self, name: str) -> None:
        """Read one record, by its path below `download`."""
        place, here = self.path / _RECORDS / "download" / name, f"{_RECORDS}download/{name}"
        if name.endswith(".incomplete"):
            self.gaps.append(gap(GapKind.UNREADABLE, "a download that was not finished", here))
            self.records.add(here)
        elif name.endswith(".lock") and is_empty(place):
            self.records.add(here)
        elif name.endswith(".metadata"):
            try:
                commit, etag = _metadata(place)
                self._list(commit)
            except SourceError as error:
                self.gaps.append(gap(GapKind.MALFORMED, error.why, here))
                return
            self.records.add(here)
            self._file(name.removesuffix(".metadata"), commit, etag)

    def _list(self, commit: str) -> None:
        """Read the listing of a commit, if one is kept. Raises `SourceError`."""
        if commit not in self._listings:
            found = listing(self.path, f"{_RECORDS}trees/{commit}.json")
            self._listings[commit] = found or {}
            self.records.add(f"{_RECORDS}trees/{commit}.json")

    def _file(self, path: str, commit: str, etag: str) -> None:
        if not (self.path / path).is_file():
            self.gone.append(path)
            return
        self.commits.add(commit)
        by_etag, listed = named(path, etag), self._listings[commit].get(path)
        self.declared.append(listed or by_etag)
        if listed is not None and _contradict(listed, by_etag):
            why = "the records of its download contradict each other: two digests"
            self.gaps.append(gap(GapKind.MALFORMED, why, path))

    def marks(self) -> None:
        """Note the files that keep other programs out of the records, if they are just that."""
        if is_cache_tag(self.path / _RECORDS / "CACHEDIR.TAG"):
            self.records.add(f"{_RECORDS}CACHEDIR.TAG")
        with suppress(SourceError):
            if read(self.path / _RECORDS / ".gitignore", 8).strip() == b"*":
                self.records.add(f"{_RECORDS}.gitignore")


def _metadata(place: Path) -> tuple[str, str]:
    """Commit and etag of a file that was downloaded. Raises `SourceError`."""
    lines = line(place).split("\n")
    if len(lines) != 3 or not GIT.fullmatch(lines[0].strip()):
        raise SourceError(f"{place.name}: no record of a download")
    return lines[0].strip(), lines[1].strip()


def _contradict(one: Declared, other: Declared) -> bool:
    pairs = ((one.sha256, other.sha256), (one.git, other.git))
    return any(a is not None and b is not None and a != b for a, b in pairs)
