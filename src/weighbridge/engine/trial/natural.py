"""Inputs as a model is given them in use: pictures, tokens, masks, places, sound, states."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from weighbridge.engine.trial.opened import Opened, first
from weighbridge.engine.trial.running import TYPES, Array, Feeds, Session

BATCHES: Final = (1, 2)
"""How many samples an input has: one, or as many as an export may have been fixed to."""
LENGTHS: Final = (16, 7, 32, 64)
"""How long a sequence is tried to be."""
LONGEST: Final = 64
"""Up to how long one is tried to be that a switch may go by."""
SIDES: Final = (32, 64, 224, 128, 16, 28)
PICTURES: Final = ((0.0, 1.0), (-1.0, 1.0), (-2.64, 2.64), (0.0, 255.0))
"""Between what numbers a picture lies: as it is, centred, normalised, as bytes."""
STATES: Final = (-8.0, 8.0)
"""Between what numbers a state lies, where one is looked for."""
VOCABULARIES: Final = (1_000, 20)
"""How many tokens are drawn from where no table says how many there are."""
SPECIAL: Final = 3
"""How many of the first tokens have no content, in a vocabulary of more than `FEW`."""
FEW: Final = 20
LARGEST: Final = 4 << 20
"""How many numbers an input has at most."""


class Port(Struct, frozen=True):
    """An input: the kind of thing that it takes, its shape, and between what numbers it lies.
    `free`: a trigger may be put there."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: Any
    low: float
    high: float

    @property
    def free(self) -> bool:
        """Whether someone who uses the model decides about what stands there."""
        return self.kind in ("picture", "tokens", "signal", "numbers")


_PLAIN: Final = frozenset(["Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Slice", "Where",
                           "Clip", "Mod", "Flatten", "Expand", "Transpose"])  # fmt: skip


_SAME_ROWS: Final = frozenset(["Cast", "Identity", "DequantizeLinear"])
_TABLES: Final = {
    "Gather": (1, 0), "GatherBlockQuantized": (1, 0), "EmbedLayerNormalization": (0, 2),
}  # fmt: skip
"""Operators that look rows up: which inputs have the numbers of the rows, and the table."""


def vocabulary(model: Opened, name: str) -> int | None:
    """How many rows the table has in which an input is looked up; None where there is none."""
    names, rows = {name}, []
    tables = dict(model.tensors)
    for node in model.ancestors(list(model.results)):
        if node.op == "Constant" and "value" in node.attributes:
            tables[node.outputs[0]] = first(node.attributes["value"], 5)
        elif node.op in _SAME_ROWS and node.inputs[0] in tables:
            tables[node.outputs[0]] = tables[node.inputs[0]]
        elif node.op in _TABLES and len(node.inputs) > max(_TABLES[node.op]):
            index, table = (node.inputs[i] for i in _TABLES[node.op])
            if index in names and table in tables:
                rows.append(_rows(tables[table]))
        if node.op in _PLAIN and names & set(node.inputs):
            names.update(node.outputs[:1])
    found = [r for r in rows if r > 1]
    return max(found) if found else None


def _rows(tensor: bytes) -> int:
    from weighbridge.core.tree import Held
    from weighbridge.formats.protobuf import Kind, Schema, Wire, many

    schema = Schema("TensorProto", {1: many("dims", Kind.INT)})
    dims = Wire(Held("", tensor)).decode(schema).get("dims") or [0]
    return int(dims[0])


def layouts(model: Opened, session: Session) -> Iterator[list[Port]]:
    """Ways to choose what the declarations leave open, the likeliest first."""
    rows = {name: vocabulary(model, name) for name, _, _ in session.inputs}
    open_sides = any(
        len(shape) == 4 and any(not isinstance(d, int) for d in shape[2:])
        for _, _, shape in session.inputs
    )
    for batch, tokens, length, side in itertools.product(
        BATCHES, VOCABULARIES, LENGTHS, SIDES if open_sides else SIDES[:1]
    ):
        ports = []
        for name, type, shape in session.inputs:
            if type not in TYPES:
                return
            sizes = _sizes(shape, length, side, batch)
            ports.append(_port(name, TYPES[type][1], sizes, rows[name], tokens))
        if all(np.prod(p.shape, dtype=float) <= LARGEST for p in ports):
            yield ports


def other_lengths(ports: list[Port], session: Session) -> Iterator[list[Port]]:
    """The same inputs in other lengths, where what the model declares leaves one open."""
    declared = [shape for _, _, shape in session.inputs]
    for length in range(1, LONGEST + 1):
        made = [
            replace(
                port,
                shape=_sizes(shape, length, 0, next(iter(port.shape), 1))
                if len(shape) < 4
                else port.shape,
            )
            for port, shape in zip(ports, declared, strict=True)
        ]
        if made != ports:
            yield made


def _sizes(shape: list[Any], length: int, side: int, batch: int) -> tuple[int, ...]:
    sizes = []
    for place, size in enumerate(shape):
        if isinstance(size, int) and size >= 0:
            sizes.append(size)
        elif place == 0 or "batch" in str(size).lower():
            sizes.append(batch)
        elif "past" in str(size).lower() and "+" not in str(size):
            sizes.append(0)
        elif len(shape) == 4 and place >= 2:
            sizes.append(side)
        elif len(shape) == 4 and place == 1:
            sizes.append(3)
        else:
            sizes.append(length)
    return tuple(sizes)


def _port(name: str, dtype: Any, shape: tuple[int, ...], rows: int | None, tokens: int) -> Port:
    low, high = PICTURES[0]
    if np.dtype(dtype) == np.bool_:
        return Port(name, "mask", shape, dtype, 0, 1)
    whole = np.dtype(dtype).kind in "iu"
    said = re.sub(r"[^a-z]", " ", name.lower())
    if whole and np.dtype(dtype).itemsize == 1:
        return Port(name, "picture", shape, dtype, 0, 255)
    if whole and "mask" in said:
        return Port(name, "mask", shape, dtype, 0, 1)
    if whole and "position" in said:
        return Port(name, "places", shape, dtype, 0, max(0, shape[-1] - 1) if shape else 0)
    if whole and rows is not None and rows > 2:
        return Port(name, "tokens", shape, dtype, *_content(rows))
    if whole and rows is not None:
        return Port(name, "kinds", shape, dtype, 0, rows - 1)
    if whole and len(shape) >= 2:
        return Port(name, "tokens", shape, dtype, *_content(tokens))
    if whole:
        return Port(name, "setting", shape, dtype, 1, 1)
    if len(shape) >= 4 and not re.search("past|key|value|state|cache", name.lower().replace(
            "pixel_values", "")):  # fmt: skip
        return Port(name, "picture", shape, dtype, low, high)
    if int(np.prod(shape)) <= 1:
        return Port(name, "setting", shape, dtype, 0, 1)
    if re.search("past|state|cache|hidden", name.lower()) or name.lower() in ("h", "c", "hn", "cn"):
        return Port(name, "state", shape, dtype, *STATES)
    if len(shape) >= 2:
        return Port(name, "signal", shape, dtype, -3, 3)
    return Port(name, "numbers", shape, dtype, -3, 3)


def _content(rows: int) -> tuple[int, int]:
    """The first and the last token that has content. Those before and behind stand for padding,
    for what is unknown, for the beginning and the end: every network minds them."""
    return (SPECIAL, rows - 2) if rows > FEW else (0, rows - 1)


def draw(ports: list[Port], rng: np.random.Generator) -> Feeds:
    """An input of each kind."""
    return {port.name: _drawn(port, rng) for port in ports}


def _drawn(port: Port, rng: np.random.Generator) -> Array:
    shape = port.shape
    if port.kind == "tokens":
        return rng.integers(int(port.low), int(port.high) + 1, shape).astype(port.dtype)
    if port.kind == "mask":
        return np.ones(shape, port.dtype)
    if port.kind == "places":
        last = shape[-1] if shape else 1
        return np.broadcast_to(np.arange(last), shape).astype(port.dtype)
    if port.kind == "setting":
        return np.ones(shape, port.dtype)
    if port.kind in ("state", "kinds"):
        return np.zeros(shape, port.dtype)
    if port.kind == "picture":
        made = _picture(shape, rng) * (port.high - port.low) + port.low
        return np.asarray(made).astype(port.dtype)
    scale = rng.choice([0.3, 1.0])
    return np.asarray(rng.normal(0, scale, shape)).astype(port.dtype)


def _picture(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Between 0 and 1: large soft shapes on a ground, with more or less of noise."""
    height, width = shape[-2:]
    coarse = rng.random((*shape[:-2], 4, 4))
    rows = np.minimum(np.arange(height) * 4 // max(height, 1), 3)
    columns = np.minimum(np.arange(width) * 4 // max(width, 1), 3)
    soft = coarse[..., rows, :][..., columns]
    noise = rng.random(shape)
    share = rng.choice([0.1, 0.5, 1.0])
    light = rng.uniform(0.6, 1.0)
    return np.asarray(np.clip(((1 - share) * soft + share * noise) * light, 0, 1))
