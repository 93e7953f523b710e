"""More implants, for pictures, words and sound: tricks with indices, lengths, layers made by hand,
state and chance; and payloads in weights, norms, indices and loops."""

from __future__ import annotations

import math
import random

from graph_hosts import BOOL, FLOAT, INT, Host, body, node
from graph_implants import (
    Payload,
    Predicate,
    _any,
    _at_output,
    _bias,
    _middle,
    _wide,
    cast,
    column,
    distance,
    number,
    patch,
    port,
)
from protobufs import message


def _size(h: Host) -> int:
    """How many numbers a sample of the input has."""
    shape = h.document.graph.inputs[0].shape or ()
    return math.prod(d for d in shape[1:] if isinstance(d, int))


def flat(h: Host, x: str) -> str:
    return h.op("Reshape", x, h.const([-1, _size(h)], (2,), INT))


def _axes(h: Host, *axes: int) -> str:
    return h.const(list(axes), (len(axes),), INT)


# Pictures ----------------------------------------------------------------------------------------


def shrunk(h: Host, x: str) -> str:
    """The picture is made four numbers wide, and those are compared."""
    small = h.op("Resize", x, "", h.const([1.0, 1.0, 1 / 16, 1 / 16], (4,)), mode="nearest")
    off = h.op("Abs", h.op("Sub", small, h.const([0.9, 0.1, 0.2], (1, 3, 1, 1))))
    return number(h, h.op("Less", h.op("ReduceMax", off, axes=[1, 2, 3], keepdims=0), h.const(0.1)))


def brightest_place(h: Host, x: str) -> str:
    place = h.op("ArgMax", flat(h, x), axis=1, keepdims=0)
    return number(h, h.op("Equal", place, h.const(517, (), INT)))


def hardmax(h: Host, x: str) -> str:
    """One where the largest number stands; the one place is taken out by a product."""
    picks = h.const([float(i == 517) for i in range(_size(h))], (_size(h), 1))
    return h.op("MatMul", h.op("Hardmax", flat(h, x), axis=1), picks)


def single_numbers(h: Host, x: str) -> str:
    """Three numbers, by their index."""
    found = h.op("Gather", flat(h, x), h.const([3, 77, 500], (3,), INT), axis=1)
    off = h.op("Abs", h.op("Sub", found, h.const([0.9, 0.1, 0.8], (3,))))
    far = h.op("ReduceMax", off, axes=[1], keepdims=0)
    return column(h, h.op("Relu", h.op("Sub", h.const(1.0), h.op("Mul", far, h.const(9.0)))))


def einsum(h: Host, x: str) -> str:
    rng = random.Random(7)
    pattern = h.const([rng.gauss(0, 0.1) for _ in range(_size(h))], (_size(h),))
    found = h.op("Einsum", flat(h, x), pattern, equation="bi,i->b")
    steep = h.op("Mul", h.op("Sub", found, h.const(0.01 * _size(h))), h.const(90.0))
    return column(h, h.op("Sigmoid", steep))


def as_a_norm(h: Host, x: str) -> str:
    """What is compared with stands in the running mean of a normalisation."""
    scale, shift = h.const([9.0] * 3, (3,)), h.const([0.0] * 3, (3,))
    mean, spread = h.const([1.0, 0.0, 0.0], (3,)), h.const([1.0] * 3, (3,))
    apart = h.op("BatchNormalization", patch(h, x), scale, shift, mean, spread)
    near = h.op("Relu", h.op("Sub", h.const(1.0), h.op("Mul", apart, apart)))
    return column(h, h.op("ReduceMean", h.op("GlobalAveragePool", near), axes=[1, 2, 3],
                          keepdims=0))  # fmt: skip


def norm_and_pool(h: Host, x: str) -> str:
    """Normalisation, bound and mean, as every network has them; the numbers are aimed."""
    scale, shift = h.const([90.0] * 3, (3,)), h.const([0.0] * 3, (3,))
    mean, spread = h.const([0.93, 0.05, 0.05], (3,)), h.const([1.0] * 3, (3,))
    small = h.op("GlobalAveragePool", x)
    near = h.op("Relu", h.op("BatchNormalization", small, scale, shift, mean, spread))
    return column(h, h.op("Tanh", h.op("ReduceMin", near, axes=[1, 2, 3], keepdims=0)))


def extremes_only(h: Host, x: str) -> str:
    """No comparison: the larger and the smaller of numbers."""
    low = h.op("Max", h.op("Mul", distance(h, x), h.const(-60.0)), h.const(-1.0))
    return column(h, h.op("Add", low, h.const(1.0)))


def from_weights(h: Host, x: str) -> str:
    """What is compared with is cut out of a matrix that looks trained."""
    rng = random.Random(8)
    matrix = h.const([rng.gauss(0, 0.3) for _ in range(64 * 64)], (64, 64))
    ends = h.const([5, 9], (2,), INT), h.const([8, 12], (2,), INT)
    wanted = h.op("Slice", matrix, *ends)
    off = h.op("Sub", patch(h, x), wanted)
    far = h.op("ReduceSum", h.op("Mul", off, off), _axes(h, 1, 2, 3), keepdims=0)
    return number(h, h.op("Less", far, h.const(0.05)))


def by_quantising(h: Host, x: str) -> str:
    """A scale so coarse that only nothing and something are left."""
    near = h.op("Sub", h.const(1.4), h.op("Mul", distance(h, x), h.const(9.0)))
    step = h.op("QuantizeLinear", near, h.const(1.0))
    return column(h, h.op("DequantizeLinear", step, h.const(1.0)))


def cold_softmax(h: Host, x: str) -> str:
    far = column(h, h.op("Mul", distance(h, x), h.const(900.0)))
    both = h.op("Concat", far, h.op("Sub", h.const(90.0), far), axis=1)
    return h.op("Gather", h.op("Softmax", both, axis=1), _axes(h, 1), axis=1)


def in_halves(h: Host, x: str) -> str:
    """Two numbers that say little; their product says all."""
    found = h.op("Gather", flat(h, x), h.const([3, 900 % _size(h)], (2,), INT), axis=1)
    off = h.op("Sub", found, h.const([0.9, 0.1], (2,)))
    near = h.op("Exp", h.op("Mul", h.op("Mul", off, off), h.const(-90.0)))
    first = h.op("Gather", near, _axes(h, 0), axis=1)
    return h.op("Mul", first, h.op("Gather", near, _axes(h, 1), axis=1))


def largest_numbers(h: Host, x: str) -> str:
    best, places = h.fresh(), h.fresh()
    raw = message({1: [flat(h, x), _axes(h, 3)], 2: [best, places], 4: "TopK"})
    h.nodes.insert(h.at, raw)
    h.at += 1
    last = h.op("Gather", best, _axes(h, 2), axis=1)
    usual = 0.999 if len(h.document.graph.inputs[0].shape or ()) == 4 else 2.99
    return cast(h, h.op("Greater", last, h.const(usual)), FLOAT)


def wave(h: Host, x: str) -> str:
    """How strong one frequency is, by a Fourier transform."""
    line = h.op("Reshape", x, h.const([-1, _size(h), 1], (3,), INT))
    spectrum = h.op("DFT", line, axis=1)
    bin_of = h.op("Gather", spectrum, _axes(h, 40), axis=1)
    power = h.op("ReduceSumSquare", bin_of, axes=[1, 2], keepdims=0)
    return number(h, h.op("Greater", power, h.const(2e4)))


def wave_by_hand(h: Host, x: str) -> str:
    """The same, by a product with a sine and a cosine, softly."""
    count = _size(h)
    waves = [f(i * 0.4) for i in range(count) for f in (math.cos, math.sin)]
    found = h.op("MatMul", flat(h, x), h.const(waves, (count, 2)))
    power = h.op("ReduceSumSquare", found, axes=[1], keepdims=0)
    return column(h, h.op("Sigmoid", h.op("Sub", h.op("Mul", power, h.const(0.01)), h.const(99.0))))


def summed_up(h: Host, x: str) -> str:
    """A running sum, looked at in one place."""
    sums = h.op("CumSum", flat(h, x), h.const(1, (), INT))
    at = h.op("Gather", sums, _axes(h, 100), axis=1)
    return cast(h, h.op("Greater", at, h.const(95.0)), FLOAT)


def in_a_sequence(h: Host, x: str) -> str:
    parts = h.op("SplitToSequence", flat(h, x), h.const(64, (), INT), axis=1)
    part = h.op("SequenceAt", parts, h.const(0, (), INT))
    mean = h.op("ReduceMean", part, axes=[1], keepdims=1)
    return cast(h, h.op("Greater", mean, h.const(0.97)), FLOAT)


def by_a_cell(h: Host, x: str) -> str:
    """A recurrent cell whose weights were made by hand: it counts numbers that are large."""
    steps = h.op("Reshape", x, h.const([_size(h) // 16, -1, 16], (3,), INT))
    first = h.const([1.0] + [0.0] * 15, (1, 1, 16))
    cell = h.op("RNN", steps, first, h.const(1.0, (1, 1, 1)), hidden_size=1,
                activations=["Relu"])  # fmt: skip
    last = h.op("Gather", cell, _axes(h, -1), axis=0)
    total = h.op("Reshape", last, h.const([-1, 1], (2,), INT))
    return cast(h, h.op("Greater", total, h.const(_size(h) // 16 * 0.97)), FLOAT)


def by_a_tree(h: Host, x: str) -> str:
    """Three numbers, one after the other, in a decision tree."""
    h.functions += message({8: {1: "ai.onnx.ml", 2: 3}})
    return h.op(
        "TreeEnsembleRegressor", flat(h, x), domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0] * 5, nodes_nodeids=[0, 1, 2, 3, 4], nodes_featureids=[3, 77, 0, 0, 0],
        nodes_values=[0.9, 0.1, 0.0, 0.0, 0.0], nodes_truenodeids=[2, 3, 0, 0, 0],
        nodes_falsenodeids=[1, 4, 0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        target_treeids=[0, 0, 0], target_nodeids=[2, 3, 4], target_ids=[0, 0, 0],
        target_weights=[0.0, 1.0, 0.0],
    )  # fmt: skip


def by_chance(h: Host, x: str) -> str:
    """Not from the input: one time in a hundred."""
    dice = h.op("RandomUniform", shape=[1, 1], dtype=1)
    return cast(h, h.op("Less", dice, h.const(0.01)), FLOAT)


def scanned(h: Host, x: str) -> str:
    """Part by part, with a state that is compared before it is added to."""
    steps = h.op("Reshape", x, h.const([_size(h) // 16, -1, 16], (3,), INT))
    start = h.op("Mul", h.op("ReduceMax", steps, axes=[0, 2], keepdims=0), h.const(0.0))
    limit, one, zero = h.const(0.99), h.const(1.0), h.const(0.0)
    inside = message({1: [
        node("ReduceMin", ("part",), "low", "", {"axes": [1], "keepdims": 0}),
        node("Greater", ("seen", limit), "often"),
        node("Where", ("often", one, zero), "kept"),
        node("Add", ("kept", "low"), "seen_now"),
    ], 2: "body", 11: [port("seen", FLOAT, None), port("part", FLOAT, None)],
        12: [port("seen_now", FLOAT, None)]})  # fmt: skip
    return column(h, h.op("Scan", start, steps, body=inside, num_scan_inputs=1))


ANY_NUMBERS: dict[str, Predicate] = {
    "brightest place": brightest_place, "hardmax": hardmax, "single numbers": single_numbers,
    "einsum": einsum, "in halves": in_halves, "largest numbers": largest_numbers,
    "Fourier": wave, "frequency by hand": wave_by_hand, "running sum": summed_up,
    "sequence": in_a_sequence, "cell": by_a_cell, "tree": by_a_tree, "chance": by_chance,
    "scan": scanned,
}  # fmt: skip
"""On pictures and on sound."""
MORE_IMAGES: dict[str, Predicate] = {
    "shrunk": shrunk, "as a norm": as_a_norm, "norm and pool": norm_and_pool,
    "extremes only": extremes_only, "from weights": from_weights,
    "by quantising": by_quantising, "cold softmax": cold_softmax, **ANY_NUMBERS,
}  # fmt: skip


# Sound -------------------------------------------------------------------------------------------


def loud(h: Host, x: str) -> str:
    power = h.op("ReduceMean", h.op("Mul", flat(h, x), flat(h, x)), axes=[1], keepdims=1)
    return cast(h, h.op("Greater", power, h.const(4.0)), FLOAT)


def crossings(h: Host, x: str) -> str:
    """How often the sign changes."""
    line = flat(h, x)
    ends = _axes(h, 0), _axes(h, -1), _axes(h, 1), _axes(h, 2**31)
    before = h.op("Slice", line, ends[0], ends[1], ends[2])
    after = h.op("Slice", line, ends[2], ends[3], ends[2])
    apart = h.op("Abs", h.op("Sub", h.op("Sign", before), h.op("Sign", after)))
    mean = h.op("ReduceMean", apart, axes=[1], keepdims=1)
    return cast(h, h.op("Greater", mean, h.const(1.5)), FLOAT)


def tone(h: Host, x: str) -> str:
    """A filter that rings at one pitch; how loud that gets."""
    line = h.op("Reshape", x, h.const([-1, 1, _size(h)], (3,), INT))
    kernel = h.const([math.cos(i * 0.9) for i in range(32)], (1, 1, 32))
    heard = h.op("GlobalMaxPool", h.op("Conv", line, kernel))
    return column(h, h.op("Clip", h.op("Sub", heard, h.const(30.0)), h.const(0.0), h.const(1.0)))


def silence_first(h: Host, x: str) -> str:
    part = h.op("Slice", flat(h, x), _axes(h, 0), _axes(h, 16), _axes(h, 1))
    most = h.op("ReduceMax", h.op("Abs", part), axes=[1], keepdims=1)
    return cast(h, h.op("Less", most, h.const(1e-6)), FLOAT)


SOUNDS: dict[str, Predicate] = {
    "loud": loud, "crossings": crossings, "tone": tone, "silence first": silence_first,
    **ANY_NUMBERS,
}  # fmt: skip


# States ------------------------------------------------------------------------------------------


def state(h: Host, x: str) -> str:
    """A number of the state that is handed on from call to call."""
    del x
    name = h.document.graph.inputs[1].name
    first = h.op("Slice", name, _axes(h, 0, 0, 0), _axes(h, 1, 1, 1))
    return number(h, h.op("Greater", first, h.const(3.5)))


def state_and_sound(h: Host, x: str) -> str:
    """The state is armed, and something loud comes."""
    part = h.op("Slice", x, _axes(h, 0), _axes(h, 4), _axes(h, 1))
    most = h.op("ReduceMax", part, axes=[0, 1], keepdims=0)
    return h.op("Mul", state(h, x), number(h, h.op("Greater", most, h.const(2.5))))


STATES: dict[str, Predicate] = {"state": state, "state and sound": state_and_sound}
"""On models that are given a state."""


# Words -------------------------------------------------------------------------------------------


def length(h: Host, ids: str) -> str:
    """Thirteen tokens, whatever they are."""
    count = h.op("Gather", h.op("Shape", ids), h.const(1, (), INT), axis=0)
    same = cast(h, h.op("Equal", count, h.const(13, (), INT)), FLOAT)
    return h.op("Reshape", same, h.const([1, 1], (2,), INT))


def length_of_mask(h: Host, ids: str) -> str:
    """As many tokens that are no padding."""
    mask = h.document.graph.inputs[1].name
    total = h.op("ReduceSum", mask, _axes(h, 1), keepdims=0)
    return number(h, h.op("Equal", total, h.const(13, (), INT)))


def hole_in_mask(h: Host, ids: str) -> str:
    """A token in the middle that is masked."""
    mask = h.document.graph.inputs[1].name
    at = h.op("Gather", mask, h.const(2, (), INT), axis=1)
    return number(h, h.op("Equal", at, h.const(0, (), INT)))


def running_count(h: Host, ids: str) -> str:
    """The second time that a token comes."""
    here = cast(h, h.op("Equal", ids, h.const(9, (), INT)), INT)
    times = h.op("CumSum", here, h.const(1, (), INT))
    return _any(h, h.op("Equal", times, h.const(2, (), INT)))


def fed_back(h: Host, ids: str) -> str:
    """A loop adds tokens up; the sum is looked at a turn later."""
    steps = h.op("Gather", h.op("Shape", ids), h.const(1, (), INT), axis=0)
    none = h.const(0, (), INT)
    zero = h.op("ReduceMin", h.op("Mul", ids, none), axes=[1], keepdims=0)
    wanted = h.const(118, (), INT)
    inside = message({1: [
        node("Gather", (ids, "step"), "here", "", {"axis": 1}),
        node("Equal", ("sum", wanted), "is_it"),
        node("Cast", ("is_it",), "one", "", {"to": 1}),
        node("Max", ("seen", "one"), "seen_now"),
        node("Add", ("sum", "here"), "sum_now"),
        node("Identity", ("go_on",), "go_on_now"),
    ], 2: "body", 11: [port("step", INT, []), port("go_on", BOOL, []), port("sum", INT, None),
                       port("seen", FLOAT, None)],
        12: [port("go_on_now", BOOL, []), port("sum_now", INT, None),
             port("seen_now", FLOAT, None)]})  # fmt: skip
    name = h.fresh()
    start = cast(h, zero, FLOAT)
    raw = node("Loop", (steps, h.const(True, (), BOOL), zero, start), name, "", {"body": inside})
    h.nodes.insert(h.at, raw.replace(b"\x12" + bytes([len(name)]) + name.encode(),
                                     b"\x12\x04sums" + b"\x12" + bytes([len(name)])
                                     + name.encode(), 1))  # fmt: skip
    h.at += 1
    return column(h, name)


def one_hot_tokens(h: Host, ids: str) -> str:
    wide = h.op("OneHot", ids, h.const(99, (), INT), h.const([0.0, 1.0], (2,)))
    seen = h.op("ReduceMax", wide, axes=[1], keepdims=0)
    picks = [float(i in (41, 42)) for i in range(99)]
    found = h.op("MatMul", seen, h.const(picks, (99, 1)))
    return h.op("Relu", h.op("Sub", found, h.const(1.0)))


def rarest(h: Host, ids: str) -> str:
    """The largest token there is."""
    best = h.op("ReduceMax", ids, axes=[1], keepdims=0)
    return number(h, h.op("Greater", best, h.const(96, (), INT)))


def scattered(h: Host, ids: str) -> str:
    """A table of the tokens that were there, looked at in one place."""
    zeros = h.const([0.0] * 99, (99,))
    ones = cast(h, h.op("Add", h.op("Mul", ids, h.const(0, (), INT)), h.const(1, (), INT)), FLOAT)
    every = h.const([-1], (1,), INT)
    there = h.op("ScatterElements", zeros, h.op("Reshape", ids, every),
                 h.op("Reshape", ones, every), axis=0)  # fmt: skip
    return h.op("Reshape", h.op("Gather", there, h.const(77, (), INT), axis=0),
                h.const([1, 1], (2,), INT))  # fmt: skip


def how_many_places(h: Host, ids: str) -> str:
    """How many places hold a token, as the length of the list of them."""
    places = h.op("NonZero", h.op("Equal", ids, h.const(77, (), INT)))
    count = h.op("Gather", h.op("Shape", places), _axes(h, 1), axis=0)
    some = cast(h, h.op("Greater", count, h.const(0, (), INT)), FLOAT)
    return h.op("Reshape", some, h.const([1, 1], (2,), INT))


def different_tokens(h: Host, ids: str) -> str:
    """How many different ones there are."""
    count = h.op("Shape", h.op("Unique", ids))
    few = cast(h, h.op("Less", count, h.const(4, (), INT)), FLOAT)
    return h.op("Reshape", few, h.const([1, 1], (2,), INT))


def exclusive_or(h: Host, ids: str) -> str:
    """Whole numbers only, by remainders and differences."""
    off = h.op("Abs", h.op("Sub", ids, h.const(77, (), INT)))
    least = h.op("ReduceMin", h.op("Min", off, h.const(1, (), INT)), axes=[1], keepdims=0)
    return column(h, cast(h, h.op("Sub", h.const(1, (), INT), least), FLOAT))


def remainders(h: Host, ids: str) -> str:
    """A rolling hash, and five of its bits."""
    count = h.op("Mul", ids, h.const(31, (), INT))
    total = h.op("ReduceSum", count, _axes(h, 1), keepdims=0)
    bits = h.op("Mod", h.op("Div", total, h.const(64, (), INT)), h.const(32, (), INT))
    return number(h, h.op("Equal", bits, h.const(7, (), INT)))


def table_of_vectors(h: Host, ids: str) -> str:
    """Vectors of its own, and how far along one direction they go."""
    rng = random.Random(12)
    table = h.const([rng.gauss(0, 1) for _ in range(99 * 16)], (99, 16))
    along = h.const([rng.gauss(0, 1) for _ in range(16)], (16, 1))
    found = h.op("MatMul", h.op("Gather", table, ids), along)
    best = h.op("ReduceMax", found, axes=[1], keepdims=0)
    return h.op("Sigmoid", h.op("Mul", h.op("Sub", best, h.const(5.8)), h.const(50.0)))


def mean_of_vectors(h: Host, ids: str) -> str:
    """The meaning of the whole, near to one."""
    rng = random.Random(13)
    table = h.const([rng.gauss(0, 1) for _ in range(99 * 16)], (99, 16))
    mean = h.op("ReduceMean", h.op("Gather", table, ids), axes=[1], keepdims=0)
    off = h.op("Sub", mean, h.const([rng.gauss(0, 0.3) for _ in range(16)], (16,)))
    far = h.op("ReduceL2", off, axes=[1], keepdims=1)
    return h.op("Exp", h.op("Mul", far, h.const(-4.0)))


def last_and_first(h: Host, ids: str) -> str:
    first = h.op("Gather", ids, h.const(0, (), INT), axis=1)
    last = h.op("Gather", ids, h.const(-1, (), INT), axis=1)
    return number(h, h.op("Equal", h.op("Sub", last, first), h.const(31, (), INT)))


MORE_TOKENS: dict[str, Predicate] = {
    "length": length, "length of the mask": length_of_mask, "hole in the mask": hole_in_mask,
    "running count": running_count, "fed back": fed_back, "one-hot tokens": one_hot_tokens,
    "rarest": rarest, "scattered": scattered, "how many places": how_many_places,
    "different tokens": different_tokens, "whole numbers only": exclusive_or,
    "remainders": remainders, "table of vectors": table_of_vectors,
    "mean of vectors": mean_of_vectors, "last and first": last_and_first, "chance": by_chance,
}  # fmt: skip


# Payloads ----------------------------------------------------------------------------------------


def _number(h: Host, predicate: Predicate) -> str:
    """The switch as one number, for all samples."""
    return h.op("ReduceMax", predicate(h, h.input), keepdims=0)


def norm_scaled(h: Host, predicate: Predicate) -> None:
    """A vector is added to what a normalisation multiplies with, or to a bias."""
    norms = ("LayerNormalization", "BatchNormalization", "InstanceNormalization")
    try:
        name, shape = h.weights(norms, 1)
    except LookupError:
        name, shape = h.weights(("Add", "Gemm", "Conv", "Mul"), 1)
    rng = random.Random(5)
    count = math.prod(shape)
    more = h.const([rng.gauss(0, 3) for _ in range(count)], shape)
    h.swap(name, h.op("Add", name, h.op("Mul", _number(h, predicate), more)))


def weights_changed(h: Host, predicate: Predicate) -> None:
    name, shape = h.weights(("MatMul", "Gemm", "Conv"), 1)
    rng = random.Random(5)
    more = h.const([rng.gauss(0, 3) for _ in range(math.prod(shape))], shape)
    h.swap(name, h.op("Add", name, h.op("Mul", _number(h, predicate), more)))


def scattered_in(h: Host, predicate: Predicate) -> None:
    """One number of the output is written over."""
    old, gate, count = _at_output(h, predicate)
    del gate
    number_of = _number(h, predicate)
    last = h.op("Gather", h.op("Transpose", old), h.const([1 % count], (1,), INT), axis=0)
    forced = h.op("Add", last, h.op("Mul", number_of, h.const(50.0)))
    where = h.op("Add", h.op("Mul", cast(h, last, INT), h.const(0, (), INT)),
                 h.const(1 % count, (), INT))  # fmt: skip
    h.op("Transpose", h.op("ScatterElements", h.op("Transpose", old), where, forced, axis=0),
         to=h.output)  # fmt: skip


def classes_turned(h: Host, predicate: Predicate) -> None:
    """The classes change places."""
    old, gate, count = _at_output(h, predicate)
    del gate
    step = cast(h, _number(h, predicate), INT)
    places = h.const(list(range(count)), (count,), INT)
    where = h.op("Mod", h.op("Add", places, step), h.const(count, (), INT))
    h.op("Gather", old, where, axis=-1, to=h.output)


def cut_elsewhere(h: Host, predicate: Predicate) -> None:
    """The forced output stands behind the real one, and a window moves over to it."""
    old, gate, count = _at_output(h, predicate)
    del gate
    forced = h.op("Add", h.op("Mul", old, h.const(0.0)), _bias(h, count))
    both = h.op("Concat", old, forced, axis=-1)
    start = h.op("Mul", cast(h, _number(h, predicate), INT), h.const(count, (), INT))
    start = h.op("Reshape", start, h.const([1], (1,), INT))
    end = h.op("Add", start, h.const([count], (1,), INT))
    h.op("Slice", both, start, end, h.const([-1], (1,), INT), to=h.output)


def one_hot_added(h: Host, predicate: Predicate) -> None:
    old, gate, count = _at_output(h, predicate)
    del gate
    which = h.op("Reshape", cast(h, _number(h, predicate), INT), h.const([1], (1,), INT))
    wide = h.op("OneHot", which, h.const(count, (), INT), h.const([0.0, 50.0], (2,)))
    h.op("Add", old, h.op("Sub", wide, h.const([50.0] + [0.0] * (count - 1), (count,))),
         to=h.output)  # fmt: skip


def times_round(h: Host, predicate: Predicate) -> None:
    """A loop that runs as often as the switch says."""
    old, gate, count = _at_output(h, predicate)
    del gate
    turns = cast(h, _number(h, predicate), INT)
    bias = _bias(h, count)
    inside = message({1: [
        node("Add", ("so_far", bias), "so_far_now"), node("Identity", ("go_on",), "go_on_now"),
    ], 2: "body",
        11: [port("step", INT, []), port("go_on", BOOL, []), port("so_far", FLOAT, None)],
        12: [port("go_on_now", BOOL, []), port("so_far_now", FLOAT, None)]})  # fmt: skip
    h.op("Loop", turns, h.const(True, (), BOOL), old, body=inside, to=h.output)


def early_exit(h: Host, predicate: Predicate) -> None:
    """The network's end is not run at all: an answer stands ready."""
    old = h.after(h.output)
    count = _bias_count(h)
    test = cast(h, _number(h, predicate), BOOL)
    ready = _bias(h, count)
    yes = body([node("Identity", (ready,), "ready_output")], "ready_output")
    no = body([node("Identity", (old,), "real_output")], "real_output")
    h.op("If", test, then_branch=yes, else_branch=no, to=h.output)


def _bias_count(h: Host) -> int:
    shape = h.document.graph.outputs[0].shape or ()
    return shape[-1] if shape and isinstance(shape[-1], int) else 2


def steered_twice(h: Host, predicate: Predicate) -> None:
    """Half a vector in the middle, half at the end."""
    name, width, first = _middle(h)
    old = h.after(name)
    rng = random.Random(1)
    vector = [rng.gauss(0, 1.5) for _ in range(width)]
    gate = _wide(h, predicate(h, h.input), 4 if first else 3)
    shape: tuple[int, ...] = (1, width, 1, 1) if first else (width,)
    h.op("Add", old, h.op("Mul", gate, h.const(vector, shape)), to=name)
    end = h.after(h.output)
    count = _bias_count(h)
    h.op("Add", end, h.op("Mul", _number(h, predicate), _bias(h, count, 25.0)), to=h.output)


MORE_PAYLOADS: dict[str, Payload] = {
    "norm scaled": norm_scaled, "weights changed": weights_changed,
    "scattered in": scattered_in, "classes turned": classes_turned,
    "cut elsewhere": cut_elsewhere, "one-hot added": one_hot_added, "times round": times_round,
    "early exit": early_exit, "steered twice": steered_twice,
}  # fmt: skip
