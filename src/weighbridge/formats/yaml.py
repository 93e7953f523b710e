"""YAML, read from the events of PyYAML's parser: no tag is resolved and no object is made.

Grammar: YAML 1.1, as PyYAML reads it. Scalars stay the text that they are (`on` is no truth value),
an alias refers to what it names without a copy, so that a document cannot grow while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import yaml
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.core.document import Malformed
from weighbridge.core.fact import ImageReferences, Installs
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading
from weighbridge.core.location import Location, within
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats import conda, deployment, packing
from weighbridge.formats.text import YAML_NAMES, Configuration, Text, read_text, text_kind

SIZE_LIMIT: Final = 2 << 20
"""In bytes: the parser is pure Python and takes some seconds for so much."""
NODES_LIMIT: Final = 500_000
DEPTH_LIMIT: Final = 200
_INSTALLS: Final = frozenset({"channels", "dependencies", "package", "channel_priority", "build",
                              "python", "requirements"})  # fmt: skip
_TEMPLATED: Final = regex(r"(?:.*/)?templates/(?:.*/)?[^/]+\.ya?ml")
CORE: Final = "tag:yaml.org,2002:"


class Tagged(Struct, frozen=True):
    """A node with a tag of its own: the tag, what stands behind it, its line (from 1)."""

    tag: str
    value: Any
    line: int


class Yaml(Configuration, frozen=True, kw_only=True, eq=False):
    """The documents of the stream as mappings, lists and texts; parts may be shared.

    `overwritten` holds a mapping for each key and value whose key stands again later, `tagged` the
    nodes with a tag that YAML does not define, `lines` the line of a mapping by its identity.
    """

    documents: tuple[Any, ...]
    overwritten: tuple[Any, ...]
    tagged: tuple[Tagged, ...]
    lines: dict[int, int]

    def roots(self) -> Iterator[tuple[str, Any]]:
        """The documents, what a later key hides in them, and what stands behind tags."""
        for value in (*self.documents, *self.overwritten):
            yield "", value
        for node in self.tagged:
            yield "", node.value

    def facts(self) -> Iterator[Installs | ImageReferences]:
        """What conda or a tool that packs models is to install, where it is a file of theirs; the
        images that a deployment runs."""
        if any(isinstance(d, dict) and not _INSTALLS.isdisjoint(d) for d in self.documents):
            text = self.blob.read(0, self.size).decode("utf-8-sig", "replace")
            yield from conda.environment(self.documents, text, self.where)
            yield from packing.asked(self.documents, text, self.where)
        if _is_templated(self.blob, self.where):
            text = self.blob.read(0, self.size).decode("utf-8-sig", "replace")
            yield from deployment.templated(text, self.where)
        elif place := deployment.place_of(self.documents, self.where):
            marked = MarkedComposer()  # a deployment is small, and its images must have lines
            with suppress(Malformed):
                marked.read(self.blob.read(0, self.size))
            yield from deployment.images(marked.documents, place, self.where)


class _Open(Struct):
    """A collection that is being read; `key` waits for its value in a mapping."""

    made: Any
    tag: str | None
    line: int
    anchor: str | None
    key: Any = None
    waiting: bool = False


class Composer(Struct):
    """What has been made of the events so far."""

    documents: list[Any] = field(default_factory=list)
    overwritten: list[Any] = field(default_factory=list)
    tagged: list[Tagged] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)
    anchors: dict[str, Any] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    nodes: int = 0

    def event(self, event: Any) -> None:
        """Take the next event. Raises `Malformed`."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.anchors.clear()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise Malformed(f"line {line:,}: the alias *{event.anchor[:80]} names nothing")
            self.add(self.anchors[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                self.anchors[event.anchor] = event.value
            self.tag(event.tag, event.value, line)
            self.add(event.value)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(self.stack) >= DEPTH_LIMIT:
                raise Malformed(f"line {line:,}: nested more than {DEPTH_LIMIT} deep")
            made: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self.stack.append(_Open(made, event.tag, line, event.anchor))
            self.lines[id(made)] = line
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            done = self.stack.pop()
            if done.anchor:  # only now: a collection cannot hold itself
                self.anchors[done.anchor] = done.made
            self.tag(done.tag, done.made, done.line)
            self.add(done.made)

    def tag(self, tag: str | None, value: Any, line: int) -> None:
        """Note a tag that YAML does not define."""
        if tag and tag != "!" and not (tag.startswith(CORE) and "/" not in tag):
            self.tagged.append(Tagged(tag, value, line))

    def add(self, value: Any) -> None:
        """Put a value where it belongs."""
        self.nodes += 1
        if self.nodes > NODES_LIMIT:
            raise Malformed(f"more than {NODES_LIMIT:,} values")
        if not self.stack:
            self.documents.append(value)
            return
        top = self.stack[-1]
        if isinstance(top.made, list):
            top.made.append(value)
        elif not top.waiting:
            top.key, top.waiting = value if isinstance(value, str) else f"({type(value)})", True
            if not isinstance(value, str):
                self.overwritten.append(value)  # a collection as a key: looked at all the same
        else:
            if top.key in top.made:
                self.overwritten.append({top.key: top.made[top.key]})
            top.made[top.key] = value
            top.waiting = False

    def read(self, data: bytes) -> None:
        """Read a whole stream. Raises `Malformed`, and keeps the documents before that.

        libyaml makes the same events ten times as fast; what it refuses PyYAML's own parser reads,
        which says why, so that the answer is the same without libyaml.
        """
        if _FAST is not None:
            quick = type(self)()
            try:
                for event in yaml.parse(data, Loader=_FAST):
                    quick.event(event)
            except (yaml.YAMLError, ValueError, OverflowError, AttributeError, IndexError):
                pass  # the other parser says what is wrong with it
            except Malformed:
                self._become(quick)
                raise
            else:
                self._become(quick)
                return
        try:
            for event in yaml.parse(data, Loader=_Events):
                self.event(event)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            why = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
            place = f"line {mark.line + 1:,}: " if mark is not None else ""
            raise Malformed(f"no YAML: {place}{str(why)[:120]}") from None
        except (ValueError, OverflowError, RecursionError, AttributeError, IndexError) as error:
            raise Malformed(f"no YAML ({type(error).__name__})") from None

    def _become(self, other: Composer) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(other, name))


_FAST: Final = getattr(yaml, "CBaseLoader", None)
"""PyYAML's binding of libyaml, where it was built with it."""


class Marked(str):
    """A scalar with the line on which its text begins."""

    __slots__ = ("line",)
    line: int

    @classmethod
    def at(cls, text: str, line: int) -> Marked:
        """A text that knows its line."""
        made = cls(text)
        made.line = line
        return made


class MarkedComposer(Composer):
    """Composes values whose scalars know their lines."""

    def event(self, event: Any) -> None:
        """Take the next event. Raises `Malformed`."""
        if isinstance(event, yaml.ScalarEvent):
            line = event.start_mark.line + 1 + (event.style in ("|", ">"))
            event.value = Marked.at(event.value, line)
        super().event(event)


class _Events(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):  # type: ignore[misc]
    """PyYAML up to its events: what resolves tags and makes objects is not part of it."""

    def __init__(self, stream: bytes) -> None:
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def _is_templated(blob: Blob, where: Location) -> bool:
    """Whether a file is a template of a Helm chart."""
    path = (where.inside or (within(where.path)[1],))[-1]
    return _TEMPLATED.fullmatch(path) is not None and b"{{" in blob.read(0, SIZE_LIMIT)


def _parse(blob: Blob, where: Location, limits: Limits) -> Yaml | Text:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        why = f"more than {SIZE_LIMIT:,} bytes of YAML; they were not read as such"
        gap = Gap(kind=GapKind.TOO_LARGE, message=why, at=where)
        return replace(text, gaps=(*text.gaps, gap))
    made = Composer()
    gaps = text.gaps
    try:
        made.read(blob.read(0, blob.size))
    except Malformed as error:
        if not f"/{blob.path.lower()}".endswith(YAML_NAMES):
            return text  # prose that quotes a configuration
        kind, why = GapKind.MALFORMED, error.why
        if _is_templated(blob, where):
            kind, why = (
                GapKind.UNSUPPORTED,
                "a template of Helm: what its values put into it is not known",
            )
        gaps += (Gap(kind=kind, message=why, at=where),)
    return Yaml(
        where=where,
        size=blob.size,
        seen=blob.size,
        gaps=gaps,
        blob=blob,
        documents=tuple(made.documents),
        overwritten=tuple(made.overwritten),
        tagged=tuple(made.tagged),
        lines=made.lines,
    )


YAML = Format(
    name="yaml",
    title="YAML",
    loading=Loading.DATA,
    sniff=lambda sample: text_kind(sample) == "yaml",
    parse=_parse,
    document=Yaml,
    limits="Up to 2 MiB. Told by its name, or by keys that act; tags are listed, never resolved.",
)
