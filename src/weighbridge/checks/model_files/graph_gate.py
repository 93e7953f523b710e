"""Check `graph-gate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from weighbridge.analysis.computation_graph import ABSENT, INLINED, NOT_HERE, ComputationGraph
from weighbridge.analysis.graph_fronts import graph_of
from weighbridge.core.check import check
from weighbridge.core.document import GraphDocument
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Action, Confidence, Finding, Gap, GapKind
from weighbridge.core.later import Later
from weighbridge.intel import onnx_operators

if TYPE_CHECKING:
    from weighbridge.analysis import graph_alignment, graph_blocks, graph_flow, graph_picture
    from weighbridge.analysis.graph_blocks import Odd
    from weighbridge.analysis.graph_flow import Flow, Meeting
else:
    graph_alignment = Later("weighbridge.analysis.graph_alignment")
    graph_blocks = Later("weighbridge.analysis.graph_blocks")
    graph_flow = Later("weighbridge.analysis.graph_flow")
    graph_picture = Later("weighbridge.analysis.graph_picture")

SHOWN: Final = 10


@check("graph-gate", control="backdoor", reads=GraphDocument)
def graph_gate(model: GraphDocument) -> Iterator[Finding | Gap]:
    """What in the graph goes around what the model has learned, and acts as a switch.

    ## Why it matters
    A few operators are enough to look for a trigger in the input and to replace the answer, steer
    the network or change what it is given (ShadowLogic). The weights are untouched, no code is in
    the file, every test without the trigger passes, and the implant survives fine-tuning,
    quantisation and conversion.

    ## What to do
    Look at the drawing: what is compared with what, and what happens then? Export the graph again
    from the code of the architecture and the weights, and use that one if the switch is not in it.

    ## Limits
    Found are switches that are computed from the input without passing what is learned and pass a
    narrow place, and hard comparisons of a few of the trunk's numbers; and, in a graph that repeats
    a block four times or more, one block that compares or chooses where no other does. A switch
    that is trained into the weights, or hidden in a layer of many outputs whose weights look
    trained, is not: see `unexamined-model`. Bodies of loops are followed four times at most. It
    asks for a person and never blocks: whether a switch overrides the model is tried by
    `graph-override`.
    The method, what it misses and how it was measured: `docs/graph-backdoors.md`.

    ## References
    - https://hiddenlayer.com/innovation-hub/shadowlogic/
    - https://atlas.mitre.org/techniques/AML.T0018.001
    - https://genai.owasp.org/llmrisk/llm042025-data-and-model-poisoning/
    """
    graph = graph_of(model)
    flow = graph_flow.analyse(graph)
    yield from _unseen(model, graph)
    for meeting in islice(flow.meetings, SHOWN):
        yield _finding(model, graph, flow, meeting)
    if len(flow.meetings) > SHOWN:
        more = flow.meetings[SHOWN]
        yield Finding(
            message=f"{len(flow.meetings) - SHOWN:,} more places where a switch acts",
            at=model.where,
            action=Action.REVIEW,
            confidence=Confidence.LIKELY,
            symbol="more",
            evidence=(graph_picture.picture(graph, flow, more),),
        )
    odd = graph_blocks.odd_block(graph, flow.shapes)
    if odd is not None:
        yield _unlike(model, graph, odd)
    if not flow.meetings and flow.learned and not graph.left_out:
        rows = tuple((what, f"{count:,}") for what, count in sorted(flow.explained.items()))
        yield Finding(
            message=f"no switch goes around what is learned: {len(graph.operations):,} operations "
            f"were followed, {flow.learned:,} of them learned",
            at=model.where,
            action=Action.NOTE,
            symbol="analysed",
            evidence=(Table("What meets the trunk from the input", ("what", "places"), rows),),
        )


def _finding(
    model: GraphDocument, graph: ComputationGraph, flow: Flow, meeting: Meeting
) -> Finding:
    operation = graph.operations[meeting.operation]
    gate = graph.operations[meeting.gate] if meeting.gate != ABSENT else operation
    where = " → ".join((*operation.origin, operation.name))
    return Finding(
        message=f"{meeting.kind}, at {operation.op} {where[-80:]}; what decides comes from "
        f"{gate.op} {gate.name[-60:]}",
        at=model.where,
        action=Action.REVIEW,
        confidence=Confidence.LIKELY,
        symbol=f"{operation.op} {where}"[:200],
        evidence=(
            graph_picture.picture(graph, flow, meeting),
            graph_picture.constants(graph, flow, meeting),
        ),
    )


def _unlike(model: GraphDocument, graph: ComputationGraph, odd: Odd) -> Finding:
    counts = Counter(graph.operations[n].op for n in odd.extra)
    names = ", ".join(f"{count:,} {op}" for op, count in counts.most_common(4))
    more = f" and {len(counts) - 4:,} other kinds" if len(counts) > 4 else ""
    return Finding(
        message=f"block {odd.number:,} of the {odd.blocks:,} that this graph repeats has operators "
        f"that no other of them has: {names}{more}",
        at=model.where,
        action=Action.REVIEW if odd.switches else Action.NOTE,
        confidence=Confidence.LIKELY,
        symbol="block",
        evidence=(
            graph_alignment.drawn(graph, odd.aligned(), "What no other block has (accused)"),
        ),
    )


def _unseen(model: GraphDocument, graph: ComputationGraph) -> Iterator[Gap]:
    """What of the graph was not followed, and what could be there."""
    for what in graph.left_out:
        yield Gap(
            kind=_kind(what),
            message=f"the graph was not followed whole ({what}): a switch could be in the rest",
            at=model.where,
        )
    foreign: set[str] = set()
    for operation in graph.operations:
        domain, _, name = operation.op.rpartition("::")
        if operation.op in INLINED:
            continue
        if not onnx_operators.known(domain, name) or onnx_operators.compiled(domain, name):
            foreign.add(operation.op[:80])
    if foreign:
        names = sorted(foreign)
        more = f" and {len(names) - 4:,} more" if len(names) > 4 else ""
        yield Gap(
            kind=GapKind.UNSUPPORTED,
            message=f"what {', '.join(names[:4])}{more} computes is not in the file: a switch "
            "could be hidden in it",
            at=model.where,
        )


def _kind(left_out: str) -> GapKind:
    """Why a part is missing: it was not handed over, is too much, or no front reads it."""
    if left_out == NOT_HERE:
        return GapKind.NOT_GIVEN
    too_much = left_out.startswith("more than") or "too large" in left_out
    return GapKind.TOO_LARGE if too_much else GapKind.UNSUPPORTED
