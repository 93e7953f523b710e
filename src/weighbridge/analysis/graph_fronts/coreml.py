"""The computation graph of a Core ML program (MIL) in the operators of ONNX.

Operators: `apple.github.io/coremltools`, "MIL Ops"; messages: `MIL.proto`. Values are declared with
their shapes; numbers stand in the program or in the file that it keeps its weights in. Models of
the older kinds (layers of `NeuralNetwork.proto`, trees, pipelines of such) have no program to
follow.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Constant,
    Numbers,
    Shape,
)
from weighbridge.analysis.coreml_operators import Call, spelt
from weighbridge.analysis.graph_writer import DEPTH, TOO_MUCH, Full, Writer
from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob, beside
from weighbridge.formats.coreml import HEADER, MODEL_PATH, SENTINEL, CoreMl
from weighbridge.formats.protobuf import Kind, Message, Schema, Wire, many

READS: Final = CoreMl
HELD: Final = 4_096
"""Up to how many numbers are decoded that stand in the program itself."""
_TYPES: Final = {
    1: "bool", 10: "float16", 11: "float32", 12: "float64", 13: "bfloat16", 21: "int8",
    22: "int16", 23: "int32", 24: "int64", 31: "uint8", 32: "uint16", 33: "uint32", 34: "uint64",
}  # fmt: skip
_WIDTHS: Final = {"bool": 1, "float16": 2, "float32": 4, "float64": 8, "int8": 1, "int16": 2,
                  "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
                  "bfloat16": 2}  # fmt: skip
_LISTS: Final = {"floats": Kind.FLOAT, "ints": Kind.INT, "bools": Kind.INT, "longs": Kind.INT,
                 "doubles": Kind.DOUBLE}  # fmt: skip


def graph_of(model: CoreMl) -> ComputationGraph:
    """The graph of the program's main function, and of what else it has."""
    front = _Front(model)
    try:
        front.build()
    except Full:
        front.w.leave_out(TOO_MUCH)
    return front.w.graph


class _Front:
    def __init__(self, model: CoreMl) -> None:
        self.model, self.w = model, Writer()
        self.files: dict[str, Blob | None] = {}
        self.words: dict[int, str] = {}

    def build(self) -> None:
        for kind in self.model.kinds:
            if kind.startswith("neuralNetwork"):
                self.w.leave_out("a neural network in layers, which is not followed")
        for program in self.model.programs:
            for function in program.get("function", ()):
                value = function.get("value", {})
                env: dict[str, int] = {}
                for given in value.get("input", ()):
                    type, shape = _declared(given.get("type", {}), given.get("name", ""))
                    env[given.get("name", "")] = self.w.input(given.get("name", ""), type, shape)
                for block in value.get("block", ())[:1]:
                    outputs = self.block(block.get("value", {}), env)
                    self.w.graph.outputs += [n for n in outputs if n != ABSENT]

    def block(self, block: Message, env: dict[str, int]) -> list[int]:
        if len(self.w.origin) > DEPTH:
            raise Full
        for operation in block.get("operation", ()):
            self.w.step()
            outputs = operation.get("output", ())
            self.w.label = outputs[0].get("name", "") if outputs else operation.get("type", "")
            for made, number in zip(outputs, self.operation(operation, env), strict=False):
                env[made.get("name", "")] = number
        return [env.get(name, ABSENT) for name in block.get("output", ())]

    def operation(self, operation: Message, env: dict[str, int]) -> Sequence[int]:
        kind = operation.get("type", "")
        declared = [_declared(o.get("type", {}), o.get("name", ""))
                    for o in operation.get("output", ())]  # fmt: skip
        shapes = [shape for _, shape in declared]
        given: dict[str, list[int]] = {}
        for entry in operation.get("input", ()):
            bindings = entry.get("value", {}).get("binding", ())
            given[entry.get("key", "")] = [
                env.get(b["name"], ABSENT) if "name" in b else self.value(b.get("value", {}), "")
                for b in bindings
            ]
        if kind == "const" or kind.startswith("constexpr"):
            attributes = {a.get("key"): a.get("value", {}) for a in operation.get("attribute", ())}
            if kind == "const" and "val" in attributes:
                return (self.value(attributes["val"], self.w.label),)
            type, shape = declared[0] if declared else ("", ())
            sizes = tuple(d for d in shape or () if isinstance(d, int))
            return (self.w.constant(self.w.label, Constant(type, sizes)),)  # packed
        call = Call(self.w, kind, given, shapes, self.words)
        if kind == "cond":
            return self.cond(operation, call, env)
        if kind == "while_loop":
            return self.loop(operation, call, env)
        made = spelt(call)
        if made is not None:
            return made
        inputs = [n for row in given.values() for n in row if n != ABSENT]
        return self.w.ops(f"coreml::{kind[:60]}", max(1, len(shapes)), *inputs, shapes=shapes)

    def value(self, value: Message, name: str) -> int:
        """A constant of the program."""
        type, shape = _declared(value.get("type", {}), name)
        sizes = tuple(d for d in shape or () if isinstance(d, int))
        if "file" in value:
            blob, place = self.place(value["file"], type, sizes)
            return self.w.constant(name, Constant(type, sizes, blob, place))
        tensor = value.get("immediate", {}).get("tensor", {})
        count = 1
        for size in sizes:
            count *= size
        if type not in _WIDTHS:  # a text: the name of a mode or of a type
            span = tensor.get("strings")
            if span is not None and span[1] - span[0] <= 200:
                number = self.w.constant(name, Constant("string", ()))
                self.words[number] = self.text(span)
                return number
            return self.w.constant(name, Constant("string", sizes))
        held = self.held(tensor, type) if count <= HELD else None
        if held is not None:
            return self.w.constant(name, Constant(type, sizes, held=held))
        return self.w.constant(name, Constant(type, sizes))

    def text(self, span: tuple[int, int]) -> str:
        schema = Schema("RepeatedStrings", {1: many("values", Kind.TEXT)})
        try:
            found = Wire(self.model.blob).decode(schema, *span).get("values", [""])
        except (Malformed, struct.error):
            return ""
        return found[0] if found else ""

    def held(self, tensor: Message, type: str) -> Numbers | None:
        """The numbers that stand in the program."""
        try:
            for key, kind in _LISTS.items():
                if key in tensor:
                    start, end = tensor[key]
                    if end - start > HELD * 11:
                        return None
                    schema = Schema("Repeated", {1: many("values", kind)})
                    return tuple(Wire(self.model.blob).decode(schema, start, end).get("values", ()))
            if "bytes" in tensor:
                start, end = tensor["bytes"]
                schema = Schema("RepeatedBytes", {1: many("values", Kind.RANGE)})
                spans = Wire(self.model.blob).decode(schema, start, end).get("values", ())
                for begin, stop in spans[:1]:
                    place = (begin, stop)
                    width = _WIDTHS[type]
                    shape = ((stop - begin) // width,)
                    return Constant(type, shape, self.model.blob, place).numbers(HELD)
        except (Malformed, struct.error):
            return None
        return ()

    def place(
        self, file: Message, type: str, shape: tuple[int, ...]
    ) -> tuple[Blob | None, tuple[int, int] | None]:
        """Where in the file of weights a value is: behind the entry that its offset leads to."""
        path = file.get("name", "").removeprefix(MODEL_PATH)
        if path not in self.files:
            self.files[path] = beside(self.model.blob, path)
        blob, width = self.files[path], _WIDTHS.get(type, 0)
        size = width
        for dimension in shape:
            size *= dimension
        if blob is None:
            return None, None
        try:
            entry = blob.read(file.get("offset", 0), HEADER)
        except (Malformed, OSError):
            return None, None
        if len(entry) < HEADER:
            return None, None
        sentinel, _, length, start = struct.unpack_from("<IIQQ", entry)
        if sentinel != SENTINEL or length < size or not size or start + size > blob.size:
            return None, None
        return blob, (start, start + size)

    # Bodies --------------------------------------------------------------------------------------

    def cond(self, operation: Message, call: Call, env: dict[str, int]) -> Sequence[int]:
        outer, ends = self.w.origin, []
        label = self.w.label
        for block, name in zip(operation.get("block", ())[:2], ("then", "else"), strict=False):
            self.w.origin = (*outer, label, name)
            ends.append(self.block(block, dict(env)))
        self.w.origin, self.w.label = outer, label
        test = call.x("pred")
        return [self.w.op("If", test, *both, shape=shape)
                for *both, shape in zip(*ends, call.shapes, strict=False)]  # fmt: skip

    def loop(self, operation: Message, call: Call, env: dict[str, int]) -> Sequence[int]:
        outer, label = self.w.origin, self.w.label
        begun = [self.w.op("Carried", n) for n in call.given.get("loop_vars", ())]
        ends: list[list[int]] = []
        for block, name in zip(operation.get("block", ())[:2], ("condition", "body"), strict=False):
            inner = dict(env)
            names = [i.get("name", "") for i in block.get("input", ())]
            inner.update(zip(names, begun, strict=False))
            self.w.origin = (*outer, label, name)
            ends.append(self.block(block, inner))
        self.w.origin, self.w.label = outer, label
        last = ends[1] if len(ends) > 1 else begun
        turns = ends[0][0] if ends and ends[0] else ABSENT
        self.w.loops(zip(begun, last, strict=False))
        start = call.given.get("loop_vars", ())
        return [self.w.op("Repeated", end, first, turns, shape=shape)
                for first, end, shape in zip(start, last, call.shapes, strict=False)]  # fmt: skip


def _declared(type: Message, name: str) -> tuple[str, Shape | None]:
    tensor = type.get("tensor") or type.get("state", {}).get("wrapped", {}).get("tensor")
    if tensor is None:
        return "", None
    shape = tuple(
        max(0, d["constant"].get("size", 0)) if "constant" in d else f"{name}.{i}"
        for i, d in enumerate(tensor.get("dimension", ()))
    )
    return _TYPES.get(tensor.get("type", 0), ""), shape
