"""Torch's operators on numbers, one by one or reduced, in those of ONNX."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from weighbridge.analysis.aten import UNKNOWN, Call, Plain, Ref, Rule, Untranslated

_UNARY: Final = {
    "abs": "Abs", "neg": "Neg", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp",
    "log": "Log", "sqrt": "Sqrt", "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sign": "Sign", "sgn": "Sign", "reciprocal": "Reciprocal", "isnan": "IsNaN",
    "isinf": "IsInf", "mish": "Mish", "softsign": "Softsign", "hardswish": "HardSwish",
    "selu": "Selu", "negative": "Neg", "absolute": "Abs",
    "arctan": "Atan", "special_erf": "Erf", "sym_float": "",
    "expit": "Sigmoid", "special_expit": "Sigmoid", "quantize_per_tensor": "QuantizeLinear",
    "dequantize": "DequantizeLinear", "celu": "Celu", "erfinv": "Erf",
}  # fmt: skip
_BINARY: Final = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "true_divide": "Div", "pow": "Pow",
    "maximum": "Max", "minimum": "Min", "eq": "Equal", "lt": "Less", "le": "LessOrEqual",
    "gt": "Greater", "ge": "GreaterOrEqual", "remainder": "Mod", "fmod": "Mod", "fmax": "Max",
    "fmin": "Min", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "greater": "Greater",
    "less": "Less", "xlogy": "Mul", "not_equal": "",
}  # fmt: skip
_BITS: Final = {
    "and": ("And", "BitwiseAnd"), "or": ("Or", "BitwiseOr"), "xor": ("Xor", "BitwiseXor"),
}  # fmt: skip
_PLAIN: Final[dict[str, Callable[..., Any]]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "pow": operator.pow, "eq": operator.eq, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "ne": operator.ne, "remainder": operator.mod,
    "floor_divide": operator.floordiv, "floordiv": operator.floordiv, "neg": operator.neg,
    "floor": math.floor, "ceil": math.ceil, "sqrt": math.sqrt, "truediv": operator.truediv,
    "maximum": max, "minimum": min, "logical_not": operator.not_, "exp": math.exp, "log": math.log,
    "rsub": lambda a, b: b - a, "true_divide": operator.truediv, "and": lambda a, b: a and b,
    "or": lambda a, b: a or b, "abs": abs, "mod": operator.mod,
}  # fmt: skip
LARGEST: Final = 1 << 80


def _known(c: Call) -> Plain | None:
    """The result where all that is given is known."""
    given = c.all
    if not given or any(isinstance(g, Ref | list | tuple) for g in given):
        return None
    work = _PLAIN.get(c.name.strip("_"))
    numbers = [g for g in given if g is not None and not isinstance(g, str)]
    if c.name in ("eq", "ne") and len(given) == 2:
        return Plain(_PLAIN[c.name](given[0], given[1]))
    if work is None or not all(isinstance(g, int | float) for g in numbers):
        return None
    if any(abs(n) > LARGEST for n in numbers) or (c.name == "pow" and max(map(abs, numbers)) > 999):
        raise Untranslated
    return Plain(work(*numbers[:2]))


def _unary(op: str) -> Rule:
    def rule(c: Call) -> Any:
        found = _known(c)
        if found is None and (c["decimals"] or c.get("alpha", 1) != 1):
            c.roughly()
        return found if found is not None else c.w.op(op, c.x("self"), shape=c.first)

    return rule


def _pair(c: Call) -> tuple[int, int]:
    """Both sides; a plain number takes the type of the other."""
    first, second = c["self"], c["other"]
    if isinstance(first, Ref):
        left = c.x("self")
        return left, c.value(second, left)
    right = c.x("other")
    return c.value(first, right), right


def cut_off(c: Call, x: int) -> int:
    """A number without what stands behind its point."""
    below = c.w.op("Less", x, c.w.number(0.0))
    return c.w.op("Where", below, c.w.op("Ceil", x), c.w.op("Floor", x), shape=c.first)


def _binary(op: str) -> Rule:
    def rule(c: Call) -> Any:
        found = _known(c)
        if found is not None:
            return found
        left, right = _pair(c)
        alpha = c["alpha"]
        if isinstance(alpha, int | float) and alpha != 1:
            right = c.w.op("Mul", right, c.value(alpha, right))
        mode = c["rounding_mode"]
        more = {"rounding": mode or "none"} if op == "Div" else {}
        if c.name == "fmod":
            more = {"fmod": 1}
        made = c.w.op(op, left, right, shape=c.first, **more)
        if mode == "trunc" and not (c.w.is_whole(left) and c.w.is_whole(right)):
            return cut_off(c, made)
        return c.w.op("Floor", made) if mode in ("floor", "trunc") else made

    return rule


def _compared_lists(c: Call) -> Any:
    """`eq` and `ne` of lists that are known."""
    first, second = c["self"], c["other"]
    if isinstance(first, list) and isinstance(second, list):
        if any(isinstance(v, Ref) for v in (*first, *second)):
            return Plain(UNKNOWN if len(first) == len(second) else c.name == "ne")
        return Plain((first == second) == (c.name == "eq"))
    made = _binary("Equal")(c)
    if c.name == "eq" or isinstance(made, Plain):
        return made
    return c.w.op("Not", made, shape=c.first)


def _floor_divide(c: Call) -> Any:
    found = _known(c)
    if found is not None:
        return found
    left, right = _pair(c)
    made = c.w.op("Div", left, right, rounding="floor")
    return made if c.w.is_whole(left) and c.w.is_whole(right) else c.w.op("Floor", made)


def _rsub(c: Call) -> Any:
    found = _known(c)
    if found is not None:
        return found
    left, right = _pair(c)
    if c.get("alpha", 1) != 1:
        c.roughly()
    return c.w.op("Sub", right, left, shape=c.first)


def _bits(truths: str, whole: str) -> Rule:
    def rule(c: Call) -> Any:
        found = _known(c)
        if found is not None:
            return found
        left, right = _pair(c)
        if "bool" in (c.w.type(left), c.w.type(right)) or c.name.startswith("logical"):
            return c.w.op(truths, c.w.truth(left), c.w.truth(right), shape=c.first)
        return c.w.op(whole, left, right, shape=c.first)

    return rule


def _not(c: Call) -> Any:
    found = _known(c)
    if found is not None:
        return found
    value = c.x("self")
    if c.name == "bitwise_not" and c.w.is_whole(value):
        return c.w.op("BitwiseNot", value)
    if c.name == "bitwise_not" and c.w.type(value) != "bool":
        c.roughly()
    return c.w.op("Not", c.w.truth(value), shape=c.first)


def _shift(direction: str) -> Rule:
    def rule(c: Call) -> Any:
        left, right = _pair(c)
        return c.w.op("BitShift", left, right, direction=direction, shape=c.first)

    return rule


def _silu(c: Call) -> Any:
    x = c.x("self")
    return c.w.op("Mul", x, c.w.op("Sigmoid", x), shape=c.first)


def _gelu(c: Call) -> Any:
    said = c.get("approximate", "none")
    return c.w.op("Gelu", c.x("self"), approximate=str(said), shape=c.first)


def _hard_sigmoid(c: Call) -> Any:
    return c.w.op("HardSigmoid", c.x("self"), alpha=1 / 6, beta=0.5, shape=c.first)


def _softplus(c: Call) -> Any:
    if c.get("beta", 1) != 1 or c.get("threshold", 20) < 10:
        c.roughly()
    return c.w.op("Softplus", c.x("self"))


def _glu(c: Call) -> Any:
    x, axis = c.x("self"), c.whole("dim", -1)
    first, gate = c.w.ops("Split", 2, x, axis=axis, shapes=[c.first] * 2)
    return c.w.op("Mul", first, c.w.op("Sigmoid", gate))


def _leaky(c: Call) -> Any:
    return c.w.op("LeakyRelu", c.x("self"), alpha=float(c.get("negative_slope", 0.01)))


def _elu(c: Call) -> Any:
    if c.get("scale", 1) != 1 or c.get("input_scale", 1) != 1:
        c.roughly()
    return c.w.op("Elu", c.x("self"), alpha=float(c.get("alpha", 1.0)))


def _prelu(c: Call) -> Any:
    x, weight = c.x("self"), c.x("weight")
    rank, shape = c.w.rank(x), c.w.shape(weight)
    if shape is not None and len(shape) == 1 and shape != (1,):  # one for each channel
        if rank is None:
            c.roughly()
        elif rank > 2:
            weight = c.w.unsqueeze(weight, *range(1, rank - 1))
    return c.w.op("PRelu", x, weight)


def _threshold(c: Call) -> Any:
    x = c.x("self")
    above = c.w.op("Greater", x, c.value(c["threshold"], x))
    return c.w.op("Where", above, x, c.value(c["value"], x))


def _clamp(c: Call) -> Any:
    x = c.x("self")
    low = c.value(c["min"], x) if c["min"] is not None else -1
    high = c.value(c["max"], x) if c["max"] is not None else -1
    return c.w.op("Clip", x, low, *((high,) if high != -1 else ()), shape=c.first)


def _clamp_one(key: str) -> Rule:
    def rule(c: Call) -> Any:
        x = c.x("self")
        bound = c.value(c[key], x)
        return c.w.op("Clip", x, *((bound,) if key == "min" else (-1, bound)), shape=c.first)

    return rule


def _bounded(low: float, high: float) -> Rule:
    def rule(c: Call) -> Any:
        x = c.x("self")
        bottom, top = float(c.get("min_val", low)), float(c.get("max_val", high))
        return c.w.op("Clip", x, c.w.number(bottom), c.w.number(top))

    return rule


def _log1p(c: Call) -> Any:
    return c.w.op("Log", c.w.op("Add", c.x("self"), c.w.number(1.0)))


def _expm1(c: Call) -> Any:
    return c.w.op("Sub", c.w.op("Exp", c.x("self")), c.w.number(1.0))


def _exp2(c: Call) -> Any:
    return c.w.op("Pow", c.w.number(2.0), c.x("self"))


def _log_of(base: float) -> Rule:
    return lambda c: c.w.op("Div", c.w.op("Log", c.x("self")), c.w.number(math.log(base)))


def _rsqrt(c: Call) -> Any:
    return c.w.op("Reciprocal", c.w.op("Sqrt", c.x("self")), shape=c.first)


def _square(c: Call) -> Any:
    x = c.x("self")
    return c.w.op("Mul", x, x)


def _atan2(c: Call) -> Any:
    return c.w.op("Atan", c.w.op("Div", c.x("self"), c.x("other")))


def _addcmul(op: str) -> Rule:
    def rule(c: Call) -> Any:
        product = c.w.op(op, c.x("tensor1"), c.x("tensor2"))
        if c.get("value", 1) != 1:
            product = c.w.op("Mul", product, c.value(c["value"], product))
        return c.w.op("Add", c.x("self"), product)

    return rule


def _lerp(c: Call) -> Any:
    x = c.x("self")
    gap = c.w.op("Mul", c.w.op("Sub", c.x("end"), x), c.value(c["weight"], x))
    return c.w.op("Add", x, gap)


def _where(c: Call) -> Any:
    if c["self"] is None and c["other"] is None:
        return c.w.op("NonZero", c.x("condition"))
    like = next((r.number for r in (c["self"], c["other"]) if isinstance(r, Ref)), -1)
    yes, no = c.value(c["self"], like), c.value(c["other"], like)
    return c.w.op("Where", c.w.truth(c.x("condition")), yes, no, shape=c.first)


def _masked_fill(c: Call) -> Any:
    x = c.x("self")
    return c.w.op("Where", c.w.truth(c.x("mask")), c.value(c["value"], x), x, shape=c.first)


def _isfinite(c: Call) -> Any:
    return c.w.op("Not", c.w.op("Or", c.w.op("IsInf", c.x("self")), c.w.op("IsNaN", c.x("self"))))


# Reductions --------------------------------------------------------------------------------------


def _axes(c: Call, key: str = "dim") -> tuple[int, ...]:
    value = c[key]
    return () if value is None or value == [] or isinstance(value, bool) else c.ints(key)


def _reduce(op: str) -> Rule:
    def rule(c: Call) -> Any:
        return _reduced(c, op, c.x("self"))

    return rule


def _reduced(c: Call, op: str, x: int) -> int:
    axes = () if isinstance(c["dim"], Ref) else _axes(c)
    keep = int(bool(c.get("keepdim", False)))
    more = (c.w.numbers(axes),) if axes else ()
    made = c.w.op(op, x, *more, keepdims=keep, shape=c.first)
    return c.w.cast(made, c.dtype()) if c.dtype() else made


def _truths(op: str) -> Rule:
    return lambda c: _reduced(c, op, c.w.truth(c.x("self")))


def _variance(root: bool) -> Rule:
    def rule(c: Call) -> Any:
        x, axes = c.x("self"), _axes(c)
        more = (c.w.numbers(axes),) if axes else ()
        off = c.w.op("Sub", x, c.w.op("ReduceMean", x, *more, keepdims=1))
        keep = int(bool(c.get("keepdim", False)))
        made = c.w.op("ReduceMean", c.w.op("Mul", off, off), *more, keepdims=keep, shape=c.first)
        less = int(c["dim"]) if isinstance(c["dim"], bool) else c.get("correction", 1)
        if less:
            made = _unbiased(c, made, axes, float(less))
        made = c.w.op("Sqrt", made) if root else made
        if not c.name.endswith("_mean"):
            return made
        return made, c.w.op("ReduceMean", x, *more, keepdims=keep)

    return rule


def _unbiased(c: Call, made: int, axes: tuple[int, ...], less: float) -> int:
    """A mean of squares, as if it had been divided by so much less than their number."""
    shape = c.w.shape(c.x("self"))
    sizes = [shape[a] for a in axes or range(len(shape))] if shape is not None else [""]
    count = math.prod(s for s in sizes if isinstance(s, int))
    if not all(isinstance(s, int) for s in sizes) or count <= less:
        c.roughly()
        return made
    return c.w.op("Mul", made, c.w.number(count / (count - less)))


def _norm(c: Call) -> Any:
    if c.name == "linalg_norm" and c["ord"] is not None:
        c.roughly()
    order = c.get("p", c.get("ord", 2))
    op = {1: "ReduceL1", 2: "ReduceL2"}.get(order)
    if op is None and order in (math.inf, -math.inf):
        absolute = c.w.op("Abs", c.x("self"))
        return _reduced(c, "ReduceMax" if order > 0 else "ReduceMin", absolute)
    if op is None:
        raise Untranslated
    return _reduced(c, op, c.x("self"))


def _extreme(op: str, pick: str, pair: str) -> Rule:
    """`max` of a tensor, of two, or along an axis with the places."""

    def rule(c: Call) -> Any:
        found = _known(c)
        if found is not None or isinstance(c["self"], list):
            if isinstance(c["self"], list) and not any(isinstance(v, Ref) for v in c["self"]):
                return Plain((max if op == "ReduceMax" else min)(c["self"]))
            return found
        x, second = c.x("self"), c.get("dim", c["other"])
        if second is None:
            return c.w.op(op, x, keepdims=0, shape=c.first)
        if isinstance(second, Ref) or isinstance(c["other"], int | float):
            return c.w.op(pair, x, c.value(second, x), shape=c.first)
        keep = int(bool(c.get("keepdim", False)))
        best = c.w.op(op, x, c.w.numbers((second,)), keepdims=keep, shape=c.first)
        return best, c.w.op(pick, x, axis=second, keepdims=keep)

    return rule


def _arg(pick: str) -> Rule:
    def rule(c: Call) -> Any:
        x, keep = c.x("self"), int(bool(c.get("keepdim", False)))
        if c["dim"] is None:
            if keep:
                c.roughly()
            flat = c.w.op("Reshape", x, c.w.numbers((-1,)))
            return c.w.op(pick, flat, axis=0, keepdims=0)
        return c.w.op(pick, x, axis=c.whole("dim"), keepdims=keep, shape=c.first)

    return rule


def _softmax(op: str) -> Rule:
    def rule(c: Call) -> Any:
        x = c.w.cast(c.x("self"), c.dtype()) if c.dtype() else c.x("self")
        return c.w.op(op, x, axis=c.whole("dim", -1), shape=c.first)

    return rule


def _cumsum(c: Call) -> Any:
    made = c.w.op("CumSum", c.x("self"), c.w.number(c.whole("dim")), shape=c.first)
    return c.w.cast(made, c.dtype()) if c.dtype() else made


def _topk(c: Call) -> Any:
    count = c.w.unsqueeze(c.x("k"), 0) if isinstance(c["k"], Ref) else c.w.numbers((c.whole("k"),))
    shapes = [*c.shapes[:2], None, None][:2]
    more = {} if c.get("largest", True) else {"largest": 0}
    return c.w.ops("TopK", 2, c.x("self"), count, axis=c.whole("dim", -1), shapes=shapes, **more)


def _sort(c: Call) -> Any:
    x, axis = c.x("self"), c.whole("dim", -1)
    shape = c.w.shape(x)
    size = shape[axis] if shape else None
    if isinstance(size, int):
        count = c.w.numbers((size,))
    else:
        at = c.w.numbers((axis,))
        count = c.w.op("Gather", c.w.op("Shape", x), at, axis=0)
    more = {"largest": int(bool(c.get("descending", False)))}
    made = c.w.ops("TopK", 2, x, count, axis=axis, shapes=[shape, shape], **more)
    return made[1] if c.name == "argsort" else made


def _cosine(c: Call) -> Any:
    a, b = c.x("x1"), c.x("x2")
    axis = c.w.numbers((c.whole("dim", 1),))
    dot = c.w.op("ReduceSum", c.w.op("Mul", a, b), axis, keepdims=0)
    sizes = c.w.op("Mul", *(c.w.op("ReduceL2", v, axis, keepdims=0) for v in (a, b)))
    return c.w.op("Div", dot, c.w.op("Max", sizes, c.w.number(float(c.get("eps", 1e-8)))))


def _distance(c: Call) -> Any:
    if c.get("p", 2) != 2:
        c.roughly()
    off = c.w.op("Add", c.w.op("Sub", c.x("x1"), c.x("x2")), c.w.number(float(c.get("eps", 1e-6))))
    keep = int(bool(c.get("keepdim", False)))
    return c.w.op("ReduceL2", off, c.w.numbers((-1,)), keepdims=keep)


def _cdist(c: Call) -> Any:
    if c.get("p", 2) != 2:
        c.roughly()
    off = c.w.op("Sub", c.w.unsqueeze(c.x("x1"), -2), c.w.unsqueeze(c.x("x2"), -3))
    return c.w.op("ReduceL2", off, c.w.numbers((-1,)), keepdims=0)


def _equal_all(c: Call) -> Any:
    same = c.w.op("Equal", c.x("self"), c.x("other"))
    return c.w.op("ReduceMin", same, keepdims=0)


_TWO: Final = "self other alpha"
NUMBERS: Final[dict[str, tuple[str, Rule]]] = {
    **{name: ("self", _unary(op)) for name, op in _UNARY.items() if op},
    **{name: (_TWO, _binary(op)) for name, op in _BINARY.items() if op},
    **{f"{kind}_{name}": ("self other", _bits(*ops)) for kind in ("logical", "bitwise")
       for name, ops in _BITS.items()},
    **{f"__{name}__": ("self other", _bits(*ops)) for name, ops in _BITS.items()},
    "eq": ("self other", _compared_lists), "ne": ("self other", _compared_lists),
    "pow": ("self exponent", lambda c: _power(c)), "div": ("self other", _binary("Div")),
    "floor_divide": ("self other", _floor_divide), "floordiv": ("self other", _floor_divide),
    "rsub": (_TWO, _rsub), "logical_not": ("self", _not), "bitwise_not": ("self", _not),
    "__not__": ("self", _not),
    "bitwise_left_shift": ("self other", _shift("LEFT")),
    "__lshift__": ("self other", _shift("LEFT")),
    "bitwise_right_shift": ("self other", _shift("RIGHT")),
    "__rshift__": ("self other", _shift("RIGHT")),
    "silu": ("self", _silu), "swish": ("self", _silu),
    "softplus": ("self beta threshold", _softplus), "hardsigmoid": ("self", _hard_sigmoid),
    "gelu": ("self approximate", _gelu), "round": ("self decimals", _unary("Round")),
    "celu": ("self alpha", _unary("Celu")),
    "glu": ("self dim", _glu),
    "leaky_relu": ("self negative_slope", _leaky),
    "elu": ("self alpha scale input_scale", _elu),
    "prelu": ("self weight", _prelu), "_prelu_kernel": ("self weight", _prelu),
    "threshold": ("self threshold value", _threshold), "clamp": ("self min max", _clamp),
    "clip": ("self min max", _clamp), "clamp_min": ("self min", _clamp_one("min")),
    "clamp_max": ("self max", _clamp_one("max")), "relu6": ("self", _bounded(0.0, 6.0)),
    "hardtanh": ("self min_val max_val", _bounded(-1.0, 1.0)), "log1p": ("self", _log1p),
    "expm1": ("self", _expm1), "exp2": ("self", _exp2), "log2": ("self", _log_of(2.0)),
    "log10": ("self", _log_of(10.0)), "rsqrt": ("self", _rsqrt), "square": ("self", _square),
    "atan2": ("self other", _atan2),
    "addcmul": ("self tensor1 tensor2 value", _addcmul("Mul")),
    "addcdiv": ("self tensor1 tensor2 value", _addcmul("Div")), "lerp": ("self end weight", _lerp),
    "where": ("condition self other", _where), "masked_fill": ("self mask value", _masked_fill),
    "isfinite": ("self", _isfinite),
    "sum": ("self dim keepdim dtype", _reduce("ReduceSum")),
    "nansum": ("self dim keepdim dtype", _reduce("ReduceSum")),
    "mean": ("self dim keepdim dtype", _reduce("ReduceMean")),
    "prod": ("self dim keepdim dtype", _reduce("ReduceProd")),
    "amax": ("self dim keepdim", _reduce("ReduceMax")),
    "amin": ("self dim keepdim", _reduce("ReduceMin")),
    "logsumexp": ("self dim keepdim", _reduce("ReduceLogSumExp")),
    "any": ("self dim keepdim", _truths("ReduceMax")),
    "all": ("self dim keepdim", _truths("ReduceMin")),
    "std": ("self dim correction keepdim", _variance(True)),
    "var": ("self dim correction keepdim", _variance(False)),
    "var_mean": ("self dim correction keepdim", _variance(False)),
    "std_mean": ("self dim correction keepdim", _variance(True)),
    "norm": ("self p dim keepdim dtype", _norm), "linalg_norm": ("self ord dim keepdim", _norm),
    "linalg_vector_norm": ("self ord dim keepdim dtype", _norm),
    "max": ("self dim keepdim", _extreme("ReduceMax", "ArgMax", "Max")),
    "min": ("self dim keepdim", _extreme("ReduceMin", "ArgMin", "Min")),
    "argmax": ("self dim keepdim", _arg("ArgMax")), "argmin": ("self dim keepdim", _arg("ArgMin")),
    "softmax": ("self dim dtype", _softmax("Softmax")),
    "_softmax": ("self dim half_to_float", _softmax("Softmax")),
    "_safe_softmax": ("self dim dtype", _softmax("Softmax")),
    "log_softmax": ("self dim dtype", _softmax("LogSoftmax")),
    "_log_softmax": ("self dim half_to_float", _softmax("LogSoftmax")),
    "cumsum": ("self dim dtype", _cumsum), "topk": ("self k dim largest sorted", _topk),
    "sort": ("self dim descending", _sort), "argsort": ("self dim descending", _sort),
    "cosine_similarity": ("x1 x2 dim eps", _cosine),
    "pairwise_distance": ("x1 x2 p eps keepdim", _distance),
    "cdist": ("x1 x2 p", _cdist), "_cdist_forward": ("x1 x2 p", _cdist), "equal": ("self other",
    _equal_all),
}  # fmt: skip


def _power(c: Call) -> Any:
    c.given["other"] = c["exponent"]
    return _binary("Pow")(c)
