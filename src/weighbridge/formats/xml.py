"""XML: PMML, OpenVINO's graphs and whatever else is written in it. No entity is ever expanded.

Grammar: XML 1.0, read by expat with its handlers for entities set, so that a reference is counted
and skipped. OpenVINO IR: `docs.openvino.ai`, "Intermediate Representation format"; PMML 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from msgspec import Struct, field

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Reference

SIZE_LIMIT: Final = 128 << 20
CHUNK: Final = 1 << 18
TAG_LIMIT: Final = 8 << 20
"""Bytes of one tag: the parser goes over it anew with every part that it is given."""
DEPTH_LIMIT: Final = 2_000
ELEMENTS_KEPT: Final = 40_000
ENTITIES_KEPT: Final = 1_000
VALUE_KEPT: Final = 500
_START: Final = regex(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[\s?]|<!DOCTYPE\s+(?!html\b)[\w:]|<(?:PMML|net|CustomLayer)[\s>])",
    re.IGNORECASE,
)
_WIDE: Final = regex(rb"\xff\xfe<\0\?\0x\0m\0l\0|\xfe\xff\0<\0\?\0x\0m\0l")
_LOOKED_AT: Final = {
    "net": frozenset({"net", "layer", "data"}),
    "PMML": frozenset({"PMML", "Apply", "DefineFunction", "Extension"}),
    "CustomLayer": frozenset({"CustomLayer", "Kernel", "Source", "Binary"}),
}
"""Which elements are kept, for each root that a check asks about."""


class Entity(Struct, frozen=True):
    """A declared entity. `expands` is how many characters it comes to in the end, `address` where
    an external one is to be had, `parameter` whether it is one of the document type's own."""

    name: str
    parameter: bool
    value: str
    address: str
    expands: int
    line: int


class Element(Struct, frozen=True):
    """An element that a check may ask for, with its attributes."""

    name: str
    attributes: dict[str, str]
    line: int


class Xml(Document, frozen=True, kw_only=True, eq=False):
    """`root` is the first element's name, `doctype` the address of its document type, if any."""

    root: str
    doctype: str
    entities: tuple[Entity, ...]
    elements: tuple[Element, ...]
    instructions: tuple[str, ...]

    def refers(self) -> Iterator[Reference]:
        """The constants of an OpenVINO graph, which are in the file beside it that ends in
        `.bin`."""
        name = (self.where.inside[-1:] or (self.where.path,))[0].rpartition("/")[2]
        if self.root != "net" or not name.lower().endswith(".xml"):
            return
        for element in self.elements:
            if element.name == "data":
                start, size = (element.attributes.get(k, "") for k in ("offset", "size"))
                if _COUNT.fullmatch(start) and _COUNT.fullmatch(size):
                    yield Reference(
                        at=self.where,
                        path=f"{name[:-4]}.bin",
                        start=int(start),
                        size=int(size),
                        what=f"line {element.line}",
                    )


class _Reader(Struct, dict=True):
    root: str = ""
    doctype: str = ""
    depth: int = 0
    entities: list[Entity] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    dropped: int = 0

    def __post_init__(self) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.StartDoctypeDeclHandler = self.document_type
        parser.EntityDeclHandler = self.entity
        parser.ProcessingInstructionHandler = self.instruction
        # With a default handler that does not expand, a reference stays the text that it is.
        parser.DefaultHandler = lambda data: None
        parser.ExternalEntityRefHandler = lambda *names: 1
        self.parser = parser

    @property
    def line(self) -> int:
        return int(self.parser.CurrentLineNumber)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Malformed(f"line {self.line:,}: nested more than {DEPTH_LIMIT:,} deep")
        plain = name.rpartition(":")[2]
        if not self.root:
            self.root = plain
        if plain in _LOOKED_AT.get(self.root, ()) and (plain != "data" or "offset" in attributes):
            if len(self.elements) < ELEMENTS_KEPT:
                kept = {k[:80]: v[:VALUE_KEPT] for k, v in list(attributes.items())[:40]}
                self.elements.append(Element(plain, kept, self.line))
            else:
                self.dropped += 1

    def end(self, name: str) -> None:
        self.depth -= 1

    def document_type(
        self, name: str, system: str | None, public: str | None, internal: int
    ) -> None:
        self.doctype = (system or public or "")[:VALUE_KEPT]

    def entity(
        self, name: str, parameter: int, value: str | None, base: str | None, system: str | None,
        public: str | None, notation: str | None,
    ) -> None:  # fmt: skip
        size = len(value or "")
        for reference in _REFERENCE.findall(value or ""):
            size += self.sizes.get(reference, 0)
        self.sizes.setdefault(name, min(size, 1 << 62))
        if len(self.entities) < ENTITIES_KEPT:
            shown = (value or "")[:VALUE_KEPT]
            address = (system or public or "")[:VALUE_KEPT] if value is None else ""
            self.entities.append(
                Entity(name[:80], bool(parameter), shown, address, self.sizes[name], self.line)
            )
        else:
            self.dropped += 1

    def instruction(self, target: str, data: str) -> None:
        if len(self.instructions) < 100:
            self.instructions.append(f"{target} {data}"[:VALUE_KEPT])


_COUNT: Final = regex(r"\d{1,18}")
_REFERENCE: Final = regex(r"[&%]([^\s;&%#]{1,200});")


def _sniff(sample: Sample) -> bool:
    return bool(_START.match(sample.head) or _WIDE.match(sample.head))


def _chunks(blob: Blob) -> Iterator[bytes]:
    for offset in range(0, min(blob.size, SIZE_LIMIT), CHUNK):
        yield blob.read(offset, CHUNK)


def _parse(blob: Blob, where: Location, limits: Limits) -> Xml:
    reader = _Reader()
    gaps: list[Gap] = []
    try:
        given = 0
        for chunk in _chunks(blob):
            reader.parser.Parse(chunk, False)
            given += len(chunk)
            if given - reader.parser.CurrentByteIndex > TAG_LIMIT:
                raise Malformed(f"a tag of more than {TAG_LIMIT:,} bytes", given)
        if blob.size <= SIZE_LIMIT:
            reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        if expat.errors.messages.get(error.code) == expat.errors.XML_ERROR_NO_MEMORY:
            raise MemoryError from None
        why = f"no XML: line {error.lineno:,}: {expat.errors.messages.get(error.code, 'broken')}"
        # What a document declares before it breaks is read by a parser that stops there, too.
        if not reader.entities:
            raise Malformed(why) from None
        gaps.append(Gap(kind=GapKind.MALFORMED, message=why, at=where))
    except (LookupError, ValueError) as error:
        raise Malformed(f"no XML ({type(error).__name__})") from None
    if blob.size > SIZE_LIMIT:
        why = f"only the first {SIZE_LIMIT:,} bytes of this XML were read"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    if reader.dropped:
        why = f"{reader.dropped:,} more elements or entities were not looked at"
        gaps.append(Gap(kind=GapKind.TOO_LARGE, message=why, at=where))
    return Xml(
        where=where,
        size=blob.size,
        seen=min(blob.size, SIZE_LIMIT),
        gaps=tuple(gaps),
        root=reader.root[:80],
        doctype=reader.doctype,
        entities=tuple(reader.entities),
        elements=tuple(reader.elements),
        instructions=tuple(reader.instructions),
    )


XML = Format(
    name="xml",
    title="XML (PMML, OpenVINO IR)",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=Xml,
    limits="Up to 128 MiB. Entities and elements that name code are read, text is not.",
)
