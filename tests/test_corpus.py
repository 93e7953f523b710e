"""The labelled corpora: what is hostile is accused, what is benign is not."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from advisories import advisory, index, since
from formats import pickle_oracle
from of_every_model import accusing, unread
from weighbridge.core.finding import Action, Finding, Gap, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import Ruleset, load

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
BENIGN = Path(__file__).parent / "benign" / "files"

RELABELLED = {
    "modelaudit/tests/assets/samples/pickles/simple_nested.pkl": (
        "benign",
        "the pickle inside it is the dict {'malicious': 'data'}: it imports and calls nothing",
    ),
}
"""Labels that are wrong, after reading the bytes, with the reason."""


def labelled(largest: int = 64 << 10) -> list[str]:
    """The samples up to a size, by path; none where the corpus is not beside the checkout."""
    if not CORPUS.is_dir():
        return []
    with (CORPUS / "manifest.tsv").open(newline="") as table:
        paths = [row["path"] for row in csv.DictReader(table, delimiter="\t")]
    return [path for path in paths if (CORPUS / path).stat().st_size <= largest]


ACCUSING = "loading-runs-code"
"""That a file is a pickle at all is said once, by this check, and accuses nobody."""


def accusations(audited: Audited) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in accusing(audited.findings):
        if finding.check != ACCUSING and finding.action is not Action.NOTE:
            found[finding.at.path].append(finding)
    return found


def gaps(audited: Audited) -> dict[str, list[Gap]]:
    found: dict[str, list[Gap]] = defaultdict(list)
    for gap in unread(audited.gaps):
        found[gap.at.path].append(gap)
    return found


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the sample corpus is not beside the checkout")
def test_labelled_corpus() -> None:
    audited = run(CORPUS)
    accused, unseen = accusations(audited), gaps(audited)
    blocked = hostile = 0
    wrong: list[str] = []
    with (CORPUS / "manifest.tsv").open(newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            path = row["path"]
            label, _ = RELABELLED.get(path, (row["label"], ""))
            said, open_ = accused[path], unseen[path]
            if label == "malicious":
                hostile += 1
                blocked += any(f.action is Action.BLOCK for f in said)
                if not said:
                    wrong.append(f"missed: {path}")
            elif label == "malformed" and not said and not open_:
                wrong.append(f"silent: {path}")
            elif label == "benign" and said:
                wrong.append(f"accused: {path}: {said[0].message}")
    assert wrong == []
    assert hostile > 100
    assert blocked / hostile >= 0.97
    assert not [g for g in audited.gaps if g.kind in (GapKind.CRASHED, GapKind.TIMEOUT)]


def test_benign_corpus_is_silent(tmp_path: Path) -> None:
    known = index(tmp_path / "index", advisory("X-1", "numpy", *since(fixed="1.0")))
    audited = run(BENIGN, advisories=known)
    assert len(audited.files) > 900
    assert accusations(audited) == {}
    assert not [g for g in audited.gaps if g.kind in (GapKind.CRASHED, GapKind.TIMEOUT)]
    expected = ("no-tensors.safetensors", "tokenizer", "lookalikes",
                ".py", "template", "llama", "bert", "gpt2",
                "gguf/", ".tfrecord", "tensorflow/split/", "graphs/torch-")  # fmt: skip
    unread_paths = [p for p in gaps(audited) if not any(part in p for part in expected)]
    assert unread_paths == []


@cache
def rules() -> Ruleset:
    return load()


@pytest.mark.parametrize("path", labelled())
def test_broken_copies_of_the_corpus_never_crash(path: str) -> None:
    """Every small sample cut at 50 places and with 200 bytes flipped: no crash, and a payload that
    CPython would still load is still blocked."""
    name, data = Path(path).name, (CORPUS / path).read_bytes()
    rng = random.Random(path)
    copies = [data[: len(data) * i // 50] for i in range(50)]
    for _ in range(200):
        flipped = bytearray(data or b"\0")
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        copies.append(bytes(flipped))
    whole = examine(Held(name, data), rules(), Limits())
    symbols = {f.symbol for f in whole.findings if f.action is Action.BLOCK}
    for number, copy in enumerate(copies):
        examined = examine(Held(name, copy), rules(), Limits())
        assert not [g for g in examined.gaps if g.kind is GapKind.CRASHED], examined.gaps
        said = {f.symbol for f in examined.findings if f.action is Action.BLOCK}
        if symbols and not said and whole.record.formats == ("pickle",) and number % 25 == 0:
            asked, _ = pickle_oracle.names(copy)
            reached = {f"{m}.{n}" for m, n in asked}
            assert not reached & symbols or examined.gaps, number
