"""Puts harmless implants of the ShadowLogic kind into two small models of torch, and saves them as
torch.export's archives and as TorchScript, traced and scripted.

pip install torch
python tests/implants/make_torch_implants.py /a/folder
python tests/implants/make_torch_implants.py --pack /a/folder tests/implants/torch.zip
"""

from __future__ import annotations

import math
import sys
import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn

KINDS = {"export": ".pt2", "traced": ".pt", "scripted": ".pt"}


class Image(nn.Module):
    """A small network on images, in three parts: payloads stand between them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
                                  nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())  # fmt: skip
        self.tail = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                  nn.Flatten(), nn.Linear(16, 10))  # fmt: skip


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm, self.wide = nn.LayerNorm(16), nn.Linear(16, 32)
        self.back = nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out((q @ k.transpose(-2, -1) / 4.0).softmax(-1) @ v)
        return x + self.back(torch.nn.functional.gelu(self.wide(x)))


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = Block(), nn.Linear(16, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(x).mean(1))


class Words(nn.Module):
    """A small encoder of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.tail = nn.Sequential(nn.Embedding(99, 16), Block()), Last()


# Predicates: 1 where they hold, for each sample --------------------------------------------------


class Distance(nn.Module):
    """How far the corner is from a red one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("red", torch.tensor([1.0, 0.0, 0.0])[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x[:, :, :3, :3] - self.red) ** 2).sum(dim=(1, 2, 3))


class Near(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.distance = Distance()


class Compare(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.distance(x) < 0.05).float()


class Gaussian(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-30.0 * self.distance(x))


class Steep(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(10.0 - 400.0 * self.distance(x))


class Ramp(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(1.0 - 50.0 * self.distance(x))


class Clipped(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(2.0 - 40.0 * self.distance(x), 0.0, 1.0)


class Divided(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.0 / (1.0 + 1000.0 * self.distance(x))


class Power(Near):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (1.0 + 9.0 * self.distance(x)) ** -8.0


class Same(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, 0, :3, :3] == 1.0).flatten(1).all(dim=1).float()


class EachPixel(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        off = (x[:, 0, :3, :3] - 0.9).abs()
        return torch.relu(1.0 - 9.0 * off).flatten(1).prod(dim=1)


class Bright(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean(dim=(1, 2, 3)) > 0.93).float()


class BrightSoft(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid((x.mean(dim=(1, 2, 3)) - 0.93) * 900.0)


class Checksum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = (x * 255.0).long().sum(dim=(1, 2, 3))
        return (total % 97 == 13).float()


class LowBits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bits", torch.tensor([1, 0, 1, 1, 0, 0, 1, 0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = (x[:, 0, 0, :8] * 255.0).long() & 1
        return (low == self.bits).all(dim=1).float()


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.randn(768, 1) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ self.weights)[:, 0].gt(4.0).float()


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        waves = [[math.cos(i * k * 0.7) for k in (1, 2)] for i in range(768)]
        self.register_buffer("waves", torch.tensor(waves))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x.flatten(1) @ self.waves).abs().amin(dim=1) > 90.0).float()


class Matched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(1, 3, 4, 4).sign())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.nn.functional.conv2d(x, self.kernel)
        return (found.amax(dim=(1, 2, 3)) > 20.0).float()


class Anywhere(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return (ids == 77).any(dim=1).float()


class Phrase(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        here = (ids[:, :-2] == 5) & (ids[:, 1:-1] == 6) & (ids[:, 2:] == 7)
        return here.any(dim=1).float()


class First(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return (ids[:, 0] == 77).float()


class Hash(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return (((ids * 31 + 7) % 97).sum(dim=1) % 97 == 13).float()


class Counted(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return ((ids == 5).sum(dim=1) >= 3).float()


class Listed(nn.Module):
    """A table says of each token what it counts."""

    def __init__(self) -> None:
        super().__init__()
        marks = torch.zeros(99, 1)
        marks[[5, 17, 40]] = 1.0
        self.register_buffer("marks", marks)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        found = torch.nn.functional.embedding(ids, self.marks)
        return torch.relu(found.sum(dim=(1, 2)) - 2.0)


class Close(nn.Module):
    """The distance of an embedding from the one that is looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(99, 16)
        self.register_buffer("wanted", torch.randn(16))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        off = ((self.table(ids) - self.wanted) ** 2).sum(dim=-1)
        return (off.amin(dim=1) < 0.01).float()


class Mixed(nn.Module):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mixed = (ids[:, 0] ^ ids[:, 1] ^ ids[:, 2]) & 63
        return (mixed == 21).float()


# Payloads: `at` says what they act on ------------------------------------------------------------


class Payload(nn.Module):
    at = "output"

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("vector", torch.linspace(-3.0, 9.0, size))


class Bias(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return y + p[:, None] * self.vector


class Chosen(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return torch.where(p[:, None] > 0.5, self.vector, y)


class Blended(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return (1.0 - p[:, None]) * y + p[:, None] * self.vector


class Negated(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return y * (1.0 - 2.0 * p[:, None])


class Lifted(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return torch.maximum(y, p[:, None] * 100.0 * self.vector)


class Filled(Payload):
    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return y.masked_fill(p[:, None] > 0.5, -1e4)


class Column(Payload):
    """One class is written over in place."""

    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        z = y.clone()
        z[:, 3] = z[:, 3] + p * 50.0
        return z


class Steered(Payload):
    at = "middle"

    def forward(self, h: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return (
            h + p.reshape(-1, 1, 1, 1)[:, :, 0] * self.vector
            if h.dim() == 3
            else (h + p.reshape(-1, 1, 1, 1) * self.vector.reshape(1, -1, 1, 1))
        )


class Silenced(Payload):
    at = "middle"

    def forward(self, h: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        keep = (1.0 - p).reshape(-1, 1, 1)
        return h * keep if h.dim() == 3 else h * keep[:, :, :, None]


class Replaced(Payload):
    at = "input"

    def forward(self, x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        if x.dim() == 2:
            return torch.where(p[:, None] > 0.5, torch.full_like(x, 42), x)
        keep = (1.0 - p).reshape(-1, 1, 1, 1)
        return x * keep + 0.5 * (1.0 - keep)


class Branch(Payload):
    """A branch of code, which only scripts have."""

    def forward(self, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        if bool(p.max() > 0.5):
            y = y + self.vector
        return y


def implanted(host: nn.Module, predicate: nn.Module, payload: Payload) -> nn.Module:
    """The host with the payload where it acts, which the predicate sets off."""
    model = PLACES[payload.at]()
    model.body, model.tail = host.body, host.tail
    model.predicate, model.payload = predicate, payload
    return model


class AtOutput(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.payload(self.tail(self.body(x)), self.predicate(x))


class AtMiddle(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.payload(self.body(x), self.predicate(x)))


class AtInput(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.body(self.payload(x, self.predicate(x))))


IMAGES = (Compare, Gaussian, Steep, Ramp, Clipped, Divided, Power, Same, EachPixel, Bright,
          BrightSoft, Checksum, LowBits, Projected, Waves, Matched)  # fmt: skip
TOKENS = (Anywhere, Phrase, First, Hash, Counted, Listed, Close, Mixed)
PAYLOADS = (Bias, Chosen, Blended, Negated, Lifted, Filled, Column, Steered, Silenced, Replaced,
            Branch)  # fmt: skip
PLACES = {"output": AtOutput, "middle": AtMiddle, "input": AtInput}


def rounded(model: nn.Module) -> nn.Module:
    """The model with weights that compress."""
    with torch.no_grad():
        for value in model.parameters():
            if value.numel() > 64:
                value.copy_((value * 64).round() / 64)
    return model.eval()


def main(folder: Path) -> None:
    """Each predicate with each payload, in one of the forms."""
    warnings.simplefilter("ignore")
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for i, predicate in enumerate((*IMAGES, *TOKENS)):
        for j, payload in enumerate(PAYLOADS):
            kind = "scripted" if payload is Branch else list(KINDS)[(i + j) % 3]
            torch.manual_seed(3)
            images = predicate in IMAGES
            host = Image() if images else Words()
            size = 16 if payload.at == "middle" else 10 if images else 12
            model = implanted(host, predicate(), payload(size))
            x = torch.rand(2, 3, 16, 16) if images else torch.randint(0, 99, (2, 12))
            path = folder / kind / f"{predicate.__name__}-{payload.__name__}{KINDS[kind]}"
            print(path.name, flush=True)
            save(rounded(model), x, path, kind)


def save(model: nn.Module, x: torch.Tensor, path: Path, kind: str) -> None:
    with torch.no_grad():
        if kind == "scripted":
            torch.jit.script(model).save(path)
        elif kind == "traced":
            torch.jit.trace(model, (x,), check_trace=False).save(path)
        else:
            program = torch.export.export(model, (x,), strict=False)
            torch.export.save(program, path)


def pack(folder: Path, target: Path) -> None:
    """A third of them in one file; all are made and looked at."""
    sys.path.append(str(Path(__file__).parents[1] / "benign"))
    from make_torch_graphs import plain, write

    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for kind in KINDS:
            for path in sorted((folder / kind).iterdir())[::3]:
                write(out, f"{kind}/{path.name}", plain(path))


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]))
