"""Check `onnx-structure`."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.onnx import TYPES, Node, Onnx, Tensor

SHOWN = 50
LARGEST = 1 << 62
"""Elements; what a loader computes in 64 bits must not wrap around."""


@check("onnx-structure", control="payload-scan", reads=Onnx)
def onnx_structure(model: Onnx) -> Iterator[Finding]:
    """The model's tensors or functions are not what the format allows.

    ## Why it matters
    A loader allocates what a tensor's shape says and copies what its bytes are. Where the two do
    not agree, a loader that does not look reads or writes memory that is not the tensor's. A
    function that calls itself never ends.

    ## What to do
    Do not load it with a runtime that has not been fuzzed. Ask for a fresh export.

    ## Limits
    Shapes of values between nodes are not inferred. Tensors that are written as lists of numbers
    and not as raw bytes are not counted. Parts of other files are another check's question.

    ## References
    - https://onnx.ai/onnx/repo-docs/IR.html
    - https://cwe.mitre.org/data/definitions/131.html
    """
    flaws = [(t.name[:120], flaw) for t in model.tensors() if (flaw := _flaw(t))]
    flaws += [(name, "is called by itself") for name in _recursive(model)]
    if flaws:
        name, flaw = flaws[0]
        more = f", and {len(flaws) - 1:,} more" if len(flaws) > 1 else ""
        yield Finding(
            message=f"the model breaks the format: {name or '(no name)'} {flaw}{more}",
            at=model.where,
            action=Action.REVIEW,
            symbol=f"{name} {flaw}"[:200],
            evidence=(Table("What is wrong", ("what", "how"), tuple(flaws[:SHOWN])),),
        )


def _flaw(tensor: Tensor) -> str:
    if any(size < 0 for size in tensor.shape):
        return "has a negative size"
    if tensor.elements > LARGEST:
        return "has more elements than a number of 64 bits can count"
    outside = tensor.external
    if outside and (isinstance(outside.offset, str) or isinstance(outside.length, str)):
        return "has an offset or a length that is no number"
    bits = TYPES.get(tensor.type, ("", 0))[1]
    wanted = (tensor.elements * bits + 7) // 8
    have = tensor.raw[1] - tensor.raw[0] if tensor.raw else None
    if outside and isinstance(outside.length, int):
        have = outside.length
        return (
            f"takes {have:,} bytes of another file for {wanted:,}" if have < wanted and bits else ""
        )
    if bits and have is not None and have != wanted and not outside:
        return f"has {have:,} bytes and needs {wanted:,}"
    return ""


def _recursive(model: Onnx) -> list[str]:
    """The functions of one circle of calls, if there is one."""
    calls = {(f.domain, f.name): {(n.domain, n.op) for n in _all(f.nodes)} for f in model.functions}
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        return [f"{domain}::{name}"[:120] for domain, name in error.args[1][1:]]
    return []


def _all(nodes: tuple[Node, ...]) -> Iterator[Node]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [inner for body in node.graphs() for inner in body.nodes]
