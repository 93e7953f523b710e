"""Check `received-objects`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.practices import practices, told
from weighbridge.analysis.training_kinds import Kind
from weighbridge.analysis.training_ways import Judged
from weighbridge.core.check import Audit, check
from weighbridge.core.finding import Action, Finding


@check("received-objects", control="training-code", reads=Audit)
def received_objects(audit: Audit) -> Iterator[Finding]:
    """Objects are unpickled from what arrives over a socket.

    ## Why it matters
    Whoever reaches the port sends a pickle and runs code. `recv_pyobj` of ZeroMQ does so by itself;
    the same few lines were copied from one inference server to the next.

    ## What to do
    Exchange data in a format that cannot act (msgpack, JSON, protobuf, raw tensors). Bind to the
    loopback or to a Unix socket, and authenticate whoever connects.

    ## Limits
    Who can reach the port is not known; connections between the processes of one machine count as
    well. What crosses into another function before it is unpickled is not followed.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2024-50050
    - https://nvd.nist.gov/vuln/detail/CVE-2025-30165
    - https://cwe.mitre.org/data/definitions/502.html
    """
    judged = [
        Judged(p, Action.REVIEW, f"{p.symbol} unpickles whatever the other end has sent",
               who="whoever reaches the port", does=f"{p.symbol} runs what the pickle says")
        for p in practices(audit, Kind.RECEIVED)
    ]  # fmt: skip
    yield from told(audit, judged, "objects are unpickled from a connection")
