"""Publishers and models that many deployments use: what a look-alike would imitate.

The list says what is well known, not what is good: to stand in it earns nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from weighbridge.core.report import Intel

_FILE: Final = Path(__file__).with_name("publishers.json")


class _Listed(Struct, frozen=True, forbid_unknown_fields=True):
    reviewed: str
    publishers: tuple[str, ...]
    models: tuple[str, ...]


class Known(Struct, frozen=True):
    """Names of owners, and the full names of models by the name of the repository in lower case."""

    publishers: tuple[str, ...]
    models: dict[str, str]


@cache
def _listed() -> _Listed:
    return msgspec.json.decode(_FILE.read_bytes(), type=_Listed)


@cache
def known() -> Known:
    """The reviewed list."""
    listed = _listed()
    models = {id.rpartition("/")[2].casefold(): id for id in listed.models}
    return Known(listed.publishers, models)


def load() -> Intel:
    """What the report says of this list."""
    listed = _listed()
    size = len(listed.publishers) + len(listed.models)
    return Intel(name=f"well-known publishers and models ({size:,})", date=listed.reviewed)
