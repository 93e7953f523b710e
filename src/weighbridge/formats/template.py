"""A Jinja template, mostly of a chat: its source and its syntax tree. It is never rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.later import Later
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.formats.jinja import LIMIT, LOOSE, ROLE, parse
from weighbridge.formats.text import text_kind

if TYPE_CHECKING:
    from jinja2 import nodes
else:
    nodes = Later("jinja2.nodes")


class Template(Document, frozen=True, kw_only=True, eq=False):
    """A template. `tree` is None where Jinja does not take it, which is a gap.

    `declared`: the place where it was found is one that loaders take templates from.
    """

    source: str
    tree: nodes.Template | None
    declared: bool


def _sniff(sample: Sample) -> bool:
    return sample.blob.role in (ROLE, LOOSE) or text_kind(sample) == "template"


def _parse(blob: Blob, where: Location, limits: Limits) -> Template:
    data = blob.read(0, min(blob.size, 4 * LIMIT))
    try:
        source = data.decode("utf-8-sig", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("a template that is not text", error.start) from None
    tree, seen = None, len(data)
    gaps: tuple[Gap, ...] = ()
    try:
        tree = parse(source)
    except Malformed as error:
        if blob.role != ROLE:
            raise
        # Its container says that it is one: said aloud, where a role keeps other gaps quiet.
        kind = GapKind.TOO_LARGE if len(source) > LIMIT else GapKind.MALFORMED
        gaps = (Gap(kind=kind, message=f"the template was not read: {error.why}", at=where),)
        seen = 0
    return Template(
        where=where, size=blob.size, seen=seen, gaps=gaps, source=source, tree=tree,
        declared=blob.role != LOOSE,
    )  # fmt: skip


TEMPLATE = Format(
    name="template",
    title="Jinja template",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Template,
    limits="Read as Jinja only (Go's are a format of their own); up to 1 MiB; never rendered.",
)
