"""Check `torchscript-acts`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from weighbridge.analysis.python_acts import excerpt, place_of
from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.python_source import TORCHSCRIPT, PythonSource
from weighbridge.intel import torch_operators

CLASSES = "__torch__.torch.classes."


@check("torchscript-acts", control="payload-scan", reads=PythonSource)
def torchscript_acts(source: PythonSource) -> Iterator[Finding]:
    """TorchScript code reaches files, or calls operators that are not torch's own.

    ## Why it matters
    TorchScript is a language of its own: `torch.jit.load` and a call run what the archive says. Its
    operators can write and map files, and a custom operator or class runs the native library that
    registered it.

    ## What to do
    Do not load an archive that writes or reads files, or calls other machines. For custom operators
    and classes, ask which library registers them and whether you need it.

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
        namespace, operator = _operator(name)
        does = torch_operators.effect(namespace, operator)
        if does is not None:
            yield Finding(
                message=f"TorchScript calls {name}, which {does}",
                at=place_of(source, node),
                action=Action.BLOCK,
                symbol=name,
                evidence=(excerpt(source, node, "Where it does"),),
            )
        elif namespace and not torch_operators.known(namespace):
            custom.setdefault(f"the custom operator {name}", node)
        elif name.startswith(CLASSES):
            namespace, _, kind = name.removeprefix(CLASSES).partition(".")
            if not torch_operators.known_class(namespace):
                label = f"{namespace}.{kind.removesuffix('.__new__')}"
                custom.setdefault(f"the native class {label}", node)
    for what, node in sorted(custom.items()):
        yield Finding(
            message=f"TorchScript calls {what}",
            at=place_of(source, node),
            action=Action.REVIEW,
            symbol=what.rpartition(" ")[2],
            evidence=(excerpt(source, node, "Where it does"),),
        )


def _operator(name: str) -> tuple[str, str]:
    """Namespace and name of the operator that a call is printed as: `torch.save` is `aten::save`,
    every other namespace stands behind `ops`."""
    parts = name.split(".")
    if parts[0] == "torch" and len(parts) == 2:
        return "aten", parts[1]
    if parts[0] == "ops" and len(parts) == 3:
        return parts[1], parts[2]
    return "", ""
