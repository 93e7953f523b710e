"""Check `tensorflow-native`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weighbridge.analysis.tensorflow_uses import grouped
from weighbridge.core.check import check
from weighbridge.core.finding import Finding, Gap, GapKind
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.intel.tensorflow_operators import Reach, compiled


@check("tensorflow-native", control="payload-scan", reads=TensorFlow)
def tensorflow_native(model: TensorFlow) -> Iterator[Finding | Gap]:
    """A TensorFlow graph calls native code by name, holds a compiled program, or ends the process.

    ## Why it matters
    A custom call runs a function of the process by its name, with whatever bytes the graph hands
    it. A program that was compiled for an accelerator runs as it is. `Abort` takes the server
    down with it.

    ## What to do
    Ask for the graph that a compiled program was made from, and compile it yourself.

    ## Limits
    Compiled programs are not read: each kind is a gap.

    ## References
    - https://openxla.org/xla/custom_call
    - https://cwe.mitre.org/data/definitions/829.html
    """
    for action, message, found, evidence in grouped(model, Reach.NATIVE):
        yield Finding(
            message=message,
            at=model.where,
            action=action,
            symbol=", ".join(sorted({use.node.op for use in found})),
            evidence=evidence,
        )
    held = Counter(node.op for node in model.nodes() if compiled(node.op))
    for op, times in sorted(held.items()):
        why = f"operator {op} ({times:,} times): compiled for {compiled(op)}; it was not read"
        yield Gap(kind=GapKind.UNSUPPORTED, message=why, at=model.where)
