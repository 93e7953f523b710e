"""TensorFlow.js: what its `model.json` leads to.

Layout: `tfjs-core/src/io/types.ts`, `ModelJSON`: `modelTopology` is a GraphDef as JSON or a Keras
configuration, `weightsManifest` lists groups of files in the same folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Reference
from weighbridge.formats.hdf5 import KERAS_CONFIG

TOPOLOGY: Final = "tensorflow-topology"
"""The role of the graph inside `model.json`."""


def parts(value: Any) -> Iterator[Blob]:
    """The graphs and Keras configurations inside a `model.json`; none where it is something else.

    The initialiser's graph, which some converters write, is a second one.
    """
    if not isinstance(value, dict):
        return
    for name in ("modelTopology", "modelInitializer"):
        topology = value.get(name)
        if isinstance(topology, dict):
            role = TOPOLOGY if "node" in topology or "library" in topology else KERAS_CONFIG
            yield Held(name, msgspec.json.encode(topology), role)


def weights(value: Any, at: Location) -> Iterator[Reference]:
    """The files that hold the weights."""
    manifest = value.get("weightsManifest") if isinstance(value, dict) else None
    for group in manifest if isinstance(manifest, list) else ():
        paths = group.get("paths") if isinstance(group, dict) else None
        for path in paths if isinstance(paths, list) else ():
            if isinstance(path, str):
                yield Reference(at=at, path=path)
