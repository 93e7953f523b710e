"""Keras configurations: what loading them would run or import, and what ordinary ones hold."""

from __future__ import annotations

import base64
import json
import marshal
from typing import Any

import pytest

from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

CODE = marshal.dumps(compile("__import__('os').system('echo harmless')", "x", "exec"))
B64 = base64.b64encode(CODE).decode()


def layer(name: str, config: Any, module: str | None = "keras.layers", **more: Any) -> Any:
    return {"module": module, "class_name": name, "config": config, "registered_name": None, **more}


def model(*layers: Any) -> Any:
    return layer("Sequential", {"name": "m", "layers": list(layers)}, "keras")


def said(value: Any) -> set[tuple[str, str]]:
    found = examine(Held("config.json", json.dumps(value).encode()), load(), Limits()).findings
    return {(f.action.value, f.symbol) for f in found if f.check == "keras-config"}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (layer("Lambda", {"function": layer("__lambda__", {"code": B64}, "builtins")}),
         ("block", "Lambda")),
        (layer("Lambda", {"function": [B64, None, None], "function_type": "lambda"}, None),
         ("block", "Lambda")),
        (layer("Lambda", {"function": "lambda x: eval('1')"}, None), ("block", "Lambda")),
        (layer("Lambda", {"function": "scale", "function_type": "function"}, None),
         ("review", "Lambda scale")),
        (layer("function", "system", "os"), ("block", "os.system")),
        (layer("Popen", {"args": "id"}, "subprocess"), ("block", "subprocess.Popen")),
        (layer("function", "get_file", "keras.utils"), ("block", "keras.utils.get_file")),
        (layer("function", "enable_unsafe_deserialization", "keras.config"),
         ("block", "keras.config.enable_unsafe_deserialization")),
        (layer("function", "eval", "builtins"), ("block", "builtins.eval")),
        (layer("function", "to_categorical", "keras.utils"),
         ("review", "keras.utils.to_categorical")),
        (layer("Block", {}, "their_package.layers"), ("review", "their_package.layers.Block")),
        (layer("Block", {}, None, registered_name="Theirs>Block"), ("note", "Theirs>Block")),
        (layer("TorchModuleWrapper", {"module": "AA=="}), ("review", "TorchModuleWrapper")),
        (layer("StringLookup", {"vocabulary": "/etc/passwd"}), ("block", "/etc/passwd")),
        (layer("StringLookup", {"vocabulary": "vocab.txt"}), ("review", "vocab.txt")),
    ],
)  # fmt: skip
def test_what_a_configuration_reaches(made: Any, expected: tuple[str, str]) -> None:
    assert said(model(made)) == {expected}


@pytest.mark.parametrize(
    "made",
    [
        layer("Dense", {"units": 3, "activation": "relu", "dtype": layer(
            "DTypePolicy", {"name": "float32"}, "keras")}),
        layer("StringLookup", {"vocabulary": ["a", "b"]}),
        layer("Adam", {"learning_rate": 0.1}, "keras.src.backend.torch.optimizers.torch_adam"),
        layer("function", "gelu", "keras.activations"),
        layer("Lambda", {"units": 3}, "keras.layers"),
    ],
)  # fmt: skip
def test_ordinary_layers_are_quiet(made: Any) -> None:
    assert said(model(made)) == set()


def test_other_json_is_none_of_its_business() -> None:
    assert said({"class_name": "Popen", "config": {"x": 1}, "module": "subprocess"}) == set()


def test_the_bytecode_is_shown() -> None:
    made = model(layer("Lambda", {"function": [B64, None, None]}, None))
    found = examine(Held("config.json", json.dumps(made).encode()), load(), Limits()).findings
    assert "system" in getattr(found[0].evidence[0], "text", "")
