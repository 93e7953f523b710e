"""From what a user asks for to a source of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from weighbridge.core.finding import Gap
from weighbridge.core.origin import Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Link
from weighbridge.sources import folder

if TYPE_CHECKING:
    from weighbridge.sources.http import Session
    from weighbridge.sources.joined import Joined


class Declaration(Protocol):
    """Something that names a base."""

    @property
    def id(self) -> str:
        """Its name on the Hub, or whatever was written there."""


class Source(Protocol):
    """Something that can be audited. `left_out` fills while `walk()` runs; `readable` are the
    local paths that an examiner may open; `origin` is what the source knows beyond the bytes."""

    @property
    def kind(self) -> str:
        """What sort of target it is: `folder`, `file`, `hub` …"""

    @property
    def readable(self) -> Sequence[Path]:
        """See above."""

    @property
    def left_out(self) -> list[LeftOut]:
        """What is by design not audited."""

    @property
    def links(self) -> Sequence[Link]:
        """The symbolic links that leave it; it fills while `walk()` runs."""

    @property
    def origin(self) -> Origin | None:
        """None where there is nothing but bytes."""

    @property
    def transfer(self) -> Transfer | None:
        """What opening it took from a network."""

    def walk(self) -> Iterator[Blob | Gap]:
        """Every file, in a stable order."""


class Access(Struct, frozen=True):
    """How a network may be used: which endpoint to ask (None: the usual one), whether at all.
    `base` is where the model is that the target derives from, where the user says so; `reference`
    is an export of the same architecture, whose graph the target's should be; `parts` are what
    belongs to the target, by name (`source`: the repository that built it). `indexes` are the
    indexes of Python packages that may be asked what they know of requirements, the first in place
    of the one that pip asks by default."""

    endpoint: str | None = None
    offline: bool = False
    base: str | None = None
    reference: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    indexes: tuple[str, ...] = ()


def open_target(text: str, access: Access | None = None) -> Source:
    """The source of a target: a path, or where no such path exists what `text` begins with says.

    Raises `OSError` where there is nothing that can be audited, with a message for a user.
    """
    access = access or Access()
    path = Path(text)
    if os.path.lexists(path):
        return _open_path(path)
    prefix, colon, rest = text.partition(":")
    if colon and prefix in LOCAL:
        return _open_local(prefix, rest)
    if rest.startswith("//") and prefix in REMOTE:
        if access.offline:
            raise OSError(0, "no network is used (--offline)")
        return _open_remote(prefix, text)
    from weighbridge.sources.hub import SORTS, Name, open_hub

    name = Name.of(text)
    if name is None:
        if text.partition(":")[0] in SORTS:
            raise OSError(0, "this is no name of a repository (expected: org/name or org/name@rev)")
        return folder.open_target(path)  # says that there is no such path
    if access.offline:
        raise OSError(0, "there is no such path, and the Hub is not asked (--offline)")
    return open_hub(name, _session(access))


LOCAL: Final = ("hub-cache", "ollama", "oci")
"""The prefixes of what is on this machine."""
REMOTE: Final = ("https", "http", "s3", "gs")
"""The schemes of addresses."""


def local_path(text: str) -> Path:
    """The path on this machine that a target names; one that does not exist where it names none."""
    prefix, _, rest = text.partition(":")
    if os.path.lexists(text) or prefix not in LOCAL:
        return Path(text)
    if prefix == "hub-cache":
        from weighbridge.sources.hub_cache import cache_folder

        return Path(rest) if rest else cache_folder()
    if prefix == "ollama":
        from weighbridge.sources.ollama import models_folder

        return models_folder()
    from weighbridge.sources.oci import split

    return split(rest)[0]


def shown(text: str) -> str:
    """A target as a report may name it: the query of an address may hold a signature."""
    return text.partition("?")[0] if text.partition(":")[0] in REMOTE else text


def _open_path(path: Path) -> Source:
    """A path, by what is there: part of a cache or a store, a clone, a download, a folder."""
    from weighbridge.sources import git, hub_cache, hub_folder, oci, ollama

    snapshot = hub_cache.find_snapshot(path)
    if snapshot is not None:
        return snapshot
    if path.is_dir():
        if hub_cache.is_repository(path):
            return hub_cache.open_repository(path)
        if hub_cache.is_cache(path):
            return hub_cache.open_cache(path)
        if oci.is_layout(path):
            return oci.open_layout(path)
        if ollama.is_store(path):
            return ollama.open_store(path)
        if git.is_clone(path):
            return git.open_clone(path)
        if hub_folder.is_download(path):
            return hub_folder.open_download(path)
    return folder.open_target(path)


def _open_local(prefix: str, rest: str) -> Source:
    if prefix == "hub-cache":
        from weighbridge.sources.hub_cache import cache_folder, open_cache

        return open_cache(Path(rest) if rest else cache_folder())
    if prefix == "ollama":
        from weighbridge.sources.ollama import open_model

        return open_model(rest)
    from weighbridge.sources.oci import open_layout, split

    return open_layout(*split(rest))


def _open_remote(prefix: str, text: str) -> Source:
    if prefix in ("https", "http"):
        from weighbridge.sources.url import open_url

        return open_url(text)
    from weighbridge.sources.bucket import open_bucket

    return open_bucket(text)


def _session(access: Access) -> Session:
    from weighbridge.sources.http import Session
    from weighbridge.sources.hub import ENDPOINT, token

    endpoint = access.endpoint or os.environ.get("HF_ENDPOINT") or ENDPOINT
    return Session(endpoint, token(endpoint))


def open_with_parts(text: str, access: Access) -> Joined:
    """The source of a target with those of its parts. Raises `OSError` where one of them cannot be
    audited, and says which."""
    from weighbridge.sources.joined import Joined

    main = open_target(text, access)
    parts: dict[str, Source] = {}
    for name, place in access.parts:
        try:
            parts[name] = _open_part(name, place, access)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise OSError(0, f"--{name} {place}: {why}") from error
    return Joined(main, parts)


def _open_part(name: str, place: str, access: Access) -> Source:
    if name == "env":
        from weighbridge.sources.environment import open_environment

        return open_environment(Path(place))
    return open_target(place, access)


def open_base(
    access: Access, origin: Origin | None, declared: Sequence[Declaration]
) -> Source | None:
    """The model that the target derives from: the one that the user names, or for a target of the
    Hub the first one that it declares there. None where neither is named.

    Raises `OSError` where it cannot be had.
    """
    if access.base is not None:
        return open_target(access.base, access)
    if origin is None or origin.kind != "hub":
        if declared:
            raise OSError(0, f"{declared[0].id} is named as the base; --base says where it is")
        return None
    for base in declared:
        if base.id not in (origin.id, origin.asked):
            from weighbridge.sources.hub import Name, open_hub

            name = Name.of(base.id)
            if name is not None:
                return open_hub(name, _session(access))
    return None
