"""Check `lineage-declared`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from weighbridge.analysis.lineage import Base, base_name, declared_bases
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison, Table
from weighbridge.core.fact import Settings
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

_COPY: Final = regex(
    r"[-_.](?:unsloth|bnb|[48]bit|gguf|awq|gptq|exl2|hf|mlx|fp8|bf16|fp16|int[48]|dynamic)\b", re.I
)
"""What a copy's name adds to the name of what it is a copy of."""
_WIDTHS: Final = ("hidden_size", "intermediate_size", "head_dim", "n_embd", "d_model")
"""What training on, merging and quantising leave as it is."""
_FAMILIES: Final = {
    "llama": {"llama", "mistral", "mixtral"}, "qwen2": {"qwen2", "qwen2_vl", "qwen2_5_vl"},
    "qwen3": {"qwen3"}, "gemma": {"gemma"}, "gemma2": {"gemma2"}, "gpt2": {"gpt2"},
    "gemma3": {"gemma3", "gemma3_text"}, "phi2": {"phi"}, "phi3": {"phi3", "phi3_v"},
    "bert": {"bert"}, "falcon": {"falcon"}, "bloom": {"bloom"}, "gptneox": {"gpt_neox"},
    "starcoder2": {"starcoder2"},
}  # fmt: skip
"""Architectures of GGUF and the model types that are converted to them."""


@check("lineage-declared", control="lineage", reads=Audit)
def lineage_declared(audit: Audit) -> Iterator[Finding | Gap]:
    """What the card, the adapter, the GGUF and the configuration say of the base does not agree.

    ## Why it matters
    Licence, evaluations and trust are taken over from the base that is named. An adapter loads on
    top of whatever its own configuration names, not on what the card says.

    ## What to do
    Ask which base is the right one, and put the right one into every file that names it.

    ## Limits
    Names are compared, and the widths of the networks where the base is at hand; a base that has
    been renamed, or a copy of it under another name, looks like another one and is a review.

    ## References
    - https://huggingface.co/docs/hub/model-cards#specifying-a-base-model
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    """
    bases = declared_bases(audit.facts)
    if not bases and "base" not in audit.parts:
        yield Gap(
            kind=GapKind.NOT_GIVEN,
            message="it names no model that it derives from",
            at=Location("."),
        )
    yield from _names(bases)
    yield from _architectures(audit)
    if "base" in audit.parts:
        yield from _widths(audit, audit.parts["base"])


def _names(bases: Sequence[Base]) -> Iterator[Finding]:
    """Whoever names a base names one of those that the first to do so names."""
    if not bases:
        return
    first = [b for b in bases if b.said_by == bases[0].said_by]
    for other in bases:
        if other.said_by != first[0].said_by and not any(_alike(other.id, b.id) for b in first):
            yield Finding(
                message=f"contradicted: {first[0].said_by} names {first[0].id[:120]}, "
                f"{other.said_by} names {other.id[:120]}",
                at=other.at,
                action=Action.REVIEW,
                confidence=Confidence.LIKELY,
                symbol=other.id[:200],
                evidence=(
                    Comparison(
                        "The model that it derives from",
                        first[0].said_by,
                        ", ".join(b.id[:120] for b in first[:8]),
                        other.said_by,
                        other.id[:120],
                    ),
                ),
            )


def _alike(one: str, other: str) -> bool:
    """Whether two names are of the same model, or of a copy of it: the same words but for what
    copies add, in the name without its owner."""
    a, b = (re.split(r"[-_.]+", _plain(name)) for name in (one, other))
    short, long = sorted((a, b), key=len)
    return set(short) <= set(long) if len(short) > 1 else a == b


def _plain(name: str) -> str:
    return _COPY.sub("", name.rpartition("/")[2].lower()).removeprefix("meta-")


def _architectures(audit: Audit) -> Iterator[Finding]:
    """A GGUF and the configuration beside it are of the same family."""
    configs = {f.at.path.rpartition("/")[0]: f for f in _settings(audit, "config")}
    for keys in _settings(audit, "gguf"):
        config = configs.get(keys.at.path.rpartition("/")[0])
        architecture = keys.values.get("general.architecture")
        allowed = _FAMILIES.get(architecture) if isinstance(architecture, str) else None
        model = config.values.get("model_type") if config is not None else None
        known = {m for family in _FAMILIES.values() for m in family}
        if config is not None and allowed and model in known and model not in allowed:
            yield Finding(
                message=f"contradicted: the GGUF is of the architecture {architecture}, the "
                f"configuration beside it of the type {model}",
                at=keys.at,
                action=Action.REVIEW,
                symbol=f"architecture {architecture}",
                evidence=(
                    Comparison("Architecture", config.at.path, str(model), keys.at.path,
                               str(architecture)),
                ),
            )  # fmt: skip


def _widths(audit: Audit, base: Audit) -> Iterator[Finding]:
    """The network is as wide as the base's."""
    ours, theirs = _network(audit), _network(base)
    if ours is None or theirs is None:
        return
    differing = [
        (key, str(ours.values[key]), str(theirs.values[key]))
        for key in (*_WIDTHS, "model_type")
        if key in ours.values and key in theirs.values and ours.values[key] != theirs.values[key]
    ]
    if any(key in _WIDTHS for key, _, _ in differing):
        name = base_name(base)
        rows = tuple((k, o[:80], t[:80]) for k, o, t in differing)
        yield Finding(
            message=f"contradicted: its configuration is not of a network as wide as that of "
            f"{name}: {rows[0][0]} is {rows[0][1]}, there {rows[0][2]}",
            at=ours.at,
            action=Action.REVIEW,
            symbol=rows[0][0],
            evidence=(Table("Configurations", ("key", "here", "in the base"), rows),),
        )


def _network(audit: Audit) -> Settings | None:
    """The configuration at the root."""
    found = [f for f in _settings(audit, "config") if f.at.path == "config.json"]
    if not found:
        return None
    inner: Any = found[0].values.get("text_config")
    if isinstance(inner, dict):
        return Settings(at=found[0].at, kind="config", values=found[0].values | inner)
    return found[0]


def _settings(audit: Audit, kind: str) -> list[Settings]:
    facts = (f for f in audit.facts if isinstance(f, Settings) and f.kind == kind)
    return [f for f in facts if not f.at.inside]
