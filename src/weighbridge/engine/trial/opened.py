"""An ONNX model opened at the wire, to be looked into and changed: its nodes and tensors stay the
bytes that they are.

Calls of the model's own functions are written out, so that every value of the way has a name at
the top. Then nodes can be left out, values become outputs, and a value can be held: it is given
from outside instead of being computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.core.document import Malformed
from weighbridge.formats.protobuf_written import varint, wrapped

NODES: Final = 40_000
"""How many nodes may come of writing out functions."""
DEPTH: Final = 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _FUNCTION = 5, 25


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, ...]]:
    """The fields of a message: number, where the field begins, where its value begins and ends
    (an empty range where it is no run of bytes). Raises `Malformed`."""
    end = len(data) if end is None else end
    at = start
    while at < end:
        begin = at
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == _VARINT:
            _, at = _varint(data, at, end)
            yield key >> 3, begin, at, at
            continue
        if wire == _BYTES:
            length, at = _varint(data, at, end)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise Malformed(f"a field of the wire type {wire}", begin)
        if length > end - at:
            raise Malformed("a field is longer than its message", begin)
        bytes_only = at if wire == _BYTES else at + length
        yield key >> 3, begin, bytes_only, at + length
        at += length


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("it ends in the middle of a field", at)


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "surrogateescape")


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Node(Struct, frozen=True):
    """A node: the names that it reads and makes, its operator, its attributes as messages by
    name, and `reads`: what its bodies may take from outside as well. `label` is its own name."""

    op: str
    domain: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, bytes]
    overload: str = ""
    captured: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """All names that it may read."""
        return self.inputs + self.captured

    def message(self) -> bytes:
        """The node as a message."""
        out = b"".join(wrapped(1, _name(n)) for n in self.inputs)
        out += b"".join(wrapped(2, _name(n)) for n in self.outputs)
        out += wrapped(3, _name(self.label)) + wrapped(4, _name(self.op))
        out += b"".join(wrapped(5, a) for a in self.attributes.values())
        out += wrapped(7, _name(self.domain))
        return out + (wrapped(8, _name(self.overload)) if self.overload else b"")


def parse_node(data: bytes) -> Node:
    """A node message. Raises `Malformed`."""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, bytes] = {}
    texts = {3: "", 4: "", 7: "", 8: ""}
    for number, _, start, end in fields(data):
        if number == 1:
            inputs.append(_text(data, start, end))
        elif number == 2:
            outputs.append(_text(data, start, end))
        elif number == 5:
            attribute = data[start:end]
            attributes[_first(attribute, 1)] = attribute
        elif number in texts:
            texts[number] = _text(data, start, end)
    captured = [n for a in attributes.values() for n in _captured(a, 0)]
    domain = "" if texts[7] == "ai.onnx" else texts[7]
    return Node(texts[4], domain, texts[3], tuple(inputs), tuple(outputs), attributes,
                texts[8], tuple(captured))  # fmt: skip


def first(data: bytes, wanted: int) -> bytes:
    """The first field of bytes with a number; empty where there is none. Raises `Malformed`."""
    for number, _, start, end in fields(data):
        if number == wanted:
            return data[start:end]
    return b""


def _first(data: bytes, wanted: int) -> str:
    part = first(data, wanted)
    return _text(part, 0, len(part))


def _captured(attribute: bytes, depth: int) -> Iterator[str]:
    """All names that the bodies of an attribute read."""
    if depth > DEPTH:
        raise Malformed("bodies are nested too deep", 0)
    for number, _, start, end in fields(attribute):
        if number not in (6, 11):
            continue
        body = attribute[start:end]
        for inner, _, at, stop in fields(body):
            if inner == 1:
                node = body[at:stop]
                for part, _, s, e in fields(node):
                    if part == 1:
                        yield _text(node, s, e)
                    elif part == 5:
                        yield from _captured(node[s:e], depth + 1)
            elif inner == 12:
                yield _first(body[at:stop], 1)


Rename = Callable[[str], str]


def _renamed_attribute(data: bytes, rename: Rename) -> bytes:
    out = b""
    for number, begin, start, end in fields(data):
        whole = data[begin:end]
        out += wrapped(number, _renamed_graph(data[start:end], rename)) if number in (
            6, 11) else whole  # fmt: skip
    return out


def _renamed_graph(data: bytes, rename: Rename) -> bytes:
    out = b""
    for number, begin, start, end in fields(data):
        part = data[start:end]
        if number == 1:
            out += wrapped(1, renamed(parse_node(part), rename).message())
        elif number in (5, 11, 12, 13):
            out += wrapped(number, _with_name(part, 8 if number == 5 else 1, rename))
        else:
            out += data[begin:end]
    return out


def _with_name(data: bytes, field_number: int, rename: Rename) -> bytes:
    out = b""
    for number, begin, start, end in fields(data):
        if number == field_number:
            out += wrapped(number, _name(rename(_text(data, start, end))))
        else:
            out += data[begin:end]
    return out


def renamed(node: Node, rename: Rename) -> Node:
    """The node with other names of values, in its bodies too."""
    return replace(
        node,
        inputs=tuple(rename(n) if n else "" for n in node.inputs),
        outputs=tuple(rename(n) if n else "" for n in node.outputs),
        attributes={
            k: _renamed_attribute(a, rename) if node.captured else a
            for k, a in node.attributes.items()
        },
        captured=tuple(rename(n) for n in node.captured),
    )


class _Function(Struct):
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    defaults: dict[str, bytes] = field(default_factory=dict)


class Opened(Struct):
    """A model in parts. `rest` is what stands beside its graph, `ports` the declarations of its
    inputs and `results` those of its outputs by name, `tensors` the tensors that it holds, `others`
    its sparse ones."""

    rest: bytes = b""
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, bytes] = field(default_factory=dict)
    others: bytes = b""
    ports: dict[str, bytes] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """What has to be given to it."""
        return [name for name in self.ports if name not in self.tensors]

    def written(
        self,
        nodes: Iterable[Node] | None = None,
        outputs: Collection[str] = (),
        ports: dict[str, bytes] | None = None,
        declared: bool = True,
    ) -> bytes:
        """The model with other nodes, with further outputs, with other inputs; `declared`: its own
        outputs are among them."""
        kept = list(self.nodes if nodes is None else nodes)
        needed = {name for node in kept for name in node.reads}
        given = self.ports if ports is None else ports
        results = dict(self.results) if declared else {}
        results |= {name: wrapped(1, _name(name)) for name in outputs if name not in results}
        needed |= set(results)
        parts = [wrapped(1, node.message()) for node in kept]
        parts += [wrapped(2, b"model"), self.others]
        parts += [wrapped(_GRAPH, t) for name, t in self.tensors.items() if name in needed]
        parts += [wrapped(11, p) for name, p in given.items() if declared or name in needed]
        parts += [wrapped(12, r) for r in results.values()]
        return self.rest + wrapped(7, b"".join(parts))

    def ancestors(self, values: Collection[str]) -> list[Node]:
        """The nodes that are needed for some values, each after those that it needs: the file may
        have them in any order."""
        makers = {name: i for i, node in enumerate(self.nodes) for name in node.outputs if name}
        waiting = [(makers[v], False) for v in values if v in makers]
        begun: set[int] = set()
        found: list[Node] = []
        while waiting:
            number, done = waiting.pop()
            if done:
                found.append(self.nodes[number])
            elif number not in begun:
                begun.add(number)
                waiting.append((number, True))
                needed = {makers[n] for n in self.nodes[number].reads if n in makers}
                waiting += [(i, False) for i in sorted(needed - begun, reverse=True)]
        return found

    def held(self, values: dict[str, int]) -> bytes:
        """The model with values that are given to it instead of being computed, by name and type
        of their elements."""
        nodes = [
            replace(node, outputs=tuple(f"{n}//live" if n in values else n for n in node.outputs))
            for node in self.nodes
        ]
        ports = {**self.ports, **{name: port(name, type) for name, type in values.items()}}
        return self.written(nodes, ports=ports)


def port(name: str, type: int) -> bytes:
    """The declaration of an input of any shape; `type` is its element type in ONNX's numbers."""
    return wrapped(1, _name(name)) + wrapped(2, wrapped(1, varint(1 << 3) + varint(type)))


def open_model(data: bytes) -> Opened:
    """Take a model apart and write out its functions' calls. Raises `Malformed`."""
    made = Opened()
    functions: dict[tuple[str, str, str], _Function] = {}
    opsets: list[bytes] = []
    nodes: list[Node] = []
    rest: list[bytes] = []
    for number, begin, start, end in fields(data):
        if number == 7:
            _graph(data, start, end, made, nodes)
            continue
        rest.append(data[begin:end])
        if number == 8:
            opsets.append(data[start:end])
        elif number == _FUNCTION:
            key, function = _function(data[start:end])
            functions[key] = function
    made.rest = b"".join(rest)
    made.nodes = list(_written_out(nodes, functions)) if functions else nodes
    return made


def _graph(data: bytes, start: int, end: int, made: Opened, nodes: list[Node]) -> None:
    for number, _, at, stop in fields(data, start, end):
        part = data[at:stop]
        if number == 1:
            nodes.append(parse_node(part))
        elif number == _GRAPH:
            made.tensors[_tensor_name(part)] = part
        elif number in (11, 12):
            into = made.ports if number == 11 else made.results
            into[_first(part, 1)] = part
        elif number in (14, 15):
            made.others += wrapped(number, part)


def _tensor_name(data: bytes) -> str:
    return _first(data, 8)


def _function(data: bytes) -> tuple[tuple[str, str, str], _Function]:
    made = _Function()
    texts = {1: "", 10: "", 13: ""}
    for number, _, start, end in fields(data):
        part = data[start:end]
        if number == 4:
            made.inputs.append(_text(data, start, end))
        elif number == 5:
            made.outputs.append(_text(data, start, end))
        elif number == 7:
            made.nodes.append(parse_node(part))
        elif number == 11:
            made.defaults[_first(part, 1)] = part
        elif number in texts:
            texts[number] = _text(data, start, end)
    return (texts[10], texts[1], texts[13]), made


def _written_out(
    nodes: list[Node], functions: dict[tuple[str, str, str], _Function]
) -> Iterator[Node]:
    """The nodes with what is called in the place of calls."""
    waiting: list[tuple[Node, int]] = [(node, 0) for node in reversed(nodes)]
    count = calls = 0
    while waiting:
        node, depth = waiting.pop()
        function = functions.get((node.domain, node.op, node.overload))
        count += 1
        if count > NODES or depth > DEPTH:
            raise Malformed("its functions are too many nodes when they are written out", 0)
        if function is None:
            yield node
            continue
        calls += 1
        inner = list(_call(node, function, f"{node.label or node.op}#{calls}/"))
        waiting += [(n, depth + 1) for n in reversed(inner)]


def _call(node: Node, function: _Function, prefix: str) -> Iterator[Node]:
    names = dict(zip(function.inputs, node.inputs, strict=False))
    names |= dict.fromkeys(function.inputs[len(node.inputs) :], "")
    made = dict(zip(function.outputs, node.outputs, strict=False))
    given = {**function.defaults, **node.attributes}

    def rename(name: str) -> str:
        if name in names:
            return names[name]
        return made.get(name) or f"{prefix}{name}"

    for name, output in made.items():
        if name in names and output:  # what comes in goes out
            yield Node("Identity", "", prefix, (names[name],), (output,), {})
    for inner in function.nodes:
        attributes: dict[str, bytes] = {}
        for key, attribute in inner.attributes.items():
            reference = _first(attribute, 21)
            if not reference:
                attributes[key] = attribute
            elif reference in given:
                attributes[key] = _with_name(given[reference], 1, lambda _, k=key: k)  # type: ignore[misc]
        entry = renamed(replace(inner, attributes=attributes), rename)
        yield replace(entry, label=prefix + (inner.label or inner.op))
