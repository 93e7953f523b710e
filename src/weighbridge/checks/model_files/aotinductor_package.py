"""Check `aotinductor-package`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.zip import Zip

SHOWN: Final = 50
_MEMBER: Final = regex(r"(?:[^/]+/)?data/aotinductor/([^/]+)/(.+)")
_LIBRARY: Final = regex(r"\.(?:so|dll|dylib|pyd)(?:\.\d+)*$", re.IGNORECASE)


@check("aotinductor-package", control="payload-scan", reads=Zip)
def aotinductor_package(archive: Zip) -> Iterator[Finding]:
    """The archive holds a model compiled by AOTInductor: native code that runs when it is loaded.

    ## Why it matters
    `aoti_load_package` unpacks the shared library in the archive and loads it, or compiles the C++
    beside it first. Its code runs with the rights of the program, before the model is called. That
    is what such a package is for, so it is no proof of harm, and a person must decide; what can be
    seen of the library is listed under `native-program`.

    ## What to do
    Load it only if you trust whoever compiled it as you would trust a program. Better, ask for the
    exported program and compile it yourself.

    ## Limits
    Machine code is not read. That a library does only what the graph beside it says is not shown.

    ## References
    - https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
    - https://cwe.mitre.org/data/definitions/829.html
    """
    models: dict[str, list[tuple[str, str]]] = {}
    for member in (*archive.members, *archive.hidden):
        found = _MEMBER.fullmatch(member.name)
        if found is not None:
            models.setdefault(found[1], []).append((found[2], f"{member.size:,}"))
    for model, files in sorted(models.items()):
        libraries = [name for name, _ in files if _LIBRARY.search(name)]
        what = (
            f"{len(libraries):,} shared librar{'y' if len(libraries) == 1 else 'ies'}"
            if libraries
            else "sources that are compiled"
        )
        yield Finding(
            message=f"{model[:80]!r} is a model compiled to native code: {what}, run on load",
            at=archive.where,
            action=Action.REVIEW,
            symbol=f"aotinductor {model}"[:200],
            evidence=(Table("Its files", ("file", "bytes"), tuple(files[:SHOWN])),),
        )
