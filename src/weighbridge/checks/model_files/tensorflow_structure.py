"""Check `tensorflow-structure`."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.tensorflow import Tensor, TensorFlow
from weighbridge.formats.tensorflow_schema import TYPES

SHOWN = 50
LARGEST = 1 << 62
"""Elements; what a loader computes in 64 bits must not wrap around."""


@check("tensorflow-structure", control="payload-scan", reads=TensorFlow)
def tensorflow_structure(model: TensorFlow) -> Iterator[Finding]:
    """A TensorFlow graph says what no writer of TensorFlow's says.

    ## Why it matters
    A node, a function or an attribute that stands there twice is read one way by one reader and
    another way by the next, and the one that judges it is not the one that runs it. A constant
    whose bytes do not fit its shape has made loaders read memory that is not the model's.

    ## What to do
    Ask for a fresh export.

    ## Limits
    Shapes of values between nodes are not inferred. Constants whose values are listed as numbers
    are not counted: TensorFlow allows fewer than the shape asks for.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2021-29571
    - https://cwe.mitre.org/data/definitions/131.html
    """
    flaws = list(model.flaws)
    flaws += [(node.name[:120], flaw) for node, t in model.tensors() if (flaw := _flaw(t))]
    if flaws:
        name, flaw = flaws[0]
        more = f", and {len(flaws) - 1:,} more" if len(flaws) > 1 else ""
        yield Finding(
            message=f"the graph contradicts itself: {name or '(no name)'} {flaw}{more}",
            at=model.where,
            action=Action.REVIEW,
            symbol=f"{name} {flaw}"[:200],
            evidence=(Table("What is wrong", ("what", "how"), tuple(flaws[:SHOWN])),),
        )


def _flaw(tensor: Tensor) -> str:
    sizes = tensor.shape.sizes or ()
    if any(size < 0 for size in sizes):
        return "is a constant with a negative size"
    if prod(sizes) > LARGEST:
        return "has more elements than a number of 64 bits can count"
    bits = TYPES.get(tensor.type.number, ("", 0))[1]
    if tensor.raw is None or not bits:
        return ""
    have, wanted = tensor.raw[1] - tensor.raw[0], prod(sizes) * bits // 8
    return f"has {have:,} bytes and needs {wanted:,}" if have not in (0, wanted) else ""
