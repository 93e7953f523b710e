"""The computation graph of an OpenVINO model: layers, edges and bodies.

Shapes are those that the file declares; constants are in the file beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Constant, Shape
from weighbridge.analysis.graph_writer import DEPTH, Full, Writer
from weighbridge.analysis.openvino_operators import TYPES, is_exact, spelt
from weighbridge.formats.openvino import Layer, Net, OpenVino, Port


def graph_of(model: OpenVino) -> ComputationGraph:
    """The graph that the model runs."""
    front = _Front(model)
    return front.w.finished(front.build)


class _Front:
    def __init__(self, model: OpenVino) -> None:
        self.model, self.w = model, Writer()

    def build(self) -> None:
        if self.model.gaps:
            self.w.leave_out("the file is too large to be read")
        given: dict[int, int] = {}
        for layer in self.model.net.layers:
            if layer.type in ("Parameter", "ReadValue"):
                type, shape = _declared(layer.outputs[:1], layer.name)
                given[layer.number] = self.w.input(layer.name, type, shape)
        results = self.run(self.model.net, given)
        self.w.graph.outputs = [r for r in results.values() if r != ABSENT]

    def run(self, net: Net, given: Mapping[int, int]) -> dict[int, int]:
        """Lay out a net whose parameters are `given` by the numbers of their layers; the values of
        its results by theirs."""
        if len(self.w.origin) > DEPTH:
            raise Full
        made: dict[tuple[int, int], int] = {}
        feeds: dict[int, dict[int, tuple[int, int]]] = {}
        for start, out, end, port in net.edges:
            feeds.setdefault(end, {})[port] = (start, out)
        results: dict[int, int] = {}
        for layer in _in_order(net, feeds):
            self.w.step()
            self.w.label = layer.name
            sources = feeds.get(layer.number, {})
            inputs = [
                made.get(sources[p], ABSENT) if p in sources else ABSENT
                for p in _ports(layer, sources)
            ]
            if layer.type in ("Result", "Assign"):
                results[layer.number] = inputs[0] if inputs else ABSENT
                continue
            if layer.number in given and layer.type in ("Parameter", "ReadValue"):
                values: Sequence[int] = (given[layer.number],)
            else:
                values = self.layer(layer, inputs)
            for output, value in zip(layer.outputs, values, strict=False):
                made[layer.number, output.number] = value
        return results

    def layer(self, layer: Layer, inputs: list[int]) -> Sequence[int]:
        """The values that a layer gives."""
        if layer.type == "Const":
            return (self.constant(layer),)
        if layer.type in ("If", "Loop", "TensorIterator"):
            return self.bodies(layer, inputs)
        shapes = [_declared([p], layer.name)[1] for p in layer.outputs]
        plain = layer.opset.startswith("opset") or not layer.opset
        self.w.rough = "" if is_exact(self.w, layer, inputs) else layer.type
        made = spelt(self.w, layer, inputs, shapes) if plain else None
        self.w.rough = ""
        if made is not None:
            return made
        space = "openvino" if plain else layer.opset
        op = f"{space}::{layer.type}"
        return self.w.ops(op, max(1, len(shapes)), *inputs, shapes=shapes)

    def constant(self, layer: Layer) -> int:
        data = layer.data
        type = TYPES.get(data.get("element_type", "").upper(), data.get("element_type", ""))
        written = data.get("shape", "")
        shape = tuple(int(d) for d in written.replace(",", " ").split() if d.isdigit())
        start, size = (int(data.get(k, "")) if data.get(k, "").isdigit() else -1
                       for k in ("offset", "size"))  # fmt: skip
        blob = self.model.constants
        if blob is None or start < 0 or size < 0 or start + size > blob.size:
            return self.w.constant(layer.name, Constant(type, shape))
        return self.w.constant(layer.name, Constant(type, shape, blob, (start, start + size)))

    # Bodies --------------------------------------------------------------------------------------

    def bodies(self, layer: Layer, inputs: list[int]) -> Sequence[int]:
        """What an `If`, a `Loop` or a `TensorIterator` gives."""
        ports = {p.number: v for p, v in zip(layer.inputs, inputs, strict=False)}
        outer = self.w.origin
        results: list[dict[int, int]] = []
        pairs = [("then_body", "then_port_map"), ("else_body", "else_port_map")]
        if layer.type != "If":
            pairs = [("body", "port_map")]
        begun: dict[int, int] = {}
        for body, wires in pairs:
            self.w.origin = (*outer, layer.name, body)
            entries = layer.maps.get(wires, [])
            given = dict(self.handed(layer, entries, ports))
            if layer.type != "If":
                begun = given
            found = self.run(layer.bodies.get(body, Net()), given)
            for _, edge in layer.maps.get("back_edges", ()):
                to, source = _int(edge, "to-layer"), _int(edge, "from-layer")
                if to in given and source in found:
                    self.w.loops([(given[to], found[source])])
            outs = {_int(a, "external_port_id"): found.get(_int(a, "internal_layer_id"), ABSENT)
                    for tag, a in entries if tag == "output"}  # fmt: skip
            results.append(outs)
        self.w.origin = outer
        self.w.label = layer.name
        values = []
        for place, made in enumerate(layer.outputs):
            shape = _declared([made], layer.name)[1]
            ends = [r.get(made.number, r.get(place, ABSENT)) for r in results]
            if layer.type == "If":
                values.append(self.w.op("If", inputs[0] if inputs else ABSENT, *ends, shape=shape))
            else:
                first = self.start(layer, made.number, begun)
                row = (*ends, first) if first != ABSENT else tuple(ends)
                values.append(self.w.op("Repeated", *row, ABSENT, shape=shape))
        return values

    def handed(
        self, layer: Layer, entries: Sequence[tuple[str, dict[str, str]]], ports: Mapping[int, int]
    ) -> Iterator[tuple[int, int]]:
        """What the parameters of a body are given."""
        back = {_int(a, "to-layer") for _, a in layer.maps.get("back_edges", [])}
        for tag, wire in entries:
            if tag != "input":
                continue
            inner, value = (
                _int(wire, "internal_layer_id"),
                ports.get(_int(wire, "external_port_id")),
            )
            if value is None or value == ABSENT:
                value = next(iter(ports.values()), self.w.graph.value("step"))  # what it counts
                yield inner, self.w.op("Step", value)
            elif inner in back:
                yield inner, self.w.op("Carried", value)
            else:
                yield inner, self.w.op("Step", value) if "axis" in wire else value

    def start(self, layer: Layer, port: int, begun: Mapping[int, int]) -> int:
        """What a result of a loop begins with, where it is carried round."""
        back = {_int(a, "from-layer"): _int(a, "to-layer")
                for _, a in layer.maps.get("back_edges", [])}  # fmt: skip
        for tag, wire in layer.maps.get("port_map", []):
            if tag == "output" and _int(wire, "external_port_id") == port:
                return begun.get(back.get(_int(wire, "internal_layer_id"), -1), ABSENT)
        return ABSENT


def _int(attributes: Mapping[str, str], key: str) -> int:
    text = attributes.get(key, "")
    return int(text) if text.isdigit() and len(text) < 18 else -1


def _ports(layer: Layer, sources: Mapping[int, tuple[int, int]]) -> list[int]:
    return [p.number for p in layer.inputs] or sorted(sources)


def _in_order(net: Net, feeds: Mapping[int, Mapping[int, tuple[int, int]]]) -> Iterator[Layer]:
    """Layers after those that they need; the file need not have them in that order."""
    by_number = {layer.number: layer for layer in net.layers}
    done: set[int] = set()
    begun: set[int] = set()
    for layer in net.layers:
        waiting = [layer.number]
        while waiting:
            here = waiting[-1]
            if here in done:
                waiting.pop()
                continue
            needed = []
            if here not in begun:
                begun.add(here)
                needed = [s for s, _ in feeds.get(here, {}).values()
                          if s in by_number and s not in begun]  # fmt: skip
            if needed:
                waiting += needed
                continue
            waiting.pop()
            done.add(here)
            yield by_number[here]


def _declared(ports: Sequence[Port], name: str) -> tuple[str, Shape | None]:
    if not ports:
        return "", None
    shape = tuple(d if d >= 0 else f"{name}.{i}" for i, d in enumerate(ports[0].shape))
    return TYPES.get(ports[0].type, ""), shape
