"""OpenVINO's graphs: layers, what they are connected by, and the bodies within them.

Grammar: `docs.openvino.ai`, "Intermediate Representation format" (IR 10 and 11). The same bytes are
XML; the constants are in the file beside it that ends in `.bin`. No entity is expanded.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

from msgspec import Struct, field

from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, beside

SIZE_LIMIT: Final = 128 << 20
CHUNK: Final = 1 << 18
TAG_LIMIT: Final = 8 << 20
LAYERS: Final = 200_000
DEPTH: Final = 200
VALUE_KEPT: Final = 10_000
DIMENSIONS: Final = 64
_START: Final = regex(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>)?\s*(?:<!--.{0,400}?-->\s*)*<net[\s>]", re.DOTALL
)
_BODIES: Final = frozenset({"body", "then_body", "else_body"})
_MAPS: Final = frozenset({"port_map", "then_port_map", "else_port_map", "back_edges"})


class Port(Struct):
    """An input or output of a layer; a dimension of any size is -1."""

    number: int
    type: str
    shape: list[int] = field(default_factory=list)


class Layer(Struct):
    """A layer. `bodies` are graphs within it, `maps` how their ports are connected with its own:
    each entry is the tag (`input`, `output`, `edge`) and its attributes."""

    number: int
    name: str
    type: str
    opset: str
    data: dict[str, str] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    bodies: dict[str, Net] = field(default_factory=dict)
    maps: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)


class Net(Struct):
    """A graph; an edge goes from a layer and its port to a layer and its port."""

    layers: list[Layer] = field(default_factory=list)
    edges: list[tuple[int, int, int, int]] = field(default_factory=list)


class OpenVino(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The model. `constants` is the file with its numbers; None where that is not to be had."""

    net: Net
    constants: Blob | None


class _Reader:
    def __init__(self) -> None:
        self.net = Net()
        self.open: list[str] = []
        self.nets, self.layers = [self.net], list[Layer]()
        self.port: Port | None = None
        self.text: list[str] | None = None
        self.count = 0
        self.parser = parser = expat.ParserCreate()
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        parser.CharacterDataHandler = self.characters
        parser.DefaultHandler = lambda data: None
        parser.ExternalEntityRefHandler = lambda *names: 1

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) > DEPTH:
            raise Malformed(f"nested more than {DEPTH} deep")
        above = self.open[-1] if self.open else ""
        self.open.append(tag)
        if tag == "layer" and above == "layers":
            self.count += 1
            if self.count > LAYERS:
                raise Malformed(f"more than {LAYERS:,} layers")
            layer = Layer(_number(attributes.get("id")), attributes.get("name", "")[:200],
                          attributes.get("type", "")[:80],
                          attributes.get("version", "")[:40])  # fmt: skip
            self.nets[-1].layers.append(layer)
            self.layers.append(layer)
        elif tag in _BODIES and self.layers:
            body = Net()
            self.layers[-1].bodies[tag] = body
            self.nets.append(body)
        elif tag in _MAPS and self.layers:
            self.layers[-1].maps[tag] = []
        elif above in _MAPS and self.layers:
            self.layers[-1].maps[above].append((tag, attributes))
        elif tag == "data" and self.layers and above == "layer":
            self.layers[-1].data = {k[:80]: v[:VALUE_KEPT] for k, v in attributes.items()}
        elif tag == "edge" and above == "edges":
            keys = ("from-layer", "from-port", "to-layer", "to-port")
            numbers = [_number(attributes.get(k)) for k in keys]
            self.nets[-1].edges.append((numbers[0], numbers[1], numbers[2], numbers[3]))
        elif tag == "port" and self.layers and above in ("input", "output"):
            self.port = Port(_number(attributes.get("id")), attributes.get("precision", "")[:20])
            layer = self.layers[-1]
            (layer.inputs if above == "input" else layer.outputs).append(self.port)
        elif tag == "dim" and self.port is not None:
            self.text = []

    def characters(self, data: str) -> None:
        if self.text is not None and len(self.text) < 100:
            self.text.append(data)

    def end(self, tag: str) -> None:
        self.open.pop()
        above = self.open[-1] if self.open else ""
        if tag == "dim" and self.text is not None and self.port is not None:
            if len(self.port.shape) < DIMENSIONS:
                self.port.shape.append(_number("".join(self.text)))
            self.text = None
        elif tag == "port":
            self.port = None
        elif tag == "layer" and above == "layers" and self.layers:
            self.layers.pop()
        elif tag in _BODIES and len(self.nets) > 1:
            self.nets.pop()


def _number(text: str | None) -> int:
    """A whole number; -1 for anything else."""
    text = (text or "").strip()
    return int(text) if re.fullmatch(r"\d{1,18}", text) else -1


def _sniff(sample: Sample) -> bool:
    return bool(_START.match(sample.head))


def _parse(blob: Blob, where: Location, limits: Limits) -> OpenVino:
    reader = _Reader()
    gaps: tuple[Gap, ...] = ()
    size = min(blob.size, SIZE_LIMIT)
    try:
        for offset in range(0, size, CHUNK):
            reader.parser.Parse(blob.read(offset, CHUNK), offset + CHUNK >= blob.size)
            if offset + CHUNK - reader.parser.CurrentByteIndex > TAG_LIMIT:
                raise Malformed(f"a tag of more than {TAG_LIMIT:,} bytes", offset)
    except expat.ExpatError as error:
        why = f"no XML: line {error.lineno:,}: {expat.errors.messages.get(error.code, 'broken')}"
        raise Malformed(why) from None
    except (LookupError, ValueError) as error:
        raise Malformed(f"no XML ({type(error).__name__})") from None
    if blob.size > SIZE_LIMIT:
        why = f"only the first {SIZE_LIMIT:,} bytes of this graph were read"
        gaps = (Gap(kind=GapKind.TOO_LARGE, message=why, at=where),)
    name = blob.path.rpartition("/")[2]
    constants = beside(blob, f"{name[:-4]}.bin") if name.lower().endswith(".xml") else None
    return OpenVino(
        where=where, size=blob.size, seen=size, gaps=gaps, net=reader.net, constants=constants
    )


OPENVINO = Format(
    name="openvino",
    title="OpenVINO IR",
    loading=Loading.DATA,
    sniff=_sniff,
    parse=_parse,
    document=OpenVino,
    limits="Up to 128 MiB and 200,000 layers. Numbers are read from the file beside it on demand.",
)
