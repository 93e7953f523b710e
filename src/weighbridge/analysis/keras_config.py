"""What a Keras configuration would have the loader build, import and run.

Layout: `keras.saving.serialize_keras_object` (keras/src/saving/serialization_lib.py): objects are
mappings with `class_name`, `config`, `module` and `registered_name`; before Keras 3 without a
module. A Lambda layer carries marshalled bytecode in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from weighbridge.core.regex import regex
from weighbridge.intel.names import Standing, classify, module_effect

DEPTH: Final = 200
OBJECTS: Final = 200_000
PACKAGES: Final = frozenset(
    {"keras", "tf_keras", "keras_core", "keras_hub", "keras_nlp", "keras_cv", "tensorflow",
     "tensorflow_addons", "tensorflow_hub", "tensorflow_probability", "kerashub"}
)  # fmt: skip
_BUILDING: Final = regex(
    r"(?:tf_keras|keras|keras_core|keras_hub|keras_nlp|keras_cv|tensorflow\.keras)(?:\.src|\.api)?"
    r"(?:\.(?:_tf_keras\.keras|_v2\.keras|keras))?"
    r"\.(?:layers|models|initializers|regularizers|constraints|optimizers|losses|metrics"
    r"|activations|dtype_policies|random|ops|backend\.common|engine|mixed_precision|applications"
    r"|samplers|tokenizers|quantizers|trainers\.compile_utils|distillation"
    r"|backend\.\w+\.(?:optimizers|layer|trainer))(?:\.|$)"
)
"""Modules of Keras whose classes and functions only compute."""
DANGEROUS: Final = {
    "get_file": "downloads a file and unpacks it (CVE-2025-8747)",
    "enable_unsafe_deserialization": "turns safe mode off (CVE-2025-9906)",
    "load_model": "loads another model",
    "load_weights": "loads another file",
    "deserialize_keras_object": "builds an object from further data",
    "func_load": "unmarshals code",
    "python_utils": "unmarshals code",
}
_VOCABULARIES: Final = ("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup")


class Reached(msgspec.Struct, frozen=True):
    """Something in the configuration that a reader must know.

    `severity` is `block`, `review` or `note`; `path` the keys that lead to it; `shown` what it is.
    """

    severity: str
    message: str
    symbol: str
    path: str
    shown: str
    code: bytes = b""


def is_keras(value: Any) -> bool:
    """Whether a JSON value is the configuration of a Keras model or layer."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict | list)
        and (
            "keras_version" in value
            or "registered_name" in value
            or "layers" in value["config"]
            or (isinstance(value["config"], list) and bool(value["config"]))
        )
    )


def reached(value: Any) -> Iterator[Reached]:
    """Everything worth saying in a configuration, in the order in which it stands there."""
    pending: list[tuple[str, Any, int]] = [("", value, 0)]
    met = 0
    while pending:
        path, here, depth = pending.pop()
        met += 1
        if depth > DEPTH or met > OBJECTS:
            continue
        if isinstance(here, dict):
            if isinstance(here.get("class_name"), str):
                yield from _object(here, path)
            inner = [(f"{path}.{k}".lstrip("."), v, depth + 1) for k, v in here.items()]
            pending += reversed(inner)
        elif isinstance(here, list):
            pending += reversed([(f"{path}[{i}]", v, depth + 1) for i, v in enumerate(here)])


def _object(made: dict[str, Any], path: str) -> Iterator[Reached]:
    name, config = made["class_name"], made.get("config")
    module, registered = made.get("module"), made.get("registered_name")
    shown = {k: v for k, v in made.items() if k != "config"} | {"config": str(config)[:300]}
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    if name in ("Lambda", "__lambda__", "OpLambda") and isinstance(config, dict):
        yield from _lambda(config, path, text)
    if isinstance(module, str) and module:
        yield from _imported(module, name, config, path, text)
    elif isinstance(registered, str) and ">" in registered:
        message = f"the custom object {registered[:80]!r} is not in the model: its code is needed"
        yield Reached("note", message, registered[:80], path, text)
    if name == "TorchModuleWrapper":
        message = "a TorchModuleWrapper unpickles a torch module when the model is loaded"
        yield Reached("review", message, name, path, text)
    if name in _VOCABULARIES and isinstance(config, dict):
        vocabulary = config.get("vocabulary")
        if isinstance(vocabulary, str) and vocabulary:
            outside = re.match(r"/|[A-Za-z]:|\w+://|\\\\|.*\.\.[/\\]", vocabulary)
            message = f"{name} reads the file {vocabulary[:120]!r} when the model is loaded"
            severity = "block" if outside else "review"
            yield Reached(severity, f"{message} (CVE-2025-12058)", vocabulary[:120], path, text)


def _lambda(config: dict[str, Any], path: str, text: str) -> Iterator[Reached]:
    """A Lambda layer, whose function is bytecode or a name."""
    function = config.get("function", config.get("code"))
    if isinstance(function, dict):
        if function.get("class_name") == "__lambda__":
            return  # it is met by itself further down
        if isinstance(function.get("config"), str):
            function = function["config"]
    code = function[0] if isinstance(function, list) and function else function
    if not isinstance(code, str):
        return
    data = _decoded(code)
    if data is not None:
        message = "a Lambda layer carries Python bytecode, which runs when the model is used"
        yield Reached("block", message, "Lambda", path, text, data)
    elif re.match(r"\s*lambda\b", code) or not re.fullmatch(r"[\w.<>:/-]+", code):
        message = f"a Lambda layer carries Python source: {code[:100]!r}"
        yield Reached("block", message, "Lambda", path, text)
    else:
        message = f"a Lambda layer calls the function {code[:80]!r}, which the model does not hold"
        yield Reached("review", message, f"Lambda {code[:80]}", path, text)


def _decoded(code: str) -> bytes | None:
    """Marshalled code in base64 (or, in old files, as text in Latin-1), or None."""
    try:
        data = base64.b64decode(code.strip().replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        data = code.encode("latin-1", "ignore")
    return data if data[:1] in (b"\xe3", b"\x63") and len(data) > 20 else None


def _imported(module: str, name: str, config: Any, path: str, text: str) -> Iterator[Reached]:
    """An object that the loader imports by module and name."""
    named = config if name == "function" and isinstance(config, str) else name
    dotted = f"{module}.{named}"
    if module == "builtins" and (name in ("function", "slice") or name.startswith("__")):
        if name == "function" and classify("builtins", str(named)).standing is Standing.ACTING:
            yield Reached("block", f"{dotted} is imported and called", dotted, path, text)
        elif name == "function":
            message = f"the custom function {str(named)[:80]!r} is not in the model"
            yield Reached("note", message, dotted, path, text)
        return
    if named in DANGEROUS:
        message = f"{dotted} is imported: it {DANGEROUS[str(named)]}"
        yield Reached("block", message, dotted, path, text)
        return
    if _BUILDING.match(module) or (module in PACKAGES and name[:1].isupper()):
        return  # `keras.Sequential`, `keras.DTypePolicy`: classes of the library's own front
    known = classify(module, str(named))
    effect = known.why if known.standing is Standing.ACTING else module_effect(module)
    if effect is not None and module.partition(".")[0] not in PACKAGES:
        message = f"{dotted} is imported by name when the model is loaded ({effect}, CVE-2025-1550)"
        yield Reached("block", message, dotted, path, text)
    elif module.partition(".")[0] in PACKAGES:
        message = f"{dotted} of the library is imported, which no layer is"
        yield Reached("review", message, dotted, path, text)
    else:
        message = f"{dotted} is imported by name when the model is loaded"
        yield Reached("review", message, dotted, path, text)
