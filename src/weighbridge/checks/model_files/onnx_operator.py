"""Check `onnx-operator`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.formats.onnx import Node, Onnx, Text
from weighbridge.intel import onnx_operators

SHOWN = 50
Rows = dict[tuple[Action, str], list[tuple[Node, str]]]


@check("onnx-operator", control="payload-scan", reads=Onnx)
def onnx_operator(model: Onnx) -> Iterator[Finding | Gap]:
    """The model needs operators that are not part of ONNX, or redefines one that is.

    ## Why it matters
    An operator of another domain is native code from somewhere else: whoever runs the model must
    load a library for it, often the author's. Some call Python or send the model's inputs to a
    service. A model may also define operators itself; one with the name of a standard operator
    takes that one's place wherever it is used.

    ## What to do
    Find out which library brings the operator and build it from source you trust. Do not run a
    model that calls Python. Ask why a standard operator is defined anew.

    ## Limits
    Only names are judged; the code of a foreign operator is not in the file. What the graph
    computes is another control's question.

    ## References
    - https://onnxruntime.ai/docs/reference/operators/add-custom-op.html
    - https://onnx.ai/onnx/repo-docs/IR.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    own = {(f.domain, f.name) for f in model.functions}
    rows: Rows = defaultdict(list)
    for node in model.nodes():
        domain, name = node.domain, node.op
        if (domain, name) in own:
            continue
        does, device = onnx_operators.effect(domain, name), onnx_operators.compiled(domain, name)
        if does:
            action = Action.BLOCK if "Python" in does else Action.REVIEW
            rows[action, f"an operator that {does}"].append((node, does))
        elif device:
            why = f"operator {name}: compiled for {device}; what it computes was not read"
            yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=model.where)
        elif not onnx_operators.known(domain, name):
            library = onnx_operators.library(domain)
            if library:
                rows[Action.NOTE, "operators of a known library"].append((node, library))
            else:
                rows[Action.REVIEW, "operators from elsewhere"].append((node, "not known"))
    for (action, what), nodes in rows.items():
        names = sorted({_called(node) for node, _ in nodes})
        more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
        yield Finding(
            message=f"the model needs {what}: {', '.join(names[:6])}{more}",
            at=model.where,
            action=action,
            symbol=", ".join(names)[:200],
            evidence=(_table(model, nodes),),
        )
    for function in model.functions:
        if onnx_operators.known(function.domain, function.name):
            yield Finding(
                message=f"the model defines the standard operator {function.name} anew",
                at=model.where,
                action=Action.REVIEW,
                symbol=f"defines {function.domain}::{function.name}",
                evidence=(_table(model, [(n, "") for n in function.nodes], "What it does now"),),
            )


def _called(node: Node) -> str:
    return f"{node.domain}::{node.op}"[:100] if node.domain else node.op[:100]


def _table(model: Onnx, nodes: list[tuple[Node, str]], title: str = "Nodes") -> Table:
    rows = tuple(
        (node.name[:80], _called(node), source, _said(model, node))
        for node, source in nodes[:SHOWN]
    )
    return Table(title, ("node", "operator", "from", "attributes"), rows)


def _said(model: Onnx, node: Node) -> str:
    shown = (
        f"{key[:40]}={model.text(value, 80) if isinstance(value, Text) else value}"
        for key, value in node.attributes.items()
        if isinstance(value, int | float | Text)
    )
    return ", ".join(shown)[:300]
