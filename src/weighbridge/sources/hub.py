"""A repository on the Hugging Face Hub, or on any endpoint that speaks its protocol.

The commit is resolved first and every read names it, so that what is audited cannot change on the
way. Nothing is downloaded whole unless it is small: parsers read the parts that they need.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.origin import (
    Commit,
    Declared,
    Named,
    Namesake,
    Origin,
    Owner,
    Scan,
    Transfer,
)
from weighbridge.core.regex import regex
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Link
from weighbridge.sources.http import Session
from weighbridge.sources.remote import RemoteFile, SourceError

ENDPOINT: Final = "https://huggingface.co"
FILES: Final = 100_000
HISTORY: Final = 100
"""How many commits are asked for: the newest ones."""
BATCH: Final = 500
SEARCHED: Final = 50
CARDS: Final = 2
CARD_LIMIT: Final = 256 << 10
NAMED: Final = 8
DETAILED: Final = 2_000
"""How many files are asked after one by one, in batches."""
Answer = TypeVar("Answer")

SORTS: Final = {"hf": "model", "hf-model": "model", "hf-dataset": "dataset", "hf-space": "space"}
"""The prefixes of a target that name the Hub, and what they name there."""
_PLURAL: Final = {"model": "models", "dataset": "datasets", "space": "spaces"}
_NAME: Final = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_COMMIT: Final = regex(r"[0-9a-f]{40}")
_REVISION: Final = regex(r"[^\s?#\\\x00-\x1f]{1,250}")


class Name(Struct, frozen=True):
    """What a user asks for: `org/name`, perhaps `@revision`, perhaps with `hf-dataset:` before."""

    id: str
    sort: str = "model"
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> Name | None:
        """The name in a text, or None where it is none."""
        prefix, colon, rest = text.partition(":")
        sort = SORTS.get(prefix) if colon else "model"
        id, _, revision = (rest if colon else text).removeprefix("//").partition("@")
        plain = not colon and "/" not in id
        if sort is None or plain or not _NAME.fullmatch(id) or ".." in id or "--" in id:
            return None
        if revision and not _REVISION.fullmatch(revision):
            return None
        return cls(id, sort, revision or None)


def token(endpoint: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The user's token, from where the Hub's own client looks for it. It belongs to the endpoint
    that the environment names, and to no other."""
    if endpoint.rstrip("/") != environment.get("HF_ENDPOINT", ENDPOINT).rstrip("/"):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environment.get(name, "").strip():
            return environment[name].strip()
    home = environment.get("HF_HOME") or f"{_cache(environment)}/huggingface"
    file = Path(environment.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
    try:
        return file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _cache(environment: Mapping[str, str]) -> str:
    return environment.get("XDG_CACHE_HOME") or "~/.cache"


class Hub(Struct):
    """A repository at one commit. No local path is read for it."""

    name: Name
    session: Session
    origin: Origin
    left_out: list[LeftOut] = field(default_factory=list)
    kind: str = "hub"
    readable: tuple[Path, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def transfer(self) -> Transfer:
        """What opening it took."""
        return self.session.transfer

    def walk(self) -> Iterator[Blob | Gap]:
        """Its files, sorted by path."""
        for file in sorted(self.origin.files, key=lambda f: f.path):
            if file.size is None:
                why = "the endpoint does not say how large it is; not read"
                yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(file.path))
            elif not _plain(file.path):
                why = "a name that leaves the repository; not read"
                yield Gap(kind=GapKind.UNREADABLE, message=why, at=Location(file.path))
            else:
                yield RemoteFile(
                    path=file.path,
                    size=file.size,
                    url=f"{self._root()}/resolve/{self.origin.commit}/{quote(file.path)}",
                    session=self.session,
                    sha256=file.sha256,
                    commit=self.origin.commit,
                )

    def _root(self) -> str:
        kind = "" if self.name.sort == "model" else f"/{_PLURAL[self.name.sort]}"
        return f"{self.session.endpoint}{kind}/{self.origin.id}"


def _plain(path: str) -> bool:
    parts = path.split("/")
    return not path.startswith("/") and ".." not in parts and "\0" not in path and "" not in parts


def open_hub(name: Name, session: Session) -> Hub:
    """The repository at the revision that was asked for. Raises `SourceError`."""
    api = f"/api/{_PLURAL[name.sort]}"
    revision = f"/revision/{quote(name.revision, safe='')}" if name.revision else ""
    info = _mapping(session.json(f"{api}/{quote(name.id)}{revision}", {"blobs": "true"}))
    commit = _text(info.get("sha"))
    if commit is None or not _COMMIT.fullmatch(commit):
        raise SourceError(f"{name.id}: the endpoint names no commit")
    if name.revision and _COMMIT.fullmatch(name.revision) and commit != name.revision:
        raise SourceError(f"{name.id}: the endpoint answers for another commit than was asked for")
    id = _text(info.get("id")) or name.id
    if not _NAME.fullmatch(id) or ".." in id:
        raise SourceError(f"{name.id}: the endpoint calls it by an impossible name")
    origin = _origin(name, session.endpoint, id, commit, info)
    root, unknown = f"{api}/{quote(id)}", dict[str, str]()
    files = origin.files
    if not files or any(f.size is None for f in files):
        files = _tree(session, f"{root}/tree/{commit}")
    details = _try(
        lambda: _details(session, f"{root}/paths-info/{commit}", files), unknown, "files"
    )
    if details is not None:
        files, scans = details
        origin = msgspec.structs.replace(origin, scans=scans)
    history = _try(lambda: _history(session, f"{root}/commits/{commit}"), unknown, "history")
    owner = _try(lambda: _owner(session, id.partition("/")[0]), unknown, "owner")
    namesakes: tuple[Namesake, ...] | None = ()
    if owner is None or not owner.verified:  # a verified owner is nobody's copy
        namesakes = _try(lambda: _namesakes(session, api, id), unknown, "namesakes")
    origin = msgspec.structs.replace(
        origin,
        files=files,
        history=history or (),
        owner=owner,
        namesakes=namesakes or (),
        named=_named(session, origin.card, unknown),
        unknown=unknown,
    )
    return Hub(name, session, origin)


def _try(question: Callable[[], Answer], unknown: dict[str, str], what: str) -> Answer | None:
    """An answer that the audit can do without: that it is missing is said."""
    try:
        return question()
    except SourceError as error:
        unknown[what] = error.why
        return None


def _origin(name: Name, endpoint: str, id: str, commit: str, info: Mapping[str, Any]) -> Origin:
    card = info.get("cardData")
    gated = info.get("gated")
    return Origin(
        kind="hub",
        where=endpoint,
        asked=name.id,
        id=id,
        sort=name.sort,
        key=_text(info.get("_id")),
        created=_text(info.get("createdAt")),
        modified=_text(info.get("lastModified")),
        requested=name.revision,
        commit=commit,
        author=_text(info.get("author")),
        gated=str(gated) if gated else None,
        private=info.get("private") if isinstance(info.get("private"), bool) else None,
        downloads=_number(info.get("downloads")),
        likes=_number(info.get("likes")),
        tags=tuple(t[:200] for t in _list(info.get("tags"))[:1_000] if isinstance(t, str)),
        card=card if isinstance(card, dict) else {},
        files=tuple(_declared(s) for s in _list(info.get("siblings"))[:FILES]),
    )


def _declared(sibling: Any) -> Declared:
    """A file of a listing: `rfilename` in the information, `path` in the tree."""
    sibling = _mapping(sibling)
    lfs = sibling.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    sha256 = _text(lfs.get("sha256")) or _text(lfs.get("oid"))
    git = _text(sibling.get("blobId")) or _text(sibling.get("oid"))
    size = _number(sibling.get("size"))
    return Declared(
        path=_text(sibling.get("rfilename")) or _text(sibling.get("path")) or "",
        size=size if size is not None and size >= 0 else _number(lfs.get("size")),
        sha256=sha256 if sha256 and re.fullmatch(r"[0-9a-f]{64}", sha256) else None,
        git=git if git and not lfs and _COMMIT.fullmatch(git) else None,
    )


def _tree(session: Session, path: str) -> tuple[Declared, ...]:
    """The listing page by page, for endpoints whose information names no sizes."""
    found: list[Declared] = []
    for page in session.pages(path, {"recursive": "true"}):
        files = [e for e in _list(page) if _mapping(e).get("type") != "directory"]
        found += map(_declared, files)
        if len(found) > FILES:
            raise SourceError(f"{path}: more than {FILES:,} files")
    return tuple(found)


def _details(
    session: Session, path: str, files: tuple[Declared, ...]
) -> tuple[tuple[Declared, ...], tuple[Scan, ...]]:
    """What the endpoint knows of each file beside its size: who changed it last, the scanners."""
    told: dict[str, Declared] = {}
    scans: list[Scan] = []
    for start in range(0, min(len(files), DETAILED), BATCH):
        paths = [f.path for f in files[start : start + BATCH]]
        for entry in map(
            _mapping, _list(session.json(path, form={"paths": paths, "expand": "true"}))
        ):
            changed = _mapping(entry.get("lastCommit"))
            name = _text(entry.get("path")) or ""
            if changed:
                told[name] = Declared(path=name, changed=_commit(changed))
            scans += _scans(name, _mapping(entry.get("securityFileStatus")))
    merged = (
        msgspec.structs.replace(f, changed=told[f.path].changed) if f.path in told else f
        for f in files
    )
    return tuple(merged), tuple(scans)


def _history(session: Session, path: str) -> tuple[Commit, ...]:
    answer = _list(session.json(path, {"limit": str(HISTORY)}))
    return tuple(_commit(_mapping(c)) for c in answer[:HISTORY])


def _commit(said: Mapping[str, Any]) -> Commit:
    authors = (_text(_mapping(a).get("user")) or "" for a in _list(said.get("authors"))[:20])
    return Commit(
        id=(_text(said.get("id")) or "")[:64],
        title=(_text(said.get("title")) or "")[:200],
        authors=tuple(authors),
        date=(_text(said.get("date")) or "")[:40],
    )


def _owner(session: Session, name: str) -> Owner:
    try:
        found = _mapping(session.json(f"/api/organizations/{quote(name)}/overview"))
        kind = "org"
    except SourceError as error:
        if error.status != 404:
            raise
        found = _mapping(session.json(f"/api/users/{quote(name)}/overview"))
        kind = "user"
    verified = found.get("isVerified")
    return Owner(
        name=_text(found.get("name")) or _text(found.get("user")) or name,
        kind=kind,
        verified=verified if isinstance(verified, bool) else None,
        created=_text(found.get("createdAt")),
        title=(_text(found.get("fullname")) or "")[:200],
    )


def _namesakes(session: Session, api: str, id: str) -> tuple[Namesake, ...]:
    """Repositories of the same name under other owners, the oldest first, a few with their cards:
    a copy is told from its original by them."""
    name = id.rpartition("/")[2]
    found = _list(session.json(api, {"search": name, "limit": str(SEARCHED)}))
    named = [(_text(_mapping(e).get("id")) or "", e) for e in found[:SEARCHED]]
    same = [
        Namesake(id=other, created=_text(_mapping(entry).get("createdAt")))
        for other, entry in named
        if other != id and _NAME.fullmatch(other) and ".." not in other
        and other.rpartition("/")[2].casefold() == name.casefold()
    ]  # fmt: skip
    same.sort(key=lambda n: (n.created or "9", n.id))
    return tuple(_with_card(session, n) for n in same[:CARDS]) + tuple(same[CARDS:])


def _with_card(session: Session, namesake: Namesake) -> Namesake:
    try:
        text = session.text(f"/{namesake.id}/raw/main/README.md", CARD_LIMIT)
    except SourceError:
        return namesake  # one without a card, or behind a gate
    return msgspec.structs.replace(namesake, card=text)


def _named(session: Session, card: Mapping[str, Any], unknown: dict[str, str]) -> tuple[Named, ...]:
    """Whether the data sets that the card names are there."""
    declared = card.get("datasets")
    texts = declared if isinstance(declared, list) else [declared]
    ids = [t for t in texts if isinstance(t, str) and _NAME.fullmatch(t) and ".." not in t]
    made: list[Named] = []
    for id in dict.fromkeys(ids[:NAMED]):
        try:
            said = _mapping(session.json(f"/api/datasets/{quote(id)}"))
        except SourceError as error:
            there = False if error.status in (401, 404) else None
            if there is None:
                unknown["data sets"] = error.why
            made.append(Named(sort="dataset", id=id, there=there))
        else:
            made.append(Named(sort="dataset", id=id, there=True, commit=_text(said.get("sha"))))
    return tuple(made)


_SCANNERS: Final = {
    "avScan": "ClamAV", "pickleImportScan": "the Hub's pickle scan", "protectAiScan": "Protect AI",
    "jFrogScan": "JFrog", "virusTotalScan": "VirusTotal",
}  # fmt: skip


def _scans(path: str, status: Mapping[str, Any]) -> Iterator[Scan]:
    """The verdicts on one file. The Hub's own client drops three of the five scanners."""
    for key, scanner in _SCANNERS.items():
        verdict = _mapping(status.get(key))
        if verdict:
            yield Scan(
                path=path,
                scanner=scanner,
                status=(_text(verdict.get("status")) or "unknown")[:40],
                message=(_text(verdict.get("message")) or "")[:500],
                date=_text(verdict.get("date")),
            )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value[:2_000] if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
