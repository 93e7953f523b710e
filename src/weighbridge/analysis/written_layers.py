"""Layers and branches as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Operation
from weighbridge.analysis.written_pen import Pen
from weighbridge.analysis.written_rules import (
    Given,
    Rule,
    calculable,
    chosen,
    floating,
    kept_attributes,
    needed,
    same,
)
from weighbridge.analysis.written_types import (
    Unwritable,
)
from weighbridge.formats import onnx_written as wire

# Layers ------------------------------------------------------------------------------------------


def _product(pen: Pen, o: Operation, given: Given) -> None:
    pair = pen.alike([needed(given, 0), needed(given, 1)])
    type = pair[0].type
    pen.result(o, pen.node("MatMul", [calculable(pen, x) for x in pair]), type)


def _einsum(pen: Pen, o: Operation, given: Given) -> None:
    if not o.attributes.get("equation"):
        raise Unwritable("a sum of products that is not known")
    operands = pen.alike([needed(given, i) for i in range(len(given))])
    pen.give(o, "Einsum", operands, **kept_attributes(o, "equation"))


def _layer(op: str, allowed: str, count: int) -> Rule:
    """A layer whose parameters have the type of what it is given."""

    def rule(pen: Pen, o: Operation, given: Given) -> None:
        first = needed(given, 0)
        rest = [None if g is None else pen.cast(g, first.type) for g in given[1:count]]
        pen.give(o, op, [first, *rest], **kept_attributes(o, allowed))

    return rule


def _root_mean_square(pen: Pen, o: Operation, given: Given) -> None:
    kept = kept_attributes(o, "axis epsilon stash_type")
    first, weight = needed(given, 0), needed(given, 1)
    if first.rank is None or first.rank < 1:
        raise Unwritable("a normalisation along axes that are not known")
    axis = kept.get("axis", -1) % first.rank
    axes = pen.plain(tuple(range(axis, first.rank)))
    wide = first if first.type == "float64" else pen.cast(first, "float32")
    mean = pen.node("ReduceMean", [pen.node("Mul", [wide, wide]), axes], keepdims=1)
    least = pen.plain((kept.get("epsilon", 1e-5),), wide.type, row=False)
    size = pen.node("Sqrt", [pen.node("Add", [mean, least])])
    made = pen.cast(pen.node("Div", [wide, size]), first.type)
    pen.give(o, "Mul", [made, pen.cast(weight, first.type)])


def _mean_variance(pen: Pen, o: Operation, given: Given) -> None:
    kept = kept_attributes(o, "axes epsilon outside")
    if "epsilon" not in kept:
        raise Unwritable("a normalisation of which the least variance is not known")
    first = floating(pen, needed(given, 0))
    axes = pen.plain(tuple(kept["axes"]))
    least = pen.plain((kept["epsilon"],), first.type, row=False)
    off = pen.node("Sub", [first, pen.node("ReduceMean", [first, axes], keepdims=1)])
    size = pen.node("ReduceMean", [pen.node("Mul", [off, off]), axes], keepdims=1)
    if kept.get("outside"):
        size = pen.node("Add", [pen.node("Sqrt", [size]), least])
    else:
        size = pen.node("Sqrt", [pen.node("Add", [size, least])])
    pen.give(o, "Div", [off, size])


def _dequantize(pen: Pen, o: Operation, given: Given) -> None:
    """Whole numbers times their scale; without one, what stands for their meaning already."""
    if len(given) == 1:
        pen.give(o, "Identity", given)
        return
    scale = needed(given, 1)
    parts = [needed(given, 0), scale, *(g for g in given[2:3] if g is not None)]
    pen.give(o, "DequantizeLinear", parts, scale.type, **kept_attributes(o, "axis"))


def _quantize(pen: Pen, o: Operation, given: Given) -> None:
    """What its result is held as says the scale (`Value.steps`)."""
    if len(given) != 1:
        raise Unwritable("numbers that are rounded")
    pen.give(o, "Identity", given)


# Branches ----------------------------------------------------------------------------------------


def _branch(pen: Pen, o: Operation, given: Given) -> None:
    """Both bodies are computed before, and one of what they give is taken; where both are of one
    shape, by a `Where`."""
    count = len(o.outputs)
    if len(given) != 1 + 2 * count:
        raise Unwritable("a branch whose ends are not known")
    test = pen.cast(needed(given, 0), "bool")
    if test.rank != 0 and pen.known(o.inputs[0]) is None:
        test = pen.node("Reshape", [test, pen.plain(())])
    for place, output in enumerate(o.outputs):
        if output == ABSENT:
            continue
        ends = [needed(given, 1 + place), needed(given, 1 + count + place)]
        pair = pen.alike(ends)
        values = (o.inputs[1 + place], o.inputs[1 + count + place])
        shapes = [pen.made.shapes[v] for v in values]
        one = Operation("If", o.name, (), (output,), {}, o.origin)
        if shapes[0] is not None and shapes[0] == shapes[1]:
            chosen(pen, one, test, pair)
            continue
        names = [pen.read(x) for x in pair]
        bodies = {
            key: wire.graph([wire.node("Identity", [name], [f"{name}/{key}"])], [], [],
                            [wire.declared(f"{name}/{key}")])
            for key, name in zip(("then_branch", "else_branch"), names, strict=True)
        }  # fmt: skip
        pen.give(one, "If", [test], pair[0].type, **bodies)


_POOL: Final = "kernel_shape strides pads dilations auto_pad ceil_mode"
_CONV: Final = "strides pads dilations auto_pad group kernel_shape"
LAYERS: Final[Mapping[str, Rule]] = {
    "If": _branch,
    "MatMul": _product, "Einsum": _einsum, "Conv": _layer("Conv", _CONV, 3),
    "ConvTranspose": _layer("ConvTranspose", f"{_CONV} output_padding output_shape", 3),
    "MaxPool": same("MaxPool", _POOL, floats=True),
    "AveragePool": same("AveragePool", f"{_POOL} count_include_pad", floats=True),
    "LayerNormalization": _layer("LayerNormalization", "axis epsilon", 3),
    "BatchNormalization": _layer("BatchNormalization", "epsilon", 5),
    "GroupNormalization": _layer("GroupNormalization", "epsilon num_groups", 3),
    "InstanceNormalization": _layer("InstanceNormalization", "epsilon", 3),
    "RMSNormalization": _root_mean_square, "MeanVarianceNormalization": _mean_variance,
    "LpNormalization": same("LpNormalization", "axis p", floats=True),
    "DepthToSpace": same("DepthToSpace", "blocksize mode"),
    "SpaceToDepth": same("SpaceToDepth", "blocksize"),
    "DequantizeLinear": _dequantize, "QuantizeLinear": _quantize,
}  # fmt: skip
