"""GGML before GGUF: the layouts of the programs that wrote it."""

from __future__ import annotations

import struct

import pytest

from weighbridge.core.format import Limits, Sample
from weighbridge.core.location import Location
from weighbridge.core.tree import Held
from weighbridge.formats.ggml import GGML, Ggml

WORDS = [b"a", b"bc", "ö".encode()]
SHAPE = (64, 2)


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def made(head: bytes, size: int, kind: int = 2, alignment: int = 1, scores: bool = False) -> bytes:
    for word in WORDS if head[:4] != b"algg" else ():
        head += ints(len(word)) + word + (bytes(4) if scores else b"")
    for name in (b"tok_embeddings.weight", b"norm.weight"):
        head += ints(len(SHAPE), len(name), kind, *SHAPE) + name
        head += bytes(-len(head) % alignment) + bytes(size)
    return head


def parse(data: bytes) -> Ggml:
    assert GGML.parse is not None
    document = GGML.parse(Held("m.bin", data), Location("m.bin"), Limits())
    assert isinstance(document, Ggml)
    return document


LLAMA = ints(3, 4096, 256, 32, 32, 128, 2)
WHISPER = ints(3, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1) + ints(2, 3) + bytes(24) + ints(3)
FILES = {
    "ggjt v3": (made(b"tjgg" + ints(3) + LLAMA, 72, alignment=32, scores=True), "llama.cpp"),
    "ggjt v1": (made(b"tjgg" + ints(1) + LLAMA, 80, alignment=32, scores=True), "llama.cpp"),
    "ggmf": (made(b"fmgg" + ints(1) + LLAMA, 80, scores=True), "llama.cpp"),
    "ggml": (made(b"lmgg" + LLAMA, 80), "llama.cpp"),
    "whisper": (made(b"lmgg" + WHISPER, 256, kind=1), "whisper.cpp"),
    "gpt-2": (made(b"lmgg" + ints(3, 1024, 768, 12, 12, 2, 3), 512, kind=0), "gpt-2"),
    "adapter": (made(b"algg" + ints(1, 8, 16), 512, kind=0, alignment=32), "adapter"),
}


@pytest.mark.parametrize("case", FILES)
def test_layouts(case: str) -> None:
    data, program = FILES[case]
    assert GGML.sniff(Sample(Held("m.bin", data)))
    document = parse(data)
    assert (document.layout, document.gaps) == (program, ())
    assert [t.name for t in document.tensors] == ["tok_embeddings.weight", "norm.weight"]
    assert document.seen < document.size


@pytest.mark.parametrize("case", FILES)
def test_what_does_not_fit_is_a_gap(case: str) -> None:
    data, _ = FILES[case]
    for broken in (data[:-1], data + b"\0", data[:90]):
        assert parse(broken).gaps


@pytest.mark.parametrize("head", [b"lmgg", b"lmgg" + bytes(8), b"tjgg" + ints(77, 3, 3),
                                  b"algg" + ints(1, -1, 3)])  # fmt: skip
def test_four_bytes_are_not_enough(head: bytes) -> None:
    assert not GGML.sniff(Sample(Held("weights", head + b"\xff" * 99)))
