"""Writes the computation graphs of TensorFlow and its relatives.

What they compute is spelt out in operators of ONNX: pictures with the
channels last are transposed around what ONNX does with the channels first, fused activations are
operations of their own, and cutting with masks becomes slices, choices and new axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from weighbridge.analysis.computation_graph import (
    ABSENT,
    ComputationGraph,
    Constant,
    Numbers,
    Operation,
    Shape,
)
from weighbridge.analysis.graph_writer import DEPTH, ONNX_TYPES, OPERATIONS, TOO_MUCH

TO_END: Final = (1 << 63) - 1
BEYOND: Final = 1 << 64
AXES: Final = 32
"""In how many axes something is cut at once at most."""
OUTPUTS: Final = 4_096
SMALL: Final = 4_096
"""Up to how many numbers of a constant are worked with when a graph is laid out."""
TYPES: Final = {**ONNX_TYPES, "string": 8, "complex64": 14, "complex128": 15}
"""ONNX's numbers of the element types, with those that torch has no use for."""
Size = tuple[int, ...]
FOLLOWED: Final = 64
"""How many numbers, and how many operations, are worked with to find an axis."""
_PLAIN: Final = frozenset({
    "Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Concat", "Range", "Gather",
})  # fmt: skip
_WORKED: Final[dict[str, tuple[int, Callable[..., float]]]] = {
    "Add": (2, lambda a, b: a + b), "Sub": (2, lambda a, b: a - b), "Mul": (2, lambda a, b: a * b),
    "Less": (2, lambda a, b: a < b), "Greater": (2, lambda a, b: a > b),
    "GreaterOrEqual": (2, lambda a, b: a >= b), "Equal": (2, lambda a, b: a == b),
    "Where": (3, lambda a, b, c: b if a else c),
}  # fmt: skip


def _plainly(op: str, given: list[Numbers]) -> Numbers | None:
    """What moving numbers about comes to."""
    if op == "Concat":
        return tuple(n for part in given for n in part)
    if op == "Range":
        bounds = [int(p[0]) for p in given if len(p) == 1]
        if len(bounds) < 3 or not bounds[2]:
            return None
        counted = range(*bounds)
        return tuple(counted) if len(counted[: FOLLOWED + 1]) <= FOLLOWED else None
    if op == "Gather":
        values, places = given[0], [int(n) for n in given[1]]
        inside = all(-len(values) <= n < len(values) for n in places)
        return tuple(values[n] for n in places) if inside else None
    return given[0]


class Writer:
    """Adds operations to a graph. Values are known by their numbers; `origin` are the functions
    and bodies that what comes next stands in."""

    def __init__(self) -> None:
        self.graph = ComputationGraph()
        self.origin: tuple[str, ...] = ()
        self.label = ""
        """What the file calls the step that is being spelt out."""
        self.rough = ""
        """What the step is, where it is written so that it depends on the same, but does not
        compute the same."""
        self.steps = 0

    def goes_on(self) -> bool:
        """Count a step. False, and said in the graph, once there are too many or too deep ones."""
        self.steps += 1  # a call that comes to nothing counts too: calls of calls multiply
        if self.steps <= OPERATIONS and len(self.origin) <= DEPTH:
            return True
        self.leave_out(TOO_MUCH)
        return False

    def leave_out(self, what: str) -> None:
        """Say, once, what is not in the graph."""
        if what not in self.graph.left_out:
            self.graph.left_out.append(what)

    # Values ------------------------------------------------------------------------------------

    def input(self, name: str, type: str, shape: Shape | None) -> int:
        """A new input of the model."""
        self.steps += 1
        number = self.graph.value(name, type, shape)
        self.graph.inputs.append(number)
        return number

    def constant(self, name: str, constant: Constant) -> int:
        """A constant that stands in the file."""
        return self.graph.constant(name, constant)

    def ints(self, *numbers: int) -> int:
        """A list of whole numbers."""
        return self.held("int64", numbers, (len(numbers),))

    def held(self, type: str, numbers: Sequence[float], shape: Size = ()) -> int:
        """Numbers that the format means without writing them down."""
        bounded = tuple(n if -BEYOND < n < BEYOND else float("nan") for n in numbers)
        return self.graph.constant("", Constant(type, shape, held=bounded))

    def numbers(self, value: int, limit: int = SMALL) -> Numbers | None:
        """The numbers of a constant, None where it is none or they cannot be read."""
        if value == ABSENT:
            return None
        constant = self.graph.values[value].constant
        return constant.numbers(limit) if constant is not None else None

    def whole(self, value: int) -> Size | None:
        """The numbers of a constant, or of what follows from constants, if they are whole ones."""
        found = self.numbers(value)
        if found is None and value != ABSENT:
            found = self._follows(value, [FOLLOWED])
        if found is None or not all(n == n and abs(n) < 1 << 63 for n in found):
            return None
        return tuple(int(n) for n in found)

    def _follows(self, value: int, left: list[int]) -> Numbers | None:
        """What few operations on constants come to: axes and orders of axes are worked out in the
        graph itself."""
        left[0] -= 1
        if value == ABSENT or left[0] < 0:
            return None
        entry = self.graph.values[value]
        if entry.constant is not None:
            return entry.constant.numbers(FOLLOWED)
        if entry.producer == ABSENT:
            return None
        made = self.graph.operations[entry.producer]
        if made.op == "Size":  # of a shape: how many axes there are
            producer = self.graph.values[made.inputs[0]].producer
            of = self.graph.operations[producer] if producer != ABSENT else made
            shape = self.shape(of.inputs[0]) if of.op == "Shape" else None
            return None if shape is None else (len(shape),)
        if made.op not in _PLAIN and made.op not in _WORKED:
            return None
        parts = [self._follows(i, left) for i in made.inputs]
        given = [p for p in parts if p and all(abs(n) < BEYOND for n in p)]
        if len(given) < len(parts) or not given:
            return None
        if made.op in _PLAIN:
            return _plainly(made.op, given)
        size = max(map(len, given))
        if len(given) != _WORKED[made.op][0] or any(len(p) not in (1, size) for p in given):
            return None
        rows = zip(*(p * size if len(p) == 1 else p for p in given), strict=True)
        return tuple(_WORKED[made.op][1](*row) for row in rows)

    def type(self, value: int) -> str:
        """A value's type, as far as it was said."""
        return self.graph.values[value].type if value != ABSENT else ""

    def shape(self, value: int) -> Shape | None:
        """A value's shape, as far as it was said."""
        return self.graph.values[value].shape if value != ABSENT else None

    def stored_shape(self, value: int) -> Shape | None:
        """The shape of a constant, past operations that hand it on."""
        for _ in range(FOLLOWED):
            entry = self.graph.values[value]
            made = self.graph.operations[entry.producer] if entry.producer != ABSENT else None
            if made is None or made.op not in ("Identity", "DequantizeLinear", "Cast"):
                break
            value = made.inputs[0]
        return self.shape(value)

    # Operations --------------------------------------------------------------------------------

    def op(self, op: str, *inputs: int, **attributes: Any) -> int:
        """An operation with one output."""
        return self.ops(op, inputs, 1, **attributes)[0]

    def ops(self, op: str, inputs: Sequence[int], count: int, **attributes: Any) -> list[int]:
        """An operation with `count` outputs."""
        count = min(count, OUTPUTS)
        self.steps += max(0, count - 1)
        given = [i for i in inputs if i != ABSENT]
        type = self.type(given[0]) if given else ""
        outputs = [self.graph.value(self.label, type) for _ in range(count)]
        self.graph.add(
            Operation(
                op, self.label or op, tuple(inputs), tuple(outputs), attributes, self.origin,
                self.rough,
            )
        )  # fmt: skip
        return outputs

    def declare(self, value: int, type: str, shape: Shape | None) -> None:
        """What the file says of a value; nothing is taken back of what is known better."""
        entry = self.graph.values[value]
        if entry.constant is None and entry.producer != ABSENT:
            entry.type = type or entry.type
            entry.shape = shape if shape is not None else entry.shape

    def cast(self, value: int, type: str) -> int:
        """A value in another type."""
        made = self.op("Cast", value, to=TYPES.get(type, 1))
        self.graph.values[made].type = type
        return made

    def transpose(self, value: int, *order: int) -> int:
        """The axes in another order."""
        return self.op("Transpose", value, perm=order)

    def channels_first(self, value: int, spatial: int = 2) -> int:
        """From channels last."""
        return self.transpose(value, 0, spatial + 1, *range(1, spatial + 1))

    def channels_last(self, value: int, spatial: int = 2) -> int:
        """From channels first."""
        return self.transpose(value, 0, *range(2, spatial + 2), 1)

    def clip(self, value: int, low: float, high: float) -> int:
        """Between two bounds."""
        return self.op("Clip", value, self.held("float32", (low,)), self.held("float32", (high,)))

    def compare(self, op: str, one: int, other: int) -> int:
        """A comparison; `NotEqual` is one that ONNX has not."""
        made = self.op("Equal" if op == "NotEqual" else op, one, other)
        self.graph.values[made].type = "bool"
        return self.op("Not", made) if op == "NotEqual" else made

    def square(self, value: int) -> int:
        """A value times itself."""
        return self.op("Mul", value, value)

    def rsqrt(self, value: int) -> int:
        """One over the root."""
        return self.op("Reciprocal", self.op("Sqrt", value))

    def floor_div(self, one: int, other: int) -> int:
        """A quotient, rounded down."""
        made = self.op("Div", one, other, rounding="floor")
        return made if self.type(one).startswith(("int", "uint")) else self.op("Floor", made)

    def reduce(self, op: str, value: int, axes: int, keep: bool, always: bool = True) -> int:
        """A reduction over axes that are a value. `always`: none at all means that nothing is
        reduced."""
        said = self.whole(axes)
        if said == () and always:
            return self.op("Identity", value)
        if said is not None:
            return self.op(op, value, axes=said, keepdims=int(keep))
        return self.op(op, value, axes, keepdims=int(keep))

    def unsqueeze(self, value: int, *axes: int) -> int:
        """With new axes of the size 1."""
        return self.op("Unsqueeze", value, axes=axes)

    def squeeze(self, value: int, *axes: int) -> int:
        """Without axes of the size 1; all of them where none is named."""
        return self.op("Squeeze", value, **({"axes": axes} if axes else {}))

    def reshape(self, value: int, *sizes: int) -> int:
        """In other sizes (0: as it was, -1: the rest)."""
        return self.op("Reshape", value, self.ints(*sizes))

    def stack(self, values: Sequence[int], axis: int) -> int:
        """Several values along a new axis."""
        return self.op("Concat", *(self.unsqueeze(v, axis) for v in values), axis=axis)

    def unstack(self, value: int, count: int, axis: int) -> list[int]:
        """The parts along an axis, without it."""
        return [self.op("Gather", value, self.held("int64", (i,)), axis=axis) for i in range(count)]

    def roughly(self, what: str) -> None:
        """What comes next depends on the same, but does not compute the same."""
        self.rough = self.rough or what

    # What has the channels last ----------------------------------------------------------------

    def window(
        self, strides: Size, padding: str, explicit: Size = (), rates: Size = ()
    ) -> dict[str, Any]:
        """Attributes of what moves over space. `padding` is SAME, VALID or EXPLICIT with the
        amounts before and after each axis in turn."""
        made: dict[str, Any] = {"strides": strides}
        if rates and any(r != 1 for r in rates):
            made["dilations"] = rates
        if padding == "SAME":
            made["auto_pad"] = "SAME_UPPER"
        elif padding == "EXPLICIT" and len(explicit) == 2 * len(strides):
            made["pads"] = (*explicit[::2], *explicit[1::2])
        return made

    def convolve(self, data: int, kernel: int, spatial: int, window: dict[str, Any]) -> int:
        """A convolution of data with the channels last; the kernel stands as ONNX has it."""
        made = self.op("Conv", self.channels_first(data, spatial), kernel, **window)
        return self.channels_last(made, spatial)

    def depthwise(self, data: int, kernel: int, window: dict[str, Any]) -> int:
        """A convolution of each channel for itself; the kernel is rows, columns, channels and how
        many filters there are for each."""
        each = self.reshape(self.transpose(kernel, 2, 3, 0, 1), -1, 1, 0, 0)
        return self.convolve(data, each, 2, window)

    def pool(self, op: str, data: int, size: Size, window: dict[str, Any]) -> int:
        """A pooling of data with the channels last."""
        spatial = len(size)
        made = self.op(op, self.channels_first(data, spatial), kernel_shape=size, **window)
        return self.channels_last(made, spatial)

    def resize(self, data: int, sizes: int, mode: str, places: Sequence[Any] = ()) -> int:
        """A picture in another size; `sizes` are rows and columns. `places` says whether corners
        are put on corners, and whether a place means its middle."""
        said = self.whole(sizes)
        first = self.channels_first(data)
        kept = {"mode": mode}
        if places:
            corners, middle = places
            kept["coordinate_transformation_mode"] = (
                "align_corners" if corners else "half_pixel" if middle else "asymmetric"
            )
            if mode == "nearest":
                kept["nearest_mode"] = "round_prefer_ceil" if corners or middle else "floor"
        made = self.op("Resize", first, ABSENT, ABSENT, sizes, **kept)
        shape = self.shape(data)
        if said is not None and len(said) == 2 and shape is not None and len(shape) == 4:
            self.declare(made, "", (shape[0], shape[3], *said))
        return self.channels_last(made)

    def space_to_depth(self, data: int, block: int, inverse: bool) -> int:
        """Blocks of a picture into channels, or the inverse."""
        op = "DepthToSpace" if inverse else "SpaceToDepth"
        return self.channels_last(self.op(op, self.channels_first(data), blocksize=block))

    def pad(self, data: int, amounts: int, value: int = ABSENT, mode: str = "constant") -> int:
        """Padding; `amounts` are two numbers for each axis."""
        said = self.whole(amounts)
        if said is not None:
            pads = self.ints(*said[::2], *said[1::2])
        else:
            pads = self.reshape(self.transpose(amounts, 1, 0), -1)
        more = [value] if value != ABSENT else []
        return self.op("Pad", data, pads, *more, mode=mode)

    def element(self, values: int, place: int) -> int:
        """One of several along the first axis: a step, where a loop counts the place."""
        counted = place
        for _ in range(8):
            producer = self.graph.values[counted].producer
            if producer == ABSENT:
                break
            made = self.graph.operations[producer]
            if made.op == "Carried":
                return self.op("Step", values, place)
            if made.op not in ("Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze"):
                break
            counted = made.inputs[0]
        return self.op("Gather", values, place, axis=0)

    # Cutting -----------------------------------------------------------------------------------

    def slice(self, data: int, begin: int, size: int) -> int:
        """From places on, so many of each axis (-1: to the end)."""
        first, count = self.whole(begin), self.whole(size)
        if first is not None and count is not None and len(first) == len(count):
            ends = [TO_END if c == -1 else b + c for b, c in zip(first, count, strict=True)]
            return self.op("Slice", data, self.ints(*first), self.ints(*ends))
        return self.op("Slice", data, begin, self.op("Add", begin, size), sized=1)

    def strided_slice(
        self, data: int, begin: int, end: int, strides: int, masks: Sequence[int]
    ) -> int:
        """Cutting as Python writes it. `masks` are bits for each place: of the begin and of the
        end that are not meant, of the ellipsis, of new axes, of axes that are chosen from."""
        starts, ends, steps = self.whole(begin), self.whole(end), self.whole(strides)
        counts = [s for s in (starts, ends, steps) if s is not None]
        if not counts:
            shapes = [self.shape(v) for v in (begin, end, strides)]
            known = [s[0] for s in shapes if s and isinstance(s[0], int)]
            counts = [(0,) * min(known[0], 32)] if known else []
        count = len(counts[0]) if counts else 0
        if not 0 < count <= AXES or steps is None:
            self.roughly("a cut whose steps are only known when it runs")
        if not 0 < count <= AXES:
            return self.op("Slice", data, begin, end)
        no_begin, no_end, dots, new, chosen = masks
        hole = next((i for i in range(count) if dots >> i & 1), count)
        cut: list[tuple[int, int, int, int]] = []
        picked: list[tuple[int, int]] = []
        added: list[int] = []
        for place in range(count):
            if place == hole:
                continue
            front = place < hole
            others = range(place) if front else range(place + 1, count)
            kept = [i for i in others if not new >> i & 1]
            axis = len(kept) if front else -1 - len(kept)
            if new >> place & 1:
                out = [i for i in others if new >> i & 1 or not chosen >> i & 1]
                added.append(len(out) if front else -1 - len(out))
            elif chosen >> place & 1:
                picked.append((axis, self._place(begin, starts, place, False)))
            else:
                step = steps[place] if steps is not None and place < len(steps) else 1
                first = 0 if step > 0 else TO_END
                last = TO_END if step > 0 else -TO_END
                skips_first, skips_last = no_begin >> place & 1, no_end >> place & 1
                if skips_first and skips_last and step == 1:
                    continue
                low = self.ints(first) if skips_first else self._place(begin, starts, place, True)
                high = self.ints(last) if skips_last else self._place(end, ends, place, True)
                cut.append((axis, low, high, step))
        if cut:
            lows, highs = self._joined([c[1] for c in cut]), self._joined([c[2] for c in cut])
            axes, by = self.ints(*(c[0] for c in cut)), self.ints(*(c[3] for c in cut))
            data = self.op("Slice", data, lows, highs, axes, by)
        front_first = sorted((p for p in picked if p[0] >= 0), reverse=True)
        for axis, which in (*front_first, *sorted(p for p in picked if p[0] < 0)):
            data = self.op("Gather", data, which, axis=axis)
        if added:
            data = self.unsqueeze(data, *added)
        return data if cut or picked or added else self.op("Identity", data)

    def _place(self, value: int, known: Size | None, place: int, listed: bool) -> int:
        """One of several places, as a list of one or as a number."""
        shape = (1,) if listed else ()
        if known is not None and place < len(known):
            return self.held("int64", (known[place],), shape)
        return self.op("Gather", value, self.held("int64", (place,), shape), axis=0)

    def _joined(self, parts: Sequence[int]) -> int:
        known = [self.whole(p) for p in parts]
        if all(k is not None for k in known):
            return self.ints(*(n for k in known for n in k or ()))
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def bucket(self, value: int, bounds: Sequence[float]) -> int:
        """The number of the bucket that a value falls in: a place among the bounds."""
        listed = self.held("float32", tuple(bounds), (len(bounds),))
        off = self.op("Sub", self.unsqueeze(value, -1), listed)
        return self.op("ArgMin", self.op("Abs", off), axis=-1, keepdims=0)

    # Activations -------------------------------------------------------------------------------

    def activation(self, name: str, value: int, alpha: float | None = None) -> int:
        """An activation by the name that Keras has for it, or TFLite."""
        name = name.lower()
        if name in ("", "none", "linear"):
            return value
        if name == "relu6":
            return self.clip(value, 0.0, 6.0)
        if name == "relu_n1_to_1":
            return self.clip(value, -1.0, 1.0)
        if name == "relu_0_to_1":
            return self.clip(value, 0.0, 1.0)
        if name in ("swish", "silu"):
            return self.op("Mul", value, self.op("Sigmoid", value))
        if name in ("hard_swish", "hard_silu"):
            return self.op("HardSwish", value)
        if name in ("softmax", "log_softmax"):
            return self.op("Softmax" if name == "softmax" else "LogSoftmax", value, axis=-1)
        if name == "exponential":
            return self.op("Exp", value)
        plain = _ACTIVATIONS.get(name)
        if plain is None:
            return self.op(f"keras::{name}", value)
        if name not in _EXACT:
            self.roughly(name)
        return self.op(plain, value, **({} if alpha is None else {"alpha": alpha}))


_ACTIVATIONS: Final = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "selu": "Selu",
    "gelu": "Gelu", "softplus": "Softplus", "softsign": "Softsign", "sign_bit": "Sign",
    "hard_sigmoid": "HardSigmoid", "leaky_relu": "LeakyRelu", "mish": "Mish", "celu": "Celu",
    "hard_shrink": "Shrink", "soft_shrink": "Shrink", "tanh_shrink": "Shrink",
    "threshold": "ThresholdedRelu",
}  # fmt: skip
_EXACT: Final = frozenset({
    "relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "leaky_relu", "mish",
})  # fmt: skip
"""Those that are what ONNX's operator is without further attributes."""
