"""Records what frameworks compute for the graphs of the benign corpus, on drawn inputs: what an
ONNX model that Weighbridge writes of them has to compute too (`tests/engine/test_written.py`).

    python tests/benign/make_graph_outputs.py draw /a/folder        with Weighbridge's `deep` extra
    python tests/benign/make_graph_outputs.py torch /a/folder       torch==2.13.0
    python tests/benign/make_graph_outputs.py openvino /a/folder    openvino==2026.4.1
    python tests/benign/make_graph_outputs.py tensorflow /a/folder  tensorflow-cpu==2.21.0
    python tests/benign/make_graph_outputs.py pack /a/folder tests/benign/graph_outputs.zip

Each with numpy==2.4.6, in an environment of its own. `draw` unpacks the graphs and draws inputs for
those that can be written; numbers are multiples of a sixteenth, so that they pack.
"""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

GRAPHS = Path(__file__).parent / "files" / "graphs"
EVERY = 3
"""Every third graph of an archive is taken; they are alike."""
Arrays = Sequence[Any]
Inputs = Mapping[str, Any]
"""By the names that they have in the model that is written."""


def draw(folder: Path) -> None:
    sys.path.insert(0, str(GRAPHS.parents[2]))
    from trying import models_in
    from weighbridge.analysis.graph_written import Unwritable
    from weighbridge.engine.trial.natural import draw as natural
    from weighbridge.engine.trial.reading import as_onnx
    from weighbridge.engine.trial.running import Budget
    from weighbridge.engine.trial.trial import NotRun, on_bench

    for archive in sorted(GRAPHS.glob("*.zip")):
        if archive.stem.startswith(("graphs-", "coreml")):
            continue
        place = folder / archive.stem
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
        files = [p for p in sorted(place.rglob("*")) if p.suffix not in (".bin", ".json")]
        for path in [p for p in files if p.is_file()][::EVERY]:
            for model in models_in(path, folder):
                rng = np.random.default_rng(zlib.crc32(path.name.encode()))
                try:
                    feeds = natural(on_bench(as_onnx(model), place, Budget(30)).ports, rng)
                except (Unwritable, NotRun):
                    continue
                np.savez(f"{path}.in.npz", **{k: _coarse(v) for k, v in feeds.items()})


def _coarse(given: Any) -> Any:
    return (np.round(given * 16) / 16).astype(given.dtype) if given.dtype.kind == "f" else given


def torch(path: Path, given: Inputs) -> Arrays:
    import torch

    inputs = list(given.values())

    if path.suffix == ".pt2":
        program = torch.export.load(_with_sample(path))
        program._example_inputs = (tuple(torch.from_numpy(v) for v in inputs), {})
        model = program.module(check_guards=False)
    else:
        model = torch.jit.load(str(path))
    with torch.no_grad():
        return list(_flat(model(*(torch.from_numpy(v) for v in inputs))))


def _with_sample(path: Path) -> Any:
    """A program with the sample of inputs that was left out where it was packed."""
    import torch

    sample, made = io.BytesIO(), io.BytesIO()
    torch.save(((), {}), sample)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        root = old.namelist()[0].split("/")[0]
        new.writestr(f"{root}/data/sample_inputs/model.pt", sample.getvalue())
    made.seek(0)
    return made


def _flat(value: Any) -> Iterator[Any]:
    if hasattr(value, "detach"):
        yield value.detach().float().numpy() if value.is_floating_point() else value.numpy()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)


def openvino(path: Path, given: Inputs) -> Arrays:
    import openvino

    core = openvino.Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(list(given.values()))
    return [found[output] for output in model.outputs]


def tensorflow(path: Path, given: Inputs) -> Arrays:
    import tensorflow as tf

    if path.suffix == ".tflite":
        kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        lite = tf.lite.Interpreter(str(path), experimental_op_resolver_type=kernels)
        details, inputs = lite.get_input_details(), list(given.values())
        for detail, value in zip(details, inputs, strict=True):
            lite.resize_tensor_input(detail["index"], value.shape)
        lite.allocate_tensors()
        for detail, value in zip(details, inputs, strict=True):
            lite.set_tensor(detail["index"], value.astype(detail["dtype"]))
        lite.invoke()
        return [lite.get_tensor(d["index"]) for d in lite.get_output_details()]
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    names = [n.name for n in graph.node if n.op == "Placeholder"]
    unused = [n for n in names if n.startswith("unused_control_flow_input")]
    read = {i.split(":")[0].lstrip("^") for n in graph.node for i in n.input}
    silent = ("NoOp", "Exit", "Switch", "TensorListReserve", "TensorListFromTensor")
    ends = [n.name for n in graph.node if n.name not in read and n.op not in silent]
    with tf.Graph().as_default() as made:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=made) as session:
            feeds = {f"{n}:0": v for n, v in given.items()}
            for tensor in (made.get_tensor_by_name(f"{n}:0") for n in unused):
                sizes = tensor.shape.as_list() if tensor.shape.rank else []
                feeds[tensor] = np.zeros([d or 1 for d in sizes], tensor.dtype.as_numpy_dtype)
            return list(session.run([f"{n}:0" for n in ends], feeds))


BY = {"torch": torch, "openvino": openvino, "tensorflow": tensorflow}


def record(folder: Path, framework: str) -> None:
    for given in sorted(folder.rglob("*.in.npz")):
        path = Path(str(given).removesuffix(".in.npz"))
        if not path.relative_to(folder).parts[0].startswith(framework):
            continue
        with np.load(given) as held:
            inputs = {k: held[k] for k in held.files}
        try:
            np.savez(f"{path}.out.npz", *BY[framework](path, inputs))
        except Exception as error:  # one that the framework does not run has nothing to compare
            print(path.name, str(error)[:120])


def pack(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as out:
        for made in sorted(folder.rglob("*.out.npz")):
            stem = str(made).removesuffix(".out.npz")
            for part in ("in", "out"):
                with np.load(f"{stem}.{part}.npz") as held:
                    for number, key in enumerate(held.files):
                        name = f"{Path(stem).relative_to(folder)}/{part}{number}.npy"
                        with out.open(zipfile.ZipInfo(name), "w") as file:
                            np.lib.format.write_array(file, held[key], allow_pickle=False)


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    if command == "draw":
        draw(Path(folder))
    elif command == "pack":
        pack(Path(folder), Path(rest[0]))
    else:
        record(Path(folder), command)
