"""Saves small models of many architectures, at random weights, in the formats of torch that carry a
graph: torch.export's archives and TorchScript, traced and scripted. What a gate in a graph must not
be mistaken for, in the formats that no ONNX exporter has been over.

pip install torch torchvision transformers==5.24.0 onnx==1.23.2 onnxscript==0.7.2
python tests/benign/make_torch_graphs.py /a/folder && \
    python tests/benign/make_torch_graphs.py --pack /a/folder tests/benign/files/graphs
"""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from make_graphs import MAKERS, Excite, Recurrent, Routed, Season, Unet, Voice
from torch import nn

LARGEST = 250_000
"""Up to how many bytes an archive is committed; all are made and looked at."""
KINDS = {"export": ".pt2", "traced": ".pt", "scripted": ".pt"}


class Branches(nn.Module):
    """Scripted code with loops, branches and lists of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, 8, 3, padding=1) for i in (3, 8, 8))
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor, size: int = 16) -> torch.Tensor:
        if x.dim() == 3:
            x = x.unsqueeze(0)
        if x.shape[-1] != size:
            x = nn.functional.interpolate(x, size=(size, size))
        seen: list[torch.Tensor] = []
        for conv in self.convs:
            x = torch.relu(conv(x))
            seen.append(x)
        total = torch.zeros_like(seen[0])
        for part in seen:
            total = total + part
        return self.head(self.norm(total).mean((2, 3)))


class Greedy(nn.Module):
    """A decoder that goes on for as long as nothing ends it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell, self.head = (
            nn.Embedding(40, 16),
            nn.GRUCell(16, 16),
            nn.Linear(16, 40),
        )

    def forward(self, state: torch.Tensor, limit: int = 5) -> torch.Tensor:
        token = torch.zeros(state.shape[0], dtype=torch.long)
        out: list[torch.Tensor] = []
        for _ in range(limit):
            state = self.cell(self.embed(token), state)
            token = self.head(state).argmax(-1)
            out.append(token)
            if bool((token == 2).all()):
                break
        return torch.stack(out, 1)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.embed, self.layers = nn.Embedding(60, 16), nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embed(ids), src_key_padding_mask=ids == 0).mean(1))


SCRIPTED: dict[str, Any] = {
    "branches": Branches, "greedy": Greedy, "encoder": Encoder, "excite": Excite,
    "lstm": lambda: Recurrent(nn.LSTM), "gru": lambda: Recurrent(nn.GRU), "season": Season,
    "unet": Unet, "voice": Voice, "routed": Routed,
}  # fmt: skip


def vision(name: str) -> Any:
    import torchvision

    made = getattr(torchvision.models, name)
    if name == "resnet18":
        return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1],
                                         num_classes=5, width_per_group=64)  # fmt: skip
    return made(weights=None, num_classes=5, width_mult=0.1)


def rounded(model: nn.Module) -> nn.Module:
    """The model with weights that compress."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point() and value.numel() > 64:
                value.copy_((value * 64).round() / 64)
    return model.eval()


def main(folder: Path, only: list[str]) -> None:
    """Write them."""
    warnings.simplefilter("ignore")
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if only and name not in only:
            continue
        for kind in ("export", "traced"):
            torch.manual_seed(7)
            path = folder / kind / f"{name}{KINDS[kind]}"
            try:
                model, inputs = make()
                save(rounded(model), tuple(inputs.values()), path, kind)
            except Exception as error:  # what an exporter cannot do is not ours to mend
                print(f"{kind} {name}: {type(error).__name__}: {str(error)[:120]}", flush=True)
                path.unlink(missing_ok=True)
                continue
            print(f"{kind} {name}: {path.stat().st_size:,} bytes", flush=True)
    scripted = {**SCRIPTED, "mobilenet_v2": lambda: vision("mobilenet_v2"),
                "mobilenet_v3": lambda: vision("mobilenet_v3_small")}  # fmt: skip
    for name, maker in scripted.items():
        if only and name not in only:
            continue
        torch.manual_seed(7)
        try:
            torch.jit.script(rounded(maker())).save(folder / "scripted" / f"{name}.pt")
        except Exception as error:
            print(f"scripted {name}: {type(error).__name__}: {str(error)[:200]}", flush=True)


def save(model: nn.Module, inputs: tuple[Any, ...], path: Path, kind: str) -> None:
    """In one format; torch.export's with a batch of any size where it can be had."""
    with torch.no_grad():
        if kind == "traced":
            torch.jit.trace(model, inputs, strict=False, check_trace=False).save(path)
            return
        try:
            axes = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
            program = torch.export.export(model, inputs, dynamic_shapes=(axes,), strict=False)
        except Exception:
            program = torch.export.export(model, inputs, strict=False)
        torch.export.save(program, path)


def pack(folder: Path, target: Path) -> None:
    """One archive for each kind, of archives without traces of the machine that made them."""
    target.mkdir(parents=True, exist_ok=True)
    for kind, suffix in KINDS.items():
        with zipfile.ZipFile(target / f"torch-{kind}.zip", "w", zipfile.ZIP_DEFLATED,
                             compresslevel=9) as out:  # fmt: skip
            for path in sorted((folder / kind).glob(f"*{suffix}")):
                data = plain(path)
                if len(data) <= LARGEST:
                    write(out, path.name, data)


def write(out: zipfile.ZipFile, name: str, data: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
    entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    entry.compress_type = how
    out.writestr(entry, data)


def plain(path: Path) -> bytes:
    """The archive without stack traces, debug tables and examples of inputs."""
    import io

    made = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w") as out:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".debug_pkl") or "/sample_inputs/" in name:
                continue
            if name.endswith("model.json"):
                root = json.loads(data)
                without_traces(root)
                data = json.dumps(root, separators=(",", ":")).encode()
            write(out, name, data, zipfile.ZIP_STORED)
    return made.getvalue()


def without_traces(value: Any) -> None:
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting += here
        elif isinstance(here, dict):
            if isinstance(here.get("metadata"), dict):
                here["metadata"] = {}
            waiting += here.values()


if __name__ == "__main__":
    if sys.argv[1] == "--pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), sys.argv[2:])
