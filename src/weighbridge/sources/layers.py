"""What stores of layers have in common: files that are named by their digest, and manifests that
name them. Used for OCI layouts and for Ollama's store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.origin import Declared, Origin, Transfer
from weighbridge.core.report import LeftOut
from weighbridge.core.tree import Blob, Copy, Link
from weighbridge.sources.folder import File
from weighbridge.sources.records import SHA256, gap, mapping, number, plain, sequence, text

MANIFEST_LIMIT: Final = 4 << 20
"""The largest manifest that is read, in bytes; the specification's own limit."""
LAYERS: Final = 20_000

ROLES: Final = {
    "application/vnd.ollama.image.template": "go-template",
    "application/vnd.ollama.image.system": "system-prompt",
    "application/vnd.docker.ai.chat.template.jinja": "chat-template",
}
"""What a layer is by its media type, where a format goes by that."""


class Layer(Struct, frozen=True):
    """A descriptor: what a manifest says of one layer. `digest` is `sha256:…`, not yet checked."""

    media: str
    digest: str
    size: int | None
    notes: Mapping[str, Any]
    name: str

    @classmethod
    def of(cls, value: Any) -> Layer:
        """A descriptor of a manifest."""
        said = mapping(value)
        return cls(
            media=(text(said.get("mediaType"), 300) or "").partition(";")[0].strip(),
            digest=(text(said.get("digest"), 200) or "").replace("-", ":", 1),
            size=number(said.get("size")),
            notes=mapping(said.get("annotations")),
            name=text(said.get("name"), 1_000) or "",
        )


def layers(manifest: Mapping[str, Any]) -> list[Layer]:
    """The layers of a manifest, without its configuration."""
    return [Layer.of(v) for v in sequence(manifest.get("layers"))[:LAYERS]]


def blob_name(digest: str, separator: str) -> str | None:
    """The file that holds what a digest names, below `blobs`; None where it is no digest."""
    algorithm, _, value = digest.partition(":")
    known = algorithm == "sha256" and SHA256.fullmatch(value)
    return f"blobs/{algorithm}{separator}{value}" if known else None


class Layered(Struct, dict=True):
    """A model in a store of layers, or all of them. Fill it with `add`."""

    root: Path
    kind: str
    separator: str
    origin: Origin
    left_out: list[LeftOut] = field(default_factory=list)
    links: tuple[Link, ...] = ()
    transfer: Transfer | None = None

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._members: list[Blob | Gap] = []
        self._first: dict[tuple[str, str], Blob] = {}
        self._names: set[str] = set()
        self._declared: list[Declared] = []

    @property
    def readable(self) -> tuple[Path, ...]:
        """The store."""
        return (self.root,)

    def walk(self) -> Iterator[Blob | Gap]:
        """Its files, in the order of its manifests."""
        yield from self._members

    def gap(self, kind: GapKind, message: str, path: str) -> None:
        """Keep something that was not read."""
        self._members.append(gap(kind, message, path))

    def add(self, path: str, layer: Layer, folder: str = "") -> None:
        """A layer under a name; one that leaves the folder is replaced, and said."""
        if not plain(path):
            other = f"layer-{layer.digest.partition(':')[2][:12] or len(self._names)}"
            why = f"its name leaves the folder that it is written to: {path[:200]!r}"
            self.gap(GapKind.MALFORMED, why, folder + other)
            path = other
        path = self._free(folder + path)
        name = blob_name(layer.digest, self.separator)
        if name is None:
            self.gap(GapKind.UNSUPPORTED, f"no sha256: {layer.digest[:100]!r}; not read", path)
            return
        sha256 = layer.digest.partition(":")[2]
        self._declared.append(Declared(path=path, size=layer.size, sha256=sha256))
        self.add_file(path, name, ROLES.get(layer.media, ""))

    def add_file(self, path: str, name: str, role: str = "") -> None:
        """A file of the store under a name."""
        place = self.root / name
        try:
            size = os.stat(place, follow_symlinks=False).st_size
            inside = place.resolve(strict=True) == place
        except (OSError, RuntimeError) as error:
            self.gap(GapKind.UNREADABLE, f"{name}: {getattr(error, 'strerror', error)}", path)
            return
        if not inside:
            self.gap(GapKind.UNREADABLE, f"{name}: a link; not followed", path)
            return
        known = self._first.setdefault((name, role), File(path, str(place), size, role))
        self._members.append(known if known.path == path else Copy(known, path))

    def declare(self, path: str, sha256: str) -> None:
        """What is recorded of a file that was added by its name."""
        self._declared.append(Declared(path=path, sha256=sha256))

    def seal(self) -> None:
        """Nothing is added any more."""
        self.origin = msgspec.structs.replace(self.origin, files=tuple(self._declared))

    def _free(self, path: str) -> str:
        free, number = path, 2
        while free in self._names:
            free, number = f"{path}-{number}", number + 1
        self._names.add(free)
        return free
