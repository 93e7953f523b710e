"""Check `lineage-weights`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from weighbridge.analysis.counterparts import Pairing, pair
from weighbridge.analysis.element_types import EXTRA, available
from weighbridge.analysis.lineage import base_name
from weighbridge.analysis.lineage_weights import Likeness, Said, likeness
from weighbridge.analysis.stored_tensors import Model, models, shown
from weighbridge.core.check import Audit, Need, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Settings
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.location import Location

SAMPLED: Final = 12
SAMPLED_HERE: Final = 64
"""How many tensors of a model are sampled, on a server and in local files."""
FAR: Final = 48
"""How many are on a server in all, where several files are offered; of each at least four."""
SHOWN: Final = 64


@check(
    "lineage-weights",
    control="lineage",
    reads=Audit,
    needs=frozenset({Need.TENSOR_BYTES}),
)
def lineage_weights(audit: Audit) -> Iterator[Finding | Gap]:
    """The weights are not those of the declared base, or only some of them are.

    ## Why it matters
    A model is trusted for the base that it names. Whether it derives from it can be measured:
    weights that were trained on from the same start stay close to it, those of any other model have
    nothing in common with it, whatever its name, its shape and its tokenizer are.

    ## What to do
    *Contradicted*: do not lend the model the trust of that base; ask where it comes from. *Partly*:
    see which tensors are others', and whether the card says so (a merge, a new head).

    ## Limits
    64 KiB of some tensors are compared, chosen by name: that tells where a model comes from, not
    that nothing else was changed in it. Training that moves the weights by more than half of their
    size looks like another model. Norms, biases and whatever has too few elements are left out.

    ## References
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    - https://atlas.mitre.org/techniques/AML.T0010.003
    """
    ours = [m for m in models(audit) if not _is_adapter(audit, m)]
    if not ours:
        return
    base = audit.parts.get("base")
    if base is None:
        if "base" in audit.missing:
            message = f"no base to compare the weights with: {audit.missing['base']}"
            yield Gap(kind=GapKind.NOT_GIVEN, message=message[:500], at=Location("."))
        return
    theirs = models(base)
    if not theirs:
        message = "not testable: nothing was read of the base's weights"
        yield Gap(kind=GapKind.UNSUPPORTED, message=message, at=Location("."))
        return
    if not available():
        message = (
            f"the weights were not compared with the base's: that needs the extra {EXTRA!r} "
            f"(pip install 'weighbridge[{EXTRA}]')"
        )
        yield Gap(kind=GapKind.UNSUPPORTED, message=message, at=Location("."))
        return
    name = base_name(base)
    far = any(a.origin is not None and a.origin.kind == "hub" for a in (audit, base))
    asked = _one_of_each(ours)
    count = min(SAMPLED, max(4, FAR // len(asked))) if far else SAMPLED_HERE
    for made in asked:
        pairing, origin = _nearest(made, theirs)
        result = likeness(pairing, count)
        yield _told(made, origin, name, pairing, result)


def _is_adapter(audit: Audit, model: Model) -> bool:
    """Whether its tensors are changes to others: a LoRA has none of the base's."""
    folders = {
        f.at.path.rpartition("/")[0]
        for f in audit.facts
        if isinstance(f, Settings) and f.kind == "adapter"
    }
    of_type = model.keys is not None and model.keys.values.get("general.type", "model") != "model"
    return model.folder in folders or of_type


def _one_of_each(ours: Sequence[Model]) -> list[Model]:
    """What is offered in several formats of the same folder is sampled once, unless it is GGUF:
    whether they agree is another check's question."""
    kept: dict[str, Model] = {}
    for model in ours:
        key = model.path if model.format == "gguf" else model.folder
        best = kept.get(key)
        if best is None or (model.format == "safetensors" and best.format != "safetensors"):
            kept[key] = model
    return list(kept.values())


def _nearest(made: Model, theirs: Sequence[Model]) -> tuple[Pairing, Model]:
    """The base's model of which most tensors have counterparts here."""
    pairings = [(pair(made, origin), origin) for origin in theirs]
    return max(pairings, key=lambda p: (len(p[0].pairs), p[1].format == "safetensors"))


def _told(
    made: Model, origin: Model, name: str, pairing: Pairing, result: Likeness
) -> Finding | Gap:
    at = Location(made.path)
    source = f"{name}'s {origin.path}"
    tables = tuple(_tables(pairing, result))
    count = len(result.samples)
    changed = len(pairing.shapes) + len(pairing.added)
    if result.said is Said.NOT_TESTABLE:
        if changed and not pairing.pairs:
            return Finding(
                message=f"contradicted: no tensor has the name and the shape of one of {source}",
                at=at,
                action=Action.REVIEW,
                symbol=made.path,
                evidence=tables,
            )
        reasons = sorted({*pairing.untestable.values()})
        why = reasons[0] if reasons else "no tensor is large enough on both sides"
        message = f"not testable against {source}: {why}"
        return Gap(kind=GapKind.UNSUPPORTED, message=message, at=at)
    middle = sorted(s.correlation for s in result.samples)[count // 2]
    sampled = f"{count:,} of {result.candidates:,} tensors sampled, median correlation {middle:.3f}"
    others = shown(s.name for s in result.differing)
    if result.said is Said.CONSISTENT:
        but = f"; others are {others}" if result.differing else ""
        return Finding(
            message=f"consistent: the weights are those of {source} or trained on from them "
            f"({sampled}{but})",
            at=at,
            action=Action.NOTE,
            symbol=made.path,
            evidence=tables,
        )
    if result.said is Said.PARTLY:
        message = (
            f"partly: {len(result.differing):,} of {count:,} sampled tensors are not those of "
        )
        message += f"{source}: {others} ({sampled})"
    else:
        message = f"contradicted: the weights have nothing in common with {source} ({sampled})"
    return Finding(message=message, at=at, action=Action.REVIEW, symbol=made.path, evidence=tables)


def _tables(pairing: Pairing, result: Likeness) -> Iterator[Table]:
    if result.samples:
        rows = tuple(
            (s.name[:120], f"{s.correlation:.4f}", f"{s.difference:.2%}", f"{s.elements:,}")
            for s in sorted(result.samples, key=lambda s: s.correlation)[:SHOWN]
        )
        columns = ("tensor", "correlation", "difference", "elements")
        yield Table("Tensors sampled, against the base's", columns, rows)
    listed = [(n, f"shape {s}") for n, s in pairing.shapes.items()]
    listed += [(n, "not in the base") for n in pairing.added]
    listed += [(n, "only in the base") for n in pairing.absent]
    if listed:
        shown_ = tuple((n[:120], said) for n, said in listed[:SHOWN])
        yield Table("Tensors that the two do not share", ("tensor", "how"), shown_)
