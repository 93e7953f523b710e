"""What TensorFlow keeps: graphs with their functions, signatures and objects.

SavedModels, MetaGraphs and frozen GraphDefs are one kind of document: a GraphDef is a MetaGraph
with nothing around it, and a SavedModel a list of MetaGraphs. `formats/tensorflow_files.py` reads
them; tensors' bytes stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from weighbridge.core.document import GraphDocument
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, Piece
from weighbridge.formats import tensorflow_schema as schema
from weighbridge.formats.hdf5 import KERAS_CONFIG
from weighbridge.formats.payload import EMBEDDED, is_code
from weighbridge.formats.protobuf import BYTES, Wire

HANDED_OUT: Final = 1_000
"""How many texts of one model are handed out to be looked at by themselves."""
NOTEWORTHY: Final = 256
"""From how many bytes on a text in the model is looked at by itself, in bytes."""
CONFIGURATION_LIMIT: Final = 8 << 20
"""How large a JSON text of configurations may be that is handed out, in bytes."""

Place = tuple[int, int]
"""Where bytes stand: `(start, end)` in bytes of the document's `blob`."""


class Text(Struct, frozen=True):
    """A string."""

    place: Place


class Type(Struct, frozen=True):
    """A tensor type (see `tensorflow_schema.TYPES`); references to variables are 100 higher."""

    number: int

    @property
    def name(self) -> str:
        """As numpy calls it."""
        name = schema.TYPES.get(self.number % 100, (f"type {self.number}", 0))[0]
        return f"{name} reference" if self.number > 100 else name


class Shape(Struct, frozen=True):
    """Sizes of the dimensions, -1 where one is not said; None where their number is not."""

    sizes: tuple[int, ...] | None


class Tensor(Struct, frozen=True):
    """A constant. `place` is its message, `raw` its bytes where they stand as such; otherwise its
    values stand in the message as numbers or strings (`tensorflow_schema.WRITTEN_TENSOR` reads
    them)."""

    type: Type
    shape: Shape
    place: Place
    raw: Place | None


class Parameter(Struct, frozen=True):
    """A value that the function around it is given as its own attribute of this name."""

    name: str


class Call(Struct, frozen=True):
    """A function, by its name in the library or that of an operator, and its attributes."""

    function: str
    attributes: Mapping[str, Any]


class Node(Struct, frozen=True):
    """A step of the computation.

    `inputs` are `node`, `node:2` or, inside functions, `node:output:0` or the name of an argument;
    one with `^` before it only has to be done first. Attributes are `Text`, `int`, `float`,
    `bool`, `Type`, `Shape`, `Tensor`, `Parameter`, `Call` or tuples of those.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    device: str
    attributes: Mapping[str, Any]

    def calls(self) -> Iterator[str]:
        """The functions that its attributes name."""
        for value in self.attributes.values():
            yield from _called(value)


def _called(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Call):
            yield value.function
            waiting += value.attributes.values()
        elif isinstance(value, tuple):
            waiting += value


class Argument(Struct, frozen=True):
    """What a function takes or gives: its type, or the attribute that says it."""

    name: str
    type: Type
    type_attribute: str


class Function(Struct, frozen=True):
    """A function of the library. `returns` leads from its outputs to values of its body,
    `always` are the nodes that it runs whether or not an output needs them."""

    name: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[Node, ...]
    returns: Mapping[str, str]
    always: tuple[str, ...]
    attributes: Mapping[str, Any]


class Port(Struct, frozen=True):
    """An input or output of a signature: the tensors of the graph (several where it is sparse or
    of several parts), their type and shape."""

    tensors: tuple[str, ...]
    type: Type
    shape: Shape


class Signature(Struct, frozen=True):
    """How a model is asked: named inputs and outputs."""

    name: str
    method: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


class Asset(Struct, frozen=True):
    """A file in the folder `assets` and the tensor that is given its path on loading."""

    filename: str
    tensor: str


class Saver(Struct, frozen=True):
    """What saves and restores variables: a tensor for the file's name, and two operations."""

    filename: str
    save: str
    restore: str


class SavedObject(Struct, frozen=True):
    """An object that loading builds anew. `kind` is the field it stands in (`user_object`,
    `variable`, `function` …), `name` what it is called there, `children` lead to other objects by
    name, `functions` are its concrete functions, `savers` the objects of its functions that save
    and restore, in that order, `metadata` a JSON text of Keras; `type` and `shape` are those of a
    variable."""

    kind: str
    name: str
    type: Type
    shape: Shape
    children: tuple[tuple[str, int], ...]
    functions: tuple[str, ...]
    savers: tuple[tuple[int, int], ...]
    metadata: Place | None


class MetaGraph(Struct, frozen=True):
    """A graph and how it is used. `on_load` are operations that loading runs, `queues` those that
    threads run from then on; `bound` names the objects that a concrete function is given."""

    tags: tuple[str, ...]
    version: str
    nodes: tuple[Node, ...]
    functions: Mapping[str, Function]
    gradients: Mapping[str, str]
    signatures: tuple[Signature, ...]
    assets: tuple[Asset, ...]
    on_load: tuple[str, ...]
    queues: tuple[str, ...]
    savers: tuple[Saver, ...]
    objects: tuple[SavedObject, ...]
    bound: Mapping[str, tuple[int, ...]]

    def bodies(self) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """The nodes of the graph itself (under the empty name), then those of each function."""
        yield "", self.nodes
        for name, function in self.functions.items():
            yield name, function.nodes


class TensorFlow(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The graphs of a file. Places are in bytes of `blob`, which is not the file itself where that
    is written as text. `flaws` are what no writer of TensorFlow's leaves behind. Constants without
    values are nothing but zeros, or they are `elsewhere`: in other files."""

    blob: Blob
    graphs: tuple[MetaGraph, ...]
    flaws: tuple[tuple[str, str], ...]
    elsewhere: bool = False

    def nodes(self) -> Iterator[Node]:
        """Every node of every graph and function."""
        for graph in self.graphs:
            for _, nodes in graph.bodies():
                yield from nodes

    def tensors(self) -> Iterator[tuple[Node, Tensor]]:
        """Every constant and the node that holds it."""
        for node in self.nodes():
            for value in node.attributes.values():
                for item in value if isinstance(value, tuple) else (value,):
                    if isinstance(item, Tensor):
                        yield node, item

    def text(self, text: Text, limit: int = 2_000) -> str:
        """A string, shortened to `limit` bytes."""
        return self._shown(text.place, limit)

    def strings(self, tensor: Tensor, count: int = 20, limit: int = 2_000) -> tuple[str, ...]:
        """The first `count` strings of a string tensor, each shortened to `limit` bytes."""
        if tensor.type.number != schema.STRING:
            return ()
        found: list[str] = []
        for place in self.places(tensor):
            if len(found) == count:
                break
            found.append(self._shown(place, limit))
        return tuple(found)

    def places(self, tensor: Tensor) -> Iterator[Place]:
        """Where the strings of a string tensor stand."""
        for number, kind, start, end in Wire(self.blob).fields(*tensor.place):
            if number == schema.STRINGS and kind == BYTES:
                yield start, end

    def _shown(self, place: Place, limit: int) -> str:
        start, end = place
        return self.blob.read(start, min(end - start, limit)).decode("utf-8", "backslashreplace")

    def walk(self) -> Iterator[Blob | Gap]:
        """What could be something of its own: Keras's configurations, and long texts."""
        for graph in self.graphs:
            named = [(o.name, o.metadata) for o in graph.objects if o.metadata]
            yield from keras_configurations(self.blob, self.where, named)
        left = HANDED_OUT
        for name, (start, end) in self._texts():
            if not left:
                why = f"more than {HANDED_OUT:,} texts; the rest were not looked at"
                yield Gap(kind=GapKind.TOO_LARGE, message=why, at=self.where)
                return
            left -= 1
            yield Piece(name, self.blob, start, end - start, EMBEDDED)

    def _texts(self) -> Iterator[tuple[str, Place]]:
        for node in self.nodes():
            for key, value in node.attributes.items():
                for item in value if isinstance(value, tuple) else (value,):
                    places: Iterator[Place] = iter(())
                    if isinstance(item, Text):
                        places = iter((item.place,))
                    elif isinstance(item, Tensor) and item.type.number == schema.STRING:
                        places = self.places(item)
                    for start, end in places:
                        size = end - start
                        if size >= NOTEWORTHY or (
                            size > 16 and is_code(self.blob.read(start, size))
                        ):
                            yield f"{node.name[:60]}.{key[:40]}", (start, end)


def keras_configurations(
    blob: Blob, where: Location, named: list[tuple[str, Place]]
) -> Iterator[Blob | Gap]:
    """The configurations that Keras rebuilds objects from, as JSON texts under the names of the
    objects; a gap for those that are no JSON, or too much of it."""
    texts: list[bytes] = []
    size = 0
    for name, (start, end) in named:
        shown = name[:80] or "an object"
        if end - start > CONFIGURATION_LIMIT:
            why = f"the Keras configuration of {shown} has {end - start:,} bytes; it was not read"
            yield Gap(kind=GapKind.TOO_LARGE, message=why, at=where)
            continue
        data = blob.read(start, end - start)
        try:
            if data.strip():
                msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            why = f"the Keras configuration of {shown} is no JSON"
            yield Gap(kind=GapKind.MALFORMED, message=why, at=where)
            continue
        if size + len(data) > CONFIGURATION_LIMIT:
            yield _joined(texts)
            texts, size = [], 0
        if data.strip():
            texts.append(msgspec.json.encode(name) + b":" + data)
            size += len(texts[-1])
    if texts:
        yield _joined(texts)


def _joined(texts: list[bytes]) -> Held:
    return Held("Keras configuration", b"{" + b",\n".join(texts) + b"}", KERAS_CONFIG)
