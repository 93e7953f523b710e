"""Check `card-instructions`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.model_card import ModelCard

SHOWN: Final = 300
_FENCE: Final = regex(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)^[ \t]*\1", re.S | re.M)
_ACTS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("pipe a download into a shell",
     regex(r"\b(?:curl|wget)\b[^\n|]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b")),
    ("pipe a download into PowerShell",
     regex(r"\b(?:iex|Invoke-Expression)\b[^\n]*\b(?:irm|iwr|Invoke-\w+|DownloadString)\b"
                r"|\b(?:irm|iwr|Invoke-\w+)\b[^\n|]*\|\s*(?:iex|Invoke-Expression)\b",
                re.IGNORECASE)),
    ("run an encoded PowerShell command",
     regex(r"\bpowershell(?:\.exe)?\b[^\n]*\s-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{16,}",
                re.IGNORECASE)),
    ("run text that is decoded first",
     regex(r"\bbase64\s+(?:-d|--decode|-D)\b[^\n]*\|\s*(?:ba|z)?sh\b"
                r"|\bexec\s*\(\s*(?:base64\.)?b64decode")),
    ("turn the verification of certificates off",
     regex(r"verify\s*=\s*False|--no-check-certificate|\bcurl\b[^\n]*\s(?:-k|--insecure)\b"
                r"|_create_unverified_context")),
    ("turn a protection of the machine off",
     regex(r"Set-MpPreference|DisableRealtimeMonitoring|\bsetenforce\s+0|spctl\s+--master-"
                r"disable|xattr\s+-d\s+com\.apple\.quarantine", re.IGNORECASE)),
)  # fmt: skip
_OWN_SCRIPT: Final = regex(
    r"^[ \t]*(?:[$>!%][ \t]*)?(?:sudo\s+)?(?:python3?|bash|sh|\.\\|\./)\s*(?:\./)?"
    r"([\w./-]+\.(?:py|sh|bat|ps1|cmd|exe))\b", re.M | re.IGNORECASE
)  # fmt: skip
_TRUST: Final = regex(r"trust_remote_code\s*=\s*True|--trust[-_]remote[-_]code\b")


@check("card-instructions", control="code-and-templates", reads=ModelCard)
def card_instructions(card: ModelCard) -> Iterator[Finding]:
    """The card tells its reader to run something, or to let the model's own code run.

    ## Why it matters
    A stealer reached the top of the Hub's trending list through a card that said to run
    `loader.py`. What a reader pastes into a terminal no scanner of model files sees.

    ## What to do
    Read what you are asked to run, or do without it: a model needs no script to be loaded by the
    library that knows its architecture.

    ## Limits
    Only code blocks are read, and only commands that are known to matter; what a script of the
    repository does is in the findings of that file.

    ## References
    - https://atlas.mitre.org/techniques/AML.T0011
    - https://cwe.mitre.org/data/definitions/829.html
    """
    scripts: dict[str, str] = {}
    for found in _FENCE.finditer(card.text):
        code = found[2]
        for what, pattern in _ACTS:
            if hit := pattern.search(code):
                yield Finding(
                    message=f"the card tells its reader to {what}",
                    at=card.at(),
                    action=Action.REVIEW,
                    symbol=what,
                    evidence=(Text("Where it does", _around(code, hit.start())),),
                )
        for hit in _OWN_SCRIPT.finditer(code):
            scripts.setdefault(hit[1], _around(code, hit.start()))
    for script, where in sorted(scripts.items()):
        program = script.lower().endswith((".exe", ".bat", ".cmd", ".ps1"))
        yield Finding(
            message=f"the card tells its reader to run {script}",
            at=card.at(),
            action=Action.REVIEW if program else Action.NOTE,
            symbol=script,
            evidence=(Text("Where it does", where),),
        )
    if hit := _TRUST.search(card.text):
        yield Finding(
            message="the card tells its reader to let the model's own code run (trust_remote_code)",
            at=card.at(),
            action=Action.NOTE,
            symbol="trust_remote_code",
            evidence=(Text("Where it does", _around(card.text, hit.start())),),
        )


def _around(text: str, at: int) -> str:
    start = text.rfind("\n", 0, max(0, at - SHOWN // 2)) + 1
    return text[start : start + SHOWN]
