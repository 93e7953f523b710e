"""Whole repositories as teams download them: nothing in them is accused that need not be."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from of_every_model import accusing, unread
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

REPOSITORIES = Path(__file__).parent / "benign" / "repositories"
ONNX = Path(__file__).parent / "benign" / "files" / "onnx-backend"
NAMES = sorted(p.name for p in REPOSITORIES.iterdir())

PICKLES = {
    "bert", "clip", "gpt2", "llama-2-chat", "t5", "timm-vit", "wav2vec2",  # pytorch_model.bin
    "peft-lora-bin", "diffusers-ddpm", "torchscript",  # torch weights and nothing else
    "setfit", "scikit-learn",  # a classifier that joblib or pickle wrote
    "trainer-checkpoint",  # optimizer.pt, scheduler.pt, rng_state.pth, training_args.bin
}  # fmt: skip
"""Where a pickle is loaded: that it could run code is true, and said once for each repository."""

UNTRAINED = "documentation"
"""Their weights are random: that their cards name no training data is true, and said once."""

UNREAD = {
    "spacy-pipeline": "spaCy keeps its vocabulary and its layers as MessagePack without any header",
    "trainer-checkpoint": "the logs of TensorBoard are records of TensorFlow",
}
"""Where files are gaps, and why. They are named in `UNREAD_FILES`."""
UNREAD_FILES = frozenset({
    ("spacy-pipeline", "textcat/model"), ("spacy-pipeline", "tokenizer"),
    ("spacy-pipeline", "vocab/key2row"), ("spacy-pipeline", "vocab/lookups.bin"),
    ("trainer-checkpoint", "runs/events.out.tfevents.0"),
})  # fmt: skip


def test_there_are_enough() -> None:
    assert len(NAMES) >= 50
    assert {name for name, _ in UNREAD_FILES} == set(UNREAD)


@pytest.mark.parametrize("name", NAMES)
def test_repository(name: str) -> None:
    audited = run(REPOSITORIES / name)
    said = defaultdict(list)
    for finding in accusing(audited.findings):
        said[finding.action].append((finding.check, finding.message))
    assert said[Action.BLOCK] == []
    expected = ["loading-runs-code"] if name in PICKLES else []
    reviews = [(check, message) for check, message in said[Action.REVIEW] if check != UNTRAINED]
    assert [check for check, _ in reviews] == expected, reviews
    assert [g for g in unread(audited.gaps) if (name, g.at.path) not in UNREAD_FILES] == []


def test_what_the_hub_adds(tmp_path: Path) -> None:
    """Its `.gitattributes` stands in every repository; here git would obey it."""
    kinds = ("bin", "h5", "joblib", "model", "onnx", "pkl", "pt", "safetensors", "zip")
    lines = [f"*.{kind} filter=lfs diff=lfs merge=lfs -text" for kind in kinds]
    (tmp_path / ".gitattributes").write_text("\n".join([*lines, "*tfevents* filter=lfs -text", ""]))
    audited = run(tmp_path)
    assert audited.findings == ()
    assert [g for g in audited.gaps if g.kind is not GapKind.NOT_GIVEN] == []


@pytest.mark.parametrize("path", sorted(ONNX.glob("*.onnx")), ids=lambda p: p.stem)
def test_models_of_the_onnx_backend_tests(path: Path) -> None:
    examined = examine(Held(path.name, path.read_bytes()), load(), Limits())
    assert examined.record.formats == ("onnx",)
    assert [f for f in examined.findings if f.action is not Action.NOTE] == []
    assert examined.gaps == ()
