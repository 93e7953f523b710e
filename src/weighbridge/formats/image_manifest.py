"""What an image says of itself in JSON: the order of its layers, and its configuration.

Sources: OCI image-spec (manifest.md, config.md, layer.md); the `manifest.json` of `docker save`.
"""

from __future__ import annotations

from typing import Any, Final

from weighbridge.core.fact import ImageLayers
from weighbridge.core.location import Location

LAYERS: Final = 1_000
_DIGEST_LENGTH: Final = 200


def layers_of(value: Any, where: Location) -> ImageLayers | None:
    """The layers that a manifest lists, the lowest first, or None where the value is none."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        listed, key = value[0].get("Layers"), None
    elif isinstance(value, dict) and value.get("schemaVersion") == 2:
        listed, key = value.get("layers"), "digest"
    else:
        return None
    if not isinstance(listed, list) or not 0 < len(listed) <= LAYERS:
        return None
    named = [one.get(key) if key and isinstance(one, dict) else one for one in listed]
    texts = [n for n in named if isinstance(n, str) and n.isascii() and len(n) <= _DIGEST_LENGTH]
    return ImageLayers(at=where, layers=tuple(texts)) if len(texts) == len(named) else None


def configuration_of(value: Any) -> dict[str, Any] | None:
    """The configuration of an image, or None where the value is none."""
    if not isinstance(value, dict) or not isinstance(value.get("rootfs"), dict):
        return None
    known = "diff_ids" in value["rootfs"] and ("config" in value or "history" in value)
    return value if known else None
