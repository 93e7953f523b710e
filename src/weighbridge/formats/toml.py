"""TOML files that say what is to be installed: projects, their tools' settings, locks.

Grammar: https://toml.io/en/v1.0.0, read by the standard library, which keeps no lines: an entry's
line is found again in the text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from weighbridge.core.document import Document
from weighbridge.core.fact import Installs
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats import locks, project
from weighbridge.formats.text import Written, file_name, read_text, text_kind

SIZE_LIMIT: Final = 16 << 20
PARTS_LIMIT: Final = 100
"""Of a dotted key: the library takes the square of their number to read it."""
_KEYS: Final = regex(rb"[\w.\- \t]{200,}")


class Toml(Written, frozen=True, kw_only=True, eq=False):
    """A TOML file: its values and text. `broken` says why it could not be read, if it could not."""

    value: dict[str, Any]
    text: str
    broken: str = ""

    def facts(self) -> Iterator[Installs]:
        """What it says is to be installed, where it is a file of that kind."""
        name = file_name(self.where.path)
        read = _READERS.get("pylock.toml" if _PYLOCK.fullmatch(name) else name)
        if read is None:
            return
        if self.broken:
            yield Installs(at=self.where, place="project", unread=(self.broken,))
            return
        found = read(self.value, self.text, self.where)
        if found is not None:
            yield found


_PYLOCK: Final = regex(r"pylock(?:\.[\w-]+)?\.toml")
_READERS: Final = {
    "pyproject.toml": project.pyproject,
    "uv.toml": project.uv_settings,
    "pipfile": project.pipfile,
    "poetry.lock": locks.poetry,
    "uv.lock": locks.uv,
    "pdm.lock": locks.pdm,
    "pylock.toml": locks.pylock,
}


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    made = Toml(
        where=where, size=blob.size, seen=text.seen, gaps=text.gaps, blob=blob, value={}, text=""
    )
    if blob.size > SIZE_LIMIT:
        return replace(made, broken=f"more than {SIZE_LIMIT:,} bytes of TOML")
    data = blob.read(0, blob.size)
    if any(found[0].count(b".") > PARTS_LIMIT for found in _KEYS.finditer(data)):
        return replace(made, broken="it has keys of very many parts")
    written = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    try:
        return replace(made, value=tomllib.loads(written), text=written)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        return replace(made, broken=f"it is no TOML: {str(error)[:120]}")


TOML = Format(
    name="toml",
    title="TOML",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "toml",
    parse=_parse,
    document=Toml,
    limits="Up to 16 MiB; told by its name. Read as Python's own library reads it: projects "
    "(PEP 621, 735, Poetry, PDM, uv), Pipfile, and the locks of poetry, uv, pdm and PEP 751.",
)
