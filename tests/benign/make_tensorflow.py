"""Makes the TensorFlow models of the benign corpus with the real library.

pip install tensorflow-cpu==2.21.0 tensorflow-text==2.21.1 tf-keras==2.21.0
python tests/benign/make_tensorflow.py tests/benign/files/tensorflow
TF_USE_LEGACY_KERAS=1 python tests/benign/make_tensorflow.py tests/benign/files/tensorflow
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
V1 = tf.compat.v1


def dense() -> keras.Model:
    """A regression."""
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)]
    )


def conv() -> keras.Model:
    """An image classifier."""
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(),
         keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    )  # fmt: skip


def lstm() -> keras.Model:
    """A recurrent network, whose graph has loops and branches."""
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Embedding(7, 3), keras.layers.LSTM(2),
         keras.layers.Dense(1)]
    )  # fmt: skip


def words() -> keras.Model:
    """A text classifier with its vocabulary in an asset."""
    layer = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    layer.adapt(["the cat sat", "on the mat"])
    return keras.Sequential(
        [keras.Input((), dtype="string"), layer, keras.layers.Embedding(20, 2),
         keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    )  # fmt: skip


class Steps(tf.Module):
    """A module with a table from an asset, a loop, a branch and two signatures."""

    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        self.w = tf.Variable(np.eye(3, dtype=np.float32), name="w")
        self.file = tf.saved_model.Asset(str(vocabulary))
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self.file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            ), -1,
        )  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
    def run(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Powers, until they are large."""
        for _ in tf.range(3):
            if tf.reduce_sum(x) < 9.0:
                x = tf.matmul(x, self.w)
            else:
                tf.print("large", tf.shape(x))
        return {"x": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def look(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """Numbers of words."""
        return {"ids": self.table.lookup(tf.strings.regex_replace(words, r"[./]", ""))}


def module(folder: Path) -> None:
    """A SavedModel of functions and signatures, and a checkpoint of its variables."""
    vocabulary = Path("words.txt")
    vocabulary.write_text("zero\none\ntwo\n")
    made = Steps(vocabulary)
    tf.saved_model.save(
        made, str(folder / "module"), signatures={"run": made.run, "look": made.look}
    )
    vocabulary.unlink()
    checkpoint = tf.train.Checkpoint(w=made.w, step=tf.Variable(3, dtype=tf.int64))
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoint"), max_to_keep=2)
    manager.save()
    manager.save()


def frozen(folder: Path) -> None:
    """A graph with its weights as constants, and the same as TensorFlow.js keeps it."""
    made = conv()
    function = tf.function(lambda x: made(x)).get_concrete_function(
        tf.TensorSpec([1, 8, 8, 3], tf.float32)
    )
    graph = convert_variables_to_constants_v2(function).graph.as_graph_def()
    (folder / "frozen.pb").write_bytes(graph.SerializeToString(deterministic=True))
    shards = folder / "tfjs_graph"
    shards.mkdir(exist_ok=True)
    manifest, data = [], b""
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == 1:
            value = tf.make_ndarray(node.attr["value"].tensor)
            manifest.append({"name": node.name, "shape": list(value.shape), "dtype": "float32"})
            data += value.tobytes()
            node.attr["value"].tensor.ClearField("tensor_content")
            node.attr["value"].tensor.ClearField("float_val")
    (shards / "group1-shard1of1.bin").write_bytes(data)
    whole = {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "convertedBy": "TensorFlow.js Converter v4.22.0",
        "modelTopology": json.loads(json_format.MessageToJson(graph)),
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": manifest}],
    }
    (shards / "model.json").write_text(json.dumps(whole))
    layers = folder / "tfjs_layers"
    layers.mkdir(exist_ok=True)
    weights = [w for layer in made.layers for w in layer.weights]
    (layers / "group1-shard1of1.bin").write_bytes(b"".join(w.numpy().tobytes() for w in weights))
    topology = {"keras_version": keras.__version__, "backend": "tensorflow",
                "model_config": json.loads(made.to_json())}  # fmt: skip
    listed = [{"name": w.path, "shape": list(w.shape), "dtype": "float32"} for w in weights]
    whole = {"format": "layers-model", "modelTopology": topology,
             "weightsManifest": [{"paths": ["group1-shard1of1.bin"],
                                  "weights": listed}]}  # fmt: skip
    (layers / "model.json").write_text(json.dumps(whole))


def first_version(folder: Path) -> None:
    """What TensorFlow 1 wrote: a checkpoint with its MetaGraph, a SavedModel, one in text."""
    for name in ("version1", "version1_saved", "version1_text"):
        with V1.Graph().as_default(), V1.Session() as session:
            x = V1.placeholder(tf.float32, [None, 2], "x")
            w = V1.get_variable("w", [2, 2], initializer=V1.zeros_initializer(), use_resource=False)
            y = V1.cond(V1.reduce_sum(x) > 1, lambda: tf.matmul(x, w), lambda: x)  # noqa: B023
            session.run(V1.global_variables_initializer())
            if name == "version1":
                V1.train.Saver().save(session, str(folder / name / "model.ckpt"), global_step=7)
                continue
            builder = V1.saved_model.Builder(str(folder / name))
            signature = V1.saved_model.predict_signature_def({"x": x}, {"y": y})
            builder.add_meta_graph_and_variables(
                session, ["serve"], {"serving_default": signature},
                main_op=V1.tables_initializer("init"),
            )  # fmt: skip
            builder.save(as_text=name.endswith("text"))


def records(folder: Path) -> None:
    """Two examples."""
    with tf.io.TFRecordWriter(str(folder / "two.tfrecord")) as writer:
        for number in (1, 2):
            feature = {"x": tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))}
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def tokenizer(folder: Path) -> None:
    """A tokenizer of TensorFlow Text."""
    import tensorflow_text as text

    class Split(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def split(self, lines: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"words": text.WhitespaceTokenizer().tokenize(lines).to_tensor()}

    made = Split()
    tf.saved_model.save(made, str(folder / "split"), signatures={"split": made.split})


def main(folder: Path) -> None:
    """Make those of the Keras that is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(1)
    if LEGACY:
        for make in (dense, words):
            model = make()
            model.compile("adam", "mse")
            model.save(folder / f"legacy_{make.__name__}", save_format="tf")
        return
    for make in (dense, conv, lstm, words):
        make().export(folder / make.__name__, verbose=False)
    module(folder)
    frozen(folder)
    first_version(folder)
    records(folder)
    tokenizer(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
