"""Check `keras-config`."""

from __future__ import annotations

from collections.abc import Iterator

from weighbridge.analysis.disassembly import disassembly
from weighbridge.analysis.keras_config import is_keras, reached
from weighbridge.core.check import check
from weighbridge.core.document import Malformed
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.bytecode import texts_of
from weighbridge.formats.hdf5 import KERAS_CONFIG
from weighbridge.formats.marshalled import read_code
from weighbridge.formats.text import Json


@check("keras-config", control="payload-scan", reads=Json)
def keras_config(document: Json) -> Iterator[Finding]:
    """A Keras configuration carries code, or has the loader import something that no layer is.

    ## Why it matters
    A Keras model is rebuilt from its configuration. A Lambda layer in it is Python bytecode; a
    `module` and `class_name` are imported by name. Loaders have been made to run `os.system`, to
    download files and to turn their own safe mode off that way.

    ## What to do
    Do not load a model whose configuration is blocked, whatever `safe_mode` says. Ask for a model
    whose Lambda layers are replaced by registered layers.

    ## Limits
    What a custom object does stands in code that is not part of the model.

    ## References
    - https://nvd.nist.gov/vuln/detail/CVE-2024-3660
    - https://nvd.nist.gov/vuln/detail/CVE-2025-1550
    - https://nvd.nist.gov/vuln/detail/CVE-2025-8747
    - https://nvd.nist.gov/vuln/detail/CVE-2025-12058
    """
    if document.blob.role != KERAS_CONFIG and not is_keras(document.value):
        return
    for found in reached(document.value):
        evidence = [Text(f"At {found.path or 'the root'}", text=found.shown, language="json")]
        if found.code:
            evidence.insert(0, _shown(found.code))
        yield Finding(
            message=found.message,
            at=document.where,
            action=Action(found.severity),
            symbol=found.symbol,
            evidence=tuple(evidence),
        )


def _shown(data: bytes) -> Text:
    """Marshalled code as far as it can be read."""
    try:
        code = read_code(data)
    except Malformed as error:
        title = f"Names and texts in the bytecode (it could not be read: {error.why})"
        return Text(title, text="\n".join(texts_of(data, None))[:4000])
    return disassembly(code, names="\n".join(texts_of(data, code))[:4000])
