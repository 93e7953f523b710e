"""The images that deployments name: manifests of Kubernetes, Compose files, values of Helm charts.

Sources: https://kubernetes.io/docs/concepts/containers/images/ (also of what extends it: any
`image` of an object); https://docs.docker.com/reference/compose-file/services/#image;
https://helm.sh/docs/chart_best_practices/pods/#images; kustomize's `images`. Nothing is rendered
and no registry is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.core.fact import ImageReferences
from weighbridge.core.image import ImageReference
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.formats.dockerfile import replaced
from weighbridge.formats.text import file_name

IMAGES: Final = 1_000
"""How many images of one file are kept."""
_REFERENCE: Final = regex(r"[a-z0-9][a-z0-9._-]*(?::\d+)?(?:/[\w.-]+)*(?::[\w.-]+)?(?:@[\w:]+)?")
_LITERAL: Final = regex(r"\s*(?:-\s+)?image:\s*[\"']?([^\s\"'#]+)[\"']?\s*(?:#.*)?")
_VALUES: Final = regex(r"(?:[\w.-]*[-_.])?values(?:[-_.][\w.-]*)?\.ya?ml")
_TEXTS: Final = frozenset({"data", "binaryData", "stringData"})
"""What an object of Kubernetes holds for programs, and does not run itself."""


def place_of(documents: tuple[Any, ...], where: Location) -> str:
    """What sort of deployment the documents of a file are, or the empty string."""
    for value in documents:
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("apiVersion"), str) and isinstance(value.get("kind"), str):
            return "kubernetes"
        services = value.get("services")
        if isinstance(services, dict) and any(
            isinstance(s, dict) and ("image" in s or "build" in s) for s in services.values()
        ):
            return "compose"
        if _VALUES.fullmatch(file_name((where.inside or (where.path,))[-1])):
            return "helm"
    return ""


def images(documents: list[Any], place: str, where: Location) -> Iterator[ImageReferences]:
    """The images of the documents, whose texts know their lines."""
    found = _Found()
    for value in documents:
        if not isinstance(value, dict):
            continue
        if place == "compose":
            services = value.get("services")
            for service in services.values() if isinstance(services, dict) else ():
                if isinstance(service, dict) and "build" not in service:
                    found.image(service.get("image"))
        elif place == "helm" or value.get("kind") != "CustomResourceDefinition":
            _walk(found, value, place)
    yield from found.fact(place, where)


def templated(text: str, where: Location) -> Iterator[ImageReferences]:
    """The images that a template of Helm's names as they are; what values tell is not known."""
    found = _Found()
    for number, line in enumerate(text.split("\n"), 1):
        read = _LITERAL.fullmatch(line) if "image:" in line else None
        if read is not None:
            found.add(read[1], number)
    yield from found.fact("helm", where)


class _Found(Struct):
    images: list[ImageReference] = field(default_factory=list)
    later: list[int] = field(default_factory=list)

    def image(self, value: Any) -> None:
        """A text that names an image."""
        if isinstance(value, str) and value:
            self.add(str.__str__(value), getattr(value, "line", 0))

    def add(self, said: str, line: int) -> None:
        """An image as it is written in a line."""
        image = replaced(said.removeprefix("oci://"), {})
        if "$" in image or "{{" in image or "<" in image:
            self.later.append(line)
        elif _REFERENCE.fullmatch(image):
            made = ImageReference(image=image[:500], line=line, said=said if said != image else "")
            self.images.append(made)

    def fact(self, place: str, where: Location) -> Iterator[ImageReferences]:
        """All of it, if there is any."""
        unread = []
        if self.later:
            lines = ", ".join(f"{n:,}" for n in self.later[:10])
            unread.append(f"which image is meant is told when it is deployed: line {lines}")
        if len(self.images) > IMAGES:
            unread.append(f"more than {IMAGES:,} images: the rest are not kept")
        kept = tuple(dict.fromkeys(self.images))[:IMAGES]
        if kept or unread:
            yield ImageReferences(at=where, place=place, images=kept, unread=tuple(unread))


def _walk(found: _Found, whole: dict[str, Any], place: str) -> None:
    waiting: list[Any] = [whole]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        if place == "helm":
            _of_values(found, value)
        else:
            _of_object(found, value)
        left = _TEXTS if "kind" in value else frozenset()
        waiting += [v for k, v in reversed(value.items()) if k not in left]


def _of_object(found: _Found, value: dict[str, Any]) -> None:
    """A mapping of Kubernetes: a container, a volume that is an image, images that kustomize
    exchanges, a model in a registry."""
    image = value.get("image")
    found.image(image.get("reference") if isinstance(image, dict) else image)
    uri = value.get("storageUri")
    if isinstance(uri, str) and uri.startswith("oci://"):
        found.image(uri)
    exchanged = value.get("images") if value.get("kind") == "Kustomization" else None
    for one in exchanged if isinstance(exchanged, list) else ():
        if isinstance(one, dict):
            name, tag, digest = one.get("newName") or one.get("name"), one.get("newTag"), (
                one.get("digest"))  # fmt: skip
            if isinstance(name, str) and (tag or digest or one.get("newName")):
                made = f"{name}:{tag}" if tag else str(name)
                found.add(f"{made}@{digest}" if digest else made, getattr(name, "line", 0))


def _of_values(found: _Found, value: dict[str, Any]) -> None:
    """A mapping among a chart's values: images by their parts, or whole."""
    for key, said in value.items():
        if not key.lower().endswith("image"):
            continue
        if isinstance(said, str) and ("/" in said or ":" in said):
            tag = next((t for k in ("tag", "imageTag") if isinstance(t := value.get(k), str)), None)
            line = getattr(said, "line", 0)
            if ":" in said.rpartition("/")[2] or "@" in said:
                found.image(said)
            elif tag:
                found.add(f"{said}:{tag}", line)
            else:
                found.later.append(line)  # the version of the chart, if its templates say so
        elif isinstance(said, dict) and isinstance(said.get("repository"), str):
            repository, tag, digest = said["repository"], said.get("tag"), said.get("digest")
            registry = said.get("registry")
            line = getattr(repository, "line", 0)
            name = f"{registry}/{repository}" if registry and isinstance(registry, str) else (
                str(repository))  # fmt: skip
            if not repository:
                continue
            if not tag and not digest:
                found.later.append(line)  # the version of the chart, if its templates say so
                continue
            made = f"{name}:{tag}" if tag else name
            found.add(f"{made}@{digest}" if digest else made, line)
