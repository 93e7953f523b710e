"""What a source knows beyond the bytes: who published them, when, and with which digests."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Owner(Struct, frozen=True, kw_only=True):
    """The account that a repository belongs to. `kind` is `org`, `user` or empty where it is not
    known; `verified` is what the Hub says of an organisation; `created` is ISO 8601."""

    name: str
    kind: str = ""
    verified: bool | None = None
    created: str | None = None
    title: str = ""


class Commit(Struct, frozen=True, kw_only=True):
    """A change of the repository, newest first in a history. `date` is ISO 8601; `signed` says
    whether it carries a signature (nobody checked it), None where that is not known."""

    id: str
    title: str
    authors: tuple[str, ...]
    date: str
    signed: bool | None = None


class Declared(Struct, frozen=True, kw_only=True):
    """What a publisher or a record says of a file: its size in bytes, its sha256, or the name that
    git gives its content (sha1), and the commit that changed it last. Nothing here was computed
    from the bytes. A path that ends in a slash is a folder that the record says no more of."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git: str | None = None
    changed: Commit | None = None


class Scan(Struct, frozen=True, kw_only=True):
    """What a scanner of the Hub says of a file: evidence beside ours, never our verdict."""

    path: str
    scanner: str
    status: str
    message: str = ""
    date: str | None = None


class CommitSignature(Struct, frozen=True, kw_only=True):
    """The signature of the newest commit as it stands in it, and the bytes that it is over."""

    armored: str
    payload: bytes


class Namesake(Struct, frozen=True, kw_only=True):
    """A repository of the same name under another owner. `card` is the text of its card, where it
    was asked for."""

    id: str
    created: str | None = None
    card: str | None = None


class Named(Struct, frozen=True, kw_only=True):
    """A repository that the card names (a data set, a base): whether it is there (None: not
    asked), and its commit now."""

    sort: str
    id: str
    there: bool | None = None
    commit: str | None = None


class Origin(Struct, frozen=True, kw_only=True):
    """Where the target comes from, by the word of its source.

    `kind` is the source (`hub`, `hub-cache`, `hub-folder`, `git`, `ollama`, `oci`, `url`,
    `bucket`), `sort` what it holds (`cache`: many repositories), `asked` the name that was asked
    for and `id` the one that answered, `key` what the source calls the repository internally (it
    changes when a deleted name is registered again). `requested` is the revision that was asked
    for (None: the default one), `commit` what it was resolved to.
    `card` are the declarations of the model card's header. `unknown` says what the source was
    asked and did not answer, and why.
    """

    kind: str
    where: str
    asked: str
    id: str
    sort: str = "model"
    key: str | None = None
    created: str | None = None
    modified: str | None = None
    requested: str | None = None
    commit: str | None = None
    owner: Owner | None = None
    author: str | None = None
    gated: str | None = None
    private: bool | None = None
    downloads: int | None = None
    likes: int | None = None
    tags: tuple[str, ...] = ()
    card: dict[str, Any] = {}
    files: tuple[Declared, ...] = ()
    history: tuple[Commit, ...] = ()
    signature: CommitSignature | None = None
    scans: tuple[Scan, ...] = ()
    namesakes: tuple[Namesake, ...] = ()
    named: tuple[Named, ...] = ()
    unknown: dict[str, str] = {}


class Transfer(Struct, frozen=True, kw_only=True):
    """What an audit fetched from a network: bytes of content, and how many requests it took."""

    bytes: int
    requests: int
