"""Graphs in ONNX Runtime's own format, as it writes them: said of them is what is said of ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_hosts import Host
from graph_implants import IMAGES, PAYLOADS, TOKENS
from of_every_graph import exported
from trying import converted
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

BENIGN = (
    "beit-script.onnx", "bert-dynamo.onnx", "bert-script.onnx", "boxes-script.onnx",
    "clip_text_eos-script.onnx", "excite-script.onnx", "gpt2_cached-script.onnx",
    "llama-script.onnx", "lstm-script.qdq.onnx", "resnet-script.onnx", "routed-script.onnx",
    "vit-script.fp16.onnx", "yolo-script.onnx",
)  # fmt: skip
HOSTILE = [
    ("vit-script.onnx", IMAGES, predicate, payload)
    for predicate, payload in zip(IMAGES, list(PAYLOADS) * 2, strict=False)
] + [
    ("bert-script.onnx", TOKENS, predicate, payload)
    for predicate, payload in zip(TOKENS, list(PAYLOADS)[::-1] * 2, strict=False)
]


def said(data: bytes) -> tuple[list[Finding], list[Gap]]:
    examined = examine(Held("model.ort", data), load(), Limits())
    gaps = [g for g in examined.gaps if g.controls == ("backdoor",)]
    return [f for f in examined.findings if f.check == "graph-gate"], gaps


@pytest.mark.parametrize("name", BENIGN)
def test_benign_graphs(name: str, tmp_path: Path) -> None:
    findings, gaps = said(converted(exported(name), tmp_path, "ORT_ENABLE_EXTENDED"))
    assert [(f.action, f.symbol) for f in findings] == [(Action.NOTE, "analysed")]
    assert not gaps


@pytest.mark.parametrize("model", HOSTILE, ids=lambda m: f"{m[2]}-{m[3]}")
def test_implants(model: tuple[str, dict[str, object], str, str], tmp_path: Path) -> None:
    name, predicates, predicate, payload = model
    host = Host(exported(name))
    PAYLOADS[payload](host, predicates[predicate])  # type: ignore[arg-type]
    findings, _ = said(converted(host.bytes(), tmp_path, "ORT_ENABLE_BASIC"))
    assert any(f.action is Action.REVIEW for f in findings)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_are_laid_out(data: st.DataObject) -> None:
    path = Path(__file__).parents[1] / "benign" / "files" / "onnxruntime" / "model.ort"
    changed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(8, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from((0, 1, 4, 127, 255)))
    examined = examine(Held("model.ort", bytes(changed)), load(), Limits())
    assert not [g for g in examined.gaps if g.kind is GapKind.CRASHED]
