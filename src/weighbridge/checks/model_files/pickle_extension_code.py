"""Check `pickle-extension-code`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.formats.pickle import Pickle


@check("pickle-extension-code", control="payload-scan", reads=Pickle)
def extension_code(pickle: Pickle) -> Iterator[Finding]:
    """The pickle names a class by a number that only the loading process can resolve.

    ## Why it matters
    EXT opcodes look a name up in `copyreg`'s registry of the process that loads the file. What
    they come to cannot be seen in the file, so they hide a name from every scanner.

    ## What to do
    Ask for a file without extension codes; the libraries that models use do not register any.

    ## Limits
    The registry of your process is not read.

    ## References
    - https://docs.python.org/3/library/copyreg.html
    - https://peps.python.org/pep-0307/#the-extension-registry
    """
    for code in sorted({e.code for e in pickle.extensions}):
        first = next(e for e in pickle.extensions if e.code == code)
        yield Finding(
            message=f"loading this file uses extension code {code}, whose name is not in the file",
            at=pickle.at(first.offset),
            action=Action.REVIEW,
            symbol=f"extension {code}",
            confidence=Confidence.LIKELY,
        )
