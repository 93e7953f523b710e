"""Caffe: nets as Protocol Buffers (`.caffemodel`) and as their text form (`.prototxt`).

Schema: `caffe.proto` of BVLC Caffe; text form: https://protobuf.dev/reference/protobuf/textformat-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from weighbridge.core.document import Document, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.forward import Metered
from weighbridge.formats.protobuf import BYTES, VARINT, Kind, Schema, Wire, many, one
from weighbridge.formats.text import Written, read_text, text_kind

SIZE_LIMIT: Final = 8 << 20
DEPTH_LIMIT: Final = 100
TOP_FIELDS: Final = 100_000

_PYTHON: Final = Schema("PythonParameter", {
    1: one("module", Kind.TEXT), 2: one("layer", Kind.TEXT), 3: one("param_str", Kind.TEXT),
})  # fmt: skip
_FILE: Final = Schema("FileParameter", {1: one("source", Kind.TEXT)})
_LAYER: Final = Schema("LayerParameter", {
    1: one("name", Kind.TEXT), 2: one("type", Kind.TEXT), 107: one("data_param", _FILE),
    112: one("hdf5_data_param", _FILE), 113: one("hdf5_output_param", _FILE),
    115: one("image_data_param", _FILE), 129: one("window_data_param", _FILE),
    130: one("python_param", _PYTHON),
})  # fmt: skip
_OLD_LAYER: Final = Schema(
    "V1LayerParameter", {4: one("name", Kind.TEXT), 5: one("type", Kind.INT)}
)
_NET: Final = Schema("NetParameter", {
    1: one("name", Kind.TEXT), 2: many("layers", _OLD_LAYER), 100: many("layer", _LAYER),
})  # fmt: skip
_TOP: Final = {1: BYTES, 2: BYTES, 3: BYTES, 4: VARINT, 5: VARINT, 6: BYTES, 7: VARINT, 8: BYTES,
               100: BYTES}  # fmt: skip


class Layer(Struct, frozen=True):
    """A layer; `parameters` are those of `python_param` and names of files."""

    name: str
    type: str
    parameters: tuple[tuple[str, str], ...]


class CaffeModel(Document, frozen=True, kw_only=True, eq=False):
    """A net with its weights."""

    layers: tuple[Layer, ...]


class CaffeNet(Written, frozen=True, kw_only=True, eq=False):
    """A net in text."""

    layers: tuple[Layer, ...]


def _is_layer(wire: Wire, number: int, start: int, end: int) -> bool:
    """Whether a message is a layer: those of today name their type, older ones have its number."""
    if number == 100:
        kind = wire.decode(_LAYER, start, end).get("type", "")
        return isinstance(kind, str) and kind.isidentifier()
    return wire.decode(_OLD_LAYER, start, end).keys() >= {"name", "type"}


def _sniff(sample: Sample) -> bool:
    """Nothing but a net's fields, and a first layer that is one."""
    wire, layers = Wire(sample.blob), 0
    try:
        for count, (number, how, start, end) in enumerate(wire.fields(0, wire.size)):
            if _TOP.get(number) != how or count > TOP_FIELDS:
                return False
            if number in (2, 100):
                layers += 1
                if layers == 1 and not _is_layer(wire, number, start, end):
                    return False
    except Malformed:
        return False
    return layers > 0


def _parse(blob: Blob, where: Location, limits: Limits) -> CaffeModel:
    metered = Metered(blob)
    net = Wire(metered).decode(_NET)
    layers = [
        Layer(
            layer.get("name", ""),
            layer.get("type", ""),
            tuple(
                (key, text)
                for name, inner in layer.items()
                if name.endswith("_param")
                for key, text in inner.items()
                if key
            ),
        )
        for layer in net.get("layer", ())
    ]
    layers += [Layer(o.get("name", ""), "", ()) for o in net.get("layers", ())]
    if not layers:
        raise Malformed("a net without layers")
    return CaffeModel(
        where=where, size=blob.size, seen=min(blob.size, metered.read_bytes), layers=tuple(layers)
    )


CAFFE_MODEL = Format(
    name="caffemodel",
    title="Caffe model",
    loading=Loading.CODE,
    sniff=_sniff,
    first=b"\x0a\x12\x1a\xa2",
    parse=_parse,
    document=CaffeModel,
    limits="Layers and the Python and files that they name; weights are passed over.",
)

_TOKEN: Final = regex(
    r"""\s+|\#[^\n]*|(?P<name>[A-Za-z_][\w.\-/]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>-?[\d.][\w.+\-]*)|(?P<mark>[{}<>\[\]:;,])""",
    re.VERBOSE,
)
Fields = list[tuple[str, "str | Fields"]]


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Malformed("no text form of a message", at)
        at = found.end()
        if found.lastgroup:
            yield found[0]


_ESCAPE: Final = regex(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_PLAIN: Final = {"n": "\n", "t": "\t", "r": "\r"}


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return chr(int(found[2], 8)) if found[2] else _PLAIN.get(found[3], found[3])


def _message(text: str) -> Fields:
    """The fields of a message in text, nested. Raises `Malformed`."""
    root: Fields = []
    open_: list[Fields] = [root]
    key = ""
    for token in _tokens(text):
        if token in "{<":
            inner: Fields = []
            open_[-1].append((key, inner))
            open_.append(inner)
            if len(open_) > DEPTH_LIMIT:
                raise Malformed(f"nested more than {DEPTH_LIMIT} deep")
            key = ""
        elif token in "}>":
            open_.pop()
            if not open_:
                raise Malformed("more messages end than begin")
            key = ""
        elif token in ":;,[]":
            continue
        elif token[0] in "\"'":
            value = _ESCAPE.sub(_unescaped, token[1:-1])
            last = open_[-1][-1:] if not key else []
            if last and isinstance(last[0][1], str):  # strings side by side are one
                open_[-1][-1] = (last[0][0], last[0][1] + value)
            else:
                open_[-1].append((key, value))
            key = ""
        elif key:
            open_[-1].append((key, token))
            key = ""
        elif token[0].isalpha() or token[0] == "_":
            key = token
    if len(open_) != 1:
        raise Malformed("a message does not end")
    return root


def _layer(fields: Fields) -> Layer:
    plain = {key: value for key, value in fields if isinstance(value, str)}
    parameters = [
        (name, value)
        for key, inner in fields
        if key.endswith("_param") and not isinstance(inner, str)
        for name, value in inner
        if isinstance(value, str) and (key == "python_param" or name in ("source", "file_name"))
    ]
    kind = plain.get("type", "")
    return Layer(plain.get("name", ""), "" if kind.isupper() else kind, tuple(parameters))


def _parse_text(blob: Blob, where: Location, limits: Limits) -> CaffeNet:
    text = read_text(blob, where, limits)
    if blob.size > SIZE_LIMIT:
        why = f"a net of more than {SIZE_LIMIT:,} bytes was not read"
        gap = Gap(kind=GapKind.TOO_LARGE, message=why, at=where)
        return CaffeNet(where=where, size=blob.size, seen=0, gaps=(gap,), blob=blob, layers=())
    fields = _message(blob.read(0, blob.size).decode("utf-8", "replace"))
    return CaffeNet(
        where=where,
        size=blob.size,
        seen=text.seen,
        gaps=text.gaps,
        blob=blob,
        layers=tuple(
            _layer(value)
            for key, value in fields
            if key in ("layer", "layers") and not isinstance(value, str)
        ),
    )


CAFFE_NET = Format(
    name="prototxt",
    title="Caffe net (text)",
    loading=Loading.CODE,
    sniff=lambda sample: text_kind(sample) == "prototxt",
    parse=_parse_text,
    document=CaffeNet,
    limits="Layers and the Python and files that they name, up to 8 MiB.",
)
