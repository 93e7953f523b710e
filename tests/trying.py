"""Models with an implant, and trials of them."""

from __future__ import annotations

from pathlib import Path

from graph_hosts import Host
from graph_implants import Payload, Predicate
from of_every_graph import exported
from weighbridge.core.fact import SwitchTrial
from weighbridge.engine.trial.running import Budget
from weighbridge.engine.trial.trial import on_bench, switches_on, trial


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
