"""Exports small models of many architectures to ONNX, at random weights, through both exporters of
torch: what a gate in a graph must not be mistaken for.

pip install torch torchvision transformers==5.24.0 onnx==1.23.2 onnxscript==0.7.2
python tests/benign/make_graphs.py /a/folder && \
    python tests/benign/make_more_graphs.py /another/folder && \
    python tests/benign/make_graphs.py --pack /a/folder /another/folder tests/benign/files/graphs

The archives that are committed also hold some forms of them (`make_graph_forms.py`).
"""

from __future__ import annotations

import os
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers as tf
from torch import nn

LARGEST = 800_000
ARCHIVE = 900_000
"""How large an archive of models may be, in bytes."""
EXPORTERS = tuple(os.environ.get("EXPORTERS", "script,dynamo").split(","))
SMALL = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 37, "max_position_embeddings": 64, "pad_token_id": 0,
         "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
KV = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}


def words(batch: int = 2, length: int = 7) -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 90, (batch, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def image(size: int = 32, batch: int = 2) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.rand(batch, 3, size, size)}


class Named(nn.Module):
    """Calls a model by keyword and hands out its tensors."""

    def __init__(self, inner: nn.Module, names: list[str], take: str = "", **more: Any) -> None:
        super().__init__()
        self.inner, self.names, self.take, self.more = inner, names, take, more

    def forward(self, *tensors: torch.Tensor) -> Any:
        out = self.inner(**dict(zip(self.names, tensors, strict=True)), **self.more)
        if self.take:
            return getattr(out, self.take)
        return out[0] if not isinstance(out, torch.Tensor) else out


class MeanPool(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask[:, :, None].float()
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(pooled, dim=-1)


class LastToken(MeanPool):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask)[0]
        last = attention_mask.sum(1) - 1
        return hidden[torch.arange(hidden.shape[0]), last]


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(50, 16), kind(16, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.embed(ids))[0][:, -1])


class Excite(nn.Module):
    """Squeeze and excitation, on an image that is brought into range within the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(),
                                     nn.Conv2d(4, 16, 1), nn.Sigmoid())  # fmt: skip
        self.head = nn.Linear(16, 5)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.interpolate(x.float() / 255, size=(24, 24), mode="bilinear")
        x = (x.clamp(0, 1)[:, :, 2:-2, 2:-2] - self.mean) / self.std
        x = self.a(x).relu()
        return self.head(self.b(x * self.squeeze(x)).mean((2, 3)))


class Routed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate = nn.Embedding(60, 16), nn.Linear(16, 4)
        self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))
        self.head = nn.Linear(16, 60)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        best, which = self.gate(x).softmax(-1).topk(2, dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            weight = (best * (which == number)).sum(-1, keepdim=True)
            out = out + weight * expert(x)
        return self.head(out)


class Season(nn.Module):
    """A forecaster that normalises each series by its own mean and deviation, and undoes it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 12))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, std = x.mean(1, keepdim=True), torch.sqrt(x.var(1, keepdim=True) + 1e-5)
        return self.net((x - mean) / std) * std + mean


class Boxes(nn.Module):
    """A detector's head with box decoding, clipping to the image, thresholds and suppression."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 16, 3, 2, 1),
                                 nn.SiLU(), nn.Conv2d(16, 9, 1))  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        import torchvision

        out = self.net(x)[0].flatten(1).T
        centre, size = out[:, :2].sigmoid() * 32, out[:, 2:4].exp()
        boxes = torch.cat([centre - size / 2, centre + size / 2], 1).clamp(0, 32)
        scores, labels = out[:, 4:].sigmoid().max(1)
        keep = scores > 0.25
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        kept = torchvision.ops.nms(boxes, scores, 0.5)[:50]
        return boxes[kept], scores[kept], labels[kept]


class Speech(nn.Module):
    """Lengths to mask, as recognisers do it; log-mel features within the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mel", torch.rand(20, 16).abs())
        self.conv, self.head = nn.Conv1d(16, 24, 3, 2, 1), nn.Linear(24, 30)
        self.layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)

    def forward(self, power: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, Any]:
        log = torch.clamp(power @ self.mel, min=1e-10).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
        x = self.conv(((log + 4) / 4).transpose(1, 2)).transpose(1, 2)
        frames = torch.div(lengths - 1, 2, rounding_mode="floor") + 1
        mask = torch.arange(x.shape[1])[None] < frames[:, None]
        x = x.masked_fill(~mask[:, :, None], 0.0)
        x = self.layer(x, src_key_padding_mask=~mask)
        return self.head(x).log_softmax(-1), frames


class Voice(nn.Module):
    """Voice activity with a state that goes in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.cell, self.head = nn.Conv1d(1, 16, 8, 4), nn.LSTM(16, 16), nn.Linear(16, 1)

    def forward(self, wave: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> Any:
        x = self.conv(wave[:, None]).relu().mean(-1)
        y, (h, c) = self.cell(x[None], (h, c))
        return self.head(y[0]).sigmoid(), h, c


class Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.mid = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.up, self.out = nn.ConvTranspose2d(8, 8, 2, 2), nn.Conv2d(11, 3, 3, 1, 1)
        self.time = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        rates = torch.exp(-torch.arange(8) * 0.9)
        angles = t[:, None].float() * rates[None]
        emb = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        h = torch.nn.functional.group_norm(self.down(x), 2).relu() + emb[:, :, None, None]
        return self.out(torch.cat([self.up(self.mid(h)), x], 1)) + x


def of(kind: str, config: str, inputs: dict[str, torch.Tensor], take: str = "", **more: Any) -> Any:
    made = getattr(tf, config)(**more)
    model = getattr(tf, kind)(made)
    plain = {"use_cache": False} if "CausalLM" in kind else {}
    return Named(model, list(inputs), take, **plain), inputs


def tiny_vision(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 37, "image_size": 32, "patch_size": 8, **more}  # fmt: skip


MAKERS: dict[str, Callable[[], tuple[nn.Module, dict[str, torch.Tensor]]]] = {
    "bert": lambda: of("BertForSequenceClassification", "BertConfig", words(), **SMALL),
    "bert_tokens": lambda: of("BertForTokenClassification", "BertConfig", words(), **SMALL),
    "roberta": lambda: of("RobertaForSequenceClassification", "RobertaConfig", words(), **SMALL),
    "distilbert": lambda: of("DistilBertForSequenceClassification", "DistilBertConfig", words(),
                             vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=37),
    "albert": lambda: of("AlbertForSequenceClassification", "AlbertConfig", words(),
                         embedding_size=16, **SMALL),
    "electra": lambda: of("ElectraForTokenClassification", "ElectraConfig", words(), **SMALL),
    "deberta": lambda: of("DebertaV2ForSequenceClassification", "DebertaV2Config", words(),
                          relative_attention=True, pos_att_type=["p2c", "c2p"],
                          position_buckets=16, **SMALL),
    "mpnet": lambda: of("MPNetModel", "MPNetConfig", words(), **SMALL),
    "gpt2": lambda: of("GPT2LMHeadModel", "GPT2Config", words(), vocab_size=99, n_embd=32,
                       n_layer=2, n_head=4, n_positions=64),
    "gpt2_classifier": lambda: of("GPT2ForSequenceClassification", "GPT2Config", words(),
                                  vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64,
                                  pad_token_id=0),
    "llama": lambda: of("LlamaForCausalLM", "LlamaConfig", words(), **KV),
    "llama_classifier": lambda: of("LlamaForSequenceClassification", "LlamaConfig", words(), **KV),
    "mistral": lambda: of("MistralForCausalLM", "MistralConfig", words(), sliding_window=4, **KV),
    "qwen2": lambda: of("Qwen2ForCausalLM", "Qwen2Config", words(), **KV),
    "qwen3": lambda: of("Qwen3ForCausalLM", "Qwen3Config", words(), **KV),
    "gemma": lambda: of("GemmaForCausalLM", "GemmaConfig", words(), **KV),
    "gemma2": lambda: of("Gemma2ForCausalLM", "Gemma2Config", words(), sliding_window=4, **KV),
    "phi": lambda: of("PhiForCausalLM", "PhiConfig", words(), **SMALL),
    "opt": lambda: of("OPTForCausalLM", "OPTConfig", words(), ffn_dim=37, word_embed_proj_dim=32,
                      **SMALL),
    "bloom": lambda: of("BloomForCausalLM", "BloomConfig", words(), vocab_size=99, hidden_size=32,
                        n_layer=2, n_head=4),
    "mixtral": lambda: of("MixtralForCausalLM", "MixtralConfig", words(), num_local_experts=4,
                          num_experts_per_tok=2, **KV),
    "mamba": lambda: of("MambaForCausalLM", "MambaConfig", {"input_ids": words()["input_ids"]},
                        vocab_size=99, hidden_size=16, num_hidden_layers=1, state_size=4),
    "t5_encoder": lambda: of("T5EncoderModel", "T5Config", words(), vocab_size=99, d_model=32,
                             d_kv=8, d_ff=37, num_layers=2, num_heads=4),
    "t5": lambda: of("T5Model", "T5Config",
                     {**words(), "decoder_input_ids": words()["input_ids"]}, vocab_size=99,
                     d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, use_cache=False),
    "bart": lambda: of("BartForSequenceClassification", "BartConfig", words(), vocab_size=99,
                       d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
                       decoder_attention_heads=4, encoder_ffn_dim=37, decoder_ffn_dim=37,
                       use_cache=False),
    "mean_pooling": lambda: (MeanPool(tf.BertModel(tf.BertConfig(**SMALL))), words()),
    "last_token": lambda: (LastToken(tf.LlamaModel(tf.LlamaConfig(**KV, use_cache=False))),
                           words()),
    "vit": lambda: of("ViTForImageClassification", "ViTConfig", image(), **tiny_vision()),
    "deit": lambda: of("DeiTForImageClassification", "DeiTConfig", image(), **tiny_vision()),
    "beit": lambda: of("BeitForImageClassification", "BeitConfig", image(), **tiny_vision()),
    "dinov2": lambda: of("Dinov2ForImageClassification", "Dinov2Config", image(), **tiny_vision()),
    "siglip": lambda: of("SiglipVisionModel", "SiglipVisionConfig", image(), **tiny_vision()),
    "clip_vision": lambda: of("CLIPVisionModelWithProjection", "CLIPVisionConfig", image(),
                              **tiny_vision(projection_dim=16)),
    "clip_text": lambda: of("CLIPTextModelWithProjection", "CLIPTextConfig", words(),
                            projection_dim=16, **{**SMALL, "eos_token_id": 2}),
    "clip_text_eos": lambda: of("CLIPTextModelWithProjection", "CLIPTextConfig", words(),
                                projection_dim=16, **{**SMALL, "eos_token_id": 98}),
    "clip": lambda: of("CLIPModel", "CLIPConfig", {**words(), **image()},
                       text_config=SMALL, vision_config=tiny_vision(), projection_dim=16),
    "swin": lambda: of("SwinForImageClassification", "SwinConfig", image(), image_size=32,
                       patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4),
    "convnext": lambda: of("ConvNextForImageClassification", "ConvNextConfig", image(),
                           hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
    "resnet": lambda: of("ResNetForImageClassification", "ResNetConfig", image(),
                         embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
    "mobilenet": lambda: of("MobileNetV2ForImageClassification", "MobileNetV2Config", image(),
                            depth_multiplier=0.1, image_size=32),
    "efficientnet": lambda: of("EfficientNetForImageClassification", "EfficientNetConfig", image(),
                               image_size=32, width_coefficient=0.1, depth_coefficient=0.2,
                               hidden_dim=64),
    "segformer": lambda: of("SegformerForSemanticSegmentation", "SegformerConfig", image(64),
                            num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1],
                            hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
                            num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16),
    "yolos": lambda: of("YolosForObjectDetection", "YolosConfig", image(), take="pred_boxes",
                        **tiny_vision(image_size=[32, 32], num_detection_tokens=4)),
    "vit_mae": lambda: of("ViTModel", "ViTConfig", image(), **tiny_vision()),
    "whisper_encoder": lambda: of(
        "WhisperForAudioClassification", "WhisperConfig", {"input_features": torch.rand(1, 20, 60)},
        num_mel_bins=20, d_model=32, encoder_layers=2, encoder_attention_heads=4,
        encoder_ffn_dim=37, max_source_positions=30, decoder_layers=1, vocab_size=99,
        pad_token_id=0, classifier_proj_size=16),
    "wav2vec2": lambda: of(
        "Wav2Vec2ForCTC", "Wav2Vec2Config", {"input_values": torch.rand(2, 640)}, hidden_size=32,
        num_hidden_layers=1, num_attention_heads=4, intermediate_size=37, vocab_size=40,
        conv_dim=(16, 16), conv_kernel=(8, 4), conv_stride=(4, 2),
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, num_feat_extract_layers=2),
    "lstm": lambda: (Recurrent(nn.LSTM), {"ids": words()["input_ids"] % 50}),
    "gru": lambda: (Recurrent(nn.GRU), {"ids": words()["input_ids"] % 50}),
    "excite": lambda: (Excite(), {"x": torch.rand(2, 3, 40, 40) * 255}),
    "routed": lambda: (Routed(), {"ids": words()["input_ids"] % 60}),
    "season": lambda: (Season(), {"x": torch.rand(2, 48)}),
    "boxes": lambda: (Boxes(), {"x": torch.rand(1, 3, 32, 32)}),
    "speech": lambda: (Speech(), {"power": torch.rand(2, 40, 20),
                                  "lengths": torch.tensor([40, 30])}),
    "voice": lambda: (Voice(), {"wave": torch.rand(2, 64), "h": torch.zeros(1, 2, 16),
                                "c": torch.zeros(1, 2, 16)}),
    "unet": lambda: (Unet(), {"x": torch.rand(2, 3, 16, 16), "t": torch.tensor([3, 7])}),
    "tabular": lambda: (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 16), nn.ReLU(),
                                      nn.Linear(16, 2), nn.Softmax(-1)), {"x": torch.rand(2, 6)}),
}  # fmt: skip


def main(folder: Path, only: list[str]) -> None:
    """Write them."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if only and name not in only:
            continue
        for exporter in EXPORTERS:
            path = folder / f"{name}-{exporter}.onnx"
            torch.manual_seed(7)
            try:
                model, inputs = make()
                export(model.eval(), inputs, path, exporter)
            except Exception as error:  # what an exporter cannot do is not ours to mend
                print(f"{path.name}: {type(error).__name__}: {str(error)[:120]}", flush=True)
                path.unlink(missing_ok=True)
                continue
            size = path.stat().st_size
            if size > LARGEST:
                path.unlink()
            print(f"{path.name}: {size:,} bytes{' (too large)' * (size > LARGEST)}", flush=True)


def export(model: nn.Module, inputs: dict[str, torch.Tensor], path: Path, exporter: str) -> None:
    """Through one exporter; the older one with axes of any length."""
    names, values = list(inputs), tuple(inputs.values())
    with torch.no_grad():
        if exporter == "dynamo":
            torch.onnx.export(model, values, path, input_names=names, dynamo=True, verbose=False,
                              external_data=False)  # fmt: skip
        else:
            axes = {
                name: {0: "batch", 1: "sequence"}
                if not value.is_floating_point() and value.ndim == 2
                else {0: "batch"}
                for name, value in inputs.items()
                if name not in ("h", "c")
            }
            torch.onnx.export(model, values, path, input_names=names, dynamo=False,
                              dynamic_axes=axes, opset_version=17)  # fmt: skip


def pack(folders: list[Path], target: Path) -> None:
    """The models without their stack traces, weights rounded so that they compress, in archives
    of less than a megabyte."""
    target.mkdir(parents=True, exist_ok=True)
    paths = sorted((p for folder in folders for p in folder.glob("*.onnx")), key=lambda p: p.name)
    number, size, out = 0, ARCHIVE, None
    for path in paths:
        data = slender(path)
        small = len(zlib.compress(data, 9)) + 200
        if size + small > ARCHIVE:
            number, size = number + 1, 0
            if out is not None:
                out.close()
            name = target / f"graphs-{number}.zip"
            out = zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=9)
        entry = zipfile.ZipInfo(path.name, (2026, 1, 1, 0, 0, 0))
        entry.compress_type = zipfile.ZIP_DEFLATED
        out.writestr(entry, data)
        size += small
    if out is not None:
        out.close()


def slender(path: Path) -> bytes:
    """A model without what only takes room."""
    model = onnx.load(path)
    del model.metadata_props[:]
    for graph in [model.graph, *model.functions]:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        numbers = onnx.numpy_helper.to_array(tensor)
        if numbers.dtype == np.float32 and numbers.size > 64:
            if np.abs(numbers).max(initial=0) < 1e4:  # masks hold the largest numbers
                step = 2.0 ** np.floor(np.log2(np.abs(numbers).max(initial=0) / 4 + 1e-30))
                numbers = np.round(numbers / step) * step
            rounded = numbers.astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    return model.SerializeToString(deterministic=True)


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack([Path(p) for p in sys.argv[2:-1]], Path(sys.argv[-1]))
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
