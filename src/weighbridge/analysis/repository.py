"""Whether a folder is a model or the repository of a program that makes or uses models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from weighbridge.core.location import within
from weighbridge.core.regex import regex

_WEIGHTS: Final = regex(
    r"\.(?:safetensors|bin|ckpt|pth?|gguf|ggml|onnx|h5|hdf5|keras|pb|tflite|pkl|pickle|joblib"
    r"|msgpack|npz|npy|nemo|mar|pdparams|params|mlmodel|mlpackage|engine|llamafile|pte|ot|t7"
    r"|caffemodel|model)$",
    re.IGNORECASE,
)
_DESCRIBES: Final = regex(
    r"(?:config|model_index|adapter_config|tokenizer_config|modules|params|saved_model)\.(?:json|pb)"
    r"|MLmodel"
)
"""What stands at the top of a model's folder."""
_MARKS: Final = regex(
    r"pyproject\.toml|setup\.(?:py|cfg)|Pipfile|\.gitlab-ci\.yml|\.github/workflows/.+"
    r"|CMakeLists\.txt|train\w*\.py"
)
"""What stands at the top of a repository of source code, and not of a model."""
_ASIDE: Final = regex(
    r"(?:.*/)?(?:tests?|testing|examples?|docs?|documentation|tutorials?|samples?|demos?|benchmarks?"
    r"|research_projects|playground|cookbooks?)/.*|(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py"
    r"|(?:.*/)?tutorial[^/]*\.ipynb",
    re.IGNORECASE,
)
LARGE: Final = 1 << 20
"""Bytes from which on a file of weights is a model and not a sample for tests."""
HUGE: Final = 32 << 20
"""Bytes from which on a file is taken for weights whatever it is called."""


def is_repository(files: Iterable[tuple[str, int]]) -> bool:
    """Whether these files (path, size in bytes) are a repository of source code that holds no
    model: it has what such repositories have at the top, nothing that describes a model there, and
    no weights but small ones in its folders."""
    marked = False
    for path, size in files:
        part, path = within(path)
        if part:
            continue
        top = "/" not in path
        if size >= HUGE or (_WEIGHTS.search(path) and (top or size >= LARGE)):
            return False
        if top and _DESCRIBES.fullmatch(path):
            return False
        marked = marked or _MARKS.fullmatch(path) is not None
    return marked


def is_aside(path: str) -> bool:
    """Whether a file of a repository is a test, an example or documentation, by its path within
    the repository."""
    return _ASIDE.fullmatch(path) is not None
