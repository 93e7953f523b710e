"""Conversions: honest ones of the real library, those of the families, and one row that is not."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from weighbridge.checks.provenance.conversion_equivalence import conversion_equivalence
from weighbridge.core.evidence import Table
from weighbridge.core.fact import Weights
from weighbridge.core.finding import Finding
from weights import CONVERSIONS, audited, gguf, safetensors, said

FILES = {
    p.name: p.read_bytes()
    for p in CONVERSIONS.iterdir()
    if p.suffix in (".safetensors", ".gguf", ".json", ".bin")
}
CHECKPOINT = {n: FILES[n] for n in ("model.safetensors", "config.json")}
RANDOM = np.random.default_rng(2)


def told(files: dict[str, bytes], base: dict[str, bytes] | None = None) -> list[str]:
    return said(conversion_equivalence, audited(files, base))


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith((".gguf", ".bin"))])
def test_an_honest_conversion(name: str) -> None:
    (one,) = told(CHECKPOINT | {name: FILES[name]})
    assert one.startswith("note: consistent: the 12 tensors compared")
    assert one.endswith("(all of it was read)")


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith((".gguf", ".bin"))])
def test_one_altered_row(name: str) -> None:
    """A row of the original is exchanged for another: what was converted before is then what was
    altered, whatever its format."""
    audit = audited(CHECKPOINT | {name: FILES[name]})
    (entry,) = [
        t
        for f in audit.facts
        if isinstance(f, Weights) and f.format == "safetensors"
        for t in f.tensors
        if t.name.endswith("gate_proj.weight")
    ]
    data = bytearray(FILES["model.safetensors"])
    width = 2 * entry.shape[1]
    fifth, sixth = entry.start + 5 * width, entry.start + 6 * width
    data[fifth:sixth] = data[sixth : sixth + width]
    (finding,) = conversion_equivalence.run(
        audited(CHECKPOINT | {"model.safetensors": bytes(data), name: FILES[name]})
    )
    assert isinstance(finding, Finding)
    named = (
        "model.layers.0.mlp.gate_proj.weight" if name.endswith("bin") else "blk.0.ffn_gate.weight"
    )
    assert finding.action == "review"
    assert finding.message.startswith("contradicted: 1 of 12 tensors are not the ")
    assert finding.symbol == named
    (table,) = finding.evidence
    assert isinstance(table, Table)
    ((tensor, _, _, rows, _, _),) = table.rows
    assert tensor == named
    assert rows == "1 of 32 (first: 5)"


def matrix(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def rotated(values: Any, heads: int) -> Any:
    rows = len(values)
    head = rows // heads
    order = [h * head + i // 2 + (i % 2) * (head // 2) for h in range(heads) for i in range(head)]
    return values[order]


LAYER = "model.layers.0"
Q, K, BIAS, NORM = matrix(64, 32), matrix(32, 32), matrix(64), matrix(32)
EXPERTS = [matrix(16, 32) for _ in range(3)]
ORIGINALS = {
    "llama": {
        f"{LAYER}.self_attn.q_proj.weight": Q, f"{LAYER}.self_attn.k_proj.weight": K,
        f"{LAYER}.self_attn.q_proj.bias": BIAS, "model.embed_tokens.weight": matrix(9, 32),
        **{f"{LAYER}.block_sparse_moe.experts.{i}.w1.weight": e for i, e in enumerate(EXPERTS)},
    },
    "gemma2": {
        f"{LAYER}.input_layernorm.weight": NORM, f"{LAYER}.mlp.up_proj.weight": matrix(16, 32),
        f"{LAYER}.post_attention_layernorm.weight": matrix(32),
        f"{LAYER}.pre_feedforward_layernorm.weight": matrix(32),
        f"{LAYER}.post_feedforward_layernorm.weight": matrix(32),
    },
    "gpt2": {"h.0.mlp.c_fc.weight": matrix(32, 96), "h.0.mlp.c_fc.bias": matrix(96),
             "wte.weight": matrix(9, 32)},
}  # fmt: skip


def made() -> dict[str, dict[str, tuple[Any, str]]]:
    llama, gemma, gpt2 = (ORIGINALS[a] for a in ("llama", "gemma2", "gpt2"))
    return {
        "llama": {
            "blk.0.attn_q.weight": (rotated(Q, 4), "Q8_0"),
            "blk.0.attn_k.weight": (rotated(K, 2), "Q4_0"),
            "blk.0.attn_q.bias": (rotated(BIAS, 4), "F32"),
            "token_embd.weight": (llama["model.embed_tokens.weight"], "F16"),
            "output.weight": (llama["model.embed_tokens.weight"], "Q8_0"),
            "blk.0.ffn_gate_exps.weight": (np.stack(EXPERTS), "Q4_0"),
            "rope_freqs.weight": (matrix(8), "F32"),
        },
        "gemma2": {
            "blk.0.attn_norm.weight": (NORM + 1, "F32"),
            "blk.0.ffn_up.weight": (gemma[f"{LAYER}.mlp.up_proj.weight"], "Q8_0"),
            "blk.0.post_attention_norm.weight": (
                gemma[f"{LAYER}.post_attention_layernorm.weight"] + 1, "F32"),
            "blk.0.ffn_norm.weight": (
                gemma[f"{LAYER}.pre_feedforward_layernorm.weight"] + 1, "F32"),
            "blk.0.post_ffw_norm.weight": (
                gemma[f"{LAYER}.post_feedforward_layernorm.weight"] + 1, "F32"),
        },
        "gpt2": {
            "blk.0.ffn_up.weight": (gpt2["h.0.mlp.c_fc.weight"].T, "Q8_0"),
            "blk.0.ffn_up.bias": (gpt2["h.0.mlp.c_fc.bias"], "F32"),
            "token_embd.weight": (gpt2["wte.weight"], "F16"),
        },
    }  # fmt: skip


KEYS = {"llama.attention.head_count": 4, "llama.attention.head_count_kv": 2}


@pytest.mark.parametrize("family", ORIGINALS)
def test_what_converters_do_is_undone(family: str) -> None:
    tensors = made()[family]
    files = {
        "model.safetensors": safetensors(ORIGINALS[family]),
        "m.gguf": gguf(tensors, family, **(KEYS if family == "llama" else {})),
    }
    (one,) = told(files)
    count = len(tensors) - (family == "llama")
    assert one.startswith(f"note: consistent: the {count} tensors compared")
    assert ("1 are not testable" in one) == (family == "llama")


@pytest.mark.parametrize("family", ORIGINALS)
def test_every_tensor_of_a_family_is_watched(family: str) -> None:
    """One row of each tensor in turn is another; it is named."""
    for name in made()[family]:
        tensors = made()[family]
        values, kind = tensors[name]
        if name == "rope_freqs.weight":
            continue
        other = np.array(values)
        other[-1] = other[-1] * 2 + 1
        files = {
            "model.safetensors": safetensors(ORIGINALS[family]),
            "m.gguf": gguf(
                {**tensors, name: (other, kind)}, family, **(KEYS if family == "llama" else {})
            ),
        }
        (one,) = told(files)
        assert one.startswith("review: contradicted: 1 of ")
        assert f"'{name}'" in one


def test_the_base_of_a_declared_quantisation() -> None:
    base = CHECKPOINT
    header = b"---\nbase_model: a/b\nbase_model_relation: %s\n---\n"
    file = {"tiny.Q8_0.gguf": FILES["tiny.Q8_0.gguf"]}
    (one,) = told(file | {"README.md": header % b"quantized"}, base)
    assert one.startswith("note: consistent: the 12 tensors compared are those of the base's model")
    assert told(file | {"README.md": header % b"finetune"}, base) == []
    data = bytearray(base["model.safetensors"])
    start = 8 + struct.unpack_from("<Q", data)[0]
    data[start:] = RANDOM.permutation(np.frombuffer(data[start:], "<u2")).tobytes()
    other = {"model.safetensors": bytes(data)}
    (one,) = told(file | {"README.md": header % b"quantized"}, other)
    assert one.startswith("review: contradicted")
    (one,) = told(file, other)
    assert one.startswith("note: it is no plain quantisation of the base")


def test_variants_and_copies() -> None:
    tensors = {"a.weight": matrix(8, 8), "b.weight": matrix(8)}
    other = {"a.weight": matrix(8, 8), "b.weight": matrix(8)}
    whole = {"model.safetensors": safetensors(tensors)}
    (one,) = told(whole | {"model.fp16.safetensors": safetensors(tensors, "F16")})
    assert one.startswith("note: consistent")
    (one,) = told(whole | {"model.fp16.safetensors": safetensors(other, "F16")})
    assert one.startswith("review: contradicted: 2 of 2 tensors are not the values of")
    assert told(whole | {"model.non_ema.safetensors": safetensors(other)}) == []
    assert told(whole | {"other/model.safetensors": safetensors(other)}) == []
    wider = safetensors({"a.weight": matrix(8, 9)}, "F16")
    (one,) = told(whole | {"model.fp16.safetensors": wider})
    assert "'a.weight'" in one
    assert one.startswith("review: contradicted")


def test_what_is_not_testable() -> None:
    files = {"model.safetensors": safetensors({"a": matrix(4, 4)}),
             "model.npz": b"", "m.gguf": gguf({"x.weight": (matrix(4, 4), "F32")})}  # fmt: skip
    assert told(files) == []
    cut = FILES["tiny.Q8_0.gguf"][:-40]
    (one,) = told(CHECKPOINT | {"tiny.gguf": cut})
    assert one.startswith("note: consistent: the 11 tensors")
    assert "1 are not testable" in one
