"""Check `graph-reference`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from weighbridge.analysis.graph_fronts import formats_with_graph, graph_of
from weighbridge.core.check import Artifact, Audit, check
from weighbridge.core.document import GraphDocument, Malformed
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.later import Later
from weighbridge.core.location import Location
from weighbridge.formats.zip import opened

if TYPE_CHECKING:
    from weighbridge.analysis import graph_alignment
    from weighbridge.analysis.computation_graph import ComputationGraph
    from weighbridge.analysis.graph_alignment import Aligned
else:
    graph_alignment = Later("weighbridge.analysis.graph_alignment")

ALIKE: Final = 0.5
"""Below this share of operations in common, two graphs are different exports, not one changed."""
SHOWN: Final = 20


@check("graph-reference", control="backdoor", reads=Audit)
def graph_reference(audit: Audit) -> Iterator[Finding | Gap]:
    """The graph is not the one of the reference export.

    ## Why it matters
    An export of the same architecture by someone who can be trusted has the same operators in the
    same order, whatever the weights are. What is in the graph beside them was put in: nothing that
    trains, quantises or converts a model adds a comparison.

    ## What to do
    Look at the drawing of what the reference does not have. Where the difference comes from another
    exporter, version or optimisation, export the reference the same way and compare again.

    ## Limits
    Only with `--reference`. Names and weights are not compared: weights that were exchanged are the
    subject of lineage. Graphs that were exported or optimised differently have too little in common
    to be compared, which is said. Operations are described two steps around; a change that only
    moves what is there further than that within the graph is seen where it begins and ends.
    Graphs are compared with graphs of the same format, in files or in zip archives (`.pt2`); what a
    Keras configuration says is not compared.

    ## References
    - https://hiddenlayer.com/innovation-hub/shadowlogic/
    - https://atlas.mitre.org/techniques/AML.T0018.001
    """
    part, why = audit.parts.get("reference"), audit.missing.get("reference")
    if part is None and why is None:
        return
    ours = [a for a in audit.artifacts if _is_graph(a)]
    if part is None:
        for artifact in ours[:1]:
            yield _gap(artifact, GapKind.NOT_GIVEN, f"the reference cannot be had: {why}")
        return
    theirs = [a for a in part.artifacts if _is_graph(a)]
    for artifact in ours:
        other = _counterpart(artifact, ours, theirs)
        if other is None:
            yield _gap(artifact, GapKind.NOT_GIVEN, "the reference has no graph of this name")
            continue
        try:
            graph, reference = _graph(audit, artifact), _graph(part, other)
        except Malformed as error:
            yield _gap(artifact, GapKind.UNREADABLE, f"not compared with the reference: {error}")
            continue
        if graph.left_out or reference.left_out:
            why = "the graphs are too large to be compared whole"
            yield _gap(artifact, GapKind.TOO_LARGE, why)
        yield _told(artifact, other, graph, graph_alignment.align(graph, reference))


def _is_graph(artifact: Artifact) -> bool:
    return any(name in formats_with_graph() for name in artifact.formats)


def _counterpart(
    artifact: Artifact, ours: list[Artifact], theirs: list[Artifact]
) -> Artifact | None:
    """The graph of the same path, of the same name, or the only one that there is."""
    if len(ours) == len(theirs) == 1:
        return theirs[0]
    for part in ("", "name", "stem"):
        found = [t for t in theirs if _named(t.where, part) == _named(artifact.where, part)]
        if len(found) == 1:
            return found[0]
    return None


def _named(where: Location, part: str) -> tuple[str, ...]:
    steps = [PurePosixPath(step) for step in (where.path, *where.inside)]
    return tuple(str(getattr(step, part) if part else step) for step in steps)


def _graph(audit: Audit, artifact: Artifact) -> ComputationGraph:
    known = formats_with_graph()
    format = next(known[name] for name in artifact.formats if name in known)
    assert format.parse is not None
    blob = opened(audit.blobs[artifact.where.path], artifact.where)
    document = format.parse(blob, artifact.where, Limits())
    if not isinstance(document, GraphDocument):
        raise Malformed("there is no graph in it", 0)
    return graph_of(document)


def _told(
    artifact: Artifact, other: Artifact, graph: ComputationGraph, found: Aligned
) -> Finding | Gap:
    if found.alike < ALIKE:
        return _gap(
            artifact,
            GapKind.UNSUPPORTED,
            f"only {found.alike:.0%} of the operations of {other.where.path} of the reference are "
            "in it: it was exported or optimised in another way, and is not compared",
        )
    if not found.extra and not found.around and not found.lacking:
        return Finding(
            message=f"the graph is that of {other.where.path} of the reference: "
            f"{found.compared:,} operations, names and weights aside",
            at=artifact.where,
            action=Action.NOTE,
            symbol="same",
        )
    counts = Counter(graph.operations[n].op for n in found.extra)
    rows = [(op, f"{n:,}", "") for op, n in counts.most_common(SHOWN)]
    rows += [(op, "", f"{n:,}") for op, n in found.lacking.most_common(SHOWN)]
    said = (
        f"{len(found.extra):,} operations are not in" if found.extra else "the order is not that of"
    )
    less = f", {found.lacking.total():,} of it are lacking" if found.lacking else ""
    return Finding(
        message=f"{said} {other.where.path} of the reference{less}; {len(found.around):,} more "
        f"stand differently, {found.alike:.1%} of the {found.expected:,} there are the same",
        at=artifact.where,
        action=Action.REVIEW,
        confidence=Confidence.LIKELY,
        symbol="differs",
        evidence=(
            graph_alignment.drawn(graph, found),
            Table("Operators", ("operator", "only here", "only in the reference"), tuple(rows)),
        ),
    )


def _gap(artifact: Artifact, kind: GapKind, why: str) -> Gap:
    return Gap(kind=kind, message=why, at=artifact.where)
