"""Check `card-claims`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.licence import contradict, licence_of
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Comparison
from weighbridge.core.fact import Card, Settings, Weights
from weighbridge.core.finding import Action, Finding
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

LICENCE_FILE: Final = regex(r"(?:licen[cs]e|copying)(?:\.(?:txt|md))?", re.IGNORECASE)
LICENCE_BYTES: Final = 64 << 10
_SIZE: Final = regex(r"(?:^|[-_. ])(\d{1,4}(?:\.\d{1,2})?)([bBmM])(?=$|[-_. ])")
TOLERANCE: Final = 1.6
"""Names round, and count embeddings or not."""
PACKED: Final = frozenset({"U8", "I8", "I32", "F4", "U4", "I4"})
"""Types that hold several weights in an element in quantised files."""
_PLAIN: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@check("card-claims", control="lineage", reads=Audit)
def card_claims(audit: Audit) -> Iterator[Finding]:
    """What card, name and configuration claim is what the files hold: licence, size, precision.

    ## Why it matters
    A licence tag decides whether you may use the model, its text decides what you agreed to. A
    model that has other tensors than its name says is another model.

    ## What to do
    Where the licence and its tag differ, the text counts: ask your counsel, and the publisher.
    Where the size differs, find out which model this is before you trust the rest of the card.

    ## Limits
    Some thirty licences are known by their text. Sizes are compared where tensors are listed and
    not packed; mixtures of experts are left out, since their names do not say what they count.

    ## References
    - https://spdx.org/licenses/
    - https://huggingface.co/docs/hub/repositories-licenses
    """
    yield from _licence(audit)
    yield from _size(audit)
    yield from _precision(audit)


def _licence(audit: Audit) -> Iterator[Finding]:
    cards = [f for f in audit.facts if isinstance(f, Card) and not f.at.inside]
    tags = [c.header.get("license") for c in cards]
    if not tags or not isinstance(tags[0], str):
        return
    for path, blob in audit.blobs.items():
        if not LICENCE_FILE.fullmatch(path):
            continue
        found = licence_of(blob.read(0, min(blob.size, LICENCE_BYTES)).decode("utf-8", "replace"))
        if found is not None and contradict(tags[0], found):
            yield Finding(
                message=f"the card's licence is {tags[0]}, the text in {path} is {found}",
                at=Location(path),
                action=Action.REVIEW,
                symbol="licence",
                evidence=(Comparison("The licence", "the card", tags[0], path, found),),
            )


def _size(audit: Audit) -> Iterator[Finding]:
    if any(isinstance(f, Settings) and f.kind == "adapter" for f in audit.facts):
        return
    quantised = any(isinstance(f, Settings) and "quantization_config" in f.values
                    for f in audit.facts)  # fmt: skip
    for claimed, said_by, where in _claims(audit):
        counted = _counted(audit, where)
        if counted is None or quantised:
            continue
        ratio = max(counted / claimed, claimed / counted)
        if ratio > TOLERANCE:
            yield Finding(
                message=f"{said_by} says {_count(claimed)} parameters, its tensors have "
                f"{_count(counted)}",
                at=Location(where or "."),
                action=Action.REVIEW,
                symbol="size",
                evidence=(
                    Comparison("Parameters", said_by, _count(claimed), "the tensors",
                               _count(counted)),
                ),
            )  # fmt: skip


def _claims(audit: Audit) -> Iterator[tuple[float, str, str]]:
    """How many parameters are claimed, by what, and for which file (empty: for all)."""
    for fact in audit.facts:
        label = fact.values.get("general.size_label") if isinstance(fact, Settings) else None
        if isinstance(label, str) and (found := _SIZE.fullmatch(label)):
            yield _number(found), "the GGUF's size label", fact.at.path
    if audit.origin is not None:
        name = audit.origin.id.rpartition("/")[2]
        found_all = list(_SIZE.finditer(name))
        if len(found_all) == 1 and not re.search(r"\dx\d|[-_]A\d", name, re.IGNORECASE):
            yield _number(found_all[0]), f"the name {name}", ""


def _number(found: re.Match[str]) -> float:
    return float(found[1]) * (1e9 if found[2] in "bB" else 1e6)


def _counted(audit: Audit, path: str) -> float | None:
    """The elements of all tensors, of one file or of the safetensors at the root."""
    total = 0
    for fact in audit.facts:
        if not isinstance(fact, Weights) or fact.at.inside:
            continue
        if path:
            wanted = fact.at.path == path
        else:
            plain = "/" not in fact.at.path and not fact.at.path.startswith("consolidated")
            wanted = plain and fact.format == "safetensors"
        if not wanted:
            continue
        if fact.format == "safetensors" and PACKED & {t.dtype for t in fact.tensors}:
            return None
        for tensor in fact.tensors:
            elements = 1
            for n in tensor.shape:
                elements *= n
            total += elements
    return float(total) if total else None


def _precision(audit: Audit) -> Iterator[Finding]:
    declared = [
        (f.at, f.values.get("torch_dtype") or f.values.get("dtype"))
        for f in audit.facts
        if isinstance(f, Settings) and f.kind == "config" and f.at.path == "config.json"
    ]
    bytes_of: Counter[str] = Counter()
    for fact in audit.facts:
        if isinstance(fact, Weights) and fact.format == "safetensors":
            for tensor in fact.tensors:
                bytes_of[tensor.dtype] += tensor.size
    if not declared or not bytes_of:
        return
    at, said = declared[0]
    most = max(sorted(bytes_of), key=lambda dtype: bytes_of[dtype])
    expected = _PLAIN.get(said) if isinstance(said, str) else None
    if expected is not None and most in _PLAIN.values() and most != expected:
        yield Finding(
            message=f"the configuration says {said}, most of the tensors are {most}",
            at=at,
            action=Action.NOTE,
            symbol="precision",
        )


def _count(number: float) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"
