"""Where a step of a TensorFlow graph is run from, and where what it is given comes from.

Both are answered by walking backwards from one step, so that only what is asked about costs time.
A function counts as run as a whole: which of its steps an output needs is not worked out. A
gradient counts as run wherever the step is that it is the gradient of.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from typing import Final

from msgspec import Struct, field

from weighbridge.formats.tensorflow import (
    Function,
    MetaGraph,
    Node,
    SavedObject,
    Tensor,
    TensorFlow,
    Text,
)

VISITED: Final = 500_000
"""How many steps all questions to one graph may look at together."""
TEXTS: Final = 50
FOLDED: Final = 40
"""How deep an expression of texts is worked out."""
TEXT_SIZE: Final = 64 << 10
"""How long a text may become in that, in characters."""


class Run(StrEnum):
    """When a step is run."""

    LOAD = "on loading"
    SIGNATURE = "signature"
    FUNCTION = "function"
    QUEUE = "queue"
    SAVE = "saving"
    RESTORE = "restoring"


class Lead(Struct, frozen=True):
    """One way to a step: when it is run, by what name, and through which functions."""

    run: Run
    name: str
    through: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = str(self.run) if not self.name else f"{self.run} {self.name}"
        return " → ".join((said[:120], *(f[:80] for f in self.through)))


class Origins(Struct):
    """What feeds a value: texts of constants, assets, and whether a caller or something that is
    computed has a say in it. `whole` is False where not all was followed."""

    texts: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    caller: bool = False
    computed: bool = False
    whole: bool = True


_GRADIENT: Final = "_gradient_op_type"
"""The attribute that names a step's own gradient."""
_ON_LOAD: Final = ("_create_resource", "_initialize", "_destroy_resource")
"""What loading calls on a resource, and deleting it."""
_SAME: Final = frozenset({
    "Identity", "Snapshot", "StopGradient", "PreventGradient", "Reshape", "ExpandDims", "Squeeze",
    "EnsureShape", "DeepCopy", "GuaranteeConst",
})  # fmt: skip
_SOURCES: Final = frozenset({
    "VarHandleOp", "Variable", "VariableV2", "ReadVariableOp", "HashTableV2", "IteratorGetNext",
})  # fmt: skip


def bare(name: str) -> str:
    """The node that an input or the name of a tensor means."""
    return name.lstrip("^").partition(":")[0]


class Flow(Struct, dict=True):
    """One graph of a document."""

    document: TensorFlow
    graph: MetaGraph
    left: int = VISITED
    _asked: dict[tuple[str, str], Origins] = field(default_factory=dict)
    _folded: dict[tuple[str, str], str | None] = field(default_factory=dict)

    @cached_property
    def _by_name(self) -> dict[str, dict[str, Node]]:
        return {scope: {n.name: n for n in nodes} for scope, nodes in self.graph.bodies()}

    @cached_property
    def _callers(self) -> dict[str, list[tuple[str, Node]]]:
        callers: dict[str, list[tuple[str, Node]]] = defaultdict(list)
        known = self.graph.functions
        for scope, nodes in self.graph.bodies():
            for node in nodes:
                for name in {node.op, *node.calls()}:
                    if name in known:
                        callers[name].append((scope, node))
                    if name in self.graph.gradients:
                        callers[self.graph.gradients[name]].append((scope, node))
                own = node.attributes.get(_GRADIENT)
                if isinstance(own, Text) and self.graph.gradients:
                    name = self.document.text(own)
                    callers[self.graph.gradients.get(name, "")].append((scope, node))
        return callers

    @cached_property
    def _consumers(self) -> dict[str, list[str]]:
        consumers: dict[str, list[str]] = defaultdict(list)
        for node in self.graph.nodes:
            for name in node.inputs:
                consumers[bare(name)].append(node.name)
        return consumers

    @cached_property
    def _assets(self) -> dict[str, str]:
        return {bare(a.tensor): a.filename for a in self.graph.assets}

    @cached_property
    def _entries(self) -> tuple[dict[str, list[Lead]], dict[str, list[Lead]]]:
        """The nodes of the graph, and the functions, that something outside asks for."""
        nodes: dict[str, list[Lead]] = defaultdict(list)
        functions: dict[str, list[Lead]] = defaultdict(list)
        graph = self.graph
        for name in graph.on_load:
            nodes[bare(name)].append(Lead(Run.LOAD, ""))
        for name in graph.queues:
            nodes[bare(name)].append(Lead(Run.QUEUE, ""))
        for saver in graph.savers:
            for name in (saver.filename, saver.save):
                nodes[bare(name)].append(Lead(Run.SAVE, ""))
            nodes[bare(saver.restore)].append(Lead(Run.RESTORE, ""))
        initial = set(graph.on_load)
        for signature in graph.signatures:
            for port in signature.outputs.values():
                for name in port.tensors:
                    if name not in initial:
                        nodes[bare(name)].append(Lead(Run.SIGNATURE, signature.name))
        for saved, lead in self._object_functions():
            for name in saved.functions:
                # One concrete function is listed under the function that it was traced from too.
                if saved.kind != "bare_concrete_function" or not functions[name]:
                    functions[name].append(lead)
        return nodes, functions

    def _object_functions(self) -> Iterator[tuple[SavedObject, Lead]]:
        """The objects that are functions, and when each is called."""
        objects = self.graph.objects
        saving: dict[int, Run] = {}
        loading: set[int] = set()
        for saved in objects:
            for save, restore in saved.savers:
                saving[save], saving[restore] = Run.SAVE, Run.RESTORE
            loading |= {number for name, number in saved.children if name in _ON_LOAD}
        by_kind = sorted(enumerate(objects), key=lambda o: o[1].kind == "bare_concrete_function")
        for number, saved in by_kind:
            if number in loading:
                yield saved, Lead(Run.LOAD, saved.name)
            elif number in saving:
                yield saved, Lead(saving[number], saved.name)
            elif saved.name.startswith("signatures."):
                yield saved, Lead(Run.SIGNATURE, saved.name.removeprefix("signatures."))
            else:
                yield saved, Lead(Run.FUNCTION, saved.name)

    @property
    def entered(self) -> bool:
        """Whether anything says how the graph is used; a frozen graph does not."""
        nodes, functions = self._entries
        return bool(nodes or functions)

    def leads(self, scope: str, node: Node) -> tuple[Lead, ...]:
        """The ways to a step, the most telling ones first; none where nothing leads there."""
        nodes, functions = self._entries
        found: dict[tuple[Run, str], Lead] = {}
        waiting: list[tuple[str, str, tuple[str, ...]]] = [(scope, node.name, ())]
        seen: set[tuple[str, str]] = set()
        for scope, name, through in waiting:
            key = (scope, "" if scope else name)
            self.left -= 1
            if key in seen or self.left <= 0:
                continue
            seen.add(key)
            if not scope:
                for lead in nodes.get(name, ()):
                    found.setdefault((lead.run, lead.name), Lead(lead.run, lead.name, through))
                waiting += [("", consumer, through) for consumer in self._consumers.get(name, ())]
                continue
            path = through if through[:1] == (scope,) else (scope, *through)[:6]
            for lead in functions.get(scope, ()):
                found.setdefault((lead.run, lead.name), Lead(lead.run, lead.name, path))
            waiting += [(outer, n.name, path) for outer, n in self._callers.get(scope, ())]
        order = list(Run)
        return tuple(sorted(found.values(), key=lambda lead: (order.index(lead.run), lead.name)))

    def origins(self, scope: str, reference: str) -> Origins:
        """What feeds an input."""
        if (scope, reference) not in self._asked:
            self._asked[scope, reference] = self._origins(scope, reference)
        return self._asked[scope, reference]

    def _origins(self, scope: str, reference: str) -> Origins:
        made = Origins()
        waiting = [(scope, reference)]
        seen: set[tuple[str, str]] = set()
        for scope, name in waiting:
            self.left -= 1
            if self.left <= 0:
                made.whole = False
                break
            if (scope, name) in seen or name.startswith("^"):
                continue
            seen.add((scope, name))
            node = self._node(scope, name)
            if node is None:
                outer = self._given(scope, name)
                made.caller |= not outer
                waiting += outer
                for saved in self._bound(scope, name):
                    made.assets += [saved.name] if saved.kind == "asset" else []
            elif not scope and node.name in self._assets:
                made.assets.append(self._assets[node.name])
            elif node.op == "Const":
                made.texts += self._texts(node)[: TEXTS - len(made.texts)]
            elif node.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"):
                made.caller = True
                waiting += [(scope, name) for name in node.inputs]
            elif node.op in _SOURCES:
                made.computed = True
            else:
                made.computed |= node.op not in _SAME
                waiting += [(scope, name) for name in node.inputs]
                for function in self._functions(node):
                    waiting += [(function.name, value) for value in function.returns.values()]
        return made

    def text(self, scope: str, reference: str, depth: int = 0) -> str | None:
        """What a text comes to, where it is made of constants alone; else None."""
        key = (scope, reference)
        if key not in self._folded:
            self._folded[key] = None  # a circle comes to nothing
            made = self._fold(scope, reference, depth) if depth < FOLDED else None
            self._folded[key] = made if made is None or len(made) <= TEXT_SIZE else None
        return self._folded[key]

    def _fold(self, scope: str, reference: str, depth: int) -> str | None:
        node = self._node(scope, reference)
        if node is None:
            outer = self._given(scope, reference)
            return self.text(*outer[0], depth + 1) if len(outer) == 1 else None
        if node.op == "Const":
            if not scope and node.name in self._assets:
                return None
            texts = self._texts(node)
            return texts[0] if len(texts) == 1 else None
        inputs = [name for name in node.inputs if not name.startswith("^")]
        if node.op in _SAME and inputs:
            return self.text(scope, inputs[0], depth + 1)
        if node.op == "StringJoin":
            parts = [self.text(scope, name, depth + 1) for name in inputs[:TEXTS]]
            between = node.attributes.get("separator")
            separator = self.document.text(between) if isinstance(between, Text) else ""
            return None if None in parts else separator.join(p for p in parts if p is not None)
        if node.op in _TEXTUAL and inputs:
            inner = self.text(scope, inputs[0], depth + 1)
            return None if inner is None else _TEXTUAL[node.op](inner)
        return None

    def _texts(self, node: Node) -> list[str]:
        value = node.attributes.get("value")
        return list(self.document.strings(value, TEXTS)) if isinstance(value, Tensor) else []

    def _node(self, scope: str, reference: str) -> Node | None:
        nodes = self._by_name.get(scope, {})
        if scope and ":" not in reference and self._argument(scope, reference) is not None:
            return None
        return nodes.get(bare(reference))

    def _functions(self, node: Node) -> list[Function]:
        known = self.graph.functions
        return [known[name] for name in {node.op, *node.calls()} if name in known]

    def _argument(self, scope: str, reference: str) -> int | None:
        function = self.graph.functions.get(scope)
        names = [a.name for a in function.inputs] if function else []
        return names.index(reference) if reference in names else None

    def _given(self, scope: str, reference: str) -> list[tuple[str, str]]:
        """What the callers of a function give it for an argument. Functions take the last inputs
        of a step that calls them (a branch takes all but the condition)."""
        position = self._argument(scope, bare(reference))
        if position is None:
            return []
        back = len(self.graph.functions[scope].inputs) - position
        given: list[tuple[str, str]] = []
        for outer, node in self._callers.get(scope, ()):
            data = [name for name in node.inputs if not name.startswith("^")]
            if len(data) >= back:
                given.append((outer, data[len(data) - back]))
        return given

    def _bound(self, scope: str, reference: str) -> list[SavedObject]:
        """The object that loading gives a concrete function for one of its last arguments."""
        position, bound = self._argument(scope, bare(reference)), self.graph.bound.get(scope, ())
        if position is None:
            return []
        index = position - (len(self.graph.functions[scope].inputs) - len(bound))
        inside = 0 <= index < len(bound) and 0 <= bound[index] < len(self.graph.objects)
        return [self.graph.objects[bound[index]]] if inside else []


def _decoded(text: str) -> str | None:
    data = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        whole = base64.b64decode(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        return None
    return whole.decode("utf-8", "backslashreplace")


_TEXTUAL: Final = {
    "DecodeBase64": _decoded, "StringLower": str.lower, "StringUpper": str.upper,
    "StringStrip": str.strip,
}  # fmt: skip
