"""What a tensor of a checkpoint is called in GGUF, and what converters do to it on the way.

Names: `gguf-py/gguf/tensor_mapping.py` and `convert_hf_to_gguf.py` of llama.cpp, for transformers
of the families of llama, qwen, mistral, gemma, phi, gpt2 and bert. A name that is not here has no
counterpart: its tensor is not testable, and that is said.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from weighbridge.core.regex import regex

_LAYER: Final = regex(r"(?:^|.*\.)(?:layers|layer|h|blocks)\.(\d{1,5})\.(.+)")
_EXPERT: Final = regex(r"(?:mlp|block_sparse_moe)\.experts\.(\d{1,5})\.(\w+)")
_OTHER_PARTS: Final = regex(
    r"(?:^|[._])(?:vision|visual|audio|image|img|speech|talker|multi_modal|mm|vit|mtp)(?:[._]|$)"
)
"""What is beside the language model in one with several senses, and is converted to a file of its
own."""

_TOP: Final = {
    "embed_tokens": "token_embd", "wte": "token_embd", "word_embeddings": "token_embd",
    "embed_in": "token_embd", "tok_embeddings": "token_embd", "lm_head": "output",
    "embed_out": "output", "wpe": "position_embd", "position_embeddings": "position_embd",
    "token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "norm": "output_norm", "ln_f": "output_norm", "final_layernorm": "output_norm",
    "final_layer_norm": "output_norm",
}  # fmt: skip
_INNER: Final = {
    "input_layernorm": "attn_norm", "ln_1": "attn_norm", "ln": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output",
    "self_attn.out_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.q_layernorm": "attn_q_norm", "self_attn.k_layernorm": "attn_k_norm",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "attn.qkv_proj": "attn_qkv",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k",
    "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm", "output.LayerNorm": "layer_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down",
    "post_attention_layernorm": "ffn_norm", "ln_2": "ffn_norm",
    "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
    "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down", "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
}  # fmt: skip
_EXPERTS: Final = {
    "gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps",
    "w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps",
}  # fmt: skip
MADE_BY_CONVERTERS: Final = regex(
    r"(?:blk\.\d+\.)?(?:rope_freqs|rope_factors_long|rope_factors_short)\.weight"
)
"""Tables that converters compute from the configuration."""
ONE_ADDED: Final = frozenset({"gemma", "gemma2", "gemma3", "gemma-embedding", "nemotron"})
"""Architectures whose norms are stored as they differ from one, and converted with it added."""
TRANSPOSED: Final = frozenset({"gpt2", "jais"})
"""Architectures whose checkpoints hold the transpose of their matrices (`Conv1D`)."""
_MATRICES: Final = regex(r"blk\.\d+\.(?:attn_qkv|attn_output|ffn_up|ffn_down)\.weight")
_ROTATED: Final = regex(r"blk\.\d+\.attn_([qk])\.(?:weight|bias)")


class GgmlName(NamedTuple):
    """A name in GGUF; `expert` counts where several tensors are stacked into one."""

    name: str
    expert: int | None = None


def ggml_name(name: str, beside: frozenset[str] = frozenset()) -> GgmlName | None:
    """What a tensor is called in GGUF, or None. `beside` are the endings of all names within a
    layer: in some families the norm behind the attention stands where others have the one before
    the feed-forward part."""
    stem, _, ending = name.rpartition(".")
    if ending not in ("weight", "bias") or _OTHER_PARTS.search(stem):
        return None
    found = _LAYER.fullmatch(stem)
    if found is None:
        for key, ggml in _TOP.items():
            if stem == key or stem.endswith(f".{key}"):
                return GgmlName(f"{ggml}.{ending}")
        return None
    block, inner = int(found[1]), found[2]
    expert = _EXPERT.fullmatch(inner)
    if expert is not None:
        ggml = _EXPERTS.get(expert[2], "")
        return GgmlName(f"blk.{block}.{ggml}.{ending}", int(expert[1])) if ggml else None
    ggml = _INNER.get(inner, "")
    if inner == "post_attention_layernorm" and "post_feedforward_layernorm" in beside:
        ggml = "post_attention_norm"
    return GgmlName(f"blk.{block}.{ggml}.{ending}") if ggml else None


def layer_endings(names: list[str]) -> frozenset[str]:
    """The names that tensors have within their layers."""
    found = (_LAYER.fullmatch(name.rpartition(".")[0]) for name in names)
    return frozenset(match[2] for match in found if match)


def is_transposed(name: str, architecture: str) -> bool:
    """Whether the checkpoint holds the transpose of this tensor."""
    return architecture in TRANSPOSED and bool(_MATRICES.fullmatch(name))


def has_one_added(name: str, architecture: str) -> bool:
    """Whether one was added to every element of this tensor."""
    return architecture in ONE_ADDED and name.endswith("norm.weight")


def rotated_heads(name: str, heads: int, heads_kv: int) -> int:
    """Into how many heads the rows of this tensor are cut where a converter reorders them for
    rotary embeddings; 0 where it reorders nothing."""
    found = _ROTATED.fullmatch(name)
    if found is None:
        return 0
    return heads if found[1] == "q" else heads_kv
