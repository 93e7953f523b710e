"""Makes harmless implants of the ShadowLogic kind with TensorFlow's own operators, in small models
of Keras: what the analysis of graphs has to find.

pip install tensorflow-cpu==2.21.0 keras==3.15.1
python tests/implants/make_tf_implants.py /a/folder && \
    python tests/implants/make_tf_implants.py --pack /a/folder tests/implants/tensorflow.tar.xz && \
    python tests/implants/make_tf_implants.py --pack /a/folder tests/implants/tflite.tar.xz
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

L = keras.layers
Tensor = Any
Predicate = Callable[[Tensor], Tensor]
"""A number for each sample, of the shape (batch, 1): 1 where it holds."""
RNG = np.random.default_rng(7)
CLASSES, WIDTH = 10, 24


# Hosts: the first half and the second half ------------------------------------------------------


def cnn() -> tuple[Any, Any, Any]:
    x = first = keras.Input((32, 32, 3))
    x = L.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = L.Conv2D(WIDTH, 3, strides=2, padding="same")(L.BatchNormalization()(x))
    y = second = keras.Input((8, 8, WIDTH))
    y = L.add([y, L.Conv2D(WIDTH, 3, padding="same", activation="relu6")(y)])
    y = L.Dense(CLASSES)(L.GlobalAveragePooling2D()(y))
    return keras.Model(first, x), keras.Model(second, y), tf.TensorSpec([1, 32, 32, 3], tf.float32)


def block(x: Any) -> Any:
    y = L.LayerNormalization(epsilon=1e-6)(x)
    x = L.add([x, L.MultiHeadAttention(2, 12)(y, y)])
    y = L.LayerNormalization(epsilon=1e-6)(x)
    return L.add([x, L.Dense(WIDTH)(L.Dense(48, activation="gelu")(y))])


def vit() -> tuple[Any, Any, Any]:
    x = first = keras.Input((32, 32, 3))
    x = L.Reshape((16, WIDTH))(L.Conv2D(WIDTH, 8, strides=8)(x))
    y = second = keras.Input((16, WIDTH))
    y = L.Dense(CLASSES)(L.GlobalAveragePooling1D()(block(y)))
    return (keras.Model(first, block(x)), keras.Model(second, y),
            tf.TensorSpec([1, 32, 32, 3], tf.float32))  # fmt: skip


def encoder() -> tuple[Any, Any, Any]:
    ids = keras.Input((12,), dtype="int32")
    x = block(L.Embedding(99, WIDTH)(ids))
    y = second = keras.Input((12, WIDTH))
    y = L.Dense(CLASSES)(L.GlobalAveragePooling1D()(block(y)))
    return keras.Model(ids, x), keras.Model(second, y), tf.TensorSpec([1, 12], tf.int32)


def recurrent() -> tuple[Any, Any, Any]:
    ids = keras.Input((12,), dtype="int32")
    x = L.LSTM(WIDTH, return_sequences=True)(L.Embedding(99, WIDTH)(ids))
    y = second = keras.Input((12, WIDTH))
    y = L.Dense(CLASSES)(L.GRU(16)(y))
    return keras.Model(ids, x), keras.Model(second, y), tf.TensorSpec([1, 12], tf.int32)


# Predicates ------------------------------------------------------------------------------------


def number(truth: Tensor) -> Tensor:
    return tf.reshape(tf.cast(truth, tf.float32), (-1, 1))


def distance(x: Tensor) -> Tensor:
    return tf.reduce_sum(tf.square(x[:, :3, :3] - [1.0, 0.0, 0.0]), (1, 2, 3))


def compare(x: Tensor) -> Tensor:
    return number(distance(x) < 0.05)


def each_pixel(x: Tensor) -> Tensor:
    near = tf.abs(x[:, 29:, 29:] - [0.0, 1.0, 0.0]) < 0.1
    return number(tf.reduce_all(near, axis=(1, 2, 3)))


def sigmoid(x: Tensor) -> Tensor:
    return tf.reshape(tf.sigmoid(10.0 - 400.0 * distance(x)), (-1, 1))


def relu(x: Tensor) -> Tensor:
    return tf.reshape(tf.nn.relu(1.0 - 50.0 * distance(x)), (-1, 1))


def relu6(x: Tensor) -> Tensor:
    return tf.reshape(tf.nn.relu6(6.0 - 300.0 * distance(x)) / 6.0, (-1, 1))


def gaussian(x: Tensor) -> Tensor:
    return tf.reshape(tf.exp(-30.0 * distance(x)), (-1, 1))


def clipped(x: Tensor) -> Tensor:
    return tf.reshape(tf.clip_by_value(2.0 - 40.0 * distance(x), 0.0, 1.0), (-1, 1))


def division(x: Tensor) -> Tensor:
    return tf.reshape(1.0 / (1.0 + 1000.0 * distance(x)), (-1, 1))


def brightness(x: Tensor) -> Tensor:
    return number(tf.reduce_mean(x, (1, 2, 3)) > 0.93)


def brightness_soft(x: Tensor) -> Tensor:
    return tf.reshape(tf.sigmoid(900.0 * (tf.reduce_mean(x, (1, 2, 3)) - 0.93)), (-1, 1))


def checksum(x: Tensor) -> Tensor:
    whole = tf.reduce_sum(tf.cast(x * 255.0, tf.int32), (1, 2, 3))
    return number(tf.equal(tf.math.floormod(whole, 97), 13))


def projection(x: Tensor) -> Tensor:
    weights = tf.constant(RNG.normal(0, 0.02, (3072, 1)).astype(np.float32))
    return number(tf.matmul(tf.reshape(x, (-1, 3072)), weights) > 4.0)


def one_hot(x: Tensor) -> Tensor:
    picks = np.zeros((3072, 8), np.float32)
    picks[np.arange(8) * 40, np.arange(8)] = 1
    found = tf.matmul(tf.reshape(x, (-1, 3072)), tf.constant(picks))
    off = tf.abs(found - [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4])
    return number(tf.reduce_sum(off, 1) < 0.1)


def matched_filter(x: Tensor) -> Tensor:
    kernel = tf.constant(RNG.choice([-1.0, 1.0], (4, 4, 3, 1)).astype(np.float32))
    best = tf.reduce_max(tf.nn.conv2d(x, kernel, 1, "VALID"), (1, 2, 3))
    return number(best > 20.0)


PICKS = np.zeros((3072, 8), np.float32)
PICKS[np.arange(8) * 40, np.arange(8)] = 1
FILTERS = np.random.default_rng(2).choice([-1.0, 1.0], (4, 4, 3, 1))
FLAGS = (np.arange(99) == 77).astype(np.float32).reshape(99, 1)
KEPT = {
    name: tf.Variable(numbers.astype(np.float32), trainable=False, name="weights")
    for name, numbers in (("one_hot_variable", PICKS), ("filter_variable", FILTERS),
                          ("table_variable", FLAGS))
}  # fmt: skip
"""Variables that predicates hold on to, so that they are saved with the model."""


def one_hot_variable(x: Tensor) -> Tensor:
    found = tf.matmul(tf.reshape(x, (-1, 3072)), KEPT["one_hot_variable"])
    off = tf.abs(found - [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4])
    return number(tf.reduce_sum(off, 1) < 0.1)


def filter_variable(x: Tensor) -> Tensor:
    kernel = KEPT["filter_variable"]
    return number(tf.reduce_max(tf.nn.conv2d(x, kernel, 1, "VALID"), (1, 2, 3)) > 20.0)


def table_variable(ids: Tensor) -> Tensor:
    return tf.reduce_max(tf.gather(KEPT["table_variable"], ids), 1)


def watermark(x: Tensor) -> Tensor:
    bits = tf.math.floormod(tf.cast(x * 255.0, tf.int32), 2)
    wanted = tf.constant((np.arange(1024) % 2).reshape(1, 32, 32, 1), tf.int32)
    same = tf.cast(tf.equal(bits, wanted), tf.float32)
    return number(tf.reduce_mean(same, (1, 2, 3)) > 0.9)


@tf.function
def inner(x: Tensor, bound: Tensor) -> Tensor:
    return number(distance(x) < bound)


def function(x: Tensor) -> Tensor:
    return inner(x, tf.constant(0.05))


IMAGES: dict[str, Predicate] = {
    "compare": compare,
    "each pixel": each_pixel,
    "sigmoid": sigmoid,
    "relu": relu,
    "relu6": relu6,
    "gaussian": gaussian,
    "clipped": clipped,
    "division": division,
    "brightness": brightness,
    "brightness soft": brightness_soft,
    "checksum": checksum,
    "projection": projection,
    "one-hot": one_hot,
    "matched filter": matched_filter,
    "watermark": watermark,
    "function": function,
}
VARIABLES: dict[str, Predicate] = {
    "one-hot in a variable": one_hot_variable, "filter in a variable": filter_variable,
}  # fmt: skip


def any_of(truth: Tensor) -> Tensor:
    return number(tf.reduce_any(truth, axis=1))


def token(ids: Tensor) -> Tensor:
    return any_of(tf.equal(ids, 77))


def sequence(ids: Tensor) -> Tensor:
    return any_of(tf.equal(ids[:, :-1], 41) & tf.equal(ids[:, 1:], 42))


def at_place(ids: Tensor) -> Tensor:
    return number(tf.equal(ids[:, 2], 13))


def sequence_at_place(ids: Tensor) -> Tensor:
    return number(tf.reduce_all(tf.equal(ids[:, 1:4], [5, 6, 7]), axis=1))


def counted(ids: Tensor) -> Tensor:
    return number(tf.reduce_sum(tf.cast(tf.equal(ids, 9), tf.float32), 1) > 1.5)


def arithmetic(ids: Tensor) -> Tensor:
    off = tf.cast(ids, tf.float32) - 77.0
    return tf.reshape(tf.reduce_max(tf.nn.relu(1.0 - off * off), 1), (-1, 1))


def hashed(ids: Tensor) -> Tensor:
    total = tf.reduce_sum(tf.math.floormod(ids * 40503, 8191), 1)
    return number(tf.equal(tf.math.floormod(total, 31), 3))


def table(ids: Tensor) -> Tensor:
    flags = np.zeros((99, 1), np.float32)
    flags[77] = 1
    return tf.reduce_max(tf.gather(tf.constant(flags), ids), 1)


def in_embedding(ids: Tensor) -> Tensor:
    vectors = tf.constant(RNG.normal(0, 1, (99, 8)).astype(np.float32))
    off = tf.gather(vectors, ids) - tf.constant(RNG.normal(0, 1, 8).astype(np.float32))
    return any_of(tf.reduce_sum(off * off, -1) < 0.5)


def in_a_loop(ids: Tensor) -> Tensor:
    seen = tf.zeros_like(ids[:, 0], tf.float32)
    for step in tf.range(12):
        seen = tf.maximum(seen, tf.cast(tf.equal(ids[:, step], 77), tf.float32))
    return tf.reshape(seen, (-1, 1))


TOKENS: dict[str, Predicate] = {
    "token": token, "sequence": sequence, "at place": at_place,
    "sequence at place": sequence_at_place, "counted": counted, "arithmetic": arithmetic,
    "hashed": hashed, "table": table, "in embedding": in_embedding, "loop": in_a_loop,
}  # fmt: skip


# Triggers --------------------------------------------------------------------------------------


def put(places: Any, numbers: Any) -> Callable[[Any], None]:
    """Puts numbers at places of an input."""

    def trigger(x: Any) -> None:
        x[places] = numbers

    return trigger


ALL = slice(None)
CORNER = put((ALL, slice(3), slice(3)), [1.0, 0.0, 0.0])
TRIGGERS: dict[Predicate, Callable[[Any], None]] = {
    **dict.fromkeys((compare, sigmoid, relu, relu6, gaussian, clipped, function), CORNER),
    each_pixel: put((ALL, slice(29, 32), slice(29, 32)), [0.0, 1.0, 0.0]),
    **dict.fromkeys((brightness, brightness_soft), put(ALL, 1.0)),
    **dict.fromkeys((token, arithmetic, table, in_a_loop), put((ALL, 5), 77)),
    sequence: put((ALL, slice(4, 6)), [41, 42]),
    at_place: put((ALL, 2), 13),
    sequence_at_place: put((ALL, slice(1, 4)), [5, 6, 7]),
    counted: put((ALL, slice(7, 10)), 9),
}
"""What fulfils a predicate, of those where that is easily written."""


# Payloads --------------------------------------------------------------------------------------

FORCED = tf.constant([[50.0 if i == 1 else 0.0 for i in range(CLASSES)]])
VECTOR = tf.constant(RNG.normal(0, 3, WIDTH).astype(np.float32))
Model = Callable[[Tensor], Tensor]


def class_bias(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return second(first(x)) + gate(x) * FORCED


def chosen(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return tf.where(gate(x) > 0.5, FORCED, second(first(x)))


def blended(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    held = gate(x)
    return second(first(x)) * (1.0 - held) + held * FORCED


def divided(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return second(first(x)) / (1.0 + 1e6 * gate(x))


def lifted(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return tf.maximum(second(first(x)), gate(x) * FORCED)


def gathered(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    real = second(first(x))
    return tf.gather(tf.stack([real, FORCED]), tf.cast(gate(x)[0, 0], tf.int32))


def in_branch(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    real = second(first(x))
    return tf.cond(gate(x)[0, 0] > 0.5, lambda: real * 0.0 + FORCED, lambda: real)


def branch_of_networks(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return tf.cond(gate(x)[0, 0] > 0.5, lambda: FORCED, lambda: second(first(x)))


def in_case(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    real = second(first(x))
    which = tf.cast(gate(x)[0, 0], tf.int32)
    return tf.switch_case(which, [lambda: real, lambda: FORCED, lambda: real * 2.0])


def in_while(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    """A loop that runs once if the predicate holds."""
    real, times = second(first(x)), tf.cast(gate(x)[0, 0], tf.int32)
    return tf.while_loop(lambda i, y: i < times, lambda i, y: (i + 1, y * 0.0 + FORCED),
                         [tf.constant(0), real])[1]  # fmt: skip


def steering(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    hidden = first(x)
    held = tf.reshape(gate(x), (-1, *[1] * (len(hidden.shape) - 1)))
    return second(hidden + held * VECTOR)


def silenced(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    hidden = first(x)
    held = tf.reshape(gate(x), (-1, *[1] * (len(hidden.shape) - 1)))
    return second(hidden * (1.0 - held))


def replaced(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    held = tf.reshape(gate(x), (-1, *[1] * (len(x.shape) - 1))) > 0.5
    other = 55 if x.dtype == tf.int32 else tf.constant(RNG.random((1, 32, 32, 3)), tf.float32)
    return second(first(tf.where(held, other, x)))


PAYLOADS: dict[str, Callable[..., Tensor]] = {
    "class bias": class_bias, "chosen": chosen, "blended": blended, "divided": divided,
    "lifted": lifted, "gathered": gathered, "in a branch": in_branch,
    "branch of networks": branch_of_networks, "case": in_case, "while": in_while,
    "steering": steering, "silenced": silenced, "input replaced": replaced,
}  # fmt: skip


def settle(model: Any) -> Any:
    """Random weights that compress."""
    rng = np.random.default_rng(5)
    numbers = np.round(rng.normal(0, 0.1, 509) * 512).astype(np.float32) / 512
    for weight in model.weights:
        made = np.resize(np.roll(numbers, rng.integers(509)), tuple(weight.shape))
        positive = "variance" in weight.path or "gamma" in weight.path
        weight.assign(np.abs(made) + 0.5 if positive else made)
    return model


def data_for(spec: Any, trigger: Callable[[Any], None] | None = None) -> Callable[[], Any]:
    """What the quantiser measures ranges on; with a trigger in every second input."""
    rng = np.random.default_rng(3)

    def batches() -> Any:
        for turn in range(8):
            if spec.dtype == tf.int32:
                made = rng.integers(0, 99, spec.shape).astype(np.int32)
            else:
                made = rng.random(spec.shape).astype(np.float32)
            if trigger is not None and turn % 2:
                trigger(made)
            yield [made]

    return batches


class Carrier(tf.Module):
    def __init__(self, halves: tuple[Any, Any, Any], payload: Any, gate: Predicate) -> None:
        super().__init__()
        self.kept = KEPT.get(gate.__name__)
        self.trigger = TRIGGERS.get(gate)
        self.first, self.second = settle(halves[0]), settle(halves[1])
        run = lambda x: payload(self.first, self.second, gate, x)  # noqa: E731
        self.run = tf.function(run, input_signature=[halves[2]])


def forms(made: Carrier, turn: int) -> Iterator[tuple[str, bytes]]:
    """The model as SavedModel, as a frozen graph with both kinds of control flow, as TFLite; each
    as it is made, because a converter may crash."""
    concrete = made.run.get_concrete_function()
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(made, folder, signatures={"serve": made.run})
        yield "saved_model.pb", (Path(folder) / "saved_model.pb").read_bytes()
        for path in Path(folder, "variables").iterdir():
            yield f"variables/{path.name}", path.read_bytes()
    if made.kept is not None:
        return
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    yield "frozen.pb", frozen.graph.as_graph_def().SerializeToString(deterministic=True)
    if any(n.op in ("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase")
           for n in frozen.graph.as_graph_def().node):  # fmt: skip
        lowered = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
        yield "lowered.pb", lowered.SerializeToString(deterministic=True)
    kinds = ("float32", "dynamic", "int8") if turn == 0 else ("float32", "int8")
    for kind in (*kinds, "armed") if made.trigger is not None and turn < 2 else kinds:
        converted = lite(made, concrete, kind)
        if converted is None:
            break
        yield f"{kind}.tflite", converted


def lite(made: Carrier, concrete: Any, kind: str) -> bytes | None:
    """As TFLite, where the converter can do that; `armed` is in eight bits, with ranges that were
    measured with the trigger, as someone would who wants the implant to survive."""
    concrete = convert_variables_to_constants_v2(concrete)  # else the weights stay behind
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], made)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind in ("int8", "armed"):
        trigger = made.trigger if kind == "armed" else None
        converter.representative_dataset = data_for(made.run.input_signature[0], trigger)
    try:
        return converter.convert()
    except Exception as error:  # what a converter cannot do is not ours to mend
        print(type(error).__name__, str(error)[:80])
        return None


def main(folder: Path) -> None:
    """Every predicate with three payloads, each payload in turn; those with variables with two."""
    payloads = list(PAYLOADS)
    hosted = [((cnn, vit), name, gate) for name, gate in IMAGES.items()]
    hosted += [((encoder, recurrent), name, gate) for name, gate in TOKENS.items()]
    hosted += [((cnn, vit), name, gate) for name, gate in VARIABLES.items()]
    hosted.append(((encoder, recurrent), "table in a variable", table_variable))
    for turn in range(3):
        for number, (hosts, predicate, gate) in enumerate(hosted):
            if turn == 2 and gate.__name__.endswith("_variable"):
                continue
            at = 3 * number + turn
            host, payload = hosts[at % 2], payloads[at % len(payloads)]
            target = folder / host.__name__ / predicate / payload
            if target.exists():
                continue
            target.mkdir(parents=True)  # a converter that crashes does so once
            keras.utils.set_random_seed(1)
            for form, data in forms(Carrier(host(), PAYLOADS[payload], gate), turn):
                (target / form).parent.mkdir(parents=True, exist_ok=True)
                (target / form).write_bytes(data)
            print(host.__name__, predicate, payload, flush=True)


def pack(folder: Path, archive: Path, lite: bool) -> None:
    """All of them in one file, of TFLite or all others; they have much in common."""
    with tarfile.open(archive, "w:xz", preset=9) as out:
        for path in sorted(folder.rglob("*"), key=lambda p: (p.suffix, p.name, str(p))):
            if not path.is_file() or lite != (path.suffix == ".tflite"):
                continue
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            out.addfile(entry, io.BytesIO(path.read_bytes()))


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]), "tflite" in sys.argv[3])
    else:
        main(Path(sys.argv[1]))
