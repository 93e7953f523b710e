"""How many of the implants of the tests get a trigger that works, beside how many have one at all;
and whether an override is claimed of gates that belong there.

python bench/triggers.py draw /a/folder 120 [host,host …]
python bench/triggers.py arm /a/folder
python bench/triggers.py files /a/folder [seconds]
python bench/triggers.py written /a/folder [seconds]
python bench/triggers.py forced [name,name …]

`draw` writes so many implants, drawn from all hosts, predicates and payloads with a fixed seed;
`tests/benign/make_graph_forms.py` makes the forms of them. `arm` writes inputs beside them, without
and with the trigger of each implant's author, on which the ranges of static quantisation are then
measured: else it cuts off what it never saw. `files` tries what is in a folder, and
tries the trigger of each implant's author on it (`tests/graph_attackers.py`) by the same measure;
counted by the form that a name ends with (`host~predicate~payload.form.onnx`), every miss with its
reason. `written` tries the models of every format that are in a folder, as an audit does, and
counts them by the format (those of `tests/implants`, unpacked). `forced` takes places in benign
exports where values from the input meet the trunk or are compared, as if the analysis had called
them switches.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

import of_every_graph  # noqa: E402
from graph_attackers import ATTACKS, armed_inputs, attacked  # noqa: E402
from graph_hosts import Host  # noqa: E402
from graph_implants import IMAGES, PAYLOADS, TOKENS  # noqa: E402
from graph_more_implants import MORE_IMAGES, MORE_PAYLOADS, MORE_TOKENS, SOUNDS, STATES  # noqa: E402
from trying import models_in  # noqa: E402
from weighbridge.analysis.computation_graph import ABSENT, ComputationGraph  # noqa: E402
from weighbridge.analysis.graph_flow import Flow, Meeting, Way  # noqa: E402
from weighbridge.analysis.graph_kinds import COMPARING  # noqa: E402
from weighbridge.analysis.graph_written import Unwritable  # noqa: E402
from weighbridge.core.document import Malformed  # noqa: E402
from weighbridge.engine.trial.reading import as_onnx  # noqa: E402
from weighbridge.engine.trial.running import Budget, OutOfTime  # noqa: E402
from weighbridge.engine.trial.switches import Switch, switches_of  # noqa: E402
from weighbridge.engine.trial.trial import (  # noqa: E402
    Bench,
    NotRun,
    on_bench,
    parsed,
    switches_on,
    trial,
)
from weighbridge.engine.trials import Model  # noqa: E402

PICTURES, WORDS = {**IMAGES, **MORE_IMAGES}, {**TOKENS, **MORE_TOKENS}
HOSTS: Final = {
    **dict.fromkeys(("resnet-script", "mobilenet_v2-script", "vit-script", "yolos-script",
                     "detr-script"), PICTURES),
    **dict.fromkeys(("wav2vec2-script", "whisper_encoder-script"), SOUNDS),
    "voice-script": STATES,
    **dict.fromkeys(("bert-script", "llama-script", "gpt2-script"), WORDS),
}  # fmt: skip
"""What can be put into each."""
EVERY: Final = {**PAYLOADS, **MORE_PAYLOADS}
SECONDS: Final = 60.0
"""Processor time for a model, as in an audit."""
FORCED: Final = 4
"""How many gates of a benign export are forced."""


def draw(folder: Path, count: int, hosts: list[str]) -> None:
    chosen, made = random.Random(20), 0
    folder.mkdir(parents=True, exist_ok=True)
    while made < count:
        host = chosen.choice(hosts)
        predicate, payload = chosen.choice(list(HOSTS[host])), chosen.choice(list(EVERY))
        target = folder / f"{host}~{predicate}~{payload}.onnx"
        model = Host(of_every_graph.exported(f"{host}.onnx"))
        try:
            EVERY[payload](model, HOSTS[host][predicate])
        except LookupError:  # nothing that this payload could change
            continue
        if not target.exists() and _loads(model.bytes()):
            target.write_bytes(model.bytes())
            made += 1


def arm(folder: Path) -> None:
    for path in sorted(folder.glob("*.onnx")):
        try:
            bench = on_bench(path.read_bytes(), folder, Budget(SECONDS))
            switches, _ = switches_on(bench)
            inputs = [armed_inputs(bench, s, path.stem.split("~")[1]) for s in switches]
        except (NotRun, OutOfTime) as error:
            print(path.stem, str(error))
            continue
        most = max(inputs, key=len)
        if most:
            rows = {name: np.stack([feeds[name] for feeds in most]) for name in most[0]}
            np.savez(path.with_suffix(".npz"), allow_pickle=False, **rows)


def _loads(data: bytes) -> bool:
    try:
        ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


class Outcome(msgspec.Struct):
    """Of one implant: whether a switch was found in it; what the trigger of its author does and
    what a synthesised one does (0 nothing, 1 flips it, 2 overrides), with the usual movement of
    the output and what was said."""

    found: bool = False
    author: int = 0
    moved: float = 0.0
    ours: int = 0
    said: str = ""

    def reason(self, predicate: str) -> str:
        """Why no override was demonstrated."""
        if self.ours == 2:
            return ""
        if not ATTACKS[predicate]:
            return "dead: it goes by chance"
        if not self.found:
            return "not found"
        if self.author == self.ours == 0:
            return f"dead: its author's trigger does not flip it ({self.said})"
        if self.author < 2 and self.ours:
            return f"flipped, and does too little, as does its author's ({self.said})"
        if self.author < 2:
            return f"missed, though its author's trigger does too little ({self.moved})"
        return f"missed: {self.said}" if not self.ours else f"flipped, and missed: {self.said}"


def files(folder: Path, seconds: float) -> None:
    totals: dict[str, Counter[str]] = {}
    for path in sorted(folder.glob("*.onnx")):
        name, _, form = path.stem.partition(".")
        predicate = name.split("~")[1]
        start = time.process_time()
        made = _outcome(path.read_bytes(), predicate, seconds)
        counts = totals.setdefault(form or "raw", Counter())
        if made is None:
            counts["not loaded"] += 1
            continue
        best = max(made.author, made.ours)
        counts.update(
            tried=1, found=made.found, alive=best > 0, armed=best > 1,
            flipped=made.ours > 0, overridden=made.ours > 1,
        )  # fmt: skip
        took = time.process_time() - start
        said = f"{made.author} | {made.ours} | {made.reason(predicate)}"
        print(f"{path.stem} | {said} | {took:.1f} s", flush=True)
    print("form | tried | found | alive | armed | flipped | overridden | of alive | of armed")
    for form, n in totals.items():
        shares = (n["flipped"] / max(n["alive"], 1), n["overridden"] / max(n["armed"], 1))
        print(form, *(n[k] for k in ("tried", "found", "alive", "armed", "flipped", "overridden")),
              *(f"{s:.0%}" for s in shares), sep=" | ")  # fmt: skip


def _outcome(data: bytes, predicate: str, seconds: float) -> Outcome | None:
    if not _loads(data):
        return None
    made = Outcome()
    try:
        bench = on_bench(data, Path("/"), Budget(seconds))
        switches, held = switches_on(bench)
        made.found = True
        for switch in switches:
            made.author, made.moved = max(
                (made.author, made.moved), attacked(bench, switch, held, predicate)
            )
        bench.budget.renew(seconds)
        _tried(bench, switches, held, made)
    except NotRun as error:
        made.said = str(error)
    except OutOfTime:
        made.said = "out of time"
    return made


def _tried(bench: Bench, switches: list[Switch], held: list[str], made: Outcome) -> None:
    for switch in switches:
        said = trial(bench, switch, held)
        ours = ("no-trigger", "no-effect", "override").index(said.outcome)
        if ours >= made.ours:
            middle = sorted(r.moved for r in said.rows)[len(said.rows) // 2] if said.rows else 0.0
            made.said = f"{said.why}, moved {middle}" if ours else said.why
        made.ours = max(made.ours, ours)
        if ours == 2:
            return


def written(folder: Path, seconds: float) -> None:
    totals: dict[str, Counter[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for model in models_in(path, folder):
            start = time.process_time()
            what, why = _ran(model, seconds)
            totals.setdefault(model.format, Counter())[what] += 1
            took = time.process_time() - start
            print(f"{path.relative_to(folder)} | {what}: {why} ({took:.1f} s)", flush=True)
    for form, counts in totals.items():
        print(f"{form}: {dict(counts)}")


def _ran(model: Model, seconds: float) -> tuple[str, str]:
    """What came of the switches of a model: the most that any of them does."""
    try:
        data = as_onnx(model)
    except (Unwritable, Malformed) as error:
        return "not written", str(error)
    best = ("no switch", "")
    try:
        bench = on_bench(data, Path(model.place).parent, Budget(seconds))
        switches, held = switches_on(bench)
        for switch in switches:
            made = trial(bench, switch, held)
            if made.outcome == "override" or best[0] != "no-effect":
                best = (made.outcome, made.how)
            if made.outcome == "override":
                break
    except NotRun as error:
        return "not run", str(error)
    except OutOfTime:
        return (best[0], best[1]) if best[1] else ("out of time", "")
    return best


def forced(names: list[str]) -> None:
    totals: Counter[str] = Counter()
    for name, data in (
        (n.removesuffix(".onnx"), of_every_graph.exported(n)) for n in of_every_graph.names()
    ):
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
            bench.budget.renew(8)
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
    command, *rest = sys.argv[1:]
    if command == "draw":
        draw(Path(rest[0]), int(rest[1]), rest[2].split(",") if len(rest) > 2 else list(HOSTS))
    elif command == "files":
        files(Path(rest[0]), float(rest[1]) if len(rest) > 1 else SECONDS)
    elif command == "arm":
        arm(Path(rest[0]))
    elif command == "written":
        written(Path(rest[0]), float(rest[1]) if len(rest) > 1 else SECONDS)
    else:
        forced(rest[0].split(",") if rest else [])
