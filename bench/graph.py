"""What following a graph costs: a real export, repeated until it has enough operations.

Copies stand side by side on the same inputs, and their outputs are added up. Measured in processor
time, each the best of three: reading the file, laying the graph out and following it, comparing it
with itself as a reference, and as peers what others do when they open it: onnx's checker, and
ONNX Runtime with its optimisations turned off.

pip install onnx==1.23.2 onnxruntime==1.32.0
PYTHONPATH=src:tests python bench/graph.py [export, by default llama-script.onnx] [operations …]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import onnx
import onnxruntime

from of_every_graph import exported
from weighbridge.analysis.computation_graph import ComputationGraph
from weighbridge.analysis.graph_alignment import align
from weighbridge.analysis.graph_flow import analyse
from weighbridge.analysis.graph_fronts.onnx import graph_of
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.onnx import ONNX


def repeated(data: bytes, operations: int) -> bytes:
    """A model of about so many operations."""
    model = onnx.load_from_string(data)
    graph = model.graph
    nodes = list(graph.node)
    kept = {p.name for p in graph.input} | {t.name for t in graph.initializer}
    out = graph.output[0].name
    del graph.node[:]
    del graph.value_info[:]
    del graph.output[1:]
    total = ""
    for copy in range(-(-operations // sum(n.op_type != "Constant" for n in nodes))):
        for node in nodes:
            new = onnx.NodeProto()
            new.CopyFrom(node)
            new.name = f"{node.name}/{copy}"
            for names in (new.input, new.output):
                for i, name in enumerate(names):
                    if name and name not in kept:
                        names[i] = f"{name}/{copy}"
            graph.node.append(new)
        last = f"{out}/{copy}"
        if total:
            graph.node.append(onnx.helper.make_node("Add", [total, last], [f"{out}+{copy}"]))
            last = f"{out}+{copy}"
        total = last
    graph.node.append(onnx.helper.make_node("Identity", [total], [out]))
    return bytes(model.SerializeToString())


def best(work: Callable[[Any], Any], on: Any) -> float:
    """Processor time in seconds, the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work(on)
        times.append(time.process_time() - start)
    return min(times)


def laid_out(data: bytes) -> ComputationGraph:
    return graph_of(ONNX.parse(Held("m", data), Location("m"), Limits()))  # type: ignore[misc,arg-type]


def runtime(data: bytes) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def main(name: str, sizes: list[int]) -> None:
    data = exported(name)
    print("| operations | file, MB | read | laid out | followed | against a reference "
          "| onnx.checker | ONNX Runtime |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        made = repeated(data, size)
        graph = laid_out(made)
        row = [
            best(bytearray, made),
            best(laid_out, made),
            best(analyse, graph),
            best(lambda g: align(g, g), graph),
        ]
        peers = [
            best(onnx.checker.check_model, made),
            best(runtime, made),
        ]
        seconds = " | ".join(f"{s:.2f} s" for s in row)
        theirs = " | ".join(f"{s:.2f} s" for s in peers)
        print(f"| {len(graph.operations):,} | {len(made) / 1e6:.1f} | {seconds} | "
              f"{theirs} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    words = sys.argv[1:] or ["llama-script.onnx"]
    main(words[0], [int(w) for w in words[1:]] or [5_000, 20_000])
