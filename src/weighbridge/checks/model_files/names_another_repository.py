"""Check `names-another-repository`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from weighbridge.core.check import check
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Finding
from weighbridge.core.regex import regex
from weighbridge.formats.text import Configuration
from weighbridge.formats.yaml import Yaml

_KERNEL_KEYS: Final = frozenset(
    {"attn_implementation", "_attn_implementation", "_attn_implementation_internal",
     "experts_implementation", "_experts_implementation", "_experts_implementation_internal",
     "kernel_mapping", "kernel_config"}
)  # fmt: skip
_KERNEL: Final = regex(r"(?:\w+\|)?[\w.-]+/[\w.-]+(?:@[^/:\s]+)?(?::[^/:\s]+)?")
"""How transformers tells a kernel of the Hub from the name of a built-in one (`is_kernel`)."""
_WEIGHT_KEYS: Final = frozenset(
    {"mm_vision_tower", "vision_tower", "vision_model_name_or_path", "text_model_name_or_path",
     "speech_encoder", "audio_tower", "llm_name_or_path", "text_encoder_name", "tokenizer_name",
     "tokenizer_name_or_path", "vision_backbone", "backbone"}
)  # fmt: skip
_KEYS: Final = tuple(sorted(_KERNEL_KEYS | _WEIGHT_KEYS))
_REPOSITORY: Final = regex(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
SHOWN: Final = 50


@check("names-another-repository", control="code-and-templates", reads=Configuration)
def names_another_repository(document: Configuration) -> Iterator[Finding]:
    """A configuration has its loader fetch kernels or weights from another repository.

    ## Why it matters
    `attn_implementation` and its internal spellings may name a repository of the Hub: transformers
    then downloads a compiled kernel from there and loads it into the process, without a
    question. Keys such as `mm_vision_tower` fetch weights. What is fetched is not in this audit
    and can change at any time.

    ## What to do
    Use a built-in implementation (`sdpa`, `eager`), or pin and review the kernel, and serve offline
    (`HF_HUB_OFFLINE=1`). Audit the other repository, too, and keep a copy beside the model.

    ## Limits
    `_name_or_path` and `base_model_name_or_path` only tell where a model came from. Keys that a
    program of its own reads are not known; kernels that code asks for are not seen here.

    ## References
    - https://huggingface.co/docs/transformers/attention_interface
    - https://cwe.mitre.org/data/definitions/829.html
    """
    lines = document.lines if isinstance(document, Yaml) else {}
    fetched: dict[str, str] = {}
    told: set[str] = set()
    for mapping in document.mappings():
        for key in _KEYS:
            if key not in mapping:
                continue
            value = mapping[key]
            if key in _KERNEL_KEYS:
                for text in _texts(value):
                    if _KERNEL.fullmatch(text) and text not in told:
                        told.add(text)
                        yield Finding(
                            message=f"{key} loads native code from another repository: {text}",
                            at=msgspec.structs.replace(document.where, line=lines.get(id(mapping))),
                            action=Action.REVIEW,
                            symbol=text[:200],
                            evidence=(Table("What is named", ("key", "value"), ((key, text),)),),
                        )
            elif isinstance(value, str) and _REPOSITORY.fullmatch(value):
                fetched.setdefault(value, key)
    if fetched:
        yield Finding(
            message=f"loading it fetches from {', '.join(list(fetched)[:4])}"
            + (" …" if len(fetched) > 4 else ""),
            at=document.where,
            action=Action.NOTE,
            symbol="fetches",
            evidence=(
                Table(
                    "What is fetched",
                    ("key", "repository"),
                    tuple((key, name) for name, key in list(fetched.items())[:SHOWN]),
                ),
            ),
        )


def _texts(value: Any) -> Iterator[str]:
    """The strings of a value: one for all, or one for each part of the model or each layer."""
    waiting = [value]
    for _ in range(1_000):
        if not waiting:
            return
        here = waiting.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict):
            waiting += list(here.values())[::-1]
        elif isinstance(here, list):
            waiting += here[::-1]
