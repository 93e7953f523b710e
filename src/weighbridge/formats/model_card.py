"""A model card: a README whose header, between two lines of dashes, is YAML.

Layout: https://huggingface.co/docs/hub/model-cards. The Hub takes the file that is called
`README.md` at the root for the card, whatever stands in it, so that is what a card is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from weighbridge.core.document import Malformed
from weighbridge.core.fact import Card
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import Configuration, plain, read_text, text_kind
from weighbridge.formats.yaml import Composer

READ_LIMIT: Final = 1 << 20
HEADER_LIMIT: Final = 256 << 10
"""Headers of cards with hundreds of evaluation results have some tens of kilobytes."""
HEADER_VALUES: Final = 50_000
_HEADER: Final = regex(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.S | re.M)


class ModelCard(Configuration, frozen=True, kw_only=True, eq=False):
    """The card. `header` is what the YAML declares (texts, lists, mappings), `text` what a reader
    sees, `line` the line on which that begins."""

    header: dict[str, Any]
    text: str
    line: int

    def roots(self) -> Iterator[tuple[str, Any]]:
        """The header: a template in it is looked at like any other."""
        yield "", self.header

    def facts(self) -> Iterator[Card]:
        """The card, for the questions that go across files."""
        yield Card(at=self.where, header=plain(self.header, HEADER_VALUES), text=self.text)


def _parse(blob: Blob, where: Location, limits: Limits) -> ModelCard:
    validated = read_text(blob, where, limits)
    gaps = validated.gaps
    written = blob.read(0, READ_LIMIT).decode("utf-8", "replace")
    if blob.size > READ_LIMIT:
        why = f"only the first {READ_LIMIT:,} bytes of this card were read as a card"
        gaps += (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    found = _HEADER.match(written)
    header: dict[str, Any] = {}
    if found:
        try:
            header = _header(found[1])
        except Malformed as error:
            why = f"the card's header: {error.why}"
            gaps += (Gap(kind=GapKind.MALFORMED, message=why, at=where),)
    return ModelCard(
        where=where,
        size=blob.size,
        seen=validated.seen,
        gaps=gaps,
        blob=blob,
        header=header,
        text=written[found.end() :] if found else written,
        line=written.count("\n", 0, found.end()) + 1 if found else 1,
    )


def _header(text: str) -> dict[str, Any]:
    if len(text) > HEADER_LIMIT:
        raise Malformed(f"more than {HEADER_LIMIT:,} characters")
    composer = Composer()
    composer.read(text.encode("utf-8", "replace"))
    made = composer.documents[0] if composer.documents else {}
    if not isinstance(made, dict):
        raise Malformed("it is no mapping")
    return made


MODEL_CARD = Format(
    name="model-card",
    title="Model card",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "model-card",
    parse=_parse,
    document=ModelCard,
    limits="The README.md at the root; the first 1 MiB is read as a card.",
)
