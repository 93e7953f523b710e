"""Where the numbers of a TensorFlow model's variables stand: in the checkpoint beside it.

Two ways lead from a variable to its key there, as in TensorFlow's two loaders. What restores the
graph assigns a tensor of a name to a variable (`saved_model_cli`, TensorFlow 1, serving). The
loader of objects walks the objects of the model and those that the checkpoint lists
(`tensorflow/core/protobuf/trackable_object_graph.proto`) side by side from the root.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from weighbridge.analysis.computation_graph import Constant
from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held, beside
from weighbridge.formats import tensorflow as tf
from weighbridge.formats import tensorflow_schema as schema
from weighbridge.formats.protobuf import Wire
from weighbridge.formats.tensorflow import MetaGraph, Node, TensorFlow
from weighbridge.formats.tensorflow_checkpoint import CHECKPOINT, Checkpoint, Saved, varint

INDEX_LIMIT: Final = 256 << 20
"""How large an index is read, in bytes."""
OBJECTS_LIMIT: Final = 64 << 20
KEYS_LIMIT: Final = 200_000
_OBJECTS: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ASSIGN: Final = frozenset({"Assign", "AssignVariableOp"})
_Given = dict[str, dict[str, list[str]]]
_PASSED: Final = frozenset({"Identity", "IdentityN", "IdentityV2"})


class Variables:
    """The variables of a model that is saved with a checkpoint. `flaws` says what of that could
    not be read."""

    def __init__(self, document: TensorFlow) -> None:
        self.document, self.flaws = document, list[str]()
        self.folder = ""
        self.index = self._opened()
        self.saved: dict[str, Saved] = {}
        self._shards: dict[int, Blob | None] = {}
        for tensor in self.index.tensors if self.index is not None else ():
            self.saved.setdefault(tensor.name, tensor)

    def _opened(self) -> Checkpoint | None:
        name = self.document.blob.path.rpartition("/")[2]
        stem, _, ending = name.rpartition(".")
        path = f"{stem}.index" if ending == "meta" else "variables/variables.index"
        blob = beside(self.document.blob, path)
        if blob is None:
            return None
        self.folder = path.rpartition("/")[0]
        try:
            if blob.size > INDEX_LIMIT:
                raise Malformed(f"it has {blob.size:,} bytes")
            found = CHECKPOINT.parse(blob, Location(blob.path), Limits())  # type: ignore[misc]
        except (Malformed, OSError) as error:
            self.flaws.append(f"the checkpoint of its variables could not be read: {error}")
            return None
        if not isinstance(found, Checkpoint) or found.big_endian:
            self.flaws.append("the checkpoint of its variables has its bytes in the other order")
            return None
        return found

    def constant(self, key: str, type: str, shape: tuple[int, ...]) -> Constant:
        """The numbers under a key, where they are of that type and shape; else a constant of which
        no more than that is known."""
        saved = self.saved.get(key)
        if saved is None or saved.type.name != type or (saved.shape.sizes or ()) != shape:
            return Constant(type, shape)
        blob = self._shard(saved.shard)
        width = schema.TYPES.get(saved.type.number, ("", 0))[1] // 8
        size = math.prod(shape) * width
        if blob is None or not width or saved.size != size or saved.offset + size > blob.size:
            return Constant(type, shape)
        return Constant(type, shape, blob, (saved.offset, saved.offset + size))

    def _same(self, one: str, other: str) -> bool:
        """Whether the analysis sees the same under two keys: what is looked at of large tensors are
        samples."""
        both = [self.saved[key] for key in (one, other) if key in self.saved]
        if one == other or len(both) < 2:
            return one == other
        first, second = (
            self.constant(t.name, t.type.name, tuple(t.shape.sizes or ())) for t in both
        )
        return first.shape == second.shape and first.sample() == second.sample() != ()

    def _shard(self, number: int) -> Blob | None:
        if number not in self._shards:
            assert self.index is not None
            name = f"{self.index.prefix}.data-{number:05d}-of-{self.index.shards:05d}"
            path = f"{self.folder}/{name}" if self.folder else name
            self._shards[number] = beside(self.document.blob, path)
        return self._shards[number]

    # Keys --------------------------------------------------------------------------------------

    def of_objects(self, graph: MetaGraph) -> dict[int, str]:
        """The keys of the variables among a model's objects, by the numbers of those."""
        listed = self._listed()
        if not listed or not graph.objects:
            return {}
        keys: dict[int, str] = {}
        seen: set[tuple[int, int]] = {(0, 0)}
        waiting = [(0, 0)]
        while waiting and len(seen) < KEYS_LIMIT:
            ours, theirs = waiting.pop()
            children, key = listed[theirs]
            if key and graph.objects[ours].kind == "variable":
                keys.setdefault(ours, key)
            for name, number in graph.objects[ours].children:
                pair = (number, children.get(name, -1))
                there = 0 <= pair[1] < len(listed) and 0 <= number < len(graph.objects)
                if there and pair not in seen:
                    seen.add(pair)
                    waiting.append(pair)
        return keys

    def _listed(self) -> list[tuple[dict[str, int], str]]:
        """The objects that the checkpoint lists: their children by name, and the key of their
        value. That list is a string tensor of one string: its length, a checksum, its bytes."""
        saved = self.saved.get(_OBJECTS)
        blob = self._shard(saved.shard) if saved is not None else None
        if saved is None or blob is None or not 0 < saved.size <= OBJECTS_LIMIT:
            return []
        try:
            data = blob.read(saved.offset, saved.size)
            length, at = varint(data, 0)
            nodes = Wire(Held("", data[at + 4 : at + 4 + length])).decode(schema.TRACKED)
        except (Malformed, OSError, IndexError) as error:
            self.flaws.append(f"the objects of its checkpoint could not be read: {error}")
            return []
        return [
            (
                {c.get("local_name", ""): c.get("node_id", 0) for c in node.get("children", [])},
                next((a.get("checkpoint_key", "") for a in node.get("attributes", [])
                      if a.get("name") == "VARIABLE_VALUE"), ""),
            )
            for node in nodes.get("nodes", [])
        ]  # fmt: skip

    def of_nodes(self, graph: MetaGraph) -> dict[str, str]:
        """The keys of the variables of the graph itself, by the names of their nodes."""
        if not self.saved:
            return {}
        keys: dict[str, str] = {}
        top = {node.name: node for node in graph.nodes}
        given = _given(graph)
        ways = (*self._restored_nodes(graph, given), *self._bound_nodes(graph, given))
        for name, key in ways:
            variable = _through(top, name)
            if key and not self._same(keys.setdefault(variable, key), key):
                keys[variable] = ""
                self.flaws.append(f"it says two ways what the variable {variable} is restored from")
        return keys

    def _restored_nodes(self, graph: MetaGraph, given: _Given) -> Iterator[tuple[str, str]]:
        for function, handle, key in self._restored(graph):
            for name in given.get(function, {}).get(handle, ()) if function else (handle,):
                yield name, key

    def _bound_nodes(self, graph: MetaGraph, given: _Given) -> Iterator[tuple[str, str]]:
        """Variables that are given to a function where the loader of objects would give it what
        the function is bound to."""
        objects = self.of_objects(graph)
        for name, bound in graph.bound.items() if objects else ():
            function = graph.functions.get(name)
            if function is None or not bound:
                continue
            for argument, number in zip(function.inputs[-len(bound) :], bound, strict=False):
                for value in given.get(name, {}).get(argument.name, ()):
                    yield value, objects.get(number, "")

    def _restored(self, graph: MetaGraph) -> Iterator[tuple[str, str, str]]:
        """What is assigned on restoring: the function that does it (empty: the graph itself), the
        variable, the key."""
        left = KEYS_LIMIT
        for function, nodes in graph.bodies():
            if not any(node.op == "RestoreV2" for node in nodes):
                continue
            named = {node.name: node for node in nodes}
            keys: dict[str, tuple[str, ...]] = {}
            for node in nodes:
                if node.op not in _ASSIGN or len(node.inputs) < 2:
                    continue
                source = _through(named, node.inputs[1])
                restoring = named.get(source)
                if restoring is None or restoring.op != "RestoreV2":
                    continue
                if source not in keys:
                    keys[source] = self._keys(named, restoring, left)
                    left -= len(keys[source])
                place = _number(_source(named, node.inputs[1]))
                if place < len(keys[source]):
                    handle = _through(named, node.inputs[0])
                    yield function, handle, keys[source][place]

    def _keys(self, named: Mapping[str, Node], restoring: Node, limit: int) -> tuple[str, ...]:
        names = named.get(_through(named, restoring.inputs[1])) if restoring.inputs[1:] else None
        value = names.attributes.get("value") if names is not None else None
        if not isinstance(value, tf.Tensor):
            return ()
        return self.document.strings(value, max(0, limit))


def _name(reference: str) -> str:
    return reference.partition(":")[0]


def _source(named: Mapping[str, Node], reference: str) -> str:
    """The output of a node that a value comes from, past nodes that hand it on."""
    for _ in range(20):
        node = named.get(_name(reference))
        if node is None or node.op not in _PASSED or not node.inputs:
            break
        reference = node.inputs[_number(reference) % len(node.inputs)]
    return reference


def _through(named: Mapping[str, Node], reference: str) -> str:
    return _name(_source(named, reference))


def _number(reference: str) -> int:
    number = reference.rpartition(":")[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 0


def _given(graph: MetaGraph) -> _Given:
    """What the graph gives each function that it calls for each argument, wherever it does."""
    found: _Given = {}
    for node in graph.nodes:
        for name in node.calls() if "PartitionedCall" in node.op else ():
            inputs = [i for i in node.inputs if not i.startswith("^")]
            function = graph.functions.get(name)
            arguments = function.inputs if function is not None else ()
            for argument, value in zip(arguments, inputs, strict=False):
                found.setdefault(name, {}).setdefault(argument.name, []).append(value)
    return found
