"""Which packages load which kind of model, and which serve models to callers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

_FILE: Final = Path(__file__).with_suffix(".json")


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`loaders` name for each package the formats that it reads (`config` and `adapter` are the
    settings that say so of a repository), `engines` the packages that serve a model."""

    reviewed: str
    loaders: dict[str, tuple[str, ...]]
    engines: frozenset[str]


@cache
def listed() -> Engines:
    """The reviewed list."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Engines)


def load() -> Intel:
    """What the report says of this list."""
    read = listed()
    size = len(read.loaders) + len(read.engines)
    return Intel(name=f"loaders and serving engines ({size:,})", date=read.reviewed)
