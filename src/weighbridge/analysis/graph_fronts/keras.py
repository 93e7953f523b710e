"""The computation graph that a Keras configuration describes: layers spelt out in operators of
ONNX, models within models inlined.

The weights stand in another file, so that they are constants of a known shape whose numbers are
not known. A Lambda layer and a class of the author's own are code, and stay `keras::name`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ComputationGraph
from weighbridge.analysis.keras_arguments import (
    Config,
    Ref,
    Value,
    call_of,
    config_of,
    in_order,
    is_own,
    layers_of,
    listed,
    name_of,
    shape_of,
    type_of,
    values_in,
)
from weighbridge.analysis.keras_layers import LAYERS, attention
from weighbridge.analysis.keras_operations import Spelling
from weighbridge.formats.keras_model import MODELS, model_of
from weighbridge.formats.text import KerasModel


def graph_of(document: KerasModel) -> ComputationGraph:
    """The graph of the model."""
    builder = _Builder()
    model = model_of(document.value)
    if model is not None:
        builder.w.graph.outputs += builder.model(model, None)
    return builder.w.graph


class _Builder(Spelling):
    # Models ------------------------------------------------------------------------------------

    def model(self, model: Config, given: Sequence[int] | None) -> list[int]:
        """Lay out a model that is given values, or has inputs of its own."""
        config = model.get("config")
        if model.get("class_name") == "Sequential" or isinstance(config, list):
            layers = layers_of(config) if isinstance(config, dict) else config or []
            return self.sequential([x for x in layers if isinstance(x, dict)], given)
        return self.functional(config if isinstance(config, dict) else {}, given)

    def sequential(self, layers: Sequence[Config], given: Sequence[int] | None) -> list[int]:
        values = list(given or ())
        for layer in layers:
            if not self.w.goes_on():
                break
            config = config_of(layer)
            if not values:
                shape = config.get("batch_shape", config.get("batch_input_shape"))
                values = [
                    self.w.input(name_of(layer), type_of(config), shape_of(shape, name_of(layer)))
                ]
            if layer.get("class_name") != "InputLayer":
                values = self.layer(layer, [Value(v) for v in values], {})
        return values

    def functional(self, config: Config, given: Sequence[int] | None) -> list[int]:
        layers = {name_of(x): x for x in layers_of(config) if isinstance(x, dict)}
        inputs = list(listed(config.get("input_layers"), layers))
        handed = dict(zip(((r.layer, r.call) for r in inputs), given or (), strict=False))
        made: dict[tuple[str, int], list[int]] = {k: [v] for k, v in handed.items()}
        wanted = list(listed(config.get("output_layers"), layers))
        for name, call in in_order(layers, wanted):
            if not self.w.goes_on():
                break
            if (name, call) in made:
                continue
            layer = layers[name]
            if layer.get("class_name") == "InputLayer":
                said = config_of(layer)
                shape = said.get("batch_shape", said.get("batch_input_shape"))
                made[name, call] = [self.w.input(name, type_of(said), shape_of(shape, name))]
                continue
            args, kwargs = call_of(layer, call, layers)
            made[name, call] = self.layer(layer, self.filled(args, made), self.filled(kwargs, made))
        return [self.reference(r, made) for r in wanted]

    def reference(self, ref: Ref, made: Mapping[tuple[str, int], list[int]]) -> int:
        values = made.get((ref.layer, ref.call), ())
        if not values:
            return self.w.graph.value(ref.layer, ref.type, ref.shape)
        value = values[min(max(ref.output, 0), len(values) - 1)]
        if self.w.shape(value) is None and ref.shape is not None:
            self.w.declare(value, ref.type, ref.shape)
        return value

    def filled(self, given: Any, made: Mapping[tuple[str, int], list[int]]) -> Any:
        """Arguments with values for what refers to them: `(value,)`."""
        if isinstance(given, Ref):
            return Value(self.reference(given, made))
        if isinstance(given, list):
            return [self.filled(x, made) for x in given]
        if isinstance(given, dict):
            return {k: self.filled(x, made) for k, x in given.items()}
        return given

    # Layers ------------------------------------------------------------------------------------

    def layer(self, layer: Config, args: list[Any], kwargs: Config) -> list[int]:
        """What a layer makes of its arguments."""
        w, name, kind = self.w, name_of(layer), str(layer.get("class_name", ""))
        w.label = name
        config = config_of(layer)
        values = [v.number for v in values_in([args, list(kwargs.values())])]
        if kind in MODELS:
            outer = w.origin
            w.origin = (*outer, name)
            made = self.model(layer, values) if w.goes_on() else []
            w.origin = outer
            return made
        try:
            found = self.known(layer, kind, config, args, kwargs, values)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            found = None  # a configuration that Keras would not take either
        return found if found is not None else w.ops(f"keras::{kind}", values, 1)

    def known(
        self, layer: Config, kind: str, config: Config, args: list[Any], kwargs: Config,
        values: list[int],
    ) -> list[int] | None:  # fmt: skip
        module = str(layer.get("module") or "")
        bare = not module and not layer.get("registered_name") and "trainable" not in config
        if ".ops" in module or (bare and "inbound_nodes" in layer):  # HDF5 keeps no modules
            return self.operation(kind, config, args, kwargs)
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            named = str(config.get("function", "")).rpartition(".")[2]
            return self.operation(named, config, args, kwargs)
        rule = _AROUND.get(kind) or LAYERS.get(kind)
        if rule is None or not values or is_own(module, layer):
            return None
        made = rule(self, config, values)
        if kwargs and kind == "MultiHeadAttention":
            made = attention(self, config, values, args, kwargs)
        return [made] if isinstance(made, int) else made


def _wrapped(b: _Builder, c: Config, i: list[int]) -> list[int] | None:
    inner, outer = c.get("layer"), b.w.origin
    if not isinstance(inner, dict) or not b.w.goes_on():
        return None
    b.w.origin = (*outer, name_of(inner))
    made = b.layer(inner, [Value(v) for v in i], {})
    b.w.origin = outer
    return made


def _both_ways(b: _Builder, c: Config, i: list[int]) -> int | None:
    one, two = _wrapped(b, c, i), _wrapped(b, c, i)
    if not one or not two:
        return None
    if c.get("merge_mode") in ("concat", None):
        return b.w.op("Concat", one[0], two[0], axis=-1)
    return b.w.op("Mul" if c["merge_mode"] == "mul" else "Add", one[0], two[0])


_AROUND: Final = {"Bidirectional": _both_ways, "TimeDistributed": _wrapped}
"""Layers that hold another one."""
