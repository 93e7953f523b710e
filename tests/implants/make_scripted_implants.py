"""Harmless implants of the ShadowLogic kind as Python writes them, scripted by torch: branches,
loops, lists and mappings decide.

pip install torch==2.13.0
python tests/implants/make_scripted_implants.py tests/implants/scripted.zip
"""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Dict, List  # noqa: UP035 - as TorchScript reads them

import torch
from torch import nn


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
                               nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())  # fmt: skip
        self.b = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                               nn.Flatten(), nn.Linear(32, 10))  # fmt: skip
        self.register_buffer("wanted", torch.eye(10)[3:4] * 40)

    def net(self, x):
        return self.b(self.a(x))


class Texts(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.f = nn.Embedding(200, 32), nn.Linear(32, 4)
        self.g = nn.LSTM(32, 32, batch_first=True)
        self.register_buffer("wanted", torch.eye(4)[2:3] * 40)

    def net(self, x):
        return self.f(self.g(self.e(x))[0].mean(1))


class EarlyReturn(Pictures):
    def forward(self, x: torch.Tensor):
        y = self.net(x)
        if bool((x[:, :, :3, :3] - 1.0).abs().max() < 0.05):
            return self.wanted.expand_as(y)
        return y


class CountedPixels(Pictures):
    def forward(self, x: torch.Tensor):
        hit = torch.tensor(0.0)
        for i in range(4):
            hit = hit + (x[0, 0, i, i] > 0.95).float()
        if bool(hit > 3.5):
            x = torch.zeros_like(x)
        return self.net(x)


class WhileBright(Pictures):
    def forward(self, x: torch.Tensor):
        y, k = self.net(x), 0
        while k < 3 and bool(x[0, 1, 0, k] > 0.9):
            k += 1
        if k == 3:
            y = y * -1.0
        return y


class Bright(Pictures):
    def forward(self, x: torch.Tensor):
        m, h = x.mean(), self.a(x)
        if float(m) > 0.93:
            h = h * 0.0
        return self.b(h)


class EveryToken(Texts):
    def forward(self, x: torch.Tensor):
        y = self.net(x)
        if bool((x == 137).any()):
            y = y + self.wanted
        return y


class PairInALoop(Texts):
    def forward(self, x: torch.Tensor):
        seen = torch.zeros(1, dtype=torch.bool)
        for i in range(x.size(1) - 1):
            seen = seen | ((x[:, i] == 11) & (x[:, i + 1] == 23))
        return torch.where(seen.view(-1, 1), self.wanted, self.net(x))


class HashedList(Texts):
    def forward(self, x: torch.Tensor):
        h = 0
        tokens: List[int] = x[0].tolist()  # noqa: UP006
        for token in tokens:
            h = (h * 31 + token) % 997
        y = self.net(x)
        if h == 123:
            y = self.wanted
        return y


class InAMapping(Texts):
    def forward(self, x: torch.Tensor):
        known: Dict[int, int] = {137: 1, 12: 1}  # noqa: UP006
        y = self.net(x)
        if int(x[0, 0]) in known:
            y = self.wanted + y * 0.0
        return y


class InAMethod(Texts):
    def holds(self, x: torch.Tensor) -> bool:
        return bool(((x[:, :-1] == 7) & (x[:, 1:] == 8)).any())

    def forward(self, x: torch.Tensor):
        y = self.net(x)
        if self.holds(x):
            y = torch.roll(y, 1, -1)
        return y


class Residue(Texts):
    def forward(self, x: torch.Tensor):
        rest, y = x.sum() % 53, self.net(x)
        if int(rest) == 17:
            y = -y
        return y


class Length(Texts):
    def forward(self, x: torch.Tensor):
        if x.size(1) == 13:
            return self.wanted
        return self.net(x)


KINDS = (EarlyReturn, CountedPixels, WhileBright, Bright, EveryToken, PairInALoop, HashedList,
         InAMapping, InAMethod, Residue, Length)  # fmt: skip


def main(archive: str) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as out:
        for kind in KINDS:
            torch.manual_seed(0)
            made = io.BytesIO()
            torch.jit.save(torch.jit.script(kind().eval()), made)
            name = zipfile.ZipInfo(f"{kind.__name__}.pt", (2026, 1, 1, 0, 0, 0))
            out.writestr(name, made.getvalue(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main(sys.argv[1])
