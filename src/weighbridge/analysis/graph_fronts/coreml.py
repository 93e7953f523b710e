"""The computation graph of a Core ML model: programs (MIL), networks in layers, pipelines of them.

Messages: `Model.proto`, `MIL.proto`, `NeuralNetwork.proto`. Values of a program are declared with
their shapes; numbers stand in the program or in the file that it keeps its weights in, those of a
network in its layers. Models of other kinds (trees, regressions) are followed as something unknown
where they stand in a pipeline, and have no graph by themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Constant,
    Numbers,
    Shape,
)
from weighbridge.analysis.coreml_network import Network
from weighbridge.analysis.coreml_operators import Call, spelt
from weighbridge.analysis.graph_writer import DEPTH, Full, Writer
from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob, beside
from weighbridge.formats.coreml import HEADER, KINDS, MODEL_PATH, SENTINEL, CoreMl
from weighbridge.formats.protobuf import Kind, Message, Schema, Wire, many

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
    return front.w.finished(front.build)


class _Front:
    def __init__(self, model: CoreMl) -> None:
        self.model, self.w = model, Writer()
        self.w.rough = "CoreML's"  # no runtime is here that it could be compared with
        self.files: dict[str, Blob | None] = {}
        self.words: dict[int, str] = {}
        self.ends: list[int] = []

    def build(self) -> None:
        env: dict[str, int] = {}
        self.lay_out(self.model.model, env, inside=False)
        names = [f.get("name", "") for f in _features(self.model.model, "output")]
        found = [env[name] for name in names if name in env] + self.ends
        self.w.graph.outputs = list(dict.fromkeys(n for n in found if n != ABSENT))

    def lay_out(self, model: Message, env: dict[str, int], *, inside: bool) -> None:
        """Lay out a model; one in a pipeline takes what those before it gave, by name."""
        kind = next((k for k in KINDS.values() if k in model), "")
        if kind.startswith("pipeline"):
            pipeline = model[kind] if kind == "pipeline" else model[kind].get("pipeline", {})
            for inner in pipeline.get("model", ()):
                self.ends = []
                self.lay_out(inner, env, inside=True)
        elif kind.startswith("neuralNetwork"):
            self.network(model, model[kind], env)
        elif kind == "mlProgram":
            self.program(model[kind], env)
        elif inside:
            self.other(model, kind, env)

    def network(self, model: Message, network: Message, env: dict[str, int]) -> None:
        """A neural network in layers."""
        image = ""
        for feature in _features(model, "input"):
            name = feature.get("name", "")
            image = image or (name if "image" in feature.get("type", {}) else "")
            if name not in env:
                env[name] = self.w.input(name, *_featured(feature, network))
        front = Network(self.w, self.model.blob)
        front.prepare(network, image, env)
        front.run(network, env)
        last = network.get("probabilities") or next(
            (n for layer in network.get("layer", ())[-1:] for n in layer.get("output", ())), ""
        )
        self.ends = [env.get(last, ABSENT)]

    def program(self, program: Message, env: dict[str, int]) -> None:
        """An ML program: all its functions."""
        for function in program.get("function", ()):
            value = function.get("value", {})
            inner: dict[str, int] = {}
            for given in value.get("input", ()):
                name = given.get("name", "")
                type, shape = _declared(given.get("type", {}), name)
                if name not in env:
                    env[name] = self.w.input(name, type, shape)
                inner[name] = env[name]
            for block in value.get("block", ())[:1]:
                body = block.get("value", {})
                outputs = self.block(body, inner)
                env.update(zip(body.get("output", ()), outputs, strict=False))
                self.ends += outputs

    def other(self, model: Message, kind: str, env: dict[str, int]) -> None:
        """A model of another kind, in a pipeline."""
        given = []
        for feature in _features(model, "input"):
            name = feature.get("name", "")
            if name not in env:
                env[name] = self.w.input(name, *_featured(feature, {}))
            given.append(env[name])
        names = [f.get("name", "") for f in _features(model, "output")]
        self.w.label = kind
        if kind == "nonMaximumSuppression" and len(given) >= 2 and len(names) == 2:
            chosen = self.w.op("NonMaxSuppression", *given[:2])
            made: Sequence[int] = [self.w.op("Gather", n, chosen, axis=0) for n in given[:2]]
        elif kind == "identity":
            made = given
        else:
            made = self.w.ops(f"coreml::{kind}", max(1, len(names)), *given)
        env.update(zip(names, made, strict=False))
        self.ends = list(made)

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
            return (self.constant(kind, attributes, given, declared[:1]),)
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

    def constant(
        self, kind: str, said: Mapping[str, Message], given: Mapping[str, list[int]],
        declared: Sequence[tuple[str, Shape | None]],
    ) -> int:  # fmt: skip
        """A constant, whole or compressed. What is packed in fewer than eight bits, looked up or
        mostly nothing is known by its shape."""
        if kind == "const" and "val" in said:
            return self.value(said["val"], self.w.label)
        parts = {k: self.value(v, f"{self.w.label}.{k}") for k, v in said.items()}
        parts |= {k: row[0] for k, row in given.items() if row and row[0] != ABSENT}
        type, shape = declared[0] if declared else ("", ())
        whole = {k: v for k, v in parts.items() if self.w.type(v) in _WIDTHS}
        if kind == "constexpr_affine_dequantize" and {"quantized_data", "scale"} <= whole.keys():
            zero = (whole["zero_point"],) if "zero_point" in whole else ()
            axis = self.w.known(whole["axis"]) if "axis" in whole else None
            place = int(axis[0]) if axis and not isinstance(axis[0], str) else 0
            return self.w.op("DequantizeLinear", whole["quantized_data"], whole["scale"], *zero,
                             axis=place, shape=shape)  # fmt: skip
        if kind == "constexpr_cast" and "source_val" in whole:
            return self.w.cast(whole["source_val"], type)
        sizes = tuple(d for d in shape or () if isinstance(d, int))
        return self.w.constant(self.w.label, Constant(type, sizes))

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


def _features(model: Message, key: str) -> Sequence[Message]:
    found: Sequence[Message] = model.get("description", {}).get(key, ())
    return found


def _featured(feature: Message, network: Message) -> tuple[str, Shape | None]:
    """The type and shape of an input of a network. Arrays have one axis before them that the
    description leaves out, if they are not taken as they are, and then stand for channels, height
    and width."""
    name, said = feature.get("name", ""), feature.get("type", {})
    if "image" in said:
        image = said["image"]
        channels = 1 if image.get("colours") in _GRAY else 3
        return "float32", (f"{name}.0", channels, image.get("height", 0), image.get("width", 0))
    array = said.get("array")
    if array is None:
        return "float32", ()
    type = _ARRAYS.get(array.get("type", 0), "float32")
    shape = tuple(n if n > 0 else f"{name}.{i}" for i, n in enumerate(array.get("shape", ())))
    if network.get("arrays") or len(shape) not in (1, 3):
        return type, shape
    return type, (f"{name}.n", *shape, *((1, 1) if len(shape) == 1 else ()))


_GRAY: Final = (10, 40)
_ARRAYS: Final = {65568: "float32", 65600: "float64", 131104: "int32", 65552: "float16"}


def _declared(type: Message, name: str) -> tuple[str, Shape | None]:
    tensor = type.get("tensor") or type.get("state", {}).get("wrapped", {}).get("tensor")
    if tensor is None:
        return "", None
    shape = tuple(
        max(0, d["constant"].get("size", 0)) if "constant" in d else f"{name}.{i}"
        for i, d in enumerate(tensor.get("dimension", ()))
    )
    return _TYPES.get(tensor.get("type", 0), ""), shape
