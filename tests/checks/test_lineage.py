"""Lineage: what is declared against itself, weights and tokenizers against the base."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from weighbridge.checks.provenance.conversion_equivalence import conversion_equivalence
from weighbridge.checks.provenance.lineage_adapter import lineage_adapter
from weighbridge.checks.provenance.lineage_declared import lineage_declared
from weighbridge.checks.provenance.lineage_tokenizer import lineage_tokenizer
from weighbridge.checks.provenance.lineage_weights import lineage_weights
from weighbridge.checks.provenance.republished import republished
from weighbridge.core.evidence import Table
from weighbridge.core.finding import Finding
from weighbridge.core.origin import Origin
from weighbridge.core.tree import Held
from weights import audited, gguf, safetensors, said

RANDOM = np.random.default_rng(5)


def network(layers: int = 3, width: int = 64) -> dict[str, Any]:
    made = {"model.embed_tokens.weight": RANDOM.standard_normal((50, width))}
    for n in range(layers):
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"):
            made[f"model.layers.{n}.{part}.weight"] = RANDOM.standard_normal((width, width))
        made[f"model.layers.{n}.input_layernorm.weight"] = np.ones(width)
    return made


BASE = network()
OTHER = network()


def mixed(part: float, other: Mapping[str, Any] = OTHER) -> dict[str, Any]:
    return {n: (1 - part) * v + part * other[n] for n, v in BASE.items()}


def moved(size: float) -> dict[str, Any]:
    return {n: v + size * v.std() * RANDOM.standard_normal(v.shape) for n, v in BASE.items()}


def halved() -> dict[str, Any]:
    """Every second layer is another model's."""
    return {n: OTHER[n] if ".1." in n or ".0." in n else v for n, v in BASE.items()}


def resized() -> dict[str, Any]:
    more = np.concatenate((BASE["model.embed_tokens.weight"], RANDOM.standard_normal((3, 64))))
    return BASE | {"model.embed_tokens.weight": more}


@pytest.mark.parametrize(
    ("tensors", "verdict"),
    [
        (BASE, "note: consistent"),
        (moved(0.01), "note: consistent"),
        (moved(0.1), "note: consistent"),
        (resized(), "note: consistent"),
        (BASE | {"score.weight": np.ones((2, 64))}, "note: consistent"),
        ({n.removeprefix("model."): v for n, v in BASE.items()}, "note: consistent"),
        (mixed(0.5), "review: partly"),
        (halved(), "review: partly"),
        (OTHER, "review: contradicted"),
        (network(width=32), "review: contradicted"),
        ({n: v * 0 for n, v in BASE.items()}, "unsupported: not testable"),
    ],
)
def test_weights_against_the_base(tensors: dict[str, Any], verdict: str) -> None:
    audit = audited({"model.safetensors": safetensors(tensors)},
                    {"model.safetensors": safetensors(BASE)})  # fmt: skip
    (told,) = said(lineage_weights, audit)
    assert told.startswith(verdict)


def test_other_precisions_and_shards_are_the_same_model() -> None:
    names = list(BASE)
    shards = {
        f"model-0000{i}-of-00002.safetensors": safetensors(
            {n: BASE[n] for n in names[i - 1 :: 2]}, "F16"
        )
        for i in (1, 2)
    }
    base = {"model.safetensors": safetensors(BASE)}
    (told,) = said(lineage_weights, audited(shards, base))
    assert told.startswith("note: consistent")
    assert "(10 of 10 tensors sampled, median correlation 1.000)" in told


def test_tensors_that_differ_are_listed() -> None:
    audit = audited({"model.safetensors": safetensors(halved())},
                    {"model.safetensors": safetensors(BASE)})  # fmt: skip
    (finding,) = lineage_weights.run(audit)
    assert isinstance(finding, Finding)
    table = finding.evidence[0]
    assert isinstance(table, Table)
    apart = {row[0] for row in table.rows if float(row[1]) < 0.9}
    assert apart == {n for n, v in halved().items() if v is OTHER[n] and "norm" not in n}


def test_a_quantised_copy() -> None:
    names = {"model.embed_tokens.weight": "token_embd.weight"}
    for n in range(3):
        names[f"model.layers.{n}.self_attn.o_proj.weight"] = f"blk.{n}.attn_output.weight"
        names[f"model.layers.{n}.mlp.up_proj.weight"] = f"blk.{n}.ffn_up.weight"
    file = gguf({ggml: (BASE[n], "Q4_0") for n, ggml in names.items()}, "qwen2")
    base = {"model.safetensors": safetensors(BASE)}
    (told,) = said(lineage_weights, audited({"m.gguf": file}, base))
    assert told.startswith("note: consistent")
    base = {"model.safetensors": safetensors(OTHER)}
    (told,) = said(lineage_weights, audited({"m.gguf": file}, base))
    assert told.startswith("review: contradicted")


def test_without_a_base() -> None:
    audit = audited({"model.safetensors": safetensors(BASE)})
    assert said(lineage_weights, audit) == []
    assert said(lineage_declared, audit) == ["not-given: it names no model that it derives from"]
    audit = replace(audit, missing={"base": "me/base: it is gated"})
    told = said(lineage_weights, audit)
    assert told == ["not-given: no base to compare the weights with: me/base: it is gated"]


def test_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    file = {"model.safetensors": safetensors(BASE)}
    (told,) = said(lineage_weights, audited(file, file))
    assert "needs the extra 'deep'" in told
    assert told.startswith("unsupported")


def card(**header: str) -> bytes:
    return ("---\n" + "".join(f"{k}: {v}\n" for k, v in header.items()) + "---\nA model\n").encode()


def adapter(base: str) -> bytes:
    return json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}).encode()


@pytest.mark.parametrize(
    ("named", "adapts", "expected"),
    [
        ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1", 0),
        ("mistralai/Mistral-7B-v0.1", "unsloth/mistral-7b-v0.1-bnb-4bit", 0),
        ("meta-llama/Meta-Llama-3-8B", "NousResearch/Llama-3-8B-hf", 0),
        ("mistralai/Mistral-7B-v0.1", "/home/me/model", 0),
        ("mistralai/Mistral-7B-v0.1", "meta-llama/Llama-2-7b-hf", 1),
        ("Qwen/Qwen2-7B", "Qwen/Qwen2-0.5B", 1),
    ],
)
def test_names_of_the_base(named: str, adapts: str, expected: int) -> None:
    files = {"README.md": card(base_model=named), "adapter_config.json": adapter(adapts)}
    told = said(lineage_declared, audited(files))
    assert len(told) == expected
    assert all(t.startswith("review: contradicted: the model card") for t in told)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"q_proj.lora_A": (4, 64), "q_proj.lora_B": (64, 4)}, "note: consistent: 2 matrices"),
        ({"q_proj.lora_A": (4, 64), "v_proj.lora_A": (4, 64)}, "note: consistent: 1 matrices"),
        ({"q_proj.lora_A": (4, 64), "q_proj.lora_B": (32, 4)}, "review: contradicted: 1 of 2"),
        ({"w.lora_A": (4, 64)}, "review: contradicted: 1 of 1"),
    ],
)
def test_an_adapter_fits(shapes: dict[str, tuple[int, int]], expected: str) -> None:
    tensors = {
        f"base_model.model.model.layers.0.self_attn.{n}.weight": np.zeros(shape)
        for n, shape in shapes.items()
    }
    files = {
        "adapter_model.safetensors": safetensors(tensors),
        "adapter_config.json": adapter("a/b"),
    }
    audit = audited(files, {"model.safetensors": safetensors(BASE)})
    (told,) = said(lineage_adapter, audit)
    assert told.startswith(expected)
    assert said(lineage_weights, audit) == []
    (told,) = said(lineage_adapter, audited(files, {"m.gguf": gguf({})}))
    assert told.startswith("unsupported: not testable")


def test_files_on_a_server_are_sampled() -> None:
    base = {"model.safetensors": safetensors(BASE)}
    audit = replace(audited(base, base), origin=Origin(kind="hub", where="", asked="", id="a/b"))
    (told,) = said(lineage_weights, audit)
    assert told.startswith("note: consistent")
    reads: list[int] = []

    class Counted(Held, frozen=True):
        def read(self, offset: int, n: int) -> bytes:
            reads.append(n)
            return super().read(offset, n)

    large = {f"layers.{i}.w.weight": np.zeros((512, 256)) for i in range(60)}
    files = {"model.safetensors": safetensors(large), "model.fp16.safetensors":
             safetensors(large, "F16")}  # fmt: skip
    audit = replace(audited(files), origin=audit.origin)
    audit = replace(audit, blobs={p: Counted(p, d) for p, d in files.items()})
    (told,) = said(conversion_equivalence, audit)
    assert told.startswith("note: consistent: the 48 tensors compared")
    assert "12 tensors were not sampled" in told
    assert max(reads) <= 128 << 10
    assert sum(reads) < 16 << 20


def config(**values: Any) -> bytes:
    return json.dumps({"model_type": "llama", "architectures": ["A"], **values}).encode()


def test_configurations() -> None:
    ours = {"config.json": config(hidden_size=64, vocab_size=9)}
    base = {"config.json": config(hidden_size=64, vocab_size=8)}
    assert said(lineage_declared, audited(ours, base)) == []
    base = {"config.json": config(hidden_size=128)}
    (told,) = said(lineage_declared, audited(ours, base))
    assert told.endswith("hidden_size is 64, there 128")
    files = {"config.json": config(), "m.gguf": gguf({}, "qwen2")}
    (told,) = [t for t in said(lineage_declared, audited(files)) if "architecture" in t]
    assert "architecture qwen2, the configuration beside it of the type llama" in told
    files = {"config.json": config(model_type="mistral"), "m.gguf": gguf({}, "llama")}
    assert not [t for t in said(lineage_declared, audited(files)) if "architecture" in t]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"base_model": "a/b"}, "note: 1 of 1 files of weights are those of the base"),
        ({"base_model": "a/b", "base_model_relation": "finetune"}, "review: contradicted"),
    ],
)
def test_the_same_file_is_published_again(header: dict[str, str], expected: str) -> None:
    file = safetensors(BASE)
    audit = audited(
        {"README.md": card(**header), "model.safetensors": file}, {"m.safetensors": file}
    )
    digest = "0" * 64
    same = tuple(replace_digest(f, digest) for f in audit.files)
    base = audit.parts["base"]
    base = replace(base, files=tuple(replace_digest(f, digest) for f in base.files))
    (told,) = said(republished, replace(audit, files=same, parts={"base": base}))
    assert told.startswith(expected)


def replace_digest(file: Any, digest: str) -> Any:
    return msgspec.structs.replace(file, sha256=digest)


TOKENS = {"a": 0, "b": 1, "ab": 2, "<|reserved_special_token_0|>": 3}


def tokenizer(vocabulary: dict[str, int], added: dict[str, int] | None = None) -> bytes:
    listed = [{"id": n, "content": t} for t, n in (added or {}).items()]
    return json.dumps({"model": {"vocab": vocabulary}, "added_tokens": listed}).encode()


@pytest.mark.parametrize(
    ("vocabulary", "added", "expected"),
    [
        (TOKENS, {"<|im_start|>": 4}, "note: consistent"),
        ({**{t: n for t, n in TOKENS.items() if n != 3}, "<|call|>": 3}, {}, "note: consistent"),
        ({**{t: n for t, n in TOKENS.items() if n != 2}, "rm -rf": 2}, {}, "review: contradicted"),
        ({"b": 0, "a": 1, "ab": 2}, {}, "review: contradicted: 2 of the 4"),
    ],
)
def test_vocabularies(vocabulary: dict[str, int], added: dict[str, int], expected: str) -> None:
    audit = audited({"tokenizer.json": tokenizer(vocabulary, added)},
                    {"tokenizer.json": tokenizer(TOKENS)})  # fmt: skip
    (told,) = said(lineage_tokenizer, audit)
    assert told.startswith(expected)


def test_templates_and_special_tokens() -> None:
    ours = {"config.json": config(eos_token_id=7), "chat_template.jinja": b"{{ a }}\nold\n",
            "tokenizer.json": tokenizer(TOKENS)}  # fmt: skip
    base = {"config.json": config(eos_token_id=2), "chat_template.jinja": b"{{ a }}\nnew\n",
            "tokenizer.json": tokenizer(TOKENS)}  # fmt: skip
    told = said(lineage_tokenizer, audited(ours, base))
    assert told == [
        "note: consistent: every number of the vocabulary of the base stands for the same token "
        "(0 tokens added, 0 fewer, 0 reserved ones renamed)",
        "note: other special tokens than those of the base: eos_token_id is 7 instead of 2",
        "note: another chat template than that of the base",
    ] or told[0].startswith("note: consistent: the tokenizer is that of the base")
    base["tokenizer.json"] = b"not json {"
    told = said(lineage_tokenizer, audited(ours, base))
    assert told[0].startswith("unsupported: not testable")
