"""Check `conversion-equivalence`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from weighbridge.analysis.conversion import Conversion, Outcome, convert
from weighbridge.analysis.counterparts import Pairing, pair
from weighbridge.analysis.element_types import EXTRA, available
from weighbridge.analysis.lineage import base_name, relation
from weighbridge.analysis.stored_tensors import Model, models, shown
from weighbridge.core.check import Audit, Need, check
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Settings
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.location import Location
from weighbridge.core.regex import regex

SHOWN: Final = 50
_TWINS: Final = {"pytorch_model": "model"}
"""Names under which different formats hold the same model."""
_VARIANT: Final = regex(r"\.(?:fp16|fp32|bf16)$")


@check(
    "conversion-equivalence",
    control="lineage",
    reads=Audit,
    needs=frozenset({Need.TENSOR_BYTES}),
)
def conversion_equivalence(audit: Audit) -> Iterator[Finding | Gap]:
    """A converted or quantised file does not hold the values of what it was made from.

    ## Why it matters
    A repository that offers a model as `.bin`, as safetensors and as GGUF offers three models, and
    only one of them is ever evaluated. Conversion services and quantisers are a place where one
    tensor can be exchanged without a trace: the file is called the same, and answers nearly the
    same.

    ## What to do
    Convert the original yourself, or take a file that is within the rounding of its format. Ask the
    publisher how it was made: tuned rounding and quantising what was quantised before go beyond it,
    too.

    ## Limits
    What is tested: safetensors, torch archives and npz of one folder against each other, and GGUF
    against them, against an unquantised GGUF beside it or, where the model is declared to be a
    quantisation, against its base. Legacy torch files, TensorFlow, Flax and ONNX weights are not
    compared; nor are I-quants other than IQ4, ternary and MXFP types and tensors with no known
    counterpart: those are counted. At most 4 GiB are read, the same part of every tensor;
    of files on a server samples only. The message says how much. In Q4_1 and Q5_1 only the order
    of values within a block is tight; in these, Q4_0 and Q5_0 a row that was made up to a fifth
    larger or smaller as a whole is not seen.

    ## References
    - https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    - https://genai.owasp.org/llmrisk/llm032025-supply-chain/
    """
    ours = models(audit)
    pairs = list(_pairs(audit, ours))
    if pairs and not available():
        yield Gap(
            kind=GapKind.UNSUPPORTED,
            message=f"{len(pairs):,} conversions were not compared with what they were made from: "
            f"that needs the extra {EXTRA!r} (pip install 'weighbridge[{EXTRA}]')",
            at=Location(pairs[0][0].path),
        )
        return
    sure = relation(audit) == "quantized"
    for made, origin, of, config in pairs:
        far = _far(audit) or (of != "" and _far(audit.parts["base"]))
        pairing = pair(made, origin, config)
        result = convert(pairing, share=len(pairs), far=far)
        if of and not sure and 2 * len(result.bad) > len(result.outcomes):
            yield Finding(
                message=f"it is no plain quantisation of {of}: {len(result.bad):,} of "
                f"{len(result.outcomes):,} tensors are not its rounding, and no card says that "
                "they are",
                at=Location(made.path),
                action=Action.NOTE,
                symbol=made.path,
            )
            continue
        yield from _told(made, origin, of, pairing, result)


def _far(audit: Audit) -> bool:
    return audit.origin is not None and audit.origin.kind == "hub"


def _pairs(audit: Audit, ours: list[Model]) -> Iterator[tuple[Model, Model, str, dict[str, Any]]]:
    """What was made, what from, whose that is where it is not the target's, its configuration."""
    checkpoints = [m for m in ours if m.format != "gguf"]
    for made in checkpoints:
        origin = _twin(made, checkpoints)
        if origin is not None:
            yield made, origin, "", {}
    base = audit.parts.get("base")
    theirs = models(base) if base is not None and _is_quantisation(audit, checkpoints) else []
    for made in ours:
        if made.format != "gguf" or not _is_model(made):
            continue
        found = _origin(made, checkpoints, ours)
        if found is not None:
            yield made, found, "", _config(audit)
        elif base is not None and (found := _origin(made, theirs, theirs)) is not None:
            name = base_name(base)
            yield made, found, name, _config(base)


def _twin(made: Model, checkpoints: Sequence[Model]) -> Model | None:
    """The model that this one is a copy of by its name: the safetensors beside it, or those without
    the variant that its own name carries."""
    stem = _TWINS.get(_VARIANT.sub("", made.stem), _VARIANT.sub("", made.stem))
    for other in checkpoints:
        same = other.folder == made.folder and other.stem == stem and other is not made
        if same and other.format == "safetensors" and other.stem != made.stem:
            return other
        if same and other.format == "safetensors" and made.format != "safetensors":
            return other
    return None


def _is_model(made: Model) -> bool:
    return made.keys is None or made.keys.values.get("general.type", "model") == "model"


def _origin(made: Model, checkpoints: Sequence[Model], beside: Sequence[Model]) -> Model | None:
    """What a GGUF was made from: the checkpoint of which most of it is paired by name, nearest by
    folder, or an unquantised GGUF of the same architecture."""
    near = [m for m in checkpoints if made.folder == m.folder or not m.folder]
    near += [m for m in checkpoints if m not in near]
    for origin in near:
        if 2 * len(pair(made, origin).pairs) > len(made.tensors):
            return origin
    for origin in beside:
        if origin.format != "gguf" or not origin.plain or origin is made or made.plain:
            continue
        if 2 * len(pair(made, origin).pairs) > len(made.tensors):
            return origin
    return None


def _is_quantisation(audit: Audit, checkpoints: list[Model]) -> bool:
    """Whether the model is a quantisation of its base by its own word, or has nothing but GGUF."""
    said = relation(audit)
    return said == "quantized" or not (said or checkpoints)


def _config(audit: Audit) -> dict[str, Any]:
    found = [f for f in audit.facts if isinstance(f, Settings) and f.kind == "config"]
    top = min(found, key=lambda f: f.at.path.count("/"), default=None)
    if top is None:
        return {}
    inner = top.values.get("text_config")
    return top.values | inner if isinstance(inner, dict) else top.values


def _told(
    made: Model, origin: Model, of: str, pairing: Pairing, result: Conversion
) -> Iterator[Finding | Gap]:
    source = f"{of}'s {origin.path}" if of else origin.path
    at = Location(made.path)
    cut = {n: s for n, s in pairing.shapes.items() if n not in pairing.pairs}
    if not result.outcomes and not cut:
        reasons = sorted({*pairing.untestable.values()})
        why = f": {reasons[0]}" if reasons else ""
        yield Gap(
            kind=GapKind.UNSUPPORTED,
            message=f"not testable whether it holds the values of {source}{why}",
            at=at,
        )
        return
    share = result.read / max(1, result.size)
    coverage = "all of it was read" if share > 0.999 else f"{share:.1%} of it was read"
    coverage += _left_out(pairing, result)
    differing, coarse = result.bad, result.coarse
    by_importance = made.keys is not None and any(
        k.startswith("quantize.imatrix") for k in made.keys.values
    )
    if coarse and not by_importance:
        differing, coarse = differing + coarse, []
    if differing or cut:
        names = [o.name for o in differing] + list(cut)
        within = "the rounding of" if any(o.kind[0] == "Q" for o in differing) else "the values of"
        yield Finding(
            message=f"contradicted: {len(names):,} of "
            f"{len(result.outcomes) + len(cut):,} tensors are not {within} {source}: "
            f"{shown(names)} ({coverage})",
            at=at,
            action=Action.REVIEW,
            symbol=names[0][:200] if len(names) == 1 else made.path,
            evidence=tuple(_tables(differing, cut)),
        )
    else:
        worst = max(result.outcomes, key=lambda o: o.relative)
        yield Finding(
            message=f"consistent: the {len(result.outcomes):,} tensors compared are those of "
            f"{source} within the rounding of their types; the largest error is "
            f"{worst.relative:.2%} of a tensor ({coverage})",
            at=at,
            action=Action.NOTE,
            symbol=made.path,
        )
    if coarse:
        yield Finding(
            message=f"rows of {shown(o.name for o in coarse)} lose much of the original to their "
            "scales, as weights of importance can make them",
            at=at,
            action=Action.NOTE,
            confidence=Confidence.LIKELY,
            symbol=f"coarse {made.path}",
            evidence=tuple(_tables(coarse, {})),
        )


def _left_out(pairing: Pairing, result: Conversion) -> str:
    parts = []
    unread = len(pairing.pairs) - len(result.outcomes)
    if unread:
        parts.append(f"{unread:,} tensors were not sampled")
    if pairing.untestable:
        parts.append(f"{len(pairing.untestable):,} are not testable")
    only = len(pairing.added) + len(pairing.absent)
    if only:
        listed = shown([*pairing.added, *pairing.absent])
        parts.append(f"{only:,} are in one of them only: {listed}")
    rows = [n for n in pairing.shapes if n in pairing.pairs]
    if rows:
        parts.append(f"{shown(rows)} has other rows")
    return "".join(f"; {part}" for part in parts)


def _tables(outcomes: list[Outcome], cut: dict[str, str]) -> Iterator[Table]:
    if outcomes:
        yield Table(
            "Tensors that differ",
            (
                "tensor",
                "stored as",
                "blocks that differ",
                "rows",
                "largest error",
                "relative error",
            ),
            tuple(_row(o) for o in outcomes[:SHOWN]),
        )
    if cut:
        rows = tuple((n[:120], s) for n, s in list(cut.items())[:SHOWN])
        yield Table("Tensors of another shape", ("tensor", "shape"), rows)


def _row(outcome: Outcome) -> tuple[str, ...]:
    first = ", ".join(f"{r:,}" for r in outcome.first)
    more = " …" if outcome.differing > len(outcome.first) else ""
    unsuited = f", scales of {outcome.unsuited:,} rows" if outcome.unsuited else ""
    plain = outcome.kind[0] not in "QI" or outcome.kind in ("I8", "I16", "I32", "I64")
    unit = "× its rounding" if plain else "steps"
    return (
        outcome.name[:120],
        outcome.kind,
        f"{outcome.beyond:,} of {outcome.blocks:,}{unsuited}",
        f"{outcome.differing:,} of {outcome.rows:,} (first: {first}{more})",
        f"{outcome.worst:,.3g} {unit}",
        f"{outcome.relative:.3%}",
    )
