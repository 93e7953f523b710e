"""A neural network of Core ML, layer by layer. Values go by name, and a name may be written again:
a branch and a loop hand on what they write."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from weighbridge.analysis.computation_graph import ABSENT, Constant, Shape
from weighbridge.analysis.coreml_layer import Layer
from weighbridge.analysis.coreml_layers import spelt
from weighbridge.analysis.graph_writer import DEPTH, Full, Writer
from weighbridge.core.document import Malformed
from weighbridge.core.tree import Blob
from weighbridge.formats.coreml_layers import LAYERS
from weighbridge.formats.protobuf import Message

_KINDS: Final = tuple(LAYERS.values())
Env = dict[str, int]


class Network:
    """Lays out networks of a file in a graph."""

    def __init__(self, w: Writer, blob: Blob) -> None:
        self.w, self.blob = w, blob

    def prepare(self, network: Message, image: str, env: Env) -> None:
        """What is done to images before the first layer; the image where none is named is
        `image`."""
        for step in network.get("preprocessing", ()):
            name = step.get("feature") or image
            if name not in env:
                continue
            self.w.label = f"{name} prepared"
            scaler = step.get("scaler")
            if scaler is None:
                shape = self.w.shape(env[name]) or ()
                sizes = tuple(d for d in shape[-3:] if isinstance(d, int))
                mean = self.w.constant("mean image", Constant("float32", sizes))
                env[name] = self.w.op("Sub", env[name], mean)
                continue
            shape = self.w.shape(env[name]) or ()
            keys = ("gray",) if shape[-3:-2] == (1,) else ("red", "green", "blue")
            bias = self.w.numbers([float(scaler.get(k, 0)) for k in keys], "float32")
            scaled = self.w.op("Mul", env[name], self.w.number(float(scaler.get("scale", 1))))
            spread = self.w.op("Reshape", bias, self.w.numbers((-1, 1, 1)))
            env[name] = self.w.op("Add", scaled, spread)

    def run(self, network: Message, env: Env) -> None:
        """Lay out the layers; what they give stands in `env` afterwards. Raises `Full`."""
        if len(self.w.origin) > DEPTH:
            raise Full
        for layer in network.get("layer", ()):
            self.w.step()
            self.w.label = layer.get("name", "")
            if "branch" in layer:
                self._branch(layer, env)
            elif "loop" in layer:
                self._loop(layer["loop"], env)
            else:
                env.update(zip(layer.get("output", ()), self._layer(layer, env), strict=False))

    def _layer(self, layer: Message, env: Env) -> Sequence[int]:
        inputs = [env.get(name, ABSENT) for name in layer.get("input", ())]
        outputs = layer.get("output", ())
        shapes = _shapes(layer, self.w.label)
        shapes += [None] * (len(outputs) - len(shapes))
        kind = next((k for k in _KINDS if k in layer), "custom" if "custom" in layer else "layer")
        if kind in LAYERS.values() and ABSENT not in inputs:
            try:
                made = spelt(Layer(self.w, self.blob, kind, layer[kind], inputs, shapes))
            except (Malformed, struct.error):
                made = None
            if made is not None:
                return made
        known = [i for i in inputs if i != ABSENT]
        return self.w.ops(f"coreml::{kind}", max(1, len(outputs)), *known, shapes=shapes)

    def _branch(self, layer: Message, env: Env) -> None:
        test = next((env[n] for n in layer.get("input", ())[:1] if n in env), ABSENT)
        outer, label = self.w.origin, self.w.label
        ends: list[Env] = []
        for key in ("then", "else"):
            inner = dict(env)
            self.w.origin = (*outer, label, key)
            self.run(layer["branch"].get(key, {}), inner)
            ends.append(inner)
        self.w.origin, self.w.label = outer, label
        for name in sorted({**ends[0], **ends[1]}):
            both = [end[name] for end in ends if name in end]
            env[name] = both[0] if len({*both}) == 1 else self.w.op("If", test, *both)

    def _loop(self, loop: Message, env: Env) -> None:
        outer, label = self.w.origin, self.w.label
        bodies = [loop.get(key, {}) for key in ("condition", "body")]
        started = {n: env[n] for body in bodies for n in _written(body) if n in env}
        carried = {name: self.w.op("Carried", value) for name, value in started.items()}
        env.update(carried)
        for body, key in zip(bodies, ("condition", "body"), strict=True):
            self.w.origin = (*outer, label, key)
            self.run(body, env)
        self.w.origin, self.w.label = outer, label
        test = env.get(loop.get("variable", ""), ABSENT)
        self.w.loops((carried[name], env[name]) for name in started)
        for name, first in started.items():
            env[name] = self.w.op("Repeated", env[name], first, test)


def _written(network: Message) -> list[str]:
    """The names that layers write, those of networks in them too."""
    found: list[str] = []
    waiting = [network]
    while waiting:
        for layer in waiting.pop().get("layer", ()):
            found += layer.get("output", ())
            for key in ("branch", "loop"):
                waiting += [n for n in layer.get(key, {}).values() if isinstance(n, dict)]
    return sorted(set(found))


def _shapes(layer: Message, name: str) -> list[Shape | None]:
    return [
        tuple(n if n >= 0 else f"{name}.{i}" for i, n in enumerate(shape.get("sizes", ())))
        if shape.get("rank") == len(shape.get("sizes", ()))
        else None
        for shape in layer.get("shape", ())
    ]
