"""What a model says that it derives from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from weighbridge.core.check import Audit
from weighbridge.core.fact import AnyFact, Card, Settings
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

_ADDRESS: Final = regex(r"https://huggingface\.co/([^/\s]+/[^/\s?#]+)/?")
_NAME: Final = regex(r"[\w.-]{1,96}(?:/[\w.-]{1,96})?", re.ASCII)


class Base(NamedTuple):
    """A model that something in the target names as the one it derives from."""

    id: str
    said_by: str
    at: Location


def declared_bases(facts: Sequence[AnyFact]) -> list[Base]:
    """Every declaration of a base, those that are made for it first: the card's, an adapter's, a
    GGUF's keys."""
    return [Base(id, by, f.at) for f in facts for by, id in _declared(f) if _NAME.fullmatch(id)]


def _declared(fact: AnyFact) -> Iterator[tuple[str, str]]:
    if isinstance(fact, Card):
        named = fact.header.get("base_model")
        for value in named if isinstance(named, list) else [named]:
            yield from _texts("the model card (base_model)", value)
    elif isinstance(fact, Settings) and fact.kind == "adapter":
        key = "base_model_name_or_path"
        yield from _texts(f"the adapter's configuration ({key})", fact.values.get(key))
    elif isinstance(fact, Settings) and fact.kind == "gguf":
        for key, value in fact.values.items():
            if re.fullmatch(r"general\.base_model\.\d+\.repo_url", key):
                yield from _texts(f"the GGUF's key {key}", value)


def _texts(said_by: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and value:
        found = _ADDRESS.fullmatch(value.strip())
        yield said_by, found[1] if found else value.strip()


def relation(audit: Audit) -> str:
    """How the card says that the model derives from its base, or the empty string."""
    for fact in audit.facts:
        if isinstance(fact, Card):
            said = fact.header.get("base_model_relation")
            if isinstance(said, str):
                return said.lower()
    return ""


def base_name(base: Audit) -> str:
    """What to call the base in a sentence."""
    return base.origin.id if base.origin is not None else "the base"
