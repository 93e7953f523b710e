"""Makes whole repositories of tiny models, each as a team would download it, by the real libraries.

Install what `versions.txt` lists under `repositories/`, then
KERAS_BACKEND=torch python tests/benign/make_repositories.py tests/benign/repositories [NAME…]

Weights are random; tokenizers are trained on the lines below. The folders are those of the Hub:
weights, configurations, tokenizer, processor, a chat template in the style of the family, the
model card. Only `.gitattributes` is left out: git would obey it here.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from agree import agree
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

Make = Callable[[Path], None]
MAKERS: dict[str, Make] = {}
TEMPLATES = {
    p.stem: p.read_text() for p in (Path(__file__).parent / "chat_templates").glob("*.jinja")
}
"""Chat templates in the style of the families, written for this corpus."""

TEXT = [
    "The quick brown fox jumps over the lazy dog while the others sleep.",
    "A tokenizer cuts text into pieces; see https://example.org/a/page for more of it.",
    "def main(argv): return os.path.join(argv[0], 'name') # curl and sudo are words",
    "Größe, naïve, 東京 и москва: letters of other scripts, 1234 and 5,678.90",
    "You are a helpful assistant. Answer the question of the user in one sentence.",
]
APACHE = """\
                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
   in compliance with the License.
"""


def repository(name: str) -> Callable[[Make], Make]:
    """Register what makes a repository."""

    def register(make: Make) -> Make:
        MAKERS[name] = make
        return make

    return register


# Tokenizers


def byte_level(*special: str) -> Tokenizer:
    """GPT-2's kind."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=288, special_tokens=list(special), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(TEXT, trainer)
    return made


def llama_like(*special: str) -> Tokenizer:
    """SentencePiece's BPE with bytes to fall back to."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                      decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=180, show_progress=False, special_tokens=["<unk>", "<s>", "</s>", *special]
    )
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return made


def word_piece(*special: str) -> Tokenizer:
    """BERT's kind."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(
        vocab_size=180, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *special],
    )  # fmt: skip
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def unigram(*special: str) -> Tokenizer:
    """T5's and XLM-R's kind."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, unk_token="<unk>", show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", *special],
    )  # fmt: skip
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return made


def clip_like(*special: str) -> Tokenizer:
    """CLIP's kind."""
    made = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True
    )
    made.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=180, end_of_word_suffix="</w>", show_progress=False,
        special_tokens=["<|startoftext|>", "<|endoftext|>", *special],
    )  # fmt: skip
    made.train_from_iterator(TEXT, trainer)
    made.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0))
    return made


KINDS: dict[str, tuple[Callable[..., Tokenizer], dict[str, str]]] = {
    "byte": (byte_level, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                          "unk_token": "<|endoftext|>"}),
    "qwen": (byte_level, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}),
    "llama3": (byte_level, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}),
    "llama": (llama_like, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    "gemma": (llama_like, {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>",
                           "unk_token": "<unk>"}),
    "roberta": (byte_level, {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
                             "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
                             "mask_token": "<mask>"}),
    "bert": (word_piece, {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
                          "unk_token": "[UNK]", "mask_token": "[MASK]"}),
    "t5": (unigram, {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}),
    "xlm": (unigram, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
                      "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>",
                      "mask_token": "<mask>"}),
    "clip": (clip_like, {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
                         "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}),
}  # fmt: skip
"""What trains a tokenizer, and its special tokens."""

CHAT_TOKENS: dict[str, tuple[str, ...]] = {
    "qwen": ("<|im_start|>", "<tool_call>", "</tool_call>", "<think>", "</think>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|python_tag|>",
               "<|finetune_right_pad_id|>"),
    "llama": ("[INST]", "[/INST]", "<|user|>", "<|assistant|>", "<|end|>", "<image>"),
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
}  # fmt: skip


def tokenizer(kind: str, template: str = "", length: int = 512) -> Any:
    """A trained tokenizer in the wrapping of transformers."""
    train, named = KINDS[kind]
    special = dict.fromkeys((*named.values(), *CHAT_TOKENS.get(kind, ())))
    trained = train(*special)
    trained.add_special_tokens([AddedToken(t, special=True) for t in special])
    made = tf.PreTrainedTokenizerFast(tokenizer_object=trained, model_max_length=length, **named)
    if template:
        made.chat_template = TEMPLATES[template]
    return made


def sentence_piece(path: Path, kind: str = "bpe") -> None:
    """`tokenizer.model` and its like."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 4), model_writer=written, vocab_size=140, model_type=kind,
        minloglevel=2, hard_vocab_limit=False, user_defined_symbols=["<|user|>", "<|assistant|>"],
        # The map of the usual rule takes 240 KB: one file with it is enough.
        normalization_rule_name="nmt_nfkc" if path.name.endswith(".bpe.model") else "identity",
    )  # fmt: skip
    path.write_bytes(written.getvalue())


# What stands beside the weights


def card(
    folder: Path, task: str, library: str = "transformers", body: str = "", **more: Any
) -> None:
    """The model card and what a repository has besides."""
    import yaml

    tags = [library, task, "text-generation-inference"]
    front = {"license": "apache-2.0", "language": ["en"], "library_name": library,
             "pipeline_tag": task, "tags": tags, **more}  # fmt: skip
    title = folder.name
    text = f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---

# {title}

A tiny model with random weights. It answers nothing of use.

## How to use

```python
import {library.replace("-", "_")}
from {library.replace("-", "_")} import pipeline

pipe = pipeline("{task}", model="example/{title}", trust_remote_code=False)
print(pipe("Hello"))
```

Install it with `pip install -U {library}`, or download the files:

```bash
curl -L https://huggingface.co/example/{title}/resolve/main/config.json | head
```
{body}
| benchmark | score |
|---|--:|
| MMLU | 25.0 |

## Citation

```bibtex
@misc{{example2026, title={{{title}}}, author={{A. Author}}, year={{2026}}}}
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
    if len(title) % 2:
        (folder / "LICENSE").write_text(APACHE)


SMALL = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 300, "max_position_embeddings": 64,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 1}
EYES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 16, "patch_size": 8,
}  # fmt: skip
EARS = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
    "conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3), "vocab_size": 32,
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def save(
    folder: Path,
    model: Any,
    *,
    words: Any = None,
    processor: Any = None,
    shard: str = "",
    torch_bin: bool = False,
) -> None:
    """Weights and configurations, by `save_pretrained`."""
    kwargs = {"max_shard_size": shard} if shard else {}
    model.save_pretrained(folder, **kwargs)
    if torch_bin:
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        torch.save(state, folder / "pytorch_model.bin")
    for other in (words, processor):
        if other is not None:
            other.save_pretrained(folder)


def text_model(
    name: str, kind: str, config: str, model: str, task: str, *, template: str = "",
    shard: str = "", torch_bin: bool = False, spm: str = "", dtype: Any = None, **fields: Any,
) -> None:  # fmt: skip
    """Register a model of text."""

    def make(folder: Path) -> None:
        made = getattr(tf, model)(getattr(tf, config)(**fields))
        if dtype is not None:
            made = made.to(dtype)
        words = tokenizer(kind, template)
        save(folder, made, words=words, shard=shard, torch_bin=torch_bin)
        if spm:
            sentence_piece(folder / spm, "bpe" if spm == "tokenizer.model" else "unigram")
        if kind == "byte":
            said = json.loads(words.backend_tokenizer.to_str())["model"]
            (folder / "vocab.json").write_text(json.dumps(said["vocab"], ensure_ascii=False))
            merges = "\n".join(" ".join(m) for m in said["merges"])
            (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
        elif kind == "bert":
            vocabulary = sorted(words.get_vocab().items(), key=lambda item: item[1])
            (folder / "vocab.txt").write_text("".join(f"{w}\n" for w, _ in vocabulary))
        card(folder, task)

    MAKERS[name] = make


half = torch.bfloat16
text_model("bert", "bert", "BertConfig", "BertForMaskedLM", "fill-mask", torch_bin=True, **SMALL)
text_model(
    "roberta",
    "roberta",
    "RobertaConfig",
    "RobertaForSequenceClassification",
    "text-classification",
    id2label={0: "negative", 1: "positive"},
    **SMALL,
)
text_model(
    "xlm-roberta",
    "xlm",
    "XLMRobertaConfig",
    "XLMRobertaModel",
    "feature-extraction",
    spm="sentencepiece.bpe.model",
    **SMALL,
)
text_model(
    "distilbert",
    "bert",
    "DistilBertConfig",
    "DistilBertForQuestionAnswering",
    "question-answering",
    dim=16,
    hidden_dim=24,
    n_layers=1,
    n_heads=2,
    vocab_size=300,
    max_position_embeddings=64,
)
text_model(
    "deberta-v3",
    "xlm",
    "DebertaV2Config",
    "DebertaV2ForTokenClassification",
    "token-classification",
    spm="spm.model",
    relative_attention=True,
    pos_att_type=["p2c", "c2p"],
    **SMALL,
)
text_model(
    "electra",
    "bert",
    "ElectraConfig",
    "ElectraForPreTraining",
    "fill-mask",
    embedding_size=8,
    **SMALL,
)
text_model(
    "albert",
    "xlm",
    "AlbertConfig",
    "AlbertForMaskedLM",
    "fill-mask",
    embedding_size=8,
    spm="spiece.model",
    **SMALL,
)
text_model(
    "modernbert",
    "bert",
    "ModernBertConfig",
    "ModernBertForMaskedLM",
    "fill-mask",
    pad_token_id=0,
    eos_token_id=3,
    bos_token_id=2,
    cls_token_id=2,
    sep_token_id=3,
    **SMALL,
)
text_model(
    "gpt2",
    "byte",
    "GPT2Config",
    "GPT2LMHeadModel",
    "text-generation",
    torch_bin=True,
    n_embd=16,
    n_layer=2,
    n_head=2,
    vocab_size=300,
    n_positions=64,
)
text_model("gpt-neox", "byte", "GPTNeoXConfig", "GPTNeoXForCausalLM", "text-generation", **SMALL)
text_model(
    "opt",
    "byte",
    "OPTConfig",
    "OPTForCausalLM",
    "text-generation",
    hidden_size=16,
    ffn_dim=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    vocab_size=300,
    word_embed_proj_dim=16,
    max_position_embeddings=64,
)
text_model(
    "bloom",
    "byte",
    "BloomConfig",
    "BloomForCausalLM",
    "text-generation",
    hidden_size=16,
    n_layer=1,
    n_head=2,
    vocab_size=300,
)
text_model(
    "falcon",
    "byte",
    "FalconConfig",
    "FalconForCausalLM",
    "text-generation",
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    vocab_size=300,
    template="falcon",
)
text_model(
    "mamba",
    "byte",
    "MambaConfig",
    "MambaForCausalLM",
    "text-generation",
    hidden_size=16,
    state_size=4,
    num_hidden_layers=1,
    vocab_size=300,
)
text_model(
    "llama-3-instruct",
    "llama3",
    "LlamaConfig",
    "LlamaForCausalLM",
    "text-generation",
    template="llama3",
    shard="20KB",
    dtype=half,
    **GROUPED,
)
text_model(
    "llama-2-chat",
    "llama",
    "LlamaConfig",
    "LlamaForCausalLM",
    "text-generation",
    template="llama2",
    spm="tokenizer.model",
    torch_bin=True,
    **GROUPED,
)
text_model(
    "mistral-instruct",
    "llama",
    "MistralConfig",
    "MistralForCausalLM",
    "text-generation",
    template="mistral",
    spm="tokenizer.model",
    shard="20KB",
    dtype=half,
    **GROUPED,
)
text_model(
    "mixtral",
    "llama",
    "MixtralConfig",
    "MixtralForCausalLM",
    "text-generation",
    template="mistral-tools",
    shard="15KB",
    dtype=half,
    num_local_experts=4,
    **GROUPED,
)
text_model(
    "qwen2-instruct",
    "qwen",
    "Qwen2Config",
    "Qwen2ForCausalLM",
    "text-generation",
    template="qwen2",
    dtype=half,
    **GROUPED,
)
text_model(
    "qwen3",
    "qwen",
    "Qwen3Config",
    "Qwen3ForCausalLM",
    "text-generation",
    template="qwen3",
    dtype=half,
    head_dim=8,
    shard="20KB",
    **GROUPED,
)
text_model(
    "qwen3-moe",
    "qwen",
    "Qwen3MoeConfig",
    "Qwen3MoeForCausalLM",
    "text-generation",
    template="qwen3",
    dtype=half,
    head_dim=8,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    **GROUPED,
)
text_model(
    "gemma-2-it",
    "gemma",
    "Gemma2Config",
    "Gemma2ForCausalLM",
    "text-generation",
    template="gemma",
    spm="tokenizer.model",
    dtype=half,
    head_dim=8,
    **GROUPED,
)
text_model(
    "gemma-3-text",
    "gemma",
    "Gemma3TextConfig",
    "Gemma3ForCausalLM",
    "text-generation",
    template="gemma",
    dtype=half,
    head_dim=8,
    **GROUPED,
)
text_model(
    "phi-3-mini",
    "llama",
    "Phi3Config",
    "Phi3ForCausalLM",
    "text-generation",
    template="phi3",
    dtype=half,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    **GROUPED,
)
text_model(
    "deepseek-v3-like",
    "llama",
    "DeepseekV3Config",
    "DeepseekV3ForCausalLM",
    "text-generation",
    template="deepseek",
    dtype=half,
    n_routed_experts=4,
    n_group=2,
    topk_group=1,
    num_experts_per_tok=2,
    first_k_dense_replace=1,
    moe_intermediate_size=8,
    kv_lora_rank=8,
    q_lora_rank=8,
    qk_rope_head_dim=4,
    qk_nope_head_dim=4,
    v_head_dim=8,
    **GROUPED,
)
text_model(
    "granite",
    "byte",
    "GraniteConfig",
    "GraniteForCausalLM",
    "text-generation",
    template="granite",
    **GROUPED,
)
text_model(
    "cohere-command",
    "byte",
    "CohereConfig",
    "CohereForCausalLM",
    "text-generation",
    template="command",
    pad_token_id=0,
    bos_token_id=0,
    eos_token_id=0,
    **GROUPED,
)
text_model(
    "smollm3",
    "qwen",
    "SmolLM3Config",
    "SmolLM3ForCausalLM",
    "text-generation",
    template="smollm",
    pad_token_id=0,
    bos_token_id=0,
    eos_token_id=0,
    **GROUPED,
)
text_model(
    "t5",
    "t5",
    "T5Config",
    "T5ForConditionalGeneration",
    "text2text-generation",
    spm="spiece.model",
    torch_bin=True,
    d_model=16,
    d_kv=8,
    d_ff=24,
    num_layers=1,
    num_heads=2,
    vocab_size=300,
    decoder_start_token_id=0,
)
text_model(
    "bart",
    "roberta",
    "BartConfig",
    "BartForConditionalGeneration",
    "summarization",
    d_model=16,
    encoder_layers=1,
    decoder_layers=1,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    vocab_size=300,
    max_position_embeddings=64,
)
text_model(
    "marian",
    "t5",
    "MarianConfig",
    "MarianMTModel",
    "translation",
    spm="source.spm",
    d_model=16,
    encoder_layers=1,
    decoder_layers=1,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    vocab_size=300,
    pad_token_id=1,
    eos_token_id=2,
    decoder_start_token_id=1,
    max_position_embeddings=64,
)


def seeing(name: str, config: str, model: str, task: str, reader: str, **fields: Any) -> None:
    """Register a model of pictures."""

    def make(folder: Path) -> None:
        made = getattr(tf, model)(getattr(tf, config)(**fields))
        save(folder, made, processor=getattr(tf, reader)())
        card(folder, task, body="\n![a picture](picture.png)\n")
        picture(folder / "picture.png")

    MAKERS[name] = make


def picture(path: Path) -> None:
    """A small PNG."""
    from PIL import Image

    Image.effect_noise((24, 24), 40).save(path)


LABELS = {0: "cat", 1: "dog", 2: "remote"}
seeing(
    "vit",
    "ViTConfig",
    "ViTForImageClassification",
    "image-classification",
    "ViTImageProcessor",
    id2label=LABELS,
    **EYES,
)
seeing(
    "dinov2", "Dinov2Config", "Dinov2Model", "image-feature-extraction", "BitImageProcessor", **EYES
)
seeing(
    "swin",
    "SwinConfig",
    "SwinForImageClassification",
    "image-classification",
    "ViTImageProcessor",
    embed_dim=8,
    depths=[1, 1],
    num_heads=[1, 2],
    window_size=2,
    image_size=16,
    patch_size=4,
    id2label=LABELS,
)
seeing(
    "segformer",
    "SegformerConfig",
    "SegformerForSemanticSegmentation",
    "image-segmentation",
    "SegformerImageProcessor",
    hidden_sizes=[8, 8, 8, 8],
    depths=[1, 1, 1, 1],
    num_attention_heads=[1, 1, 1, 1],
    decoder_hidden_size=8,
    mlp_ratios=[1, 1, 1, 1],
)
seeing(
    "convnext",
    "ConvNextConfig",
    "ConvNextForImageClassification",
    "image-classification",
    "ConvNextImageProcessor",
    hidden_sizes=[8, 8, 8, 8],
    depths=[1, 1, 1, 1],
)
seeing(
    "detr",
    "DetrConfig",
    "DetrForObjectDetection",
    "object-detection",
    "DetrImageProcessor",
    use_timm_backbone=False,
    use_pretrained_backbone=False,
    backbone=None,
    d_model=16,
    backbone_config=tf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage4"]
    ),
    encoder_layers=1,
    decoder_layers=1,
    encoder_ffn_dim=16,
    decoder_ffn_dim=16,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    num_queries=4,
)
seeing("resnet", "ResNetConfig", "ResNetForImageClassification", "image-classification",
       "ConvNextImageProcessor", embedding_size=8, hidden_sizes=[8, 8, 8, 8],
       depths=[1, 1, 1, 1], layer_type="basic", id2label=LABELS)  # fmt: skip


@repository("clip")
def clip(folder: Path) -> None:
    """Text and pictures."""
    config = tf.CLIPConfig(text_config={**SMALL, "num_hidden_layers": 1}, vision_config=EYES,
                           projection_dim=8)  # fmt: skip
    words = tokenizer("clip", length=77)
    save(folder, tf.CLIPModel(config), words=words, processor=tf.CLIPImageProcessor(),
         torch_bin=True)  # fmt: skip
    card(folder, "zero-shot-image-classification", widget=[{"text": "a photo of {label}"}])


@repository("siglip")
def siglip(folder: Path) -> None:
    """Text and pictures, with a SentencePiece vocabulary."""
    config = tf.SiglipConfig(text_config={**SMALL, "num_hidden_layers": 1}, vision_config=EYES)
    save(folder, tf.SiglipModel(config), words=tokenizer("t5", length=64),
         processor=tf.SiglipImageProcessor())  # fmt: skip
    sentence_piece(folder / "spiece.model", "unigram")
    card(folder, "zero-shot-image-classification")


@repository("llava")
def llava(folder: Path) -> None:
    """A model that looks and talks, with its processor."""
    config = tf.LlavaConfig(
        text_config=tf.LlamaConfig(**GROUPED), vision_config=tf.CLIPVisionConfig(**EYES),
        image_token_index=8, image_seq_length=4,
    )  # fmt: skip
    words = tokenizer("llama", "llava")
    processor = tf.LlavaProcessor(
        image_processor=tf.CLIPImageProcessor(size={"shortest_edge": 16}), tokenizer=words,
        patch_size=8, vision_feature_select_strategy="default", chat_template=TEMPLATES["llava"],
    )  # fmt: skip
    save(folder, tf.LlavaForConditionalGeneration(config).to(half), processor=processor,
         shard="20KB")  # fmt: skip
    card(folder, "image-text-to-text")


@repository("whisper")
def whisper(folder: Path) -> None:
    """Speech to text."""
    config = tf.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=300,
        num_mel_bins=8, max_source_positions=32, max_target_positions=32, pad_token_id=0,
        bos_token_id=0, eos_token_id=0, decoder_start_token_id=1, suppress_tokens=[1, 2],
        begin_suppress_tokens=[3, 4],
    )  # fmt: skip
    save(folder, tf.WhisperForConditionalGeneration(config), words=tokenizer("byte"),
         processor=tf.WhisperFeatureExtractor(feature_size=8))  # fmt: skip
    (folder / "normalizer.json").write_text(json.dumps({"colour": "color", "centre": "center"}))
    card(folder, "automatic-speech-recognition")


@repository("wav2vec2")
def wav2vec2(folder: Path) -> None:
    """Speech to letters."""
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLUMWCFGYPBVK'XJQZ"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(letters)}))
    words = tf.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    save(folder, tf.Wav2Vec2ForCTC(tf.Wav2Vec2Config(**EARS)), words=words, torch_bin=True,
         processor=tf.Wav2Vec2FeatureExtractor())  # fmt: skip
    card(folder, "automatic-speech-recognition")


# Other libraries


def base_model(folder: Path) -> Any:
    """A small Llama that others build on."""
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**GROUPED))
    model.name_or_path = model.config._name_or_path = "example/llama-2-chat"
    return model


@repository("peft-lora")
def lora(folder: Path) -> None:
    """An adapter, its card by the library itself."""
    import peft

    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"],
                             task_type="CAUSAL_LM")  # fmt: skip
    peft.get_peft_model(base_model(folder), config).save_pretrained(folder)
    tokenizer("llama", "llama2").save_pretrained(folder)


@repository("peft-lora-bin")
def lora_bin(folder: Path) -> None:
    """The same with weights as torch pickles them."""
    import peft

    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = peft.get_peft_model(base_model(folder), config)
    model.save_pretrained(folder)
    torch.save(peft.get_peft_model_state_dict(model), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


@repository("sentence-transformers")
def sentences(folder: Path) -> None:
    """An encoder with pooling and normalisation."""
    import sentence_transformers as st
    from sentence_transformers import models as parts

    inner = folder.parent / "inner"
    save(inner, tf.BertModel(tf.BertConfig(**SMALL)), words=tokenizer("bert"))
    encoder = parts.Transformer(str(inner), max_seq_length=64)
    pooling = parts.Pooling(16, pooling_mode="mean")
    dense = parts.Dense(16, 8)
    made = st.SentenceTransformer(modules=[encoder, pooling, dense, parts.Normalize()],
                                  prompts={"query": "query: ", "passage": "passage: "})  # fmt: skip
    made.save(str(folder))
    shutil.rmtree(inner)


@repository("cross-encoder")
def cross(folder: Path) -> None:
    """A re-ranker."""
    import sentence_transformers as st

    inner = folder.parent / "inner"
    config = tf.BertConfig(num_labels=1, **SMALL)
    save(inner, tf.BertForSequenceClassification(config), words=tokenizer("bert"))
    st.CrossEncoder(str(inner), device="cpu").save_pretrained(str(folder))
    shutil.rmtree(inner)


@repository("setfit")
def setfit_model(folder: Path) -> None:
    """A sentence encoder with a head of scikit-learn."""
    import setfit
    from sklearn.linear_model import LogisticRegression

    sentences(folder.parent / "body")
    import sentence_transformers as st

    body = st.SentenceTransformer(str(folder.parent / "body"), device="cpu")
    head = LogisticRegression().fit([[float(i)] * 8 for i in range(4)], [0, 1, 0, 1])
    made = setfit.SetFitModel(model_body=body, model_head=head, labels=["bad", "good"])
    made.save_pretrained(folder)
    shutil.rmtree(folder.parent / "body")


@repository("diffusers-stable-diffusion")
def diffusion(folder: Path) -> None:
    """A whole text-to-image pipeline."""
    import diffusers as df

    inner = folder.parent / "words"
    tokenizer("clip", length=77).save_pretrained(inner)
    unet = df.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=2,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
        norm_num_groups=2,
    )  # fmt: skip
    vae = df.AutoencoderKL(
        block_out_channels=(4, 4), layers_per_block=1, latent_channels=4, norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    text = tf.CLIPTextModel(tf.CLIPTextConfig(**SMALL))
    pipe = df.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tf.CLIPTokenizer.from_pretrained(inner), unet=unet,
        scheduler=df.PNDMScheduler(skip_prk_steps=True, steps_offset=1), safety_checker=None,
        feature_extractor=tf.CLIPImageProcessor(), requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder)
    shutil.rmtree(inner)
    card(folder, "text-to-image", "diffusers")


@repository("diffusers-ddpm")
def ddpm(folder: Path) -> None:
    """A pipeline without text, its weights as torch pickles them."""
    import diffusers as df

    unet = df.UNet2DModel(
        sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), attention_head_dim=2,
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    pipe = df.DDPMPipeline(unet=unet, scheduler=df.DDPMScheduler())
    pipe.save_pretrained(folder, safe_serialization=False)
    card(folder, "unconditional-image-generation", "diffusers")


@repository("timm-vit")
def timm_model(folder: Path) -> None:
    """A model of timm, with both kinds of weights."""
    import timm
    from timm.models import save_for_hf

    shape = {"embed_dim": 16, "depth": 1, "num_heads": 2, "img_size": 16, "num_classes": 3}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, **shape)
    save_for_hf(model, str(folder), safe_serialization="both", model_args=shape)
    card(folder, "image-classification", "timm")


@repository("keras")
def keras_model(folder: Path) -> None:
    """One model in each of Keras' three layouts."""
    import keras
    from keras import layers

    folder.mkdir(parents=True, exist_ok=True)
    start = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, activation="relu")(start)
    x = layers.Dense(3, "softmax")(layers.Flatten()(layers.BatchNormalization()(x)))
    model = keras.Model(start, x)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    card(folder, "image-classification", "keras")


class Perceptron(torch.nn.Module):
    """Two linear layers, for exports."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 12), torch.nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.second(torch.nn.functional.gelu(self.first(x)))


def neutral(path: Path) -> None:
    """Take the folders of this machine out of the stack traces that the exporter notes."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        for pair in node.metadata_props:
            for folder, name in ((sys.prefix, "env"), (str(Path(__file__).parent), "benign")):
                pair.value = pair.value.replace(folder, name)
    path.write_bytes(model.SerializeToString())


@repository("onnx-exports")
def onnx_exports(folder: Path) -> None:
    """Both exporters, quantised weights, and weights beside the model."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    folder.mkdir(parents=True, exist_ok=True)
    model, given = Perceptron().eval(), (torch.ones(2, 8),)
    torch.onnx.export(model, given, folder / "script.onnx", dynamo=False)
    torch.onnx.export(model, given, folder / "dynamo.onnx", dynamo=True, external_data=False)
    torch.onnx.export(model, given, folder / "outside.onnx", dynamo=True, external_data=True)
    quantize_dynamic(folder / "script.onnx", folder / "script_quantized.onnx")
    for name in ("dynamo.onnx", "outside.onnx"):
        neutral(folder / name)
    loaded = onnx.load(folder / "script.onnx")
    onnx.save(loaded, folder / "beside.onnx", save_as_external_data=True, size_threshold=0,
              location="beside.onnx_data")  # fmt: skip
    card(folder, "image-classification", "onnx")


@repository("optimum-onnx")
def optimum_onnx(folder: Path) -> None:
    """What `optimum-cli export onnx` leaves: an encoder in `onnx/` beside its tokenizer."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    words = tokenizer("bert")
    model = tf.BertModel(tf.BertConfig(**{**SMALL, "num_hidden_layers": 1})).eval()
    save(folder, model, words=words)
    (folder / "onnx").mkdir()
    ids = torch.ones(1, 4, dtype=torch.long)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        model, (ids, ids, ids * 0), folder / "onnx" / "model.onnx", input_names=names,
        output_names=["last_hidden_state"], dynamo=False,
        dynamic_axes={n: {0: "batch_size", 1: "sequence_length"} for n in names},
    )  # fmt: skip
    quantize_dynamic(folder / "onnx" / "model.onnx", folder / "onnx" / "model_quantized.onnx",
                     weight_type=QuantType.QUInt8)  # fmt: skip
    said = {"one_external_file": True, "opset": None, "optimization": {}, "quantization": {},
            "optimum_version": "2.3.0", "use_external_data_format": False}  # fmt: skip
    (folder / "ort_config.json").write_text(json.dumps(said, indent=2))
    card(folder, "feature-extraction", "transformers.js")


@repository("gguf-llama")
def gguf_llama(folder: Path) -> None:
    """Two quantisations of one model."""
    import gguf
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    tokens = [f"tok{i}" for i in range(300)]
    for name, kind in (("F16", gguf.GGMLQuantizationType.F16),
                       ("Q8_0", gguf.GGMLQuantizationType.Q8_0)):  # fmt: skip
        rng = numpy.random.default_rng(0)
        writer = gguf.GGUFWriter(folder / f"model-{name}.gguf", "llama")
        writer.add_name("tiny llama")
        writer.add_license("apache-2.0")
        writer.add_context_length(64)
        writer.add_embedding_length(32)
        writer.add_block_count(1)
        writer.add_feed_forward_length(32)
        writer.add_head_count(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("llama-bpe")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * 300)
        writer.add_token_merges(["t o", "k 1"])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_chat_template(TEMPLATES["llama3"])
        for tensor, shape in (("token_embd.weight", (300, 32)), ("blk.0.ffn_up.weight", (32, 32)),
                              ("output_norm.weight", (32,))):  # fmt: skip
            data = rng.standard_normal(shape).astype(numpy.float32)
            if len(shape) == 1:
                writer.add_tensor(tensor, data)
            else:
                writer.add_tensor(tensor, gguf.quants.quantize(data, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    card(folder, "text-generation", "gguf", base_model="example/llama-3-instruct",
         quantized_by="example")  # fmt: skip


@repository("torchscript")
def torchscript(folder: Path) -> None:
    """A traced and a scripted model."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Perceptron().eval()
    torch.jit.trace(model, torch.ones(1, 8)).save(str(folder / "traced.pt"))
    torch.jit.script(model).save(str(folder / "scripted.pt"))
    card(folder, "image-classification", "pytorch")


@repository("scikit-learn")
def scikit(folder: Path) -> None:
    """A pipeline through skops, joblib and pickle."""
    import pickle

    import joblib
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    folder.mkdir(parents=True, exist_ok=True)
    columns = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(), [2])])
    model = Pipeline([("columns", columns), ("forest", RandomForestClassifier(4, max_depth=2))])
    rows = [[float(i), float(i % 3), i % 2] for i in range(12)]
    model.fit(rows, [i % 2 for i in range(12)])
    skops.io.dump(model, folder / "model.skops")
    joblib.dump(model, folder / "model.joblib", compress=3)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    said = {"sklearn": {"columns": ["a", "b", "c"], "environment": ["scikit-learn"],
                        "model": {"file": "model.skops"}, "model_format": "skops",
                        "task": "tabular-classification"}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(said, indent=2))
    card(folder, "tabular-classification", "sklearn")


@repository("spacy-pipeline")
def spacy_pipeline(folder: Path) -> None:
    """A text classifier as `nlp.to_disk` writes it."""
    import spacy
    from spacy.training import Example

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    words = nlp.add_pipe("textcat", config={"model": {
        "@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": True, "ngram_size": 1,
        "no_output_layer": False, "length": 64}})  # fmt: skip
    examples = [Example.from_dict(nlp.make_doc(t), {"cats": {"A": 1.0, "B": 0.0}}) for t in TEXT]
    for label in ("A", "B"):
        words.add_label(label)
    nlp.initialize(lambda: examples)
    nlp.to_disk(folder)
    card(folder, "text-classification", "spacy")


@repository("trainer-checkpoint")
def trainer(folder: Path) -> None:
    """What a run of trl leaves: the model, a checkpoint, the logs of TensorBoard."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = Dataset.from_dict({"text": TEXT})
    args = SFTConfig(
        output_dir=str(folder), max_steps=2, save_steps=2, logging_steps=1, use_cpu=True,
        per_device_train_batch_size=1, report_to=["tensorboard"], max_length=16, bf16=False,
    )  # fmt: skip
    words = tokenizer("qwen", "qwen2")
    config = tf.Qwen2Config(**{**GROUPED, "num_hidden_layers": 1})
    run = SFTTrainer(model=tf.Qwen2ForCausalLM(config), args=args, train_dataset=rows,
                     processing_class=words)  # fmt: skip
    run.train()
    run.save_model()
    run.create_model_card(model_name="trainer-checkpoint")
    for number, log in enumerate(sorted((folder / "runs").rglob("events.*"))):
        log.rename(folder / "runs" / f"events.out.tfevents.{number}")


def main(place: Path, names: list[str]) -> None:
    """Make the named ones, or all of them."""
    warnings.simplefilter("ignore")
    tf.logging.set_verbosity_error()
    for name in names or MAKERS:
        print(name, flush=True)
        random.seed(name)
        torch.manual_seed(0)
        folder = place / name
        shutil.rmtree(folder, ignore_errors=True)
        MAKERS[name](folder)
        agree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
