"""The computation graph of a TorchScript archive: `forward` of the module, followed on symbols
(`analysis/torchscript_code.py`). A number that has a default is taken at that.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Final

from weighbridge.analysis.aten import UNKNOWN, Ref
from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Shape
from weighbridge.analysis.graph_writer import TOO_MUCH, Full, Writer
from weighbridge.analysis.torchscript_builtins import OptionalRef, Raised
from weighbridge.analysis.torchscript_code import Code
from weighbridge.analysis.torchscript_objects import Module, Objects
from weighbridge.core.document import Malformed
from weighbridge.formats.torchscript import TorchScript


def graph_of(archive: TorchScript) -> ComputationGraph:
    """The graph that the module's `forward` runs. Where nothing says what shape the inputs have,
    the first reading finds how many dimensions they need, the second goes by that."""
    first = _read(archive, {})
    if all(first.graph.values[i].shape is not None for i in first.graph.inputs):
        return first.graph
    shapes = _needed(first)
    second = _read(archive, shapes) if shapes else first
    return first.graph if second.graph.left_out and not first.graph.left_out else second.graph


def _read(archive: TorchScript, shapes: Mapping[str, Shape]) -> Writer:
    reader = _Reader(archive, shapes)
    try:
        reader.forward()
    except Full:
        reader.w.leave_out(TOO_MUCH)
    except Malformed as error:
        reader.w.leave_out(error.why)
    except RecursionError:
        reader.w.leave_out("code that is nested too deeply")
    return reader.w


_ELEMENT_BY_ELEMENT: Final = frozenset(
    {"Cast", "Clip", "Relu", "Abs", "Neg", "Add", "Sub", "Mul", "Div", "Pad", "Slice", "Identity",
     "Where", "If", "Carried", "Repeated", "Exp", "Log", "Sigmoid", "Max", "Min", "Resize",
     "ScatterND"}
)  # fmt: skip


def _needed(w: Writer) -> dict[str, Shape]:
    """The shapes that the inputs must have for what is done with them."""
    graph = w.graph
    source: dict[int, str] = {number: graph.values[number].name for number in graph.inputs}
    put_in: dict[int, int] = {}
    found: dict[str, Shape] = {}
    for operation in graph.operations:
        op, inputs = operation.op, operation.inputs
        data = [source[i] for i in inputs if i in source]
        if not data:
            continue
        name = data[0]
        weight = w.shape(inputs[1]) if len(inputs) > 1 and inputs[1] != ABSENT else None
        if op in ("Conv", "ConvTranspose") and inputs[0] in source and weight:
            groups = operation.attributes.get("group", 1)
            channels = weight[1] * groups if isinstance(weight[1], int) else f"{name}.1"
            whole: Shape = (f"{name}.0", channels, *(f"{name}.{i}" for i in range(2, len(weight))))
            axis = put_in.get(inputs[0])
            found.setdefault(name, whole if axis is None else whole[:axis] + whole[axis + 1 :])
        elif op == "Gather" and inputs[0] not in source and len(w.shape(inputs[0]) or ()) == 2:
            found.setdefault(name, (f"{name}.0", f"{name}.1"))
        elif op in ("LSTM", "GRU", "RNN") and inputs[0] in source:
            width = weight[-1] if weight else f"{name}.2"
            found.setdefault(name, (f"{name}.0", f"{name}.1", width))
        elif op == "MatMul" and inputs[0] in source and weight and len(weight) == 2:
            found.setdefault(name, (f"{name}.0", weight[0]))
        if op in _ELEMENT_BY_ELEMENT:
            source.update(dict.fromkeys(operation.outputs[:1], name))
        elif op == "Unsqueeze" and inputs[0] in source:
            axes = w.known(inputs[1])
            if axes is not None and len(axes) == 1 and axes[0] >= 0:
                source[operation.outputs[0]] = name
                put_in[operation.outputs[0]] = axes[0]
    return found


class _Reader:
    def __init__(self, archive: TorchScript, shapes: Mapping[str, Shape]) -> None:
        self.shapes, self.w = shapes, Writer()
        self.objects = Objects(archive, self.w)

    def forward(self) -> None:
        """Lay out what `forward` does. Raises `Malformed` where the archive is broken."""
        top = self.objects.of("data", "")
        if not isinstance(top, Module):
            raise Malformed("the archive's object is no module")
        constants = self.objects.of("constants", "CONSTANTS")
        code = Code(self.w, self.objects)
        code.constants = constants if isinstance(constants, list) else ()
        methods = [self.objects.method(top.kind, name) for name in ("forward", "forward__0")]
        method = methods[0] or methods[1]
        if method is None:
            self.w.leave_out("a module without `forward`")
            return
        known = self.objects.traced()
        given: list[Any] = [top]
        defaults = len(method.args.args) - len(method.args.defaults)
        for number, argument in enumerate(method.args.args[1:]):
            if number + 1 >= defaults:
                default = code.value(method.args.defaults[number + 1 - defaults], {})
                if isinstance(default, bool | int | float):
                    given.append(default)
                    continue
            written = ast.unparse(argument.annotation) if argument.annotation else "Tensor"
            shape = known[number] if number < len(known) else None
            given.append(self.input(argument.arg, written, shape))
        try:
            self.outputs(code.call(method, given, {}, ""))
        except Raised:
            self.w.leave_out("a `forward` that ends with an exception")
        if not self.w.graph.outputs:
            self.w.leave_out("what `forward` gives")

    def input(self, name: str, written: str, known: Any) -> Any:
        """An argument of `forward`, by the type that the code gives it."""
        if written.startswith("Optional["):
            inner = self.input(name, written[9:-1], known)
            return OptionalRef(inner.number) if isinstance(inner, Ref) else UNKNOWN
        if written.startswith("Tuple["):
            parts = _split(written[6:-1])
            return [self.input(f"{name}.{i}", part, None) for i, part in enumerate(parts)]
        if written.startswith("List[Tensor"):
            return [self.input(f"{name}.0", "Tensor", None)]
        if written.startswith("Dict["):
            return UNKNOWN
        plain = {"int": "int64", "float": "float32", "bool": "bool", "number": "float32"}
        if written in plain:
            return Ref(self.w.input(name, plain[written], ()))
        if written != "Tensor":
            return UNKNOWN
        type, shape = known or ("", self.shapes.get(name))
        return Ref(self.w.input(name, type, shape))

    def outputs(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            here = waiting.pop(0)
            if isinstance(here, Ref):
                self.w.graph.outputs.append(here.number)
            elif isinstance(here, list):
                waiting += here
            elif isinstance(here, dict):
                waiting += here.values()


def _split(written: str) -> list[str]:
    """The parts of a type's arguments."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(written):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            parts.append(written[start:at].strip())
            start = at + 1
    return [*parts, written[start:].strip()]
