"""ONNX graphs of architectures that the rules had not met: models of transformers by their
configurations, made small, at random weights, with both of torch's exporters.

pip install torch==2.13.0 transformers==5.24.0 onnx==1.23.2 onnxscript
python tests/benign/make_fresh_graphs.py /a/folder [name …]       each in a process of its own
python tests/benign/make_fresh_graphs.py --pack /a/folder tests/benign/files/graphs/graphs-5.zip
"""

from __future__ import annotations

import inspect
import logging
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

NAMED = """
arcee audio-spectrogram-transformer bamba big_bird bigbird_pegasus biogpt bit bitnet blenderbot
blenderbot-small camembert canine codegen conditional_detr convnextv2 ctrl cvt d_fine
data2vec-audio data2vec-text data2vec-vision deberta-v2 deepseek_v2 deepseek_v3 depth_anything
diffllama dinov2_with_registers dinov3_convnext dinov3_vit efficientformer efficientnet eomt ernie
ernie4_5 esm exaone4 falcon_mamba flaubert focalnet glm glm4 glm4_moe glpn gpt_bigcode gpt_oss
granitemoe granitemoeshared helium hiera hunyuan_v1_dense hunyuan_v1_moe ibert ijepa jamba jetmoe
layoutlm led levit lfm2 lilt longformer longt5 luke m2m_100 mamba2 markuplm mbart mctct
megatron-bert minimax mobilenet_v1 mobilevitv2 modernbert-decoder moonshine mpt mra mt5 mvp nat
nemotron nezha nllb-moe nystromformer olmoe openai-gpt perceiver persimmon phimoe plbart poolformer
prophetnet pvt pvt_v2 qwen2_moe qwen3_moe recurrent_gemma reformer rembert roc_bert roformer rt_detr
seed_oss sew sew-d smollm3 speech_to_text squeezebert stablelm starcoder2 superpoint swiftformer
swin2sr switch_transformers table-transformer tapas textnet timesformer umt5 unispeech
unispeech-sat univnet upernet van videomae vit_msn vitdet vivit wav2vec2-bert wav2vec2-conformer
xglm xlm xmod yoso zamba zoedepth
"""
NAMES = NAMED.split()
SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "embedding_size",
                     "lru_width", "moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers",
                     "decoder_layers", "num_key_value_heads", "num_experts_per_tok", "n_group",
                     "type_vocab_size", "expert_layer_period", "attn_layer_period"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "num_experts",
                     "encoder_attention_heads", "decoder_attention_heads", "num_local_experts",
                     "n_routed_experts", "mamba_n_heads", "rotary_dim", "conv1d_width"), 4),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "encoder_ffn_dim",
                     "decoder_ffn_dim", "max_position_embeddings", "n_positions", "image_size",
                     "max_2d_position_embeddings", "num_hash_buckets"), 64),
    **dict.fromkeys(("head_dim", "d_kv", "attention_window", "block_size", "qk_rope_head_dim",
                     "qk_nope_head_dim", "v_head_dim", "mamba_d_state", "state_size",
                     "sliding_window"), 8),
    **dict.fromkeys(("patch_size", "kv_lora_rank", "q_lora_rank", "mamba_d_head",
                     "attention_window_size"), 16),
    **dict.fromkeys(("topk_group", "first_k_dense_replace", "attn_layer_offset",
                     "expert_layer_offset", "n_shared_experts", "bos_token_id"), 1),
    **dict.fromkeys(("pad_token_id", "decoder_start_token_id"), 0),
    "vocab_size": 199, "num_channels": 3, "use_cache": False, "eos_token_id": 2, "num_labels": 5,
}  # fmt: skip
LARGE = 3_000_000
"""So many weights are too many."""


def configured(name: str) -> Any:
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name]
    usual = kind()
    kept = {k: v for k, v in SMALL.items() if isinstance(getattr(usual, k, None), int)}
    if getattr(usual, "pad_token_id", 0) is None:
        kept["pad_token_id"] = 0
    layers = getattr(usual, "layer_types", None)
    try:
        made = kind(**kept, **({"layer_types": layers[:2]} if layers else {}))
    except Exception:  # one whose kinds of layers follow from something else
        made = kind(**kept)
    made._attn_implementation = "eager"
    return made


def model_of(config: Any) -> Any:
    from transformers import (
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
    )

    for kind in (AutoModelForCausalLM, AutoModelForSequenceClassification,
                 AutoModelForImageClassification, AutoModel):  # fmt: skip
        try:
            return kind.from_config(config)
        except (ValueError, KeyError):
            continue
    raise LookupError("no model")


def inputs_of(model: Any, config: Any) -> dict[str, Any]:
    import torch

    taken = inspect.signature(model.forward).parameters
    main = model.main_input_name
    if main == "pixel_values":
        side = config.image_size if isinstance(getattr(config, "image_size", 0), int) else 64
        return {main: torch.randn(1, getattr(config, "num_channels", 3), side or 64, side or 64)}
    if main == "input_values":
        return {main: torch.randn(1, 4000)}
    if main == "input_features":
        return {main: torch.randn(1, 64, getattr(config, "num_mel_bins", 80))}
    made = {main: torch.randint(3, 199, (1, 16))}
    if "attention_mask" in taken:
        made["attention_mask"] = torch.ones(1, 16, dtype=torch.long)
    if config.is_encoder_decoder and "decoder_input_ids" in taken:
        made["decoder_input_ids"] = torch.randint(3, 199, (1, 8))
    if "bbox" in taken:
        made["bbox"] = torch.randint(0, 50, (1, 16, 4)).sort(-1)[0]
    return made


def export(name: str, folder: Path) -> None:
    """One architecture, with both exporters as far as they can."""
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    config = configured(name)
    model = model_of(config).eval()
    if sum(p.numel() for p in model.parameters()) > LARGE:
        raise LookupError("large")
    given = inputs_of(model, config)

    class First(torch.nn.Module):
        """What it gives first."""

        def __init__(self) -> None:
            super().__init__()
            self.m = model

        def forward(self, *values: Any) -> Any:
            made = self.m(**dict(zip(given, values, strict=True)), return_dict=True)
            return next(v for v in made.values() if torch.is_tensor(v))

    names = {"input_names": list(given), "output_names": ["y"]}
    open_ = {k: {0: "batch"} for k in given} if NAMES.index(name) % 2 else None
    for form in ("script", "dynamo"):
        path = str(folder / f"{name}-{form}.onnx")
        more = {"external_data": False} if form == "dynamo" else {
            "opset_version": 17, "dynamic_axes": open_}  # fmt: skip
        try:
            torch.onnx.export(First(), tuple(given.values()), path, dynamo=form == "dynamo",
                              **names, **more)  # fmt: skip
        except Exception as error:  # what an exporter cannot do is not ours to mend
            print(name, form, type(error).__name__, flush=True)


def rounded(path: Path) -> bytes:
    """A graph with weights that compress: of each tensor's spread, sixteenths."""
    import numpy as np
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(tensor)
        if numbers.dtype == np.float32 and numbers.size > 64 and numbers.std() > 0:
            step = numbers.std() / 16
            made = (np.round(numbers / step) * step).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))
    return model.SerializeToString()


def pack(folder: Path, archive: Path, names: list[str]) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as out:
        for path in sorted(folder.glob("*.onnx")):
            if not names or path.stem in names:
                entry = zipfile.ZipInfo(path.name, (2026, 1, 1, 0, 0, 0))
                out.writestr(entry, rounded(path), zipfile.ZIP_LZMA)


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if len(names) == 1:
        export(names[0], folder)
        return
    for name in names or NAMES:
        try:
            subprocess.run([sys.executable, __file__, str(folder), name], timeout=200)
        except subprocess.TimeoutExpired:
            print(name, "takes too long")


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
