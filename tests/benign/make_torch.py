"""Makes torch's programs of the benign corpus with the real libraries: mobile archives, quantised
TorchScript, exported programs, ExecuTorch programs.

pip install torch==2.13.0 && pip install --no-deps executorch==1.5.1 torchao==0.18.0
python tests/benign/make_torch.py tests/benign/files/torch
"""

from __future__ import annotations

import collections
import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge, to_edge_transform_and_lower
from torch.export import Dim

HERE = (str(Path(torch.__file__).parents[4]), str(Path(__file__).resolve().parent))
"""Folders of the machine that made the files; the libraries write them into source locations."""


EXTRA = {"notes.txt": "made for a test"}


class Net(torch.nn.Module):
    """A layer, a buffer, a constant, a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.register_buffer("bias", torch.ones(4))
        self.scale = torch.arange(4.0)

    def forward(self, x: torch.Tensor, shift: bool = False) -> torch.Tensor:
        """Apply it."""
        if shift:
            x = x + self.bias
        return torch.relu(self.layer(x)) + self.scale


class Small(torch.nn.Module):
    """What quantisation and lowering take."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return torch.relu(self.layer(x)) + 1


class Branch(torch.nn.Module):
    """Graphs within a graph, one of them within another."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""

        def inner(y: torch.Tensor) -> torch.Tensor:
            return torch.cond(y.sum() > 1, torch.sin, torch.tan, (y,))

        return torch.cond(x.sum() > 0, inner, torch.cos, (x,))


class Shapes(torch.nn.Module):
    """Formulas about shapes, and arguments in nested collections."""

    def forward(self, x: dict[str, torch.Tensor], n: list[torch.Tensor]) -> dict[str, Any]:
        """Apply it."""
        a, b = x["a"], n[0]
        rows = torch.cat([a, b]).reshape(-1, 2)
        return {"rows": rows, "half": a[: a.shape[0] // 2], "more": collections.OrderedDict(k=a)}


def clean(data: bytes) -> bytes:
    """Other letters for the folders of this machine, as many."""
    for folder in HERE:
        data = data.replace(folder.encode(), b"/opt/" + b"p" * (len(folder) - 5))
    return data


def archive(path: Path, write: Callable[[str], object]) -> None:
    """Write an archive, then its records again without this machine's folders."""
    with tempfile.TemporaryDirectory() as folder:
        first = str(Path(folder) / path.name)
        write(first)
        reader = torch._C.PyTorchFileReader(first)
        writer = torch._C.PyTorchFileWriter(str(path))
        for name in reader.get_all_records():
            if name not in ("version", ".data/version", ".data/serialization_id", "byteorder"):
                data = clean(reader.get_record(name))
                writer.write_record(name, data, len(data))
        byteorder = reader.get_record("byteorder")
        writer.write_record("byteorder", byteorder, len(byteorder))
        writer.write_end_of_file()


def scripts(folder: Path) -> None:
    """Archives of TorchScript for the lite interpreter, and quantised."""
    folder.mkdir(parents=True, exist_ok=True)
    scripted = torch.jit.script(Net().eval())
    traced = torch.jit.trace(Net().eval(), torch.ones(2, 4))
    quantised = torch.jit.script(
        torch.ao.quantization.quantize_dynamic(Small().eval(), {torch.nn.Linear})
    )
    archive(folder / "scripted.ptl", scripted._save_for_lite_interpreter)
    archive(folder / "traced.ptl", traced._save_for_lite_interpreter)
    archive(folder / "quantised.ptl", quantised._save_for_lite_interpreter)
    archive(folder / "quantised.pt", lambda path: torch.jit.save(quantised, path))


def states(folder: Path) -> None:
    """A checkpoint that lists the names of its weights and storages first, so that the pickle takes
    them from its memo afterwards."""
    names = ("layer.0.weight", "layer.0.bias", "layer.1.weight", "layer.1.bias")
    state = dict(zip(names, (torch.rand(3, 2), torch.rand(3), torch.rand(2, 3), torch.rand(2)),
                     strict=True))  # fmt: skip
    kept = {"names": list(names), "storages": [str(i) for i in range(10)], "state": state}
    archive(folder / "names-first.pt", lambda path: torch.save(kept, path))


def programs(folder: Path) -> None:
    """Exported programs."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = ({"a": torch.ones(8, 2)}, [torch.ones(6, 2)])
    made = {
        "net": torch.export.export(Net().eval(), (torch.ones(2, 4),)),
        "branch": torch.export.export(Branch(), (torch.ones(3),)),
        "shapes": torch.export.export(
            Shapes(), tensors, dynamic_shapes=({"a": {0: Dim.AUTO}}, [{0: Dim.AUTO}])
        ),
    }
    made["lowered"] = made["net"].run_decompositions()
    for name, program in made.items():
        save = functools.partial(torch.export.save, program, extra_files=EXTRA)
        archive(folder / f"{name}.pt2", save)


def lowered(folder: Path) -> None:
    """Programs of ExecuTorch: plain, with a delegate, with tensors in another file."""
    folder.mkdir(parents=True, exist_ok=True)
    program = torch.export.export(Small().eval(), (torch.ones(2, 4),))
    plain = to_edge(program).to_executorch()
    delegate = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    outside = to_edge(program).to_executorch(ExecutorchBackendConfig(external_constants=True))
    (folder / "plain.pte").write_bytes(clean(plain.buffer))
    (folder / "xnnpack.pte").write_bytes(clean(delegate.to_executorch().buffer))
    (folder / "outside.pte").write_bytes(clean(outside.buffer))
    outside.write_tensor_data_to_file(str(folder))


def main(folder: Path) -> None:
    """Make all of them."""
    torch.manual_seed(0)
    scripts(folder / "mobile")
    programs(folder / "programs")
    states(folder / "state-dicts")
    lowered(folder / "executorch")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
