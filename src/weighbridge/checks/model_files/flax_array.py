"""Check `flax-array`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.msgpack import Msgpack

SHOWN = 20


@check("flax-array", control="payload-scan", reads=Msgpack)
def flax_array(document: Msgpack) -> Iterator[Finding]:
    """An array's bytes are not what its shape and type ask for, or its type is not known.

    ## Why it matters
    Flax writes shape, type and bytes of every array together, so they always agree. Where they do
    not, the file was cut or edited, and a reader that trusts the shape reads what is not there. A
    type such as `object` is how NumPy is made to take bytes for pointers.

    ## What to do
    Fetch the file again; if it stays, ask the publisher for one that Flax itself has written.

    ## Limits
    Arrays that Flax splits into chunks are held to their chunks' own shapes.

    ## References
    - https://flax.readthedocs.io/en/latest/api_reference/flax.serialization.html
    - https://cwe.mitre.org/data/definitions/1284.html
    """
    if document.flaws:
        more = f", and {len(document.flaws) - 1:,} more" if len(document.flaws) > 1 else ""
        rows = tuple((flaw,) for flaw in document.flaws[:SHOWN])
        yield Finding(
            message=document.flaws[0] + more,
            at=document.where,
            action=Action.REVIEW,
            symbol="array",
            evidence=(Table("Arrays that do not fit", ("what",), rows),),
        )
