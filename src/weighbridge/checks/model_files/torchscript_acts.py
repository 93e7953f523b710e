"""Check `torchscript-acts`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.python_acts import excerpt, place_of
from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.python_source import TORCHSCRIPT, PythonSource

FILES: Final = {
    "torch.save": "writes a file",
    "ops.aten.save": "writes a file",
    "torch.from_file": "maps a file, which it can also write",
    "ops.aten.from_file": "maps a file, which it can also write",
    "ops.image.write_file": "writes a file",
    "ops.image.read_file": "reads a file",
}
"""Operators of the TorchScript interpreter that reach the file system."""
KNOWN: Final = frozenset(
    {"aten", "prim", "prims", "quantized", "quantized_decomposed", "_quantized", "sparse",
     "mkldnn", "mkldnn_prepacked", "prepacked", "torchvision", "torchaudio", "torchtext", "image",
     "xnnpack", "vulkan_prepack", "metal_prepack", "profiler", "rngprims", "inductor", "c10d",
     "_caffe2", "static_runtime", "mkl", "onednn", "cudnn", "tensorexpr"}
)  # fmt: skip
"""Namespaces of operators that torch and its own domain libraries register."""


@check("torchscript-acts", control="payload-scan", reads=PythonSource)
def torchscript_acts(source: PythonSource) -> Iterator[Finding]:
    """TorchScript code reaches files, or calls operators that are not torch's own.

    ## Why it matters
    TorchScript is a language of its own: `torch.jit.load` and a call run what the archive says. Its
    operators can write and map files, and a custom operator runs the native library that
    registered it.

    ## What to do
    Do not load an archive that writes or reads files. For custom operators, ask which library
    registers them and whether you need it.

    ## Limits
    What a custom operator does cannot be seen in the archive.

    ## References
    - https://pytorch.org/docs/stable/jit_language_reference.html
    - https://cwe.mitre.org/data/definitions/73.html
    """
    if source.role != TORCHSCRIPT:
        return
    custom: dict[str, ast.AST] = {}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func) if isinstance(node.func, ast.Attribute) else ""
        if name in FILES:
            yield Finding(
                message=f"TorchScript calls {name}, which {FILES[name]}",
                at=place_of(source, node),
                action=Action.BLOCK,
                symbol=name,
                evidence=(excerpt(source, node, "Where it does"),),
            )
        parts = name.split(".")
        if parts[0] == "ops" and len(parts) == 3 and parts[1] not in KNOWN:
            custom.setdefault(name, node)
    for name, node in sorted(custom.items()):
        yield Finding(
            message=f"TorchScript calls the custom operator {name}",
            at=place_of(source, node),
            action=Action.REVIEW,
            symbol=name,
            evidence=(excerpt(source, node, "Where it does"),),
        )
