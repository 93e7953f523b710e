"""Builds Core ML neural networks in layers with coremltools' own builder: a convolutional network
with images as input, an encoder with attention, a recurrent one, one with a branch and a loop, a
pipeline of two; whole, in sixteen and in eight bits.

pip install coremltools==9.0
python tests/benign/make_coreml_networks.py tests/benign/files/graphs/coreml-networks.zip
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder, quantization_utils
from coremltools.models.pipeline import PipelineClassifier

RANDOM = np.random.default_rng(7)


def weights(*shape: int) -> Any:
    """Numbers as a layer learns them."""
    return RANDOM.normal(0, 0.3, shape).astype(np.float32)


def builder(shape: tuple[int, ...], **options: Any) -> Any:
    """A network with one array as input and one as output."""
    arrays = [("x", datatypes.Array(*shape))], [("y", None)]
    return NeuralNetworkBuilder(
        *arrays, disable_rank5_shape_mapping=options.pop("exact", False), **options
    )


def convolution(b: Any, name: str, given: str, inputs: int, outputs: int, stride: int = 1) -> str:
    """A convolution of three by three, its activation and normalisation, in the order that the
    library's quantiser does not fuse."""
    b.add_convolution(
        name,
        inputs,
        outputs,
        3,
        3,
        stride,
        stride,
        "same",
        1,
        weights(3, 3, inputs, outputs),
        weights(outputs),
        True,
        input_name=given,
        output_name=name,
    )
    b.add_activation(f"{name}_relu", "RELU", name, f"{name}_relu")
    b.add_batchnorm(
        f"{name}_norm",
        outputs,
        weights(outputs),
        weights(outputs),
        weights(outputs),
        np.abs(weights(outputs)),
        f"{name}_relu",
        f"{name}_norm",
    )
    return f"{name}_norm"


def classifier() -> Any:
    """Images to classes, with a residual connection and squeezing and exciting."""
    b = builder((3, 32, 32), mode="classifier")
    first = convolution(b, "first", "x", 3, 16, 2)
    second = convolution(b, "second", first, 16, 16)
    b.add_elementwise("sum", [first, second], "sum", "ADD")
    b.add_pooling("squeeze", 0, 0, 0, 0, "AVERAGE", "VALID", "sum", "squeeze", is_global=True)
    b.add_inner_product("down", weights(8, 16), weights(8), 16, 8, True, "squeeze", "down")
    b.add_activation("bend", "RELU", "down", "bend")
    b.add_inner_product("up", weights(16, 8), weights(16), 8, 16, True, "bend", "up")
    b.add_activation("gate", "SIGMOID", "up", "gate")
    b.add_elementwise("excited", ["sum", "gate"], "excited", "MULTIPLY")
    b.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", "excited", "pool")
    b.add_flatten("flat", 0, "pool", "flat")
    b.add_inner_product(
        "dense", weights(10, 16 * 64), weights(10), 16 * 64, 10, True, "flat", "dense"
    )
    b.add_softmax("y", "dense", "y")
    b.set_class_labels([f"class{i}" for i in range(10)], prediction_blob="y")
    b.set_pre_processing_parameters(
        image_input_names=["x"],
        is_bgr=False,
        image_scale=1 / 127.5,
        red_bias=-1,
        green_bias=-1,
        blue_bias=-1,
    )
    return b.spec


def pictures() -> Any:
    """An encoder and a decoder of pictures."""
    b = builder((3, 32, 32))
    down = convolution(b, "down", "x", 3, 16, 2)
    b.add_upsample("wide", 2, 2, down, "wide", "BILINEAR")
    b.add_elementwise("both", ["wide", "x"], "both", "CONCAT")
    out = convolution(b, "out", "both", 19, 16)
    b.add_convolution(
        "last",
        16,
        3,
        1,
        1,
        1,
        1,
        "valid",
        1,
        weights(1, 1, 16, 3),
        weights(3),
        True,
        input_name=out,
        output_name="last",
    )
    b.add_activation("bent", "TANH", "last", "bent")
    b.add_unary("scaled", "bent", "scaled", "power", alpha=1.0, scale=0.5, shift=0.5)
    b.add_clip("y", "scaled", "y", 0.0, 1.0)
    return b.spec


def encoder() -> Any:
    """Attention over tokens, with arrays as they are."""
    b = builder((12, 1), exact=True)
    b.add_embedding_nd("words", "x", "words", 99, 32, weights(32, 99))
    for kind in "qkv":
        b.add_batched_mat_mul(
            kind,
            ["words"],
            kind,
            weight_matrix_rows=32,
            weight_matrix_columns=32,
            W=weights(32, 32),
            bias=weights(32),
        )
    b.add_batched_mat_mul("scores", ["q", "k"], "scores", transpose_b=True)
    b.add_elementwise("scaled", ["scores"], "scaled", "MULTIPLY", alpha=32**-0.5)
    b.add_softmax_nd("mixed", "scaled", "mixed", -1)
    b.add_batched_mat_mul("seen", ["mixed", "v"], "seen")
    b.add_add_broadcastable("sum", ["words", "seen"], "sum")
    b.add_layer_normalization("norm", "sum", "norm", [32], weights(32), weights(32))
    b.add_batched_mat_mul(
        "wide",
        ["norm"],
        "wide",
        weight_matrix_rows=32,
        weight_matrix_columns=64,
        W=weights(32, 64),
        bias=weights(64),
    )
    b.add_gelu("bent", "wide", "bent")
    b.add_batched_mat_mul(
        "narrow",
        ["bent"],
        "narrow",
        weight_matrix_rows=64,
        weight_matrix_columns=32,
        W=weights(64, 32),
        bias=weights(32),
    )
    b.add_reduce_mean("mean", "narrow", "mean", axes=[0], keepdims=False)
    b.add_batched_mat_mul(
        "y",
        ["narrow"],
        "y",
        weight_matrix_rows=32,
        weight_matrix_columns=10,
        W=weights(32, 10),
        bias=weights(10),
    )
    return b.spec


def recurrent() -> Any:
    """A recurrent network over frames."""
    b = builder((40,))
    gates = [[weights(32, *width) for _ in range(4)] for width in ((32,), (40,), ())]
    b.add_unilstm("lstm", *gates, 32, 40, ["x", "h", "c"], ["out", "h2", "c2"])
    b.add_optionals([("h", 32), ("c", 32)], [("h2", 32), ("c2", 32)])
    b.add_inner_product("y", weights(10, 32), weights(10), 32, 10, True, "out", "y")
    return b.spec


def loop() -> Any:
    """A loop that refines what a layer gives, and stops by its own answer."""
    b = builder((32,), exact=True)
    b.add_inner_product("first", weights(32, 32), weights(32), 32, 32, True, "x", "state")
    layer = b.add_loop("loop", max_iterations=4)
    body = NeuralNetworkBuilder(nn_spec=layer.loop.bodyNetwork)
    body.add_inner_product("again", weights(32, 32), weights(32), 32, 32, True, "state", "inner")
    body.add_tanh("bent", "inner", "bent")
    body.add_copy("back", "bent", "state")
    b.add_inner_product("y", weights(10, 32), weights(10), 32, 10, True, "state", "y")
    return b.spec


def pipeline() -> Any:
    """Features from one network, classes from the next."""
    first = builder((3, 32, 32))
    convolution(first, "conv", "x", 3, 16, 4)
    first.add_pooling("y", 0, 0, 0, 0, "AVERAGE", "VALID", "conv_norm", "y", is_global=True)
    second = NeuralNetworkBuilder([("y", datatypes.Array(16))], [("z", None)], mode="classifier")
    second.add_inner_product("dense", weights(10, 16), weights(10), 16, 10, True, "y", "dense")
    second.add_softmax("z", "dense", "z")
    second.set_class_labels([f"class{i}" for i in range(10)], prediction_blob="z")
    made = PipelineClassifier([("x", datatypes.Array(3, 32, 32))], list(range(10)))
    made.add_model(first.spec)
    made.add_model(second.spec)
    return made.spec


def main(target: Path) -> None:
    """All of them in one file."""
    makers = (classifier, pictures, encoder, recurrent, loop, pipeline)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for make in makers:
            spec = make()
            forms = {"": spec}
            if make is not pipeline:
                model = ct.models.MLModel(spec, skip_model_load=True)
                for bits in (16, 8):
                    made = quantization_utils.quantize_weights(model, bits)
                    forms[f"-{bits}"] = getattr(made, "get_spec", lambda made=made: made)()
            for form, kept in forms.items():
                entry = zipfile.ZipInfo(f"{make.__name__}{form}.mlmodel", (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, kept.SerializeToString())
                print(entry.filename, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
