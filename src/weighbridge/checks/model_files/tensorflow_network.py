"""Check `tensorflow-network`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.tensorflow_uses import grouped
from weighbridge.core.check import check
from weighbridge.core.finding import Finding
from weighbridge.formats.tensorflow import TensorFlow
from weighbridge.intel.tensorflow_operators import Reach


@check("tensorflow-network", control="payload-scan", reads=TensorFlow)
def tensorflow_network(model: TensorFlow) -> Iterator[Finding]:
    """A TensorFlow graph connects to other machines, or lets them connect.

    ## Why it matters
    Some operators call servers, data services, queues and databases, or open a server themselves.
    In a model they send its inputs away or fetch what nobody has audited.

    ## What to do
    Do not serve a model that connects to an address of its own. Keep its egress closed.

    ## Limits
    Operators that pass tensors between devices of one session are not listed. Files on other
    machines are the question of `tensorflow-file`.

    ## References
    - https://www.tensorflow.org/api_docs/python/tf/data/experimental/service
    - https://www.tensorflow.org/io/api_docs/python/tfio
    - https://cwe.mitre.org/data/definitions/918.html
    """
    for action, message, found, evidence in grouped(model, Reach.CONNECTS):
        ops = ", ".join(sorted({use.node.op for use in found}))
        yield Finding(
            message=message,
            at=model.where,
            action=action,
            symbol=f"{ops} {', '.join(found[0].paths[:3])}".strip()[:200],
            evidence=evidence,
        )
