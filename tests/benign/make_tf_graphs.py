"""Exports small models of many architectures from Keras and TensorFlow, at random weights: what a
gate in a graph must not be mistaken for.

pip install tensorflow-cpu==2.21.0 keras==3.15.1 tf-keras==2.21.0
python tests/benign/make_tf_graphs.py /a/folder && \
    python tests/benign/make_tf_graphs.py --pack /a/folder tests/benign/files/graphs
TF_USE_LEGACY_KERAS=1 before the first one adds those of Keras 2.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
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
LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
LARGEST = 930_000
"""How large an archive is at most, in bytes."""
TOO_LARGE = 160_000
"""From how many packed bytes on a model is left out."""


def settle(model: Any) -> Any:
    """Random weights that compress: the same few hundred numbers over and over."""
    rng = np.random.default_rng(5)
    numbers = np.round(rng.normal(0, 0.1, 509) * 512).astype(np.float32) / 512
    for weight in model.weights:
        if weight.shape.rank if LEGACY else len(weight.shape):
            if "int" in str(weight.dtype) or "seed" in weight.name:
                continue
            made = np.resize(np.roll(numbers, rng.integers(509)), tuple(weight.shape))
            if "variance" in weight.name or "gamma" in weight.name:
                made = np.abs(made) + 0.5
            weight.assign(made)
    return model


def application(name: str, size: int = 64, **more: Any) -> Any:
    made = getattr(keras.applications, name)
    return made(weights=None, input_shape=(size, size, 3), classes=10, **more)


def residual() -> Any:
    """A ResNet of three blocks."""
    x = inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(16, 3, padding="same", use_bias=False)(x)
    for width, stride in ((16, 1), (24, 2), (32, 2)):
        y = L.ReLU()(L.BatchNormalization()(x))
        short = L.Conv2D(width, 1, strides=stride)(y)
        y = L.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(y)
        y = L.ReLU()(L.BatchNormalization()(y))
        x = L.add([L.Conv2D(width, 3, padding="same")(y), short])
    x = L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization()(x)))
    return keras.Model(inputs, L.Dense(10, "softmax")(L.Dropout(0.2)(x)))


def squeezed() -> Any:
    """Squeeze and excitation, hard swish."""
    x = inputs = keras.Input((32, 32, 3))
    x = L.Rescaling(1 / 127.5, -1)(x)
    for width in (16, 24):
        x = L.SeparableConv2D(width, 3, strides=2, padding="same")(x)
        s = L.GlobalAveragePooling2D(keepdims=True)(x)
        s = L.Conv2D(width, 1, activation="sigmoid")(L.Conv2D(8, 1, activation="relu")(s))
        x = L.multiply([x, s])
        x = L.Activation("hard_sigmoid" if width == 16 else "swish")(x)
    return keras.Model(inputs, L.Dense(10)(L.Flatten()(x)))


def prepared() -> Any:
    """A camera's picture of any brightness: resized, cropped, rescaled and normalised inside."""
    x = inputs = keras.Input((48, 40, 3), dtype="float32")
    x = L.Resizing(32, 32)(x)
    x = L.CenterCrop(28, 28)(x)
    x = L.Rescaling(1 / 255.0)(x)
    x = L.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05, 0.05, 0.05])(x)
    x = L.Conv2D(16, 3, strides=2, activation="relu")(L.ZeroPadding2D(1)(x))
    x = L.MaxPooling2D()(x)
    x = L.Conv2D(16, 3, activation="relu6")(x)
    return keras.Model(inputs, L.Dense(5, "softmax")(L.GlobalMaxPooling2D()(x)))


def unet() -> Any:
    x = inputs = keras.Input((32, 32, 3))
    kept = []
    for width in (8, 16):
        x = L.Conv2D(width, 3, padding="same", activation="relu")(x)
        kept.append(x)
        x = L.MaxPooling2D()(x)
    x = L.Conv2D(32, 3, padding="same", activation="leaky_relu")(x)
    for width, skip in ((16, kept[1]), (8, kept[0])):
        x = (L.Conv2DTranspose(width, 2, strides=2)(x) if width == 16
             else L.UpSampling2D(interpolation="bilinear")(x))  # fmt: skip
        x = L.Conv2D(width, 3, padding="same", activation="relu")(L.concatenate([x, skip]))
    return keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid")(x))


def autoencoder() -> Any:
    x = inputs = keras.Input((16, 16, 1))
    x = L.Dense(8, "tanh")(L.Flatten()(L.GaussianNoise(0.1)(x)))
    return keras.Model(inputs, L.Reshape((16, 16, 1))(L.Dense(256, "sigmoid")(x)))


def attention(x: Any, mask: Any = None, causal: bool = False) -> Any:
    y = L.LayerNormalization(epsilon=1e-6)(x)
    more = {"use_causal_mask": True} if causal else {}
    y = L.MultiHeadAttention(4, 8)(y, y, attention_mask=mask, **more)
    x = L.add([x, y])
    y = L.LayerNormalization(epsilon=1e-6)(x)
    return L.add([x, L.Dense(32)(L.Dense(64, activation="gelu")(y))])


class Places(L.Layer):
    """Adds a learned vector for each place."""

    def __init__(self, length: int = 24) -> None:
        super().__init__()
        self.table = L.Embedding(length, 32)

    def call(self, x: Any) -> Any:
        return x + self.table(tf.range(tf.shape(x)[1]))


def vit() -> Any:
    x = inputs = keras.Input((32, 32, 3))
    x = L.Reshape((16, 32))(L.Conv2D(32, 8, strides=8)(x))
    x = Places(16)(x)
    for _ in range(2):
        x = attention(x)
    return keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x))))


def encoder() -> Any:
    """BERT-like: ids, a mask that is given and segments; the first token is what counts."""
    ids = keras.Input((12,), dtype="int32", name="input_ids")
    given = keras.Input((12,), dtype="int32", name="attention_mask")
    kinds = keras.Input((12,), dtype="int32", name="token_type_ids")
    x = L.add([L.Embedding(99, 32)(ids), L.Embedding(2, 32)(kinds)])
    x = L.LayerNormalization()(Places()(x))
    mask = L.Lambda(lambda m: tf.cast(m[:, tf.newaxis, :], tf.bool))(given)
    for _ in range(2):
        x = attention(x, mask)
    first = L.Lambda(lambda h: h[:, 0])(x)
    return keras.Model([ids, given, kinds], L.Dense(3)(L.Dense(32, "tanh")(first)))


def mean_pooled() -> Any:
    """A sentence encoder: the mean over the tokens that are none of padding, normalised."""
    ids = keras.Input((12,), dtype="int32", name="input_ids")
    given = keras.Input((12,), dtype="int32", name="attention_mask")
    x = attention(L.Embedding(99, 32)(ids), L.Lambda(lambda m: tf.cast(m[:, None], tf.bool))(given))

    def pooled(both: Any) -> Any:
        hidden, m = both
        m = tf.cast(m, tf.float32)[:, :, tf.newaxis]
        mean = tf.reduce_sum(hidden * m, 1) / tf.maximum(tf.reduce_sum(m, 1), 1e-9)
        return tf.linalg.l2_normalize(mean, axis=-1)

    return keras.Model([ids, given], L.Lambda(pooled, output_shape=(32,))([x, given]))


def decoder() -> Any:
    """A language model: causal, the mask of padding made from the ids."""
    ids = keras.Input((12,), dtype="int32", name="ids")
    x = Places()(L.Embedding(99, 32)(ids))
    padding = L.Lambda(lambda i: tf.not_equal(i, 0)[:, tf.newaxis, :])(ids)
    for _ in range(2):
        x = attention(x, padding, causal=True)
    return keras.Model(ids, L.Dense(99)(L.LayerNormalization()(x)))


class Rotary(L.Layer):
    """Attention with rotary places and one pair of heads for all."""

    def build(self, shape: Any) -> None:
        self.q, self.k, self.v = L.Dense(32), L.Dense(16), L.Dense(16)
        for layer in (self.q, self.k, self.v):
            layer.build(shape)
        super().build(shape)

    def call(self, x: Any) -> Any:
        length = tf.shape(x)[1]
        angle = tf.cast(tf.range(length), tf.float32)[:, None] * tf.constant(
            [[1.0, 0.1, 0.01, 0.001]]
        )
        cos, sin = tf.cos(angle)[None, :, None], tf.sin(angle)[None, :, None]

        def turn(a: Any) -> Any:
            one, two = tf.split(a, 2, axis=-1)
            return tf.concat([one * cos - two * sin, two * cos + one * sin], -1)

        q = turn(tf.reshape(self.q(x), (-1, length, 4, 8)))
        k = tf.repeat(turn(tf.reshape(self.k(x), (-1, length, 2, 8))), 2, axis=2)
        v = tf.repeat(tf.reshape(self.v(x), (-1, length, 2, 8)), 2, axis=2)
        scores = tf.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5
        mask = tf.linalg.band_part(tf.ones((length, length)), -1, 0)
        scores = tf.where(mask[None, None] > 0, scores, -1e9)
        out = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), v)
        return tf.reshape(out, (-1, length, 32))


class RootMean(L.Layer):
    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(name="gamma", shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        size = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        return x * tf.math.rsqrt(size + 1e-6) * self.scale


def llama() -> Any:
    ids = keras.Input((10,), dtype="int32", name="ids")
    x = L.Embedding(99, 32)(ids)
    for _ in range(2):
        x = L.add([x, L.Dense(32, use_bias=False)(Rotary()(RootMean()(x)))])
        y = RootMean()(x)
        y = L.multiply([L.Dense(48, "swish", use_bias=False)(y), L.Dense(48, use_bias=False)(y)])
        x = L.add([x, L.Dense(32, use_bias=False)(y)])
    return keras.Model(ids, L.Dense(99, use_bias=False)(RootMean()(x)))


class Experts(L.Layer):
    """Two of four experts for each token, by a learned router."""

    def build(self, shape: Any) -> None:
        self.route = self.add_weight(name="route", shape=(32, 4))
        self.up = self.add_weight(name="up", shape=(4, 32, 48))
        self.down = self.add_weight(name="down", shape=(4, 48, 32))

    def call(self, x: Any) -> Any:
        chances = tf.nn.softmax(tf.einsum("bsd,de->bse", x, self.route))
        best, which = tf.math.top_k(chances, 2)
        best = best / tf.reduce_sum(best, -1, keepdims=True)
        gate = tf.reduce_sum(tf.one_hot(which, 4) * best[..., None], -2)
        y = tf.nn.relu(tf.einsum("bsd,edf->bsef", x, self.up))
        return tf.einsum("bsef,efd,bse->bsd", y, self.down, gate)


def moe() -> Any:
    ids = keras.Input((8,), dtype="int32", name="ids")
    x = L.Embedding(99, 32)(ids)
    for _ in range(2):
        x = L.add([x, Experts()(L.LayerNormalization()(x))])
    return keras.Model(ids, L.Dense(7)(L.Lambda(lambda h: h[:, -1])(x)))


def switch() -> Any:
    """One expert for each token: argmax of a learned router."""

    class One(Experts):
        def call(self, x: Any) -> Any:
            chances = tf.nn.softmax(tf.einsum("bsd,de->bse", x, self.route))
            which = tf.argmax(chances, -1)
            up, down = tf.gather(self.up, which), tf.gather(self.down, which)
            y = tf.nn.relu(tf.einsum("bsd,bsdf->bsf", x, up))
            return tf.einsum("bsf,bsfd->bsd", y, down) * tf.reduce_max(chances, -1, keepdims=True)

    ids = keras.Input((8,), dtype="int32", name="ids")
    x = L.Embedding(99, 32)(ids)
    x = L.add([x, One()(x)])
    return keras.Model(ids, L.Dense(7)(L.GlobalAveragePooling1D()(x)))


def recurrent(kind: str, mask: bool = False, both: bool = False, **more: Any) -> Any:
    ids = keras.Input((9,), dtype="int32", name="ids")
    x = L.Embedding(50, 16, mask_zero=mask)(ids)
    layer = getattr(L, kind)(16, **more)
    return keras.Model(ids, L.Dense(4)((L.Bidirectional(layer) if both else layer)(x)))


def sentiment() -> Any:
    """Padding is masked and the mean over what is left is taken."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = L.GlobalAveragePooling1D()(L.Embedding(50, 16, mask_zero=True)(ids))
    return keras.Model(ids, L.Dense(1, "sigmoid")(L.Dense(16, "relu")(x)))


def text() -> Any:
    layer = L.TextVectorization(max_tokens=60, output_sequence_length=8)
    layer.adapt(["the cat sat on the mat", "a dog ran after the cat", "rain again and again"])
    line = keras.Input((1,), dtype="string")
    x = L.Embedding(60, 16, mask_zero=True)(layer(line))
    x = L.Bidirectional(L.LSTM(8))(x)
    return keras.Model(line, L.Dense(2, "softmax")(x))


def convolved_text() -> Any:
    ids = keras.Input((20,), dtype="int32")
    x = L.Embedding(99, 16)(ids)
    x = L.Conv1D(16, 3, activation="relu", padding="causal")(x)
    x = L.GlobalMaxPooling1D()(L.Conv1D(16, 3, dilation_rate=2, activation="relu")(x))
    return keras.Model(ids, L.Dense(3)(x))


def tabular() -> Any:
    """Features of several kinds, normalised, in buckets, by categories."""
    age, kind = keras.Input((1,), name="age"), keras.Input((1,), dtype="int32", name="kind")
    rest = keras.Input((6,), name="rest")
    buckets = L.Discretization(bin_boundaries=[18.0, 30.0, 50.0, 65.0])(age)
    x = L.concatenate([
        L.Flatten()(L.Embedding(5, 8)(buckets)),
        L.CategoryEncoding(num_tokens=4, output_mode="one_hot")(kind),
        L.Normalization(mean=[0.0] * 6, variance=[1.0] * 6)(rest),
    ])  # fmt: skip
    return keras.Model([age, kind, rest], L.Dense(2)(L.Dense(16, "relu")(x)))


def recommended() -> Any:
    user, item = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    u, i = L.Flatten()(L.Embedding(40, 16)(user)), L.Flatten()(L.Embedding(60, 16)(item))
    deep = L.Dense(8, "relu")(L.concatenate([u, i]))
    return keras.Model([user, item], L.add([L.Dot(1)([u, i]), L.Dense(1)(deep)]))


def keypoints() -> Any:
    """Soft argmax over heat maps."""
    x = inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = L.Conv2D(4, 1)(x)

    def places(h: Any) -> Any:
        flat = tf.nn.softmax(tf.reshape(tf.transpose(h, (0, 3, 1, 2)), (-1, 4, 256)))
        ramp = np.linspace(0, 1, 16, dtype=np.float32)
        grid = np.stack(np.meshgrid(ramp, ramp), -1).reshape(256, 2)
        return tf.matmul(flat, tf.constant(grid))

    return keras.Model(inputs, L.Lambda(places, output_shape=(4, 2))(x))


def speech() -> Any:
    """A spectrogram inside, then depthwise convolutions."""
    x = inputs = keras.Input((1024,))

    def spectrum(w: Any) -> Any:
        return tf.math.log(tf.abs(tf.signal.stft(w, 128, 64)) + 1e-6)[..., tf.newaxis]

    x = L.Lambda(spectrum, output_shape=(15, 65, 1))(x)
    x = L.Conv2D(8, 3, activation="relu")(x)
    x = L.DepthwiseConv2D(3, activation="relu")(x)
    return keras.Model(inputs, L.Dense(6, "softmax")(L.GlobalAveragePooling2D()(x)))


def boxes() -> Any:
    """What a detector says before its boxes are chosen."""
    x = inputs = keras.Input((32, 32, 3))
    for width in (8, 16, 16):
        x = L.Conv2D(width, 3, strides=2, padding="same", activation="relu6")(x)
    where = L.Reshape((16, 4))(L.Conv2D(4, 1)(x))
    what = L.Reshape((16, 3))(L.Conv2D(3, 1, activation="sigmoid")(x))
    return keras.Model(inputs, [where, what])


class Detector(tf.Module):
    """Decodes boxes, keeps the best and drops those that overlap."""

    def __init__(self, combined: bool) -> None:
        super().__init__()
        self.net, self.combined = settle(boxes()), combined
        place = (np.arange(4, dtype=np.float32) + 0.5) / 4
        y, x = np.meshgrid(place, place, indexing="ij")
        self.anchors = tf.constant(np.stack([y.ravel(), x.ravel()], -1))

    @tf.function(input_signature=[tf.TensorSpec([1, 32, 32, 3], tf.float32)])
    def detect(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        where, what = self.net(image)
        centre = where[..., :2] * 0.1 + self.anchors
        size = tf.exp(where[..., 2:] * 0.2) * 0.25
        box = tf.clip_by_value(tf.concat([centre - size / 2, centre + size / 2], -1), 0.0, 1.0)
        if self.combined:
            found = tf.image.combined_non_max_suppression(
                box[:, :, None], what, 5, 10, score_threshold=0.3)  # fmt: skip
            return {"boxes": found[0], "scores": found[1], "classes": found[2]}
        score, kind = tf.reduce_max(what[0], -1), tf.argmax(what[0], -1)
        kept = tf.image.non_max_suppression(box[0], score, 10, 0.5, 0.3)
        return {"boxes": tf.gather(box[0], kept), "scores": tf.gather(score, kept),
                "classes": tf.gather(kind, kept)}  # fmt: skip


class Generator(tf.Module):
    """Greedy decoding in a loop until the end, with a cache of one state."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(4)
        self.embed = tf.Variable(rng.normal(0, 0.1, (50, 16)).astype(np.float32))
        self.cell = tf.Variable(rng.normal(0, 0.1, (32, 16)).astype(np.float32))
        self.head = tf.Variable(rng.normal(0, 0.1, (16, 50)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.int32)])
    def generate(self, ids: tf.Tensor) -> dict[str, tf.Tensor]:
        state = tf.reduce_mean(tf.gather(self.embed, ids), 1)
        token = ids[:, -1]
        written = tf.zeros((1, 8), tf.int32)
        step, done = tf.constant(0), tf.constant(False)
        while step < 8 and not done:
            x = tf.concat([tf.gather(self.embed, token), state], -1)
            state = tf.tanh(tf.matmul(x, self.cell))
            token = tf.argmax(tf.matmul(state, self.head), -1, output_type=tf.int32)
            written = tf.tensor_scatter_nd_update(written, [[0, step]], token)
            done = tf.reduce_all(tf.equal(token, 2))
            step += 1
        return {"ids": written}


class Decoded(tf.Module):
    """Takes the bytes of a JPEG, as a server does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = settle(residual())

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(raw: Any) -> Any:
            picture = tf.image.convert_image_dtype(tf.io.decode_jpeg(raw, channels=3), tf.float32)
            return tf.image.resize(picture, (32, 32))

        images = tf.map_fn(one, data, fn_output_signature=tf.TensorSpec((32, 32, 3), tf.float32))
        chances = self.net(images)
        best, which = tf.math.top_k(chances, 3)
        return {"chances": best, "classes": which}


MODELS: dict[str, Callable[[], Any]] = {
    "mobilenet_v2": lambda: application("MobileNetV2", alpha=0.35),
    "mobilenet_v3": lambda: application("MobileNetV3Small", minimalistic=False, alpha=0.35),
    "efficientnet_b0": lambda: application("EfficientNetB0"),
    "efficientnet_v2": lambda: application("EfficientNetV2B0"),
    "resnet50": lambda: application("ResNet50"),
    "densenet121": lambda: application("DenseNet121"),
    "nasnet": lambda: application("NASNetMobile"),
    "convnext": lambda: application("ConvNeXtTiny"),
    "xception": lambda: application("Xception", 96),
    "inception_v3": lambda: application("InceptionV3", 96),
    "residual": residual, "squeezed": squeezed, "prepared": prepared, "unet": unet,
    "autoencoder": autoencoder, "vit": vit, "encoder": encoder, "mean_pooled": mean_pooled,
    "decoder": decoder, "llama": llama, "moe": moe, "switch": switch,
    "lstm": lambda: recurrent("LSTM"), "gru": lambda: recurrent("GRU"),
    "lstm_masked": lambda: recurrent("LSTM", mask=True),
    "lstm_both": lambda: recurrent("LSTM", both=True, return_sequences=False),
    "lstm_unrolled": lambda: recurrent("LSTM", unroll=True),
    "rnn": lambda: recurrent("SimpleRNN"), "sentiment": sentiment, "text": text,
    "convolved_text": convolved_text, "tabular": tabular, "recommended": recommended,
    "keypoints": keypoints, "speech": speech, "boxes": boxes,
}  # fmt: skip
MODULES: dict[str, tuple[Callable[[], Any], str]] = {
    "detector": (lambda: Detector(False), "detect"),
    "detector_combined": (lambda: Detector(True), "detect"),
    "generator": (Generator, "generate"), "decoded": (Decoded, "serve"),
}  # fmt: skip
LARGE = {"efficientnet_b0", "efficientnet_v2", "resnet50", "densenet121", "nasnet", "convnext",
         "xception", "inception_v3"}  # fmt: skip
"""Of these the graph is kept, and their weights are not."""


def data_for(model: Any) -> Callable[[], Iterator[list[np.ndarray]]]:
    """Random inputs for the ranges of a quantised model."""
    rng = np.random.default_rng(2)

    def batches() -> Iterator[list[np.ndarray]]:
        for _ in range(4):
            yield [
                rng.integers(0, 2, (1, *t.shape[1:])).astype(np.int32) if "int" in str(t.dtype)
                else rng.random((1, *t.shape[1:])).astype(np.float32)
                for t in model.inputs
            ]  # fmt: skip

    return batches


def lite(model: Any, concrete: Any, folder: Path, name: str) -> None:
    """As TFLite: plain, of half precision, with weights in int8, all of it in int8."""
    for kind in ("float32", "float16", "dynamic", "int8"):
        path = folder / f"{name}-{kind}.tflite"
        if path.exists():
            continue
        try:
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
            if kind != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if kind == "int8":
                if model is None or "lstm" in name or "gru" in name or "rnn" in name:
                    continue  # the converter ends the process
                converter.representative_dataset = data_for(model)
            converter.experimental_enable_resource_variables = True
            path.write_bytes(converter.convert())
        except Exception as error:  # what a converter cannot do is not ours to mend
            print(f"{path.name}: {type(error).__name__}: {str(error)[:90]!r}", flush=True)
            if kind == "float32":
                return


def one(name: str, folder: Path) -> None:
    """A model in every form."""
    prefix = f"keras2_{name}" if LEGACY else name
    saved = folder / f"{prefix}.saved"
    keras.utils.set_random_seed(1)
    if name in MODULES:
        make, method = MODULES[name]
        model, module = None, make()
        concrete = getattr(module, method).get_concrete_function()
        tf.saved_model.save(module, str(saved), signatures={"serve": getattr(module, method)})
    else:
        model = settle(MODELS[name]())
        if LEGACY:
            tf.saved_model.save(model, str(saved))
        else:
            model.export(str(saved), verbose=False)
        specs = [tf.TensorSpec([1, *(d or 7 for d in t.shape[1:])], t.dtype) for t in model.inputs]
        concrete = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0])
                               ).get_concrete_function(*specs)  # fmt: skip
    shutil.copy(saved / "saved_model.pb", folder / f"{prefix}.saved_model.pb")
    if model is not None and not any(isinstance(layer, L.Lambda) for layer in model.layers):
        (folder / f"{prefix}.keras.json").write_text(model.to_json())  # a Lambda layer is code
    if name in LARGE or name == "text":  # a frozen graph does not keep its vocabulary
        return
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    (folder / f"{prefix}.frozen.pb").write_bytes(graph.SerializeToString(deterministic=True))
    if name in ("lstm", "sentiment", "generator"):  # control flow as Switch and Merge
        lowered = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
        data = lowered.SerializeToString(deterministic=True)
        (folder / f"{prefix}.lowered.pb").write_bytes(data)
    lite(model, concrete, folder, prefix)


def main(folder: Path, only: list[str]) -> None:
    """Make them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*MODELS, *MODULES]:
        if (only and name not in only) or (LEGACY and name in (LARGE | set(MODULES) | {"text"})):
            continue
        try:
            one(name, folder)
            print(name, flush=True)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:200]!r}", flush=True)


def pack(folder: Path, target: Path) -> None:
    """Archives of less than a megabyte."""
    number, size, out = 0, LARGEST, None
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        data = path.read_bytes()
        cost = len(zip_of(path.name, data))
        if cost > TOO_LARGE:
            print(f"{path.name} is too large: {cost:,} bytes")
            continue
        if size + cost > LARGEST or out is None:
            if out is not None:
                out.close()
            number, size = number + 1, 0
            out = zipfile.ZipFile(target / f"tensorflow-{number}.zip", "w")
        size += cost
        out.writestr(entry(path.name), data, zipfile.ZIP_DEFLATED, 9)
    if out is not None:
        out.close()


def entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))


def zip_of(name: str, data: bytes) -> bytes:
    import io

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        out.writestr(entry(name), data, zipfile.ZIP_DEFLATED, 9)
    return held.getvalue()


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
