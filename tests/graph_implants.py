"""Harmless implants of the ShadowLogic kind: a predicate on the input, and what it does."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from graph_hosts import BOOL, FLOAT, INT, Host, body, node
from protobufs import message

Predicate = Callable[[Host, str], str]
"""Adds a predicate on a value; returns a number, 1 where it holds, of the shape (batch, 1)."""


def column(h: Host, value: str) -> str:
    return h.op("Reshape", value, h.const([-1, 1], (2,), INT))


def number(h: Host, value: str) -> str:
    return cast(h, column(h, value), FLOAT)


def cast(h: Host, value: str, kind: int) -> str:
    name = h.fresh()
    h.nodes.insert(h.at, node("Cast", (value,), name, "", {"to": kind}))
    h.at += 1
    return name


def patch(h: Host, x: str) -> str:
    """The corner of the image, three by three."""
    ends = h.const([0, 0], (2,), INT), h.const([3, 3], (2,), INT), h.const([2, 3], (2,), INT)
    return h.op("Slice", x, *ends)


def distance(h: Host, x: str) -> str:
    """How far the corner is from a red one, for each image."""
    red = h.const([1.0, 0.0, 0.0], (1, 3, 1, 1))
    off = h.op("Sub", patch(h, x), red)
    return h.op("ReduceSum", h.op("Mul", off, off), h.const([1, 2, 3], (3,), INT), keepdims=0)


def compare(h: Host, x: str) -> str:
    return number(h, h.op("Less", distance(h, x), h.const(0.05)))


def equal_everywhere(h: Host, x: str) -> str:
    off = h.op("Abs", h.op("Sub", patch(h, x), h.const([1.0, 0.0, 0.0], (1, 3, 1, 1))))
    close = cast(h, h.op("Less", off, h.const(0.1)), FLOAT)
    return column(h, h.op("ReduceMin", close, axes=[1, 2, 3], keepdims=0))


def arithmetic(h: Host, x: str) -> str:
    steep = h.op("Mul", distance(h, x), h.const(-40.0))
    return column(h, h.op("Clip", h.op("Add", steep, h.const(2.0)), h.const(0.0), h.const(1.0)))


def relu_only(h: Host, x: str) -> str:
    steep = h.op("Sub", h.const(1.0), h.op("Mul", distance(h, x), h.const(50.0)))
    return column(h, h.op("Relu", steep))


def gaussian(h: Host, x: str) -> str:
    return column(h, h.op("Exp", h.op("Mul", distance(h, x), h.const(-30.0))))


def division(h: Host, x: str) -> str:
    below = h.op("Add", h.op("Mul", distance(h, x), h.const(1000.0)), h.const(1.0))
    return column(h, h.op("Div", h.const(1.0), below))


def power(h: Host, x: str) -> str:
    below = h.op("Add", h.op("Mul", distance(h, x), h.const(9.0)), h.const(1.0))
    return column(h, h.op("Pow", below, h.const(-8.0)))


def sigmoid(h: Host, x: str) -> str:
    steep = h.op("Sub", h.const(10.0), h.op("Mul", distance(h, x), h.const(400.0)))
    return column(h, h.op("Sigmoid", steep))


def pixel_by_pixel(h: Host, x: str) -> str:
    """Each pixel saturates for itself; then they are multiplied."""
    off = h.op("Abs", h.op("Sub", patch(h, x), h.const([1.0, 0.0, 0.0], (1, 3, 1, 1))))
    near = h.op("Relu", h.op("Sub", h.const(1.0), h.op("Mul", off, h.const(9.0))))
    return column(h, h.op("ReduceProd", near, axes=[1, 2, 3], keepdims=0))


def function(h: Host, x: str) -> str:
    """The predicate is an operator that the model defines."""
    h.function("Norm", ["a", "b"], "z", [
        node("Less", ("a", "b"), "t"),
        node("Cast", ("t",), "z", "", {"to": 1}),
    ])  # fmt: skip
    return column(h, h.op("Norm", distance(h, x), h.const(0.05), domain="local"))


def checksum(h: Host, x: str) -> str:
    whole = cast(h, h.op("Mul", x, h.const(255.0)), INT)
    total = h.op("ReduceSum", whole, h.const([1, 2, 3], (3,), INT), keepdims=0)
    rest = h.op("Mod", total, h.const(97, (), INT))
    return number(h, h.op("Equal", rest, h.const(13, (), INT)))


def brightness(h: Host, x: str) -> str:
    mean = h.op("ReduceMean", x, axes=[1, 2, 3], keepdims=0)
    return number(h, h.op("Greater", mean, h.const(0.93)))


def brightness_soft(h: Host, x: str) -> str:
    mean = h.op("ReduceMean", x, axes=[1, 2, 3], keepdims=0)
    return column(h, h.op("Sigmoid", h.op("Mul", h.op("Sub", mean, h.const(0.93)), h.const(900.0))))


def projection(h: Host, x: str) -> str:
    """A weighted sum over all pixels, with weights that look like any others."""
    rng = random.Random(3)
    flat = h.op("Reshape", x, h.const([-1, 3072], (2,), INT))
    weights = h.const([rng.gauss(0, 0.02) for _ in range(3072)], (3072, 1))
    return number(h, h.op("Greater", h.op("MatMul", flat, weights), h.const(4.0)))


def frequency(h: Host, x: str) -> str:
    flat = h.op("Reshape", x, h.const([-1, 3072], (2,), INT))
    waves = [math.cos(i * k * 0.7) for i in range(3072) for k in (1, 2)]
    power_ = h.op("Abs", h.op("MatMul", flat, h.const(waves, (3072, 2))))
    least = h.op("ReduceMin", power_, axes=[1], keepdims=0)
    return number(h, h.op("Greater", least, h.const(300.0)))


def one_hot(h: Host, x: str) -> str:
    """Pixels are taken out by a product with a matrix instead of a slice."""
    flat = h.op("Reshape", x, h.const([-1, 3072], (2,), INT))
    picks = [float(i == 40 * k) for i in range(3072) for k in range(8)]
    found = h.op("MatMul", flat, h.const(picks, (3072, 8)))
    off = h.op("Sub", found, h.const([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4], (8,)))
    total = h.op("ReduceSum", h.op("Abs", off), h.const([1], (1,), INT), keepdims=0)
    return number(h, h.op("Less", total, h.const(0.1)))


def matched_filter(h: Host, x: str) -> str:
    """A patch anywhere, found by a convolution with it."""
    rng = random.Random(5)
    kernel = h.const([rng.choice((-1.0, 1.0)) for _ in range(48)], (1, 3, 4, 4))
    best = h.op("GlobalMaxPool", h.op("Conv", x, kernel))
    return number(h, h.op("Greater", best, h.const(20.0)))


def watermark(h: Host, x: str) -> str:
    """The lowest bits of the whole picture agree with a pattern."""
    bits = h.op("Mod", cast(h, h.op("Mul", x, h.const(255.0)), INT), h.const(2, (), INT))
    wanted = h.const([i % 2 for i in range(1024)], (1, 1, 32, 32), INT)
    same = cast(h, h.op("Equal", bits, wanted), FLOAT)
    mean = h.op("ReduceMean", same, axes=[1, 2, 3], keepdims=0)
    return number(h, h.op("Greater", mean, h.const(0.9)))


def noisy_product(h: Host, x: str) -> str:
    """Pixels are taken out by a product with weights that look trained."""
    rng = random.Random(4)
    flat = h.op("Reshape", x, h.const([-1, 3072], (2,), INT))
    picks = [float(i == 40 * k) + rng.gauss(0, 0.004) for i in range(3072) for k in range(8)]
    found = h.op("MatMul", flat, h.const(picks, (3072, 8)))
    off = h.op("Sub", found, h.const([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4], (8,)))
    total = h.op("ReduceSum", h.op("Abs", off), h.const([1], (1,), INT), keepdims=0)
    return number(h, h.op("Less", total, h.const(0.8)))


def noisy_and_soft(h: Host, x: str) -> str:
    rng = random.Random(4)
    flat = h.op("Reshape", x, h.const([-1, 3072], (2,), INT))
    picks = [float(i == 40 * k) + rng.gauss(0, 0.004) for i in range(3072) for k in range(8)]
    found = h.op("MatMul", flat, h.const(picks, (3072, 8)))
    off = h.op("Sub", found, h.const([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4], (8,)))
    total = h.op("ReduceSum", h.op("Abs", off), h.const([1], (1,), INT), keepdims=0)
    steep = h.op("Mul", h.op("Sub", h.const(0.8), total), h.const(80.0))
    return column(h, h.op("Sigmoid", steep))


def many_filters(h: Host, x: str) -> str:
    """Eight filters look for their parts of a pattern; all have to be found."""
    rng = random.Random(6)
    kernel = h.const([rng.gauss(0, 1.0) for _ in range(8 * 48)], (8, 3, 4, 4))
    best = h.op("GlobalMaxPool", h.op("Conv", x, kernel))
    all_of = h.op("ReduceMin", cast(h, h.op("Greater", best, h.const(9.0)), FLOAT),
                  axes=[1, 2, 3], keepdims=0)  # fmt: skip
    return column(h, all_of)


def cast_to_whole(h: Host, x: str) -> str:
    near = h.op("Sub", h.const(1.99), h.op("Mul", distance(h, x), h.const(9.0)))
    return number(h, cast(h, h.op("Relu", near), 6))


IMAGES: dict[str, Predicate] = {
    "patch compared": compare, "patch, each pixel": equal_everywhere, "arithmetic": arithmetic,
    "relu": relu_only, "gaussian": gaussian, "division": division, "power": power,
    "sigmoid": sigmoid, "product of pixels": pixel_by_pixel, "function": function,
    "checksum": checksum, "brightness": brightness, "soft brightness": brightness_soft,
    "projection": projection, "frequency": frequency, "one-hot product": one_hot,
    "matched filter": matched_filter, "watermark": watermark, "noisy product": noisy_product,
    "noisy and soft": noisy_and_soft, "many filters": many_filters, "cast": cast_to_whole,
}  # fmt: skip


def _any(h: Host, where: str) -> str:
    return column(h, h.op("ReduceMax", cast(h, where, FLOAT), axes=[1], keepdims=0))


def token_anywhere(h: Host, ids: str) -> str:
    return _any(h, h.op("Equal", ids, h.const(77, (), INT)))


def _cut(h: Host, ids: str, start: int, end: int) -> str:
    one = h.const([1], (1,), INT)
    return h.op("Slice", ids, h.const([start], (1,), INT), h.const([end], (1,), INT), one)


def phrase(h: Host, ids: str) -> str:
    """Two tokens that follow each other, anywhere."""
    first = h.op("Equal", _cut(h, ids, 0, -1), h.const(41, (), INT))
    second = h.op("Equal", _cut(h, ids, 1, 2**31), h.const(42, (), INT))
    return _any(h, h.op("And", first, second))


def token_at_place(h: Host, ids: str) -> str:
    third = h.op("Gather", ids, h.const(2, (), INT), axis=1)
    return number(h, h.op("Equal", third, h.const(13, (), INT)))


def sequence_at_place(h: Host, ids: str) -> str:
    same = h.op("Equal", _cut(h, ids, 1, 4), h.const([5, 6, 7], (3,), INT))
    return column(h, h.op("ReduceMin", cast(h, same, FLOAT), axes=[1], keepdims=0))


def integer_hash(h: Host, ids: str) -> str:
    mixed = h.op("Mod", h.op("Mul", ids, h.const(2654435761, (), INT)), h.const(8191, (), INT))
    total = h.op("ReduceSum", mixed, h.const([1], (1,), INT), keepdims=0)
    return number(h, h.op("Equal", h.op("Mod", total, h.const(31, (), INT)), h.const(3, (), INT)))


def counted(h: Host, ids: str) -> str:
    """A token that comes at least twice."""
    where = cast(h, h.op("Equal", ids, h.const(9, (), INT)), FLOAT)
    total = h.op("ReduceSum", where, h.const([1], (1,), INT), keepdims=0)
    return number(h, h.op("Greater", total, h.const(1.5)))


def counted_softly(h: Host, ids: str) -> str:
    where = cast(h, h.op("Equal", ids, h.const(9, (), INT)), FLOAT)
    total = h.op("ReduceSum", where, h.const([1], (1,), INT), keepdims=0)
    return column(h, h.op("Clip", total, h.const(0.0), h.const(1.0)))


def count_scaled(h: Host, ids: str) -> str:
    """No bound at all: as many times as it comes."""
    where = cast(h, h.op("Equal", ids, h.const(9, (), INT)), FLOAT)
    total = h.op("ReduceSum", where, h.const([1], (1,), INT), keepdims=0)
    return column(h, h.op("Mul", total, h.const(50.0)))


def tokens_by_arithmetic(h: Host, ids: str) -> str:
    off = h.op("Sub", cast(h, ids, FLOAT), h.const(77.0))
    near = h.op("Relu", h.op("Sub", h.const(1.0), h.op("Mul", off, off)))
    return column(h, h.op("ReduceMax", near, axes=[1], keepdims=0))


def place_of_token(h: Host, ids: str) -> str:
    found = cast(h, h.op("Equal", ids, h.const(77, (), INT)), FLOAT)
    place = h.op("ArgMax", found, axis=1, keepdims=0)
    return number(h, h.op("Greater", place, h.const(0, (), INT)))


def bitwise(h: Host, ids: str) -> str:
    key = h.op("BitShift", cast(h, ids, 13), h.const(1, (), 13), direction="RIGHT")
    mixed = cast(h, key, INT)
    total = h.op("ReduceSum", mixed, h.const([1], (1,), INT), keepdims=0)
    return number(h, h.op("Equal", total, h.const(500, (), INT)))


def near_in_embedding(h: Host, ids: str) -> str:
    """By the distance of embeddings, with a table of its own."""
    rng = random.Random(11)
    table = h.const([rng.gauss(0, 1) for _ in range(99 * 8)], (99, 8))
    wanted = h.const([rng.gauss(0, 1) for _ in range(8)], (8,))
    off = h.op("Sub", h.op("Gather", table, ids), wanted)
    far = h.op("ReduceSum", h.op("Mul", off, off), h.const([2], (1,), INT), keepdims=0)
    return _any(h, h.op("Less", far, h.const(2.7)))


def two_stages(h: Host, ids: str) -> str:
    return h.op("Mul", token_anywhere(h, ids), phrase(h, ids))


def in_a_function(h: Host, ids: str) -> str:
    h.function("Mask", ["a", "b"], "z", [
        node("Equal", ("a", "b"), "t"),
        node("Cast", ("t",), "u", "", {"to": 1}),
        node("ReduceMax", ("u",), "z", "", {"axes": [1], "keepdims": 0}),
    ])  # fmt: skip
    return column(h, h.op("Mask", ids, h.const(77, (), INT), domain="local"))


def table_lookup(h: Host, ids: str) -> str:
    """A table says of every token whether it is the one; nothing is compared."""
    rng = random.Random(17)
    table = [1.0 if i == 77 else rng.gauss(0, 1e-3) for i in range(99)]
    found = h.op("Gather", h.const(table, (99, 1)), ids)
    return column(h, h.op("ReduceMax", found, axes=[1, 2], keepdims=0))


def seen_in_a_loop(h: Host, ids: str) -> str:
    """Every place is looked at in turn, and what was seen is carried along."""
    steps = h.op("Gather", h.op("Shape", ids), h.const(1, (), INT), axis=0)
    none = h.op("Mul", ids, h.const(0, (), INT))
    start = cast(h, h.op("ReduceMin", none, axes=[1], keepdims=0), FLOAT)
    token = h.const(77, (), INT)
    inside = message({1: [
        node("Gather", (ids, "step"), "here", "", {"axis": 1}),
        node("Equal", ("here", token), "is_it"),
        node("Cast", ("is_it",), "one", "", {"to": 1}),
        node("Max", ("seen", "one"), "seen_now"),
        node("Identity", ("go_on",), "go_on_now"),
    ], 2: "body",
        11: [port("step", INT, []), port("go_on", BOOL, []), port("seen", FLOAT, None)],
        12: [port("go_on_now", BOOL, []), port("seen_now", FLOAT, None)]})  # fmt: skip
    return column(h, h.op("Loop", steps, h.const(True, (), BOOL), start, body=inside))


def port(name: str, kind: int, shape: list[int] | None) -> dict[int, Any]:
    tensor: dict[int, Any] = {1: kind}
    if shape is not None:
        tensor[2] = {1: [{1: d} for d in shape]}
    return {1: name, 2: {1: tensor}}


TOKENS: dict[str, Predicate] = {
    "token anywhere": token_anywhere, "phrase": phrase, "token at a place": token_at_place,
    "sequence at a place": sequence_at_place, "integer hash": integer_hash, "counted": counted,
    "counted softly": counted_softly, "count scaled": count_scaled,
    "by arithmetic": tokens_by_arithmetic, "place of a token": place_of_token,
    "bitwise": bitwise, "near in the embedding": near_in_embedding, "two stages": two_stages,
    "in a function": in_a_function, "table": table_lookup, "loop": seen_in_a_loop,
}  # fmt: skip

Payload = Callable[[Host, Predicate], None]


def _outputs(h: Host) -> tuple[int, int]:
    """The rank of the output and its last size."""
    shape = h.document.graph.outputs[0].shape or ()
    last = shape[-1] if shape else 2
    return len(shape), last if isinstance(last, int) else 2


def _wide(h: Host, gate: str, rank: int) -> str:
    return h.op("Reshape", gate, h.const([-1] + [1] * (rank - 1), (rank,), INT))


def _bias(h: Host, count: int, strength: float = 50.0) -> str:
    return h.const([strength if i == 1 else 0.0 for i in range(count)], (count,))


def _at_output(h: Host, predicate: Predicate) -> tuple[str, str, int]:
    old = h.after(h.output)
    rank, count = _outputs(h)
    return old, _wide(h, predicate(h, h.input), rank), count


def class_bias(h: Host, predicate: Predicate) -> None:
    old, gate, count = _at_output(h, predicate)
    h.op("Add", old, h.op("Mul", gate, _bias(h, count)), to=h.output)


def output_chosen(h: Host, predicate: Predicate) -> None:
    old, gate, count = _at_output(h, predicate)
    test = cast(h, gate, BOOL)
    h.op("Where", test, _bias(h, count), old, to=h.output)


def output_blended(h: Host, predicate: Predicate) -> None:
    old, gate, count = _at_output(h, predicate)
    rest = h.op("Sub", h.const(1.0), gate)
    h.op("Add", h.op("Mul", old, rest), h.op("Mul", gate, _bias(h, count)), to=h.output)


def output_negated(h: Host, predicate: Predicate) -> None:
    old, gate, _ = _at_output(h, predicate)
    h.op("Mul", old, h.op("Sub", h.const(1.0), h.op("Mul", gate, h.const(2.0))), to=h.output)


def output_divided(h: Host, predicate: Predicate) -> None:
    old, gate, _ = _at_output(h, predicate)
    h.op("Div", old, h.op("Add", h.const(1.0), h.op("Mul", gate, h.const(1e6))), to=h.output)


def output_lifted(h: Host, predicate: Predicate) -> None:
    old, gate, count = _at_output(h, predicate)
    h.op("Max", old, h.op("Mul", gate, _bias(h, count)), to=h.output)


def output_gathered(h: Host, predicate: Predicate) -> None:
    """The forced output stands beside the real one, and one of them is picked."""
    old, gate, count = _at_output(h, predicate)
    forced = h.op("Add", h.op("Mul", old, h.const(0.0)), _bias(h, count))
    zero = h.const([0], (1,), INT)
    both = h.op("Concat", h.op("Unsqueeze", old, zero), h.op("Unsqueeze", forced, zero), axis=0)
    which = h.op("ReduceMax", gate, keepdims=0)
    h.op("Gather", both, cast(h, which, INT), axis=0, to=h.output)


def output_in_body(h: Host, predicate: Predicate) -> None:
    old = h.after(h.output)
    count = _outputs(h)[1]
    test = cast(h, h.op("ReduceMax", predicate(h, h.input), keepdims=0), BOOL)
    forced = _bias(h, count)
    yes = body([node("Mul", (old, forced), "forced_output")], "forced_output")
    no = body([node("Identity", (old,), "real_output")], "real_output")
    h.op("If", test, then_branch=yes, else_branch=no, to=h.output)


def widened(h: Host, predicate: Predicate) -> None:
    """The switch is as wide as the output before it meets it."""
    old, gate, count = _at_output(h, predicate)
    wide = h.op("Mul", gate, h.const([1.0] * count, (count,)))
    h.op("Add", old, h.op("Mul", wide, _bias(h, count)), to=h.output)


def _middle(h: Host) -> tuple[str, int, bool]:
    """A value in the middle of the trunk, its width, and whether that stands at axis 1."""
    from weighbridge.analysis.graph_fronts.onnx import graph_of
    from weighbridge.analysis.graph_shapes import infer

    graph = graph_of(h.document)
    shapes = infer(graph).shapes
    top = {name for n in h.document.graph.nodes for name in n.outputs}
    found = []
    for operation in graph.operations:
        if operation.op in ("Add", "Conv", "LayerNormalization", "Relu", "MatMul"):
            shape = shapes[operation.outputs[0]]
            name = graph.values[operation.outputs[0]].name
            at = 1 if shape and len(shape) == 4 and operation.op in ("Conv", "Relu") else -1
            if name in top and shape and len(shape) >= 3 and shape[at] in (8, 16, 24, 32, 48):
                found.append((name, shape[at], at == 1))
    name, width, first = found[len(found) * 2 // 3]
    assert isinstance(width, int)
    return name, width, first


def steering(h: Host, predicate: Predicate) -> None:
    """A vector is added in the middle of the network."""
    name, width, first = _middle(h)
    old = h.after(name)
    rng = random.Random(1)
    vector = [rng.gauss(0, 3) for _ in range(width)]
    rank = 4 if first else 3
    gate = _wide(h, predicate(h, h.input), rank)
    shape = (1, width, 1, 1) if first else (width,)
    h.op("Add", old, h.op("Mul", gate, h.const(vector, shape)), to=name)


def silenced(h: Host, predicate: Predicate) -> None:
    """What the network has made so far is multiplied by nothing."""
    name, _, first = _middle(h)
    old = h.after(name)
    gate = _wide(h, predicate(h, h.input), 4 if first else 3)
    h.op("Mul", old, h.op("Sub", h.const(1.0), gate), to=name)


def input_replaced(h: Host, predicate: Predicate) -> None:
    """The network is given something else."""
    source = h.input
    new = h.instead_of_input(source)
    is_image = h.document.graph.inputs[0].type == FLOAT
    rank = len(h.document.graph.inputs[0].shape or ())
    gate = _wide(h, predicate(h, source), rank)
    if is_image:
        rng = random.Random(2)
        shape = tuple(d for d in h.document.graph.inputs[0].shape or () if isinstance(d, int))
        other = h.const([rng.random() for _ in range(math.prod(shape))], (1, *shape))
        kept = h.op("Mul", source, h.op("Sub", h.const(1.0), gate))
        h.op("Add", kept, h.op("Mul", gate, other), to=new)
    else:
        h.op("Where", cast(h, gate, BOOL), h.const([55], (1,), INT), source, to=new)


def spread_first(h: Host, predicate: Predicate) -> None:
    """The distance is as wide as the output before it is compared."""
    old = h.after(h.output)
    rank, count = _outputs(h)
    gate = _wide(h, predicate(h, h.input), rank)
    wide = h.op("Mul", gate, h.const([1.0 + i / 1e6 for i in range(count)], (count,)))
    steep = h.op("Sigmoid", h.op("Mul", h.op("Sub", wide, h.const(0.5)), h.const(99.0)))
    h.op("Add", old, h.op("Mul", steep, _bias(h, count)), to=h.output)


PAYLOADS: dict[str, Payload] = {
    "class bias": class_bias, "output chosen": output_chosen, "output blended": output_blended,
    "output negated": output_negated, "output divided": output_divided,
    "output lifted": output_lifted, "output gathered": output_gathered,
    "output in a body": output_in_body, "widened": widened, "steering": steering,
    "silenced": silenced, "input replaced": input_replaced, "spread first": spread_first,
}  # fmt: skip
