"""The blocks that an architecture repeats, and one that has what none of its siblings has.

Blocks are found by an operation, described with what is around it, that comes back again and again
along the graph: what lies between two of its places is a block. Blocks of one kind have the same
operators whatever their weights; kinds that take turns are each a kind. The pieces before the first
and after the last place are no blocks: there a network begins and ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from itertools import pairwise
from typing import Final

from msgspec import Struct

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph
from weighbridge.analysis.graph_alignment import Aligned, Outline
from weighbridge.analysis.graph_kinds import COMPARING
from weighbridge.analysis.graph_shapes import Shapes

SIBLINGS: Final = 4
"""How many places there have to be."""
KIND: Final = 3
"""How many blocks of every other kind there have to be for one of its own to be odd."""
_SWITCHING: Final = COMPARING | {"Where", "If", "Clip", "Min", "Max", "Sign", "Mod", "And", "Or"}


class Odd(Struct, frozen=True):
    """A block, counted from 1 among `blocks`, with operations (`extra`) that no sibling has;
    `switches`: they compare or choose, and no other block has an operator of that name."""

    number: int
    blocks: int
    extra: tuple[int, ...]
    switches: bool

    def aligned(self) -> Aligned:
        """As a difference to the siblings."""
        return Aligned(self.extra, (), Counter(), len(self.extra), len(self.extra))


def odd_block(graph: ComputationGraph, made: Shapes) -> Odd | None:
    """The one block that has more than all others, if there is exactly one such."""
    labels = Outline(graph, made).described()
    places: dict[Hashable, list[int]] = defaultdict(list)
    for number, found in labels.items():
        places[found[1]].append(number)
    counts = Counter(len(p) for p in places.values() if len(p) >= SIBLINGS)
    if not counts:
        return None
    often = max(counts, key=lambda c: (counts[c] * c, c))
    anchor = min((p for p in places.values() if len(p) == often), key=_unevenness)
    if not all(_leads(graph, first, last) for first, last in pairwise(anchor)):
        return None
    blocks: list[list[int]] = [[] for _ in range(len(anchor) - 1)]
    at = -1
    ends = iter([*anchor, None])
    following = next(ends)
    for number in labels:
        if number == following:
            at, following = at + 1, next(ends)
        if 0 <= at < len(blocks):
            blocks[at].append(number)
    return _odd(graph, labels, blocks)


def _leads(graph: ComputationGraph, first: int, last: int) -> bool:
    """Whether what one operation gives is among what a later one is made from; the parts of a
    model that are called apart from each other are no siblings."""
    waiting, seen = [last], {last}
    while waiting:
        operation = graph.operations[waiting.pop()]
        for value in operation.inputs:
            producer = graph.values[value].producer if value != ABSENT else ABSENT
            if producer == first:
                return True
            if producer > first and producer not in seen:
                seen.add(producer)
                waiting.append(producer)
    return False


def _unevenness(places: list[int]) -> int:
    gaps = [b - a for a, b in pairwise(places)]
    return max(gaps) - min(gaps)


def _odd(
    graph: ComputationGraph, labels: dict[int, tuple[Hashable, ...]], blocks: list[list[int]]
) -> Odd | None:
    if len(blocks) < SIBLINGS - 1:
        return None
    whole = [Counter(labels[n][0] for n in block) for block in blocks]
    kinds = Counter(frozenset(count.items()) for count in whole)
    alone = [n for n, count in enumerate(whole) if kinds[frozenset(count.items())] == 1]
    if len(alone) != 1 or any(1 < count < KIND for count in kinds.values()):
        return None
    number = alone[0]
    most: Counter[Hashable] = Counter()
    for other, count in enumerate(whole):
        if other != number:
            most |= count
    left = whole[number] - most
    if not left or 2 * left.total() > whole[number].total():  # else it is no sibling at all
        return None
    extra = []
    for operation in reversed(blocks[number]):
        label = labels[operation][0]
        if left[label] > 0:
            left[label] -= 1
            extra.append(operation)
    elsewhere = {
        graph.operations[n].op for i, block in enumerate(blocks) if i != number for n in block
    }
    new = {graph.operations[n].op for n in extra} - elsewhere
    return Odd(number + 1, len(blocks), tuple(sorted(extra)), bool(new & _SWITCHING))
