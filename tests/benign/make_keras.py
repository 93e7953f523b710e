"""Makes the Keras configurations of the benign corpus with the real library.

pip install torch==2.13.0 keras==3.15.1
KERAS_BACKEND=torch python tests/benign/make_keras.py tests/benign/files/keras
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from keras import layers


def cnn() -> keras.Model:
    """A compiled image classifier."""
    start = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(start)
    x = layers.Dropout(0.1)(layers.MaxPooling2D()(layers.BatchNormalization()(x)))
    x = layers.Dense(3, activation=keras.activations.gelu)(layers.Flatten()(x))
    model = keras.Model(start, layers.Softmax()(x))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", keras.metrics.AUC()])
    return model


def rnn() -> keras.Model:
    """A compiled text classifier with a learning-rate schedule."""
    inner = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    model = keras.Sequential(
        [keras.Input((10,)), layers.Embedding(50, 8), inner, layers.GRU(3),
         layers.LayerNormalization(), layers.Dense(1, "sigmoid")]
    )  # fmt: skip
    rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(keras.optimizers.AdamW(rate), keras.losses.BinaryCrossentropy())
    return model


def attention() -> keras.Model:
    """A functional model with operations of its own."""
    start = keras.Input((4, 8))
    mixed = keras.ops.mean(start + layers.MultiHeadAttention(2, 4)(start, start), axis=1)
    twice = keras.ops.relu(mixed) * 2.0
    return keras.Model(start, layers.Concatenate()([twice, twice]))


def augmenting() -> keras.Model:
    """Pre-processing layers before a convolution."""
    return keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.RandomFlip(),
         layers.RandomRotation(0.1), layers.SeparableConv2D(4, 3), layers.GlobalAveragePooling2D()]
    )  # fmt: skip


def main(folder: Path) -> None:
    """Make all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in (cnn, rnn, attention, augmenting):
        (folder / f"{make.__name__}.json").write_text(make().to_json() + "\n")
    rnn().save(folder / "rnn.keras")
    attention().save(folder / "attention.keras")
    attention().save(folder / "attention.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
