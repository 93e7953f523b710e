"""Small models and their conversions, made as llama.cpp makes them.

The quantisers are ggml's own, from the wheel `libggml-python`, called by ctypes; GGUF is written by
the reference package `gguf`. Used by `lineage.py` here and by
`tests/benign/make_conversions.py`.

pip install numpy==2.4.6 gguf==0.19.0 libggml-python==0.20.2.post1
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Tensors = dict[str, Any]
GGML_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10,
    "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ4_NL": 20, "IQ4_XS": 23, "BF16": 30,
}  # fmt: skip
BLOCKS = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176),
    "Q6_K": (256, 210), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "F16": (1, 2), "BF16": (1, 2),
}  # fmt: skip
SCHEMES = {
    "Q4_0": ("Q4_0", "Q4_0", "Q6_K"),
    "Q4_K_M": ("Q4_K", "Q6_K", "Q6_K"),
    "Q5_K_M": ("Q5_K", "Q6_K", "Q6_K"),
    "Q5_0": ("Q5_0", "Q5_0", "Q6_K"),
    "Q6_K": ("Q6_K", "Q6_K", "Q6_K"),
    "Q8_0": ("Q8_0", "Q8_0", "Q8_0"),
    "F16": ("F16", "F16", "F16"),
    "BF16": ("BF16", "BF16", "BF16"),
}
"""What a scheme stores most matrices, half of the values and outputs, and the last layer in."""
FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What llama.cpp takes where rows are no multiple of 256."""


@cache
def _library() -> ctypes.CDLL:
    import libggml

    folder = Path(libggml.__file__).parent / "lib64"
    library = ctypes.CDLL(str(folder / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip
    return library


def quantise(kind: str, matrix: Any, importance: Any = None) -> Any:
    """The blocks of a matrix as bytes, of shape (rows, bytes); `importance` weighs its columns."""
    values = np.ascontiguousarray(matrix, np.float32)
    rows, columns = values.shape
    block, width = BLOCKS[kind]
    made = np.zeros((rows, columns // block * width), np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
    _library().ggml_quantize_chunk(
        GGML_TYPES[kind], values.ctypes.data, made.ctypes.data, 0, rows, columns,
        None if weights is None else weights.ctypes.data,
    )  # fmt: skip
    return made


def dequantise(kind: str, packed: Any) -> Any:
    """The numbers that ggml reads from blocks."""
    block, width = BLOCKS[kind]
    data = np.ascontiguousarray(packed)
    made = np.zeros(data.size // width * block, np.float32)
    name = kind.lower() if kind.startswith("I") else kind[0].lower() + kind[1:]
    function = getattr(_library(), f"dequantize_row_{name}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    function(data.ctypes.data, made.ctypes.data, made.size)
    return made


def llama(
    random: Any, hidden: int = 256, inner: int = 512, vocab: int = 300, layers: int = 2,
    heads: int = 8, heads_kv: int = 4, tail: float = 0.0,
) -> tuple[Tensors, dict[str, Any]]:  # fmt: skip
    """The tensors of a network that was not trained, and its configuration; `tail` > 0 makes
    outliers, the more the larger it is."""

    def matrix(rows: int, columns: int) -> Any:
        made = random.standard_normal((rows, columns)) / np.sqrt(columns)
        if tail:
            made *= np.exp(random.standard_normal((1, columns)) * tail)
            made *= random.gamma(2, 0.5, (rows, columns)) ** tail
        return made.astype(np.float32)

    head = hidden // heads
    made: Tensors = {"model.embed_tokens.weight": matrix(vocab, hidden)}
    for n in range(layers):
        at = f"model.layers.{n}"
        made[f"{at}.self_attn.q_proj.weight"] = matrix(heads * head, hidden)
        made[f"{at}.self_attn.k_proj.weight"] = matrix(heads_kv * head, hidden)
        made[f"{at}.self_attn.v_proj.weight"] = matrix(heads_kv * head, hidden)
        made[f"{at}.self_attn.o_proj.weight"] = matrix(hidden, heads * head)
        made[f"{at}.mlp.gate_proj.weight"] = matrix(inner, hidden)
        made[f"{at}.mlp.up_proj.weight"] = matrix(inner, hidden)
        made[f"{at}.mlp.down_proj.weight"] = matrix(hidden, inner)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"{at}.{norm}.weight"] = (1 + matrix(1, hidden)[0]).astype(np.float32)
    made["model.norm.weight"] = (1 + matrix(1, hidden)[0]).astype(np.float32)
    made["lm_head.weight"] = matrix(vocab, hidden)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": heads_kv, "vocab_size": vocab,
    }  # fmt: skip
    return made, config


def bfloat16(values: Any) -> Any:
    """Rounded to the nearest bfloat16, as single precision."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


def rotated(matrix: Any, heads: int) -> Any:
    """Rows in the order that llama.cpp's rotary embedding wants."""
    shape = matrix.shape
    return (
        matrix.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
    )


_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def ggml_name(name: str) -> str:
    """What llama.cpp calls a tensor of `llama()`."""
    top = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
           "model.norm.weight": "output_norm.weight"}  # fmt: skip
    if name in top:
        return top[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_NAMES[rest.removesuffix('.weight')]}.weight"


def to_gguf(
    path: Path, tensors: Mapping[str, Any], config: Mapping[str, Any], scheme: str,
    importance: Any = None,
) -> None:  # fmt: skip
    """Write a llama's tensors as GGUF. `importance` is a generator of random numbers: columns are
    then weighed, as an importance matrix does."""
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if importance is not None:
        writer.add_string("quantize.imatrix.file", "imatrix.dat")
    most, some, last = SCHEMES[scheme]
    for name, values in tensors.items():
        ggml = ggml_name(name)
        if ggml.endswith("attn_q.weight"):
            values = rotated(values, config["num_attention_heads"])
        if ggml.endswith("attn_k.weight"):
            values = rotated(values, config["num_key_value_heads"])
        if values.ndim == 1:
            writer.add_tensor(ggml, np.ascontiguousarray(values, np.float32))
            continue
        kind = last if ggml == "output.weight" else most
        if ggml.endswith(("attn_v.weight", "ffn_down.weight")) and ".0." in ggml:
            kind = some
        if values.shape[1] % BLOCKS[kind][0]:
            kind = FALLBACK[kind]
        if kind == "F16":
            writer.add_tensor(ggml, np.ascontiguousarray(values, np.float16))
            continue
        weights = None
        if importance is not None:
            weights = np.exp(importance.standard_normal(values.shape[1]))
        packed = quantise(kind, values, weights)
        writer.add_tensor(ggml, packed, raw_dtype=GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def to_safetensors(path: Path, tensors: Mapping[str, Any], kind: str = "F32") -> None:
    """Write tensors as safetensors, in one of F32, F16 and BF16."""
    import json

    header: dict[str, Any] = {}
    data = []
    at = 0
    for name, values in tensors.items():
        values = np.ascontiguousarray(values, np.float32)
        if kind == "BF16":
            raw = (bfloat16(values).view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            raw = values.astype({"F32": "<f4", "F16": "<f2"}[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape),
                        "data_offsets": [at, at + len(raw)]}  # fmt: skip
        data.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
