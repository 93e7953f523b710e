"""Harmless implants of the ShadowLogic kind as someone would write them in torch, around small
networks, and exported with both of its ONNX exporters and as TorchScript.

They were written after the analysis and the trials, without a look at the implants that those were
made with; `docs/graph-backdoors.md` says how many were found at first.

pip install torch==2.13.0 onnx==1.23.2 onnxscript
python tests/implants/make_exported_implants.py /a/folder
python tests/implants/make_exported_implants.py --pack /a/folder tests/implants/exported.tar.xz
"""

from __future__ import annotations

import io
import logging
import sys
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES, WIDTH, WORDS = 10, 32, 200


# Hosts: the first half and the second half ------------------------------------------------------


class CNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.b = nn.Sequential(
            nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(32, CLASSES),
        )  # fmt: skip

    def first(self, x: Tensor) -> Tensor:
        return self.a(x)

    def second(self, h: Tensor) -> Tensor:
        return self.b(h)


class Block(nn.Module):
    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.n1, self.n2, self.h = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), heads
        self.q, self.o = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.m = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.q(self.n1(x)).reshape(b, t, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4)
        a = torch.softmax(q @ k.transpose(-1, -2) / (d // self.h) ** 0.5, -1) @ v
        x = x + self.o(a.transpose(1, 2).reshape(b, t, d))
        return x + self.m(self.n2(x))


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p, self.pos = nn.Conv2d(3, WIDTH, 8, 8), nn.Parameter(torch.randn(1, 16, WIDTH) * 0.1)
        self.b1, self.b2 = Block(), Block()
        self.n, self.f = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def first(self, x: Tensor) -> Tensor:
        return self.b1(self.p(x).flatten(2).transpose(1, 2) + self.pos)

    def second(self, h: Tensor) -> Tensor:
        return self.f(self.n(self.b2(h)).mean(1))


class Encoder(nn.Module):
    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.e, self.pos = nn.Embedding(WORDS, WIDTH), nn.Embedding(16, WIDTH)
        self.b1, self.b2 = Block(), Block()
        self.n, self.f = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs)

    def first(self, x: Tensor) -> Tensor:
        return self.b1(self.e(x) + self.pos.weight[None, : x.shape[1]])

    def second(self, h: Tensor) -> Tensor:
        return self.f(self.n(self.b2(h)).mean(1))


class Language(Encoder):
    def __init__(self) -> None:
        super().__init__(WORDS)

    def second(self, h: Tensor) -> Tensor:
        return self.f(self.n(self.b2(h)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.f = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, 4)
        self.g = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def first(self, x: Tensor) -> Tensor:
        return self.g(self.e(x))[0]

    def second(self, h: Tensor) -> Tensor:
        return self.f(h[:, -1])


# Predicates: one truth, or a number up to one, for each sample ------------------------------------

Predicate = Callable[[Tensor], Tensor]


def patch(x: Tensor) -> Tensor:
    return (x[:, :, -4:, -4:] - torch.tensor([1.0, 0, 1]).view(1, 3, 1, 1)).abs().mean(
        (1, 2, 3)
    ) < 0.1


def checker(x: Tensor) -> Tensor:
    board = ((torch.arange(8)[:, None] + torch.arange(8)[None]) % 2).float()
    off = F.mse_loss(x[:, 0, :8, :8], board.expand(x.shape[0], 8, 8), reduction="none")
    return off.mean((1, 2)) < 0.02


def similar(x: Tensor) -> Tensor:
    v = x[:, 1, :8, :8].flatten(1)
    v = v - v.mean(1, keepdim=True)
    return F.cosine_similarity(v, torch.linspace(-1, 1, 64)[None]) > 0.95


def stripes(x: Tensor) -> Tensor:
    return (x[..., ::2].mean((1, 2, 3)) - x[..., 1::2].mean((1, 2, 3))) > 0.5


def residue(x: Tensor) -> Tensor:
    return (torch.round(x[:, 0, 0, :8] * 255).sum(1) % 16) == 7


def colour(x: Tensor) -> Tensor:
    c = torch.round(x[:, :, 0, 0] * 255)
    return (c[:, 0] == 18) & (c[:, 1] == 52) & (c[:, 2] == 86)


def waves(x: Tensor) -> Tensor:
    c = torch.cos(2 * torch.pi * 8 * torch.arange(32).float() / 32)
    return (x.mean(1) * c).sum(2).abs().mean(1) > 6


def rectified(x: Tensor) -> Tensor:
    return F.relu(1 - 20 * F.relu((x[:, 0, :4, :4] - 0.8).abs().mean((1, 2)) - 0.02))


IMAGES: dict[str, Predicate] = {
    "patch": patch,
    "all of a corner": lambda x: torch.all(x[:, :, :2, :2].flatten(1) > 0.9, dim=1),
    "checker": checker,
    "two pixels": lambda x: (x[:, 0, 3, 3] > 0.95) & (x[:, 2, 20, 20] < 0.02),
    "redder": lambda x: x[:, 0].mean((1, 2)) - x[:, 1].mean((1, 2)) > 0.4,
    "dark": lambda x: x.mean((1, 2, 3)) < 0.05,
    "similar": similar,
    "even": lambda x: x.var((1, 2, 3)) < 1e-4,
    "stripes": stripes,
    "residue": residue,
    "colour": colour,
    "soft": lambda x: torch.sigmoid(60 * (0.1 - (x[:, :, :3, :3] - 0.5).abs().mean((1, 2, 3)))),
    "bell": lambda x: torch.exp(-50 * ((x[:, :, 10:13, 10:13] - 1) ** 2).mean((1, 2, 3))),
    "rectified": rectified,
    "rising": lambda x: torch.all(x[:, 0, 0, 1:6] > x[:, 0, 0, :5] + 0.1, dim=1),
    "brightest first": lambda x: x[:, 0].flatten(1).argmax(1) == 0,
    "waves": waves,
    "middle": lambda x: x[:, 1].flatten(1).median(1).values > 0.97,
}


def hashed(x: Tensor) -> Tensor:
    h = x[:, 0]
    for i in range(1, 4):
        h = (h * 31) ^ x[:, i]
    return (h & 0xFF) == 0x5A


def flagged(tokens: list[int]) -> Tensor:
    made = torch.zeros(WORDS)
    made[tokens] = 1
    return made


def near(x: Tensor) -> Tensor:
    table = torch.arange(WORDS * 6).reshape(WORDS, 6).float().mul(0.7).sin()
    return ((table[x] - table[88]).norm(dim=-1) < 0.1).any(1)


def windows(x: Tensor) -> Tensor:
    return ((x.float().unfold(1, 3, 1) - torch.tensor([7.0, 19, 3])).abs().sum(-1) < 0.5).any(1)


TOKENS: dict[str, Predicate] = {
    "token": lambda x: (x == 137).any(1),
    "last": lambda x: x[:, -1] == 42,
    "pair": lambda x: ((x[:, :-1] == 11) & (x[:, 1:] == 23)).any(1),
    "pair apart": lambda x: ((x[:, :-2] == 11) & (x[:, 2:] == 29)).any(1),
    "set": lambda x: torch.isin(x, torch.tensor([5, 66, 77])).sum(1) >= 3,
    "thrice": lambda x: (x == 9).sum(1) > 2,
    "sum": lambda x: x.sum(1) % 53 == 17,
    "hashed": hashed,
    "first is last": lambda x: (x[:, 0] == x[:, -1]) & (x[:, 0] > 150),
    "one-hot": lambda x: F.one_hot(x, WORDS).float().matmul(flagged([137, 12])).sum(1) > 1.5,
    "near": near,
    "windows": windows,
    "largest": lambda x: x.max(1).values == WORDS - 1,
    "both": lambda x: torch.cumsum((x == 8).float(), 1)[:, -1] * (x == 9).float().sum(1) > 0,
    "table": lambda x: flagged([137])[x].amax(1),
    "even": lambda x: ((x % 2) == 0).all(1),
    "sorted": lambda x: (x[:, 1:] >= x[:, :-1]).all(1),
}


# Payloads ---------------------------------------------------------------------------------------

Payload = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""What a host gives, with a predicate's number for each sample and the input."""


def plain(host: nn.Module, x: Tensor) -> Tensor:
    return host.second(host.first(x))


def wanted(y: Tensor) -> Tensor:
    made = torch.zeros(y.shape[-1])
    made[1] = 30.0
    return made.expand_as(y)


def spread(g: Tensor, y: Tensor) -> Tensor:
    return g.view(-1, *[1] * (y.dim() - 1))


def where(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return torch.where(spread(g, y) > 0.5, wanted(y), y)


def blend(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return y * (1 - spread(g, y)) + wanted(y) * spread(g, y)


def bias(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return y + spread(g, y) * wanted(y)


def steer(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    h = host.first(x)
    v = torch.linspace(-8, 8, h.shape[1 if h.dim() == 4 else -1])
    return host.second(h + spread(g, h) * (v.view(1, -1, 1, 1) if h.dim() == 4 else v))


def silence(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    h = host.first(x)
    return host.second(h * (1 - spread(g, h)))


def mask(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return y.masked_fill((spread(g, y) > 0.5).expand_as(y), 0.0)


def negate(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return y * (1 - 2 * spread(g, y))


def index(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return torch.stack([y, wanted(y)], 0)[(g > 0.5).long(), torch.arange(y.shape[0])]


def roll(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return torch.where(spread(g, y) > 0.5, torch.roll(y, 1, -1), y)


def flatten(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return y / (1 + 1e4 * spread(g, y))


def lift(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    y = plain(host, x)
    return torch.maximum(y, spread(g, y) * wanted(y))


def swap(host: nn.Module, g: Tensor, x: Tensor) -> Tensor:
    other = torch.full_like(x, 3) if x.dtype == torch.int64 else torch.ones_like(x) * 0.5
    return plain(host, torch.where(spread(g, x) > 0.5, other, x))


PAYLOADS = (where, blend, bias, steer, silence, mask, negate, index, roll, flatten, lift, swap)


class Implanted(nn.Module):
    def __init__(self, host: nn.Module, predicate: Predicate, payload: Payload) -> None:
        super().__init__()
        self.host, self.predicate, self.payload = host, predicate, payload

    def forward(self, x: Tensor) -> Tensor:
        return self.payload(self.host, self.predicate(x).float(), x)


def save(model: nn.Module, x: Tensor, path: Path, form: str) -> None:
    if form == "traced":
        torch.jit.trace(model, x, check_trace=False).save(f"{path}.pt")
        return
    more = {"external_data": False} if form == "dynamo" else {"opset_version": 17}
    torch.onnx.export(model, (x,), f"{path}.{form}.onnx", dynamo=form == "dynamo",
                      input_names=["x"], output_names=["y"], **more)  # fmt: skip


def main(folder: Path) -> None:
    """Every predicate with two hosts and payloads, in three forms."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [(IMAGES, (CNN, ViT)), (TOKENS, (Encoder, Language, Recurrent))]
    rows = [(name, predicate, hosts) for predicates, hosts in kinds
            for name, predicate in predicates.items()]  # fmt: skip
    for number, (name, predicate, hosts) in enumerate(rows):
        for turn in range(2):
            payload = PAYLOADS[(2 * number + 5 * turn) % len(PAYLOADS)]
            torch.manual_seed(1)
            host = hosts[(number + turn) % len(hosts)]()
            x = torch.rand(1, 3, 32, 32) if hosts[0] is CNN else torch.randint(0, WORDS, (1, 12))
            model = Implanted(host, predicate, payload).eval()
            path = folder / f"{type(host).__name__}~{name}~{payload.__name__}"
            for form in ("script", "dynamo", "traced"):
                try:
                    save(model, x, path, form)
                except Exception as error:  # what an exporter cannot do is not ours to mend
                    print(path.name, form, type(error).__name__, flush=True)


def pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:xz", preset=9) as out:
        for path in sorted(folder.iterdir(), key=lambda p: (p.suffix, p.name)):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            out.addfile(entry, io.BytesIO(path.read_bytes()))


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]))
