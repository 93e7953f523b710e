"""GGUF: what a header may say, and what a reader in C would stumble over."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.document import Malformed
from weighbridge.core.format import Limits
from weighbridge.core.location import Location
from weighbridge.core.tree import Blob, Held
from weighbridge.engine.examine import examine
from weighbridge.engine.ruleset import load
from weighbridge.formats.gguf import GGUF, Gguf

Tensor = tuple[str, tuple[int, ...], int, int]
W: Tensor = ("w", (4, 2), 0, 0)


def text(value: str, order: str = "<") -> bytes:
    data = value.encode()
    return struct.pack(order + "Q", len(data)) + data


def value(made: Any, order: str = "<") -> bytes:
    if isinstance(made, str):
        return struct.pack(order + "I", 8) + text(made, order)
    if isinstance(made, list):
        body = b"".join(value(v, order)[4:] for v in made)
        kind = 8 if made and isinstance(made[0], str) else 4
        return struct.pack(order + "IIQ", 9, kind, len(made)) + body
    return struct.pack(order + "II", 4, made)


def gguf(
    pairs: list[tuple[str, Any]],
    tensors: list[Tensor],
    data: int = 32,
    version: int = 3,
    order: str = "<",
) -> bytes:
    """A file with `data` bytes behind the aligned header."""
    body = b"GGUF" + struct.pack(order + "IQQ", version, len(tensors), len(pairs))
    for key, made in pairs:
        body += text(key, order) + value(made, order)
    for name, shape, kind, offset in tensors:
        body += text(name, order) + struct.pack(order + f"I{len(shape)}Q", len(shape), *shape)
        body += struct.pack(order + "IQ", kind, offset)
    return body + bytes(-len(body) % 32) + bytes(data)


PAIRS: list[tuple[str, Any]] = [
    ("general.architecture", "llama"),
    ("tokenizer.ggml.tokens", [f"t{i}" for i in range(300)]),
    ("tokenizer.ggml.token_type", list(range(300))),
]


HEADER = b"GGUF" + struct.pack("<I", 3)
KEY = HEADER + struct.pack("<QQ", 0, 1) + text("k")


def parse(data: bytes) -> Gguf:
    assert GGUF.parse is not None
    document = GGUF.parse(Held("m.gguf", data), Location("m.gguf"), Limits())
    assert isinstance(document, Gguf)
    return document


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_plain_file(order: str) -> None:
    document = parse(gguf(PAIRS, [W], order=order))
    assert document.flaws == ()
    assert document.pairs["general.architecture"] == "llama"
    assert document.pairs["tokenizer.ggml.tokens"][:2] == ["t0", "t1"]
    assert [(t.name, t.type, t.shape, t.size) for t in document.tensors] == [
        ("w", "F32", (4, 2), 32)
    ]
    assert document.size - document.data == 32


@pytest.mark.parametrize(
    ("made", "said", "action"),
    [
        (gguf([*PAIRS, PAIRS[0]], [W]), "stands twice", "review"),
        (gguf(PAIRS, [W, W]), "two tensors are called", "review"),
        (gguf(PAIRS, [W, ("v", (4, 2), 0, 0)]), "begins inside", "review"),
        (gguf(PAIRS, [("w", (4, 200), 0, 0)]), "behind the file", "review"),
        (gguf(PAIRS, [("w" * 128, (4, 2), 0, 0)]), "longer than 127 bytes", "review"),
        (gguf(PAIRS, [("w", (4, 2, 1, 1, 1), 0, 0)]), "5 dimensions", "review"),
        (gguf([*PAIRS, ("split.no", 3), ("split.count", 3)], [W]), "part 3 of 3", "review"),
        (gguf(PAIRS, [], data=4096), "follow the header", "review"),
        (gguf(PAIRS, [("w", (33, 1), 2, 0)]), "no whole Q4_0 blocks", "review"),
        (gguf(PAIRS, [W, ("v", (4, 2), 0, 96)], data=128), "are in none", "review"),
        (gguf(PAIRS, [W], data=4096), "follow the last tensor", "review"),
        (gguf(PAIRS, [("w", (4, 2), 0, 7)], data=64), "not aligned", "review"),
        (gguf([("general.alignment", 33)], [W]), "power of two", "review"),
        (gguf(PAIRS, [("w", (1 << 62, 4), 0, 0)]), "overflows", "block"),
        (gguf(PAIRS, [("w", (4, 2), 0, (1 << 64) - 32)]), "overflows", "block"),
        (HEADER + struct.pack("<QQ", 1 << 62, 0), "number of tensors overflows", "block"),
        (HEADER + struct.pack("<QQ", 0, 1 << 60), "number of keys overflows", "block"),
        (HEADER + struct.pack("<QQQ", 0, 1, (1 << 64) - 1), "length of a string", "block"),
        (KEY + struct.pack("<IIQ", 9, 4, 1 << 62), "size of an array", "block"),
        (
            KEY + struct.pack("<IIQ", 9, 8, 100) + (text("t") * 70)[:-8] + b"\xff" * 8 + b"t",
            "length of a string",
            "block",
        ),
    ],
)
def test_what_breaks_a_rule(made: bytes, said: str, action: str) -> None:
    found = examine(Held("m.gguf", made), load(), Limits()).findings
    assert [f.action.value for f in found if said in f.message] == [action]


@pytest.mark.parametrize(
    "made",
    [
        gguf(PAIRS, [W])[:40],
        HEADER + struct.pack("<QQ", 0, 1 << 40),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        KEY + struct.pack("<IIQ", 9, 8, 1 << 50),
        HEADER + struct.pack("<QQQ", 0, 1, 1 << 50),
        KEY + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 9,
        KEY + struct.pack("<IIQ", 9, 8, 1 << 20) + text("t") * 70,
        KEY + struct.pack("<IIQ", 9, 8, 70) + text("t") * 69 + struct.pack("<Q", 1 << 40),
        KEY + struct.pack("<I", 77) + bytes(99),
    ],
)
def test_malformed(made: bytes) -> None:
    with pytest.raises(Malformed):
        parse(made)


def test_templates_are_handed_on() -> None:
    pairs = [("tokenizer.chat_template", "{{ x }}"), ("tokenizer.chat_template.tool", "{{ y }}"),
             ("tokenizer.chat_templates", ["tool"])]  # fmt: skip
    members = [m for m in parse(gguf([*PAIRS, *pairs], [W])).walk() if isinstance(m, Blob)]
    assert [(m.path, m.role, m.read(0, 99)) for m in members] == [
        ("tokenizer.chat_template", "chat-template", b"{{ x }}"),
        ("tokenizer.chat_template.tool", "chat-template", b"{{ y }}"),
    ]


def test_a_template_behind_another_of_the_same_key_is_read_too() -> None:
    key = "tokenizer.chat_template"
    document = parse(gguf([*PAIRS, (key, "first"), (key, "second")], [W]))
    assert document.templates == ((key, "first"), (key, "second"))
    assert document.pairs[key] == "first"


def test_version_1_counts_in_32_bits() -> None:
    body = b"GGUF" + struct.pack("<IIII", 1, 1, 1, 1) + b"k" + struct.pack("<II2s", 8, 2, b"ab")
    body += struct.pack("<I1sIIIIQ", 1, b"w", 2, 4, 2, 0, 0)
    document = parse(body + bytes(-len(body) % 32 + 32))
    assert (document.pairs, document.flaws) == ({"k": "ab"}, ())
    assert [(t.name, t.shape) for t in document.tensors] == [("w", (4, 2))]


def test_types_that_are_not_known_leave_the_sizes_open() -> None:
    document = parse(gguf(PAIRS, [("w", (4, 2), 137, 0), ("v", (4, 2), 0, 4096)], data=5000))
    assert [g.message for g in document.gaps] == [
        "tensors of types that are not known: 137 (1 ×); their sizes were not checked"
    ]
    assert [t.size for t in document.tensors] == [None, 32]


def test_arrays_of_arrays() -> None:
    inner = struct.pack("<IQ", 0, 3) + b"abc"
    document = parse(KEY + struct.pack("<IIQ", 9, 9, 70) + inner * 70)
    assert document.pairs["k"] == [[97, 98, 99]] * 64


def test_a_large_vocabulary_takes_no_memory() -> None:
    words = text("a word of the vocabulary") * 300_000
    data = KEY + struct.pack("<IIQ", 9, 8, 300_000) + words
    tracemalloc.start()
    document = parse(data)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert len(document.pairs["k"]) == 64
    assert document.seen == len(data)


def test_kinds() -> None:
    files = Path(__file__).parents[1] / "benign" / "files" / "gguf"
    assert parse((files / "adapter.gguf").read_bytes()).kind == "adapter"
    model = parse((files / "q8_0.gguf").read_bytes())
    assert (model.kind, model.architecture) == ("model", "llama")
