"""skops, MLflow and TorchServe: what their descriptions make a loader import."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pickles import RUNS
from weighbridge.core.finding import Action
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

BLOCK, REVIEW = Action.BLOCK, Action.REVIEW
BENIGN = Path(__file__).parents[1] / "benign" / "files"


def said(check: str, path: str, data: bytes) -> list[tuple[Action, str]]:
    examined = examine(Held(path, data), load(), Limits())
    return [(f.action, f.symbol) for f in examined.findings if f.check == check]


def zipped(path: str, value: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(path, json.dumps(value))
    return made.getvalue()


def node(module: str, name: str, loader: str = "ObjectNode", **more: Any) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def function(path: str, name: str) -> dict[str, Any]:
    return node("builtins", "function", "FunctionNode",
                content={"module_path": path, "function": name})  # fmt: skip


LINEAR = node("sklearn.linear_model._logistic", "LogisticRegression")


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (node("os", "system", "FunctionNode"), [(BLOCK, "os.system")]),
        (function("os", "system"), [(BLOCK, "os.system")]),
        (node("subprocess", "Popen", "TypeNode"), [(BLOCK, "subprocess.Popen")]),
        (node("mine.models", "Net"), [(REVIEW, "unreviewed types")]),
        (node("__main__", "Net"), [(REVIEW, "unreviewed types")]),
        (node("builtins", "int", "OperatorFuncNode"),
         [(BLOCK, "a node says that it is builtins.int and is a function of operator")]),
        (node("operator", "methodcaller", "OperatorFuncNode", attrs=["x"]),
         [(BLOCK, "a node calls a method by its name (operator.methodcaller)")]),
        (node("builtins", "method", "MethodNode", content={"func": "__globals__", "obj": LINEAR}),
         [(BLOCK, "a method is taken from an object by the name __globals__")]),
        (node("builtins", "int", "MethodNode", content={"func": "x", "obj": node("os", "path")}),
         [(BLOCK, "a node says that it is builtins.int and is a method of os.path"),
          (BLOCK, "os.path")]),
        (node("operator", "itemgetter", "OperatorFuncNode", attrs=[0]), []),
        (node("numpy", "float64", "TypeNode"), []),
        (LINEAR, []),
    ],
)  # fmt: skip
def test_skops(inner: dict[str, Any], expected: list[tuple[Action, str]]) -> None:
    root = {**LINEAR, "content": {"steps": [inner]}, "_skops_version": "0.11"}
    assert said("skops-type", "m.skops", zipped("schema.json", root)) == expected


MODEL = "flavors:\n  python_function:\n    env: conda.yaml\n    "


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("loader_module: os", [(BLOCK, "python_function.loader_module")]),
        ("loader_module: my_loader", [(REVIEW, "python_function.loader_module")]),
        ("model_code_path: model.py\n    loader_module: mlflow.pyfunc.model",
         [(REVIEW, "python_function.model_code_path")]),
        ("code: ../other\n    loader_module: mlflow.sklearn", [(BLOCK, "python_function.code")]),
        ("loader_module: mlflow.sklearn\n    code: code", []),
        ("loader_module: mlflow.pyfunc.model\n    model_code_path: null", []),
    ],
)  # fmt: skip
def test_mlflow(settings: str, expected: list[tuple[Action, str]]) -> None:
    data = (MODEL + settings + "\n").encode()
    assert said("mlflow-model", "MLmodel", data) == expected
    assert said("mlflow-model", "renamed", data) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"handler": "handler.py"}, [(REVIEW, "handler: handler.py")]),
        ({"handler": "../../x.py:run"}, [(BLOCK, "handler: ../../x.py:run")]),
        ({"handler": "image_classifier"}, []),
        ({"handler": "text_classifier", "requirementsFile": "requirements.txt"},
         [(REVIEW, "requirementsFile: requirements.txt")]),
        ("words", []),
    ],
)  # fmt: skip
def test_torchserve(model: Any, expected: list[tuple[Action, str]]) -> None:
    data = zipped("MAR-INF/MANIFEST.json", {"model": model, "runtime": "python"})
    assert said("torchserve-handler", "m.mar", data) == expected


def tarred(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


NEMO = "target: nemo.collections.asr.models.EncDecCTCModel\nnemo_version: 2.0.0\n"
ENCODER = "encoder:\n  _target_: nemo.collections.asr.modules.ConvASREncoder\n  feat_in: 64\n"
ATTACK = "preprocessor:\n  inner:\n    _target_: subprocess.Popen\n    args: [[true]]\n"
UNKNOWN = "decoder:\n  _target_: mine.Decoder\n"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (NEMO + ENCODER, []),
        (NEMO + ENCODER + ATTACK, [(BLOCK, "subprocess.Popen")]),
        (NEMO + UNKNOWN, [(REVIEW, "unreviewed names")]),
        (NEMO.replace("nemo.collections.asr.models.EncDecCTCModel", "os.system"),
         [(BLOCK, "os.system")]),
    ],
)  # fmt: skip
def test_nemo(config: str, expected: list[tuple[Action, str]]) -> None:
    members = (("./model_config.yaml", config.encode()), ("./words.txt", b"a\nb\n"))
    plain = tarred(*members)
    for data in (plain, gzip.compress(plain), tarred(("inner.nemo", plain))):
        assert said("configured-name", "m.nemo", data) == expected


def test_nemo_weights_are_read() -> None:
    data = tarred(("model_config.yaml", NEMO.encode()), ("model_weights.ckpt", RUNS))
    assert (BLOCK, "os.system") in said("pickle-acting-call", "m.nemo", data)


def test_torchserve_archive_from_end_to_end() -> None:
    """The manifest's handler is reviewed, its code read, the weights' pickle found."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        manifest = {"model": {"handler": "handler.py", "serializedFile": "model.pt"}}
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("handler.py", "import os\n\n\ndef run():\n    os.system('true')\n")
        archive.writestr("model.pt", RUNS)
    examined = examine(Held("m.mar", made.getvalue()), load(), Limits())
    found = {(f.check, f.at.inside[-1], f.action) for f in examined.findings}
    assert ("torchserve-handler", "MAR-INF/MANIFEST.json", REVIEW) in found
    assert ("pickle-acting-call", "model.pt", BLOCK) in found
    assert "handler.py" in {inside for _, inside, _ in found}
    assert examined.gaps == ()


@pytest.mark.parametrize("folder", ["skops", "mlflow"])
def test_what_the_libraries_write_is_quiet(folder: str) -> None:
    audited = run(BENIGN / folder)
    assert audited.files
    assert [f for f in audited.findings if f.action is not Action.NOTE] == []
