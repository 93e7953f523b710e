"""Makes the files of the smaller frameworks in the benign corpus, each with its own library.

Every library wants an environment of its own; name those that are installed:

pip install xgboost-cpu==3.2.0 lightgbm==4.7.0 catboost==1.2.10 scikit-learn==1.9.1
python tests/benign/make_frameworks.py tests/benign/files xgboost lightgbm catboost
pip install jax==0.10.2 flax==0.12.8 orbax-checkpoint==0.12.8
python tests/benign/make_frameworks.py tests/benign/files flax orbax
pip install coremltools==9.0 openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0
python tests/benign/make_frameworks.py tests/benign/files coreml openvino onnxruntime
pip install paddlepaddle==3.3.1; FLAGS_enable_pir_api=0 for the second line
python tests/benign/make_frameworks.py tests/benign/files paddle
python tests/benign/make_frameworks.py tests/benign/files paddle_older
pip install mxnet==1.9.1 'numpy<1.24'
python tests/benign/make_frameworks.py tests/benign/files mxnet
pip install xgboost==1.7.6 'numpy<2'
python tests/benign/make_frameworks.py tests/benign/files xgboost_older
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy


def data() -> tuple[Any, Any]:
    """Eighty rows of four numbers, and two classes."""
    x = numpy.random.default_rng(0).standard_normal((80, 4))
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int)


def xgboost(folder: Path) -> None:
    """Every booster, in both forms; a model of several outputs."""
    import xgboost

    x, y = data()
    for kind in ("gbtree", "dart", "gblinear"):
        depth = {} if kind == "gblinear" else {"max_depth": 3}
        made = xgboost.XGBClassifier(booster=kind, n_estimators=5, nthread=1, **depth).fit(x, y)
        made.save_model(folder / f"{kind}.ubj")
        made.save_model(folder / f"{kind}.json")
    several = xgboost.XGBRegressor(
        n_estimators=3, max_depth=2, multi_strategy="multi_output_tree", tree_method="hist",
        nthread=1,
    )  # fmt: skip
    several.fit(x, x[:, :2]).save_model(folder / "several-outputs.ubj")


def xgboost_older(folder: Path) -> None:
    """The binary form of before version 2."""
    import xgboost

    x, y = data()
    for kind in ("gbtree", "dart", "gblinear"):
        rows = xgboost.DMatrix(x, y, feature_names=list("abcd"))
        made = xgboost.train({"booster": kind, "nthread": 1}, rows, 3)
        made.set_attr(note="words")
        made.save_model(folder / f"{kind}.model")


def lightgbm(folder: Path) -> None:
    """Classes, and trees with linear leaves."""
    import lightgbm

    x, y = data()
    small = {"verbose": -1, "min_data_in_leaf": 3, "num_threads": 1, "num_leaves": 7}
    rows = lightgbm.Dataset(x, y)
    lightgbm.train({**small, "objective": "binary"}, rows, 5).save_model(folder / "binary.txt")
    linear = {**small, "objective": "regression", "linear_tree": True}
    rows = lightgbm.Dataset(x, x[:, 1], params={"linear_tree": True})
    lightgbm.train(linear, rows, 3).save_model(folder / "linear.txt")


def catboost(folder: Path) -> None:
    """Every way to grow a tree, categories, several classes."""
    import catboost

    x, y = data()
    folder = folder.absolute()
    with tempfile.TemporaryDirectory() as logs, contextlib.chdir(logs):  # a model names the folder
        small = {"iterations": 5, "depth": 3, "verbose": 0, "thread_count": 1}
        for policy in ("SymmetricTree", "Lossguide", "Depthwise"):
            made = catboost.CatBoostClassifier(grow_policy=policy, **small).fit(x, y)
            made.save_model(folder / f"{policy.lower()}.cbm")
        mixed = [[*map(float, row), "abc"[i % 3]] for i, row in enumerate(x)]
        made = catboost.CatBoostClassifier(**small).fit(mixed, y, cat_features=[4])
        made.save_model(folder / "categories.cbm")
        three = y + (x[:, 1] > 0)
        made = catboost.CatBoostClassifier(loss_function="MultiClass", **small).fit(x, three)
        made.save_model(folder / "classes.cbm")


def flax(folder: Path) -> None:
    """Parameters whole and in chunks."""
    import jax.numpy as jnp
    from flax import serialization

    kernel = jnp.asarray(numpy.random.default_rng(0).standard_normal((3, 4)))
    dense = {"kernel": kernel, "bias": jnp.zeros(4, jnp.bfloat16), "step": numpy.int64(3)}
    tree = {"params": {"Dense_0": dense}, "opt": {"0": 1, "1": 2.5}, "z": 1 + 2j}
    (folder / "flax_model.msgpack").write_bytes(serialization.to_bytes(tree))
    serialization.MAX_CHUNK_SIZE = 64
    rows = {"w": numpy.arange(64, dtype="float32")}
    (folder / "chunks.msgpack").write_bytes(serialization.to_bytes(rows))


def orbax(folder: Path) -> None:
    """A checkpoint as Orbax keeps it by default."""
    import jax.numpy as jnp
    import orbax.checkpoint

    rows = numpy.random.default_rng(0).standard_normal((40, 40))
    tree = {"params": {"kernel": jnp.asarray(rows), "bias": jnp.zeros(4)}, "step": 3}
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "checkpoint").absolute(), tree)
    (folder / "checkpoint/commit_success.txt").unlink()  # it names the folder


def coreml(folder: Path) -> None:
    """A network, a pipeline, and a program with weights beside it."""
    import coremltools as ct
    from coremltools.converters.mil import Builder
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    network = NeuralNetworkBuilder([("x", datatypes.Array(3))], [("y", datatypes.Array(2))])
    ones, zeros = numpy.ones((2, 3)), numpy.zeros(2)
    network.add_inner_product("fc", ones, zeros, 3, 2, True, "x", "h")
    network.add_activation("relu", "RELU", "h", "y")
    network.spec.description.metadata.userDefined["labels"] = '{"a": 1}'
    ct.models.utils.save_spec(network.spec, str(folder / "network.mlmodel"))
    pipeline = ct.proto.Model_pb2.Model(specificationVersion=1)
    pipeline.description.CopyFrom(network.spec.description)
    pipeline.pipeline.models.append(network.spec)
    pipeline.pipeline.names.append("network")
    ct.models.utils.save_spec(pipeline, str(folder / "pipeline.mlmodel"))

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3))])
    def program(x: Any) -> Any:
        matrix = numpy.random.default_rng(0).standard_normal((64, 3)).astype(numpy.float32)
        return Builder.relu(x=Builder.linear(x=x, weight=Builder.const(val=matrix)))

    target = ct.target.iOS16
    model = ct.convert(
        program, convert_to="mlprogram", skip_model_load=True, minimum_deployment_target=target
    )
    model.save(str(folder / "program.mlpackage"))


def openvino(folder: Path) -> None:
    """A graph with constants, one of them used twice."""
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter([1, 3], numpy.float32, name="x")
    matrix = numpy.random.default_rng(0).standard_normal((4, 3)).astype(numpy.float32)
    rows = [ops.constant(numpy.ones((1, 4), numpy.float32)) for _ in range(2)]
    y = ops.matmul(x, ops.constant(matrix), False, True)
    for row in rows:
        y = ops.add(y, row)
    model = openvino.Model([ops.relu(y)], [x], "small")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def onnxruntime(folder: Path) -> None:
    """A model in ONNX Runtime's own format."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    tensors = [helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0] * 6)]
    graph = helper.make_graph(nodes, "small", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def paddle(folder: Path) -> None:
    """A network as the version writes it: Paddle 3 in JSON, before that in Protocol Buffers."""
    import paddle

    paddle.seed(0)
    layers = [paddle.nn.Linear(3, 4), paddle.nn.ReLU(), paddle.nn.Linear(4, 1)]
    network = paddle.nn.Sequential(*layers)
    network.eval()
    inputs = [paddle.static.InputSpec([None, 3], "float32")]
    paddle.jit.save(network, str(folder / "model"), input_spec=inputs)
    program = folder / "model.pdmodel"
    if program.exists():
        from paddle.base.proto import framework_pb2

        described = framework_pb2.ProgramDesc.FromString(program.read_bytes())
        for block in described.blocks:
            for op in block.ops:
                kept = [a for a in op.attrs if a.name != "op_callstack"]  # it names folders
                del op.attrs[:]
                op.attrs.extend(kept)
        program.write_bytes(described.SerializeToString())


def mxnet(folder: Path) -> None:
    """A graph, its parameters, and sparse arrays."""
    numpy.bool = bool  # MXNet still asks for it
    import mxnet

    hidden = mxnet.sym.FullyConnected(mxnet.sym.var("x"), num_hidden=3, name="fc")
    mxnet.sym.Activation(hidden, act_type="relu").save(str(folder / "model-symbol.json"))
    arrays = {"arg:fc_weight": mxnet.nd.ones((3, 4)), "arg:fc_bias": mxnet.nd.zeros(3)}
    mxnet.nd.save(str(folder / "model-0000.params"), arrays)
    rows = mxnet.nd.array([[0, 1], [0, 0]])
    sparse = [rows.tostype("csr"), rows.tostype("row_sparse")]
    mxnet.nd.waitall()  # it saves what is there, finished or not
    mxnet.nd.save(str(folder / "sparse.params"), sparse)


MAKERS = {
    "xgboost": (xgboost, "xgboost/boosters"),
    "xgboost_older": (xgboost_older, "older/xgboost/boosters"),
    "lightgbm": (lightgbm, "lightgbm/boosters"),
    "catboost": (catboost, "catboost"),
    "flax": (flax, "flax"),
    "orbax": (orbax, "orbax"),
    "coreml": (coreml, "coreml"),
    "openvino": (openvino, "openvino"),
    "onnxruntime": (onnxruntime, "onnxruntime"),
    "paddle": (paddle, "paddle"),
    "paddle_older": (paddle, "older/paddle"),
    "mxnet": (mxnet, "mxnet"),
}


def main(root: Path, names: list[str]) -> None:
    """Make those that are named."""
    for name in names:
        make, place = MAKERS[name]
        folder = root / place
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
