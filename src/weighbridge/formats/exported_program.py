"""A program that `torch.export` saved: its graph in JSON.

Layout: `torch/_export/serde/schema.py` (schema versions 3 to 8): dataclasses as objects, unions as
objects with one key that names the case. In an archive it is `models/<name>.json`, before torch 2.8
`serialized_exported_program.json`. Names of values are unique within a graph; the graphs that a
higher-order operator calls are among its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.finding import Gap, GapKind
from weighbridge.core.format import Format, Limits, Loading, Sample
from weighbridge.core.location import Location
from weighbridge.core.regex import regex
from weighbridge.core.tree import Blob
from weighbridge.formats.text import JSON_LIMIT, text_kind

DEPTH: Final = 64
NODES: Final = 500_000
_KEY: Final = regex(rb'"graph_module"\s*:\s*\{')
_WRITTEN: Final = regex(rb'"graph_module"|\\u00(?:[67]|5[fF])')
"""The key that every such program has, or letters that are spelled so that it cannot be seen."""
_NAME: Final = regex(r"(?:.*/)?(?:models/[^/]+|serialized_exported_program)\.json$")

TYPES: Final = {
    1: "BYTE", 2: "CHAR", 3: "SHORT", 4: "INT", 5: "LONG", 6: "HALF", 7: "FLOAT", 8: "DOUBLE",
    9: "COMPLEXHALF", 10: "COMPLEXFLOAT", 11: "COMPLEXDOUBLE", 12: "BOOL", 13: "BFLOAT16",
    28: "UINT16", 29: "FLOAT8E4M3FN", 30: "FLOAT8E5M2", 31: "FLOAT8E4M3FNUZ",
    32: "FLOAT8E5M2FNUZ", 33: "FLOAT8E8M0FNU", 34: "UINT32", 35: "UINT64",
}  # fmt: skip


class Argument(Struct, frozen=True):
    """What a node is given or gives: `kind` is the case of the union without `as_`.

    `names` are the values of the graph that it refers to, in order; `value` is what the file says
    for everything else, `graph` the graph that a higher-order operator calls.
    """

    kind: str
    names: tuple[str, ...] = ()
    value: Any = None
    graph: Graph | None = None


class Node(Struct, frozen=True):
    """A step. `target` is what is called, `inputs` the arguments with the names that the operator's
    schema gives them."""

    target: str
    inputs: tuple[tuple[str, Argument], ...]
    outputs: tuple[Argument, ...]
    metadata: dict[str, str]


class TensorMeta(Struct, frozen=True):
    """A tensor's element type and shape; a dimension that is not fixed is an expression."""

    type: str
    shape: tuple[int | str, ...]


class Graph(Struct, frozen=True, eq=False):
    """A graph. `objects` are the native objects that it uses, each with its class."""

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[Node, ...]
    tensors: dict[str, TensorMeta]
    objects: dict[str, str]


class Spec(Struct, frozen=True):
    """What an input or output of the program is: `kind` (`parameter`, `buffer`, `user_input`,
    `buffer_mutation` …), the value of the graph, and the name that it has in the module."""

    kind: str
    argument: Argument
    target: str


class ExportedProgram(GraphDocument, frozen=True, kw_only=True, eq=False):
    """The program.

    `expressions` are the texts that the loader reads as formulas (shapes), `guards` those that it
    runs as Python, `trees` the descriptions of how arguments are nested, in JSON; each once.
    """

    blob: Blob
    torch_version: str
    schema_version: tuple[int, int]
    opsets: dict[str, int]
    graph: Graph
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    expressions: tuple[str, ...]
    guards: tuple[str, ...]
    trees: tuple[str, ...]

    def graphs(self) -> Iterator[Graph]:
        """The main graph, then those that its nodes call, and theirs."""
        waiting = [self.graph]
        while waiting:
            graph = waiting.pop(0)
            yield graph
            for node in graph.nodes:
                waiting += [a.graph for _, a in node.inputs if a.graph is not None]

    def nodes(self) -> Iterator[Node]:
        """Every node of every graph."""
        for graph in self.graphs():
            yield from graph.nodes


def _sniff(sample: Sample) -> bool:
    if text_kind(sample) != "json":
        return False
    if _KEY.search(sample.head):
        return True
    blob = sample.blob
    if not _NAME.match(blob.path):
        return False
    if blob.size > JSON_LIMIT:
        return True
    return bool(_WRITTEN.search(blob.read(0, blob.size)))


EMPTY: Final = Graph((), (), (), {}, {})


def _parse(blob: Blob, where: Location, limits: Limits) -> ExportedProgram:
    if blob.size > JSON_LIMIT:
        why = f"a program of more than {JSON_LIMIT:,} bytes is not read"
        gap = Gap(kind=GapKind.TOO_LARGE, message=why, at=where)
        return _program(blob, where, _Reading(), {}, EMPTY, (gap,))
    try:
        root = json.loads(blob.read(0, blob.size))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {str(error)[:100]}") from None
    if not isinstance(root, dict) or "graph_module" not in root:
        raise Malformed("JSON without a graph_module", 0)
    reading = _Reading()
    module = _mapping(root["graph_module"])
    graph = reading.graph(module.get("graph"), 0)
    return _program(blob, where, reading, root, graph, ())


def _program(
    blob: Blob, where: Location, reading: _Reading, root: dict[str, Any], graph: Graph,
    gaps: tuple[Gap, ...],
) -> ExportedProgram:  # fmt: skip
    module = _mapping(root.get("graph_module", {}))
    signature = _mapping(module.get("signature") or {})
    for entry in _sequence(module.get("module_call_graph")):
        reading.trees_of(_mapping(entry).get("signature"))
    version = root.get("schema_version")
    numbers = _mapping(version) if isinstance(version, dict) else {"major": version}
    opsets = root.get("opset_version")
    return ExportedProgram(
        where=where,
        size=blob.size,
        seen=0 if gaps else blob.size,
        gaps=gaps,
        blob=blob,
        torch_version=str(root.get("torch_version", ""))[:40],
        schema_version=(_number(numbers.get("major")), _number(numbers.get("minor"))),
        opsets={k: v for k, v in _mapping(opsets or {}).items() if isinstance(v, int)},
        graph=graph,
        inputs=tuple(reading.spec(s) for s in _sequence(signature.get("input_specs"))),
        outputs=tuple(reading.spec(s) for s in _sequence(signature.get("output_specs"))),
        expressions=tuple(reading.expressions),
        guards=tuple(g for g in _sequence(root.get("guards_code")) if isinstance(g, str)),
        trees=tuple(reading.trees),
    )


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("a list or a value where the schema has an object")
    return value


def _sequence(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed("an object or a value where the schema has a list")
    return value


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _case(value: Any) -> tuple[str, Any]:
    """The case of a union and what it holds; the others are absent or null."""
    cases = [(k, v) for k, v in _mapping(value).items() if v is not None]
    if len(cases) != 1:
        raise Malformed(f"a union of which {len(cases)} cases are given")
    return cases[0]


class _Reading:
    def __init__(self) -> None:
        self.expressions: dict[str, None] = {}
        self.trees: dict[str, None] = {}
        self.left = NODES

    def graph(self, value: Any, depth: int) -> Graph:
        """A graph and those within it."""
        if depth > DEPTH:
            raise Malformed("graphs are nested too deeply")
        made = _mapping(value)
        for key in ("sym_int_values", "sym_bool_values", "sym_float_values"):
            for symbol in _mapping(made.get(key) or {}).values():
                self.formulas(symbol)
        objects = {
            name: str(_mapping(o).get("class_fqn", ""))
            for name, o in _mapping(made.get("custom_obj_values") or {}).items()
        }
        return Graph(
            inputs=tuple(self.argument(a, depth) for a in _sequence(made.get("inputs"))),
            outputs=tuple(self.argument(a, depth) for a in _sequence(made.get("outputs"))),
            nodes=tuple(self.node(n, depth) for n in _sequence(made.get("nodes"))),
            tensors={
                name: self.tensor(t)
                for name, t in _mapping(made.get("tensor_values") or {}).items()
            },
            objects=objects,
        )

    def node(self, value: Any, depth: int) -> Node:
        self.left -= 1
        if self.left < 0:
            raise Malformed(f"more than {NODES:,} nodes")
        made = _mapping(value)
        if not isinstance(made.get("target"), str):
            raise Malformed("a node without a target")
        inputs = []
        for given in _sequence(made.get("inputs")):
            named = _mapping(given)
            argument = self.argument(named.get("arg"), depth)
            inputs.append((str(named.get("name", "")), argument))
        metadata = made.get("metadata")
        return Node(
            target=made["target"],
            inputs=tuple(inputs),
            outputs=tuple(self.argument(a, depth) for a in _sequence(made.get("outputs"))),
            metadata={k: v for k, v in _mapping(metadata or {}).items() if isinstance(v, str)},
        )

    def argument(self, value: Any, depth: int) -> Argument:
        if isinstance(value, dict) and "name" in value:
            return Argument("tensor", (str(value["name"]),))  # a specification's, without a case
        case, held = _case(value)
        kind = case.removeprefix("as_")
        if kind == "graph":
            return Argument(kind, graph=self.graph(_mapping(held).get("graph"), depth + 1))
        if kind == "string_to_argument":
            inner = [self.argument(v, depth) for v in _mapping(held).values()]
            return Argument(kind, tuple(n for a in inner for n in a.names), list(held))
        names = tuple(_names(held)) if kind in _NAMED else ()
        return Argument(kind, names, held)

    def tensor(self, value: Any) -> TensorMeta:
        made = _mapping(value)
        shape = tuple(self.dimension(d) for d in _sequence(made.get("sizes")))
        for key in ("strides", "storage_offset"):
            self.formulas(made.get(key))
        number = _number(made.get("dtype"))
        return TensorMeta(TYPES.get(number, f"type {number}"), shape)

    def dimension(self, value: Any) -> int | str:
        self.formulas(value)
        case, held = _case(value)
        if case == "as_int" and isinstance(held, int):
            return held
        text = _mapping(held).get("expr_str") if isinstance(held, dict) else held
        return text if isinstance(text, str) else "?"

    def formulas(self, value: Any) -> None:
        """Keep every formula in a value: what stands under `expr_str`."""
        waiting = [value]
        while waiting:
            here = waiting.pop()
            if isinstance(here, list):
                waiting += here
            elif isinstance(here, dict):
                text = here.get("expr_str")
                if isinstance(text, str):
                    self.expressions[text] = None
                waiting += here.values()

    def spec(self, value: Any) -> Spec:
        kind, held = _case(value)
        made = _mapping(held)
        argument = made.get("arg")
        target = next((str(v) for k, v in made.items() if k.endswith("_name")), "")
        if argument is None:
            return Spec(kind, Argument("constant", (), made.get("value")), str(made.get("name")))
        return Spec(kind, self.argument(argument, 0), target)

    def trees_of(self, signature: Any) -> None:
        for key in ("in_spec", "out_spec"):
            tree = _mapping(signature or {}).get(key)
            if isinstance(tree, str):
                self.trees[tree] = None


_NAMED: Final = frozenset(
    {"tensor", "tensors", "optional_tensor", "optional_tensors", "nested_tensors", "sym_int",
     "sym_ints", "sym_bool", "sym_bools", "sym_float", "sym_floats", "custom_obj", "token"}
)  # fmt: skip


def _names(value: Any) -> Iterator[str]:
    """The names of values within an argument, in order."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("name", "as_name") and isinstance(item, str):
                yield item
            else:
                yield from _names(item)


EXPORTED_PROGRAM = Format(
    name="exported-program",
    title="Program exported by torch",
    loading=Loading.CODE,
    sniff=_sniff,
    parse=_parse,
    document=ExportedProgram,
    limits="Up to 40 MiB of JSON. Weights beside it are members of the archive.",
)
