"""Messages of ONNX as the wire has them: tensors, nodes, attributes, declarations, a model.

Schema: `onnx.proto3` of the ONNX specification, IR version 10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from weighbridge.formats.protobuf_written import varint, wrapped

IR_VERSION: Final = 10
_FLOAT, _INT, _TEXT, _TENSOR, _GRAPH, _FLOATS, _INTS, _TEXTS, _GRAPHS = 1, 2, 3, 4, 5, 6, 7, 8, 10


class Message(bytes):
    """A message that an attribute holds: a tensor, or a graph where `is_graph`."""

    is_graph = False


class GraphMessage(Message):
    """A body."""

    is_graph = True


def text(value: str) -> bytes:
    """A name as the wire has it: what is no Unicode is written out."""
    return value.encode("utf-8", "backslashreplace")


def number(field: int, value: int) -> bytes:
    """A field that is a whole number."""
    return varint(field << 3) + varint(value)


def attribute(name: str, value: Any) -> bytes:
    """An attribute: a number, a text, a message, or several of one kind. Raises `TypeError` for
    anything else."""
    head = wrapped(1, text(name))
    if isinstance(value, bool | int):
        return head + number(3, int(value)) + number(20, _INT)
    if isinstance(value, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, _FLOAT)
    if isinstance(value, str):
        return head + wrapped(4, text(value)) + number(20, _TEXT)
    if isinstance(value, Message):
        kind = _GRAPH if value.is_graph else _TENSOR
        return head + wrapped(6 if value.is_graph else 5, value) + number(20, kind)
    if isinstance(value, tuple | list):
        if all(isinstance(v, int) for v in value):
            return head + b"".join(number(8, v) for v in value) + number(20, _INTS)
        if all(isinstance(v, int | float) for v in value):
            row = b"".join(varint(7 << 3 | 5) + struct.pack("<f", v) for v in value)
            return head + row + number(20, _FLOATS)
        if all(isinstance(v, str) for v in value):
            return head + b"".join(wrapped(9, text(v)) for v in value) + number(20, _TEXTS)
        if all(isinstance(v, GraphMessage) for v in value):
            return head + b"".join(wrapped(11, v) for v in value) + number(20, _GRAPHS)
    raise TypeError(f"{name}: {type(value).__name__}")


def node(
    op: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    label: str = "",
    attributes: Mapping[str, Any] | None = None,
    domain: str = "",
) -> bytes:
    """A node."""
    made = [wrapped(1, text(n)) for n in inputs]
    made += [wrapped(2, text(n)) for n in outputs]
    made += [wrapped(3, text(label)), wrapped(4, text(op))]
    made += [wrapped(5, attribute(k, v)) for k, v in (attributes or {}).items()]
    return b"".join(made) + (wrapped(7, text(domain)) if domain else b"")


def tensor(name: str, type: int, shape: Sequence[int], raw: bytes) -> bytes:
    """A tensor; `type` is ONNX's number of its elements, `raw` their bytes."""
    dims = b"".join(number(1, d) for d in shape)
    return b"".join((dims, number(2, type), wrapped(8, text(name)), wrapped(9, raw)))


def declared(name: str, type: int = 0, shape: Sequence[int | str] | None = None) -> bytes:
    """The declaration of a value: its type (0: none) and sizes, some of which are names."""
    made = wrapped(1, text(name))
    if not type:
        return made
    said = number(1, type)
    if shape is not None:
        sizes = [number(1, d) if isinstance(d, int) else wrapped(2, text(d)) for d in shape]
        said += wrapped(2, b"".join(wrapped(1, s) for s in sizes))
    return made + wrapped(2, wrapped(1, said))


def graph(
    nodes: Iterable[bytes],
    tensors: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
) -> GraphMessage:
    """A graph of such messages."""
    parts = [wrapped(1, n) for n in nodes]
    parts.append(wrapped(2, b"graph"))
    for field, messages in ((5, tensors), (11, inputs), (12, outputs)):
        parts += [wrapped(field, m) for m in messages]
    return GraphMessage(b"".join(parts))


def model(graph: bytes, opsets: Mapping[str, int]) -> bytes:
    """A model of one graph, with the versions of the operators that it uses by domain."""
    versions = (wrapped(1, text(d)) + number(2, v) for d, v in opsets.items())
    head = number(1, IR_VERSION) + wrapped(2, b"weighbridge")
    return b"".join((head, wrapped(7, graph), *(wrapped(8, v) for v in versions)))
