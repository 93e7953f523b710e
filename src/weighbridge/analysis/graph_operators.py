"""The operators of a graph, whichever framework wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from weighbridge.core.document import Document
from weighbridge.formats.caffe import CaffeModel, CaffeNet
from weighbridge.formats.coreml import CoreMl
from weighbridge.formats.named_code import mappings
from weighbridge.formats.ncnn import Ncnn
from weighbridge.formats.ort import Ort
from weighbridge.formats.paddle import PaddleProgram
from weighbridge.formats.text import Json
from weighbridge.intel.graph_operators import Judged, Standing, judge
from weighbridge.intel.names import Standing as NameStanding
from weighbridge.intel.names import classify

_DIALECTS: Final = {"0": "builtin", "2": "control flow", "4": "distribution"}
"""Dialects of Paddle's programs in JSON, whose operators only compute."""
_OPERATORS, _CUSTOM = "1", "3"


class Operator(Struct, frozen=True):
    """An operator where it stands: `node` names it, `attributes` are those that are text or
    numbers."""

    framework: str
    name: str
    node: str
    attributes: tuple[tuple[str, str], ...]
    judged: Judged


def operators(document: Document) -> Iterator[Operator]:
    """The operators of a document's graphs; none for other documents."""
    if isinstance(document, CoreMl):
        for name in document.operations:
            yield _judged("coreml", name, "", ())
    elif isinstance(document, PaddleProgram):
        for op in document.ops:
            yield _judged("paddle", op.type, f"block {op.block}", op.attributes)
    elif isinstance(document, Ort):
        for node in document.nodes:
            yield _judged("onnx", f"{node.domain}::{node.op}", node.name, node.attributes)
    elif isinstance(document, Ncnn):
        for kind, name in document.layers:
            yield _judged("ncnn", kind, name, ())
    elif isinstance(document, CaffeModel | CaffeNet):
        for layer in document.layers:
            if layer.type == "Python":
                judged = _python(dict(layer.parameters))
                yield Operator("caffe", layer.type, layer.name, layer.parameters, judged)
            elif layer.type:
                yield _judged("caffe", layer.type, layer.name, layer.parameters)
    elif isinstance(document, Json) and isinstance(document.value, dict):
        code = document.value.get("base_code")
        if isinstance(code, dict) and code.get("magic") == "pir":
            yield from _pir(document.value)
        elif "arg_nodes" in document.value and isinstance(document.value.get("nodes"), list):
            yield from _mxnet(document.value)


def _judged(
    framework: str, name: str, node: str, attributes: tuple[tuple[str, str], ...]
) -> Operator:
    return Operator(framework, name, node, attributes, judge(framework, name))


def _python(parameters: dict[str, str]) -> Judged:
    """A layer that imports a module and calls a name of it."""
    module, layer = parameters.get("module", ""), parameters.get("layer", "")
    does = f"imports {module[:80]} and calls {layer[:80]}"
    acting = classify(module, layer).standing is NameStanding.ACTING
    return Judged(Standing.WRITES if acting else Standing.ACTS, does)


def _texts(pairs: Iterator[tuple[Any, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(k), str(v)) for k, v in pairs if isinstance(v, str | int | float))


def _pir(value: dict[Any, Any]) -> Iterator[Operator]:
    """Paddle's program in JSON: `1.relu` is relu of the dialect that has the number 1."""
    for mapping in mappings([value]):
        ops = mapping.get("ops")
        for op in ops if isinstance(ops, list) else ():
            name = op.get("#") if isinstance(op, dict) else None
            if not isinstance(name, str) or name == "p":  # a parameter
                continue
            dialect, _, plain = name.partition(".")
            if dialect in _DIALECTS and plain not in ("py_func", "py_layer"):
                continue
            given = op.get("A")
            attributes = _texts(
                (a.get("N"), a["AT"].get("D"))
                for a in (given if isinstance(given, list) else ())
                if isinstance(a, dict) and isinstance(a.get("AT"), dict)
            )
            if dialect == _OPERATORS:
                yield _judged("paddle-pir", plain, "", attributes)
            else:
                unknown = Judged(Standing.UNKNOWN)
                shown = plain if dialect == _CUSTOM else name
                yield Operator("paddle-pir", shown, "", attributes, unknown)


def _mxnet(value: dict[Any, Any]) -> Iterator[Operator]:
    """MXNet's symbol: nodes with an operator; `null` is an input or a parameter."""
    for mapping in mappings([value]):
        nodes = mapping.get("nodes")
        for node in nodes if isinstance(nodes, list) else ():
            op = node.get("op") if isinstance(node, dict) else None
            if not isinstance(op, str) or op == "null":
                continue
            given = [node[k] for k in ("attrs", "attr", "param") if isinstance(node.get(k), dict)]
            attributes = _texts((k, v) for said in given for k, v in said.items())
            yield _judged("mxnet", op, str(node.get("name", "")), attributes)
