"""Torch's operators that are written as several of ONNX's, each in a traced module of its own, with
what torch gives for drawn inputs: what an ONNX model that Weighbridge writes has to give too
(`tests/engine/test_written.py`).

pip install torch==2.13.0
python tests/benign/make_torch_operators.py tests/benign/torch_operators.zip
"""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.manual_seed(0)
X, Y = torch.randn(2, 5, 6), torch.randn(2, 5, 6)
SHARE, TOKENS = torch.rand(2, 5, 6) * 0.9 + 0.05, torch.randint(0, 20, (2, 9))
ONE: dict[str, Callable[..., Any]] = {
    "trunc": lambda a: torch.trunc(a * 3),
    "frac": lambda a: torch.frac(a * 3),
    "log_sigmoid": lambda a: F.logsigmoid(a * 5),
    "nan_to_num": lambda a: torch.nan_to_num(torch.log(a), nan=3.0),
    "inf_to_num": lambda a: torch.nan_to_num(1 / (a * 0)),
    "erfc": torch.erfc,
    "tanhshrink": F.tanhshrink,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "rad2deg": torch.rad2deg,
    "deg2rad": torch.deg2rad,
    "softmin": lambda a: F.softmin(a, 1),
    "diff": torch.diff,
    "diff along": lambda a: torch.diff(a, dim=1),
    "count_nonzero": lambda a: torch.count_nonzero(a > 0),
    "count_nonzero along": lambda a: torch.count_nonzero(a > 0, dim=1),
    "aminmax": lambda a: torch.aminmax(a, dim=1),
    "aminmax kept": lambda a: torch.aminmax(a, dim=1, keepdim=True),
    "median": torch.median,
    "median along": lambda a: torch.median(a, dim=1),
    "median kept": lambda a: torch.median(a, dim=2, keepdim=True),
    "kthvalue": lambda a: torch.kthvalue(a, 3, dim=1),
    "unfold": lambda a: a.unfold(1, 3, 1),
    "unfold in steps": lambda a: a.unfold(2, 2, 3),
    "unfold the batch": lambda a: a.unfold(0, 2, 1),
    "std_mean": lambda a: torch.std_mean(a, 1),
    "var_mean": lambda a: torch.var_mean(a, 1),
    "index_put": lambda a: torch.zeros(2, 5, 6).index_put((torch.tensor([1]),), a[0, 0]),
}
TWO: dict[str, Callable[..., Any]] = {
    "mse_loss": F.mse_loss,
    "mse_loss of each": lambda a, b: F.mse_loss(a, b, reduction="none"),
    "mse_loss in all": lambda a, b: F.mse_loss(a, b, reduction="sum"),
    "l1_loss": F.l1_loss,
    "smooth_l1_loss": lambda a, b: F.smooth_l1_loss(a, b, beta=0.7, reduction="none"),
    "huber_loss": lambda a, b: F.huber_loss(a, b, delta=0.6, reduction="none"),
    "hypot": torch.hypot,
    "dist": torch.dist,
    "dist by parts": lambda a, b: torch.dist(a, b, 1),
    "isclose": lambda a, b: torch.isclose(a, b, rtol=0.5, atol=0.1),
    "logaddexp": torch.logaddexp,
    "heaviside": lambda a, b: torch.heaviside(torch.round(a), b),
    "ldexp": lambda a, b: torch.ldexp(a, torch.round(b)),
    "hstack": lambda a, b: torch.hstack([a, b]),
    "hstack rows": lambda a, b: torch.hstack([a[0, 0], b[0, 0]]),
    "vstack": lambda a, b: torch.vstack([a, b]),
    "vstack rows": lambda a, b: torch.vstack([a[0, 0], b[0, 0]]),
    "column_stack": lambda a, b: torch.column_stack([a[0], b[0]]),
    "column_stack rows": lambda a, b: torch.column_stack([a[0, 0], b[0, 0]]),
    "div to nothing": lambda a, b: torch.div(a * 5, b, rounding_mode="trunc"),
    "pairwise_distance": F.pairwise_distance,
    "broadcast_tensors": lambda a, b: torch.broadcast_tensors(a, b[:, :1]),
}
OTHERS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "logit": (torch.logit, (SHARE,)),
    "logit within": (lambda a: torch.logit(a, 0.1), (SHARE,)),
    "isin": (lambda a: torch.isin(a, torch.tensor([3, 7, 9])), (TOKENS,)),
    "not isin": (lambda a: torch.isin(a, torch.tensor([3, 7, 9]), invert=True), (TOKENS,)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "": {}, "batch first": {"batch_first": True}, "two layers": {"num_layers": 2},
    "both ways": {"bidirectional": True, "batch_first": True}, "no bias": {"bias": False},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}  # fmt: skip


class Module(nn.Module):
    def __init__(self, work: Callable[..., Any]) -> None:
        super().__init__()
        self.work = work

    def forward(self, *given: Tensor) -> Any:
        return self.work(*given)


class Turn(nn.Module):
    """A cell with its first state beside it."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Any:
        return self.cell(x[:, 0])


def cases() -> Iterator[tuple[str, nn.Module, tuple[Tensor, ...]]]:
    for name, work in ONE.items():
        yield name, Module(work), (X,)
    for name, work in TWO.items():
        yield name, Module(work), (X, Y)
    for name, (work, given) in OTHERS.items():
        yield name, Module(work), given
    for kind in ("LSTM", "GRU", "RNN"):
        for setting, more in SETTINGS.items():
            yield f"{kind} {setting}".strip(), Module(getattr(nn, kind)(6, 4, **more)), (X,)
        yield f"{kind} cell", Turn(getattr(nn, f"{kind}Cell")(6, 4)), (X,)
    rectified = nn.RNN(6, 4, nonlinearity="relu", batch_first=True)
    yield "RNN rectified", Module(rectified), (X,)
    state = torch.randn(1, 2, 4)
    yield "GRU from a state", Module(nn.GRU(6, 4, batch_first=True)), (X, state)


def flat(value: Any) -> Iterator[np.ndarray]:
    if torch.is_tensor(value):
        yield value.numpy()
    else:
        for part in value:
            yield from flat(part)


def main(archive: str) -> None:
    warnings.simplefilter("ignore")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as out:
        for name, model, given in cases():
            model.eval()
            with torch.no_grad():
                results = list(flat(model(*given)))
            made = io.BytesIO()
            torch.jit.save(torch.jit.trace(model, given, check_trace=False), made)
            files = {"model.pt": made.getvalue()}
            arrays = {f"in{i}.npy": v.numpy() for i, v in enumerate(given)}
            arrays |= {f"out{i}.npy": v for i, v in enumerate(results)}
            for key, array in arrays.items():
                held = io.BytesIO()
                np.lib.format.write_array(held, np.asarray(array), allow_pickle=False)
                files[key] = held.getvalue()
            for key, data in files.items():
                out.writestr(zipfile.ZipInfo(f"{name}/{key}"), data, zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main(sys.argv[1])
