"""Makes harmless implants of the ShadowLogic kind with Keras's own layers and operations, so that
they stand in the configuration: what the analysis of graphs has to find there.

pip install tensorflow-cpu==2.21.0 keras==3.15.1
python tests/implants/make_keras_implants.py /a/folder && \
    python tests/implants/make_tf_implants.py --pack /a/folder tests/implants/keras.tar.xz
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from make_tf_implants import CLASSES, WIDTH, L, cnn, encoder, keras, recurrent, settle, vit

Tensor = Any
Predicate = Callable[[Tensor], Tensor]
"""A number for each sample, of the shape (batch, 1): 1 where it holds."""
RNG = np.random.default_rng(11)
FORCED = np.array([[50.0 if i == 1 else 0.0 for i in range(CLASSES)]], "float32")
VECTOR = np.round(RNG.normal(0, 3, WIDTH), 2).astype("float32")
RED, GREEN = np.array([1.0, 0.0, 0.0], "float32"), np.array([0.0, 1.0, 0.0], "float32")


def number(truth: Tensor) -> Tensor:
    return ops.reshape(ops.cast(truth, "float32"), (-1, 1))


def distance(x: Tensor) -> Tensor:
    return ops.sum(ops.square(x[:, :3, :3] - RED), (1, 2, 3))


def compare(x: Tensor) -> Tensor:
    return number(distance(x) < 0.05)


def each_pixel(x: Tensor) -> Tensor:
    near = ops.abs(x[:, 29:, 29:] - GREEN) < 0.1
    return number(ops.all(near, axis=(1, 2, 3)))


def sigmoid(x: Tensor) -> Tensor:
    return ops.reshape(ops.sigmoid(10.0 - 400.0 * distance(x)), (-1, 1))


def relu(x: Tensor) -> Tensor:
    return ops.reshape(ops.relu(1.0 - 50.0 * distance(x)), (-1, 1))


def gaussian(x: Tensor) -> Tensor:
    return ops.reshape(ops.exp(-30.0 * distance(x)), (-1, 1))


def clipped(x: Tensor) -> Tensor:
    return ops.reshape(ops.clip(2.0 - 40.0 * distance(x), 0.0, 1.0), (-1, 1))


def division(x: Tensor) -> Tensor:
    return ops.reshape(1.0 / (1.0 + 1000.0 * distance(x)), (-1, 1))


def brightness(x: Tensor) -> Tensor:
    return number(ops.mean(x, (1, 2, 3)) > 0.93)


def checksum(x: Tensor) -> Tensor:
    whole = ops.sum(ops.cast(x * 255.0, "int32"), (1, 2, 3))
    return number(ops.equal(ops.mod(whole, 97), 13))


def of_layers(x: Tensor) -> Tensor:
    """Nothing but layers: a cut, a pool, a scale, and a saturation."""
    corner = L.Cropping2D(((0, 29), (0, 29)))(x)
    bright = L.GlobalAveragePooling2D()(L.Rescaling(1.0, -0.9)(corner))
    least = L.Reshape((1,))(L.GlobalMaxPooling1D()(L.Reshape((3, 1))(L.Rescaling(-1.0)(bright))))
    return L.Activation("sigmoid")(L.Rescaling(-200.0)(least))


IMAGES: dict[str, Predicate] = {
    "compare": compare, "each pixel": each_pixel, "sigmoid": sigmoid, "relu": relu,
    "gaussian": gaussian, "clipped": clipped, "division": division, "brightness": brightness,
    "checksum": checksum, "of layers": of_layers,
}  # fmt: skip


def any_of(truth: Tensor) -> Tensor:
    return number(ops.any(truth, axis=1))


def token(ids: Tensor) -> Tensor:
    return any_of(ops.equal(ids, 77))


def sequence(ids: Tensor) -> Tensor:
    return any_of(ops.logical_and(ops.equal(ids[:, :-1], 41), ops.equal(ids[:, 1:], 42)))


def at_place(ids: Tensor) -> Tensor:
    return number(ops.equal(ids[:, 2], 13))


def counted(ids: Tensor) -> Tensor:
    return number(ops.sum(ops.cast(ops.equal(ids, 9), "float32"), 1) > 1.5)


def arithmetic(ids: Tensor) -> Tensor:
    off = ops.cast(ids, "float32") - 77.0
    return ops.reshape(ops.max(ops.relu(1.0 - off * off), 1), (-1, 1))


def hashed(ids: Tensor) -> Tensor:
    total = ops.sum(ops.mod(ids * 40503, 8191), 1)
    return number(ops.equal(ops.mod(total, 31), 3))


def hot(ids: Tensor) -> Tensor:
    return ops.reshape(ops.max(ops.one_hot(ids, 99)[:, :, 77], 1), (-1, 1))


TOKENS: dict[str, Predicate] = {
    "token": token, "sequence": sequence, "at place": at_place, "counted": counted,
    "arithmetic": arithmetic, "hashed": hashed, "one-hot": hot,
}  # fmt: skip


Model = Callable[[Tensor], Tensor]


def held(gate: Predicate, x: Tensor, like: Tensor) -> Tensor:
    return ops.reshape(gate(x), (-1, *[1] * (len(like.shape) - 1)))


def class_bias(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return second(first(x)) + gate(x) * FORCED


def chosen(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return ops.where(gate(x) > 0.5, FORCED, second(first(x)))


def blended(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    truth = gate(x)
    return second(first(x)) * (1.0 - truth) + truth * FORCED


def divided(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return second(first(x)) / (1.0 + 1e6 * gate(x))


def lifted(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return ops.maximum(second(first(x)), gate(x) * FORCED)


def multiplied(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    return L.Multiply()([second(first(x)), L.Rescaling(-2.0, 1.0)(gate(x))])


def steering(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    hidden = first(x)
    return second(hidden + held(gate, x, hidden) * VECTOR)


def silenced(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    hidden = first(x)
    return second(hidden * (1.0 - held(gate, x, hidden)))


def replaced(first: Model, second: Model, gate: Predicate, x: Tensor) -> Tensor:
    other = 55 if len(x.shape) == 2 else 0.25
    return second(first(ops.where(held(gate, x, x) > 0.5, other, x)))


PAYLOADS: dict[str, Callable[..., Tensor]] = {
    "class bias": class_bias, "chosen": chosen, "blended": blended, "divided": divided,
    "lifted": lifted, "multiplied": multiplied, "steering": steering, "silenced": silenced,
    "input replaced": replaced,
}  # fmt: skip


def main(folder: Path) -> None:
    """Every predicate with four payloads: as JSON, every third as the archive with weights too."""
    payloads = list(PAYLOADS)
    hosted = [((cnn, vit), name, gate) for name, gate in IMAGES.items()]
    hosted += [((encoder, recurrent), name, gate) for name, gate in TOKENS.items()]
    for number, (hosts, predicate, gate) in enumerate(hosted):
        for turn in range(4):
            at = 4 * number + turn
            host, payload = hosts[at % 2], payloads[at % len(payloads)]
            first, second, _ = host()
            x = keras.Input(first.inputs[0].shape[1:], dtype=first.inputs[0].dtype)
            made = settle(keras.Model(x, PAYLOADS[payload](first, second, gate, x)))
            target = folder / host.__name__ / predicate / payload
            target.mkdir(parents=True, exist_ok=True)
            (target / "config.json").write_text(made.to_json())
            if at % 3 == 0:
                made.save(target / "model.keras")
            print(host.__name__, predicate, payload, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
