"""An OCI image layout on this machine: ModelPack, ModelKits of KitOps, models of Docker's model
runner, or any other artifact.

Sources: OCI image-spec (image-layout.md, manifest.md, image-index.md), modelpack/model-spec
(`application/vnd.cncf.model.*`), KitOps (`application/vnd.kitops.modelkit.*`), docker/model-runner
(`application/vnd.docker.ai.*`). Layers that are archives are descended into like any other.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.origin import Origin
from weighbridge.core.report import LeftOut
from weighbridge.sources.layers import MANIFEST_LIMIT, Layer, Layered, blob_name, layers
from weighbridge.sources.records import decode, mapping, read, read_inside, sequence, text
from weighbridge.sources.remote import SourceError

INDEXES: Final = 100
"""How many indexes and manifests are read to find the one that is meant."""
_TAG: Final = "org.opencontainers.image.ref.name"
_NAMES: Final = (
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "org.opencontainers.image.title",
)
_INDEX: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


def is_layout(path: Path) -> bool:
    """Whether a folder is an OCI image layout."""
    return (path / "oci-layout").is_file() and (path / "index.json").is_file()


def split(text: str) -> tuple[Path, str | None]:
    """The folder and the tag (or digest, behind an `@`) in `path:tag`."""
    if os.path.lexists(text):
        return Path(text), None
    path, at, digest = text.rpartition("@")
    if at and digest.startswith("sha256:"):
        return Path(path), digest
    path, colon, tag = text.rpartition(":")
    return (Path(path), tag) if colon and "/" not in tag else (Path(text), None)


class _Manifest(Struct, frozen=True):
    layer: Layer
    tag: str
    content: Mapping[str, Any]

    @property
    def named(self) -> str:
        """As a user would ask for it."""
        return self.tag or self.layer.digest[:19]


def open_layout(path: Path, tag: str | None = None) -> Layered:
    """The artifact of a layout that is meant, or the only one. Raises `OSError`."""
    if not is_layout(path):
        raise SourceError("this is no OCI layout: it has no oci-layout or no index.json")
    root = path.resolve()
    manifests = _manifests(root)
    chosen = _chosen(manifests, tag)
    sort = text(chosen.content.get("artifactType"), 200) or chosen.layer.media
    notes = mapping(chosen.content.get("annotations"))
    artifact = Layered(
        root,
        "oci",
        "/",
        Origin(
            kind="oci",
            where=str(path),
            asked=f"{path}:{tag}" if tag else str(path),
            id=chosen.tag or root.name,
            sort=sort or "artifact",
            created=text(notes.get("org.opencontainers.image.created"), 40),
            requested=tag,
            commit=chosen.layer.digest,
        ),
    )
    for number, layer in enumerate(layers(chosen.content), 1):
        named = next((n for k in _NAMES if (n := text(layer.notes.get(k), 1_000))), None)
        artifact.add(_archived(named or f"layer-{number}", layer.media), layer)
    artifact.add("manifest.json", chosen.layer, ".oci/")
    if mapping(chosen.content.get("config")):
        artifact.add("config.json", Layer.of(chosen.content["config"]), ".oci/")
    artifact.seal()
    for other in manifests:
        if other is not chosen:
            why = f"another artifact of the layout: {other.named}"
            name = blob_name(other.layer.digest, "/") or "index.json"
            artifact.left_out.append(LeftOut(path=name, why=why))
    return artifact


def _archived(name: str, media: str) -> str:
    """A name that says that a layer is an archive, where its media type does."""
    kind = next((k for k in ("tar+gzip", "tar+zstd", "tar") if media.endswith(f".{k}")), "")
    ending = {"tar+gzip": ".tar.gz", "tar+zstd": ".tar.zst", "tar": ".tar"}.get(kind, "")
    known = name.endswith((".tar", ".tar.gz", ".tgz", ".tar.zst"))
    return name if known else name + ending


def _manifests(root: Path) -> list[_Manifest]:
    """Every manifest that the index leads to. Raises `SourceError`."""
    waiting = [decode(read(root / "index.json", MANIFEST_LIMIT), "index.json")]
    found: dict[tuple[str, str], _Manifest] = {}
    left = INDEXES
    while waiting:
        for value in sequence(waiting.pop(0).get("manifests")):
            left -= 1
            if left < 0:
                raise SourceError(f"the layout holds more than {INDEXES} artifacts")
            layer = Layer.of(value)
            content = _content(root, layer)
            if layer.media in _INDEX or ("manifests" in content and "layers" not in content):
                waiting.append(content)
            else:
                tag = text(layer.notes.get(_TAG), 300) or ""
                found[layer.digest, tag] = _Manifest(layer, tag, content)
    return list(found.values())


def _content(root: Path, layer: Layer) -> Mapping[str, Any]:
    name = blob_name(layer.digest, "/")
    if name is None:
        raise SourceError(f"a manifest without a sha256: {layer.digest[:100]!r}")
    data = read_inside(root, name, MANIFEST_LIMIT)
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != layer.digest:
        raise SourceError(f"the manifest {layer.digest} is not what its digest says")
    return decode(data, name)


def _chosen(manifests: list[_Manifest], tag: str | None) -> _Manifest:
    """The manifest that is meant. Raises `SourceError` where that is none or several."""
    if tag is not None:
        fit = [m for m in manifests if tag in (m.tag, m.tag.rpartition(":")[2], m.layer.digest)]
    else:
        own = [m for m in manifests if "subject" not in m.content]  # no signature of another one
        fit = own or manifests
    if len({m.layer.digest for m in fit}) == 1:
        return fit[0]
    listed = ", ".join(m.named for m in manifests[:20]) or "nothing"
    if not fit:
        raise SourceError(f"the layout holds no {tag}; it holds {listed}" if tag else
                          "the layout holds nothing")  # fmt: skip
    raise SourceError(f"the layout holds several artifacts; ask for one as oci:PATH:TAG: {listed}")
