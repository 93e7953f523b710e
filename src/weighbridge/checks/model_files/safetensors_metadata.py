"""Check `safetensors-metadata`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from weighbridge.core.check import check
from weighbridge.core.evidence import Text
from weighbridge.core.finding import Action, Confidence, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.safetensors import Safetensors

QUOTED = 2_000
PATTERNS: tuple[tuple[str, re.Pattern[str], Action], ...] = (
    (
        "calls a function that runs code",
        regex(r"\b(?:eval|exec|__import__|compile)\s*\(|\bos\.(?:system|popen|exec\w*)\s*\("
                   r"|\bsubprocess\.\w+\s*\(|\bbuiltins\.\w+\s*\(|\bpickle\.loads?\s*\("),
        Action.REVIEW,
    ),
    (
        "holds Python statements",
        regex(r"(?:^|[\n;])\s*(?:import (?:os|sys|subprocess|socket|shutil|requests|ctypes)\b"
                   r"|from (?:os|subprocess|socket|shutil|requests) import)"),
        Action.REVIEW,
    ),
    (
        "holds a shell command",
        regex(r"\brm\s+-rf?\s+[/~*]|\b(?:curl|wget)\s+[^|;&]{1,300}[|]\s*(?:ba|z|da)?sh\b"
                   r"|/bin/(?:ba|z|da)?sh\s+-[ci]\b|\bnc\s+-[a-z]*e\b|/dev/tcp/\d"
                   r"|\bpowershell(?:\.exe)?\s+-|\bcmd(?:\.exe)?\s+/c\b"),
        Action.REVIEW,
    ),
    (
        "holds script or markup that a browser runs",
        regex(r"<script\b|\bjavascript:|\bonerror\s*=|<iframe\b", re.IGNORECASE),
        Action.REVIEW,
    ),
    (
        "holds control characters that drive a terminal",
        regex(r"\x1b[\[\]()]|\x9b"),
        Action.REVIEW,
    ),
    (
        "holds an address with a user name and password",
        regex(r"\bhttps?://[^/\s:@\"']{1,80}:[^/\s@\"']{1,80}@"),
        Action.REVIEW,
    ),
    (
        "holds an address that points at a bare number or a program to fetch",
        regex(r"\bhttps?://\d{1,3}(?:\.\d{1,3}){3}\b"
                   r"|\bhttps?://\S{1,200}\.(?:sh|exe|bat|ps1|py|pkl|dll|msi|scr|vbs)\b"),
        Action.NOTE,
    ),
    (
        "holds an address",
        regex(r"\bhttps?://(?!(?:[\w-]+\.)*(?:huggingface\.co|hf\.co|github\.com|civitai\.com"
                   r"|arxiv\.org|w3\.org|modelscope\.cn|stability\.ai|opencreativecommons\.org"
                   r"|creativecommons\.org|apache\.org|gitlab\.com|schema\.org)\b)"),
        Action.NOTE,
    ),
)  # fmt: skip


@check("safetensors-metadata", control="payload-scan", reads=Safetensors)
def safetensors_metadata(document: Safetensors) -> Iterator[Finding]:
    """The metadata hold text that no model needs: code, commands, markup, credentials.

    ## Why it matters
    Nothing in a safetensors file runs by itself. But metadata are shown in web pages and
    terminals, pasted into prompts and, in careless tools, evaluated. Text that has the form of a
    command is there for a reason.

    ## What to do
    Read the quoted text. If a tool of yours uses these metadata, make sure that it treats them as
    text. Ask the publisher what they are for.

    ## Limits
    Text is matched by form; a sentence that quotes a command is reviewed as well. Addresses alone
    are noted, not reviewed.

    ## References
    - https://huggingface.co/docs/safetensors
    - https://cwe.mitre.org/data/definitions/116.html
    """
    for key, value in document.metadata.items():
        for meaning, pattern, action in PATTERNS:
            found = pattern.search(value) or pattern.search(key)
            if found is not None:
                start = max(0, found.start() - 200)
                yield Finding(
                    message=f"the metadata entry {key[:80]!r} {meaning}",
                    at=document.at(8),
                    action=action,
                    symbol=f"{key[:80]}: {meaning}",
                    confidence=Confidence.LIKELY,
                    evidence=(Text("The entry", text=value[start : start + QUOTED]),),
                )
                break
