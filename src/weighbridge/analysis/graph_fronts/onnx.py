"""The computation graph of an ONNX model: bodies and functions inlined, constants left lazy."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    NOT_HERE,
    ComputationGraph,
    Constant,
    Loop,
    Numbers,
    Operation,
    Shape,
)
from weighbridge.analysis.graph_folding import FOLDED
from weighbridge.analysis.graph_fused import spell_out
from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob, beside
from weighbridge.formats.onnx import (
    TYPES,
    External,
    Function,
    Graph,
    Node,
    Onnx,
    Port,
    Sparse,
    Tensor,
    Text,
)
from weighbridge.formats.ort import Ort
from weighbridge.formats.protobuf import Kind, Schema, Wire, many

OPERATIONS: Final = 200_000
"""How many operations, calls and bodies are laid out; a model with more is not analysed whole."""
DEPTH: Final = 60
HELD: Final = 4_096
"""Up to how many numbers a constant is decoded that is not stored raw."""
TEXT: Final = 256
"""How many bytes of a text attribute are read."""
_READ: Final = frozenset({"activation", "equation"})
_STANDARD: Final = frozenset({"", "ai.onnx"})
_NUMBERS: Final = Schema("TensorProto", {
    4: many("floats", Kind.FLOAT), 5: many("ints", Kind.INT), 7: many("longs", Kind.INT),
    10: many("doubles", Kind.DOUBLE), 11: many("unsigned", Kind.UNSIGNED),
})  # fmt: skip


def graph_of(model: Onnx | Ort) -> ComputationGraph:
    """The graph that the model runs; those of its training information are not part of it."""
    return _Builder(model).build()


class _Scope(dict[str, int]):
    """Values by name; a body sees those of what it stands in."""

    def __init__(self, outer: _Scope | None = None) -> None:
        super().__init__()
        self.outer = outer

    def find(self, name: str) -> int | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope:
                return scope[name]
            scope = scope.outer
        return None


class _Builder:
    def __init__(self, model: Onnx | Ort) -> None:
        self.model, self.made = model, ComputationGraph()
        self.steps = 0
        self.functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self.by_name = {(f.domain, f.name): f for f in model.functions}
        self.files: dict[str, Blob | None] = {}

    def build(self) -> ComputationGraph:
        graph, scope = self.model.graph, _Scope()
        self._constants(graph, scope)
        for port in graph.inputs:
            if port.name not in scope:  # older models list their initializers as inputs too
                number = self.made.value(port.name, _type(port.type), _shape(port.shape, port.name))
                scope[port.name] = number
                self.made.inputs.append(number)
        self._run(graph, scope, ())
        found = [scope.find(port.name) for port in graph.outputs]
        self.made.outputs = [number for number in found if number is not None]
        return self.made

    def _constants(self, graph: Graph, scope: _Scope) -> None:
        for tensor in graph.tensors:
            scope[tensor.name] = self.made.constant(tensor.name, self._constant(tensor))
        for sparse in graph.sparse:
            name = sparse.values.name
            scope[name] = self.made.constant(name, _sparse(sparse))

    def _run(self, graph: Graph, scope: _Scope, origin: tuple[str, ...]) -> None:
        declared = {p.name: p for p in (*graph.values, *graph.outputs)}
        self._nodes(graph.nodes, scope, origin, declared, {})

    def _nodes(
        self,
        nodes: Sequence[Node],
        scope: _Scope,
        origin: tuple[str, ...],
        declared: Mapping[str, Port],
        given: Mapping[str, Any],
    ) -> None:
        for node in _in_order(nodes):
            self.steps += 1  # a call that comes to nothing counts too: calls of calls multiply
            if self.steps > OPERATIONS or len(origin) > DEPTH:
                what = f"more than {OPERATIONS:,} operations, or nested more than {DEPTH} deep"
                if what not in self.made.left_out:
                    self.made.left_out.append(what)
                return
            self._node(node, scope, origin, declared, given)

    def _node(
        self,
        node: Node,
        scope: _Scope,
        origin: tuple[str, ...],
        declared: Mapping[str, Port],
        given: Mapping[str, Any],
    ) -> None:
        attributes = dict(node.attributes)
        attributes |= {k: given[r] for k, r in node.references.items() if r in given}
        function = self.functions.get((node.domain, node.op, node.overload)) or self.by_name.get(
            (node.domain, node.op)
        )
        label = node.name or next(filter(None, node.outputs), node.op)
        if function is not None:
            self._call(function, node, attributes, scope, (*origin, label))
            return
        plain = node.domain in _STANDARD
        if plain and node.op == "Constant":
            constant = self._inline(attributes)
            for name in node.outputs[:1]:
                scope[name] = (
                    self.made.constant(name, constant) if constant else self.made.value(name)
                )
            return
        inputs = [self._input(name, scope) for name in node.inputs]
        bodies = {k: v for k, v in attributes.items() if isinstance(v, Graph)}
        op = node.op if plain else f"{node.domain}::{node.op}"
        if bodies and plain and op in ("Loop", "Scan"):
            left = self._loop(op, inputs, bodies, attributes, scope, (*origin, label))
            for name, comes_from in zip(node.outputs, left, strict=False):
                output = self._output(name, scope, declared)
                self.made.add(Operation("Repeated", label, comes_from, (output,), {}, origin))
            return
        if bodies and plain and op == "If":
            inputs = inputs[:1]
            for branch in ("then_branch", "else_branch"):
                if branch in bodies:
                    inputs += self._body(bodies[branch], [], scope, (*origin, label, branch))
        elif bodies:
            given_to = [self._derived("Step", [i], origin) for i in inputs]
            for key, graph in bodies.items():
                inputs = [*inputs, *self._body(graph, given_to, scope, (*origin, label, key))]
        if plain and op == "ConstantOfShape" and isinstance(attributes.get("value"), Tensor):
            attributes["value"] = self._constant(attributes["value"]).numbers(1) or ()
        outputs = tuple(self._output(name, scope, declared) for name in node.outputs)
        kept: dict[str, Any] = {
            k: v for k, v in attributes.items() if isinstance(v, int | float | tuple)
        }
        texts = {
            k: self.model.text(v, TEXT)
            for k, v in attributes.items()
            if k in _READ and isinstance(v, Text)
        }
        kept |= texts
        operation = Operation(op, label, tuple(inputs), outputs, kept, origin)
        spell_out(self.made, operation, texts)

    def _input(self, name: str, scope: _Scope) -> int:
        if not name:
            return ABSENT
        number = scope.find(name)
        return self.made.value(name) if number is None else number

    def _output(self, name: str, scope: _Scope, declared: Mapping[str, Port]) -> int:
        if not name:
            return ABSENT
        port = declared.get(name)
        number = self.made.value(name)
        if port is not None:
            value = self.made.values[number]
            value.type, value.shape = _type(port.type), _shape(port.shape, name)
        scope[name] = number
        return number

    def _call(
        self,
        function: Function,
        node: Node,
        attributes: Mapping[str, Any],
        scope: _Scope,
        origin: tuple[str, ...],
    ) -> None:
        inner = _Scope()
        for name, given in zip(function.inputs, node.inputs, strict=False):
            if given:
                inner[name] = self._input(given, scope)
        self._nodes(function.nodes, inner, origin, {}, {**function.defaults, **attributes})
        for name, wanted in zip(function.outputs, node.outputs, strict=False):
            found = inner.find(name)
            if wanted:
                scope[wanted] = self.made.value(wanted) if found is None else found

    def _loop(
        self,
        op: str,
        inputs: list[int],
        bodies: Mapping[str, Graph],
        attributes: Mapping[str, Any],
        scope: _Scope,
        origin: tuple[str, ...],
    ) -> list[tuple[int, ...]]:
        """What each output of a loop comes from: what its body leaves, what it began with, and what
        says how often it runs."""
        body = bodies.get("body") or next(iter(bodies.values()))
        if op == "Loop":
            given = [self._derived("Step", inputs[:1], origin), *inputs[1:2]]
            start, scanned = inputs[2:], []
        else:
            said = attributes.get("num_scan_inputs", 0)
            count = len(inputs) - (said if isinstance(said, int) else 0)
            start, given = inputs[:count], []
            scanned = [self._derived("Step", [i], origin) for i in inputs[count:]]
        begins = [self._derived("Carried", [i], origin) for i in start]
        results = self._body(body, [*given, *begins, *scanned], scope, (*origin, "body"))
        left = results[1:] if op == "Loop" else results
        turns = (*inputs[1:2], *results[:1], *inputs[:1]) if op == "Loop" else (ABSENT,)
        self.made.loops.append(Loop(tuple(begins), tuple(left)))
        return [(value, *start[i : i + 1], *turns) for i, value in enumerate(left)]

    def _derived(self, op: str, inputs: list[int], origin: tuple[str, ...]) -> int:
        number = self.made.value(op.lower())
        self.made.add(Operation(op, op, tuple(inputs), (number,), {}, origin))
        return number

    def _body(
        self, graph: Graph, given: Sequence[int], scope: _Scope, origin: tuple[str, ...]
    ) -> list[int]:
        inner = _Scope(scope)
        self._constants(graph, inner)
        for port, number in zip(graph.inputs, given, strict=False):
            inner[port.name] = number
        self._run(graph, inner, origin)
        return [self._input(port.name, inner) for port in graph.outputs]

    def _inline(self, attributes: Mapping[str, Any]) -> Constant | None:
        for key, value in attributes.items():
            if key == "value" and isinstance(value, Tensor):
                return self._constant(value)
            if key == "sparse_value" and isinstance(value, Sparse):
                return _sparse(value)
            if key in ("value_float", "value_int"):
                return Constant("float32" if key == "value_float" else "int64", (), held=(value,))
            if key in ("value_floats", "value_ints"):
                type = "float32" if key == "value_floats" else "int64"
                return Constant(type, (len(value),), held=tuple(value))
        return None

    def _constant(self, tensor: Tensor) -> Constant:
        type, shape = _type(tensor.type), tuple(max(0, d) for d in tensor.shape)
        if tensor.external is not None:
            return self._outside(tensor.external, tensor.type, shape)
        if tensor.raw is not None:
            return Constant(type, shape, self.model.blob, tensor.raw)
        return Constant(type, shape, held=self._held(tensor))

    def _outside(self, external: External, number: int, shape: tuple[int, ...]) -> Constant:
        """A constant in another file, by its shape alone where that is not to be had."""
        if external.location not in self.files:
            self.files[external.location] = beside(self.model.blob, external.location)
        type, bits = TYPES.get(number, ("", 0))
        blob, start = self.files[external.location], external.offset
        size = (math.prod(shape) * bits + 7) // 8
        there = external.length is None or external.length == size
        if blob is None or not isinstance(start, int) or not there or start + size > blob.size:
            if math.prod(shape) <= FOLDED and NOT_HERE not in self.made.left_out:
                self.made.left_out.append(NOT_HERE)
            return Constant(type, shape)
        return Constant(type, shape, blob, (start, start + size))

    def _held(self, tensor: Tensor) -> Numbers | None:
        """The numbers of a tensor that is stored as a list of them."""
        start, end = tensor.place
        if tensor.elements > HELD or end - start > HELD * 16:
            return None
        try:
            message = Wire(self.model.blob).decode(_NUMBERS, start, end)
        except (Malformed, struct.error):
            return None
        for name in ("floats", "ints", "longs", "doubles", "unsigned"):
            if name in message:
                found = tuple(message[name])
                return _halves(found) if tensor.type == 10 else found
        return ()


def _in_order(nodes: Sequence[Node]) -> Iterator[Node]:
    """Nodes after those that they need. The specification asks for that order, runtimes do not:
    out of order, a switch would stand before what it reads. What needs itself comes as it stands.
    """
    makers = {name: i for i, node in enumerate(nodes) for name in node.outputs if name}
    done = [False] * len(nodes)
    begun = [False] * len(nodes)
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            number = waiting[-1]
            if done[number]:
                waiting.pop()
                continue
            needed: list[int] = []
            if not begun[number]:
                begun[number] = True
                needed = [makers[n] for n in _reads(nodes[number]) if n in makers]
                needed = [i for i in needed if not begun[i]]
            if needed:
                waiting.extend(needed)
                continue
            waiting.pop()
            done[number] = True
            yield nodes[number]


def _reads(node: Node) -> Iterator[str]:
    """The names that a node reads, those in its bodies too."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield from inner.inputs
        for body in inner.graphs():
            waiting += body.nodes
            yield from (port.name for port in body.outputs)


def _halves(bits: Numbers) -> Numbers:
    packed = b"".join(struct.pack("<H", int(b) & 0xFFFF) for b in bits)
    return struct.unpack(f"<{len(bits)}e", packed)


def _sparse(sparse: Sparse) -> Constant:
    return Constant(_type(sparse.values.type), tuple(max(0, d) for d in sparse.shape))


def _type(number: int) -> str:
    return TYPES.get(number, ("", 0))[0]


def _shape(shape: tuple[int | str, ...] | None, name: str) -> Shape | None:
    if shape is None:
        return None
    return tuple(d if d not in ("", -1) else f"{name}.{i}" for i, d in enumerate(shape))
