"""Check `pickle-trailing-bytes`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.pickle import Pickle


@check("pickle-trailing-bytes", control="payload-scan", reads=Pickle)
def trailing_bytes(pickle: Pickle) -> Iterator[Finding]:
    """Bytes follow the pickle that belong to no pickle.

    ## Why it matters
    A loader stops at the pickle's end, so these bytes do nothing by themselves. They can hold
    what another program picks up.

    ## What to do
    Ask what wrote them. A truncated second pickle, padding or a newline are harmless.

    ## Limits
    The first 64 MiB were searched for further pickles with a protocol header; what else the bytes
    may be is not looked at.

    ## References
    - https://docs.python.org/3/library/pickle.html#pickle.load
    """
    if pickle.trailing > 1:
        yield Finding(
            message=f"{pickle.trailing:,} bytes follow the pickle and are in none",
            at=pickle.at(pickle.size - pickle.trailing, pickle.trailing),
            action=Action.NOTE,
            symbol="trailing",
        )
