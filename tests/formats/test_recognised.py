"""What is compiled for an accelerator is recognised, and a gap that says what it hides."""

from __future__ import annotations

import json
import struct

import pytest

from weighbridge.core.finding import GapKind
from weighbridge.core.format import Limits
from weighbridge.core.tree import Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load

SETTINGS = json.dumps({"task": "detect", "names": {"0": "cat"}}).encode()
ULTRALYTICS = struct.pack("<I", len(SETTINGS)) + SETTINGS + b"ftrt" + bytes(40)

OPAQUE = {
    "tensorrt": ("model.engine", b"ptrt" + bytes(40)),
    "tensorrt behind settings": ("model.engine", ULTRALYTICS),
    "rknn": ("model.rknn", b"RKNN\0\0\0\0" + bytes(40)),
    "rknn encrypted": ("model.rknn", b"CYPTRKNN" + bytes(40)),
    "hef": ("model.hef", b"\x01HEF" + bytes(40)),
    "dlc": ("model", b"\xd5\x0a\x04\0\0\0\0\0" + bytes(40)),
    "mnn": ("model.mnn", b"\x20\0\0\0" + bytes(40)),
    "openvino-compiled": ("model.blob", b"RR_UPCVO" + bytes(40)),
    "coreml-compiled": ("m.mlmodelc/coremldata.bin", b"\x01\0\0\0" + bytes(40)),
}


@pytest.mark.parametrize("case", OPAQUE)
def test_compiled(case: str) -> None:
    name, data = OPAQUE[case]
    examined = examine(Held(name, data), load(), Limits())
    assert examined.record.formats == (case.split()[0],)
    assert [g.kind for g in examined.gaps] == [GapKind.UNSUPPORTED]
    assert "not" in examined.gaps[0].message


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.txt", b"ptrtraits of words"), ("x.txt", b"RKNN is a format"), ("x.mnn", b"words")],
)
def test_words_are_text(name: str, data: bytes) -> None:
    assert examine(Held(name, data), load(), Limits()).record.formats == ("text",)
