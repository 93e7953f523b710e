"""Exports more architectures than `make_graphs.py`: detectors, decoders with a cache, generators of
images, speech, OCR, and models that prepare their input or pick their output within the graph.

pip install torch torchvision timm transformers==5.24.0 diffusers onnx==1.23.2 onnxscript==0.7.2
python tests/benign/make_more_graphs.py /a/folder [name …]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import make_graphs
import torch
import torchvision
import transformers as tf
from make_graphs import KV, SMALL, Named, image, tiny_vision, words
from torch import nn
from torch.nn import functional

Made = tuple[nn.Module, dict[str, torch.Tensor]]
ONE = image(batch=1)
FEW = {**SMALL, "num_hidden_layers": 1}
BART = {"vocab_size": 99, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 37,
        "decoder_ffn_dim": 37, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 2, "max_position_embeddings": 64}  # fmt: skip


class Cached(nn.Module):
    """A decoder that takes and gives its cache, one step at a time."""

    def __init__(self, inner: nn.Module, layers: int, encoder: bool = False) -> None:
        super().__init__()
        self.inner, self.layers, self.encoder = inner, layers, encoder

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor) -> Any:
        cache = tf.DynamicCache()
        rest = past[1:] if self.encoder else past
        for layer in range(self.layers):
            cache.update(rest[2 * layer], rest[2 * layer + 1], layer)
        if self.encoder:
            whole = tf.EncoderDecoderCache(cache, tf.DynamicCache())
            out = self.inner(
                decoder_input_ids=ids,
                encoder_outputs=(past[0],),
                past_key_values=whole,
                use_cache=True,
            )
        else:
            out = self.inner(
                input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True
            )
        kept = [t for layer in cache.layers for t in (layer.keys, layer.values)]
        return (out.logits, *kept)


def cached(kind: str, config: str, heads: int, size: int, **more: Any) -> Made:
    """A language model with two layers that goes on from four tokens."""
    made = getattr(tf, config)(**more)
    made._attn_implementation = "eager"
    past = {f"past_{i}": torch.rand(1, heads, 4, size) for i in range(4)}
    ids = {"input_ids": torch.tensor([[5]]), "attention_mask": torch.ones(1, 5, dtype=torch.int64)}
    return Cached(getattr(tf, kind)(made), 2), {**ids, **past}


def seen(kind: str, config: str, inputs: dict[str, torch.Tensor], **more: Any) -> Made:
    """A model without the fused attention, which not every one of them has."""
    made = getattr(tf, config)(**more)
    made._attn_implementation = "eager"
    plain = {"use_cache": False} if hasattr(made, "use_cache") else {}
    return Named(getattr(tf, kind)(made), list(inputs), "", **plain), inputs


def decoder(kind: str, config: str, encoded: int, **more: Any) -> Made:
    """The decoder half of a model that has two, on states of the encoder."""
    inner = getattr(tf, kind)(getattr(tf, config)(**more))

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            return self.inner(
                decoder_input_ids=ids, encoder_outputs=(states,), use_cache=False
            ).logits

    return Half(), {"ids": words()["input_ids"], "states": torch.rand(2, encoded, 32)}


class Prepared(nn.Module):
    """Bytes of an image are scaled, cut to the middle and normalised before a network sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_mobilenet()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = picture.permute(0, 3, 1, 2).float()
        x = functional.interpolate(x, scale_factor=0.75, mode="bicubic").clamp(0, 255) / 255
        top, left = (x.shape[2] - 32) // 2, (x.shape[3] - 32) // 2
        x = x[:, :, top : top + 32, left : left + 32]
        return self.net((x - self.mean) / self.std).softmax(-1)


class Letters(nn.Module):
    """A reader of lines: columns of a picture to letters, best letter and how sure it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
                                  nn.MaxPool2d(2), nn.Conv2d(16, 24, 3, (2, 1), 1), nn.ReLU(),
                                  nn.AdaptiveAvgPool2d((1, None)))  # fmt: skip
        self.cell = nn.LSTM(24, 16, bidirectional=True, batch_first=True)
        self.head = nn.Linear(32, 40)

    def forward(self, line: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.conv(line).squeeze(2).transpose(1, 2)
        chances = self.head(self.cell(x)[0]).softmax(-1)
        best, which = chances.max(-1)
        new = torch.cat([torch.ones_like(which[:, :1]), which[:, 1:] - which[:, :-1]], 1) != 0
        return chances, which * (new & (which != 0)), best.mean(-1)


class Yolo(nn.Module):
    """Two scales, a distribution over distances, and the best boxes picked in the graph."""

    def __init__(self) -> None:
        super().__init__()

        def block(a: int, b: int, stride: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.SiLU())

        self.stem, self.down = block(3, 8, 2), nn.ModuleList([block(8, 16, 2), block(16, 16, 2)])
        self.split = nn.Conv2d(16, 16, 1)
        self.boxes = nn.ModuleList(nn.Conv2d(16, 4 * 8, 1) for _ in range(2))
        self.classes = nn.ModuleList(nn.Conv2d(16, 5, 1) for _ in range(2))
        self.register_buffer("bins", torch.arange(8.0))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, boxes, scores = self.stem(x), [], []
        for number, down in enumerate(self.down):
            x = down(x)
            left, right = self.split(x).chunk(2, 1)
            x = torch.cat([left, right + left.relu()], 1)
            height, width = x.shape[2:]
            far = self.boxes[number](x).view(x.shape[0], 4, 8, -1).softmax(2)
            far = (far * self.bins[None, None, :, None]).sum(2)
            ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            at = torch.stack([xs.flatten(), ys.flatten()])[None] + 0.5
            box = torch.cat([at - far[:, :2], at + far[:, 2:]], 1) * (4 * 2**number)
            boxes.append(box)
            scores.append(self.classes[number](x).flatten(2).sigmoid())
        box, score = torch.cat(boxes, 2)[0].T, torch.cat(scores, 2)[0].T
        best, label = score.max(1)
        best, order = best.topk(20)
        box, label = box[order].clamp(0, 32), label[order]
        kept = torchvision.ops.nms(box + label[:, None] * 4096.0, best, 0.6)
        return box[kept], best[kept], label[kept]


class Boundary(nn.Module):
    """Voice activity from the wave: a spectrum by convolution, a state and a context kept."""

    def __init__(self) -> None:
        super().__init__()
        waves = torch.arange(9)[:, None] * torch.arange(16)[None] * torch.pi / 8
        self.register_buffer("basis", torch.cat([waves.cos(), waves.sin()])[:, None])
        self.conv, self.cell = nn.Conv1d(9, 16, 3, 2, 1), nn.LSTMCell(16, 16)
        self.head = nn.Conv1d(16, 1, 1)

    def forward(self, wave: torch.Tensor, state: torch.Tensor, context: torch.Tensor) -> Any:
        whole = torch.cat([context, wave], 1)
        spectrum = functional.conv1d(whole[:, None], self.basis, stride=8)
        power = (spectrum[:, :9] ** 2 + spectrum[:, 9:] ** 2).sqrt()
        x = self.conv((power + 1e-6).log()).relu().mean(-1)
        h, c = self.cell(x, (state[0], state[1]))
        said = self.head(h.relu()[:, :, None]).sigmoid().squeeze(2)
        return said, torch.stack([h, c]), whole[:, -16:]


class Conformer(nn.Module):
    """Attention and convolution by turns, behind a mask of lengths, with the best letters."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.lift = nn.Conv2d(1, 8, 3, 2, 1), nn.Linear(8 * 10, 24)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({
                "first": nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 32), nn.SiLU(),
                                       nn.Linear(32, 24)),
                "norm": nn.LayerNorm(24), "attention": nn.Linear(24, 72),
                "wide": nn.Conv1d(24, 48, 1), "depth": nn.Conv1d(24, 24, 5, 1, 2, groups=24),
                "batch": nn.BatchNorm1d(24), "narrow": nn.Conv1d(24, 24, 1),
            }) for _ in range(3))  # fmt: skip
        self.head = nn.Linear(24, 40)

    def forward(self, mel: torch.Tensor, lengths: torch.Tensor) -> Any:
        x = self.down(mel[:, None]).relu()
        x = self.lift(x.permute(0, 2, 1, 3).flatten(2))
        lengths = (lengths + 1) // 2
        live = torch.arange(x.shape[1])[None] < lengths[:, None]
        for block in self.blocks:
            x = x + 0.5 * block["first"](x)
            q, k, v = block["attention"](block["norm"](x)).chunk(3, -1)
            score = (q @ k.transpose(1, 2)) / 24**0.5
            score = score.masked_fill(~live[:, None], -1e4).softmax(-1)
            x = x + (score @ v).masked_fill(~live[:, :, None], 0.0)
            y = functional.glu(block["wide"](x.transpose(1, 2)), 1)
            y = functional.silu(block["batch"](block["depth"](y * live[:, None])))
            x = x + block["narrow"](y).transpose(1, 2)
        chances = self.head(x).log_softmax(-1)
        return chances, chances.argmax(-1).masked_fill(~live, 0), lengths


class Alternating(nn.Module):
    """Experts in every second layer, local attention in every third."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(60, 16)
        self.attention = nn.ModuleList(nn.Linear(16, 48) for _ in range(6))
        self.plain = nn.ModuleList(nn.Linear(16, 16) for _ in range(6))
        self.experts = nn.ModuleList(nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
                                     for _ in range(3))  # fmt: skip
        self.gates = nn.ModuleList(nn.Linear(16, 3) for _ in range(3))
        self.head = nn.Linear(16, 60)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        place = torch.arange(ids.shape[1])
        for number in range(6):
            q, k, v = self.attention[number](x).chunk(3, -1)
            ahead = place[None] > place[:, None]
            if number % 3:
                ahead = ahead | (place[:, None] - place[None] >= 4)
            score = (q @ k.transpose(1, 2) / 4).masked_fill(ahead[None], -1e9).softmax(-1)
            x = x + score @ v
            if number % 2:
                chance = self.gates[number // 2](x).softmax(-1)
                best, which = chance.topk(1, -1)
                for place_of, expert in enumerate(self.experts[number // 2]):
                    x = x + expert(x) * best * (which == place_of)
            else:
                x = x + self.plain[number](x).relu()
        return self.head(x)


class Forecast(nn.Module):
    """Series of differing length, scaled by what was observed of each."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(3, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, past: torch.Tensor, observed: torch.Tensor) -> Any:
        count = observed.sum(1, keepdim=True)
        scale = (past.abs() * observed).sum(1, keepdim=True) / count.clamp(min=1)
        every = (past.abs() * observed).sum() / observed.sum().clamp(min=1)
        scale = torch.where(count > 0, scale, every).clamp(min=1e-5)
        x = torch.stack([past / scale, observed, scale.log().expand_as(past)], -1)
        mean, width = self.head(self.cell(x)[0][:, -1]).chunk(2, -1)
        return mean * scale, functional.softplus(width) * scale


class TwoTowers(nn.Module):
    """A recommender: bags of items with padding, hashed features, dense numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.items, self.hashed = nn.Embedding(200, 16, padding_idx=0), nn.Embedding(64, 16)
        self.dense = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 16), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, history: torch.Tensor, user: torch.Tensor, dense: torch.Tensor) -> Any:
        live = (history != 0).float()[:, :, None]
        bag = (self.items(history) * live).sum(1) / live.sum(1).clamp(min=1.0)
        user = self.hashed((user * 31 + 7) % 64)
        return self.head(torch.cat([bag, user, self.dense(dense.clamp(-3, 3))], -1)).sigmoid()


def small_mobilenet() -> nn.Module:
    return torchvision.models.MobileNetV2(
        num_classes=5, width_mult=0.25, round_nearest=4,
        inverted_residual_setting=[[1, 16, 1, 1], [3, 24, 2, 2], [3, 32, 2, 2]],
    )  # fmt: skip


def small_v3() -> nn.Module:
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    layer = partial(InvertedResidualConfig, width_mult=0.5)
    blocks = [layer(16, 3, 16, 16, True, "RE", 2, 1), layer(16, 3, 32, 24, False, "HS", 2, 1),
              layer(24, 5, 48, 24, True, "HS", 1, 1)]  # fmt: skip
    return MobileNetV3(blocks, last_channel=48, num_classes=5)


def small_efficientnet() -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    blocks = [MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0), MBConvConfig(3, 3, 2, 8, 12, 2, 1.0, 1.0),
              MBConvConfig(3, 5, 2, 12, 16, 2, 1.0, 1.0)]  # fmt: skip
    return EfficientNet(blocks, dropout=0.2, num_classes=5, last_channel=32)


def small_regnet() -> nn.Module:
    from torchvision.models.regnet import BlockParams, RegNet

    return RegNet(BlockParams.from_init_params(depth=4, w_0=8, w_a=4.0, w_m=2.0, group_width=4,
                                               se_ratio=0.25), num_classes=5)  # fmt: skip


def net(model: nn.Module, size: int = 32, batch: int = 2) -> Made:
    return model, {"x": torch.rand(batch, 3, size, size)}


class Detections(nn.Module):
    """One image in, what a detector of torchvision finds out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.inner([x[0]])[0]
        return found["boxes"], found["scores"], found["labels"]


def backbone() -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
    made.out_channels = 16  # type: ignore[assignment]
    return made


def anchors() -> Any:
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return AnchorGenerator(sizes=((8, 16),), aspect_ratios=((0.5, 1.0),))


def faster() -> Made:
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

    model = FasterRCNN(backbone(), None, box_head=TwoMLPHead(16 * 9, 24), min_size=32, max_size=32,
                       box_predictor=FastRCNNPredictor(24, 4),
                       rpn_anchor_generator=anchors(), rpn_post_nms_top_n_test=10,
                       box_roi_pool=torchvision.ops.MultiScaleRoIAlign(["0"], 3, 2))  # fmt: skip
    return Detections(model), {"x": torch.rand(1, 3, 32, 32)}


def retina() -> Made:
    from torchvision.models.detection import RetinaNet

    model = RetinaNet(backbone(), 4, min_size=32, max_size=32, anchor_generator=anchors())
    return Detections(model), {"x": torch.rand(1, 3, 32, 32)}


def diffusers(kind: str, inputs: dict[str, torch.Tensor], **more: Any) -> Made:
    import diffusers as library

    inner = getattr(library, kind)(**more)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return self.inner(*tensors, return_dict=False)[0]

    return Plain(), inputs


class Part(nn.Module):
    """One method of a model."""

    def __init__(self, inner: nn.Module, method: str) -> None:
        super().__init__()
        self.inner, self.method = inner, method

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = getattr(self.inner, self.method)(x, return_dict=False)[0]
        return out if isinstance(out, torch.Tensor) else out.mode()


def vae(method: str) -> Made:
    from diffusers import AutoencoderKL

    model = AutoencoderKL(block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4,
                          down_block_types=("DownEncoderBlock2D",) * 2, sample_size=16,
                          up_block_types=("UpDecoderBlock2D",) * 2)  # fmt: skip
    channels = 3 if method == "encode" else 4
    return Part(model, method), {"x": torch.rand(1, channels, 16, 16)}


def timm(name: str, **more: Any) -> Made:
    import timm as library

    return net(library.create_model(name, pretrained=False, num_classes=5, **more))


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
TEXT = {**FEW, "projection_dim": 16}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1],
          "out_features": ["stage2"]}  # fmt: skip
WAVE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
        "intermediate_size": 37, "vocab_size": 40, "conv_dim": (16, 16), "conv_kernel": (8, 4),
        "conv_stride": (4, 2), "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
        "num_feat_extract_layers": 2}  # fmt: skip
HEARD = {"input_values": torch.rand(2, 640)}
BOTH = {**words(), "decoder_input_ids": words()["input_ids"]}
WHISPER = {"num_mel_bins": 20, "d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 4,
           "encoder_ffn_dim": 37, "decoder_layers": 2, "decoder_attention_heads": 4,
           "decoder_ffn_dim": 37, "max_source_positions": 30, "max_target_positions": 32,
           "vocab_size": 99, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
           "decoder_start_token_id": 1}  # fmt: skip
T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4,
      "decoder_start_token_id": 0}  # fmt: skip
GPT2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip

MAKERS: dict[str, Callable[[], Made]] = {
    # pictures
    "mobilenet_v2": lambda: net(small_mobilenet()),
    "mobilenet_v3": lambda: net(small_v3()),
    "efficientnet_b": lambda: net(small_efficientnet()),
    "regnet": lambda: net(small_regnet()),
    "densenet": lambda: net(torchvision.models.DenseNet(
        growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=5)),
    "shufflenet": lambda: net(torchvision.models.ShuffleNetV2(
        [2, 2, 2], [8, 16, 16, 32, 32], num_classes=5)),
    "swin_v2": lambda: seen("Swinv2ForImageClassification", "Swinv2Config", ONE, image_size=32,
                            patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2],
                            window_size=4),
    "mixer": lambda: timm("mixer_s16_224", img_size=32, patch_size=8, embed_dim=24, num_blocks=2),
    "cait": lambda: timm("cait_xxs24_224", **VIT),
    "convmixer": lambda: timm("convmixer_768_32", dim=24, depth=2),
    "mobilevit": lambda: seen("MobileViTForImageClassification", "MobileViTConfig", ONE,
                              image_size=32, hidden_sizes=[16, 16, 16], neck_hidden_sizes=[
                                  8, 8, 8, 16, 16, 16, 32], num_attention_heads=2, patch_size=2,
                              expand_ratio=1.0),
    "prepared": lambda: (Prepared(), {"picture": torch.randint(0, 255, (1, 64, 64, 3)).byte()}),
    "dpt": lambda: seen("DPTForDepthEstimation", "DPTConfig", ONE, **tiny_vision(
        num_hidden_layers=4, patch_size=8, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, head_in_index=-1,
        reassemble_factors=[2, 1, 1, 1])),
    "deeplab": lambda: net(torchvision.models.segmentation.deeplabv3.DeepLabHead(3, 4), 16),
    "upscaled": lambda: seen("Swin2SRForImageSuperResolution", "Swin2SRConfig", ONE, image_size=32,
                             embed_dim=8, depths=[1], num_heads=[2], window_size=4, upscale=2),
    # detectors
    "detr": lambda: seen("DetrForObjectDetection", "DetrConfig", ONE, use_timm_backbone=False,
                         backbone_config=tf.ResNetConfig(**RESNET), num_queries=5,
                         **{k: v for k, v in BART.items() if "_ffn_" in k or k == "d_model"
                            or "layers" in k or "heads" in k}),
    "deformable": lambda: seen(
        "DeformableDetrForObjectDetection", "DeformableDetrConfig", ONE, use_timm_backbone=False,
        backbone_config=tf.ResNetConfig(**RESNET), num_queries=5, num_feature_levels=1,
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=37, decoder_ffn_dim=37),
    "yolo": lambda: (Yolo(), {"x": torch.rand(1, 3, 32, 32)}),
    "faster_rcnn": faster,
    "retinanet": retina,
    "owl": lambda: seen("OwlViTForObjectDetection", "OwlViTConfig",
                        {"input_ids": words()["input_ids"], "pixel_values": ONE["pixel_values"],
                         "attention_mask": words()["attention_mask"]},
                        text_config={**FEW}, vision_config=tiny_vision(num_hidden_layers=1),
                        projection_dim=32),
    # picture and word
    "siglip_both": lambda: seen("SiglipModel", "SiglipConfig", {**words(), **image()},
                                text_config={**FEW, "projection_size": 32},
                                vision_config=tiny_vision(num_hidden_layers=1)),
    "blip": lambda: seen("BlipForImageTextRetrieval", "BlipConfig", {
        "input_ids": words()["input_ids"], "pixel_values": image()["pixel_values"],
        "attention_mask": words()["attention_mask"]},
        text_config={**FEW, "encoder_hidden_size": 32}, image_text_hidden_size=16,
        vision_config=tiny_vision(num_hidden_layers=1), projection_dim=16),
    "vilt": lambda: seen("ViltModel", "ViltConfig", {**words(1), **ONE}, **{
        **FEW, **tiny_vision(num_hidden_layers=1)}),
    "layout": lambda: seen("LayoutLMForTokenClassification", "LayoutLMConfig", {
        "input_ids": words()["input_ids"], "bbox": torch.randint(0, 60, (2, 7, 4))},
        max_2d_position_embeddings=64, **FEW),
    "trocr": lambda: decoder(
        "VisionEncoderDecoderModel", "VisionEncoderDecoderConfig", 17,
        encoder={"model_type": "vit", **tiny_vision()},
        decoder={"model_type": "trocr", "d_model": 32, **{
            k: v for k, v in BART.items() if k.startswith("decoder_") or k == "vocab_size"}}),
    "letters": lambda: (Letters(), {"line": torch.rand(1, 1, 16, 64)}),
    # generators
    "vae_encoder": lambda: vae("encode"),
    "vae_decoder": lambda: vae("decode"),
    "diffusion_unet": lambda: diffusers(
        "UNet2DConditionModel", {"sample": torch.rand(1, 4, 8, 8), "step": torch.tensor([5]),
                                 "states": torch.rand(1, 5, 16)},
        sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=4, layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")),
    "dit": lambda: diffusers(
        "DiTTransformer2DModel", {"sample": torch.rand(1, 4, 8, 8), "step": torch.tensor([5]),
                                  "label": torch.tensor([2])},
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, num_layers=2,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_num_groups=4),
    "vqvae": lambda: diffusers("VQModel", {"sample": torch.rand(1, 3, 16, 16)},
                               block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=16,
                               layers_per_block=1, latent_channels=3),
    # words
    "gpt_neox": lambda: seen("GPTNeoXForCausalLM", "GPTNeoXConfig", words(), **SMALL),
    "gpt_j": lambda: seen("GPTJForCausalLM", "GPTJConfig", words(), rotary_dim=4, **GPT2),
    "falcon": lambda: seen("FalconForCausalLM", "FalconConfig", words(), **SMALL),
    "phi3": lambda: seen("Phi3ForCausalLM", "Phi3Config", words(), **KV),
    "olmo2": lambda: seen("Olmo2ForCausalLM", "Olmo2Config", words(), **SMALL),
    "cohere": lambda: seen("CohereForCausalLM", "CohereConfig", words(), **SMALL),
    "granite": lambda: seen("GraniteForCausalLM", "GraniteConfig", words(), **SMALL),
    "stablelm": lambda: seen("StableLmForCausalLM", "StableLmConfig", words(), **SMALL),
    "gemma3": lambda: seen("Gemma3ForCausalLM", "Gemma3TextConfig", words(), sliding_window=4,
                           **{**KV, "num_hidden_layers": 3}),
    "rwkv": lambda: seen("RwkvForCausalLM", "RwkvConfig", {"input_ids": words()["input_ids"]},
                         vocab_size=99, hidden_size=16, num_hidden_layers=1,
                         attention_hidden_size=16, intermediate_size=24),
    "xlm_roberta": lambda: seen("XLMRobertaForTokenClassification", "XLMRobertaConfig", words(),
                                **FEW),
    "modernbert": lambda: seen("ModernBertForSequenceClassification", "ModernBertConfig", words(),
                               cls_token_id=1, sep_token_id=2, local_attention=4,
                               global_attn_every_n_layers=3, **{**SMALL, "num_hidden_layers": 3}),
    "fnet": lambda: seen("SqueezeBertForSequenceClassification", "SqueezeBertConfig", words(),
                         embedding_size=32, **FEW),
    "mobilebert": lambda: seen("MobileBertForSequenceClassification", "MobileBertConfig", words(),
                               embedding_size=16, intra_bottleneck_size=16, **FEW),
    "convbert": lambda: seen("ConvBertForSequenceClassification", "ConvBertConfig", words(),
                             embedding_size=32, **FEW),
    "funnel": lambda: seen("RemBertForSequenceClassification", "RemBertConfig", words(),
                           input_embedding_size=16, output_embedding_size=16, **FEW),
    "xlnet": lambda: seen("XLNetForSequenceClassification", "XLNetConfig", words(), vocab_size=99,
                          d_model=32, n_layer=1, n_head=4, d_inner=37),
    "answers": lambda: seen("BertForQuestionAnswering", "BertConfig", words(), **FEW),
    "masked": lambda: seen("BertForMaskedLM", "BertConfig", words(), **FEW),
    "marian": lambda: seen("MarianMTModel", "MarianConfig", BOTH, **BART),
    "pegasus": lambda: decoder("PegasusForConditionalGeneration", "PegasusConfig", 7, **BART),
    "t5_decoder": lambda: decoder("T5ForConditionalGeneration", "T5Config", 7, **T5),
    "alternating": lambda: (Alternating(), {"ids": words()["input_ids"] % 60}),
    "towers": lambda: (TwoTowers(), {"history": words()["input_ids"], "user": torch.tensor([3, 9]),
                                     "dense": torch.rand(2, 5)}),
    # with a cache
    "gpt2_cached": lambda: cached("GPT2LMHeadModel", "GPT2Config", 4, 8, **GPT2),
    "llama_cached": lambda: cached("LlamaForCausalLM", "LlamaConfig", 2, 8, **KV),
    "qwen2_cached": lambda: cached("Qwen2ForCausalLM", "Qwen2Config", 2, 8, **KV),
    "mistral_cached": lambda: cached("MistralForCausalLM", "MistralConfig", 2, 8,
                                     **{**KV, "sliding_window": 16}),
    "whisper_decoder": lambda: decoder("WhisperForConditionalGeneration", "WhisperConfig", 30,
                                       **WHISPER),
    "whisper_cached": lambda: (Cached(tf.WhisperForConditionalGeneration(tf.WhisperConfig(
        **WHISPER)), 2, True), {
        "input_ids": torch.tensor([[5]]), "attention_mask": torch.ones(1, 5, dtype=torch.int64),
        "states": torch.rand(1, 30, 32),
        **{f"past_{i}": torch.rand(1, 4, 4, 8) for i in range(4)}}),
    # sound
    "hubert": lambda: seen("HubertForCTC", "HubertConfig", HEARD, **WAVE),
    "wavlm": lambda: seen("WavLMForCTC", "WavLMConfig", HEARD, **WAVE),
    "speakers": lambda: seen("Wav2Vec2ForXVector", "Wav2Vec2Config", HEARD, tdnn_dim=(16, 16),
                             tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=16,
                             **WAVE),
    "spectrogram": lambda: seen("ASTForAudioClassification", "ASTConfig",
                                {"input_values": torch.rand(1, 40, 16)}, hidden_size=32,
                                num_hidden_layers=1, num_attention_heads=4, intermediate_size=37,
                                patch_size=8, frequency_stride=8, time_stride=8, max_length=40,
                                num_mel_bins=16),
    "conformer": lambda: (Conformer(), {"mel": torch.rand(2, 40, 20),
                                        "lengths": torch.tensor([40, 30])}),
    "boundary": lambda: (Boundary(), {"wave": torch.rand(1, 64), "state": torch.zeros(2, 1, 16),
                                      "context": torch.zeros(1, 16)}),
    "encodec": lambda: seen("EncodecModel", "EncodecConfig", {
        "input_values": torch.rand(1, 1, 640)}, num_filters=4, hidden_size=16, codebook_size=16,
        upsampling_ratios=[4, 2], num_lstm_layers=1, codebook_dim=16, audio_channels=1),
    # series
    "forecast": lambda: (Forecast(), {"past": torch.rand(2, 24), "observed": torch.ones(2, 24)}),
    "patch_tst": lambda: seen("PatchTSTForPrediction", "PatchTSTConfig", {
        "past_values": torch.rand(2, 32, 2)}, num_input_channels=2, context_length=32,
        patch_length=8, patch_stride=8, d_model=16, num_hidden_layers=1, num_attention_heads=2,
        ffn_dim=16, prediction_length=8),
}  # fmt: skip


if __name__ == "__main__":
    make_graphs.MAKERS = MAKERS
    make_graphs.main(Path(sys.argv[1]), sys.argv[2:])
