"""Names of packages that many install: what a look-alike would be taken for.

The list says what is well known, not what is good: to stand in it earns nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from weighbridge.core.report import Intel

_FILE: Final = Path(__file__).with_suffix(".json")
VENDOR_INDEXES: Final = frozenset({
    "download.pytorch.org", "pypi.nvidia.com", "pypi.ngc.nvidia.com", "data.pyg.org",
    "pypi.amd.com", "wheels.vllm.ai", "abetlen.github.io", "flashinfer.ai", "repo.radeon.com",
})  # fmt: skip
"""Hosts of public indexes that serve builds of well-known packages."""


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`popular` are names of PyPI, the most downloaded first; `established` those that look like
    one of them and are themselves widely used; `doubtful` those that stay suspect all the same.
    `conda` maps conda's names to PyPI's, empty for what is no Python package; a name that it does
    not list is taken to be the same there."""

    reviewed: str
    popular: tuple[str, ...]
    established: frozenset[str]
    doubtful: frozenset[str]
    conda: dict[str, str]


@cache
def listed() -> Packages:
    """The reviewed list."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Packages)


def load() -> Intel:
    """What the report says of this list."""
    read = listed()
    return Intel(name=f"well-known packages ({len(read.popular):,})", date=read.reviewed)
