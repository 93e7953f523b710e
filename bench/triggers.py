"""How many of the implants of the tests get a trigger that works, and whether an override is
claimed of gates that belong there.

python bench/triggers.py implants [host,host …] [share]
python bench/triggers.py files /a/folder [seconds]
python bench/triggers.py forced [name,name …]

`implants` puts every predicate with every payload into the hosts and tries each model; `files`
tries what is in a folder, of whichever format, counted by its format and by the folder that it is
in, or by the form that a name ends with (`name.form.onnx`: implants after what
`tests/benign/make_graph_forms.py` does to a folder of them); `forced` takes
places in benign exports where values from the input meet the trunk or are compared, as if the
analysis had called them switches.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

import onnxruntime as ort  # noqa: E402

import of_every_graph  # noqa: E402
from graph_hosts import FLOAT, Host  # noqa: E402
from graph_implants import IMAGES, PAYLOADS, TOKENS  # noqa: E402
from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph  # noqa: E402
from weighbridge.analysis.graph_flow import Flow, Meeting, Way  # noqa: E402
from weighbridge.analysis.graph_fronts import formats_with_graph  # noqa: E402
from weighbridge.analysis.graph_kinds import COMPARING  # noqa: E402
from weighbridge.analysis.graph_written import Unwritable  # noqa: E402
from weighbridge.core.document import Malformed  # noqa: E402
from weighbridge.core.fact import SwitchTrial  # noqa: E402
from weighbridge.core.finding import Gap  # noqa: E402
from weighbridge.core.format import Limits, Sample  # noqa: E402
from weighbridge.core.location import Location  # noqa: E402
from weighbridge.core.tree import Blob  # noqa: E402
from weighbridge.engine.trial.reading import as_onnx  # noqa: E402
from weighbridge.engine.trial.running import Budget, OutOfTime  # noqa: E402
from weighbridge.engine.trial.trial import (  # noqa: E402
    NotRun,
    on_bench,
    parsed,
    switches_of,
    switches_on,
    trial,
)
from weighbridge.engine.trials import Model  # noqa: E402
from weighbridge.formats.zip import ZIP, Zip  # noqa: E402
from weighbridge.sources.folder import File, Folder  # noqa: E402

HOSTS = ("resnet-script", "vit-script", "bert-script", "llama-script")
SECONDS = 40.0
FORCED = 4
"""How many gates of a benign export are forced."""


def exported() -> dict[str, bytes]:
    return {name.removesuffix(".onnx"): of_every_graph.exported(name)
            for name in of_every_graph.names()}  # fmt: skip


def implants(hosts: list[str], share: float) -> None:
    models, chosen = exported(), random.Random(1)
    totals: Counter[str] = Counter()
    for host in hosts:
        is_image = Host(models[host]).document.graph.inputs[0].type == FLOAT
        for name, predicate in (IMAGES if is_image else TOKENS).items():
            for payload, put in PAYLOADS.items():
                if chosen.random() > share:
                    continue
                made = Host(models[host])
                put(made, predicate)
                start = time.process_time()
                what, why = _tried(made.bytes())
                totals[what] += 1
                took = time.process_time() - start
                print(f"{host} | {name} | {payload} | {what}: {why} ({took:.1f} s)", flush=True)
    count = sum(totals.values()) - totals["no model"]
    print(f"{count} models: {dict(totals)}")
    flipped = totals["override"] + totals["no-effect"]
    print(f"flipped {flipped / count:.1%}, override demonstrated {totals['override'] / count:.1%}")


def files(folder: Path, seconds: float) -> None:
    totals: dict[str, Counter[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for model in _models(path, folder):
            start = time.process_time()
            try:
                what, why = _tried(as_onnx(model), seconds)
            except (Unwritable, Malformed) as error:
                what, why = "not written", str(error)
            form = Path(path.stem).suffix[1:] or "raw"
            if model.format != "onnx":
                form = f"{model.format} {path.relative_to(folder).parts[0]}"
            totals.setdefault(form, Counter())[what] += 1
            took = time.process_time() - start
            print(f"{path.relative_to(folder)} | {what}: {why} ({took:.1f} s)", flush=True)
    for form, counts in totals.items():
        print(f"{form}: {dict(counts)}")


def _models(path: Path, root: Path) -> Iterator[Model]:
    """The models in a file, or in the members of an archive."""
    name = str(path.relative_to(root))
    file: Blob = File(name, str(path), path.stat().st_size, siblings=Folder(root))
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


def _tried(data: bytes, seconds: float = SECONDS) -> tuple[str, str]:
    try:
        ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception:
        return "no model", "the runtime does not load it"
    try:
        bench = on_bench(data, Path("/"), Budget(seconds))
        switches, held = switches_on(bench)
        said: list[SwitchTrial] = []
        for switch in switches:
            said.append(trial(bench, switch, held))
            if said[-1].outcome == "override":
                return "override", ""
    except NotRun as error:
        return "not run", str(error)
    except OutOfTime:
        return "no-trigger", "out of time"
    best = min(said, key=lambda s: s.outcome)  # no-effect before no-trigger
    moved = sorted(r.moved for r in best.rows)
    middle = f", moved {moved[len(moved) // 2]}" if moved else ""
    return best.outcome, f"{best.why}{middle}, {best.usual_state} to {best.other_state}"


def forced(names: list[str]) -> None:
    totals: Counter[str] = Counter()
    for name, data in exported().items():
        if names and name not in names:
            continue
        try:
            bench = on_bench(data, Path("/"), Budget(30))
        except (NotRun, OutOfTime) as error:
            print(f"{name}: {error}")
            totals["not run"] += 1
            continue
        graph, flow = parsed(data)
        tops = {n for node in bench.model.nodes for n in node.outputs if n}
        meetings = list(_gates(graph, flow))
        random.Random(name).shuffle(meetings)
        print(name, dict(totals), flush=True)
        for switch in switches_of(graph, flow, tops, meetings)[:FORCED]:
            bench.budget.until = time.process_time() + 8
            made = trial(bench, switch, [switch.value])
            totals[made.outcome] += 1
            if made.outcome == "override":
                print(f"CLAIMED {name} | {switch.label} | {switch.value} | {made.how}")
    print(f"{sum(totals.values())} gates: {dict(totals)}")


_CHOOSING = frozenset({"TopK", "ArgMax", "Clip", "Relu", "Softmax", "Sigmoid", "Where"})


def _gates(graph: ComputationGraph, flow: Flow) -> Iterator[Meeting]:
    readers: dict[int, int] = {}
    for number, operation in enumerate(graph.operations):
        for value in operation.inputs:
            readers.setdefault(value, number)
    for number, operation in enumerate(graph.operations):
        inputs = [i for i in operation.inputs if i != ABSENT]
        trunk = [i for i in inputs if flow.ways[i] & Way.TRUNK]
        for value in inputs:
            made = graph.values[value].producer
            raw = flow.ways[value] & Way.RAW and not flow.ways[value] & Way.TRUNK
            if trunk and raw and made != ABSENT:
                yield Meeting(number, made, value, trunk[0], "forced")
        output = operation.outputs[0] if operation.outputs else ABSENT
        moves = any(flow.ways[i] & (Way.RAW | Way.TRUNK) for i in inputs)
        acting = operation.op in COMPARING or operation.op in _CHOOSING
        if acting and moves and output in readers:
            yield Meeting(readers[output], number, output, ABSENT, "forced")


if __name__ == "__main__":
    ort.set_default_logger_severity(4)
    given = sys.argv[2].split(",") if len(sys.argv) > 2 and sys.argv[2] else []
    if sys.argv[1:2] == ["forced"]:
        forced(given)
    elif sys.argv[1:2] == ["files"]:
        files(Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else SECONDS)
    else:
        implants(given or list(HOSTS), float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
