"""`Pipfile.lock`: JSON in which Pipenv keeps what it resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from weighbridge.core.document import Document
from weighbridge.core.fact import Installs
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats import locks
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT = 8 << 20


class PipfileLock(Written, frozen=True, kw_only=True, eq=False):
    """The values, or why they could not be read."""

    value: Any
    text: str
    broken: str = ""

    def facts(self) -> Iterator[Installs]:
        """What was resolved."""
        if self.broken or not isinstance(self.value, dict):
            why = self.broken or "it is no lock of Pipenv"
            yield Installs(at=self.where, place="lock", unread=(why,))
        else:
            yield locks.pipenv(self.value, self.text, self.where)


def _parse(blob: Blob, where: Location, limits: Limits) -> Document:
    read = read_text(blob, where, limits)
    value, text, broken = None, "", ""
    if blob.size > SIZE_LIMIT:
        broken = f"more than {SIZE_LIMIT:,} bytes"
    else:
        text = blob.read(0, blob.size).decode("utf-8-sig", "replace")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            broken = f"it is no JSON: {str(error)[:100]}"
    return PipfileLock(
        where=where, size=blob.size, seen=read.seen, gaps=read.gaps, blob=blob, value=value,
        text=text, broken=broken,
    )  # fmt: skip


PIPFILE_LOCK = Format(
    name="pipfile-lock",
    title="Lock of Pipenv",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "pipfile-lock",
    parse=_parse,
    document=PipfileLock,
    limits="Up to 8 MiB; told by its name.",
)
