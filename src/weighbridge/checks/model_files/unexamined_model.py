"""Check `unexamined-model`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from weighbridge.core.check import Artifact, Audit, check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.tree import read_whole
from weighbridge.formats.keras_model import model_of

SHOWN: Final = 100

WEIGHTS: Final = frozenset({
    "catboost", "caffemodel", "coreml", "executorch", "exported-program", "flat-tensor", "ggml",
    "gguf", "hdf5", "lightgbm", "mxnet-parameters", "ncnn", "onnx", "openvino", "ort",
    "paddle-parameters", "safetensors", "saved-model", "tensorflow-checkpoint", "tensorflow-graph",
    "tflite", "torch-mobile-bytecode", "xgboost-binary",
})  # fmt: skip
"""Formats that hold what a model has learned."""
GRAPHS: Final = {
    "caffemodel": "Caffe's network", "executorch": "ExecuTorch's program",
    "ncnn": "ncnn's graph", "paddle-program": "Paddle's program",
    "prototxt": "Caffe's network", "torch-mobile-bytecode": "TorchScript's program",
}  # fmt: skip
"""Formats with a graph that no front of the analysis reads, and what it is called."""
ANALYSED: Final = frozenset({
    "coreml", "exported-program", "onnx", "openvino", "ort", "saved-model", "tensorflow-graph",
    "tensorflow-js-graph", "tensorflow-meta-graph", "tensorflow-text", "tflite", "torchscript",
})  # fmt: skip
"""Formats whose graphs a front reads; what it leaves out it tells itself."""
CONFIGURATION_LIMIT: Final = 64 << 20
"""Up to how many bytes a JSON file may be a configuration of Keras."""
HEAD: Final = 64 << 10
"""Within how many bytes one is told by."""
_KEYS: Final = (b'"class_name"', b'"modelTopology"', b'"model_config"')
_TORCHSCRIPT: Final = "code/__torch__"
_PICKLES: Final = ("/data.pkl",)


@check("unexamined-model", control="backdoor", reads=Audit)
def unexamined_model(audit: Audit) -> Iterator[Finding | Gap]:
    """What of the model was not examined for backdoors: its weights, and graphs of some formats.

    ## Why it matters
    A backdoor can be trained into the weights. Nothing that reads a file can rule that out today,
    so that silence about the weights must not be taken for a pass. The same holds for a graph that
    this tool can't follow.

    ## What to do
    Decide whether the origin, the lineage and the evaluations of the model are enough to trust its
    weights. If they are, accept this with a waiver that names `weights` and has an expiry. Where a
    graph was not followed, convert the model to ONNX or TFLite and audit that as well.

    ## Limits
    It only says what was not done. Pickled estimators (scikit-learn and the like) are counted as
    weights where they lie in a torch archive, not elsewhere.

    ## References
    - https://arxiv.org/abs/2204.06974
    - https://arxiv.org/abs/2401.05566
    - https://genai.owasp.org/llmrisk/llm042025-data-and-model-poisoning/
    """
    weights: dict[str, set[str]] = defaultdict(set)
    graphs: dict[str, set[str]] = defaultdict(set)
    analysed = False
    formats = {(a.where.path, a.where.inside): a.formats for a in audit.artifacts}
    for artifact in audit.artifacts:
        path, container = artifact.where.path, artifact.where.inside[:-1]
        for name in artifact.formats:
            analysed |= name in ANALYSED
            if name in WEIGHTS:
                weights[path].add(name)
            if name in GRAPHS:
                graphs[GRAPHS[name]].add(path)
        inner = _torch(artifact)
        if "json" in artifact.formats:
            written = _written(path, audit)
            if written:
                graphs[written].add(path)
            analysed = analysed or _is_keras(path, audit)
        if inner == "code" and "torchscript" not in formats.get((path, container), ()):
            graphs["TorchScript's program"].add(path)
        elif inner == "weights":
            weights[path].add("torch")
    for what, paths in sorted(graphs.items()):
        yield _unread(what, sorted(paths))
    if weights:
        yield _weights(weights)
    elif not graphs and not analysed:
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message="no model whose graph or weights could hide a backdoor is here",
            at=Location("."),
        )


def _written(path: str, audit: Audit) -> str:
    """What graph a JSON file is, by the names that loaders know it by; empty where it is none."""
    if path.endswith("-symbol.json"):
        return "MXNet's symbol"
    beside = f"{path.removesuffix('.json')}.pdiparams"
    return "Paddle's program" if any(f.path == beside for f in audit.files) else ""


def _is_keras(path: str, audit: Audit) -> bool:
    """Whether a JSON file is the configuration of a Keras model, whose graph a front reads."""
    blob = audit.blobs.get(path)
    if blob is None or blob.size > CONFIGURATION_LIMIT:
        return False
    try:
        head = blob.read(0, HEAD)
        if not any(key in head for key in _KEYS):
            return False
        return model_of(msgspec.json.decode(read_whole(blob))) is not None
    except (Malformed, OSError, UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False


def _torch(artifact: Artifact) -> str:
    """What a member of a torch archive is: its code, its weights, or neither."""
    inner = f"/{artifact.where.inside[-1]}" if artifact.where.inside else ""
    if _TORCHSCRIPT in inner:
        return "code"
    return "weights" if inner.endswith(_PICKLES) and "pickle" in artifact.formats else ""


def _unread(what: str, paths: list[str]) -> Gap:
    more = f" and {len(paths) - 1:,} other files" if len(paths) > 1 else ""
    return Gap(
        kind=GapKind.UNSUPPORTED,
        message=f"{what} in {paths[0]}{more} was not followed: logic that overrides what the model "
        "has learned could be in it",
        at=Location(paths[0] if len(paths) == 1 else "."),
    )


def _weights(weights: dict[str, set[str]]) -> Finding:
    count = len(weights)
    files = f"{count:,} files" if count > 1 else next(iter(weights))
    rows = tuple((path, ", ".join(sorted(kinds))) for path, kinds in sorted(weights.items()))
    return Finding(
        message=f"no indicator was looked for in the weights of {files}: a backdoor that was "
        "trained in is not ruled out here",
        at=Location("."),
        action=Action.REVIEW,
        symbol="weights",
        evidence=(Table("Weights that are not examined", ("file", "format"), rows[:SHOWN]),),
    )
