"""Check `remote-code-allowed`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.formats.text import Configuration
from weighbridge.formats.yaml import Yaml

_KEYS: Final = ("trust_remote_code", "trust-remote-code", "trustRemoteCode")
_TRUE: Final = frozenset({"true", "yes", "on", "1", "y"})


@check("remote-code-allowed", control="code-and-templates", reads=Configuration)
def remote_code_allowed(document: Configuration) -> Iterator[Finding]:
    """A configuration says `trust_remote_code: true` for whoever loads it.

    ## Why it matters
    Whether code from a repository may run is the decision of who loads a model. A configuration
    that comes with the model and is handed to a server or a training program takes that decision
    for them, for this model and for whatever else it names.

    ## What to do
    Take the line out, and decide at the call. Where you need the code, pin its revision.

    ## Limits
    Whether a program reads this key from this file is not known. Command lines in scripts are not
    looked at here.

    ## References
    - https://huggingface.co/docs/transformers/custom_models
    - https://cwe.mitre.org/data/definitions/829.html
    """
    lines = document.lines if isinstance(document, Yaml) else {}
    for mapping in document.mappings():
        for key in _KEYS:
            if key in mapping and _says_yes(mapping[key]):
                beside = [f"{k}: {str(v)[:120]}" for k, v in list(mapping.items())[:12]
                          if not isinstance(v, dict | list)]  # fmt: skip
                yield Finding(
                    message=f"{key} is switched on in the configuration",
                    at=msgspec.structs.replace(document.where, line=lines.get(id(mapping))),
                    action=Action.REVIEW,
                    symbol=key,
                    evidence=(Text("Where it stands", text="\n".join(beside)),),
                )
                return


def _says_yes(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in _TRUE)
