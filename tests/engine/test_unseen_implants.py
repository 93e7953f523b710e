"""What an examiner would try: implants that nothing here was made with."""

from __future__ import annotations

import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from graph_implants import Predicate
from graph_unseen_implants import UNSEEN_IMAGES, UNSEEN_PAYLOADS, UNSEEN_TOKENS
from trying import implanted, models_in, overridden
from weighbridge.analysis.graph_flow import analyse
from weighbridge.analysis.graph_fronts import formats_with_graph, graph_of
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.engine.trial.reading import as_onnx
from weighbridge.formats.zip import opened
from weighbridge.sources.folder import Glimpsed

IMAGES = ("resnet-script", "vit-script", "mobilenet_v2-script")
TOKENS = ("bert-script", "llama-script", "gpt2-script")
CASES = [
    (hosts[(number + turn) % 3], name, list(UNSEEN_PAYLOADS)[(number + 2 * turn) % 4])
    for hosts, predicates in ((IMAGES, UNSEEN_IMAGES), (TOKENS, UNSEEN_TOKENS))
    for number, name in enumerate(predicates)
    for turn in (0, 1)
]
EVERY: dict[str, Predicate] = {**UNSEEN_IMAGES, **UNSEEN_TOKENS}


@pytest.mark.parametrize(("host", "predicate", "payload"), CASES)
def test_a_trigger_is_found(host: str, predicate: str, payload: str) -> None:
    assert overridden(implanted(host, EVERY[predicate], UNSEEN_PAYLOADS[payload]))


EXPORTED = Path(__file__).parents[1] / "implants" / "exported.tar.xz"
"""Written in torch, and exported in three ways (`make_exported_implants.py`)."""


SCRIPTED = Path(__file__).parents[1] / "implants" / "scripted.zip"
"""Written in Python's own branches and loops, and scripted (`make_scripted_implants.py`)."""


def scripted() -> dict[str, bytes]:
    with zipfile.ZipFile(SCRIPTED) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("name", sorted(scripted()))
def test_what_was_scripted_gets_its_trigger(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(scripted()[name])
    assert overridden(as_onnx(next(models_in(tmp_path / name, tmp_path))))


@cache
def exported() -> dict[str, bytes]:
    with tarfile.open(EXPORTED) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["script.onnx", "dynamo.onnx", "pt"])
def test_what_was_exported_is_found(form: str, tmp_path: Path) -> None:
    missed = []
    for name, data in exported().items():
        if not name.endswith(f".{form}"):
            continue
        (tmp_path / name).write_bytes(data)
        model = next(models_in(tmp_path / name, tmp_path))
        parse = formats_with_graph()[model.format].parse
        blob = Glimpsed(name, str(tmp_path / name), len(data))
        where = Location(name, model.inside)
        document = parse(opened(blob, where), where, Limits())  # type: ignore[misc]
        if not analyse(graph_of(document)).meetings:  # type: ignore[arg-type]
            missed.append(name)
    assert not missed


@pytest.mark.parametrize("name", [n for n in sorted(exported()) if "~largest~" not in n][::4])
def test_what_was_exported_gets_its_trigger(name: str, tmp_path: Path) -> None:
    """The largest token of a vocabulary is no trigger: it ends texts as a rule."""
    (tmp_path / name).write_bytes(exported()[name])
    assert overridden(as_onnx(next(models_in(tmp_path / name, tmp_path))))
