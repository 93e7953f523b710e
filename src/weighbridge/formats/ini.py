"""`setup.cfg` and pip's own settings, as Python's `configparser` reads them."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.document import Document
from weighbridge.core.fact import Installs
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats import project
from weighbridge.formats.text import Written, file_name, read_text, text_kind

SIZE_LIMIT = 1 << 20


class Ini(Written, frozen=True, kw_only=True, eq=False):
    """The text of such a file; empty where it is too large to be one."""

    text: str

    def facts(self) -> Iterator[Installs]:
        """What it has installed, or from where."""
        name = file_name(self.where.path)
        if self.size and not self.text:
            why = f"more than {SIZE_LIMIT:,} bytes of settings"
            yield Installs(at=self.where, place="project", unread=(why,))
            return
        found = project.ini(self.text, name, self.where)
        if found is not None:
            yield found


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    text = read_text(blob, where, limits)
    fits = blob.size <= SIZE_LIMIT
    return Ini(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=text.gaps,
        blob=blob,
        text=blob.read(0, blob.size).decode("utf-8-sig", "replace") if fits else "",
    )


INI = Format(
    name="ini",
    title="Settings of setuptools and pip",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "ini",
    parse=_parse,
    document=Ini,
    limits="Up to 1 MiB; told by its name (setup.cfg, pip.conf, pip.ini).",
)
