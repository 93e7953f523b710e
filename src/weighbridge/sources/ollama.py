"""Ollama's store on this machine: one model by its name, or all of them.

Layout (ollama 0.12 and later: manifest/paths.go, types/model/name.go): `manifests/<host>/<name
space>/<model>/<tag>`, a manifest whose layers are `blobs/sha256-<digest>`; newer versions write
`manifests-v2`, where the manifest is a link to a blob, and manifests may be lists of others, one
for each runner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.finding import GapKind
from weighbridge.core.origin import Origin
from weighbridge.core.regex import regex
from weighbridge.core.report import LeftOut
from weighbridge.sources.layers import MANIFEST_LIMIT, Layer, Layered, blob_name, layers
from weighbridge.sources.records import decode, plain, read_inside, sequence, text
from weighbridge.sources.remote import SourceError

HOST: Final = "registry.ollama.ai"
SPACE: Final = "library"
MODELS: Final = 10_000
RUNNERS: Final = 20
_PART: Final = regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST: Final = regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?::\d{1,5})?")
_MANIFESTS: Final = ("manifests-v2", "manifests")
_BLOB: Final = regex(r"sha256-([0-9a-f]{64})")
_LIST: Final = "application/vnd.ollama.manifest.list.v2+json"
_IMAGE: Final = "application/vnd.ollama.image."


class Name(Struct, frozen=True):
    """`[host/][namespace/]model[:tag]`."""

    host: str
    space: str
    model: str
    tag: str

    @classmethod
    def of(cls, asked: str) -> Name:
        """The name in a text, what is left out filled in as Ollama does. Raises `SourceError`."""
        parts = asked.split("/")
        model, colon, tag = parts[-1].partition(":")
        host, space = [HOST, SPACE, *parts[:-1]][-2:] if len(parts) != 2 else (HOST, parts[0])
        name = cls(host, space, model, tag if colon else "latest")
        good = _HOST.fullmatch(host) and all(map(_PART.fullmatch, name.parts[1:]))
        if len(parts) > 3 or not good:
            raise SourceError("this is no name of a model (expected: ollama:name[:tag])")
        return name

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The folders that lead to its manifest, and the manifest."""
        return self.host, self.space, self.model, self.tag

    def __str__(self) -> str:
        host = "" if self.host == HOST else f"{self.host}/"
        space = "" if self.space == SPACE and not host else f"{self.space}/"
        return f"{host}{space}{self.model}:{self.tag}"


def models_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where Ollama keeps its models: this user's, or those of the service that it installs."""
    if environment.get("OLLAMA_MODELS"):
        return Path(environment["OLLAMA_MODELS"])
    own = Path("~/.ollama/models").expanduser()
    service = Path("/usr/share/ollama/.ollama/models")
    return service if service.is_dir() and not own.is_dir() else own


def is_store(path: Path) -> bool:
    """Whether a folder is a store of Ollama's."""
    if not (path / "blobs").is_dir() or not any((path / m).is_dir() for m in _MANIFESTS):
        return False
    return next(_names(path), None) is not None


def open_model(asked: str, store: Path | None = None) -> Layered:
    """One model of the store. Raises `OSError` where there is none of that name."""
    root = models_folder() if store is None else store
    name = Name.of(asked)
    place = next(
        (p for m in _MANIFESTS if os.path.lexists(p := root.joinpath(m, *name.parts))), None
    )
    if place is None:
        near = ", ".join(sorted(str(n) for n, _ in _names(root))[:10])
        raise SourceError(f"Ollama's store has no {name}; it has {near}" if near else
                          f"there is no model in Ollama's store ({root})")  # fmt: skip
    found = _Store(root, str(name), asked)
    found.model(name, place, "")
    return found.sealed()


def open_store(root: Path) -> Layered:
    """Every model of a store, each below a folder of its name."""
    found = _Store(root, root.resolve().name, str(root))
    for number, (name, place) in enumerate(_names(root)):
        if number == MODELS:
            why = f"more than {MODELS:,} models; the rest was not looked at"
            found.files.gap(GapKind.TOO_LARGE, why, ".")
            break
        found.model(name, place, f"{name}/")
    found.orphans()
    return found.sealed()


def _names(root: Path) -> Iterator[tuple[Name, Path]]:
    """The models of a store and their manifests, sorted; a newer manifest hides an older one."""
    found: dict[Name, Path] = {}
    for manifests in reversed(_MANIFESTS):
        level = [()]  # type: list[tuple[str, ...]]
        for depth in range(4):
            below: list[tuple[str, ...]] = []
            for parts in level[:MODELS]:
                try:
                    with os.scandir(root.joinpath(manifests, *parts)) as scan:
                        below += [
                            (*parts, e.name)
                            for e in scan
                            if (_PART if depth else _HOST).fullmatch(e.name)
                            and e.is_dir(follow_symlinks=False) == (depth < 3)
                        ]
                except OSError:
                    continue
            level = below
        for host, space, model, tag in level:
            name = Name(host, space, model, tag)
            found[name] = root.joinpath(manifests, *name.parts)
    yield from sorted(found.items(), key=lambda item: str(item[0]))


class _Store:
    def __init__(self, root: Path, id: str, asked: str) -> None:
        self.root = root.resolve()
        origin = Origin(kind="ollama", where=str(root), asked=asked, id=id)
        self.files = Layered(self.root, "ollama", "-", origin)
        self.used: set[str] = set()

    def sealed(self) -> Layered:
        """The source."""
        self.files.seal()
        return self.files

    def model(self, name: Name, place: Path, folder: str) -> None:
        """Add a model's manifest and its layers."""
        path = f"{folder}manifest.json"
        try:
            file, digest = self._manifest(place)
            content = decode(read_inside(self.root, file, MANIFEST_LIMIT), str(name))
        except SourceError as error:
            self.files.gap(GapKind.MALFORMED, error.why, path)
            return
        if digest is None:
            why = "the model's manifest, read as a record: nothing names its digest"
            self.files.left_out.append(LeftOut(path=path, why=why))
        else:
            self.files.declare(path, digest)
            self.files.add_file(path, file)
            self.used.add(file)
        self._layers(content, folder)

    def _manifest(self, place: Path) -> tuple[str, str | None]:
        """The file that a manifest is, relative to the store, and the digest in its name."""
        try:
            real = place.resolve(strict=True)
        except (OSError, RuntimeError):
            raise SourceError("its manifest leads nowhere") from None
        found = _BLOB.fullmatch(real.name)
        if real.parent == self.root / "blobs" and found:
            return f"blobs/{real.name}", found[1]
        if not real.is_relative_to(self.root) or place.is_symlink():
            raise SourceError("its manifest is a link that leaves the store")
        return str(real.relative_to(self.root)), None

    def _layers(self, content: Mapping[str, Any], folder: str, nested: bool = False) -> None:
        if content.get("mediaType") == _LIST and not nested:
            for number, value in enumerate(sequence(content.get("manifests"))[:RUNNERS], 1):
                self._runner(value, f"{folder}{_runner(value) or number}/")
            return
        found = layers(content)
        if content.get("config"):
            found.append(Layer.of(content["config"]))
        if not found:
            why = "its manifest names no layers"
            self.files.gap(GapKind.MALFORMED, why, f"{folder}manifest.json")
        for layer in found:
            self.used.add(blob_name(layer.digest, "-") or "")
            self.files.add(_path(layer), layer, folder)

    def _runner(self, value: Any, folder: str) -> None:
        """A manifest in a list: written there, or a blob that is one."""
        content = value if isinstance(value, dict) else {}
        layer = Layer.of(content)
        if layer.digest and not content.get("layers"):
            name = blob_name(layer.digest, "-")
            self.files.add("manifest.json", layer, folder)
            self.used.add(name or "")
            try:
                if name is None:
                    raise SourceError("a manifest without a sha256")
                content = dict(decode(read_inside(self.root, name, MANIFEST_LIMIT), name))
            except SourceError as error:
                self.files.gap(GapKind.MALFORMED, error.why, f"{folder}manifest.json")
                return
        self._layers(content, folder, nested=True)

    def orphans(self) -> None:
        """Blobs that no manifest names."""
        try:
            names = sorted(os.listdir(self.root / "blobs"))
        except OSError:
            return
        for name in names[: 10 * MODELS]:
            found = _BLOB.fullmatch(name)
            if f"blobs/{name}" in self.used:
                continue
            if found:
                self.files.declare(f"blobs/{name}", found[1])
                self.files.add_file(f"blobs/{name}", f"blobs/{name}")
            else:
                why = "a download that was not finished, or no blob; no manifest names it"
                self.files.gap(GapKind.UNREADABLE, why, f"blobs/{name}")


def _runner(value: Any) -> str | None:
    name = text(value.get("runner"), 60) if isinstance(value, dict) else None
    return name if name and _PART.fullmatch(name) else None


def _path(layer: Layer) -> str:
    """What a layer is called: by its own name, or by what its media type says it is."""
    kind = layer.media.removeprefix(_IMAGE)
    if kind in ("json", "tensor") and layer.name:
        return layer.name
    if kind.startswith("application/vnd.docker.container.image"):
        return "config.json"
    return kind if plain(kind) and "/" not in kind else "layer"
