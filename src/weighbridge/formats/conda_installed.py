"""What conda has installed: the records that it keeps in the `conda-meta` of an environment.

Source: https://github.com/conda/conda, `PrefixRecord` and `PathsData` in conda/models/records.py.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from weighbridge.core.document import Malformed
from weighbridge.core.fact import Firmness, Installs, Requirement
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

ECOSYSTEM: Final = "conda"
_RECORD: Final = regex(r"(?:^|[/:])conda-meta/[^/]+\.json$")
_SHA256: Final = regex(r"[0-9a-f]{64}")


class _Path(Struct, frozen=True):
    path: str = msgspec.field(name="_path")
    kind: str = msgspec.field(name="path_type", default="")
    sha256: str = ""
    sha256_in_prefix: str = ""


class _Paths(Struct, frozen=True):
    paths: tuple[_Path, ...] = ()


class _Installed(Struct, frozen=True):
    name: str
    version: str
    files: tuple[str, ...] = ()
    paths_data: _Paths = _Paths()


class CondaRecord(Struct, frozen=True):
    """What conda keeps of a package that it has installed (`conda-meta/….json`): the name, the
    version, and each file, from the prefix on, with its sha256 as it stands there (empty: none is
    named, as for links and for what was compiled on the spot)."""

    name: str
    version: str
    files: dict[str, str]


_installed: Final = msgspec.json.Decoder(_Installed)


def read_installed(data: bytes) -> CondaRecord:
    """The record of an installed package. Raises `Malformed` where it is none."""
    try:
        said = _installed.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no record of conda: {error}") from None
    files = dict.fromkeys(said.files, "")
    for one in said.paths_data.paths:
        digest = one.sha256_in_prefix or one.sha256
        linked = one.kind in ("softlink", "directory")
        good = not linked and _SHA256.fullmatch(digest) is not None
        files[one.path] = digest if good else ""
    return CondaRecord(said.name, said.version, files)


def installed(value: Any, where: Location) -> Installs | None:
    """What the values of such a record say is installed, or None where they are none."""
    if not _RECORD.search(where.path) or where.inside or not isinstance(value, dict):
        return None
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or name == "python":
        return None
    return Installs(
        at=where,
        place="installed",
        requirements=(
            Requirement(
                name=name[:200],
                ecosystem=ECOSYSTEM,
                specifier=f"=={version[:100]}",
                version=version[:100],
                firm=Firmness.INSTALLED,
            ),
        ),
    )
