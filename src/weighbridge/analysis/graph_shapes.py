"""Shapes and small known numbers of a computation graph, worked out from its operators.

What a file declares of the values in between is only believed where this knows nothing better.
Dimensions that are not known get names of their own, so that equal names mean equal sizes.
"""

from __future__ import annotations

from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Operation, Shape
from weighbridge.analysis.graph_dimensions import LARGEST, RANKS, Shapes, elements
from weighbridge.analysis.graph_folding import FOLDED, fold
from weighbridge.analysis.graph_shape_rules import later, shape_of

__all__ = ["Shapes", "elements", "infer"]


def infer(graph: ComputationGraph) -> Shapes:
    """Work them out, in the order of the operations."""
    made = Shapes([])
    begin(made, graph)
    for operation in graph.operations:
        follow(made, graph, operation)
    return made


def begin(made: Shapes, graph: ComputationGraph) -> None:
    """Take in the values that the graph has got since: what is known before anything is run."""
    for number in range(len(made.shapes), len(graph.values)):
        value = graph.values[number]
        known = value.constant is not None or value.producer == ABSENT
        made.shapes.append(value.shape if known else None)
        if value.constant is not None and value.constant.elements <= FOLDED:
            numbers = value.constant.numbers(FOLDED)
            if numbers is not None:
                made.known[number] = numbers


def follow(made: Shapes, graph: ComputationGraph, operation: Operation) -> None:
    """Work out what one operation gives, after those before it."""
    try:
        shape = _sound(shape_of(made, operation), made)
    except _WRONG:  # attributes of a wrong kind, sizes beyond all bounds
        shape = None
    for place, output in enumerate(operation.outputs):
        if output == ABSENT:
            continue
        found = shape if place == 0 else later(operation, place, shape)
        declared = graph.values[output].shape
        if found is None or len(found) > RANKS:
            found = declared
        elif declared is not None and len(declared) == len(found):
            found = tuple(
                d if isinstance(f, str) and f.startswith("?") else f
                for f, d in zip(found, declared, strict=True)
            )
        made.shapes[output] = found
    if operation.outputs and operation.outputs[0] != ABSENT:
        try:
            numbers = fold(made, operation)
        except _WRONG:
            numbers = None
        if (
            numbers is not None
            and len(numbers) <= FOLDED
            and all(isinstance(v, str) or -LARGEST <= v <= LARGEST for v in numbers)
        ):
            made.known[operation.outputs[0]] = numbers
            if made.shapes[operation.outputs[0]] is None:
                made.shapes[operation.outputs[0]] = (len(numbers),)


_WRONG: Final = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


def _sound(shape: Shape | None, made: Shapes) -> Shape | None:
    """A shape with names for sizes that cannot be."""
    if shape is None:
        return None
    return tuple(
        d if isinstance(d, str) or (isinstance(d, int) and 0 <= d <= LARGEST) else made.name()
        for d in shape
    )
