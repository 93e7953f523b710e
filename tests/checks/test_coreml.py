"""Core ML: custom code, linked models, programs, and weights in other files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from of_every_model import accusing
from protobufs import message
from weighbridge.core.finding import Action, GapKind
from weighbridge.core.format import Limits
from weighbridge.core.report import Examined
from weighbridge.core.tree import Held
from weighbridge.engine.audit import Audited, run
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

Fields = dict[int, Any]


def model(kind: int, content: Fields | bytes, **user: str) -> Fields:
    entries = [{1: k, 2: v} for k, v in user.items()]
    return {1: 4, 2: {1: {1: "x"}, 100: {1: "a model", 100: entries}}, kind: content}


def look(fields: Fields | bytes) -> Examined:
    data = fields if isinstance(fields, bytes) else message(fields)
    return examine(Held("m.mlmodel", data), load(), Limits())


def said(fields: Fields | bytes) -> list[str]:
    return [f"{f.action.value} {f.check} {f.symbol}" for f in look(fields).findings]


def layer(kind: int, content: Fields) -> Fields:
    return {1: "layer", 2: ["x"], 3: ["y"], kind: content}


def custom(name: str) -> Fields:
    return layer(500, {10: name, 30: [{1: "path", 2: {20: "value"}}], 40: "words"})


def linked(file: str, path: str) -> Fields:
    return model(556, {1: {1: {1: file}, 2: {1: path}}})


def operation(kind: str, file: str = "", offset: int = 64) -> Fields:
    value: Fields = {5: {1: file, 2: offset}} if file else {3: {1: {2: {1: [1]}}}}
    return {1: kind, 2: [{1: "x", 2: {1: [{1: "name"}]}}], 5: [{1: "val", 2: value}]}


def program(*operations: Fields) -> Fields:
    block = {1: "CoreML6", 2: {2: ["y"], 3: list(operations)}}
    return model(502, {1: 1, 2: [{1: "main", 2: {2: "CoreML6", 3: [block]}}]})


PLAIN = layer(140, {1: 3, 2: 2})
CASES: dict[str, tuple[Fields, list[str]]] = {
    "network": (model(500, {1: [PLAIN]}), []),
    "custom layer": (model(500, {1: [PLAIN, custom("Mine")]}), ["review coreml-outside Mine"]),
    "in a classifier": (model(403, {1: [custom("Mine")]}), ["review coreml-outside Mine"]),
    "in a branch": (model(500, {1: [layer(605, {2: {1: [custom("Mine")]}})]}),
                    ["review coreml-outside Mine"]),
    "in a loop": (model(303, {1: [layer(615, {4: {1: [custom("Mine")]}})]}),
                  ["review coreml-outside Mine"]),
    "in a pipeline": (model(202, {1: [model(500, {1: [custom("Mine")]})], 2: ["a"]}),
                      ["review coreml-outside Mine"]),
    "in a pipeline of classifiers": (model(200, {1: {1: [model(555, {10: "Other"})]}}),
                                     ["review coreml-outside Other"]),
    "custom model": (model(555, {10: "MyModel"}), ["review coreml-outside MyModel"]),
    "linked": (linked("other.mlmodelc", "models"), ["review coreml-outside linked other.mlmodelc"]),
    "linked outside": (linked("../../other.mlmodelc", ""),
                       ["block coreml-outside linked ../../other.mlmodelc"]),
    "program": (program(operation("const"), operation("conv"), operation("while_loop")), []),
    "unknown operation": (program(operation("mine")), ["review graph-operator unknown: mine"]),
    "trees": (model(402, {1: {1: [{1: 0}]}}), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_coreml(case: str) -> None:
    fields, expected = CASES[case]
    assert look(fields).record.formats == ("coreml",)
    assert said(fields) == expected


def test_unpublished_kinds_are_gaps() -> None:
    assert [g.kind for g in look(model(3000, {1: "x", 2: b"data"})).gaps] == [GapKind.UNSUPPORTED]


def test_code_in_metadata_is_read() -> None:
    code = "import os\nos.system('true')\n" + "x = 1\n" * 10
    found = look(model(500, {1: [PLAIN]}, setup=code))
    assert any("python" in names for _, _, names in found.identified)


def test_cut_off_is_a_gap() -> None:
    data = message(model(500, {1: [PLAIN] * 9}))
    assert [g.kind for g in look(data[:-7]).gaps] == [GapKind.MALFORMED]
    deep = PLAIN
    for _ in range(60):
        deep = layer(605, {1: {1: [deep]}})
    assert [g.kind for g in look(model(500, {1: [deep]})).gaps] == [GapKind.MALFORMED]


def weights(*sizes: int, extra: bytes = b"") -> bytes:
    data = struct.pack("<II", len(sizes), 2).ljust(64, b"\0")
    for size in sizes:
        start = len(data) + 64
        data += struct.pack("<IIQQ", 0xDEADBEEF, 1, size, start).ljust(64, b"\0") + bytes(size)
        data += bytes(-len(data) % 64) if size is not sizes[-1] else b""
    return data + extra


def package(root: Path, file: str, blob: bytes | None, manifest: str = "") -> Audited:
    inner = root / "Data/com.apple.CoreML"
    (inner / "weights").mkdir(parents=True)
    (inner / "model.mlmodel").write_bytes(message(program(operation("const", file))))
    if blob is not None:
        (inner / "weights/weight.bin").write_bytes(blob)
    entry = {"path": manifest or "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}
    value = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {"A": entry}}
    (root / "Manifest.json").write_text(json.dumps({**value, "rootModelIdentifier": "A"}))
    return run(root)


FILE = "@model_path/weights/weight.bin"


@pytest.mark.parametrize(
    ("file", "manifest", "expected"),
    [
        (FILE, "", []),
        ("@model_path/../../../secret", "", [("external-data", Action.BLOCK)]),
        ("/etc/passwd", "", [("external-data", Action.BLOCK)]),
        (FILE, "../../secret", [("coreml-package", Action.BLOCK)]),
    ],
)
def test_package(
    tmp_path: Path, file: str, manifest: str, expected: list[tuple[str, Action]]
) -> None:
    audited = package(tmp_path, file, weights(32, 8), manifest)
    assert [(f.check, f.action) for f in accusing(audited.findings)] == expected
    formats = {f.path: f.formats for f in audited.files}
    assert formats["Data/com.apple.CoreML/weights/weight.bin"] == ("coreml-weights",)


def test_weights_that_are_missing_or_broken(tmp_path: Path) -> None:
    gaps = [g for g in package(tmp_path / "a", FILE, None).gaps if "not here" in g.message]
    assert [g.kind for g in gaps] == [GapKind.NOT_GIVEN]
    broken = package(tmp_path / "b", FILE, weights(32)[:-8])
    assert GapKind.MALFORMED in [g.kind for g in broken.gaps]


def test_a_program_behind_the_weights_is_found() -> None:
    hidden = b"#!/bin/sh\ntrue\n"
    found = look(weights(32, 8, extra=bytes(99) + hidden))
    assert any("script" in names for _, _, names in found.identified)
