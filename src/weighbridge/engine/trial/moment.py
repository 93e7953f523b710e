"""One run forward over the way to a switch, as the rules that lead backward see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from msgspec import Struct, field

from weighbridge.core.tree import Held
from weighbridge.engine.trial.opened import Node
from weighbridge.engine.trial.running import Array
from weighbridge.formats.protobuf import Kind, Schema, Wire, many, one

_ATTRIBUTE: Final = Schema("AttributeProto", {
    1: one("name", Kind.TEXT), 2: one("f", Kind.FLOAT), 3: one("i", Kind.INT),
    4: one("s", Kind.TEXT), 7: many("floats", Kind.FLOAT), 8: many("ints", Kind.INT),
})  # fmt: skip
Wishes = dict[int, Array]
"""By the number of the node's input."""


class Moment(Struct):
    """One run forward: the values of all names, as numbers; which of them depend on an input; how
    far a comparison is to be passed, as a share; `places` says for a node that only moves numbers
    where each number of its output comes from, `made_by` which node gives a value."""

    values: dict[str, Array]
    whole: dict[str, bool]
    moving: frozenset[str]
    margin: float
    rng: np.random.Generator
    places: Callable[[Node], Array | None]
    made_by: dict[str, Node] = field(default_factory=dict)
    settings: dict[int, tuple[Node, dict[str, Any]]] = field(default_factory=dict)

    def of(self, node: Node, key: str, default: Any = None) -> Any:
        """An attribute."""
        known = self.settings.get(id(node))
        if known is None:  # the node is kept too: its number is given away again once it is gone
            known = self.settings[id(node)] = node, _attributes(node)
        return known[1].get(key, default)

    def value(self, name: str) -> Array | None:
        """What stands there now."""
        return self.values.get(name)

    def slopes(self, name: str) -> Array | None:
        """How much each number of a value changes with what it is made of, where that is a product
        with a number that stays; None where it is anything else."""
        node, here = self.made_by.get(name), self.value(name)
        if node is None or node.op != "Mul" or here is None:
            return None
        stays = [n for n in node.inputs[:2] if not self.moves(n)]
        factor = self.value(stays[0]) if len(stays) == 1 else None
        return None if factor is None else np.broadcast_to(np.abs(factor), here.shape)

    def moves(self, name: str) -> bool:
        """Whether it depends on an input."""
        return name in self.moving


Rule = Callable[[Node, Array, Moment], Wishes]
"""What the inputs of a node would have to be for its output to be as wanted, at a moment."""


def _attributes(node: Node) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, raw in node.attributes.items():
        message = Wire(Held("", raw)).decode(_ATTRIBUTE)
        for part in ("ints", "floats", "s", "f", "i"):
            if part in message:
                made[key] = message[part]
                break
    return made


def operands(node: Node, now: Moment, wanted: Array, count: int = 2) -> list[Array] | None:
    """What stands at the first inputs, spread to the shape of the output; None where it is not all
    known."""
    found = [now.value(name) for name in node.inputs[:count]]
    if len(found) < count or any(f is None for f in found):
        return None
    try:
        return [np.broadcast_to(f, wanted.shape) for f in found if f is not None]
    except ValueError:
        return None
