"""Real exported graphs, opened to put something in: nodes, constants and functions, in the wire
format, without the library that wrote them."""

from __future__ import annotations

import struct
from typing import Any

from protobufs import message, varint
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.onnx import ONNX, Onnx
from weighbridge.formats.protobuf import BYTES, Wire

FLOAT, INT, BOOL = 1, 7, 9


def split(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """The fields of a message: number, the whole field, and what is in it if it is bytes."""
    out, at = [], 0
    for number, wire, start, end in (wired := Wire(Held("m", data))).fields(0, len(data)):
        stop = end if wire == BYTES else _after(wired, at, wire, len(data))
        out.append((number, data[at:stop], data[start:end] if wire == BYTES else b""))
        at = stop
    return out


def _after(wired: Wire, at: int, wire: int, size: int) -> int:
    _, at = wired._varint(at, size)
    return wired._varint(at, size)[1] if wire == 0 else at + (8 if wire == 1 else 4)


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


class Host:
    """A model whose graph can be added to. Names of values that are made are `i0`, `i1` …"""

    def __init__(self, data: bytes) -> None:
        document = ONNX.parse(Held("m", data), Location("m"), Limits())  # type: ignore[misc]
        assert isinstance(document, Onnx)
        self.document: Onnx = document
        top = split(data)
        self.rest = b"".join(whole for number, whole, _ in top if number != 7)
        graph = split(b"".join(inner for number, _, inner in top if number == 7))
        self.nodes = [inner for number, _, inner in graph if number == 1]
        self.others = b"".join(whole for number, whole, _ in graph if number != 1)
        self.at = 0
        self.made = 0
        self.functions = b""

    @property
    def input(self) -> str:
        return self.document.graph.inputs[0].name

    @property
    def output(self) -> str:
        return self.document.graph.outputs[0].name

    def fresh(self) -> str:
        self.made += 1
        return f"i{self.made}"

    def const(self, values: Any, shape: tuple[int, ...] = (), kind: int = FLOAT) -> str:
        name = self.fresh()
        numbers = list(values) if isinstance(values, list | tuple) else [values]
        code = {FLOAT: "f", INT: "q", BOOL: "?", 13: "Q"}[kind]
        raw = struct.pack(f"<{len(numbers)}{code}", *numbers)
        self.others += field(5, message({1: list(shape), 2: kind, 8: name, 9: raw}))
        return name

    def op(self, op: str, *inputs: str, to: str = "", domain: str = "", **attributes: Any) -> str:
        name = to or self.fresh()
        self.nodes.insert(self.at, node(op, inputs, name, domain, attributes))
        self.at += 1
        return name

    def weights(self, ops: tuple[str, ...], place: int) -> tuple[str, tuple[int, ...]]:
        """The constant that the last node of some operators reads at `place`, and its shape. What
        is added next comes right before that node; it reads the name that `swap` gives."""
        tensors = {t.name: t.shape for t in self.document.graph.tensors}
        for number in reversed(range(len(self.nodes))):
            parts = split(self.nodes[number])
            op = next((inner for n, _, inner in parts if n == 4), b"").decode()
            read = [inner.decode() for n, _, inner in parts if n == 1]
            if op in ops and len(read) > place and read[place] in tensors:
                self.at = number
                return read[place], tensors[read[place]]
        raise LookupError(ops)

    def swap(self, old: str, new: str) -> None:
        """The node that comes next reads `new` where it read `old`."""
        self.nodes[self.at] = _renamed(split(self.nodes[self.at]), 1, old, new)

    def after(self, value: str) -> str:
        """Everything that reads `value` reads what will be put in its place; returns the old one
        under its new name. What is added next comes right behind it."""
        old = f"{value}__was"
        for place, raw in enumerate(self.nodes):
            parts = split(raw)
            if any(n == 2 and inner == value.encode() for n, _, inner in parts):
                self.nodes[place] = _renamed(parts, 2, value, old)
                self.at = place + 1
                return old
        raise LookupError(value)

    def instead_of_input(self, value: str) -> str:
        """Everything that reads the input reads the name that is returned; it has to be made."""
        new = f"{value}__new"
        self.nodes = [_renamed(split(raw), 1, value, new) for raw in self.nodes]
        self.at = 0
        return new

    def function(self, name: str, inputs: list[str], output: str, nodes: list[bytes]) -> None:
        body = message({1: name, 4: inputs, 5: [output], 7: nodes, 9: {1: "", 2: 17}, 10: "local"})
        self.functions += field(25, body) + message({8: {1: "local", 2: 1}})

    def bytes(self) -> bytes:
        graph = b"".join(field(1, raw) for raw in self.nodes) + self.others
        return self.rest + self.functions + field(7, graph)


def _renamed(parts: list[tuple[int, bytes, bytes]], number: int, old: str, new: str) -> bytes:
    return b"".join(
        field(number, new.encode()) if n == number and inner == old.encode() else whole
        for n, whole, inner in parts
    )


def node(
    op: str, inputs: tuple[str, ...], output: str, domain: str = "", attributes: Any = None
) -> bytes:
    return message({1: list(inputs), 2: [output], 3: f"{op}_{output}", 4: op,
                    5: [_attribute(k, v) for k, v in (attributes or {}).items()],
                    7: domain})  # fmt: skip


def _attribute(key: str, value: Any) -> dict[int, Any]:
    if isinstance(value, bytes):  # a graph
        return {1: key, 6: value, 20: 5}
    if isinstance(value, str):
        return {1: key, 4: value, 20: 3}
    if isinstance(value, list) and value and isinstance(value[0], float):
        return {1: key, 7: value, 20: 6}
    if isinstance(value, list) and value and isinstance(value[0], str):
        return {1: key, 9: value, 20: 8}
    if isinstance(value, list):
        return {1: key, 8: value, 20: 7}
    if isinstance(value, float):
        return {1: key, 2: value, 20: 1}
    return {1: key, 3: value, 20: 2}


def body(nodes: list[bytes], output: str) -> bytes:
    return message({1: nodes, 2: "body", 12: [{1: output}]})
