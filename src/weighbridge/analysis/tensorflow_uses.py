"""The steps of a TensorFlow graph that reach beyond the computation: what each is given, and when
it is run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

from weighbridge.analysis.references import climbs
from weighbridge.analysis.tensorflow_flow import Flow, Lead, Origins, Run
from weighbridge.core.evidence import AnyEvidence, Table
from weighbridge.core.evidence import Text as Quotation
from weighbridge.core.finding import Action
from weighbridge.core.location import Location
from weighbridge.core.tree import Reference
from weighbridge.formats.tensorflow import Node, TensorFlow, Text
from weighbridge.intel.tensorflow_operators import INLINE, Effect, Reach, effect, judged

DETAILED: Final = 300
"""Of how many steps it is worked out what they are given and what runs them."""
SHOWN: Final = 50


class Use(Struct, frozen=True):
    """One such step. `scope` is the function that it stands in (empty: the graph itself), `paths`
    the constant texts that it is given for a path or an address, `content` for what it writes;
    `run` is False where nothing in the model leads to it."""

    scope: str
    node: Node
    effect: Effect
    leads: tuple[Lead, ...]
    run: bool
    paths: tuple[str, ...]
    origins: Origins
    content: tuple[str, ...]

    @property
    def outside(self) -> bool:
        """Whether a path leads out of the model's folder, or to another machine."""
        at = Location("model")
        return any(climbs(Reference(at=at, path=path)) for path in self.paths)

    @property
    def saver(self) -> bool:
        """Whether it is a step of a saver as TensorFlow writes it: run by nothing else, on files
        that the caller names."""
        runs = {lead.run for lead in self.leads}
        given = self.origins.whole and self.origins.caller and not self.outside
        return given and runs <= {Run.SAVE, Run.RESTORE}


@lru_cache(maxsize=2)
def uses(document: TensorFlow) -> tuple[Use, ...]:
    """Every such step of a document, in the order in which they stand there."""
    found: list[Use] = []
    for graph in document.graphs:
        flow = Flow(document, graph)
        for scope, nodes in graph.bodies():
            for node in nodes:
                does = _effect(document, node)
                if does is not None:
                    judge = _use if len(found) < DETAILED else _plain
                    found.append(judge(flow, scope, node, does))
    return tuple(found)


def _effect(document: TensorFlow, node: Node) -> Effect | None:
    does = effect(node.op)
    if does is not None:
        return does
    decided = judged(node.op)
    if decided is None:
        return None
    attribute, harmless, does = decided
    said = _said(document, node, attribute)
    fine = all(text in harmless or text.startswith(INLINE) for text in said)
    return None if fine else does


def _said(document: TensorFlow, node: Node, attribute: str) -> tuple[str, ...]:
    value = node.attributes.get(attribute)
    items = value if isinstance(value, tuple) else (value,)
    return tuple(document.text(item) for item in items if isinstance(item, Text))


def _plain(flow: Flow, scope: str, node: Node, does: Effect) -> Use:
    """A step of which only is said that it is there; it counts as run."""
    return Use(scope, node, does, (), True, (), Origins(whole=False), ())


def _use(flow: Flow, scope: str, node: Node, does: Effect) -> Use:
    leads = flow.leads(scope, node)
    origins = Origins()
    paths: tuple[str, ...] = ()
    if does.attribute:
        paths = _said(flow.document, node, does.attribute)
    inputs = [name for name in node.inputs if not name.startswith("^")]
    if does.input is not None and does.input < len(inputs):
        paths, origins = _given(flow, scope, inputs[does.input])
    content: tuple[str, ...] = ()
    if does.content is not None and does.content < len(inputs):
        content, _ = _given(flow, scope, inputs[does.content])
    run = bool(leads) or not flow.entered or flow.left <= 0
    return Use(scope, node, does, leads, run, paths, origins, content)


def _given(flow: Flow, scope: str, reference: str) -> tuple[tuple[str, ...], Origins]:
    """The constant texts behind an input: the one that they make together, if they do."""
    origins = flow.origins(scope, reference)
    folded = flow.text(scope, reference)
    texts = (folded,) if folded is not None else tuple(dict.fromkeys(origins.texts))
    return texts, origins


def action_of(use: Use) -> Action | None:
    """What a reader must do about a step; None where it is what honest models hold."""
    does = _full_action(use)
    return Action.REVIEW if does is Action.BLOCK and not use.run else does


def _full_action(use: Use) -> Action | None:
    reach, origins = use.effect.reach, use.origins
    constant = any(use.paths)
    ours = bool(origins.assets) and origins.whole and not constant
    if reach is Reach.PYTHON:
        return Action.BLOCK
    if reach in (Reach.SAVES, Reach.RESTORES):
        if use.saver:
            return None
        return Action.BLOCK if reach is Reach.SAVES and constant and use.outside else Action.REVIEW
    if reach is Reach.WRITES:
        if use.paths == ("",):
            return None  # a cache without a name stays in memory
        return Action.BLOCK if constant or use.node.op == "WriteFile" else Action.REVIEW
    if reach is Reach.READS:
        return None if ours else Action.BLOCK if use.outside else Action.REVIEW
    if reach is Reach.TABLE:
        return Action.REVIEW if constant or not origins.whole else None
    addressed = constant and any("." in p or ":" in p for p in use.paths)
    if reach is Reach.CONNECTS and addressed and not use.paths[0].startswith("/"):
        return Action.BLOCK
    return Action.REVIEW


def grouped(
    document: TensorFlow, *reaches: Reach
) -> Iterator[tuple[Action, str, list[Use], tuple[AnyEvidence, ...]]]:
    """Steps that do the same and ask for the same: the action, a sentence about them, themselves
    and how they are shown."""
    groups: dict[tuple[Action, str, tuple[str, ...], bool], list[Use]] = {}
    for use in uses(document):
        action = action_of(use) if use.effect.reach in reaches else None
        if action is not None:
            key = (action, use.effect.does, use.paths[:3], use.run)
            groups.setdefault(key, []).append(use)
    for (action, does, paths, run), found in groups.items():
        ops = ", ".join(sorted({use.node.op for use in found})[:6])
        given = f": {', '.join(repr(p[:120]) for p in paths)}" if any(paths) else ""
        called = "" if run else "; nothing in the model leads to it"
        more = f" ({len(found):,} times)" if len(found) > 1 else ""
        yield action, f"the graph {does} ({ops}){more}{given}{called}", found, _shown(found)


def _shown(found: list[Use]) -> tuple[AnyEvidence, ...]:
    rows = tuple(
        (
            use.node.op,
            use.node.name[:80],
            use.scope[:80] or "the graph",
            _ways(use),
            ", ".join(repr(p[:120]) for p in use.paths[:4]) or _source(use.origins),
            use.node.device[:40],
        )
        for use in found[:SHOWN]
    )
    columns = ("operator", "node", "in", "run", "is given", "device")
    quotations = tuple(
        Quotation(f"What {use.node.name[:80]} writes", text="\n".join(use.content)[:4000])
        for use in found[:5]
        if any(use.content)
    )
    return (Table("Steps", columns, rows), *quotations)


def _ways(use: Use) -> str:
    if use.leads:
        more = f" and {len(use.leads) - 3:,} more" if len(use.leads) > 3 else ""
        return "; ".join(str(lead) for lead in use.leads[:3]) + more
    return "whenever it is asked for" if use.run else "never"


def _source(origins: Origins) -> str:
    said = [f"the asset {a[:80]}" for a in origins.assets[:3]]
    said += ["what the caller gives"] if origins.caller else []
    said += ["what is computed"] if origins.computed else []
    return ", ".join(said)
