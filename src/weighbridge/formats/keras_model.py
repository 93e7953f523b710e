"""Tells the configuration of a Keras model, as `to_json`, `.keras` and HDF5 files keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MODELS: Final = frozenset({"Functional", "Sequential", "Model"})
"""Classes of models that are made of layers."""
_AROUND: Final = ("modelTopology", "model_config")
"""Keys that TensorFlow.js keeps a configuration under, from the outside in."""


def model_of(value: Any) -> Mapping[str, Any] | None:
    """The configuration of a model in a JSON value: a class and its layers. None where it is
    anything else."""
    for key in ("", *_AROUND):
        value = value.get(key) if key and isinstance(value, dict) else value
        if not isinstance(value, dict):
            return None
        config = value.get("config")
        if value.get("class_name") in MODELS and (
            isinstance(config, list)
            or (isinstance(config, dict) and isinstance(config.get("layers"), list))
        ):
            return value
    return None
