"""What a TorchScript archive holds: the objects of its pickles, and the code of their classes."""

from __future__ import annotations

import ast
from typing import Any, Final

from msgspec import Struct, field

from weighbridge.analysis.aten import UNKNOWN, Ref
from weighbridge.analysis.computation_graph import Constant
from weighbridge.analysis.graph_writer import Writer
from weighbridge.core.document import Malformed
from weighbridge.formats.pickle_machine import members, pairs
from weighbridge.formats.pickle_values import Call, Global, Mutable, PersistentId, Value
from weighbridge.formats.torchscript import SOURCES_LIMIT, TorchScript

_STORAGES: Final = {
    "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
_WIDTHS: Final = {
    "float32": 4, "float16": 2, "bfloat16": 2, "float64": 8, "int64": 8, "int32": 4, "int16": 2,
    "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
_REBUILT: Final = frozenset(
    {"restore_type_tag", "build_intlist", "build_tensorlist", "build_doublelist", "build_boollist"}
)


class Module(Struct, eq=False):
    """An object: the name of its class, and its attributes."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


class Objects:
    """The archive's objects; tensors are constants of the graph that `w` writes."""

    def __init__(self, archive: TorchScript, w: Writer) -> None:
        self.archive, self.w = archive, w
        self.modules: dict[str, dict[str, ast.stmt]] = {}
        self.pickles: list[Value] = []
        self.made: dict[int, Any] = {}
        """By the identity of what a pickle says, which `pickles` keeps alive."""
        self.room = SOURCES_LIMIT

    def of(self, name: str, prefix: str) -> Any:
        """The objects of a pickle; their names begin with `prefix`. Raises `Malformed`."""
        self.pickles.append(self.archive.pickled(name))
        return self.held(self.pickles[-1], name, prefix)

    def held(self, value: Value, folder: str, name: str) -> Any:
        """What a pickle says, as objects of the program."""
        if type(value) is tuple:
            return [self.held(v, folder, f"{name}.c{i}") for i, v in enumerate(members(value))]
        if type(value) is Mutable and value.kind == "list":
            return [self.held(v, folder, f"{name}.{i}") for i, v in enumerate(members(value))]
        if type(value) is Mutable and value.kind == "dict":
            return {k: self.held(v, folder, f"{name}.{k}") for k, v in pairs(value)
                    if isinstance(k, str | int)}  # fmt: skip
        if type(value) is not Call:
            plain = value is None or isinstance(value, bool | int | float | str)
            return value if plain else UNKNOWN
        if id(value) in self.made:
            return self.made[id(value)]
        if name.count(".") > 500:
            raise Malformed("objects are nested too deeply")
        tensor = _tensor(value)
        if tensor is not None:
            made: Any = Ref(self._constant(name, folder, *tensor))
        elif type(value.callee) is Global and str(value.callee.name) in _REBUILT and value.args:
            made = self.held(value.args[0], folder, name)
        elif type(value.callee) is Global and str(value.callee.module).startswith("__torch__"):
            made = Module(f"{value.callee.module}.{value.callee.name}")
            self.made[id(value)] = made
            state = value.state
            if type(state) is Mutable:
                if state.dropped:
                    self.w.leave_out("attributes of a module with very many of them")
                for key, item in pairs(state):
                    inner = f"{name}.{key}" if name else str(key)
                    made.attributes[str(key)] = self.held(item, folder, inner)
        else:
            made = UNKNOWN
        self.made[id(value)] = made
        return made

    def _constant(
        self, name: str, folder: str, type: str, shape: tuple[int, ...], key: str,
        strides: tuple[int, ...], start: int,
    ) -> int:  # fmt: skip
        blob = self.archive.storage(folder, key)
        width, count, dense = _WIDTHS.get(type, 0), 1, bool(type)
        for size, step in zip(reversed(shape), reversed(strides), strict=False):
            dense = dense and (size == 1 or step == count)
            count *= size
        place = (start * width, (start + count) * width)
        if blob is None or not dense or place[1] > blob.size:
            return self.w.constant(name, Constant(type, shape))
        return self.w.constant(name, Constant(type, shape, blob, place))

    def definitions(self, module: str) -> dict[str, ast.stmt]:
        """The functions and classes of a module of the code. Raises `Malformed`."""
        if module not in self.modules:
            tree, size = self.archive.source(module, self.room)
            self.room -= size
            body = tree.body if tree is not None else []
            self.modules[module] = {
                s.name: s for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)
            }
        return self.modules[module]

    def method(self, kind: str, name: str) -> ast.FunctionDef | None:
        """A method of a class of the code."""
        module, _, plain = kind.rpartition(".")
        found = self.definitions(module).get(plain)
        if not isinstance(found, ast.ClassDef):
            return None
        return next(
            (s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == name), None
        )

    def traced(self) -> list[Any]:
        """The shapes of the inputs that a traced module was traced with."""
        try:
            value = self.archive.pickled("traced_inputs")
        except Malformed:
            return []
        for _ in range(4):
            if type(value) is Call and value.args:
                value = value.args[0]
            if type(value) is Mutable and value.kind == "dict":
                value = next((v for k, v in pairs(value) if k == "forward"), None)
            if type(value) is Mutable and value.kind == "list":
                return [self.example(v) for v in members(value)]
        return []

    def example(self, value: Value) -> Any:
        """The type and shape of an example of an input."""
        tensor = _tensor(value)
        if tensor is None:
            return None
        type, shape, _, _, _ = tensor
        return type, shape


def _tensor(
    value: Value,
) -> tuple[str, tuple[int, ...], str, tuple[int, ...], int] | None:
    """Type, shape, key of the storage, strides and first element of a tensor in a pickle."""
    if type(value) is Call and type(value.callee) is Global and value.args:
        if value.callee.name == "_rebuild_parameter":
            return _tensor(value.args[0])
        if value.callee.name == "_rebuild_tensor_v2" and len(value.args) >= 4:
            storage, start, shape, strides = value.args[:4]
            if type(storage) is not PersistentId or type(storage.id) is not tuple:
                return None
            parts = storage.id
            named = parts[1].name if len(parts) > 2 and type(parts[1]) is Global else ""
            plain = all(
                type(row) is tuple and all(type(n) is int and 0 <= n < 1 << 40 for n in row)
                for row in (shape, strides, (start,))
            )
            if not plain:
                return None
            return _STORAGES.get(str(named), ""), shape, str(parts[2]), strides, start
    return None
