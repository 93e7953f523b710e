"""Torch's layers in the operators of ONNX: what has weights, attention, pooling, resizing."""

from __future__ import annotations

import math
from typing import Any, Final

from weighbridge.analysis.aten import Call, Ref, Rule, Untranslated
from weighbridge.analysis.computation_graph import ABSENT


def _linear(c: Call) -> Any:
    made = c.w.op("MatMul", c.x("input"), c.w.transpose(c.x("weight"), (1, 0)), shape=c.first)
    bias = c.maybe("bias")
    return made if bias == ABSENT else c.w.op("Add", made, bias, shape=c.first)


def _matmul(c: Call) -> Any:
    other = next((c[k] for k in ("mat2", "other", "tensor", "vec") if c[k] is not None), None)
    return c.w.op("MatMul", c.x("self"), c.value(other), shape=c.first)


def _addmm(c: Call) -> Any:
    first, second = ("batch1", "batch2") if c["batch1"] is not None else ("mat1", "mat2")
    made = c.w.op("MatMul", c.x(first), c.x(second), shape=c.first)
    if c.get("alpha", 1) != 1:
        made = c.w.op("Mul", made, c.value(c["alpha"], made))
    bias = c.x("self")
    if c.get("beta", 1) != 1:
        if c["beta"] == 0:
            return made
        bias = c.w.op("Mul", bias, c.value(c["beta"], bias))
    return c.w.op("Add", made, bias, shape=c.first)


def _outer(c: Call) -> Any:
    return c.w.op("Mul", c.w.unsqueeze(c.x("self"), -1), c.w.unsqueeze(c.x("vec2"), 0))


def _einsum(c: Call) -> Any:
    equation = c["equation"]
    more = {"equation": equation} if isinstance(equation, str) else {}
    return c.w.op("Einsum", *c.tensors("tensors"), shape=c.first, **more)


def _bilinear(c: Call) -> Any:
    return c.w.op("Einsum", c.x("input1"), c.x("weight"), c.x("input2"), shape=c.first)


def _conv(c: Call) -> Any:
    x, weight, bias = c.x("input"), c.x("weight"), c.maybe("bias")
    given = (x, weight) if bias == ABSENT else (x, weight, bias)
    rank = c.w.rank(weight) or 4
    count = rank - 2
    strides = _each(c, "stride", count, 1)
    rates = _each(c, "dilation", count, 1)
    if c["transposed"] is True or c.name.startswith("conv_transpose"):
        if c.w.rank(x) != rank:
            c.roughly()
        kept = {"pads": _each(c, "padding", count, 0) * 2, "group": c.whole("groups", 1),
                "output_padding": _each(c, "output_padding", count, 0)}  # fmt: skip
        return c.w.op(
            "ConvTranspose", *given, strides=strides, dilations=rates, shape=c.first, **kept
        )
    if isinstance(c["padding"], str):
        auto = c["padding"] == "same"
        shape = c.w.shape(weight) or ()
        wide = [(d - 1) * r if isinstance(d, int) else 0
                for d, r in zip(shape[2:], rates, strict=False)]  # fmt: skip
        pads = (*(w // 2 for w in wide), *(w - w // 2 for w in wide)) if auto else (0,) * 2 * count
    else:
        pads = _each(c, "padding", count, 0) * 2
    if c.w.rank(x) is None:
        c.roughly()
    short = c.w.rank(x) == rank - 1  # a single sample
    if short:
        given = (c.w.unsqueeze(x, 0), *given[1:])
    made = c.w.op(
        "Conv", *given, strides=strides, dilations=rates, pads=pads, group=c.whole("groups", 1),
        shape=None if short else c.first,
    )  # fmt: skip
    return c.w.squeeze(made, 0) if short else made


def _each(c: Call, key: str, count: int, default: int) -> tuple[int, ...]:
    found = c.ints(key) or (default,)
    return found * count if len(found) == 1 else found


def _embedding(c: Call) -> Any:
    return c.w.op("Gather", c.x("weight"), c.x("indices"), axis=0, shape=c.first)


def _embedding_bag(c: Call) -> Any:
    rows = c.w.op("Gather", c.x("weight"), c.x("indices"), axis=0)
    return c.w.op("ReduceMean", rows, c.w.numbers((-2,)), keepdims=0), ABSENT, ABSENT, ABSENT


def _layer_norm(c: Call) -> Any:
    x, weight, bias = c.x("input"), c.maybe("weight"), c.maybe("bias")
    shape = c["normalized_shape"]
    axis = -len(shape) if isinstance(shape, list) else -1
    if weight == ABSENT:
        weight = c.w.op("Expand", c.w.number(1.0), c.vector(shape))
    given = (x, weight) if bias == ABSENT else (x, weight, bias)
    eps = float(c.get("eps", 1e-5))
    made = c.w.op("LayerNormalization", *given, axis=axis, epsilon=eps, shape=c.first)
    return (made, *c.beside(made, 2)) if c.name == "native_layer_norm" else made


def _rms_norm(c: Call) -> Any:
    x, weight = c.x("input"), c.maybe("weight")
    given = (x, weight) if weight != ABSENT else (x, c.w.number(1.0))
    shape = c["normalized_shape"]
    axis = -len(shape) if isinstance(shape, list) else -1
    eps = float(c.get("eps", 1.1920929e-07))
    made = c.w.op("RMSNormalization", *given, axis=axis, epsilon=eps, shape=c.first)
    return (made, *c.beside(made, 1)) if c.name == "_fused_rms_norm" else made


def _batch_norm(c: Call) -> Any:
    parts = [c.x("input")]
    if c["training"] is True or (c.maybe("running_mean") == ABSENT):
        c.roughly()
    shape = c.w.shape(parts[0])
    channels = shape[1] if shape is not None and len(shape) > 1 else 1
    for key, default in (
        ("weight", 1.0),
        ("bias", 0.0),
        ("running_mean", 0.0),
        ("running_var", 1.0),
    ):
        number = c.maybe(key)
        if number == ABSENT:
            number = c.w.number(default)
            if isinstance(channels, int):
                number = c.w.op("Expand", number, c.w.numbers((channels,)))
        parts.append(number)
    eps = float(c.get("eps", 1e-5))
    made = c.w.op("BatchNormalization", *parts, epsilon=eps, shape=c.first)
    native = c.name.startswith(("_native", "native"))
    return (made, *c.beside(made, 2)) if native else made


def _weight_norm(c: Call) -> Any:
    rank, dim = c.w.rank(c.x("v")), c.whole("dim", 0)
    axes = (-1,) if rank is None else tuple(i for i in range(rank) if i != dim % rank)
    if rank is None or dim == -1:
        c.roughly()
    size = c.w.op("ReduceL2", c.x("v"), c.w.numbers(axes), keepdims=1)
    return c.w.op("Mul", c.x("v"), c.w.op("Div", c.x("g"), size), shape=c.w.shape(c.x("v")))


def _group_norm(c: Call) -> Any:
    x, weight, bias = c.x("input"), c.maybe("weight"), c.maybe("bias")
    weight = c.w.number(1.0) if weight == ABSENT else weight
    bias = c.w.number(0.0) if bias == ABSENT else bias
    if ABSENT in (c.maybe("weight"), c.maybe("bias")):
        c.roughly()
    kept = {"num_groups": c.given.get("num_groups", c["group"]), "epsilon": c.get("eps", 1e-5)}
    made = c.w.op("GroupNormalization", x, weight, bias, shape=c.first, **kept)
    return (made, *c.beside(made, 2)) if c.name.startswith("native") else made


def _instance_norm(c: Call) -> Any:
    x, weight, bias = c.x("input"), c.maybe("weight"), c.maybe("bias")
    weight = c.w.number(1.0) if weight == ABSENT else weight
    bias = c.w.number(0.0) if bias == ABSENT else bias
    if ABSENT in (c.maybe("weight"), c.maybe("bias")) or c["use_input_stats"] is False:
        c.roughly()
    eps = float(c.get("eps", 1e-5))
    return c.w.op("InstanceNormalization", x, weight, bias, epsilon=eps, shape=c.first)


def _attention(c: Call) -> Any:
    q, k, v = c.x("query"), c.x("key"), c.x("value")
    mask = c.maybe("attn_mask")
    shape = c.w.shape(q)
    width = shape[-1] if shape and isinstance(shape[-1], int) else 64
    if not shape or not isinstance(shape[-1], int) or c["enable_gqa"] is True or c["dropout_p"]:
        c.roughly()
    scores = c.w.op("MatMul", q, c.w.swap(k, -2, -1))
    scale = float(c.get("scale", 1 / math.sqrt(max(1, width))))
    scores = c.w.op("Mul", scores, c.w.number(scale))
    if c["is_causal"] is True:
        scores = _causal(c, scores)
    if mask != ABSENT:
        if c.w.type(mask) == "bool":
            mask = c.w.op("Where", mask, c.w.number(0.0), c.w.number(-1e30))
        scores = c.w.op("Add", scores, mask)
    made = c.w.op("MatMul", c.w.op("Softmax", scores, axis=-1), v, shape=c.first)
    return (made, *(ABSENT for _ in range(8))) if c.name.startswith("_scaled") else made


def _causal(c: Call, scores: int) -> int:
    """Without what comes later, where the number of places is known."""
    shape = c.w.shape(scores)
    sizes = [d for d in (shape or ())[-2:] if isinstance(d, int)]
    if len(sizes) != 2:
        c.roughly()
        return scores
    ones = c.w.op("Expand", c.w.number(1.0), c.w.numbers(sizes))
    before = c.w.truth(c.w.op("Trilu", ones, upper=0))
    return c.w.op("Where", before, scores, c.w.number(-1e30), shape=shape)


def _encoder_layer(c: Call) -> Any:
    """The fused layer of a transformer's encoder: what it is made of, without the heads."""
    x = c.x("src")
    qkv = c.w.op("MatMul", x, c.w.transpose(c.x("qkv_weight"), (1, 0)))
    qkv = c.w.op("Add", qkv, c.x("qkv_bias"))
    width = c.w.shape(x)
    q, k, v = c.w.ops("Split", 3, qkv, axis=-1, shapes=[width] * 3)
    scores = c.w.op("MatMul", q, c.w.swap(k, -2, -1))
    mask = c.maybe("mask")
    if mask != ABSENT:
        scores = c.w.op("Add", scores, c.w.cast(mask, "float32"))
    mixed = c.w.op("MatMul", c.w.op("Softmax", scores, axis=-1), v)
    mixed = c.w.op("MatMul", mixed, c.w.transpose(c.x("proj_weight"), (1, 0)))
    x = c.w.op("Add", x, c.w.op("Add", mixed, c.x("proj_bias")))
    x = c.w.op("LayerNormalization", x, c.x("norm_weight_1"), c.x("norm_bias_1"), axis=-1)
    wide = c.w.op("MatMul", x, c.w.transpose(c.x("ffn_weight_1"), (1, 0)))
    wide = c.w.op("Relu", c.w.op("Add", wide, c.x("ffn_bias_1")))
    back = c.w.op("MatMul", wide, c.w.transpose(c.x("ffn_weight_2"), (1, 0)))
    x = c.w.op("Add", x, c.w.op("Add", back, c.x("ffn_bias_2")))
    return c.w.op("LayerNormalization", x, c.x("norm_weight_2"), c.x("norm_bias_2"), axis=-1)


def _native_heads(c: Call) -> Any:
    q = c.x("query")
    qkv = c.w.op("MatMul", q, c.w.transpose(c.x("qkv_weight"), (1, 0)))
    qkv = c.w.op("Add", qkv, c.x("qkv_bias"))
    first, second, third = c.w.ops("Split", 3, qkv, axis=-1, shapes=[c.w.shape(q)] * 3)
    scores = c.w.op("Softmax", c.w.op("MatMul", first, c.w.swap(second, -2, -1)), axis=-1)
    mixed = c.w.op("MatMul", scores, third)
    made = c.w.op("MatMul", mixed, c.w.transpose(c.x("proj_weight"), (1, 0)))
    return c.w.op("Add", made, c.x("proj_bias")), scores


def _recurrent(op: str) -> Rule:
    """Layer by layer; the weights keep torch's order of the gates (`analysis/written_cells.py`)."""

    def rule(c: Call) -> Any:
        packed = isinstance(c["hx"], list) and c["hx"] and c["params"] is None
        if packed or not isinstance(c["params"], list) or isinstance(c["params"], Ref):
            raise Untranslated
        x = c.x("input")
        weights = [c.value(p) for p in c["params"]]
        biased, layers = bool(c.get("has_biases", True)), c.whole("num_layers", 1)
        both = 2 if c["bidirectional"] is True else 1
        each = (4 if biased else 2) * both
        if c["train"] is True and c["dropout"]:
            c.roughly()
        kept = {"directions": both, "biased": int(biased),
                "batch_first": int(c["batch_first"] is True)}  # fmt: skip
        if c.name == "rnn_relu":
            kept["activation"] = "Relu"  # type: ignore[assignment]
        given = c["hx"] if isinstance(c["hx"], list) else [c["hx"]]
        starts = [c.value(s) for s in given]
        left: list[tuple[int, ...]] = []
        for layer in range(min(layers, 256)):
            part = weights[layer * each : (layer + 1) * each]
            if len(part) < 2:
                raise Untranslated
            width = c.w.shape(part[1])
            hidden = width[1] if width is not None and len(width) == 2 else "hidden"
            shape = c.w.shape(x)
            size = hidden * both if isinstance(hidden, int) else hidden
            out = (*shape[:-1], size) if shape else None
            own = starts if layers == 1 else [_rows(c, s, layer * both, both) for s in starts]
            x, *states = c.w.ops(op, 3, x, *part, *own, shapes=[out, None, None], **kept)
            left.append(tuple(states))
        ends = [s[0] if layers == 1 else c.w.op("Concat", *s, axis=0)
                for s in zip(*left, strict=True)]  # fmt: skip
        return (x, *ends[: 2 if op == "LSTM" else 1])

    return rule


def _rows(c: Call, value: int, start: int, count: int) -> int:
    return c.w.op("Slice", value, c.w.numbers((start,)), c.w.numbers((start + count,)),
                  c.w.numbers((0,)))  # fmt: skip


def _cell(op: str) -> Rule:
    """One turn of one layer."""

    def rule(c: Call) -> Any:
        states = c["hx"] if isinstance(c["hx"], list) else [c["hx"]]
        shape = c.w.shape(c.value(states[0]))
        biases = [c.x(k) for k in ("b_ih", "b_hh") if c[k] is not None]
        row = [c.w.unsqueeze(c.value(s), 0) for s in states]
        x = c.w.unsqueeze(c.x("input"), 0)
        _, *made = c.w.ops(op, 3, x, c.x("w_ih"), c.x("w_hh"), *biases, *row,
                           directions=1, biased=int(bool(biases)), batch_first=0)  # fmt: skip
        made = [c.w.op("Squeeze", m, axes=(0,), shape=shape) for m in made[: len(states)]]
        return made if len(made) > 1 else made[0]

    return rule


# Pooling and resizing ----------------------------------------------------------------------------


def _pool(op: str, count: int, places: bool = False) -> Rule:
    def rule(c: Call) -> Any:
        kernel = _each(c, "kernel_size", count, 1)
        strides = _each(c, "stride", count, 0)
        strides = kernel if not any(strides) else strides
        pads = _each(c, "padding", count, 0) * 2
        rates = _each(c, "dilation", count, 1)
        kept: dict[str, Any] = {"dilations": rates} if any(r != 1 for r in rates) else {}
        if op == "AveragePool" and any(pads):
            kept["count_include_pad"] = int(c["count_include_pad"] is not False)
        if c["ceil_mode"]:
            kept["ceil_mode"] = 1
        if c.w.rank(c.x("self")) != count + 2 or c["divisor_override"] is not None or (
            op == "AveragePool" and c["ceil_mode"]
        ):  # fmt: skip
            c.roughly()
        made = c.w.op(
            op, c.x("self"), kernel_shape=kernel, strides=strides, pads=pads, shape=c.first, **kept
        )
        return (made, *c.beside(made, 1)) if places else made

    return rule


def _adaptive(op: str, count: int) -> Rule:
    def rule(c: Call) -> Any:
        x, size = c.x("self"), c["output_size"]
        sizes = size if isinstance(size, list) else [size]
        shape = c.w.shape(x)
        space = shape[2:] if shape is not None else ()
        if len(space) != count:
            c.roughly()
        if all(s == 1 for s in sizes):
            made = c.w.op(f"Global{op}", x, shape=c.first)
        else:
            sizes = sizes * count if len(sizes) == 1 else sizes
            even = len(space) == len(sizes) and all(
                isinstance(d, int) and isinstance(s, int) and s > 0 and d % s == 0
                for d, s in zip(space, sizes, strict=True)
            )
            kept: dict[str, Any] = {}
            if even:
                each = tuple(int(d) // s for d, s in zip(space, sizes, strict=True))
                kept = {"kernel_shape": each, "strides": each}
            else:
                c.roughly()
            found = c.first
            if found is None and shape is not None and all(isinstance(s, int) for s in sizes):
                found = (*shape[: len(shape) - count], *sizes)
            made = c.w.op(op, x, shape=found, **kept)
        return (made, *c.beside(made, 1)) if op == "MaxPool" else made

    return rule


def _resize(c: Call) -> Any:
    x = c.x("self")
    size = c.given.get("output_size")
    found = c.first
    if found is None and isinstance(size, list) and all(isinstance(s, int) for s in size):
        shape = c.w.shape(x)
        found = (*shape[:2], *size) if shape else None
    space = [d for d in (found or ())[2:] if isinstance(d, int)]
    if not space or len(space) != len(found or ()) - 2 or c.name not in _RESIZED:
        c.roughly()
        return c.w.op("Resize", x, shape=found)
    mode, places = _RESIZED[c.name]
    kept = {"mode": mode, "coordinate_transformation_mode": places}
    if mode == "nearest":
        kept["nearest_mode"] = "floor"
    elif c["align_corners"]:
        kept["coordinate_transformation_mode"] = "align_corners"
    if mode == "cubic":
        kept["cubic_coeff_a"] = -0.75
    sizes = c.w.numbers(space)
    return c.w.op("Resize", x, ABSENT, ABSENT, sizes, shape=found, **kept)


_RESIZED: Final[dict[str, tuple[Any, Any]]] = {
    **{f"upsample_nearest{n}d": ("nearest", "asymmetric") for n in (1, 2, 3)},
    "upsample_linear1d": ("linear", "half_pixel"), "upsample_bilinear2d": ("linear", "half_pixel"),
    "upsample_trilinear3d": ("linear", "half_pixel"), "upsample_bicubic2d": ("cubic", "half_pixel"),
}  # fmt: skip
"""For each: how ONNX calls what stands between places, and which place another one is."""


def _shuffle(op: str, key: str) -> Rule:
    def rule(c: Call) -> Any:
        more = {"mode": "CRD"} if op == "DepthToSpace" else {}
        return c.w.op(op, c.x("self"), blocksize=c.whole(key), shape=c.first, **more)

    return rule


def _grid(c: Call) -> Any:
    return c.w.op("GridSample", c.x("input"), c.x("grid"), shape=c.first)


def _nms(c: Call) -> Any:
    boxes, scores = c.w.unsqueeze(c.x("dets"), 0), c.w.unsqueeze(c.x("scores"), 0, 1)
    limit, threshold = c.w.numbers((1 << 31,)), c.value(c["iou_threshold"])
    kept = c.w.op("NonMaxSuppression", boxes, scores, limit, threshold, shape=("kept", 3))
    return c.w.op("Gather", kept, c.w.number(2), axis=1, shape=c.first)


def _roi(c: Call) -> Any:
    return c.w.op("RoiAlign", c.x("input"), c.x("rois"), shape=c.first)


def _deform(c: Call) -> Any:
    return c.w.op("DeformConv", c.x("input"), c.x("weight"), c.x("offset"), shape=c.first)


def _fft(c: Call) -> Any:
    return c.w.op("DFT", c.x("self"), shape=c.first)


def _stft(c: Call) -> Any:
    return c.w.op("STFT", c.x("self"), c.value(c.get("hop_length", c["n_fft"])), shape=c.first)


_CONV: Final = "input weight bias stride padding dilation groups"
_TRANSPOSED: Final = "input weight bias stride padding output_padding groups dilation"
_ANY: Final = "input weight bias stride padding dilation transposed output_padding groups"
_HEADS: Final = "query key value embed_dim num_head qkv_weight qkv_bias proj_weight proj_bias mask"
_FUSED: Final = (
    "src embed_dim num_heads qkv_weight qkv_bias proj_weight proj_bias use_gelu norm_first eps "
    "norm_weight_1 norm_bias_1 norm_weight_2 norm_bias_2 ffn_weight_1 ffn_bias_1 ffn_weight_2 "
    "ffn_bias_2 mask mask_type"
)
_CELL: Final = "input hx params has_biases num_layers dropout train bidirectional batch_first"
_MAX_POOL: Final = "self kernel_size stride padding dilation ceil_mode"
_MEAN_POOL: Final = "self kernel_size stride padding ceil_mode count_include_pad divisor_override"
_NORMED: Final = "input weight bias running_mean running_var training momentum eps"
_BATCH_NORMS: Final = (
    "batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training",
    "_native_batch_norm_legit", "cudnn_batch_norm",
)  # fmt: skip
_ATTENTIONS: Final = (
    "scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_attention_math",
)  # fmt: skip
LAYERS: Final[dict[str, tuple[str, Rule]]] = {
    "linear": ("input weight bias", _linear), "matmul": ("self mat2", _matmul),
    "mm": ("self mat2", _matmul), "bmm": ("self mat2", _matmul), "mv": ("self mat2", _matmul),
    "dot": ("self mat2", _matmul), "inner": ("self mat2", _matmul), "outer": ("self vec2", _outer),
    "addmm": ("self mat1 mat2 beta alpha", _addmm), "addbmm": ("self mat1 mat2 beta alpha", _addmm),
    "baddbmm": ("self mat1 mat2 beta alpha", _addmm), "einsum": ("equation tensors", _einsum),
    "bilinear": ("input1 input2 weight bias", _bilinear),
    **{f"conv{n}d": (_CONV, _conv) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": (_TRANSPOSED, _conv) for n in (1, 2, 3)},
    "convolution": (_ANY, _conv), "_convolution": (_ANY, _conv),
    "_convolution_mode": ("input weight bias stride padding dilation groups", _conv),
    "embedding": ("weight indices padding_idx", _embedding),
    "embedding_bag": ("weight indices offsets", _embedding_bag),
    "_embedding_bag": ("weight indices offsets", _embedding_bag),
    "layer_norm": ("input normalized_shape weight bias eps", _layer_norm),
    "native_layer_norm": ("input normalized_shape weight bias eps", _layer_norm),
    "rms_norm": ("input normalized_shape weight eps", _rms_norm),
    "_fused_rms_norm": ("input normalized_shape weight eps", _rms_norm),
    **dict.fromkeys(_BATCH_NORMS, (_NORMED, _batch_norm)),
    "_weight_norm": ("v g dim", _weight_norm),
    "_weight_norm_interface": ("v g dim", lambda c: (_weight_norm(c), c.x("g"))),
    "group_norm": ("input num_groups weight bias eps", _group_norm),
    "native_group_norm": ("input weight bias N C HxW group eps", _group_norm),
    "instance_norm": ("input weight bias running_mean running_var use_input_stats momentum eps",
                      _instance_norm),
    **dict.fromkeys(_ATTENTIONS, ("query key value attn_mask dropout_p is_causal scale enable_gqa",
                                  _attention)),
    "_scaled_dot_product_flash_attention_for_cpu": ("query key value dropout_p is_causal attn_mask "
                                                    "scale", _attention),
    "_transformer_encoder_layer_fwd": (_FUSED, _encoder_layer),
    "_native_multi_head_attention": (_HEADS, _native_heads),
    "lstm": (_CELL, _recurrent("LSTM")), "gru": (_CELL, _recurrent("GRU")),
    "rnn_tanh": (_CELL, _recurrent("RNN")), "rnn_relu": (_CELL, _recurrent("RNN")),
    "lstm_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("LSTM")),
    "gru_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("GRU")),
    "rnn_tanh_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("RNN")),
    **{f"max_pool{n}d": (_MAX_POOL, _pool("MaxPool", n)) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": (_MAX_POOL, _pool("MaxPool", n, True)) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": (_MEAN_POOL, _pool("AveragePool", n)) for n in (1, 2, 3)},
    **{f"{under}adaptive_avg_pool{n}d": ("self output_size", _adaptive("AveragePool", n))
       for n in (1, 2, 3) for under in ("", "_")},
    **{f"adaptive_max_pool{n}d": ("self output_size", _adaptive("MaxPool", n)) for n in (1, 2, 3)},
    **{f"{under}upsample_{kind}": ("self output_size align_corners", _resize)
       for under in ("", "_")
       for kind in ("nearest1d", "nearest2d", "nearest3d", "bilinear2d", "linear1d", "bicubic2d",
                    "trilinear3d", "bilinear2d_aa", "bicubic2d_aa", "nearest_exact2d")},
    "pixel_shuffle": ("self upscale_factor", _shuffle("DepthToSpace", "upscale_factor")),
    "pixel_unshuffle": ("self downscale_factor", _shuffle("SpaceToDepth", "downscale_factor")),
    "grid_sampler": ("input grid", _grid), "grid_sampler_2d": ("input grid", _grid),
    "torchvision::nms": ("dets scores iou_threshold", _nms),
    "torchvision::roi_align": ("input rois", _roi),
    "torchvision::deform_conv2d": ("input weight offset mask bias", _deform),
    **{f"fft_{name}": ("self n dim", _fft) for name in ("fft", "rfft", "ifft", "irfft", "fft2",
       "rfft2", "irfft2", "fftn", "rfftn")},
    "stft": ("self n_fft hop_length", _stft),
}  # fmt: skip
