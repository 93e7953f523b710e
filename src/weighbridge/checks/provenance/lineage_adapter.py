"""Check `lineage-adapter`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weighbridge.analysis.lineage import base_name
from weighbridge.analysis.stored_tensors import shown
from weighbridge.core.check import Audit, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import TensorEntry, Weights
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

SHOWN: Final = 50
_PART: Final = regex(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.[\w-]+)?\.weight")


@check("lineage-adapter", control="lineage", reads=Audit)
def lineage_adapter(audit: Audit) -> Iterator[Finding | Gap]:
    """An adapter does not fit the base that it is declared for.

    ## Why it matters
    An adapter is a change to the weights of one model. On another one it does something that
    nobody has trained or evaluated, or it was never made for what its card says.

    ## What to do
    Ask for which model the adapter was trained, and load it on that one only.

    ## Limits
    The shapes of LoRA matrices are held against those of the base's modules. Models of the same
    family and size have the same shapes, and their adapters fit each other; the values of an
    adapter say nothing of its base. Of quantised bases no shapes are known.

    ## References
    - https://huggingface.co/docs/peft/developer_guides/checkpoint
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    """
    base = audit.parts.get("base")
    if base is None:
        return
    modules: dict[str, tuple[int, ...]] = {
        t.name.removesuffix(".weight"): t.shape
        for fact in base.facts
        if isinstance(fact, Weights) and fact.format != "gguf"
        for t in fact.tensors
        if len(t.shape) == 2
    }
    for fact in audit.facts:
        parts = _parts(fact.tensors) if isinstance(fact, Weights) else []
        if not parts or fact.at.inside:
            continue
        known = [(t, letter, modules[m]) for m, letter, t in parts if m in modules]
        name = base_name(base)
        wrong = [(t, shape) for t, letter, shape in known if not _fits(t, letter, shape)]
        strange = [t.name for m, _, t in parts if m not in modules]
        if wrong or (modules and not known):
            names = [t.name for t, _ in wrong] or strange
            yield Finding(
                message=f"contradicted: {len(names):,} of {len(parts):,} matrices of the adapter "
                f"do not fit {name}: {shown(names)}",
                at=Location(fact.at.path),
                action=Action.REVIEW,
                symbol=fact.at.path,
                evidence=(_table(wrong),) if wrong else (),
            )
        elif not known:
            message = f"not testable: no shapes of the modules of {name} are known"
            yield Gap(kind=GapKind.UNSUPPORTED, message=message, at=Location(fact.at.path))
        else:
            more = f"; {len(strange):,} are of modules that it does not have" if strange else ""
            yield Finding(
                message=f"consistent: {len(known):,} matrices of the adapter fit the modules of "
                f"{name}{more}",
                at=Location(fact.at.path),
                action=Action.NOTE,
                symbol=fact.at.path,
            )


def _parts(tensors: tuple[TensorEntry, ...]) -> list[tuple[str, str, TensorEntry]]:
    """Module, letter and entry of each matrix of an adapter."""
    found = ((_PART.fullmatch(t.name), t) for t in tensors if len(t.shape) == 2)
    return [(match[1], match[2], t) for match, t in found if match]


def _fits(part: TensorEntry, letter: str, module: tuple[int, ...]) -> bool:
    """A takes what the module takes, B gives what it gives; embeddings are stored turned over."""
    if letter == "A":
        return part.shape[1] in module
    return part.shape[0] in module


def _table(wrong: list[tuple[TensorEntry, tuple[int, ...]]]) -> Table:
    rows = tuple(
        (t.name[:120], " × ".join(map(str, t.shape)), " × ".join(map(str, shape)))
        for t, shape in wrong[:SHOWN]
    )
    return Table("Matrices that do not fit", ("matrix", "shape", "the module's"), rows)
