"""Models with an implant, and trials of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnxruntime

from graph_hosts import Host
from graph_implants import Payload, Predicate
from of_every_graph import exported
from weighbridge.analysis.graph_fronts import formats_with_graph
from weighbridge.core.fact import SwitchTrial
from weighbridge.core.finding import Gap
from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob
from weighbridge.engine.trial.running import Budget
from weighbridge.engine.trial.trial import on_bench, switches_on, trial
from weighbridge.engine.trials import Model
from weighbridge.formats.zip import ZIP, Zip
from weighbridge.sources.folder import Folder, Glimpsed


def implanted(host: str, predicate: Predicate, payload: Payload) -> bytes:
    made = Host(exported(f"{host}.onnx"))
    payload(made, predicate)
    return made.bytes()


def tried(data: bytes, seconds: float = 60) -> list[SwitchTrial]:
    bench = on_bench(data, Path("/"), Budget(seconds))
    found, held = switches_on(bench)
    made: list[SwitchTrial] = []
    for switch in found:
        made.append(trial(bench, switch, held))
        if made[-1].outcome == "override":
            break
    return made


def overridden(data: bytes) -> bool:
    return any(made.outcome == "override" for made in tried(data))


def models_in(path: Path, root: Path) -> Iterator[Model]:
    """The models in a file of a folder, or in the members of an archive."""
    name = str(path.relative_to(root))
    file: Blob = Glimpsed(name, str(path), path.stat().st_size, siblings=Folder(root))
    waiting = [(file, Location(name))]
    while waiting:
        blob, where = waiting.pop(0)
        sample = Sample(blob)
        kinds = [n for n, f in formats_with_graph().items() if f.sniff(sample)]
        for kind in kinds[:1]:
            yield Model(str(path), kind, name, where.inside, str(root))
        if not kinds and ZIP.sniff(sample) and len(where.inside) < 2:
            archive = ZIP.parse(blob, where, Limits())  # type: ignore[misc]
            assert isinstance(archive, Zip)
            waiting += [(m, where.into(m.path)) for m in archive.walk() if not isinstance(m, Gap)]


def converted(model: bytes, folder: Path, level: str) -> bytes:
    """The model as ONNX Runtime saves it, optimised at a level."""
    source, target = folder / "model.onnx", folder / "model.ort"
    source.write_bytes(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return target.read_bytes()
