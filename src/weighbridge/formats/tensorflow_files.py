"""TensorFlow's files of graphs: SavedModel, MetaGraph, frozen GraphDef; binary, as text, as JSON.

Layout: `formats/tensorflow_schema.py`. The loader of a SavedModel takes `saved_model.pbtxt` where
there is no `saved_model.pb`; TensorFlow.js keeps a GraphDef as JSON in its `model.json`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice
from typing import Any, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.core.document import Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, Held
from weighbridge.formats import tensorflow_schema as schema
from weighbridge.formats.protobuf import BYTES, Message, Schema, Wire
from weighbridge.formats.protobuf_written import from_json, from_text
from weighbridge.formats.tensorflow import (
    Argument,
    Asset,
    Call,
    Function,
    MetaGraph,
    Node,
    Parameter,
    Port,
    SavedObject,
    Saver,
    Shape,
    Signature,
    Tensor,
    TensorFlow,
    Text,
    Type,
)
from weighbridge.formats.tfjs import TOPOLOGY

SNIFFED: Final = 100_000
"""How many fields are looked at to find the first node."""
WRITTEN_LIMIT: Final = 16 << 20
"""How large a graph may be that is written as text or JSON, in bytes."""


class _Builder(Struct):
    """Turns messages into what they mean, and notes what contradicts itself."""

    flaws: list[tuple[str, str]] = field(default_factory=list)

    def attributes(self, entries: list[Message], holder: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for entry in entries:
            key, value = entry.get("key", ""), entry.get("value", {})
            if key in made:
                self.flaws.append((holder[:120], f"has the attribute {key[:80]!r} twice"))
            if len(value) > 2:
                self.flaws.append((holder[:120], f"says two things in its attribute {key[:80]!r}"))
            made[key] = self.value(value, holder)
        return made

    def value(self, message: Message, holder: str) -> Any:
        """The value of an attribute; functions first, so that none is overlooked."""
        for name in ("func", "list", "tensor", "s"):
            if name in message:
                return self.item(name, message[name], holder)
        for name, value in message.items():
            if name:
                return self.item(name, value, holder)
        return ()

    def item(self, name: str, value: Any, holder: str) -> Any:
        """One value, by the name of the field that it stands in."""
        if name == "list":
            items = [(n, v) for n in sorted(value) if n for v in value[n]]
            return tuple(self.item(n, v, holder) for n, v in items)
        if name == "func":
            return Call(value.get("name", ""), self.attributes(value.get("attr", []), holder))
        if name == "tensor":
            return _tensor(value)
        if name == "shape":
            return _shape(value)
        if name == "s":
            return Text(value)
        if name == "type":
            return Type(value)
        return Parameter(value) if name == "placeholder" else value

    def nodes(self, messages: list[Message], scope: str) -> tuple[Node, ...]:
        made: dict[str, Node] = {}
        for message in messages:
            name = message.get("name", "")
            holder = f"{scope}/{name}" if scope else name
            node = Node(
                name=name,
                op=message.get("op", ""),
                inputs=tuple(message.get("input", ())),
                device=message.get("device", ""),
                attributes=self.attributes(message.get("attr", []), holder),
            )
            if name in made:
                self.flaws.append((holder[:120], "is the name of two nodes"))
                name = f"{name}\0{len(made)}"
            made[name] = node
        return tuple(made.values())

    def function(self, message: Message) -> Function:
        signature = message.get("signature", {})
        name = signature.get("name", "")
        return Function(
            name=name,
            inputs=_arguments(signature.get("input_arg", [])),
            outputs=_arguments(signature.get("output_arg", [])),
            nodes=self.nodes(message.get("node_def", []), name),
            returns=_pairs(message.get("ret", [])),
            always=tuple(_pairs(message.get("control_ret", [])).values()),
            attributes=self.attributes(message.get("attr", []), name),
        )

    def functions(self, library: Message) -> dict[str, Function]:
        made: dict[str, Function] = {}
        for message in library.get("function", []):
            function = self.function(message)
            name = function.name
            if name in made:
                self.flaws.append((name[:120], "is the name of two functions"))
                name = f"{name}\0{len(made)}"
            made[name] = function
        return made

    def meta_graph(self, message: Message, blob: Blob) -> MetaGraph:
        graph, info = message.get("graph_def", {}), message.get("meta_info_def", {})
        library = graph.get("library", {})
        listed = message.get("collection_def", [])
        collections = {c.get("key", ""): c.get("value", {}) for c in listed}
        signatures = tuple(_signatures(message.get("signature_def", [])))
        gradients = [
            (g.get("function_name", ""), g.get("gradient_func", ""))
            for g in library.get("gradient", [])
        ] + [
            (g.get("registered_op_type", ""), g.get("gradient_func", ""))
            for g in library.get("registered_gradients", [])
        ]
        saved = message.get("object_graph_def", {})
        assets = [*message.get("asset_file_def", []), *_assets(collections, blob)]
        return MetaGraph(
            tags=tuple(info.get("tags", ())),
            version=info.get("tensorflow_version", "")[:60],
            nodes=self.nodes(graph.get("node", []), ""),
            functions=self.functions(library),
            gradients=dict(gradients),
            signatures=signatures,
            assets=tuple(
                Asset(a.get("filename", ""), a.get("tensor_info", {}).get("name", ""))
                for a in assets
            ),
            on_load=tuple(_on_load(collections, signatures)),
            queues=tuple(_queues(collections, blob)),
            savers=tuple(_savers(message, collections, blob)),
            objects=_objects(saved.get("nodes", [])),
            bound={
                c.get("key", ""): tuple(c.get("value", {}).get("bound_inputs", ()))
                for c in saved.get("concrete_functions", [])
            },
        )


INITIALISERS: Final = ("__saved_model_init_op", "saved_model_init_op")
_ON_LOAD: Final = ("saved_model_main_op", "legacy_init_op", *INITIALISERS)


def _on_load(
    collections: Mapping[str, Message], signatures: tuple[Signature, ...]
) -> Iterator[str]:
    """The operations that a loader runs once the graph is there."""
    for key in _ON_LOAD:
        yield from collections.get(key, {}).get("node_list", {}).get("value", ())
    for signature in signatures:
        if signature.name in INITIALISERS:
            for port in signature.outputs.values():
                yield from port.tensors


def _queues(collections: Mapping[str, Message], blob: Blob) -> Iterator[str]:
    for place in collections.get("queue_runners", {}).get("bytes_list", {}).get("value", ()):
        runner = Wire(blob).decode(schema.QUEUE_RUNNER, *place)
        yield from runner.get("enqueue_op_name", ())
        yield from (runner[k] for k in ("close_op_name", "cancel_op_name") if k in runner)


def _assets(collections: Mapping[str, Message], blob: Blob) -> Iterator[Message]:
    """What TensorFlow 1 kept in a collection."""
    for packed in collections.get("saved_model_assets", {}).get("any_list", {}).get("value", ()):
        if "value" in packed:
            yield Wire(blob).decode(schema.ASSET, *packed["value"])


def _savers(message: Message, collections: Mapping[str, Message], blob: Blob) -> Iterator[Saver]:
    """The saver of the graph, and those that TensorFlow 1 kept in a collection."""
    found = [message["saver_def"]] if "saver_def" in message else []
    for place in collections.get("savers", {}).get("bytes_list", {}).get("value", ()):
        found.append(Wire(blob).decode(schema.SAVER, *place))
    for saver in found:
        names = ("filename_tensor_name", "save_tensor_name", "restore_op_name")
        yield Saver(*(saver.get(name, "") for name in names))


def _signatures(entries: list[Message]) -> Iterator[Signature]:
    for entry in entries:
        value = entry.get("value", {})
        yield Signature(
            name=entry.get("key", ""),
            method=value.get("method_name", ""),
            inputs={e.get("key", ""): _port(e.get("value", {})) for e in value.get("inputs", [])},
            outputs={e.get("key", ""): _port(e.get("value", {})) for e in value.get("outputs", [])},
        )


def _port(info: Message) -> Port:
    names: list[str] = []
    waiting = [info]
    while waiting:
        part = waiting.pop()
        names += [part["name"]] if part.get("name") else []
        names += [v for k, v in part.get("coo_sparse", {}).items() if k]
        waiting += part.get("composite_tensor", {}).get("components", [])
    return Port(tuple(names), Type(info.get("dtype", 0)), _shape(info.get("tensor_shape")))


_KINDS: Final = ("user_object", "asset", "function", "variable", "bare_concrete_function",
                 "constant", "resource")  # fmt: skip


def _objects(messages: list[Message]) -> tuple[SavedObject, ...]:
    """The objects, each named by the way that leads to it first."""
    names: dict[int, str] = {0: ""}
    waiting = [0] if messages else []
    for number in waiting:
        for child in messages[number].get("children", []):
            inner = child.get("node_id", 0)
            if 0 <= inner < len(messages) and inner not in names:
                path = f"{names[number]}.{child.get('local_name', '')}".lstrip(".")
                names[inner] = path if len(path) < 300 else f"… object {inner}"
                waiting.append(inner)
    made: list[SavedObject] = []
    for number, message in enumerate(messages):
        kind = next((k for k in _KINDS if k in message), "")
        bare = message.get("bare_concrete_function", {}).get("concrete_function_name")
        children = [(c.get("local_name", ""), c.get("node_id", 0))
                    for c in message.get("children", [])]  # fmt: skip
        pairs = [e.get("value", {}) for e in message.get("saveable_objects", [])]
        functions = message.get("function", {}).get("concrete_functions", [])
        made.append(
            SavedObject(
                kind=kind,
                name=names.get(number, f"object {number}"),
                type=Type(message.get("variable", {}).get("dtype", 0)),
                shape=_shape(message.get("variable", {}).get("shape")),
                children=tuple(children),
                functions=(*functions, *([bare] if bare else [])),
                savers=tuple(
                    (p.get("save_function", 0), p.get("restore_function", 0)) for p in pairs
                ),
                metadata=message.get("user_object", {}).get("metadata"),
            )
        )
    return tuple(made)


def _arguments(messages: list[Message]) -> tuple[Argument, ...]:
    return tuple(
        Argument(m.get("name", ""), Type(m.get("type", 0)), m.get("type_attr", ""))
        for m in messages
    )


def _pairs(entries: list[Message]) -> dict[str, str]:
    return {e.get("key", ""): e.get("value", "") for e in entries}


def _shape(message: Message | None) -> Shape:
    if message is None or message.get("unknown_rank"):
        return Shape(None)
    return Shape(tuple(d.get("size", 0) for d in message.get("dim", ())))


def _tensor(message: Message) -> Tensor:
    shape = _shape(message.get("tensor_shape", {}))
    raw = message.get("tensor_content")
    return Tensor(Type(message.get("dtype", 0)), shape, message[""], raw)


_NODE_NAME: Final = regex(rb"[A-Za-z0-9._][\w>./\\-]{0,999}")
_OP_NAME: Final = regex(rb"[A-Za-z_][\w>./-]{0,299}")
_OWN_OP_NAME: Final = regex(rb"[A-Z_][\w>./-]{0,299}")
"""Of an operator that is registered; functions of the graph may be called otherwise."""


def _is_node(
    wire: Wire, start: int, end: int, counter: Iterator[int], called: re.Pattern[bytes]
) -> bool:
    """Whether a message can be nothing but a node: a name, and the name of an operator."""
    named: dict[int, bool] = {}
    for number, kind, a, b in wire.fields(start, end):
        if next(counter) > SNIFFED:
            return False
        if number in (1, 2):
            pattern = _NODE_NAME if number == 1 else called
            fits = kind == BYTES and b - a <= 1000 and bool(pattern.fullmatch(wire.read(a, b - a)))
            named[number] = fits
    return named.get(1, False) and named.get(2, False)


def _holds(
    wire: Wire,
    start: int,
    end: int,
    path: tuple[int, ...],
    counter: Iterator[int],
    called: re.Pattern[bytes] = _OP_NAME,
) -> bool:
    """Whether a node stands at the end of these fields, one within the other. Fields of other
    numbers are allowed, as TensorFlow allows them."""
    try:
        for number, kind, a, b in wire.fields(start, end):
            if next(counter) > SNIFFED:
                return False
            if number == path[0] and kind == BYTES:
                if len(path) == 1:
                    found = _is_node(wire, a, b, counter, called)
                else:
                    found = _holds(wire, a, b, path[1:], counter, called)
                if found:
                    return True
    except Malformed:
        return False
    return False


def _sniff(*path: int) -> Callable[[Sample], bool]:
    def sniff(sample: Sample) -> bool:
        if not sample.head or sample.head[0] not in _FIRST:
            return False
        wire = Wire(sample.blob)
        return _holds(wire, 0, wire.size, path, count())

    return sniff


def _is_graph(sample: Sample) -> bool:
    """A graph by itself: a node of a registered operator, or of any name where functions are there.
    (Sets of descriptors of protocol buffers hold a name and a package, and nothing else.)"""
    if not sample.head or sample.head[0] not in _FIRST:
        return False
    wire = Wire(sample.blob)
    if _holds(wire, 0, wire.size, (1,), count(), _OWN_OP_NAME):
        return True
    return _sniff(1)(sample) and _has_library(wire)


def _has_library(wire: Wire) -> bool:
    try:
        fields = islice(wire.fields(0, wire.size), SNIFFED)
        return any(number == 2 and kind == BYTES for number, kind, _, _ in fields)
    except Malformed:
        return False


_FIRST: Final = b"\x08\x0a\x10\x12\x18\x1a\x22\x2a\x32\x3a"


def _document(
    blob: Blob, where: Location, size: int, messages: list[Message], lazy: bool = True
) -> TensorFlow:
    builder = _Builder()
    graphs = tuple(builder.meta_graph(m, blob) for m in messages)
    made = TensorFlow(
        where=where, size=size, seen=size, blob=blob, graphs=graphs, flaws=tuple(builder.flaws)
    )
    if not lazy:
        return made
    unread = sum(t.raw[1] - t.raw[0] for _, t in made.tensors() if t.raw)
    return replace(made, seen=max(0, size - unread))


def _decoded(blob: Blob, schema_: Schema) -> Message:
    try:
        return Wire(blob).decode(schema_)
    except struct.error as error:
        raise Malformed(f"a number cannot be read ({error})") from None


def _meta_graphs(blob: Blob, schema_: Schema) -> list[Message]:
    message = _decoded(blob, schema_)
    if schema_ is schema.SAVED_MODEL:
        found: list[Message] = message.get("meta_graphs", [])
        if not found:
            raise Malformed("a SavedModel without a graph")
        return found
    return [message if schema_ is schema.META_GRAPH else {"graph_def": message}]


def _parse(schema_: Schema) -> Callable[[Blob, Location, Limits], TensorFlow]:
    def parse(blob: Blob, where: Location, limits: Limits) -> TensorFlow:
        return _document(blob, where, blob.size, _meta_graphs(blob, schema_))

    return parse


_FULLER: Final = {schema.TENSOR: schema.WRITTEN_TENSOR}
_WRITTEN: Final[tuple[tuple[re.Pattern[bytes], Schema], ...]] = (
    (regex(rb"\s*(?:saved_model_schema_version\s*:|meta_graphs\s*[:{<])"), schema.SAVED_MODEL),
    (
        regex(
            rb"\s*(?:meta_info|graph|saver|collection|signature|asset_file|object_graph)_def"
            rb"\s*:?\s*[{<]"
        ),
        schema.META_GRAPH,
    ),
    (
        regex(
            rb"\s*(?:node\s*:?\s*[{<]\s*(?:name|op|input|device|attr)\s*[:{<]"
            rb"|library\s*:?\s*[{<]\s*(?:function|gradient)\s*[:{<]"
            rb"|versions\s*:?\s*[{<]\s*(?:producer|min_consumer)\s*:)"
        ),
        schema.GRAPH,
    ),
)  # fmt: skip


def _written(head: bytes) -> Schema | None:
    """Which message a text begins like; comments may come first."""
    head = re.sub(rb"\A(?:\s*#[^\n]*\n)+", b"", head)
    return next((s for pattern, s in _WRITTEN if pattern.match(head)), None)


def _too_large(blob: Blob, where: Location) -> TensorFlow:
    why = f"a graph of more than {WRITTEN_LIMIT:,} bytes of text; it was not read"
    gap = Gap(kind=GapKind.TOO_LARGE, message=why, at=where)
    return TensorFlow(
        where=where, size=blob.size, seen=0, gaps=(gap,), blob=blob, graphs=(), flaws=()
    )


def _parse_text(blob: Blob, where: Location, limits: Limits) -> TensorFlow:
    if blob.size > WRITTEN_LIMIT:
        return _too_large(blob, where)
    data = blob.read(0, blob.size)
    kind = _written(data[:8192])
    if kind is None:
        raise Malformed("it does not begin as a graph")
    text = from_text(kind, data, schema.ENUMS, _FULLER)
    wire = Held(blob.path, text, siblings=getattr(blob, "siblings", None))
    return _document(wire, where, blob.size, _meta_graphs(wire, kind), lazy=False)


def _parse_topology(blob: Blob, where: Location, limits: Limits) -> TensorFlow:
    if blob.size > WRITTEN_LIMIT:
        return _too_large(blob, where)
    try:
        value = msgspec.json.decode(blob.read(0, blob.size))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the graph is no JSON") from None
    wire = Held(blob.path, from_json(schema.GRAPH, value, schema.ENUMS, _FULLER))
    made = _document(wire, where, blob.size, _meta_graphs(wire, schema.GRAPH), lazy=False)
    return replace(made, elsewhere=True)


SAVED_MODEL = Format(
    name="saved-model",
    title="TensorFlow SavedModel",
    loading=Loading.CODE,
    sniff=_sniff(2, 2, 1),
    first=_FIRST,
    parse=_parse(schema.SAVED_MODEL),
    document=TensorFlow,
    limits="Graphs, functions, signatures, objects; tensors' bytes stay lazy.",
)
META_GRAPH = Format(
    name="tensorflow-meta-graph",
    title="TensorFlow MetaGraph (.meta)",
    loading=Loading.CODE,
    sniff=_sniff(2, 1),
    first=_FIRST,
    parse=_parse(schema.META_GRAPH),
    document=TensorFlow,
    limits="As SavedModel.",
)
GRAPH = Format(
    name="tensorflow-graph",
    title="TensorFlow GraphDef (frozen graph)",
    loading=Loading.CODE,
    sniff=_is_graph,
    first=_FIRST,
    parse=_parse(schema.GRAPH),
    document=TensorFlow,
    limits="As SavedModel. Told by its first node, since it has no signature.",
)
GRAPH_TEXT = Format(
    name="tensorflow-text",
    title="TensorFlow graph as text (.pbtxt)",
    loading=Loading.CODE,
    sniff=lambda sample: _written(sample.head) is not None,
    first=b"# \t\r\nmsganlv",
    parse=_parse_text,
    document=TensorFlow,
    limits="As SavedModel; up to 16 MiB.",
)
JS_GRAPH = Format(
    name="tensorflow-js-graph",
    title="Graph of TensorFlow.js",
    loading=Loading.DATA,
    sniff=lambda sample: sample.blob.role == TOPOLOGY,
    parse=_parse_topology,
    document=TensorFlow,
    limits="The `modelTopology` of a `model.json`; up to 16 MiB.",
)
