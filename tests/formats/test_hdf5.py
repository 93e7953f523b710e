"""HDF5: the configurations that Keras keeps in attributes are found, in real files."""

from __future__ import annotations

import json
from pathlib import Path

from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.formats.hdf5 import HDF5

FILE = Path(__file__).parents[1] / "benign" / "files" / "keras" / "attention.h5"


def test_the_configuration_is_handed_out() -> None:
    assert HDF5.parse is not None
    document = HDF5.parse(Held("m.h5", FILE.read_bytes()), Location("m.h5"), Limits())
    members = {m.path: m for m in document.walk() if isinstance(m, Blob)}  # type: ignore[attr-defined]
    assert document.gaps == ()
    config = json.loads(members["model_config"].read(0, 1 << 20))
    assert config["class_name"] == "Functional"
