"""The computation graph of a program that `torch.export` saved.

Shapes are those that the file declares of each tensor. Weights and constants are members beside the
program in its archive; each folder of them has a table of contents in JSON
(`torch/export/pt2_archive/constants.py`). Older programs keep them in a pickle, whose tensors are
known by shape only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from weighbridge.analysis.aten import Plain, Ref, Type, run
from weighbridge.analysis.aten_table import ATEN
from weighbridge.analysis.computation_graph import (
    ComputationGraph,
    Constant,
    Shape,
)
from weighbridge.analysis.graph_writer import DEPTH, Full, Writer
from weighbridge.core.document import Malformed
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob, beside
from weighbridge.formats.exported_program import (
    TYPES,
    Argument,
    ExportedProgram,
    Graph,
    Node,
    TensorMeta,
)

CONTENTS_LIMIT: Final = 64 << 20
_ELEMENTS: Final = {
    "BYTE": "uint8", "CHAR": "int8", "SHORT": "int16", "INT": "int32", "LONG": "int64",
    "HALF": "float16", "FLOAT": "float32", "DOUBLE": "float64", "BOOL": "bool",
    "BFLOAT16": "bfloat16", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
}  # fmt: skip
_TARGET: Final = regex(r"torch\.ops\.(\w+)\.(\w+)(?:\.\w+)?")
_PYTHON: Final = regex(r"(?:_operator|operator|math|torch|builtins)\.(?:_?sym_)?(\w+)")
_FOLDERS: Final = (("../data/weights/", "model_weights_config.json"),
                   ("../data/constants/", "model_constants_config.json"))  # fmt: skip


def graph_of(program: ExportedProgram) -> ComputationGraph:
    """The graph that the program runs."""
    front = _Front(program)
    return front.w.finished(front.build)


class _Front:
    def __init__(self, program: ExportedProgram) -> None:
        self.program, self.w = program, Writer()
        self.places = _places(program.blob)

    def build(self) -> None:
        graph = self.program.graph
        if self.program.gaps:
            self.w.leave_out("the program is too large to be read")
        env: dict[str, Any] = {}
        for spec in self.program.inputs:
            for name in spec.argument.names:
                meta = graph.tensors.get(name)
                if spec.kind == "user_input":
                    env[name] = Ref(self.w.input(name, *_declared(meta)))
                else:
                    env[name] = Ref(self._weight(name, spec.target, meta))
        for argument in graph.inputs:
            for name in argument.names:
                if name not in env:
                    env[name] = Ref(self.w.input(name, *_declared(graph.tensors.get(name))))
        self._run(graph, env)
        wanted = [a for spec in self.program.outputs for a in spec.argument.names]
        for name in wanted or [n for a in graph.outputs for n in a.names]:
            if isinstance(env.get(name), Ref):
                self.w.graph.outputs.append(env[name].number)
        if not self.w.graph.outputs:
            self.w.leave_out("what the program gives")

    def _weight(self, name: str, target: str, meta: TensorMeta | None) -> int:
        type, shape = _declared(meta)
        sizes = tuple(d for d in shape or () if isinstance(d, int))
        blob, place = self.places.get(target, (None, None))
        return self.w.constant(target or name, Constant(type, sizes, blob, place))

    def _run(self, graph: Graph, env: dict[str, Any]) -> None:
        for node in graph.nodes:
            self.w.step()
            self.w.label = node.metadata.get("name", "") or next(
                (n for a in node.outputs for n in a.names), node.target
            )
            result = self._node(node, env, graph)
            _bind(node.outputs, result, env)

    def _node(self, node: Node, env: dict[str, Any], graph: Graph) -> Any:
        given = [(name, self._argument(a, env)) for name, a in node.inputs]
        shapes = [_declared(graph.tensors.get(n))[1] for a in node.outputs for n in a.names]
        found = _TARGET.fullmatch(node.target)
        if found is not None:
            space, name = found.groups()
            if space == "higher_order":
                return self._higher(name, node, given, env)
            name = name if space == "aten" else f"{space}::{name}"
            return run(self.w, ATEN, name, (), dict(given), shapes, len(shapes))
        python = _PYTHON.fullmatch(node.target)
        order = [v for _, v in given]
        if python is not None:
            name = _RENAMED.get(python[1], python[1])
            if name == "getitem" and isinstance(order[0], list) and isinstance(order[1], int):
                return order[0][order[1]]
            return run(self.w, ATEN, name, order, {}, shapes)
        return run(self.w, {}, f"python::{node.target[:60]}", order, {}, shapes, len(shapes))

    def _argument(self, argument: Argument, env: Mapping[str, Any]) -> Any:
        kind, value = argument.kind, argument.value
        if kind in ("none", "device", "layout", "memory_format", "graph", "string", "complex"):
            return value if kind == "string" else None
        if kind in ("scalar_type",):
            return Type(_ELEMENTS.get(TYPES.get(value, ""), "")) if isinstance(value, int) else None
        if kind in ("tensor", "optional_tensor", "sym_int", "sym_bool", "sym_float"):
            if argument.names:
                return env.get(argument.names[0])
            return next(iter(value.values()), None) if isinstance(value, dict) else value
        if kind in ("tensors", "optional_tensors", "sym_ints", "sym_bools", "sym_floats"):
            return [_item(v, env) for v in value] if isinstance(value, list) else None
        if argument.names:
            return [env.get(n) for n in argument.names]
        if kind == "float" and isinstance(value, str):  # as JSON cannot write it
            return float(value) if value in ("Infinity", "-Infinity", "NaN") else None
        return value

    # Graphs within the graph ---------------------------------------------------------------------

    def _higher(
        self, name: str, node: Node, given: Sequence[tuple[str, Any]], env: dict[str, Any]
    ) -> Any:
        bodies = [a.graph for _, a in node.inputs if a.graph is not None]
        values = [v for (_, v), (_, a) in zip(given, node.inputs, strict=True) if a.graph is None]
        operands = _flat(values)
        if len(self.w.origin) > DEPTH:
            raise Full
        if name == "cond" and len(bodies) == 2:
            operands = _flat(values[1:])
            both = [self._body(b, operands, f"{self.w.label}.{k}", env)
                    for b, k in zip(bodies, ("then", "else"), strict=True)]  # fmt: skip
            made = []
            for yes, no in zip(*both, strict=False):
                parts = [p.number for p in (values[0], yes, no) if isinstance(p, Ref)]
                made.append(Ref(self.w.op("If", *parts)))
            return made
        if name == "while_loop" and len(bodies) == 2:
            begun = [Ref(self.w.op("Carried", v.number)) if isinstance(v, Ref) else v
                     for v in operands]  # fmt: skip
            goes = self._body(bodies[0], begun, f"{self.w.label}.condition", env)
            ends = self._body(bodies[1], begun, f"{self.w.label}.body", env)
            left = []
            for start, end in zip(operands, ends, strict=False):
                parts = [p.number for p in (end, start, *goes[:1]) if isinstance(p, Ref)]
                left.append(Ref(self.w.op("Repeated", *parts)) if parts else end)
            self.w.loops(
                (b.number, e.number)
                for b, e in zip(begun, ends, strict=False)
                if isinstance(b, Ref) and isinstance(e, Ref)
            )
            return left
        if name in ("scan", "map_impl", "map", "associative_scan") and bodies:
            steps = [Ref(self.w.op("Step", v.number)) if isinstance(v, Ref) else v
                     for v in operands]  # fmt: skip
            return self._body(bodies[0], steps, f"{self.w.label}.body", env)
        if bodies:  # wrappers: a mode is set, and the graph is called
            body = bodies[0]
            count = len(body.inputs)
            return self._body(body, operands[-count:] if count else [], self.w.label, env)
        return run(self.w, {}, f"higher_order::{name}", values, {})

    def _body(self, graph: Graph, given: Sequence[Any], label: str, env: Mapping[str, Any]) -> Any:
        inner = dict(env)
        names = [n for a in graph.inputs for n in a.names]
        inner.update(zip(names, given, strict=False))
        outer, self.w.origin = self.w.origin, (*self.w.origin, label)
        try:
            self._run(graph, inner)
        finally:
            self.w.origin = outer
        return [inner.get(n) for a in graph.outputs for n in a.names]


_RENAMED: Final = {
    "truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "min": "minimum",
    "max": "maximum", "ite": "where", "not": "logical_not", "float": "Float", "int": "Int",
}  # fmt: skip


def _item(value: Any, env: Mapping[str, Any]) -> Any:
    """One of a list of tensors or of numbers that are only known when the program runs."""
    while isinstance(value, dict):
        if isinstance(value.get("name"), str):
            return env.get(value["name"])
        if isinstance(value.get("as_name"), str):
            return env.get(value["as_name"])
        value = next(iter(value.values()), None)
    return value if isinstance(value, int | float) else None


def _flat(values: Sequence[Any]) -> list[Any]:
    return [v for item in values for v in (_flat(item) if isinstance(item, list) else [item])]


def _bind(outputs: Sequence[Argument], result: Any, env: dict[str, Any]) -> None:
    names = [name for argument in outputs for name in argument.names]
    if isinstance(result, Plain):
        result = result.value
    if len(names) == 1 and not isinstance(result, list):
        env[names[0]] = result
    elif isinstance(result, list):
        for name, value in zip(names, result, strict=False):
            env[name] = value


def _declared(meta: TensorMeta | None) -> tuple[str, Shape | None]:
    if meta is None:
        return "", ()  # a number
    return _ELEMENTS.get(meta.type, ""), meta.shape


Place = tuple[Blob | None, tuple[int, int] | None]


def _places(program: Blob) -> dict[str, Place]:
    """Where the bytes of weights and constants are, by their names in the module."""
    found: dict[str, Place] = {}
    for folder, contents in _FOLDERS:
        name = program.path.rpartition("/")[2].removesuffix(".json")
        for table in (f"{name}{contents[5:]}", contents):
            listed = beside(program, folder + table)
            if listed is not None and listed.size <= CONTENTS_LIMIT:
                _listed(program, folder, listed, found)
                break
    return found


def _listed(program: Blob, folder: str, contents: Blob, found: dict[str, Place]) -> None:
    try:
        table = json.loads(contents.read(0, contents.size))
        entries = table["config"].items()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, Malformed, OSError):
        return
    for target, entry in entries:
        if not isinstance(entry, dict) or entry.get("use_pickle"):
            continue
        path, meta = entry.get("path_name"), entry.get("tensor_meta")
        if not isinstance(path, str) or not isinstance(meta, dict):
            continue
        blob = beside(program, folder + path)
        sizes, steps = (_plain(meta.get(key)) for key in ("sizes", "strides"))
        start = _plain([meta.get("storage_offset")])
        width = _WIDTHS.get(_ELEMENTS.get(TYPES.get(_whole(meta.get("dtype")), ""), ""), 0)
        if blob is None or sizes is None or steps is None or start is None or not width:
            continue
        count, dense = 1, True
        for size, step in zip(reversed(sizes), reversed(steps), strict=False):
            dense = dense and (size == 1 or step == count)
            count *= size
        begin = start[0] * width
        if dense and begin + count * width <= blob.size:
            found[target] = blob, (begin, begin + count * width)


_WIDTHS: Final = {
    "uint8": 1, "int8": 1, "bool": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2,
    "int32": 4, "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _plain(value: Any) -> list[int] | None:
    """A list of whole numbers as the file writes it, each in a union."""
    if not isinstance(value, list):
        return None
    out = []
    for item in value:
        number = item.get("as_int") if isinstance(item, dict) else None
        if not isinstance(number, int) or number < 0:
            return None
        out.append(number)
    return out
