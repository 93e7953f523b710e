"""The computation graph of a TensorFlow model: functions inlined, control flow of both kinds laid
out, operators in those of ONNX.

What is followed are the signatures of a SavedModel and what else can be called on the object that
loading gives; of a graph without signatures, whatever no other step needs and no training is part
of. Variables are constants whose numbers stand in the checkpoint; one that the model itself changes
is an input, because it says what happened before. A moving average that only functions change which
no signature calls is part of training, and no such input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct, field

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Loop, Shape
from weighbridge.analysis.tensorflow_bodies import (
    ASSIGNING,
    SWITCHES,
    Body,
    Frame,
    body_of,
    ends,
    in_order,
    node_of,
    op_of,
    place_of,
)
from weighbridge.analysis.tensorflow_operators import SILENT, apply
from weighbridge.analysis.tensorflow_stored import Stored, Variable, as_tuple, shape_of
from weighbridge.analysis.tensorflow_variables import Variables
from weighbridge.analysis.tensorflow_writer import SMALL
from weighbridge.formats import tensorflow as tf
from weighbridge.formats.tensorflow import MetaGraph, Node, TensorFlow
from weighbridge.formats.tensorflow_files import INITIALISERS

_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall", "TPUPartitionedCall"})
_FILLING: Final = frozenset({
    "LookupTableImportV2", "InitializeTableV2", "InitializeTableFromTextFileV2",
})  # fmt: skip
_INPUTS: Final = frozenset({
    "Placeholder", "PlaceholderV2", "IteratorGetNext", "QueueDequeueV2", "QueueDequeueManyV2",
    "QueueDequeueUpToV2", "ReaderReadV2",
})  # fmt: skip
_TEXTS: Final = frozenset({"padding", "data_format", "equation", "shared_name", "fused_ops"})
"""Attributes that are text and say what is computed."""
_TYPES: Final = ("DstT", "out_type", "output_type", "dtype", "Tparams", "T")
_BOOLS: Final = frozenset({
    "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd",
    "LogicalOr", "LogicalNot", "Any", "All", "IsNan", "IsInf", "IsFinite",
})  # fmt: skip
Guards: TypeAlias = frozenset[tuple[int, int]]
"""Tests, and which output of a switch each leads through."""
GUARDS: Final = 64
"""In how many branches at once a step can stand."""


def graph_of(document: TensorFlow) -> ComputationGraph:
    """The graph that the model runs, of all its MetaGraphs."""
    saved = Variables(document)
    made = _Builder(document, saved, frozenset())
    made.build()
    if made.assigned:  # now that it is known which variables change, they are inputs
        made = _Builder(document, saved, frozenset(made.assigned))
        made.build()
    made.w.graph.left_out += saved.flaws
    return made.w.graph


class _Scope(Struct):
    body: Body
    given: Mapping[str, Any]
    """Attributes that the function was called with."""
    values: dict[str, list[int]] = field(default_factory=dict)
    arguments: dict[str, int] = field(default_factory=dict)
    guards: dict[str, Guards] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    """What the variables of loops come to, by the `Merge` that each begins with."""


class _Builder(Stored):
    def __init__(self, document: TensorFlow, saved: Variables, states: frozenset[str]) -> None:
        super().__init__(document, saved, states)
        self.assigned: set[str] = set()
        self.serving = True
        """Whether it is a signature that is laid out."""
        self.keys: dict[str, str] = {}
        self.object_keys: dict[int, str] = {}
        self.functions: Mapping[str, tf.Function] = {}
        self.bodies: dict[str, Body] = {}
        self.done: set[str] = set()
        self.filling: set[str] = set()
        """Functions that fill lookup tables."""

    def build(self) -> None:
        for graph in self.document.graphs:
            self.functions, self.bodies = graph.functions, {}
            self.keys, self.object_keys = self.saved.of_nodes(graph), self.saved.of_objects(graph)
            self.serving = True
            self.filling = {
                f.name for f in graph.functions.values()
                if any(n.op in _FILLING for n in f.nodes)
                and not any(n.op.startswith(("Restore", "Save")) for n in f.nodes)
            }  # fmt: skip
            scope = _Scope(body_of(graph.nodes), {})
            self.lay_out(scope, [n.name for n in graph.nodes if self.fills(n)])
            signatures = [s for s in graph.signatures if s.name not in INITIALISERS]
            wanted = [[t for p in s.outputs.values() for t in p.tensors] for s in signatures]
            for outputs in filter(None, wanted) if any(wanted) else [list(ends(graph.nodes))]:
                if not all(self.known(scope, o) for o in {node_of(o) for o in outputs}):
                    found = self.lay_out(scope, outputs)
                    self.w.graph.outputs += [v for v in found if v != ABSENT]
            self.serving = not any(wanted)
            self.others(graph)

    def fills(self, node: Node) -> bool:
        """Whether a node fills a lookup table, by itself or in the function that it calls."""
        return node.op in _FILLING or (
            node.op in _CALLS and not self.filling.isdisjoint(node.calls())
        )

    def known(self, scope: _Scope, output: str) -> bool:
        """Whether an output of a signature is that of a function which was followed already."""
        node = scope.body.nodes.get(node_of(output))
        if node is None or node.op not in _CALLS:
            return False
        sources = {op_of(scope.body, i) for i in node.inputs}
        called = [self.functions.get(name) for name in node.calls()]
        return sources <= {"Placeholder", "VarHandleOp", "HashTableV2"} and all(
            f is not None and (f.name in self.done or self.only_calls(f)) for f in called
        )

    def others(self, graph: MetaGraph) -> None:
        """What else can be called on the object that loading gives."""
        if not graph.objects:
            return
        top = [n for name, n in graph.objects[0].children if 0 <= n < len(graph.objects)
               and not name.startswith("_")]  # fmt: skip
        for number in top:
            for name in graph.objects[number].functions:
                function = graph.functions.get(name)
                if function is None or name in self.done or self.only_calls(function):
                    continue
                bound = graph.bound.get(name, ())
                own = len(function.inputs) - len(bound)
                given: list[int] = []
                for place, argument in enumerate(function.inputs):
                    if place < own:
                        shape = _argument_shape(function, place)
                        given.append(self.w.input(argument.name, argument.type.name, shape))
                    else:
                        given.append(self.bound_to(graph, bound[place - own]))
                made = self.call(name, given, {}, name)
                self.w.graph.outputs += [v for v in made if v != ABSENT]

    def only_calls(self, function: tf.Function) -> bool:
        """Whether it does nothing but call what was followed already."""
        return all(
            node.op in ("Identity", "NoOp", "Const")
            or (node.op in _CALLS and all(name in self.done for name in node.calls()))
            for node in function.nodes
        )

    def bound_to(self, graph: MetaGraph, number: int) -> int:
        """An object that a function holds on to."""
        if not 0 <= number < len(graph.objects):
            return self.w.graph.value("")
        saved = graph.objects[number]
        made = self.w.graph.value(saved.name, "resource", ())
        if saved.kind == "variable":
            shape = shape_of(saved.shape, saved.name)
            key = self.object_keys.get(number, "")
            self.handles[made] = Variable(f"object {number}", saved.type.name, shape, key)
        makers = [n for name, n in saved.children if name == "_create_resource"]
        for name in (f for n in makers for f in graph.objects[n % len(graph.objects)].functions):
            for node in graph.functions[name].nodes if name in graph.functions else ():
                shared = node.attributes.get("shared_name")
                if isinstance(shared, tf.Text):
                    self.w.graph.values[made].name = self.document.text(shared, 400)
        return made

    # Bodies ------------------------------------------------------------------------------------

    def lay_out(self, scope: _Scope, outputs: Sequence[str]) -> list[int]:
        """Lay out what some outputs need; their values."""
        for name in in_order(scope.body, [node_of(o) for o in outputs]):
            if name in scope.values:
                continue
            if not self.w.goes_on():
                break
            self.node(scope, scope.body.nodes[name])
        return [self.value(scope, o) for o in outputs]

    def value(self, scope: _Scope, reference: str) -> int:
        """What a reference to an output means."""
        name, _, rest = reference.partition(":")
        if name in scope.arguments:
            return scope.arguments[name]
        values = scope.values.get(name)
        if not values:
            return self.w.graph.value(reference)
        node = scope.body.nodes[name]
        place = place_of(node, rest, self.functions)
        return values[place] if place < len(values) else self.w.graph.value(reference)

    def call(
        self, name: str, given: Sequence[int], attributes: Mapping[str, Any], label: str
    ) -> list[int]:
        """What a function makes of values."""
        function = self.functions.get(name)
        if function is None or not self.w.goes_on():
            return []
        self.done.add(name)
        body = self.bodies.get(name)
        if body is None:
            body = self.bodies[name] = body_of(function.nodes)
        scope = _Scope(body, {**function.attributes, **attributes})
        scope.arguments = {a.name: v for a, v in zip(function.inputs, given, strict=False)}
        outer = self.w.origin
        self.w.origin = (*outer, label)
        returns = [function.returns.get(o.name, "") for o in function.outputs]
        made = self.lay_out(scope, [*returns, *function.always])[: len(returns)]
        self.w.origin = outer
        return made

    # Nodes -------------------------------------------------------------------------------------

    def node(self, scope: _Scope, node: Node) -> None:
        w = self.w
        w.label = node.name
        inputs = [self.value(scope, i) for i in node.inputs if not i.startswith("^")]
        if scope.body.branches:
            scope.guards[node.name] = self.guarded(scope, node)
        attributes = {k: self.attribute(v, scope.given) for k, v in node.attributes.items()}
        for key in _TEXTS & attributes.keys():
            attributes[key] = self.texts(attributes[key])
        count = max(1, scope.body.wanted.get(node.name, 1))
        made = self.special(scope, node, inputs, attributes, count)
        w.rough = ""
        if made is None:
            made = apply(w, node.op, attributes, inputs)
        if made is None:
            made = w.ops(f"tf::{node.op}", inputs, count)
        shapes = as_tuple(attributes.get("_output_shapes"))
        type = "bool" if node.op in _BOOLS else ""
        for key in _TYPES:
            said = attributes.get(key)
            if not type and isinstance(said, str):
                type = said
        values: list[int] = []
        for place, value in enumerate(made):
            if value in inputs and value not in self.handles:
                value = w.op("Identity", value)
            shape = shapes[place] if place < len(shapes) else None
            known = shape_of(shape, node.name) if isinstance(shape, tf.Shape) else None
            if value not in inputs:
                w.declare(value, type if place == 0 or not w.type(value) else "", known)
            values.append(value)
        scope.values[node.name] = values

    def attribute(self, value: Any, given: Mapping[str, Any]) -> Any:
        """An attribute as rules read it."""
        if isinstance(value, tf.Parameter):
            value = given.get(value.name)
            value = None if isinstance(value, tf.Parameter) else value
        if isinstance(value, tf.Type):
            return value.name
        if isinstance(value, tuple):
            return tuple(self.attribute(v, given) for v in value)
        return value

    def texts(self, value: Any) -> Any:
        """An attribute that is text, or texts."""
        if isinstance(value, tuple):
            return tuple(self.texts(v) for v in value[:SMALL])
        return self.document.text(value, 400) if isinstance(value, tf.Text) else value

    def special(
        self,
        scope: _Scope,
        node: Node,
        inputs: list[int],
        attributes: Mapping[str, Any],
        count: int,
    ) -> Sequence[int] | None:
        """What has state, calls functions or steers; None for everything else."""
        op, w = node.op, self.w
        if op == "Const":
            tensor = attributes.get("value")
            return [self.tensor(node.name, tensor) if isinstance(tensor, tf.Tensor)
                    else w.graph.value(node.name)]  # fmt: skip
        if op in _INPUTS:
            return [self.placeholder(node, attributes, place) for place in range(count)]
        if op in ("HashTableV2", "HashTable", "MutableHashTableV2"):
            name = str(attributes.get("shared_name") or node.name)
            return [w.graph.value(name, "resource", ())]
        if op in _FILLING and inputs:
            listed = op in ("LookupTableImportV2", "InitializeTableV2") and len(inputs) > 2
            numbered = attributes.get("value_index") == -1
            if listed or numbered:
                name = w.graph.values[inputs[0]].name
                self.tables[name] = inputs[2] if listed else ABSENT
        if op in SILENT:
            return []
        if op in ("LookupTableFindV2", "LookupTableFind") and len(inputs) > 2:
            return self.looked_up(*inputs[:3])
        if op == "Identity" and inputs and inputs[0] in self.handles:
            return inputs[:1]
        if op in ("IdentityN", "IdentityV2"):
            return [v if v in self.handles else w.op("Identity", v) for v in inputs]
        if op in ("VarHandleOp", "VariableV2", "Variable"):
            handle = w.graph.value(node.name, "resource", ())
            said = attributes.get("shape")
            shape = shape_of(said, node.name) if isinstance(said, tf.Shape) else None
            name = str(attributes.get("shared_name") or node.name)
            type, key = str(attributes.get("dtype", "float32")), self.keys.get(node.name, "")
            self.handles[handle] = Variable(name, type, shape, key)
            return [handle if op == "VarHandleOp" else self.read(handle)]
        if op == "ReadVariableOp" and inputs:
            return [w.op("Identity", self.read(inputs[0]))]
        if op == "ResourceGather" and len(inputs) > 1:
            return [w.op("Gather", self.read(inputs[0]), inputs[1], axis=0)]
        if op == "ResourceGatherNd" and len(inputs) > 1:
            return [w.op("GatherND", self.read(inputs[0]), inputs[1])]
        if op in ASSIGNING:
            if inputs and inputs[0] in self.handles:
                if self.serving or not self.drifts(op, inputs):
                    self.assigned.add(self.handles[inputs[0]].name)
            elif inputs:
                self.assigned.add(w.graph.values[inputs[0]].name)
            return inputs[1:2]
        return self.control(scope, node, inputs, attributes, count)

    def control(
        self,
        scope: _Scope,
        node: Node,
        inputs: list[int],
        attributes: Mapping[str, Any],
        count: int,
    ) -> Sequence[int] | None:
        """Calls, branches and loops, those of TensorFlow 1 too."""
        op, w, label = node.op, self.w, node.name
        called = attributes.get("f")
        if op in self.functions:
            return self.call(op, inputs, attributes, label)
        if op in _CALLS and isinstance(called, tf.Call):
            return self.call(called.function, inputs, self.passed(called, scope.given), label)
        if op in ("If", "StatelessIf") and inputs:
            names = [attributes.get("then_branch"), attributes.get("else_branch")]
            return self.branch(inputs[0], inputs[1:], names, scope, label)
        if op in ("Case", "StatelessCase") and inputs:
            return self.case(inputs, attributes.get("branches", ()), scope, label)
        if op in ("While", "StatelessWhile"):
            return self.loop(inputs, attributes, scope, label)
        if op in SWITCHES and len(inputs) > 1:
            ways = count if op == "_SwitchN" else 2
            return [w.op("Identity", inputs[0]) for _ in range(ways)]
        if op in ("Merge", "RefMerge"):
            return self.merge(scope, node, inputs)
        if op in ("Enter", "RefEnter", "NextIteration", "LoopCond", "RefNextIteration") and inputs:
            if inputs[0] in self.handles:
                return inputs[:1]
            return [w.op("Identity", inputs[0])]
        if op in ("Exit", "RefExit") and inputs:
            return self.leave(scope, node, inputs)
        return None

    def passed(self, called: tf.Call, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            k: given.get(v.name) if isinstance(v, tf.Parameter) else v
            for k, v in called.attributes.items()
        }

    def branch(
        self, test: int, given: list[int], names: Sequence[Any], scope: _Scope, label: str
    ) -> list[int]:
        both: list[list[int]] = []
        for which, called in zip(("then", "else"), names, strict=False):
            name = called.function if isinstance(called, tf.Call) else ""
            passed = self.passed(called, scope.given) if isinstance(called, tf.Call) else {}
            both.append(self.call(name, given, passed, f"{label} {which}"))
        self.w.label = label
        count = min(map(len, both), default=0)
        if not count:
            return []
        return self.w.ops("If", [test, *both[0][:count], *both[1][:count]], count)

    def case(self, inputs: list[int], names: Any, scope: _Scope, label: str) -> list[int] | None:
        calls = [c for c in names if isinstance(c, tf.Call)] if isinstance(names, tuple) else []
        results = [
            self.call(c.function, inputs[1:], self.passed(c, scope.given), f"{label} {n}")
            for n, c in enumerate(calls)
        ]
        self.w.label = label
        if not results:
            return None
        made = results[-1]
        for number, result in reversed(list(enumerate(results[:-1]))):
            test = self.w.compare("Equal", inputs[0], self.w.held("int32", (number,)))
            count = min(len(result), len(made))
            if count:
                made = self.w.ops("If", [test, *result[:count], *made[:count]], count)
        return made

    def loop(
        self, inputs: list[int], attributes: Mapping[str, Any], scope: _Scope, label: str
    ) -> list[int] | None:
        test, body = attributes.get("cond"), attributes.get("body")
        if not isinstance(test, tf.Call) or not isinstance(body, tf.Call):
            return None
        given = [v if v in self.handles else self.carried(v) for v in inputs]
        held = self.call(test.function, given, self.passed(test, scope.given), f"{label} condition")
        self.w.label = label
        left = self.call(body.function, given, self.passed(body, scope.given), f"{label} body")
        self.w.label = label
        made: list[int] = []
        turning: list[tuple[int, int, int]] = []
        for start, begins, last in zip(inputs, given, left, strict=False):
            if start in self.handles:
                made.append(start)
                continue
            made.append(self.repeated([last], start, held[:1]))
            turning.append((begins, last, made[-1]))
        self.goes_round(turning, held[0] if held else ABSENT)
        return made

    def goes_round(self, turning: list[tuple[int, int, int]], test: int) -> None:
        """Say what a loop begins with, hands on and leaves."""
        if turning:
            begins, last, left = zip(*turning, strict=True)
            self.w.graph.loops.append(Loop(begins, last, left, test))

    def carried(self, start: int) -> int:
        """What the body of a loop begins with."""
        made = self.w.op("Carried", start)
        self.w.declare(made, self.w.type(start), None)
        return made

    def repeated(self, last: Sequence[int], start: int, turns: Sequence[int]) -> int:
        """What a loop leaves."""
        made = self.w.op("Repeated", *last, start, *(turns or (ABSENT,)))
        self.w.declare(made, self.w.type(start), None)
        return made

    def merge(self, scope: _Scope, node: Node, inputs: list[int]) -> list[int]:
        w = self.w
        sources = [i for i in node.inputs if not i.startswith("^")]
        fresh = [
            v for v, i in zip(inputs, sources, strict=False)
            if scope.body.nodes.get(node_of(i)) is None
            or not scope.body.nodes[node_of(i)].op.endswith("NextIteration")
        ]  # fmt: skip
        if len(fresh) < len(inputs):  # a loop begins
            return [self.carried(fresh[0])] if fresh else []
        ways = [self.guard(scope, i) for i in sources]
        for test, _ in sorted(ways[0]) if len(inputs) > 1 else ():
            sides = {place: v for way, v in zip(ways, inputs, strict=True)
                     for asked, place in way if asked == test}  # fmt: skip
            if len(sides) == len(inputs):
                scope.guards[node.name] = frozenset(g for way in ways for g in way if g[0] != test)
                return [self.chosen(test, sides), w.cast(test, "int32")]
        return [w.op("Repeated", *inputs, ABSENT), w.graph.value("")]

    def chosen(self, test: int, sides: Mapping[int, int]) -> int:
        """One of the values of several branches: of two by what is true, of more by number, the
        last one for all other numbers."""
        if sides.keys() == {0, 1} and not self.w.type(test).startswith("int"):
            return self.w.op("If", test, sides[1], sides[0])
        *others, last = sorted(sides)
        made = sides[last]
        for place in reversed(others):
            here = self.w.compare("Equal", test, self.w.held("int32", (place,)))
            made = self.w.op("If", here, sides[place], made)
        return made

    def leave(self, scope: _Scope, node: Node, inputs: list[int]) -> list[int]:
        """What a loop leaves: the value that it began with, or that of the last round."""
        if inputs[0] in self.handles:
            return inputs[:1]
        variable, frame = scope.body.exits.get(node.name, ("", None))
        if frame is None:
            return [self.repeated([], inputs[0], ())]
        if variable not in scope.left:
            self.close(scope, frame)
        left = scope.left.get(variable)
        return [self.repeated([], inputs[0], ()) if left is None else left]

    def close(self, scope: _Scope, frame: Frame) -> None:
        """All that a loop leaves."""
        test = self.value(scope, frame.test)
        turning: list[tuple[int, int, int]] = []
        for merge, back in frame.variables.items():
            begins = scope.values.get(merge, [ABSENT])[0]
            producer = self.w.graph.values[begins].producer if begins != ABSENT else ABSENT
            if producer == ABSENT or self.w.graph.operations[producer].op != "Carried":
                continue
            last, start = self.value(scope, back), self.w.graph.operations[producer].inputs[0]
            scope.left[merge] = self.repeated([last], start, [test])
            turning.append((begins, last, scope.left[merge]))
        self.goes_round(turning, test)

    def guarded(self, scope: _Scope, node: Node) -> Guards:
        """The branches that a node stands in: tests and how they came out."""
        found: set[tuple[int, int]] = set()
        for reference in node.inputs:
            found |= self.guard(scope, reference)
            if len(found) > GUARDS:
                self.w.leave_out(f"more than {GUARDS} branches within each other")
                return frozenset()
        return frozenset(found)

    def guard(self, scope: _Scope, reference: str) -> Guards:
        name = node_of(reference)
        before = scope.guards.get(name, frozenset())
        node = scope.body.nodes.get(name)
        if node is None or node.op not in SWITCHES or reference.startswith("^"):
            return before
        tests = [i for i in node.inputs if not i.startswith("^")][1:2]
        if not tests or op_of(scope.body, tests[0]) == "LoopCond":
            return before
        side = place_of(node, reference.partition(":")[2], self.functions)
        return before | {(self.value(scope, tests[0]), side)}


def _argument_shape(function: tf.Function, place: int) -> Shape | None:
    shapes = function.attributes.get("_input_shapes")
    if isinstance(shapes, tuple) and place < len(shapes) and isinstance(shapes[place], tf.Shape):
        return shape_of(shapes[place], f"{function.name}.{place}")
    return None
