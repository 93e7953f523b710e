"""Operations of `keras.ops`, and of TensorFlow in a Keras configuration, in operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import ABSENT, Constant
from weighbridge.analysis.keras_arguments import (
    Config,
    Cut,
    Value,
    kind_of,
    numbers_in,
    sizes_of,
    values_in,
)
from weighbridge.analysis.tensorflow_writer import Writer

WEIGHTS: Final = (
    "the numbers of its layers, which Keras keeps in another file: layers that were made by hand "
    "pass for learned ones"
)


class Spelling:
    """Spells out operations, and what layers are made of, in the graph that `w` writes."""

    def __init__(self) -> None:
        self.w = Writer()

    def weight(self, what: str, *shape: Any) -> int:
        """Numbers that stand in another file, which is not read."""
        self.w.leave_out(WEIGHTS)
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
        """With a bias and what is done to it, as a layer says them."""
        if config.get("use_bias", True):
            value = self.w.op("Add", value, self.weight("bias", width))
        return self.activation(config.get("activation"), value)

    def activation(self, said: Any, value: int) -> int:
        """What is done to a layer's result: a function by name, or a layer."""
        if isinstance(said, dict):  # a function by name, or a layer
            inner = said.get("config")
            name = said.get("class_name")
            said = inner if isinstance(inner, str) and name == "function" else name
        return self.w.activation(str(said or "linear"), value)

    # Operations --------------------------------------------------------------------------------

    def operand(self, given: Any, like: int = ABSENT) -> int:
        """A value or a constant, as an argument says it."""
        if isinstance(given, Value):
            return given.number
        if isinstance(given, bool):
            return self.w.held("bool", (int(given),))
        if isinstance(given, int | float):
            type = self.w.type(like) if like != ABSENT else ""
            return self.w.held(type or "float32", (given,))
        if isinstance(given, list):
            if any(values_in(given)):
                return self.w.stack([self.operand(g) for g in given], 0)
            numbers = list(numbers_in(given))
            return self.w.held(kind_of(numbers), numbers, sizes_of(given))
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
        rest = [v for k, v in kwargs.items() if isinstance(v, Value)
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
            axes = {} if axis is None else {"axes": tuple(numbers_in(axis))}
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
            return [w.unsqueeze(x, *numbers_in(said.get("axis", flat[1:2])))]
        if plain == "squeeze":
            axis = said.get("axis")
            return [w.squeeze(x, *(() if axis is None else numbers_in(axis)))]
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
            parts = [v for v, a in zip(values, flat, strict=False) if isinstance(a, Value)]
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
            elif isinstance(key, Cut):
                step[place] = int(key.step) if key.step is not None else 1
                begin[place] = int(key.start or 0)
                end[place] = int(key.stop) if key.stop is not None else 0
                masks[0] |= bit if key.start is None else 0
                masks[1] |= bit if key.stop is None else 0
            elif isinstance(key, Value):
                return w.op("Gather", value, key.number, axis=place)
            else:
                begin[place] = int(key)
                masks[4] |= bit
        return w.strided_slice(value, w.ints(*begin), w.ints(*end), w.ints(*step), masks)


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
