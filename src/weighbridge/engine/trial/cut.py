"""The way from the inputs of a model to one of its values, cut out to be run by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from weighbridge.engine.trial.natural import Port
from weighbridge.engine.trial.opened import Node, Opened, port
from weighbridge.engine.trial.rules_of_layers import moved_inputs
from weighbridge.engine.trial.running import (
    NUMBERS,
    Array,
    Budget,
    Feeds,
    OutOfTime,
    Session,
)
from weighbridge.formats.protobuf_written import wrapped

_BLIND: Final = frozenset({"Shape", "Size"})


class Cut(Struct):
    """The way from the inputs to one value, as a model by itself that shows all its values."""

    model: Opened
    target: str
    ports: list[Port]
    folder: Path
    budget: Budget
    states: bool = False
    nodes: list[Node] = field(default_factory=list)
    moving: frozenset[str] = frozenset()
    _alone: Session | None = None
    _shown: Session | None = None
    _held: dict[str, Array] = field(default_factory=dict)
    _places: dict[tuple[int, str], Array | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = self.model.ancestors([self.target])
        names = {p.name for p in self.ports}
        for node in self.nodes:
            if node.op not in _BLIND and names & set(node.reads):
                names.update(n for n in node.outputs if n)
        self.moving = frozenset(names)
        self._alone = self._session(self.nodes, [self.target])
        seen = [n for node in self.nodes for n in node.outputs if n]
        tensors = {n for node in self.nodes for n in node.reads if n in self.model.tensors}
        held = [Node("Identity", "", "", (t,), (f"{t}//seen",), {}) for t in sorted(tensors)]
        try:
            shown = [*seen, *(node.outputs[0] for node in held)]
            self._shown = self._session([*self.nodes, *held], shown)
        except Exception:  # a value that cannot be an output: only the last one is looked at
            self._shown = None

    def _session(self, nodes: list[Node], names: list[str]) -> Session:
        data = self.model.written(nodes, names, declared=False)
        return Session(data, self.folder, self.budget)

    @property
    def reached(self) -> list[Port]:
        """The inputs that the value depends on and that a trigger may be put into: those that have
        content, with what is handed on from call to call where `states` may be changed too. Masks,
        places and states alone where there are no others."""
        needed = {name for node in self.nodes for name in node.reads}
        there = [p for p in self.ports if p.name in needed]
        free = [p for p in there if p.free or (self.states and p.kind == "state")]
        return free or [p for p in there if p.low < p.high]

    def state(self, feeds: Feeds) -> Array | None:
        """The value, for an input; None where the input cannot be run. Nothing else is shown, so
        that what the runtime joins in the whole model is joined here too: in half precision that
        makes a difference."""
        assert self._alone is not None
        try:
            return self._alone.run(feeds, [self.target]).get(self.target)
        except OutOfTime:
            raise
        except Exception:
            return None

    def values(self, feeds: Feeds) -> dict[str, Array] | None:
        """All values on the way; None where they cannot be shown."""
        if self._shown is None:
            return None
        names = self._shown.outputs
        if self._held:
            names = [n for n in names if not n.endswith("//seen")]
        try:
            found = self._shown.run(feeds, names)
        except OutOfTime:
            raise
        except Exception:
            return None
        if not self._held:
            self._held = {n.removesuffix("//seen"): v for n, v in found.items()
                          if n.endswith("//seen")}  # fmt: skip
        return {**self._held, **found, **feeds}

    def places(self, node: Node, values: dict[str, Array]) -> Array | None:
        """Where each number of a moving node's output is from: 1 for the first number of its first
        moved input, and so on; 0 for none."""
        shapes = " ".join(str(values[n].shape) for n in node.inputs if n in values)
        key = (id(node), shapes)
        if key not in self._places:
            found = self._placed(node, values, np.int64)
            if found is None:  # not every operator takes every type
                found = self._placed(node, values, np.float32)
            if found is not None and np.any(found != np.round(found)):
                found = None
            self._places[key] = None if found is None else found.astype(np.int64)
        return self._places[key]

    def _placed(self, node: Node, values: dict[str, Array], type: Any) -> Array | None:
        moved, base = moved_inputs(node), 1
        feeds: Feeds = {}
        names: list[str] = []
        for number, name in enumerate(node.inputs):
            inner = f"in{number}" if name else ""
            names.append(inner)
            if not name:
                continue
            value = values.get(name)
            if value is None:
                return None
            if number in moved:
                count = np.arange(base, base + value.size, dtype=type).reshape(value.shape)
                base += value.size
                feeds[inner] = count
            elif node.op == "Pad" and number == 2:
                feeds[inner] = np.zeros((), type)
            else:
                feeds[inner] = value
        out = tuple(f"out{i}" if n else "" for i, n in enumerate(node.outputs))
        made = replace(node, inputs=tuple(names), outputs=out)
        alone = Opened(rest=self.model.rest)
        alone.nodes = [made]
        alone.ports = {n: port(n, NUMBERS[v.dtype]) for n, v in feeds.items()}
        alone.results = {n: wrapped(1, n.encode()) for n in out if n}
        try:
            session = Session(alone.written(), self.folder, self.budget)
            found = session.run(feeds)
        except OutOfTime:
            raise
        except Exception:
            return None
        return found.get("out0")

    def constants(self) -> list[float]:
        """Numbers that stand in the way and are not too many, in their order."""
        found: list[float] = []
        for name, value in self._held.items():
            if value.size <= 64 and name not in self.moving:
                found += [float(n) for n in value.ravel()]
        return found
