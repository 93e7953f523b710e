"""The computation graph that a Keras configuration describes: layers spelt out in operators of
ONNX, models within models inlined.

The weights stand in another file, so that they are constants of a known shape whose numbers are
not known. A Lambda layer and a class of the author's own are code, and stay `keras::name`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph, Constant, Shape
from weighbridge.analysis.tensorflow_writer import SMALL, TO_END, TYPES, Writer
from weighbridge.formats.keras_model import MODELS, model_of
from weighbridge.formats.text import KerasModel

READS: Final = KerasModel
NESTED: Final = 20
"""How deep arguments are looked into."""
Config = Mapping[str, Any]


def graph_of(document: KerasModel) -> ComputationGraph:
    """The graph of the model."""
    builder = _Builder()
    model = model_of(document.value)
    if model is not None:
        builder.w.graph.outputs += builder.model(model, None)
    return builder.w.graph


@dataclass(frozen=True, slots=True)
class _Ref:
    """An output of a call of a layer, and what is said of its type and shape."""

    layer: str
    call: int
    output: int
    type: str = ""
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class _Cut:
    """A slice."""

    start: Any
    stop: Any
    step: Any


def _layers(config: Config) -> list[Any]:
    layers = config.get("layers")
    return layers if isinstance(layers, list) else []


class _Builder:
    def __init__(self) -> None:
        self.w = Writer()

    # Models ------------------------------------------------------------------------------------

    def model(self, model: Config, given: Sequence[int] | None) -> list[int]:
        """Lay out a model that is given values, or has inputs of its own."""
        config = model.get("config")
        if model.get("class_name") == "Sequential" or isinstance(config, list):
            layers = _layers(config) if isinstance(config, dict) else config or []
            return self.sequential([x for x in layers if isinstance(x, dict)], given)
        return self.functional(config if isinstance(config, dict) else {}, given)

    def sequential(self, layers: Sequence[Config], given: Sequence[int] | None) -> list[int]:
        values = list(given or ())
        for layer in layers:
            if not self.w.goes_on():
                break
            config = _config(layer)
            if not values:
                shape = config.get("batch_shape", config.get("batch_input_shape"))
                values = [self.w.input(_name(layer), _dtype(config), _shape(shape, _name(layer)))]
            if layer.get("class_name") != "InputLayer":
                values = self.layer(layer, [_Value(v) for v in values], {})
        return values

    def functional(self, config: Config, given: Sequence[int] | None) -> list[int]:
        layers = {_name(x): x for x in _layers(config) if isinstance(x, dict)}
        inputs = list(_listed(config.get("input_layers"), layers))
        handed = dict(zip(((r.layer, r.call) for r in inputs), given or (), strict=False))
        made: dict[tuple[str, int], list[int]] = {k: [v] for k, v in handed.items()}
        wanted = list(_listed(config.get("output_layers"), layers))
        for name, call in _in_order(layers, wanted):
            if not self.w.goes_on():
                break
            if (name, call) in made:
                continue
            layer = layers[name]
            if layer.get("class_name") == "InputLayer":
                said = _config(layer)
                shape = said.get("batch_shape", said.get("batch_input_shape"))
                made[name, call] = [self.w.input(name, _dtype(said), _shape(shape, name))]
                continue
            args, kwargs = _call(layer, call, layers)
            made[name, call] = self.layer(layer, self.filled(args, made), self.filled(kwargs, made))
        return [self.reference(r, made) for r in wanted]

    def reference(self, ref: _Ref, made: Mapping[tuple[str, int], list[int]]) -> int:
        values = made.get((ref.layer, ref.call), ())
        if not values:
            return self.w.graph.value(ref.layer, ref.type, ref.shape)
        value = values[min(max(ref.output, 0), len(values) - 1)]
        if self.w.shape(value) is None and ref.shape is not None:
            self.w.declare(value, ref.type, ref.shape)
        return value

    def filled(self, given: Any, made: Mapping[tuple[str, int], list[int]]) -> Any:
        """Arguments with values for what refers to them: `(value,)`."""
        if isinstance(given, _Ref):
            return _Value(self.reference(given, made))
        if isinstance(given, list):
            return [self.filled(x, made) for x in given]
        if isinstance(given, dict):
            return {k: self.filled(x, made) for k, x in given.items()}
        return given

    # Layers ------------------------------------------------------------------------------------

    def layer(self, layer: Config, args: list[Any], kwargs: Config) -> list[int]:
        """What a layer makes of its arguments."""
        w, name, kind = self.w, _name(layer), str(layer.get("class_name", ""))
        w.label = name
        config = _config(layer)
        values = [v.number for v in _values([args, list(kwargs.values())])]
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
        rule = _LAYERS.get(kind)
        if rule is None or not values or _own(module, layer):
            return None
        made = rule(self, config, values)
        if kwargs and kind == "MultiHeadAttention":
            made = _attention(self, config, values, args, kwargs)
        return [made] if isinstance(made, int) else made

    def weight(self, what: str, *shape: Any) -> int:
        """Numbers that stand in another file."""
        if all(isinstance(d, int) and d >= 0 for d in shape):
            return self.w.constant(what, Constant("float32", shape))
        sizes = tuple(d if isinstance(d, int) else str(d) for d in shape)
        return self.w.graph.value(what, "float32", sizes)

    def width(self, value: int, axis: int = -1) -> Any:
        """How many channels a value has, or a name for it."""
        shape = self.w.shape(value)
        if shape and -len(shape) <= axis < len(shape):
            return shape[axis]
        return f"width of {self.w.label}"

    def biased(self, config: Config, value: int, width: Any) -> int:
        if config.get("use_bias", True):
            value = self.w.op("Add", value, self.weight("bias", width))
        return self.activation(config.get("activation"), value)

    def activation(self, said: Any, value: int) -> int:
        if isinstance(said, dict):  # a function by name, or a layer
            inner = said.get("config")
            name = said.get("class_name")
            said = inner if isinstance(inner, str) and name == "function" else name
        return self.w.activation(str(said or "linear"), value)

    # Operations --------------------------------------------------------------------------------

    def operand(self, given: Any, like: int = ABSENT) -> int:
        """A value or a constant, as an argument says it."""
        if isinstance(given, _Value):
            return given.number
        if isinstance(given, bool):
            return self.w.held("bool", (int(given),))
        if isinstance(given, int | float):
            type = self.w.type(like) if like != ABSENT else ""
            return self.w.held(type or "float32", (given,))
        if isinstance(given, list):
            if any(_values(given)):
                return self.w.stack([self.operand(g) for g in given], 0)
            numbers = list(_numbers(given))
            return self.w.held(_kind(numbers), numbers, _sizes(given))
        if isinstance(given, dict) and "value" in given:
            return self.operand(given["value"])
        return self.w.graph.value("")

    def operation(
        self, name: str, config: Config, args: list[Any], kwargs: Config
    ) -> list[int] | None:
        """An operation of `keras.ops`, or of TensorFlow by name."""
        w = self.w
        plain = name.lower().replace("_", "")
        plain = _SAME.get(plain, plain)
        said = {**config, **kwargs}
        rest = [v for k, v in kwargs.items() if isinstance(v, _Value)
                or k in ("y", "x2", "b", "values", "t", "updates", "x1")]  # fmt: skip
        flat = [*args, *rest]
        if len(flat) == 1 and isinstance(flat[0], list) and plain not in ("concatenate", "stack"):
            flat = flat[0]
        values = [self.operand(a) for a in flat]
        if plain in _BINARY and len(values) >= 2:
            values = [self.operand(a, values[1 - i] if i < 2 else ABSENT)
                      for i, a in enumerate(flat)]  # fmt: skip
            op = _BINARY[plain]
            if op in ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
                return [w.compare(op, *values[:2])]
            return [w.op(op, *values)]
        if plain in _UNARY:
            return [w.op(_UNARY[plain], *values[:1])]
        if plain in _REDUCED:
            axis = said.get("axis", flat[1] if len(flat) > 1 else None)
            axes = {} if axis is None else {"axes": tuple(_numbers(axis))}
            keep = int(bool(said.get("keepdims", said.get("keep_dims", False))))
            return [w.op(_REDUCED[plain], values[0], keepdims=keep, **axes)]
        return self.shaped(plain, said, flat, values)

    def shaped(
        self, plain: str, said: Config, flat: list[Any], values: list[int]
    ) -> list[int] | None:
        """Operations with attributes of their own."""
        w, x = self.w, values[0]
        if plain == "cast":
            return [w.cast(x, str(said.get("dtype", flat[1] if len(flat) > 1 else "float32")))]
        if plain == "getitem":
            key = said.get("slice_spec", flat[1] if len(flat) > 1 else None)
            return [self.cut(x, key if isinstance(key, list) else [key])]
        if plain in ("argmax", "argmin"):
            op = "ArgMax" if plain == "argmax" else "ArgMin"
            axis = said.get("axis")
            if axis is None:
                x, axis = w.reshape(x, -1), 0
            return [w.op(op, x, axis=int(axis), keepdims=int(bool(said.get("keepdims"))))]
        if plain == "where":
            both = [self.operand(a, values[-1]) for a in flat[1:3]]
            return [w.op("Where", x, *both)]
        if plain == "clip":
            low = said.get("x_min", said.get("clip_value_min", flat[1] if len(flat) > 1 else None))
            high = said.get("x_max", said.get("clip_value_max", flat[2] if len(flat) > 2 else None))
            return [w.op("Clip", x, self.operand(low), self.operand(high))]
        if plain == "square":
            return [w.square(x)]
        if plain == "squareddifference":
            return [w.square(w.op("Sub", *values[:2]))]
        if plain == "rsqrt":
            return [w.rsqrt(x)]
        if plain in ("floordivide", "floordiv"):
            return [w.floor_div(*values[:2])]
        if plain == "expanddims":
            return [w.unsqueeze(x, *_numbers(said.get("axis", flat[1:2])))]
        if plain == "squeeze":
            axis = said.get("axis")
            return [w.squeeze(x, *(() if axis is None else _numbers(axis)))]
        if plain == "reshape":
            sizes = said.get("newshape", said.get("shape", flat[1] if len(flat) > 1 else [-1]))
            return [w.reshape(x, *(-1 if s is None else int(s) for s in sizes))]
        if plain == "transpose":
            order = said.get("axes", said.get("perm"))
            return [w.op("Transpose", x, **({"perm": tuple(order)} if order else {}))]
        if plain in ("concatenate", "stack"):
            axis = int(said.get("axis", -1 if plain == "concatenate" else 0))
            parts = [self.operand(a) for a in flat[0]] if isinstance(flat[0], list) else values
            made = w.op("Concat", *parts, axis=axis) if plain == "concatenate" else w.stack(
                parts, axis)  # fmt: skip
            return [made]
        if plain == "take":
            axis = said.get("axis")
            return [w.op("Gather", *values[:2], axis=0 if axis is None else int(axis))]
        if plain == "onehot":
            count = int(said.get("num_classes", said.get("depth", 0)))
            states = w.held("float32", (0.0, 1.0), (2,))
            return [w.op("OneHot", x, w.held("int64", (count,)), states, axis=-1)]
        if plain in ("zeroslike", "oneslike"):
            fill = w.held("float32", (float(plain == "oneslike"),))
            return [w.op("Expand", fill, w.op("Shape", x))]
        if plain == "einsum":
            equation = str(said.get("subscripts", flat[0]))
            parts = [v for v, a in zip(values, flat, strict=False) if isinstance(a, _Value)]
            return [w.op("Einsum", *parts, equation=equation.replace(" ", ""))]
        if plain == "topk":
            count = int(said.get("k", 1))
            return w.ops("TopK", [x, w.held("int64", (count,))], 2, axis=-1)
        if plain in ("softmax", "logsoftmax"):
            op = "Softmax" if plain == "softmax" else "LogSoftmax"
            return [w.op(op, x, axis=int(said.get("axis", -1)))]
        if plain in ("relu6", "silu", "swish", "hardsilu", "hardswish", "leakyrelu", "hardsigmoid"):
            names = {"leakyrelu": "leaky_relu", "hardsigmoid": "hard_sigmoid",
                     "hardsilu": "hard_silu", "hardswish": "hard_silu"}  # fmt: skip
            return [w.activation(names.get(plain, plain), x)]
        return None

    def cut(self, value: int, keys: Sequence[Any]) -> int:
        """Indexing as Python writes it."""
        w, count = self.w, len(keys)
        begin, end, step = [0] * count, [0] * count, [1] * count
        masks = [0] * 5
        for place, key in enumerate(keys):
            bit = 1 << place
            if key is None:
                masks[3] |= bit
            elif key is Ellipsis:
                masks[2] |= bit
            elif isinstance(key, _Cut):
                step[place] = int(key.step) if key.step is not None else 1
                begin[place] = int(key.start or 0)
                end[place] = int(key.stop) if key.stop is not None else 0
                masks[0] |= bit if key.start is None else 0
                masks[1] |= bit if key.stop is None else 0
            elif isinstance(key, _Value):
                return w.op("Gather", value, key.number, axis=place)
            else:
                begin[place] = int(key)
                masks[4] |= bit
        return w.strided_slice(value, w.ints(*begin), w.ints(*end), w.ints(*step), masks)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value among arguments, by its number."""

    number: int


def _values(given: Any, depth: int = 0) -> Iterator[_Value]:
    if isinstance(given, _Value):
        yield given
    elif isinstance(given, list | dict) and depth < NESTED:
        for item in given.values() if isinstance(given, dict) else given:
            yield from _values(item, depth + 1)


def _numbers(given: Any, depth: int = 0) -> Iterator[Any]:
    if isinstance(given, int | float):
        yield given
    elif isinstance(given, list | tuple) and depth < NESTED:
        for item in given:
            yield from _numbers(item, depth + 1)


def _sizes(given: Any) -> tuple[int, ...]:
    sizes: list[int] = []
    while isinstance(given, list) and len(sizes) < NESTED:
        sizes.append(len(given))
        given = given[0] if given else None
    return tuple(sizes)


def _kind(numbers: Sequence[Any]) -> str:
    return "int64" if numbers and all(isinstance(n, int) for n in numbers) else "float32"


def _config(layer: Config) -> Config:
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def _name(layer: Config) -> str:
    return str(layer.get("name") or _config(layer).get("name") or layer.get("class_name") or "")


def _own(module: str, layer: Config) -> bool:
    """Whether a layer is a class of the author's own, whatever it is called."""
    registered = layer.get("registered_name")
    if module:
        return not module.startswith(("keras", "tf_keras", "tensorflow"))
    return isinstance(registered, str) and bool(registered) and ">" in registered


def _dtype(config: Config) -> str:
    said = config.get("dtype")
    if isinstance(said, dict):
        said = _config(said).get("name")
    return said if isinstance(said, str) and said in TYPES else "float32"


def _shape(said: Any, name: str) -> Shape | None:
    if not isinstance(said, list | tuple) or len(said) > NESTED:
        return None
    return tuple(
        d if isinstance(d, int) and d >= 0 else ("batch" if not i else f"{name}.{i}")
        for i, d in enumerate(said)
    )


# How layers are joined --------------------------------------------------------------------------


def _listed(said: Any, layers: Mapping[str, Config]) -> Iterator[_Ref]:
    """The inputs or outputs of a model: one reference, or a list or mapping of them."""
    waiting = [said]
    while waiting:
        item = waiting.pop()
        ref = _old_reference(item, layers)
        if ref is not None:
            yield ref
        elif isinstance(item, list):
            waiting += reversed(item[:SMALL])
        elif isinstance(item, dict):
            waiting += reversed(list(item.values())[:SMALL])


def _old_reference(item: Any, layers: Mapping[str, Config]) -> _Ref | None:
    """`[layer, call, output]`, as lists refer to a value."""
    if (
        isinstance(item, list)
        and len(item) >= 3
        and isinstance(item[0], str)
        and all(isinstance(n, int) for n in item[1:3])
        and item[0] in layers
    ):
        return _Ref(item[0], item[1], item[2])
    return None


def _call(layer: Config, number: int, layers: Mapping[str, Config]) -> tuple[list[Any], Any]:
    """The arguments of a call of a layer, with references."""
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or not nodes:
        return [], {}
    node = nodes[number] if 0 <= number < len(nodes) else nodes[-1]
    if isinstance(node, dict):
        args, kwargs = node.get("args"), node.get("kwargs")
        read = [_read(a, layers) for a in args] if isinstance(args, list) else []
        return read, _read(kwargs if isinstance(kwargs, dict) else {}, layers)
    found: list[Any] = []
    named: dict[str, Any] = {}
    tensors = [node] if _old_reference(node, layers) else node if isinstance(node, list) else []
    for item in tensors:
        ref = _old_reference(item, layers)
        constant = isinstance(item, list) and item[:1] == ["_CONSTANT_VALUE"] and len(item) > 2
        if ref is not None or constant:
            found.append(ref if ref is not None else item[2])
            if len(item) > 3 and isinstance(item[3], dict):
                named |= _read(item[3], layers)
        elif isinstance(item, list):
            found.append([_old_reference(i, layers) or i for i in item])
    return found, named


def _read(given: Any, layers: Mapping[str, Config], depth: int = 0) -> Any:
    """An argument with references, slices and constants for what stands for them."""
    if depth > NESTED:
        return None
    if isinstance(given, list):
        ref = _old_reference(given, layers)
        return ref if ref is not None else [_read(g, layers, depth + 1) for g in given]
    if not isinstance(given, dict):
        return given
    kind, config = given.get("class_name"), given.get("config")
    if kind == "__keras_tensor__" and isinstance(config, dict):
        ref = _old_reference(config.get("keras_history"), layers)
        if ref is None:
            return None
        type = str(config.get("dtype", ""))
        return _Ref(ref.layer, ref.call, ref.output, type, _shape(config.get("shape"), ref.layer))
    if kind in ("__tensor__", "__numpy__") and isinstance(config, dict):
        return config.get("value")
    if kind == "__slice__" and isinstance(config, dict):
        return _Cut(config.get("start"), config.get("stop"), config.get("step"))
    if kind == "__ellipsis__":
        return Ellipsis
    if set(given) == {"start", "stop", "step"}:
        return _Cut(given["start"], given["stop"], given["step"])
    return {k: _read(v, layers, depth + 1) for k, v in given.items()}


def _refs(given: Any, depth: int = 0) -> Iterator[_Ref]:
    if isinstance(given, _Ref):
        yield given
    elif isinstance(given, list | dict) and depth < NESTED:
        for item in given.values() if isinstance(given, dict) else given:
            yield from _refs(item, depth + 1)


def _in_order(layers: Mapping[str, Config], wanted: Sequence[_Ref]) -> Iterator[tuple[str, int]]:
    """The calls of layers that some outputs need, each after those that it needs."""
    done: set[tuple[str, int]] = set()
    begun: set[tuple[str, int]] = set()
    for first in wanted:
        waiting = [(first.layer, first.call)]
        while waiting:
            call = waiting[-1]
            if call in done or call[0] not in layers:
                waiting.pop()
                continue
            needed: list[tuple[str, int]] = []
            if call not in begun:
                begun.add(call)
                found = _refs(list(_call(layers[call[0]], call[1], layers)))
                needed = [(r.layer, r.call) for r in found if (r.layer, r.call) not in begun]
            if needed:
                waiting.extend(needed)
                continue
            waiting.pop()
            done.add(call)
            yield call


# Layers ----------------------------------------------------------------------------------------

Rule = Callable[[_Builder, Config, list[int]], "int | list[int] | None"]


def _same(b: _Builder, c: Config, i: list[int]) -> list[int]:
    return [b.w.op("Identity", v) for v in i[:1]]


def _plain(op: str, count: int = 0, **attributes: Any) -> Rule:
    return lambda b, c, i: b.w.op(op, *(i[:count] if count else i), **attributes)


def _dense(b: _Builder, c: Config, i: list[int]) -> int:
    kernel = b.weight("kernel", b.width(i[0]), int(c["units"]))
    return b.biased(c, b.w.op("MatMul", i[0], kernel), int(c["units"]))


def _einsum_dense(b: _Builder, c: Config, i: list[int]) -> int:
    equation = str(c["equation"]).replace(" ", "")
    letters = equation.partition(",")[2].partition("->")[0]
    kernel = b.weight("kernel", *(f"kernel {x}" for x in letters))
    made = b.w.op("Einsum", i[0], kernel, equation=equation)
    if c.get("bias_axes"):
        made = b.w.op("Add", made, b.weight("bias", b.width(made)))
    return b.activation(c.get("activation"), made)


def _pair(said: Any, count: int) -> tuple[int, ...]:
    return tuple(int(n) for n in said) if isinstance(said, list) else (int(said),) * count


def _window(b: _Builder, c: Config, spatial: int, strides: str = "strides") -> dict[str, Any]:
    said = c.get(strides) or c.get("pool_size", 1)
    made = b.w.window(
        _pair(said, spatial), "SAME" if c.get("padding") == "same" else "VALID", (),
        _pair(c.get("dilation_rate", 1), spatial),
    )  # fmt: skip
    if c.get("padding") == "causal":
        size = _pair(c["kernel_size"], spatial)[0]
        made["pads"] = ((size - 1) * _pair(c.get("dilation_rate", 1), spatial)[0], 0)
    return made


def _around(b: _Builder, c: Config, value: int, spatial: int, op: Callable[[int], int]) -> int:
    if c.get("data_format") == "channels_first":
        return op(value)
    return b.w.channels_last(op(b.w.channels_first(value, spatial)), spatial)


def _conv(spatial: int, op: str = "Conv") -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        size, filters = _pair(c["kernel_size"], spatial), int(c["filters"])
        width = b.width(i[0], 1 if c.get("data_format") == "channels_first" else -1)
        order = (filters, width) if op == "Conv" else (width, filters)
        kernel, window = b.weight("kernel", *order, *size), _window(b, c, spatial)
        made = _around(b, c, i[0], spatial, lambda v: b.w.op(op, v, kernel, **window))
        return b.biased(c, made, filters)

    return rule


def _depthwise(spatial: int, pointwise: bool = False) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        size, width = _pair(c["kernel_size"], spatial), b.width(i[0])
        each = width * int(c.get("depth_multiplier", 1)) if isinstance(width, int) else width
        kernel, window = b.weight("kernel", each, 1, *size), _window(b, c, spatial)
        made = _around(b, c, i[0], spatial, lambda v: b.w.op("Conv", v, kernel, **window))
        if not pointwise:
            return b.biased(c, made, each)
        made = b.w.op("MatMul", made, b.weight("kernel", each, int(c["filters"])))
        return b.biased(c, made, int(c["filters"]))

    return rule


def _pool(op: str, spatial: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        size, window = _pair(c["pool_size"], spatial), _window(b, c, spatial)
        return _around(b, c, i[0], spatial, lambda v: b.w.op(op, v, kernel_shape=size, **window))

    return rule


def _global(op: str, spatial: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        first = c.get("data_format") == "channels_first"
        axes = tuple(range(2, 2 + spatial)) if first else tuple(range(1, 1 + spatial))
        return b.w.op(op, i[0], axes=axes, keepdims=int(bool(c.get("keepdims"))))

    return rule


def _normalized(op: str, weights: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        width = b.width(i[0])
        return b.w.op(op, i[0], *(b.weight("scale", width) for _ in range(weights)))

    return rule


def _standardized(b: _Builder, c: Config, i: list[int]) -> int:
    """By a mean and a variance that are given or were counted."""
    said = [list(_numbers(c.get(k))) for k in ("mean", "variance")]
    numbers = [b.w.held("float32", n, (len(n),) if len(n) > 1 else ()) if n
               else b.weight("statistics", b.width(i[0])) for n in said]  # fmt: skip
    return b.w.op("Div", b.w.op("Sub", i[0], numbers[0]), b.w.op("Sqrt", numbers[1]))


def _rescaled(b: _Builder, c: Config, i: list[int]) -> int:
    scale, offset = list(_numbers(c.get("scale", 1))), list(_numbers(c.get("offset", 0)))
    made = b.w.op("Mul", i[0], b.w.held("float32", scale, (len(scale),)[: len(scale) > 1]))
    if any(offset):
        listed = (len(offset),) if len(offset) > 1 else ()
        made = b.w.op("Add", made, b.w.held("float32", offset, listed))
    return made


def _resized(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.resize(i[0], b.w.ints(int(c["height"]), int(c["width"])), "linear")


def _cropped(b: _Builder, c: Config, i: list[int]) -> int:
    """The middle of a picture."""
    shape, starts, ends = b.w.shape(i[0]) or (), [], []
    for axis, key in ((1, "height"), (2, "width")):
        size, left = int(c[key]), shape[axis] if len(shape) > axis else 0
        first = (left - size) // 2 if isinstance(left, int) else 0
        starts.append(first)
        ends.append(first + size)
    return b.w.op("Slice", i[0], b.w.ints(*starts), b.w.ints(*ends), b.w.ints(1, 2))


def _edges(said: Any, spatial: int) -> list[tuple[int, int]]:
    if isinstance(said, int):
        return [(said, said)] * spatial
    if spatial == 1:
        return [(int(said[0]), int(said[1]))]
    return [(int(s), int(s)) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in said]


def _padded(spatial: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        edges = [(0, 0), *_edges(c["padding"], spatial), (0, 0)]
        pads = b.w.ints(*(e[0] for e in edges), *(e[1] for e in edges))
        return b.w.op("Pad", i[0], pads)

    return rule


def _trimmed(spatial: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        edges = _edges(c["cropping"], spatial)
        ends = [-e[1] if e[1] else TO_END for e in edges]
        axes = b.w.ints(*range(1, spatial + 1))
        return b.w.op("Slice", i[0], b.w.ints(*(e[0] for e in edges)), b.w.ints(*ends), axes)

    return rule


def _upsampled(spatial: int) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> int:
        size, shape = _pair(c["size"], spatial), b.w.shape(i[0]) or ()
        sides = [d * s if isinstance(d, int) else -1 for d, s in
                 zip(shape[1:-1], size, strict=False)]  # fmt: skip
        if spatial == 2 and len(sides) == 2 and -1 not in sides:
            return b.w.resize(i[0], b.w.ints(*sides), "linear")
        return _around(b, c, i[0], spatial, lambda v: b.w.op("Resize", v))

    return rule


def _embedding(b: _Builder, c: Config, i: list[int]) -> int:
    table = b.weight("embeddings", int(c["input_dim"]), int(c["output_dim"]))
    return b.w.op("Gather", table, i[0], axis=0)


def _cell(op: str) -> Rule:
    def rule(b: _Builder, c: Config, i: list[int]) -> list[int]:
        units = int(c["units"])
        weights = [b.weight("kernel", b.width(i[0]), units), b.weight("kernel", units, units)]
        count = 1 + (2 if op == "LSTM" else 1) * bool(c.get("return_state"))
        made = b.w.ops(op, [i[0], *weights, *i[1:]], count)
        shape = b.w.shape(i[0])
        if shape and len(shape) == 3:
            turns = (shape[1],) if c.get("return_sequences") else ()
            b.w.declare(made[0], "", (shape[0], *turns, units))
        return made

    return rule


def _wrapped(b: _Builder, c: Config, i: list[int]) -> list[int] | None:
    inner, outer = c.get("layer"), b.w.origin
    if not isinstance(inner, dict) or not b.w.goes_on():
        return None
    b.w.origin = (*outer, _name(inner))
    made = b.layer(inner, [_Value(v) for v in i], {})
    b.w.origin = outer
    return made


def _both_ways(b: _Builder, c: Config, i: list[int]) -> int | None:
    one, two = _wrapped(b, c, i), _wrapped(b, c, i)
    if not one or not two:
        return None
    if c.get("merge_mode") in ("concat", None):
        return b.w.op("Concat", one[0], two[0], axis=-1)
    return b.w.op("Mul" if c["merge_mode"] == "mul" else "Add", one[0], two[0])


def _attention(
    b: _Builder,
    c: Config,
    values: list[int],
    args: Sequence[Any] = (),
    kwargs: Config | None = None,
) -> int:
    """Several heads; what is masked is told by a mask among the arguments."""
    w, heads, size = b.w, int(c["num_heads"]), int(c["key_dim"])
    last = int(c.get("value_dim") or size)
    placed = [a.number for a in args if isinstance(a, _Value)] or values[:3]
    named = {k: v.number for k, v in (kwargs or {}).items() if isinstance(v, _Value)}
    query = placed[0]
    value = named.get("value", placed[1] if len(placed) > 1 else query)
    key = named.get("key", placed[2] if len(placed) > 2 else value)
    parts: list[int] = []
    for source, width in ((query, size), (key, size), (value, last)):
        made = w.op("MatMul", source, b.weight("kernel", b.width(source), heads * width))
        made = w.op("Add", made, b.weight("bias", heads * width))
        parts.append(w.transpose(w.reshape(made, 0, -1, heads, width), 0, 2, 1, 3))
    scores = w.op("MatMul", parts[0], w.transpose(parts[1], 0, 1, 3, 2))
    mask = named.get("attention_mask")
    if mask is not None:
        scores = w.op("Where", w.cast(w.unsqueeze(mask, 1), "bool"), scores,
                      w.held("float32", (-1e9,)))  # fmt: skip
    seen = w.op("MatMul", w.op("Softmax", scores, axis=-1), parts[2])
    joined = w.reshape(w.transpose(seen, 0, 2, 1, 3), 0, -1, heads * last)
    out = b.width(query)
    return w.op("Add", w.op("MatMul", joined, b.weight("kernel", heads * last, out)),
                b.weight("bias", out))  # fmt: skip


def _plain_attention(b: _Builder, c: Config, i: list[int]) -> int:
    w, query = b.w, i[0]
    value = i[1] if len(i) > 1 else query
    key = i[2] if len(i) > 2 else value
    scores = w.op("Softmax", w.op("MatMul", query, w.transpose(key, 0, 2, 1)), axis=-1)
    return w.op("MatMul", scores, value)


def _flat(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.op("Flatten", i[0], axis=1)


def _reshaped(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.reshape(i[0], 0, *(-1 if s is None else int(s) for s in c["target_shape"]))


def _permuted(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.transpose(i[0], 0, *(int(d) for d in c["dims"]))


def _repeated(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.op("Tile", b.w.unsqueeze(i[0], 1), b.w.ints(1, int(c["n"]), 1))


def _dotted(b: _Builder, c: Config, i: list[int]) -> int:
    axis = next(iter(_numbers(c.get("axes", -1))))
    return b.w.op("ReduceSum", b.w.op("Mul", *i[:2]), axes=(int(axis),), keepdims=1)


def _relu(b: _Builder, c: Config, i: list[int]) -> int:
    highest, slope = c.get("max_value"), c.get("negative_slope") or 0
    if slope:
        return b.w.op("LeakyRelu", i[0], alpha=float(slope))
    low = float(c.get("threshold") or 0)
    return b.w.op("Relu", i[0]) if highest is None else b.w.clip(i[0], low, float(highest))


def _numbered(b: _Builder, c: Config, i: list[int]) -> int:
    """What gives each key of a vocabulary its number."""
    made = b.w.cast(i[0], "int64")
    if c.get("output_sequence_length"):
        made = b.w.reshape(made, -1, int(c["output_sequence_length"]))
    return made


def _bucketed(b: _Builder, c: Config, i: list[int]) -> int:
    bounds = list(_numbers(c.get("bin_boundaries")))
    return b.w.bucket(i[0], bounds) if bounds else b.w.cast(i[0], "int64")


def _categories(b: _Builder, c: Config, i: list[int]) -> int:
    values, count = b.w.held("float32", (0.0, 1.0), (2,)), int(c["num_tokens"])
    made = b.w.op("OneHot", i[0], b.w.held("int64", (count,)), values, axis=-1)
    return b.w.op("ReduceMax", made, axes=(-2,), keepdims=0)


def _activated(b: _Builder, c: Config, i: list[int]) -> int:
    return b.activation(c.get("activation"), i[0])


def _joined(b: _Builder, c: Config, i: list[int]) -> int:
    return b.w.op("Concat", *i, axis=int(c.get("axis", -1)))


_LAYERS: Final[dict[str, Rule]] = {
    "Dense": _dense, "EinsumDense": _einsum_dense, "Embedding": _embedding,
    "Conv1D": _conv(1), "Conv2D": _conv(2), "Conv3D": _conv(3), "Convolution2D": _conv(2),
    "Conv1DTranspose": _conv(1, "ConvTranspose"), "Conv2DTranspose": _conv(2, "ConvTranspose"),
    "Conv3DTranspose": _conv(3, "ConvTranspose"), "DepthwiseConv1D": _depthwise(1),
    "DepthwiseConv2D": _depthwise(2), "SeparableConv1D": _depthwise(1, True),
    "SeparableConv2D": _depthwise(2, True),
    **{f"MaxPooling{n}D": _pool("MaxPool", n) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _pool("AveragePool", n) for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _global("ReduceMean", n) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _global("ReduceMax", n) for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": _padded(n) for n in (1, 2, 3)},
    **{f"Cropping{n}D": _trimmed(n) for n in (1, 2, 3)},
    **{f"UpSampling{n}D": _upsampled(n) for n in (1, 2, 3)},
    "BatchNormalization": _normalized("BatchNormalization", 4),
    "LayerNormalization": _normalized("LayerNormalization", 2),
    "RMSNormalization": _normalized("RMSNormalization", 1),
    "GroupNormalization": _normalized("GroupNormalization", 2),
    "UnitNormalization": _plain("LpNormalization", axis=-1, p=2), "Normalization": _standardized,
    "Rescaling": _rescaled, "Resizing": _resized, "CenterCrop": _cropped,
    "LSTM": _cell("LSTM"), "GRU": _cell("GRU"), "SimpleRNN": _cell("RNN"),
    "CuDNNLSTM": _cell("LSTM"), "CuDNNGRU": _cell("GRU"), "Bidirectional": _both_ways,
    "TimeDistributed": _wrapped, "MultiHeadAttention": lambda b, c, i: _attention(b, c, i),
    "Attention": _plain_attention, "Add": _plain("Sum"), "Subtract": _plain("Sub"),
    "Multiply": lambda b, c, i: _chain(b, "Mul", i), "Average": _plain("Mean"),
    "Maximum": _plain("Max"), "Minimum": _plain("Min"), "Concatenate": _joined, "Dot": _dotted,
    "Flatten": _flat, "Reshape": _reshaped, "Permute": _permuted, "RepeatVector": _repeated,
    "Activation": _activated, "ReLU": _relu, "Softmax": _plain("Softmax", axis=-1),
    "LeakyReLU": lambda b, c, i: b.w.op("LeakyRelu", i[0], alpha=0.3), "ELU": _plain("Elu"),
    "PReLU": lambda b, c, i: b.w.op("PRelu", i[0], b.weight("alpha", b.width(i[0]))),
    "ThresholdedReLU": _plain("ThresholdedRelu"), "Masking": _same,
    "Discretization": _bucketed, "CategoryEncoding": _categories, "StringLookup": _numbered,
    "IntegerLookup": _numbered, "TextVectorization": _numbered,
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
                     "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
                     "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomCrop",
                     "RandomTranslation", "RandomBrightness", "RandomHeight", "RandomWidth",
                     "Identity"), _same),
}  # fmt: skip
"""What only acts in training leaves a value as it is."""


def _chain(b: _Builder, op: str, values: list[int]) -> int:
    made = values[0]
    for value in values[1:]:
        made = b.w.op(op, made, value)
    return made


_SAME: Final = {
    "truedivide": "divide", "div": "divide", "truediv": "divide", "realdiv": "divide",
    "sub": "subtract", "mul": "multiply", "pow": "power", "reducesum": "sum",
    "reducemean": "mean", "reducemax": "max", "reducemin": "min", "reduceprod": "prod",
    "reduceany": "any", "reduceall": "all", "wherev2": "where", "concat": "concatenate",
    "abs": "absolute", "neg": "negative", "gather": "take", "clipbyvalue": "clip",
    "addv2": "add", "amax": "max", "amin": "min", "mod": "remainder", "floormod": "remainder",
    "_getitem": "getitem", "getitem__": "getitem",
}  # fmt: skip
_BINARY: Final = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow",
    "maximum": "Max", "minimum": "Min", "equal": "Equal", "notequal": "NotEqual", "less": "Less",
    "lessequal": "LessOrEqual", "greater": "Greater", "greaterequal": "GreaterOrEqual",
    "logicaland": "And", "logicalor": "Or", "logicalxor": "Xor", "remainder": "Mod",
    "bitwiseand": "BitwiseAnd", "bitwiseor": "BitwiseOr", "bitwisexor": "BitwiseXor",
    "matmul": "MatMul",
}  # fmt: skip
_UNARY: Final = {
    "absolute": "Abs", "negative": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "sign": "Sign", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu",
    "softplus": "Softplus", "elu": "Elu", "selu": "Selu", "gelu": "Gelu", "erf": "Erf",
    "reciprocal": "Reciprocal", "logicalnot": "Not", "stopgradient": "Identity",
    "identity": "Identity", "shape": "Shape", "isnan": "IsNaN", "isinf": "IsInf",
}  # fmt: skip
_REDUCED: Final = {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd", "any": "ReduceMax", "all": "ReduceMin", "norm": "ReduceL2",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip
